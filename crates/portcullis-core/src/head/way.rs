//! The way that a request has come, as far as trusted proxies tell it.
//!
//! Each proxy adds an entry at the end of a list, so what a client made up itself stands before what the first trusted proxy
//! says. The address of the client is the nearest one that is not a trusted proxy; scheme, host and port are taken from the
//! same place of their own lists, counted from the nearest proxy. From anybody else than a trusted proxy nothing is read.

use super::{client, host};
use crate::denial::{Code, Denial};
use crate::record::RequestId;
use crate::trace::Incoming;
use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::IpAddr;

/// What a trusted proxy said of the way that a request has come, for the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The addresses before the peer, as `X-Forwarded-For` lists them. `None` where there are none to believe.
    pub before: Option<String>,
    /// The scheme that the client used.
    pub scheme: &'static str,
    /// The host that the client asked for, with its port where it named one. `None` where no proxy says so.
    pub host: Option<HeaderValue>,
    /// The port that the client asked for.
    pub port: u16,
    /// The id that a proxy gave the request, where such ids are kept.
    pub request_id: Option<RequestId>,
    /// The trace that a proxy has begun or goes on with, where there is tracing.
    pub trace: Option<Incoming>,
}

impl Way {
    /// The `Forwarded` field (RFC 7239, section 4): an element for each address of the way, the first of which says what the
    /// client asked for.
    pub(crate) fn forwarded(&self, peer: IpAddr, host: &str) -> String {
        let before = self.before.iter().flat_map(|before| before.split(','));
        let mut text = String::new();
        for entry in before.map(str::trim).chain(std::iter::once(peer.to_string().as_str())) {
            let node = match entry.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => address.to_string(),
                Ok(IpAddr::V6(address)) => format!("\"[{address}]\""),
                Err(_) => "unknown".to_owned(),
            };
            if text.is_empty() {
                let host = self.host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(host);
                text = format!("for={node};host=\"{host}\";proto={}", self.scheme);
            } else {
                text.push_str(", for=");
                text.push_str(&node);
            }
        }
        text
    }
}

/// What was told.
pub(super) struct Told {
    /// Whose request it is.
    pub(super) client: IpAddr,
    pub(super) way: Way,
}

/// The way of a request from `peer` with these forwarding fields, which came by `scheme` and asks for `port`.
///
/// # Errors
/// A trusted proxy named an address that is none.
pub(super) fn of(
    forwarded: &[(HeaderName, HeaderValue)],
    peer: IpAddr,
    trusted: &[IpNet],
    scheme: &'static str,
    port: Option<u16>,
) -> Result<Told, Denial> {
    let values = |wanted: &'static str| {
        forwarded.iter().filter(move |(name, _)| name.as_str() == wanted).map(|(_, value)| value)
    };
    let mut addresses = Vec::new();
    for value in values("x-forwarded-for") {
        let text =
            value.to_str().map_err(|_| Denial::new(Code::ForwardedAddress, "X-Forwarded-For is not text"))?;
        addresses.push(text);
    }
    let (client, hops) = client::address(peer, trusted, addresses.iter().copied())
        .map_err(|detail| Denial::new(Code::ForwardedAddress, detail))?;
    let told = |wanted| entry(values(wanted), hops);
    let scheme = told("x-forwarded-proto").and_then(scheme_of).unwrap_or(scheme);
    let named = told("x-forwarded-host").filter(|text| host::canonical(text).is_ok());
    let own = if scheme == "https" { 443 } else { 80 };
    let port = match told("x-forwarded-port").and_then(|text| text.parse().ok()) {
        Some(port) => port,
        None => named.map_or(port, host::port).unwrap_or(own),
    };
    let host = named.and_then(|text| HeaderValue::from_str(text).ok());
    // Ids that are not in a usual form, or stand there twice, are made anew.
    let request_id = {
        let mut ids = values("x-request-id");
        ids.next().filter(|_| ids.next().is_none()).and_then(|id| RequestId::of_proxy(id.to_str().ok()?))
    };
    let trace = Incoming::read(values("traceparent"), values("tracestate"));
    let before = (!addresses.is_empty()).then(|| addresses.join(", "));
    Ok(Told { client, way: Way { before, scheme, host, port, request_id, trace } })
}

/// The entry of a list at the place of the client, which has so many before it, counted from the end. Of a list that is too
/// short, the first: not every proxy adds to it.
// SECURITY: what stands further to the left is the client's own invention (a_scheme_is_what_the_first_trusted_proxy_saw).
fn entry<'a>(values: impl DoubleEndedIterator<Item = &'a HeaderValue>, hops: usize) -> Option<&'a str> {
    let texts = values.rev().filter_map(|value| value.to_str().ok());
    let entries = texts.flat_map(|text| text.rsplit(',')).map(|entry| entry.trim_matches([' ', '\t']));
    entries.take(hops + 1).last().filter(|entry| !entry.is_empty())
}

