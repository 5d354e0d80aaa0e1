use super::*;
use crate::load::{Context, Loaded};
use portcullis_core::Clock as _;
use std::time::Duration;

const DOCUMENT: &str = "
listeners: [{ bind: \"127.0.0.1:0\" }]
security:
  authentication: { type: api_key }
  authorization: { roles_allowed: [user] }
  rate_limiting: { max_requests: 2, per: minute }
consumers:
  - { name: alice, roles: [user], keys: [alice-key-0123456789] }
  - { name: bob, roles: [], keys: [bob-key-0123456789xx] }
routes:
  - { path: /a, upstream: \"http://127.0.0.1:8080\" }
  - { path: /b, methods: [POST], upstream: \"http://127.0.0.1:8080\", security: { body: { max_size: 4B } } }
";

fn loaded(bench: &Bench) -> Loaded {
    Loaded::yaml_with("gateway.yaml", DOCUMENT.to_owned(), Context::for_file("."), bench.state())
}

fn judge() -> Judge {
    let bench = Bench::new();
    let blueprint = loaded(&bench).into_blueprint().unwrap();
    Judge::new(blueprint, &bench, Tracing::Checks).unwrap()
}

fn by(key: &str) -> Request {
    Request::new("GET", "/a").header("x-api-key", key)
}

fn code(verdict: &Verdict) -> Option<&'static str> {
    verdict.refusal().map(|refusal| refusal.code)
}

#[test]
fn limits_of_a_day_are_forgotten_without_time() {
    let bench = Bench::new();
    let text = DOCUMENT.replace("per: minute", "per: day");
    let loaded = Loaded::yaml_with("gateway.yaml", text, Context::for_file("."), bench.state());
    let judge = Judge::new(loaded.into_blueprint().unwrap(), &bench, Tracing::Decision).unwrap();
    let begun = bench.clock().now().monotonic;
    for round in 0..50 {
        let said: Vec<_> = (0..3).map(|_| code(&judge.decide(&by("alice-key-0123456789")))).collect();
        assert_eq!(said, [None, None, Some("rate_limited")], "round {round}");
        judge.forget();
    }
    assert_eq!(bench.clock().now().monotonic, begun, "584 years are all that there is");
}

#[test]
fn a_verdict_tells_what_every_check_said() {
    let judge = judge();
    let verdict = judge.decide(&by("alice-key-0123456789"));
    let Decision::Forwarded(upstream) = &verdict.decision else { panic!("{verdict:?}") };
    assert!(upstream.headers.contains(&("x-consumer-name".into(), "alice".into())), "{upstream:?}");
    assert!(!upstream.headers.iter().any(|(name, _)| name == "x-api-key"));
    let said: Vec<_> = verdict.checks.iter().map(|check| (check.check, check.said.clone())).collect();
    assert_eq!(
        said,
        [
            ("authn.api_key", Said::Identified),
            ("authz.roles", Said::Passed),
            ("quota.rate_limit", Said::Counted { remaining: 1 }),
        ]
    );
    let refused = judge.decide(&by("bob-key-0123456789xx"));
    assert_eq!((code(&refused), refused.stage), (Some("role_missing"), Stage::Authorize));
    assert_eq!(code(&judge.decide(&Request::new("GET", "/a"))), Some("credential_missing"));
    assert_eq!(judge.decide(&Request::new("GET", "/c")).stage, Stage::Route);
    assert_eq!(judge.decide(&Request::new("GET", "/a/../b")).stage, Stage::Admit);
    assert_eq!(judge.decide(&Request::new("GET", "/a b")).stage, Stage::Read);
}

#[test]
fn limits_count_and_are_forgotten() {
    let judge = judge();
    let send = || code(&judge.decide(&by("alice-key-0123456789")));
    assert_eq!([send(), send(), send()], [None, None, Some("rate_limited")]);
    judge.forget();
    assert_eq!(send(), None);
    judge.use_up_limits(UsedUp::All);
    assert_eq!(send(), Some("rate_limited"));
}

#[test]
fn a_refusal_points_to_its_line() {
    let bench = Bench::new();
    let read = loaded(&bench);
    let places = read.places();
    let at = |route: u32, check: &str| places.of_check(Some(RouteId(route)), check).map(|place| place.line);
    assert_eq!(at(0, "authn.api_key"), Some(4));
    assert_eq!(at(0, "authz.roles"), Some(5));
    assert_eq!(at(0, "quota.rate_limit"), Some(6));
    assert_eq!(at(1, "inspect.body_size"), Some(12));
    assert_eq!(at(0, "inspect.waf"), None);
    assert_eq!(places.of_route(RouteId(1)).map(|place| place.line), Some(12));
}

#[test]
fn a_body_is_judged_as_far_as_it_is_announced() {
    let judge = judge();
    let mut request = Request::new("POST", "/b").header("x-api-key", "alice-key-0123456789");
    request.body = "12345".into();
    assert_eq!(code(&judge.decide(&request)), Some("body_too_large"));
    request.headers.push(("transfer-encoding".into(), "chunked".into()));
    judge.forget();
    let verdict = judge.decide(&request);
    assert!(verdict.is_forwarded(), "a body that streams is cut where it is too long: {verdict:?}");
}

#[test]
fn what_must_be_fetched_is_unknown() {
    let document = "
listeners: [{ bind: \"127.0.0.1:0\" }]
security: { authentication: { type: jwt, issuer: \"https://issuer.example\", audience: a } }
routes: [{ path: /a, upstream: \"http://127.0.0.1:8080\" }]
";
    let bench = Bench::new();
    let read = Loaded::yaml_with("g.yaml", document.to_owned(), Context::for_file("."), bench.state());
    let judge = Judge::new(read.into_blueprint().unwrap(), &bench, Tracing::Checks).unwrap();
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIn0.AAAA";
    let request = Request::new("GET", "/a").header("authorization", &format!("Bearer {token}"));
    let verdict = judge.decide(&request);
    assert!(matches!(verdict.decision, Decision::Unknown { .. }), "{verdict:?}");
    assert_eq!(code(&judge.decide(&Request::new("GET", "/a"))), Some("credential_missing"));
}

#[test]
fn nothing_of_a_trial_touches_a_state_that_serves() {
    let serving = portcullis_runtime::State::new();
    let read = Loaded::yaml_with("g.yaml", DOCUMENT.to_owned(), Context::for_file("."), &serving);
    let blueprint = read.into_blueprint().unwrap();
    let judge = judge();
    for _ in 0..5 {
        let _ = judge.decide(&by("alice-key-0123456789"));
        let _ = judge.decide(&by("nobodys-key"));
    }
    let limit = portcullis_core::Limit {
        id: portcullis_core::LimitId(0),
        max: 2,
        period: Duration::from_secs(60),
        burst: 2,
        algorithm: portcullis_core::Algorithm::Gcra,
    };
    let key = portcullis_core::CountKey::Consumer(portcullis_core::ConsumerId(0));
    let portcullis_core::Step::Ready(Ok(count)) =
        blueprint.world.count(&limit, &portcullis_core::Keys::one(key), 1)
    else {
        panic!()
    };
    assert_eq!((count.allowed, count.remaining), (true, 1));
}
