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

use place::{KEY, Place, ask, backend};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
    assert!(String::from_utf8_lossy(&started.stderr).contains("other users can read it"));
}

/// What stands in a file, once it has this word.
fn until(file: &std::path::Path, word: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.contains(word) {
            return text;
        }
        assert!(Instant::now() < deadline, "`{word}` is not in {}\n{text}", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_log_level_decides_which_notices_are_written_and_the_audit_log_has_all() {
    let place = Place::start("level", "");
    let set = |level: &str| place.send("PUT", "/api/v1/log-level", &json!({ "level": level }).to_string());
    assert_eq!(place.json("/api/v1/log-level"), json!({ "level": "info" }));
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 200);
    let (log, audit) = (place.folder.join("access.log"), place.folder.join("audit.log"));
    let text = until(&log, "generation 2 is running");
    assert!(text.contains("\"level\":\"info\""), "{text}");
    for wrong in ["debug", "", "INFO"] {
        assert_eq!(set(wrong).status, 400, "{wrong}");
    }
    assert_eq!(set("warning").json(), json!({ "level": "warning" }));
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 200);
    let good = std::fs::read_to_string(place.folder.join("gateway.yaml")).unwrap();
    place.rewrite(|text| text.replace("routes:", "routs:"));
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 409);
    let text = until(&log, "not reloaded, generation 3 goes on");
    assert!(!text.contains("generation 3 is running"), "{text}");
    assert_eq!(set("off").status, 200);
    place.rewrite(|_| good);
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 200);
    let text = until(&audit, "generation 4 is running");
    assert!(text.contains("generation 3 is running") && text.contains("set the log level to off"), "{text}");
    assert!(!until(&log, "not reloaded").contains("generation 4"));
}

#[test]
fn the_head_of_the_audit_log_finds_what_was_cut_off() {
    let place = Place::start("head", "");
    // The first checkpoint follows the entry that opens the file.
    let deadline = Instant::now() + Duration::from_secs(20);
    let head = loop {
        let answer = place.send("GET", "/api/v1/audit", "");
        if answer.status == 200 {
            break answer.json();
        }
        assert!(Instant::now() < deadline, "{}", answer.body);
        std::thread::sleep(Duration::from_millis(50));
    };
    let file = place.folder.join("audit.log");
    let (path, hash) = (file.to_str().unwrap(), head["hash"].as_str().unwrap());
    let verify = |hash: &str| run(&["audit", "verify", path, "--head", hash]).status.code();
    assert_eq!(verify(hash), Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    let entries = usize::try_from(head["entry"].as_u64().unwrap()).unwrap();
    drop(place.process);
    let cut: String = text.lines().take(entries - 1).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, cut).unwrap();
    assert_ne!(verify(hash), Some(0), "entry {entries} is missing");
}

#[test]
fn operations_are_declared_or_not_and_used_or_not() {
    let place = Place::start("operations", "");
    let document = r#"{
        "openapi": "3.0.3", "info": { "title": "orders", "version": "1" },
        "paths": {
            "/orders/{id}": {
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
                "get": { "operationId": "read", "responses": { "200": { "description": "ok" } } },
                "put": { "operationId": "replace", "deprecated": true, "responses": { "200": { "description": "ok" } } },
                "delete": { "operationId": "remove", "responses": { "200": { "description": "ok" } } }
            }
        }
    }"#;
    std::fs::write(place.folder.join("orders.json"), document).unwrap();
    place.rewrite(|text| {
        let route = "  - path: /orders/{id}\n";
        text.replace(route, &format!("{route}    openapi: {{ file: orders.json }}\n"))
    });
    let reloaded = place.post("/api/v1/reload", &json!({}));
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    let standings = || {
        let all = place.json("/api/v1/operations");
        let mut standings: Vec<_> = all["operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let words = ["method", "path", "standing"].map(|word| one[word].as_str().unwrap());
                words.join(" ")
            })
            .collect();
        standings.sort();
        standings
    };
    assert_eq!(
        standings(),
        ["DELETE /orders/{id} unused", "GET /orders/{id} unused", "PUT /orders/{id} deprecated_unused"]
    );
    for (line, status) in [("GET /orders/7", 200), ("PUT /orders/7", 200), ("PATCH /orders/1234", 405)] {
        let request = format!("{line} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n{KEY}\r\n");
        assert_eq!(ask(place.gateway, &request).status, status, "{line}");
    }
    assert_eq!(
        standings(),
        [
            "DELETE /orders/{id} unused",
            "GET /orders/{id} used",
            "PATCH /orders/{} undeclared",
            "PUT /orders/{id} deprecated_used"
        ]
    );

    // A reload and a restart forget nothing, and what is declared by now is no longer undeclared.
    let before = standings();
    assert_eq!(place.post("/api/v1/reload", &json!({})).status, 200);
    assert_eq!(standings(), before);
    let place = place.restart();
    let kept = place.folder.join("state/operations.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let state = place.folder.join("state").display().to_string();
    let shown = run(&["operations", "--config", &state]);
    let text = String::from_utf8(shown.stdout).unwrap();
    for (title, line) in [
        ("Asked for and not declared", "PATCH   /orders/{} "),
        ("Deprecated and still used", "PUT     /orders/{id} "),
        ("Declared and not used", "DELETE  /orders/{id} "),
        ("Used", "GET     /orders/{id} "),
    ] {
        let (_, those) = text.split_once(title).unwrap_or_else(|| panic!("{title}: {text}"));
        assert!(those.lines().nth(1).is_some_and(|shown| shown.contains(line)), "{title}: {text}");
    }
    let patched = document
        .replace(r#""delete": {"#, r#""patch": { "operationId": "change", "responses": {} }, "delete": {"#);
    std::fs::write(place.folder.join("orders.json"), patched).unwrap();
    let reloaded = place.post("/api/v1/reload", &json!({}));
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    let shown = run(&["operations", "--config", &state, "--json"]);
    let all: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let all = all["operations"].as_array().unwrap();
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all.iter().any(|one| one["method"] == "PATCH" && one["standing"] == "used"), "{all:?}");
}

