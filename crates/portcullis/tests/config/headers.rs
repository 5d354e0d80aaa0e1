//! No header with which another product, or the gateway itself, speaks to a backend gets there from a client.

use super::effects::Place;
use super::harness::{Gate, gate, get, request};
use portcullis_core::Code;
use portcullis_core::head::foreign::PRODUCTS;
use serde_json::json;

const KEY: (&str, &str) = ("x-api-key", "alice-key-0123456789");

/// Every spelling that a backend may take for this name.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    all.extend(["_", ".", "~", "!"].map(|mark| name.replace('-', mark)));
    // Some marks here, others there.
    all.push(name.replacen('-', "_", 1));
    all.sort_unstable();
    all.dedup();
    all
}

/// A gateway with a public, a protected and an observed route behind proxies of 10.0.0.0/8.
fn three_routes() -> Gate {
    gate(
        &json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "trusted_proxies": ["10.0.0.0/8"],
            "security": { "authentication": { "type": "api_key", "header": "x-api-key" } },
            "consumers": [{ "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] }],
            "routes": [
                { "path": "/public", "public": "a test", "upstream": "http://127.0.0.1:8080" },
                { "path": "/protected", "upstream": "http://127.0.0.1:8080" },
                {
                    "path": "/observed",
                    "upstream": "http://127.0.0.1:8080",
                    "security": { "authentication": { "type": "api_key", "header": "x-api-key", "mode": "observe" } },
                },
            ],
        })
        .to_string(),
    )
}

/// What of these fields' values goes upstream, from each peer and on each route.
fn reaches(gate: &Gate, name: &str) -> bool {
    ["192.0.2.1", "10.0.0.1"].into_iter().any(|peer| {
        ["/public", "/protected", "/observed"].into_iter().any(|path| {
            let answer = gate.send_from(peer, request("GET", path, &[KEY, (name, "spoofed")]));
            let headers = &answer.permitted().headers;
            headers.values().any(|value| value.as_bytes() == b"spoofed")
        })
    })
}

