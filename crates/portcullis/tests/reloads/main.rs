//! Many reloads under load, half of them broken: nobody who is served notices, and nothing is kept of what is gone.
//!
//! Listeners, routes, keys, roles, limits, certificates and upstreams change with each. A test binary without other tests, since it
//! measures the memory of its process. `PORTCULLIS_RELOADS=1000` makes it longer.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test binary has no outside, a helper that fails fails its test, and it prints what it measured"
)]

#[path = "../support/authority.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod authority;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
mod support;

use authority::{Authority, Wanted, folder};
use portcullis::ReloadError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Answer, Client, PATIENCE, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How many reloads, of which half are broken, unless `PORTCULLIS_RELOADS` says more.
const RELOADS: usize = 100;
/// Of so many, the first one's memory is that which stays.
const WARM: usize = 5;
/// By so much may the memory of the process differ, in KiB. A plan that is kept is a hundred KiB and more, and of a thousand
/// reloads, 400 are taken after the first measurement.
const SLACK: u64 = 24 * 1024;
/// So many requests are answered between two reloads, at least.
const BETWEEN: u64 = 4;
/// A limit that every configuration has, and that is never used up.
const KEPT: u64 = 50_000;

/// The keys of one consumer, of which each configuration has another one, and one that all have.
const TURNS: [&str; 4] =
    ["key-of-turn-0-9f3a1c", "key-of-turn-1-77b0d2", "key-of-turn-2-c4e85a", "key-of-turn-3-10ddf6"];
const ALWAYS: &str = "key-of-everyday-5b1f";
const ADMIN: &str = "key-of-the-admin-8e2c";

/// What the configurations have in common.
struct Setting {
    folder: std::path::PathBuf,
    addresses: [SocketAddr; 3],
    backends: [SocketAddr; 2],
}

impl Setting {
    /// One of four configurations. Each says which it is in every answer: by a header, by the body of its own server, and by who
    /// may have got it.
    fn configuration(&self, number: usize) -> String {
        let turn = number % 4;
        let [plain, tls, sometimes] = self.addresses;
        let mut listeners = format!(
            "{{ bind: \"{plain}\" }}, {{ bind: \"{tls}\", tls: {{ certificates: [{{ certificate: \"{0}/server.pem\", key: \"{0}/server.key\" }}] }} }}",
            self.folder.display()
        );
        if turn.is_multiple_of(2) {
            listeners.push_str(&format!(", {{ bind: \"{sometimes}\" }}"));
        }
        let who = if turn < 2 { "  authorization: { roles_allowed: [admin] }\n" } else { "" };
        format!(
            "listeners: [{listeners}]\nworkers: 2\nbrute_force: {{ mode: off }}\nresponse_headers: {{ set: {{ x-turn: \"{turn}\" }} }}\nsecurity:\n  authentication: {{ type: api_key, header: x-api-key }}\n{who}  \
             rate_limiting:\n    - {{ max_requests: {KEPT}, per: day, name: kept }}\n    - {{ max_requests: {}, per: day, name: changing, by: address }}\n\
             consumers:\n  - {{ name: root, roles: [admin], keys: [{{ literal: {ADMIN} }}] }}\n  \
             - {{ name: everyday, roles: [user], keys: [{{ literal: {ALWAYS} }}] }}\n  \
             - {{ name: turns, roles: [admin], keys: [{{ literal: {} }}] }}\n\
             routes:\n  - {{ path: /data, upstream: \"http://{}\" }}\n  - {{ path: /only-{turn}, upstream: \"http://{}\" }}\n",
            400_000_000 + turn * 1000,
            TURNS[turn],
            self.backends[turn / 2],
            self.backends[turn / 2],
        )
    }
}

