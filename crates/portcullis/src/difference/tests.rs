//! That every key has a rule and every change a line, and a table of changes with what is said of them.

use super::shape::{Place, first_spelling};
use super::*;
use serde_json::{Value, json};

fn changes(old: &Value, new: &Value) -> Vec<Change> {
    changes_in(old, new, Path::new(""), Path::new(""))
}

fn changes_in(old: &Value, new: &Value, old_folder: &Path, new_folder: &Path) -> Vec<Change> {
    between(&Side { document: old, folder: old_folder }, &Side { document: new, folder: new_folder })
}

/// Two values that a schema allows, and that are not the same.
fn samples(shape: &Shape, place: Place<'_>, depth: usize) -> Vec<Value> {
    let mut found = Vec::new();
    for place in shape.alternatives(place) {
        let schema = place.schema;
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            found.extend(words.iter().take(3).cloned());
            continue;
        }
        if let Some(word) = schema.get("const") {
            found.push(word.clone());
            continue;
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => {
                let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
                let pair = if pattern.contains("ms|s") {
                    ["11s", "12s"]
                } else if pattern.contains("KiB") {
                    ["11KiB", "12KiB"]
                } else {
                    ["one", "two"]
                };
                found.extend(pair.map(|text| json!(text)));
            }
            Some("integer" | "number") => found.extend([json!(11), json!(12)]),
            Some("boolean") => found.extend([json!(true), json!(false)]),
            Some("array") if depth < 12 => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                let items = samples(shape, Place { definition: place.definition, schema: items }, depth + 1);
                found.extend(items.into_iter().map(|item| json!([item])));
            }
            Some("object") if depth < 12 => found.extend(objects(shape, place, depth + 1)),
            _ => {}
        }
    }
    found
}

/// Mappings that differ in one key each, from the first one.
fn objects(shape: &Shape, place: Place<'_>, depth: usize) -> Vec<Value> {
    let Some(properties) = place.schema.get("properties").and_then(Value::as_object) else {
        return vec![json!({ "a": "one" }), json!({ "a": "two" })];
    };
    let required = place.schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut first = serde_json::Map::new();
    for (key, schema) in properties.iter().filter(|(key, _)| required.contains(&json!(key))) {
        if let Some(value) = samples(shape, Place { definition: place.definition, schema }, depth).first() {
            first.insert(key.clone(), value.clone());
        }
    }
    let mut all = vec![Value::Object(first.clone())];
    // One further key at a time is enough: every definition is looked at by itself.
    let more = properties
        .iter()
        .find(|(key, schema)| !required.contains(&json!(key)) && schema.get("deprecated").is_none());
    if let Some((key, schema)) = more
        && let Some(value) = samples(shape, Place { definition: place.definition, schema }, depth).first()
    {
        let mut more = first;
        more.insert(key.clone(), value.clone());
        all.push(Value::Object(more));
    }
    all
}

/// Every mapping of the schema with the keys that it can have.
fn mappings(shape: &Shape) -> Vec<Place<'_>> {
    let all = shape.definitions().flat_map(|place| shape.alternatives(place));
    all.filter(|place| place.schema.get("properties").is_some()).collect()
}