#[test]
fn no_header_of_another_product_reaches_an_upstream() {
    let gate = three_routes();
    let mut tried = 0;
    for (_, names) in PRODUCTS.iter().flat_map(|product| product.headers) {
        for name in *names {
            let name = name.strip_suffix('*').map_or((*name).to_owned(), |stem| format!("{stem}name"));
            if name.starts_with("x-forwardedname") || name == "x-forwarded-for" {
                continue;
            }
            for spelling in spellings(&name) {
                assert!(!reaches(&gate, &spelling), "{spelling}");
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

/// The names by which people know them, apart from the table.
#[test]
fn the_well_known_ones_are_among_them() {
    let gate = three_routes();
    for name in [
        "Remote-User",
        "Remote-Groups",
        "Remote-Name",
        "Remote-Email",
        "X-authentik-username",
        "X-authentik-groups",
        "X-authentik-jwt",
        "X-Auth-Request-User",
        "X-Auth-Request-Groups",
        "X-Auth-Request-Access-Token",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Preferred-Username",
        "X-Forwarded-Access-Token",
        "Cf-Access-Jwt-Assertion",
        "Cf-Access-Authenticated-User-Email",
        "X-Goog-IAP-JWT-Assertion",
        "X-Goog-Authenticated-User-Email",
        "X-Amzn-Oidc-Identity",
        "X-Amzn-Oidc-Data",
        "X-Amzn-Oidc-Accesstoken",
        "X-Amzn-Mtls-Clientcert",
        "X-MS-CLIENT-PRINCIPAL",
        "X-MS-CLIENT-PRINCIPAL-NAME",
        "X-MS-TOKEN-AAD-ID-TOKEN",
        "X-ARR-ClientCert",
        "Tailscale-User-Login",
        "X-Pomerium-Jwt-Assertion",
        "X-Pomerium-Claim-Email",
        "X-Consumer-Username",
        "X-Consumer-Custom-ID",
        "X-Credential-Identifier",
        "X-Anonymous-Consumer",
        "X-Authenticated-Userid",
        "X-Userinfo",
        "X-Envoy-Original-Path",
        "X-Envoy-External-Address",
        "X-Forwarded-Client-Cert",
        "X-Istio-Attributes",
        "X-Accel-Redirect",
        "X-Sendfile",
        "X-Sendfile-Type",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Real-IP",
        "True-Client-IP",
        "Fastly-Client-IP",
        "CF-Connecting-IP",
        "CF-IPCountry",
        "X-Remote-User",
        "X-Remote-Group",
        "X-Remote-Extra-Scopes",
        "X-WEBAUTH-USER",
        "X-SSL-Client-DN",
        "X-SSL-Client-Verify",
        "SSL-Client-Cert",
        "SSL_CLIENT_S_DN",
        "X-Client-Cert",
        "X-Client-DN",
        "Client-Cert",
        "Impersonate-User",
        "Impersonate-Group",
        "Impersonate-Extra-Scopes",
        "X-Grafana-User",
        "X-Token-User-Email",
        "X-Vouch-User",
        "X-JWT-Assertion",
        "iv-user",
        "iv-groups",
        "SM_USER",
        "OAM_REMOTE_USER",
        "Shib-Session-ID",
        "OIDC_CLAIM_email",
        "X-ProxiedEntitiesChain",
        "$WSRU",
        "$wscc",
        "WL-Proxy-Client-Cert",
        "l5d-client-id",
        "l5d-dst-override",
        "X-Apigateway-Api-Userinfo",
        "X-Endpoint-API-UserInfo",
        "X-Appengine-Inbound-Appid",
        "X-CloudTasks-QueueName",
        "X-Appengine-Cron",
        "X-Apigateway-Event",
        "X-Amzn-Request-Context",
        "X-Middleware-Subrequest",
        "X-Matched-Path",
        "X-Proxy-User",
        "X-Proxy-Roles",
        "kubeflow-userid",
        "X-SPINNAKER-USER",
        "X-Rstudio-Username",
        "X-Auth-Username",
        "X-Auth-Roles",
        "GAP-Auth",
        "Teleport-Jwt-Assertion",
        "X-Azure-FDID",
        "CloudFront-Viewer-Address",
        "X-Vercel-Forwarded-For",
        "Fly-Client-IP",
        "DO-Connecting-IP",
        "X-Nf-Client-Connection-Ip",
        "Gitlab-Workhorse-Api-Request",
        "Proxy",
        "X-Client-Verify",
        "Front-End-Https",
        "X-Id-Token",
        "Surrogate-Capability",
        "X-User",
        "X-Email",
    ] {
        let name = name.to_ascii_lowercase();
        for spelling in spellings(&name) {
            assert!(!reaches(&gate, &spelling), "{spelling}");
        }
    }
}

#[test]
fn what_the_gateway_sets_is_the_gateways_to_say() {
    let gate = three_routes();
    for name in [
        "x-consumer-name",
        "x-consumer-issuer",
        "x-consumer-client",
        "x-consumer-roles",
        "x-consumer-scopes",
        "x-consumer-anything",
        "x-request-id",
    ] {
        for spelling in spellings(name) {
            for path in ["/public", "/protected", "/observed"] {
                let answer = gate.send(request("GET", path, &[KEY, (&spelling, "spoofed")]));
                let headers = &answer.permitted().headers;
                assert!(headers.values().all(|value| value.as_bytes() != b"spoofed"), "{spelling} {path}");
                assert!(spelling == name || !headers.contains_key(&*spelling), "{spelling} {path}");
            }
        }
    }
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"]
    {
        for spelling in spellings(name) {
            let answer = gate.send(request("GET", "/public", &[(&spelling, "203.0.113.77")]));
            let headers = &answer.permitted().headers;
            assert!(headers.values().all(|value| value.as_bytes() != b"203.0.113.77"), "{spelling}");
        }
    }
}

/// Whatever a gateway with all that sets headers is seen to set, so that none is left out of the tables.
#[test]
fn what_the_gateway_is_seen_to_set_comes_from_nobody_else() {
    let mut document = Place::in_gateway().document(json!({
        "authentication": { "type": "api_key", "header": "x-api-key" },
        "identity_token": { "issuer": "https://api.example.com", "audience": "inside", "header": "x-inside" },
    }));
    document["request_headers"] = json!({ "forwarded": true });
    document["routes"][0]["request_headers"] = json!({ "set": { "x-tier": "gold" } });
    let gate = gate(&document.to_string());
    let sent = gate.send(get(&[KEY]));
    let set: Vec<String> = sent.permitted().headers.keys().map(ToString::to_string).collect();
    for expected in ["x-consumer-name", "x-inside", "x-tier", "x-request-id", "x-forwarded-port", "forwarded"]
    {
        assert!(set.iter().any(|name| name == expected), "{expected}: {set:?}");
    }
    for name in &set {
        for spelling in spellings(name) {
            let answer = gate.send(get(&[KEY, (&spelling, "203.0.113.77")]));
            let Some(shaped) = &answer.shaped else {
                assert_eq!(answer.refusal(), Some(Code::AmbiguousHeader), "{spelling}");
                continue;
            };
            assert!(shaped.headers.values().all(|value| value.as_bytes() != b"203.0.113.77"), "{spelling}");
            assert!(spelling == *name || !shaped.headers.contains_key(&*spelling), "{spelling}");
        }
    }
}

#[test]
fn a_header_that_a_method_reads_is_judged_and_then_removed() {
    for name in ["cf-access-jwt-assertion", "x-auth-request-access-token"] {
        let place = Place::in_gateway();
        let gate = place.gate(json!({ "authentication": { "type": "api_key", "header": name } }));
        let answer = gate.send(get(&[(name, KEY.1)]));
        assert!(!answer.permitted().headers.contains_key(name), "{name}");
        assert_eq!(answer.permitted().headers["x-consumer-name"], "alice");
        let alias = name.replace('-', "_");
        assert_eq!(gate.send(get(&[(&alias, KEY.1)])).refusal(), Some(Code::AmbiguousHeader), "{alias}");
        assert_eq!(gate.send(get(&[])).refusal(), Some(Code::CredentialMissing));
    }
}

/// The keys of the gateway, its metadata and the way back of a login.
#[test]
fn what_the_gateway_answers_is_screened_and_counted() {
    let mut document = Place::in_gateway().document(json!({
        "addresses": { "deny": ["198.51.100.0/24"] },
        "rate_limiting": { "max_requests": 2, "per": "hour", "by": "address" },
        "identity_token": { "issuer": "https://api.example.com", "audience": "inside" },
    }));
    document["routes"][0]["security"] = json!({ "authentication": {
        "type": "openid_connect", "issuer": "https://auth.example.com", "client_id": "gateway",
        "client_secret": { "env": "TOKEN_SECRET" }, "public_url": "https://api.example.com",
        "session_secret": { "env": "TOKEN_SECRET" },
    } });
    for path in ["/.well-known/jwks.json", "/auth/callback", "/auth/logout"] {
        let method = if path == "/auth/logout" { "POST" } else { "GET" };
        let gate = gate(&document.to_string());
        let ask = |peer| gate.send_from(peer, request(method, path, &[]));
        assert_eq!(ask("198.51.100.1").refusal(), Some(Code::AddressRefused), "{path}");
        ask("192.0.2.1").permitted();
        ask("192.0.2.1").permitted();
        assert_eq!(ask("192.0.2.1").refusal(), Some(Code::RateLimited), "{path}");
        ask("192.0.2.2").permitted();
        let at = gate.listing.iter().position(|line| line.starts_with(path)).unwrap();
        let controls = &gate.listing[at..at + 3];
        assert!(controls.iter().any(|line| line.starts_with("screen.addresses enforce")), "{controls:?}");
    }
}

#[test]
fn what_no_route_takes_is_screened_and_counted() {
    let document = |own: &str| {
        format!(
            r#"{{
            "listeners": [{{ "bind": "127.0.0.1:3000" }}],
            "security": {{
                "authentication": {{ "type": "api_key" }},
                "addresses": {{ "deny": ["198.51.100.0/24"] }},
                "rate_limiting": {{ "max_requests": 3, "per": "hour", "by": "address" }}
            }},
            "consumers": [{{ "name": "alice", "keys": [{{ "env": "ALICE_API_KEY" }}] }}],
            "routes": [{{ "path": "/a", "methods": ["GET"], "upstream": "http://127.0.0.1:1" {own} }}]
        }}"#
        )
    };
    let gate = |own: &str| gate(&document(own));
    let inherits = gate("");
    for (method, path) in [("GET", "/a"), ("GET", "/nothing"), ("POST", "/a"), ("GET", "/A")] {
        let denied = inherits.send_from("198.51.100.1", request(method, path, &[]));
        assert_eq!(denied.refusal(), Some(Code::AddressRefused), "{method} {path}");
    }
    // Who looks for paths uses up the limit of the address, on every route that has it.
    let ask = |path| inherits.send(request("GET", path, &[])).refusal();
    assert_eq!([ask("/x"), ask("/y")], [Some(Code::RouteNotFound); 2]);
    let told = inherits.send(request("GET", "/z", &[]));
    assert_eq!(told.refusal(), Some(Code::RouteNotFound));
    assert!(told.headers["ratelimit"].to_str().unwrap().starts_with("\"default\";r=0"), "{:?}", told.headers);
    assert_eq!([ask("/x"), ask("/a")], [Some(Code::RateLimited); 2]);
    let elsewhere = inherits.send_from("192.0.2.2", request("GET", "/x", &[]));
    assert_eq!(elsewhere.refusal(), Some(Code::RouteNotFound));
    // A route that says whom it serves serves them, whatever the gateway says of the rest.
    let own = gate(r#", "security": { "addresses": { "allow": ["198.51.100.1"] } }"#);
    let from = |path| own.send_from("198.51.100.1", request("GET", path, &[])).refusal();
    assert_eq!((from("/a"), from("/b")), (Some(Code::CredentialMissing), Some(Code::AddressRefused)));
}

#[test]
fn an_inherited_limit_by_key_counts_by_address_in_public() {
    for limit in [
        r#""rate_limiting": { "max_requests": 2, "per": "hour", "by": "key" }"#,
        r#""quota": { "max_requests": 2, "per": "month", "by": { "claim": "org" } }"#,
    ] {
        let gate = gate(&format!(
            r#"{{
            "listeners": [{{ "bind": "127.0.0.1:3000" }}],
            "security": {{ "authentication": {{ "type": "api_key" }}, {limit} }},
            "consumers": [{{ "name": "alice", "keys": [{{ "env": "ALICE_API_KEY" }}] }}],
            "routes": [{{ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:1" }}]
        }}"#
        ));
        let ask = |peer| gate.send_from(peer, request("GET", "/a", &[])).refusal();
        assert_eq!([ask("192.0.2.1"), ask("192.0.2.1")], [None; 2], "{limit}");
        assert_eq!((ask("192.0.2.1"), ask("192.0.2.2")), (Some(Code::RateLimited), None), "{limit}");
    }
}
