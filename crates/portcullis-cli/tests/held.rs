//! A large body that is held takes its own size of memory, and not a multiple of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use support::{Process, Scratch, portcullis};

const MIB: usize = 1024 * 1024;
/// The size of the body.
const BODY: usize = 32 * MIB;
/// What the process may take for it beyond its size: buffers of both connections, and pages that the allocator keeps.
const BESIDE: usize = 14 * MIB;

/// A server that counts what it gets, and answers when it has all of it.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    let read = stream.read(&mut buffer).unwrap_or(0);
                    if read == 0 {
                        return;
                    }
                    head.extend_from_slice(&buffer[..read]);
                }
                let end = head.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
                let mut got = head.len() - end;
                while got < length {
                    got += stream.read(&mut buffer).unwrap();
                }
                let said = got.to_string();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len());
                stream.write_all(answer.as_bytes()).unwrap();
            });
        }
    });
    port
}

/// The most memory that a process has had, or has now, in bytes.
fn memory(process: u32, line: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Sends a body in the way that `chunked` says, and gives the answer.
fn send(address: &str, start: &[u8], end: &[u8], chunked: bool) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let length = start.len() + BODY + end.len();
    let framing =
        if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n{framing}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut write = |bytes: &[u8]| {
        if chunked {
            stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).unwrap();
            stream.write_all(bytes).unwrap();
            stream.write_all(b"\r\n").unwrap();
        } else {
            stream.write_all(bytes).unwrap();
        }
    };
    // A text is not longer than 1 MiB, so there are many.
    let piece = [b"\"", vec![b'x'; 64 * 1024 - 3].as_slice(), b"\","].concat();
    write(start);
    (0..BODY / piece.len()).for_each(|_| write(&piece));
    write(end);
    if chunked {
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_held_body_takes_its_own_size_of_memory() {
    let port = backend();
    let scratch = Scratch::new("memory");
    scratch.file(
        "schema.json",
        "{\"type\": \"object\", \"properties\": {\"texts\": {\"items\": {\"type\": \"string\"}}}, \"additionalProperties\": false}",
    );
    let file = scratch.file(
        "gateway.yaml",
        &format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\nlimits: {{ max_held_size: 128MiB }}\n\
             security: {{ body: {{ max_size: 100MiB }}, validation: {{ file: schema.json }} }}\n\
             routes: [{{ path: /, public: \"a test\", upstream: \"http://127.0.0.1:{port}\" }}]\n"
        ),
    );
    for chunked in [false, true] {
        let gateway = Process::start(portcullis().args(["run", &file]), "listening on");
        let address =
            gateway.said.split("http://").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        let total = (b"{\"texts\": [\"\"]}".len() + BODY).to_string();
        let before = memory(gateway.id(), "VmRSS:");
        let answer = send(&address, b"{\"texts\": [", b"\"\"]}", chunked);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(&total),
            "chunked: {chunked}: {answer}"
        );
        let most = memory(gateway.id(), "VmHWM:") - before;
        println!("chunked: {chunked}: {} MiB for a body of {} MiB", most / MIB, BODY / MIB);
        assert!(most > BODY, "it was held");
        assert!(most <= BODY + BESIDE, "chunked: {chunked}: {} MiB", most / MIB);
    }
}
