//! Connections to an upstream: used again while they are good, and replaced when they are not.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use portcullis_proxy::{Target, Upstream};
use std::sync::mpsc;

#[test]
fn a_connection_is_used_again() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    for _ in 0..5 {
        assert_eq!(front.ask(&get("/a")).text(), "ok");
    }
    assert_eq!(backend.connections(), 1);
    front.records.wait(5);
}

#[test]
fn a_connection_that_the_upstream_closes_is_not_used_again() {
    let backend = Backend::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        peer.until_closed();
    });
    let front = Front::before(backend.target());
    for _ in 0..3 {
        assert_eq!(front.ask(&post("/a", "x")).text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
}

/// Serves one request on its first connection, and closes it when the second one has arrived.
fn stale() -> Backend {
    Backend::new(|peer| {
        while peer.request().is_some() {
            peer.send(OK);
            if peer.number == 0 {
                peer.request();
                return;
            }
        }
    })
}

#[test]
fn a_safe_request_is_sent_again_when_a_reused_connection_is_dead() {
    for method in ["GET", "OPTIONS"] {
        let backend = stale();
        let front = Front::before(backend.target());
        assert_eq!(front.ask(&get("/first")).text(), "ok");
        assert_eq!(front.ask(&format!("{method} /second HTTP/1.1\r\nHost: a\r\n\r\n")).text(), "ok");
        assert_eq!(backend.connections(), 2);
        assert!(front.records.wait(2).iter().all(|record| record.outcome == Outcome::Served));
    }
}

#[test]
fn any_other_request_is_sent_once() {
    for request in [post("/second", "x"), "DELETE /second HTTP/1.1\r\nHost: a\r\n\r\n".into()] {
        let backend = stale();
        let front = Front::before(backend.target());
        assert_eq!(front.ask(&get("/first")).text(), "ok");
        front.ask(&request).assert_problem(502);
        assert_eq!(backend.connections(), 1);
        assert_eq!(front.records.wait(2)[1].code(), Some(Code::UpstreamClosed));
    }
}

#[test]
fn a_request_that_never_left_is_sent_again_whatever_it_is() {
    // The upstream closes without a word; the front has heard of it by the time of the next request.
    let (closed, when) = mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let backend = Backend::new(move |peer| {
        peer.request();
        peer.send(OK);
        if peer.number == 0 {
            peer.stream.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
            closed.lock().unwrap().send(()).unwrap();
        } else {
            peer.until_closed();
        }
    });
    let front = Front::before(backend.target());
    assert_eq!(front.ask(&get("/first")).text(), "ok");
    when.recv_timeout(PATIENCE).unwrap();
    assert_eq!(front.ask(&post("/second", "x")).text(), "ok");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn an_idle_connection_is_closed_after_a_while() {
    let (closed, when) = mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let backend = Backend::new(move |peer| {
        while peer.request().is_some() {
            peer.send(OK);
        }
        closed.lock().unwrap().send(()).unwrap();
    });
    let upstream = Upstream { idle_timeout: ms(50), ..backend.upstream() };
    let front = Front::before(Target::Upstream(upstream));
    assert_eq!(front.ask(&get("/a")).text(), "ok");
    when.recv_timeout(PATIENCE).unwrap();
    assert_eq!(front.ask(&get("/a")).text(), "ok");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn no_more_connections_are_kept_than_allowed() {
    let backend = Backend::answering(OK);
    let front = Front::before(Target::Upstream(Upstream { max_idle_connections: 0, ..backend.upstream() }));
    for _ in 0..3 {
        assert_eq!(front.ask(&get("/a")).text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn an_answer_that_nobody_asked_for_poisons_nobody() {
    let backend = Backend::new(|peer| {
        while peer.request().is_some() {
            peer.send(&format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"));
        }
    });
    let front = Front::before(backend.target());
    for _ in 0..3 {
        assert_eq!(front.ask(&get("/a")).text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
}
