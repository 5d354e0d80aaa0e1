//! What tokens may be used for, what clients are told, and what upstreams are told.

use super::support::{self, Backend, OidcProvider, World};
use super::{decode, document, get, oauth2};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_scopes_claims_owners_and_conditions_decide() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let method = oauth2(&provider, "audience: \"urn:jwt:ES256\", roles_claim: realm_access.roles");
    let by = |authorization: &str| format!("{method}, authorization: {{ {authorization} }}");
    let routes = [
        ("/roles", by("roles_allowed: [admin, user]")),
        ("/admin", by("roles_allowed: [admin]")),
        ("/scopes", by("scopes_required: [read, write]")),
        ("/claims", by("claims_required: { tenant: [blue, green] }")),
        ("/users/{id}", by("path_parameters_equal: { id: sub }")),
        ("/condition", by("condition: 'claims.tenant == \"blue\" && request.method == \"GET\"'")),
        ("/fails", by("condition: 'claims.absent == \"blue\"'")),
        ("/several", by("roles_allowed: [user], scopes_required: [read], claims_required: { tenant: blue }")),
    ];
    let routes: Vec<(&str, &str)> = routes.iter().map(|(path, method)| (*path, method.as_str())).collect();
    let world = World::start(&document(&backend, &routes));
    let token = |account: &'static str, scope: &'static str| {
        let provider = &provider;
        async move { provider.mint(account, "urn:jwt:ES256", scope, json!({})).await }
    };
    let alice = token("alice", "read write").await;
    let reader = token("alice", "read").await;
    let root = token("root", "write").await;
    let carol = token("carol", "read").await;
    for (path, token, status, code) in [
        ("/roles", &alice, 200, ""),
        ("/roles", &root, 200, ""),
        ("/roles", &carol, 403, "role_missing"),
        ("/admin", &root, 200, ""),
        ("/admin", &alice, 403, "role_missing"),
        ("/scopes", &alice, 200, ""),
        ("/scopes", &reader, 403, "scope_missing"),
        ("/scopes", &root, 403, "scope_missing"),
        ("/claims", &alice, 200, ""),
        ("/claims", &root, 403, "claim_refused"),
        ("/users/alice", &alice, 200, ""),
        ("/users/%61lice", &alice, 200, ""),
        ("/users/root", &alice, 403, "not_owner"),
        ("/users/ALICE", &alice, 403, "not_owner"),
        ("/users/alice%20", &alice, 403, "not_owner"),
        ("/users/root", &root, 200, ""),
        ("/condition", &alice, 200, ""),
        ("/condition", &root, 403, "expression_refused"),
        ("/fails", &alice, 403, "expression_refused"),
        ("/several", &alice, 200, ""),
        ("/several", &carol, 403, "role_missing"),
        ("/several", &root, 403, "role_missing"),
    ] {
        let before = backend.seen().len();
        let answer = get(&world, path, &[&format!("Authorization: Bearer {token}")]).await;
        let lines = world.records.lines();
        assert_eq!(answer.status, status, "{path}: {:?}", lines.last());
        assert_eq!(backend.seen().len() - before, usize::from(status == 200), "{path}");
        if status == 403 {
            let said = answer.fields("www-authenticate");
            let wanted: &[&str] = match code {
                "scope_missing" => &[r#"Bearer error="insufficient_scope", scope="read write""#],
                _ => &[],
            };
            assert_eq!(said, wanted, "{path}");
            assert!(
                support::leaks(&answer, &[code, "blue", "realm_access", "alice"]).is_empty(),
                "{answer:?}"
            );
        }
    }
    let records = world.end().await.all();
    let codes: Vec<&str> = records.iter().filter_map(|record| record["denied"]["code"].as_str()).collect();
    assert_eq!(codes.len(), 12, "{codes:?}");
    for code in ["role_missing", "scope_missing", "claim_refused", "not_owner", "expression_refused"] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_learn_where_to_get_tokens() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let method = oauth2(&provider, "resource: \"https://api.example/v1\"");
    let world = World::start(&document(&backend, &[("/data", &method)]));
    let place = "https://api.example/.well-known/oauth-protected-resource/v1";

    let nothing = get(&world, "/data", &[]).await;
    assert_eq!(nothing.field("www-authenticate"), format!("Bearer resource_metadata=\"{place}\""));
    let wrong = get(&world, "/data", &["Authorization: Bearer a.b.c"]).await;
    assert_eq!(
        wrong.field("www-authenticate"),
        format!("Bearer error=\"invalid_token\", resource_metadata=\"{place}\"")
    );
    let token = provider.client_token("machine", "urn:jwt:RS256", "read").await;
    assert_eq!(get(&world, "/data", &[&format!("Authorization: Bearer {token}")]).await.status, 200);

    let answer = get(&world, "/.well-known/oauth-protected-resource/v1", &[]).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, "application/json"));
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["resource"], "https://api.example/v1");
    assert_eq!(told["authorization_servers"], json!([provider.issuer]));
    assert_eq!(told["bearer_methods_supported"], json!(["header"]));
    assert_eq!(backend.seen().len(), 1, "the gateway answers by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_can_verify_who_sends_a_request() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let method = format!(
        "{}, identity_token: {{ issuer: \"https://gateway.example\", audience: orders }}",
        oauth2(&provider, "")
    );
    let world = World::start(&document(&backend, &[("/data", &method)]));
    for account in ["alice", "root"] {
        let token = provider.mint(account, "urn:jwt:EdDSA", "read", json!({})).await;
        let fields = [format!("Authorization: Bearer {token}"), "X-Consumer-Token: forged".to_owned()];
        assert_eq!(get(&world, "/data", &[&fields[0], &fields[1]]).await.status, 200);
    }
    let published = get(&world, "/.well-known/jwks.json", &[]).await;
    let keys: Value = serde_json::from_slice(&published.body).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    let key = &keys["keys"][0];
    assert!(key.get("d").is_none(), "the private key stays here");
    let part = |name: &str| decode(key[name].as_str().unwrap());
    let point = [&[4][..], &part("x"), &part("y")].concat();
    let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    for (seen, account) in backend.seen().iter().zip(["alice", "root"]) {
        let [token] = seen.fields("x-consumer-token")[..] else { panic!("{seen:?}") };
        let (signed, signature) = token.rsplit_once('.').unwrap();
        verifier.verify(signed.as_bytes(), &decode(signature)).expect("the gateway's signature");
        let (header, claims) = signed.split_once('.').unwrap();
        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
        assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &key["kid"]));
        assert_eq!(claims["iss"], "https://gateway.example");
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!("orders"), &json!(account)));
        assert_eq!(claims["sub_issuer"], json!(provider.issuer));
        assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 60);
        assert!(seen.fields("authorization").is_empty());
    }
}
