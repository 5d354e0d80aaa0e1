//! Kong's declarative configuration: services, routes, plugins, consumers.

use super::{Draft, Route, list, text, texts};
use serde_json::{Map, Value, json};

pub(super) fn read(document: &Value, draft: &mut Draft) -> Result<(), String> {
    if document.get("_format_version").is_none() {
        return Err("this is no declarative file of Kong: it has no `_format_version`".to_owned());
    }
    for key in document.as_object().into_iter().flat_map(Map::keys) {
        if !["_format_version", "_transform", "services", "routes", "plugins", "consumers", "_comment"]
            .contains(&key.as_str())
        {
            draft.leave(format!("`{key}` is not imported"));
        }
    }
    consumers(document, draft);
    let global = plugins(document);
    for service in list(document, "services") {
        let upstream = upstream(service);
        let of_service = plugins(service);
        for route in list(service, "routes") {
            add(route, upstream.clone(), &[&global, &of_service, &plugins(route)], draft);
        }
        let named = text(service, "name");
        for route in list(document, "routes").iter().filter(|route| {
            named.is_some() && route.get("service").map(|to| text(to, "name").or(to.as_str())) == Some(named)
        }) {
            add(route, upstream.clone(), &[&global, &of_service, &plugins(route)], draft);
        }
    }
    // A plugin that names what it is for from the outside.
    for plugin in list(document, "plugins") {
        for scope in ["service", "route", "consumer"] {
            if plugin.get(scope).is_some_and(|scope| !scope.is_null()) {
                let name = text(plugin, "name").unwrap_or("?");
                draft.leave(format!(
                    "the plugin `{name}` for one {scope} is not imported; write it where it holds"
                ));
                // SECURITY: nobody knows which of the routes lose a control (a_control_is_never_dropped_in_silence).
                let why = format!("the plugin `{name}` may be for it");
                draft.routes.iter_mut().for_each(|route| route.missing.push(why.clone()));
            }
        }
    }
    Ok(())
}

/// The enabled plugins that stand here, by name.
fn plugins(value: &Value) -> Vec<(String, Value)> {
    let enabled = list(value, "plugins").iter().filter(|plugin| plugin.get("enabled") != Some(&json!(false)));
    let unscoped = enabled.filter(|plugin| {
        ["service", "route", "consumer"].iter().all(|scope| plugin.get(*scope).is_none_or(Value::is_null))
    });
    unscoped
        .filter_map(|plugin| {
            let config = plugin.get("config").cloned().unwrap_or_else(|| json!({}));
            Some((text(plugin, "name")?.to_owned(), config))
        })
        .collect()
}

