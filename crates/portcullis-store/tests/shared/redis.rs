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
        let mut redis = Redis { child: None, port, folder, arguments: all, program };
        redis.run();
        redis
    }

    /// Starts it, or starts it again on the same port.
    pub fn run(&mut self) {
        let child = Command::new(self.program)
            .args(&self.arguments)
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
