//! What the scenarios over TLS need: a certificate, the clients, and the controls that are asked for over TLS.
//!
//! Clients offer one version, one suite and one group, so that all proxies do the same cryptography. A client that is
//! missing is installed; a connection that was not protected as it should be fails the run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::debian;
use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, Scratch, supervised, write};

use super::grpc;
use super::http::{self, Answer};
use super::load::Load;
use super::peers::Server;
use super::{Credentials, Scenario};

const SUITE: &str = "TLS_AES_128_GCM_SHA256";
/// Client processes of one load, over HTTP/2 and for handshakes.
const PROCESSES: u64 = 8;
/// Requests at once on a connection of HTTP/2.
const STREAMS: u64 = 4;

/// What OpenSSL offers in the clients.
const CLIENT: &str = "\
openssl_conf = openssl_init
[openssl_init]
ssl_conf = ssl_configuration
[ssl_configuration]
system_default = client
[client]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
";

/// The files of a certificate that was made for this run.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// Certificate and key in one file, as HAProxy wants them.
    pub(crate) both: PathBuf,
    /// The configuration of OpenSSL for clients.
    pub(crate) client: PathBuf,
    folder: PathBuf,
}

impl Certificate {
    pub(crate) fn generate(scratch: &Scratch) -> Outcome<Self> {
        let folder = scratch.folder("certificate")?;
        let [chain, key, both, client] =
            ["chain.pem", "key.pem", "both.pem", "client.cnf"].map(|name| folder.join(name));
        let mut command = Command::new(debian::require("openssl", "openssl")?);
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        command.args(["-days", "2", "-subj", "/CN=localhost"]);
        command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&chain);
        let output = command.output().context(|| "running openssl req".into())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Failure::new(format!("openssl req: {}\n{said}", output.status)));
        }
        let read =
            |path: &Path| std::fs::read_to_string(path).context(|| format!("reading {}", path.display()));
        write(&both, &format!("{}{}", read(&chain)?, read(&key)?))?;
        write(&client, CLIENT)?;
        Ok(Self { chain, key, both, client, folder })
    }
}

/// That the port speaks what is measured, and nothing in the clear.
pub(crate) fn check(server: &Server, certificate: &Certificate) -> Outcome<()> {
    // Whether it says so or closes the connection: what counts is that nothing was served.
    if let Ok(answer) = http::get(server.port(), "/", None)
        && answer.status < 400
    {
        let problem = format!("{}: a request in the clear got {}", server.name(), answer.status);
        return Err(Failure::new(problem));
    }
    let mut command = Command::new(debian::require("openssl", "openssl")?);
    command.args(["s_client", "-brief", "-connect", &format!("127.0.0.1:{}", server.port())]);
    command.arg("-verify_return_error").arg("-CAfile").arg(&certificate.chain);
    command.env("OPENSSL_CONF", &certificate.client).stdin(Stdio::null());
    let output = command.output().context(|| "running openssl s_client".into())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for wanted in
        ["Protocol version: TLSv1.3", &format!("Ciphersuite: {SUITE}"), "X25519", "Signature type: ECDSA"]
    {
        if !said.contains(wanted) {
            return Err(Failure::new(format!("{}: no `{wanted}` in the handshake:\n{said}", server.name())));
        }
    }
    Ok(())
}

/// Asks over TLS with the protocol of the scenario.
pub(crate) fn get(
    server: &Server,
    certificate: &Certificate,
    path: &str,
    field: Option<(&str, &str)>,
) -> Outcome<Answer> {
    let (choice, version) = match server.scenario() {
        Scenario::Http2 => ("--http2", "2"),
        Scenario::Https
        | Scenario::Handshakes
        | Scenario::Plain
        | Scenario::Keys
        | Scenario::Tokens
        | Scenario::TokensUncached
        | Scenario::Grpc
        | Scenario::Orders
        | Scenario::Validation
        | Scenario::Group
        | Scenario::Telemetry
        | Scenario::Thousand
        | Scenario::TenThousand => ("--http1.1", "1.1"),
    };
    let mut command = Command::new(debian::require("curl", "curl")?);
    command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "10", "--path-as-is", choice]);
    command.arg("--cacert").arg(&certificate.chain).args(["--write-out", "\n%{http_version} %{http_code}"]);
    if let Some((name, value)) = field {
        // An empty value is written so for curl to send the field at all.
        command.arg("--header");
        command.arg(if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") });
    }
    command.arg(format!("https://127.0.0.1:{}{path}", server.port()));
    let output = command.output().context(|| "running curl".into())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::new(format!("curl: {}\n{said}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = text.rsplit_once('\n').and_then(|(body, end)| {
        let (spoken, status) = end.split_once(' ')?;
        let status = status.parse().ok()?;
        (spoken == version).then(|| Answer { status, body: body.as_bytes().to_vec() })
    });
    answer.context(|| format!("curl did not speak HTTP/{version}: {text}"))
}

