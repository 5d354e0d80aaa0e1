//! One pass over the header fields: what may stay, what must go, and what nobody should have sent.
//!
//! After it only end-to-end fields are left. Framing, connection and forwarding fields are gone; what they said is in
//! [`Scan`]. Identity fields, which only the gateway may set, are gone whoever sent them.

use super::HeadPolicy;
use crate::denial::{Code, Denial};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// How a request says where its body ends (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Until the body says so itself.
    Chunked,
}

/// What the removed fields said.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) framing: Framing,
    /// The protocols that the client offers to switch to; `None` where it asks for nothing that must be answered.
    pub(super) upgrade: Option<HeaderValue>,
    /// The forwarding fields of a trusted peer, in order. Empty for anybody else.
    pub(super) forwarded: Vec<(HeaderName, HeaderValue)>,
}

/// The prefix of the fields in which the gateway tells an upstream who the client is.
pub const IDENTITY_PREFIX: &str = "x-consumer-";

/// In these, other gateways tell an upstream who the client is, and a framework tells itself that it has judged a request
/// already. An upstream that was set up for one of them believes whoever sends them.
const OTHER_IDENTITIES: [&str; 10] = [
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-authenticated-",
    "x-client-cert",
    "x-goog-authenticated-user-",
    "x-middleware-",
    "x-ms-client-principal",
    "x-remote-",
    "x-ssl-client-",
    "x-webauth-",
];

/// What a field is to a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    EndToEnd,
    /// Concerns this connection alone (RFC 9110, section 7.6.1).
    Connection,
    /// Where the body ends.
    Framing,
    /// Says where the request came from: believed from a trusted peer only.
    Forwarding,
    /// Says who the client is: set by the gateway only.
    Identity,
}

fn kind(name: &str) -> Kind {
    // By first letter, since most fields are ordinary ones and this runs for each of them.
    match name.as_bytes().first() {
        Some(b'c') => match name {
            "connection" => Kind::Connection,
            "content-length" => Kind::Framing,
            "client-ip" | "cf-connecting-ip" | "cf-connecting-ipv6" => Kind::Forwarding,
            // What a proxy says of a client certificate (RFC 9440), which only the proxy has seen.
            "client-cert" | "client-cert-chain" => Kind::Identity,
            _ => Kind::EndToEnd,
        },
        Some(b'e') if name == "expect" => Kind::Connection,
        Some(b'f')
            if matches!(
                name,
                "forwarded" | "forwarded-for" | "forwarded-host" | "forwarded-proto" | "fastly-client-ip"
            ) =>
        {
            Kind::Forwarding
        }
        Some(b'h') => match name {
            "http2-settings" => Kind::Connection,
            "http-client-ip" | "http-x-forwarded-for" => Kind::Forwarding,
            _ => Kind::EndToEnd,
        },
        Some(b'k') if name == "keep-alive" => Kind::Connection,
        Some(b'p') => match name {
            "proxy-connection" | "proxy-authenticate" | "proxy-authorization" => Kind::Connection,
            // It becomes the variable HTTP_PROXY in a CGI backend, which then sends its own requests there.
            "proxy" => Kind::Connection,
            "proxy-client-ip" => Kind::Forwarding,
            _ => Kind::EndToEnd,
        },
        Some(b'r') if name == "remote-user" => Kind::Identity,
        Some(b's') if name.starts_with("ssl-client-") => Kind::Identity,
        Some(b't') => match name {
            "te" | "trailer" => Kind::Connection,
            "transfer-encoding" => Kind::Framing,
            "true-client-ip" => Kind::Forwarding,
            _ => Kind::EndToEnd,
        },
        Some(b'u') if name == "upgrade" => Kind::Connection,
        Some(b'w') if name == "wl-proxy-client-ip" => Kind::Forwarding,
        Some(b'x') => match name {
            _ if name.starts_with(IDENTITY_PREFIX) => Kind::Identity,
            _ if OTHER_IDENTITIES.iter().any(|prefix| name.starts_with(prefix)) => Kind::Identity,
            "x-request-id" => Kind::Identity,
            _ if name.starts_with("x-forwarded") => Kind::Forwarding,
            "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-remote-addr"
            | "x-remote-ip"
            | "x-originating-ip"
            | "x-original-forwarded-for"
            | "x-original-host"
            | "x-azure-clientip"
            | "x-azure-socketip"
            | "x-envoy-external-address"
            | "x-appengine-user-ip"
            | "x-proxyuser-ip"
            | "x-coming-from"
            | "x-host" => Kind::Forwarding,
            // Frameworks route by these instead of the path that was judged.
            "x-original-url"
            | "x-rewrite-url"
            | "x-original-uri"
            | "x-envoy-original-path"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
            | "x-http-host-override"
            | "x-override-url" => Kind::Identity,
            _ => Kind::EndToEnd,
        },
        _ => Kind::EndToEnd,
    }
}

