//! What arrives at the upstream, and what comes back.

use crate::common::*;
use portcullis_core::Outcome;
use portcullis_proxy::{Target, Upstream};

#[test]
fn a_get_goes_there_and_comes_back() {
    let backend =
        Backend::answering("HTTP/1.1 200 Fine, thanks\r\nContent-Length: 2\r\nX-Own: yes\r\n\r\nok");
    let front = Front::before(backend.target());
    let answer =
        front.ask("GET /a/b?c=d HTTP/1.1\r\nHost: API.example\r\nAccept: */*\r\nX-Key: good\r\n\r\n");
    assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    assert_eq!((answer.text(), answer.field("x-own")), ("ok", Some("yes")));
    let seen = &backend.seen()[0];
    assert_eq!(seen.line(), "GET /a/b?c=d HTTP/1.1");
    assert_eq!(seen.field("host"), Some(backend.address.to_string().as_str()));
    assert_eq!(seen.field("accept"), Some("*/*"));
    assert_eq!(seen.field("x-key"), None);
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-request-id"), answer.field("x-request-id"));
    assert_eq!((seen.field("content-length"), seen.field("transfer-encoding")), (None, None));
    let record = front.records.one();
    assert_eq!(
        (record.outcome, record.status, record.upstream_status),
        (Outcome::Served, Some(200), Some(200))
    );
    assert_eq!((record.sent, record.received), (2, 0));
}

#[test]
fn a_base_path_comes_before_every_path() {
    let backend = Backend::answering(OK);
    let front = Front::before(Target::Upstream(Upstream { base_path: "/v1".into(), ..backend.upstream() }));
    assert_eq!(front.ask(&get("/a?b")).status, 200);
    assert_eq!(backend.seen()[0].line(), "GET /v1/a?b HTTP/1.1");
}

#[test]
fn an_answer_does_not_name_the_upstream() {
    let backend = Backend::new(|peer| {
        while peer.request().is_some() {
            let own = peer.stream.get_ref().local_addr().unwrap();
            peer.send(&format!(
                "HTTP/1.1 302 Found\r\nLocation: http://{own}/v1/next?a\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    });
    let front = Front::before(Target::Upstream(Upstream { base_path: "/v1".into(), ..backend.upstream() }));
    assert_eq!(front.ask(&get("/a")).field("location"), Some("/next?a"));
}

#[test]
fn bodies_go_both_ways_in_both_framings() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&post("/a", "hello"));
    assert_eq!(client.answer().text(), "hello");
    for method in ["POST", "GET", "DELETE"] {
        client.send(&format!("{method} /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"));
        assert_eq!(client.answer().text(), "hello", "{method}");
    }
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().text(), "");
    let seen = backend.seen();
    assert_eq!((seen[0].field("content-length"), seen[0].field("transfer-encoding")), (Some("5"), None));
    for chunked in &seen[1..4] {
        assert_eq!(
            (chunked.field("content-length"), chunked.field("transfer-encoding")),
            (None, Some("chunked"))
        );
    }
    let records = front.records.wait(5);
    assert!(records.iter().all(|record| record.outcome == Outcome::Served));
    assert!(records[..4].iter().all(|record| (record.sent, record.received) == (5, 5)), "{records:?}");
}

#[test]
fn a_chunked_answer_stays_one_and_trailers_are_dropped() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-secret\r\n\r\n2\r\nok\r\n0\r\nX-Secret: 1\r\n\r\n",
    );
    let front = Front::before(backend.target());
    let mut client = front.client();
    for _ in 0..2 {
        client.send("GET /a HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.text(), answer.field("transfer-encoding")), ("ok", Some("chunked")));
        assert_eq!(answer.field("trailer"), None);
    }
    assert_eq!(backend.seen()[0].field("te"), None);
    assert!(front.records.wait(2).iter().all(|record| record.outcome == Outcome::Served && record.sent == 2));
}

#[test]
fn connection_fields_stay_on_their_connection() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nServer: x/1.2\r\n\
         X-Powered-By: y\r\nX-Request-Id: forged\r\nX-Consumer-Name: eve\r\n\r\nok",
    );
    let front = Front::before(backend.target());
    let answer = front.ask(
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\
         X-Consumer-Name: admin\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    );
    for name in ["x-hop", "keep-alive", "server", "x-powered-by", "x-consumer-name", "connection"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_ne!(answer.field("x-request-id"), Some("forged"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    let seen = &backend.seen()[0];
    for name in ["connection", "keep-alive", "proxy-connection", "x-consumer-name"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn answers_without_a_body_have_none() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: x\r\n\r\n"),
    ] {
        let backend = Backend::answering(head);
        let front = Front::before(backend.target());
        let mut client = front.client();
        for _ in 0..2 {
            client.send(&format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.answer_to(method).unwrap();
        }
        assert!(
            front.records.wait(2).iter().all(|record| record.outcome == Outcome::Served && record.sent == 0)
        );
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&(post("/a", "one") + &get("/locked") + &post("/b", "three")));
    assert_eq!(client.answer().text(), "one");
    client.answer().assert_problem(401);
    assert_eq!(client.answer().text(), "three");
    assert_eq!(backend.seen().len(), 2);
    front.records.wait(3);
}

#[test]
fn expectations_are_met_only_where_a_body_is_wanted() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let head = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = front.client();
    client.send(&head("/a"));
    assert_eq!(client.answer_to("HEAD").unwrap().status, 100);
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(backend.seen()[0].field("expect"), None);
    client.send(&head("/locked"));
    client.answer().assert_problem(401);
    assert!(client.is_closed());
    front.records.wait(2);
}

#[test]
fn an_old_client_gets_an_answer_to_the_end_of_its_connection() {
    let backend =
        Backend::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let front = Front::before(backend.target());
    let answer = front.ask("GET /a HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(answer.head.starts_with("HTTP/1.0 200"), "{answer:?}");
    assert_eq!((answer.text(), answer.whole), ("ok", true));
}
