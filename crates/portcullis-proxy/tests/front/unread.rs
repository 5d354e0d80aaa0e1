//! Clients that ask for much and do not read it.

use crate::common::*;
use portcullis_proxy::tls::Protocol;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than the system keeps of a connection that nobody reads.
const LARGE: usize = 16 * 1024 * 1024;
const GREEDY: u8 = 2;
const HONEST: u8 = 3;

/// Answers every request with a large body, and the path that says so without its length.
fn backend() -> Backend {
    Backend::new(|peer| {
        while let Some(request) = peer.request() {
            if request.line().contains("chunked") {
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
                (0..LARGE / 0x2000).for_each(|_| peer.send(&chunk));
                peer.send("0\r\n\r\n");
            } else {
                peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                peer.send(&"x".repeat(LARGE));
            }
        }
    })
}

/// A front in which an address may leave `unread` bytes.
fn front(backend: &Backend, protocol: Protocol, unread: usize) -> Front {
    Front::with(backend.target(), |setup| {
        setup.listener.max_unread_per_address = unread;
        setup.listener.protocol = protocol;
        setup.listener.timeouts.body = Duration::from_secs(60);
        setup.drain = Duration::ZERO;
    })
}

fn unread(front: &Front) -> usize {
    front.running.as_ref().unwrap().reload_handle().usage().unread
}

/// A client of which the system keeps little that it has not read.
fn client(front: &Front, host: u8) -> Client {
    let client = front.client_from(host);
    socket2::SockRef::from(client.socket()).set_recv_buffer_size(128 * 1024).unwrap();
    client
}

/// Waits until so much is unread, and sees that it never is more than `most`.
fn wait_for(front: &Front, wanted: usize, most: usize) {
    let begun = Instant::now();
    loop {
        let unread = unread(front);
        assert!(unread <= most, "{unread} bytes");
        if unread == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{unread} bytes are unread");
        std::thread::sleep(ms(5));
    }
}

/// Ten connections of one address may leave two large parts unread. They get theirs in small parts, and all of it; another
/// address has its own room.
#[test]
fn what_one_address_leaves_unread_is_bounded() {
    for path in ["/large", "/chunked"] {
        let backend = backend();
        let part = 48 * 1024;
        let front = front(&backend, Protocol::Http1, 2 * part + 1000);
        let mut greedy: Vec<_> = (0..10).map(|_| client(&front, GREEDY)).collect();
        for client in &mut greedy {
            client.send(&get(path));
        }
        wait_for(&front, 2 * part, 2 * part);
        let mut other = client(&front, HONEST);
        other.send(&get(path));
        wait_for(&front, 3 * part, 3 * part);
        let answer = other.answer();
        assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, LARGE));
        wait_for(&front, 2 * part, 2 * part);
        for client in &mut greedy {
            let answer = client.answer();
            assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, LARGE));
        }
        wait_for(&front, 0, 2 * part);
    }
}

/// An answer that is small costs nobody's room.
#[test]
fn small_answers_are_not_counted() {
    let backend = Backend::answering(OK);
    let front = front(&backend, Protocol::Http1, 0);
    for _ in 0..3 {
        assert_eq!(front.ask(&get("/a")).text(), "ok");
        assert_eq!(unread(&front), 0);
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

/// Asks for large answers on a connection of HTTP/2, with windows that take all of them.
fn ask(front: &Front, host: u8, streams: u8) -> TcpStream {
    let mut socket = client(front, host).socket().try_clone().unwrap();
    let get = [&[0x82, 0x86, 0x04, 6][..], b"/large", &[0x41, 1, b'a']].concat();
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(frame(4, 0, 0, &[0, 4, 0x40, 0, 0, 0]));
    out.extend(frame(8, 0, 0, &[0x3f, 0, 0, 0]));
    for number in 0..streams {
        out.extend(frame(1, 5, 2 * number + 1, &get));
    }
    socket.write_all(&out).unwrap();
    socket
}

/// Reads until so many streams have ended; answers with the bytes of their bodies.
fn read(socket: &mut TcpStream, mut streams: u8) -> usize {
    let mut body = 0;
    while streams > 0 {
        let mut head = [0; 9];
        socket.read_exact(&mut head).unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).unwrap();
        match head[3] {
            0 => body += length,
            1 | 4 | 6 | 8 => {}
            kind => panic!("a frame of kind {kind}"),
        }
        if matches!(head[3], 0 | 1) && head[4] & 1 != 0 {
            streams -= 1;
        }
    }
    body
}

/// The same for the buffers of HTTP/2: ten connections of three streams have room for one buffer and two large parts.
#[test]
fn what_one_address_leaves_unread_on_http2_is_bounded() {
    let backend = backend();
    let most = (224 + 2 * 48) * 1024;
    let front = front(&backend, Protocol::Http2, most);
    let mut greedy: Vec<_> = (0..10).map(|_| ask(&front, GREEDY, 3)).collect();
    let begun = Instant::now();
    let mut highest = 0;
    while backend.connections() < 30 || highest < most - 48 * 1024 {
        highest = highest.max(unread(&front));
        assert!(highest <= most, "{highest} bytes");
        assert!(begun.elapsed() < Duration::from_secs(20), "{highest} bytes are unread");
        std::thread::sleep(ms(5));
    }
    let mut other = ask(&front, HONEST, 2);
    assert_eq!(read(&mut other, 2), 2 * LARGE);
    drop(other);
    // Those of the greedy address go on as soon as it reads.
    assert_eq!(read(&mut greedy[9], 3), 3 * LARGE);
    drop(greedy);
    wait_for(&front, 0, most);
}