#[test]
fn every_key_has_a_rule_and_every_change_a_line() {
    let shape = Shape::new();
    let (mut without, mut silent, mut keys) = (Vec::new(), Vec::new(), 0);
    for place in mappings(&shape) {
        for (key, schema) in place.schema["properties"].as_object().unwrap() {
            if first_spelling(schema).is_some() {
                continue;
            }
            keys += 1;
            let is_mode = schema.get("$ref").is_some_and(|to| to == "#/$defs/ModeConfig");
            if rules::of(place.definition, key).is_none() {
                without.push(format!("{}.{key}", place.definition));
            }
            let inner = Place { definition: place.definition, schema };
            let mut values = samples(&shape, inner, 0);
            values.dedup();
            if is_mode {
                values = vec![json!("enforce"), json!("observe"), json!("off")];
            }
            let (side, nothing) = (json!({}), Value::Null);
            let side = Side { document: &side, folder: Path::new("") };
            let mut says = |old: &Value, new: &Value| {
                let mut walk = Walk::new(&shape, &side, &side);
                let normal = |value: &Value| {
                    let document = if value.is_null() { json!({}) } else { json!({ key: value }) };
                    shape.normal_for_test(place, &document)
                };
                let (old_normal, new_normal) = (normal(old), normal(new));
                walk.object("x", place, &old_normal, &new_normal);
                // What is the default is no change.
                let same =
                    shape.without_defaults(place, &old_normal) == shape.without_defaults(place, &new_normal);
                if walk.into_changes().is_empty() && !same {
                    silent.push(format!("{}.{key}: {old} to {new}", place.definition));
                }
            };
            for pair in values.windows(2) {
                says(&pair[0], &pair[1]);
                says(&pair[1], &pair[0]);
            }
            if let Some(value) = values.iter().find(|value| **value != json!(false)) {
                says(&nothing, value);
                says(value, &nothing);
            }
        }
    }
    assert!(keys > 200, "{keys}");
    assert_eq!(without, Vec::<String>::new(), "these keys need an entry in `difference/rules.rs`");
    assert_eq!(silent, Vec::<String>::new(), "these changes are not said");
}

#[test]
fn every_rule_has_a_key() {
    let shape = Shape::new();
    let all: Vec<String> = mappings(&shape)
        .into_iter()
        .flat_map(|place| {
            let keys = place.schema["properties"].as_object().unwrap().keys();
            let definition = match place.definition {
                "Authentication" => "AuthenticationMethod",
                "RouteSecurityConfig" => "SecurityConfig",
                other => other,
            };
            keys.map(move |key| format!("{definition}.{key}")).collect::<Vec<_>>()
        })
        .collect();
    let stale: Vec<_> = rules::TABLE.iter().filter(|(name, ..)| !all.iter().any(|key| key == name)).collect();
    assert_eq!(stale, Vec::<&rules::Entry>::new());
}

