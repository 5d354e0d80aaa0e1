//! Which pages of other origins may read a route's answers in a browser (CORS, Fetch Standard, section 3.2).
//!
//! The gateway answers preflights itself, before authentication, since browsers send them without credentials; after the
//! route's addresses and limits. Every answer, a refusal's too, names the page's origin if it is listed, and no other. What
//! an upstream says of other origins is removed. Needs nothing that could fail.

use crate::build::Build;
use crate::section::{Part, Section};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Uri};
use portcullis_config::{Context, OneOrMany, Span, Spanned, object};
use portcullis_core::check::{AnswerFields, Check};
use portcullis_core::{CheckId, CrossOrigin, Head, Once};
use std::sync::Arc;

/// The longest list of headers that a preflight may ask for, in bytes.
const MAX_REQUESTED_BYTES: usize = 1024;

object! {
    /// Which pages of other origins may read answers in a browser.
    pub struct CorsConfig {
        /// The origins, such as `https://app.example.com`: scheme, host, and the port if it is not the scheme's own. `"*"` means
        /// every origin. A page of these origins may send any header.
        pub origins: Spanned<OneOrMany<String>>,
    }
}

impl Section for CorsConfig {
    const ABOUT: &'static str = "Which pages of other origins may read answers in a browser (CORS). The gateway answers their preflights. Without it, `Access-Control-` fields are the upstream's.";

    fn compile(&self, _: Span, _: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().cross_origin(Arc::new(self.check(cx)?)))
    }
}

impl CorsConfig {
    fn check(&self, cx: &mut Context) -> Option<Cors> {
        let origins = &self.origins.value.0;
        if origins.iter().any(|origin| origin == "*") {
            return match origins.as_slice() {
                [_] => Some(Cors { origins: None }),
                _ => {
                    cx.error(
                        "config.cors_origin",
                        self.origins.span,
                        "`*` includes every origin, so the others have no effect",
                    )
                    .help("write `\"*\"` alone, or the origins that you mean");
                    None
                }
            };
        }
        if origins.is_empty() {
            cx.error("config.empty_list", self.origins.span, "the list of origins is empty")
                .help("name an origin such as `https://app.example.com`, or leave the section out");
            return None;
        }
        if let Some(origin) = origins.iter().find(|origin| !is_origin(origin)) {
            cx.error("config.cors_origin", self.origins.span, format!("`{origin}` is not an origin as browsers send it"))
                .help("write it as browsers send it: scheme, host in lower case, and the port if it is not the scheme's own, such as `https://app.example.com`");
            return None;
        }
        Some(Cors { origins: Some(origins.clone()) })
    }
}

/// Whether a browser can send this as `Origin` (RFC 6454, section 6.2).
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let own = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => return false,
    };
    let host = portcullis_core::head::host::canonical(authority.as_str());
    let port = authority.port_u16();
    let expected = match (host, port) {
        (Ok(host), None) => format!("{scheme}://{host}"),
        (Ok(host), Some(port)) => format!("{scheme}://{host}:{port}"),
        (Err(_), _) => return false,
    };
    text == expected && port != own
}

/// The check.
#[derive(Debug)]
pub struct Cors {
    /// `None` is every origin.
    origins: Option<Vec<String>>,
}

impl Check for Cors {
    fn id(&self) -> CheckId {
        CheckId::new("screen.cors")
    }

    fn describe(&self) -> String {
        match &self.origins {
            None => "pages of every origin may read answers".to_owned(),
            Some(origins) => format!("pages of {} may read answers", origins.join(", ")),
        }
    }
}

const ANY: HeaderValue = HeaderValue::from_static("*");

impl Cors {
    /// What to name as the origin that may read; `None` names nobody.
    fn allowed(&self, head: &Head) -> Option<HeaderValue> {
        let Some(origins) = &self.origins else { return Some(ANY) };
        match head.once(header::ORIGIN.as_str()) {
            // SECURITY: exactly as it is written; a prefix or an end in common is another site
            // (another_origin_is_named_to_nobody).
            Once::One(origin) if origins.iter().any(|known| *known == origin) => {
                head.headers().get(header::ORIGIN).cloned()
            }
            Once::One(_) | Once::Absent | Once::Repeated | Once::Unreadable => None,
        }
    }
}

impl CrossOrigin for Cors {
    fn fields(&self, head: &Head) -> AnswerFields {
        let mut fields = Vec::new();
        if self.origins.is_some() {
            // A cache must not give one origin the answer for another (Fetch Standard, section 3.2.5).
            fields.push((header::VARY, HeaderValue::from_static("Origin")));
        }
        fields.extend(self.allowed(head).map(|origin| (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)));
        fields
    }

    fn preflight(&self, head: &Head, wanted: &Method) -> AnswerFields {
        let mut fields: Vec<(HeaderName, HeaderValue)> = vec![(
            header::VARY,
            HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
        )];
        if self.allowed(head).is_none() {
            return fields;
        }
        fields.extend(
            HeaderValue::from_str(wanted.as_str())
                .ok()
                .map(|method| (header::ACCESS_CONTROL_ALLOW_METHODS, method)),
        );
        if let Once::One(names) = head.once(header::ACCESS_CONTROL_REQUEST_HEADERS.as_str())
            && is_list_of_names(&names)
            && let Ok(names) = HeaderValue::from_str(&names)
        {
            fields.push((header::ACCESS_CONTROL_ALLOW_HEADERS, names));
        }
        fields
    }
}

/// Whether `text` is a list of field names, of a length that a browser sends.
fn is_list_of_names(text: &str) -> bool {
    let token = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok();
    text.len() <= MAX_REQUESTED_BYTES && text.split(',').all(|name| token(name.trim_matches([' ', '\t'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in [
            "https://app.example.com",
            "http://localhost:3000",
            "https://a.example:8443",
            "http://[::1]:8080",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "null",
            "app.example.com",
            "https://App.example.com",
            "https://app.example.com/",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://*.example.com",
            "https://user@app.example.com",
            "ftp://app.example.com",
            "https://",
            "",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
