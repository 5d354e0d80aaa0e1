//! What a group bounds is refused at once.

use super::server::Mood;
use super::{Server, ask, document, request, urls};
use crate::support::{Client, World};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_beyond_the_limits_is_503_at_once() {
    for lines in ["limits: { max_requests: 2 }", "limits: { max_connections: 1 }"] {
        let servers = [Server::start("a").await, Server::start("b").await];
        servers.iter().for_each(|server| server.is(Mood::Slow(Duration::from_secs(2))));
        let world = World::start(&document(&urls(&servers.each_ref()), lines));
        let mut waiting = [Client::connect(world.address).await, Client::connect(world.address).await];
        for client in &mut waiting {
            client.send(request("GET /x", &[], "").as_bytes()).await;
        }
        while servers.iter().map(Server::running).sum::<usize>() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begun = Instant::now();
        let answer = ask(&world, "GET /x", &[], "").await;
        assert_eq!((answer.status, answer.field("retry-after")), (503, "1"), "{lines}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{lines}: {:?}", begun.elapsed());
        for client in &mut waiting {
            assert_eq!(client.answer(false).await.unwrap().status, 200, "{lines}");
        }
        servers.iter().for_each(|server| server.is(Mood::Well));
        for client in &mut waiting {
            assert_eq!(client.ask(&request("GET /x", &[], "")).await.status, 200, "{lines}");
        }
        let records = world.end().await;
        let denied = |record: serde_json::Value| record["denied"]["code"].as_str().map(str::to_owned);
        let codes: Vec<_> = records.all().into_iter().filter_map(denied).collect();
        assert_eq!(codes, ["upstream_busy"], "{lines}");
    }
}
