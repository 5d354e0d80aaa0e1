//! The forms that people paste work as written, or are refused by name: nothing is silently taken for something else.

use super::harness::{gate, get, load, request};
use super::network::SigningKey;
use portcullis::Style;
use portcullis_core::Code;
use serde_json::{Value, json};

/// The example of the design, whose second route is checked against an OpenAPI document.
const EXAMPLE: &str = "\
listeners:
  - bind: 127.0.0.1:3000
security:                                  # for every route, unless the route says otherwise
  authentication: { type: api_key, header: x-api-key }
  authorization: { roles_allowed: [admin, user] }
  rate_limiting: { max_requests: 1000, per: minute, by: consumer }
consumers:
  - name: alice
    roles: [user]
    keys: [{ env: ALICE_API_KEY }]         # or { hash: \"sha256:...\" }, or { file: ... }; a literal is allowed and linted
  - name: root
    roles: [admin]
    keys: [{ env: ADMIN_API_KEY }]
routes:
  - path: /orders/{id}
    methods: [GET, PUT]
    upstream: http://127.0.0.1:8080
    openapi: orders.yaml
  - path: /health
    public: \"liveness probe, no data\"
    upstream: http://127.0.0.1:8080
";

const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");

/// A document with this `security` section, as JSON, which is YAML.
fn with(security: Value) -> String {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": security,
        "consumers": [
            { "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] },
            { "name": "root", "roles": ["admin"], "keys": [{ "env": "ADMIN_API_KEY" }] },
        ],
        "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
    })
    .to_string()
}

/// The one error of a document.
fn error(document: &str) -> Value {
    let loaded = load(document);
    assert!(loaded.blueprint().is_none(), "accepted:\n{document}");
    let all = loaded.json();
    let errors: Vec<_> = all.as_array().unwrap().iter().filter(|one| one["severity"] == "error").collect();
    assert_eq!(errors.len(), 1, "{}", loaded.text(Style::Plain));
    errors[0].clone()
}

#[test]
fn the_example_loads() {
    let gate = gate(EXAMPLE);
    gate.send(request("GET", "/orders/7", &[ALICE])).permitted();
    assert_eq!(gate.send(request("GET", "/orders/7", &[])).refusal(), Some(Code::CredentialMissing));
    assert_eq!(gate.send(request("POST", "/orders/7", &[ALICE])).refusal(), Some(Code::MethodNotAllowed));
    assert_eq!(gate.send(request("GET", "/orders/x", &[ALICE])).refusal(), Some(Code::RequestInvalid));
    let put =
        request("PUT", "/orders/7", &[ALICE, ("content-type", "application/json"), ("content-length", "2")]);
    assert_eq!(gate.send_body(put, "{}").refusal(), Some(Code::ContentInvalid));
    gate.send(request("GET", "/health", &[])).permitted();
}

#[test]
fn oauth2_has_many_spellings() {
    let token = |roles: Value| format!("Bearer {}", SigningKey::issuers().token(json!({ "roles": roles })));
    for kind in ["OAuth2", "oauth2", "oauth_2", "OAUTH2"] {
        for url in ["token_url", "tokenUrl"] {
            for per_minute in ["per_minute", "perMinute"] {
                let gate = gate(&with(json!({
                    "authentication": { "type": kind, url: "https://auth.example.com/token" },
                    "authorization": { "roles_allowed": ["admin", "user"] },
                    "rate_limiting": { "max_requests": 2, per_minute: true },
                })));
                let of = |roles: Value| gate.send(get(&[("authorization", &token(roles))])).refusal();
                assert_eq!(of(json!(["clerk"])), Some(Code::RoleMissing));
                assert_eq!(of(json!(["user"])), None);
                assert_eq!(of(json!(["clerk", "admin"])), None);
                assert_eq!(of(json!(["user"])), Some(Code::RateLimited));
                assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::CredentialMissing));
            }
        }
    }
}

#[test]
fn all_of_several_methods_are_needed() {
    let methods =
        json!([{ "type": "api_key", "header": "x-one" }, { "type": "APIKey", "headerName": "x-two" }]);
    let gate = gate(&with(json!({ "authentication": { "all": methods } })));
    gate.send(get(&[("x-one", ALICE.1), ("x-two", ALICE.1)])).permitted();
    for (one, two, code) in [
        (Some(ALICE.1), None, Code::CredentialMissing),
        (None, Some(ALICE.1), Code::CredentialMissing),
        (Some(ALICE.1), Some("wrong"), Code::CredentialUnknown),
        (Some(ALICE.1), Some("admin-key-0123456789"), Code::CredentialsDisagree),
    ] {
        let fields: Vec<_> = [("x-one", one), ("x-two", two)]
            .into_iter()
            .filter_map(|(name, key)| Some((name, key?)))
            .collect();
        assert_eq!(gate.send(get(&fields)).refusal(), Some(code), "{fields:?}");
    }
}

#[test]
fn any_of_several_methods_is_enough() {
    let methods =
        json!([{ "type": "api_key", "header": "x-one" }, { "type": "APIKey", "headerName": "x-two" }]);
    let gate = gate(&with(json!({ "authentication": { "any": methods } })));
    gate.send(get(&[("x-one", ALICE.1)])).permitted();
    gate.send(get(&[("x-two", ALICE.1)])).permitted();
    assert_eq!(
        gate.send(get(&[("x-one", "wrong"), ("x-two", ALICE.1)])).refusal(),
        Some(Code::CredentialUnknown)
    );
    assert_eq!(gate.send(get(&[])).refusal(), Some(Code::CredentialMissing));
}

