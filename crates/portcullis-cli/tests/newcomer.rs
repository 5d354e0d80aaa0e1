//! The path of a newcomer, as docs/init.md shows it: init, check, test, run, mistakes made on purpose, and what is seen.
//!
//! The page's own blocks are run and compared. Only its ports are exchanged for free ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::{Scratch, curl, portcullis};

const PATIENCE: Duration = Duration::from_secs(30);

/// What it prints on standard error from now on.
struct Printed(mpsc::Receiver<String>);

impl Printed {
    /// Waits for lines that hold these texts, in this order.
    fn shows(&self, texts: &str) {
        let mut seen = String::new();
        let begun = Instant::now();
        for text in texts.lines() {
            loop {
                let left = PATIENCE.saturating_sub(begun.elapsed());
                let Ok(line) = self.0.recv_timeout(left) else { panic!("`{text}` never came:\n{seen}") };
                seen.push_str(&format!("{line}\n"));
                if line.contains(text) {
                    break;
                }
            }
        }
    }
}

struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_newcomer_follows_the_page() {
    let [listen, upstream] =
        [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()]
            .map(|socket| socket.local_addr().unwrap().port());
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/init.md")).unwrap();
    let scratch = Scratch::new("newcomer");
    let folder = scratch.path("");
    let command = |line: &str| {
        let mut command = Command::new("bash");
        let own = std::path::Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap();
        let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap());
        command.args(["-c", line]).current_dir(&folder).env("PATH", path);
        command
    };

    let (mut key, mut running, mut printed) = (String::new(), None, None::<Printed>);
    let (mut edits, mut shown) = (0, 0);
    let status = |key: &str| {
        curl(&format!("http://127.0.0.1:{listen}/orders"), &["-H", &format!("x-api-key: {key}")]).status
    };
    for part in page.split("\n```").skip(1).step_by(2) {
        let (language, text) = part.split_once('\n').unwrap();
        if language == "text" {
            printed.as_ref().expect("it runs").shows(text);
            shown += 1;
            // Whatever was wrong with the file, clients notice nothing.
            assert_eq!((status(&key), status("")), (502, 401), "{text}");
            continue;
        }
        assert_eq!(language, "sh");
        for line in text.lines() {
            if line.starts_with("portcullis run") {
                let mut child = portcullis()
                    .args(line.split_whitespace().skip(1))
                    .current_dir(&folder)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                let output = child.stderr.take().unwrap();
                let (lines, receiver) = mpsc::channel();
                std::thread::spawn(move || {
                    for line in BufReader::new(output).lines().map_while(Result::ok) {
                        let _ = lines.send(line);
                    }
                });
                running = Some(Running(child));
                printed = Some(Printed(receiver));
                printed.as_ref().unwrap().shows("is listening on");
                assert_eq!((status(&key), status("")), (502, 401), "nobody listens on the upstream's port");
                continue;
            }
            let line = line.replace(":8080", &format!(":{upstream}"));
            let output = command(&line).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{line}: {said}{}", String::from_utf8_lossy(&output.stderr));
            if line.starts_with("portcullis init") {
                key = said.split_whitespace().find(|word| word.len() == 64).expect("a key").to_owned();
                let file = format!("{folder}/gateway.yaml");
                let text = std::fs::read_to_string(&file).unwrap();
                std::fs::write(&file, text.replace("127.0.0.1:3000", &format!("127.0.0.1:{listen}")))
                    .unwrap();
            }
            edits += usize::from(line.starts_with("sed"));
        }
    }
    assert_eq!((edits, shown), (4, 4), "the page has other blocks now");
    drop(running);
}
