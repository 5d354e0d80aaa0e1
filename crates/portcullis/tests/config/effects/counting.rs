//! What each key does that is about how much may be sent: limits, quotas, plans, and where they are counted.

use super::super::harness::{Answer, Gate, gate, get, load, request};
use super::{DocumentRow, Place, SecurityRow};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_core::{Code, Effects};
use serde_json::{Value, json};
use std::time::Duration;

/// What each key under `security` does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.rate_limiting.algorithm", |place| {
        // At 08:00:00, in the middle of a day that begins at midnight.
        let by = |algorithm: &str| {
            place.gate(
                json!({ "rate_limiting": { "max_requests": 2, "per": "minute", "algorithm": algorithm } }),
            )
        };
        for (algorithm, after_half, after_one) in
            [("gcra", 1, 1), ("fixed_window", 0, 2), ("sliding_window", 0, 0)]
        {
            let gate = by(algorithm);
            assert_eq!(passed(&gate, 5), 2, "{algorithm}");
            gate.clock.advance(30);
            assert_eq!(passed(&gate, 5), after_half, "{algorithm} after 30 s");
            gate.clock.advance(30);
            assert_eq!(passed(&gate, 5), after_one, "{algorithm} after 60 s");
        }
    }),
    ("security.rate_limiting.by.claim", |place| {
        let limit = json!({ "max_requests": 1, "per": "day", "by": [{ "claim": "org.id" }, "route"] });
        lists(&place.gate(json!({ "rate_limiting": limit })), "each value of the claim org.id and route");
    }),
    ("security.rate_limiting.cost", |place| {
        let gate = place.gate(json!({ "rate_limiting": { "max_requests": 10, "per": "day", "cost": 3 } }));
        assert_eq!(passed(&gate, 9), 3);
    }),
    ("security.rate_limiting.cost.default", |place| {
        let cost = json!({ "default": 0, "methods": { "POST": 1 } });
        let gate = place.gate(json!({ "rate_limiting": { "max_requests": 1, "per": "day", "cost": cost } }));
        assert_eq!(passed(&gate, 9), 9, "what costs nothing is not limited");
    }),
    ("security.rate_limiting.cost.methods", |place| {
        let cost = json!({ "methods": { "POST": 5 } });
        let gate = place.gate(json!({ "rate_limiting": { "max_requests": 7, "per": "day", "cost": cost } }));
        gate.send(request("POST", "/a", &[ALICE])).permitted();
        assert_eq!(gate.send(request("POST", "/a", &[ALICE])).refusal(), Some(Code::RateLimited));
        assert_eq!(passed(&gate, 5), 2);
    }),
    ("security.rate_limiting.cost.operations", |place| {
        let cost = json!({ "default": 2, "methods": { "GET": 4 }, "operations": { "GET /a": 5 } });
        let limit = json!({ "max_requests": 14, "per": "day", "cost": cost });
        let mut document = place.document(json!({ "rate_limiting": limit }));
        document["openapi"] = json!({ "file": "a.yaml", "base_path": "/" });
        assert_eq!(passed(&gate(&document.to_string()), 9), 2);
        document["openapi"]["mode"] = json!("off");
        assert_eq!(passed(&gate(&document.to_string()), 9), 3, "by the method, where no document is used");
    }),
    ("security.rate_limiting.cost.response_header", |place| {
        let gate = costly(place, json!({ "response_header": "x-cost" }));
        answered(gate.send(get(&[ALICE])), 200, Some("60"));
        answered(gate.send(get(&[ALICE])), 200, Some("60"));
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RateLimited));
    }),
    ("security.rate_limiting.cost.max", |place| {
        let gate = costly(place, json!({ "response_header": "x-cost", "max": 20 }));
        for _ in 0..5 {
            answered(gate.send(get(&[ALICE])), 200, Some("4000000000"));
        }
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RateLimited));
    }),
    ("security.rate_limiting.only_statuses", |place| {
        let limit = json!({ "max_requests": 2, "per": "day", "only_statuses": [401, "5xx"] });
        let gate = place.gate(json!({ "rate_limiting": limit }));
        for status in [200, 404, 401, 204, 503] {
            answered(gate.send(get(&[ALICE])), status, None);
        }
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RateLimited));
    }),
    ("security.rate_limiting.legacy_headers", |place| {
        let with = |legacy: bool| {
            let limit = json!({ "max_requests": 1, "per": "hour", "legacy_headers": legacy });
            let gate = place.gate(json!({ "rate_limiting": limit }));
            gate.send(get(&[ALICE])).permitted();
            gate.send(get(&[ALICE])).headers
        };
        let headers = with(true);
        for (name, value) in
            [("x-ratelimit-limit", "1"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3600")]
        {
            assert_eq!(headers[name], value);
        }
        assert!(!with(false).contains_key("x-ratelimit-limit"));
    }),
    ("security.quota", |place| quota(place, json!({ "max_requests": 3, "per": "day" }), 3)),
    ("security.quota.max_requests", |place| quota(place, json!({ "max_requests": 2, "per": "day" }), 2)),
    ("security.quota.per", |place| {
        // From 2027-01-15T08:00:00Z to the end of the hour, the day, the month.
        for (per, seconds) in [("hour", 3600), ("day", 16 * 3600), ("month", 16 * 3600 + 16 * 86_400)] {
            let gate = place.gate(json!({ "quota": { "max_requests": 1, "per": per } }));
            assert_eq!(passed(&gate, 3), 1);
            gate.clock.advance(seconds - 1);
            assert_eq!(passed(&gate, 3), 0, "{per}");
            gate.clock.advance(1);
            assert_eq!(passed(&gate, 3), 1, "{per}");
        }
    }),
    ("security.quota.time_zone", |place| {
        let quota = json!({ "max_requests": 1, "per": "day", "time_zone": "Asia/Tokyo" });
        let gate = place.gate(json!({ "quota": quota }));
        assert_eq!(passed(&gate, 3), 1);
        // There it is 17:00.
        gate.clock.advance(7 * 3600);
        assert_eq!(passed(&gate, 3), 1);
    }),
    ("security.quota.by", |place| {
        let gate = place.gate(json!({ "quota": { "max_requests": 1, "per": "day", "by": "gateway" } }));
        gate.send(get(&[ALICE])).permitted();
        assert_eq!(gate.send(get(&[ADMIN])).refusal(), Some(Code::RateLimited));
    }),
    ("security.quota.cost", |place| quota(place, json!({ "max_requests": 9, "per": "day", "cost": 4 }), 2)),
    ("security.quota.only_statuses", |place| {
        let quota = json!({ "max_requests": 1, "per": "day", "only_statuses": ["2xx"] });
        let gate = place.gate(json!({ "quota": quota }));
        answered(gate.send(get(&[ALICE])), 500, None);
        answered(gate.send(get(&[ALICE])), 200, None);
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RateLimited));
    }),
    ("security.quota.legacy_headers", |place| {
        let quota = json!({ "max_requests": 1, "per": "day", "legacy_headers": true });
        let gate = place.gate(json!({ "quota": quota }));
        gate.send(get(&[ALICE])).permitted();
        assert_eq!(gate.send(get(&[ALICE])).headers["x-ratelimit-reset"], "57600");
    }),
    ("security.quota.name", |place| {
        let gate = place.gate(json!({ "quota": { "max_requests": 1, "per": "month", "name": "monthly" } }));
        gate.send(get(&[ALICE])).permitted();
        assert_eq!(gate.send(get(&[ALICE])).headers["ratelimit-policy"], "\"monthly\";q=1");
    }),
    ("security.quota.mode", |place| {
        quota(place, json!({ "max_requests": 1, "per": "day", "mode": "observe" }), 5);
        lists(
            &place.gate(json!({ "quota": { "max_requests": 1, "per": "day", "mode": "off" } })),
            "quota.calendar off",
        );
    }),
    ("security.concurrency", |place| at_once(place, json!({ "max_requests": 2 }), 2)),
    ("security.concurrency.max_requests", |place| at_once(place, json!({ "max_requests": 1 }), 1)),
    ("security.concurrency.by", |place| {
        let gate = place.gate(json!({ "concurrency": { "max_requests": 1, "by": "consumer" } }));
        let (alice, admin) = (gate.send(get(&[ALICE])), gate.send(get(&[ADMIN])));
        alice.permitted();
        admin.permitted();
        let gate = place.gate(json!({ "concurrency": { "max_requests": 1, "by": "route" } }));
        let alice = gate.send(get(&[ALICE]));
        alice.permitted();
        assert_eq!(gate.send(get(&[ADMIN])).refusal(), Some(Code::Overloaded));
    }),
    ("security.concurrency.queue", |place| {
        lists(
            &place.gate(json!({ "concurrency": { "max_requests": 1, "queue": 7 } })),
            "and 7 more that wait",
        );
    }),
    ("security.concurrency.max_wait", |place| {
        let bound = json!({ "max_requests": 1, "queue": 1, "max_wait": "250ms" });
        lists(&place.gate(json!({ "concurrency": bound })), "wait for 250 ms");
    }),
    ("security.concurrency.mode", |place| {
        at_once(place, json!({ "max_requests": 1, "mode": "observe" }), 4);
    }),
];