/// The niceness of a thread of a process (field 19 of proc_pid_stat(5)).
fn niceness(process: u32, thread: &str) -> Option<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    tasks.flatten().find_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, fields) = stat.rsplit_once(") ")?;
        // Names are cut off after 15 bytes.
        let named =
            name.split_once(" (").is_some_and(|(_, name)| thread.starts_with(name) && name.len() > 10);
        named.then(|| fields.split(' ').nth(16)?.parse().ok())?
    })
}

#[test]
fn a_flooded_admin_listener_takes_nothing_from_requests() {
    let place = Place::start("flood", "");
    // Whoever floods it competes with work that gives way to requests, and has half of its connections.
    let workers = niceness(place.process.id(), "portcullis-0").unwrap();
    let admin = niceness(place.process.id(), "portcullis-admin").unwrap();
    assert!(admin >= (workers + 10).min(19), "{admin} and {workers}");
    // The same clients flood a server that does nothing, which takes as much of the machine from requests.
    let idle = backend();
    let (mut flooded, mut compared) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        flooded.extend(times_beside_a_flood(&place, place.admin));
        compared.extend(times_beside_a_flood(&place, idle));
    }
    flooded.sort();
    compared.sort();
    let [flooded, compared] = [flooded, compared].map(|times| times[times.len() / 2]);
    println!(
        "median beside a flood of the admin listener {flooded:?}, of a server that does nothing {compared:?}"
    );
    assert!(flooded < compared * 4 + Duration::from_millis(10), "{flooded:?} and {compared:?}");
    assert_eq!(place.get("/healthz", "").status, 200);
}

/// How long 100 requests to the gateway take while 16 clients flood this port.
fn times_beside_a_flood(place: &Place, port: u16) -> Vec<Duration> {
    let (ended, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
                while !ended.load(Ordering::Relaxed) {
                    let status = ask(port, &request).status;
                    assert!(matches!(status, 0 | 200 | 401 | 503), "{status}");
                    answered.fetch_add(u32::from(matches!(status, 200 | 401)), Ordering::Relaxed);
                }
            });
        }
        let begun = Instant::now();
        while answered.load(Ordering::Relaxed) < 16 && begun.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        let request = format!("GET /orders/7 HTTP/1.1\r\nHost: a.example\r\n{KEY}\r\n");
        let times = (0..100).map(|_| {
            let begun = Instant::now();
            assert_eq!(ask(place.gateway, &request).status, 200);
            begun.elapsed()
        });
        let times = times.collect();
        ended.store(true, Ordering::Relaxed);
        assert!(answered.load(Ordering::Relaxed) >= 16, "there was no flood");
        times
    })
}

#[test]
fn the_combined_format_has_referrer_and_user_agent() {
    let place = Place::start("combined", "");
    let ask_with = |place: &Place, key: &str| {
        let fields = "Referer: https://b.example/from?token=of-another-site\r\nUser-Agent: Mozilla/5.0 (X11) \"x\"\r\n";
        ask(place.gateway, &format!("GET /orders/7 HTTP/1.1\r\nHost: a.example\r\n{fields}{key}\r\n")).status
    };
    let last = |place: Place| {
        let folder = place.stop();
        let log = std::fs::read_to_string(folder.join("access.log")).unwrap();
        (folder, log.lines().last().unwrap_or_default().to_owned())
    };
    place.rewrite(|text| text.replace("access.log }", "access.log, format: combined }"));
    let place = place.restart();
    assert_eq!(ask_with(&place, KEY), 200);
    let (folder, line) = last(place);
    let end = "\"GET /orders/7 HTTP/1.1\" 200 2 \"https://b.example/from\" \"Mozilla/5.0 (X11) \\x22x\\x22\"";
    assert!(line.ends_with(end), "{line}");
    // A header with a credential is not written.
    drop(folder);
    let place = Place::start("combined-credential", "");
    place.rewrite(|text| {
        text.replace("access.log }", "access.log, format: combined }")
            .replace("type: api_key }", "type: api_key, header: user-agent }")
    });
    let place = place.restart();
    assert_ne!(ask_with(&place, ""), 200);
    let (_folder, line) = last(place);
    assert!(line.ends_with(" \"https://b.example/from\" \"-\""), "{line}");
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
