//! Limits over time: what is allowed at once, when more is, and what a configuration may say.

use crate::trial::{Setup, consumer, decoded, get};
use portcullis_core::{Code, Principal};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const INSTANT: Duration = Duration::from_nanos(1);

#[test]
fn a_burst_may_come_at_once_and_one_more_each_part_of_the_period() {
    let trial = Setup::new().compile("rate_limiting: { max_requests: 6, per: minute, burst: 2, by: route }");
    let who = consumer(0);
    assert_eq!(trial.of(5, || get("/x"), &who), 2);
    trial.world.pass(SECOND * 10 - INSTANT);
    assert_eq!(trial.of(5, || get("/x"), &who), 0, "a sixth of a minute has not quite passed");
    trial.world.pass(INSTANT);
    assert_eq!(trial.of(5, || get("/x"), &who), 1);
    trial.world.pass(SECOND * 3600);
    assert_eq!(trial.of(5, || get("/x"), &who), 2, "what is not used does not add up beyond the burst");
}

#[test]
fn without_a_burst_all_of_a_limit_may_come_at_once() {
    let trial = Setup::new().compile("rate_limiting: { max_requests: 3, per: hour, by: route }");
    let count = |ask| trial.count(ask, &consumer(0)).unwrap().remove(0);
    assert_eq!([0; 3].map(|_| count(get("/x")).remaining), [2, 1, 0]);
    let refused = count(get("/x"));
    assert!(!refused.allowed);
    assert_eq!(refused.retry_after, SECOND * 1200);
    assert_eq!(refused.reset_after, SECOND * 3600);
}

#[test]
fn each_word_for_a_period_means_its_length() {
    for (written, seconds) in [
        ("per: second", 1),
        ("per: minute", 60),
        ("per: hour", 3600),
        ("per: day", 86_400),
        ("per_second: true", 1),
        ("per_minute: true", 60),
        ("per_hour: true", 3600),
        ("per_day: true", 86_400),
    ] {
        let trial = Setup::new().compile(&format!("rate_limiting: {{ max: 1, {written}, by: gateway }}"));
        let who = consumer(0);
        assert!(trial.is_within(get("/x"), &who), "{written}");
        trial.world.pass(SECOND * seconds - INSTANT);
        assert!(!trial.is_within(get("/x"), &who), "{written}");
        trial.world.pass(INSTANT);
        assert!(trial.is_within(get("/x"), &who), "{written}");
    }
}

#[test]
fn a_limit_has_one_period() {
    for (written, why) in [
        ("", "config.period: the limit has no period"),
        ("per: minute, per_hour: true,", "config.period: the limit has two periods"),
        ("per_day: true, per_hour: true,", "config.period: the limit has two periods"),
        ("per_day: false,", "config.period: `false` is not a period"),
        ("per: minute, per_day: false,", "config.period: `false` is not a period"),
    ] {
        assert_eq!(Setup::new().wrong(&format!("rate_limiting: {{ {written} max: 1 }}")), [why], "{written}");
    }
}

#[test]
fn a_fixed_window_begins_anew_and_a_sliding_one_fades() {
    let windows = |algorithm: &str| {
        let text = format!("rate_limiting: {{ max: 10, per: minute, by: route, algorithm: {algorithm} }}");
        Setup::new().compile(&text)
    };
    let who = consumer(0);
    let trial = windows("fixed_window");
    trial.world.be("2026-03-01T12:00:59Z");
    assert_eq!(trial.of(12, || get("/x"), &who), 10);
    trial.world.pass(SECOND);
    assert_eq!(trial.of(12, || get("/x"), &who), 10, "a new minute");
    let trial = windows("sliding_window");
    trial.world.be("2026-03-01T12:00:59Z");
    assert_eq!(trial.of(12, || get("/x"), &who), 10);
    trial.world.pass(SECOND);
    assert_eq!(trial.of(12, || get("/x"), &who), 0, "the minute before still counts");
    trial.world.pass(SECOND * 30);
    assert_eq!(trial.of(12, || get("/x"), &who), 5, "half of the minute before still counts");
}

#[test]
fn a_burst_is_at_most_the_limit_and_a_window_has_none() {
    assert_eq!(Setup::new().wrong("rate_limiting: { max: 5, per: minute, burst: 5 }"), [""; 0]);
    let more = "config.burst: a burst of 6 is more than the limit of 5";
    assert_eq!(Setup::new().wrong("rate_limiting: { max: 5, per: minute, burst: 6 }"), [more]);
    let window = "config.burst: a window has no burst: all of it may come at once";
    for algorithm in ["fixed_window", "sliding_window"] {
        let text = format!("rate_limiting: {{ max: 5, per: minute, burst: 2, algorithm: {algorithm} }}");
        assert_eq!(Setup::new().wrong(&text), [window], "{algorithm}");
    }
}

