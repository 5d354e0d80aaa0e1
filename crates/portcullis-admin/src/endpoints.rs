//! Everything that the admin listener serves: one table, from which the dispatch, the access rules and the OpenAPI document come.

use crate::desk;
use crate::gateway::Gateway;
use crate::guard::Caller;
use crate::once::Once;
use crate::pages;
use crate::problem::Problem;
use crate::scrape;
use crate::server::{Asked, text};
use crate::tokens::Role;
use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_core::{Level, OperationUse};
use portcullis_telemetry::detect::{DETECTORS, Finding, Severity};
use portcullis_telemetry::metrics::counted::Ending;
use portcullis_telemetry::metrics::histogram::Histogram;
use portcullis_telemetry::recent::Refusal;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What is asked or ordered.
pub(crate) struct Call<'a> {
    pub(crate) gateway: &'a Arc<dyn Gateway>,
    pub(crate) asked: &'a Asked,
    /// What stands in the place of `{…}` in the path.
    pub(crate) parameter: Option<&'a str>,
    /// Who asks; `None` where nobody has to say.
    pub(crate) caller: Option<&'a Caller>,
    /// What a page may show once.
    pub(crate) once: &'a Once,
}

/// How an endpoint answers.
pub(crate) enum Does {
    /// With JSON, from what is known.
    Tells(fn(&Call<'_>) -> Result<Value, Problem>),
    /// With JSON, after something was done or asked elsewhere.
    Orders(for<'a> fn(&'a Call<'a>) -> Later<'a, Value>),
    /// With something else: a page, a style sheet, metrics.
    Shows(fn(&Call<'_>) -> Result<Response<Bytes>, Problem>),
    /// With such a thing, after something was done or asked elsewhere.
    ShowsLater(for<'a> fn(&'a Call<'a>) -> Later<'a, Response<Bytes>>),
}

/// An answer that comes later.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// An endpoint.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// At most one segment is `{…}`.
    pub(crate) path: &'static str,
    /// What the caller must be; `None` where anybody may ask.
    pub(crate) role: Option<Role>,
    pub(crate) summary: &'static str,
    pub(crate) does: Does,
}

const fn endpoint(
    method: &'static str,
    path: &'static str,
    role: Option<Role>,
    summary: &'static str,
    does: Does,
) -> Endpoint {
    Endpoint { method, path, role, summary, does }
}

const ANYBODY: Option<Role> = None;
const READ: Option<Role> = Some(Role::ReadOnly);
const OPERATE: Option<Role> = Some(Role::Operator);

pub(crate) const METRICS: &str = "/metrics";

/// All of them.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    endpoint("GET", "/healthz", ANYBODY, "Whether the process answers.", Does::Shows(healthz)),
    endpoint(
        "GET",
        "/readyz",
        ANYBODY,
        "Whether the gateway serves requests (503 if not).",
        Does::Shows(readyz),
    ),
    endpoint(
        "GET",
        "/openapi.json",
        ANYBODY,
        "This description.",
        Does::Tells(|_| Ok(crate::openapi::document())),
    ),
    endpoint("GET", METRICS, READ, "Metrics in the text format of Prometheus.", Does::Shows(metrics)),
    endpoint(
        "GET",
        "/api/v1/status",
        READ,
        "The running configuration: generation, digest, addresses, last failed reload.",
        Does::Tells(|call| Ok(call.gateway.status())),
    ),
    endpoint(
        "GET",
        "/api/v1/configuration",
        READ,
        "The configuration as it took effect, without secrets.",
        Does::Tells(|call| Ok(call.gateway.configuration())),
    ),
    endpoint(
        "GET",
        "/api/v1/routes",
        READ,
        "The routes, each with its controls in the order in which they run.",
        Does::Tells(|call| Ok(json!({ "routes": call.gateway.routes() }))),
    ),
    endpoint(
        "GET",
        "/api/v1/operations",
        READ,
        "The operations of OpenAPI documents: used, never used, deprecated and still used, and asked for without being declared.",
        Does::Tells(|call| Ok(operations_json(&call.gateway.operations()))),
    ),
    endpoint(
        "GET",
        "/api/v1/consumers",
        READ,
        "The consumers of the configuration and of the store.",
        Does::Orders(|call| Box::pin(desk::list_consumers(call))),
    ),
    endpoint(
        "POST",
        "/api/v1/consumers",
        OPERATE,
        "Add a consumer to the store. Body: `name`, `roles`, `scopes`, `plan`, `note`.",
        Does::Orders(|call| Box::pin(desk::create_consumer(call))),
    ),
    endpoint(
        "DELETE",
        "/api/v1/consumers",
        OPERATE,
        "Remove a consumer from the store, and revoke its keys. Query: `name`.",
        Does::Orders(|call| Box::pin(desk::delete_consumer(call))),
    ),
    endpoint(
        "GET",
        "/api/v1/keys",
        READ,
        "The keys of the store, without the keys themselves. Query: `consumer`, `limit` (100), `after` (the last `id`).",
        Does::Orders(|call| Box::pin(desk::list_keys(call))),
    ),
    endpoint(
        "POST",
        "/api/v1/keys",
        OPERATE,
        "Make a key; the answer alone has it. Body: `consumer`, `expires`, `roles`, `scopes`, `plan`, `addresses`, `routes`, `note`.",
        Does::Orders(|call| Box::pin(desk::create_key(call))),
    ),
    endpoint(
        "GET",
        "/api/v1/keys/{id}",
        READ,
        "What the store knows of a key.",
        Does::Orders(|call| Box::pin(desk::show_key(call))),
    ),
    endpoint(
        "DELETE",
        "/api/v1/keys/{id}",
        OPERATE,
        "Revoke a key.",
        Does::Orders(|call| Box::pin(desk::revoke_key(call))),
    ),
    endpoint(
        "POST",
        "/api/v1/keys/{id}/rotate",
        OPERATE,
        "Make a key in the place of this one. Body: `overlap` (`24h`), `expires`.",
        Does::Orders(|call| Box::pin(desk::rotate_key(call))),
    ),
    endpoint(
        "GET",
        "/api/v1/upstreams",
        READ,
        "The groups of upstreams, with the state of each server.",
        Does::Tells(|call| Ok(json!({ "upstreams": call.gateway.upstreams() }))),
    ),
    endpoint(
        "GET",
        "/api/v1/certificates",
        READ,
        "The certificates of the listeners.",
        Does::Tells(|call| Ok(json!({ "certificates": call.gateway.certificates() }))),
    ),
    endpoint(
        "GET",
        "/api/v1/counters",
        READ,
        "Requests since the start, by route and by consumer.",
        Does::Tells(|call| Ok(counters(call.gateway.as_ref()))),
    ),
    endpoint(
        "GET",
        "/api/v1/history",
        READ,
        "Requests of the last hour, in steps of five seconds.",
        Does::Tells(|call| Ok(history(call.gateway.as_ref()))),
    ),
    endpoint(
        "GET",
        "/api/v1/sources",
        READ,
        "The addresses that send most, estimated.",
        Does::Tells(|call| Ok(sources(call.gateway.as_ref()))),
    ),
    endpoint(
        "GET",
        "/api/v1/refusals",
        READ,
        "Recent refusals, the latest first. Query: `limit` (100), `code`.",
        Does::Tells(refusals),
    ),
    endpoint(
        "GET",
        "/api/v1/refusals/{request_id}",
        READ,
        "Why this request was refused.",
        Does::Tells(|call| why(call.gateway.as_ref(), call.parameter.unwrap_or_default())),
    ),
    endpoint(
        "GET",
        "/api/v1/findings",
        READ,
        "Suspicious activity, the latest first, with its evidence. Query: `limit` (100), `open`, `detector`, `severity`.",
        Does::Tells(findings),
    ),
    endpoint(
        "GET",
        "/api/v1/findings/{id}",
        READ,
        "One finding.",
        Does::Tells(|call| {
            let id = call.parameter.unwrap_or_default();
            finding(call, id).map(|finding| json!(finding))
        }),
    ),
    endpoint(
        "GET",
        "/api/v1/detectors",
        READ,
        "The detectors: what each of them finds, and from when on.",
        Does::Tells(|_| Ok(detectors())),
    ),
    endpoint(
        "GET",
        "/api/v1/blocks",
        READ,
        "The addresses that are blocked, and consumers at an address.",
        Does::Tells(|call| Ok(json!({ "blocks": call.gateway.blocks() }))),
    ),
    endpoint(
        "POST",
        "/api/v1/blocks",
        OPERATE,
        "Block an address. Body: `source`, `minutes` (60), `reason`.",
        Does::Tells(block),
    ),
    endpoint(
        "DELETE",
        "/api/v1/blocks/{source}",
        OPERATE,
        "End a block.",
        Does::Tells(|call| unblock(call, call.parameter.unwrap_or_default())),
    ),
    endpoint(
        "GET",
        "/api/v1/log-level",
        READ,
        "Which notices reach standard error and the access log: `info` and above, `warning`, or `off`.",
        Does::Tells(|call| Ok(log_level(call))),
    ),
    endpoint(
        "PUT",
        "/api/v1/log-level",
        OPERATE,
        "Change that until the process ends. Body: `level`.",
        Does::Tells(set_log_level),
    ),
    endpoint(
        "GET",
        "/api/v1/audit",
        READ,
        "The last checkpoint of the audit log, for `portcullis audit verify --head` (404 without an audit log).",
        Does::Tells(audit),
    ),
    endpoint(
        "POST",
        "/api/v1/reload",
        OPERATE,
        "Read the configuration file again (409 if that fails).",
        Does::Orders(|call| Box::pin(reload(call))),
    ),
    endpoint("GET", "/", READ, "The dashboard.", Does::Shows(pages::overview)),
    endpoint(
        "GET",
        "/refusals",
        READ,
        "Recent refusals, and why a request was refused.",
        Does::Shows(pages::refusals),
    ),
    endpoint(
        "GET",
        "/findings",
        READ,
        "Suspicious activity with its evidence.",
        Does::Shows(pages::findings),
    ),
    endpoint("GET", "/sources", READ, "Addresses and blocks.", Does::Shows(pages::sources)),
    endpoint(
        "GET",
        "/consumers",
        READ,
        "Consumers.",
        Does::ShowsLater(|call| Box::pin(pages::consumers(call))),
    ),
    endpoint(
        "POST",
        "/consumers/add",
        OPERATE,
        "Add a consumer, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::add_consumer(call))),
    ),
    endpoint(
        "POST",
        "/consumers/remove",
        OPERATE,
        "Remove a consumer, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::remove_consumer(call))),
    ),
    endpoint("GET", "/keys", READ, "Keys.", Does::ShowsLater(|call| Box::pin(pages::keys(call)))),
    endpoint(
        "POST",
        "/keys/create",
        OPERATE,
        "Make a key, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::create_key(call))),
    ),
    endpoint(
        "GET",
        "/keys/made",
        OPERATE,
        "The key that was made a moment ago, once.",
        Does::Shows(pages::made_key),
    ),
    endpoint(
        "POST",
        "/keys/rotate",
        OPERATE,
        "Make a key in the place of another one, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::rotate_key(call))),
    ),
    endpoint(
        "POST",
        "/keys/revoke",
        OPERATE,
        "Revoke a key, from a page.",
        Does::ShowsLater(|call| Box::pin(pages::revoke_key(call))),
    ),
    endpoint("GET", "/routes", READ, "Routes and controls.", Does::Shows(pages::routes)),
    endpoint(
        "GET",
        "/operations",
        READ,
        "Operations of OpenAPI documents, and what is asked for beside them.",
        Does::Shows(pages::operations),
    ),
    endpoint(
        "GET",
        "/gateway",
        READ,
        "Configuration, listeners, certificates, upstreams.",
        Does::Shows(pages::gateway),
    ),
    endpoint("POST", "/sources/block", OPERATE, "Block an address, from a page.", Does::Shows(pages::block)),
    endpoint("POST", "/sources/unblock", OPERATE, "End a block, from a page.", Does::Shows(pages::unblock)),
    endpoint(
        "GET",
        "/assets/style.css",
        ANYBODY,
        "The style sheet of the dashboard.",
        Does::Shows(pages::style),
    ),
    endpoint("GET", "/assets/icon.svg", ANYBODY, "The picture of a tab.", Does::Shows(pages::icon)),
    endpoint(
        "GET",
        "/assets/live.js",
        ANYBODY,
        "The script that keeps a page up to date.",
        Does::Shows(pages::script),
    ),
];

fn healthz(_: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    Ok(text(StatusCode::OK, "ok\n".to_owned()))
}

fn readyz(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    match call.gateway.is_ready() {
        true => Ok(text(StatusCode::OK, "ready\n".to_owned())),
        false => Ok(text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())),
    }
}

fn metrics(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    Ok(scrape::metrics_answer(call.gateway.metrics()))
}

fn counters(gateway: &dyn Gateway) -> Value {
    let metrics = &gateway.watch().metrics;
    let counted = metrics.total();
    let requests: Vec<_> = counted
        .requests
        .iter()
        .map(|(key, count)| {
            json!({
                "route": &*metrics.route(key.route), "status": key.status, "outcome": key.ending.as_str(),
                "code": key.code.map(|code| code.as_str()), "count": count,
            })
        })
        .collect();
    let consumers: Vec<_> = counted
        .consumers
        .iter()
        .map(|((consumer, ending), count)| {
            json!({ "consumer": &*metrics.consumer(*consumer), "outcome": ending.as_str(), "count": count })
        })
        .collect();
    json!({ "requests": requests, "consumers": consumers })
}

fn history(gateway: &dyn Gateway) -> Value {
    let samples: Vec<_> = gateway
        .watch()
        .history
        .samples()
        .into_iter()
        .map(|sample| {
            let endings: serde_json::Map<String, Value> = Ending::ALL
                .iter()
                .map(|ending| {
                    let count = sample.endings.get(ending).copied().unwrap_or(0);
                    (ending.as_str().to_owned(), count.into())
                })
                .collect();
            let p99 = |histogram: &Histogram| histogram.quantile(0.99).filter(|value| value.is_finite());
            json!({
                "at": sample.at, "outcomes": endings, "refusals": sample.refusals,
                "gateway_p99_seconds": p99(&sample.gateway), "upstream_p99_seconds": p99(&sample.upstream),
            })
        })
        .collect();
    json!({ "interval_seconds": portcullis_telemetry::history::INTERVAL.as_secs(), "samples": samples })
}

fn sources(gateway: &dyn Gateway) -> Value {
    let top: Vec<_> = gateway
        .watch()
        .sources
        .top(100)
        .into_iter()
        .map(|(source, traffic)| {
            json!({ "source": source, "requests": traffic.requests, "refused": traffic.refused })
        })
        .collect();
    json!({ "sources": top })
}

/// The record of a refusal, with what its code means.
pub(crate) fn explained(gateway: &dyn Gateway, refusal: &Refusal) -> Value {
    let mut record: Value = serde_json::from_str(&refusal.line).unwrap_or_default();
    if let Some(record) = record.as_object_mut() {
        record.insert("code".into(), refusal.code.as_str().into());
        record.insert("observed_only".into(), refusal.observed.into());
        record.insert("meaning".into(), gateway.meaning(refusal.code.as_str()).into());
    }
    record
}

fn refusals(call: &Call<'_>) -> Result<Value, Problem> {
    let bad = |what| Problem::new(StatusCode::BAD_REQUEST, what);
    let (mut limit, mut code) = (100, None);
    let query = call.asked.request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=1000).contains(limit))
                    .ok_or_else(|| bad("`limit` is a number from 1 to 1000"))?;
            }
            "code" => code = Some(value.into_owned()),
            _ => return Err(bad("the query may have `limit` and `code`")),
        }
    }
    let wanted = |one: &Refusal| code.as_ref().is_none_or(|code| code == one.code.as_str());
    let found = call.gateway.watch().recent.last(limit, wanted);
    let found: Vec<_> = found.iter().map(|one| explained(call.gateway.as_ref(), one)).collect();
    Ok(json!({ "refusals": found }))
}

