//! Who vouched for what: a scope, a role, a consumer or a credential counts for the method that established it.

use super::harness::{Gate, gate, load, request};
use super::network::{ISSUER, SigningKey};
use portcullis_core::Code;
use serde_json::{Value, json};

const ALICE: &str = "alice-key-0123456789";
const BOB: &str = "admin-key-0123456789";
const PARTNER: &str = "https://partner.example";

/// Alice, who has the scope `admin`, and bob, who has none.
fn document(route: Value) -> Value {
    let mut document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "consumers": [
            { "name": "alice", "scopes": ["admin"], "roles": ["admin"], "keys": [{ "env": "ALICE_API_KEY" }], "password": { "env": "PASSWORD_HASH" } },
            { "name": "bob", "keys": [{ "env": "ADMIN_API_KEY" }] },
        ],
        "routes": [{ "path": "/{*rest}", "upstream": "http://127.0.0.1:8080" }],
    });
    document["routes"][0].as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
    document
}

fn authenticated(authentication: Value) -> Gate {
    gate(&document(json!({ "security": { "authentication": authentication } })).to_string())
}

fn described(path: &str, file: &str, authentication: Value) -> Value {
    document(json!({
        "path": path,
        "openapi": { "file": file, "base_path": "/" },
        "security": { "authentication": authentication },
    }))
}

fn key(header: &str) -> Value {
    json!({ "type": "api_key", "header": header })
}

fn jwt(issuer: &str, more: Value) -> Value {
    let mut method = json!({ "type": "jwt", "issuer": issuer, "audience": "api", "jwks_file": "keys.json" });
    method.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    method
}

fn bearer(claims: Value) -> String {
    format!("Bearer {}", SigningKey::issuers().token(claims))
}

fn refusal(gate: &Gate, path: &str, fields: &[(&str, &str)]) -> Option<Code> {
    gate.send(request("GET", path, fields)).refusal()
}

#[test]
fn credentials_of_two_consumers_are_refused_wherever_they_stand() {
    let token = bearer(json!({}));
    let disagree = Some(Code::CredentialsDisagree);
    let staff = || jwt(ISSUER, json!({}));
    for (methods, one, two, expected) in [
        // The first method knows no consumer, and the next two contradict each other.
        (json!([staff(), key("x-one"), key("x-two")]), ALICE, BOB, disagree),
        (json!([key("x-one"), staff(), key("x-two")]), ALICE, BOB, disagree),
        (json!([key("x-one"), key("x-two"), staff()]), ALICE, BOB, disagree),
        (json!([staff(), key("x-one"), key("x-two")]), ALICE, ALICE, None),
        (json!([key("x-one"), staff(), key("x-two")]), BOB, BOB, None),
    ] {
        let gate = authenticated(json!({ "all": methods }));
        let fields = [("authorization", token.as_str()), ("x-one", one), ("x-two", two)];
        assert_eq!(refusal(&gate, "/a", &fields), expected, "{methods} {one} {two}");
    }
}

#[test]
fn a_scope_counts_for_the_method_that_established_it() {
    let missing = Some(Code::ScopeMissing);
    let staff = || jwt(ISSUER, json!({}));
    let (with, without) = (bearer(json!({ "scope": "admin" })), bearer(json!({ "scope": "read" })));
    for methods in [json!([key("x-one"), staff()]), json!([staff(), key("x-one")])] {
        let all = |path: &str| gate(&described(path, "issuers.yaml", json!({ "all": methods })).to_string());
        let (token, both) = (all("/token"), all("/both"));
        // Alice has the scope as a consumer, and her token has it or not.
        for gate in [(&token, "/token"), (&both, "/both")] {
            let sent = |bearer: &str| refusal(gate.0, gate.1, &[("authorization", bearer), ("x-one", ALICE)]);
            assert_eq!(sent(&with), None, "{methods}");
            assert_eq!(sent(&without), missing, "{methods}: the key's scopes are not the token's");
        }
        // And the other way round: the token's scope is not the key's.
        let key = all("/key");
        let sent = |who: &str| refusal(&key, "/key", &[("authorization", &with), ("x-one", who)]);
        assert_eq!(sent(ALICE), None, "{methods}");
        assert_eq!(sent(BOB), missing, "{methods}: the token's scopes are not the key's");
    }
}

