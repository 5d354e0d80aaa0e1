//! What each key does that is about tokens: those that clients send, those that upstreams get, and who may with them.

use super::super::harness::{Answer, Gate, gate, get, load, request};
use super::super::network::{GRANTED, ISSUER, OPAQUE, SigningKey, UNTYPED, claims_of, encode, secret_token};
use super::{Place, SecurityRow};
use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA512};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use portcullis_core::Code;
use serde_json::{Value, json};

/// What each key does.
pub(crate) const ROWS: &[SecurityRow] = &[
    // Whose tokens.
    ("security.authentication.token_url", |place| {
        let of = |url: &str| tokens(place, json!({ "type": "OAuth2", "token_url": url, "audience": "api" }));
        permits(&of("https://auth.example.com/token"), &token(json!({})));
        let gate = of("https://auth.example.com/another");
        refuses(&gate, &token(json!({})), Code::Fault);
    }),
    ("security.authentication.issuer", |place| {
        let gate = jwt(place, json!({}));
        permits(&gate, &token(json!({})));
        refuses(&gate, &token(json!({ "iss": "https://auth.example.com/" })), Code::TokenIssuer);
    }),
    ("security.authentication.jwks_url", |place| {
        let gate = jwt(place, json!({ "jwks_url": "https://auth.example.com/other-keys" }));
        permits(&gate, &SigningKey::other().token(json!({})));
        refuses(&gate, &token(json!({})), Code::TokenKeyUnknown);
    }),
    ("security.authentication.more_jwks_urls", |place| {
        let gate = jwt(place, json!({ "more_jwks_urls": ["https://auth.example.com/other-keys"] }));
        permits(&gate, &token(json!({})));
        permits(&gate, &SigningKey::other().token(json!({})));
        let missing = json!({ "more_jwks_urls": ["https://auth.example.com/no-keys"] });
        refuses(&jwt(place, missing), &token(json!({})), Code::Fault);
    }),
    ("security.authentication.tenants", |place| {
        let keys = json!({
            "issuer": "https://auth.example.com/{tenant}", "tenants": ["blue", "green"],
            "jwks_url": "https://auth.example.com/keys",
        });
        let gate = jwt(place, keys);
        permits(&gate, &token(json!({ "iss": "https://auth.example.com/green" })));
        for other in ["red", "{tenant}", "", "blue/..", "green/"] {
            let issuer = format!("https://auth.example.com/{other}");
            refuses(&gate, &token(json!({ "iss": issuer })), Code::TokenIssuer);
        }
    }),
    ("security.authentication.jwks_token_file", |place| {
        let gate = jwt(place, json!({ "jwks_token_file": "token-secret.txt" }));
        permits(&gate, &token(json!({})));
        let asked = gate.network.asked("https://auth.example.com/keys");
        assert_eq!(asked[0].authorization, "Bearer 0123456789abcdef0123456789abcdef");
    }),
    ("security.authentication.insecure_plaintext", |place| {
        let keys = json!({ "jwks_url": "http://auth.example.com/keys" });
        let mut open = keys.clone();
        open["insecure_plaintext"] = json!("inside of the cluster");
        let text = |keys: &Value| {
            let mut method = json!({ "type": "jwt", "issuer": ISSUER, "audience": "api" });
            method.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            place.document(json!({ "authentication": method })).to_string()
        };
        assert!(load(&text(&keys)).into_blueprint().is_err());
        assert!(load(&text(&open)).into_blueprint().is_ok());
    }),
    ("security.authentication.secret_encoding", |place| {
        let keys = |encoding: &str| {
            let encoded = Base64::encode_string(b"0123456789abcdef0123456789abcdef");
            json!({ "secret": { "literal": encoded }, "secret_encoding": encoding })
        };
        let signed = secret_token(HMAC_SHA256, "HS256");
        permits(&jwt(place, keys("base64")), &signed);
        refuses(&jwt(place, keys("text")), &signed, Code::TokenSignature);
    }),
    ("security.authentication.audience_claim", |place| {
        let gate = jwt(place, json!({ "audience_claim": "client_id" }));
        permits(&gate, &token(json!({ "aud": "another", "client_id": "api" })));
        refuses(&gate, &token(json!({ "client_id": "another" })), Code::TokenAudience);
    }),
    ("security.authentication.introspect", |place| {
        let signed = token(json!({ "aud": "api" }));
        permits(&opaque(place, json!({})), &signed);
        refuses(&opaque(place, json!({ "introspect": "all" })), &signed, Code::TokenInactive);
        let gate = opaque(place, json!({ "introspect": "all" }));
        permits(&gate, OPAQUE);
        // A made-up one is refused here, and costs the server no question.
        gate.network.asked("https://auth.example.com/introspect");
        refuses(&gate, &SigningKey::other().token(json!({ "aud": "api" })), Code::TokenKeyUnknown);
        assert!(gate.network.asked("https://auth.example.com/introspect").is_empty());
    }),
    ("security.authentication.jwks_file", |place| {
        let gate = jwt(place, json!({ "jwks_file": "other-keys.json" }));
        permits(&gate, &SigningKey::other().token(json!({})));
        refuses(&gate, &token(json!({})), Code::TokenKeyUnknown);
        assert!(gate.network.asked("https://auth.example.com/keys").is_empty());
    }),
    ("security.authentication.secret", |place| secret(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.authentication.secret.env", |place| secret(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.authentication.secret.file", |place| secret(place, json!({ "file": "token-secret.txt" }))),
    ("security.authentication.secret.literal", |place| {
        secret(place, json!({ "literal": "0123456789abcdef0123456789abcdef" }));
    }),
    ("security.authentication.introspection_url", |place| {
        let url = "https://auth.example.com/other-introspect";
        let gate = opaque(place, json!({ "introspection_url": url }));
        permits(&gate, OPAQUE);
        assert_eq!(gate.network.asked(url).len(), 1);
    }),
    ("security.authentication.client_id", |place| client(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.authentication.client_authentication", |place| {
        let gate = opaque(place, json!({ "client_authentication": "client_secret_post" }));
        permits(&gate, OPAQUE);
        let asked = gate.network.asked("https://auth.example.com/introspect");
        assert_eq!(asked[0].authorization, "");
        assert!(asked[0].body.ends_with("&client_id=gate&client_secret=0123456789abcdef0123456789abcdef"));
    }),
    ("security.authentication.client_assertion", |place| {
        let gate = opaque(place, signing(json!({})));
        assert_eq!(asserted(&introspected(&gate)).1["aud"], ISSUER);
    }),
    ("security.authentication.client_assertion.key_id", |place| {
        let gate = opaque(place, signing(json!({ "key_id": "the-key" })));
        let header = asserted(&introspected(&gate)).0;
        assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "the-key" }));
    }),
    ("security.authentication.client_assertion.audience", |place| {
        let gate = opaque(place, signing(json!({ "audience": "https://auth.example.com/other" })));
        assert_eq!(asserted(&introspected(&gate)).1["aud"], "https://auth.example.com/other");
    }),
    ("security.authentication.client_assertion.rsa_algorithm", |place| {
        let gate = opaque(place, signing(json!({ "rsa_algorithm": "PS256" })));
        assert_eq!(asserted(&introspected(&gate)).0["alg"], "PS256");
    }),
    ("security.authentication.client_assertion.certificate", |place| {
        let gate = opaque(place, signing(json!({ "certificate": "client-certificate.pem" })));
        assert_eq!(asserted(&introspected(&gate)).0["x5t#S256"], THUMBPRINT);
    }),
    ("security.authentication.client_secret", |place| client(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.authentication.client_secret.env", |place| client(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.authentication.client_secret.file", |place| {
        client(place, json!({ "file": "token-secret.txt" }))
    }),
    ("security.authentication.client_secret.literal", |place| {
        client(place, json!({ "literal": "0123456789abcdef0123456789abcdef" }));
    }),
    ("security.authentication.introspection_lifetime", |place| {
        let gate = opaque(place, json!({ "introspection_lifetime": "10s" }));
        for (later, asked) in [(0, 1), (9, 0), (1, 1)] {
            gate.clock.advance(later);
            permits(&gate, OPAQUE);
            assert_eq!(gate.network.asked("https://auth.example.com/introspect").len(), asked, "{later}");
        }
    }),
    ("security.authentication.untyped_introspection", |place| {
        refuses(&opaque(place, json!({})), UNTYPED, Code::TokenType);
        let reason = "the server gives out no refresh tokens";
        permits(&opaque(place, json!({ "untyped_introspection": reason })), UNTYPED);
    }),
    // What they must say.
    ("security.authentication.audience", |place| {
        let gate = jwt(place, json!({ "audience": ["orders", "invoices"] }));
        permits(&gate, &token(json!({ "aud": "invoices" })));
        refuses(&gate, &token(json!({})), Code::TokenAudience);
    }),
    ("security.authentication.insecure_any_audience", |place| {
        let gate = tokens(
            place,
            json!({ "type": "jwt", "issuer": ISSUER, "insecure_any_audience": "the issuer serves this API alone" }),
        );
        permits(&gate, &token(json!({ "aud": "somebody else" })));
    }),
    ("security.authentication.algorithms", |place| {
        let gate = jwt(place, json!({ "secret": { "env": "TOKEN_SECRET" }, "algorithms": ["HS512"] }));
        permits(&gate, &secret_token(HMAC_SHA512, "HS512"));
        refuses(&gate, &secret_token(HMAC_SHA256, "HS256"), Code::TokenAlgorithm);
    }),
    ("security.authentication.profile", |place| {
        let gate = jwt(place, json!({ "profile": "access_token" }));
        refuses(&gate, &token(json!({})), Code::TokenType);
        let key = SigningKey::issuers();
        let claims = json!({
            "iss": ISSUER, "sub": "alice", "aud": "api", "iat": 1_800_000_000, "exp": 1_800_000_600,
            "jti": "1", "client_id": "app", "roles": ["user"],
        });
        permits(&gate, &key.sign(json!({ "kid": key.kid, "typ": "at+jwt" }), &claims));
    }),
    ("security.authentication.leeway", |place| {
        let late = token(json!({ "exp": 1_800_000_000 - 59 }));
        permits(&jwt(place, json!({ "leeway": "60s" })), &late);
        refuses(&jwt(place, json!({})), &late, Code::CredentialExpired);
    }),
    ("security.authentication.max_age", |place| {
        let old = token(json!({ "iat": 1_800_000_000 - 600 }));
        permits(&jwt(place, json!({})), &old);
        refuses(&jwt(place, json!({ "max_age": "5m" })), &old, Code::CredentialExpired);
    }),
    ("security.authentication.roles_claim", |place| {
        let gate = jwt(place, json!({ "roles_claim": "realm_access.roles" }));
        let answer = permits(&gate, &token(json!({ "realm_access": { "roles": ["user", "clerk"] } })));
        assert_eq!(answer.permitted().headers["x-consumer-roles"], "user,clerk");
        refuses(&gate, &token(json!({})), Code::RoleMissing);
    }),
    ("security.authentication.more_roles_claims", |place| {
        let more = json!([["resource_access", "my.client", "roles"], "groups"]);
        let gate = jwt(place, json!({ "more_roles_claims": more }));
        let claims = json!({ "roles": "user", "resource_access": { "my.client": { "roles": ["clerk"] } }, "groups": ["a"] });
        let answer = permits(&gate, &token(claims));
        assert_eq!(answer.permitted().headers["x-consumer-roles"], "user,clerk,a");
    }),
    ("security.authentication.subject_claim", |place| {
        let gate = jwt(place, json!({ "subject_claim": "oid" }));
        let answer = permits(&gate, &token(json!({ "oid": "7f", "roles": ["user"] })));
        assert_eq!(answer.permitted().headers["x-consumer-name"], "7f");
        refuses(&gate, &token(json!({})), Code::TokenClaims);
    }),
    ("security.authentication.roles_separator", |place| {
        let roles = |keys: Value, roles: Value| {
            let gate = jwt(place, keys);
            let answer = gate.send(bearer(&token(json!({ "roles": roles }))));
            answer.shaped.map(|shaped| shaped.headers["x-consumer-roles"].clone())
        };
        let by = |separator: &str| json!({ "roles_separator": separator });
        assert_eq!(roles(json!({}), json!("clerk user")), None, "one role with a space in it");
        assert_eq!(roles(by(" "), json!("clerk user")).unwrap(), "clerk,user");
        assert_eq!(roles(by(","), json!("head clerk, user")).unwrap(), "head clerk,user");
    }),
    ("security.authentication.roles_prefix", |place| {
        let gate = jwt(place, json!({ "roles_prefix": "us" }));
        let answer = permits(&gate, &token(json!({ "roles": ["er", "admin"] })));
        assert_eq!(answer.permitted().headers["x-consumer-roles"], "user,usadmin");
        refuses(&gate, &token(json!({})), Code::RoleMissing);
    }),
    ("security.authentication.scopes_claim", |place| {
        let gate = jwt(place, json!({ "scopes_claim": "permissions" }));
        let answer = permits(&gate, &token(json!({ "scope": "a", "permissions": ["read", "write"] })));
        assert_eq!(answer.permitted().headers["x-consumer-scopes"], "read,write");
    }),
    ("security.authentication.max_token_size", |place| {
        let gate = jwt(place, json!({ "max_token_size": "100B" }));
        refuses(&gate, &token(json!({})), Code::TokenMalformed);
    }),
    ("security.authentication.cached_tokens", |place| {
        for (cached, asked) in [(0, 2), (10, 1)] {
            let gate = opaque(place, json!({ "cached_tokens": cached }));
            permits(&gate, OPAQUE);
            permits(&gate, OPAQUE);
            assert_eq!(gate.network.asked("https://auth.example.com/introspect").len(), asked);
        }
    }),
    // Who may use them.
    ("security.authentication.dpop", |place| {
        let gate = jwt(place, json!({ "dpop": { "required": true } }));
        refuses(&gate, &token(json!({})), Code::TokenBinding);
    }),
    ("security.authentication.dpop.required", |place| {
        let bound = bound_token();
        let gate = jwt(place, json!({ "dpop": { "required": true } }));
        refuses(&gate, &token(json!({})), Code::TokenBinding);
        let answer = gate.send(get(&[("authorization", &format!("DPoP {bound}")), ("dpop", &proof(&bound))]));
        assert!(!answer.permitted().headers.contains_key("dpop"), "a proof is not forwarded");
        permits(&jwt(place, json!({ "dpop": { "required": false } })), &token(json!({})));
    }),
    ("security.authentication.dpop.nonce", |place| {
        let bound = bound_token();
        let fields = (format!("DPoP {bound}"), proof(&bound));
        let fields = [("authorization", fields.0.as_str()), ("dpop", fields.1.as_str())];
        let gate = jwt(place, json!({ "dpop": { "nonce": true } }));
        let answer = gate.send(get(&fields));
        assert_eq!(answer.refusal(), Some(Code::ProofNonce));
        assert!(answer.headers.contains_key("dpop-nonce"));
        jwt(place, json!({ "dpop": { "nonce": false } })).send(get(&fields)).permitted();
    }),
    ("security.authentication.dpop.nonce_secret", |place| nonces(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.authentication.dpop.nonce_secret.env", |place| {
        nonces(place, json!({ "env": "TOKEN_SECRET" }))
    }),
    ("security.authentication.dpop.nonce_secret.file", |place| {
        nonces(place, json!({ "file": "token-secret.txt" }));
    }),
    ("security.authentication.dpop.nonce_secret.literal", |place| {
        nonces(place, json!({ "literal": "0123456789abcdef0123456789abcdef" }));
    }),
    // How long the issuer may be away.
    ("security.authentication.stale_keys", |place| {
        let gate = jwt(place, json!({ "stale_keys": "60s" }));
        permits(&gate, &token(json!({})));
        gate.network.go_down();
        // Keys are fetched again after five minutes if the issuer does not say.
        let later = token(json!({ "exp": 1_800_009_999 }));
        gate.clock.advance(359);
        gate.work();
        permits(&gate, &later);
        gate.clock.advance(1);
        refuses(&gate, &later, Code::Fault);
    }),
    ("security.authentication.min_refresh", |place| {
        let gate = jwt(place, json!({ "min_refresh": "3s" }));
        let unknown = SigningKey::other().token(json!({}));
        permits(&gate, &token(json!({})));
        for (later, asked) in [(0, 1), (2, 0), (2, 1), (0, 0)] {
            gate.clock.advance(later);
            refuses(&gate, &unknown, Code::TokenKeyUnknown);
            assert_eq!(gate.network.asked("https://auth.example.com/keys").len(), asked, "after {later} s");
        }
    }),
    ("security.authentication.resource", |place| {
        let gate = jwt(place, json!({ "resource": "https://api.example.com/v1" }));
        let challenge = &gate.send(get(&[])).headers["www-authenticate"];
        let url = "https://api.example.com/.well-known/oauth-protected-resource/v1";
        assert_eq!(challenge, &format!("Bearer resource_metadata=\"{url}\""));
        gate.send(request("GET", "/.well-known/oauth-protected-resource/v1", &[])).permitted();
    }),
    ("security.authentication.openapi_schemes", |place| {
        let meant = |scheme: &str| {
            let method =
                json!({ "type": "jwt", "issuer": ISSUER, "audience": "api", "openapi_schemes": scheme });
            let mut document = place.document(json!({ "authentication": method }));
            document["routes"][0]["openapi"] = json!({ "file": "unclear.yaml", "base_path": "/" });
            document.to_string()
        };
        assert!(load(&meant("partner")).blueprint().is_none(), "the operation wants another scheme");
        gate(&meant("staff")).send(bearer(&token(json!({})))).permitted();
    }),
    ("security.authentication.insecure_forward_credential", |place| {
        let gate = jwt(place, json!({ "insecure_forward_credential": "the backend verifies it again" }));
        let token = token(json!({}));
        let answer = gate.send(get(&[("authorization", &format!("Bearer {token}"))]));
        assert_eq!(answer.permitted().headers["authorization"], format!("Bearer {token}"));
    }),
    ("security.authentication.all", |place| {
        let methods = json!([
            { "type": "api_key", "header": "x-one" },
            { "type": "jwt", "issuer": ISSUER, "audience": "api" },
        ]);
        let gate = place.gate(json!({ "authentication": { "all": methods } }));
        let (key, token) = ("alice-key-0123456789", format!("Bearer {}", token(json!({}))));
        let answer = gate.send(get(&[("x-one", key), ("authorization", &token)]));
        assert_eq!(answer.permitted().headers["x-consumer-name"], "alice");
        assert_eq!(gate.send(get(&[("x-one", key)])).refusal(), Some(Code::CredentialMissing));
        assert_eq!(gate.send(get(&[("authorization", &token)])).refusal(), Some(Code::CredentialMissing));
    }),
    // What they may.
    ("security.authorization.scopes_required", |place| {
        let gate = may(place, json!({ "scopes_required": ["read", "write"] }));
        permits(&gate, &token(json!({ "scope": "write read" })));
        let answer = gate.send(bearer(&token(json!({ "scope": "read" }))));
        assert_eq!(answer.refusal(), Some(Code::ScopeMissing));
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"read write\"";
        assert_eq!(answer.headers["www-authenticate"], challenge);
    }),
    ("security.authorization.claims_required", |place| {
        let gate = may(place, json!({ "claims_required": { "tenant.id": ["a", "b"], "verified": true } }));
        permits(&gate, &token(json!({ "tenant": { "id": "b" }, "verified": true })));
        for claims in [
            json!({ "tenant": { "id": "c" }, "verified": true }),
            json!({ "tenant": { "id": "a" }, "verified": "true" }),
            json!({ "tenant": { "id": "a" } }),
        ] {
            refuses(&gate, &token(claims), Code::ClaimRefused);
        }
    }),
    ("security.authorization.path_parameters_equal", |place| {
        let mut document = place.document(json!({
            "authentication": { "type": "jwt", "issuer": ISSUER, "audience": "api" },
            "authorization": { "path_parameters_equal": { "id": "sub" } },
        }));
        document["routes"][0]["path"] = json!("/users/{id}");
        let gate = super::super::harness::gate(&document.to_string());
        let token = format!("Bearer {}", token(json!({})));
        let of =
            |user: &str| gate.send(request("GET", &format!("/users/{user}"), &[("authorization", &token)]));
        of("alice").permitted();
        assert_eq!(of("bob").refusal(), Some(Code::NotOwner));
        assert_eq!(of("Alice").refusal(), Some(Code::NotOwner));
    }),
    ("security.authorization.external", |place| decided(place, json!({}))),
    ("security.authorization.external.url", |place| {
        decided(place, json!({ "url": "https://other.example.com/allow" }))
    }),
    ("security.authorization.external.form", |place| {
        let gate = external(place, json!({ "form": "forward_auth" }));
        let ask = || gate.send(bearer(&token(json!({}))));
        assert_eq!(ask().refusal(), Some(Code::Fault), "404 is neither yes nor no");
        gate.network.publish(POLICY, json!({}));
        ask().permitted();
    }),
    ("security.authorization.external.headers", |place| {
        let gate = external(place, json!({ "headers": ["x-tenant"] }));
        gate.network.publish(POLICY, json!({ "result": true }));
        let token = format!("Bearer {}", token(json!({})));
        gate.send(get(&[("authorization", &token), ("x-tenant", "blue"), ("x-other", "red")])).permitted();
        let asked = gate.network.asked(POLICY);
        let told: Value = serde_json::from_str(&asked[0].body).unwrap();
        assert_eq!(told["input"]["request"]["headers"], json!({ "x-tenant": "blue" }));
        assert_eq!(told["input"]["principal"]["name"], "alice");
        assert!(!asked[0].body.contains(&token[20..60]), "the credential is told to nobody");
        let twice = get(&[("authorization", &token), ("x-tenant", "blue"), ("x-tenant", "red")]);
        assert_eq!(gate.send(twice).refusal(), Some(Code::Fault));
    }),
    ("security.authorization.external.timeout", |place| {
        let text = |timeout: &str| {
            let external = json!({ "url": POLICY, "timeout": timeout });
            let method = json!({ "type": "jwt", "issuer": ISSUER, "audience": "api" });
            place
                .document(json!({ "authentication": method, "authorization": { "external": external } }))
                .to_string()
        };
        assert!(load(&text("1m")).into_blueprint().is_err());
        assert!(load(&text("20s")).into_blueprint().is_ok());
    }),
    ("security.authorization.external.cached_for", |place| {
        remembered(place, json!(["principal", "method", "path"]))
    }),
    ("security.authorization.external.cached_by", |place| {
        for by in
            [json!(["principal", "headers"]), json!(["path"]), json!(["method"]), json!(["host", "client"])]
        {
            remembered(place, by);
        }
        a_decision_is_the_callers_whatever_is_listed(place);
    }),
    ("security.authorization.external.insecure_plaintext", |place| {
        let text = |more: Value| {
            let external = with(json!({ "url": "http://opa.policy.svc:8181/v1/data/a" }), more);
            let method = json!({ "type": "jwt", "issuer": ISSUER, "audience": "api" });
            place
                .document(json!({ "authentication": method, "authorization": { "external": external } }))
                .to_string()
        };
        assert!(load(&text(json!({}))).into_blueprint().is_err());
        assert!(load(&text(json!({ "insecure_plaintext": "in the cluster" }))).into_blueprint().is_ok());
    }),
    ("security.authorization.condition", |place| {
        let gate = may(place, json!({ "condition": "request.method == 'GET' && 'mfa' in claims.amr" }));
        permits(&gate, &token(json!({ "amr": ["pwd", "mfa"] })));
        refuses(&gate, &token(json!({ "amr": ["pwd"] })), Code::ExpressionRefused);
        refuses(&gate, &token(json!({})), Code::ExpressionRefused);
    }),
    // What upstreams get.
    ("security.identity_token", |place| {
        let gate = identity(place, json!({}));
        let claims = identified(&gate);
        assert_eq!(
            (&claims["iss"], &claims["aud"], &claims["sub"]),
            (&json!("gate"), &json!("orders"), &json!("alice"))
        );
    }),
    ("security.identity_token.issuer", |place| {
        assert_eq!(identified(&identity(place, json!({ "issuer": "another" })))["iss"], "another");
    }),
    ("security.identity_token.audience", |place| {
        assert_eq!(identified(&identity(place, json!({ "audience": "invoices" })))["aud"], "invoices");
    }),
    ("security.identity_token.lifetime", |place| {
        let claims = identified(&identity(place, json!({ "lifetime": "5m" })));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    }),
    ("security.identity_token.header", |place| {
        let gate = identity(place, json!({ "header": "x-assertion" }));
        let answer = gate.send(bearer(&token(json!({}))));
        assert_eq!(claims_of(answer.permitted().headers["x-assertion"].to_str().unwrap())["sub"], "alice");
    }),
    ("security.identity_token.key_set_path", |place| {
        let gate = identity(place, json!({ "key_set_path": "/keys.json" }));
        gate.send(request("GET", "/keys.json", &[])).permitted();
    }),
    ("security.identity_token.key", |place| signing_key(place, json!({ "env": "ISSUER_KEY" }))),
    ("security.identity_token.key.env", |place| signing_key(place, json!({ "env": "ISSUER_KEY" }))),
    ("security.identity_token.key.file", |place| signing_key(place, json!({ "file": "issuer-key.pem" }))),
    ("security.identity_token.key.literal", |place| {
        signing_key(place, json!({ "literal": include_str!("../files/issuer-key.pem") }));
    }),
    ("security.token_exchange", |place| {
        let gate = exchanging(place, json!({}));
        let caller = token(json!({}));
        let (authorization, form) = exchanged(&gate, &caller);
        assert_eq!(authorization, format!("Basic {}", Base64::encode_string(CLIENT.as_bytes())));
        assert!(form.contains(&format!("&subject_token={caller}")), "{form}");
        // A token is exchanged once, and another caller's for itself.
        permits_exchanged(&gate, &caller);
        assert!(gate.network.asked("https://auth.example.com/exchange").is_empty());
        exchanged(&gate, &token(json!({ "sub": "bob" })));
        gate.network.go_down();
        refuses(&gate, &token(json!({ "sub": "carol" })), Code::Fault);
    }),
    ("security.token_exchange.token_url", |place| {
        let url = "https://auth.example.com/other-exchange";
        let gate = exchanging(place, json!({ "token_url": url }));
        permits_exchanged(&gate, &token(json!({})));
        assert_eq!(gate.network.asked(url).len(), 1);
        let gate = exchanging(place, json!({ "token_url": "https://auth.example.com/token" }));
        refuses(&gate, &token(json!({})), Code::Fault);
    }),
    ("security.token_exchange.client_id", |place| {
        let form = exchange_form(&exchanging(
            place,
            json!({ "client_id": "another", "client_authentication": "client_secret_post" }),
        ));
        assert!(form.contains("&client_id=another&"), "{form}");
    }),
    ("security.token_exchange.client_authentication", |place| {
        let form =
            exchange_form(&exchanging(place, json!({ "client_authentication": "client_secret_post" })));
        assert!(form.ends_with("&client_id=gate&client_secret=0123456789abcdef0123456789abcdef"), "{form}");
    }),
    ("security.token_exchange.client_assertion", |place| {
        let gate = exchanging(place, signing(json!({})));
        assert_eq!(asserted(&exchange_form(&gate)).1["aud"], "https://auth.example.com/exchange");
    }),
    ("security.token_exchange.client_assertion.key_id", |place| {
        let gate = exchanging(place, signing(json!({ "key_id": "the-key" })));
        let header = asserted(&exchange_form(&gate)).0;
        assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "the-key" }));
    }),
    ("security.token_exchange.client_assertion.audience", |place| {
        let gate = exchanging(place, signing(json!({ "audience": "https://auth.example.com/other" })));
        assert_eq!(asserted(&exchange_form(&gate)).1["aud"], "https://auth.example.com/other");
    }),
    ("security.token_exchange.client_assertion.rsa_algorithm", |place| {
        let gate = exchanging(place, signing(json!({ "rsa_algorithm": "PS256" })));
        assert_eq!(asserted(&exchange_form(&gate)).0["alg"], "PS256");
    }),
    ("security.token_exchange.client_assertion.certificate", |place| {
        let gate = exchanging(place, signing(json!({ "certificate": "client-certificate.pem" })));
        assert_eq!(asserted(&exchange_form(&gate)).0["x5t#S256"], THUMBPRINT);
    }),
    ("security.token_exchange.client_secret", |place| exchanged_as(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.token_exchange.client_secret.env", |place| {
        exchanged_as(place, json!({ "env": "TOKEN_SECRET" }))
    }),
    ("security.token_exchange.client_secret.file", |place| {
        exchanged_as(place, json!({ "file": "token-secret.txt" }));
    }),
    ("security.token_exchange.client_secret.literal", |place| {
        exchanged_as(place, json!({ "literal": "0123456789abcdef0123456789abcdef" }));
    }),
    ("security.token_exchange.audience", |place| {
        let form = exchange_form(&exchanging(place, json!({ "audience": ["orders", "a b"] })));
        assert!(form.contains("&audience=orders&audience=a%20b&"), "{form}");
    }),
    ("security.token_exchange.resource", |place| {
        let form = exchange_form(&exchanging(place, json!({ "resource": "https://orders.example.com/" })));
        assert!(form.contains("&resource=https%3A%2F%2Forders.example.com%2F&"), "{form}");
    }),
    ("security.token_exchange.scopes", |place| {
        let form = exchange_form(&exchanging(place, json!({ "scopes": ["orders.read", "orders.write"] })));
        assert!(form.contains("&scope=orders.read%20orders.write&"), "{form}");
    }),
    ("security.token_exchange.subject_token_type", |place| {
        for (word, name) in [("access_token", "access_token"), ("jwt", "jwt")] {
            let form = exchange_form(&exchanging(place, json!({ "subject_token_type": word })));
            let kind = format!("&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A{name}&");
            assert!(form.contains(&kind), "{form}");
        }
    }),
    ("security.upstream_token", |place| {
        let gate = granted(place, json!({}));
        let answer = gate.send(bearer(&token(json!({}))));
        assert_eq!(answer.permitted().headers["authorization"], format!("Bearer {GRANTED}"));
    }),
    ("security.upstream_token.token_url", |place| {
        let asked = asked_for(&granted(place, json!({})));
        assert_eq!(asked.1, "grant_type=client_credentials");
        let gate = granted(place, json!({ "token_url": "https://auth.example.com/nothing" }));
        refuses(&gate, &token(json!({})), Code::Fault);
    }),
    ("security.upstream_token.client_id", |place| granted_to(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.upstream_token.client_authentication", |place| {
        let asked = asked_for(&granted(place, json!({ "client_authentication": "client_secret_post" })));
        assert_eq!(asked.0, "");
        assert!(
            asked.1.ends_with("&client_id=gate&client_secret=0123456789abcdef0123456789abcdef"),
            "{}",
            asked.1
        );
    }),
    ("security.upstream_token.client_assertion", |place| {
        let gate = granted(place, signing(json!({})));
        assert_eq!(asserted(&token_form(&gate)).1["aud"], "https://auth.example.com/token");
    }),
    ("security.upstream_token.client_assertion.key_id", |place| {
        let gate = granted(place, signing(json!({ "key_id": "the-key" })));
        let header = asserted(&token_form(&gate)).0;
        assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "the-key" }));
    }),
    ("security.upstream_token.client_assertion.audience", |place| {
        let gate = granted(place, signing(json!({ "audience": "https://auth.example.com/other" })));
        assert_eq!(asserted(&token_form(&gate)).1["aud"], "https://auth.example.com/other");
    }),
    ("security.upstream_token.client_assertion.rsa_algorithm", |place| {
        let gate = granted(place, signing(json!({ "rsa_algorithm": "PS256" })));
        assert_eq!(asserted(&token_form(&gate)).0["alg"], "PS256");
    }),
    ("security.upstream_token.client_assertion.certificate", |place| {
        let gate = granted(place, signing(json!({ "certificate": "client-certificate.pem" })));
        assert_eq!(asserted(&token_form(&gate)).0["x5t#S256"], THUMBPRINT);
    }),
    ("security.upstream_token.client_secret", |place| granted_to(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.upstream_token.client_secret.env", |place| {
        granted_to(place, json!({ "env": "TOKEN_SECRET" }))
    }),
    ("security.upstream_token.client_secret.file", |place| {
        granted_to(place, json!({ "file": "token-secret.txt" }));
    }),
    ("security.upstream_token.client_secret.literal", |place| {
        granted_to(place, json!({ "literal": "0123456789abcdef0123456789abcdef" }));
    }),
    ("security.upstream_token.scopes", |place| {
        let asked = asked_for(&granted(place, json!({ "scopes": ["orders.read", "orders.write"] })));
        assert!(asked.1.contains("&scope=orders.read%20orders.write"), "{}", asked.1);
    }),
    ("security.upstream_token.resource", |place| {
        let asked = asked_for(&granted(place, json!({ "resource": "https://orders.example.com" })));
        assert!(asked.1.contains("&resource=https%3A%2F%2Forders.example.com"), "{}", asked.1);
    }),
];