fn base() -> Value {
    json!({
        "listeners": [{ "bind": "0.0.0.0:443", "tls": { "certificates": [{ "certificate": "a.pem", "key": "a.key" }] } }],
        "security": {
            "authentication": { "any": [{ "type": "api_key" }, { "type": "jwt", "issuer": "https://a.example", "audience": ["orders"] }] },
            "authorization": { "roles_allowed": ["admin", "user"] },
            "rate_limiting": { "max_requests": 60, "per": "minute" },
            "body": { "max_size": "1MiB" },
        },
        "security_profiles": { "partner": { "authorization": { "scopes_required": ["read", "write"] } } },
        "consumers": [
            { "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_KEY" }] },
            { "name": "root", "roles": ["admin"], "keys": [{ "hash": "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }] },
        ],
        "trusted_proxies": ["10.0.0.0/8"],
        "request_headers": { "remove": ["x-debug"] },
        "audit_log": { "file": "audit.log" },
        "key_pepper": { "env": "PEPPER" },
        "brute_force": { "free_failures": 10 },
        "outbound": { "allow": ["10.1.0.0/16"] },
        "limits": { "max_headers": 50 },
        "routes": [
            { "path": "/orders", "methods": ["GET", "POST"], "upstream": "http://127.0.0.1:1" },
            { "path": "/users/{id}", "upstream": { "url": "https://10.0.0.1", "tls": { "ca": "ca.pem" } },
              "security": { "authorization": { "roles_allowed": ["admin"], "condition": "claims.mfa == true" },
                            "addresses": { "allow": ["192.0.2.0/24"], "deny": ["192.0.2.7"] },
                            "waf": { "mode": "enforce", "paranoia": 2, "threshold": 5 },
                            "rate_limiting": [{ "name": "burst", "max_requests": 5, "per": "second" }, { "name": "day", "max_requests": 1000, "per": "day", "by": "address" }] } },
            { "path": "/partner/{*rest}", "hosts": ["p.example.com"], "upstream": "http://127.0.0.1:2", "security": { "use": "partner", "graphql": { "max_depth": 5 } } },
            { "path": "/health", "public": "a probe", "methods": ["GET"], "upstream": "http://127.0.0.1:1" },
            { "path": "/shop", "upstream": "http://127.0.0.1:1", "security": { "cors": { "origins": ["https://a.example"] }, "validation": { "schema": { "type": "object" } } } },
        ],
    })
}

/// The place, what stands there then (`null` removes it), which way it goes, and a part of what is said.
type Row = (&'static str, Value, Direction, &'static str);

#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<Row> {
    use Direction::{Changed, Loosened, Tightened};
    let gone = Value::Null;
    vec![
        ("/routes/0/public", json!("why not"), Loosened, "route GET/POST /orders: becomes public: why not"),
        ("/routes/3/public", gone.clone(), Tightened, "route GET /health: is no longer public"),
        ("/routes/3/public", json!("another"), Changed, "access without authentication changed"),
        (
            "/routes/0/methods",
            json!(["GET", "POST", "DELETE"]),
            Changed,
            "route DELETE /orders: is new, by api_key or jwt, for admin, user",
        ),
        ("/routes/0/methods", json!(["GET"]), Tightened, "route POST /orders: is gone: 404"),
        ("/routes/0/methods", gone.clone(), Changed, "route DELETE/OPTIONS/PATCH/PUT /orders: is new"),
        ("/routes/0/path", json!("/{*rest}"), Changed, "is gone, and /{*rest} takes its requests"),
        (
            "/routes/0/upstream",
            json!("http://127.0.0.1:9"),
            Changed,
            "the upstream changed from http://127.0.0.1:1 to http://127.0.0.1:9",
        ),
        (
            "/routes/0/upgrade",
            json!(["websocket"]),
            Loosened,
            "protocols that clients may switch to: added websocket",
        ),
        (
            "/routes/0/encoded_paths",
            json!({ "slash": "keep" }),
            Loosened,
            "escaped slashes in paths changed from refuse to keep",
        ),
        ("/routes/0/hosts", json!(["a.example"]), Changed, "is new"),
        (
            "/routes/1/security/authorization/roles_allowed",
            json!(["admin", "guest"]),
            Loosened,
            "role guest is now enough",
        ),
        (
            "/routes/1/security/authorization/roles_allowed",
            gone.clone(),
            Loosened,
            "no role is needed any more (was admin)",
        ),
        ("/routes/1/security/authorization", gone.clone(), Loosened, "role user is now enough"),
        (
            "/routes/1/security/authorization/condition",
            gone.clone(),
            Loosened,
            "the condition: no longer there",
        ),
        (
            "/routes/1/security/authorization/condition",
            json!("true"),
            Changed,
            "the condition changed from claims.mfa == true to true",
        ),
        (
            "/routes/1/security/authorization/mode",
            json!("observe"),
            Loosened,
            "authorization: now only observed (mode enforce to observe)",
        ),
        (
            "/routes/1/security/addresses/allow",
            json!(["192.0.0.0/16"]),
            Loosened,
            "allowed addresses: added 192.0.0.0/16",
        ),
        (
            "/routes/1/security/addresses/allow",
            json!(["192.0.2.0/25"]),
            Tightened,
            "allowed addresses: removed 192.0.2.0/24",
        ),
        (
            "/routes/1/security/addresses/allow",
            gone.clone(),
            Loosened,
            "allowed addresses: no longer limited (was 192.0.2.0/24)",
        ),
        ("/routes/1/security/addresses/deny", json!([]), Loosened, "denied addresses: removed 192.0.2.7"),
        ("/routes/1/security/addresses", gone.clone(), Loosened, "addresses: no longer there"),
        (
            "/routes/1/security/waf/mode",
            json!("observe"),
            Loosened,
            "the search for attacks: now only observed",
        ),
        ("/routes/1/security/waf/mode", json!("off"), Loosened, "the search for attacks: now switched off"),
        ("/routes/1/security/waf/paranoia", json!(1), Loosened, "the paranoia level lowered from 2 to 1"),
        (
            "/routes/1/security/waf/threshold",
            json!(50),
            Loosened,
            "the score at which a request is refused raised from 5 to 50",
        ),
        (
            "/routes/1/security/waf/exclude",
            json!([{ "reason": "x", "rules": ["942100"] }]),
            Loosened,
            "exclusions from the rules: now there",
        ),
        ("/routes/1/security/waf", gone.clone(), Loosened, "the search for attacks: no longer there"),
        (
            "/routes/1/security/rate_limiting/0/max_requests",
            json!(50),
            Loosened,
            "limit `burst` raised from 5 per second to 50 per second",
        ),
        (
            "/routes/1/security/rate_limiting/0/per",
            json!("hour"),
            Tightened,
            "limit `burst` lowered from 5 per second to 5 per hour",
        ),
        (
            "/routes/1/security/rate_limiting/0/burst",
            json!(2),
            Changed,
            "requests at once: now 2 (was the default)",
        ),
        ("/routes/1/security/rate_limiting/1", gone.clone(), Loosened, "limit `day` is gone"),
        ("/routes/1/security/rate_limiting/1/by", json!("route"), Loosened, "limit `day` is gone"),
        (
            "/routes/1/security/rate_limiting/0/mode",
            json!("observe"),
            Loosened,
            "the rate limit: now only observed",
        ),
        ("/routes/1/security/rate_limiting", gone.clone(), Loosened, "limit `burst` is gone"),
        (
            "/security/rate_limiting/max_requests",
            json!(600),
            Loosened,
            "limit `default` raised from 60 per minute to 600 per minute",
        ),
        (
            "/security/rate_limiting/max_requests",
            json!(6),
            Tightened,
            "limit `default` lowered from 60 per minute to 6 per minute",
        ),
        ("/security/rate_limiting", gone.clone(), Loosened, "limit `default` is gone"),
        ("/security/body/max_size", json!("10MiB"), Loosened, "the largest body raised from 1MiB to 10MiB"),
        ("/security/body/max_size", json!("10KiB"), Tightened, "the largest body lowered from 1MiB to 10KiB"),
        (
            "/security/authentication/any/1/issuer",
            json!("https://b.example"),
            Loosened,
            "jwt https://b.example is new",
        ),
        (
            "/security/authentication/any/1/audience",
            gone.clone(),
            Loosened,
            "accepted audiences: no longer limited (was orders)",
        ),
        (
            "/security/authentication/any/1/audience",
            json!(["orders", "all"]),
            Loosened,
            "accepted audiences: added all",
        ),
        (
            "/security/authentication/any/1/insecure_any_audience",
            json!("a test"),
            Loosened,
            "tokens for any audience: now there: a test",
        ),
        (
            "/security/authentication/any/1/leeway",
            json!("10m"),
            Loosened,
            "the leeway for a token's times raised from 30s to 10m",
        ),
        (
            "/security/authentication/any/1/dpop",
            json!({ "required": true }),
            Tightened,
            "tokens that are bound to a key (DPoP): now there",
        ),
        ("/security/authentication/any/1", gone.clone(), Tightened, "jwt https://a.example is gone"),
        (
            "/security/authentication/any/0/query",
            json!("key"),
            Loosened,
            "the key in a query parameter: now there",
        ),
        (
            "/security/authentication",
            json!({ "all": [{ "type": "api_key" }, { "type": "jwt", "issuer": "https://a.example", "audience": ["orders"] }] }),
            Tightened,
            "all methods of authentication are needed",
        ),
        ("/security/authentication/mode", json!("observe"), Loosened, "authentication: now only observed"),
        (
            "/security_profiles/partner/authorization/scopes_required",
            json!(["read"]),
            Loosened,
            "scope write is no longer needed",
        ),
        (
            "/security_profiles/partner/authorization/scopes_required",
            json!(["read", "write", "all"]),
            Tightened,
            "scope all is now needed",
        ),
        ("/security_profiles/partner", json!({}), Loosened, "scope read is no longer needed"),
        (
            "/security_profiles/other",
            json!({ "body": { "max_size": "1KiB" } }),
            Changed,
            "sections that no route uses",
        ),
        (
            "/routes/2/security/graphql/max_depth",
            json!(50),
            Loosened,
            "the depth of GraphQL operations raised from 5 to 50",
        ),
        (
            "/routes/2/security/graphql/introspection",
            json!(true),
            Loosened,
            "GraphQL introspection: now there",
        ),
        (
            "/routes/4/security/cors/origins",
            json!(["*"]),
            Loosened,
            "origins whose pages may read answers: added *",
        ),
        ("/routes/4/security/cors", gone.clone(), Tightened, "CORS: no longer there"),
        (
            "/routes/4/security/validation",
            gone.clone(),
            Loosened,
            "the JSON Schema of bodies: no longer there",
        ),
        ("/routes/4/security/validation/schema", json!({}), Changed, "the JSON Schema"),
        (
            "/routes/5",
            json!({ "path": "/open", "public": "new", "upstream": "http://127.0.0.1:1" }),
            Loosened,
            "is new, and public",
        ),
        (
            "/routes/5",
            json!({ "path": "/partner/export", "hosts": ["p.example.com"], "upstream": "http://127.0.0.1:2" }),
            Loosened,
            "and takes requests of /partner/{*rest}: ",
        ),
        (
            "/routes/5",
            json!({ "path": "/users/me", "public": "new", "upstream": "http://127.0.0.1:1" }),
            Loosened,
            "and takes requests of /users/{id}: ",
        ),
        ("/consumers/0/roles", json!(["user", "admin"]), Loosened, "consumer alice: roles: added admin"),
        (
            "/consumers/0/keys",
            json!([{ "env": "ALICE_KEY" }, { "file": "alice.key" }]),
            Loosened,
            "key from the file alice.key is new",
        ),
        (
            "/consumers/0/keys",
            json!([{ "env": "ALICE_KEY_2" }]),
            Changed,
            "key from the variable ALICE_KEY replaced by key from the variable ALICE_KEY_2",
        ),
        (
            "/consumers/0/keys/0/expires",
            json!("2027-01-01T00:00:00Z"),
            Tightened,
            "when the key expires: now 2027-01-01T00:00:00Z (there was no bound)",
        ),
        (
            "/consumers/2",
            json!({ "name": "eve", "roles": ["admin"], "keys": ["secret-secret-secret"] }),
            Loosened,
            "consumer eve is new, with the roles admin",
        ),
        ("/consumers/1", gone.clone(), Tightened, "consumer root is gone"),
        (
            "/listeners/1",
            json!({ "bind": "127.0.0.1:80" }),
            Loosened,
            "listener 127.0.0.1:80 is new, in plain text",
        ),
        ("/listeners/0/tls", gone.clone(), Loosened, "listener 0.0.0.0:443: TLS: no longer there"),
        (
            "/listeners/0/tls/min_version",
            json!("1.3"),
            Tightened,
            "the oldest version of TLS changed from 1.2 to 1.3",
        ),
        (
            "/listeners/0/tls/client_certificates",
            json!({ "ca": "clients.pem" }),
            Tightened,
            "client certificates: now there",
        ),
        ("/listeners/0/tls/hsts", json!("0s"), Loosened, "(HSTS) lowered from 365d to 0s"),
        (
            "/listeners/0/timeouts",
            json!({ "request": "60m" }),
            Loosened,
            "the time for a request raised from 5m to 60m",
        ),
        (
            "/listeners/0/proxy_protocol_from",
            json!(["10.0.0.1"]),
            Loosened,
            "load balancers whose PROXY header is trusted: added 10.0.0.1",
        ),
        (
            "/listeners/0/max_connections",
            json!(100_000),
            Changed,
            "the most connections: now 100000 (was the default)",
        ),
        ("/trusted_proxies", json!(["0.0.0.0/0"]), Loosened, "trusted proxies: added 0.0.0.0/0"),
        ("/trusted_proxies", json!([]), Tightened, "trusted proxies: removed 10.0.0.0/8"),
        ("/request_headers/remove", json!([]), Loosened, "removed headers: removed x-debug"),
        (
            "/request_headers/method_override",
            json!("apply"),
            Loosened,
            "headers that ask for another method changed from remove to apply",
        ),
        ("/audit_log", gone.clone(), Loosened, "the audit log: no longer there"),
        ("/key_pepper", gone, Changed, "the secret under which keys are hashed: no longer there"),
        (
            "/brute_force/free_failures",
            json!(1000),
            Loosened,
            "wrong credentials before an address waits raised from 10 to 1000",
        ),
        ("/brute_force/mode", json!("off"), Loosened, "protection against guessing: now switched off"),
        (
            "/outbound/allow",
            json!(["10.0.0.0/8"]),
            Loosened,
            "private networks that the gateway may connect to: added 10.0.0.0/8",
        ),
        ("/limits/max_headers", json!(500), Loosened, "limits: the most headers raised from 50 to 500"),
        (
            "/limits/max_target_size",
            json!("64KiB"),
            Loosened,
            "limits: the longest request target raised from 8KiB to 64KiB",
        ),
        ("/workers", json!(4), Changed, "the number of workers"),
        ("/access_log", json!("insecure_off"), Changed, "the access log changed from stdout to insecure_off"),
        (
            "/routes/1/upstream/tls/insecure_skip_verify",
            json!("a test"),
            Loosened,
            "an upstream whose certificate is not verified: now there: a test",
        ),
        (
            "/routes/1/upstream/url",
            json!("http://10.0.0.1"),
            Changed,
            "the upstream changed from https://10.0.0.1 to http://10.0.0.1",
        ),
    ]
}