fn findings(call: &Call<'_>) -> Result<Value, Problem> {
    let bad = |what| Problem::new(StatusCode::BAD_REQUEST, what);
    let (mut limit, mut open, mut detector, mut severity) = (100, None, None, None);
    let query = call.asked.request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=1000).contains(limit))
                    .ok_or_else(|| bad("`limit` is a number from 1 to 1000"))?;
            }
            "open" => {
                open = Some(value.parse::<bool>().map_err(|_| bad("`open` is `true` or `false`"))?);
            }
            "detector" => detector = Some(value.into_owned()),
            "severity" => {
                let found = Severity::ALL.into_iter().find(|one| one.as_str() == value);
                severity = Some(found.ok_or_else(|| bad("`severity` is `low`, `medium` or `high`"))?);
            }
            _ => return Err(bad("the query may have `limit`, `open`, `detector` and `severity`")),
        }
    }
    let Some(detection) = call.gateway.detection() else {
        return Ok(json!({ "detection": "off", "findings": [] }));
    };
    let mut found = detection.findings();
    found.retain(|one| {
        open.is_none_or(|open| one.open == open)
            && detector.as_ref().is_none_or(|name| one.detector == *name)
            && severity.is_none_or(|severity| one.severity == severity)
    });
    found.truncate(limit);
    Ok(json!({ "detection": "on", "findings": found }))
}