#[test]
fn a_token_counts_for_the_scheme_of_its_issuer() {
    let any = || json!({ "any": [jwt(ISSUER, json!({})), jwt(PARTNER, json!({}))] });
    let of = |issuer: &str, scope: &str| bearer(json!({ "iss": issuer, "scope": scope }));
    let missing = Some(Code::ScopeMissing);
    for (path, issuer, scope, expected) in [
        ("/staff", ISSUER, "admin", None),
        ("/staff", ISSUER, "read", missing),
        ("/staff", PARTNER, "admin", missing),
        ("/partner", PARTNER, "admin", None),
        ("/partner", ISSUER, "admin", missing),
        ("/either", ISSUER, "admin", None),
        ("/either", ISSUER, "read", missing),
        ("/either", PARTNER, "read", None),
        ("/either", PARTNER, "admin", missing),
        // One scheme for tokens, and nothing that tells issuers apart: either will do.
        ("/token", ISSUER, "admin", None),
        ("/token", PARTNER, "admin", None),
    ] {
        let gate = gate(&described(path, "issuers.yaml", any()).to_string());
        let token = of(issuer, scope);
        assert_eq!(refusal(&gate, path, &[("authorization", &token)]), expected, "{path} {issuer} {scope}");
    }
}

#[test]
fn a_document_that_does_not_tell_issuers_apart_does_not_load_without_a_word() {
    let any = |staff: Value, partner: Value| {
        described("/staff", "unclear.yaml", json!({ "any": [jwt(ISSUER, staff), jwt(PARTNER, partner)] }))
    };
    let loaded = load(&any(json!({}), json!({})).to_string());
    assert!(loaded.blueprint().is_none());
    assert!(loaded.json().to_string().contains("config.openapi_security"));
    // One issuer is no question, and neither are two that say which scheme is theirs.
    let one = described("/staff", "unclear.yaml", jwt(ISSUER, json!({})));
    assert!(load(&one.to_string()).blueprint().is_some());
    let named = gate(
        &any(json!({ "openapi_schemes": "staff" }), json!({ "openapi_schemes": ["partner"] })).to_string(),
    );
    let of = |issuer: &str| bearer(json!({ "iss": issuer, "scope": "admin" }));
    assert_eq!(refusal(&named, "/staff", &[("authorization", &of(ISSUER))]), None);
    assert_eq!(refusal(&named, "/staff", &[("authorization", &of(PARTNER))]), Some(Code::ScopeMissing));
    // A scheme of an issuer that the route does not trust is answered by nobody.
    let foreign = described("/staff", "issuers.yaml", jwt(PARTNER, json!({})));
    assert!(load(&foreign.to_string()).blueprint().is_none());
}

#[test]
fn a_credential_is_kept_for_the_method_that_took_it() {
    let forwarded = || jwt(ISSUER, json!({ "insecure_forward_credential": "the backend verifies it again" }));
    let password = "Basic YWxpY2U6b3BlbiBzZXNhbWU=";
    let token = bearer(json!({}));
    let any = json!({ "any": [forwarded(), { "type": "basic" }, key("x-one")] });
    let gate = authenticated(any.clone());
    let kept = |gate: &Gate, fields: &[(&str, &str)]| {
        let answer = gate.send(request("GET", "/a", fields));
        answer.permitted().headers.contains_key("authorization")
    };
    assert!(kept(&gate, &[("authorization", &token)]), "the operator said so");
    assert!(!kept(&gate, &[("authorization", password)]), "of tokens, and not of passwords");
    // A key is asked for first, and nobody looks at what stands in the other field.
    let key_first = authenticated(json!({ "any": [key("x-one"), forwarded()] }));
    for other in [token.as_str(), "Bearer made.up.token", "Basic bm9ib2R5OnB3"] {
        assert!(!kept(&key_first, &[("x-one", ALICE), ("authorization", other)]), "{other}");
    }
    assert!(kept(&key_first, &[("authorization", &token)]));
    // Where all are needed, the token was judged, and is kept wherever it stands in the list.
    for methods in [json!([key("x-one"), forwarded()]), json!([forwarded(), key("x-one")])] {
        let all = authenticated(json!({ "all": methods }));
        assert!(kept(&all, &[("x-one", ALICE), ("authorization", &token)]), "{methods}");
    }
    // Where a refusal is only observed, what was refused is nobody's credential.
    let mut observed = any;
    observed["mode"] = json!("observe");
    let observed = authenticated(observed);
    assert!(!kept(&observed, &[("authorization", "Bearer made.up.token")]));
    assert!(kept(&observed, &[("authorization", &token)]));
}

