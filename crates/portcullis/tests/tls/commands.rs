//! curl and openssl, as people call them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

fn run(program: &str, arguments: &[&str]) -> Said {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    Said {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `curl` to `path` of `host`, which is at `address`; the head and body of the answer.
pub fn curl(address: SocketAddr, host: &str, path: &str, ca: &Path, more: &[&str]) -> Said {
    let resolve = format!("{host}:{}:127.0.0.1", address.port());
    let url = format!("https://{host}:{}{path}", address.port());
    let ca = ca.to_str().unwrap();
    let mut arguments = vec!["-sS", "-i", "--max-time", "10", "--cacert", ca, "--resolve", &resolve];
    arguments.extend_from_slice(more);
    arguments.push(&url);
    run("curl", &arguments)
}

/// `openssl s_client` to `address`; what it says of the connection.
pub fn s_client(address: SocketAddr, ca: &Path, more: &[&str]) -> Said {
    let address = address.to_string();
    let ca = ca.to_str().unwrap();
    let mut arguments = vec!["s_client", "-connect", &address, "-CAfile", ca, "-verify_return_error"];
    arguments.extend_from_slice(more);
    run("openssl", &arguments)
}
