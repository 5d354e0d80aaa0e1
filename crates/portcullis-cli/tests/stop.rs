//! SIGTERM under load: every request that reached a backend is answered, and the process ends well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Process, Scratch, portcullis, signal};

/// A backend that takes 20 ms for each request and remembers which it saw.
fn backend(seen: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut stream = stream;
                let mut line = String::new();
                let mut number = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if let Some(value) = line.strip_prefix("x-number: ") {
                        number = value.trim().to_owned();
                    }
                    if line == "\r\n" {
                        seen.lock().unwrap().push(number.clone());
                        std::thread::sleep(Duration::from_millis(20));
                        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    port
}

/// Sends one request and reads its answer; whether a whole one came.
fn ask(stream: &mut TcpStream, number: &str) -> bool {
    let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX-Number: {number}\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(b"ok") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

#[test]
fn a_stop_under_load_loses_no_request_that_was_accepted() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let port = backend(Arc::clone(&seen));
    let scratch = Scratch::new("stop");
    let log = scratch.path("access.log");
    let file = scratch.file(
        "gateway.yaml",
        &format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\naccess_log: {{ file: \"{log}\" }}\n\
             routes: [{{ path: /, public: \"a test\", upstream: \"http://127.0.0.1:{port}\" }}]\n"
        ),
    );
    let gateway = Process::start(portcullis().args(["run", &file]), "listening on");
    let address = gateway.said.split("http://").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();

    let (answered, next, over) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicBool::new(false));
    let exit = std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                // Some requests come on new connections, most on kept ones.
                'connections: while !over.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(&address) else { return };
                    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                    for _ in 0..5 {
                        let number = next.fetch_add(1, Ordering::Relaxed).to_string();
                        if !ask(&mut stream, &number) {
                            continue 'connections;
                        }
                        answered.lock().unwrap().push(number);
                    }
                }
            });
        }
        // In the middle of it all.
        while answered.lock().unwrap().len() < 300 {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(gateway.id(), "TERM");
        let exit = gateway.wait();
        over.store(true, Ordering::Relaxed);
        exit
    });
    assert_eq!(exit, Some(0));
    let (mut seen, mut answered) = (seen.lock().unwrap().clone(), answered.into_inner().unwrap());
    seen.sort_unstable();
    answered.sort_unstable();
    assert_eq!(seen.len(), answered.len(), "each request that the backend saw was answered");
    assert_eq!(seen, answered);
    let lines = std::fs::read_to_string(&log).unwrap();
    let served = lines.lines().filter(|line| line.contains("\"outcome\":\"served\"")).count();
    assert_eq!(served, answered.len(), "one record each");
}

/// Nobody reads what the gateway prints, on either output; they are one pipe, as under `2>&1 |`.
#[test]
fn a_stuck_log_keeps_no_process_from_ending() {
    let scratch = Scratch::new("stuck");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for on_full in ["wait", "drop"] {
        let file = scratch.file(
            "gateway.yaml",
            &format!(
                "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]\nworkers: 2\naccess_log: {{ on_full: {on_full} }}\n\
                 routes: [{{ path: /, public: \"a test\", upstream: \"http://127.0.0.1:9\" }}]\n"
            ),
        );
        let (reader, writer) = std::io::pipe().unwrap();
        let mut child = portcullis()
            .args(["run", &file])
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        let mut printed = BufReader::with_capacity(1, reader);
        while !greeting.contains("listening on") {
            greeting.clear();
            assert!(printed.read_line(&mut greeting).unwrap() > 0, "it never said where it listens");
        }
        // 300 bytes a line and more: the pipe takes 64 KiB.
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for _ in 0..600 {
            stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            let mut buffer = [0; 4096];
            while !answer.ends_with(b"}\n") {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "every request is answered");
                answer.extend_from_slice(&buffer[..read]);
            }
        }
        drop(stream);
        signal(child.id(), "TERM");
        let begun = std::time::Instant::now();
        let exit = loop {
            if let Some(exit) = child.try_wait().unwrap() {
                break exit;
            }
            if begun.elapsed() > Duration::from_secs(15) {
                let _ = child.kill();
                panic!("with `{on_full}` it never ends");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(exit.code(), Some(0), "{on_full}");
        drop(printed);
    }
}