/// Which codes are said of a document that loads.
fn warned(document: &Value) -> Vec<String> {
    let loaded = load(&document.to_string());
    let said = loaded.json();
    let codes = said.as_array().unwrap().iter().map(|said| said["code"].as_str().unwrap().to_owned());
    let codes = codes.collect();
    assert!(loaded.blueprint().is_some(), "{said}");
    codes
}

#[test]
fn a_role_of_one_issuer_is_not_the_others_role_without_a_word() {
    let secured = |authentication: Value| {
        document(json!({
            "security": {
                "authentication": authentication,
                "authorization": { "roles_allowed": ["admin", "partner:admin"] },
            },
        }))
    };
    let any = |staff: Value, partner: Value| json!({ "any": [jwt(ISSUER, staff), jwt(PARTNER, partner)] });
    let prefix = |prefix: &str| json!({ "roles_prefix": prefix });
    let shared =
        |authentication: Value| warned(&secured(authentication)).contains(&"config.shared_roles".to_owned());
    assert!(shared(any(json!({}), json!({}))));
    assert!(shared(any(prefix("x:"), prefix("x:"))));
    assert!(!shared(any(json!({}), prefix("partner:"))));
    assert!(
        !shared(json!({ "any": [jwt(ISSUER, json!({})), jwt(ISSUER, json!({ "audience": "b" }))] })),
        "one issuer"
    );
    assert!(
        !shared(json!({ "any": [jwt(ISSUER, json!({})), key("x-one")] })),
        "a consumer's roles are the operator's"
    );
    // What the gateway says for all, and what a route adds to it.
    let mut inherited = secured(any(json!({}), json!({})));
    let authentication = inherited["routes"][0]["security"]["authentication"].take();
    inherited["routes"][0]["security"].as_object_mut().unwrap().remove("authentication");
    inherited["security"] = json!({ "authentication": authentication });
    assert!(warned(&inherited).contains(&"config.shared_roles".to_owned()));

    let gate = gate(&secured(any(json!({}), prefix("partner:"))).to_string());
    let roles = |issuer: &str, role: &str| {
        let token = bearer(json!({ "iss": issuer, "roles": [role] }));
        let answer = gate.send(request("GET", "/a", &[("authorization", &token)]));
        answer.shaped.map(|shaped| shaped.headers["x-consumer-roles"].to_str().unwrap().to_owned())
    };
    assert_eq!(roles(ISSUER, "admin").as_deref(), Some("admin"));
    assert_eq!(roles(PARTNER, "admin").as_deref(), Some("partner:admin"));
    assert_eq!(roles(PARTNER, "partner:admin"), None);
    assert_eq!(roles(PARTNER, "reader"), None);
}

/// The prefix is the partner's wherever in the configuration it is named.
#[test]
fn a_role_of_one_issuer_is_not_spelled_by_another() {
    let prefixed = jwt(PARTNER, json!({ "roles_prefix": "partner/" }));
    let allowed = json!({ "roles_allowed": ["admin", "partner/admin"] });
    let one_route = document(json!({
        "security": { "authentication": { "any": [jwt(ISSUER, json!({})), prefixed] }, "authorization": allowed },
    }));
    // The route of the one inherits roles that are the other's.
    let mut two_routes = document(json!({
        "security": { "authentication": jwt(ISSUER, json!({})) },
    }));
    two_routes["security"] = json!({ "authentication": prefixed, "authorization": allowed });
    for document in [one_route, two_routes] {
        let gate = gate(&document.to_string());
        let refusal = |roles: Value| {
            let token = bearer(json!({ "iss": ISSUER, "roles": roles }));
            gate.send(request("GET", "/a", &[("authorization", &token)])).refusal()
        };
        assert_eq!(refusal(json!(["admin"])), None);
        assert_eq!(refusal(json!(["partner/admin"])), Some(Code::RoleMissing));
        assert_eq!(refusal(json!(["reader", "partner/admin"])), Some(Code::RoleMissing));
        assert_eq!(refusal(json!("partner/admin")), Some(Code::RoleMissing));
        let listed =
            gate.listing.iter().any(|line| line.contains("without roles that begin with `partner/`"));
        assert!(listed, "{:?}", gate.listing);
    }
}

