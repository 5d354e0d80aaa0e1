//! An upstream that is not there, or does not do what it should.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use portcullis_proxy::{Target, Upstream};
use std::net::TcpListener;
use std::sync::mpsc;

/// One request to an upstream that sends this and closes.
#[track_caller]
fn failing(answer: &'static str, status: u16, code: Code) -> Written {
    let backend = Backend::new(move |peer| {
        peer.request();
        peer.send(answer);
    });
    let front = Front::before(backend.target());
    front.ask(&get("/a")).assert_problem(status);
    let record = front.records.one();
    assert_eq!((record.code(), record.status), (Some(code), Some(status)), "{record:?}");
    assert!(matches!(record.outcome, Outcome::Failed(_)) && record.asked_upstream);
    record
}

#[test]
fn an_upstream_that_is_not_there_is_502() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for upstream in [Upstream::new(free.to_string()), Upstream::new("no-such-host.invalid:80")] {
        let front = Front::before(Target::Upstream(upstream));
        front.ask(&get("/a")).assert_problem(502);
        assert_eq!(front.records.one().code(), Some(Code::UpstreamUnreachable));
    }
}

#[test]
fn an_upstream_that_closes_before_its_answer_is_502() {
    failing("", 502, Code::UpstreamClosed);
    failing("HTTP/1.1 200 OK\r\nContent-Le", 502, Code::UpstreamClosed);
}

#[test]
fn an_upstream_that_does_not_speak_http_is_502() {
    failing("SSH-2.0-OpenSSH_9.2\r\n\r\n", 502, Code::UpstreamMalformed);
    failing("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502, Code::UpstreamMalformed);
    failing(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        502,
        Code::UpstreamMalformed,
    );
    failing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab", 502, Code::UpstreamMalformed);
    failing("HTTP/1.1 777 Odd\r\nContent-Length: 0\r\n\r\n", 502, Code::UpstreamMalformed);
    failing(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        502,
        Code::UpstreamMalformed,
    );
}

#[test]
fn a_response_head_without_end_is_502() {
    let backend = Backend::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nA: ");
        peer.send(&"a".repeat(160 * 1024));
        peer.until_closed();
    });
    let front = Front::before(backend.target());
    front.ask(&get("/a")).assert_problem(502);
    assert_eq!(front.records.one().code(), Some(Code::UpstreamMalformed));
}

#[test]
fn an_upstream_that_hangs_is_504() {
    let backend = Backend::new(|peer| {
        peer.request();
        peer.until_closed();
    });
    let front = Front::before(Target::Upstream(Upstream { response_timeout: ms(100), ..backend.upstream() }));
    let mut client = front.client();
    for count in 1..=2 {
        client.send(&get("/a"));
        client.answer().assert_problem(504);
        assert_eq!(front.records.wait(count)[count - 1].code(), Some(Code::UpstreamTimeout));
        // The connection with the unanswered request is not used again.
        assert_eq!(backend.connections(), count);
    }
}

#[test]
fn a_server_error_says_nothing_but_its_status() {
    let backend = Backend::answering(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\nContent-Length: 40\r\nSet-Cookie: a=1\r\n\r\n\
         Traceback: /srv/app/main.py, line 17, in",
    );
    let front = Front::before(backend.target());
    for count in 1..=2 {
        let answer = front.ask(&get("/a"));
        answer.assert_problem(500);
        assert!(!answer.text().contains("Traceback") && answer.field("set-cookie").is_none());
        let record = front.records.wait(count).remove(count - 1);
        assert_eq!((record.code(), record.upstream_status), (Some(Code::UpstreamFailed), Some(500)));
    }
    assert_eq!(backend.connections(), 1);
    let backend = Backend::answering("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy");
    let front = Front::before(backend.target());
    let answer = front.ask(&get("/a"));
    answer.assert_problem(503);
    assert_eq!(answer.field("retry-after"), Some("7"));
}

#[test]
fn an_answer_that_breaks_off_does_not_look_complete() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
    ] {
        for version in ["1.1", "1.0"] {
            let backend = Backend::new(move |peer| {
                peer.request();
                peer.send(answer);
            });
            let front = Front::before(backend.target());
            let mut client = front.client();
            client.send(&format!("GET /a HTTP/{version}\r\nHost: a\r\n\r\n"));
            // The cut may be faster than the head, which is as good.
            let answered = client.answer_to("GET");
            assert!(answered.is_none_or(|answer| !answer.whole), "{answer:?}");
            assert!(client.is_closed());
            let record = front.records.one();
            assert_eq!((record.code(), record.status), (Some(Code::UpstreamClosed), Some(200)), "{record:?}");
        }
    }
}

#[test]
fn an_answer_that_stops_is_cut() {
    let backend = Backend::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        peer.until_closed();
    });
    let front =
        Front::before(Target::Upstream(Upstream { idle_body_timeout: ms(100), ..backend.upstream() }));
    assert!(!front.ask(&get("/a")).whole);
    assert_eq!(front.records.one().code(), Some(Code::UpstreamTimeout));
}

#[test]
fn a_client_that_goes_away_ends_the_work_for_it() {
    let (arrived, when) = mpsc::channel();
    let arrived = std::sync::Mutex::new(arrived);
    let backend = Backend::new(move |peer| {
        peer.request();
        arrived.lock().unwrap().send(()).unwrap();
        peer.until_closed();
        arrived.lock().unwrap().send(()).unwrap();
    });
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&get("/a"));
    when.recv_timeout(PATIENCE).unwrap();
    drop(client);
    when.recv_timeout(PATIENCE).unwrap();
    let record = front.records.one();
    assert_eq!((record.outcome, record.status), (Outcome::Aborted, None));
}

#[test]
fn a_target_that_is_missing_is_503() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    front.ask(&get("/nowhere")).assert_problem(503);
    assert_eq!(front.records.one().code(), Some(Code::Fault));
}
