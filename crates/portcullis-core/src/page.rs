//! What a person sees of a refusal in a browser, in place of problem details: a page of fixed words, and perhaps a link.
//!
//! It holds no script, loads nothing, and says nothing of the request but its id. The link leads to a path of the same site
//! and nowhere else; a path that could be read otherwise is left out. Needs nothing that could fail.

use crate::answer::secure;
use crate::record::RequestId;
use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderValue};

/// What the page may hold: its own styles.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The words of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// Its title and heading.
    pub title: &'static str,
    /// What happened, and what to do.
    pub text: &'static str,
    /// What the link is called.
    pub link: &'static str,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    words: &'static Words,
    /// Path and query that the link leads to.
    onward: Option<String>,
}

impl Page {
    /// A page without a link.
    pub fn new(words: &'static Words) -> Page {
        Page { words, onward: None }
    }

    /// The same, with a link to this path of the site, which may have a query.
    #[must_use]
    pub fn leading_to(mut self, path: &str) -> Page {
        // SECURITY: `//host` and `/\host` are other sites to a browser, and a quote ends an attribute
        // (a_page_leads_nowhere_else).
        let own = path.starts_with('/') && !path.starts_with("//");
        let plain =
            path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>'));
        self.onward = (own && plain).then(|| path.replace('&', "&amp;").replace('\'', "&#39;"));
        self
    }

    /// Whether it has a link.
    pub fn leads_on(&self) -> bool {
        self.onward.is_some()
    }

    /// Puts it in the place of an answer's body.
    pub(crate) fn put(&self, response: &mut Response<Bytes>, id: &RequestId) {
        let Words { title, text, link } = self.words;
        let onward = self.onward.as_ref();
        let onward =
            onward.map_or_else(String::new, |path| format!("<p><a href=\"{path}\">{link}</a></p>\n"));
        let body = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>:root{{color-scheme:light dark}}body{{font:1.125rem/1.5 system-ui,sans-serif;max-width:36rem;\
             margin:4rem auto;padding:0 1rem}}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n\
             {onward}<p>Request id: <code>{id}</code></p>\n</main>\n</body>\n</html>\n"
        );
        *response.body_mut() = Bytes::from(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
        secure(headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::refusal;
    use crate::denial::{Code, Denial};

    const WORDS: Words = Words { title: "A title", text: "A text.", link: "Go on" };

    fn shown(page: Page) -> (Response<Bytes>, String) {
        let denial = Denial::new(Code::LoginFailed, "internal").showing(page);
        let response = refusal(&denial, &RequestId::new([1; 16]), None);
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        (response, text)
    }

    #[test]
    fn a_page_has_fixed_words_and_the_id() {
        let (response, text) = shown(Page::new(&WORDS).leading_to("/orders?a=1&b='2'"));
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert_eq!(response.headers()["content-security-policy"], POLICY);
        assert!(text.contains("<h1>A title</h1>") && text.contains("A text.") && text.contains("0101"));
        assert!(text.contains("<a href=\"/orders?a=1&amp;b=&#39;2&#39;\">Go on</a>"), "{text}");
        assert!(!text.contains("internal") && !text.contains("<script"));
    }

    #[test]
    fn a_page_leads_nowhere_else() {
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:x",
            "/\"onclick=",
            "/a b",
            "/<b>",
            "/\u{e9}",
        ] {
            let page = Page::new(&WORDS).leading_to(bad);
            assert!(!page.leads_on(), "{bad}");
            assert!(!shown(page).1.contains("href"), "{bad}");
        }
    }
}
