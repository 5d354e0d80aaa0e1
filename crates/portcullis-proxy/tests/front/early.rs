//! What an upstream says before, beside and after its answer.

use crate::common::*;
use portcullis_core::{Code, Outcome};
use std::io::Read;
use std::sync::{Mutex, mpsc};
use std::thread::sleep;

/// 102 and 103 come before the final answer and are passed on, without what only a final answer may say.
#[test]
fn informational_answers_are_passed_on() {
    let backend = Backend::answering(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\
         Link: </a.css>; rel=preload\r\nSet-Cookie: a=b\r\nServer: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let front = Front::before(backend.target());
    let mut client = front.client();
    for _ in 0..2 {
        client.send(&get("/a"));
        let told =
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
        assert_eq!(String::from_utf8(client.read(told.len())).unwrap(), told);
        assert_eq!(client.answer().text(), "ok");
    }
    // HTTP/1.0 knows none.
    assert_eq!(front.ask("GET /a HTTP/1.0\r\nHost: a\r\n\r\n").text(), "ok");
    assert!(front.records.wait(3).iter().all(|record| record.status == Some(200)));
}

/// An informational answer with a body would make of the body a final answer.
#[test]
fn an_informational_answer_has_no_body() {
    for lines in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let answer: &'static str = format!(
            "HTTP/1.1 103 Early Hints\r\n{lines}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )
        .leak();
        let backend = Backend::answering(answer);
        let front = Front::before(backend.target());
        front.ask(&get("/a")).assert_problem(502);
        assert_eq!(front.records.one().code(), Some(Code::UpstreamMalformed));
    }
}