/// Whether a check can find a field with this lower-case name in an admitted head: `Host` and what [`Head::admit`] removes
/// it cannot.
///
/// [`Head::admit`]: super::Head::admit
pub fn is_end_to_end(name: &str) -> bool {
    name != "host" && kind(name) == Kind::EndToEnd
}

/// Runs over `headers`, and leaves the end-to-end fields in it.
///
/// # Errors
/// More or larger fields than the policy allows; ambiguous framing; an alias of a field that matters; a connection
/// field that would take an end-to-end field away.
pub(super) fn scan(
    headers: &mut HeaderMap,
    host: &HeaderValue,
    policy: &HeadPolicy,
    peer_is_trusted: bool,
) -> Result<Scan, Denial> {
    // The host has been taken out already.
    let count = headers.len() + 1;
    if count > policy.max_fields {
        return Err(Denial::new(Code::HeadTooLarge, format!("{count} header fields")));
    }
    let mut total = "host".len() + host.len();
    let mut leaving: Vec<HeaderName> = Vec::new();
    let mut scan = Scan { framing: Framing::None, upgrade: None, forwarded: Vec::new() };
    let (mut connection, mut framing) = (false, false);
    for (name, value) in headers.iter() {
        let text = name.as_str();
        let size = text.len() + value.len();
        total += size;
        if size > policy.max_field_bytes {
            return Err(Denial::new(Code::HeadTooLarge, format!("a header field of {size} bytes")));
        }
        // SECURITY: gateway interfaces such as CGI turn every character but letters and digits into `_`, so `x_api_key`,
        // `x.api.key` and `x~api~key` are all X-Api-Key to what is behind them (aliases_are_refused_or_removed).
        if text.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-') {
            match alias_kind(text, policy) {
                Alias::Harmless => {}
                Alias::Removed => leaving.push(name.clone()),
                Alias::Refused => {
                    return Err(Denial::new(
                        Code::AmbiguousHeader,
                        format!("the field {text} is an alias of one that matters"),
                    ));
                }
            }
            continue;
        }
        match kind(text) {
            Kind::EndToEnd => continue,
            Kind::Connection => connection = true,
            Kind::Framing => framing = true,
            Kind::Forwarding if peer_is_trusted => scan.forwarded.push((name.clone(), value.clone())),
            Kind::Forwarding | Kind::Identity => {}
        }
        leaving.push(name.clone());
    }
    if total > policy.max_head_bytes {
        return Err(Denial::new(Code::HeadTooLarge, format!("{total} bytes of header fields")));
    }
    if framing {
        scan.framing = framing_of(headers)?;
    }
    if connection {
        scan.upgrade = judge_connection(headers)?;
    }
    for name in leaving {
        headers.remove(name);
    }
    Ok(scan)
}

enum Alias {
    Harmless,
    Removed,
    Refused,
}

