//! What happens when a server fails: another one is asked where that may be, and the server is left out for a time.

use super::server::Mood;
use super::{Server, ask, document, get, request, urls};
use crate::support::{Client, World};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_reached_costs_no_request() {
    let servers = [Server::start("a").await, Server::start("b").await, Server::start("c").await];
    let world = World::start(&document(&urls(&servers.each_ref()), ""));
    servers[0].kill().await;
    servers[1].kill().await;
    for _ in 0..20 {
        assert_eq!(get(&world).await, 200);
        // Not a byte of it went anywhere else.
        assert_eq!(ask(&world, "POST /x", &[], "body").await.status, 200);
    }
    assert_eq!(servers[2].requests(), 40);
    servers[2].kill().await;
    assert_eq!(get(&world).await, 502);
    let records = world.end().await;
    let tries: u64 = records.all().iter().map(|record| record["upstream_tries"].as_u64().unwrap()).sum();
    // The cap leaves one of the dead in its place; the other one is soon left out.
    assert!((41 + 20..=41 + 60).contains(&tries), "{tries}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_may_be_repeated_is_sent_again() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers[0].is(Mood::Closes);
    let world = World::start(&document(&urls(&servers.each_ref()), "eject: { at_most: 0% }"));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        assert_eq!(get(&world).await, 200);
        assert_eq!(ask(&world, "PUT /x", &[], "once more").await.status, 200);
        statuses.push(ask(&world, "POST /x", &[], "only once").await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502], "a POST goes to one server");
    assert_eq!(servers[1].bodies().iter().filter(|body| *body == "once more").count(), 4);
    let both = [servers[0].bodies(), servers[1].bodies()].concat();
    assert_eq!(both.iter().filter(|body| *body == "only once").count(), 4);
    // A body that is not remembered is not sent again.
    let large = "x".repeat(100_000);
    let mut large_statuses = Vec::new();
    for _ in 0..4 {
        large_statuses.push(ask(&world, "PUT /x", &[], &large).await.status);
    }
    assert!(large_statuses.contains(&502), "{large_statuses:?}");
    world.end().await;
    let listed = World::start(&document(
        &urls(&servers.each_ref()),
        "eject: { at_most: 0% }\nretry: { methods: [POST] }",
    ));
    for _ in 0..4 {
        assert_eq!(ask(&listed, "POST /x", &[], "may be repeated").await.status, 200);
    }
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&listed).await);
    }
    assert!(statuses.contains(&502), "{statuses:?}");
    listed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_again_after_the_first_byte_of_an_answer() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers[0].is(Mood::Hints);
    let world = World::start(&document(&urls(&servers.each_ref()), "eject: { at_most: 0% }"));
    let mut final_statuses = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(world.address).await;
        client.send(request("GET /x", &[], "").as_bytes()).await;
        let mut status = client.answer(false).await.unwrap().status;
        if status == 103 {
            status = client.answer(false).await.unwrap().status;
        }
        final_statuses.push(status);
    }
    final_statuses.sort_unstable();
    assert_eq!(final_statuses, [200, 502]);
    assert_eq!((servers[0].requests(), servers[1].requests()), (1, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_costs_one_try_and_is_left_out() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers[0].is(Mood::Hung);
    let lines = "retry: { try_timeout: 100ms }\neject: { failures: 3, for: 300ms }\nslow_start: 2s";
    let world = World::start(&document(&urls(&servers.each_ref()), lines));
    for _ in 0..20 {
        assert_eq!(get(&world).await, 200);
    }
    assert_eq!(servers[0].requests(), 3, "then it is left out");
    // One request finds out that it is still hung, and then it is left out twice as long.
    tokio::time::sleep(Duration::from_millis(350)).await;
    for _ in 0..10 {
        assert_eq!(get(&world).await, 200);
    }
    assert_eq!(servers[0].requests(), 4);
    servers[0].is(Mood::Well);
    tokio::time::sleep(Duration::from_millis(650)).await;
    let before = servers[1].requests();
    for _ in 0..20 {
        assert_eq!(get(&world).await, 200);
    }
    // It is back, and gets about a tenth of what the other one gets.
    let (back, other) = (servers[0].requests() - 4, servers[1].requests() - before);
    assert!((1..=6).contains(&back) && other >= 14, "{back} and {other}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_does_not_forget_who_is_left_out() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers[0].is(Mood::Closes);
    let list = urls(&servers.each_ref());
    let world = World::start(&document(&list, "eject: { failures: 2, for: 60s }"));
    for _ in 0..6 {
        assert_eq!(get(&world).await, 200);
    }
    assert_eq!(servers[0].requests(), 2);
    world.reload(&document(&list, "eject: { failures: 2, for: 61s }\nbalance: random")).unwrap();
    for _ in 0..10 {
        assert_eq!(get(&world).await, 200);
    }
    assert_eq!(servers[0].requests(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_stay_within_their_budget() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers.iter().for_each(|server| server.is(Mood::Status(503)));
    let lines = "retry: { attempts: 10, on: [\"503\", 500], budget: 10% }\neject: { at_most: 0% }";
    let world = World::start(&document(&urls(&servers.each_ref()), lines));
    let mut client = Client::connect(world.address).await;
    let begun = Instant::now();
    for _ in 0..1000 {
        assert_eq!(client.ask(&request("GET /x", &[], "")).await.status, 503);
    }
    assert!(begun.elapsed() < Duration::from_secs(9), "the budget is one of ten seconds");
    let sent: usize = servers.iter().map(Server::requests).sum();
    // A tenth of the requests, and a hundred that a group without requests would have as well.
    assert_eq!(sent, 1000 + 100 + 100);
    let post = client.ask(&request("POST /x", &[], "a")).await.status;
    assert_eq!((post, servers.iter().map(Server::requests).sum::<usize>()), (503, 1201));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_is_one_for_all_workers() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers.iter().for_each(|server| server.is(Mood::Status(503)));
    let lines = "retry: { attempts: 10, on: [\"503\"], budget: 10% }\neject: { at_most: 0% }";
    let document = document(&urls(&servers.each_ref()), lines).replace("workers: 1", "workers: 4");
    let world = World::start(&document);
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(Client::connect(world.address).await);
    }
    let begun = Instant::now();
    for turn in 0..300 {
        let client = &mut clients[turn % 16];
        assert_eq!(client.ask(&request("GET /x", &[], "")).await.status, 503);
        // A reload is no new budget.
        if turn == 150 {
            world.reload(&document.replace("attempts: 10", "attempts: 9")).unwrap();
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(9), "the budget is one of ten seconds");
    let sent: usize = servers.iter().map(Server::requests).sum();
    assert_eq!(sent, 300 + 30 + 100);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_break_off_count_against_their_server() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers[0].is(Mood::Breaks);
    let world = World::start(&document(&urls(&servers.each_ref()), "eject: { failures: 3, for: 60s }"));
    let mut whole = 0;
    for _ in 0..20 {
        let mut client = TcpStream::connect(world.address).await.unwrap();
        client.write_all(request("GET /x", &["Connection: close"], "").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // What breaks off may end in a reset.
        let _end = client.read_to_end(&mut answer).await;
        whole += usize::from(answer.ends_with(b"\r\n\r\nb"));
    }
    assert_eq!((servers[0].requests(), whole), (3, 17), "then it is left out");
    let records = world.end().await;
    let broken = |record: &serde_json::Value| record["denied"]["code"] == "upstream_closed";
    assert_eq!(records.all().iter().filter(|record| broken(record)).count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_a_listed_status_goes_to_another_server() {
    let servers = [Server::start("a").await, Server::start("b").await];
    servers[0].is(Mood::Status(500));
    let lines = "retry: { on: [\"500\"] }";
    let world = World::start(&document(&urls(&servers.each_ref()), lines));
    for _ in 0..6 {
        assert_eq!(get(&world).await, 200);
        assert_eq!(ask(&world, "POST /x", &[], "").await.status / 100 % 3, 2, "200 or 500");
    }
    // One client could bring about a 500 by its own request: it leaves out no server.
    assert!(servers[0].requests() >= 5, "{}", servers[0].requests());
    world.end().await;
}
