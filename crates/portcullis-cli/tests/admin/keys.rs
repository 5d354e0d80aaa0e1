//! Consumers and keys of a store, by the admin API.

use crate::place::{Answer, Place, READER, ask};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const STORE: &str = "store: { keys: { sqlite: keys.db } }\n";

/// What the gateway answers with this key, once it is `expected` or five seconds are over.
fn answers(place: &Place, key: &str, expected: u16) -> u16 {
    let begun = Instant::now();
    loop {
        let request = format!("GET /orders/7 HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {key}\r\n\r\n");
        let status = ask(place.gateway, &request).status;
        if status == expected || begun.elapsed() > Duration::from_secs(5) {
            return status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn made(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

#[test]
fn keys_are_made_rotated_and_revoked_by_the_admin_api() {
    let place = Place::start("keys", STORE);
    let added = place.post("/api/v1/consumers", &json!({ "name": "shop", "roles": ["user"] }));
    assert_eq!(added.status, 200, "{}", added.body);
    let consumers = place.json("/api/v1/consumers");
    let names: Vec<_> = consumers["consumers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["in"].as_str().unwrap()))
        .collect();
    assert!(names.contains(&("shop", "store")) && names.contains(&("alice", "configuration")), "{names:?}");

    let (key, id) = made(&place.post("/api/v1/keys", &json!({ "consumer": "shop", "expires": "1h" })));
    assert_eq!(answers(&place, &key, 200), 200);
    let (of_file, _) = made(&place.post("/api/v1/keys", &json!({ "consumer": "alice", "note": "second" })));
    assert_eq!(answers(&place, &of_file, 200), 200);
    let listed = place.json("/api/v1/keys?consumer=shop&limit=10");
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    assert_eq!(listed["keys"][0]["id"], *id);
    assert_eq!(place.json(&format!("/api/v1/keys/{id}"))["status"], "active");

    let rotate = format!("/api/v1/keys/{id}/rotate");
    let (next, next_id) = made(&place.post(&rotate, &json!({ "overlap": "0" })));
    assert_eq!(answers(&place, &next, 200), 200);
    assert_eq!(answers(&place, &key, 401), 401);
    assert_eq!(place.post(&rotate, &json!({})).status, 409, "it was replaced already");
    assert_eq!(place.delete(&format!("/api/v1/keys/{next_id}")).status, 200);
    assert_eq!(answers(&place, &next, 401), 401);
    let removed = place.delete("/api/v1/consumers?name=shop");
    assert_eq!((removed.status, removed.json()["name"].as_str()), (200, Some("shop")));

    let audit = place.audit();
    for entry in [
        "added the consumer shop".to_owned(),
        format!("created {id} for shop"),
        format!("created {next_id} for shop in the place of {id}"),
        format!("could not rotate {id}"),
        format!("revoked {next_id} of shop"),
        "removed the consumer shop".to_owned(),
    ] {
        assert!(audit.contains(&entry), "{entry}\n{audit}");
    }
    let said = place.said();
    assert!(said.contains(&format!("\"key\":\"{id}\"")), "the access log says which key it was: {said}");
    for secret in [&key, &next, &of_file] {
        for (place, text) in [("audit log", &audit), ("access log", &said), ("list", &listed.to_string())] {
            assert!(!text.contains(secret.as_str()), "{place}");
        }
    }
}

#[test]
fn orders_about_keys_that_cannot_be_are_refused() {
    let place = Place::start("bad-keys", STORE);
    let cases: &[(&str, Value, u16)] = &[
        ("/api/v1/keys", json!({ "consumer": "nobody" }), 404),
        ("/api/v1/keys", json!({}), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "expires": "yesterday" }), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "expires": "2001-01-01" }), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "roles": ["root"] }), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "roles": "user" }), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "plan": "gold" }), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "routes": ["/nothing"] }), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "addresses": ["here"] }), 400),
        ("/api/v1/keys", json!({ "consumer": ["alice"] }), 400),
        ("/api/v1/keys", json!({ "consumer": "alice", "key": "pk_live_chosen" }), 400),
        ("/api/v1/keys/key_0123456789abcdef/rotate", json!({}), 404),
        ("/api/v1/keys/key_0123456789abcdef/rotate", json!({ "overlap": "long" }), 400),
        ("/api/v1/keys/key_0123456789abcdef/rotate", json!({ "expires": "0" }), 400),
        ("/api/v1/consumers", json!({ "name": "alice" }), 404),
        ("/api/v1/consumers", json!({ "name": "a\nb" }), 400),
        ("/api/v1/consumers", json!({ "name": "a".repeat(10_000) }), 400),
    ];
    for (target, body, status) in cases {
        let answer = place.post(target, body);
        assert_eq!(answer.status, *status, "{target} {body}: {}", answer.body);
    }
    for (target, status) in [
        ("/api/v1/keys/key_0123456789abcdef", 404),
        ("/api/v1/keys/7", 400),
        ("/api/v1/consumers?name=nobody", 404),
        ("/api/v1/consumers", 400),
        ("/api/v1/consumers?name=a&name=b", 400),
    ] {
        assert_eq!(place.delete(target).status, status, "{target}");
    }
    assert_eq!(place.json("/api/v1/keys")["keys"], json!([]));
    let without = Place::start("no-store", "");
    assert_eq!(without.post("/api/v1/keys", &json!({ "consumer": "alice" })).status, 404);
}

/// A key that stands where its number should is not repeated in an answer or a log.
#[test]
fn what_an_operator_sends_by_mistake_is_not_repeated() {
    let place = Place::start("mistaken", STORE);
    let (key, _) = made(&place.post("/api/v1/keys", &json!({ "consumer": "alice" })));
    for answer in [
        place.delete(&format!("/api/v1/keys/{key}")),
        place.post(&format!("/api/v1/keys/{key}/rotate"), &json!({})),
        place.get(&format!("/api/v1/keys/{key}"), &format!("Authorization: Bearer {READER}\r\n")),
    ] {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert!(!answer.body.contains(&key), "{}", answer.body);
    }
    assert!(!place.audit().contains(&key) && !place.said().contains(&key));
}
