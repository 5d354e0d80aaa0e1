//! Groups of servers that stand for each other.

use super::{UpstreamConfig, UpstreamObject, UpstreamTarget};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use portcullis_config::{
    Context, Decode, DecodeFields, Definitions, Node, ObjectSchema, Span, Spanned, Value, keyword, object,
};
use portcullis_proxy::{
    Balance, Canary, ConnectionCap, Eject, GroupServer, GroupState, HashBy, HealthCheck, Probe, Retry,
    UpstreamGroup,
};
use portcullis_store::Kept;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// More servers than these are no group.
const MOST_SERVERS: usize = 128;
const MOST_WEIGHT: u32 = 1000;
const MOST_ATTEMPTS: u32 = 10;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// The longest name of a gRPC service.
const LONGEST_SERVICE: usize = 127;

object! {
    /// A group of servers that stand for each other. A route uses it by `upstream: NAME`.
    pub struct UpstreamGroupConfig {
        /// The servers: URLs, or mappings as for the `upstream` of a route, with a `weight`. At least one, at most 128. All
        /// speak the same version of HTTP. Of a name with several addresses, each is a server.
        pub servers: Vec<ServerConfig>,
        /// Which server gets a request. Default: round_robin.
        pub balance: BalanceConfig = BalanceConfig(Balance::RoundRobin),
        /// Asks every server at an interval whether it is healthy. A server whose checks fail gets no requests, as long as
        /// another one is healthy. Default: servers are not asked.
        pub health_check: Option<HealthCheckConfig>,
        /// When a server that fails requests is left out for a time. Default: after 5 failures in a row, for 30s.
        pub eject: Option<EjectConfig>,
        /// When a request that failed is sent to another server. Default: after a failed connection, a reset or a timeout,
        /// once, and only if its effect cannot happen twice.
        pub retry: Option<RetryConfig>,
        /// Limits of the whole group. A request beyond them gets 503 with `Retry-After` at once. Default: none.
        pub limits: Option<GroupLimitsConfig>,
        /// How long a server that comes back, or is new after a reload, gets fewer requests than its weight says: at first a
        /// tenth, then more and more. Default: 0s.
        pub slow_start: Duration = Duration::ZERO,
        /// Another group that gets a part of the requests, such as a new version. Default: none.
        pub canary: Option<CanaryConfig>,
        /// Another group that gets copies of requests, without credentials. Its answers go nowhere. Default: none.
        pub mirror: Option<MirrorConfig>,
    }
}

object! {
    /// Another group that gets a part of the requests. Clients choose their headers and cookies; both groups are behind the
    /// same controls.
    pub struct CanaryConfig {
        /// The name of the group.
        pub upstream: Spanned<String>,
        /// The share of the requests that go there at random. Default: 0%.
        pub share: Percent = Percent(0),
        /// Requests with this header go there: one name with its value.
        pub header: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Requests with this cookie go there: one name with its value.
        pub cookie: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
    }
}

object! {
    /// Another group that gets copies of requests, after they were let through. Requests are not copied if their body is larger
    /// than 64 KiB, or still arriving when the answer begins.
    pub struct MirrorConfig {
        /// The name of the group.
        pub upstream: Spanned<String>,
        /// The share of the requests that are copied. Default: 100%.
        pub share: Percent = Percent(100),
        /// The maximum time of a copy. One that takes longer is given up. Default: 5s.
        pub timeout: Duration = Duration::from_secs(5),
    }
}

/// A server of a group.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The server.
    pub upstream: UpstreamConfig,
    /// Its share of the requests.
    pub weight: Spanned<u32>,
}

const WEIGHT: &str = "weight";

