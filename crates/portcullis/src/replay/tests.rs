//! What is said of single lines, and how they are counted.

use super::*;
use crate::Loaded;
use portcullis_config::Context;

const CONFIG: &str = r#"
listeners: [{ bind: "127.0.0.1:0" }]
security: { authentication: { type: api_key } }
consumers: [{ name: alice, roles: [user], keys: ["alice-key-0123456789"] }]
routes:
  - { path: /orders, methods: [GET], upstream: "http://127.0.0.1:9", security: { authorization: { roles_allowed: [user] } } }
  - { path: /admin, upstream: "http://127.0.0.1:9", security: { authorization: { roles_allowed: [admin] } } }
  - { path: /open, public: "a test", upstream: "http://127.0.0.1:9", security: { body: { max_size: 10B } } }
  - { path: /chosen, methods: [GET], match: { headers: { x-version: "2" } }, upstream: "http://127.0.0.1:9" }
  - { path: /chosen, methods: [GET], upstream: "http://127.0.0.1:10", security: { authorization: { roles_allowed: [user] } } }
  - { path: /elsewhere, upstream: "http://127.0.0.1:9", security: { authorization: { external: { url: "http://127.0.0.1:9/" } } } }
  - { path: /busy, public: "a test", upstream: "http://127.0.0.1:9", security: { concurrency: { max_requests: 1, by: route } } }
  - { path: /late, public: "a test", upstream: "http://127.0.0.1:9", security: { rate_limiting: { max_requests: 5, per: minute, by: route, cost: { response_header: x-cost } } } }
  - { path: /json, public: "a test", upstream: "http://127.0.0.1:9", security: { validation: { schema: { type: object } } } }
"#;

fn line(more: &str) -> String {
    format!(
        r#"{{"time":"2026-11-27T10:00:00.000Z","request_id":"r1","peer":"192.0.2.1:1","client":"192.0.2.1","host":"a.example","bytes_received":0,"bytes_sent":0,"elapsed_us":1,{more}}}"#
    )
}

fn replay() -> Replay {
    Replay::new(Loaded::yaml("a.yaml", CONFIG.to_owned(), Context::for_file(".")).into_blueprint().unwrap())
        .unwrap()
}

