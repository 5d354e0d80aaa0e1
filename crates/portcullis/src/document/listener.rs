//! Where the gateway listens.

use super::TlsConfig;
use portcullis_checks::{Cidr, Reason};
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_proxy::tls::Protocol;
use portcullis_proxy::{Listener, Redirect, Timeouts};
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

object! {
    /// A listening address, and the bounds of its connections.
    pub struct ListenerConfig {
        /// The address and port, such as 127.0.0.1:3000. Without TLS only a loopback address, unless
        /// `insecure_plaintext` says why not.
        pub bind: Spanned<SocketAddr>,
        /// How its connections are protected. Default: not at all.
        pub tls: Option<TlsConfig>,
        /// What is spoken. Under TLS the client chooses one of these; in the clear there is one, and `h2` must be spoken from
        /// the first byte on. Default: both under TLS, http/1.1 in the clear.
        pub protocols: Option<Spanned<Vec<HttpProtocol>>>,
        /// The load balancers that say whose connection it is, by the PROXY protocol (version 1 or 2), before anything else.
        /// They must; from anybody else it is not read. Default: none.
        pub proxy_protocol_from: Vec<Cidr> = Vec::new(),
        /// The port of HTTPS to which every request is sent (308), which is all that this listener does. Only hosts of the
        /// routes and certificates are named; others get 404.
        pub redirect_to_https: Option<Spanned<NonZeroU16>>,
        /// Why requests, with their keys, may cross a network in the clear.
        pub insecure_plaintext: Option<Reason>,
        /// The most connections at once. One more is closed at once. Default: 10000.
        pub max_connections: NonZeroU32 = NonZeroU32::new(10_000).unwrap_or(NonZeroU32::MIN),
        /// The most connections at once of one address; an IPv6 /64 counts as one. Trusted proxies are exempt. Default: 1000.
        pub max_connections_per_address: NonZeroU32 = NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MIN),
        /// The most requests at once of one address, in each worker thread, that were let through and whose answers are not over.
        /// One more is refused with 503. Behind a trusted proxy the forwarded address counts. Default: 500.
        pub max_requests_per_address: NonZeroU32 = NonZeroU32::new(500).unwrap_or(NonZeroU32::MIN),
        /// How long a client may take.
        pub timeouts: TimeoutsConfig = TimeoutsConfig::default(),
    }
}

object! {
    /// How long a client may take.
    pub struct TimeoutsConfig {
        /// From the first byte of a request's head to its last. Default: 10s.
        pub header: Duration = Timeouts::default().header,
        /// Between two requests on a connection. Default: 60s.
        pub idle: Duration = Timeouts::default().idle,
        /// Between two pieces of a body, in either direction. The messages of a gRPC call may pause for an hour. Default: 30s.
        pub body: Duration = Timeouts::default().body,
        /// From the end of a request's head to the end of its body; not for gRPC calls. Default: 5m.
        pub request: Duration = Duration::from_secs(300),
    }
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        let Timeouts { header, idle, body, request } = Timeouts::default();
        let request = request.unwrap_or(Duration::from_secs(300));
        TimeoutsConfig { header, idle, body, request, at: portcullis_config::Span::NONE }
    }
}

keyword! {
    /// A version of HTTP.
    pub enum HttpProtocol {
        /// HTTP/2 (RFC 9113).
        Http2 = "h2",
        /// HTTP/1.1 (RFC 9112).
        Http1 = "http/1.1",
    }
}

impl ListenerConfig {
    /// What is spoken, the best one first.
    fn protocols(&self, cx: &mut Context) -> Option<Vec<Protocol>> {
        let Some(given) = &self.protocols else {
            return Some(match self.tls {
                Some(_) => vec![Protocol::Http2, Protocol::Http1],
                None => vec![Protocol::Http1],
            });
        };
        let all = [(HttpProtocol::Http2, Protocol::Http2), (HttpProtocol::Http1, Protocol::Http1)];
        let protocols: Vec<Protocol> = all
            .iter()
            .filter(|(word, _)| given.value.contains(word))
            .map(|(_, protocol)| *protocol)
            .collect();
        match protocols.as_slice() {
            [] => {
                cx.error("config.empty_list", given.span, "a listener that speaks nothing serves nobody")
                    .help("name `h2`, `http/1.1` or both, or leave the key out");
                None
            }
            // SECURITY: guessing it from the first bytes leaves a connection two readings
            // (every_code_points_to_its_place_and_says_what_to_do).
            [_, _, ..] if self.tls.is_none() => {
                cx.error(
                    "config.protocols",
                    given.span,
                    "in the clear there is no way to agree on one of several",
                )
                .help("name one, or add `tls`");
                None
            }
            _ => Some(protocols),
        }
    }

    /// What listens.
    pub fn compile(&self, cx: &mut Context) -> Option<Listener> {
        // SECURITY: credentials must not cross a network in the clear by accident (a_plaintext_listener_needs_a_reason).
        let loopback = self.bind.value.ip().to_canonical().is_loopback();
        if !loopback
            && self.insecure_plaintext.is_none()
            && self.tls.is_none()
            && self.redirect_to_https.is_none()
        {
            cx.error("config.plaintext", self.bind.span, "requests and their keys would cross the network in the clear")
                .label("not a loopback address, and TLS is off")
                .help("add `tls`, bind to 127.0.0.1, or say why it is safe here: `insecure_plaintext: \"TLS ends at the load balancer\"`");
            return None;
        }
        if let (Some(_), Some(redirect)) = (&self.tls, &self.redirect_to_https) {
            cx.error("config.redirect_under_tls", redirect.span, "whoever is here has come by HTTPS already")
                .help("give the redirect a listener of its own, without `tls`");
            return None;
        }
        if let (Some(tls), Some(_)) = (&self.tls, &self.insecure_plaintext) {
            cx.error("config.tls_and_plaintext", tls.at, "nothing crosses the network in the clear here")
                .help("remove `insecure_plaintext`");
            return None;
        }
        let TimeoutsConfig { header, idle, body, request, at: _ } = self.timeouts;
        for (name, value) in [("header", header), ("idle", idle), ("body", body), ("request", request)] {
            if value.is_zero() {
                cx.error(
                    "config.timeout",
                    self.timeouts.at,
                    format!("a `{name}` timeout of nothing lets nobody through"),
                )
                .help("write a duration such as `10s`, or leave the key out");
                return None;
            }
        }
        let protocols = self.protocols(cx)?;
        let tls = match &self.tls {
            None => None,
            Some(tls) => Some(cx.at("tls", |cx| tls.compile(loopback, protocols.clone(), cx))?),
        };
        let hsts = tls.as_ref().and_then(|tls| tls.hsts);
        let count = |number: NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
        Some(Listener {
            bind: self.bind.value,
            max_connections: count(self.max_connections),
            max_connections_per_address: count(self.max_connections_per_address),
            max_requests_per_address: count(self.max_requests_per_address),
            timeouts: Timeouts { header, idle, body, request: Some(request) },
            tls: tls.map(|tls| tls.tls),
            protocol: protocols.first().copied().unwrap_or(Protocol::Http1),
            hsts,
            balancers: self.proxy_protocol_from.iter().map(|cidr| cidr.0).collect(),
            // The hosts are known when all listeners and routes are.
            redirect: self
                .redirect_to_https
                .map(|port| Redirect { port: port.value.get(), hosts: Vec::new() }),
            // They are known when all listeners are.
            challenges: Vec::new(),
        })
    }
}
