//! Which pages of other origins may read a route's answers in a browser (CORS, Fetch Standard, section 3.2).
//!
//! The gateway answers preflights itself, before authentication, since browsers send them without credentials; after the
//! route's addresses and limits. Every answer, also to a rejected request, names the page's origin if it is listed, and no
//! other. What an upstream says about other origins is removed. Needs nothing that could fail.

mod origin;

use crate::build::Build;
use crate::section::{Part, Section};
use http::Method;
use http::header::{self, HeaderName, HeaderValue};
use origin::OriginPattern;
use portcullis_config::{Context, OneOrMany, Span, Spanned, object};
use portcullis_core::check::{AnswerFields, Check};
use portcullis_core::{CheckId, CrossOrigin, Head, Once};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The longest list of headers that a preflight may ask for, in bytes.
const MAX_REQUESTED_BYTES: usize = 1024;
/// The longest time for which a browser remembers an answer (Firefox: a day, Chromium: two hours).
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// What the gateway itself says in answers, and a page needs to act on a 401, a 429 or a 503.
const OWN_HEADERS: &str = "retry-after, ratelimit, ratelimit-policy, www-authenticate, x-request-id";

object! {
    /// Which pages of other origins may read answers in a browser.
    pub struct CorsConfig {
        /// The origins, such as `https://app.example.com`: scheme, host, and the port if it is not the scheme's own.
        /// `https://*.example.com` is every host below `example.com`, with one more label or several, and not
        /// `example.com` itself. `http://localhost:*` is every port. `"*"` is every origin, and cannot be combined with
        /// `credentials`. `null`, which sandboxed pages have, does not load.
        pub origins: Spanned<OneOrMany<String>>,
        /// The methods that pages may use. Browsers use GET, HEAD and POST without asking. Default: those that the route
        /// allows.
        pub methods: Vec<Spanned<String>> = Vec::new(),
        /// The headers that pages may send, beside those that browsers send without asking. Default: all.
        pub headers: Vec<Spanned<String>> = Vec::new(),
        /// The headers of answers that pages may read, beside those that browsers let them read anyway. `Retry-After`,
        /// `RateLimit`, `RateLimit-Policy`, `WWW-Authenticate` and `X-Request-Id` can be read always. `"*"` is every header,
        /// and cannot be combined with `credentials`. Default: no more than these.
        pub exposed_headers: Vec<Spanned<String>> = Vec::new(),
        /// Whether pages may send cookies, client certificates and the browser's own passwords, and read the answers.
        /// Not needed for an API key or a token that a script sends in a header. Default: false.
        pub credentials: bool = false,
        /// How long a browser may use the answer to a preflight again, up to 24h. Chromium uses it for 2 hours at most.
        /// Default: the browser's own, which is 5 seconds.
        pub max_age: Option<Spanned<Duration>>,
        /// Whether pages of public networks may send requests to a gateway in a private network, or on the same machine
        /// (Private Network Access). Default: false.
        pub private_network: bool = false,
    }
}

impl Section for CorsConfig {
    const ABOUT: &'static str = "Which pages of other origins may read answers in a browser (CORS). The gateway answers their preflights. Without it, `Access-Control-` fields are the upstream's.";
    const CHECKS: &'static [&'static str] = &["screen.cors"];

    fn compile(&self, _: Span, _: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().cross_origin(Arc::new(self.check(cx)?)))
    }
}

impl CorsConfig {
    fn check(&self, cx: &mut Context) -> Option<Cors> {
        // All of them are read before the first failure counts, so that all are reported.
        let origins = self.compiled_origins(cx);
        let methods = self.compiled_methods(cx);
        let headers = names(&self.headers, cx);
        let exposed = names(&self.exposed_headers, cx);
        let max_age = self.compiled_age(cx);
        let (origins, exposed) = (origins?, exposed?);
        if self.credentials && origins.is_none() {
            // SECURITY: with both, every page could read what this browser's user may read
            // (every_code_points_to_its_place_and_says_what_to_do).
            cx.error(
                "config.cors_credentials",
                self.origins.span,
                "pages of every origin would act with the user's cookies",
            )
            .help(
                "name the origins that may, such as `https://*.example.com`, or remove `credentials: true`",
            );
            return None;
        }
        if self.credentials && exposed.as_deref() == Some("*") {
            let span = self.exposed_headers.first().map_or(self.origins.span, |name| name.span);
            cx.error(
                "config.cors_credentials",
                span,
                "with `credentials: true`, browsers take `*` for a header that is called `*`",
            )
            .help("name the headers that pages may read");
            return None;
        }
        let exposed = match exposed.as_deref() {
            None => OWN_HEADERS.to_owned(),
            Some("*") => "*".to_owned(),
            Some(names) => format!("{names}, {OWN_HEADERS}"),
        };
        Some(Cors {
            origins,
            methods: methods?,
            headers: headers?
                .filter(|names| names != "*")
                .and_then(|names| HeaderValue::try_from(names).ok()),
            exposed: HeaderValue::try_from(exposed).ok()?,
            credentials: self.credentials,
            max_age: max_age?,
            private_network: self.private_network,
        })
    }

