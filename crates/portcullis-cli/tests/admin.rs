//! The admin listener, as operators and as attackers meet it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "admin/hostile.rs"]
mod hostile;
#[path = "admin/keys.rs"]
mod keys;
#[path = "admin/place.rs"]
mod place;
mod support;
#[path = "admin/upstreams.rs"]
mod upstreams;

use place::{KEY, Place, ask};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::run;

#[test]
fn an_operator_asks_and_orders() {
    let place = Place::start("orders", "");
    let refused = ask(place.gateway, "GET /orders/7 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(refused.status, 401);
    let id = refused.field("x-request-id").unwrap().to_owned();

    for probe in ["/healthz", "/readyz"] {
        assert_eq!(place.get(probe, "").status, 200, "{probe}");
    }
    let why = place.json(&format!("/api/v1/refusals/{id}"));
    assert_eq!((why["code"].as_str(), why["path"].as_str()), (Some("credential_missing"), Some("/orders/7")));
    assert_eq!(why["meaning"], "The request carries no credential.");
    assert_eq!(
        place.json("/api/v1/refusals?limit=1&code=credential_missing")["refusals"][0]["request_id"],
        *id
    );
    assert_eq!(place.json("/api/v1/status")["generation"], 1);
    let routes = place.json("/api/v1/routes");
    assert_eq!(routes["routes"][0]["path"], "/orders/{id}");
    let checks = routes["routes"][0]["controls"].as_array().unwrap().iter();
    assert!(checks.into_iter().any(|control| control["check"] == "authn.api_key"), "{routes}");
    assert_eq!(place.json("/api/v1/consumers")["consumers"][0]["name"], "alice");
    assert!(place.text("/metrics").contains("portcullis_requests_total{"));
    assert_eq!(place.json("/openapi.json")["openapi"], "3.1.0");
    assert_eq!(place.json("/api/v1/counters")["consumers"][0]["count"], 1);

    // A reload, and one that fails.
    let reloaded = place.post("/api/v1/reload", &json!({}));
    assert_eq!((reloaded.status, reloaded.json()["generation"].as_u64()), (200, Some(2)));
    place.rewrite(|text| text.replace("routes:", "routs:"));
    let failed = place.post("/api/v1/reload", &json!({}));
    assert_eq!(failed.status, 409, "{}", failed.body);
    assert!(failed.body.contains("routs"), "{}", failed.body);
    assert_eq!(place.json("/api/v1/status")["generation"], 2);

    let audit = place.audit();
    assert!(audit.contains("ordered a reload") && audit.contains("(operator)"), "{audit}");
    assert!(!audit.contains(&place.operator) && !place.said().contains(&place.operator));
}

#[test]
fn a_blocked_address_is_refused() {
    let place = Place::start("blocks", "trusted_proxies: [127.0.0.1/32]\n");
    let from = |client: &str| {
        ask(
            place.gateway,
            &format!("GET /orders/7 HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: {client}\r\n{KEY}\r\n"),
        )
        .status
    };
    assert_eq!((from("192.0.2.1"), from("192.0.2.2")), (200, 200));
    let order = json!({ "source": "192.0.2.1", "minutes": 5, "reason": "guesses keys" });
    assert_eq!(place.post("/api/v1/blocks", &order).status, 200);
    assert_eq!((from("192.0.2.1"), from("192.0.2.2")), (403, 200));
    // It does not learn which paths and methods there are either.
    for line in ["GET /nothing", "DELETE /orders/7", "GET /ORDERS/7"] {
        let head = format!("{line} HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.1\r\n{KEY}\r\n");
        assert_eq!(ask(place.gateway, &head).status, 403, "{line}");
    }
    let code = "source_blocked";
    let refused = place.json(&format!("/api/v1/refusals?limit=1&code={code}"));
    assert_eq!(refused["refusals"].as_array().unwrap().len(), 1, "{refused}");
    let kept = place.folder.join("state/blocks.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // It survives a reload and a restart.
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 200);
    assert_eq!(from("192.0.2.1"), 403);
    let place = place.restart();
    let from = |client: &str| {
        ask(
            place.gateway,
            &format!("GET /orders/7 HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: {client}\r\n{KEY}\r\n"),
        )
        .status
    };
    assert_eq!(from("192.0.2.1"), 403);
    assert_eq!(place.delete("/api/v1/blocks/192.0.2.1").status, 200);
    assert_eq!(place.delete("/api/v1/blocks/192.0.2.1").status, 404);
    assert_eq!(from("192.0.2.1"), 200);
    for wrong in [
        json!({ "source": "everybody", "reason": "x" }),
        json!({ "source": "192.0.2.1", "reason": "" }),
        json!({ "source": "192.0.2.1", "reason": "x", "minutes": 0 }),
        json!({ "source": "192.0.2.1", "reason": "x", "minutes": 1_000_000 }),
        json!({ "source": "192.0.2.1", "reason": "x", "until": 7 }),
        json!(["192.0.2.1"]),
    ] {
        assert_eq!(place.post("/api/v1/blocks", &wrong).status, 400, "{wrong}");
    }
    // Which of two addresses is meant is not guessed.
    let twice = r#"{ "source": "192.0.2.1", "source": "192.0.2.2", "reason": "x" }"#;
    assert_eq!(place.send("POST", "/api/v1/blocks", twice).status, 400);
    assert_eq!(from("192.0.2.2"), 200);
    // Clients encode the colons of an address, or do not.
    for spelled in ["2001:db8::1", "2001%3Adb8%3A%3A1", "2001%3adb8::1"] {
        let order = json!({ "source": "2001:db8::1", "reason": "x" });
        assert_eq!(place.post("/api/v1/blocks", &order).status, 200);
        assert_eq!(place.delete(&format!("/api/v1/blocks/{spelled}")).status, 200, "{spelled}");
    }
    let audit = place.audit();
    assert!(audit.contains("blocked 192.0.2.1 for 5 min: guesses keys"), "{audit}");
    assert!(audit.contains("ended the block of 192.0.2.1"), "{audit}");
}

#[test]
fn a_token_that_others_can_read_is_refused() {
    let place = Place::start("mode", "");
    let token = place.folder.join("state/admin.token");
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let file = place.folder.join("gateway.yaml");
    drop(place.process);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let started = run(&["run", file.to_str().unwrap()]);
    assert_eq!(started.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&started.stderr).contains("others can read"));
}

#[test]
fn the_command_says_why_and_what_goes_on() {
    let place = Place::start("command", "");
    let refused = ask(place.gateway, "GET /orders/7 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let id = refused.field("x-request-id").unwrap();
    let file = place.folder.join("gateway.yaml");
    let file = file.to_str().unwrap();
    let why = run(&["why", id, "--config", file]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    assert_eq!(why.status.code(), Some(0), "{text}");
    assert!(text.starts_with("credential_missing: The request carries no credential."), "{text}");
    assert!(text.contains("/orders/7") && text.contains("127.0.0.1"), "{text}");
    let unknown = "0".repeat(32);
    assert_eq!(run(&["why", &unknown, "--config", file]).status.code(), Some(1));
    assert_eq!(run(&["why", "../../etc", "--config", file]).status.code(), Some(3));
    // The first sample comes after five seconds.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let top = run(&["top", "--once", "--config", file]);
        assert_eq!(top.status.code(), Some(0));
        let text = String::from_utf8_lossy(&top.stdout).into_owned();
        assert!(text.contains("127.0.0.1"), "{text}");
        if text.contains("credential_missing") {
            assert!(!text.contains('\u{1b}'), "no terminal, no colours: {text:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(300));
    }
}