impl Decode for ServerConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let one = Spanned { value: 1, span: node.span };
        if !matches!(node.value, Value::Mapping(_)) {
            return UpstreamConfig::decode(node, cx).map(|upstream| ServerConfig { upstream, weight: one });
        }
        let mut fields = cx.fields(node)?;
        let weight = fields.optional::<Spanned<u32>>(WEIGHT, cx);
        let object = UpstreamObject::decode_fields(&mut fields, cx);
        fields.finish(cx)?;
        let (weight, object) = (weight?, object?);
        let upstream = UpstreamConfig::of_object(&object, node.span, cx)?;
        Some(ServerConfig { upstream, weight: weight.unwrap_or(one) })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let object = definitions.define::<Self>("UpstreamServer", |definitions| {
            let mut schema = ObjectSchema::new("A server of a group.");
            let weight = json!({ "type": "integer", "minimum": 0, "maximum": MOST_WEIGHT });
            let text = "Its share of the requests among the servers of its group, up to 1000. A server with 0 gets no new requests.";
            schema.property(WEIGHT, text, weight, Some(json!(1)), false);
            UpstreamObject::describe(&mut schema, definitions);
            schema.into_json()
        });
        json!({ "anyOf": [super::url_schema(), object] })
    }
}

keyword! {
    /// Which server of a group gets a request.
    enum BalanceWord {
        /// In turns, by weight.
        RoundRobin = "round_robin",
        /// Of two servers at random, the one with fewer requests for its weight.
        LeastRequests = "least_requests",
        /// At random, by weight.
        Random = "random",
    }
}

keyword! {
    /// What of a request decides which server it gets.
    enum HashWord {
        /// The client's address; of IPv6 the first 64 bits.
        Address = "address",
        /// The consumer, or the subject of a token.
        Consumer = "consumer",
    }
}

object! {
    /// A header or a cookie, one of the two. The client chooses its value, and so can aim at one server.
    struct HashValue {
        /// The name of a header.
        pub header: Option<Spanned<String>>,
        /// The name of a cookie.
        pub cookie: Option<Spanned<String>>,
    }
}

object! {
    /// Balances by a value of the request.
    struct BalanceObject {
        /// Requests with the same value go to the same server, as long as it is healthy: `address`, `consumer`, a header or a
        /// cookie. Requests without the value go in turns. If a server goes or comes, only its own requests move.
        pub hash: HashConfig,
    }
}

/// What decides which server a request gets.
#[derive(Clone, Debug)]
struct HashConfig(HashBy);

/// Which server a request gets.
#[derive(Clone, Debug)]
pub struct BalanceConfig(pub Balance);

impl Decode for HashConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if !matches!(node.value, Value::Mapping(_)) {
            return HashWord::decode(node, cx).map(|word| {
                HashConfig(match word {
                    HashWord::Address => HashBy::Address,
                    HashWord::Consumer => HashBy::Consumer,
                })
            });
        }
        let HashValue { header, cookie, .. } = HashValue::decode(node, cx)?;
        match (header, cookie) {
            (Some(header), None) => match HeaderName::try_from(&header.value) {
                Ok(name) => Some(HashConfig(HashBy::Header(name))),
                Err(_) => refuse(
                    cx,
                    header.span,
                    "this is not the name of a header",
                    "write a name such as `x-tenant`",
                ),
            },
            (None, Some(cookie)) if is_token(&cookie.value) => Some(HashConfig(HashBy::Cookie(cookie.value))),
            (None, Some(cookie)) => {
                refuse(cx, cookie.span, "this is not the name of a cookie", "write a name such as `session`")
            }
            (Some(_), Some(_)) | (None, None) => refuse(
                cx,
                node.span,
                "this names a header or a cookie, one of the two",
                "write `hash: { header: x-tenant }`",
            ),
        }
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [HashWord::schema(definitions), HashValue::schema(definitions)] })
    }
}

impl Decode for BalanceConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            let BalanceObject { hash, .. } = BalanceObject::decode(node, cx)?;
            return Some(BalanceConfig(Balance::Hash(hash.0)));
        }
        BalanceWord::decode(node, cx).map(|word| {
            BalanceConfig(match word {
                BalanceWord::RoundRobin => Balance::RoundRobin,
                BalanceWord::LeastRequests => Balance::LeastRequests,
                BalanceWord::Random => Balance::Random,
            })
        })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [BalanceWord::schema(definitions), BalanceObject::schema(definitions)] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        match self.0 {
            Balance::RoundRobin => Some(json!("round_robin")),
            Balance::LeastRequests => Some(json!("least_requests")),
            Balance::Random => Some(json!("random")),
            Balance::Hash(_) => None,
        }
    }
}

