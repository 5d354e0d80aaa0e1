//! What is too large, too much or no HTTP.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use portcullis_proxy::{BindError, FrontConfig, Listener, Target, Upstream, bind};
use std::num::NonZeroUsize;
use std::sync::Arc;

#[test]
fn an_announced_body_beyond_the_cap_is_413() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", CAP + 1));
    // The answer comes at once, and is not lost although the client goes on sending.
    client.try_send(&vec![b'x'; 256 * 1024]);
    let answer = client.answer();
    answer.assert_problem(413);
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(backend.connections(), 0);
    let record = front.records.one();
    assert!(matches!(record.outcome, Outcome::Refused(_)) && record.code() == Some(Code::BodyTooLarge));
}

#[test]
fn a_body_of_just_the_cap_passes() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let answer = front.ask(&post("/a", &"x".repeat(usize::try_from(CAP).unwrap())));
    assert_eq!((answer.status, answer.body.len() as u64), (200, CAP));
    assert_eq!(front.records.one().received, CAP);
}

#[test]
fn a_body_that_grows_beyond_the_cap_is_413() {
    let backend = Backend::new(|peer| {
        read_head(&mut peer.stream);
        peer.until_closed();
    });
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..=CAP / 0x1000 {
        client.try_send(chunk.as_bytes());
    }
    client.answer().assert_problem(413);
    assert!(client.is_closed());
    let record = front.records.one();
    assert!(
        matches!(record.outcome, Outcome::Failed(_)) && record.code() == Some(Code::BodyTooLarge),
        "{record:?}"
    );
}

#[test]
fn a_body_that_is_not_framed_as_announced_is_400() {
    for rest in ["zz\r\nhello\r\n", "5\r\nhelloXX", "ffffffffffffffffff\r\n"] {
        let backend = Backend::new(|peer| {
            read_head(&mut peer.stream);
            peer.until_closed();
        });
        let front = Front::before(backend.target());
        front
            .ask(&format!("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"))
            .assert_problem(400);
        assert_eq!(front.records.one().code(), Some(Code::BodyMalformed));
    }
}

#[test]
fn an_unread_body_is_never_a_request() {
    let smuggled = get("/smuggled");
    let pad = |size: usize| format!("{smuggled}{}", "x".repeat(size - smuggled.len()));
    for (size, in_pieces) in
        [(smuggled.len(), false), (smuggled.len(), true), (20_000, false), (20_000, true)]
    {
        for (refused, headers) in
            [("/locked", ""), ("/a//b", ""), ("/a", "Upgrade: x\r\nConnection: upgrade\r\n")]
        {
            let backend = Backend::answering(OK);
            let front = Front::before(backend.target());
            let mut client = front.client();
            let head =
                format!("POST {refused} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {size}\r\n\r\n");
            if in_pieces {
                client.send(&head);
                assert!((400..500).contains(&client.answer().status));
                client.try_send(pad(size).as_bytes());
                client.try_send(get("/after").as_bytes());
            } else {
                client.send(&(head + &pad(size)));
                assert!((400..500).contains(&client.answer().status));
                client.try_send(get("/after").as_bytes());
            }
            // Either the body was skipped and the next request is served, or the connection is closed.
            client.answer_to("GET");
            drop(client);
            let paths: Vec<_> = front.records.now().into_iter().filter_map(|record| record.path).collect();
            assert!(!paths.iter().any(|path| path.contains("smuggled")), "{paths:?}");
            assert!(backend.seen().iter().all(|seen| !seen.line().contains("smuggled")));
        }
    }
}

#[test]
fn what_is_no_http_is_400_and_recorded_once() {
    for (bytes, code, status) in [
        ("HELLO\r\n\r\n", Code::MalformedRequest, Some(400)),
        ("GET /a HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n", Code::MalformedRequest, Some(400)),
        ("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", Code::AmbiguousFraming, Some(400)),
        ("GET /a HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n", Code::MalformedRequest, Some(400)),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, x\r\n\r\n",
            Code::AmbiguousFraming,
            Some(400),
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Code::MalformedRequest, None),
    ] {
        let backend = Backend::answering(OK);
        let front = Front::before(backend.target());
        let mut client = front.client();
        client.send(bytes);
        assert_eq!(client.answer_to("GET").map(|answer| answer.status), status, "{bytes:?}");
        assert!(client.is_closed());
        let record = front.records.one();
        assert_eq!((record.code(), record.status), (Some(code), status), "{bytes:?}");
        assert_eq!(backend.connections(), 0);
    }
}

#[test]
fn a_head_that_is_too_large_is_431() {
    let front = Front::before(Target::Upstream(Upstream::new("127.0.0.1:1")));
    let with = |fields: &str| format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    front.ask(&with(&format!("A: {}\r\n", "a".repeat(10_000)))).assert_problem(431);
    front.ask(&with(&format!("A: {}\r\n", "a".repeat(7_000)).repeat(6))).assert_problem(431);
    front.ask(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000))).assert_problem(414);
    // Beyond what is read at all.
    front.ask(&with(&"A: b\r\n".repeat(120))).assert_problem(431);
    front.ask(&with(&format!("A: {}\r\n", "a".repeat(7_000)).repeat(20))).assert_problem(431);
    let codes: Vec<_> = front.records.wait(5).iter().map(|record| record.code().unwrap()).collect();
    assert_eq!(
        codes,
        [Code::HeadTooLarge, Code::HeadTooLarge, Code::TargetTooLong, Code::HeadTooLarge, Code::HeadTooLarge]
    );
}

#[test]
fn connections_over_a_cap_are_closed_at_once() {
    for per_address in [true, false] {
        let backend = Backend::answering(OK);
        let front = Front::with(backend.target(), |setup| {
            setup.workers = 2;
            if per_address {
                setup.listener.max_connections_per_address = 2;
            } else {
                setup.listener.max_connections = Some(2);
            }
        });
        let mut kept: Vec<Client> = (0..2).map(|_| front.client()).collect();
        for client in &mut kept {
            client.send(&get("/a"));
            assert_eq!(client.answer().text(), "ok");
        }
        assert!(front.client().is_closed());
        kept.pop();
        // A place is free again as soon as the front has noticed.
        let served = (0..200).any(|_| {
            let mut client = front.client();
            client.try_send(get("/a").as_bytes()) && client.answer_to("GET").is_some()
        });
        assert!(served);
    }
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let front = Front::before(Target::Upstream(Upstream::new("127.0.0.1:1")));
    let records = Arc::new(Records::default());
    let config = |listeners, targets| FrontConfig {
        listeners,
        workers: NonZeroUsize::MIN,
        targets,
        drain: ms(10),
        inherited: portcullis_proxy::Inherited::default(),
    };
    let free = || Listener::new("127.0.0.1:0".parse().unwrap());
    let error =
        bind(config(vec![free(), Listener::new(front.address)], Vec::new()), &snapshot(&records), None).err();
    assert!(matches!(error, Some(BindError::Address { address, .. }) if address == front.address));
    assert!(matches!(
        bind(config(Vec::new(), Vec::new()), &snapshot(&records), None),
        Err(BindError::NoListener)
    ));
    let bad = vec![Target::Upstream(Upstream::new("a:80")), Target::Upstream(Upstream::new("a"))];
    let error = bind(config(vec![free()], bad), &snapshot(&records), None).err();
    assert!(matches!(error, Some(BindError::Target { index: 1, .. })));
}
