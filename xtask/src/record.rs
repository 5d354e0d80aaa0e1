//! `cargo xtask record`: requests as real clients send them, byte by byte, into `tests/recorded/requests/`.
//!
//! Beside the tests and not part of CI: the files are kept, and the test `recorded` replays them. A client that is not installed
//! keeps its file. The libraries of Python and Node are installed first, by version.

use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{debian, python, workspace};

/// Python's clients, and HTTP/2 for the recorder.
const PYTHON: python::Environment = python::Environment::new(
    "recorded",
    &[
        "h2==4.4.1",
        "requests==2.34.2",
        "httpx[http2]==0.28.1",
        "aiohttp==3.14.5",
        "urllib3==2.8.0",
        "websockets==17.4",
        "grpcio==1.85.3",
        "boto3==1.44.8",
        "google-cloud-storage==3.17.1",
        "azure-storage-blob==12.31.1",
        "openai==3.57.0",
        "anthropic==2.14.0",
        "elasticsearch==9.5.1",
        "PyGithub==2.10.0",
        "python-gitlab==8.6.0",
        "kubernetes==37.0.1",
        "stripe==16.1.0",
        "slack_sdk==3.48.0",
    ],
);

/// What `cargo xtask record` is told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this client, such as `curl`. Can be given several times.
    #[arg(long)]
    only: Vec<String>,
}

/// Runs the recorder.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    debian::require("openssl", "openssl")?;
    let folder = workspace::root().join("tests/recorded");
    let clients = folder.join("clients");
    let npm = debian::require("npm", "npm")?;
    let mut install = Command::new(npm);
    install.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&clients);
    finish(install.status().context(|| "running npm".into())?, "npm ci in tests/recorded/clients")?;
    let mut record = Command::new(python::require_all(&PYTHON)?);
    record.arg(folder.join("record.py")).arg("--node-modules").arg(&clients);
    for name in &arguments.only {
        record.args(["--only", name]);
    }
    finish(record.status().context(|| "running record.py".into())?, "record.py")
}

fn finish(status: std::process::ExitStatus, what: &str) -> Outcome<()> {
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{what}: {status}"))) }
}
