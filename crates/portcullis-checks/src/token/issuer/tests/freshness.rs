//! When keys are fetched, and who waits for it.

use super::*;

#[test]
fn keys_are_fetched_when_they_are_due_and_not_before() {
    let (world, issuer) = (World::default(), by_url());
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(world.asked_urls(), [KEYS]);
    assert_eq!(issuer.usable(world.monotonic()).unwrap().issuer, ISSUER);
    world.pass(Duration::from_secs(600) - MILLISECOND);
    assert!(step(job.as_mut()).is_pending());
    assert!(world.asked().is_empty());
    world.pass(MILLISECOND);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(world.asked_urls(), [KEYS]);
    assert_eq!((world.notices(), world.warnings()), (vec![], vec![]), "all is as it should be");
}

#[test]
fn a_request_waits_for_the_first_fetch_and_for_no_other() {
    let (world, issuer) = (World::default(), by_url());
    {
        let mut waiting = pin!(issuer.loaded(world.monotonic(), &world));
        assert!(step(waiting.as_mut()).is_pending());
        world.pass(PATIENCE);
        assert!(step(waiting.as_mut()).is_ready(), "and not for ever");
    }
    let mut waiting = pin!(issuer.loaded(world.monotonic(), &world));
    assert!(step(waiting.as_mut()).is_pending());
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    assert!(matches!(step(waiting), std::task::Poll::Ready(Ok(loaded)) if loaded.keys.len() == 1));
    // One whose first fetch failed is asked about in vain.
    let failing = by_url();
    world.take_down(KEYS);
    let mut job = failing.run(&world);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(why(&failing, &world), format!("{NO_KEYS}: nobody answers at {KEYS}"));
}

#[test]
fn a_failing_issuer_is_asked_ever_less_often_and_told_of_ever_less_often() {
    let (world, issuer) = (World::default(), by_url());
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    let mut warned = world.warnings().len();
    for (failure, wait) in [1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate() {
        assert_eq!(world.asked().len(), 1, "{failure}");
        world.pass(Duration::from_secs(wait) - MILLISECOND);
        assert!(step(job.as_mut()).is_pending());
        assert!(world.asked().is_empty(), "{failure}");
        world.pass(MILLISECOND);
        assert!(step(job.as_mut()).is_pending());
        warned += world.warnings().len();
    }
    assert_eq!(warned, 4, "the first, second, fourth and eighth failure of ten");
    assert!(world.notices().is_empty());
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    for times in [1, 0] {
        world.pass_seconds(600);
        assert!(step(job.as_mut()).is_pending());
        let told = vec![format!("keys of {ISSUER}: the issuer answers again"); times];
        assert_eq!(world.notices(), told);
    }
}

#[test]
fn the_last_good_keys_serve_for_a_while() {
    let (world, issuer) = (World::default(), by_url());
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    let mut job = issuer.run(&world);
    assert_eq!(generation(&issuer, &world), None);
    assert!(step(job.as_mut()).is_pending());
    world.take_down(KEYS);
    world.pass(Duration::from_secs(600) + REFRESH.stale_for - MILLISECOND);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(generation(&issuer, &world), Some(0));
    assert_eq!(why(&issuer, &world), "there are");
    world.pass(MILLISECOND);
    assert_eq!(generation(&issuer, &world), None);
    assert!(issuer.usable(world.monotonic()).is_none());
    assert_eq!(why(&issuer, &world), format!("{NO_KEYS}: nobody answers at {KEYS}"));
    assert_eq!(generation(&fixed(), &world), Some(0), "keys that are given never grow old");
    assert!(fixed().usable(Duration::MAX).is_some());
}

#[test]
fn an_unknown_key_has_the_keys_fetched_at_most_once_in_a_while() {
    let (world, issuer) = (World::default(), by_url());
    let (old, new) = (Key::named(1, "a"), Key::named(2, "b"));
    world.publish(KEYS, &key_set(&[old]));
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(verified(&issuer, &old.token(), &world), Ok(()));
    world.publish(KEYS, &key_set(&[new]));
    world.asked();
    world.pass(REFRESH.min_interval);
    assert_eq!(verified(&issuer, &new.token(), &world), Err(Code::TokenKeyUnknown), "it is too early");
    assert!(step(job.as_mut()).is_pending());
    assert!(world.asked().is_empty());
    world.pass(MILLISECOND);
    // A key that is known, and a signature that is not its own, are no reason.
    assert_eq!(verified(&issuer, &Key::named(3, "a").token(), &world), Err(Code::TokenSignature));
    assert!(step(job.as_mut()).is_pending());
    assert!(world.asked().is_empty());
    let (token, loaded) = (new.token(), issuer.usable(world.monotonic()).unwrap());
    let jws = Jws::parse(&token).unwrap();
    let mut waiting = pin!(issuer.verify(&jws, loaded, world.monotonic(), &world));
    assert!(step(waiting.as_mut()).is_pending());
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(world.asked_urls(), [KEYS]);
    assert!(matches!(step(waiting), std::task::Poll::Ready(Ok(fresh)) if fresh.generation == 1));
    assert_eq!(verified(&issuer, &old.token(), &world), Err(Code::TokenKeyUnknown), "it is withdrawn");
}

#[test]
fn an_issuer_that_answers_slowly_holds_no_request_for_long() {
    let (world, issuer) = (World::default(), by_url());
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    world.pass_seconds(60);
    world.hold(true);
    let (token, loaded) = (Key::named(2, "b").token(), issuer.usable(world.monotonic()).unwrap());
    let jws = Jws::parse(&token).unwrap();
    let mut waiting = pin!(issuer.verify(&jws, loaded, world.monotonic(), &world));
    assert!(step(waiting.as_mut()).is_pending());
    assert!(step(job.as_mut()).is_pending());
    world.pass(PATIENCE - MILLISECOND);
    assert!(step(waiting.as_mut()).is_pending());
    world.pass(MILLISECOND);
    let refused = step(waiting.as_mut()).map(|verified| verified.map(|_| ()).map_err(|denial| denial.code()));
    assert_eq!(refused, std::task::Poll::Ready(Err(Code::TokenKeyUnknown)));
}

#[test]
fn a_wish_that_comes_too_early_is_kept_until_it_is_due() {
    let (world, issuer) = (World::default(), by_url());
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    world.asked();
    // From a request that had looked at the time before the last fetch was done.
    issuer.wanted.notify(1);
    assert!(step(job.as_mut()).is_pending());
    world.pass(REFRESH.min_interval);
    assert!(step(job.as_mut()).is_pending());
    assert!(world.asked().is_empty());
    world.pass(MILLISECOND);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(world.asked_urls(), [KEYS]);
}

#[test]
fn the_shortest_age_of_all_lines_counts() {
    let of = |lines: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("cache-control", http::HeaderValue::from_static(line));
        }
        lifetime(&Fetched { status: StatusCode::OK, headers, body: bytes::Bytes::new() }).as_secs()
    };
    assert_eq!(of(&[]), DEFAULT_LIFETIME.as_secs());
    assert_eq!(of(&["public, max-age=600"]), 600);
    assert_eq!(of(&["Public, Max-Age=600"]), 600);
    assert_eq!(of(&["max-age=\"600\""]), 600);
    assert_eq!(of(&["max-age=3000", "must-revalidate, max-age=120"]), 120);
    assert_eq!(of(&["MAX-AGE = 600 , Public"]), 600);
    assert_eq!(of(&["max-age=1"]), 60);
    assert_eq!(of(&["max-age=soon"]), DEFAULT_LIFETIME.as_secs());
}
