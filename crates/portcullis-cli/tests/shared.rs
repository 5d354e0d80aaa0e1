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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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

/// Two gateways with these lines in their files, which count in this Redis and share a store of keys.
fn two_gateways(scratch: &Scratch, redis: &Redis, rest: &str) -> [(Process, String); 2] {
    ["one", "two"].map(|name| {
        let log = scratch.path(&format!("{name}.log"));
        let store = format!("url: {{ literal: \"redis://127.0.0.1:{}\" }}, timeout: 2s", redis.port);
        let text = format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\naccess_log: {{ file: \"{log}\" }}\n\
             store: {{ counters: {{ redis: {{ {store} }} }}, keys: {{ sqlite: keys.db }} }}\n{rest}"
        );
        let file = scratch.file(&format!("{name}.yaml"), &text);
        let process = Process::start(portcullis().args(["run", &file]), "listening on");
        let at = process.said.find("http://").unwrap();
        let url = process.said[at..].split_whitespace().next().unwrap().to_owned();
        (process, url)
    })
}

/// Each key, of the file or of the store, has one count at all gateways.
#[test]
fn a_limit_by_key_is_one_limit_at_all_gateways() {
    let (redis, backend, scratch) = (Redis::start(free_port()), backend(), Scratch::new("shared-by-key"));
    let rest = format!(
        "key_pepper: {{ literal: \"a-pepper-that-both-of-them-have-0123\" }}\n\
         security: {{ authentication: {{ type: api_key }}, authorization: {{ roles_allowed: [user] }}, rate_limiting: {{ max_requests: 4, per: day, by: key }} }}\n\
         consumers: [{{ name: alice, roles: [user], keys: [{{ literal: \"first-key-of-alice-0123\" }}, {{ literal: \"second-key-of-alice-0123\" }}] }}]\n\
         routes: [{{ path: /, upstream: \"http://127.0.0.1:{backend}\" }}]\n"
    );
    let maker =
        format!("listeners: [{{ bind: \"127.0.0.1:0\" }}]\nstore: {{ keys: {{ sqlite: keys.db }} }}\n{rest}");
    let maker = scratch.file("maker.yaml", &maker);
    let made = support::run(&["keys", "create", "--consumer", "alice", "--config", &maker, "--json"]);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("a key is made");
    let gateways = two_gateways(&scratch, &redis, &rest);
    let stored = made["key"].as_str().unwrap();
    for key in ["first-key-of-alice-0123", "second-key-of-alice-0123", stored] {
        let header = format!("x-api-key: {key}");
        let statuses: Vec<u16> =
            (0..8).map(|turn| curl(&gateways[turn % 2].1, &["-H", &header]).status).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 429, 429, 429, 429], "{key}");
    }
}

