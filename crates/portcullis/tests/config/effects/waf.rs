//! What each key of `waf` does.

use super::super::harness::{Answer, Gate, get, request};
use super::{Place, SecurityRow};
use portcullis_core::{Code, Mode};
use serde_json::{Value, json};

const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");
const INJECTION: &str = "1' or '1'='1";
/// Only rules for SQL find it.
const SQL_ALONE: &str = "1 union select null,null--";
/// A rule of the second level finds it, and none of the first.
const SECOND_LEVEL: &str = "<x onclick=a>b</x>";

/// What each key of `waf` does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.waf", |place| {
        let gate = searched(place, json!({}));
        value(&gate, "O'Brien").permitted();
        refused(&gate, INJECTION);
        gate.send(get(&[ALICE])).permitted();
        let query = request("GET", "/a?q=%3Cscript%3Ealert(1)%3C/script%3E", &[ALICE]);
        assert_eq!(gate.send(query).refusal(), Some(Code::AttackSuspected));
        assert_eq!(send(&gate, "application/json", "{").refusal(), Some(Code::ContentMalformed));
        let form = send(&gate, "application/x-www-form-urlencoded", "a=1%27+or+%271%27%3D%271");
        assert_eq!(form.refusal(), Some(Code::AttackSuspected));
        let unlabelled = send(&gate, "text/plain", &json!({ "value": INJECTION }).to_string());
        assert_eq!(unlabelled.refusal(), Some(Code::AttackSuspected));
        send(&gate, "text/plain", "it's a plain text (or two)").permitted();
    }),
    ("security.waf.rules", |place| {
        let gate = searched(place, json!({ "rules": ["builtin", { "file": "rules" }] }));
        refused(&gate, "a forbidden-word");
        refused(&gate, INJECTION);
    }),
    ("security.waf.rules[].file", |place| {
        let gate = searched(place, json!({ "rules": [{ "file": "rules/own.conf" }] }));
        refused(&gate, "a forbidden-word");
        value(&gate, INJECTION).permitted();
    }),
    ("security.waf.paranoia", |place| {
        value(&searched(place, json!({ "exclude": exclusion("rules", json!([11220])) })), SECOND_LEVEL)
            .permitted();
        let keys = json!({ "paranoia": 2, "exclude": exclusion("rules", json!([11220])) });
        refused(&searched(place, keys), SECOND_LEVEL);
    }),
    ("security.waf.threshold", |place| {
        let rules = json!([{ "file": "rules" }]);
        refused(&searched(place, json!({ "rules": rules, "threshold": 5 })), "forbidden-word");
        value(&searched(place, json!({ "rules": rules, "threshold": 6 })), "forbidden-word").permitted();
    }),
    ("security.waf.exclude", |place| {
        let gate = searched(place, json!({ "exclude": exclusion("tags", json!(["attack-sqli"])) }));
        value(&gate, SQL_ALONE).permitted();
        refused(&searched(place, json!({})), SQL_ALONE);
    }),
    ("security.waf.exclude[].rules", |place| excluded(place, "rules", json!([900_001]))),
    ("security.waf.exclude[].tags", |place| excluded(place, "tags", json!(["own/word"]))),
    ("security.waf.exclude[].targets", |place| {
        for target in ["/value", "ARGS:json.value"] {
            excluded(place, "targets", json!([target]));
        }
        let keys =
            json!({ "rules": [{ "file": "rules" }], "exclude": exclusion("targets", json!(["/other"])) });
        refused(&searched(place, keys), "forbidden-word");
    }),
    ("security.waf.exclude[].reason", |place| {
        let gate = searched(place, json!({ "exclude": exclusion("rules", json!([11010])) }));
        let line = gate.listing.iter().find(|line| line.starts_with("inspect.waf")).unwrap();
        assert!(line.contains("without 11010 (it is a test)"), "{line}");
    }),
    ("security.waf.grpc", |place| {
        let call = |gate: &Gate| send(gate, "application/grpc", "\0\0\0\0\x01a");
        assert_eq!(call(&searched(place, json!({}))).refusal(), Some(Code::MediaTypeRefused));
        let gate = searched(place, json!({ "grpc": "unsearched" }));
        call(&gate).permitted();
        let query = request(
            "GET",
            "/a?q=%3Cscript%3Ealert(1)%3C/script%3E",
            &[ALICE, ("content-type", "application/grpc")],
        );
        assert_eq!(gate.send(query).refusal(), Some(Code::AttackSuspected), "the head is searched");
    }),
    ("security.waf.responses", |place| {
        let answers = |responses: &str| {
            let gate = searched(place, json!({ "responses": responses }));
            let route = gate.plan.routes.iter().next().unwrap();
            let modes: Vec<Mode> = route.controls.inspection.answers.iter().map(|one| one.mode).collect();
            modes
        };
        assert_eq!(answers("enforce"), [Mode::Enforce]);
        assert_eq!(answers("observe"), [Mode::Observe]);
        assert!(answers("off").is_empty());
    }),
    ("security.waf.max_response_size", |place| {
        let gate = searched(place, json!({ "responses": "enforce", "max_response_size": 77 }));
        assert_eq!(gate.plan.routes.iter().next().unwrap().controls.inspection.max_answer_bytes, 77);
    }),
    ("security.waf.mode", |place| {
        let gate = searched(place, json!({ "mode": "observe" }));
        let answer = value(&gate, INJECTION);
        answer.permitted();
        assert_eq!(answer.observed, [Code::AttackSuspected]);
        let gate = searched(place, json!({ "mode": "off" }));
        assert!(value(&gate, INJECTION).observed.is_empty());
        assert!(gate.listing.iter().any(|line| line.starts_with("inspect.waf off")));
    }),
];

