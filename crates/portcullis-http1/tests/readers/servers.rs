//! Servers as processes, one of each, and what they say of a connection.

use crate::Seen;
use crate::ours::{Request, Stream, origin};
use portcullis_http1::{BodyReader, HeadLimits, Part, ResponseBody, ResponseReader};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer. One that takes longer waits for bytes that we think it has.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that leaves the connection open may take to answer what nobody asked.
const GRACE: Duration = Duration::from_millis(50);

/// A server that ends with the test.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its input ends, so it does; if it does not, it is killed.
        drop(self.process.stdin.take());
        let since = Instant::now();
        while self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            if since.elapsed() > Duration::from_secs(2) {
                let _gone = self.process.kill();
                let _ended = self.process.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Starts a server and hands `use_it` what reads a stream with it. Does nothing where the server is not installed.
pub(crate) fn with(name: &str, use_it: impl FnOnce(&mut dyn FnMut(&Stream) -> Vec<Seen>)) {
    let folder = root().join("tests/counterparts/http1");
    let mut command = if name == "node" {
        let mut command = Command::new("node");
        command.arg(folder.join("serve.mjs"));
        command
    } else {
        let python = root().join("target/counterparts/http1-readers/bin/python");
        if !python.is_file() {
            println!("{name} is not here: run `cargo xtask counterparts`");
            return;
        }
        let mut command = Command::new(python);
        command.arg(folder.join("serve.py")).arg(name);
        command
    };
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut process = match spawned {
        Ok(process) => process,
        Err(error) => {
            println!("{name} is not here: {error}");
            return;
        }
    };
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("{name} names no port: {line:?}"));
    let server = Server { process, address: ([127, 0, 0, 1], port).into() };
    use_it(&mut |stream| read(server.address, stream));
}

/// Sends a stream, and reads what the server answers until it closes the connection.
fn read(address: SocketAddr, stream: &Stream) -> Vec<Seen> {
    let mut socket = TcpStream::connect(address).unwrap();
    // A server that refuses what it has read so far may close before it has all.
    let _closed = socket.write_all(&stream.bytes);
    let mut answers = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let whole = seen(&answers).len() >= stream.requests.len();
        socket.set_read_timeout(Some(if whole { GRACE } else { PATIENCE })).unwrap();
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if whole && error.kind() == std::io::ErrorKind::WouldBlock => break,
            Ok(size) => answers.extend_from_slice(&buffer[..size]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!(
                "{error} after {:?} for {:?}",
                String::from_utf8_lossy(&answers),
                String::from_utf8_lossy(&stream.bytes)
            ),
        }
    }
    seen(&answers)
}

/// What the answers on a connection say.
pub(crate) fn seen(mut answers: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while !answers.is_empty() {
        let limits = HeadLimits::default();
        // An answer that broke off is a refusal with its connection.
        let Ok(Some(head)) = ResponseReader::default().read(answers, &limits) else { break };
        let follows = head.body("GET").unwrap();
        answers = &answers[head.length()..];
        let ResponseBody::Body(length) = follows else { continue };
        let mut reader = BodyReader::new(length, portcullis_http1::BodyLimits::default());
        let mut body = Vec::new();
        while !reader.is_complete() {
            match reader.read(answers).unwrap() {
                Part::Data(range) => {
                    body.extend_from_slice(&answers[range.clone()]);
                    answers = &answers[range.end..];
                }
                Part::End(size) => answers = &answers[size..],
                // It has not arrived whole.
                Part::More(_) => return seen,
            }
        }
        seen.push(match head.status() {
            200 => Seen::Read(request(&body)),
            status => Seen::Refused(status),
        });
    }
    seen
}

fn request(answer: &[u8]) -> Request {
    let said: serde_json::Value = serde_json::from_slice(answer).unwrap();
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    let body = text("body").chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()).collect();
    Request { method: text("method"), target: origin(&text("target")), body }
}
