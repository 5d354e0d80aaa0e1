//! Servers are killed, hung, flapped and slowed down while clients go on.

use super::server::Mood;
use super::{Server, document, request, urls};
use crate::support::{Client, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_may_be_retried_fails_while_a_server_is_healthy() {
    let servers = [Server::start("a").await, Server::start("b").await, Server::start("c").await];
    let lines = "retry: { attempts: 3, try_timeout: 400ms }\neject: { failures: 3, for: 200ms, at_most: 67% }\nbalance: least_requests\nslow_start: 300ms";
    let document = document(&urls(&servers.each_ref()), lines).replace("workers: 1", "workers: 2");
    let world = World::start(&document);
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (stop, served, address) = (Arc::clone(&stop), Arc::clone(&served), world.address);
        clients.spawn(async move {
            let mut failed = Vec::new();
            let mut client = Client::connect(address).await;
            while !stop.load(Ordering::SeqCst) {
                match client.ask(&request("GET /x", &[], "")).await.status {
                    200 => served.fetch_add(1, Ordering::SeqCst),
                    other => {
                        failed.push(other);
                        0
                    }
                };
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            failed
        });
    }
    let pause = || tokio::time::sleep(Duration::from_millis(500));
    pause().await;
    for (one, other) in [(0, 1), (1, 2)] {
        servers[one].kill().await;
        pause().await;
        servers[other].is(Mood::Hung);
        pause().await;
        servers[one].revive().await;
        servers[other].is(Mood::Well);
        pause().await;
        for _ in 0..4 {
            servers[one].kill().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            servers[one].revive().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        servers[other].is(Mood::Slow(Duration::from_millis(100)));
        pause().await;
        servers[other].is(Mood::Closes);
        pause().await;
        servers[other].is(Mood::Well);
    }
    stop.store(true, Ordering::SeqCst);
    let mut failed = Vec::new();
    while let Some(one) = clients.join_next().await {
        failed.extend(one.unwrap());
    }
    let served = served.load(Ordering::SeqCst);
    assert!(failed.is_empty(), "{} of {served} failed: {failed:?}", failed.len());
    assert!(served > 500, "{served}");
    world.end().await;
}
