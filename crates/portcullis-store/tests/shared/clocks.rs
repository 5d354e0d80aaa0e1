//! The store's clock is set forward and back under a gateway.

use crate::redis::Redis;
use crate::servers::valkey;
use crate::{Gateway, limit, single};
use portcullis_core::{Algorithm, Count, CountKey};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const KEY: CountKey<'static> = CountKey::Value(b"a client");

/// Uses up a limit of ten in a day on a clock that is set by `before`, sets it by `after`, and asks once more.
async fn after_a_jump(algorithm: Algorithm, before: &str, after: &str) -> Count {
    let store = Redis::with_clock(valkey());
    if before != "+0" {
        store.set_clock(before);
    }
    let gateway = Gateway::ready(single(&store), vec![limit(0, 10, algorithm)]).await;
    // A window may end between two requests; the second time it has just begun.
    for _ in 0..20 {
        if !gateway.allowed(KEY).await {
            break;
        }
    }
    assert!(!gateway.allowed(KEY).await, "{algorithm:?}");
    store.set_clock(after);
    let counts = gateway.charge(KEY, 1).await.unwrap();
    assert!(gateway.store.answers(), "a clock that is set is no outage");
    // The gateway has learned the time, and counts go on.
    for _ in 0..3 {
        assert!(gateway.charge(KEY, 1).await.is_ok() && gateway.store.answers());
    }
    let other = gateway.charge(CountKey::Value(b"another client"), 1).await.unwrap();
    assert!(other[0].allowed && other[0].remaining == 9, "who owes nothing goes on: {other:?}");
    counts[0]
}

/// Time that passes at once is time that has passed.
#[tokio::test]
async fn a_clock_that_is_set_forward_begins_new_windows() {
    for algorithm in [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow] {
        let count = after_a_jump(algorithm, "+0", "+30d").await;
        assert!(count.allowed, "{algorithm:?}: {count:?}");
    }
}

/// Nobody gets a limit twice, and nobody waits until the clock is where it was: at most for two periods.
#[tokio::test]
async fn a_clock_that_is_set_back_locks_nobody_out() {
    for algorithm in [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow] {
        for (before, after) in [("+0", "-30d"), ("+30d", "+0"), ("+0", "-1h")] {
            let count = after_a_jump(algorithm, before, after).await;
            assert!(!count.allowed, "{algorithm:?}: {count:?}");
            assert!(count.retry_after <= DAY * 2, "{algorithm:?} from {before} to {after}: {count:?}");
        }
    }
}