/// Whether an answer to a request for `target` with `key` is one of a configuration that was current at some time. Answers with
/// whether it was let through.
fn judged(answer: &Answer, target: &str, key: &str) -> bool {
    let told =
        (answer.status, answer.fields("x-turn").concat(), String::from_utf8_lossy(&answer.body).into_owned());
    if answer.status != 200 {
        let plausible = match answer.status {
            401 => TURNS.contains(&key),
            403 => key == ALWAYS,
            404 => target.starts_with("/only-"),
            _ => false,
        };
        assert!(plausible, "{target} with {key}: {told:?}");
        return false;
    }
    let turn: usize = answer.field("x-turn").parse().unwrap();
    assert_eq!(answer.body, if turn / 2 == 0 { &b"first"[..] } else { b"second" }, "{target}: {told:?}");
    assert!(key != ALWAYS || turn >= 2, "who may not got it: {told:?}");
    assert!(!TURNS.contains(&key) || key == TURNS[turn], "by a key of another configuration: {told:?}");
    assert!(
        target == "/data" || target == format!("/only-{turn}"),
        "by a route of another one: {target} {told:?}"
    );
    true
}

/// A server that answers every request with this body, and keeps nothing.
async fn backend(body: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut head, mut part) = (Vec::new(), [0; 4096]);
                while let Ok(length @ 1..) = stream.read(&mut part).await {
                    head.extend_from_slice(&part[..length]);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// Free ports below those that the system gives to clients: a client of a listener that is gone would else now and then get
/// the listener's port, and connect to itself.
fn free_ports() -> [SocketAddr; 3] {
    let mut ports = (10_000..32_000).cycle().skip(std::process::id() as usize % 22_000).take(22_000);
    // Held until all are found, so that no two are the same.
    let held = [(); 3].map(|()| {
        let bound = ports.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        bound.expect("a free port")
    });
    held.each_ref().map(|socket| socket.local_addr().unwrap())
}

async fn ask(client: &mut Client, target: &str, key: &str) -> Answer {
    client.ask(&format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {key}\r\n\r\n")).await
}

/// How much memory this process has, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// One request over TLS, on a connection of its own.
async fn over_tls(address: SocketAddr, config: &Arc<ClientConfig>) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("api.example.com").unwrap();
    let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.unwrap();
    let request =
        format!("GET /data HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {ADMIN}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn trusting(certificate: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reloads_under_load_lose_mix_and_keep_nothing() {
    let wanted = std::env::var("PORTCULLIS_RELOADS").ok().map(|wanted| wanted.parse().unwrap());
    // The last configuration is then one that everybody may use.
    let all: usize = wanted.unwrap_or(RELOADS).next_multiple_of(8);
    let backends = [backend("first").await, backend("second").await];
    let authority = Authority::new("a test's authority");
    let place = folder();
    authority::write(&place.join("ca.pem"), &authority.pem);
    authority.issue(&place, "server", &Wanted::server(&["api.example.com"]));
    let addresses = free_ports();
    let setting = Setting { folder: place.clone(), addresses, backends };
    let begun_all = Instant::now();
    let world = Arc::new(World::start(&setting.configuration(0)));

    let stop = Arc::new(AtomicBool::new(false));
    let (served, counted, protected, refused_connections) = (
        Arc::<AtomicU64>::default(),
        Arc::<AtomicU64>::default(),
        Arc::<AtomicU64>::default(),
        Arc::<AtomicU64>::default(),
    );
    let mut clients = Vec::new();
    for number in 0..4_usize {
        let (stop, served, counted) = (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&counted));
        clients.push(tokio::spawn(async move {
            let mut client = Client::connect(addresses[0]).await;
            let mut round = number;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let key = match number {
                    0 => ADMIN,
                    1 => ALWAYS,
                    _ => TURNS[round % 4],
                };
                let only = format!("/only-{}", round % 4);
                let target = if round % 3 == 0 { only.as_str() } else { "/data" };
                let answer = ask(&mut client, target, key).await;
                assert!(
                    answer.fields("connection").is_empty(),
                    "the listener stays, and so does the connection"
                );
                let passed = judged(&answer, target, key);
                served.fetch_add(1, Ordering::Relaxed);
                counted.fetch_add(u64::from(passed && key == ALWAYS), Ordering::Relaxed);
            }
        }));
    }
    let config = trusting(&place.join("ca.pem"));
    clients.push({
        let (stop, protected) = (Arc::clone(&stop), Arc::clone(&protected));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = over_tls(addresses[1], &config).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                protected.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    clients.push({
        let (stop, refused) = (Arc::clone(&stop), Arc::clone(&refused_connections));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // It may be gone, or go before it answers; what it answers is whole.
                let Ok(mut stream) = TcpStream::connect(addresses[2]).await else {
                    refused.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    continue;
                };
                let request = format!(
                    "GET /data HTTP/1.1\r\nHost: a\r\nX-Api-Key: {ADMIN}\r\nConnection: close\r\n\r\n"
                );
                let mut answer = Vec::new();
                if stream.write_all(request.as_bytes()).await.is_ok()
                    && stream.read_to_end(&mut answer).await.is_ok()
                    && !answer.is_empty()
                {
                    let text = String::from_utf8_lossy(&answer).into_owned();
                    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                }
            }
        })
    });

    let (reloads, answered) = (Arc::clone(&world), Arc::clone(&served));
    let before = tokio::task::spawn_blocking(move || {
        let mut before = 0;
        for number in 0..all {
            let text = setting.configuration(number / 2);
            if number % 20 == 0 {
                authority.issue(&place, "server", &Wanted::server(&["api.example.com"]));
            }
            if number % 2 == 0 {
                // What was drained a moment ago may still be in the way of the listener that comes and goes.
                let begun = Instant::now();
                while let Err(error) = reloads.reload(&text) {
                    assert!(matches!(error, ReloadError::Bind(_)) && begun.elapsed() < PATIENCE, "{error}");
                }
            } else {
                let broken = [
                    text.replace("path: /data", "path: data"),
                    text.replace("server.pem", "nothing.pem"),
                    text.replace("routes:", "routs:"),
                ];
                reloads.reload(&broken[number / 2 % 3]).unwrap_err();
            }
            let (begun, wanted) = (Instant::now(), answered.load(Ordering::Relaxed) + BETWEEN);
            while answered.load(Ordering::Relaxed) < wanted {
                assert!(begun.elapsed() < PATIENCE, "nobody is served");
                std::thread::sleep(Duration::from_millis(1));
            }
            reloads.records.forget();
            if number == all / WARM {
                before = memory();
            }
        }
        before
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let (served, protected) = (served.load(Ordering::Relaxed), protected.load(Ordering::Relaxed));
    assert!(protected > 0, "{protected} requests over TLS");

    // What was counted in any of them counts in the last one.
    let mut client = Client::connect(addresses[0]).await;
    let answer = ask(&mut client, "/data", ALWAYS).await;
    let limit = answer.field("ratelimit").to_owned();
    let left = limit.split("r=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    let (left, counted) = (left.parse::<u64>().unwrap(), counted.load(Ordering::Relaxed) + 1);
    // So many are given back in the time since it began.
    let given_back = begun_all.elapsed().as_secs() * KEPT / (24 * 3600) + 2;
    assert!(counted > 2 * given_back, "{counted} requests are too few to see that they count");
    let expected = KEPT - counted..=KEPT - counted + given_back;
    assert!(expected.contains(&left), "{limit} after {counted} requests, {given_back} given back");

    // Nothing holds a configuration that is gone.
    let begun = Instant::now();
    while world.reloader().retiring() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} old configurations are kept", world.reloader().retiring());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.records.forget();
    let after = memory();
    println!(
        "{all} reloads, {served} requests and {protected} over TLS, {} connections to a listener that was not there; \
         {before} KiB after {} reloads, {after} KiB at the end, in {:.1} s",
        refused_connections.load(Ordering::Relaxed),
        all / WARM,
        begun_all.elapsed().as_secs_f64(),
    );
    assert!(after < before + SLACK, "{before} KiB became {after} KiB");
}
