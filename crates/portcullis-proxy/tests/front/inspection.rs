//! Bodies that are held until they are judged, in both directions.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use std::time::Instant;

#[test]
fn a_body_that_is_refused_never_reaches_the_upstream() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    for body in ["bad".to_owned(), format!("{}bad", "x".repeat(30_000))] {
        front.ask(&post("/inspected", &body)).assert_problem(422);
    }
    let chunked = "POST /inspected HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    front.ask(&format!("{chunked}1\r\nb\r\n2\r\nad\r\n0\r\n\r\n")).assert_problem(422);
    assert_eq!(backend.connections(), 0, "not even a connection");
    for record in front.records.wait(3) {
        assert!(matches!(record.outcome, Outcome::Refused(_)) && record.code() == Some(Code::ContentInvalid));
        assert!(!record.asked_upstream && record.received > 0);
    }
}

#[test]
fn a_refused_body_that_was_read_leaves_the_connection_usable() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let mut client = front.client();
    for _ in 0..3 {
        client.send(&post("/inspected", &format!("{}bad", "x".repeat(40_000))));
        let answer = client.answer();
        answer.assert_problem(422);
        assert_eq!(answer.field("connection"), None);
    }
    client.send(&post("/inspected", "good"));
    assert_eq!(client.answer().text(), "good");
}

#[test]
fn a_good_body_goes_on_whole_with_its_length() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let large = "x".repeat(usize::try_from(CAP).unwrap());
    assert_eq!(front.ask(&post("/inspected", &large)).body.len() as u64, CAP);
    assert_eq!(front.ask(&post("/inspected", "old")).text(), "newer");
    assert_eq!(front.ask(&post("/inspected", "")).status, 200);
    assert_eq!(front.ask(&get("/inspected")).status, 200);
    let chunked = "POST /inspected HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(front.ask(&format!("{chunked}3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n")).text(), "abcde");
    let seen = backend.seen();
    let lengths: Vec<_> = seen.iter().map(|seen| seen.field("content-length")).collect();
    assert_eq!(lengths, [Some("65536"), Some("5"), Some("0"), None, Some("5")]);
    assert!(seen.iter().all(|seen| seen.field("transfer-encoding").is_none()));
}