/// The load generators for HTTP/2 and for handshakes.
#[derive(Debug)]
pub(crate) struct Clients {
    h2load: PathBuf,
    openssl: PathBuf,
}

impl Clients {
    pub(crate) fn find() -> Outcome<Self> {
        Ok(Self {
            h2load: debian::require("h2load", "nghttp2-client")?,
            openssl: debian::require("openssl", "openssl")?,
        })
    }

    /// Requests over HTTP/2, from several processes with a key each.
    pub(crate) fn http2(
        &self,
        server: &Server,
        credentials: &Credentials,
        connections: u64,
        time: Duration,
    ) -> Outcome<Load> {
        let each = connections.div_ceil(PROCESSES).to_string();
        let keys = credentials.keys.list();
        // Far apart, and none of them the one whose limit is used up.
        let keys = keys.lines().step_by(1_000).take(PROCESSES as usize);
        let commands = keys.map(|key| {
            let mut command = supervised(&self.h2load);
            command.args(["--duration", &time.as_secs().to_string(), "--clients", &each]);
            command.args(["--max-concurrent-streams", &STREAMS.to_string(), "--npn-list", "h2"]);
            command.args(["--tls13-ciphers", SUITE, "--groups", "X25519"]);
            command.args(["--header", &format!("x-api-key: {key}")]);
            command.arg(format!("https://127.0.0.1:{}/", server.port()));
            command
        });
        all(commands.collect(), &credentials.certificate, time, http2_result)
    }

    /// Unary calls of gRPC, in the clear.
    pub(crate) fn grpc(
        &self,
        server: &Server,
        credentials: &Credentials,
        upstream: &grpc::Upstream,
        connections: u64,
        time: Duration,
    ) -> Outcome<Load> {
        let mut command = upstream.load(credentials.keys.right(), connections, time, &self.h2load);
        command.arg(format!("http://127.0.0.1:{}{}", server.port(), grpc::PATH));
        all(vec![command], &credentials.certificate, time, in_the_clear_result)
    }

    /// Full handshakes, one after another in each of several processes.
    pub(crate) fn handshakes(
        &self,
        server: &Server,
        credentials: &Credentials,
        time: Duration,
    ) -> Outcome<Load> {
        let commands = (0..PROCESSES).map(|_| {
            let mut command = supervised(&self.openssl);
            command.args(["s_time", "-new", "-connect", &format!("127.0.0.1:{}", server.port())]);
            command.args(["-time", &time.as_secs().to_string()]);
            command.env("OPENSSL_CONF", &credentials.certificate.client);
            command
        });
        all(commands.collect(), &credentials.certificate, time, handshakes_result)
    }
}

/// What one process did: requests, failures, and those that do not count.
#[derive(Debug, PartialEq)]
struct Part {
    requests: u64,
    not_success: u64,
    broken: u64,
}

/// Runs all at once, and adds up what they did.
fn all(
    commands: Vec<Command>,
    certificate: &Certificate,
    time: Duration,
    result: impl Fn(&str) -> Option<Part>,
) -> Outcome<Load> {
    let mut running = Vec::new();
    for (number, mut command) in commands.into_iter().enumerate() {
        let path = certificate.folder.join(format!("client-{number}.out"));
        let file = File::create(&path).context(|| format!("making {}", path.display()))?;
        let errors = file.try_clone().context(|| "sharing the output of a client".into())?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        running.push((Guard::spawn("a client", &mut command)?, path));
    }
    let mut load = Load {
        requests: 0,
        seconds: time.as_secs_f64(),
        p50_us: None,
        p99_us: None,
        not_success: 0,
        broken: 0,
    };
    for (mut guard, path) in running {
        let status = guard.wait(time + Duration::from_secs(30))?;
        let text = std::fs::read_to_string(&path).context(|| format!("reading {}", path.display()))?;
        let part = result(&text).filter(|_| status.success());
        let part = part.context(|| format!("a client did not say what it did: {status}\n{text}"))?;
        load.requests += part.requests;
        load.not_success += part.not_success;
        load.broken += part.broken;
    }
    Ok(load)
}

