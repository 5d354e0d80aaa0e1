//! The configurations of `docs/tokens.md` for well-known identity providers, each with a provider that answers as the real one
//! does: its metadata, its key set, and its tokens, in the shapes that its public documentation shows. What it issues for the API
//! passes; the twin that it issues for something else is refused.

use crate::forge::{Signer, with};
use crate::harness::{gate, request};
use portcullis_core::Code;
use serde_json::{Value, json};
use std::path::Path;

/// The time of the tests.
const NOW: i64 = 1_800_000_000;
const TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";

/// What a provider publishes and issues.
struct Provider {
    /// Its heading in the page.
    name: &'static str,
    issuer: String,
    /// Where its metadata is; `None` where the page names the keys.
    metadata: Option<String>,
    keys_at: String,
    /// Members that its keys have besides, or in place of the usual ones.
    key: Value,
    /// Members that its key set has besides `keys`.
    set: Value,
    /// Of the header of its tokens.
    header: Value,
    /// The claims of a token for the API, without `iss`, `iat` and `exp`.
    claims: Value,
    /// What it issues for something else: other claims, and why these are refused.
    refused: Vec<(Value, Code)>,
    /// Who the upstream is told it is.
    consumer: &'static str,
    /// Where the token is sent, if not in `Authorization`.
    field: Option<&'static str>,
}

