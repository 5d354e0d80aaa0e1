//! What happens while the store does not answer, and when it answers again.

use crate::redis::Redis;
use crate::{CLIENT, Gateway, at_once, limit, settings, single};
use portcullis_core::{Algorithm, CountKey, Fault};
use portcullis_store::shared::{Endpoint, OnFailure, SharedSettings, Tls};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const ROUTE: CountKey<'static> = CountKey::Route(0);

#[tokio::test]
async fn gateways_share_a_limit_while_the_store_is_away() {
    let mut redis = Redis::start(&[]);
    let limits = vec![limit(0, 100, Algorithm::Gcra)];
    let one = Gateway::ready(single(&redis), limits.clone()).await;
    let other = Gateway::ready(single(&redis), limits).await;
    while one.store.gateways() < 2 || other.store.gateways() < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    redis.kill();
    let mut passed = [0, 0];
    for _ in 0..80 {
        passed[0] += usize::from(one.allowed(ROUTE).await);
        passed[1] += usize::from(other.allowed(ROUTE).await);
    }
    assert_eq!(passed, [50, 50], "half of the limit each");
    redis.run();
    one.wait_until(true).await;
    other.wait_until(true).await;
    let counted = one.charge(ROUTE, 1).await.unwrap()[0];
    assert_eq!((counted.allowed, counted.remaining), (true, 99), "they count together again");
    assert_eq!(other.charge(ROUTE, 1).await.unwrap()[0].remaining, 98);
}

/// Gateways that have just started count together from their first request on.
#[tokio::test]
async fn the_first_request_waits_for_the_first_connection() {
    let redis = Redis::start(&[]);
    let mut passed = 0;
    for _ in 0..4 {
        let gateway = Gateway::new(single(&redis), vec![limit(0, 3, Algorithm::Gcra)]);
        for _ in 0..2 {
            passed += usize::from(gateway.allowed(ROUTE).await);
        }
    }
    assert_eq!(passed, 3);
}

#[tokio::test]
async fn a_store_that_never_answered_denies_or_allows_as_the_file_says() {
    let nowhere = Endpoint::Single { url: "redis://127.0.0.1:9/0".to_owned(), tls: Tls::default() };
    let with = |on_failure| {
        let settings = SharedSettings { on_failure, ..settings(nowhere.clone()) };
        Gateway::new(settings, vec![limit(0, 2, Algorithm::FixedWindow)])
    };
    let denies = with(OnFailure::Deny);
    assert!(matches!(denies.charge(ROUTE, 1).await, Err(Fault { .. })));
    let allows = with(OnFailure::Allow);
    for _ in 0..5 {
        assert!(allows.allowed(ROUTE).await);
    }
    let shares = with(OnFailure::LocalShare);
    assert!(shares.allowed(ROUTE).await && shares.allowed(ROUTE).await && !shares.allowed(ROUTE).await);
    // What may be used once is never used on a guess.
    for gateway in [&denies, &allows, &shares] {
        let used = gateway.store.first_use(Duration::ZERO, CLIENT, [1; 32], Duration::from_secs(9));
        assert!(used.resolve().await.is_err());
    }
}

#[tokio::test]
async fn a_slow_store_holds_up_one_request_and_not_each() {
    let redis = Redis::start(&[]);
    let settings = SharedSettings { deadline: Duration::from_millis(100), ..single(&redis) };
    let gateway = Gateway::ready(settings, vec![limit(0, 1000, Algorithm::Gcra)]).await;
    redis.signal("STOP");
    let begun = Instant::now();
    assert!(gateway.allowed(ROUTE).await);
    let first = begun.elapsed();
    assert!(first >= Duration::from_millis(100) && first < Duration::from_secs(2), "{first:?}");
    let begun = Instant::now();
    for _ in 0..50 {
        let mut charges = [];
        assert!(at_once(gateway.counters.count_all(&gateway.clock, &mut charges)).is_some());
        assert!(gateway.allowed(ROUTE).await);
    }
    // Had each waited for its deadline, they would have taken five seconds.
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    redis.signal("CONT");
    gateway.wait_until(true).await;
    assert!(gateway.allowed(ROUTE).await);
}

#[tokio::test]
async fn a_store_that_forgot_the_script_is_told_again() {
    let redis = Redis::start(&[]);
    let gateway = Gateway::ready(single(&redis), vec![limit(0, 3, Algorithm::Gcra)]).await;
    assert!(gateway.allowed(ROUTE).await);
    assert_eq!(redis.say(&["SCRIPT", "FLUSH"]), "+OK");
    assert_eq!(gateway.charge(ROUTE, 1).await.unwrap()[0].remaining, 1);
    assert!(gateway.store.answers());
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let redis = Redis::start(&["--requirepass", "the-right-one"]);
    let with = |password: &str| {
        let url = format!("redis://:{password}@127.0.0.1:{}/0", redis.port);
        Gateway::new(
            settings(Endpoint::Single { url, tls: Tls::default() }),
            vec![limit(0, 2, Algorithm::Gcra)],
        )
    };
    let wrong = with("the-wrong-one");
    let said = Arc::new(Mutex::new(String::new()));
    let hears = Arc::clone(&said);
    wrong.store.tell(Arc::new(move |about: &str, detail: &str| {
        hears.lock().unwrap().push_str(&format!("{about}: {detail}\n"));
    }));
    assert!(wrong.allowed(ROUTE).await, "by its share");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!wrong.store.answers());
    let right = with("the-right-one");
    right.wait_until(true).await;
    assert!(right.allowed(ROUTE).await);
    assert!(!said.lock().unwrap().contains("the-wrong-one"));
}
