//! What is read from a client's connection of HTTP/1.1, and what becomes of the connection afterwards.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use std::io::Write;
use std::thread::sleep;

/// The body of a refused request comes a moment after its head: the client still sees its answer, and then either goes on
/// or sees the connection close in order.
#[test]
fn a_body_that_follows_a_refused_head_does_not_lose_the_answer() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    for (round, size) in [10, 8 * 1024, 9 * 1024, 100_000].into_iter().cycle().take(60).enumerate() {
        let mut client = front.client();
        client.send(&format!("POST /locked HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        // The time that a client takes to write again.
        sleep(ms(2));
        client.try_send(&vec![b'x'; size]);
        let answer =
            client.answer_to("POST").unwrap_or_else(|| panic!("no answer to {size} bytes in {round}"));
        answer.assert_problem(401);
        if answer.field("connection") != Some("close") {
            client.send(&get("/a"));
            assert_eq!(client.answer().text(), "ok", "{size}");
        }
    }
    assert!(backend.seen().iter().all(|seen| seen.line().starts_with("GET /a ")));
}

/// The same in chunks, whose end nobody can know.
#[test]
fn a_chunked_body_that_follows_a_refused_head_does_not_lose_the_answer() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    for _ in 0..20 {
        let mut client = front.client();
        client.send("POST /locked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        sleep(ms(2));
        client.try_send(b"5\r\nhello\r\n0\r\n\r\n");
        client.answer().assert_problem(401);
        assert!(client.is_closed());
    }
}

/// An upgrade that the upstream declines is a request like any other: the next one on the connection is answered.
#[test]
fn a_request_behind_a_declined_upgrade_is_answered() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    let mut client = front.client();
    let wish = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(&format!("{wish}{}{wish}{}", get("/a"), get("/b")));
    for _ in 0..4 {
        assert_eq!(client.answer().text(), "ok");
    }
    let targets: Vec<_> = backend.seen().iter().map(|seen| seen.line().to_owned()).collect();
    assert_eq!(targets, ["GET /ws HTTP/1.1", "GET /a HTTP/1.1", "GET /ws HTTP/1.1", "GET /b HTTP/1.1"]);
}

/// An offer to switch protocols counts only where `Connection` names it, and never in HTTP/1.0.
#[test]
fn an_upgrade_counts_only_with_its_option() {
    for head in [
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: tls/1.0\r\n\r\n",
        "GET /ws HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let backend = Backend::answering(OK);
        let front = Front::before(backend.target());
        assert_eq!(front.ask(head).text(), "ok", "{head:?}");
        let seen = backend.seen();
        assert_eq!((seen[0].field("upgrade"), seen[0].field("connection")), (None, None), "{head:?}");
    }
}

/// What nobody can parse is answered and recorded like every other refusal.
#[test]
fn what_is_no_request_gets_problem_details_and_one_record() {
    for (bytes, status, code) in [
        ("GET http://a/ HTTP/1.1\r\n\r\n", 400, Code::AmbiguousHost),
        ("GET /a HTTP/1.1\r\n\r\n", 400, Code::AmbiguousHost),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, Code::TargetForm),
        ("GET /a HTTP/1.1\nHost: a\n\n", 400, Code::MalformedRequest),
        ("GET /a\r\n", 400, Code::MalformedRequest),
        ("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400, Code::AmbiguousFraming),
        (
            "POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            Code::AmbiguousFraming,
        ),
        ("\u{16}\u{3}\u{1}\u{2}\0", 400, Code::MalformedRequest),
    ] {
        let backend = Backend::answering(OK);
        let front = Front::before(backend.target());
        let mut client = front.client();
        client.send(bytes);
        let answer = client.answer();
        answer.assert_problem(status);
        assert_eq!(answer.field("connection"), Some("close"), "{bytes:?}");
        assert!(client.is_closed());
        let record = front.records.one();
        assert_eq!((record.code(), record.status), (Some(code), Some(status)), "{bytes:?}");
        assert_eq!(record.sent, answer.body.len() as u64);
        assert_eq!(backend.connections(), 0);
    }
}

