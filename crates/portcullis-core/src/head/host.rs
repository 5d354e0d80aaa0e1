//! The host that a request is for.

/// The canonical form of an authority: lower case, without a port and without the root's trailing dot.
///
/// # Errors
/// Anything that is not a registered name of letters, digits, `-`, `_` and `.`, an IPv4 address, or an IPv6 address in
/// brackets, optionally with a port (RFC 9110, section 4.2; user information is refused, RFC 9110, section 4.2.4).
pub fn canonical(authority: &str) -> Result<String, &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or("the host has an open bracket")?;
            let address: std::net::Ipv6Addr = address.parse().map_err(|_| "the host is no IPv6 address")?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or("the host has characters after its bracket")?),
            };
            (format!("[{address}]"), port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let host = host.strip_suffix('.').unwrap_or(host);
            let label_ok = |label: &str| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            };
            if host.len() > 253 || !host.split('.').all(label_ok) {
                return Err("the host is not a name");
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    match port {
        // An empty port means the scheme's own (RFC 3986, section 3.2.3).
        None | Some("") => Ok(host),
        Some(port)
            if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok() =>
        {
            Ok(host)
        }
        Some(_) => Err("the host has a bad port"),
    }
}

/// The port that an authority names; `None` where it names none.
pub fn port(authority: &str) -> Option<u16> {
    authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_spelling() {
        for (raw, canonical_form) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com:", "example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("my_service", "my_service"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(canonical_form), "{raw}");
        }
    }

    #[test]
    fn a_name_and_its_labels_have_a_longest() {
        let label = "a".repeat(63);
        // Three labels of 63 with their dots, and what is left of 253.
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert_eq!(canonical(&longest).as_deref(), Ok(&*longest));
        assert!(canonical(&format!("{longest}a")).is_err());
        assert!(canonical(&format!("{label}a.example")).is_err());
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for raw in [
            "",
            ".",
            "a..b",
            "a b",
            "user@example.com",
            "example.com:80:80",
            "example.com:x",
            "example.com:99999",
            "[::1",
            "[::1]x",
            "[x]",
            "::1",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "exämple.com",
            "a\\b",
            "%61.com",
            "example.com:+80",
        ] {
            assert!(canonical(raw).is_err(), "{raw}");
        }
    }
}
