//! What the tests of the command share: starting it, stopping it, and asking curl.

#![allow(dead_code, reason = "each test binary uses a part")]

#[allow(unreachable_pub, reason = "other test binaries have it as a module of a module")]
#[path = "../../../portcullis/tests/support/canaries.rs"]
pub(crate) mod canaries;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A process that ends with the test.
pub(crate) struct Process {
    child: Child,
    /// What it printed until it said that it was ready.
    pub(crate) said: String,
}

impl Process {
    /// Starts a command and waits until it prints a line that holds `ready`, on either output.
    pub(crate) fn start(command: &mut Command, ready: &str) -> Process {
        let tries = command.get_args().any(|argument| argument == "quickstart");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, printed) = mpsc::channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let lines = lines.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // `quickstart` shows its keys, in commands to try.
                    if !(tries && line.contains("-H 'x-api-key: ")) {
                        canaries::output("process", line.as_bytes());
                    }
                    let _ = lines.send(line);
                }
            });
        }
        drop(lines);
        let mut said = String::new();
        while !said.contains(ready) {
            match printed.recv_timeout(Duration::from_secs(20)) {
                Ok(line) => said.push_str(&format!("{line}\n")),
                Err(_) => panic!("it never said `{ready}`:\n{said}"),
            }
        }
        // What follows at once belongs to the greeting.
        while let Ok(line) = printed.recv_timeout(Duration::from_millis(200)) {
            said.push_str(&format!("{line}\n"));
        }
        Process { child, said }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        self.wait()
    }

    /// Waits until it ends, and answers with its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().unwrap().success());
}

/// The command under test.
pub(crate) fn portcullis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    portcullis().args(arguments).output().unwrap()
}

/// An answer as curl saw it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A refusal in our words: problem details that name nothing of the inside.
    pub(crate) fn assert_refusal(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        let members: Vec<_> = problem.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = ["type", "title", "status", "request_id"];
        expected.sort_unstable();
        let mut members = members;
        members.sort_unstable();
        assert_eq!(members, expected);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["request_id"].as_str(), self.field("x-request-id"));
        let whole = format!("{}{}", self.head, self.body).to_lowercase();
        for inside in [
            "portcullis",
            "hyper",
            "rust",
            "api_key",
            "server:",
            "x-powered-by",
            "role",
            "panicked",
            "127.0.0.1",
        ] {
            assert!(!whole.contains(inside), "`{inside}` in {self:?}");
        }
    }
}

/// Asks with curl.
pub(crate) fn curl(url: &str, arguments: &[&str]) -> Answer {
    arguments.iter().for_each(|argument| canaries::of_request(argument.as_bytes()));
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--include",
            "--max-time",
            "10",
            "--noproxy",
            "*",
            "--path-as-is",
            "--http1.1",
        ])
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl is installed: `cargo xtask test` installs it");
    assert!(output.status.success(), "curl {arguments:?} {url}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    // An interim answer stands before the final one.
    let text = match text.strip_prefix("HTTP/1.1 100 Continue\n\n") {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    if answer.field("content-type") == Some("application/problem+json") {
        canaries::output("refusals", answer.body.as_bytes());
    }
    answer
}

/// A file in a folder that goes with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("portcullis-test-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        if name.ends_with(".yaml") {
            canaries::of_document(text);
        }
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            // Logs, also those that were rotated.
            if entry.file_name().to_string_lossy().contains(".log")
                && let Ok(text) = std::fs::read(entry.path())
            {
                canaries::output("logs", &text);
            }
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