keyword! {
    /// What a health check asks.
    pub enum HealthCheckType {
        /// A `GET` of `path`.
        Http = "http",
        /// The gRPC health service. The servers speak `h2`.
        Grpc = "grpc",
        /// A connection, with TLS where the server has it.
        Tcp = "tcp",
    }
}

object! {
    /// How servers are asked whether they are healthy. The first check of a server decides alone.
    pub struct HealthCheckConfig {
        /// What is asked. Default: http.
        pub r#type: HealthCheckType = HealthCheckType::Http,
        /// The path that is asked with `GET`, below the path of the server's URL. Default: `/`.
        pub path: Option<Spanned<String>>,
        /// The status of a healthy server. Default: any from 200 to 399.
        pub status: Option<Spanned<u16>>,
        /// The gRPC service that is asked about. Default: the whole server.
        pub service: Option<Spanned<String>>,
        /// The time between two checks, at least 100ms. Default: 5s.
        pub interval: Duration = Duration::from_secs(5),
        /// The maximum time of a check. Default: 2s.
        pub timeout: Duration = Duration::from_secs(2),
        /// After how many failed checks in a row a server is unhealthy. Default: 3.
        pub unhealthy_after: NonZeroU32 = THREE,
        /// After how many good checks in a row it is healthy again. Default: 2.
        pub healthy_after: NonZeroU32 = TWO,
    }
}

object! {
    /// When a server that fails requests is left out. A request fails if there is no connection, no answer or none in time, and
    /// with the statuses 502, 503 and 504. Answers that break off are counted apart.
    pub struct EjectConfig {
        /// How many requests in a row must fail. Default: 5.
        pub failures: NonZeroU32 = FIVE,
        /// For how long the server is left out; each time in a row twice as long, up to ten times that. Then one request at a
        /// time finds out whether it is well. Default: 30s.
        pub r#for: Duration = Duration::from_secs(30),
        /// How many servers may be left out, including those whose health checks fail. `0%` switches it off. Default: 50%.
        pub at_most: Percent = Percent(50),
    }
}

object! {
    /// When a request is sent to another server. It never is after the client has had a part of an answer.
    pub struct RetryConfig {
        /// To how many servers a request is sent at most, up to 10. Servers that cannot be reached do not count as long as
        /// there is another one. `1` switches retries off. Default: 2.
        pub attempts: Spanned<NonZeroU32> = Spanned { value: TWO, span: Span::NONE },
        /// After what: `connect` (no connection), `reset` (it ended before the answer), `timeout` (no answer in time), or a
        /// status from 500 to 599. Default: connect, reset and timeout.
        pub on: Option<Vec<RetryReason>>,
        /// The methods of requests that may be sent again although a server may have acted on them. Bodies beyond 64 KiB are
        /// never sent again. Default: GET, HEAD, OPTIONS, PUT and DELETE.
        pub methods: Option<Vec<Spanned<String>>>,
        /// The maximum time of one try. Default: the timeouts of the server.
        pub try_timeout: Option<Duration>,
        /// The maximum share of retries among the requests of the last ten seconds, over all workers. Ten retries a second are
        /// free. Default: 20%.
        pub budget: Percent = Percent(20),
    }
}

object! {
    /// Limits of a group.
    pub struct GroupLimitsConfig {
        /// The maximum number of requests at once. Default: no limit.
        pub max_requests: Option<NonZeroU32>,
        /// The maximum number of connections to each server. Default: no limit.
        pub max_connections: Option<NonZeroU32>,
    }
}

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

const TWO: NonZeroU32 = number(2);
const THREE: NonZeroU32 = number(3);
const FIVE: NonZeroU32 = number(5);

/// A share, such as `20%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u8);

