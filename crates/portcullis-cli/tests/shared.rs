//! Gateway processes that count together in a real Redis: exactly the limit under load, and no failure but a refusal while
//! the store is killed and started again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Process, Scratch, curl, portcullis};

/// A Redis server that ends with the test.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start(port: u16) -> Redis {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: `cargo xtask test` installs it");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "redis-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Redis { child, port }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A backend that answers every request with 200.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n"
                        && stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err()
                    {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    port
}

/// A gateway process with a limit for its one route, and where it listens.
fn gateway(scratch: &Scratch, name: &str, store: &str, max: usize, backend: u16) -> (Process, String) {
    let log = scratch.path(&format!("{name}.log"));
    let file = scratch.file(
        &format!("{name}.yaml"),
        &format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\naccess_log: {{ file: \"{log}\" }}\n\
             store: {{ counters: {{ redis: {store} }} }}\n\
             security: {{ rate_limiting: {{ max_requests: {max}, per: day, by: route }} }}\n\
             routes: [{{ path: /, public: \"a test\", upstream: \"http://127.0.0.1:{backend}\" }}]\n"
        ),
    );
    let process = Process::start(portcullis().args(["run", &file]), "listening on");
    let address = process.said.split("http://").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    (process, address)
}

/// Sends one request on a kept connection, and gives its status.
fn ask(stream: &mut TcpStream) -> u16 {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut status, mut length, mut line) = (0, 0, String::new());
    while reader.read_line(&mut line).unwrap() > 0 && line != "\r\n" {
        let text = line.trim().to_ascii_lowercase();
        if let Some(rest) = text.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(value) = text.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    status
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The statuses of so many requests, by two connections to each gateway.
fn load(addresses: &[String], each: usize) -> Vec<u16> {
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for address in addresses.iter().chain(addresses) {
            scope.spawn(|| {
                let mut stream = connect(address);
                let statuses: Vec<u16> = (0..each).map(|_| ask(&mut stream)).collect();
                all.lock().unwrap().extend(statuses);
            });
        }
    });
    all.into_inner().unwrap()
}

#[test]
fn processes_let_through_exactly_the_limit() {
    let (redis, backend, scratch) = (Redis::start(free_port()), backend(), Scratch::new("shared"));
    for (many, sync, slack) in
        [(2, "strict", 0), (4, "strict", 0), (2, "leased", 2 * 10), (4, "leased", 4 * 10)]
    {
        let store = format!(
            "{{ url: {{ literal: \"redis://127.0.0.1:{}\" }}, sync: {sync}, prefix: {sync}{many}, timeout: 2s }}",
            redis.port
        );
        let gateways: Vec<_> = (0..many)
            .map(|number| gateway(&scratch, &format!("{sync}{many}{number}"), &store, 200, backend))
            .collect();
        let addresses: Vec<String> = gateways.iter().map(|(_, address)| address.clone()).collect();
        let statuses = load(&addresses, 150);
        let passed = statuses.iter().filter(|status| **status == 200).count();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
        assert!((200 - slack..=200).contains(&passed), "{passed} of 200 passed {many} gateways, {sync}");
    }
}

/// Each key, of the file or of the store, has one count at all gateways.
#[test]
fn a_limit_by_key_is_one_limit_at_all_gateways() {
    let (redis, backend, scratch) = (Redis::start(free_port()), backend(), Scratch::new("shared-by-key"));
    let text = |name: &str| {
        format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\naccess_log: {{ file: \"{}\" }}\n\
             key_pepper: {{ literal: \"a-pepper-that-both-of-them-have-0123\" }}\n\
             store: {{ counters: {{ redis: {{ url: {{ literal: \"redis://127.0.0.1:{}\" }}, timeout: 2s }} }}, keys: {{ sqlite: keys.db }} }}\n\
             security: {{ authentication: {{ type: api_key }}, authorization: {{ roles_allowed: [user] }}, rate_limiting: {{ max_requests: 4, per: day, by: key }} }}\n\
             consumers: [{{ name: alice, roles: [user], keys: [{{ literal: \"first-key-of-alice-0123\" }}, {{ literal: \"second-key-of-alice-0123\" }}] }}]\n\
             routes: [{{ path: /, upstream: \"http://127.0.0.1:{backend}\" }}]\n",
            scratch.path(&format!("{name}.log")),
            redis.port
        )
    };
    let files = ["one", "two"].map(|name| scratch.file(&format!("{name}.yaml"), &text(name)));
    let made = support::run(&["keys", "create", "--consumer", "alice", "--config", &files[0], "--json"]);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("a key is made");
    let gateways = files.each_ref().map(|file| {
        let process = Process::start(portcullis().args(["run", file]), "listening on");
        let at = process.said.find("http://").unwrap();
        let url = process.said[at..].split_whitespace().next().unwrap().to_owned();
        (process, url)
    });
    let stored = made["key"].as_str().unwrap();
    for key in ["first-key-of-alice-0123", "second-key-of-alice-0123", stored] {
        let header = format!("x-api-key: {key}");
        let statuses: Vec<u16> =
            (0..8).map(|turn| curl(&gateways[turn % 2].1, &["-H", &header]).status).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 429, 429, 429, 429], "{key}");
    }
}

#[test]
fn a_store_that_dies_under_load_costs_no_request() {
    let (port, backend, scratch) = (free_port(), backend(), Scratch::new("shared-outage"));
    let redis = Redis::start(port);
    let store = format!("{{ url: {{ literal: \"redis://127.0.0.1:{port}\" }} }}");
    let gateways: Vec<_> = (0..2)
        .map(|number| gateway(&scratch, &format!("outage{number}"), &store, 1_000_000, backend))
        .collect();
    let (over, slowest, statuses) =
        (AtomicBool::new(false), Mutex::new(Duration::ZERO), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for (_, address) in &gateways {
            scope.spawn(|| {
                let mut stream = connect(address);
                while !over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    statuses.lock().unwrap().push(ask(&mut stream));
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = slowest.max(begun.elapsed());
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        drop(redis);
        std::thread::sleep(Duration::from_millis(700));
        let redis = Redis::start(port);
        // It is used again, without anybody's help.
        let begun = Instant::now();
        loop {
            let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
            stream.write_all(b"DBSIZE\r\n").unwrap();
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).unwrap();
            if &answer == b":2" {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody counts there again");
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
    });
    let statuses = statuses.into_inner().unwrap();
    assert!(statuses.len() > 50 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let slowest = slowest.into_inner().unwrap();
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