#[test]
fn a_key_can_be_sent_as_a_bearer_token() {
    let own = authenticated(json!({ "type": "api_key", "scheme": "bearer" }));
    let refused = |fields: &[(&str, &str)]| refusal(&own, "/a", fields);
    for good in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let answer = own.send(request("GET", "/a", &[("authorization", &format!("{good} {ALICE}"))]));
        let headers = &answer.permitted().headers;
        assert_eq!(headers["x-consumer-name"], "alice");
        assert!(!headers.contains_key("authorization"), "the key goes no further");
    }
    assert_eq!(refused(&[("authorization", ALICE)]), Some(Code::CredentialMissing), "it is a scheme itself");
    assert_eq!(refused(&[("authorization", "Basic YTpi")]), Some(Code::CredentialMissing));
    assert_eq!(refused(&[("authorization", "Bearer")]), Some(Code::CredentialMalformed));
    assert_eq!(refused(&[("authorization", &format!("Bearer\t{ALICE}"))]), Some(Code::CredentialMalformed));
    assert_eq!(refused(&[("authorization", "Bearer another-key-0123456789")]), Some(Code::CredentialUnknown));
    let twice = format!("Bearer {ALICE}");
    let twice = [("authorization", twice.as_str()), ("authorization", twice.as_str())];
    assert_eq!(refused(&twice), Some(Code::CredentialRepeated));
    let elsewhere = authenticated(json!({ "type": "api_key", "scheme": "bearer", "header": "X-Access" }));
    let refused = |value: &str| refusal(&elsewhere, "/a", &[("x-access", value)]);
    assert_eq!(refused(&format!("Bearer {ALICE}")), None);
    assert_eq!(refused(ALICE), Some(Code::CredentialMalformed));
    assert_eq!(refused(&format!("Basic {ALICE}")), Some(Code::CredentialMalformed));
}

/// A key and a token stand in one place: whoever knows what is there accepts it, and it is refused once.
#[test]
fn methods_that_read_one_place_are_judged_together() {
    let bearer_key = || json!({ "type": "api_key", "scheme": "bearer" });
    let methods = [
        json!([bearer_key(), jwt(ISSUER, json!({})), key("x-one")]),
        json!([key("x-one"), jwt(ISSUER, json!({})), bearer_key()]),
    ];
    for methods in methods {
        let gate = authenticated(json!({ "any": methods }));
        let refused = |value: &str| refusal(&gate, "/a", &[("authorization", value), ("accept", "*/*")]);
        assert_eq!(refused(&bearer(json!({}))), None);
        assert_eq!(refused(&format!("Bearer {ALICE}")), None);
        assert_eq!(
            refused(&bearer(json!({ "exp": 1 }))),
            Some(Code::CredentialExpired),
            "the most telling one"
        );
        let unknown = refused("Bearer another-key-0123456789");
        assert!(matches!(unknown, Some(Code::CredentialUnknown | Code::TokenMalformed)), "{unknown:?}");
        assert_eq!(refused("Negotiate x"), Some(Code::CredentialMissing));
    }
    // What is there and bad is not made good by what stands elsewhere, and is one failure.
    let gate = authenticated(json!({ "any": [bearer_key(), jwt(ISSUER, json!({})), key("x-one")] }));
    let bad = [("authorization", "Bearer another-key-0123456789"), ("x-one", ALICE)];
    for _ in 0..3 {
        assert!(refusal(&gate, "/a", &bad).is_some());
    }
}