/// What each key elsewhere does.
pub(crate) const DOCUMENT_ROWS: &[DocumentRow] = &[
    ("plans", || {
        let gate = with_plans(json!({ "plan": "free" }));
        assert_eq!(passed(&gate, 5), 2);
        gate.send(get(&[ADMIN])).permitted();
        gate.send(get(&[ADMIN])).permitted();
        gate.send(get(&[ADMIN])).permitted();
    }),
    ("plans.*.priority", || {
        let gate = overloaded(json!({}));
        slow(&gate, 10, 60);
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::Overloaded), "of a low priority");
        gate.send(get(&[ADMIN])).permitted();
    }),
    ("consumers[].plan", || {
        assert_eq!(passed(&with_plans(json!({ "plan": "gold" })), 9), 4);
        assert_eq!(passed(&with_plans(json!({})), 9), 9);
    }),
    ("consumers[].rate_limiting", || {
        let own = json!({ "max_requests": 3, "per": "day" });
        assert_eq!(passed(&with_plans(json!({ "plan": "free", "rate_limiting": own })), 9), 3);
        assert_eq!(passed(&with_plans(json!({ "plan": "gold", "rate_limiting": own })), 9), 3);
    }),
    ("consumers[].quota", || {
        let own = json!({ "max_requests": 1, "per": "day" });
        assert_eq!(passed(&with_plans(json!({ "plan": "gold", "quota": own })), 9), 1);
        let own = json!({ "max_requests": 100, "per": "day" });
        assert_eq!(passed(&with_plans(json!({ "plan": "free", "quota": own })), 9), 2, "its limit stays");
    }),
    ("overload", || {
        let gate = overloaded(json!({}));
        slow(&gate, 10, 60);
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::Overloaded), "of a low priority");
        assert_eq!(gate.send(get(&[ALICE])).headers["retry-after"], "1");
        gate.send(get(&[ADMIN])).permitted();
        slow(&gate, 10, 60);
        assert_eq!(gate.send(get(&[ADMIN])).refusal(), Some(Code::Overloaded), "of a normal priority");
        assert_eq!(gate.send(request("GET", "/open", &[])).refusal(), Some(Code::Overloaded));
        slow(&gate, 60, 1);
        gate.send(get(&[ALICE])).permitted();
        // What was given up was charged to nothing.
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RateLimited));
    }),
    ("overload.max_delay", || {
        let gate = overloaded(json!({ "max_delay": "200ms" }));
        slow(&gate, 40, 150);
        gate.send(get(&[ALICE])).permitted();
        lists(&gate, "while the gateway is 200 ms late");
    }),
    ("overload.mode", || {
        let gate = overloaded(json!({ "mode": "observe" }));
        slow(&gate, 10, 60);
        assert_eq!(gate.send(get(&[ALICE])).observed, [Code::Overloaded]);
        let gate = overloaded(json!({ "mode": "off" }));
        assert!(gate.network.overload().is_none());
        lists(&gate, "quota.overload off");
    }),
    ("store.counters", || shows(json!({}), "one server, strict")),
    ("store.counters.redis", || shows(json!({}), "keys portcullis:*")),
    ("store.counters.redis.url", || url("url", json!({ "literal": REDIS }))),
    ("store.counters.redis.url.literal", || url("url", json!({ "literal": REDIS }))),
    ("store.counters.redis.url.env", || refuses_url("url", json!({ "env": "ALICE_API_KEY" }))),
    ("store.counters.redis.url.file", || refuses_url("url", json!({ "file": "key.txt" }))),
    ("store.counters.redis.cluster", || url("cluster", json!([{ "literal": REDIS }]))),
    ("store.counters.redis.cluster[].literal", || url("cluster", json!([{ "literal": REDIS }]))),
    ("store.counters.redis.cluster[].env", || refuses_url("cluster", json!([{ "env": "ALICE_API_KEY" }]))),
    ("store.counters.redis.cluster[].file", || refuses_url("cluster", json!([{ "file": "key.txt" }]))),
    ("store.counters.redis.sentinel", || sentinel(json!([{ "literal": REDIS }]), true)),
    ("store.counters.redis.sentinel.service", || sentinel(json!([{ "literal": REDIS }]), true)),
    ("store.counters.redis.sentinel.urls", || sentinel(json!([]), false)),
    ("store.counters.redis.sentinel.urls[].literal", || sentinel(json!([{ "literal": "http://a" }]), false)),
    ("store.counters.redis.sentinel.urls[].env", || sentinel(json!([{ "env": "ALICE_API_KEY" }]), false)),
    ("store.counters.redis.sentinel.urls[].file", || sentinel(json!([{ "file": "key.txt" }]), false)),
    ("store.counters.redis.ca", || {
        assert!(load(&stored(json!({ "ca": "key.txt" })).to_string()).into_blueprint().is_err());
        shows(json!({ "ca": "CERTIFICATES/ca.pem" }), "one server");
    }),
    ("store.counters.redis.sync", || shows(json!({ "sync": "leased" }), "leased")),
    ("store.counters.redis.on_failure", || {
        // Nothing listens there.
        let shares = gate(&stored(json!({})).to_string());
        shares.send(get(&[ALICE])).permitted();
        assert_eq!(shares.send(get(&[ALICE])).refusal(), Some(Code::RateLimited));
        let denies = gate(&stored(json!({ "on_failure": "deny" })).to_string());
        assert_eq!(denies.send(get(&[ALICE])).refusal(), Some(Code::Fault));
    }),
    ("store.counters.redis.insecure_allow", || {
        let allows = gate(&stored(json!({ "insecure_allow": "a test" })).to_string());
        assert_eq!(passed(&allows, 5), 5);
    }),
    ("store.counters.redis.timeout", || shows(json!({ "timeout": "50ms" }), "waits 50 ms")),
    ("store.counters.redis.prefix", || shows(json!({ "prefix": "orders" }), "keys orders:*")),
    ("store", || shows(json!({}), "each gateway allows its share")),
];

