//! The configuration as it took effect, for operators. It is made from what was compiled, which holds no secret.

use crate::compile::Blueprint;
use serde_json::{Value, json};
use std::time::Duration;

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// What a blueprint does, besides its routes.
pub(crate) fn of(blueprint: &Blueprint) -> Value {
    let listeners: Vec<_> = blueprint
        .front
        .listeners
        .iter()
        .map(|listener| {
            json!({
                "bind": listener.bind.to_string(),
                "tls": listener.tls.is_some(),
                "max_connections": listener.max_connections,
                "max_connections_per_address": listener.max_connections_per_address,
                "max_requests_per_address": listener.max_requests_per_address,
                "timeout_seconds": {
                    "header": seconds(listener.timeouts.header),
                    "idle": seconds(listener.timeouts.idle),
                    "body": seconds(listener.timeouts.body),
                    "request": listener.timeouts.request.map(seconds),
                },
            })
        })
        .collect();
    let plan = &blueprint.plan;
    let proxies: Vec<_> = plan.head.trusted_proxies.iter().map(ToString::to_string).collect();
    json!({
        "digest": blueprint.digest,
        "listeners": listeners,
        "workers": blueprint.front.workers,
        "drain_seconds": seconds(blueprint.front.drain),
        "routes": plan.routes.iter().count(),
        "consumers": plan.consumers.len(),
        "keys": blueprint.keys,
        "trusted_proxies": proxies,
        "limits": {
            "max_target_bytes": plan.head.max_target_bytes,
            "max_fields": plan.head.max_fields,
            "max_field_bytes": plan.head.max_field_bytes,
            "max_head_bytes": plan.head.max_head_bytes,
            "max_held_bytes": plan.max_held_bytes,
        },
        "brute_force": blueprint.failures_mode.as_str(),
        "access_log": portcullis_config::Decode::written(&blueprint.access_log),
        "audit_log": blueprint.audit_log.as_ref().map(|audit| audit.file.display().to_string()),
        "detection": blueprint.observe.detection.as_ref().map(|detection| json!({
            "blocks": detection.blocks,
            "block_seconds": seconds(detection.block_for),
            "block_severity": detection.block_severity.as_str(),
            "disabled": detection.disabled,
            "webhook": detection.webhook.as_ref().and_then(|webhook| webhook.url().host()),
        })),
        "state_dir": blueprint.state_dir.as_ref().map(|folder| folder.display().to_string()),
        "tracing": blueprint.traces.as_ref().map(|traces| traces.collector().url.to_string()),
        "metrics": blueprint.observe.metrics.map(|address| address.to_string()),
        "admin": blueprint.observe.admin.as_ref().map(|admin| admin.bind.to_string()),
    })
}
