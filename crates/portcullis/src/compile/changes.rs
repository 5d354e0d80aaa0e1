//! How routes change their requests and answers: what stands at the top for all of them, and what each says itself.

use crate::document::{GatewayConfig, RouteConfig, UpstreamErrorsConfig};
use portcullis_config::Context;
use portcullis_core::Route;
use portcullis_core::route::changes::{Changes, Protection, UpstreamErrors};
use std::sync::Arc;

/// What is changed on every route. `None` means that an error was pushed.
pub(super) fn of_gateway(config: &GatewayConfig, cx: &mut Context) -> Option<Changes> {
    let mut changes = Changes::default();
    let requests = match &config.request_headers {
        None => Some(()),
        Some(headers) => cx.at("request_headers", |cx| headers.add_to(&mut changes.request, cx)),
    };
    let answers = match &config.response_headers {
        None => Some(()),
        Some(headers) => {
            changes.protection = headers.protection().unwrap_or_default();
            cx.at("response_headers", |cx| headers.add_to(&mut changes.answer, cx))
        }
    };
    let compression = match &config.compression {
        None => Some(None),
        Some(compression) => cx.at("compression", |cx| compression.compile(cx)),
    };
    let ((), (), compression) = (requests?, answers?, compression?);
    changes.compression = compression;
    Some(changes)
}

/// What a route changes; the inner `None` where it changes nothing. The outer `None` means that an error was pushed.
pub(super) fn of_route(
    config: &RouteConfig,
    base: &Changes,
    path: &str,
    cx: &mut Context,
) -> Option<Option<Arc<Changes>>> {
    let mut changes = base.clone();
    let rewrite = match &config.rewrite {
        None => Some(None),
        Some(rewrite) => cx.at("rewrite", |cx| rewrite.compile(path, cx)).map(Some),
    };
    let requests = match &config.request_headers {
        None => Some(()),
        Some(headers) => cx.at("request_headers", |cx| headers.add_to(&mut changes.request, cx)),
    };
    let answers = match &config.response_headers {
        None => Some(()),
        Some(headers) => {
            changes.protection = headers.protection().unwrap_or(changes.protection);
            cx.at("response_headers", |cx| headers.add_to(&mut changes.answer, cx))
        }
    };
    let compression = match &config.compression {
        None => Some(changes.compression.take()),
        Some(compression) => cx.at("compression", |cx| compression.compile(cx)),
    };
    let (rewrite, (), (), compression) = (rewrite?, requests?, answers?, compression?);
    changes.compression = compression;
    changes.rewrite = rewrite;
    changes.preserve_host = config.preserve_host;
    changes.upstream_errors = match config.upstream_errors {
        UpstreamErrorsConfig::Replace => UpstreamErrors::Replace,
        UpstreamErrorsConfig::Pass => UpstreamErrors::Pass,
    };
    let changed = changes != Changes::default();
    Some(changed.then(|| Arc::new(changes)))
}

/// What a listing says of a route beside its controls.
pub(super) fn notes(route: &Route) -> Vec<String> {
    let mut notes = Vec::new();
    if route.conditions.count() > 0 {
        notes.push(format!("only with {}", route.conditions));
    }
    let Some(changes) = &route.changes else { return notes };
    let Changes { rewrite, preserve_host, request, answer, protection, upstream_errors, compression } =
        changes.as_ref();
    notes.extend(rewrite.as_ref().map(|rewrite| format!("goes upstream {rewrite}")));
    if *preserve_host {
        notes.push("goes upstream with the host of the client".to_owned());
    }
    if !request.is_empty() {
        notes.push(format!("request headers: {}", request.describe()));
    }
    if !answer.is_empty() {
        notes.push(format!("response headers: {}", answer.describe()));
    }
    match protection {
        Protection::Auto => {}
        Protection::Api => notes.push("protective headers of an API on every answer".to_owned()),
        Protection::Html => notes.push("protective headers of a page on HTML".to_owned()),
        Protection::Off => notes.push("no protective headers are added".to_owned()),
    }
    if *upstream_errors == UpstreamErrors::Pass {
        notes.push("server errors of the upstream pass if they are JSON or XML".to_owned());
    }
    if let Some(compression) = compression {
        let secrets = if compression.with_credentials { ", also with credentials" } else { "" };
        notes.push(format!("answers are compressed: {}{secrets}", compression.describe()));
    }
    notes
}