/// The finding with this id.
///
/// # Errors
/// No finding has this id.
pub(crate) fn finding(call: &Call<'_>, id: &str) -> Result<Finding, Problem> {
    let all = call.gateway.detection().map(|detection| detection.findings()).unwrap_or_default();
    let found = all.into_iter().find(|finding| finding.id == id);
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no finding with this id"))
}

fn detectors() -> Value {
    let all: Vec<_> = DETECTORS
        .iter()
        .map(|kind| json!({ "name": kind.name, "finds": kind.finds, "threshold": kind.threshold }))
        .collect();
    json!({ "detectors": all })
}

/// Why a request was refused.
///
/// # Errors
/// Nothing is known of it.
pub fn why(gateway: &dyn Gateway, id: &str) -> Result<Value, Problem> {
    let found = gateway.watch().recent.find(id).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no recent refusal has this request id; look for it in the access log",
        )
    })?;
    Ok(explained(gateway, &found))
}

/// The object of a body in JSON, with these members alone.
pub(crate) fn object(call: &Call<'_>, members: &[&str]) -> Result<serde_json::Map<String, Value>, Problem> {
    let bad = |what: String| Problem::new(StatusCode::BAD_REQUEST, what);
    let headers = call.asked.request.headers();
    // SECURITY: a form of another site can send this without asking; JSON it cannot (hostile_requests_are_refused_or_harmless).
    let json = headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        })
    });
    if !json {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    let Members(object) = serde_json::from_slice(call.asked.request.body())
        .map_err(|error| bad(format!("the body is not a JSON object with each member once: {error}")))?;
    match object.keys().find(|key| !members.contains(&key.as_str())) {
        Some(_) => Err(bad(format!("the body may have {}", members.join(", ")))),
        None => Ok(object),
    }
}