#[test]
fn an_api_key_has_many_spellings() {
    for kind in ["api_key", "APIKey", "apiKey", "ApiKey", "api-key", "apikey", "API_KEY"] {
        for header in ["header", "header_name", "headerName"] {
            for keys in ["keys", "valid_keys", "validKeys"] {
                let method = json!({ "type": kind, header: "X-API-Key", keys: ["12345", "67890"] });
                let gate = gate(&with(json!({ "authentication": method })));
                gate.send(get(&[("x-api-key", "12345")])).permitted();
                gate.send(get(&[("x-api-key", "67890")])).permitted();
                assert_eq!(gate.send(get(&[("x-api-key", "1234")])).refusal(), Some(Code::CredentialUnknown));
            }
        }
    }
}

#[test]
fn a_limit_has_many_spellings() {
    for (max, period) in [
        ("max_requests", json!({ "per": "minute" })),
        ("maxRequests", json!({ "perMinute": true })),
        ("max_requests", json!({ "per_minute": true })),
        ("max", json!({ "per": "minute" })),
    ] {
        for section in ["rate_limiting", "rateLimiting", "rate_limit", "rateLimit"] {
            let mut limit = period.clone();
            limit[max] = json!(2);
            let gate = gate(&with(json!({ "authentication": { "type": "api_key" }, section: limit })));
            gate.send(get(&[ALICE])).permitted();
            gate.send(get(&[ALICE])).permitted();
            assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RateLimited), "{section} {max}");
            gate.clock.advance(30);
            gate.send(get(&[ALICE])).permitted();
        }
    }
}

#[test]
fn roles_have_many_spellings() {
    for key in ["roles_allowed", "rolesAllowed", "roles"] {
        let gate = gate(&with(
            json!({ "authentication": { "type": "api_key" }, "authorization": { key: ["admin"] } }),
        ));
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RoleMissing));
        gate.send(get(&[("x-api-key", "admin-key-0123456789")])).permitted();
    }
}

#[test]
fn a_period_that_is_switched_off_or_there_twice_is_refused() {
    for limit in [
        json!({ "max_requests": 5, "per_minute": false }),
        json!({ "max_requests": 5, "per_minute": true, "per": "minute" }),
        json!({ "max_requests": 5, "perSecond": true, "per_hour": true }),
        json!({ "max_requests": 5 }),
    ] {
        let error = error(&with(json!({ "authentication": { "type": "api_key" }, "rate_limiting": limit })));
        assert_eq!(error["code"], "config.period", "{limit}");
    }
}

#[test]
fn a_type_with_a_slip_is_refused_with_the_name_that_was_meant() {
    for (slip, meant) in [("api_keys", "api_key"), ("OAuth", "OAuth2"), ("apy_key", "api_key")] {
        let error = error(&with(json!({ "authentication": { "type": slip, "header": "x-api-key" } })));
        assert_eq!(
            (&error["code"], &error["label"]),
            (&json!("config.unknown_value"), &json!(format!("did you mean `{meant}`?")))
        );
    }
    let error = error(&with(json!({ "authentication": { "header": "x-api-key" } })));
    assert_eq!(error["code"], "config.missing_key", "only the type is missing: {error}");
}

#[test]
fn a_route_without_a_statement_is_refused() {
    let routes =
        "listeners:\n  - bind: 127.0.0.1:3000\nroutes:\n  - path: /a\n    upstream: http://127.0.0.1:8080\n";
    for security in [
        "",
        "security: {}\n",
        "security:\n  rate_limiting: { max_requests: 5, per: minute }\n",
        "security:\n  authorization: { roles_allowed: [a] }\n",
    ] {
        let error = error(&format!("{security}{routes}"));
        assert_eq!(error["code"], "config.no_authentication", "{security}");
    }
    gate(&format!("{routes}    public: a test\n")).send(get(&[])).permitted();
    let error = error(&format!("{routes}    public: true\n"));
    assert_eq!(error["code"], "config.reason", "a reason is given in words");
}

#[test]
fn a_plaintext_listener_needs_a_reason() {
    let with = |listener: Value| {
        let route = json!({ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080" });
        json!({ "listeners": [listener], "routes": [route] }).to_string()
    };
    for bind in ["0.0.0.0:3000", "192.0.2.1:3000", "[::]:3000", "[::ffff:192.0.2.1]:3000"] {
        assert_eq!(error(&with(json!({ "bind": bind })))["code"], "config.plaintext", "{bind}");
        gate(&with(json!({ "bind": bind, "insecure_plaintext": "TLS ends at the load balancer" })));
        assert_eq!(
            error(&with(json!({ "bind": bind, "insecure_plaintext": true })))["code"],
            "config.reason"
        );
        assert_eq!(
            error(&with(json!({ "bind": bind, "insecure_plaintext": " - " })))["code"],
            "config.reason"
        );
    }
    for bind in ["127.0.0.1:3000", "127.5.5.5:3000", "[::1]:3000", "[::ffff:127.0.0.1]:3000"] {
        gate(&with(json!({ "bind": bind })));
    }
}