impl Decode for Percent {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::String(text) = &node.value else {
            cx.wrong_type(node, "a percentage").help("write a whole number with a `%`, such as `20%`");
            return None;
        };
        let number = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
        match number.filter(|number| *number <= 100) {
            Some(number) => Some(Percent(number)),
            None => refuse(cx, node.span, "this is not a percentage", "write `0%` to `100%`"),
        }
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[0-9]{1,3}%$", "examples": ["20%"] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(json!(format!("{}%", self.0)))
    }
}

keyword! {
    /// What went wrong with a request.
    enum RetryWord {
        /// There was no connection.
        Connect = "connect",
        /// The connection ended before the answer.
        Reset = "reset",
        /// There was no answer in time.
        Timeout = "timeout",
    }
}

/// After what a request is sent to another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// No connection.
    Connect,
    /// The connection ended.
    Reset,
    /// No answer in time.
    Timeout,
    /// This status.
    Status(StatusCode),
}

impl Decode for RetryReason {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let status = match &node.value {
            Value::Integer(_) => Some(u16::decode(node, cx)?),
            Value::String(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
                text.parse().ok().or(Some(0))
            }
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Float(_)
            | Value::Sequence(_)
            | Value::Mapping(_) => None,
        };
        let Some(status) = status else {
            return RetryWord::decode(node, cx).map(|word| match word {
                RetryWord::Connect => RetryReason::Connect,
                RetryWord::Reset => RetryReason::Reset,
                RetryWord::Timeout => RetryReason::Timeout,
            });
        };
        let server_error =
            StatusCode::from_u16(status).ok().filter(|status| (500..600).contains(&status.as_u16()));
        match server_error {
            Some(status) => Some(RetryReason::Status(status)),
            None => refuse(
                cx,
                node.span,
                "this is not the status of a server error",
                "write a status from 500 to 599, such as `503`",
            ),
        }
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [
            RetryWord::schema(definitions),
            { "type": "integer", "minimum": 500, "maximum": 599 },
            { "type": "string", "pattern": "^5[0-9][0-9]$", "examples": ["503"] },
        ] })
    }
}

const CODE: &str = "config.upstream_group";

fn refuse<T>(cx: &mut Context, at: Span, message: impl Into<String>, help: &str) -> Option<T> {
    cx.error(CODE, at, message).help(help.to_owned());
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && HeaderName::try_from(text).is_ok()
}

impl CanaryConfig {
    /// What goes to this group. `None` means that an error was pushed.
    pub(crate) fn compile(&self, group: Arc<UpstreamGroup>, cx: &mut Context) -> Option<Canary> {
        if self.share.0 == 0 && self.header.is_empty() && self.cookie.is_empty() {
            return refuse(
                cx,
                self.at,
                "no request goes to the canary",
                "write a `share`, a `header` or a `cookie`",
            );
        }
        if self.header.len() > 1 || self.cookie.len() > 1 {
            return refuse(cx, self.at, "this names several headers or cookies", "name one of each");
        }
        let mut header = None;
        if let Some((name, value)) = self.header.first_key_value() {
            let both = (HeaderName::try_from(name), HeaderValue::try_from(&value.value));
            let (Ok(name), Ok(text)) = both else {
                return refuse(
                    cx,
                    value.span,
                    "this is not a header with a value",
                    "write `header: { x-canary: \"1\" }`",
                );
            };
            header = Some((name, text));
        }
        let cookie = self.cookie.first_key_value();
        if let Some((_, value)) =
            cookie.filter(|(name, value)| !is_token(name) || value.value.contains([';', ',', ' ']))
        {
            return refuse(
                cx,
                value.span,
                "this is not a cookie with a value",
                "write `cookie: { canary: \"1\" }`",
            );
        }
        let cookie = cookie.map(|(name, value)| (name.clone(), value.value.clone()));
        Some(Canary { group, share: self.share.0, header, cookie })
    }
}

