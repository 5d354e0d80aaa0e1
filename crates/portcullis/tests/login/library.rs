//! The same from a program.

use crate::browser::Browser;
use crate::site::{SECRET, public_address};
use crate::support::OidcProvider;
use portcullis::{Gateway, Json, OpenIdConnect, Security};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_say_what_a_file_says() {
    let provider = OidcProvider::start().await;
    let (address, gateway) = public_address().await;
    let origin = format!("http://{address}");
    let client = json!({
        "client_id": "program", "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "redirect_uris": [format!("{origin}/auth/callback")],
        "post_logout_redirect_uris": [format!("{origin}/bye")],
    });
    provider.control("/client", client).await;
    let login = OpenIdConnect::issuer(&provider.issuer)
        .client("program", OidcProvider::SECRET)
        .public_url(&origin)
        .session_secret(SECRET)
        .session_secret("the-secret-before-of-at-least-32-bytes")
        .scope("profile")
        .claim("tenant")
        .roles_claim("realm_access.roles")
        .session_lifetime(Duration::from_secs(3600))
        .idle_timeout(Duration::from_secs(600))
        .logged_out_path("/bye");
    let security = Security::new().authentication(login).roles_allowed(["user"]);
    let running = Gateway::builder()
        .allow_outbound(["127.0.0.0/8"])
        .security(security.condition("claims.tenant == \"blue\""))
        .route("/data", |_request| async { Json(json!({ "hello": "you" })) })
        .start(0)
        .unwrap_or_else(|error| panic!("{error}"));
    gateway.set(running.addresses()[0]).unwrap();

    let mut alice = Browser::default();
    let page = alice.log_in(&format!("{origin}/data"), "alice").await;
    assert_eq!((page.status, page.body.as_slice()), (200, &b"{\"hello\":\"you\"}"[..]));
    let mut root = Browser::default();
    assert_eq!(root.log_in(&format!("{origin}/data"), "root").await.status, 403, "neither role nor tenant");
    let left =
        alice.send("POST", &format!("{origin}/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
    assert!(left.field("location").contains("%2Fbye&id_token_hint="), "{}", left.field("location"));
    running.shutdown();
    running.finished().await;
}

#[test]
fn a_login_in_code_shows_no_secret() {
    let login = OpenIdConnect::issuer("https://login.example.com")
        .client("program", OidcProvider::SECRET)
        .public_url("https://app.example.com")
        .session_secret(SECRET);
    assert_eq!(format!("{login:?}"), "OpenIdConnect(Some(String(\"https://login.example.com\")))");
    let error = Gateway::builder()
        .security(Security::new().authentication(login.session_secret("short")))
        .route("/data", |_request| async { Json(json!({})) })
        .build(0)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("config.session_secret"), "{error}");
    for secret in [SECRET, OidcProvider::SECRET] {
        assert!(!error.contains(secret));
    }
}
