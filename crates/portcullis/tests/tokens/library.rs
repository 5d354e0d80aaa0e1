//! The same in a file and in types: what stands in the example's file, and what the library's builders write.

use super::support::{Backend, Client, OidcProvider, World};
use super::{get, get_from};
use portcullis::Loaded;
use portcullis::load::Context;
use portcullis::{
    ApiKey, Authentication, Builder, Gateway, Json, Jwt, OAuth2, RateLimit, RouteOptions, Security,
};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const FILE: &str = include_str!("../../examples/secured_data_oauth2.yaml");

async fn user(provider: &OidcProvider, account: &str, resource: &str, scope: &str) -> String {
    format!("Authorization: Bearer {}", provider.mint(account, resource, scope, json!({})).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_the_example_protects_a_backend() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let mut file = FILE.to_owned();
    for (written, here) in [
        ("127.0.0.1:3000\nsecurity", "127.0.0.1:0\noutbound: { allow: [127.0.0.0/8] }\nsecurity".to_owned()),
        ("https://auth.example.com", provider.issuer.clone()),
        ("https://api.example.com", "urn:jwt:PS256".to_owned()),
        ("127.0.0.1:8080", backend.address.to_string()),
    ] {
        assert!(file.contains(written), "{written}");
        file = file.replace(written, &here);
    }
    let world = World::start(&file);
    for (account, resource, status) in [
        ("alice", "urn:jwt:PS256", 200),
        ("root", "urn:jwt:PS256", 200),
        ("carol", "urn:jwt:PS256", 403),
        ("alice", "urn:jwt:RS256", 401),
    ] {
        let field = user(&provider, account, resource, "read").await;
        let answer = get(&world, "/data", &[&field]).await;
        assert_eq!(answer.status, status, "{account} {resource}: {:?}", world.records.lines().last());
    }
    assert_eq!(get(&world, "/data", &[]).await.status, 401);
    assert_eq!(backend.seen().len(), 2);

    // The limit is each subject's own, and exact: one of a thousand is used.
    let field = user(&provider, "alice", "urn:jwt:PS256", "read").await;
    let mut client = Client::connect(world.address).await;
    let request = format!("GET /data HTTP/1.1\r\nHost: a.example\r\n{field}\r\n\r\n");
    let mut served = 1;
    while client.ask(&request).await.status == 200 {
        served += 1;
        assert!(served < 1100, "no limit");
    }
    // A few come back while they are used up, since a minute has sixty seconds.
    assert!((1000..1100).contains(&served), "{served}");
    let root = user(&provider, "root", "urn:jwt:PS256", "read").await;
    assert_eq!(get(&world, "/data", &[&root]).await.status, 200, "somebody else's limit is untouched");
}

fn started(builder: Builder) -> (portcullis::Running, SocketAddr) {
    let running = builder.start(0).unwrap_or_else(|error| panic!("{error}"));
    let address = running.addresses()[0];
    (running, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_say_what_a_file_says() {
    let provider = OidcProvider::start().await;
    let url = format!("{}/token", provider.issuer);
    let hello = |_request| async { Json(json!({ "hello": "you" })) };
    let route = |security| RouteOptions::new().security(security);
    let issuer = provider.issuer.as_str();
    let (running, address) = started(
        Gateway::builder()
            .allow_outbound(["127.0.0.0/8"])
            .security(
                Security::new()
                    .authentication(
                        OAuth2::token_url(&url).audience("urn:jwt:ES256").roles_claim("realm_access.roles"),
                    )
                    .roles_allowed(["admin", "user"])
                    .rate_limiting(RateLimit::per_minute(1000)),
            )
            .route("/data", hello)
            .route_with(
                "/users/{id}",
                route(Security::new().path_parameter_equals("id", "sub").scopes_required(["read"])),
                hello,
            )
            .route_with(
                "/any",
                route(
                    Security::new()
                        .authentication(Authentication::any([
                            Authentication::from(
                                Jwt::issuer(issuer).audience("urn:jwt:ES256").access_tokens_only(),
                            ),
                            ApiKey::header("x-api-key").keys(["a-key-of-the-test"]).into(),
                        ]))
                        .condition("principal.name != \"root\"")
                        .roles_allowed(["user"]),
                ),
                hello,
            )
            .route_with(
                "/all",
                route(Security::new().authentication(Authentication::all([
                    Authentication::from(Jwt::issuer(issuer).audience("x").audience("urn:jwt:ES256")),
                    ApiKey::header("x-api-key").keys(["a-key-of-the-test"]).into(),
                ]))),
                hello,
            )
            .route_with(
                "/opaque",
                route(Security::new().authentication(
                    OAuth2::token_url(&url).audience("urn:opaque:a").client("gateway", OidcProvider::SECRET),
                )),
                hello,
            )
            .route_with(
                "/bound",
                route(Security::new().authentication(
                    OAuth2::issuer(issuer).insecure_any_audience("a test").bound_tokens_only(),
                )),
                hello,
            ),
    );
    let alice = user(&provider, "alice", "urn:jwt:ES256", "read").await;
    let writer = user(&provider, "alice", "urn:jwt:ES256", "write").await;
    let root = user(&provider, "root", "urn:jwt:ES256", "read").await;
    let carol = user(&provider, "carol", "urn:jwt:ES256", "read").await;
    let opaque = user(&provider, "alice", "urn:opaque:a", "read").await;
    let key = "X-Api-Key: a-key-of-the-test";
    let cases: [(&str, &[&str], u16); 17] = [
        ("/data", &[], 401),
        ("/data", &[&alice], 200),
        ("/data", &[&root], 200),
        ("/data", &[&carol], 403),
        ("/data", &[&opaque], 401),
        ("/users/alice", &[&alice], 200),
        ("/users/alice", &[&root], 403),
        ("/users/alice", &[&writer], 403),
        ("/any", &[&alice], 200),
        ("/any", &[&root], 403),
        ("/any", &[key], 403),
        ("/all", &[&alice], 401),
        ("/all", &[key], 401),
        ("/all", &[&alice, key], 200),
        ("/opaque", &[&opaque], 200),
        ("/opaque", &[&alice], 401),
        ("/bound", &[&alice], 401),
    ];
    for (path, fields, status) in cases {
        let answer = get_from(address, path, fields).await;
        assert_eq!(answer.status, status, "{path} {fields:?}: {:?}", answer.head());
    }
    running.shutdown();
    running.finished().await;
}

#[test]
fn types_are_validated_like_a_file() {
    for (name, method, code) in [
        ("no audience", Jwt::issuer("https://issuer.example"), "config.no_audience"),
        ("in the clear", OAuth2::token_url("http://auth.example.com/token"), "config.issuer_url"),
        (
            "a client of a signed token",
            Jwt::issuer("https://issuer.example").audience("a").client("a", "b"),
            "config.unknown_key",
        ),
        (
            "an unknown algorithm",
            OAuth2::token_url("https://auth.example.com/token").algorithms(["none"]),
            "config.token_algorithm",
        ),
        (
            "no claim",
            OAuth2::token_url("https://auth.example.com/token").scopes_claim("a..b"),
            "config.claim_path",
        ),
    ] {
        let built = Gateway::builder()
            .security(Security::new().authentication(method))
            .route("/data", |_request| async { Json(json!({})) })
            .build(0);
        let error = built.err().unwrap_or_else(|| panic!("{name} was accepted")).to_string();
        assert!(error.contains(code), "{name}: {error}");
    }
    let whole = json!({
        "authentication": { "type": "OAuth2", "token_url": "https://auth.example.com/token" },
        "authorization": { "roles_allowed": ["admin", "user"] },
        "rate_limiting": { "max_requests": 1000, "per_minute": true },
    });
    let built = Gateway::builder()
        .configure_security(whole)
        .route("/data", |_request| async { Json(Value::Null) })
        .build(0);
    assert!(built.is_ok());
}

#[test]
fn the_documents_of_the_page_load() {
    let page = include_str!("../../../../docs/tokens.md");
    // Those of providers are parts of documents, which are completed and tried elsewhere.
    let page = page.split("\n## Providers\n").next().unwrap();
    let documents: Vec<&str> =
        page.split("```yaml\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    assert_eq!(documents.len(), 4);
    // The page names the key of a client by where it is on its machine.
    let key = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-key-{}.pem", std::process::id()));
    std::fs::write(&key, include_str!("../config/files/client-key.pem")).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    for document in documents {
        let document = document.replace("/etc/portcullis/gateway.pem", key.to_str().unwrap());
        let context =
            Context::for_file(".").with_environment(|_| Ok("a-secret-of-the-test-0123456789".to_owned()));
        let loaded = Loaded::yaml("tokens.md", document, context);
        assert_eq!((loaded.errors(), loaded.warnings()), (0, 0), "{}", loaded.text(portcullis::Style::Plain));
    }
    std::fs::remove_file(&key).unwrap();
}