/// The members of a JSON object, each of which stands there once.
struct Members(serde_json::Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = serde_json::Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    // SECURITY: which of two values an order means is not to be guessed (hostile_requests_are_refused_or_harmless).
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member stands there twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

fn block(call: &Call<'_>) -> Result<Value, Problem> {
    let body = object(call, &["source", "minutes", "reason"])?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let minutes = body.get("minutes").map_or(Some(60), Value::as_u64);
    order_block(call, text("source"), minutes, text("reason"))?;
    Ok(json!({ "blocks": call.gateway.blocks() }))
}

/// Blocks an address for so many minutes.
///
/// # Errors
/// What is wrong with the order.
pub(crate) fn order_block(
    call: &Call<'_>,
    source: &str,
    minutes: Option<u64>,
    reason: &str,
) -> Result<(), Problem> {
    let bad = |what: &str| Problem::new(StatusCode::BAD_REQUEST, what);
    let source = address(source)?;
    let minutes = minutes
        .filter(|minutes| (1..=30 * 24 * 60).contains(minutes))
        .ok_or_else(|| bad("`minutes` is a number from 1 to 43200"))?;
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > 200 || reason.chars().any(char::is_control) {
        return Err(bad("`reason` says in 1 to 200 bytes why"));
    }
    let time = Duration::from_secs(minutes * 60);
    call.gateway.block(source, time, reason).map_err(|why| Problem::new(StatusCode::CONFLICT, why))?;
    call.gateway.tell(&format!("{} blocked {source} for {minutes} min: {reason}", by(call)));
    Ok(())
}

pub(crate) fn unblock(call: &Call<'_>, source: &str) -> Result<Value, Problem> {
    let source = address(source)?;
    if !call.gateway.unblock(source) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "this address is not blocked"));
    }
    call.gateway.tell(&format!("{} ended the block of {source}", by(call)));
    Ok(json!({ "blocks": call.gateway.blocks() }))
}

