//! What the keys of groups of upstreams do. That servers are left out, asked and retried so is seen over a running gateway in
//! `tests/upstreams/`; here, what each key changes.

use super::super::harness::gate;
use super::DocumentRow;
use portcullis_proxy::{Balance, HashBy, Probe, Target, UpstreamGroup};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("upstreams", || {
        let group = group(json!({ "servers": ["http://127.0.0.1:9999", "unix:/run/app.sock"] }));
        assert_eq!((&*group.name, group.servers.len()), ("app", 2));
    }),
    ("upstreams.*.servers", || {
        let group = group(json!({ "servers": ["http://127.0.0.1:9999", "unix:/run/app.sock"] }));
        let urls: Vec<&str> = group.servers.iter().map(|server| server.url.as_str()).collect();
        assert_eq!(urls, ["http://127.0.0.1:9999", "unix:/run/app.sock"]);
        assert_eq!(group.servers[0].upstream.authority, "127.0.0.1:9999");
    }),
    ("upstreams.*.servers[].weight", || {
        let servers = json!([{ "url": "http://127.0.0.1:1", "weight": 7 }, "http://127.0.0.1:2"]);
        let weights: Vec<u32> =
            group(json!({ "servers": servers })).servers.iter().map(|server| server.weight).collect();
        assert_eq!(weights, [7, 1]);
    }),
    ("upstreams.*.balance", || {
        let balance = |word: &str| with(json!({ "balance": word })).balance.clone();
        assert_eq!(balance("least_requests"), Balance::LeastRequests);
        assert_eq!(balance("random"), Balance::Random);
        assert_eq!(with(json!({})).balance, Balance::RoundRobin);
    }),
    ("upstreams.*.balance.hash", || {
        assert_eq!(hashed(json!("address")), HashBy::Address);
        assert_eq!(hashed(json!("consumer")), HashBy::Consumer);
    }),
    ("upstreams.*.balance.hash.header", || {
        assert_eq!(hashed(json!({ "header": "X-Tenant" })), HashBy::Header("x-tenant".parse().unwrap()));
    }),
    ("upstreams.*.balance.hash.cookie", || {
        assert_eq!(hashed(json!({ "cookie": "Session" })), HashBy::Cookie("Session".to_owned()));
    }),
    ("upstreams.*.health_check", || {
        assert_eq!(with(json!({})).health_check, None);
        let check = with(json!({ "health_check": {} })).health_check.clone().unwrap();
        assert_eq!(check.probe, Probe::Http { path: "/".to_owned(), expect: 200..=399 });
        assert_eq!((check.interval, check.timeout), (SECONDS(5), SECONDS(2)));
        assert_eq!((check.unhealthy_after, check.healthy_after), (3, 2));
    }),
    ("upstreams.*.health_check.type", || {
        assert_eq!(check(json!({ "type": "tcp" })).probe, Probe::Tcp);
        assert_eq!(grpc(json!({ "type": "grpc" })), Probe::Grpc { service: String::new() });
    }),
    ("upstreams.*.health_check.path", || {
        let probe = check(json!({ "path": "/healthz?deep=1" })).probe;
        assert_eq!(probe, Probe::Http { path: "/healthz?deep=1".to_owned(), expect: 200..=399 });
    }),
    ("upstreams.*.health_check.status", || {
        let probe = check(json!({ "status": 204 })).probe;
        assert_eq!(probe, Probe::Http { path: "/".to_owned(), expect: 204..=204 });
    }),
    ("upstreams.*.health_check.service", || {
        let probe = grpc(json!({ "type": "grpc", "service": "a.v1.B" }));
        assert_eq!(probe, Probe::Grpc { service: "a.v1.B".to_owned() });
    }),
    ("upstreams.*.health_check.interval", || {
        assert_eq!(check(json!({ "interval": "9s" })).interval, SECONDS(9));
    }),
    ("upstreams.*.health_check.timeout", || {
        assert_eq!(check(json!({ "timeout": "9s" })).timeout, SECONDS(9));
    }),
    ("upstreams.*.health_check.unhealthy_after", || {
        assert_eq!(check(json!({ "unhealthy_after": 9 })).unhealthy_after, 9);
    }),
    ("upstreams.*.health_check.healthy_after", || {
        assert_eq!(check(json!({ "healthy_after": 9 })).healthy_after, 9);
    }),
    ("upstreams.*.eject", || {
        let eject = with(json!({})).eject.clone();
        assert_eq!((eject.failures, eject.time, eject.at_most), (5, SECONDS(30), 50));
        assert_eq!(with(json!({ "eject": {} })).eject, eject);
    }),
    ("upstreams.*.eject.failures", || {
        assert_eq!(with(json!({ "eject": { "failures": 9 } })).eject.failures, 9);
    }),
    ("upstreams.*.eject.for", || {
        assert_eq!(with(json!({ "eject": { "for": "9s" } })).eject.time, SECONDS(9));
    }),
    ("upstreams.*.eject.at_most", || {
        assert_eq!(with(json!({ "eject": { "at_most": "9%" } })).eject.at_most, 9);
    }),
    ("upstreams.*.retry", || {
        let retry = with(json!({})).retry.clone();
        assert_eq!((retry.attempts, retry.budget, retry.try_timeout), (2, 20, None));
        assert!(retry.on_connect && retry.on_reset && retry.on_timeout && retry.on_status.is_empty());
        assert_eq!(with(json!({ "retry": {} })).retry, retry);
    }),
    ("upstreams.*.retry.attempts", || {
        assert_eq!(with(json!({ "retry": { "attempts": 9 } })).retry.attempts, 9);
    }),
    ("upstreams.*.retry.on", || {
        let retry = with(json!({ "retry": { "on": ["reset", "503", 500] } })).retry.clone();
        assert!(!retry.on_connect && retry.on_reset && !retry.on_timeout);
        assert_eq!(retry.on_status, [503, 500]);
    }),
    ("upstreams.*.retry.methods", || {
        let methods = |retry: Value| with(json!({ "retry": retry })).retry.methods.clone();
        assert_eq!(methods(json!({ "methods": ["POST"] })), ["POST"]);
        assert_eq!(methods(json!({})), ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
    }),
    ("upstreams.*.retry.try_timeout", || {
        assert_eq!(with(json!({ "retry": { "try_timeout": "9s" } })).retry.try_timeout, Some(SECONDS(9)));
    }),
    ("upstreams.*.retry.budget", || {
        assert_eq!(with(json!({ "retry": { "budget": "9%" } })).retry.budget, 9);
    }),
    ("upstreams.*.limits", || {
        let group = with(json!({}));
        assert!(group.max_requests.is_none() && group.servers[0].upstream.max_connections.is_none());
    }),
    ("upstreams.*.limits.max_requests", || {
        assert_eq!(with(json!({ "limits": { "max_requests": 9 } })).max_requests, Some(9));
    }),
    ("upstreams.*.limits.max_connections", || {
        let group = with(json!({ "limits": { "max_connections": 9 } }));
        assert_eq!(group.servers[0].upstream.max_connections.as_ref().unwrap().most, 9);
    }),
    ("upstreams.*.slow_start", || {
        assert_eq!(with(json!({ "slow_start": "9s" })).slow_start, SECONDS(9));
        assert_eq!(with(json!({})).slow_start, Duration::ZERO);
    }),
    ("upstreams.*.canary", || assert_eq!(&*canary(json!({ "share": "5%" })).group.name, "next")),
    ("upstreams.*.canary.upstream", || assert_eq!(&*canary(json!({ "share": "5%" })).group.name, "next")),
    ("upstreams.*.canary.share", || assert_eq!(canary(json!({ "share": "5%" })).share, 5)),
    ("upstreams.*.canary.header", || {
        let (name, value) = canary(json!({ "header": { "X-Canary": "1" } })).header.unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-canary", &b"1"[..]));
    }),
    ("upstreams.*.canary.cookie", || {
        let cookie = canary(json!({ "cookie": { "beta": "yes" } })).cookie.unwrap();
        assert_eq!((cookie.0.as_str(), cookie.1.as_str()), ("beta", "yes"));
    }),
    ("upstreams.*.mirror", || assert_eq!(&*mirror(json!({})).group.name, "next")),
    ("upstreams.*.mirror.upstream", || assert_eq!(&*mirror(json!({})).group.name, "next")),
    ("upstreams.*.mirror.share", || {
        assert_eq!((mirror(json!({ "share": "9%" })).share, mirror(json!({})).share), (9, 100));
    }),
    ("upstreams.*.mirror.timeout", || {
        assert_eq!(mirror(json!({ "timeout": "9s" })).timeout, SECONDS(9));
        assert_eq!(mirror(json!({})).timeout, SECONDS(5));
    }),
];

