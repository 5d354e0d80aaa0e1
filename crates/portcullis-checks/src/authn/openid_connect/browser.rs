//! What a browser says of how a request came about.
//!
//! Only a person who goes to a page is sent to log in; a script's request would follow the redirect to nowhere. A request
//! that changes something, or that opens a connection for more, must come from a page of this very origin: a cookie is
//! sent along with whatever any page asks for. A request that does not say where it comes from is refused.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The longest path, with its query, to which a browser is sent back. From a longer one it comes back without the query, and
/// if that is too long as well, to `/`.
const MAX_RETURN_BYTES: usize = 512;

/// What a field says that stands at most once.
enum Said<'a> {
    Nothing,
    One(&'a str),
    Nonsense,
}

fn said(headers: &HeaderMap, name: HeaderName) -> Said<'_> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::to_str);
    match (values.next(), values.next()) {
        (None, _) => Said::Nothing,
        (Some(Ok(text)), None) => Said::One(text),
        (Some(_), _) => Said::Nonsense,
    }
}

/// Whether a person goes to a page of their own (Fetch Metadata, section 2), and not a script, an image or a frame.
pub fn is_navigation(method: &Method, headers: &HeaderMap, upgrade: bool) -> bool {
    if upgrade || !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    match (said(headers, FETCH_MODE), said(headers, FETCH_DESTINATION)) {
        (Said::One("navigate"), Said::One("document") | Said::Nothing) => true,
        (Said::Nothing, Said::Nothing) => accepts_html(headers),
        (Said::One(_) | Said::Nothing | Said::Nonsense, Said::One(_) | Said::Nothing | Said::Nonsense) => {
            false
        }
    }
}

/// Whether an old browser asks for a page: it names HTML, which scripts and programs do not.
fn accepts_html(headers: &HeaderMap) -> bool {
    let media_types = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut media_types = media_types
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    media_types.any(|name| name.eq_ignore_ascii_case("text/html"))
}

/// Whether a request needs proof that a page of this origin sent it.
pub fn needs_origin(method: &Method, upgrade: bool) -> bool {
    upgrade || !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a page of `origin` sent the request.
///
/// A browser that says `same-origin` is believed, also where it keeps the origin to itself (`null`), as it does for pages
/// that were served with `Referrer-Policy: no-referrer`. A page cannot set either field.
pub fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    // SECURITY: every combination that is not listed is another site (a_request_that_changes_something_is_of_this_origin).
    match (said(headers, FETCH_SITE), said(headers, header::ORIGIN)) {
        (Said::One("same-origin"), Said::Nothing | Said::One("null")) => true,
        (Said::One("same-origin") | Said::Nothing, Said::One(given)) => given == origin,
        (Said::One(_) | Said::Nothing | Said::Nonsense, Said::One(_) | Said::Nothing | Said::Nonsense) => {
            false
        }
    }
}

/// The path to come back to after a login: a path of this origin, whatever the browser makes of it.
pub fn return_path(target: &str) -> &str {
    // SECURITY: `//host` and `/\host` are other hosts to a browser (nobody_is_sent_elsewhere_after_a_login).
    let elsewhere = !target.starts_with('/')
        || target.starts_with("//")
        || target.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\');
    let path = target.split('?').next().unwrap_or_default();
    match (elsewhere, target.len() <= MAX_RETURN_BYTES, path.len() <= MAX_RETURN_BYTES) {
        (true, _, _) | (false, false, false) => "/",
        (false, true, _) => target,
        (false, false, true) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://app.example";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_person_goes_to_a_page_and_a_script_does_not() {
        let navigates =
            |fields: &[(&'static str, &str)]| is_navigation(&Method::GET, &headers(fields), false);
        assert!(navigates(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]));
        assert!(navigates(&[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")]));
        assert!(navigates(&[("accept", "*/*"), ("accept", "Text/HTML;q=0.9")]));
        for other in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[("accept", "text/html-fragment")],
            &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "navigate")],
            &[("sec-fetch-dest", "image"), ("accept", "text/html")],
        ] {
            assert!(!navigates(other), "{other:?}");
        }
        let page = headers(&[("sec-fetch-mode", "navigate")]);
        assert!(is_navigation(&Method::HEAD, &page, false));
        assert!(!is_navigation(&Method::POST, &page, false));
        assert!(!is_navigation(&Method::GET, &page, true));
    }

    #[test]
    fn a_request_that_changes_something_is_of_this_origin() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
            assert!(needs_origin(&Method::from_bytes(method.as_bytes()).unwrap(), false), "{method}");
        }
        assert!(needs_origin(&Method::GET, true), "a WebSocket");
        assert!(!needs_origin(&Method::GET, false) && !needs_origin(&Method::HEAD, false));
        let same = |fields: &[(&'static str, &str)]| is_same_origin(&headers(fields), ORIGIN);
        assert!(same(&[("sec-fetch-site", "same-origin")]));
        assert!(same(&[("sec-fetch-site", "same-origin"), ("origin", ORIGIN)]));
        assert!(same(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(same(&[("origin", ORIGIN)]));
        for other in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "https://app.example.")],
            &[("origin", "https://app.example:443")],
            &[("origin", "http://app.example")],
            &[("origin", "https://app.example"), ("origin", "https://app.example")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-site"), ("origin", ORIGIN)],
            &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "Same-Origin")],
            &[("referer", "https://app.example/")],
        ] {
            assert!(!same(other), "{other:?}");
        }
    }

    #[test]
    fn nobody_is_sent_elsewhere_after_a_login() {
        for good in ["/", "/orders/7?page=2", "/a?next=https://evil.example/", "/a:b@c"] {
            assert_eq!(return_path(good), good);
        }
        let long = "a".repeat(MAX_RETURN_BYTES);
        assert_eq!(return_path(&format!("/orders?page={long}")), "/orders");
        let long = format!("/{long}");
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "evil",
            "/a\r\nSet-Cookie: x",
            "/a\tb",
            "/a b",
            "/\u{e9}",
            &long,
        ] {
            assert_eq!(return_path(bad), "/", "{bad:?}");
        }
    }
}