/// An upstream that answers an upload early, and then neither reads nor closes, keeps no connection, on either side.
#[test]
fn an_upstream_that_answers_early_and_stops_keeps_no_connection() {
    let (closed, when) = mpsc::channel();
    let closed = Mutex::new(closed);
    let backend = Backend::new(move |peer| {
        read_head(&mut peer.stream);
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
        // It does not read, until long after the gateway should have given up.
        sleep(ms(2_500));
        let mut rest = Vec::new();
        let _broken = peer.stream.read_to_end(&mut rest);
        closed.lock().unwrap().send(rest.len()).unwrap();
    });
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send(&format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {CAP}\r\n\r\n"));
    client.try_send(&[b'x'; 1000]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (413, "no"));
    // The client sends nothing more and stays; it has its own deadline. The upstream's connection ends with it.
    drop(client);
    assert!(when.recv_timeout(PATIENCE).unwrap() <= 1000);
    assert_eq!(front.records.one().status, Some(413));
}

/// An upstream may answer first and read then: the upload goes on to its end.
#[test]
fn an_early_answer_does_not_cut_the_upload() {
    let (read, when) = mpsc::channel();
    let read = Mutex::new(read);
    let backend = Backend::new(move |peer| {
        let head = read_head(&mut peer.stream).unwrap();
        peer.send("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok");
        let (body, whole) = read_body(&mut peer.stream, &head, false);
        read.lock().unwrap().send((body.len(), whole)).unwrap();
    });
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
    client.try_send(&[b'x'; 10_000]);
    assert_eq!(client.answer().text(), "ok");
    for _ in 0..4 {
        sleep(ms(20));
        client.try_send(&[b'x'; 10_000]);
    }
    assert_eq!(when.recv_timeout(PATIENCE).unwrap(), (50_000, true));
    // The connection of the client is as good as before.
    client.send(&get("/b"));
    assert_eq!(client.answer().status, 202);
    front.records.wait(2);
}

#[test]
fn a_connection_with_an_early_answer_is_not_used_again() {
    let backend = Backend::new(|peer| {
        // It answers every request by its head alone, and would take what follows for the next one.
        while let Some(head) = read_head(&mut peer.stream) {
            assert!(head.starts_with("POST /a ") || head.starts_with("GET /b "), "{head}");
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n");
    assert_eq!(client.answer().text(), "ok");
    client.send("GET /evil HTTP/1.1\r\nHost: evil\r\nX-Padding: 1234\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(front.ask(&get("/b")).text(), "ok");
    }
    assert!(backend.connections() >= 2);
}

/// The answer ends after the request, and had begun before.
#[test]
fn a_connection_whose_answer_began_early_is_not_used_again() {
    let backend = Backend::new(|peer| {
        if peer.number > 0 {
            peer.request();
            return peer.send(OK);
        }
        read_head(&mut peer.stream);
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
        std::io::Read::read_exact(&mut peer.stream, &mut [0; 50]).unwrap();
        peer.send("k");
        // Nobody answers what comes by this connection.
        peer.until_closed();
    });
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n");
    let head = client.read("HTTP/1.1 200 OK\r\n".len());
    assert_eq!(head, b"HTTP/1.1 200 OK\r\n");
    client.send(&"x".repeat(50));
    front.records.one();
    assert_eq!(front.ask(&get("/b")).text(), "ok");
    assert_eq!(backend.connections(), 2);
}

/// Bytes that nobody asked for would be the answer to somebody's next request.
#[test]
fn unsolicited_bytes_close_an_idle_connection() {
    for pause in [0, 30] {
        let backend = Backend::new(move |peer| {
            peer.request();
            peer.send(OK);
            if peer.number == 0 {
                sleep(ms(pause));
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            }
            while peer.request().is_some() {
                peer.send(OK);
            }
        });
        let front = Front::before(backend.target());
        assert_eq!(front.ask(&get("/a")).text(), "ok");
        sleep(ms(100));
        for _ in 0..3 {
            assert_eq!(front.ask(&get("/b")).text(), "ok");
        }
        assert_eq!(backend.connections(), 2);
    }
}

/// Two framings in an answer, or two heads in one: somebody has split it.
#[test]
fn an_answer_with_two_framings_is_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let backend = Backend::answering(answer);
        let front = Front::before(backend.target());
        front.ask(&get("/a")).assert_problem(502);
        assert_eq!(front.records.one().code(), Some(Code::UpstreamMalformed), "{answer:?}");
    }
}

/// Servers answer 411 to a POST without a length.
#[test]
fn a_length_of_0_goes_upstream_where_a_body_is_expected() {
    let backend = Backend::answering(OK);
    let front = Front::before(backend.target());
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE"] {
        for length in ["Content-Length: 0\r\n", ""] {
            assert_eq!(front.ask(&format!("{method} /a HTTP/1.1\r\nHost: a\r\n{length}\r\n")).text(), "ok");
            let seen = backend.seen();
            let expected = matches!(method, "POST" | "PUT" | "PATCH").then_some("0");
            assert_eq!(seen.last().unwrap().field("content-length"), expected, "{method} {length:?}");
        }
    }
}

/// Applications send large heads: many cookies, long policies.
#[test]
fn an_answer_may_have_a_large_head() {
    let many: String = (0..150).map(|number| format!("X-{number}: {}\r\n", "x".repeat(500))).collect();
    let answer: &'static str = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\nok").leak();
    let backend = Backend::answering(answer);
    let front = Front::before(backend.target());
    let answer = front.ask(&get("/a"));
    assert_eq!((answer.text(), answer.field("x-149").map(str::len)), ("ok", Some(500)));
    let endless: &'static str = format!("HTTP/1.1 200 OK\r\n{}\r\nok", many.repeat(4)).leak();
    let backend = Backend::answering(endless);
    let front = Front::before(backend.target());
    front.ask(&get("/a")).assert_problem(502);
    let record = front.records.one();
    assert!(matches!(record.outcome, Outcome::Failed(_)) && record.code() == Some(Code::UpstreamMalformed));
}

/// An upload that is slow on both sides arrives whole, and so does its answer, which is as large.
#[test]
fn both_directions_go_on_at_once() {
    // It answers each part as it comes.
    let backend = Backend::new(|peer| {
        read_head(&mut peer.stream);
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
        let mut copy = peer.stream.get_ref().try_clone().unwrap();
        let mut part = (&mut peer.stream).take(60_000);
        let _copied = std::io::copy(&mut part, &mut copy);
    });
    let front = Front::before(backend.target());
    let mut client = front.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    let mut writer = client.socket().try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for number in 0..60 {
            std::io::Write::write_all(&mut writer, &[b'a' + number % 26; 1000]).unwrap();
            if number % 10 == 0 {
                sleep(ms(5));
            }
        }
    });
    let answer = client.answer();
    writing.join().unwrap();
    assert!(answer.whole && answer.body.len() == 60_000);
    assert!(
        answer
            .body
            .chunks(1000)
            .enumerate()
            .all(|(number, part)| { part.iter().all(|byte| usize::from(byte - b'a') == number % 26) })
    );
}
