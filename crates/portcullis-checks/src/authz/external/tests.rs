//! What a policy server is asked, what its answers mean, and how long they are remembered.

use super::*;
use crate::trial::{Ask, Setup, Trial, ask, consumer, decoded, get, known, schema, subject};
use http::HeaderMap;

const SECOND: Duration = Duration::from_secs(1);

fn decided(form: FormConfig, status: u16, body: &'static str) -> Result<bool, String> {
    let external = External {
        url: "https://policy.example/allow".parse().unwrap(),
        form,
        headers: Vec::new(),
        timeout: Duration::from_secs(1),
        cached: None,
        by: Vec::new(),
        insecure_plaintext: false,
        decisions: ByteCache::new(1, 1),
    };
    let status = StatusCode::from_u16(status).unwrap();
    external.decided(&Fetched {
        status,
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
    })
}

#[test]
fn only_a_clear_yes_lets_a_request_on() {
    let opa = |status, body| decided(FormConfig::Opa, status, body);
    assert_eq!(opa(200, r#"{"result":true}"#), Ok(true));
    assert_eq!(opa(200, r#"{"result":{"allow":true,"reason":"x"},"decision_id":"1"}"#), Ok(true));
    for no in [
        "{}",
        r#"{"result":null}"#,
        r#"{"result":false}"#,
        r#"{"result":{}}"#,
        r#"{"result":{"allow":"true"}}"#,
        r#"{"result":{"allow":1}}"#,
        r#"{"allow":true}"#,
    ] {
        assert_eq!(opa(200, no), Ok(false), "{no}");
    }
    for (status, unclear) in [
        (200, ""),
        (200, "true"),
        (200, r#"{"result":"true"}"#),
        (200, r#"{"result":1}"#),
        (200, r#"{"result":[true]}"#),
        (200, r#"{"result":false,"result":true}"#),
        (204, r#"{"result":true}"#),
        (302, r#"{"result":true}"#),
        (500, r#"{"result":true}"#),
    ] {
        assert!(opa(status, unclear).is_err(), "{status} {unclear}");
    }
    let forward = |status| decided(FormConfig::ForwardAuth, status, "");
    assert_eq!((forward(200), forward(204)), (Ok(true), Ok(true)));
    assert_eq!((forward(401), forward(403)), (Ok(false), Ok(false)));
    for unclear in [100, 302, 400, 404, 429, 500, 503] {
        assert!(forward(unclear).is_err(), "{unclear}");
    }
}

const YES: &str = r#"{"result":true}"#;
const NO: &str = r#"{"result":false}"#;

fn trial(more: &str) -> Trial {
    let text = format!("authorization: {{ external: {{ url: \"https://policy.example/allow\"{more} }} }}");
    Setup::new().consumer("alice", &["user", "admin"], &["read"]).consumer("bob", &[], &[]).compile(&text)
}

#[test]
fn a_yes_lets_on_a_no_refuses_and_silence_is_a_fault() {
    let trial = trial("");
    let said = || trial.authorize(get("/x"), &consumer(0));
    trial.world.answer(200, YES);
    assert_eq!(said(), Ok(()));
    trial.world.answer(200, NO);
    let refused = said().unwrap_err();
    assert_eq!((refused.code(), refused.status().as_u16()), (Code::ExternalRefused, 403));
    trial.world.fail();
    let refused = said().unwrap_err();
    assert_eq!((refused.code(), refused.status().as_u16()), (Code::Fault, 503));
    assert_eq!(refused.detail(), "the external decision: no answer in time");
    trial.world.answer(500, YES);
    let refused = said().unwrap_err();
    assert_eq!(refused.code(), Code::Fault);
    let detail = "the external decision: https://policy.example/allow answered with status 500";
    assert_eq!(refused.detail(), detail);
    assert_eq!(trial.world.asked().len(), 4, "nothing is remembered");
}

/// What is asked about a request, once.
fn asked(trial: &Trial, ask: Ask, who: &Principal) -> Fetch {
    trial.world.answer(200, YES);
    assert_eq!(trial.authorize(ask, who), Ok(()));
    let mut asked = trial.world.asked();
    assert_eq!(asked.len(), 1);
    asked.remove(0)
}

#[test]
fn open_policy_agent_is_told_of_the_request_and_of_who_sends_it() {
    let trial = trial(", headers: [X-Tenant, x-absent]");
    let request = || ask("PUT", "/orders/7/?token=secret").with("x-tenant", "blue").with("x-other", "1");
    let fetch = asked(&trial, request(), &consumer(0));
    assert_eq!(
        (&fetch.method, fetch.url.to_string().as_str()),
        (&Method::POST, "https://policy.example/allow")
    );
    let headers: Vec<_> =
        fetch.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let json_both: [(&str, &[u8]); 2] =
        [("content-type", b"application/json"), ("accept", b"application/json")];
    assert_eq!(headers, json_both);
    assert_eq!(fetch.client, Some(Client { address: [192, 0, 2, 1].into(), known: true }));
    assert_eq!((fetch.timeout, fetch.max_bytes, fetch.insecure_plaintext), (SECOND, 65_536, false));
    let told: Value = serde_json::from_slice(&fetch.body).unwrap();
    let request_told = json!({
        "method": "PUT", "path": "/orders/7/", "segments": ["orders", "7"], "host": "api.example",
        "client": "192.0.2.1", "headers": { "x-tenant": "blue" },
    });
    assert_eq!(told["input"]["request"], request_told);
    let alice = json!({
        "name": "alice", "issuer": null, "client": null, "roles": ["user", "admin"], "scopes": ["read"], "claims": null,
    });
    assert_eq!(told["input"]["principal"], alice);
    let mut token = subject("carol", r#"{"sub":"carol","level":3,"groups":["a"]}"#);
    (token.client, token.roles) = (Some("app".to_owned()), vec!["guest".to_owned()]);
    let told: Value = serde_json::from_slice(&asked(&trial, get("/"), &known(token)).body).unwrap();
    let carol = json!({
        "name": "carol", "issuer": "https://issuer.example", "client": "app", "roles": ["guest"], "scopes": [],
        "claims": { "sub": "carol", "level": 3, "groups": ["a"] },
    });
    assert_eq!(told["input"]["principal"], carol);
    let told: Value = serde_json::from_slice(&asked(&trial, get("/"), &Principal::ANONYMOUS).body).unwrap();
    assert_eq!(
        (&told["input"]["principal"]["name"], &told["input"]["principal"]["roles"]),
        (&json!(null), &json!([]))
    );
}

#[test]
fn forward_auth_is_told_by_headers_that_no_client_can_set() {
    let trial = trial(", form: forward_auth, headers: [x-tenant, cookie], timeout: 2s");
    let headers = |fetch: Fetch| {
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let all = fetch.headers.iter().map(|(name, value)| format!("{name}: {}", text(value)));
        all.collect::<Vec<_>>()
    };
    let fetch = asked(&trial, ask("POST", "/orders?token=secret").with("x-tenant", "blue"), &consumer(0));
    assert_eq!((&fetch.method, fetch.body.len(), fetch.timeout), (&Method::GET, 0, SECOND * 2));
    let own = |method: &str, path: &str| {
        vec![
            "x-forwarded-host: api.example".to_owned(),
            format!("x-forwarded-method: {method}"),
            "x-forwarded-proto: http".to_owned(),
            format!("x-forwarded-uri: {path}"),
            "x-forwarded-for: 192.0.2.1".to_owned(),
        ]
    };
    let more =
        ["x-consumer-roles: user,admin", "x-consumer-name: alice", "x-tenant: blue"].map(str::to_owned);
    assert_eq!(headers(fetch), [own("POST", "/orders"), more.to_vec()].concat());
    let token = known(subject("carol", "{}"));
    let more = ["x-consumer-roles: ", "x-consumer-name: carol", "x-consumer-issuer: https://issuer.example"];
    let fetch = asked(&trial, get("/x"), &token);
    assert_eq!(headers(fetch), [own("GET", "/x"), more.map(str::to_owned).to_vec()].concat());
    // The status alone decides.
    trial.world.answer(401, YES);
    assert_eq!(trial.authorize(get("/x"), &token).unwrap_err().code(), Code::ExternalRefused);
}

#[test]
fn a_header_that_repeats_gets_no_decision() {
    for form in ["opa", "forward_auth"] {
        let trial = trial(&format!(", headers: [x-tenant], form: {form}"));
        let twice = get("/x").with("x-tenant", "a").with("x-tenant", "b");
        let refused = trial.authorize(twice, &consumer(0)).unwrap_err();
        assert_eq!(refused.code(), Code::Fault);
        assert_eq!(refused.detail(), "the external decision: the header x-tenant repeats, or is not text");
        assert_eq!(trial.world.asked().len(), 0);
    }
}

#[test]
fn a_decision_is_remembered_for_as_long_as_is_said() {
    let trial = trial(", cached_for: 10s, cached_by: [method, path]");
    let said = || trial.authorize(get("/x"), &consumer(0)).map_err(|denial| denial.code());
    let asks = || trial.world.asked().len();
    // A failure is not remembered.
    trial.world.fail();
    assert_eq!((said(), asks()), (Err(Code::Fault), 1));
    trial.world.answer(200, YES);
    assert_eq!((said(), asks()), (Ok(()), 1));
    assert_eq!((said(), asks()), (Ok(()), 0));
    trial.world.pass(SECOND * 10 - Duration::from_nanos(1));
    assert_eq!((said(), asks()), (Ok(()), 0));
    trial.world.pass(Duration::from_nanos(1));
    trial.world.answer(200, NO);
    assert_eq!((said(), asks()), (Err(Code::ExternalRefused), 1));
    assert_eq!((said(), asks()), (Err(Code::ExternalRefused), 0), "a no is remembered as well");
    trial.world.pass(SECOND * 10);
    assert_eq!((said(), asks()), (Err(Code::Fault), 1), "what is over is not said again when nobody answers");
}

#[test]
fn a_decision_is_the_callers_and_that_of_what_is_listed() {
    let alice = consumer(0);
    let mut promoted = subject("alice", "{}");
    promoted.roles = vec!["admin".to_owned()];
    let (token, promoted) = (known(subject("alice", "{}")), known(promoted));
    let nobody = Principal::ANONYMOUS;
    for (by, first, second, shared) in [
        ("[method]", (get("/x"), &alice), (get("/x"), &alice), true),
        ("[method]", (get("/x"), &alice), (ask("PUT", "/x"), &alice), false),
        ("[path]", (get("/x"), &alice), (ask("PUT", "/x"), &alice), true),
        ("[path]", (get("/x"), &alice), (get("/y"), &alice), false),
        ("[method]", (get("/x"), &alice), (get("/y"), &alice), true),
        ("[path]", (get("/x?a=1"), &alice), (get("/x?a=2"), &alice), true),
        ("[host]", (get("/x"), &alice), (get("/y").to("other.example"), &alice), false),
        ("[path]", (get("/x"), &alice), (get("/x").to("other.example"), &alice), true),
        ("[client]", (get("/x"), &alice), (get("/x").from("192.0.2.9"), &alice), false),
        ("[path]", (get("/x"), &alice), (get("/x").from("192.0.2.9"), &alice), true),
        // Whatever is listed, it is the caller's alone.
        ("[path]", (get("/x"), &alice), (get("/x"), &consumer(1)), false),
        ("[path]", (get("/x"), &alice), (get("/x"), &token), false),
        ("[path]", (get("/x"), &token), (get("/x"), &promoted), false),
        ("[path]", (get("/x"), &nobody), (get("/x").from("192.0.2.9"), &nobody), false),
        ("[principal]", (get("/x"), &nobody), (get("/y"), &nobody), true),
        ("[path]", (get("/x"), &nobody), (get("/x"), &alice), false),
        // And so are the headers that the server is told.
        (
            "[path]",
            (get("/x").with("x-tenant", "a"), &alice),
            (get("/x").with("x-tenant", "b"), &alice),
            false,
        ),
        ("[path]", (get("/x").with("x-tenant", "a"), &alice), (get("/x"), &alice), false),
        (
            "[headers]",
            (get("/x").with("x-tenant", "a"), &alice),
            (get("/x").with("x-tenant", "a"), &alice),
            true,
        ),
        ("[path]", (get("/x").with("x-other", "a"), &alice), (get("/x"), &alice), true),
    ] {
        let trial = trial(&format!(", headers: [x-tenant], cached_for: 10s, cached_by: {by}"));
        trial.world.answer(200, YES);
        assert_eq!(trial.authorize(first.0, first.1), Ok(()));
        trial.world.answer(200, NO);
        assert_eq!(trial.authorize(second.0, second.1).is_ok(), shared, "{by} {:?}", trial.world.asked());
    }
}

#[test]
fn a_policy_server_is_asked_over_tls_in_a_time_that_is_bounded() {
    let time = "config.external_timeout: the timeout must be from 10ms to 30s";
    let cache =
        "config.external_cache: a decision is remembered for at most 1h, and by what `cached_by` lists";
    let in_vain = "config.external_cache: `cached_by` has no effect without `cached_for`";
    let url = "config.external_url: this URL cannot be used: ";
    for (written, wrong) in [
        ("url: \"https://policy.example/x\"", ""),
        ("url: \"http://127.0.0.1:8181/x\"", ""),
        ("url: \"http://policy.example/x\"", url),
        ("url: \"http://policy.example/x\", insecure_plaintext: \"a private network\"", ""),
        ("url: \"ftp://policy.example/x\", insecure_plaintext: \"a private network\"", url),
        ("url: \"policy.example\"", url),
        ("url: \"https://a/x\", timeout: 10ms", ""),
        ("url: \"https://a/x\", timeout: 9ms", time),
        ("url: \"https://a/x\", timeout: 30s", ""),
        ("url: \"https://a/x\", timeout: 30001ms", time),
        ("url: \"https://a/x\", cached_for: 1h, cached_by: [path]", ""),
        ("url: \"https://a/x\", cached_for: 3601s, cached_by: [path]", cache),
        ("url: \"https://a/x\", cached_for: 10s", cache),
        ("url: \"https://a/x\", cached_by: [path]", in_vain),
        ("url: \"https://a/x\", headers: [\"a b\"]", "config.field_name: "),
        ("url: \"https://a/x\", headers: [x-forwarded-host]", "config.reserved_field: "),
    ] {
        let said = Setup::new().wrong(&format!("authorization: {{ external: {{ {written} }} }}"));
        let starts =
            said.len() == usize::from(!wrong.is_empty()) && said.iter().all(|one| one.starts_with(wrong));
        assert!(starts, "{written}: {said:?}");
    }
    let text = "authorization: { external: { url: \"http://policy.example/x\", insecure_plaintext: \"a private network\" } }";
    assert!(asked(&Setup::new().compile(text), get("/x"), &Principal::ANONYMOUS).insecure_plaintext);
}

#[test]
fn a_rehearsal_knows_which_server_is_asked() {
    let config: ExternalConfig = decoded("{ url: \"https://policy.example/allow\" }").unwrap();
    let external = config.compile(&mut Context::for_code()).unwrap();
    assert_eq!(external.url(), "https://policy.example/allow");
    assert!(schema::<ExternalConfig>().to_string().contains("forward_auth"));
}

#[test]
fn a_policy_server_is_listed_with_its_form_and_its_memory() {
    let listed = |more| trial(more).listed("authz").remove(0);
    let decision = "authz.external enforce: the decision of https://policy.example/allow";
    assert_eq!(listed(""), format!("{decision} (opa)"));
    let remembered = listed(", form: forward_auth, cached_for: 90s, cached_by: [path]");
    assert_eq!(remembered, format!("{decision} (forward_auth), remembered for 90s"));
}

#[test]
fn ten_thousand_decisions_are_remembered_and_no_more() {
    let config: ExternalConfig =
        decoded("{ url: \"https://policy.example/allow\", cached_for: 10s, cached_by: [path] }").unwrap();
    let decisions = config.compile(&mut Context::for_code()).unwrap().decisions;
    let remember = |number: u64| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        decisions.insert(key, Decision { allowed: true, until: SECOND }, 0);
    };
    (0..9_900).for_each(remember);
    assert!(decisions.held().0 >= 9_800, "{:?}", decisions.held());
    (0..30_000).for_each(remember);
    assert!(decisions.held().0 <= 10_000, "{:?}", decisions.held());
}
