//! Switching protocols: only where a route allows it, and only to what was asked for.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use portcullis_proxy::{Target, Upstream};

fn wish(path: &str, protocol: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Key: k\r\n\r\n"
    )
}

/// Switches to `protocol`, sends `first`, and echoes.
fn switching(protocol: &'static str) -> Backend {
    Backend::new(move |peer| {
        let request = peer.request().unwrap();
        assert_eq!(
            (request.field("upgrade"), request.field("connection")),
            (Some("websocket"), Some("upgrade"))
        );
        assert_eq!(request.field("sec-websocket-key"), Some("k"));
        peer.send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nServer: x\r\n\
             Sec-WebSocket-Accept: a\r\n\r\nhi"
        ));
        let mut copy = peer.stream.get_ref().try_clone().unwrap();
        let _ = std::io::copy(&mut peer.stream, &mut copy);
        let _ = copy.shutdown(std::net::Shutdown::Write);
    })
}

#[test]
fn an_upgrade_that_the_route_does_not_allow_is_refused() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    front.ask(&wish("/a", "websocket")).assert_problem(400);
    front.ask(&wish("/ws", "tls/1.0")).assert_problem(400);
    assert_eq!(backend.connections(), 0);
    assert!(front.records.wait(2).iter().all(|record| record.code() == Some(Code::UpgradeRefused)));
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let backend = switching("WebSocket");
    let front = Front::before(backend.target());
    let mut client = front.client();
    // The first bytes of the new protocol come with the request, before anybody has agreed.
    client.send(&(wish("/ws", "websocket") + "early"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("WebSocket")));
    assert_eq!(answer.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!((answer.field("sec-websocket-accept"), answer.field("server")), (Some("a"), None));
    assert_eq!(client.read(7), b"hiearly");
    client.send("more");
    assert_eq!(client.read(4), b"more");
    assert!(front.records.now().is_empty());
    client.socket().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    let record = front.records.one();
    assert_eq!(
        (record.outcome, record.status, record.upstream_status),
        (Outcome::Served, Some(101), Some(101))
    );
    assert_eq!((record.sent, record.received), (11, 9));
}

#[test]
fn an_upstream_may_decline_and_the_connection_goes_on() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&wish("/ws", "websocket"));
    assert_eq!(client.answer().text(), "ok");
    client.send(&get("/a"));
    assert_eq!(client.answer().text(), "ok");
    assert_eq!(backend.seen()[1].field("upgrade"), None);
    front.records.wait(2);
}

#[test]
fn an_unasked_upgrade_is_refused() {
    let backend = switching("other");
    let front = Front::before(backend.target());
    front.ask(&wish("/ws", "websocket")).assert_problem(502);
    assert_eq!(front.records.one().code(), Some(Code::UpstreamMalformed));
}

#[test]
fn an_upgrade_with_a_body_is_refused() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    let request =
        wish("/ws", "websocket").replace("GET", "POST").replace("Host", "Content-Length: 5\r\nHost");
    front.ask(&(request + "hello")).assert_problem(400);
    assert_eq!(backend.connections(), 0);
    assert_eq!(front.records.one().code(), Some(Code::UpgradeRefused));
}

#[test]
fn a_tunnel_ends_when_it_is_idle_or_the_front_drains() {
    for idle in [true, false] {
        let backend = switching("websocket");
        let limit = if idle { ms(100) } else { PATIENCE };
        let mut front =
            Front::before(Target::Upstream(Upstream { tunnel_idle_timeout: limit, ..backend.upstream() }));
        let mut client = front.client();
        client.send(&wish("/ws", "websocket"));
        assert_eq!(client.answer().status, 101);
        assert_eq!(client.read(2), b"hi");
        if !idle {
            front.end();
        }
        assert!(client.is_closed());
        let record = front.records.one();
        assert_eq!((record.outcome, record.sent), (Outcome::Aborted, 2));
    }
}
