//! A new process in place of one that serves, under load: no connection is refused, and no request fails.
//!
//! The tests are the supervisor. A connection that is kept open may be closed between two requests, as by any server that ends; a
//! client then asks again on a new one, as HTTP clients do. On a new connection nothing may fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{Process, Scratch, curl, portcullis, run, signal};

const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration that answers by itself, so that the test sees each process by its word.
fn configuration(bind: &str, workers: usize, word: &str, more: &str) -> String {
    format!(
        "listeners: [{{ bind: \"{bind}\" }}]\nworkers: {workers}\naccess_log: insecure_off\ndrain: 5s\n{more}\
         routes: [{{ path: /, public: \"a test\", respond: {{ body: {word} }} }}]\n"
    )
}

/// Sends a request and reads its answer: its body, or that there was none.
fn ask(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                return Some(body.to_owned());
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => {
                assert!(answer.is_empty(), "half an answer: {text}");
                return None;
            }
            Ok(size) => answer.extend_from_slice(&buffer[..size]),
        }
    }
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    again: AtomicUsize,
    failures: Mutex<Vec<String>>,
    last: Mutex<String>,
}

impl Seen {
    /// Asks until it is over: half of the requests come on new connections.
    fn load(&self, address: SocketAddr, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let connected = TcpStream::connect(address);
            let Ok(mut stream) = connected else {
                self.failures.lock().unwrap().push(format!("{connected:?}"));
                continue;
            };
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            for number in 0..2 {
                match ask(&mut stream) {
                    Some(word) => {
                        self.answers.fetch_add(1, Ordering::Relaxed);
                        *self.last.lock().unwrap() = word;
                    }
                    None if number > 0 => {
                        self.again.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    None => {
                        self.failures.lock().unwrap().push("a new connection without an answer".to_owned());
                        break;
                    }
                }
            }
        }
    }

