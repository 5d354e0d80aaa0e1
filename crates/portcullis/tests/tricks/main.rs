//! What attackers send to be read in two ways, over real sockets, against a backend that records every byte.
//!
//! Each row says what the client must get and what the backend must see. Beside that, one law holds for every request that
//! a backend sees, whatever the row: however loosely the backend reads the path, whoever sent it may ask for what it reads;
//! it carries no credential, no field of the client's that only the gateway may set, and one framing. After a row whose
//! connection stays open a plain request is sent on it: bytes that were taken for another request, or an answer too many,
//! would show there.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod connections;
mod fields;
mod framing;
mod law;
mod paths;

use serde_json::Value;
use std::net::SocketAddr;
use support::{
    ADMIN_KEY, Answer, Backend, Client, EXPIRED_KEY, Seen, USER_KEY, World, faults_of_refusal, leaks,
};

/// What becomes of the connection after the answers of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Open,
    Closed,
}
use Then::{Closed, Open};

/// One trick.
struct Row {
    name: String,
    bytes: Vec<u8>,
    /// The statuses that come back, interim ones included.
    answers: Vec<u16>,
    then: Then,
    /// The complete requests that the backend sees: method and target.
    seen: Vec<String>,
    /// Whether the answers are those to HEAD.
    bodiless: bool,
    /// The records that it leaves: usually one for each final answer.
    records: usize,
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn row(
        &mut self,
        name: &str,
        bytes: impl Into<Vec<u8>>,
        answers: &[u16],
        then: Then,
        seen: &[&str],
    ) -> &mut Row {
        self.0.push(Row {
            name: name.to_owned(),
            bytes: bytes.into(),
            answers: answers.to_vec(),
            then,
            seen: seen.iter().map(|line| (*line).to_owned()).collect(),
            bodiless: false,
            records: answers.iter().filter(|status| **status >= 200).count(),
        });
        self.0.last_mut().unwrap()
    }

    /// A request that is refused on a connection that stays open, and that no backend sees.
    fn refused(&mut self, name: &str, bytes: impl Into<Vec<u8>>, status: u16) {
        self.row(name, bytes, &[status], Open, &[]);
    }

    /// A request that nobody can parse, so that its connection is closed.
    fn cut(&mut self, name: &str, bytes: impl Into<Vec<u8>>, status: u16) {
        self.row(name, bytes, &[status], Closed, &[]);
    }

    /// A request that is served, and what the backend sees of it.
    fn served(&mut self, name: &str, bytes: impl Into<Vec<u8>>, seen: &str) {
        self.row(name, bytes, &[200], Open, &[seen]);
    }
}

/// A request with these lines after `Host`.
fn request(method: &str, target: &str, lines: &[&str], body: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n{body}")
}

fn get(target: &str) -> String {
    request("GET", target, &[], "")
}

fn get_with(target: &str, lines: &[&str]) -> String {
    request("GET", target, lines, "")
}

fn admin() -> String {
    format!("X-Api-Key: {ADMIN_KEY}")
}

fn user() -> String {
    format!("X-Api-Key: {USER_KEY}")
}

/// A POST to `/data` by a user.
fn post(lines: &[&str], body: &str) -> String {
    let key = user();
    let lines: Vec<&str> = std::iter::once(key.as_str()).chain(lines.iter().copied()).collect();
    request("POST", "/data", &lines, body)
}

/// `request` with the raw bytes of `with` where it has `@`.
fn raw(request: &str, with: &[u8]) -> Vec<u8> {
    let (before, after) = request.split_once('@').unwrap();
    [before.as_bytes(), with, after.as_bytes()].concat()
}

fn document(backend: SocketAddr) -> String {
    let consumers = support::consumers();
    format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 2
security:
  authentication: {{ type: api_key, header: x-api-key }}
  authorization: {{ roles_allowed: [admin] }}
{consumers}
routes:
  - {{ path: /public, public: "a test", upstream: "http://{backend}" }}
  - {{ path: "/files/{{*rest}}", public: "a test", upstream: "http://{backend}" }}
  - {{ path: /admin, upstream: "http://{backend}" }}
  - {{ path: "/admin/{{*rest}}", upstream: "http://{backend}" }}
  - path: /data
    methods: [GET, POST]
    upstream: "http://{backend}"
    security: {{ authorization: {{ roles_allowed: [user, admin] }} }}
  - path: /ws
    upgrade: [websocket]
    upstream: "http://{backend}"
    security: {{ authorization: {{ roles_allowed: [user] }} }}
  - {{ path: /vhost, hosts: [a.example], public: "a test", upstream: "http://{backend}" }}
  - {{ path: /vhost, hosts: [b.example], upstream: "http://{backend}" }}
  - path: /q
    upstream: "http://{backend}"
    security: {{ authentication: {{ type: api_key, query: key }} }}
  - path: /c
    upstream: "http://{backend}"
    security: {{ authentication: {{ type: api_key, cookie: session }} }}
"#
    )
}

/// What came of a row.
struct Played {
    /// Kept open, so that no other row gets its address.
    client: Client,
    answers: Vec<Answer>,
    faults: Vec<String>,
}

