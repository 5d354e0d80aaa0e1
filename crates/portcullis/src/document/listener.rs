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
    /// An address to listen on, with the limits of its connections.
    pub struct ListenerConfig {
        /// The address and port, such as 127.0.0.1:3000. Without TLS it must be a loopback address, unless
        /// `insecure_plaintext` gives a reason.
        pub bind: Spanned<SocketAddr>,
        /// TLS. Default: off.
        pub tls: Option<TlsConfig>,
        /// The HTTP versions. With TLS the client chooses one of them (ALPN). Without TLS give one; `h2` then means prior
        /// knowledge. Default: both with TLS, http/1.1 without.
        pub protocols: Option<Spanned<Vec<HttpProtocol>>>,
        /// Load balancers that send the client's address with the PROXY protocol (version 1 or 2). Every connection from
        /// them must begin with it. From other addresses it is not accepted. Default: none.
        pub proxy_protocol_from: Vec<Cidr> = Vec::new(),
        /// Redirects every request to this HTTPS port (308). The listener then does nothing else. Only hosts of routes
        /// and certificates are redirected; others get 404.
        pub redirect_to_https: Option<Spanned<NonZeroU16>>,
        /// Why requests and their credentials may cross a network unencrypted.
        pub insecure_plaintext: Option<Reason>,
        /// The maximum number of open connections. Further ones are closed at once. Default: 10000, or fewer if the
        /// limit of open files (`ulimit -n`) is below about twice that.
        pub max_connections: Option<NonZeroU32>,
        /// The maximum number of open connections from one address or IPv6 /64. Trusted proxies are exempt. Default:
        /// 1000.
        pub max_connections_per_address: NonZeroU32 = NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MIN),
        /// The maximum number of running requests from one address, in each worker thread. Further ones are rejected with
        /// 503. Behind a trusted proxy, the forwarded address counts. Default: 500.
        pub max_requests_per_address: NonZeroU32 = NonZeroU32::new(500).unwrap_or(NonZeroU32::MIN),
        /// Timeouts of client connections.
        pub timeouts: TimeoutsConfig = TimeoutsConfig::default(),
    }
}

object! {
    /// Timeouts of client connections.
    pub struct TimeoutsConfig {
        /// The maximum time from the first byte of a request to the end of its headers. Default: 10s.
        pub header: Duration = Timeouts::default().header,
        /// Idle timeout of a connection between two requests. Default: 60s.
        pub idle: Duration = Timeouts::default().idle,
        /// Idle timeout of request and response bodies. For gRPC calls it is at least an hour. Default: 30s.
        pub body: Duration = Timeouts::default().body,
        /// The maximum time from the end of the headers to the end of the request body. It does not apply to gRPC calls.
        /// Default: 5m.
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
                cx.error("config.empty_list", given.span, "the list of protocols is empty")
                    .help("name `h2`, `http/1.1` or both, or leave the key out");
                None
            }
            // SECURITY: guessing it from the first bytes leaves a connection two readings
            // (every_code_points_to_its_place_and_says_what_to_do).
            [_, _, ..] if self.tls.is_none() => {
                cx.error(
                    "config.protocols",
                    given.span,
                    "without TLS, a client and the gateway cannot negotiate the protocol",
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
            cx.error("config.plaintext", self.bind.span, "requests and their credentials would cross the network unencrypted")
                .label("not a loopback address, and TLS is off")
                .help("add `tls`, bind to 127.0.0.1, or say why it is safe here: `insecure_plaintext: \"TLS ends at the load balancer\"`");
            return None;
        }
        if let (Some(_), Some(redirect)) = (&self.tls, &self.redirect_to_https) {
            cx.error("config.redirect_under_tls", redirect.span, "this listener already uses HTTPS")
                .help("add a separate listener for the redirect, without `tls`");
            return None;
        }
        if let (Some(tls), Some(_)) = (&self.tls, &self.insecure_plaintext) {
            cx.error(
                "config.tls_and_plaintext",
                tls.at,
                "this listener uses TLS, so nothing is sent unencrypted",
            )
            .help("remove `insecure_plaintext`");
            return None;
        }
        let TimeoutsConfig { header, idle, body, request, at: _ } = self.timeouts;
        for (name, value) in [("header", header), ("idle", idle), ("body", body), ("request", request)] {
            if value.is_zero() {
                cx.error(
                    "config.timeout",
                    self.timeouts.at,
                    format!("the `{name}` timeout must be greater than zero"),
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
            max_connections: self.max_connections.map(count),
            max_connections_per_address: count(self.max_connections_per_address),
            max_requests_per_address: count(self.max_requests_per_address),
            max_unread_per_address: Listener::MAX_UNREAD,
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
