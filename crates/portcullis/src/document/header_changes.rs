//! Headers that a configuration sets, adds and removes, in requests on their way to an upstream and in answers.
//!
//! What frames a message, names its host, says who a client is or where it comes from is the gateway's: a configuration that
//! would set it does not load.

use http::{HeaderName, HeaderValue};
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_core::head::FieldRules;
use portcullis_core::route::changes::{FieldChanges, Protection};
use std::collections::BTreeMap;

keyword! {
    /// Which protective headers answers get that do not bring them.
    pub enum ProtectionConfig {
        /// By content type. JSON gets `X-Content-Type-Options: nosniff`, `Content-Security-Policy: default-src 'none'`,
        /// `X-Frame-Options: DENY` and `Referrer-Policy: no-referrer`. Everything else gets `nosniff` alone.
        Auto = "auto",
        /// All four, whatever the content type.
        Api = "api",
        /// As `auto`. HTML also gets `X-Frame-Options: SAMEORIGIN`, `Referrer-Policy: strict-origin-when-cross-origin` and
        /// a `Content-Security-Policy` against framing, `<base>` and plugins.
        Html = "html",
        /// None.
        Off = "off",
    }
}

object! {
    /// Changes to the headers of a route's requests on their way to the upstream. Checks see the request as the client sent
    /// it.
    pub struct RequestHeaderChangesConfig {
        /// Headers to set. The value replaces whatever the client sent under this name or another spelling of it, such as
        /// `x_tenant`.
        pub set: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Headers to add beside those of the client.
        pub add: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Headers to remove: names, or prefixes such as `x-acme-*`.
        pub remove: Vec<Spanned<String>> = Vec::new(),
    }
}

object! {
    /// Changes to the headers of answers that come from an upstream, a redirect or `respond`. The gateway's own error
    /// answers stay as they are.
    pub struct ResponseHeadersConfig {
        /// Headers to set, in place of the upstream's.
        pub set: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Headers to add beside the upstream's.
        pub add: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Headers to remove: names, or prefixes such as `x-acme-*`.
        pub remove: Vec<Spanned<String>> = Vec::new(),
        /// Which protective headers answers get that do not bring them. Default: auto.
        pub security: Option<ProtectionConfig>,
    }
}

impl RequestHeaderChangesConfig {
    /// Adds what it says to `changes`. `None` means that an error was pushed.
    pub(crate) fn add_to(&self, changes: &mut FieldChanges, cx: &mut Context) -> Option<()> {
        add(&self.set, &self.add, &self.remove, of_requests, changes, cx)
    }
}

impl ResponseHeadersConfig {
    /// Adds what it says to `changes`. `None` means that an error was pushed.
    pub(crate) fn add_to(&self, changes: &mut FieldChanges, cx: &mut Context) -> Option<()> {
        add(&self.set, &self.add, &self.remove, of_answers, changes, cx)
    }

    /// Which protective headers answers get, if it says so.
    pub(crate) fn protection(&self) -> Option<Protection> {
        self.security.map(|security| match security {
            ProtectionConfig::Auto => Protection::Auto,
            ProtectionConfig::Api => Protection::Api,
            ProtectionConfig::Html => Protection::Html,
            ProtectionConfig::Off => Protection::Off,
        })
    }
}

/// Adds what top-level `request_headers` sets.
pub(crate) fn set_and_add(
    set: &BTreeMap<String, Spanned<String>>,
    added: &BTreeMap<String, Spanned<String>>,
    changes: &mut FieldChanges,
    cx: &mut Context,
) -> Option<()> {
    add(set, added, &[], of_requests, changes, cx)
}

fn add(
    set: &BTreeMap<String, Spanned<String>>,
    added: &BTreeMap<String, Spanned<String>>,
    removed: &[Spanned<String>],
    reserved: fn(&str) -> Option<&'static str>,
    changes: &mut FieldChanges,
    cx: &mut Context,
) -> Option<()> {
    let mut complete = true;
    for name in removed {
        let stem = name.value.strip_suffix('*').unwrap_or(&name.value);
        match field_name(stem, name, reserved, cx) {
            Some(_) => changes.remove(&name.value.to_ascii_lowercase()),
            None => complete = false,
        }
    }
    for (name, value) in set {
        match field(name, value, reserved, cx) {
            Some((name, value)) => changes.set(name, value),
            None => complete = false,
        }
    }
    for (name, value) in added {
        match field(name, value, reserved, cx) {
            Some((name, value)) => changes.add(name, value),
            None => complete = false,
        }
    }
    complete.then_some(())
}

fn field(
    name: &str,
    value: &Spanned<String>,
    reserved: fn(&str) -> Option<&'static str>,
    cx: &mut Context,
) -> Option<(HeaderName, HeaderValue)> {
    let name = field_name(name, value, reserved, cx)?;
    let text = value.value.as_str();
    let plain = text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    match HeaderValue::from_str(text) {
        Ok(text) if plain => Some((name, text)),
        Ok(_) | Err(_) => {
            cx.error("config.header_value", value.span, "this is not the value of a header")
                .help("write printable ASCII characters on one line, without spaces at the ends");
            None
        }
    }
}

fn field_name<T>(
    name: &str,
    at: &Spanned<T>,
    reserved: fn(&str) -> Option<&'static str>,
    cx: &mut Context,
) -> Option<HeaderName> {
    let name = name.to_ascii_lowercase();
    let Some(known) = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| !name.contains('*')) else {
        cx.error("config.field_name", at.span, format!("`{name}` is not a header name"))
            .help("write a name such as `x-debug`");
        return None;
    };
    // SECURITY: a header that frames a message, or tells who a client is, must have one author
    // (what_the_gateway_says_cannot_be_set).
    if let Some(help) = reserved(&name) {
        cx.error("config.reserved_field", at.span, format!("the gateway itself sets the header `{name}`"))
            .help(help);
        return None;
    }
    Some(known)
}

fn of_requests(name: &str) -> Option<&'static str> {
    let forwarding = matches!(name.replace('_', "-").as_str(), "forwarded" | "via" | "cdn-loop");
    (FieldRules::is_fixed(name) || forwarding).then_some(
        "leave it out: it says where a message ends, what it is, or where a request comes from. For the host, write `preserve_host: true`",
    )
}

fn of_answers(name: &str) -> Option<&'static str> {
    if name.starts_with("access-control-") {
        return Some("write `security: { cors: .. }`, which answers preflights too");
    }
    let own = matches!(name, "ratelimit" | "ratelimit-policy" | "date");
    (FieldRules::is_fixed(name) || own).then_some("leave it out: it says where a message ends or what it is")
}