#[test]
fn clients_see_a_limit_by_its_name() {
    let named = |name: &str| format!("rate_limiting: {{ max: 5, per: minute, by: address{name} }}");
    for (written, shown) in [("", "default"), (", name: per-client_1.x", "per-client_1.x")] {
        let trial = Setup::new().public().compile(&named(written));
        let charged = trial.charged(get("/x"), &Principal::ANONYMOUS).unwrap();
        assert_eq!(charged[0].name, shown);
        let cleared = trial.judge(get("/x")).unwrap_or_else(|refused| panic!("{:?}", refused.denial));
        drop(cleared);
    }
    let wrong = "config.limit_name: the name of a limit is made of letters, digits, `-`, `_` and `.`";
    for name in ["\"\"", "\"per client\"", "\"a\\\"b\"", "größe"] {
        assert_eq!(Setup::new().wrong(&named(&format!(", name: {name}"))), [wrong], "{name}");
    }
}

#[test]
fn a_request_beyond_the_limit_is_refused_and_told_when_to_come_again() {
    let trial = Setup::new().public().compile("rate_limiting: { max: 2, per: minute, by: address }");
    for _ in 0..2 {
        assert!(trial.judge(get("/x")).is_ok());
    }
    let Err(refused) = trial.judge(get("/x")) else { panic!("one too many") };
    assert_eq!(refused.denial.code(), Code::RateLimited);
    let answer = refused.answer();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "30");
    assert_eq!(answer.headers()["ratelimit-policy"], "\"default\";q=2;w=60");
    assert!(trial.judge(get("/x").from("192.0.2.2")).is_ok(), "another address has a limit of its own");
    *trial.world.counters_are_down.lock().unwrap() = true;
    let Err(refused) = trial.judge(get("/x").from("192.0.2.3")) else { panic!("nobody counts") };
    assert_eq!(refused.denial.code(), Code::Fault);
}

#[test]
fn a_list_of_limits_holds_in_every_part_and_an_empty_one_is_a_mistake() {
    let trial = Setup::new().compile(
        "rate_limiting: [{ max: 2, per: second, by: route }, { max: 3, per: hour, by: route, mode: observe }, { max: 1, per: day, mode: off }]",
    );
    assert_eq!(
        trial.listed("quota"),
        [
            "quota.rate_limit enforce: all clients together: 2 requests in 1 s, at most 2 at once",
            "quota.rate_limit observe: all clients together: 3 requests in 3600 s, at most 3 at once",
            "quota.rate_limit off: each consumer: 1 requests in 86400 s, at most 1 at once",
        ]
    );
    let counts = || trial.count(get("/x"), &consumer(0)).unwrap();
    let allowed = || counts().iter().map(|count| count.allowed).collect::<Vec<_>>();
    assert_eq!([allowed(), allowed(), allowed()], [[true, true], [true, true], [false, true]]);
    assert_eq!(Setup::new().wrong("rate_limiting: []"), ["config.empty_list: the list of limits is empty"]);
    // Every limit of a list is read before the first mistake counts.
    let two = "rate_limiting: [{ max: 1 }, { max: 1, per: hour, name: \"\" }]";
    assert_eq!(Setup::new().wrong(two).len(), 2);
}

#[test]
fn a_window_is_described_as_one() {
    let listed = |algorithm: &str| {
        let text = format!("rate_limit: {{ max: 9, per: hour, by: gateway, algorithm: {algorithm} }}");
        Setup::new().compile(&text).listed("quota").remove(0)
    };
    let all = "quota.rate_limit enforce: everything together: 9 requests in 3600 s";
    assert_eq!(listed("fixed_window"), format!("{all}, in fixed windows"));
    assert_eq!(listed("sliding_window"), format!("{all}, in a sliding window"));
}

#[test]
fn where_nobody_is_known_no_limit_counts_by_a_key_or_a_claim() {
    let wrong = "config.limit_needs_authentication: a limit of this public route counts by a key or a claim, and nobody is authenticated here";
    for section in
        ["rate_limiting: { max: 1, per: hour,", "quota: { max: 1, per: hour,", "concurrency: { max: 1,"]
    {
        for (by, fits) in [
            ("key", false),
            ("{ claim: tenant }", false),
            ("[address, key]", false),
            ("consumer", true),
            ("address", true),
            ("{ header: x-tenant }", true),
        ] {
            let text = format!("{section} by: {by} }}");
            let expected = if fits { vec![] } else { vec![wrong] };
            assert_eq!(Setup::new().public().wrong(&text), expected, "{text}");
            assert_eq!(Setup::new().wrong(&text), [""; 0], "{text}: somebody is known");
            let off = format!("{section} by: {by}, mode: off }}");
            assert_eq!(Setup::new().public().wrong(&off), [""; 0], "{off}: it does not run");
        }
    }
}

#[test]
fn a_limit_of_no_requests_is_none() {
    for text in [
        "{ max: 0, per: hour }",
        "{ per: hour }",
        "{ max: 1, per: fortnight }",
        "{ max: 1, per: hour, burst: 0 }",
    ] {
        assert!(decoded::<super::RateLimitConfig>(text).is_err(), "{text}");
    }
}
