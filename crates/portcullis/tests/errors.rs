//! Every refusal that can be brought about from outside: what the client is told, and what the record is.
//!
//! The client learns the status and what it must know to do better. Why exactly is in the record: all answers of one status
//! are the same but for their request id, so nobody learns whether a key exists, has expired or was sent twice.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
mod support;

use portcullis_core::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use support::{
    ADMIN_KEY, Answer, Backend, Client, EXPIRED_KEY, OTHER_KEY, Reply, USER_KEY, World, faults_of_refusal,
    leaks,
};

/// What the backend would like to tell everybody.
const STACK_TRACE: &str = "Traceback: /srv/app/secret.py line 7, db password hunter2";

/// Codes that nobody outside can bring about: a handler, or the gateway itself, must fail.
const INTERNAL: [&str; 2] = ["handler_failed", "fault"];

/// The text of the tests beside this one and of the front, which name the codes of what needs more than a request.
fn other_tests() -> String {
    fn read(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("errors.rs") {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    for tests in ["tests", "../portcullis-proxy/tests", "../portcullis-cli/tests"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(tests), &mut text);
    }
    text
}

struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    /// `None` where the connection is closed without an answer.
    status: Option<u16>,
    code: &'static str,
    check: Option<&'static str>,
    from: &'static str,
    /// Which of the gateway's addresses.
    listener: usize,
}

fn document(backend: SocketAddr, nobody: SocketAddr) -> String {
    let consumers = support::consumers();
    format!(
        r#"
listeners:
  - {{ bind: "127.0.0.1:0" }}
  - {{ bind: "127.0.0.1:0", timeouts: {{ header: 300ms, body: 300ms }} }}
workers: 2
trusted_proxies: [127.0.0.9]
security:
  authentication: {{ type: api_key, header: x-api-key }}
  authorization: {{ roles_allowed: [admin] }}
  body: {{ max_size: 1KiB }}
{consumers}
routes:
  - {{ path: /admin, upstream: "http://{backend}" }}
  - {{ path: /open, public: "a test", methods: [GET, POST], upstream: "http://{backend}" }}
  - {{ path: /nobody, public: "a test", upstream: "http://{nobody}" }}
  - {{ path: "/backend/{{*rest}}", public: "a test", upstream: {{ url: "http://{backend}", response_timeout: 300ms }} }}
  - path: /walled
    public: "a test"
    security: {{ addresses: {{ allow: [10.0.0.0/8] }} }}
    upstream: "http://{backend}"
  - path: /denied
    public: "a test"
    security: {{ addresses: {{ deny: [127.0.0.0/8] }} }}
    upstream: "http://{backend}"
  - path: /graphql
    public: "a test"
    security: {{ graphql: {{ }}, strict_errors: false }}
    upstream: "http://{backend}"
  - path: /once
    public: "a test"
    security: {{ rate_limiting: {{ max_requests: 1, per: day, name: once }} }}
    upstream: "http://{backend}"
"#
    )
}

fn request(method: &str, target: &str, lines: &[&str], body: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n{body}")
}

fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name, bytes: String, status: u16, code, check| {
        let status = Some(status).filter(|status| *status != 0);
        rows.push(Row { name, bytes: bytes.into(), status, code, check, from: "127.0.0.1", listener: 0 });
        rows.len() - 1
    };
    let get = |target: &str, lines: &[&str]| request("GET", target, lines, "");
    let (admin, user) = (format!("X-Api-Key: {ADMIN_KEY}"), format!("X-Api-Key: {USER_KEY}"));
    let key = |key: &str| format!("X-Api-Key: {key}");

    add("not HTTP", "garbage\r\n\r\n".into(), 400, "malformed_request", None);
    add("CONNECT", get("a.example:80", &[&admin]).replace("GET", "CONNECT"), 400, "target_form", None);
    add("a foreign scheme", get("ftp://a.example/open", &[&admin]), 400, "target_form", None);
    add("dots", get("/open/../admin", &[&admin]), 400, "ambiguous_path", None);
    add("a broken query", get("/open?a=%zz", &[&admin]), 400, "malformed_query", None);
    add("no host", "GET /open HTTP/1.1\r\n\r\n".into(), 400, "ambiguous_host", None);
    add("two hosts", get("/open", &["Host: b.example"]), 400, "ambiguous_host", None);
    add(
        "two codings",
        request("POST", "/open", &["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n"),
        400,
        "ambiguous_framing",
        None,
    );
    add("an alias", get("/admin", &[&format!("X_Api_Key: {ADMIN_KEY}")]), 400, "ambiguous_header", None);
    add("a named field", get("/admin", &[&admin, "Connection: x-api-key"]), 400, "ambiguous_header", None);
    let proxy =
        add("a proxy's nonsense", get("/open", &["X-Forwarded-For: nobody"]), 400, "forwarded_address", None);
    add(
        "an upgrade",
        get("/open", &["Connection: upgrade", "Upgrade: websocket"]),
        400,
        "upgrade_refused",
        None,
    );
    let te = "Transfer-Encoding: chunked";
    add("a broken body", request("POST", "/open", &[te], "zz\r\n"), 400, "body_malformed", None);

    let authentication = Some("authn.api_key");
    add("no key", get("/admin", &[]), 401, "credential_missing", authentication);
    add(
        "a wrong key",
        get("/admin", &[&key("adm-0000000000000000")]),
        401,
        "credential_unknown",
        authentication,
    );
    add("two keys", get("/admin", &[&admin, &admin]), 401, "credential_repeated", authentication);
    add("an expired key", get("/admin", &[&key(EXPIRED_KEY)]), 401, "credential_expired", authentication);
    add("an empty key", get("/admin", &["X-Api-Key:"]), 401, "credential_malformed", authentication);
    add("a long key", get("/admin", &[&key(&"k".repeat(600))]), 401, "credential_malformed", authentication);
    add(
        "two keys in one",
        get("/admin", &[&format!("{admin}, {USER_KEY}")]),
        401,
        "credential_unknown",
        authentication,
    );

    add("another role", get("/admin", &[&user]), 403, "role_missing", Some("authz.roles"));
    add(
        "another consumer's role",
        get("/admin", &[&key(OTHER_KEY)]),
        403,
        "role_missing",
        Some("authz.roles"),
    );
    add("not on the list", get("/walled", &[&admin]), 403, "address_refused", Some("screen.addresses"));
    add("on the list", get("/denied", &[&admin]), 403, "address_refused", Some("screen.addresses"));

    add("no route", get("/nowhere", &[&admin]), 404, "route_not_found", None);
    add("no route without a key", get("/nowhere", &[]), 404, "route_not_found", None);
    add("another method", request("DELETE", "/open", &[&admin], ""), 405, "method_not_allowed", None);
    add("an unknown method", request("BREW", "/open", &[&admin], ""), 405, "method_not_allowed", None);
    let body = "b".repeat(1025);
    add(
        "an announced body",
        request("POST", "/open", &[&admin, "Content-Length: 1025"], &body),
        413,
        "body_too_large",
        Some("inspect.body_size"),
    );
    add(
        "a body of a terabyte",
        request("POST", "/open", &[&admin, "Content-Length: 1099511627776"], ""),
        413,
        "body_too_large",
        Some("inspect.body_size"),
    );
    add(
        "a chunked body",
        request("POST", "/open", &[&admin, te], &format!("401\r\n{body}\r\n0\r\n\r\n")),
        413,
        "body_too_large",
        None,
    );
    add(
        "a long target",
        get(&format!("/open?{}", "a".repeat(9000)), &[&admin]),
        414,
        "target_too_long",
        None,
    );
    let large = format!("X-A: {}", "a".repeat(7000));
    add("a large field", get("/open", &[&format!("X-A: {}", "a".repeat(9000))]), 431, "head_too_large", None);
    add("many large fields", get("/open", &[large.as_str(); 6]), 431, "head_too_large", None);
    add("one too many", get("/once", &[&user]), 429, "rate_limited", Some("quota.rate_limit"));

    let graphql = Some("inspect.graphql");
    let post = |kind: &str, document: &str| {
        let length = format!("Content-Length: {}", document.len());
        request("POST", "/graphql", &[&format!("Content-Type: {kind}"), &length], document)
    };
    add("no GraphQL", post("application/graphql", "{"), 400, "content_malformed", graphql);
    add("a subscription", post("application/graphql", "subscription{a}"), 400, "graphql_refused", graphql);
    add("a form", post("text/plain", "{a}"), 415, "media_type_refused", graphql);
    let with_body = post("application/json", "{}").replace("POST /graphql", "GET /graphql?query={a}");
    add("a body with GET", with_body, 400, "request_invalid", graphql);

    add("nobody there", get("/nobody", &[&admin]), 502, "upstream_unreachable", None);
    add("no answer", get("/backend/close", &[&admin]), 502, "upstream_closed", None);
    add("an answer that is not HTTP", get("/backend/junk", &[&admin]), 502, "upstream_malformed", None);
    add("an answer in another coding", get("/backend/coding", &[&admin]), 502, "upstream_malformed", None);
    add("a slow answer", get("/backend/slow", &[&admin]), 504, "upstream_timeout", None);
    add("a failure", get("/backend/fail", &[&admin]), 500, "upstream_failed", None);
    add("a failure of another kind", get("/backend/busy", &[&admin]), 503, "upstream_failed", None);

    let slow_head = add("half a head", "GET /open HTTP/1.1\r\nHost: a".into(), 0, "head_timeout", None);
    let slow_body = add(
        "half a body",
        request("POST", "/open", &["Content-Length: 9"], "half"),
        408,
        "body_timeout",
        None,
    );
    rows[proxy].from = "127.0.0.9";
    rows[slow_head].listener = 1;
    rows[slow_body].listener = 1;
    rows
}