fn providers() -> Vec<Provider> {
    let own = |issuer: &str| Provider {
        name: "",
        issuer: issuer.to_owned(),
        metadata: Some(format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))),
        keys_at: format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/')),
        key: json!({}),
        set: json!({}),
        header: json!({}),
        claims: json!({}),
        refused: Vec::new(),
        consumer: "",
        field: None,
    };
    let microsoft_key = json!({ "alg": null, "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg", "x5c": ["MIIDBTCCAe2gAwIBAgIQ"], "cloud_instance_name": "microsoftonline.com" });
    vec![
        Provider {
            name: "Auth0",
            key: json!({ "x5t": "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg", "x5c": ["MIIC+DCCAeCgAwIBAgIJ"] }),
            claims: json!({
                "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "azp": "my-client", "gty": "password",
                "aud": ["https://api.example.com", "https://example.eu.auth0.com/userinfo"],
                "scope": "openid profile", "permissions": ["read:orders"],
            }),
            refused: vec![
                (json!({ "aud": "my-client", "nonce": "n" }), Code::TokenAudience),
                (json!({ "permissions": [] }), Code::ScopeMissing),
                (json!({ "iss": "https://example.eu.auth0.com" }), Code::TokenIssuer),
            ],
            consumer: "auth0|5f7c8ec7c33c6c004bbafe82",
            ..own("https://example.eu.auth0.com/")
        },
        Provider {
            name: "Microsoft Entra ID (Azure AD), v2 tokens",
            keys_at: format!("https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"),
            key: with(
                &microsoft_key,
                &json!({ "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0" }),
            ),
            header: json!({ "typ": "JWT" }),
            claims: json!({
                "aud": CLIENT, "nbf": NOW, "aio": "AXQAi/8IAAAA", "azp": CLIENT, "azpacr": "0", "name": "Abe Lincoln",
                "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "preferred_username": "abeli@example.com", "rh": "I",
                "roles": ["Orders.Read"], "scp": "access_as_user", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
                "tid": TENANT, "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
            }),
            refused: vec![
                (json!({ "aud": "00000003-0000-0000-c000-000000000000" }), Code::TokenAudience),
                (
                    json!({ "iss": "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0" }),
                    Code::TokenIssuer,
                ),
                (json!({ "iss": "https://login.microsoftonline.com/{tenantid}/v2.0" }), Code::TokenIssuer),
                (json!({ "roles": null }), Code::RoleMissing),
                (json!({ "oid": null }), Code::TokenClaims),
            ],
            consumer: "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            ..own(&format!("https://login.microsoftonline.com/{TENANT}/v2.0"))
        },
        Provider {
            name: "Microsoft Entra ID (Azure AD), v1 tokens",
            metadata: None,
            keys_at: "https://login.microsoftonline.com/common/discovery/keys".to_owned(),
            key: microsoft_key,
            header: json!({ "x5t": "i6lGk3FZzxRcUb2C3nEQ7syHJlY" }),
            claims: json!({
                "aud": "api://orders", "nbf": NOW, "acr": "1", "aio": "AXQAi/8IAAAA", "amr": ["pwd"], "appid": CLIENT,
                "appidacr": "0", "family_name": "Lincoln", "given_name": "Abe", "ipaddr": "203.0.113.7",
                "oid": "02223b6b-aa1d-42d4-9ec0-1b2bb9194438", "rh": "I", "roles": ["Orders.Read"],
                "scp": "user_impersonation", "sub": "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA", "tid": TENANT,
                "unique_name": "abeli@example.com", "uti": "FVsGxYXI30-TuikuuUoFAA", "ver": "1.0",
            }),
            refused: vec![
                (json!({ "aud": "https://graph.windows.net" }), Code::TokenAudience),
                // Signed with the same keys.
                (
                    json!({ "iss": "https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/" }),
                    Code::TokenIssuer,
                ),
            ],
            consumer: "02223b6b-aa1d-42d4-9ec0-1b2bb9194438",
            ..own(&format!("https://sts.windows.net/{TENANT}/"))
        },
        Provider {
            name: "Azure AD B2C",
            metadata: None,
            keys_at: "https://example.b2clogin.com/example.onmicrosoft.com/B2C_1_signin/discovery/v2.0/keys"
                .to_owned(),
            key: json!({ "alg": null, "nbf": 1_493_763_266 }),
            claims: json!({
                "nbf": NOW, "ver": "1.0", "sub": "884408e1-2918-4cz0-b12d-3aa027d7563b", "aud": CLIENT, "nonce": "defaultNonce",
                "auth_time": NOW, "tfp": "B2C_1_signin", "azp": CLIENT, "scp": "orders.read", "name": "Abe",
            }),
            refused: vec![
                (json!({ "tfp": "B2C_1_edit_profile" }), Code::ClaimRefused),
                (json!({ "scp": "other" }), Code::ScopeMissing),
                (json!({ "iss": format!("https://example.b2clogin.com/{TENANT}/v2.0") }), Code::TokenIssuer),
            ],
            consumer: "884408e1-2918-4cz0-b12d-3aa027d7563b",
            ..own(&format!("https://example.b2clogin.com/{TENANT}/v2.0/"))
        },
        Provider {
            name: "Amazon Cognito",
            header: json!({ "typ": null }),
            claims: json!({
                "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["clerks"], "version": 2,
                "client_id": "7p9d2l6hh0vmgcgc5e3f0example", "origin_jti": "a", "event_id": "b", "token_use": "access",
                "scope": "orders/read", "auth_time": NOW, "jti": "c", "username": "alice",
            }),
            refused: vec![
                (json!({ "client_id": "another-client" }), Code::TokenAudience),
                // An ID token has `aud` in place of `client_id`.
                (
                    json!({ "client_id": null, "aud": "7p9d2l6hh0vmgcgc5e3f0example", "token_use": "id" }),
                    Code::TokenAudience,
                ),
                (json!({ "cognito:groups": null }), Code::RoleMissing),
            ],
            consumer: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            ..own("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example12")
        },
        Provider {
            name: "Keycloak",
            keys_at: "https://sso.example.com/realms/shop/protocol/openid-connect/certs".to_owned(),
            claims: json!({
                "jti": "onrtac:3e0d", "aud": ["orders", "account"], "sub": "f4e8a2b0-5a5c-4d2b", "typ": "Bearer", "azp": "web",
                "sid": "a", "acr": "1", "realm_access": { "roles": ["offline_access", "user"] },
                "resource_access": { "orders.api": { "roles": ["clerk"] }, "account": { "roles": ["view-profile"] } },
                "scope": "openid email", "email_verified": true, "preferred_username": "alice",
            }),
            refused: vec![
                (json!({ "aud": "account" }), Code::TokenAudience),
                (json!({ "resource_access": { "account": { "roles": ["clerk"] } } }), Code::RoleMissing),
                (
                    json!({ "resource_access": { "orders": { "api": { "roles": ["clerk"] } } } }),
                    Code::RoleMissing,
                ),
            ],
            consumer: "f4e8a2b0-5a5c-4d2b",
            ..own("https://sso.example.com/realms/shop")
        },
        Provider {
            name: "Okta",
            keys_at: "https://example.okta.com/oauth2/default/v1/keys".to_owned(),
            header: json!({ "typ": null }),
            claims: json!({
                "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "aud": "api://default",
                "cid": "0oa1example", "uid": "00u1example", "scp": ["openid", "orders.read"], "auth_time": NOW,
                "sub": "alice@example.com", "groups": ["Everyone", "clerk"],
            }),
            refused: vec![
                (json!({ "aud": "https://example.okta.com" }), Code::TokenAudience),
                (json!({ "scp": ["openid"] }), Code::ScopeMissing),
                (json!({ "iss": "https://example.okta.com" }), Code::TokenIssuer),
            ],
            consumer: "alice@example.com",
            ..own("https://example.okta.com/oauth2/default")
        },
        Provider {
            name: "Google",
            keys_at: "https://www.googleapis.com/oauth2/v3/certs".to_owned(),
            claims: json!({
                "azp": "1234987819200.apps.googleusercontent.com", "aud": "1234987819200.apps.googleusercontent.com",
                "sub": "10769150350006150715113082367", "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "hd": "example.com",
                "email": "jsmith@example.com", "email_verified": true, "nonce": "0394852-3190485-2490358",
            }),
            refused: vec![
                (json!({ "aud": "999.apps.googleusercontent.com" }), Code::TokenAudience),
                (json!({ "hd": null }), Code::ClaimRefused),
                (json!({ "hd": "evil.example" }), Code::ClaimRefused),
            ],
            consumer: "10769150350006150715113082367",
            ..own("https://accounts.google.com")
        },
        Provider {
            name: "Kubernetes service accounts",
            metadata: None,
            keys_at: "https://kubernetes.default.svc/openid/v1/jwks".to_owned(),
            header: json!({ "typ": null }),
            claims: json!({
                "aud": ["orders"], "jti": "a", "nbf": NOW, "sub": "system:serviceaccount:shop:checkout",
                "kubernetes.io": {
                    "namespace": "shop", "node": { "name": "n1", "uid": "u1" }, "pod": { "name": "checkout-1", "uid": "u2" },
                    "serviceaccount": { "name": "checkout", "uid": "u3" },
                },
            }),
            refused: vec![
                (json!({ "aud": ["https://kubernetes.default.svc.cluster.local"] }), Code::TokenAudience),
                (json!({ "kubernetes.io": { "namespace": "default" } }), Code::ClaimRefused),
                (json!({ "kubernetes.io": null, "namespace": "shop" }), Code::ClaimRefused),
            ],
            consumer: "system:serviceaccount:shop:checkout",
            ..own("https://kubernetes.default.svc.cluster.local")
        },
        Provider {
            name: "GitHub Actions",
            keys_at: "https://token.actions.githubusercontent.com/.well-known/jwks".to_owned(),
            key: json!({ "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE", "x5c": ["MIIDKzCCAhOgAwIBAgIUDnwm6eRIqGFA3o"] }),
            header: json!({ "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE" }),
            claims: json!({
                "jti": "example-id", "sub": "repo:octo-org/octo-repo:environment:prod", "environment": "prod",
                "aud": "https://deploy.example.com", "ref": "refs/heads/main", "sha": "example-sha",
                "repository": "octo-org/octo-repo", "repository_owner": "octo-org", "actor_id": "12",
                "repository_visibility": "private", "repository_id": "74", "run_id": "example-run-id", "run_number": "10",
                "run_attempt": "2", "actor": "octocat", "workflow": "example-workflow", "head_ref": "", "base_ref": "",
                "event_name": "workflow_dispatch", "ref_type": "branch", "nbf": NOW,
                "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
            }),
            refused: vec![
                (json!({ "aud": "https://github.com/octo-org" }), Code::TokenAudience),
                (json!({ "repository": "evil/octo-repo" }), Code::ClaimRefused),
                (json!({ "ref": "refs/pull/1/merge" }), Code::ClaimRefused),
            ],
            consumer: "repo:octo-org/octo-repo:environment:prod",
            ..own("https://token.actions.githubusercontent.com")
        },
        Provider {
            name: "Firebase",
            keys_at:
                "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
                    .to_owned(),
            claims: json!({
                "aud": "example-app", "auth_time": NOW, "user_id": "KzC2wJPxbTPFyGbl", "sub": "KzC2wJPxbTPFyGbl",
                "email": "alice@example.com", "email_verified": false,
                "firebase": { "identities": { "email": ["alice@example.com"] }, "sign_in_provider": "password" },
            }),
            refused: vec![
                (json!({ "aud": "another-app" }), Code::TokenAudience),
                (json!({ "iss": "https://securetoken.google.com/another-app" }), Code::TokenIssuer),
                (json!({ "firebase": { "sign_in_provider": "anonymous" } }), Code::ExpressionRefused),
            ],
            consumer: "KzC2wJPxbTPFyGbl",
            ..own("https://securetoken.google.com/example-app")
        },
        Provider {
            name: "Cloudflare Access",
            metadata: None,
            keys_at: "https://example.cloudflareaccess.com/cdn-cgi/access/certs".to_owned(),
            set: json!({
                "public_cert": { "kid": "key", "cert": "-----BEGIN CERTIFICATE-----\n" },
                "public_certs": [{ "kid": "key", "cert": "-----BEGIN CERTIFICATE-----\n" }],
            }),
            claims: json!({
                "aud": ["32eafc7626e737969ad6bdcff3b0f9b2f1a7b4d1b2e0e0a4e5e8ad1a9b8c7d6e"], "email": "user@example.com",
                "nbf": NOW, "type": "app", "identity_nonce": "6ei69kawdKzMIAPF", "country": "US",
                "sub": "7335d417-61da-459d-899c-0a01c76a2f94",
            }),
            refused: vec![
                (json!({ "aud": ["another-application"] }), Code::TokenAudience),
                (json!({ "iss": "https://evil.cloudflareaccess.com" }), Code::TokenIssuer),
            ],
            consumer: "7335d417-61da-459d-899c-0a01c76a2f94",
            field: Some("cf-access-jwt-assertion"),
            ..own("https://example.cloudflareaccess.com")
        },
    ]
}

