//! Where a request's token stands (RFC 6750, section 2.1; RFC 9449, section 7.1).
//!
//! There is one place for it, the field `Authorization`. A token in the query or in a form is none: URLs end up in logs.

use http::header;
use portcullis_core::{Code, Denial, Facts, Once};
use std::borrow::Cow;

/// How a token is told apart from what the client must do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// By the scheme `Bearer`.
    Bearer,
    /// By the scheme `DPoP`, with a proof.
    Dpop,
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Code::CredentialMalformed, detail)
}

/// The token of a request (RFC 6750, section 2.1). `Ok(None)` where it carries none.
pub(super) fn token<'a>(
    facts: &Facts<'a>,
    max_bytes: usize,
) -> Result<Option<(Scheme, Cow<'a, str>)>, Denial> {
    let field = match facts.head.once(header::AUTHORIZATION.as_str()) {
        Once::Absent => return Ok(None),
        // SECURITY: which of two tokens counts is a matter of taste, so neither does (tests/tokens/attacks.rs).
        Once::Repeated => {
            return Err(Denial::new(Code::CredentialRepeated, "there are several Authorization fields"));
        }
        Once::Unreadable => return Err(malformed("Authorization is not text")),
        Once::One(Cow::Borrowed(field)) => field,
        Once::One(Cow::Owned(_)) => return Err(malformed("Authorization is not text")),
    };
    let (scheme, rest) = field.split_once(' ').unwrap_or((field, ""));
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else if !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        // Another scheme is another method's credential.
        return Ok(None);
    } else {
        // SECURITY: `Bearer` and a tab is no other scheme, and must not let the next method be asked
        // (tests/tokens/attacks.rs).
        return Err(malformed("Authorization names no scheme"));
    };
    let token = rest.trim_matches(' ');
    if token.len() > max_bytes {
        return Err(Denial::new(Code::TokenMalformed, "the token is too long"));
    }
    if token.is_empty() {
        return Err(Denial::new(Code::TokenMalformed, "the token is empty"));
    }
    Ok(Some((scheme, Cow::Borrowed(token))))
}

/// Whether it is made of the characters of a token (RFC 6750, section 2.1), which one that was verified before is.
pub(super) fn is_token(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}
