//! Where a route's requests go: a server, or a group of them.

mod group;

pub use group::UpstreamGroupConfig;
pub(crate) use group::url_of;

use super::{CertificateConfig, HttpProtocol, Reason};
use http::Uri;
use portcullis_config::{
    ByteSize, Context, Decode, Definitions, Node, Origin, Span, Spanned, Value, keyword, object,
};
use portcullis_proxy::tls::{UpstreamTls, UpstreamTlsSettings};
use portcullis_proxy::{ProxyProtocol, Upstream};
use portcullis_store::Kept;
use serde_json::json;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A head is held until it is complete, so it has an end whatever is written.
const RESPONSE_HEADS: RangeInclusive<usize> = 8 * 1024..=4 * 1024 * 1024;
const MOST_RESPONSE_FIELDS: u16 = 10_000;

object! {
    /// An upstream server.
    struct UpstreamObject {
        /// Its URL, such as http://127.0.0.1:8080. A path in it is prepended to the path of every request. Or a Unix socket, such
        /// as `unix:/run/app.sock`.
        pub url: Spanned<String>,
        /// The HTTP version. `h2` without TLS means prior knowledge. Requests share HTTP/2 connections. gRPC needs `h2`. Default:
        /// http/1.1.
        pub protocol: HttpProtocol = HttpProtocol::Http1,
        /// Sends the header of the PROXY protocol, so that the server knows the client's address. Each request then has a
        /// separate connection. Not with `h2`. Default: none.
        pub proxy_protocol: Option<ProxyProtocolConfig>,
        /// TLS settings for an `https://` URL. Default: the system's CAs, and no client certificate.
        pub tls: Option<UpstreamTlsConfig>,
        /// The maximum time for the DNS lookup and the connection together. All addresses of the name are tried (RFC 8305). The
        /// name is resolved again after 10 seconds. Default: 5s.
        pub connect_timeout: Duration = Duration::from_secs(5),
        /// The maximum time from the end of a request to the response headers. Beyond it the client gets 504. Default:
        /// 30s.
        pub response_timeout: Duration = Duration::from_secs(30),
        /// The maximum size of the status line and the response headers together, from 8KiB to 4MiB. Beyond it the client
        /// gets 502. Default: 128KiB.
        pub max_response_head: Option<Spanned<ByteSize>>,
        /// The maximum number of response headers, up to 10000. Beyond it the client gets 502. Default: 200.
        pub max_response_fields: Option<Spanned<NonZeroU16>>,
        /// Idle timeout of response bodies. Beyond it the response is aborted. For event streams (`text/event-stream`)
        /// and gRPC it is at least an hour. Default: 30s.
        pub body_timeout: Duration = Duration::from_secs(30),
        /// Idle timeout of upgraded (WebSocket) connections. Default: 5m.
        pub tunnel_timeout: Duration = Duration::from_secs(300),
        /// How long upgraded (WebSocket) connections may go on when the gateway stops, or when a reload removes their listener.
        /// `drain` limits it too. Default: 5s.
        pub tunnel_drain: Duration = Duration::from_secs(5),
        /// How long an idle connection is kept. Set it below the server's own idle timeout. Default: 4s.
        pub idle_timeout: Duration = Duration::from_secs(4),
        /// How long connections are used. Default: 5 minutes or 10000 requests, whichever comes first.
        pub connections: Option<ConnectionsConfig>,
    }
}

keyword! {
    /// A version of the PROXY protocol.
    pub enum ProxyProtocolConfig {
        /// Version 1, in text.
        V1 = "v1",
        /// Version 2, in binary form.
        V2 = "v2",
    }
}

object! {
    /// How long connections to an upstream are used. Running requests always finish.
    pub struct ConnectionsConfig {
        /// The maximum age of a connection. Older connections get no new requests. Default: 5m.
        pub max_age: Duration = Duration::from_secs(300),
        /// The maximum number of requests on a connection. Default: 10000.
        pub max_requests: NonZeroU32 = DEFAULT_MAX_REQUESTS,
    }
}

const DEFAULT_MAX_REQUESTS: NonZeroU32 = match NonZeroU32::new(10_000) {
    Some(most) => most,
    None => NonZeroU32::MIN,
};

object! {
    /// The TLS settings of an upstream.
    pub struct UpstreamTlsConfig {
        /// PEM file with the CAs that verify its certificate. Default: the system's CAs.
        pub ca: Option<Spanned<PathBuf>>,
        /// The client certificate that the gateway sends to the upstream. Default: none.
        pub client_certificate: Option<CertificateConfig>,
        /// The host name in its certificate, if it differs from the host of the URL.
        pub server_name: Option<Spanned<String>>,
        /// Why the certificate is not verified. Anyone between the gateway and the upstream can then read and change
        /// everything.
        pub insecure_skip_verify: Option<Reason>,
    }
}