/// The configuration that the page has for a provider.
fn configuration(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tokens.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section =
        page.split(&format!("### {name}\n")).nth(1).unwrap_or_else(|| panic!("no section for {name}"));
    let block = section.split("```yaml\n").nth(1).and_then(|block| block.split("```").next()).unwrap();
    // The one file that a configuration names.
    let block = block.replace("/var/run/secrets/kubernetes.io/serviceaccount/token", "token-secret.txt");
    format!(
        "{block}listeners: [{{ bind: \"127.0.0.1:3000\" }}]\nroutes: [{{ path: /orders, upstream: \"http://127.0.0.1:8080\" }}]\n"
    )
}

#[test]
fn each_provider_passes_with_the_configuration_of_the_page() {
    let key = Signer::rsa("key");
    let thief = Signer::rsa("key");
    for provider in providers() {
        let name = provider.name;
        let gate = gate(&configuration(name));
        let Provider { issuer, metadata, keys_at, .. } = &provider;
        if let Some(url) = metadata {
            let document = json!({
                "issuer": issuer, "authorization_endpoint": format!("{}/authorize", issuer.trim_end_matches('/')),
                "token_endpoint": format!("{}/token", issuer.trim_end_matches('/')), "jwks_uri": keys_at,
                "userinfo_endpoint": null, "tenant_region_scope": "EU", "request_uri_parameter_supported": false,
                "end_session_endpoint": "http://logout.example.com/", "id_token_signing_alg_values_supported": ["RS256"],
            });
            gate.network.publish(url, document);
        }
        let published = with(&key.published(), &provider.key);
        let encrypting = json!({ "kty": "RSA", "kid": "enc", "use": "enc", "alg": "RSA-OAEP", "n": published["n"], "e": "AQAB" });
        let set = with(&json!({ "keys": [encrypting, published] }), &provider.set);
        gate.network.publish(keys_at, set);
        let usual = json!({ "iss": issuer, "iat": NOW, "exp": NOW + 3600 });
        let claims = with(&usual, &provider.claims);
        let ask = |signer: &Signer, claims: &Value| {
            let token = signer.token_with(&provider.header, claims);
            let (field, value) = match provider.field {
                None => ("authorization", format!("Bearer {token}")),
                Some(field) => (field, token),
            };
            gate.send(request("GET", "/orders", &[(field, &value)]))
        };
        let answer = ask(&key, &claims);
        assert_eq!(answer.refusal(), None, "{name}: {:?}", answer.denial);
        assert_eq!(answer.permitted().headers["x-consumer-name"], provider.consumer, "{name}");
        if let Some(field) = provider.field {
            assert!(!answer.permitted().headers.contains_key(field), "{name}: the token went on");
        }
        for (other, code) in &provider.refused {
            assert_eq!(ask(&key, &with(&claims, other)).refusal(), Some(*code), "{name}: {other}");
        }
        // Of another key of the same name, and without a signature.
        assert_eq!(ask(&thief, &claims).refusal(), Some(Code::TokenSignature), "{name}");
        let expired = with(&claims, &json!({ "exp": NOW - 60 }));
        assert_eq!(ask(&key, &expired).refusal(), Some(Code::CredentialExpired), "{name}");
    }
}

