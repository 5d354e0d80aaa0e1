//! A process that may open few files: it says so, and slow clients of one address leave enough for others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use support::{Process, Scratch};

fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                while lines.by_ref().any(|line| line.is_empty()) {
                    let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    port
}

#[test]
fn slow_clients_leave_files_for_others() {
    let scratch = Scratch::new("descriptors");
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, metrics) = (free(), free());
    let file = scratch.file(
        "gateway.yaml",
        &format!(
            "workers: 2\nmetrics: {{ bind: \"127.0.0.1:{metrics}\" }}\nlisteners: [{{ bind: \"127.0.0.1:{port}\", max_connections: 10000 }}]\n\
             routes: [{{ path: /, public: a test, upstream: \"http://127.0.0.1:{}\" }}]\n",
            backend()
        ),
    );
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$0\" run \"$1\"", env!("CARGO_BIN_EXE_portcullis")]);
    let gateway = Process::start(command.arg(&file), "is listening on");
    assert!(gateway.said.contains("may open 256 files"), "{}", gateway.said);
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _refused = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n");
        slow.push(stream);
    }
    for _ in 0..3 {
        let url = format!("http://127.0.0.1:{port}/");
        let said =
            Command::new("curl").args(["-sS", "-i", "--interface", "127.0.0.2", &url]).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.starts_with("HTTP/1.1 200"), "{said:?}");
    }
    let scraped =
        Command::new("curl").args(["-sS", &format!("http://127.0.0.1:{metrics}/metrics")]).output().unwrap();
    let text = String::from_utf8_lossy(&scraped.stdout).into_owned();
    let refused = |reason: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with("portcullis_connections_refused_total{"));
        let of = lines.filter(|line| line.contains(&format!("reason=\"{reason}\"")));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    // One address has half of the clients' part, (256 - 64) / 4 = 48.
    assert!(refused("cap") >= 252.0, "{text}");
    assert!(refused("files").abs() < f64::EPSILON, "{text}");
    drop(slow);
    assert_eq!(gateway.stop(), Some(0));
}