/// A body that ends with a bare LF has no end: what follows is neither its trailer nor a request.
#[test]
fn a_body_that_ends_with_a_bare_lf_swallows_no_request() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let mut client = front.client();
    let body = "5\r\nhello\r\n0\r\n\n";
    client.send(&format!(
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{}",
        get("/b")
    ));
    client.answer().assert_problem(400);
    assert!(client.is_closed());
    assert_eq!(front.records.one().code(), Some(Code::BodyMalformed));
    assert!(backend.seen().iter().all(|seen| !seen.line().contains("/b")));
}

/// Some clients send CRLF behind a body. It is no request, so it begins none, and has no deadline.
#[test]
fn an_empty_line_between_requests_is_nothing() {
    let backend = Backend::echo();
    let front = Front::with(backend.target(), |setup| setup.listener.timeouts.header = ms(150));
    let mut client = front.client();
    client.send(&post("/a", "hello"));
    client.send("\r\n");
    assert_eq!(client.answer().status, 200);
    // Longer than a head may take.
    sleep(ms(400));
    client.send(&get("/b"));
    assert_eq!(client.answer().status, 200);
    assert!(front.records.wait(2).iter().all(|record| record.outcome == Outcome::Served));
}

/// A client that sends byte by byte, or everything at once, is served alike.
#[test]
fn a_request_may_come_in_any_pieces() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let request = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n";
    let mut client = front.client();
    client.socket().set_nodelay(true).unwrap();
    for byte in request.as_bytes() {
        client.socket().write_all(&[*byte]).unwrap();
    }
    assert_eq!(client.answer().text(), "hello!");
    client.send(&request.repeat(20));
    for _ in 0..20 {
        assert_eq!(client.answer().text(), "hello!");
    }
}

/// A client that says it waits is told to go on once, and only if somebody wants the body.
#[test]
fn a_client_that_waits_is_told_to_go_on_once() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let told = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(client.read(told.len()), told.as_bytes());
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
    client.send("POST /locked HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = client.answer();
    answer.assert_problem(401);
    assert_eq!(answer.field("connection"), Some("close"));
    // In HTTP/1.0 there is no 100.
    let old = "POST /a HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(front.ask(old).text(), "hello");
}

/// HTTP/1.0 keeps a connection only where both say so, and knows no chunks.
#[test]
fn http_1_0_is_answered_in_its_own_way() {
    let backend =
        Backend::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("transfer-encoding")), ("ok", None));
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.is_closed());
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer().field("connection"), Some("keep-alive"));
    client.send("GET /a HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().field("connection"), Some("close"));
    assert!(client.is_closed());
}

/// A large answer in parts goes out whole, in the chunks in which it comes.
#[test]
fn large_answers_go_out_whole() {
    let large: &'static str = "0123456789abcdef".repeat(200_000).leak();
    let chunked: &'static str = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n2\r\nok\r\n0\r\n\r\n",
        large.len()
    )
    .leak();
    let length: &'static str =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}ok", large.len() + 2).leak();
    for answer in [chunked, length] {
        let backend = Backend::answering(answer);
        let front = Front::before(backend.target());
        let mut client = front.client();
        for _ in 0..2 {
            client.send(&get("/a"));
            let answer = client.answer();
            assert!(answer.whole && answer.body.len() == large.len() + 2 && answer.body.ends_with(b"ok"));
        }
    }
}

/// A client that reads slowly gets all of a large answer, with a length and in chunks.
#[test]
fn a_slow_reader_gets_its_whole_answer() {
    let size = 12_000_000;
    let part = "x".repeat(size);
    let chunked: &'static str =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{part}\r\n0\r\n\r\n")
            .leak();
    let length: &'static str = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{part}").leak();
    for answer in [length, chunked] {
        let backend = Backend::answering(answer);
        let front = Front::before(backend.target());
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8192).unwrap();
        socket.connect(&front.address.into()).unwrap();
        let mut client = Client::over(socket.into());
        for _ in 0..2 {
            client.send(&get("/a"));
            // By now nothing more fits into the sockets.
            sleep(ms(150));
            let answer = client.answer();
            assert!(answer.whole);
            assert_eq!(answer.body.len(), size);
        }
        assert!(front.records.wait(2).iter().all(|record| record.outcome == Outcome::Served));
    }
}