impl UpstreamTlsConfig {
    fn settings(&self) -> UpstreamTlsSettings {
        UpstreamTlsSettings {
            authorities: self.ca.as_ref().map(|ca| ca.value.clone()),
            client: self.client_certificate.as_ref().map(CertificateConfig::files),
            server_name: self.server_name.as_ref().map(|name| name.value.clone()),
            insecure_skip_verify: self.insecure_skip_verify.is_some(),
            http2: false,
        }
    }
}

/// Where a route's requests go.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// A server, or a function of the embedding program.
    pub target: UpstreamTarget,
    /// How the server is spoken to under TLS; `None` for in the clear.
    pub tls: Option<UpstreamTlsSettings>,
    /// Where it stands.
    pub at: Span,
}

/// A server, or a function of the embedding program.
#[derive(Clone, Debug)]
pub enum UpstreamTarget {
    /// A server.
    Server(Box<Upstream>),
    /// The group of this name.
    Group(String),
    /// The handler with this number; only in a document that a program made.
    Handler(usize),
}

/// How a document that a program made names a handler: `handler:0`.
pub const HANDLER_SCHEME: &str = "handler:";

impl UpstreamConfig {
    fn of_object(object: &UpstreamObject, at: Span, cx: &mut Context) -> Option<UpstreamConfig> {
        let (mut upstream, mut tls) = server(&object.url.value, object.url.span, cx)?;
        if let Some(config) = &object.tls {
            if tls.is_none() {
                cx.error(
                    "config.upstream_tls",
                    config.at,
                    "`tls` has no effect on a URL that begins with `http://`",
                )
                .help("write `https://`, or remove `tls`");
                return None;
            }
            if config.insecure_skip_verify.is_some() && (config.ca.is_some() || config.server_name.is_some())
            {
                cx.error(
                    "config.upstream_tls",
                    config.at,
                    "`insecure_skip_verify` excludes `ca` and `server_name`",
                )
                .help("remove `insecure_skip_verify`, or `ca` and `server_name`");
                return None;
            }
            tls = Some(config.settings());
        }
        upstream.http2 = object.protocol == HttpProtocol::Http2;
        upstream.proxy_protocol = object.proxy_protocol.map(|version| match version {
            ProxyProtocolConfig::V1 => ProxyProtocol::V1,
            ProxyProtocolConfig::V2 => ProxyProtocol::V2,
        });
        if upstream.http2 && upstream.proxy_protocol.is_some() {
            cx.error("config.upstream", object.at, "connections of HTTP/2 carry requests of many clients")
                .help("remove `proxy_protocol`, or write `protocol: http/1.1`");
            return None;
        }
        if let Some(tls) = &mut tls {
            tls.http2 = upstream.http2;
        }
        let timeouts =
            [object.connect_timeout, object.response_timeout, object.body_timeout, object.tunnel_timeout];
        let max_age = object.connections.as_ref().map(|connections| connections.max_age);
        if timeouts.iter().chain(&max_age).any(Duration::is_zero) {
            cx.error("config.timeout", object.at, "the timeout must be greater than zero")
                .help("write a duration such as `30s`, or leave the key out");
            return None;
        }
        if let Some(head) = &object.max_response_head {
            let size = usize::try_from(head.value.0).ok();
            let Some(size) = size.filter(|size| RESPONSE_HEADS.contains(size)) else {
                cx.error("config.limit", head.span, "the size is out of range")
                    .help("write a size from `8KiB` to `4MiB`");
                return None;
            };
            upstream.max_head_bytes = size;
        }
        if let Some(fields) = &object.max_response_fields {
            if fields.value.get() > MOST_RESPONSE_FIELDS {
                cx.error("config.limit", fields.span, "this is more headers than the gateway supports")
                    .help(format!("write a number up to {MOST_RESPONSE_FIELDS}"));
                return None;
            }
            upstream.max_head_fields = usize::from(fields.value.get());
        }
        upstream.connect_timeout = object.connect_timeout;
        upstream.response_timeout = object.response_timeout;
        upstream.idle_body_timeout = object.body_timeout;
        upstream.tunnel_idle_timeout = object.tunnel_timeout;
        upstream.tunnel_grace = object.tunnel_drain;
        upstream.idle_timeout = object.idle_timeout;
        if let Some(connections) = &object.connections {
            upstream.max_age = connections.max_age;
            upstream.max_requests = u64::from(connections.max_requests.get());
        }
        Some(UpstreamConfig { target: UpstreamTarget::Server(Box::new(upstream)), tls, at })
    }

