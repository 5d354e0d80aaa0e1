//! What each key does that is about signed requests.

use super::super::harness::{Answer, Gate, request};
use super::{Place, SecurityRow};
use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA512};
use base64ct::{Base64, Encoding};
use portcullis_core::Code;
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;
const BODY: &str = "{}";

/// What each key does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.authentication.signed_by", |place| {
        let gate = of(place, json!({ "signed_by": "slack" }));
        let code = hex(HMAC_SHA256, SECRET, &format!("v0:{NOW}:{BODY}"));
        let time = NOW.to_string();
        let fields = [("x-slack-signature", &*format!("v0={code}")), ("x-slack-request-timestamp", &*time)];
        send(&gate, "/a", &fields, BODY).permitted();
        assert_eq!(
            send(&gate, "/a", &[("x-signature", &code)], BODY).refusal(),
            Some(Code::CredentialMissing)
        );
    }),
    ("security.authentication.secret[].env", |place| secrets(place, json!({ "env": "TOKEN_SECRET" }))),
    ("security.authentication.secret[].file", |place| secrets(place, json!({ "file": "token-secret.txt" }))),
    ("security.authentication.secret[].literal", |place| secrets(place, json!({ "literal": SECRET }))),
    ("security.authentication.tolerance", |place| {
        let late = |keys: Value| send_own(&of(place, keys), NOW - 60, BODY).refusal();
        assert_eq!(late(json!({})), None);
        assert_eq!(late(json!({ "tolerance": "59s" })), Some(Code::CredentialExpired));
    }),
    ("security.authentication.replay", |place| {
        let twice = |keys: Value| {
            let gate = of(place, keys);
            send_own(&gate, NOW, BODY).permitted();
            send_own(&gate, NOW, BODY).refusal()
        };
        assert_eq!(twice(json!({})), Some(Code::SignatureReplayed));
        assert_eq!(twice(json!({ "replay": "allow" })), None);
    }),
    ("security.authentication.consumer", |place| {
        let answer = send_own(&of(place, json!({ "consumer": "root" })), NOW, BODY);
        assert_eq!(answer.permitted().headers["x-consumer-name"], "root");
    }),
    ("security.authentication.timestamp_header", |place| {
        let gate = of(place, json!({ "timestamp_header": "x-sent" }));
        let code = hex(HMAC_SHA256, SECRET, &format!("{NOW}.{BODY}"));
        let time = NOW.to_string();
        send(&gate, "/a", &[("x-signature", &code), ("x-sent", &time)], BODY).permitted();
        let other = send(&gate, "/a", &[("x-signature", &code), ("x-time", &time)], BODY);
        assert_eq!(other.refusal(), Some(Code::CredentialMalformed));
    }),
    ("security.authentication.code_prefix", |place| {
        let gate = of(place, json!({ "code_prefix": "v1=" }));
        assert_eq!(send_own(&gate, NOW, BODY).refusal(), Some(Code::CredentialMalformed));
        let code = format!("v1={}", hex(HMAC_SHA256, SECRET, &format!("{NOW}.{BODY}")));
        send(&gate, "/a", &[("x-signature", &code), ("x-time", &NOW.to_string())], BODY).permitted();
    }),
    ("security.authentication.signed", |place| {
        let gate = of(place, json!({ "signed": "{target}\n{timestamp}:{body}" }));
        assert_eq!(send_own(&gate, NOW, BODY).refusal(), Some(Code::SignatureInvalid));
        let code = hex(HMAC_SHA256, SECRET, &format!("/a?b=c\n{NOW}:{BODY}"));
        let (time, code) = (NOW.to_string(), code.as_str());
        send(&gate, "/a?b=c", &[("x-signature", code), ("x-time", &time)], BODY).permitted();
        let elsewhere = send(&gate, "/a?b=d", &[("x-signature", code), ("x-time", &time)], BODY);
        assert_eq!(elsewhere.refusal(), Some(Code::SignatureInvalid));
    }),
    ("security.authentication.hash", |place| {
        let gate = of(place, json!({ "hash": "sha512" }));
        assert_eq!(send_own(&gate, NOW, BODY).refusal(), Some(Code::CredentialMalformed));
        let code = hex(HMAC_SHA512, SECRET, &format!("{NOW}.{BODY}"));
        send(&gate, "/a", &[("x-signature", &code), ("x-time", &NOW.to_string())], BODY).permitted();
    }),
    ("security.authentication.encoding", |place| {
        let gate = of(place, json!({ "encoding": "base64" }));
        assert_eq!(send_own(&gate, NOW, BODY).refusal(), Some(Code::CredentialMalformed));
        let code = Base64::encode_string(&mac(HMAC_SHA256, SECRET, &format!("{NOW}.{BODY}")));
        send(&gate, "/a", &[("x-signature", &code), ("x-time", &NOW.to_string())], BODY).permitted();
    }),
];

fn mac(algorithm: hmac::Algorithm, secret: &str, signed: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), signed.as_bytes()).as_ref().to_vec()
}

fn hex(algorithm: hmac::Algorithm, secret: &str, signed: &str) -> String {
    mac(algorithm, secret, signed).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A gateway whose requests are signed; these keys are added to, or stand in place of, the usual ones.
fn of(place: Place, keys: Value) -> Gate {
    let mut method =
        json!({ "type": "signature", "signed_by": "hmac", "secret": SECRET, "consumer": "alice" });
    if keys.get("signed_by").is_none() {
        method["header"] = json!("x-signature");
        method["timestamp_header"] = json!("x-time");
    }
    method.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    place.gate(json!({ "authentication": method }))
}

fn send(gate: &Gate, target: &str, fields: &[(&str, &str)], body: &'static str) -> Answer {
    let length = body.len().to_string();
    let fields = [fields, &[("content-length", &length)]].concat();
    gate.send_body(request("POST", target, &fields), body)
}

/// A request that is signed as the usual keys say.
fn send_own(gate: &Gate, time: u64, body: &'static str) -> Answer {
    let code = hex(HMAC_SHA256, SECRET, &format!("{time}.{body}"));
    send(gate, "/a", &[("x-signature", &code), ("x-time", &time.to_string())], body)
}

/// Each of several secrets signs.
fn secrets(place: Place, secret: Value) {
    let gate = of(place, json!({ "secret": [{ "literal": "another-secret-0123456789" }, secret] }));
    send_own(&gate, NOW, BODY).permitted();
    let only = of(place, json!({ "secret": ["another-secret-0123456789"] }));
    assert_eq!(send_own(&only, NOW, BODY).refusal(), Some(Code::SignatureInvalid));
}
