//! Which fields may come after a body (RFC 9110, section 6.5.1).

/// Whether a trailer field may have this name, in any case. Framing, routing, authentication, request modifiers, the
/// fields that say how the content is to be read, and those that concern the connection belong to a head: whoever reads
/// them before the body, and whoever merges them after it, see two messages.
pub fn is_allowed(name: &str) -> bool {
    const FORBIDDEN: [&str; 46] = [
        "accept-encoding",
        "age",
        "allow",
        "authentication-info",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "referer",
        "retry-after",
        "set-cookie",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "warning",
        "www-authenticate",
    ];
    let starts =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
        && !starts("x-forwarded")
        && !starts("access-control-")
        && !starts("sec-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_sense_after_a_body_is_allowed() {
        for name in
            ["grpc-status", "Content-Digest", "server-timing", "x-amz-checksum-crc32", "etag", "x", "sé"]
        {
            assert!(is_allowed(name), "{name}");
        }
        for name in [
            "Content-Length",
            "transfer-encoding",
            "HOST",
            "Authorization",
            "Set-Cookie",
            "X-Forwarded-For",
            "Sec-WebSocket-Key",
            "Access-Control-Allow-Origin",
        ] {
            assert!(!is_allowed(name), "{name}");
        }
    }
}