/// A gateway that accepts tokens by this method, of those who have the role `user`.
fn tokens(place: Place, method: Value) -> Gate {
    place.gate(json!({ "authentication": method, "authorization": { "roles_allowed": ["user"] } }))
}

/// The same for signed tokens of the issuer, with these keys beside or in place of the usual ones.
fn jwt(place: Place, keys: Value) -> Gate {
    tokens(place, with(json!({ "type": "jwt", "issuer": ISSUER, "audience": "api" }), keys))
}

/// The same for opaque ones.
fn opaque(place: Place, keys: Value) -> Gate {
    let method = json!({
        "type": "OAuth2", "token_url": "https://auth.example.com/token", "audience": "api",
        "client_id": "gate", "client_secret": { "env": "TOKEN_SECRET" },
    });
    tokens(place, with(method, keys))
}

fn with(mut mapping: Value, keys: Value) -> Value {
    let Value::Object(keys) = keys else { panic!("not a mapping") };
    mapping.as_object_mut().unwrap().extend(keys);
    mapping
}

fn token(claims: Value) -> String {
    SigningKey::issuers().token(claims)
}

fn bearer(token: &str) -> http::Request<()> {
    get(&[("authorization", &format!("Bearer {token}"))])
}

fn permits(gate: &Gate, token: &str) -> Answer {
    let answer = gate.send(bearer(token));
    assert!(!answer.permitted().headers.contains_key("authorization"), "a token is not forwarded");
    answer
}

