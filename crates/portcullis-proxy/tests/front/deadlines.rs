//! Clients that take too long.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use portcullis_proxy::{Target, Upstream};
use std::io::Read;
use std::time::Instant;

fn quick(change: impl FnOnce(&mut portcullis_proxy::Timeouts)) -> (Backend, Front) {
    let backend = Backend::echo();
    let front = Front::with(backend.target(), |setup| change(&mut setup.listener.timeouts));
    (backend, front)
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_cut_and_recorded() {
    let (_backend, front) = quick(|timeouts| timeouts.header = ms(150));
    let mut client = front.client();
    client.send(&get("/a"));
    assert_eq!(client.answer().status, 200);
    let begun = Instant::now();
    client.send("GET /a HTTP/1.1\r\n");
    // Each byte in time, and the whole too late.
    while client.try_send(b"a") && begun.elapsed() < ms(140) {
        std::thread::sleep(ms(20));
    }
    assert!(client.is_closed());
    assert!((ms(140)..ms(1000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let records = front.records.wait(2);
    assert_eq!((records[1].code(), records[1].status), (Some(Code::HeadTimeout), None));
}

#[test]
fn a_connection_without_a_request_is_closed_quietly() {
    let (_backend, front) = quick(|timeouts| {
        timeouts.header = ms(100);
        timeouts.idle = ms(200);
    });
    let begun = Instant::now();
    assert!(front.client().is_closed());
    assert!((ms(90)..ms(1000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let mut client = front.client();
    client.send(&get("/a"));
    assert_eq!(client.answer().status, 200);
    let begun = Instant::now();
    assert!(client.is_closed());
    assert!((ms(190)..ms(1000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    front.records.wait(1);
}

#[test]
fn a_connection_in_use_outlives_every_deadline() {
    let (_backend, front) = quick(|timeouts| {
        timeouts.header = ms(100);
        timeouts.idle = ms(100);
        timeouts.body = ms(100);
        timeouts.request = Some(ms(100));
    });
    let mut client = front.client();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < ms(350) {
        client.send(&post("/a", "x"));
        assert_eq!(client.answer().text(), "x");
        count += 1;
        std::thread::sleep(ms(20));
    }
    front.records.wait(count);
}

#[test]
fn a_body_that_stops_is_408() {
    let (_backend, front) = quick(|timeouts| timeouts.body = ms(150));
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    let begun = Instant::now();
    let answer = client.answer();
    answer.assert_problem(408);
    assert_eq!(answer.field("connection"), Some("close"));
    assert!((ms(140)..ms(1000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let record = front.records.one();
    assert_eq!((record.code(), record.status, record.received), (Some(Code::BodyTimeout), Some(408), 5));
    assert!(client.is_closed());
}

#[test]
fn a_body_that_drips_is_408() {
    let (_backend, front) = quick(|timeouts| timeouts.request = Some(ms(200)));
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    let begun = Instant::now();
    while begun.elapsed() < ms(180) {
        client.send("x");
        std::thread::sleep(ms(20));
    }
    client.answer().assert_problem(408);
    assert_eq!(front.records.one().code(), Some(Code::BodyTimeout));
}

#[test]
fn the_upstreams_time_begins_when_it_has_the_request() {
    let backend = Backend::echo();
    let front = Front::before(Target::Upstream(Upstream { response_timeout: ms(100), ..backend.upstream() }));
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    for _ in 0..10 {
        std::thread::sleep(ms(25));
        client.send("x");
    }
    assert_eq!(client.answer().text(), "xxxxxxxxxx");
    front.records.one();
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let backend = Backend::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let part = "x".repeat(64 * 1024);
        for _ in 0..1525 {
            peer.send(&part);
        }
    });
    let front = Front::with(backend.target(), |setup| setup.listener.timeouts.body = ms(150));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&front.address.into()).unwrap();
    let mut client = Client::over(socket.into());
    client.send(&get("/a"));
    let record = front.records.one();
    assert_eq!((record.outcome, record.status), (Outcome::Aborted, Some(200)));
    assert!(record.sent < 100_000_000);
    let mut rest = Vec::new();
    assert!(client.socket().read_to_end(&mut rest).is_err() || rest.len() < 100_000_000);
}