async fn play(row: &Row, gateway: SocketAddr) -> Played {
    let mut client = Client::connect(gateway).await;
    let (mut answers, mut faults) = (Vec::new(), Vec::new());
    client.send(&row.bytes).await;
    for wanted in &row.answers {
        match next(&mut client, row.bodiless).await {
            Ok(answer) if answer.status == *wanted => answers.push(answer),
            other => {
                faults.push(format!("wanted {wanted}, got {}", told(other)));
                return Played { client, answers, faults };
            }
        }
    }
    if row.then == Open {
        client.send(PROBE.as_bytes()).await;
        match next(&mut client, false).await {
            Ok(answer) if answer.status == 200 => {}
            other => faults.push(format!("the next request on the connection got {}", told(other))),
        }
    }
    match next(&mut client, row.bodiless).await {
        Err("a closed connection") => {}
        other => faults.push(format!("after the last answer: {}", told(other))),
    }
    Played { client, answers, faults }
}

async fn next(client: &mut Client, bodiless: bool) -> Result<Answer, &'static str> {
    match tokio::time::timeout(support::PATIENCE / 4, client.answer(bodiless)).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("a closed connection"),
        Err(_) => Err("nothing"),
    }
}

fn told(answer: Result<Answer, &'static str>) -> String {
    answer.map_or_else(str::to_owned, |answer| answer.status.to_string())
}

const PROBE: &str = "GET /public?probe HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trick_reaches_a_backend() {
    let mut table = Table::default();
    paths::paths(&mut table);
    paths::targets_and_hosts(&mut table);
    framing::framing(&mut table);
    fields::fields(&mut table);
    connections::connections(&mut table);
    run(table).await;
}

/// PHP reads `Client-IP`, Java programs `Proxy-Client-IP`, and many read what the large networks in front of them set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_spoofed_under_no_name() {
    let mut table = Table::default();
    for name in [
        "Client-IP",
        "Proxy-Client-IP",
        "WL-Proxy-Client-IP",
        "HTTP-Client-IP",
        "HTTP-X-Forwarded-For",
        "CF-Connecting-IP",
        "CF-Connecting-IPv6",
        "Fastly-Client-IP",
        "X-Azure-ClientIP",
        "X-Azure-SocketIP",
        "X-Envoy-External-Address",
        "X-Envoy-Original-Path",
        "X-AppEngine-User-IP",
        "X-ProxyUser-IP",
        "X-Coming-From",
        "Client_IP",
    ] {
        table.served(name, get_with("/public", &[&format!("{name}: spoofed-9.9.9.9")]), "GET /public");
    }
    run(table).await;
}

/// lighttpd turns every other character of a field's name into `_` for CGI, FastCGI and SCGI; so did Apache before 2.4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_has_no_other_punctuation_either() {
    let mut table = Table::default();
    for mark in ["~", "!", "+", "|", "'", "$", "*", "^", "`", "&", "%", "#"] {
        let name = ["x", "consumer", "name"].join(mark);
        table.served(&name, get_with("/public", &[&format!("{name}: root")]), "GET /public");
        let name = ["x", "api", "key"].join(mark);
        table.refused(&name, get_with("/public", &[&format!("{name}: {ADMIN_KEY}")]), 400);
    }
    run(table).await;
}

/// Plays every row and judges all of it at the end, when every record is written.
async fn run(table: Table) {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address));
    let mut played = Vec::new();
    for row in &table.0 {
        played.push(play(row, world.address).await);
    }
    let records = world.end().await;
    let seen = backend.seen();
    let upstream = backend.address.to_string();
    let secrets = [ADMIN_KEY, USER_KEY, EXPIRED_KEY, upstream.as_str()];
    let by_id = |seen: &Seen| {
        let all = records.all();
        all.into_iter().find(|record| seen.fields("x-request-id") == [record["request_id"].as_str().unwrap()])
    };
    let mut all_seen: Vec<(Seen, Value)> = Vec::new();
    let mut failures = Vec::new();
    for seen in seen {
        match by_id(&seen) {
            Some(record) => all_seen.push((seen, record)),
            None => failures.push(format!("nobody's request: {}", seen.head.escape_ascii())),
        }
    }
    let mut names: Vec<&str> = table.0.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        failures.push(format!("two rows are called {:?}", pair[0]));
    }
    for (row, Played { client, answers, mut faults }) in table.0.iter().zip(played) {
        for answer in &answers {
            faults.extend(leaks(answer, &secrets));
            if answer.status >= 400 && !row.bodiless {
                faults.extend(faults_of_refusal(answer));
            }
        }
        let of_row = records.of(client.address);
        let probes = usize::from(row.then == Open);
        if of_row.len() != row.records + probes {
            faults.push(format!("{} records, not {}", of_row.len() - probes.min(of_row.len()), row.records));
        }
        let client = client.address.to_string();
        let mut reached = Vec::new();
        for (seen, record) in all_seen.iter().filter(|(_, record)| record["peer"] == client.as_str()) {
            faults.extend(law::breaches(seen, record));
            if seen.complete && seen.target != "/public?probe" {
                reached.push(seen.line());
            }
        }
        if reached != row.seen {
            faults.push(format!("the backend saw {reached:?}, not {:?}", row.seen));
        }
        failures.extend(faults.into_iter().map(|fault| format!("{}: {fault}", row.name)));
    }
    for line in records.lines() {
        for secret in [ADMIN_KEY, USER_KEY, EXPIRED_KEY] {
            if line.contains(secret) {
                failures.push(format!("a record holds a key: {line}"));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} faults in {} rows:\n{}",
        failures.len(),
        table.0.len(),
        failures.join("\n")
    );
}
