//! The four forms of a request target, and which method may use which (RFC 9112, section 3.2).

use crate::host;
use crate::refusal::Refusal;

/// The form of a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query` (RFC 9112, section 3.2.1).
    Origin,
    /// `http://host/path?query` (RFC 9112, section 3.2.2).
    Absolute,
    /// `host:port`, for `CONNECT` alone (RFC 9112, section 3.2.3).
    Authority,
    /// `*`, for `OPTIONS` alone (RFC 9112, section 3.2.4).
    Asterisk,
}

/// A target taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) form: TargetForm,
    /// The authority that it names, and the port that its scheme has by default.
    pub(crate) authority: Option<(&'a [u8], &'a [u8])>,
}

/// Takes a target apart.
pub(crate) fn judge<'a>(method: &str, target: &'a [u8]) -> Result<Target<'a>, Refusal> {
    // RFC 3986 allows fewer; clients send the others raw, and each has one reading. `RequestHead::into_parts` escapes what the
    // `http` crate does not take.
    if let Some(bad) = target.iter().find(|byte| !matches!(byte, 0x21..=0x7e | 0x80..) || **byte == b'#') {
        return Err(if *bad == b'#' { Refusal::Fragment } else { Refusal::TargetCharacter });
    }
    if method == "CONNECT" {
        return match host::split(target) {
            Some((host, Some(port))) if !port.is_empty() && host::is_host(host) && host::is_port(port) => {
                // Some clients leave the port out of `Host` here.
                Ok(Target { form: TargetForm::Authority, authority: Some((target, port)) })
            }
            Some(_) | None => Err(Refusal::AuthorityForm),
        };
    }
    match target {
        [b'/', ..] => Ok(Target { form: TargetForm::Origin, authority: None }),
        b"*" if method == "OPTIONS" => Ok(Target { form: TargetForm::Asterisk, authority: None }),
        b"*" => Err(Refusal::AsteriskForm),
        _ => absolute(target),
    }
}

fn absolute(target: &[u8]) -> Result<Target<'_>, Refusal> {
    let Some(colon) = target.windows(3).position(|window| window == b"://") else {
        // `example.com:443`, as CONNECT has it.
        let authority = host::split(target)
            .is_some_and(|(host, port)| host::is_host(host) && port.is_some_and(host::is_port));
        return Err(if authority { Refusal::AuthorityForm } else { Refusal::TargetForm });
    };
    let (scheme, rest) = target.split_at_checked(colon).unwrap_or_default();
    let port: &[u8] = match () {
        () if scheme.eq_ignore_ascii_case(b"http") => b"80",
        () if scheme.eq_ignore_ascii_case(b"https") => b"443",
        () => {
            let well_formed = scheme.first().is_some_and(u8::is_ascii_alphabetic)
                && scheme
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
            return Err(if well_formed { Refusal::Scheme } else { Refusal::TargetForm });
        }
    };
    let rest = rest.get(3..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    // User information is deprecated and used to mislead (RFC 9110, section 4.2.4).
    if !host::is_authority(authority) {
        return Err(Refusal::TargetForm);
    }
    Ok(Target { form: TargetForm::Absolute, authority: Some((authority, port)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_forms() {
        let form = |method, target: &str| judge(method, target.as_bytes()).map(|target| target.form);
        for (method, target, expected) in [
            ("GET", "/", Ok(TargetForm::Origin)),
            ("GET", "/a?b={\"c\":[1]}|^`\\", Ok(TargetForm::Origin)),
            ("GET", "//a", Ok(TargetForm::Origin)),
            ("GET", "http://a", Ok(TargetForm::Absolute)),
            ("GET", "HTTPS://a:8443/b?c", Ok(TargetForm::Absolute)),
            ("GET", "http://[::1]:80/", Ok(TargetForm::Absolute)),
            ("GET", "http://a?b", Ok(TargetForm::Absolute)),
            ("OPTIONS", "*", Ok(TargetForm::Asterisk)),
            ("OPTIONS", "/", Ok(TargetForm::Origin)),
            ("CONNECT", "a:443", Ok(TargetForm::Authority)),
            ("CONNECT", "[::1]:443", Ok(TargetForm::Authority)),
            ("GET", "*", Err(Refusal::AsteriskForm)),
            ("options", "*", Err(Refusal::AsteriskForm)),
            ("OPTIONS", "*/", Err(Refusal::TargetForm)),
            ("GET", "a:443", Err(Refusal::AuthorityForm)),
            ("CONNECT", "a", Err(Refusal::AuthorityForm)),
            ("CONNECT", "a:", Err(Refusal::AuthorityForm)),
            ("CONNECT", "/", Err(Refusal::AuthorityForm)),
            ("CONNECT", "http://a:80", Err(Refusal::AuthorityForm)),
            ("CONNECT", "u@a:443", Err(Refusal::AuthorityForm)),
            ("GET", "a", Err(Refusal::TargetForm)),
            ("GET", "?a", Err(Refusal::TargetForm)),
            ("GET", "http:/a", Err(Refusal::TargetForm)),
            ("GET", "http://", Err(Refusal::TargetForm)),
            ("GET", "http:///a", Err(Refusal::TargetForm)),
            ("GET", "http://u@a/", Err(Refusal::TargetForm)),
            ("GET", "http://u:p@a/", Err(Refusal::TargetForm)),
            ("GET", "http://a:x/", Err(Refusal::TargetForm)),
            ("GET", "http://a:99999/", Err(Refusal::TargetForm)),
            ("GET", "http://a\\b/", Err(Refusal::TargetForm)),
            ("GET", "://a", Err(Refusal::TargetForm)),
            ("GET", "a/b://c", Err(Refusal::TargetForm)),
            ("GET", "ftp://a/", Err(Refusal::Scheme)),
            ("GET", "file:///etc/passwd", Err(Refusal::Scheme)),
            ("GET", "/a#b", Err(Refusal::Fragment)),
            ("GET", "http://a/#b", Err(Refusal::Fragment)),
            ("GET", "/ä", Ok(TargetForm::Origin)),
            ("GET", "http://ä/", Err(Refusal::TargetForm)),
            ("GET", "/a\u{7f}", Err(Refusal::TargetCharacter)),
            ("GET", "/a\tb", Err(Refusal::TargetCharacter)),
        ] {
            assert_eq!(form(method, target), expected, "{method} {target}");
        }
    }
}
