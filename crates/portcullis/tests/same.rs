//! One decision path: a gateway over a socket, `explain` and `test` say the same of the same request.
//!
//! Random plans, random requests: each is sent to a gateway that serves, and judged in this process in the ways in which the
//! commands do it. Status and code must be the same. Ten thousand by default; `SAME_REQUESTS` says another number.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use portcullis::judge::{Bench, Decision, Judge, Request, Tracing, Verdict};
use portcullis::load::Context;
use portcullis::prove::Rehearsal;
use portcullis::{Gateway, Loaded, Record, RecordSink, State};
use portcullis_core::{Outcome, Plan};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A small generator, so that a failure can be had again by its number.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const KEYS: [&str; 3] = ["alice-key-0123456789", "bob-key-0123456789xx", "carol-key-0123456789"];

/// A plan of random sections and routes.
fn document(dice: &mut Dice, upstream: SocketAddr) -> String {
    let mut sections = vec![
        dice.one(&[
            "authentication: { type: api_key }",
            "authentication: { type: api_key, header: x-token }",
            "authentication: { type: api_key, query: key }",
            "authentication: { type: api_key, cookie: key }",
            "authentication: { any: [{ type: api_key }, { type: api_key, header: x-token }] }",
            "authentication: { all: [{ type: api_key }, { type: api_key, header: x-token }] }",
            "authentication: { type: api_key, mode: observe }",
        ])
        .to_owned(),
    ];
    for (percent, choices) in [
        (
            60,
            &[
                "authorization: { roles_allowed: [user] }",
                "authorization: { roles_allowed: [admin, user], scopes_required: [read] }",
                "authorization: { condition: 'principal.name == \"alice\" || request.method == \"GET\"' }",
                "authorization: { roles_allowed: [admin], mode: observe }",
            ][..],
        ),
        (
            50,
            &[
                "rate_limiting: { max_requests: 30, per: day }",
                "rate_limiting: { max_requests: 9, per: day, by: route }",
                "rate_limiting: [{ max_requests: 60, per: day, by: address }, { max_requests: 20, per: day, burst: 4, name: b }]",
            ][..],
        ),
        (30, &["body: { max_size: 5B }", "body: { max_size: 1KiB }"][..]),
        (
            20,
            &[
                "addresses: { deny: [127.0.0.0/8] }",
                "addresses: { allow: [127.0.0.1] }",
                "addresses: { allow: [192.0.2.0/24], mode: observe }",
            ][..],
        ),
        (
            20,
            &[
                "validation: { schema: { type: object, required: [a], properties: { a: { type: integer } } } }",
            ][..],
        ),
        (15, &["cors: { origins: [\"https://app.example.com\"] }"][..]),
        (8, &["waf: { paranoia: 1 }", "waf: { mode: observe }"][..]),
        (
            20,
            &[
                "quota: { max_requests: 40, per: day }",
                "quota: { max_requests: 15, per: month, by: address }",
            ][..],
        ),
        (15, &["concurrency: { max_requests: 50 }", "concurrency: { max_requests: 1, by: route }"][..]),
        (10, &["strict_errors: false"][..]),
        (10, &["identity_token: { issuer: \"https://api.example.com\", audience: orders }"][..]),
    ] {
        if dice.chance(percent) {
            sections.push(dice.one(choices).to_owned());
        }
    }
    let mut routes = String::new();
    for path in ["/a", "/a/{id}", "/b/{*rest}", "/c", "/Admin"] {
        if path != "/a" && dice.chance(30) {
            continue;
        }
        let more = dice.one(&[
            "",
            "methods: [GET], ",
            "methods: [POST, PUT], ",
            "public: a test, ",
            "hosts: [api.example.com], ",
            "security: { rate_limiting: { max_requests: 3, per: day } }, ",
            "rewrite: { path: /elsewhere }, ",
            "match: { headers: { x-version: \"2\" } }, ",
            "match: { query: { x: \"*\" } }, methods: [GET], ",
            "request_headers: { set: { x-env: prod }, remove: [x-long] }, ",
            "response_headers: { set: { cache-control: no-store } }, ",
            "preserve_host: true, ",
            "EXTERNAL, ",
            "encoded_paths: { slash: keep, semicolon: keep }, ",
        ]);
        // A policy server says yes by its status.
        let external = format!(
            "security: {{ authorization: {{ external: {{ url: \"http://{upstream}/policy\", form: forward_auth }} }} }}"
        );
        let more = more.replace("EXTERNAL", &external);
        let to = if dice.chance(30) { "group".to_owned() } else { format!("\"http://{upstream}\"") };
        routes.push_str(&format!("  - {{ path: \"{path}\", {more}upstream: {to} }}\n"));
    }
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\nbrute_force: {{ mode: off }}\noutbound: {{ allow: [127.0.0.0/8] }}\nupstreams: {{ group: {{ servers: [\"http://{upstream}\"] }} }}\n{}\
         security: {{ {} }}\nconsumers:\n  - {{ name: alice, roles: [user], scopes: [read], keys: [{}] }}\n  \
         - {{ name: bob, roles: [admin], keys: [{}] }}\n  - {{ name: carol, keys: [{{ literal: {}, expires: \"2020-01-01T00:00:00Z\" }}] }}\nroutes:\n{routes}",
        dice.one(&[
            "",
            "limits: { max_header_fields: 9 }\n",
            "request_headers: { method_override: apply }\n",
            "trusted_proxies: [127.0.0.1]\n"
        ]),
        sections.join(", "),
        KEYS[0],
        KEYS[1],
        KEYS[2],
    )
}

fn request(dice: &mut Dice) -> Request {
    let target = dice.one(&[
        "/a",
        "/a",
        "/a",
        "/a/7",
        "/b/x/y",
        "/c",
        "/d",
        "/",
        "/a/../c",
        "//a",
        "/a/",
        "/A",
        "/%61",
        "/a%2fb",
        "/b/a;x=1",
        "/b/%2e%2e/a",
        "/admin",
        "/ADMIN",
        "/a?key=alice-key-0123456789",
        "/a?key=bob-key-0123456789xx&key=x",
        "/c?x=%zz",
        "/a#x",
        "*",
        "/b//x",
        "/a%00",
        "http://api.example.com/a",
        "/a/%252e",
        "/a\\b",
        "/b/x%2Fy",
        "/a?x=1&y=2",
        "/a?q=%3cscript%3ealert(1)%3c/script%3e",
    ]);
    let method =
        dice.one(&["GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "FOO", "get"]);
    let mut request = Request::new(method, target);
    request.headers = vec![(
        "Host".to_owned(),
        dice.one(&["api.example.com", "api.example.com", "other.example", "a b", "127.0.0.1:80"]).to_owned(),
    )];
    for name in ["x-api-key", "X-Token", "x-api-key", "Cookie"] {
        if dice.chance(45) {
            let key = dice.one(&[KEYS[0], KEYS[0], KEYS[0], KEYS[1], KEYS[2], "nobodys-key", ""]);
            let value = if name == "Cookie" { format!("key={key}") } else { key.to_owned() };
            request.headers.push((name.to_owned(), value));
        }
    }
    for (name, value) in [
        ("x_api_key", KEYS[0]),
        ("X-Consumer-Name", "root"),
        ("X-Forwarded-For", "192.0.2.9"),
        ("X-Forwarded-For", "nonsense"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("Transfer-Encoding", "gzip"),
        ("Content-Length", "3"),
        ("Upgrade", "websocket"),
        ("X-Version", "2"),
        ("X-Version", "3"),
        ("Connection", "x-api-key"),
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "GET"),
        ("Content-Type", "application/json"),
        ("Content-Type", "text/plain"),
        ("Host", "second.example"),
        ("X-Long", "yyyyyyyyyyyyyyyy"),
    ] {
        if dice.chance(6) {
            request.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    if dice.chance(30) {
        request.body =
            dice.one(&["{\"a\":1}", "{\"a\":\"x\"}", "{", "12345", "123456", "{\"a\":1,\"a\":2}"]).into();
        if dice.chance(70) {
            request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
    }
    request.client = "127.0.0.1".parse().unwrap();
    request
}

/// How every request ended: its code, or `forwarded`.
struct Ends(Sender<(SocketAddr, String)>);

impl RecordSink for Ends {
    fn write(&self, record: &Record, _: &Plan) {
        let end = match &record.outcome {
            Outcome::Refused(denial) => denial.code().as_str().to_owned(),
            Outcome::Served | Outcome::Failed(_) | Outcome::Aborted => "forwarded".to_owned(),
        };
        let _ = self.0.send((record.peer, end));
    }
}

fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Answers whatever comes, and closes.
fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    let mut read = 0;
    while let Ok(more) = stream.read(&mut buffer[read..]) {
        read += more;
        if more == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&buffer[..read]).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = match length {
            Some(length) => body.len() >= length.trim().parse::<usize>().unwrap(),
            None => !head.contains("transfer-encoding") || body.ends_with("0\r\n\r\n"),
        };
        if whole {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            return;
        }
    }
}

/// Sends a request and waits for its record.
fn sent(gateway: SocketAddr, request: &Request, ends: &Receiver<(SocketAddr, String)>) -> String {
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut bytes = request.head_bytes();
    bytes.extend_from_slice(&request.body);
    stream.write_all(&bytes).unwrap();
    // What would be waited for and never comes is a body that is cut off.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let own = stream.local_addr().unwrap();
    loop {
        // What follows a request on its connection has a record too.
        let (peer, end) = ends.recv_timeout(Duration::from_secs(10)).unwrap();
        if peer == own {
            return end;
        }
    }
}

fn judged(verdict: &Verdict) -> String {
    match &verdict.decision {
        Decision::Forwarded(_) => "forwarded".to_owned(),
        Decision::Refused(refusal) => refusal.code.to_owned(),
        Decision::Unknown { because } => format!("unknown: {because}"),
    }
}

#[test]
fn server_explain_and_test_say_the_same() {
    let total: usize = std::env::var("SAME_REQUESTS").map_or(10_000, |number| number.parse().unwrap());
    let per_plan = 200;
    let upstream = backend();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (mut asked, mut forwarded, mut unknown) = (0, 0, 0);
    let mut number = 0;
    while asked < total {
        number += 1;
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number));
        let text = document(&mut dice, upstream);
        let read =
            |state: &State| Loaded::yaml_with("same.yaml", text.clone(), Context::for_file("."), state);
        let benches = [Bench::new(), Bench::new()];
        let loaded = read(benches[0].state());
        let Some((blueprint, loaded)) = loaded.take_blueprint() else {
            // Some sections do not go together, such as a method that a public route asks for.
            continue;
        };
        let explains = Judge::new(blueprint, &benches[0], Tracing::Checks).unwrap();
        let replays = read(benches[1].state()).into_blueprint().unwrap();
        let replays = Judge::new(replays, &benches[1], Tracing::Decision).unwrap();
        let tests = Rehearsal::of(&loaded).unwrap();
        let (records, ends) = channel();
        let running = Gateway::new(read(&State::new()).into_blueprint().unwrap());
        let running = running.with_sink(Arc::new(Ends(records))).start().unwrap();
        let gateway = running.addresses()[0];
        for _ in 0..per_plan.min(total - asked) {
            let request = request(&mut dice);
            let answers = [
                judged(&explains.decide(&request)),
                judged(&replays.decide(&request)),
                judged(&tests.decide(&request)),
            ];
            let served = sent(gateway, &request, &ends);
            // What would have to be asked of a policy server is not asked by `explain`, which says so.
            let open = |answer: &String| answer.starts_with("unknown") && text.contains("external:");
            assert!(
                answers.iter().all(|answer| *answer == served || open(answer)),
                "plan {number}: the server says {served}, the others {answers:?} of {request:?}\n{text}"
            );
            asked += 1;
            unknown += usize::from(open(&answers[0]));
            forwarded += usize::from(served == "forwarded");
        }
        running.shutdown();
        runtime.block_on(running.finished());
    }
    println!(
        "{asked} requests over {number} plans, {forwarded} of them forwarded, {unknown} unknown to explain"
    );
    assert!(unknown < asked / 10, "too much is unknown");
    assert!(forwarded > asked / 50, "hardly anything passes, so little is shown");
}