    /// The origins; the inner `None` is every one.
    fn compiled_origins(&self, cx: &mut Context) -> Option<Option<Vec<OriginPattern>>> {
        let origins = &self.origins.value.0;
        if origins.iter().any(|origin| origin == "*") {
            return match origins.as_slice() {
                [_] => Some(None),
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
        let mut patterns = Vec::with_capacity(origins.len());
        for origin in origins {
            match OriginPattern::read(origin) {
                Ok(pattern) => patterns.push(pattern),
                Err(problem) => {
                    cx.error("config.cors_origin", self.origins.span, format!("`{origin}`: {problem}"))
                        .help("write it as browsers send it: scheme, host in lower case, and the port if it is not the scheme's own, such as `https://app.example.com` or `https://*.example.com`");
                }
            }
        }
        (patterns.len() == origins.len()).then_some(Some(patterns))
    }

    /// The methods; the inner `None` is every one that the route allows.
    fn compiled_methods(&self, cx: &mut Context) -> Option<Option<Methods>> {
        let mut methods = Vec::with_capacity(self.methods.len());
        for method in &self.methods {
            let name = &method.value;
            // Browsers compare methods letter by letter, and forbid these three (Fetch Standard, section 2.2.1).
            let usable = Method::from_bytes(name.as_bytes()).ok().filter(|known| {
                !name.bytes().any(|byte| byte.is_ascii_lowercase())
                    && !matches!(known.as_str(), "CONNECT" | "TRACE" | "TRACK")
            });
            match usable {
                Some(usable) => methods.push(usable),
                None => {
                    cx.error("config.cors_method", method.span, format!("no page can send a request with the method `{name}`"))
                        .help("write methods in upper case, such as `PUT`, or leave the key out for all that the route allows");
                    return None;
                }
            }
        }
        if methods.is_empty() {
            return Some(None);
        }
        let list: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let list = HeaderValue::try_from(list.join(", ")).ok()?;
        Some(Some(Methods { methods, list }))
    }

    /// The value of `Access-Control-Max-Age`.
    fn compiled_age(&self, cx: &mut Context) -> Option<Option<HeaderValue>> {
        let Some(age) = &self.max_age else { return Some(None) };
        if age.value > MAX_AGE {
            cx.error(
                "config.cors_max_age",
                age.span,
                "no browser remembers the answer to a preflight for so long",
            )
            .help("write a time up to `24h`");
            return None;
        }
        Some(Some(HeaderValue::from(age.value.as_secs())))
    }
}

/// A list of header names as a field value. `None` for an empty one; the outer `None` means that an error was pushed.
fn names(list: &[Spanned<String>], cx: &mut Context) -> Option<Option<String>> {
    for name in list {
        let alone = name.value == "*" && list.len() == 1;
        if !alone && (name.value == "*" || HeaderName::from_bytes(name.value.as_bytes()).is_err()) {
            cx.error(
                "config.cors_header",
                name.span,
                format!("`{}` is not the name of a header", name.value),
            )
            .help("write a name such as `x-total-count`, or `\"*\"` alone for every header");
            return None;
        }
    }
    let names: Vec<String> = list.iter().map(|name| name.value.to_ascii_lowercase()).collect();
    Some((!names.is_empty()).then(|| names.join(", ")))
}

/// The methods that pages may use.
#[derive(Debug)]
struct Methods {
    methods: Vec<Method>,
    list: HeaderValue,
}

/// The check.
#[derive(Debug)]
pub struct Cors {
    /// `None` is every origin.
    origins: Option<Vec<OriginPattern>>,
    /// `None` is what the route allows.
    methods: Option<Methods>,
    /// `None` is every header.
    headers: Option<HeaderValue>,
    exposed: HeaderValue,
    credentials: bool,
    max_age: Option<HeaderValue>,
    private_network: bool,
}

impl Check for Cors {
    fn id(&self) -> CheckId {
        CheckId::new("screen.cors")
    }

    fn describe(&self) -> String {
        let mut text = match &self.origins {
            None => "pages of every origin may read answers".to_owned(),
            Some(origins) => {
                let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
                format!("pages of {} may read answers", origins.join(", "))
            }
        };
        // Writing to a string does not fail.
        if let Some(Methods { list, .. }) = &self.methods {
            let _ = write!(text, ", use {}", list.to_str().unwrap_or_default());
        }
        if let Some(headers) = &self.headers {
            let _ = write!(text, ", send {}", headers.to_str().unwrap_or_default());
        }
        if self.credentials {
            text.push_str(", send cookies");
        }
        if self.private_network {
            text.push_str(", reach a private network");
        }
        text
    }
}

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const REQUEST_PRIVATE_NETWORK: &str = "access-control-request-private-network";
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

impl Cors {
    /// What to name as the origin that may read; `None` names nobody.
    fn allowed(&self, head: &Head) -> Option<HeaderValue> {
        let Some(origins) = &self.origins else { return Some(ANY) };
        match head.once(header::ORIGIN.as_str()) {
            Once::One(origin) if origins.iter().any(|known| known.covers(&origin)) => {
                head.headers().get(header::ORIGIN).cloned()
            }
            Once::One(_) | Once::Absent | Once::Repeated | Once::Unreadable => None,
        }
    }

    /// The methods that a page may use, where a route allows the one that it asks for.
    fn methods(&self, wanted: &Method) -> Option<HeaderValue> {
        match &self.methods {
            Some(Methods { methods, list }) => methods.contains(wanted).then(|| list.clone()),
            None => HeaderValue::from_str(wanted.as_str()).ok(),
        }
    }
}

impl CrossOrigin for Cors {
    fn fields(&self, head: &Head) -> AnswerFields {
        // A cache must not give one origin the answer for another (Fetch Standard, section 3.2.5).
        let mut fields = vec![(header::VARY, HeaderValue::from_static("Origin"))];
        if head.headers().contains_key(header::ORIGIN)
            && let Some(origin) = self.allowed(head)
        {
            fields.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin));
            if self.credentials {
                fields.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE));
            }
            if head.preflight().is_none() {
                fields.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.clone()));
            }
        }
        fields
    }

    fn preflight(&self, head: &Head, wanted: Option<&Method>) -> AnswerFields {
        let mut fields: Vec<(HeaderName, HeaderValue)> = vec![(
            header::VARY,
            HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
        )];
        if self.allowed(head).is_none() {
            return fields;
        }
        let methods = wanted.and_then(|wanted| self.methods(wanted));
        fields.extend(methods.map(|methods| (header::ACCESS_CONTROL_ALLOW_METHODS, methods)));
        if let Once::One(asked) = head.once(header::ACCESS_CONTROL_REQUEST_HEADERS.as_str()) {
            let names = match &self.headers {
                Some(names) => Some(names.clone()),
                None => is_list_of_names(&asked).then(|| HeaderValue::from_str(&asked).ok()).flatten(),
            };
            fields.extend(names.map(|names| (header::ACCESS_CONTROL_ALLOW_HEADERS, names)));
        }
        fields.extend(self.max_age.clone().map(|age| (header::ACCESS_CONTROL_MAX_AGE, age)));
        if self.private_network
            && matches!(head.once(REQUEST_PRIVATE_NETWORK), Once::One(asked) if asked == "true")
        {
            fields.push((ALLOW_PRIVATE_NETWORK, TRUE));
        }
        fields
    }
}

/// Whether `text` is a list of field names, of a length that a browser sends.
fn is_list_of_names(text: &str) -> bool {
    let token = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok();
    text.len() <= MAX_REQUESTED_BYTES && text.split(',').all(|name| token(name.trim_matches([' ', '\t'])))
}
