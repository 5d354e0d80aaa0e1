//! The command as a service: what it tells systemd, and its log files after a rotation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Process, Scratch, curl, portcullis, signal};

fn document(port: u16) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]\nworkers: 1\naccess_log: {{ file: access.log }}\n\
         routes: [{{ path: /a, public: a test, upstream: \"http://127.0.0.1:9\" }}]\n"
    )
}

/// Messages until one holds this.
fn told(socket: &UnixDatagram, wanted: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let size = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("never `{wanted}`: {error}"));
        let message = String::from_utf8(buffer[..size].to_vec()).unwrap();
        if message.contains(wanted) {
            return message;
        }
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn systemd_hears_when_it_serves_reloads_lives_and_stops() {
    let scratch = Scratch::new("service-notify");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = scratch.file("gateway.yaml", &document(port));
    let place = scratch.path("notify");
    let socket = UnixDatagram::bind(&place).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut command = portcullis();
    command.arg("run").arg(&file).env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "200000");
    let process = Process::start(command.env_remove("WATCHDOG_PID"), "is listening on");
    told(&socket, "READY=1");
    told(&socket, "WATCHDOG=1");
    told(&socket, "WATCHDOG=1");
    signal(process.id(), "HUP");
    let reloading = told(&socket, "RELOADING=1");
    let micros = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(micros.parse::<u64>().unwrap() > 0, "{reloading}");
    told(&socket, "READY=1");
    signal(process.id(), "TERM");
    told(&socket, "STOPPING=1");
    assert_eq!(process.wait(), Some(0));
}

#[test]
fn logs_are_opened_again_also_where_a_reload_fails() {
    let scratch = Scratch::new("service-rotate");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = scratch.file("gateway.yaml", &document(port));
    let process = Process::start(portcullis().arg("run").arg(&file), "is listening on");
    let log = scratch.path("access.log");
    let log = Path::new(&log);
    let url = format!("http://127.0.0.1:{port}/a");
    for (round, name) in [(1, "USR1"), (2, "HUP")] {
        if name == "HUP" {
            scratch.file("gateway.yaml", "listeners: nonsense\n");
        }
        assert_eq!(curl(&url, &[]).status, 502);
        wait_until("a line", || {
            std::fs::read_to_string(log)
                .is_ok_and(|lines| lines.contains("\"path\"") || lines.contains("502"))
        });
        std::fs::rename(log, log.with_extension(round.to_string())).unwrap();
        signal(process.id(), name);
        wait_until("a new file", || log.exists());
        assert_eq!(curl(&url, &[]).status, 502);
        wait_until("a line in it", || std::fs::read_to_string(log).is_ok_and(|lines| lines.contains("502")));
    }
    assert_eq!(process.stop(), Some(0));
}
