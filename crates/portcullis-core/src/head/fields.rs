//! One pass over the header fields: what may stay, what must go, and what nobody should have sent.
//!
//! After it only end-to-end fields are left. Framing, connection and forwarding fields are gone; what they said is in
//! [`Scan`]. What only the gateway, or another gateway, may say is gone whoever sent it. Which field is what,
//! [`rules`](super::rules) says.

use super::rules::{Rule, folded};
use super::{HeadPolicy, RequestIdPolicy};
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
    /// The methods that fields ask for in place of the request's.
    pub(super) methods: Vec<HeaderValue>,
    /// Those that the policy wants to be judged all the same.
    pub(super) removed: Option<Box<HeaderMap>>,
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
    let mut scan = Scan {
        framing: Framing::None,
        upgrade: None,
        forwarded: Vec::new(),
        methods: Vec::new(),
        removed: None,
    };
    let (mut connection, mut framing, mut media_type) = (false, false, false);
    for (name, value) in headers.iter() {
        let text = name.as_str();
        let size = text.len() + value.len();
        total += size;
        if size > policy.max_field_bytes {
            return Err(Denial::new(Code::HeadTooLarge, format!("a header field of {size} bytes")));
        }
        match policy.rules.of(text) {
            Rule::EndToEnd => continue,
            Rule::Guarded | Rule::Connection | Rule::Framing if folded(text) != text => {
                // SECURITY: a backend behind an interface such as CGI takes it for the field that was, or was not, judged
                // (aliases_are_refused_or_removed).
                return Err(Denial::new(
                    Code::AmbiguousHeader,
                    format!("the field {text} is an alias of one that matters"),
                ));
            }
            Rule::Guarded => {
                // SECURITY: one server goes by the first media type and another by the last, so that the body which was
                // judged as one thing is read as another (a_body_has_one_media_type_or_none).
                if *name == header::CONTENT_TYPE && std::mem::replace(&mut media_type, true) {
                    return Err(Denial::new(Code::AmbiguousHeader, "several Content-Type fields"));
                }
                continue;
            }
            Rule::FromTrusted if peer_is_trusted => continue,
            Rule::Connection => connection = true,
            Rule::Framing => framing = true,
            Rule::Forwarding if peer_is_trusted => scan.forwarded.push((name.clone(), value.clone())),
            Rule::Removed
                if peer_is_trusted
                    && policy.request_id == RequestIdPolicy::FromTrusted
                    && text == "x-request-id" =>
            {
                scan.forwarded.push((name.clone(), value.clone()));
            }
            Rule::Removed
                if peer_is_trusted
                    && policy.tracing.is_some()
                    && matches!(text, "traceparent" | "tracestate") =>
            {
                scan.forwarded.push((name.clone(), value.clone()));
            }
            Rule::Method => scan.methods.push(value.clone()),
            Rule::Forwarding | Rule::FromTrusted | Rule::Removed => {}
        }
        if policy.judged_first.contains(name) {
            scan.removed.get_or_insert_default().append(name.clone(), value.clone());
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
    let mut upgrades = false;
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
            upgrades |= token.eq_ignore_ascii_case("upgrade");
        }
    }
    let mut expectations = headers.get_all(header::EXPECT).iter();
    if let Some(expect) = expectations.next()
        && (expectations.next().is_some() || !expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(ambiguous("Expect is not 100-continue, once"));
    }
    // SECURITY: an offer that `Connection` does not name is one of another connection, which a proxy did not remove (RFC 9110,
    // section 7.8, an_upgrade_that_connection_does_not_name_is_none).
    if !upgrades {
        return Ok(None);
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
        let mut policy = HeadPolicy::default();
        policy.rules.credential("x-api-key");
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
    fn a_body_has_one_media_type_or_none() {
        for second in ["text/plain", "application/json", ""] {
            let fields = [("content-type", "application/json"), ("accept", "*/*"), ("content-type", second)];
            assert_eq!(run(&fields, false).map(|_| ()), Err(Code::AmbiguousHeader), "{second}");
        }
        assert!(run(&[("content-type", "application/json")], false).is_ok());
        // A list, of which each line is a part (RFC 9110, section 8.4).
        assert!(run(&[("content-encoding", "gzip"), ("content-encoding", "gzip")], false).is_ok());
        assert!(run(&[("cookie", "a=1"), ("cookie", "b=2")], false).is_ok());
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
    fn an_upgrade_that_connection_does_not_name_is_none() {
        for connection in ["", "close", "keep-alive, te"] {
            let fields = [("connection", connection), ("upgrade", "websocket")];
            assert!(run(&fields, false).unwrap().1.upgrade.is_none(), "{connection}");
        }
        assert!(run(&[("upgrade", "websocket")], false).unwrap().1.upgrade.is_none());
        let named = [("connection", "keep-alive"), ("connection", "Te, UPGRADE"), ("upgrade", "websocket")];
        assert!(run(&named, false).unwrap().1.upgrade.is_some());
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