const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");
const ADMIN: (&str, &str) = ("x-api-key", "admin-key-0123456789");
/// Nothing listens there.
const REDIS: &str = "redis://127.0.0.1:9/0";

#[test]
fn each_operation_has_a_count_of_its_own() {
    let limit = |by: Value| json!({ "rate_limiting": { "max_requests": 1, "per": "day", "by": by } });
    let gate_by = |by: Value| {
        let mut document = Place::in_gateway().document(limit(by));
        document["openapi"] = json!({ "file": "operations.yaml", "base_path": "/" });
        document["routes"] = json!([
            { "path": "/a", "upstream": "http://127.0.0.1:8080" },
            { "path": "/a/{id}", "upstream": "http://127.0.0.1:8080" },
        ]);
        gate(&document.to_string())
    };
    let send = |gate: &Gate, method, target| gate.send(request(method, target, &[ALICE])).refusal();
    let by_operation = gate_by(json!("operation"));
    for (method, target) in [("GET", "/a"), ("POST", "/a"), ("GET", "/a/1"), ("DELETE", "/a/1")] {
        assert_eq!(send(&by_operation, method, target), None, "{method} {target}");
        assert_eq!(send(&by_operation, method, target), Some(Code::RateLimited), "{method} {target}");
    }
    // Another parameter, `HEAD`, and another consumer are the same operation.
    for (method, target) in [("GET", "/a/2"), ("HEAD", "/a/1"), ("DELETE", "/a/3")] {
        assert_eq!(send(&by_operation, method, target), Some(Code::RateLimited), "{method} {target}");
    }
    assert_eq!(by_operation.send(get(&[ADMIN])).refusal(), Some(Code::RateLimited));
    let by_both = gate_by(json!(["consumer", "operation"]));
    assert_eq!(send(&by_both, "GET", "/a"), None);
    assert_eq!(send(&by_both, "GET", "/a"), Some(Code::RateLimited));
    by_both.send(get(&[ADMIN])).permitted();
}

