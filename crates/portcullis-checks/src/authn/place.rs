//! Where a credential stands, as it is written: a header, a query parameter or a cookie.

use super::field_name;
use http::HeaderName;
use portcullis_config::{Context, Spanned};
use portcullis_core::CredentialLocation;

/// The three keys of a method that say where its credential stands; at most one is given.
pub struct Place<'a> {
    /// A header.
    pub header: Option<&'a Spanned<String>>,
    /// A query parameter.
    pub query: Option<&'a Spanned<String>>,
    /// A cookie.
    pub cookie: Option<&'a Spanned<String>>,
    /// What stands there: `key` or `token`.
    pub what: &'static str,
    /// The code of the warning about URLs.
    pub in_query: &'static str,
}

impl Place<'_> {
    /// Where the credential stands; in `usual` where nothing is said.
    pub fn location(&self, usual: HeaderName, cx: &mut Context) -> Option<CredentialLocation> {
        let what = self.what;
        let given: Vec<_> = [self.header, self.query, self.cookie].into_iter().flatten().collect();
        if let [first, second, ..] = given.as_slice() {
            cx.error("config.key_location", second.span, "give only one of `header`, `query` and `cookie`")
                .related(first.span, "the other place")
                .help("to accept several places, list several methods under `any`");
            return None;
        }
        match (self.header, self.query, self.cookie) {
            (Some(header), _, _) => field_name(header, cx).map(CredentialLocation::Header),
            (None, Some(name), _) => {
                cx.warning(
                    self.in_query,
                    name.span,
                    format!("a {what} in a URL ends up in logs, browser histories and `Referer` headers"),
                )
                .help("prefer `header`");
                parameter_name(name, cx).map(CredentialLocation::Query)
            }
            (None, None, Some(name)) => parameter_name(name, cx).map(CredentialLocation::Cookie),
            (None, None, None) => Some(CredentialLocation::Header(usual)),
        }
    }
}

pub(super) fn parameter_name(name: &Spanned<String>, cx: &mut Context) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.value.is_empty() || !name.value.bytes().all(token) {
        cx.error(
            "config.parameter_name",
            name.span,
            "the name must consist of letters, digits, `-`, `_` and `.`",
        )
        .help("write a name such as `api_key`");
        return None;
    }
    Some(name.value.clone())
}