/// The group of the one route.
fn group(group: Value) -> Arc<UpstreamGroup> {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "upstreams": { "app": group, "next": { "servers": ["http://127.0.0.1:7777"] } },
        "routes": [{ "path": "/a", "public": "a test", "upstream": "app" }],
    });
    match gate(&document.to_string()).front.targets.remove(0) {
        Target::Group(group) => group,
        Target::Upstream(_) | Target::Handler(_) | Target::Fixed(_) => panic!("not a group"),
    }
}

/// A group of two servers with these keys.
fn with(keys: Value) -> Arc<UpstreamGroup> {
    let mut all = json!({ "servers": ["http://127.0.0.1:9999", "http://127.0.0.1:8888"] });
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    group(all)
}

fn hashed(hash: Value) -> HashBy {
    match with(json!({ "balance": { "hash": hash } })).balance.clone() {
        Balance::Hash(by) => by,
        other @ (Balance::RoundRobin | Balance::LeastRequests | Balance::Random) => panic!("{other}"),
    }
}

fn check(check: Value) -> portcullis_proxy::HealthCheck {
    with(json!({ "health_check": check })).health_check.clone().unwrap()
}

fn grpc(check: Value) -> Probe {
    let servers = json!([{ "url": "http://127.0.0.1:9999", "protocol": "h2" }]);
    let group = group(json!({ "servers": servers, "health_check": check }));
    group.health_check.clone().unwrap().probe
}

fn canary(mut canary: Value) -> portcullis_proxy::Canary {
    canary["upstream"] = json!("next");
    with(json!({ "canary": canary })).canary.clone().unwrap()
}

fn mirror(mut mirror: Value) -> portcullis_proxy::Mirror {
    mirror["upstream"] = json!("next");
    with(json!({ "mirror": mirror })).mirror.clone().unwrap()
}