fn passed(gate: &Gate, requests: usize) -> usize {
    (0..requests).filter(|_| gate.send(get(&[ALICE])).refusal().is_none()).count()
}

fn quota(place: Place, quota: Value, expected: usize) {
    assert_eq!(passed(&place.gate(json!({ "quota": quota })), 5), expected);
}

fn at_once(place: Place, bound: Value, expected: usize) {
    let gate = place.gate(json!({ "concurrency": bound }));
    for _ in 0..2 {
        // All of these are in flight until they are dropped.
        let answers: Vec<Answer> = (0..4).map(|_| gate.send(get(&[ALICE]))).collect();
        let refused = answers.iter().filter(|answer| answer.refusal() == Some(Code::Overloaded)).count();
        assert_eq!(answers.len() - refused, expected);
    }
}

/// Unless it is listed, since backends do the same for both.
#[test]
fn head_costs_what_get_does() {
    for (cost, expected) in
        [(json!({ "GET": 3 }), 2), (json!({ "GET": 3, "HEAD": 1 }), 7), (json!({ "POST": 3 }), 7)]
    {
        let limit = json!({ "max_requests": 7, "per": "day", "cost": { "methods": cost } });
        let gate = Place::in_gateway().gate(json!({ "rate_limiting": limit }));
        let ask = || gate.send(request("HEAD", "/a", &[ALICE]));
        let passed = (0..9).filter(|_| ask().refusal().is_none()).count();
        assert_eq!(passed, expected, "{cost}");
    }
}

