//! Answers about the running gateway: counters, sources, refusals, findings and operations.

use super::Call;
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::scrape;
use crate::server::text;
use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_core::{Level, OperationUse};
use portcullis_telemetry::detect::{DETECTORS, Finding, Severity};
use portcullis_telemetry::metrics::counted::Ending;
use portcullis_telemetry::metrics::histogram::Histogram;
use portcullis_telemetry::recent::Refusal;
use serde_json::{Value, json};

pub(super) fn healthz(_: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    Ok(text(StatusCode::OK, "ok\n".to_owned()))
}

pub(super) fn readyz(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    match call.gateway.is_ready() {
        true => Ok(text(StatusCode::OK, "ready\n".to_owned())),
        false => Ok(text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())),
    }
}

pub(super) fn metrics(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    Ok(scrape::metrics_answer(call.gateway.metrics()))
}

pub(super) fn counters(gateway: &dyn Gateway) -> Value {
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

pub(super) fn history(gateway: &dyn Gateway) -> Value {
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

pub(super) fn sources(gateway: &dyn Gateway) -> Value {
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

pub(super) fn refusals(call: &Call<'_>) -> Result<Value, Problem> {
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

pub(super) fn findings(call: &Call<'_>) -> Result<Value, Problem> {
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

pub(super) fn detectors() -> Value {
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

pub(super) fn log_level(call: &Call<'_>) -> Value {
    json!({ "level": call.gateway.log_level().map_or("off", Level::as_str) })
}

pub(super) fn audit(call: &Call<'_>) -> Result<Value, Problem> {
    match call.gateway.audit_head() {
        Some((entry, hash)) => Ok(json!({ "entry": entry, "hash": hash })),
        None => {
            Err(Problem::new(StatusCode::NOT_FOUND, "there is no audit log, or it has no checkpoint yet"))
        }
    }
}
