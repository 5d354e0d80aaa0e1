//! Which server gets a request.

use super::{Server, ask, document, get, urls};
use crate::support::World;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_take_turns_by_weight() {
    let servers = [Server::start("a").await, Server::start("b").await, Server::start("c").await];
    let listed: Vec<String> = servers
        .iter()
        .zip([2, 1, 0])
        .map(|(server, weight)| format!("{{ url: \"http://{}\", weight: {weight} }}", server.address))
        .collect();
    let world = World::start(&document(&listed, ""));
    for _ in 0..30 {
        assert_eq!(get(&world).await, 200);
    }
    assert_eq!(servers.each_ref().map(Server::requests), [20, 10, 0]);
    let records = world.end().await;
    for record in records.all() {
        assert_eq!(
            (&record["upstream_group"], &record["upstream_tries"]),
            (&"group".into(), &1.into()),
            "{record}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_gets_fewer_requests() {
    let servers = [Server::start("slow").await, Server::start("fast").await];
    servers[0].is(super::server::Mood::Slow(Duration::from_secs(2)));
    let list = urls(&servers.each_ref());
    let world = World::start(&document(&list, "balance: least_requests"));
    let begun = std::time::Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    let address = world.address;
    // Each of these stays at the slow server, or is soon over at the fast one.
    for _ in 0..40 {
        waiting.spawn(async move {
            let mut client = crate::support::Client::connect(address).await;
            client.ask(&super::request("GET /x", &[], "")).await.status
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while let Some(status) = waiting.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    let [slow, fast] = servers.each_ref().map(Server::requests);
    assert!(slow <= 8 && fast >= 32, "{slow} and {fast}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chance_spreads_requests() {
    let servers = [Server::start("a").await, Server::start("b").await];
    let world = World::start(&document(&urls(&servers.each_ref()), "balance: random"));
    for _ in 0..60 {
        assert_eq!(get(&world).await, 200);
    }
    assert!(servers.iter().all(|server| server.requests() >= 10));
    world.end().await;
}

/// Which server got each of many values.
async fn placed(world: &World, field: &str) -> BTreeMap<usize, String> {
    let mut placed = BTreeMap::new();
    for value in 0..40 {
        let answer = ask(world, "GET /x", &[&format!("{field}{value}")], "").await;
        placed.insert(value, String::from_utf8(answer.body).unwrap());
    }
    placed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_stays_with_its_server_and_only_those_of_a_lost_one_move() {
    let servers = [Server::start("a").await, Server::start("b").await, Server::start("c").await];
    let list = urls(&servers.each_ref());
    for (by, field) in [("{ header: x-tenant }", "X-Tenant: "), ("{ cookie: who }", "Cookie: other=1; who=")]
    {
        let lines = format!("balance: {{ hash: {by} }}");
        let world = World::start(&document(&list, &lines));
        let first = placed(&world, field).await;
        assert_eq!(placed(&world, field).await, first);
        for name in ["a", "b", "c"] {
            assert!(first.values().filter(|server| *server == name).count() >= 3, "{first:?}");
        }
        // Written in another order, and without one server.
        let fewer = [list[2].clone(), list[0].clone()];
        world.reload(&document(&fewer, &lines)).unwrap();
        for (value, server) in placed(&world, field).await {
            assert!(first[&value] == "b" || first[&value] == server, "{value} moved to {server}: {first:?}");
        }
        world.end().await;
    }
    let world = World::start(&document(&list, "balance: { hash: address }"));
    let before = servers.each_ref().map(Server::requests);
    for _ in 0..9 {
        assert_eq!(get(&world).await, 200);
    }
    let after = servers.each_ref().map(Server::requests);
    assert_eq!(after.iter().zip(before).filter(|(after, before)| **after != *before).count(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_a_server() {
    let path = std::env::temp_dir().join(format!("portcullis-{}.sock", std::process::id()));
    let _old = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = vec![0; 4096];
                while let Ok(size) = stream.read(&mut read).await
                    && size > 0
                {
                    let host =
                        String::from_utf8_lossy(&read[..size]).to_lowercase().contains("host: localhost");
                    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{host:<5}");
                    stream.write_all(text.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let url = format!("unix:{}", path.display());
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nupstreams: {{ app: {{ servers: [\"{url}\"] }} }}\nroutes:\n  \
         - {{ path: /group, public: a test, upstream: app }}\n  - {{ path: /one, public: a test, upstream: \"{url}\" }}\n"
    ));
    for path in ["/group", "/one", "/one"] {
        let answer = ask(&world, &format!("GET {path}"), &[], "").await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"true "[..]), "{path}");
    }
    std::fs::remove_file(&path).unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_stays_with_its_server() {
    let servers = [Server::start("a").await, Server::start("b").await];
    let consumers: Vec<String> = (0..16)
        .map(|number| format!("{{ name: c{number}, keys: [{{ literal: key-of-{number}-0123456789 }}] }}"))
        .collect();
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\nsecurity: {{ authentication: {{ type: api_key, header: x-api-key }} }}\n\
         consumers: [{}]\nupstreams: {{ app: {{ servers: [{}], balance: {{ hash: consumer }} }} }}\n\
         routes: [{{ path: /x, upstream: app }}, {{ path: /open, public: a test, upstream: app }}]\n",
        consumers.join(", "),
        urls(&servers.each_ref()).join(", ")
    ));
    let mut placed = BTreeMap::new();
    for round in 0..3 {
        for number in 0..16 {
            let key = format!("X-Api-Key: key-of-{number}-0123456789");
            // What the client says otherwise changes nothing.
            let other = format!("X-Consumer-Name: c{round}");
            let server = String::from_utf8(ask(&world, "GET /x", &[&key, &other], "").await.body).unwrap();
            assert_eq!(*placed.entry(number).or_insert(server.clone()), server, "{number}");
        }
    }
    for name in ["a", "b"] {
        assert!(placed.values().filter(|server| *server == name).count() >= 2, "{placed:?}");
    }
    // Whoever is nobody goes in turns.
    let before = servers.each_ref().map(Server::requests);
    for _ in 0..12 {
        assert_eq!(ask(&world, "GET /open", &[], "").await.status, 200);
    }
    let after = servers.each_ref().map(Server::requests);
    assert!(before.iter().zip(after).all(|(before, after)| after - before >= 4), "{before:?} {after:?}");
    world.end().await;
}