/// A bound for a route is everybody's. With one for each address beside it, no address holds it alone.
#[test]
fn a_second_bound_leaves_places_for_other_addresses() {
    for bounds in [
        json!([{ "max_requests": 4, "by": "route" }, { "max_requests": 2, "by": "address" }]),
        json!([{ "max_requests": 2, "by": "address" }, { "max_requests": 4, "by": "gateway" }]),
    ] {
        let gate = Place::in_gateway().gate(json!({ "concurrency": bounds }));
        let many =
            |peer: &str| -> Vec<Answer> { (0..10).map(|_| gate.send_from(peer, get(&[ALICE]))).collect() };
        let passed = |answers: &[Answer]| answers.iter().filter(|answer| answer.shaped.is_some()).count();
        let greedy = many("192.0.2.1");
        assert!(greedy.iter().all(|answer| matches!(answer.refusal(), None | Some(Code::Overloaded))));
        let honest = many("203.0.113.9");
        assert_eq!((passed(&greedy), passed(&honest)), (2, 2), "{bounds}");
        assert_eq!(passed(&many("198.51.100.7")), 0, "no more than four in all");
        drop(greedy);
        assert_eq!(passed(&many("198.51.100.7")), 2, "{bounds}");
    }
}

fn costly(place: Place, cost: Value) -> Gate {
    place.gate(json!({ "rate_limiting": { "max_requests": 100, "per": "day", "cost": cost } }))
}