impl UpstreamGroupConfig {
    /// The group of this name. `None` means that an error was pushed.
    pub(crate) fn compile(&self, name: &str, kept: &Kept, cx: &mut Context) -> Option<UpstreamGroup> {
        let state = kept.keep(&format!("upstream group {name}"), GroupState::default);
        let servers = self.servers(&state, kept, cx);
        let retry = match &self.retry {
            None => Some(RetryConfig::unwritten()),
            Some(retry) => retry.compile(cx),
        };
        let health_check = match &self.health_check {
            None => Some(None),
            Some(check) => check.compile(servers.as_deref().unwrap_or_default(), cx).map(Some),
        };
        let eject = match &self.eject {
            Some(eject) if eject.r#for.is_zero() => refuse(
                cx,
                eject.at,
                "the time must be greater than zero",
                "write `at_most: 0%` to switch it off",
            ),
            Some(eject) => Some((eject.failures, eject.r#for, eject.at_most)),
            None => Some((FIVE, Duration::from_secs(30), Percent(50))),
        };
        let (failures, time, Percent(at_most)) = eject?;
        Some(UpstreamGroup {
            name: Arc::from(name),
            servers: servers?,
            balance: self.balance.0.clone(),
            eject: Eject { failures: failures.get(), time, at_most },
            retry: retry?,
            max_requests: self.limits.as_ref().and_then(|limits| limits.max_requests).map(NonZeroU32::get),
            slow_start: self.slow_start,
            health_check: health_check?,
            canary: None,
            mirror: None,
            state,
        })
    }

    fn servers(&self, state: &GroupState, kept: &Kept, cx: &mut Context) -> Option<Vec<GroupServer>> {
        if self.servers.is_empty() || self.servers.len() > MOST_SERVERS {
            return refuse(
                cx,
                self.at,
                format!("a group has 1 to {MOST_SERVERS} servers"),
                "write `servers: [\"http://10.0.0.1:8080\"]`",
            );
        }
        if self.servers.iter().all(|server| server.weight.value == 0) {
            return refuse(
                cx,
                self.at,
                "no server of the group has a weight",
                "give one of them a `weight` of 1 or more",
            );
        }
        let max_connections =
            self.limits.as_ref().and_then(|limits| limits.max_connections).map(NonZeroU32::get);
        let mut urls = BTreeSet::new();
        let mut servers = Vec::with_capacity(self.servers.len());
        let mut http2 = None;
        for ServerConfig { upstream, weight } in &self.servers {
            if weight.value > MOST_WEIGHT {
                return refuse(
                    cx,
                    weight.span,
                    "the weight is out of range",
                    "write a whole number from 0 to 1000",
                );
            }
            let UpstreamTarget::Server(server) = &upstream.target else {
                return refuse(
                    cx,
                    upstream.at,
                    "this is not a server",
                    "write a URL such as `http://10.0.0.1:8080`",
                );
            };
            let mut server = portcullis_proxy::Upstream::clone(server);
            server.tls = upstream.compile_tls(kept, cx)?;
            if *http2.get_or_insert(server.http2) != server.http2 {
                return refuse(
                    cx,
                    upstream.at,
                    "the servers of a group speak one version of HTTP",
                    "give all of them the same `protocol`",
                );
            }
            let url = url_of(&server);
            if !urls.insert(url.clone()) {
                return refuse(
                    cx,
                    upstream.at,
                    "this server stands in the group twice",
                    "write it once, with a `weight`",
                );
            }
            let state = state.server(&url);
            server.max_connections =
                max_connections.map(|most| ConnectionCap { most, open: state.connections() });
            servers.push(GroupServer { state, url, upstream: server, weight: weight.value });
        }
        Some(servers)
    }
}

/// How a server is called: its URL, or its socket.
pub(crate) fn url_of(server: &portcullis_proxy::Upstream) -> String {
    match &server.socket {
        Some(socket) => format!("unix:{}", socket.display()),
        None => {
            let scheme = if server.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{}{}", server.authority, server.base_path)
        }
    }
}

impl RetryConfig {
    /// What holds where nothing is written.
    fn unwritten() -> Retry {
        Retry {
            attempts: TWO.get(),
            on_connect: true,
            on_reset: true,
            on_timeout: true,
            on_status: Vec::new(),
            methods: vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE],
            try_timeout: None,
            budget: 20,
        }
    }

