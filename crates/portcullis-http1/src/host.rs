//! Hosts and authorities (RFC 3986, section 3.2; RFC 9112, section 3.2).

/// An authority's host and what follows its colon. `None` where a bracket is not closed or something follows it.
pub(crate) fn split(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = match authority {
        [b'[', ..] => authority.iter().position(|byte| *byte == b']')? + 1,
        _ => authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(end)?;
    match rest {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(port))),
        _ => None,
    }
}

/// Whether this is a host and an optional port, and no more.
pub(crate) fn is_authority(authority: &[u8]) -> bool {
    split(authority).is_some_and(|(host, port)| is_host(host) && port.is_none_or(is_port))
}

/// Whether this is a port, or the empty one, which is the scheme's own (RFC 3986, section 3.2.3).
pub(crate) fn is_port(port: &[u8]) -> bool {
    let number = port.iter().try_fold(0_u32, |number, digit| {
        digit.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
    });
    number.is_some_and(|number| number <= 0xffff) && port.len() <= 5
}

/// Whether this is a registered name, an IPv4 address or an IPv6 address in brackets. A scheme of the web needs one that
/// is not empty (RFC 9110, section 4.2.1).
pub(crate) fn is_host(host: &[u8]) -> bool {
    match host {
        [] => false,
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        // Escapes are in the grammar, and every server decodes them differently.
        _ => host.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'-' | b'.'
                        | b'_'
                        | b'~'
                        | b'!'
                        | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'*'
                        | b'+'
                        | b';'
                        | b'='
                )
        }),
    }
}

/// Whether two authorities are the same, where a missing port is `port`.
pub(crate) fn same(left: &[u8], right: &[u8], port: &[u8]) -> bool {
    fn parts<'a>(authority: &'a [u8], port: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (host, own) = split(authority)?;
        Some((host, own.filter(|own| !own.is_empty()).unwrap_or(port)))
    }
    match (parts(left, port), parts(right, port)) {
        (Some((left, left_port)), Some((right, right_port))) => {
            left.eq_ignore_ascii_case(right) && left_port == right_port
        }
        (Some(_) | None, Some(_) | None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_a_port() {
        for good in ["a", "example.com:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:443", "my_service", "a."]
        {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a:b", "a:99999", "a:000080", "a:+80", "u@a", "a/b", "a?b", "a#b", "a\\b",
            "a,b", "[::1", "[::1]x", "[x]", "::1", "a:80:80", "%61", "ä", "a\tb",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_default_port_is_no_difference() {
        for (left, right) in [("A", "a"), ("a:80", "a"), ("a:", "a:80"), ("[::1]:80", "[::1]")] {
            assert!(same(left.as_bytes(), right.as_bytes(), b"80"), "{left} {right}");
        }
        for (left, right) in [("a", "b"), ("a:80", "a:81"), ("a:8080", "a"), ("a.", "a")] {
            assert!(!same(left.as_bytes(), right.as_bytes(), b"80"), "{left} {right}");
        }
    }
}