/// The scheme under the name that a proxy gives it: in any case, and `wss` for a WebSocket.
fn scheme_of(text: &str) -> Option<&'static str> {
    let is = |names: [&str; 2]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    if is(["https", "wss"]) {
        Some("https")
    } else if is(["http", "ws"]) {
        Some("http")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(fields: &[(&'static str, &'static str)], port: Option<u16>) -> Way {
        let forwarded: Vec<_> = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        of(&forwarded, "10.0.0.1".parse().unwrap(), &trusted, "http", port).ok().unwrap().way
    }

    const FOR: (&str, &str) = ("x-forwarded-for", "203.0.113.9");
    const CHAIN: (&str, &str) = ("x-forwarded-for", "203.0.113.9, 10.0.0.2");

    #[test]
    fn a_scheme_is_what_the_first_trusted_proxy_saw() {
        let scheme = |fields: &[_]| way(fields, None).scheme;
        for (value, scheme_of) in [
            ("https", "https"),
            ("HTTPS", "https"),
            ("wss", "https"),
            ("http", "http"),
            ("ftp", "http"),
            ("", "http"),
        ] {
            assert_eq!(scheme(&[FOR, ("x-forwarded-proto", value)]), scheme_of, "{value}");
        }
        assert_eq!(scheme(&[CHAIN, ("x-forwarded-proto", "https,http")]), "https");
        assert_eq!(scheme(&[CHAIN, ("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")]), "https");
        assert_eq!(scheme(&[CHAIN, ("x-forwarded-proto", "https")]), "https");
        // The client made up the first one.
        assert_eq!(scheme(&[FOR, ("x-forwarded-proto", "https, http")]), "http");
        assert_eq!(scheme(&[CHAIN, ("x-forwarded-proto", "https, http, http")]), "http");
    }

    #[test]
    fn the_way_has_a_standard_form_too() {
        let text = |fields: &[_], peer: &str| way(fields, None).forwarded(peer.parse().unwrap(), "a.example");
        assert_eq!(text(&[], "203.0.113.9"), "for=203.0.113.9;host=\"a.example\";proto=http");
        assert_eq!(
            text(
                &[("x-forwarded-for", "x\"y, 2001:db8::7, 10.0.0.2"), ("x-forwarded-proto", "https")],
                "10.0.0.1"
            ),
            "for=unknown;host=\"a.example\";proto=https, for=\"[2001:db8::7]\", for=10.0.0.2, for=10.0.0.1"
        );
    }

    #[test]
    fn an_id_of_a_proxy_has_a_usual_form_or_is_made_anew() {
        let id = |fields: &[_]| way(fields, None).request_id.map(|id| id.as_str().to_owned());
        for good in [
            "4edd0e27ad61ca783ac93ae74fb835d6",
            "4EDD0E27-ad61-4a78-8ac9-3ae74fb835d6",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            assert_eq!(id(&[("x-request-id", good)]).as_deref(), Some(good));
        }
        for bad in [
            "",
            "short",
            "a b c d e f g h i j k l",
            "0123456789abcdef0123456789abcdef01234",
            "0123456789abcde\u{e9}",
        ] {
            let bad: &'static str = bad;
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            assert_eq!(value.to_str().ok().and_then(RequestId::of_proxy), None, "{bad}");
        }
        let one = ("x-request-id", "0123456789abcdef");
        assert_eq!(id(&[one, one]), None);
    }

    #[test]
    fn a_port_is_told_or_named_or_the_schemes_own() {
        let port = |fields: &[_], port| way(fields, port).port;
        assert_eq!(port(&[FOR, ("x-forwarded-proto", "https")], None), 443);
        assert_eq!(port(&[FOR], Some(3000)), 3000);
        assert_eq!(port(&[FOR, ("x-forwarded-host", "a.example:8443")], Some(3000)), 8443);
        assert_eq!(
            port(&[FOR, ("x-forwarded-host", "a.example"), ("x-forwarded-proto", "https")], Some(3000)),
            443
        );
        assert_eq!(port(&[FOR, ("x-forwarded-port", "8443"), ("x-forwarded-host", "a.example")], None), 8443);
        for bad in ["x", "99999", "-1", ""] {
            assert_eq!(port(&[FOR, ("x-forwarded-port", bad)], Some(7)), 7, "{bad}");
        }
        let host =
            way(&[CHAIN, ("x-forwarded-host", "evil.example, a.example:8443, inner.example")], None).host;
        assert_eq!(host.unwrap(), "a.example:8443");
    }
}