/// An authorization server: its metadata, and what it says of tokens. Counts how often it is asked about one.
fn authorization_server(asked: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let issuer = format!("http://127.0.0.1:{port}");
    let keys = include_str!("../../portcullis/tests/config/files/keys.json");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (asked, issuer) = (Arc::clone(&asked), issuer.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut stream = stream;
                loop {
                    let (mut target, mut length, mut line) = (String::new(), 0, String::new());
                    while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line != "\r\n" {
                        if target.is_empty() {
                            target = line.split(' ').nth(1).unwrap_or_default().to_owned();
                        }
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                            length = value.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    if target.is_empty() {
                        return;
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let answer = match target.as_str() {
                        "/introspect" => {
                            asked.fetch_add(1, Ordering::SeqCst);
                            let good = String::from_utf8_lossy(&body).contains("token=good-");
                            match good {
                                true => "{\"active\":true,\"sub\":\"alice-of-accounting\",\"token_type\":\"Bearer\",\"aud\":\"api\"}".to_owned(),
                                false => "{\"active\":false}".to_owned(),
                            }
                        }
                        "/keys" => keys.to_owned(),
                        _ => format!(
                            "{{\"issuer\":\"{issuer}\",\"jwks_uri\":\"{issuer}/keys\",\"token_endpoint\":\"{issuer}/token\",\"introspection_endpoint\":\"{issuer}/introspect\"}}"
                        ),
                    };
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        answer.len()
                    );
                    if stream.write_all(format!("{head}{answer}").as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// What an authorization server said to one gateway, the other one need not ask; the store learns nothing of it.
#[test]
fn an_authorization_server_is_asked_once_for_all_gateways() {
    let (redis, backend, scratch) = (Redis::start(free_port()), backend(), Scratch::new("shared-tokens"));
    let asked = Arc::new(AtomicUsize::new(0));
    let issuer = format!("http://127.0.0.1:{}", authorization_server(Arc::clone(&asked)));
    let gateways = two_gateways(
        &scratch,
        &redis,
        &format!(
            "outbound: {{ allow: [\"127.0.0.0/8\"] }}\n\
             security: {{ authentication: {{ type: OAuth2, issuer: \"{issuer}\", audience: api, client_id: gateway, client_secret: {{ literal: \"a-secret-of-the-client-0123\" }} }} }}\n\
             routes: [{{ path: /, upstream: \"http://127.0.0.1:{backend}\" }}]\n"
        ),
    );
    let ask = |turn: usize, token: &str| {
        curl(&gateways[turn % 2].1, &["-H", &format!("authorization: Bearer {token}")]).status
    };
    // Until both have the metadata of the server.
    let begun = Instant::now();
    while ask(0, "good-first") != 200 || ask(1, "good-first") != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no token is accepted");
        std::thread::sleep(Duration::from_millis(100));
    }
    let before = asked.load(Ordering::SeqCst);
    for (token, status) in [("good-token-of-alice", 200), ("revoked-token-of-bob", 401)] {
        assert_eq!(ask(0, token), status);
        // What is told to other gateways is told beside the request.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!([1, 0, 1].map(|turn| ask(turn, token)), [status; 3]);
    }
    assert_eq!(asked.load(Ordering::SeqCst) - before, 2, "once for each token");
    let dump = Command::new("redis-cli")
        .args(["-p", &redis.port.to_string(), "--no-raw", "EVAL"])
        .arg("local all = '' for _, key in ipairs(redis.call('KEYS', '*')) do all = all .. key .. ' ' if redis.call('TYPE', key).ok == 'string' then all = all .. redis.call('GET', key) .. ' ' end end return all")
        .arg("0")
        .output()
        .expect("redis-cli comes with redis-server");
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(dump.contains("portcullis:kept:"), "{dump}");
    for secret in ["alice", "bob", "good-token", "revoked-token", "active", "a-secret-of-the-client"] {
        assert!(!dump.contains(secret), "{secret} in {dump}");
    }
    // Without the store, each asks for itself.
    drop(redis);
    assert_eq!([0, 1].map(|turn| ask(turn, "good-without-a-store")), [200; 2]);
    assert_eq!(asked.load(Ordering::SeqCst) - before, 4);
}

/// Whoever guesses at two gateways in turn is slowed down as at one.
#[test]
fn guesses_at_all_gateways_are_counted_together() {
    let (redis, backend, scratch) = (Redis::start(free_port()), backend(), Scratch::new("shared-guesses"));
    let gateways = two_gateways(
        &scratch,
        &redis,
        &format!(
            "brute_force: {{ free_failures: 3, first_wait: 1m }}\n\
             security: {{ authentication: {{ type: api_key }}, authorization: {{ roles_allowed: [user] }} }}\n\
             consumers: [{{ name: alice, roles: [user], keys: [{{ literal: \"the-key-of-alice-0123\" }}] }}]\n\
             routes: [{{ path: /, upstream: \"http://127.0.0.1:{backend}\" }}]\n"
        ),
    );
    let guess =
        |turn: usize| curl(&gateways[turn % 2].1, &["-H", &format!("x-api-key: wrong-{turn}")]).status;
    assert_eq!([0, 1, 2, 3].map(guess), [401; 4], "two at each");
    // What the store said is heard beside the request.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(guess(5), 429, "it was the fourth in all");
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
