//! Where a request's token stands (RFC 6750, section 2.1; RFC 9449, section 7.1).
//!
//! It stands in the field `Authorization`, unless the configuration names another header, a cookie or a query parameter. A
//! token in a cookie lets only pages of the same origin change something, since a browser sends the cookie along with what
//! any page asks for.

use crate::authn::openid_connect::browser;
use http::header;
use portcullis_core::{Code, CredentialLocation, Denial, Facts, Once};
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

/// The token of a request. `Ok(None)` where it carries none.
pub(super) fn token<'a>(
    facts: &Facts<'a>,
    place: &CredentialLocation,
    max_bytes: usize,
) -> Result<Option<(Scheme, Cow<'a, str>)>, Denial> {
    let found = match place {
        CredentialLocation::Header(name) if *name == header::AUTHORIZATION => {
            return authorization(facts, max_bytes);
        }
        CredentialLocation::Header(name) => facts.head.once(name.as_str()),
        CredentialLocation::Query(name) => facts.head.query_once(name),
        CredentialLocation::Cookie(name) => facts.head.cookie_once(name),
    };
    let token = match found {
        Once::Absent => return Ok(None),
        // SECURITY: which of two tokens counts is a matter of taste, so neither does (a_token_stands_where_the_file_says).
        Once::Repeated => {
            return Err(Denial::new(Code::CredentialRepeated, "the token is there more than once"));
        }
        Once::Unreadable => return Err(malformed("the token is not text")),
        Once::One(token) => token,
    };
    let token = match (place, token) {
        // Some programs write the scheme before it in any header.
        (CredentialLocation::Header(_), Cow::Borrowed(text)) => Cow::Borrowed(without_scheme(text)),
        (_, token) => token,
    };
    sized(&token, max_bytes)?;
    if let CredentialLocation::Cookie(_) = place {
        of_this_site(facts)?;
    }
    Ok(Some((Scheme::Bearer, token)))
}

fn without_scheme(text: &str) -> &str {
    match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_matches(' '),
        Some(_) | None => text,
    }
}

/// That a request with a cookie changes something only for a page of the same origin.
// SECURITY: a browser sends the cookie with what any page asks for (another_site_changes_nothing_by_a_token_in_a_cookie).
fn of_this_site(facts: &Facts<'_>) -> Result<(), Denial> {
    let head = facts.head;
    if !browser::needs_origin(head.method(), head.upgrade().is_some()) {
        return Ok(());
    }
    let authority = head.authority();
    let authority = authority.to_str().map_err(|_| malformed("the host is not text"))?;
    // Where TLS ends in front of the gateway, browsers say `https` all the same.
    let schemes: &[&str] = if head.origin().0 == "https" { &["https"] } else { &["https", "http"] };
    let mut origins = schemes.iter().map(|scheme| format!("{scheme}://{authority}"));
    match origins.any(|origin| browser::is_same_origin(head.headers(), &origin)) {
        true => Ok(()),
        false => Err(Denial::new(
            Code::CrossSite,
            "no page of this origin sent the request with the token's cookie",
        )),
    }
}

/// The token in the field `Authorization` (RFC 6750, section 2.1).
fn authorization<'a>(facts: &Facts<'a>, max_bytes: usize) -> Result<Option<(Scheme, Cow<'a, str>)>, Denial> {
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
    sized(token, max_bytes)?;
    Ok(Some((scheme, Cow::Borrowed(token))))
}

fn sized(token: &str, max_bytes: usize) -> Result<(), Denial> {
    match token.len() {
        0 => Err(Denial::new(Code::TokenMalformed, "the token is empty")),
        length if length > max_bytes => Err(Denial::new(Code::TokenMalformed, "the token is too long")),
        _ => Ok(()),
    }
}

/// Whether it is made of the characters of a token (RFC 6750, section 2.1), which one that was verified before is.
pub(super) fn is_token(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}