fn place(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    if document.pointer(parent).is_none() {
        place(document, parent, json!({}));
    }
    let parent = document.pointer_mut(parent).unwrap();
    if let Some(list) = parent.as_array_mut() {
        let index: usize = key.parse().unwrap();
        if value.is_null() {
            list.remove(index);
        } else if index == list.len() {
            list.push(value);
        } else {
            list[index] = value;
        }
    } else if value.is_null() {
        parent.as_object_mut().unwrap().remove(key);
    } else {
        parent.as_object_mut().unwrap().insert(key.to_owned(), value);
    }
}

#[test]
fn each_change_is_said_and_its_direction_told() {
    let (old, rows) = (base(), table());
    assert!(rows.len() >= 60, "{}", rows.len());
    let mut wrong = Vec::new();
    for (pointer, value, direction, words) in rows {
        let mut new = old.clone();
        place(&mut new, pointer, value);
        let found = changes(&old, &new);
        let said =
            found.iter().find(|change| format!("{}: {}", change.subject, change.words).contains(words));
        match said {
            Some(change) if change.direction == direction => {}
            _ => wrong.push(format!("{pointer}: {direction:?} {words}\n{}", text(&found))),
        }
        assert!(!changes(&new, &old).is_empty(), "{pointer}: the other way round");
    }
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_written_otherwise_is_no_difference() {
    let old = base();
    let same = |edit: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        edit(&mut new);
        assert_eq!(changes(&old, &new), Vec::new());
    };
    same(&|_| {});
    same(&|new| new["security"]["rate_limiting"] = json!([{ "maxRequests": 60, "per_minute": true }]));
    same(&|new| new["routes"][0]["upstream"] = json!({ "url": "http://127.0.0.1:1" }));
    same(&|new| new["security"]["authorization"] = json!({ "roles": ["admin", "user"], "mode": "enforce" }));
    same(&|new| new["security"]["authentication"]["any"][1]["audience"] = json!("orders"));
    same(&|new| new["routes"].as_array_mut().unwrap().reverse());
    same(&|new| new["routes"][3]["security"] = json!({ "body": { "max_size": "1MiB" } }));
    // A route that says itself what it would inherit.
    same(&|new| {
        new["routes"][0]["security"] = json!({ "authorization": { "roles_allowed": ["admin", "user"] } })
    });
}