#[test]
fn nothing_goes_upstream_while_a_body_is_not_whole() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("POST /inspected HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    let interim = client.answer_to("HEAD").unwrap();
    assert_eq!(interim.status, 100, "the client is told to send");
    client.send("hello");
    std::thread::sleep(ms(100));
    assert_eq!(backend.connections(), 0);
    client.send("world");
    assert_eq!(client.answer().text(), "helloworld");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_held_body_that_is_too_large_stops_or_drips_is_refused() {
    let backend = Backend::echo();
    let front = Front::with(backend.target(), |setup| {
        setup.listener.timeouts.body = ms(200);
        setup.listener.timeouts.request = Some(ms(600));
    });
    front
        .ask(&format!("POST /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", CAP + 1))
        .assert_problem(413);

    let mut client = front.client();
    client.send("POST /inspected HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..=CAP / 0x1000 {
        client.try_send(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes());
    }
    let answer = client.answer();
    answer.assert_problem(413);
    assert_eq!(answer.field("connection"), Some("close"));

    let mut client = front.client();
    client.send("POST /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    let begun = Instant::now();
    let answer = client.answer();
    answer.assert_problem(408);
    assert!((ms(190)..ms(3000)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(client.is_closed());

    let mut client = front.client();
    client.send("POST /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    let begun = Instant::now();
    while begun.elapsed() < ms(550) {
        client.try_send(b"x");
        std::thread::sleep(ms(50));
    }
    client.answer().assert_problem(408);

    let mut client = front.client();
    client.send("POST /inspected HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    client.answer().assert_problem(400);

    let codes: Vec<_> = front.records.wait(5).iter().map(|record| record.code().unwrap()).collect();
    assert_eq!(
        codes,
        [Code::BodyTooLarge, Code::BodyTooLarge, Code::BodyTimeout, Code::BodyTimeout, Code::BodyMalformed]
    );
    assert_eq!(backend.connections(), 0);
}

#[test]
fn bodies_beyond_the_memory_for_them_are_503_and_memory_comes_back() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let cap = usize::try_from(CAP).unwrap();
    let head = format!("POST /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: {cap}\r\n\r\n");
    // These are nearly whole, so they hold all the memory that there is: clients of as many addresses, since one address
    // gets no more than a share.
    let mut holding: Vec<Client> = (2_u8..)
        .take(HELD / cap)
        .map(|host| {
            let mut client = front.client_from(host);
            client.send(&head);
            client.send(&"x".repeat(cap - 1));
            client
        })
        .collect();
    let refused = |front: &Front| {
        let mut client = front.client();
        client.send(&head);
        client.try_send("x".repeat(cap).as_bytes());
        client.answer()
    };
    // What they have sent takes a moment to be read.
    let answer = (0..100)
        .map(|_| {
            std::thread::sleep(ms(20));
            refused(&front)
        })
        .find(|answer| answer.status == 503)
        .expect("the memory is used up");
    answer.assert_problem(503);
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(front.ask(&get("/inspected")).status, 200, "whoever sends no body is served");
    assert_eq!(front.ask(&post("/streamed", "x")).status, 200, "and so is whose body streams");
    for client in &mut holding {
        client.send("x");
        assert_eq!(client.answer().body.len(), cap);
    }
    assert_eq!(front.ask(&post("/inspected", &"x".repeat(cap))).status, 200);
}

#[test]
fn one_address_with_unfinished_bodies_keeps_nobody_out() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let part = usize::try_from(CAP).unwrap() / 4;
    let head = format!("POST /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: {CAP}\r\n\r\n");
    let mut greedy: Vec<Client> = (0..70).map(|_| front.client_from(2)).collect();
    for client in &mut greedy {
        client.try_send(head.as_bytes());
        client.try_send("x".repeat(part).as_bytes());
    }
    let honest: Vec<u16> = (0..20)
        .map(|number| {
            let mut client = front.client_from(3 + number);
            client.send(&post("/inspected", &"x".repeat(part)));
            client.answer().status
        })
        .collect();
    assert_eq!(honest, [200; 20]);
}

#[test]
fn an_announcement_alone_keeps_nobody_out() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let idle: Vec<Client> = (0..32)
        .map(|_| {
            let mut client = front.client();
            client.send(&format!("POST /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: {CAP}\r\n\r\nx"));
            client
        })
        .collect();
    assert_eq!(front.ask(&post("/inspected", &"x".repeat(60_000))).status, 200);
    drop(idle);
}

#[test]
fn sixty_four_uploads_at_once_are_judged_each_for_itself() {
    let backend = Backend::echo();
    let front = Front::with(backend.target(), |setup| setup.workers = 2);
    std::thread::scope(|scope| {
        for number in 0..64 {
            let front = &front;
            scope.spawn(move || {
                let body =
                    format!("{number}:{}{}", "x".repeat(1500), if number % 2 == 0 { "bad" } else { "fine" });
                let answer = front.ask(&post("/inspected", &body));
                if number % 2 == 0 {
                    answer.assert_problem(422);
                } else {
                    assert_eq!((answer.status, answer.text()), (200, body.as_str()));
                }
            });
        }
    });
    assert_eq!(backend.seen().len(), 32);
    assert!(backend.seen().iter().all(|seen| seen.body.ends_with(b"fine")));
}

#[test]
fn a_client_that_leaves_while_its_body_is_held_leaves_nothing_behind() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    for _ in 0..20 {
        let mut client = front.client();
        client.send(&format!("POST /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: {CAP}\r\n\r\n"));
        client.send(&"x".repeat(60_000));
    }
    front.records.wait(20);
    assert_eq!(front.ask(&post("/inspected", &"x".repeat(60_000))).status, 200);
    assert_eq!(backend.seen().len(), 1);
}

#[test]
fn a_body_with_an_upgrade_is_refused_after_it_was_judged() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let upgrade = "POST /inspected HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n";
    front.ask(&format!("{upgrade}Content-Length: 3\r\n\r\nbad")).assert_problem(422);
    front.ask(&format!("{upgrade}Content-Length: 4\r\n\r\ngood")).assert_problem(400);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_held_body_is_never_lost_when_a_reused_connection_is_dead() {
    let backend = Backend::new(|peer| {
        while let Some(request) = peer.request() {
            if peer.number == 0 && request.body == b"second" {
                return;
            }
            peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
            peer.send(std::str::from_utf8(&request.body).unwrap());
        }
    });
    let front = Front::before(backend.target());
    let with_body = |body: &str| {
        format!("GET /inspected HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    assert_eq!(front.ask(&with_body("first")).text(), "first");
    // The connection closes under this one. It has a body, so it is not sent again without it, nor without being asked.
    front.ask(&with_body("second")).assert_problem(502);
}

#[test]
fn an_answer_that_is_refused_is_502_and_shows_nothing() {
    let backend = Backend::echo();
    let front = Front::before(backend.target());
    let answer = front.ask(&post("/examined", "this is bad"));
    answer.assert_problem(502);
    assert!(!answer.text().contains("this is bad"));
    assert_eq!(front.ask(&post("/examined", "good")).text(), "good");
    let answer = front.ask(&post("/examined", "old"));
    assert_eq!((answer.text(), answer.field("content-length")), ("newer", Some("5")));
    assert_eq!(backend.connections(), 1, "a judged answer leaves its connection usable");
    let records = front.records.wait(3);
    assert_eq!(records[0].code(), Some(Code::AnswerInvalid));
    assert!(matches!(records[0].outcome, Outcome::Failed(_)));
    assert!(matches!(records[1].outcome, Outcome::Served) && records[1].sent == 4);
}

#[test]
fn an_observed_answer_reaches_the_client_whole_however_large() {
    let backend = Backend::new(|peer| {
        while let Some(request) = peer.request() {
            let large = "x".repeat(3 * usize::try_from(CAP).unwrap());
            match request.field("x-answer") {
                Some("large") => {
                    peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()))
                }
                Some("chunked") => {
                    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    for _ in 0..6 {
                        peer.send(&format!("8000\r\n{}\r\n", "x".repeat(0x8000)));
                    }
                    peer.send("0\r\n\r\n");
                }
                _ => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"),
            }
        }
    });
    let front = Front::before(backend.target());
    let with = |path: &str, answer: &str| {
        front.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Answer: {answer}\r\n\r\n"))
    };
    assert_eq!(with("/observed", "bad").text(), "bad");
    for kind in ["large", "chunked"] {
        let answer = with("/observed", kind);
        assert_eq!((answer.status, answer.body.len() as u64, answer.whole), (200, 3 * CAP, true), "{kind}");
        with("/examined", kind).assert_problem(502);
    }
    let observed: Vec<_> = front.records.wait(5).into_iter().map(|record| record.observed).collect();
    let large = vec![Code::AnswerTooLarge];
    assert_eq!(observed, [vec![Code::AnswerInvalid], large.clone(), vec![], large, vec![]]);
}

#[test]
fn an_upstream_that_stops_in_an_answer_that_is_judged_is_504() {
    let backend = Backend::new(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        peer.until_closed();
    });
    let target = portcullis_proxy::Upstream { idle_body_timeout: ms(150), ..backend.upstream() };
    let front = Front::before(portcullis_proxy::Target::Upstream(target));
    front.ask(&get("/examined")).assert_problem(504);
    assert_eq!(front.records.one().code(), Some(Code::UpstreamTimeout));
}
