//! KrakenD's configuration, version 3: endpoints and what guards them.

use super::{Draft, Route, list, text, texts};
use serde_json::{Map, Value, json};

pub(super) fn read(document: &Value, draft: &mut Draft) -> Result<(), String> {
    if document.get("version") != Some(&json!(3)) || document.get("endpoints").is_none() {
        return Err(
            "this is no configuration of KrakenD 3: it has no `\"version\": 3` and `endpoints`".to_owned()
        );
    }
    for key in document.as_object().into_iter().flat_map(Map::keys) {
        if !["version", "endpoints", "extra_config", "name", "$schema", "host", "output_encoding"]
            .contains(&key.as_str())
        {
            draft.leave(format!("`{key}` is not imported"));
        }
    }
    let mut everywhere = Vec::new();
    let mut cors = None;
    for (name, config) in document.get("extra_config").and_then(Value::as_object).into_iter().flatten() {
        match name.as_str() {
            "security/cors" => match (texts(config, "allow_origins"), config.get("allow_credentials")) {
                (origins, None | Some(Value::Bool(false))) if !origins.is_empty() => {
                    cors = Some(json!({ "origins": origins }))
                }
                _ => {
                    everywhere.push("security/cors with credentials, or without a list of origins".to_owned())
                }
            },
            _ if guards_nothing(name) => draft.leave(format!("`{name}` is not imported; it guards nothing")),
            _ => everywhere.push(format!(
                "`{name}` for the whole gateway has no counterpart that could be written for you"
            )),
        }
    }
    for endpoint in list(document, "endpoints") {
        add(endpoint, document, &everywhere, cors.as_ref(), draft);
    }
    Ok(())
}