/// The fields that an answer of this status must have, and no other may.
fn mandatory(status: u16) -> BTreeSet<&'static str> {
    BTreeSet::from_iter(match status {
        401 => vec!["www-authenticate"],
        405 => vec!["allow"],
        429 => vec!["retry-after", "ratelimit", "ratelimit-policy"],
        _ => vec![],
    })
}

fn judge_fields(answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    let advice = ["www-authenticate", "allow", "retry-after", "ratelimit", "ratelimit-policy"];
    let there: BTreeSet<&str> = advice.into_iter().filter(|name| !answer.fields(name).is_empty()).collect();
    if there != mandatory(answer.status) {
        faults.push(format!("it has {there:?}, not {:?}", mandatory(answer.status)));
    }
    let mut wanted = |name: &str, value: &str| {
        if answer.fields(name) != [value] {
            faults.push(format!("{name} is {:?}", answer.fields(name)));
        }
    };
    match answer.status {
        401 => wanted("www-authenticate", "ApiKey"),
        405 => wanted("allow", "GET, HEAD, POST"),
        429 => {
            wanted("ratelimit-policy", "\"once\";q=1;w=86400");
            let retry: u64 = answer.field("retry-after").parse().unwrap();
            if !(1..=86_400).contains(&retry) {
                faults.push(format!("retry-after is {retry}"));
            }
        }
        _ => {}
    }
    for name in ["server", "via", "x-powered-by"] {
        if !answer.fields(name).is_empty() {
            faults.push(format!("it has {name}"));
        }
    }
    faults
}

/// An answer without what differs from one request to the next. `Connection: close` depends on what the client has left
/// to send, which the client knows, and not on why it was refused.
fn shape(answer: &Answer) -> String {
    let id = answer.field("x-request-id");
    let varying = ["date", "x-request-id", "retry-after", "ratelimit", "connection"];
    let head: Vec<_> = answer.head().iter().filter(|(name, _)| !varying.contains(&name.as_str())).collect();
    format!("{head:?} {}", String::from_utf8_lossy(&answer.body).replace(id, "ID"))
}

