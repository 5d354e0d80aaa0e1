//! How many requests are in flight at once, who waits, and what is left behind.

use super::{Concurrency, ConcurrencyConfig, Places, SHARDS};
use crate::trial::{Ask, Setup, Trial, consumer, decoded, enter, get};
use portcullis_core::pool::Bounds;
use portcullis_core::{Advice, Code, Denial, Held, InFlight, Principal, Step};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Enters a request that need not wait.
fn at_once(trial: &Trial, ask: Ask, who: &Principal) -> Result<Option<Held>, Denial> {
    let arrived = trial.arrive(ask);
    match enter(trial, &arrived.facts(), who) {
        Step::Ready(entered) => entered,
        Step::Later(_) => panic!("it waits"),
    }
}

/// The place of a request that finds one.
fn place(trial: &Trial, who: &Principal) -> Held {
    at_once(trial, get("/x"), who).unwrap_or_else(|denial| panic!("{denial:?}")).expect("a place")
}

#[test]
fn a_place_is_free_again_when_a_request_ends() {
    let trial = Setup::new().compile("concurrency: { max_requests: 2, by: route }");
    let who = consumer(0);
    let (first, second) = (place(&trial, &who), place(&trial, &who));
    let refused = at_once(&trial, get("/x"), &who).map(drop).expect_err("a third one");
    assert_eq!(refused.code(), Code::Overloaded);
    assert_eq!(*refused.advice(), Advice::RetryAfter { seconds: 1 });
    // With the first request gone there is one place, and not a new pool of two.
    drop(first);
    let third = place(&trial, &who);
    assert!(at_once(&trial, get("/x"), &who).is_err());
    drop((second, third));
    let _both = (place(&trial, &who), place(&trial, &who));
    assert!(at_once(&trial, get("/x"), &who).is_err());
}

#[test]
fn each_consumer_has_places_of_its_own_and_each_network_too() {
    let trial = Setup::new().compile("concurrency: { max: 1 }");
    let _alice = place(&trial, &consumer(0));
    let _bob = place(&trial, &consumer(1));
    assert!(at_once(&trial, get("/x"), &consumer(0)).is_err());
    assert!(at_once(&trial, get("/x"), &consumer(1)).is_err());
    let from = |address| at_once(&trial, get("/x").from(address), &Principal::ANONYMOUS);
    let _network = from("2001:db8::1").expect("a place");
    assert!(from("2001:db8::ffff:2").is_err(), "one /64 is one client");
    assert!(from("2001:db8:0:1::1").is_ok() && from("192.0.2.7").is_ok());
    let trial = Setup::new().compile("concurrency: { max: 1, by: { header: x-tenant } }");
    let twice = get("/x").with("x-tenant", "a").with("x-tenant", "b");
    let refused = at_once(&trial, twice, &consumer(0)).map(drop).expect_err("two tenants");
    assert_eq!(refused.code(), Code::AmbiguousHeader);
}

#[test]
fn a_request_waits_for_its_turn_and_no_longer_than_it_may() {
    let trial = Setup::new().compile("concurrency: { max: 1, by: route, queue: 1, max_wait: 3s }");
    let who = consumer(0);
    let cx = &mut Context::from_waker(Waker::noop());
    let arrived = [get("/1"), get("/2"), get("/3")].map(|ask| trial.arrive(ask));
    let facts = arrived.each_ref().map(|arrived| arrived.facts());
    let begun = |number: usize| match enter(&trial, &facts[number], &who) {
        Step::Later(turn) => turn,
        Step::Ready(_) => panic!("there is a queue"),
    };
    let first = place(&trial, &who);
    let mut second = begun(0);
    assert!(second.as_mut().poll(cx).is_pending());
    // The queue is full.
    let Poll::Ready(Err(refused)) = begun(1).as_mut().poll(cx) else { panic!("two wait") };
    assert_eq!(refused.code(), Code::Overloaded);
    trial.world.pass(SECOND * 3 - Duration::from_nanos(1));
    assert!(second.as_mut().poll(cx).is_pending());
    drop(first);
    let Poll::Ready(Ok(Some(second))) = second.as_mut().poll(cx) else { panic!("it is its turn") };
    let mut third = begun(2);
    assert!(third.as_mut().poll(cx).is_pending());
    trial.world.pass(SECOND * 3);
    let Poll::Ready(Err(refused)) = third.as_mut().poll(cx) else { panic!("it waits for too long") };
    assert_eq!((refused.code(), refused.status().as_u16()), (Code::Overloaded, 503));
    assert!(refused.detail().ends_with("its turn did not come in time"), "{}", refused.detail());
    drop((second, third));
    let _free = place(&trial, &who);
}