/// What a name with other characters than letters, digits and `-` would be to a backend that folds them.
fn alias_kind(name: &str, policy: &HeadPolicy) -> Alias {
    let folded: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if policy.protected.contains(&folded) {
        return Alias::Refused;
    }
    match kind(&folded) {
        Kind::EndToEnd => match folded.as_str() {
            "host" | "authorization" | "cookie" | "content-type" | "content-encoding" => Alias::Refused,
            _ => Alias::Harmless,
        },
        Kind::Connection | Kind::Framing => Alias::Refused,
        Kind::Forwarding | Kind::Identity => Alias::Removed,
    }
}

fn framing_of(headers: &HeaderMap) -> Result<Framing, Denial> {
    let ambiguous = |detail: &'static str| Denial::new(Code::AmbiguousFraming, detail);
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lengths.next(), encodings.next()) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err(ambiguous("both Content-Length and Transfer-Encoding")),
        (Some(length), None) => {
            if lengths.next().is_some() {
                return Err(ambiguous("several Content-Length fields"));
            }
            let digits = length.to_str().unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(ambiguous("Content-Length is no number"));
            }
            digits.parse().map(Framing::Length).map_err(|_| ambiguous("Content-Length is out of range"))
        }
        (None, Some(encoding)) => {
            if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(ambiguous("Transfer-Encoding is not chunked, once"));
            }
            Ok(Framing::Chunked)
        }
    }
}