/// Ends a request with this answer.
fn answered(answer: Answer, status: u16, cost: Option<&str>) {
    let mut shaped = answer.shaped.unwrap_or_else(|| panic!("it was refused: {:?}", answer.denial));
    let mut headers = HeaderMap::new();
    if let Some(cost) = cost {
        headers.insert("x-cost", HeaderValue::from_str(cost).unwrap());
    }
    shaped.recording.answered(&headers);
    shaped.recording.record_mut().status = Some(StatusCode::from_u16(status).unwrap());
}

fn lists(gate: &Gate, text: &str) {
    assert!(gate.listing.iter().any(|line| line.contains(text)), "{text}: {:#?}", gate.listing);
}

fn with_plans(mut alice: Value) -> Gate {
    alice["name"] = json!("alice");
    alice["keys"] = json!([{ "env": "ALICE_API_KEY" }]);
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": { "authentication": { "type": "api_key" } },
        "plans": {
            "free": { "rate_limiting": { "max_requests": 2, "per": "day" } },
            "gold": {
                "rate_limiting": { "max_requests": 100, "per": "day" },
                "quota": { "max_requests": 4, "per": "month" },
            },
        },
        "consumers": [alice, { "name": "root", "keys": [{ "env": "ADMIN_API_KEY" }] }],
        "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
    });
    gate(&document.to_string())
}

fn overloaded(overload: Value) -> Gate {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": { "authentication": { "type": "api_key" } },
        "overload": overload,
        "plans": { "free": { "priority": "low", "rate_limiting": { "max_requests": 1, "per": "day" } } },
        "consumers": [
            { "name": "alice", "plan": "free", "keys": [{ "env": "ALICE_API_KEY" }] },
            { "name": "root", "keys": [{ "env": "ADMIN_API_KEY" }] },
        ],
        "routes": [
            { "path": "/a", "upstream": "http://127.0.0.1:8080" },
            { "path": "/open", "public": "a test", "upstream": "http://127.0.0.1:8080" },
        ],
    });
    gate(&document.to_string())
}

/// Has the gateway be so late, for so many steps.
fn slow(gate: &Gate, steps: u64, delay: u64) {
    let overload = gate.network.overload().unwrap();
    for _ in 0..steps {
        gate.clock.advance(1);
        overload.told(gate.network.now().monotonic, Duration::from_millis(delay));
    }
}

fn stored(mut redis: Value) -> Value {
    if redis.get("url").is_none() && redis.get("cluster").is_none() {
        redis["url"] = json!({ "literal": REDIS });
    }
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": {
            "authentication": { "type": "api_key" },
            "rate_limiting": { "max_requests": 1, "per": "day" },
        },
        "store": { "counters": { "redis": redis } },
        "consumers": [{ "name": "alice", "keys": [{ "env": "ALICE_API_KEY" }] }],
        "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
    })
}

fn shows(redis: Value, text: &str) {
    let blueprint = load(&stored(redis).to_string()).into_blueprint().unwrap_or_else(|_| panic!("{text}"));
    let said = blueprint.shared_store.unwrap();
    assert!(said.contains(text), "{text}: {said}");
}

fn url(key: &str, value: Value) {
    shows(json!({ key: value }), if key == "url" { "one server" } else { "a cluster" });
}

/// What stands there is read, and is no URL.
fn refuses_url(key: &str, value: Value) {
    let loaded = load(&stored(json!({ key: value })).to_string());
    assert!(loaded.json().to_string().contains("config.store_url"));
}

fn sentinel(urls: Value, loads: bool) {
    let sentinel = json!({ "service": "counters", "urls": urls });
    let loaded = load(&stored(json!({ "sentinel": sentinel })).to_string());
    let shown = loaded.into_blueprint().ok().and_then(|blueprint| blueprint.shared_store);
    assert_eq!(shown.is_some_and(|shown| shown.contains("sentinels")), loads);
}