/// The check, of which the pools can be counted.
fn check(yaml: &str) -> (Trial, Concurrency) {
    let config: ConcurrencyConfig = decoded(yaml).unwrap();
    let mut check = None;
    let trial = Setup::new()
        .compile_with("rate_limiting: { max: 1, per: hour }", |build, _, cx| check = config.check(build, cx));
    (trial, check.unwrap())
}

fn pools(places: &Places) -> usize {
    places.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
}

#[test]
fn nothing_is_left_of_requests_that_ended() {
    let (trial, check) = check("{ max_requests: 1, by: address, queue: 1 }");
    let who = Principal::ANONYMOUS;
    for number in 0..200 {
        let arrived = trial.arrive(get("/x").from(&format!("192.0.2.{number}")));
        let facts = arrived.facts();
        let held = check.enter(&facts, &who, trial.world.as_ref());
        assert_eq!(pools(&check.places), 1, "{number}");
        // One that waits, and goes away.
        let mut waits = match check.enter(&facts, &who, trial.world.as_ref()) {
            Step::Later(waits) => waits,
            Step::Ready(_) => panic!("no place is free"),
        };
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(held);
        assert_eq!(pools(&check.places), 1, "{number}: one waits");
        drop(waits);
        assert_eq!(pools(&check.places), 0, "{number}");
    }
}

#[test]
fn a_pool_is_forgotten_with_the_last_request_that_has_to_do_with_it() {
    let bounds = Bounds { units: 2, share: 2, waiting: 0 };
    let places = Places { bounds, ..Places::default() };
    let keys = [0, 1, 0xff, 0x100, 0xf00, 0x1000, u64::MAX];
    for key in keys {
        assert!(places.enter(key).is_some() && places.enter(key).is_some(), "{key}");
    }
    assert_eq!(pools(&places), keys.len());
    assert_eq!(places.shards.len(), SHARDS);
    keys.into_iter().for_each(|key| places.leave(key));
    assert_eq!(pools(&places), keys.len());
    keys.into_iter().for_each(|key| places.leave(key));
    assert_eq!(pools(&places), 0);
    places.leave(1);
    assert_eq!(pools(&places), 0, "who has left cannot leave");
}

#[test]
fn a_bound_that_is_the_same_after_a_reload_keeps_what_is_in_flight() {
    let config: ConcurrencyConfig = decoded("{ max_requests: 2, by: route }").unwrap();
    let mut build = Setup::new().build;
    let mut cx = portcullis_config::Context::for_code();
    let before = config.check(&mut build, &mut cx).unwrap();
    let after = config.check(&mut build, &mut cx).unwrap();
    assert!(std::sync::Arc::ptr_eq(&before.places, &after.places));
    let other: ConcurrencyConfig = decoded("{ max_requests: 3, by: route }").unwrap();
    assert!(!std::sync::Arc::ptr_eq(&before.places, &other.check(&mut build, &mut cx).unwrap().places));
}

#[test]
fn a_wait_and_a_queue_have_bounds() {
    let wait = "config.wait: a request waits for a place for some time, at most 60s";
    for (more, wrong) in [
        ("queue: 100000", None),
        ("queue: 100001", Some("config.out_of_range: a queue of 100001 is too long")),
        ("max_wait: 60s", None),
        ("max_wait: 60001ms", Some(wait)),
        ("max_wait: 0s", Some(wait)),
        ("max_wait: 1ms", None),
    ] {
        let text = format!("concurrency: {{ max: 1, {more} }}");
        assert_eq!(Setup::new().wrong(&text), wrong.into_iter().collect::<Vec<_>>(), "{more}");
    }
    assert_eq!(Setup::new().wrong("concurrency: []"), ["config.empty_list: the list of bounds is empty"]);
}

#[test]
fn a_bound_says_what_it_does() {
    let trial = Setup::new().compile(
        "concurrency: [{ max: 5, by: gateway, queue: 7, max_wait: 250ms }, { max: 2, mode: observe }, { max: 1, mode: off }]",
    );
    assert_eq!(
        trial.listed("quota"),
        [
            "quota.concurrency enforce: everything together: 5 requests at once, and 7 more that wait for 250 ms",
            "quota.concurrency observe: each consumer: 2 requests at once",
            "quota.concurrency off: each consumer: 1 requests at once",
        ]
    );
    assert_eq!(trial.controls().in_flight.len(), 2);
}