fn backend_reply(target: &str) -> Reply {
    let revealing = "Server: Apache/2.2 (secret)\r\nX-Powered-By: PHP/5.3 (secret)\r\n";
    match target {
        "/backend/close" => Reply::Close,
        "/backend/slow" => Reply::Silence,
        "/backend/junk" => Reply::Bytes(format!("{STACK_TRACE}\r\n\r\n").into_bytes()),
        "/backend/coding" => {
            Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nsecret".to_vec())
        }
        "/backend/fail" => Reply::with("500 Internal secret", revealing, STACK_TRACE),
        "/backend/busy" => Reply::with("503 Busy with secret", revealing, STACK_TRACE),
        _ => Reply::ok(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_tells_the_client_what_it_must_know_and_the_record_why() {
    let backend = Backend::answering(|seen| backend_reply(&seen.target)).await;
    // The port stays bound and nobody listens: a connection is refused, and no other test can come to listen there.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let world = World::start(&document(backend.address, nobody.local_addr().unwrap()));
    let mut first = Client::connect(world.address).await;
    assert_eq!(first.ask(&request("GET", "/once", &[], "")).await.status, 200);

    let rows = table();
    let mut clients = Vec::new();
    for row in &rows {
        let mut client = Client::connect_from(row.from, world.addresses[row.listener]).await;
        client.send(&row.bytes).await;
        clients.push(client);
    }
    let mut answers = Vec::new();
    for client in &mut clients {
        answers.push(client.answer(false).await);
    }
    let records = world.end().await;
    let (upstream, unreachable) = (backend.address.to_string(), nobody.local_addr().unwrap().to_string());
    let keys = [ADMIN_KEY, USER_KEY, OTHER_KEY, EXPIRED_KEY, "adm-0000000000000000", "kkkkkkkk"];
    let secrets = [&keys[..], &[&upstream, &unreachable, "secret", "hunter2", "traceback"]].concat();

    let mut failures = Vec::new();
    let mut shapes: BTreeMap<u16, (&str, String)> = BTreeMap::new();
    for ((row, client), answer) in rows.iter().zip(&clients).zip(&answers) {
        let mut faults = Vec::new();
        if answer.as_ref().map(|answer| answer.status) != row.status {
            faults.push(format!("answered with {:?}", answer.as_ref().map(|answer| answer.status)));
        }
        if let Some(answer) = answer {
            faults.extend(faults_of_refusal(answer));
            faults.extend(leaks(answer, &secrets));
            // What nobody could parse is answered without any of this.
            if !answer.body.is_empty() {
                faults.extend(judge_fields(answer));
                let (name, first) = shapes.entry(answer.status).or_insert_with(|| (row.name, shape(answer)));
                if *first != shape(answer) {
                    faults.push(format!("it differs from {name:?}:\n  {first}\n  {}", shape(answer)));
                }
            }
        }
        let of_row = records.of(client.address);
        match &of_row[..] {
            [record] => {
                let denied = &record["denied"];
                let check = denied["check"].as_str();
                if denied["code"] != row.code || check != row.check {
                    faults.push(format!("the record says {denied}"));
                }
                if record["status"].as_u64() != row.status.map(u64::from) {
                    faults.push(format!("the record has the status {}", record["status"]));
                }
                let failed = row.code.starts_with("upstream")
                    || row.code.starts_with("body_malformed")
                    || row.code == "body_timeout";
                let chunked = row.name == "a chunked body";
                let outcome = if failed || chunked { "failed" } else { "refused" };
                if record["outcome"] != outcome {
                    faults.push(format!("the record says {}", record["outcome"]));
                }
                if let Some(answer) = answer.as_ref().filter(|answer| !answer.body.is_empty())
                    && record["request_id"] != answer.field("x-request-id")
                {
                    faults.push("the record has another request id".to_owned());
                }
            }
            other => faults.push(format!("{} records", other.len())),
        }
        failures.extend(faults.into_iter().map(|fault| format!("{}: {fault}", row.name)));
    }
    for line in records.lines() {
        failures.extend(keys.iter().filter(|key| line.contains(**key)).map(|key| format!("{key} in {line}")));
        if line.trim_end_matches('\n').contains(|c: char| !(' '..='~').contains(&c)) {
            failures.push(format!("control characters in {line:?}"));
        }
    }
    let tried: BTreeSet<&str> = rows.iter().map(|row| row.code).chain(INTERNAL).collect();
    let elsewhere = other_tests();
    for code in Code::ALL {
        let names =
            [format!("Code::{code:?}"), format!("{:?}", code.as_str()), format!("\\\"{}\\\"", code.as_str())];
        if !tried.contains(code.as_str()) && !names.iter().any(|name| elsewhere.contains(name)) {
            failures.push(format!("no row here, and no other test, brings {code} about"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} faults in {} rows:\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n")
    );
}