fn refuses(gate: &Gate, token: &str, code: Code) {
    assert_eq!(gate.send(bearer(token)).refusal(), Some(code));
}

fn secret(place: Place, secret: Value) {
    let gate = jwt(place, json!({ "secret": secret }));
    permits(&gate, &secret_token(HMAC_SHA256, "HS256"));
    refuses(&gate, &token(json!({})), Code::TokenAlgorithm);
}

/// What `openssl x509 -outform der | openssl dgst -sha256` says of `client-certificate.pem`.
const THUMBPRINT: &str = "v9xtWm3BIFwBVXAzU_E7fojb6gkhjzc7abYg4dA5R0U";

/// The keys of a client that signs assertions, with these settings.
fn signing(assertion: Value) -> Value {
    json!({
        "client_authentication": "private_key_jwt", "client_secret": { "file": "client-key.pem" },
        "client_assertion": assertion,
    })
}

/// The form of the question about a token.
fn introspected(gate: &Gate) -> String {
    permits(gate, OPAQUE);
    let asked = gate.network.asked("https://auth.example.com/introspect");
    assert_eq!(asked[0].authorization, "");
    asked[0].body.clone()
}

/// The form of the question for the gateway's own token.
fn token_form(gate: &Gate) -> String {
    let asked = asked_for(gate);
    assert_eq!(asked.0, "");
    asked.1
}