#[test]
fn issuers_with_one_key_set_share_nothing_else() {
    // The two issuers of each tenant of Entra ID sign with the same keys.
    const OTHER: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let keys = "https://login.microsoftonline.com/common/discovery/keys";
    let v1 = |tenant: &str| format!("https://sts.windows.net/{tenant}/");
    let v2 = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let issuer = |issuer: String, tenants: &[&str], audience: &str| json!({ "type": "jwt", "issuer": issuer, "tenants": tenants, "jwks_url": keys, "audience": audience });
    let both =
        [issuer(v1("{tenant}"), &[TENANT, OTHER], "api://orders"), issuer(v2("{tenant}"), &[TENANT], CLIENT)];
    for order in [[0, 1], [1, 0]] {
        let methods = order.map(|one: usize| both[one].clone());
        let gate = gate(
            &json!({
                "security": { "authentication": { "any": methods } },
                "listeners": [{ "bind": "127.0.0.1:3000" }],
                "routes": [{ "path": "/orders", "upstream": "http://127.0.0.1:8080" }],
            })
            .to_string(),
        );
        let key = Signer::rsa("key");
        gate.network.publish(keys, json!({ "keys": [key.published()] }));
        let refusal = |iss: &str, audience: &str| {
            let claims = json!({
                "iss": iss, "aud": audience, "sub": "alice", "scp": "orders", "iat": NOW, "exp": NOW + 3600,
            });
            let bearer = format!("Bearer {}", key.token_with(&json!({ "typ": "JWT" }), &claims));
            gate.send(request("GET", "/orders", &[("authorization", &bearer)])).refusal()
        };
        for (iss, audience) in
            [(v1(TENANT), "api://orders"), (v1(OTHER), "api://orders"), (v2(TENANT), CLIENT)]
        {
            assert_eq!(refusal(&iss, audience), None, "{iss} {audience}");
        }
        for (iss, audience) in [(v1(TENANT), CLIENT), (v2(TENANT), "api://orders")] {
            assert_eq!(refusal(&iss, audience), Some(Code::TokenAudience), "{iss} {audience}");
        }
        let stranger = "9188040d-6c67-4c5b-b112-36a304b66dad";
        for iss in [
            v2(OTHER),
            v1(stranger),
            v2(stranger),
            v1("{tenant}"),
            v2("{tenantid}"),
            v1("common"),
            v2("common"),
            v1(&TENANT.to_ascii_uppercase()),
            v1(TENANT).trim_end_matches('/').to_owned(),
            format!("{}/", v2(TENANT)),
            format!("https://login.microsoftonline.com/{TENANT}"),
            format!("https://login.microsoftonline.com/{TENANT}/../{OTHER}/v2.0"),
            keys.to_owned(),
        ] {
            for audience in ["api://orders", CLIENT] {
                assert_eq!(refusal(&iss, audience), Some(Code::TokenIssuer), "{iss} {audience}");
            }
        }
    }
}

#[test]
fn each_provider_of_the_page_is_tried() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tokens.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## Providers\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let headings: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let tried: Vec<&str> = providers().iter().map(|provider| provider.name).collect();
    assert_eq!(headings, tried);
}