#[test]
fn no_secret_is_shown() {
    let mut old = base();
    old["consumers"][0]["keys"] =
        json!(["first-secret-0123456789", { "literal": "second-secret-0123456789" }]);
    old["security"]["authentication"]["any"][1]["secret"] = json!("third-secret-0123456789abcdef0123456789");
    old["key_pepper"] = json!({ "literal": "fourth-secret-0123456789" });
    let mut new = old.clone();
    new["consumers"][0]["keys"] = json!(["fifth-secret-0123456789"]);
    new["security"]["authentication"]["any"][1]["secret"] = json!("sixth-secret-0123456789abcdef0123456789");
    new["key_pepper"] = json!({ "literal": "seventh-secret-0123456789" });
    for (old, new) in [(&old, &new), (&new, &old), (&base(), &new), (&new, &base())] {
        let found = changes(old, new);
        assert!(found.len() >= 2, "{found:?}");
        let said = format!("{}{}{}", text(&found), markdown(&found), json(&found));
        assert!(!said.contains("secret-0123456789"), "{said}");
    }
}

#[test]
fn the_contents_of_files_count() {
    let folder = std::env::temp_dir().join(format!("portcullis-difference-{}", std::process::id()));
    let (old_folder, new_folder) = (folder.join("old"), folder.join("new"));
    let openapi = |security: &str, more: &str| {
        format!(
            "openapi: 3.1.0\ninfo: {{ title: t, version: '1' }}\nsecurity: [{{ key: [] }}]\npaths:\n  /orders:\n    get: {{ responses: {{}} {security} }}\n{more}"
        )
    };
    for (folder, secured, more) in [
        (&old_folder, "", ""),
        (&new_folder, ", security: []", "  /export:\n    get: { responses: {}, security: [{}] }\n"),
    ] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("orders.yaml"), openapi(secured, more)).unwrap();
        std::fs::write(folder.join("ca.pem"), secured).unwrap();
    }
    let mut document = base();
    document["routes"][0]["openapi"] = json!("orders.yaml");
    let found = changes_in(&document, &document, &old_folder, &new_folder);
    let said = text(&found);
    for line in [
        "loosened   route GET/POST /orders: operation GET /orders is no longer secured",
        "loosened   route GET/POST /orders: operation GET /export is new, and needs no security scheme",
        "the CAs of the upstream: the contents of ca.pem have changed",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_eq!(changes_in(&document, &document, &old_folder, &old_folder), Vec::new());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_table_for_a_pull_request_has_no_markup_of_the_file() {
    let mut new = base();
    new["routes"][0]["public"] = json!("a | b <img src=x> [c](d) `e`");
    let said = markdown(&changes(&base(), &new));
    assert!(said.contains("⚠️ loosened"), "{said}");
    assert!(!said.contains("<img") && !said.contains("a | b") && !said.contains(" [c](d)"), "{said}");
}

#[test]
fn many_routes_are_one_line() {
    let mut old = base();
    let routes: Vec<Value> = (0..50)
        .map(|number| json!({ "path": format!("/r{number}"), "upstream": "http://127.0.0.1:1" }))
        .collect();
    old["routes"] = json!(routes);
    let mut new = old.clone();
    new["security"]["rate_limiting"]["max_requests"] = json!(61);
    let found = changes(&old, &new);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].subject.ends_with("44 more"), "{found:?}");
}