/// The forms of well-known guides, in every combination and under every spelling, load with warnings at most.
#[test]
fn every_combination_of_the_pasted_forms_loads() {
    let methods = [
        json!({ "type": "OAuth2", "token_url": "https://auth.example.com/token" }),
        json!({ "type": "OAuth2", "tokenUrl": "https://auth.example.com/oauth/token" }),
        json!({ "type": "APIKey", "headerName": "X-API-Key", "validKeys": ["0123456789abcdef"] }),
        json!({ "type": "APIKey", "header_name": "X-API-Key", "valid_keys": ["0123456789abcdef", "fedcba9876543210"] }),
        json!({ "type": "APIKey", "headerName": "Authorization", "validKeys": ["key1"] }),
    ];
    let several = |one: &Value, other: &Value, how: &str| json!({ how: [one.clone(), other.clone()] });
    let mut authentications: Vec<Value> = methods.to_vec();
    for (one, other) in [(0, 2), (2, 0), (1, 3), (0, 1), (2, 3)] {
        authentications.push(several(&methods[one], &methods[other], "any"));
    }
    authentications.push(several(&methods[0], &methods[2], "all"));
    let authorizations = [
        None,
        Some(json!({ "roles_allowed": ["admin"] })),
        Some(json!({ "rolesAllowed": ["admin", "user"] })),
    ];
    let limits = [
        None,
        Some(json!({ "max_requests": 100, "per_minute": true })),
        Some(json!({ "maxRequests": 100, "perMinute": true })),
        Some(json!([{ "max_requests": 10, "per_minute": true }, { "max_requests": 100, "per_hour": true }])),
    ];
    let mut tried = 0;
    for authentication in &authentications {
        for authorization in &authorizations {
            for limit in &limits {
                for (limits, for_all) in
                    [("rate_limiting", true), ("rateLimiting", false), ("rate_limit", true)]
                {
                    let mut security = json!({ "authentication": authentication });
                    if let Some(authorization) = authorization {
                        security["authorization"] = authorization.clone();
                    }
                    if let Some(limit) = limit {
                        security[limits] = limit.clone();
                    }
                    let mut document = document(json!({}));
                    document["consumers"] = json!([]);
                    match for_all {
                        true => document["security"] = security,
                        false => document["routes"][0]["security"] = security,
                    }
                    let loaded = load(&document.to_string());
                    assert!(loaded.blueprint().is_some(), "{}\n{document}", loaded.json());
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 11 * 3 * 4 * 3);
}

/// Routes to one upstream, which trusts the header wherever a request comes by.
#[test]
fn an_identity_header_comes_from_the_gateway_alone() {
    let upstream = "http://127.0.0.1:8080";
    let token = |header: &str| json!({ "issuer": "gate", "audience": "api", "header": header });
    let mut document = document(json!({}));
    document["security"] = json!({ "authentication": key("x-one") });
    document["routes"] = json!([
        { "path": "/told", "upstream": upstream, "security": { "identity_token": token("x-internal-identity") } },
        { "path": "/other", "upstream": upstream, "security": { "identity_token": token("x-other-identity") } },
        { "path": "/locked", "upstream": upstream },
        { "path": "/public", "public": "a test", "upstream": upstream },
        { "path": "/observed", "upstream": upstream, "security": { "authentication": { "type": "api_key", "header": "x-two", "mode": "observe" } } },
    ]);
    let gate = gate(&document.to_string());
    let gateways = |name: &str| {
        let folded = name.replace(|mark: char| !mark.is_ascii_alphanumeric(), "-");
        folded.starts_with("x-internal") || folded.starts_with("x-other") || folded.starts_with("x-consumer")
    };
    for name in [
        "x-internal-identity",
        "X-Internal-Identity",
        "x_internal_identity",
        "x-internal_identity",
        "X.Internal.Identity",
        "x~internal~identity",
        "x-other-identity",
        "x_other_identity",
        "x-consumer-token",
        "x_consumer_token",
        "x-consumer-name",
        "x-consumer-anything",
    ] {
        for (path, set) in [
            (
                "/told",
                vec!["x-consumer-name", "x-consumer-roles", "x-consumer-scopes", "x-internal-identity"],
            ),
            ("/other", vec!["x-consumer-name", "x-consumer-roles", "x-consumer-scopes", "x-other-identity"]),
            ("/locked", vec!["x-consumer-name", "x-consumer-roles", "x-consumer-scopes"]),
            ("/public", vec![]),
            ("/observed", vec![]),
        ] {
            let answer = gate.send(request("GET", path, &[("x-one", ALICE), (name, "root")]));
            let headers = &answer.permitted().headers;
            let mut there: Vec<&str> =
                headers.keys().map(|name| name.as_str()).filter(|name| gateways(name)).collect();
            there.sort_unstable();
            assert_eq!(there, set, "{name} on {path}");
            assert!(!headers.values().any(|value| value == "root"), "{name} on {path}");
        }
    }
}

/// Each order of a key of alice and a token of a subject.
fn a_key_and_a_token(more: Value) -> impl Iterator<Item = Gate> {
    let orders = [[key("x-one"), jwt(ISSUER, json!({}))], [jwt(ISSUER, json!({})), key("x-one")]];
    orders.into_iter().map(move |methods| {
        let mut security = json!({ "authentication": { "all": methods } });
        security.as_object_mut().unwrap().extend(more["security"].as_object().cloned().unwrap_or_default());
        let mut document = document(json!({ "security": security }));
        document["plans"] = more["plans"].clone();
        document["consumers"][0]["plan"] = more["plan"].clone();
        for gone in ["plans", "plan"].into_iter().filter(|name| more[*name].is_null()) {
            document.as_object_mut().unwrap().remove(gone);
            document["consumers"][0].as_object_mut().unwrap().remove(gone);
        }
        gate(&document.to_string())
    })
}

#[test]
fn a_plan_counts_wherever_its_consumer_stands() {
    let plan = json!({ "plans": { "small": { "rate_limiting": { "max_requests": 2, "per": "hour" } } }, "plan": "small" });
    for gate in a_key_and_a_token(plan) {
        // A new token each time makes no new allowance.
        let send = |who: &str, subject: &str| {
            let token = bearer(json!({ "sub": subject }));
            refusal(&gate, "/a", &[("x-one", who), ("authorization", &token)])
        };
        assert_eq!([send(ALICE, "one"), send(ALICE, "two")], [None; 2]);
        assert_eq!(send(ALICE, "three"), Some(Code::RateLimited));
        assert_eq!(send(BOB, "three"), None, "bob has no plan");
    }
}

#[test]
fn a_limit_counts_by_the_key_and_the_claim_wherever_they_stand() {
    let limit = |by: Value| json!({ "security": { "rate_limiting": { "max_requests": 1, "per": "hour", "by": by } } });
    let send = |gate: &Gate, who: &str, claims: Value| {
        refusal(gate, "/a", &[("x-one", who), ("authorization", &bearer(claims))])
    };
    let limited = Some(Code::RateLimited);
    for gate in a_key_and_a_token(limit(json!("key"))) {
        assert_eq!(send(&gate, ALICE, json!({ "sub": "one" })), None);
        assert_eq!(send(&gate, ALICE, json!({ "sub": "two" })), limited);
        assert_eq!(send(&gate, BOB, json!({ "sub": "two" })), None);
    }
    for gate in a_key_and_a_token(limit(json!({ "claim": "org" }))) {
        assert_eq!(send(&gate, ALICE, json!({ "sub": "one", "org": "x" })), None);
        assert_eq!(send(&gate, BOB, json!({ "sub": "two", "org": "x" })), limited);
        assert_eq!(send(&gate, BOB, json!({ "sub": "two", "org": "y" })), None);
    }
}

#[test]
fn claims_are_those_of_the_token_wherever_it_stands() {
    for authorization in
        [json!({ "claims_required": { "org": ["x"] } }), json!({ "condition": "claims.org == 'x'" })]
    {
        for gate in a_key_and_a_token(json!({ "security": { "authorization": authorization } })) {
            let send = |org: &str| {
                let token = bearer(json!({ "org": org }));
                refusal(&gate, "/a", &[("x-one", ALICE), ("authorization", &token)])
            };
            assert_eq!(send("x"), None, "{authorization}");
            assert!(send("y").is_some(), "{authorization}");
        }
    }
}
