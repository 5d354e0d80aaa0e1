//! What an operator orders: blocks, the log level, a reload. Each order is told to the audit log, with who gave it. Consumers and
//! keys are for `desk`.

use super::Call;
use super::body::object;
use super::tells::log_level;
use crate::problem::Problem;
use http::StatusCode;
use portcullis_core::Level;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

pub(super) fn block(call: &Call<'_>) -> Result<Value, Problem> {
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

pub(super) fn set_log_level(call: &Call<'_>) -> Result<Value, Problem> {
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

pub(super) async fn reload(call: &Call<'_>) -> Result<Value, Problem> {
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