/// The header and the claims of the assertion in a form.
fn asserted(form: &str) -> (Value, Value) {
    let kind = "&client_id=gate&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let (_, assertion) = form.split_once(&format!("{kind}&client_assertion=")).unwrap();
    let part = |number: usize| {
        let part = assertion.split('.').nth(number).unwrap();
        serde_json::from_slice::<Value>(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("gate"), &json!("gate")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    (header, claims)
}

const CLIENT: &str = "gate:0123456789abcdef0123456789abcdef";

fn client(place: Place, secret: Value) {
    let gate = opaque(place, json!({ "client_secret": secret }));
    permits(&gate, OPAQUE);
    refuses(&gate, "another-token", Code::TokenInactive);
    let asked = gate.network.asked("https://auth.example.com/introspect");
    assert_eq!(asked[0].authorization, format!("Basic {}", Base64::encode_string(CLIENT.as_bytes())));
    assert_eq!(asked[0].body, format!("token={OPAQUE}&token_type_hint=access_token"));
}

/// A token that is bound to the other key.
fn bound_token() -> String {
    token(json!({ "cnf": { "jkt": SigningKey::other().thumbprint() } }))
}

/// The proof that a GET of `/a` is by whoever has that key.
fn proof(token: &str) -> String {
    let ath = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let key = SigningKey::other();
    let mut jwk = key.jwk.clone();
    jwk.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
    let claims = json!({
        "htm": "GET", "htu": "http://api.example.com/a", "iat": 1_800_000_000, "jti": "1", "ath": encode(ath.as_ref()),
    });
    key.sign(json!({ "typ": "dpop+jwt", "jwk": jwk }), &claims)
}

/// Gateways with one secret give out one nonce.
fn nonces(place: Place, secret: Value) {
    let bound = bound_token();
    let nonce = |dpop: Value| {
        let gate = jwt(place, json!({ "dpop": dpop }));
        let fields = (format!("DPoP {bound}"), proof(&bound));
        gate.send(get(&[("authorization", &fields.0), ("dpop", &fields.1)])).headers["dpop-nonce"].clone()
    };
    let with_secret = json!({ "nonce": true, "nonce_secret": secret });
    assert_eq!(nonce(with_secret.clone()), nonce(with_secret.clone()));
    assert_ne!(nonce(with_secret), nonce(json!({ "nonce": true })));
}

fn may(place: Place, authorization: Value) -> Gate {
    let authentication = json!({ "type": "jwt", "issuer": ISSUER, "audience": "api" });
    place.gate(json!({ "authentication": authentication, "authorization": authorization }))
}

fn shaped(place: Place, section: &str, keys: Value) -> Gate {
    let authentication = json!({ "type": "jwt", "issuer": ISSUER, "audience": "api" });
    place.gate(json!({ "authentication": authentication, section: keys }))
}

fn identity(place: Place, keys: Value) -> Gate {
    shaped(place, "identity_token", with(json!({ "issuer": "gate", "audience": "orders" }), keys))
}

/// What the upstream is told.
fn identified(gate: &Gate) -> Value {
    let answer = gate.send(bearer(&token(json!({}))));
    claims_of(answer.permitted().headers["x-consumer-token"].to_str().unwrap())
}

fn signing_key(place: Place, key: Value) {
    let gate = identity(place, json!({ "key": key }));
    let answer = gate.send(bearer(&token(json!({}))));
    let token = answer.permitted().headers["x-consumer-token"].to_str().unwrap().to_owned();
    let header = token.split('.').next().unwrap();
    assert!(
        String::from_utf8(base64ct::Base64UrlUnpadded::decode_vec(header).unwrap())
            .unwrap()
            .contains(&SigningKey::issuers().thumbprint()),
        "the key's thumbprint is its name"
    );
}

fn granted(place: Place, keys: Value) -> Gate {
    let usual = json!({
        "token_url": "https://auth.example.com/token", "client_id": "gate", "client_secret": { "env": "TOKEN_SECRET" },
    });
    shaped(place, "upstream_token", with(usual, keys))
}

/// With which credential the gateway asked for its token, and for what.
fn asked_for(gate: &Gate) -> (String, String) {
    gate.work();
    let mut asked = gate.network.asked("https://auth.example.com/token");
    let asked = asked.remove(0);
    (asked.authorization, asked.body)
}

fn granted_to(place: Place, secret: Value) {
    let asked = asked_for(&granted(place, json!({ "client_secret": secret })));
    assert_eq!(asked.0, format!("Basic {}", Base64::encode_string(CLIENT.as_bytes())));
}

/// A gateway that exchanges tokens, with these keys.
fn exchanging(place: Place, keys: Value) -> Gate {
    let usual = json!({
        "token_url": "https://auth.example.com/exchange", "client_id": "gate",
        "client_secret": { "env": "TOKEN_SECRET" }, "audience": "orders",
    });
    shaped(place, "token_exchange", with(usual, keys))
}

/// That the upstream gets the exchanged token, and not the caller's.
fn permits_exchanged(gate: &Gate, caller: &str) {
    let answer = gate.send(bearer(caller));
    assert_eq!(answer.permitted().headers["authorization"], format!("Bearer {GRANTED}"));
}

/// With which credential a token was exchanged, and by which form.
fn exchanged(gate: &Gate, caller: &str) -> (String, String) {
    permits_exchanged(gate, caller);
    let mut asked = gate.network.asked("https://auth.example.com/exchange");
    assert_eq!(asked.len(), 1);
    let asked = asked.remove(0);
    let kind = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&";
    assert!(asked.body.starts_with(kind), "{}", asked.body);
    (asked.authorization, asked.body)
}

fn exchange_form(gate: &Gate) -> String {
    exchanged(gate, &token(json!({}))).1
}

fn exchanged_as(place: Place, secret: Value) {
    let gate = exchanging(place, json!({ "client_secret": secret }));
    let asked = exchanged(&gate, &token(json!({})));
    assert_eq!(asked.0, format!("Basic {}", Base64::encode_string(CLIENT.as_bytes())));
}

/// Where the decision is asked for.
const POLICY: &str = "https://policy.example.com/v1/data/allow";

/// A gateway with an external decision that these keys describe.
fn external(place: Place, keys: Value) -> Gate {
    let method = json!({ "type": "jwt", "issuer": ISSUER, "audience": "api" });
    let external = with(json!({ "url": POLICY, "headers": ["x-tenant"] }), keys);
    place.gate(json!({ "authentication": method, "authorization": { "external": external } }))
}

/// What is decided is what happens.
fn decided(place: Place, keys: Value) {
    let url = keys["url"].as_str().unwrap_or(POLICY).to_owned();
    for (answer, refusal) in [
        (json!({ "result": true }), None),
        (json!({ "result": { "allow": true } }), None),
        (json!({ "result": false }), Some(Code::ExternalRefused)),
        (json!({}), Some(Code::ExternalRefused)),
        (json!({ "result": "true" }), Some(Code::Fault)),
        (json!([]), Some(Code::Fault)),
    ] {
        let gate = external(place, keys.clone());
        gate.network.publish(&url, answer.clone());
        assert_eq!(gate.send(bearer(&token(json!({})))).refusal(), refusal, "{answer}");
        assert_eq!(gate.network.asked(&url).len(), 1);
    }
    let gate = external(place, keys);
    gate.send(bearer(&token(json!({}))));
    gate.network.go_down();
    assert_eq!(gate.send(bearer(&token(json!({})))).refusal(), Some(Code::Fault), "nobody answers");
}

/// Where nobody is known, the caller is an address.
fn a_decision_is_the_callers_whatever_is_listed(place: Place) {
    let method = json!({ "type": "jwt", "issuer": ISSUER, "audience": "api", "mode": "observe" });
    let external =
        json!({ "url": POLICY, "headers": ["x-tenant"], "cached_for": "10s", "cached_by": ["path"] });
    let gate = place.gate(json!({ "authentication": method, "authorization": { "external": external } }));
    gate.network.publish(POLICY, json!({ "result": true }));
    let ask = |peer: &str, fields: &[(&str, &str)]| {
        gate.send_from(peer, get(fields)).permitted();
        gate.network.asked(POLICY).len()
    };
    assert_eq!(ask("192.0.2.1", &[]), 1);
    assert_eq!(ask("192.0.2.1", &[]), 0);
    assert_eq!(ask("203.0.113.9", &[]), 1, "another address is another caller");
    assert_eq!(ask("192.0.2.1", &[("x-tenant", "blue")]), 1, "the service is told the header");
    let token = format!("Bearer {}", token(json!({ "sub": "alice" })));
    assert_eq!(ask("192.0.2.1", &[("authorization", &token)]), 1, "whoever is known is somebody else");
}

/// A decision counts for one caller and whatever agrees in these parts, and for its time.
fn remembered(place: Place, by: Value) {
    let gate = external(place, json!({ "cached_for": "10s", "cached_by": by }));
    gate.network.publish(POLICY, json!({ "result": true }));
    let ask = |subject: &str, fields: &[(&str, &str)]| {
        let token = format!("Bearer {}", token(json!({ "sub": subject })));
        let fields = [&[("authorization", token.as_str())], fields].concat();
        gate.send(get(&fields)).permitted();
        gate.network.asked(POLICY).len()
    };
    assert_eq!(ask("alice", &[]), 1);
    assert_eq!(ask("alice", &[]), 0);
    assert_eq!(ask("bob", &[]), 1, "somebody else's decision is no decision");
    assert_eq!(ask("alice", &[("x-tenant", "blue")]), 1, "the service is told the header");
    let by_method = by.as_array().unwrap().contains(&json!("method"));
    let token = format!("Bearer {}", token(json!({ "sub": "alice" })));
    gate.send(request("POST", "/a", &[("authorization", &token)])).permitted();
    assert_eq!(gate.network.asked(POLICY).len(), usize::from(by_method));
    let promoted = self::token(json!({ "sub": "alice", "department": "sales" }));
    gate.send(bearer(&promoted)).permitted();
    assert_eq!(gate.network.asked(POLICY).len(), 1, "the service is told the claims");
    gate.clock.advance(10);
    assert_eq!(ask("alice", &[]), 1);
}