fn guards_nothing(name: &str) -> bool {
    ["telemetry/", "documentation/", "github_com/letgoapp", "qos/http-cache", "grpc"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn add(endpoint: &Value, document: &Value, everywhere: &[String], cors: Option<&Value>, draft: &mut Draft) {
    let mut missing = everywhere.to_vec();
    let mut notes = Vec::new();
    let mut security = Map::new();
    security.extend(cors.map(|cors| ("cors".to_owned(), cors.clone())));
    let path = text(endpoint, "endpoint").unwrap_or_default();
    let upstream = match list(endpoint, "backend") {
        [backend] => {
            let of_backend = list(backend, "host").first().or_else(|| list(document, "host").first());
            if text(backend, "url_pattern") != Some(path) {
                missing.push(
                    "its backend has another path than the endpoint; here the path goes on as it is"
                        .to_owned(),
                );
            }
            if text(backend, "method")
                .is_some_and(|method| method != text(endpoint, "method").unwrap_or("GET"))
            {
                missing.push("its backend is asked with another method".to_owned());
            }
            if backend.get("extra_config").and_then(Value::as_object).is_some_and(|all| !all.is_empty()) {
                missing.push("its backend has an `extra_config`".to_owned());
            }
            for key in ["allow", "deny", "mapping", "group", "target"] {
                if backend.get(key).is_some() {
                    missing.push(format!("its backend's answer is changed by `{key}`"));
                }
            }
            of_backend.and_then(Value::as_str).map(|host| host.trim_end_matches('/').to_owned())
        }
        _ => {
            missing.push("its answer is put together from several backends".to_owned());
            None
        }
    };
    for key in ["input_headers", "input_query_strings"] {
        if endpoint.get(key) != Some(&json!(["*"])) {
            notes.push(format!("KrakenD passes on what `{key}` lists; here headers and query go on, but for those that no client may send"));
        }
    }
    let mut authenticated = false;
    for (name, config) in endpoint.get("extra_config").and_then(Value::as_object).into_iter().flatten() {
        match name.as_str() {
            "auth/validator" => authenticated = validator(config, &mut security, &mut missing),
            "qos/ratelimit/router" => limits(config, &mut security, &mut missing),
            "validation/json-schema" => {
                security.insert("validation".to_owned(), json!({ "schema": config }));
            }
            _ if guards_nothing(name) => notes.push(format!("`{name}` is not imported; it guards nothing")),
            _ => missing.push(format!("`{name}` has no counterpart that could be written for you")),
        }
    }
    let mut value = Map::from_iter([
        ("path".to_owned(), json!(path)),
        ("methods".to_owned(), json!([text(endpoint, "method").unwrap_or("GET")])),
    ]);
    if !authenticated {
        value.insert("public".to_owned(), json!("KrakenD asks nobody who they are here"));
    }
    value.insert("upstream".to_owned(), json!(upstream.unwrap_or_else(|| "http://127.0.0.1:1".to_owned())));
    if !security.is_empty() {
        value.insert("security".to_owned(), Value::Object(security));
    }
    draft.routes.push(Route { value: Value::Object(value), missing, notes });
}

/// `auth/validator`: a signed token. Whether it could be written.
fn validator(config: &Value, security: &mut Map<String, Value>, missing: &mut Vec<String>) -> bool {
    let mut method = Map::from_iter([("type".to_owned(), json!("jwt"))]);
    match text(config, "issuer") {
        Some(issuer) => drop(method.insert("issuer".to_owned(), json!(issuer))),
        None => missing.push("auth/validator names no issuer".to_owned()),
    }
    match text(config, "jwk_url") {
        Some(url) => drop(method.insert("jwks_url".to_owned(), json!(url))),
        None => missing.push("auth/validator has no `jwk_url`".to_owned()),
    }
    match texts(config, "audience") {
        audience if !audience.is_empty() => drop(method.insert("audience".to_owned(), json!(audience))),
        _ => missing
            .push("auth/validator asks for no audience, so tokens for other APIs pass; say one".to_owned()),
    }
    method.insert("algorithms".to_owned(), json!([text(config, "alg").unwrap_or("RS256")]));
    let mut authorization = Map::new();
    let roles = texts(config, "roles");
    if !roles.is_empty() {
        authorization.insert("roles_allowed".to_owned(), json!(roles));
        if let Some(key) = text(config, "roles_key") {
            method.insert("roles_claim".to_owned(), json!(key));
        }
    }
    let scopes = texts(config, "scopes");
    match text(config, "scopes_matcher").unwrap_or("any") {
        "all" if !scopes.is_empty() => {
            drop(authorization.insert("scopes_required".to_owned(), json!(scopes)))
        }
        _ if scopes.len() == 1 => drop(authorization.insert("scopes_required".to_owned(), json!(scopes))),
        _ if !scopes.is_empty() => {
            missing.push("auth/validator wants one of several scopes; here all are needed".to_owned())
        }
        _ => {}
    }
    for key in config.as_object().into_iter().flat_map(Map::keys) {
        let known = [
            "alg",
            "issuer",
            "jwk_url",
            "audience",
            "roles",
            "roles_key",
            "scopes",
            "scopes_key",
            "scopes_matcher",
            "cache",
            "cache_duration",
            "disable_jwk_security",
            "operation_debug",
            "roles_key_is_nested",
        ];
        if !known.contains(&key.as_str()) {
            missing.push(format!("auth/validator has `{key}`"));
        }
    }
    if !authorization.is_empty() {
        security.insert("authorization".to_owned(), Value::Object(authorization));
    }
    security.insert("authentication".to_owned(), Value::Object(method));
    true
}

/// `qos/ratelimit/router`: a limit for all, and one for each client.
fn limits(config: &Value, security: &mut Map<String, Value>, missing: &mut Vec<String>) {
    let per = match text(config, "every") {
        None | Some("1s") => "second",
        Some("1m" | "60s") => "minute",
        Some("1h" | "60m") => "hour",
        Some("24h") => "day",
        Some(other) => return missing.push(format!("qos/ratelimit/router counts in {other}")),
    };
    let number = |key: &str| config.get(key).and_then(Value::as_f64).filter(|rate| *rate > 0.0);
    let mut limits = Vec::new();
    let mut add = |name: &str, rate: f64, by: Value| match rate.fract() == 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole positive number"
        )]
        true => limits.push(json!({ "name": name, "max_requests": rate as u64, "per": per, "by": by })),
        false => missing.push(format!("qos/ratelimit/router allows {rate} requests in a period")),
    };
    if let Some(rate) = number("max_rate") {
        add("all", rate, json!("route"));
    }
    if let Some(rate) = number("client_max_rate") {
        match (text(config, "strategy"), text(config, "key")) {
            (Some("ip") | None, None) => add("client", rate, json!("address")),
            (Some("header"), Some(name)) => add("client", rate, json!({ "header": name })),
            (strategy, _) => {
                let strategy = strategy.unwrap_or("?").to_owned();
                missing.push(format!("qos/ratelimit/router tells clients apart by `{strategy}`"));
            }
        }
    }
    if !limits.is_empty() {
        security.insert("rate_limiting".to_owned(), Value::Array(limits));
    }
}