/// Reads the figures of h2load, if it spoke what it should.
fn http2_result(text: &str) -> Option<Part> {
    for wanted in ["TLS Protocol: TLSv1.3", &format!("Cipher: {SUITE}"), "Application protocol: h2"] {
        text.contains(wanted).then_some(())?;
    }
    h2load_result(text)
}

/// The same in the clear.
fn in_the_clear_result(text: &str) -> Option<Part> {
    text.contains("Application protocol: h2c").then_some(())?;
    h2load_result(text)
}

fn h2load_result(text: &str) -> Option<Part> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    // Such as "requests: 9 total, 9 started, 8 done, 8 succeeded, 0 failed, 0 errored, 0 timeout".
    let figure = |line: &str, name: &str| {
        let part = line.split(", ").find_map(|part| part.trim().strip_suffix(name))?;
        part.trim().parse::<u64>().ok()
    };
    let requests = line("requests:")?;
    let statuses = line("status codes:")?;
    let not_success = figure(statuses, "3xx")? + figure(statuses, "4xx")? + figure(statuses, "5xx")?;
    let broken = figure(requests, "errored")? + figure(requests, "timeout")?;
    Some(Part { requests: figure(statuses, "2xx")? + not_success, not_success, broken })
}

/// Reads the figures of `s_time`, which writes a letter for each connection: `r` for one that resumed a session.
fn handshakes_result(text: &str) -> Option<Part> {
    // Such as "900 connections in 3 real seconds, 0 bytes read per connection".
    let line = text.lines().find(|line| line.contains(" real seconds"))?;
    let requests = line.split_whitespace().next()?.parse().ok()?;
    let marks =
        text.lines().filter(|line| line.bytes().all(|mark| mark.is_ascii_lowercase() || mark == b'*'));
    let marks: Vec<u8> = marks.flat_map(str::bytes).collect();
    let resumed = marks.iter().filter(|mark| **mark == b'r').count() as u64;
    // Without a mark for each, nobody knows that none was resumed.
    (marks.len() as u64 == requests).then_some(())?;
    Some(Part { requests, not_success: resumed, broken: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP2: &str = "TLS Protocol: TLSv1.3\nCipher: TLS_AES_128_GCM_SHA256\nApplication protocol: h2\n\
                         requests: 9 total, 9 started, 8 done, 8 succeeded, 0 failed, 0 errored, 0 timeout\n\
                         status codes: 8 2xx, 0 3xx, 0 4xx, 0 5xx\n";

    #[test]
    fn only_what_was_protected_as_it_should_be_counts() {
        assert_eq!(http2_result(HTTP2), Some(Part { requests: 8, not_success: 0, broken: 0 }));
        let refused = HTTP2.replace("8 2xx, 0 3xx, 0 4xx", "6 2xx, 0 3xx, 2 4xx");
        assert_eq!(http2_result(&refused), Some(Part { requests: 8, not_success: 2, broken: 0 }));
        for (from, to) in [("TLSv1.3", "TLSv1.2"), ("AES_128", "AES_256"), ("h2", "http/1.1")] {
            assert_eq!(http2_result(&HTTP2.replace(from, to)), None, "{to}");
        }
    }

    #[test]
    fn a_resumed_session_is_no_full_handshake() {
        let said = |marks: &str| {
            format!(
                "Collecting connection statistics for 1 seconds\n{marks}\n\n3 connections in 0.10s; 30 a\n3 connections in 2 real seconds, 0 bytes read per connection\n"
            )
        };
        assert_eq!(handshakes_result(&said("***")), Some(Part { requests: 3, not_success: 0, broken: 0 }));
        assert_eq!(handshakes_result(&said("*rr")), Some(Part { requests: 3, not_success: 2, broken: 0 }));
        assert_eq!(handshakes_result(&said("**")), None);
        assert_eq!(handshakes_result(""), None);
    }
}
