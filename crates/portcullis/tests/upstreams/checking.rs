//! Health checks.

use super::server::Mood;
use super::{Server, document, get, urls};
use crate::support::World;
use std::time::{Duration, Instant};

const CHECK: &str = "health_check: { path: /healthz, interval: 100ms, timeout: 50ms, unhealthy_after: 2, healthy_after: 2 }\neject: { at_most: 0% }\nretry: { attempts: 1 }";

/// Waits until requests go to the other server alone, or to this one as well.
async fn until(world: &World, server: &Server, gets: bool) {
    let begun = Instant::now();
    loop {
        let before = server.requests();
        for _ in 0..4 {
            get(world).await;
        }
        if (server.requests() > before) == gets {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it gets requests: {}", !gets);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_checks_fail_gets_no_requests() {
    let servers = [Server::start("a").await, Server::start("b").await];
    let world = World::start(&document(&urls(&servers.each_ref()), CHECK));
    until(&world, &servers[0], true).await;
    for mood in
        [Mood::Status(500), Mood::Hung, Mood::Closes, Mood::Endless, Mood::Slow(Duration::from_secs(1))]
    {
        servers[0].says_it_is(mood);
        until(&world, &servers[0], false).await;
        servers[0].says_it_is(Mood::Status(204));
        until(&world, &servers[0], true).await;
    }
    // One failed check is not enough.
    let checks = servers[0].checks();
    assert!(checks > 10, "{checks}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_server_is_healthy_all_get_requests() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers.iter().for_each(|server| server.says_it_is(Mood::Status(404)));
    let world = World::start(&document(&urls(&servers.each_ref()), CHECK));
    let begun = Instant::now();
    while servers.iter().any(|server| server.checks() < 4) {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..10 {
        assert_eq!(get(&world).await, 200);
    }
    assert_eq!(servers.each_ref().map(Server::requests), [5, 5]);
    // As soon as one is healthy it gets all of them.
    servers[1].says_it_is(Mood::Well);
    until(&world, &servers[0], false).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_check_enough_where_that_is_asked_for() {
    let servers = [Server::start("a").await, Server::start("b").await];
    let lines = "health_check: { type: tcp, interval: 100ms, unhealthy_after: 1, healthy_after: 1 }\neject: { at_most: 0% }\nretry: { attempts: 1 }";
    let world = World::start(&document(&urls(&servers.each_ref()), lines));
    until(&world, &servers[0], true).await;
    servers[0].kill().await;
    let begun = Instant::now();
    let mut in_a_row = 0;
    while in_a_row < 6 {
        in_a_row = if get(&world).await == 200 { in_a_row + 1 } else { 0 };
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    servers[0].revive().await;
    until(&world, &servers[0], true).await;
    assert_eq!(servers[0].checks(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_does_not_begin_checks_anew() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers[0].says_it_is(Mood::Status(500));
    let list = urls(&servers.each_ref());
    let check = "health_check: { path: /healthz, interval: 1h }";
    let world = World::start(&document(&list, check));
    until(&world, &servers[0], false).await;
    let begun = Instant::now();
    while servers[1].checks() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for attempts in 2..5 {
        world.reload(&document(&list, &format!("{check}\nretry: {{ attempts: {attempts} }}"))).unwrap();
    }
    // The next check is an hour away, and what the first one found still holds.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(servers.each_ref().map(Server::checks), [1, 1]);
    let before = servers[0].requests();
    for _ in 0..6 {
        assert_eq!(get(&world).await, 200);
    }
    assert_eq!(servers[0].requests(), before);
    // Other checks are other findings: their first one decides.
    servers[0].says_it_is(Mood::Well);
    world.reload(&document(&list, &check.replace("/healthz", "/healthz?other"))).unwrap();
    until(&world, &servers[0], true).await;
    // Where nobody asks any more, what was found does not count.
    servers[0].says_it_is(Mood::Status(500));
    world.reload(&document(&list, check)).unwrap();
    until(&world, &servers[0], false).await;
    world.reload(&document(&list, "")).unwrap();
    until(&world, &servers[0], true).await;
    world.end().await;
}
