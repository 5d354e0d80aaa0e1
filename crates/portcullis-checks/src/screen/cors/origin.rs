//! The origins that a configuration lists, and whether a page is of one of them.
//!
//! An origin is compared as browsers send it, from its first byte to its last (RFC 6454, section 6.2). A pattern stands
//! for whole labels at the beginning of a host, or for a port, and for nothing else. `null`, which a page in a sandbox
//! has, is never of any. Needs nothing that could fail.

use http::Uri;
use std::fmt;

/// Schemes whose pages have the origin `null`, whatever their URL is.
const OPAQUE: [&str; 6] = ["file", "data", "blob", "about", "javascript", "filesystem"];

/// Origins that can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OriginPattern {
    /// This one.
    Exact(String),
    /// All whose hosts end so, after one or more labels, or whose port is any.
    Matching {
        /// With `://`.
        scheme: String,
        /// Whether labels stand before the host.
        below: bool,
        /// The host, or its end with the dot before it.
        host: String,
        port: Port,
    },
}

/// The ports of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// This one; `None` is the scheme's own, which browsers leave out.
    Exact(Option<u16>),
    /// Every one.
    Any,
}

impl OriginPattern {
    /// Reads an origin of a configuration.
    ///
    /// # Errors
    /// What no browser sends, and what is wrong with it.
    pub(super) fn read(text: &str) -> Result<OriginPattern, &'static str> {
        if text == "null" {
            return Err("every sandboxed page has the origin `null`, whoever wrote it");
        }
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        if OPAQUE.contains(&scheme) {
            return Err("browsers send `null` for pages of this scheme");
        }
        let (below, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (rest, any_port) = match rest.strip_suffix(":*") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let plain = format!("{scheme}://{rest}");
        if !is_origin(&plain) {
            return Err(FORM);
        }
        if !below && !any_port {
            return Ok(OriginPattern::Exact(plain));
        }
        let (host, port) = split_port(rest).ok_or(FORM)?;
        if below && !matches!(scheme, "http" | "https") {
            return Err("a pattern is for hosts of `https` and `http`");
        }
        // SECURITY: `https://*.com` is everybody's (a_pattern_names_whole_labels_of_somebodys_host).
        if below && !host.contains('.') && host != "localhost" {
            return Err("a pattern needs two labels after its `*.`, or it names everybody");
        }
        if below && (host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()) {
            return Err("nothing is below an address");
        }
        let port = if any_port { Port::Any } else { Port::Exact(port) };
        let host = if below { format!(".{host}") } else { host.to_owned() };
        Ok(OriginPattern::Matching { scheme: format!("{scheme}://"), below, host, port })
    }

    /// Whether a page with this `Origin` is meant.
    // SECURITY: from the first byte to the last; a prefix or an end in common is another site
    // (another_origin_is_named_to_nobody, a_pattern_names_whole_labels_of_somebodys_host).
    pub(super) fn covers(&self, origin: &str) -> bool {
        match self {
            OriginPattern::Exact(known) => known == origin,
            OriginPattern::Matching { scheme, below, host, port } => {
                let Some((named, at)) = origin.strip_prefix(scheme.as_str()).and_then(split_port) else {
                    return false;
                };
                let fits = if *below {
                    named.strip_suffix(host.as_str()).is_some_and(are_labels)
                } else {
                    named == host
                };
                fits && match port {
                    Port::Any => true,
                    Port::Exact(port) => *port == at,
                }
            }
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OriginPattern::Exact(origin) => f.write_str(origin),
            OriginPattern::Matching { scheme, below, host, port } => {
                write!(f, "{scheme}{}{host}", if *below { "*" } else { "" })?;
                match port {
                    Port::Exact(None) => Ok(()),
                    Port::Exact(Some(port)) => write!(f, ":{port}"),
                    Port::Any => f.write_str(":*"),
                }
            }
        }
    }
}

const FORM: &str = "this is not an origin as browsers send it";

/// Host and port. `None` where the port is not written as browsers write it.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let colon = text.rfind(':').filter(|colon| text.rfind(']').is_none_or(|bracket| bracket < *colon));
    let Some((host, port)) = colon.and_then(|colon| text.split_at_checked(colon)) else {
        return Some((text, None));
    };
    let port = port.strip_prefix(':')?;
    let number: u16 = port.parse().ok()?;
    // No `+80`, no `080`.
    (number.to_string() == port).then_some((host, Some(number)))
}

/// Whether `text` is one label or several, as browsers write them.
fn are_labels(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(letter))
}

/// Whether a browser can send this as `Origin`.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    if scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return false;
    }
    let own = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    let host = portcullis_core::head::host::canonical(authority.as_str());
    let port = authority.port_u16();
    let expected = match (host, port) {
        (Ok(host), None) => format!("{scheme}://{host}"),
        (Ok(host), Some(port)) => format!("{scheme}://{host}:{port}"),
        (Err(_), _) => return false,
    };
    text == expected && (port.is_none() || port != own)
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
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        ] {
            assert_eq!(OriginPattern::read(good), Ok(OriginPattern::Exact(good.to_owned())), "{good}");
        }
        for bad in [
            "null",
            "app.example.com",
            "https://App.example.com",
            "https://app.example.com/",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://user@app.example.com",
            "https://a*.example.com",
            "https://app.*.com",
            "https://app.example.com:80*",
            "HTTPS://app.example.com",
            "file://localhost",
            "data://a.example",
            "capacitor://*.example.com",
            "https://*.com",
            "https://*",
            "https://*.",
            "https://*.*.example.com",
            "https://*.127.0.0.1",
            "https://*.[::1]",
            "https://",
            "https://.example.com",
            "",
        ] {
            assert!(OriginPattern::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_names_whole_labels_of_somebodys_host() {
        let covers = |pattern: &str, origin: &str| OriginPattern::read(pattern).unwrap().covers(origin);
        for (pattern, origin) in [
            ("https://*.example.com", "https://app.example.com"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("https://*.example.com:8443", "https://app.example.com:8443"),
            ("http://localhost:*", "http://localhost:5173"),
            ("http://localhost:*", "http://localhost"),
            ("http://*.localhost:*", "http://app.localhost:3000"),
            ("http://[::1]:*", "http://[::1]:3000"),
        ] {
            assert!(covers(pattern, origin), "{pattern} {origin}");
        }
        for (pattern, origin) in [
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "https://.example.com"),
            ("https://*.example.com", "https://a..example.com"),
            ("https://*.example.com", "http://app.example.com"),
            ("https://*.example.com", "https://app.example.com:8443"),
            ("https://*.example.com", "https://app.example.com.evil.example"),
            ("https://*.example.com", "https://evil.example/.example.com"),
            ("https://*.example.com", "https://evil.example?.example.com"),
            ("https://*.example.com", "https://user@app.example.com"),
            ("https://*.example.com", "https://evil.example:1.example.com"),
            ("https://*.example.com", "https://APP.example.com"),
            ("https://*.example.com", "null"),
            ("https://*.example.com", ""),
            ("http://localhost:*", "http://localhost:080"),
            ("http://localhost:*", "http://localhost:"),
            ("http://localhost:*", "http://localhost:1@evil.example"),
            ("http://localhost:*", "http://localhost.evil.example:1"),
            ("http://localhost:*", "http://localhost:99999"),
        ] {
            assert!(!covers(pattern, origin), "{pattern} {origin}");
        }
    }
}