    /// Waits for so many more answers.
    fn wait(&self, more: usize) {
        let (before, begun) = (self.answers.load(Ordering::Relaxed), Instant::now());
        while self.answers.load(Ordering::Relaxed) < before + more {
            assert!(begun.elapsed() < PATIENCE, "no answers: {:?}", self.failures.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn address_of(process: &Process) -> SocketAddr {
    let text = process.said.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
    text.trim_end_matches('/').parse().unwrap()
}

#[test]
fn a_new_process_takes_over_under_load_and_nobody_is_refused() {
    let scratch = Scratch::new("takeover");
    let state = scratch.path("state");
    let more = format!("state_dir: \"{state}\"\nmetrics: {{ bind: \"127.0.0.2:0\" }}\n");
    // More workers, fewer, and as many.
    let generations = [(2, "first"), (4, "second"), (1, "third"), (1, "fourth")];
    let file = |word: &str, workers: usize| {
        scratch.file(&format!("{word}.yaml"), &configuration("127.0.0.1:0", workers, word, &more))
    };
    let first = file(generations[0].1, generations[0].0);
    // Without anybody to take over from, it starts.
    let current = Process::start(portcullis().args(["run", &first, "--take-over"]), "metrics at");
    let address = address_of(&current);
    let metrics = |process: &Process| {
        process.said.split("/metrics").next().unwrap().rsplit("http://").next().unwrap().to_owned()
    };
    let metrics_at = metrics(&current);

    let (seen, over) = (Seen::default(), AtomicBool::new(false));
    let last = std::thread::scope(|scope| {
        let mut current = current;
        for _ in 0..4 {
            scope.spawn(|| seen.load(address, &over));
        }
        seen.wait(200);
        for (workers, word) in &generations[1..] {
            let next = Process::start(
                portcullis().args(["run", &file(word, *workers), "--take-over"]),
                "taken over",
            );
            assert_eq!((address_of(&next), metrics(&next)), (address, metrics_at.clone()), "{}", next.said);
            assert_eq!(current.wait(), Some(0), "the process before ends well");
            seen.wait(200);
            assert_eq!(seen.last.lock().unwrap().as_str(), *word);
            assert_eq!(curl(&format!("http://{metrics_at}/metrics"), &[]).status, 200);
            let status = run(&["status", &state]);
            assert_eq!(status.status.code(), Some(0), "the new one answers its owner");
            current = next;
        }
        over.store(true, Ordering::Relaxed);
        current
    });
    let failures = seen.failures.into_inner().unwrap();
    let answers = seen.answers.load(Ordering::Relaxed);
    println!(
        "{answers} answers over {} changes, {} asked again on a new connection",
        generations.len() - 1,
        seen.again.load(Ordering::Relaxed)
    );
    assert!(failures.is_empty(), "{} of {answers}: {:?}", failures.len(), failures.first());
    assert_eq!(last.stop(), Some(0));
    // Nobody listens when the last one has ended.
    assert!(TcpStream::connect(address).is_err());
}

/// Asks for what is refused, each time on a new connection, and counts the refusals.
fn refused(address: SocketAddr, over: &AtomicBool, count: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /closed HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 403"), "{}", String::from_utf8_lossy(&answer));
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_audit_log_stays_one_whole_chain_and_each_listener_keeps_its_port() {
    let scratch = Scratch::new("takeover-audit");
    let audit = scratch.path("audit.log");
    let more = format!(
        "state_dir: \"{}\"\naudit_log: {{ file: \"{audit}\" }}\nmetrics: {{ bind: \"127.0.0.1:0\" }}\n",
        scratch.path("state")
    );
    // Two listeners and the one for metrics, all with port 0.
    let file = |word: &str| {
        let text = configuration("127.0.0.1:0", 2, word, &more);
        let two = text.replace("[{ bind", "[{ bind: \"127.0.0.1:0\" }, { bind").replace(
            "routes: [",
            "routes: [{ path: /closed, public: \"a test\", respond: { body: no }, security: { addresses: { deny: [127.0.0.0/8] } } }, ",
        );
        scratch.file(&format!("{word}.yaml"), &two)
    };
    let places = |process: &Process| -> Vec<String> {
        let words = process.said.split_whitespace().filter(|word| word.starts_with("http://"));
        words.map(|word| word.trim_end_matches('/').to_owned()).collect()
    };
    let mut current = Process::start(portcullis().args(["run", &file("first")]), "metrics at");
    let there = places(&current);
    assert_eq!(there.len(), 3, "{}", current.said);
    let addresses: Vec<SocketAddr> =
        there[..2].iter().map(|url| url.trim_start_matches("http://").parse().unwrap()).collect();
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let wait = |more: usize| {
        let (before, begun) = (count.load(Ordering::Relaxed), Instant::now());
        while count.load(Ordering::Relaxed) < before + more {
            assert!(begun.elapsed() < PATIENCE, "no answers");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let last = std::thread::scope(|scope| {
        for address in &addresses {
            scope.spawn(|| refused(*address, &over, &count));
        }
        wait(50);
        // One after the other, so quickly that the one before may still wait for the file.
        for word in ["second", "third", "fourth"] {
            let next = Process::start(portcullis().args(["run", &file(word), "--take-over"]), "taken over");
            assert_eq!(places(&next), there, "{}", next.said);
            assert_eq!(current.wait(), Some(0));
            wait(50);
            current = next;
        }
        over.store(true, Ordering::Relaxed);
        current
    });
    assert_eq!(last.stop(), Some(0));
    let verified = run(&["audit", "verify", &audit]);
    let said =
        String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    let text = std::fs::read_to_string(&audit).unwrap();
    let refusals = text.lines().filter(|line| line.contains("address_refused")).count();
    assert_eq!(refusals, count.into_inner(), "each refusal of each process is in it, once");
    assert_eq!(text.lines().filter(|line| line.contains("\"opened\"")).count(), 4, "{text}");
}

#[test]
fn a_successor_that_fails_leaves_all_as_it_was() {
    let scratch = Scratch::new("takeover-bad");
    let more = format!("state_dir: \"{}\"\n", scratch.path("state"));
    let good = scratch.file("good.yaml", &configuration("127.0.0.1:0", 2, "good", &more));
    let process = Process::start(portcullis().args(["run", &good]), "is listening on");
    let address = address_of(&process);
    // A file with an error, one whose second listener is taken, and one that does not say where to ask.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let two = configuration("127.0.0.1:0", 1, "bad", &more).replace(
        "127.0.0.1:0\" }",
        &format!("127.0.0.1:0\" }}, {{ bind: \"{}\" }}", taken.local_addr().unwrap()),
    );
    for (text, code) in
        [("listeners: [".to_owned(), 2), (two, 4), (configuration("127.0.0.1:0", 1, "nowhere", ""), 3)]
    {
        let file = scratch.file("bad.yaml", &text);
        let ended = run(&["run", &file, "--take-over"]);
        assert_eq!(ended.status.code(), Some(code), "{text}\n{}", String::from_utf8_lossy(&ended.stderr));
        let mut stream = TcpStream::connect(address).unwrap();
        assert_eq!(ask(&mut stream).as_deref(), Some("good"));
    }
    assert_eq!(process.stop(), Some(0));
}

/// Starts the command as systemd does: with a listening socket as descriptor 3, and its own process id in `LISTEN_PID`.
fn activated(socket: &TcpListener, file: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run \"$1\""])
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .arg(file)
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    command
}

#[test]
fn a_socket_of_the_service_manager_outlives_a_restart() {
    let scratch = Scratch::new("activation");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let file = |word: &str, workers| {
        scratch.file(&format!("{word}.yaml"), &configuration(&address.to_string(), workers, word, ""))
    };
    let start = |word: &str, workers| {
        let mut child = activated(&socket, &file(word, workers))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut output = std::io::BufReader::new(child.stderr.take().unwrap());
        while !said.contains("is listening on") {
            let read = std::io::BufRead::read_line(&mut output, &mut said).unwrap();
            assert!(read > 0, "{said}");
        }
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        child
    };
    let (seen, over) = (Seen::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| seen.load(address, &over));
        }
        let mut child = start("first", 3);
        seen.wait(100);
        for (word, workers) in [("second", 1), ("third", 4)] {
            // As `systemctl restart` does: the old one ends, and then the new one starts.
            signal(child.id(), "TERM");
            assert_eq!(child.wait().unwrap().code(), Some(0));
            child = start(word, workers);
            seen.wait(100);
            assert_eq!(seen.last.lock().unwrap().as_str(), word);
        }
        over.store(true, Ordering::Relaxed);
        seen.wait(1);
        signal(child.id(), "TERM");
        child.wait().unwrap();
    });
    let failures = seen.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{:?}", failures.first());

    // A socket that no listener has would keep its clients waiting.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = scratch.file("elsewhere.yaml", &configuration("127.0.0.1:0", 1, "elsewhere", ""));
    let ended = activated(&other, &elsewhere).stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(4) && said.contains("was passed to this process"), "{said}");
}
