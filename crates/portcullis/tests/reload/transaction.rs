//! All of a configuration is taken, or nothing.

use crate::support::{ADMIN_KEY, Backend, Client, PATIENCE, Reply, USER_KEY, World};
use crate::{ask, document, get};
use portcullis::load::Context;
use portcullis::prove::prove;
use portcullis::{Loaded, ReloadError};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const ROUTES: &str = "  - { path: /data, upstream: \"BACKEND\" }";

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn listening(addresses: &[SocketAddr]) -> String {
    let all: Vec<_> = addresses.iter().map(|address| format!("{{ bind: \"{address}\" }}")).collect();
    format!("listeners: [{}]", all.join(", "))
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() {
    let backend = Backend::start().await;
    let good = document(backend.address, "", ROUTES);
    let world = World::start(&good);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bad = [
        good.replace("path: /data", "paht: /data"),
        good.replace("routes:", "routs:"),
        String::new(),
        "listeners: [".to_owned(),
        good.replace(
            "listeners: [",
            &format!("listeners: [{{ bind: \"{}\" }}, ", taken.local_addr().unwrap()),
        ),
        good.replace("workers: 2", "access_log: { file: /nonexistent/access.log }"),
        good.replace("workers: 2", "key_pepper: { file: /nonexistent/pepper }"),
    ];
    let before = world.reloader().status();
    for (number, text) in bad.iter().enumerate() {
        let reloaded = world.reload(text);
        // Records go to the test and not to the file, so that one is good.
        if text.contains("access_log") {
            assert!(reloaded.is_ok());
            continue;
        }
        let status = world.reloader().status();
        let failure = status.last_failure.unwrap_or_else(|| panic!("{number} was taken"));
        assert_eq!(failure.reason, reloaded.unwrap_err().to_string());
        assert_eq!(get(world.address, "/data", USER_KEY).await.status, 200, "{number}");
    }
    let status = world.reload(&good.replace("/data", "/other")).unwrap();
    assert_eq!((before.generation, status.generation, status.last_failure), (1, 3, None));
    assert_ne!(before.digest, status.digest);
    assert_eq!(get(world.address, "/data", USER_KEY).await.status, 404);
    assert_eq!(get(world.address, "/other", USER_KEY).await.status, 200);
    let notices = world.end().await.notices().join("\n");
    assert!(notices.contains("not reloaded, generation 1 goes on"), "{notices}");
    assert!(notices.contains("generation 3 is running"), "{notices}");
}

#[tokio::test]
async fn a_configuration_that_fails_its_trial_is_not_taken() {
    let backend = Backend::start().await;
    let good = document(backend.address, "", ROUTES);
    let world = World::start(&good);
    world.reloader().try_with(std::sync::Arc::new(|blueprint| {
        let open = blueprint.listing().any(|route| route.route.path == "/open");
        if open { Err("a hole".to_owned()) } else { Ok(()) }
    }));
    let open = good.replace(
        "routes:\n",
        "routes:\n  - { path: /open, public: \"a test\", upstream: \"http://127.0.0.1:9\" }\n",
    );
    assert!(matches!(world.reload(&open), Err(ReloadError::Tests(why)) if why == "a hole"));
    assert_eq!(get(world.address, "/open", USER_KEY).await.status, 404);
    world.reload(&good).unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn requests_belong_to_the_plan_that_they_met() {
    let (arrived, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let old = Backend::answering(move |seen| {
        if seen.target == "/slow" {
            arrived.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
        Reply::with("200 OK", "", "old")
    })
    .await;
    let new = Backend::answering(|_| Reply::with("200 OK", "", "new")).await;
    let routes = "  - { path: /slow, upstream: \"BACKEND\" }\n  - { path: /data, upstream: \"BACKEND\" }";
    let world = World::start(&document(old.address, "", routes));
    let address = world.address;
    let slow = tokio::spawn(async move { get(address, "/slow", USER_KEY).await });
    seen.recv().await.unwrap();
    // Whoever has a connection already goes by the new plan with the next request.
    let mut client = Client::connect(world.address).await;
    assert_eq!(ask(&mut client, "/data", USER_KEY).await.body, b"old");
    let admins = "  authorization: { roles_allowed: [admin] }";
    world.reload(&document(new.address, admins, ROUTES)).unwrap();
    assert_eq!(ask(&mut client, "/data", USER_KEY).await.status, 403);
    assert_eq!(ask(&mut client, "/data", ADMIN_KEY).await.body, b"new");
    assert_eq!(ask(&mut client, "/slow", ADMIN_KEY).await.status, 404);
    let slow = slow.await.unwrap();
    assert_eq!((slow.status, slow.body.as_slice()), (200, b"old".as_slice()), "it had begun before");
    world.end().await;
}

#[tokio::test]
async fn listeners_come_and_go() {
    let backend = Backend::start().await;
    let (first, second) = (free_address(), free_address());
    let text = |addresses: &[SocketAddr]| {
        document(backend.address, "", ROUTES)
            .replace("listeners: [{ bind: \"127.0.0.1:0\" }]", &listening(addresses))
    };
    let world = World::start(&text(&[first]));
    let mut there = Client::connect(first).await;
    assert_eq!(ask(&mut there, "/data", USER_KEY).await.status, 200);
    let status = world.reload(&text(&[first, second])).unwrap();
    assert_eq!(status.addresses, [first, second]);
    assert_eq!(get(second, "/data", USER_KEY).await.status, 200);
    assert_eq!(ask(&mut there, "/data", USER_KEY).await.status, 200);
    // A request that is sent while the listener goes is answered, and told that the connection ends.
    world.reload(&text(&[second])).unwrap();
    let last = ask(&mut there, "/data", USER_KEY).await;
    assert_eq!((last.status, last.field("connection")), (200, "close"));
    let begun = Instant::now();
    while TcpStream::connect(first).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "nobody listens there any more");
        tokio::task::yield_now().await;
    }
    assert_eq!(get(second, "/data", USER_KEY).await.status, 200);
    world.reload(&text(&[first])).unwrap();
    assert_eq!(get(first, "/data", USER_KEY).await.status, 200, "and back again");
    world.end().await;
}

#[tokio::test]
async fn an_old_plan_goes_when_nobody_judges_by_it() {
    let backend = Backend::start().await;
    let text = document(backend.address, "", ROUTES);
    let world = World::start(&text);
    for _ in 0..10 {
        world.reload(&text).unwrap();
    }
    let begun = Instant::now();
    while world.reloader().retiring() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} old plans are kept", world.reloader().retiring());
        tokio::task::yield_now().await;
    }
    world.end().await;
}