#[test]
fn a_line_is_judged_by_what_it_says_and_unknown_where_it_does_not() {
    let alice = r#""consumer":"alice","authenticated_by":"authn.api_key","outcome":"served","status":200"#;
    let nobody = r#""outcome":"served","status":200"#;
    let missing = r#""outcome":"refused","denied":{"code":"credential_missing","detail":""},"status":401"#;
    for (method, path, rest, wanted) in [
        ("GET", "/orders", alice, "allowed"),
        ("POST", "/orders", alice, "method_not_allowed"),
        ("GET", "/admin", alice, "role_missing"),
        ("GET", "/nowhere", alice, "route_not_found"),
        ("GET", "/open", alice, "allowed"),
        ("GET", "/open", nobody, "allowed"),
        ("GET", "/orders", nobody, "unknown"),
        ("GET", "/orders", missing, "unknown"),
        ("GET", "/json", nobody, "unknown"),
        ("GET", "/chosen", alice, "unknown"),
        ("GET", "/elsewhere", alice, "unknown"),
        ("GET", "/busy", nobody, "unknown"),
        ("GET", "/late", nobody, "unknown"),
        ("GET", "/orders", &alice.replace("alice", "carol"), "unknown"),
        ("GET", "/orders", &alice.replace("authn.api_key", "authn.basic"), "unknown"),
        ("GET", "/open", r#""outcome":"served","status":101"#, "upgrade_refused"),
    ] {
        let text = line(&format!(r#""method":"{method}","path":"{path}",{rest}"#));
        let found = match replay().decide(&Line::parse(&text).unwrap()) {
            Decision::Allowed => "allowed",
            Decision::Refused(code) => code,
            Decision::Unknown(_) => "unknown",
        };
        assert_eq!(found, wanted, "{text}");
    }
    let large = line(r#""method":"POST","path":"/open","outcome":"served","status":200"#);
    let large = large.replace("\"bytes_received\":0", "\"bytes_received\":11");
    assert_eq!(replay().decide(&Line::parse(&large).unwrap()), Decision::Refused("body_too_large"));
    for bad in ["", "{}", "x", r#"{"time":"t","about":"reload","notice":"n"}"#] {
        assert!(Line::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_report_counts_by_route_and_consumer() {
    let text = line(
        r#""method":"GET","path":"/admin","route":"/admin","consumer":"alice","authenticated_by":"authn.api_key","outcome":"served","status":200"#,
    );
    let (replay, mut report) = (replay(), Report::default());
    for _ in 0..5 {
        let line = Line::parse(&text).unwrap();
        report.add(&line, &replay.decide(&line));
    }
    assert_eq!(report.count(Outcome::NewlyRefused), 5);
    let json = report.json();
    let group = &json["newly_refused"]["groups"][0];
    assert_eq!((&group["route"], &group["who"]), (&"GET /admin".into(), &"alice".into()));
    assert_eq!((&group["reason"], &group["count"]), (&"role_missing".into(), &5.into()));
    assert_eq!(group["examples"].as_array().unwrap().len(), 3);
    assert!(report.text().contains("newly refused"), "{}", report.text());
}

#[test]
fn groups_are_bounded() {
    let mut report = Report::default();
    for number in 0..20_000 {
        let text = line(&format!(
            r#""method":"GET","path":"/x","route":"/{number}","outcome":"served","status":200"#
        ));
        report.add(&Line::parse(&text).unwrap(), &Decision::Refused("role_missing"));
    }
    assert!(report.groups.len() <= GROUPS + 1);
    assert_eq!(report.count(Outcome::NewlyRefused), 20_000);
}

#[test]
fn a_line_is_judged_in_the_order_of_the_engine() {
    const STRICT: &str = r#"
listeners: [{ bind: "127.0.0.1:0" }]
security:
  authentication: { type: api_key }
  addresses: { deny: [198.51.100.0/24] }
  rate_limiting: { max_requests: 5, per: minute, by: address }
consumers: [{ name: alice, keys: ["alice-key-0123456789"] }]
routes:
  - { path: "/api/{*rest}", upstream: "http://127.0.0.1:9", public: "a test", encoded_paths: { double_slash: keep }, rewrite: { strip_prefix: /api } }
"#;
    let replay = || {
        let loaded = Loaded::yaml("a.yaml", STRICT.to_owned(), Context::for_file("."));
        Replay::new(loaded.into_blueprint().unwrap()).unwrap()
    };
    let of = |replay: &Replay, client: &str, time: &str, path: &str| {
        let text = line(&format!(r#""method":"GET","path":"{path}","outcome":"served","status":200"#));
        let text = text.replace("192.0.2.1\"", &format!("{client}\"")).replace("10:00:00", time);
        replay.decide(&Line::parse(&text).unwrap())
    };
    // What no route takes is screened and counted before it is told so.
    assert_eq!(of(&replay(), "198.51.100.7", "10:00:00", "/nowhere"), Decision::Refused("address_refused"));
    let lines = replay();
    assert_eq!(of(&lines, "192.0.2.1", "10:00:00", "/nowhere"), Decision::Unknown(USED_UP));
    assert_eq!(of(&lines, "192.0.2.1", "10:30:00", "/nowhere"), Decision::Refused("route_not_found"));
    // What a route makes of a path is judged as well.
    assert_eq!(of(&lines, "192.0.2.2", "10:40:00", "/api/x"), Decision::Allowed);
    assert!(matches!(of(&lines, "192.0.2.3", "10:40:00", "/api//x"), Decision::Unknown(_)));
}

#[test]
fn what_may_be_anybodys_request_counts_for_all() {
    const LIMITED: &str = r#"
listeners: [{ bind: "127.0.0.1:0" }]
security: { authentication: { type: api_key } }
consumers: [{ name: alice, keys: ["alice-key-0123456789"] }, { name: bob, keys: ["bob-key-0123456789ab"] }]
routes:
  - { path: /mine, upstream: "http://127.0.0.1:9", security: { rate_limiting: { max_requests: 3, per: minute, by: consumer } } }
  - { path: /near, upstream: "http://127.0.0.1:9", security: { rate_limiting: { max_requests: 3, per: minute, by: address } } }
"#;
    let loaded = Loaded::yaml("a.yaml", LIMITED.to_owned(), Context::for_file("."));
    let replay = Replay::new(loaded.into_blueprint().unwrap()).unwrap();
    let ask = |time: &str, path: &str, client: &str, who: &str| {
        let rest = match who {
            "" => r#""outcome":"refused","denied":{"code":"credential_invalid","detail":""},"status":401"#
                .to_owned(),
            who => format!(
                r#""consumer":"{who}","authenticated_by":"authn.api_key","outcome":"served","status":200"#
            ),
        };
        let text = line(&format!(r#""method":"GET","path":"{path}",{rest}"#));
        let text = text.replace("192.0.2.1\"", &format!("{client}\"")).replace("10:00:00", time);
        replay.decide(&Line::parse(&text).unwrap())
    };
    let used_up = Decision::Unknown(USED_UP);
    assert_eq!(ask("10:00:00", "/mine", "192.0.2.1", "alice"), used_up, "nobody knows what came before");
    // Two strangers, and one of alice: all three that there are.
    for _ in 0..2 {
        assert!(matches!(ask("10:10:00", "/mine", "192.0.2.1", ""), Decision::Unknown(_)));
    }
    assert_eq!(ask("10:10:01", "/mine", "192.0.2.1", "alice"), Decision::Allowed);
    assert_eq!(ask("10:10:02", "/mine", "192.0.2.1", "alice"), used_up);
    assert_eq!(ask("10:10:02", "/mine", "192.0.2.1", "bob"), Decision::Allowed, "they were one of them each");
    assert_eq!(ask("10:10:03", "/mine", "192.0.2.1", "bob"), used_up);
    // Those of an address count there alone.
    assert_eq!(ask("10:20:00", "/near", "192.0.2.1", "alice"), Decision::Allowed);
    for _ in 0..3 {
        assert!(matches!(ask("10:20:01", "/near", "192.0.2.2", ""), Decision::Unknown(_)));
    }
    assert_eq!(ask("10:20:02", "/near", "192.0.2.1", "alice"), Decision::Allowed);
    assert_eq!(ask("10:20:02", "/near", "192.0.2.2", "alice"), used_up);
    // Who sends so many may have to wait after more than ten, and nobody else.
    for _ in 0..9 {
        assert!(matches!(ask("10:25:00", "/near", "192.0.2.2", ""), Decision::Unknown(_)));
    }
    assert!(
        matches!(ask("10:29:00", "/mine", "192.0.2.2", "bob"), Decision::Unknown(why) if why.contains("wait"))
    );
    assert_eq!(ask("10:29:00", "/mine", "192.0.2.1", "alice"), Decision::Allowed);
    // More than are looked at one by one, and then a time in which everything is forgotten.
    for _ in 0..1500 {
        assert!(matches!(ask("10:30:00", "/near", "192.0.2.9", ""), Decision::Unknown(_)));
    }
    assert_eq!(ask("10:30:01", "/mine", "192.0.2.1", "alice"), used_up);
    assert_eq!(ask("10:40:00", "/mine", "192.0.2.1", "alice"), Decision::Allowed);
}

#[test]
fn a_limit_whose_key_the_log_lacks_is_unknown_for_those_it_counts() {
    let limit = |by: &str| format!("rate_limiting: {{ max_requests: 5, per: minute, by: {by} }}");
    // The name of a plan says nothing of what it counts by.
    let config = format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
security: {{ authentication: {{ type: api_key }} }}
plans: {{ each key: {{ {} }} }}
consumers:
  - {{ name: alice, plan: each key, keys: ["alice-key-0123456789"] }}
  - {{ name: dora, keys: ["dora-key-0123456789"], {} }}
  - {{ name: erin, keys: ["erin-key-0123456789"], {} }}
  - {{ name: free, keys: ["free-key-0123456789"] }}
routes:
  - {{ path: /orders, upstream: "http://127.0.0.1:9" }}
  - {{ path: /tenant, public: "a test", upstream: "http://127.0.0.1:9", security: {{ {} }} }}
  - {{ path: /pair, public: "a test", upstream: "http://127.0.0.1:9", security: {{ {} }} }}
"#,
        limit("consumer"),
        limit("key"),
        limit("[route, { claim: org }]"),
        limit("{ header: x-tenant }"),
        limit("[address, route]"),
    );
    let loaded = Loaded::yaml("a.yaml", config, Context::for_file("."));
    let replay = Replay::new(loaded.into_blueprint().unwrap()).unwrap();
    // From this line on it is known what is counted; an hour later no limit is used up.
    let first = line(r#""method":"GET","path":"/nowhere","outcome":"served","status":200"#);
    replay.decide(&Line::parse(&first).unwrap());
    for (path, consumer, known) in [
        ("/orders", "alice", true),
        ("/orders", "dora", false),
        ("/orders", "erin", false),
        ("/orders", "free", true),
        ("/tenant", "free", false),
        ("/pair", "free", true),
    ] {
        let text = line(&format!(
            r#""method":"GET","path":"{path}","consumer":"{consumer}","authenticated_by":"authn.api_key","outcome":"served","status":200"#
        ));
        let decision = replay.decide(&Line::parse(&text.replace("T10:", "T11:")).unwrap());
        assert_eq!(matches!(decision, Decision::Allowed), known, "{path} {consumer}: {decision:?}");
        assert_eq!(matches!(decision, Decision::Unknown(_)), !known, "{path} {consumer}: {decision:?}");
    }
}