/// Judges the fields that concern this connection; answers with the upgrade that the client wants, if any.
fn judge_connection(headers: &HeaderMap) -> Result<Option<HeaderValue>, Denial> {
    let ambiguous = |detail: &'static str| Denial::new(Code::AmbiguousHeader, detail);
    for value in headers.get_all(header::CONNECTION) {
        let value = value.to_str().map_err(|_| ambiguous("Connection is not text"))?;
        for token in value.split(',').map(|token| token.trim_matches([' ', '\t'])) {
            // SECURITY: whatever is named here a proxy takes away. Naming a credential, or a field that the gateway
            // sets, would make the backend see another request than the one that was judged (connection_takes_nothing_away).
            const OWN: [&str; 8] =
                ["", "close", "keep-alive", "upgrade", "te", "trailer", "http2-settings", "proxy-connection"];
            if !OWN.iter().any(|own| token.eq_ignore_ascii_case(own)) {
                return Err(ambiguous("Connection names an end-to-end field"));
            }
        }
    }
    let mut expectations = headers.get_all(header::EXPECT).iter();
    if let Some(expect) = expectations.next()
        && (expectations.next().is_some() || !expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(ambiguous("Expect is not 100-continue, once"));
    }
    let offers = headers.get_all(header::UPGRADE);
    // A server may ignore an offer (RFC 9110, section 7.8). `h2c` is one that some clients make with every request; it is
    // dropped here, so nothing behind the gateway can take it up. Any other is a wish that a route must allow.
    Ok(offers.iter().find(|offer| !offer.as_bytes().eq_ignore_ascii_case(b"h2c")).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(fields: &[(&'static str, &'static str)], trusted: bool) -> Result<(Vec<String>, Scan), Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        let policy = HeadPolicy { protected: vec!["x-api-key".into()], ..HeadPolicy::default() };
        let host = HeaderValue::from_static("a");
        let scan = scan(&mut headers, &host, &policy, trusted).map_err(|denial| denial.code())?;
        Ok((headers.keys().map(|name| name.as_str().to_owned()).collect(), scan))
    }

    #[test]
    fn only_end_to_end_fields_stay() {
        let (left, scan) = run(
            &[
                ("accept", "*/*"),
                ("connection", "keep-alive, te"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("proxy", "http://evil.example"),
                ("content-length", "5"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-consumer-name", "admin"),
                ("x-original-url", "/admin"),
                ("x-custom", "1"),
            ],
            false,
        )
        .unwrap();
        assert_eq!(left, ["accept", "x-custom"]);
        assert_eq!(scan.framing, Framing::Length(5));
        assert!(scan.forwarded.is_empty());
        assert!(scan.upgrade.is_none());
    }

    #[test]
    fn what_another_gateway_would_say_is_not_the_clients_to_say() {
        for name in [
            "client-cert",
            "remote-user",
            "remote_user",
            "ssl-client-verify",
            "x-auth-request-email",
            "x-authenticated-userid",
            "x-client-cert",
            "x-http-host-override",
            "x-middleware-subrequest",
            "x-ms-client-principal-id",
            "x-remote-group",
            "x_remote_user",
            "x-ssl-client-s-dn",
            "x-webauth-user",
        ] {
            for trusted in [false, true] {
                assert!(run(&[(name, "1")], trusted).unwrap().0.is_empty(), "{name}");
            }
        }
        assert_eq!(run(&[("x-client", "1"), ("remote", "1")], false).unwrap().0, ["x-client", "remote"]);
    }

    #[test]
    fn a_trusted_peer_is_heard() {
        let (left, scan) =
            run(&[("x-forwarded-for", "1.2.3.4"), ("x-consumer-name", "admin")], true).unwrap();
        assert!(left.is_empty(), "identity fields go, whoever sent them");
        assert_eq!(scan.forwarded.len(), 1);
    }

    #[test]
    fn framing_has_one_reading_or_none() {
        for bad in [
            &[("content-length", "5"), ("content-length", "5")][..],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("content-length", "+5")],
            &[("content-length", "5, 5")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "xchunked")],
        ] {
            assert_eq!(run(bad, false).map(|_| ()), Err(Code::AmbiguousFraming), "{bad:?}");
        }
        assert_eq!(run(&[("transfer-encoding", "Chunked")], false).unwrap().1.framing, Framing::Chunked);
    }

    #[test]
    fn aliases_are_refused_or_removed() {
        for bad in
            ["x_api_key", "x.api-key", "content_length", "transfer_encoding", "host_", "authorization."]
        {
            let expected = if bad.ends_with(['_', '.']) { Ok(()) } else { Err(Code::AmbiguousHeader) };
            assert_eq!(run(&[(bad, "1")], false).map(|_| ()), expected, "{bad}");
        }
        for removed in [
            "client_ip",
            "x~consumer~name",
            "x_forwarded_for",
            "x_consumer_name",
            "x-forwarded_for",
            "x_real_ip",
        ] {
            assert!(run(&[(removed, "1")], true).unwrap().0.is_empty(), "{removed}");
        }
        assert_eq!(run(&[("my_field", "1")], false).unwrap().0, ["my_field"]);
    }

    #[test]
    fn connection_takes_nothing_away() {
        for bad in
            ["x-api-key", "close, authorization", "content-length", "x-forwarded-for", "cookie", "host"]
        {
            let fields = [("connection", bad)];
            assert_eq!(run(&fields, false).map(|_| ()), Err(Code::AmbiguousHeader), "{bad}");
        }
        assert!(run(&[("connection", "Keep-Alive, , Upgrade")], false).is_ok());
    }

    #[test]
    fn h2c_is_dropped_and_any_other_upgrade_is_a_wish() {
        let offer = |value| run(&[("connection", "upgrade"), ("upgrade", value)], false).unwrap().1.upgrade;
        assert!(offer("h2c").is_none());
        for wish in ["websocket", "h2c, websocket", "TLS/1.0"] {
            assert_eq!(offer(wish).unwrap(), wish);
        }
        assert_eq!(run(&[("expect", "200-ok")], false).map(|_| ()), Err(Code::AmbiguousHeader));
    }

    #[test]
    fn sizes_are_bounded() {
        let long: &'static str = "a".repeat(9000).leak();
        let half: &'static str = "a".repeat(7000).leak();
        assert_eq!(run(&[("a", long)], false).map(|_| ()), Err(Code::HeadTooLarge));
        assert!(run(&[("a", half); 4], false).is_ok());
        assert_eq!(run(&[("a", half); 5], false).map(|_| ()), Err(Code::HeadTooLarge));
        assert!(run(&[("a", "1"); 99], false).is_ok());
        assert_eq!(run(&[("a", "1"); 100], false).map(|_| ()), Err(Code::HeadTooLarge));
    }
}