#[tokio::test]
async fn what_a_reload_has_no_time_for_is_said() {
    let backend = Backend::start().await;
    let file = std::env::temp_dir().join(format!("portcullis-not-tried-{}.yaml", std::process::id()));
    std::fs::write(&file, document(backend.address, "", ROUTES)).unwrap();
    let world = World::start(&document(backend.address, "", ROUTES));
    world.reloader().reload_file(&file).await.unwrap();
    assert!(!world.records.notices().iter().any(|notice| notice.contains("not tried")), "there was time");
    world.reloader().set_test_time(Duration::ZERO);
    world.reloader().reload_file(&file).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    let notices = world.end().await.notices().join("\n");
    assert!(notices.contains("generated tests: 1 of 1 routes and operations were not tried"), "{notices}");
}

#[tokio::test]
async fn a_trial_asks_no_store() {
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    store.set_nonblocking(true).unwrap();
    let address = store.local_addr().unwrap();
    let shared =
        format!("store: {{ counters: {{ redis: {{ url: {{ literal: \"redis://{address}/0\" }} }} }} }}\n");
    let limited = document(address, "  rate_limiting: { max_requests: 3, per: minute }", ROUTES);
    let loaded = Loaded::yaml("a.yaml", format!("{shared}{limited}"), Context::for_file("."));
    let report = prove(&loaded, PATIENCE).unwrap();
    assert!(report.is_good() && report.requests() > 5, "{:?}", report.faults());
    // Whoever begins to ask does so on a thread of its own.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        store.accept().map(|_| ()).unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "it was asked"
    );
}