fn address(source: &str) -> Result<IpAddr, Problem> {
    source.parse().map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "`source` is an IP address"))
}

/// What there is to say of an operation.
pub(crate) fn standing(operation: &OperationUse) -> &'static str {
    match (operation.declared, operation.deprecated, operation.last_used.is_some()) {
        (false, _, _) => "undeclared",
        (true, true, true) => "deprecated_used",
        (true, false, true) => "used",
        (true, true, false) => "deprecated_unused",
        (true, false, false) => "unused",
    }
}

/// Operations as the API tells them.
pub fn operations_json(operations: &[OperationUse]) -> Value {
    let all: Vec<_> = operations
        .iter()
        .map(|one| {
            json!({
                "document": one.document, "method": one.method, "path": one.path, "id": one.id,
                "standing": standing(one), "last_used": one.last_used,
            })
        })
        .collect();
    json!({ "operations": all })
}

fn log_level(call: &Call<'_>) -> Value {
    json!({ "level": call.gateway.log_level().map_or("off", Level::as_str) })
}

fn set_log_level(call: &Call<'_>) -> Result<Value, Problem> {
    let body = object(call, &["level"])?;
    let word = body.get("level").and_then(Value::as_str).unwrap_or_default();
    let level = Level::ALL.into_iter().find(|level| level.as_str() == word);
    if level.is_none() && word != "off" {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "`level` is `info`, `warning` or `off`"));
    }
    let told = format!("{} set the log level to {word}", by(call));
    call.gateway.tell(&told);
    call.gateway.set_log_level(level);
    Ok(log_level(call))
}

fn audit(call: &Call<'_>) -> Result<Value, Problem> {
    match call.gateway.audit_head() {
        Some((entry, hash)) => Ok(json!({ "entry": entry, "hash": hash })),
        None => {
            Err(Problem::new(StatusCode::NOT_FOUND, "there is no audit log, or it has no checkpoint yet"))
        }
    }
}

async fn reload(call: &Call<'_>) -> Result<Value, Problem> {
    call.gateway.tell(&format!("{} ordered a reload", by(call)));
    call.gateway.reload().await.map_err(|why| Problem::new(StatusCode::CONFLICT, why))
}

/// Who, for the audit log.
pub(crate) fn by(call: &Call<'_>) -> String {
    let peer = call.asked.peer.ip();
    match call.caller {
        Some(caller) => format!("token {} ({}) from {peer}", caller.token, caller.role.as_str()),
        None => format!("somebody from {peer}"),
    }
}