    /// The TLS to the server. `Some(None)` where it is spoken to in the clear.
    pub fn compile_tls(&self, kept: &Kept, cx: &mut Context) -> Option<Option<UpstreamTls>> {
        let (Some(settings), UpstreamTarget::Server(server)) = (&self.tls, &self.target) else {
            return Some(None);
        };
        let host = server.authority.rsplit_once(':').map_or("", |(host, _)| host);
        match UpstreamTls::new(settings, host) {
            Ok(tls) => {
                // Connections are kept as long as whom they believe, and what they show, is the same to the byte.
                let name = format!("{settings:?} {host:?} {:?}", settings.contents());
                Some(Some(UpstreamTls::clone(&kept.keep(&name, || tls))))
            }
            Err(problem) => {
                cx.error("config.upstream_tls", self.at, problem.to_string())
                    .help("check `ca`, `client_certificate` and `server_name`, and that the system's CA certificates are installed");
                None
            }
        }
    }
}

impl Decode for UpstreamConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let at = node.span;
        if matches!(node.value, Value::Mapping(_)) {
            let object = UpstreamObject::decode(node, cx)?;
            return UpstreamConfig::of_object(&object, at, cx);
        }
        let text = cx.text(node)?;
        if cx.origin() == Origin::Code
            && let Some(number) = text.strip_prefix(HANDLER_SCHEME).and_then(|number| number.parse().ok())
        {
            return Some(UpstreamConfig { target: UpstreamTarget::Handler(number), tls: None, at });
        }
        if is_group_name(text) {
            return Some(UpstreamConfig { target: UpstreamTarget::Group(text.to_owned()), tls: None, at });
        }
        let text = text.to_owned();
        server(&text, at, cx).map(|(upstream, tls)| UpstreamConfig {
            target: UpstreamTarget::Server(Box::new(upstream)),
            tls,
            at,
        })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let object = UpstreamObject::schema(definitions);
        let name = json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "description": "The name of a group under `upstreams`." });
        json!({ "anyOf": [url_schema(), name, object] })
    }
}

fn url_schema() -> serde_json::Value {
    json!({ "type": "string", "pattern": "^(https?://|unix:/)", "examples": ["http://127.0.0.1:8080"] })
}

/// Whether this can only be the name of a group: a URL has a colon.
pub(crate) fn is_group_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

const SOCKET: &str = "unix:";

/// The upstream at a URL, and how it is verified where that begins with https://.
fn server(text: &str, at: Span, cx: &mut Context) -> Option<(Upstream, Option<UpstreamTlsSettings>)> {
    // SECURITY: a password may stand before the host, and the line is printed (a_password_in_an_upstream_url_is_not_shown).
    if text.contains('@') {
        cx.diagnostics.conceal(at);
    }
    let mut refuse = |message: &str, help: &str| {
        cx.error("config.upstream", at, message.to_owned()).help(help.to_owned());
        None
    };
    const FORM: &str = "write a URL such as `http://127.0.0.1:8080`";
    if let Some(path) = text.strip_prefix(SOCKET) {
        // The system takes no longer one.
        let fits = path.starts_with('/') && path.len() < 108 && !path.contains('\0');
        if !fits {
            return refuse(
                "this is not the path of a socket",
                "write an absolute path such as `unix:/run/app.sock`",
            );
        }
        return Some((Upstream::on_socket(PathBuf::from(path)), None));
    }
    let Ok(uri) = text.parse::<Uri>() else { return refuse("this is not a URL", FORM) };
    let (port, tls) = match uri.scheme_str() {
        Some("http") => (80, None),
        Some("https") => (443, Some(UpstreamTlsSettings::default())),
        None if !text.contains("://") && !text.contains('@') => {
            let said = "the URL of an upstream begins with `http://` or `https://`";
            return refuse(said, &format!("write `http://{text}`, or `https://{text}` for TLS"));
        }
        Some(_) | None => return refuse("the URL of an upstream begins with `http://` or `https://`", FORM),
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        let help = "remove them; `request_headers` of a route can set an `Authorization` header";
        return refuse("the URL of an upstream has no user and no password", help);
    }
    let Some(authority) = uri
        .authority()
        .filter(|authority| portcullis_core::head::host::canonical(authority.as_str()).is_ok())
    else {
        return refuse("the URL has no host that could be reached", FORM);
    };
    if uri.query().is_some() || text.contains('#') {
        return refuse("the URL of an upstream has no query and no fragment", FORM);
    }
    if authority.port_u16() == Some(0) {
        return refuse("port 0 cannot be reached", FORM);
    }
    let base = uri.path().trim_end_matches('/');
    if portcullis_core::route::pattern::foreign(base).is_some() {
        return refuse(
            "the path of the URL is a pattern, and would be sent as text",
            "write the path that all requests to this server begin with, or none",
        );
    }
    if !base.is_empty() && portcullis_core::head::path::canonical(base).as_deref() != Ok(base) {
        return refuse(
            "the path of the URL has more than one reading",
            "write it without dot segments, empty segments and needless escapes",
        );
    }
    let authority = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port));
    Some((Upstream { base_path: base.to_owned(), ..Upstream::new(authority) }, tls))
}