    fn compile(&self, cx: &mut Context) -> Option<Retry> {
        let mut retry = RetryConfig::unwritten();
        retry.attempts = self.attempts.value.get();
        if retry.attempts > MOST_ATTEMPTS {
            return refuse(
                cx,
                self.attempts.span,
                "these are too many attempts",
                "write a number from 1 to 10",
            );
        }
        if self.try_timeout.is_some_and(|time| time.is_zero()) {
            return refuse(
                cx,
                self.at,
                "the timeout must be greater than zero",
                "write a duration such as `2s`, or leave the key out",
            );
        }
        retry.try_timeout = self.try_timeout;
        retry.budget = self.budget.0;
        if let Some(reasons) = &self.on {
            retry.on_connect = reasons.contains(&RetryReason::Connect);
            retry.on_reset = reasons.contains(&RetryReason::Reset);
            retry.on_timeout = reasons.contains(&RetryReason::Timeout);
            let status = |reason: &RetryReason| match reason {
                RetryReason::Status(status) => Some(*status),
                RetryReason::Connect | RetryReason::Reset | RetryReason::Timeout => None,
            };
            retry.on_status = reasons.iter().filter_map(status).collect();
        }
        if let Some(methods) = &self.methods {
            retry.methods = Vec::with_capacity(methods.len());
            for method in methods {
                let Ok(known) = Method::try_from(method.value.as_str()) else {
                    return refuse(cx, method.span, "this is not a method", "write a method such as `POST`");
                };
                retry.methods.push(known);
            }
        }
        Some(retry)
    }
}

impl HealthCheckConfig {
    fn compile(&self, servers: &[GroupServer], cx: &mut Context) -> Option<HealthCheck> {
        if self.interval < SHORTEST_INTERVAL || self.timeout.is_zero() {
            return refuse(
                cx,
                self.at,
                "an interval is at least 100ms, and a timeout greater than zero",
                "write durations such as `5s`",
            );
        }
        let moot = [
            ("path", self.path.as_ref().map(|path| path.span), HealthCheckType::Http),
            ("status", self.status.as_ref().map(|status| status.span), HealthCheckType::Http),
            ("service", self.service.as_ref().map(|service| service.span), HealthCheckType::Grpc),
        ];
        for (key, at, kind) in moot {
            if let Some(at) = at.filter(|_| kind != self.r#type) {
                let message = format!("`{key}` has no effect with `type: {}`", self.r#type.as_str());
                return refuse(cx, at, message, "remove it, or change `type`");
            }
        }
        let probe = match self.r#type {
            HealthCheckType::Tcp => Probe::Tcp,
            HealthCheckType::Grpc => {
                if servers.iter().any(|server| !server.upstream.http2) {
                    return refuse(cx, self.at, "gRPC needs HTTP/2", "give every server `protocol: h2`");
                }
                let service = self.service.as_ref().map(|service| service.value.clone()).unwrap_or_default();
                if service.len() > LONGEST_SERVICE {
                    let at = self.service.as_ref().map_or(self.at, |service| service.span);
                    return refuse(
                        cx,
                        at,
                        "the name of the service is too long",
                        "write a name of up to 127 bytes",
                    );
                }
                Probe::Grpc { service }
            }
            HealthCheckType::Http => {
                let path = self.path.as_ref().map_or("/", |path| path.value.as_str());
                let sane = path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok();
                if !sane {
                    let at = self.path.as_ref().map_or(self.at, |path| path.span);
                    return refuse(cx, at, "this is not a path", "write a path such as `/healthz`");
                }
                let expect = match &self.status {
                    None => 200..=399,
                    Some(status) if (200..600).contains(&status.value) => status.value..=status.value,
                    Some(status) => {
                        return refuse(
                            cx,
                            status.span,
                            "this is not a status",
                            "write a status such as `200`",
                        );
                    }
                };
                Probe::Http { path: path.to_owned(), expect }
            }
        };
        Some(HealthCheck {
            probe,
            interval: self.interval,
            timeout: self.timeout,
            unhealthy_after: self.unhealthy_after.get(),
            healthy_after: self.healthy_after.get(),
        })
    }
}