fn exclusion(key: &str, what: Value) -> Value {
    let mut exclusion = json!({ "reason": "it is a test" });
    exclusion[key] = what;
    json!([exclusion])
}

fn excluded(place: Place, key: &str, what: Value) {
    let rules = json!([{ "file": "rules" }]);
    refused(&searched(place, json!({ "rules": rules })), "forbidden-word");
    value(&searched(place, json!({ "rules": rules, "exclude": exclusion(key, what) })), "forbidden-word")
        .permitted();
}

fn searched(place: Place, waf: Value) -> Gate {
    place.gate(json!({ "waf": waf, "body": { "max_size": 10_000 } }))
}

fn value(gate: &Gate, text: &str) -> Answer {
    send(gate, "application/json", &json!({ "value": text }).to_string())
}

fn refused(gate: &Gate, text: &str) {
    assert_eq!(value(gate, text).refusal(), Some(Code::AttackSuspected), "{text}");
}

fn send(gate: &Gate, media_type: &str, body: &str) -> Answer {
    let length = body.len().to_string();
    let headers = [ALICE, ("content-type", media_type), ("content-length", length.as_str())];
    gate.send_body(request("POST", "/a", &headers), body.to_owned())
}

fn gate_of_builtin_rules() -> Gate {
    searched(Place { route: false, list: false }, json!({}))
}

#[test]
fn a_coded_body_is_not_let_through() {
    let gate = gate_of_builtin_rules();
    let coded = |coding: &str| {
        let headers = [
            ALICE,
            ("content-type", "application/json"),
            ("content-encoding", coding),
            ("content-length", "2"),
        ];
        gate.send_body(request("POST", "/a", &headers), "{}").refusal()
    };
    for coding in ["gzip", "br", "zstd", "deflate", "x-gzip", "identity, gzip", ""] {
        assert_eq!(coded(coding), Some(Code::MediaTypeRefused), "{coding}");
    }
    assert_eq!(coded("identity"), None);
    // A second line of the header hides nothing.
    let twice = [
        ALICE,
        ("content-type", "application/json"),
        ("content-encoding", "identity"),
        ("content-encoding", "gzip"),
        ("content-length", "2"),
    ];
    assert_eq!(gate.send_body(request("POST", "/a", &twice), "{}").refusal(), Some(Code::MediaTypeRefused));
}

#[test]
fn an_unreadable_body_is_refused() {
    let gate = gate_of_builtin_rules();
    for (media_type, body) in [
        ("application/json", "{\"a\":"),
        ("application/json; charset=utf-8", "{'a': 1}"),
        ("application/merge-patch+json", "[1,"),
        ("application/xml", "<a><b></a>"),
        ("multipart/form-data; boundary=x", "--x\r\nno end"),
        ("multipart/form-data", "--x--"),
    ] {
        assert_eq!(
            send(&gate, media_type, body).refusal(),
            Some(Code::ContentMalformed),
            "{media_type} {body}"
        );
    }
    send(&gate, "application/json", "{\"a\": 1}").permitted();
    send(&gate, "application/xml", "<a><b/></a>").permitted();
    let form = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n";
    send(&gate, "multipart/form-data; boundary=x", form).permitted();
}

#[test]
fn a_body_has_one_media_type() {
    let gate = searched(Place { route: false, list: false }, json!({ "grpc": "unsearched" }));
    let body = json!({ "value": INJECTION }).to_string();
    let length = body.len().to_string();
    for types in [["application/grpc", "application/json"], ["application/json", "application/grpc"]] {
        let headers = [
            ALICE,
            ("content-type", types[0]),
            ("content-type", types[1]),
            ("content-length", length.as_str()),
        ];
        let answer = gate.send_body(request("POST", "/a", &headers), body.clone());
        assert_eq!(answer.refusal(), Some(Code::AmbiguousHeader), "{types:?}");
    }
}

#[test]
fn a_body_is_grpc_only_where_the_route_says_so() {
    let body = json!({ "value": INJECTION }).to_string();
    for media_type in
        ["application/grpc", "application/grpc+proto", "Application/GRPC-web", "application/grpc;x"]
    {
        let answer = send(&gate_of_builtin_rules(), media_type, &body);
        assert_eq!(answer.refusal(), Some(Code::MediaTypeRefused), "{media_type}");
    }
}
