//! Another path, another place or a fixed answer for a route's requests.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use portcullis_config::{Context, Span, Spanned, object};
use portcullis_core::head;
use portcullis_core::route::template::{Rewrite, Template};
use portcullis_proxy::{FixedAnswer, Place};

object! {
    /// The path under which requests go upstream. Exactly one of the keys. Routes, checks and OpenAPI documents see the path
    /// that the client sent. `Location` and the `Path` of cookies in answers are mapped back.
    pub struct RewriteConfig {
        /// The beginning of the path to remove, such as `/api`: `/api/orders` goes upstream as `/orders`. The route's path
        /// must begin with it.
        pub strip_prefix: Option<Spanned<String>>,
        /// The path at the upstream, with parameters of the route's path: `/v2/{rest}` for a route `/api/{*rest}`.
        pub path: Option<Spanned<String>>,
    }
}

object! {
    /// A redirect. Requests are checked first, and go to no upstream.
    pub struct RedirectConfig {
        /// Where to: a URL, or a path on the same host. It can have parameters of the route's path:
        /// `https://new.example.com/{rest}`. The query of the request is added if this has none.
        pub to: Spanned<String>,
        /// The status: 301, 302, 303, 307 or 308. Default: 307, which keeps the method and is not cached.
        pub status: Option<Spanned<u16>>,
    }
}

object! {
    /// A fixed answer. Requests are checked first, and go to no upstream.
    pub struct RespondConfig {
        /// The status, from 200 to 599. Default: 200.
        pub status: Option<Spanned<u16>>,
        /// The body. Default: none.
        pub body: Option<Spanned<String>>,
        /// The content type of the body. Default: `text/plain; charset=utf-8`.
        pub content_type: Option<Spanned<String>>,
    }
}

impl RewriteConfig {
    /// What becomes of a path. `None` means that an error was pushed.
    pub(crate) fn compile(&self, route: &str, cx: &mut Context) -> Option<Rewrite> {
        match (&self.strip_prefix, &self.path) {
            (Some(prefix), None) => self.prefix(prefix, route, cx),
            (None, Some(path)) => match Template::read(&path.value, route) {
                Ok(template) => Some(Rewrite::Path(template)),
                Err(error) => {
                    cx.error("config.rewrite", path.span, error.to_string())
                        .help("write a path such as `/v2/{rest}`, with whole segments of the route's path in braces");
                    None
                }
            },
            (None, None) | (Some(_), Some(_)) => {
                cx.error("config.rewrite", self.at, "a path is rewritten in one way")
                    .help("write either `strip_prefix` or `path`");
                None
            }
        }
    }

    fn prefix(&self, prefix: &Spanned<String>, route: &str, cx: &mut Context) -> Option<Rewrite> {
        let text = prefix.value.trim_end_matches('/');
        let literal = !text.is_empty() && !text.contains(['{', '}']);
        let begins = route.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !literal || !begins {
            cx.error(
                "config.rewrite",
                prefix.span,
                format!("the route's path `{route}` does not begin with this"),
            )
            .help("write the beginning of the path, up to a slash and without parameters, such as `/api`");
            return None;
        }
        Some(Rewrite::StripPrefix(text.to_owned()))
    }
}

impl RedirectConfig {
    /// The answer. `None` means that an error was pushed.
    pub(crate) fn compile(&self, route: &str, cx: &mut Context) -> Option<FixedAnswer> {
        let status = match &self.status {
            None => StatusCode::TEMPORARY_REDIRECT,
            Some(status) => match StatusCode::from_u16(status.value) {
                Ok(known) if matches!(status.value, 301 | 302 | 303 | 307 | 308) => known,
                Ok(_) | Err(_) => {
                    cx.error(
                        "config.redirect",
                        status.span,
                        format!("{} is not the status of a redirect", status.value),
                    )
                    .help("write 301, 302, 303, 307 or 308");
                    return None;
                }
            },
        };
        match place(&self.to.value, route) {
            Ok(to) => Some(FixedAnswer::Redirect { status, to }),
            Err(problem) => {
                cx.error("config.redirect", self.to.span, problem)
                    .help("write a URL such as `https://new.example.com/{rest}`, or a path");
                None
            }
        }
    }
}

/// Where a redirect of this route leads.
fn place(text: &str, route: &str) -> Result<Place, String> {
    let (text, query) = match text.split_once('?') {
        Some((text, query)) => (text, Some(query)),
        None => (text, None),
    };
    if query.is_some_and(|query| query.contains(['{', '}']) || head::query::well_formed(query).is_err()) {
        return Err(
            "a query of a redirect has no parameters and no characters that must be escaped".to_owned()
        );
    }
    // SECURITY: a host that a request could choose would be anybody's (a_redirect_stays_at_its_host).
    let (origin, path) = match text.split_once("://") {
        None => (String::new(), text),
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let origin = format!("{scheme}://{host}");
            let known = matches!(scheme, "http" | "https")
                && head::host::canonical(host).is_ok()
                && origin.parse::<Uri>().is_ok();
            if !known {
                return Err("this is not a URL of a host that is known beforehand".to_owned());
            }
            (origin, if path.is_empty() { "/" } else { path })
        }
    };
    let template = Template::read(path, route).map_err(|error| error.to_string())?;
    Ok(Place { origin, path: Rewrite::Path(template), query: query.map(ToOwned::to_owned) })
}

impl RespondConfig {
    /// The answer. `None` means that an error was pushed.
    pub(crate) fn compile(&self, cx: &mut Context) -> Option<FixedAnswer> {
        let status = match &self.status {
            None => StatusCode::OK,
            Some(status) => match StatusCode::from_u16(status.value) {
                Ok(known) if (200..600).contains(&status.value) => known,
                Ok(_) | Err(_) => {
                    cx.error(
                        "config.respond",
                        status.span,
                        format!("{} is not the status of an answer", status.value),
                    )
                    .help("write a number from 200 to 599");
                    return None;
                }
            },
        };
        let silent =
            matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
        let moot = |at: Span, cx: &mut Context| {
            cx.error("config.respond", at, "this answer has no body")
                .help("remove it, or choose another status");
        };
        if let Some(body) = self.body.as_ref().filter(|_| silent) {
            moot(body.span, cx);
            return None;
        }
        if let Some(content_type) = self.content_type.as_ref().filter(|_| self.body.is_none()) {
            moot(content_type.span, cx);
            return None;
        }
        let content_type = match (&self.body, &self.content_type) {
            (None, _) => None,
            (Some(_), None) => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
            (Some(_), Some(written)) => match HeaderValue::from_str(&written.value) {
                Ok(value) if written.value.contains('/') && written.value.is_ascii() => Some(value),
                Ok(_) | Err(_) => {
                    cx.error("config.respond", written.span, "this is not a content type")
                        .help("write one such as `application/json`");
                    return None;
                }
            },
        };
        let body = self.body.as_ref().map(|body| Bytes::from(body.value.clone())).unwrap_or_default();
        Some(FixedAnswer::Respond { status, content_type, body })
    }
}
