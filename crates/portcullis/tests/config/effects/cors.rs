//! What each key of `cors` does.

use super::super::harness::{Answer, get, request};
use super::{Place, SecurityRow};
use portcullis_core::Code;
use serde_json::{Value, json};

const APP: &str = "https://app.example.com";
const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");

/// What each key of `cors` does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.cors", |place| origins(place)),
    ("security.cors.origins", |place| origins(place)),
    ("security.cors.methods", |place| {
        let asked = |method| preflight(place, json!({ "methods": ["PUT", "GET"] }), &[METHOD(method)]);
        assert_eq!(told(&asked("PUT"), "access-control-allow-methods"), ["PUT, GET"]);
        assert!(told(&asked("DELETE"), "access-control-allow-methods").is_empty());
        let without = preflight(place, json!({}), &[METHOD("DELETE")]);
        assert_eq!(told(&without, "access-control-allow-methods"), ["DELETE"]);
    }),
    ("security.cors.headers", |place| {
        let wants = ("access-control-request-headers", "x-api-key, x-other");
        let asked = |cors| preflight(place, cors, &[METHOD("GET"), wants]);
        let some = asked(json!({ "headers": ["X-Api-Key"] }));
        assert_eq!(told(&some, "access-control-allow-headers"), ["x-api-key"]);
        for all in [json!({}), json!({ "headers": ["*"] })] {
            assert_eq!(told(&asked(all), "access-control-allow-headers"), ["x-api-key, x-other"]);
        }
    }),
    ("security.cors.exposed_headers", |place| {
        let exposed = |cors| read(place, cors, "access-control-expose-headers");
        let own = "retry-after, ratelimit, ratelimit-policy, www-authenticate, x-request-id";
        assert_eq!(exposed(json!({})), [own]);
        assert_eq!(exposed(json!({ "exposed_headers": ["X-Total"] })), [format!("x-total, {own}")]);
        assert_eq!(exposed(json!({ "exposed_headers": ["*"] })), ["*"]);
    }),
    ("security.cors.credentials", |place| {
        for (cors, told_of) in [(json!({}), vec![]), (json!({ "credentials": true }), vec!["true"])] {
            assert_eq!(read(place, cors.clone(), "access-control-allow-credentials"), told_of);
            let asked = preflight(place, cors, &[METHOD("GET")]);
            assert_eq!(told(&asked, "access-control-allow-credentials"), told_of);
        }
    }),
    ("security.cors.max_age", |place| {
        let asked = |cors| preflight(place, cors, &[METHOD("GET")]);
        assert_eq!(told(&asked(json!({ "max_age": "10m" })), "access-control-max-age"), ["600"]);
        assert!(told(&asked(json!({})), "access-control-max-age").is_empty());
    }),
    ("security.cors.private_network", |place| {
        let network = ("access-control-request-private-network", "true");
        let asked = |cors, fields: &[_]| {
            let answer = preflight(place, cors, &[&[METHOD("GET")], fields].concat());
            told(&answer, "access-control-allow-private-network")
        };
        assert_eq!(asked(json!({ "private_network": true }), &[network]), ["true"]);
        assert!(asked(json!({ "private_network": true }), &[]).is_empty());
        assert!(asked(json!({}), &[network]).is_empty());
    }),
];

const METHOD: fn(&'static str) -> (&'static str, &'static str) =
    |name| ("access-control-request-method", name);

fn cors(more: Value) -> Value {
    let mut cors = json!({ "origins": [APP] });
    cors.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "cors": cors })
}

/// The answer to a preflight of the listed origin.
fn preflight(place: Place, more: Value, fields: &[(&str, &str)]) -> Answer {
    let answer =
        place.gate(cors(more)).send(request("OPTIONS", "/a", &[&[("origin", APP)], fields].concat()));
    assert_eq!(answer.refusal(), Some(Code::Preflight));
    assert_eq!(told(&answer, "access-control-allow-origin"), [APP]);
    answer
}

fn told(answer: &Answer, name: &str) -> Vec<String> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// What the answer to a request of the listed origin says in a field, which is what it says to one that is rejected.
fn read(place: Place, more: Value, name: &str) -> Vec<String> {
    let gate = place.gate(cors(more));
    let passed = gate.send(get(&[ALICE, ("origin", APP)]));
    let fields = passed.permitted().told.as_ref().unwrap().fields.iter();
    let values: Vec<String> = fields
        .filter(|(field, _)| field == name)
        .map(|(_, value)| value.to_str().unwrap().to_owned())
        .collect();
    let refused = gate.send(get(&[("origin", APP)]));
    assert_eq!(refused.refusal(), Some(Code::CredentialMissing));
    assert_eq!(told(&refused, name), values);
    values
}

/// A page of a listed origin may, and no other.
fn origins(place: Place) {
    let gate = place.gate(json!({ "cors": { "origins": [APP, "https://*.example.org"] } }));
    for (origin, named) in [
        (APP, true),
        ("https://a.b.example.org", true),
        ("https://evil.example", false),
        ("https://evilexample.org", false),
        ("null", false),
    ] {
        let answer = gate.send(request("OPTIONS", "/a", &[("origin", origin), METHOD("GET")]));
        assert_eq!(answer.refusal(), Some(Code::Preflight));
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), named, "{origin}");
        assert!(told(&answer, "vary").contains(&"Origin".to_owned()));
    }
}
