//! Redis servers that a test starts, stops and ends by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A server on a free port of loopback, with a folder of its own.
pub struct Redis {
    child: Option<Child>,
    pub port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    program: &'static str,
    environment: Vec<(String, String)>,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Redis {
    pub fn start(arguments: &[&str]) -> Redis {
        let port = free_port();
        Redis::start_on(port, "redis-server", None, arguments)
    }

    /// A server that answers by a configuration file, such as a sentinel.
    pub fn start_on(port: u16, program: &'static str, file: Option<&str>, arguments: &[&str]) -> Redis {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("portcullis-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut all = Vec::new();
        if let Some(text) = file {
            let path = folder.join("server.conf");
            std::fs::write(&path, text).unwrap();
            all.push(path.to_str().unwrap().to_owned());
        }
        let port_text = port.to_string();
        let common =
            ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"];
        if file.is_none() {
            all.extend(common.map(str::to_owned));
            all.push(folder.to_str().unwrap().to_owned());
        }
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let mut redis = Redis { child: None, port, folder, arguments: all, program, environment: Vec::new() };
        redis.run();
        redis
    }

    /// A server on a clock that [`Redis::set_clock`] sets. A `program` that brings its own allocator does not start with it.
    pub fn with_clock(program: &'static str) -> Redis {
        let mut redis = Redis::start_on(free_port(), program, None, &[]);
        redis.kill();
        redis.write_clock("+0");
        let library = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let library = library.expect("faketime is installed: `cargo xtask test` installs it");
        let library = String::from_utf8(library.stdout).unwrap();
        let library = library.trim().replace("libfaketime.so", "libfaketimeMT.so");
        redis.environment = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", redis.clock().to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        redis.run();
        redis
    }

    fn clock(&self) -> PathBuf {
        self.folder.join("clock")
    }

    /// Sets its clock, by an hour at least, to so much from the real time, such as `-30d`. Waits until scripts see it.
    pub fn set_clock(&self, by: &str) {
        let time = || self.text(&["EVAL", "return redis.call('TIME')[1]", "0"]).parse::<u64>().unwrap();
        let (before, begun) = (time(), Instant::now());
        self.write_clock(by);
        while time().abs_diff(before) < 1800 {
            assert!(begun.elapsed() < Duration::from_secs(20), "its clock is not set");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn write_clock(&self, by: &str) {
        // In one step: the server reads it at any time.
        let next = self.folder.join("clock.next");
        std::fs::write(&next, format!("{by}\n")).unwrap();
        std::fs::rename(next, self.clock()).unwrap();
    }

    /// Starts it, or starts it again on the same port.
    pub fn run(&mut self) {
        let child = Command::new(self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed: `cargo xtask test` installs it");
        self.child = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} does not start", self.program);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends it a signal, such as STOP.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(id).status().unwrap().success());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Sends one command in the clear, and gives its answer's first line.
    pub fn say(&self, words: &[&str]) -> String {
        self.ask(words).0
    }

    /// Sends one command that is answered with a text.
    pub fn text(&self, words: &[&str]) -> String {
        let (line, mut reader) = self.ask(words);
        let length = line.strip_prefix('$').and_then(|length| length.parse().ok());
        let mut text = vec![0; length.unwrap_or_else(|| panic!("{words:?}: {line}"))];
        reader.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn ask(&self, words: &[&str]) -> (String, BufReader<TcpStream>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes()).unwrap();
        let (mut reader, mut line) = (BufReader::new(stream), String::new());
        reader.read_line(&mut line).unwrap();
        (line.trim().to_owned(), reader)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