fn upstream(service: &Value) -> Result<String, String> {
    if let Some(url) = text(service, "url") {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let protocol = text(service, "protocol").unwrap_or("http");
    if !["http", "https"].contains(&protocol) {
        return Err(format!("its service speaks `{protocol}`"));
    }
    let host = text(service, "host").ok_or("its service has no host")?;
    let port = service.get("port").and_then(Value::as_u64).unwrap_or(80);
    Ok(format!("{protocol}://{host}:{port}{}", text(service, "path").unwrap_or("").trim_end_matches('/')))
}

fn consumers(document: &Value, draft: &mut Draft) {
    for consumer in list(document, "consumers") {
        let Some(name) = text(consumer, "username").or_else(|| text(consumer, "custom_id")) else {
            draft.leave("a consumer without a name is not imported");
            continue;
        };
        let mut entry = Map::from_iter([("name".to_owned(), json!(name))]);
        let groups: Vec<&str> = list(consumer, "acls").iter().filter_map(|acl| text(acl, "group")).collect();
        if !groups.is_empty() {
            entry.insert("roles".to_owned(), json!(groups));
        }
        // Hashed, so that no key stands in the new file.
        let keys: Vec<Value> = list(consumer, "keyauth_credentials")
            .iter()
            .filter_map(|credential| text(credential, "key"))
            .map(|key| json!({ "hash": crate::password::hash_of_key(key.as_bytes()) }))
            .collect();
        if !keys.is_empty() {
            entry.insert("keys".to_owned(), json!(keys));
        }
        for key in [
            "basicauth_credentials",
            "jwt_secrets",
            "hmacauth_credentials",
            "oauth2_credentials",
            "mtls_auth_credentials",
        ] {
            if !list(consumer, key).is_empty() {
                draft.leave(format!(
                    "`{key}` of the consumer {name} are not imported; give it a key or a `password`"
                ));
            }
        }
        if !list(consumer, "plugins").is_empty() {
            draft.leave(format!("plugins of the consumer {name} are not imported"));
            let why = format!("the consumer {name} has plugins of its own");
            draft.top.entry("x-consumer-plugins".to_owned()).or_insert_with(|| json!(why));
        }
        draft.consumers.push(Value::Object(entry));
    }
}

fn add(route: &Value, upstream: Result<String, String>, levels: &[&Vec<(String, Value)>], draft: &mut Draft) {
    let mut missing = Vec::new();
    let mut notes = Vec::new();
    let mut security = Map::new();
    let upstream = upstream.unwrap_or_else(|why| {
        missing.push(why);
        "http://127.0.0.1:1".to_owned()
    });
    // The most specific one of a name counts.
    let mut effective: Vec<(String, Value)> = Vec::new();
    for (name, config) in levels.iter().flat_map(|level| level.iter()) {
        effective.retain(|(there, _)| there != name);
        effective.push((name.clone(), config.clone()));
    }
    let mut methods: Vec<Value> = Vec::new();
    for (name, config) in &effective {
        plugin(name, config, &mut security, &mut methods, &mut missing, &mut notes);
    }
    if draft.top.contains_key("x-consumer-plugins") {
        missing.push("a consumer has plugins of its own".to_owned());
    }
    match methods.len() {
        0 => {}
        1 => drop(security.insert("authentication".to_owned(), methods.remove(0))),
        // Kong asks each of them; a request passes where all do.
        _ => drop(security.insert("authentication".to_owned(), json!({ "all": methods }))),
    }
    let public = security.get("authentication").is_none();
    for key in ["headers", "snis", "sources", "destinations"] {
        if route.get(key).is_some_and(|value| !value.is_null() && *value != json!([])) {
            missing.push(format!("it is chosen by `{key}`, which is not a way to choose a route here"));
        }
    }
    let hosts = texts(route, "hosts");
    if hosts.iter().any(|host| host.contains('*')) {
        missing.push("it has a host with a wildcard".to_owned());
    }
    if route.get("strip_path") != Some(&json!(false)) {
        missing.push("Kong removes the matched prefix (strip_path); here the path goes on as it is. Use a `rewrite`, or let the upstream take the whole path".to_owned());
    }
    if route.get("preserve_host") == Some(&json!(true)) {
        notes.push(
            "preserve_host: the upstream gets its own host here, and the client's in X-Forwarded-Host"
                .to_owned(),
        );
    }
    let mut paths = texts(route, "paths");
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    for path in paths {
        let mut missing = missing.clone();
        if path.starts_with('~') || path.contains(['(', '[', '\\', '{', '*']) {
            missing.push(format!("the path {path} is a regular expression"));
        }
        let plain = path.trim_end_matches('/');
        // A prefix in Kong: `/a` takes `/a`, `/a/b` and also `/ab`, which nobody means.
        let both = [plain.to_owned(), format!("{plain}/{{*rest}}")];
        for path in both.into_iter().filter(|path| !path.is_empty()) {
            let mut value = Map::from_iter([("path".to_owned(), json!(path))]);
            if !hosts.is_empty() {
                value.insert("hosts".to_owned(), json!(hosts));
            }
            let methods = texts(route, "methods");
            if !methods.is_empty() {
                value.insert("methods".to_owned(), json!(methods));
            }
            if public {
                value.insert("public".to_owned(), json!("Kong asks nobody who they are here"));
            }
            value.insert("upstream".to_owned(), json!(upstream));
            if !security.is_empty() {
                value.insert("security".to_owned(), Value::Object(security.clone()));
            }
            draft.routes.push(Route {
                value: Value::Object(value),
                missing: missing.clone(),
                notes: notes.clone(),
            });
        }
    }
}

/// One plugin: a section, or something that is missing.
fn plugin(
    name: &str,
    config: &Value,
    security: &mut Map<String, Value>,
    methods: &mut Vec<Value>,
    missing: &mut Vec<String>,
    notes: &mut Vec<String>,
) {
    match name {
        "key-auth" => {
            let names = texts(config, "key_names");
            if config.get("anonymous").is_some_and(|value| !value.is_null()) {
                missing.push("key-auth lets an anonymous consumer in".to_owned());
            }
            match names.as_slice() {
                [] => methods.push(json!({ "type": "api_key", "header": "apikey" })),
                [name] => methods.push(json!({ "type": "api_key", "header": name })),
                _ => missing.push(
                    "key-auth has several names for the key; list one method for each under `any`".to_owned(),
                ),
            }
            if config.get("key_in_query") != Some(&json!(false)) {
                notes.push(
                    "Kong also takes the key from the query; here it is taken from the header alone"
                        .to_owned(),
                );
            }
        }
        "acl" => match (texts(config, "allow"), texts(config, "deny")) {
            (allow, deny) if deny.is_empty() && !allow.is_empty() => {
                security.insert("authorization".to_owned(), json!({ "roles_allowed": allow }));
            }
            _ => missing
                .push("acl denies groups; here roles are allowed, and all others are refused".to_owned()),
        },
        "rate-limiting" => rate_limiting(config, security, missing),
        "ip-restriction" => {
            let mut section = Map::new();
            for key in ["allow", "deny"] {
                let list = texts(config, key);
                if !list.is_empty() {
                    section.insert(key.to_owned(), json!(list));
                }
            }
            if section.is_empty() {
                missing.push("ip-restriction without a list".to_owned());
            } else {
                security.insert("addresses".to_owned(), Value::Object(section));
            }
        }
        "request-size-limiting" => {
            let size = config.get("allowed_payload_size").and_then(Value::as_u64).unwrap_or(128);
            let unit = match text(config, "size_unit").unwrap_or("megabytes") {
                "bytes" => "B",
                "kilobytes" => "kB",
                _ => "MB",
            };
            security.insert("body".to_owned(), json!({ "max_size": format!("{size}{unit}") }));
        }
        "cors" => {
            let origins = texts(config, "origins");
            if origins.is_empty() || config.get("credentials") == Some(&json!(true)) {
                missing.push("cors with credentials, or without a list of origins".to_owned());
            } else {
                security.insert("cors".to_owned(), json!({ "origins": origins }));
            }
        }
        // What they do has no counterpart, and their absence lets nobody in.
        "prometheus" | "file-log" | "http-log" | "tcp-log" | "udp-log" | "syslog" | "loggly" | "datadog"
        | "statsd" | "zipkin" | "opentelemetry" | "correlation-id" | "proxy-cache" => {
            notes.push(format!("the plugin `{name}` is not imported; it guards nothing"));
        }
        _ => missing.push(format!("the plugin `{name}` has no counterpart that could be written for you")),
    }
}

fn rate_limiting(config: &Value, security: &mut Map<String, Value>, missing: &mut Vec<String>) {
    let by = match text(config, "limit_by").unwrap_or("consumer") {
        "consumer" | "credential" => json!("consumer"),
        "ip" => json!("address"),
        "service" => json!("route"),
        "header" => match text(config, "header_name") {
            Some(name) => json!({ "header": name }),
            None => return missing.push("rate-limiting by a header without a name".to_owned()),
        },
        other => return missing.push(format!("rate-limiting by `{other}`")),
    };
    let mut limits = Vec::new();
    for period in ["second", "minute", "hour", "day"] {
        if let Some(max) = config.get(period).and_then(Value::as_u64) {
            limits.push(json!({ "name": period, "max_requests": max, "per": period, "by": by }));
        }
    }
    for period in ["month", "year"] {
        if config.get(period).is_some_and(Value::is_number) {
            missing.push(format!("rate-limiting per {period}"));
        }
    }
    if limits.is_empty() {
        missing.push("rate-limiting without a limit".to_owned());
    } else {
        security.insert("rate_limiting".to_owned(), Value::Array(limits));
    }
}
