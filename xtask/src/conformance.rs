//! `cargo xtask conformance` and `cargo xtask soak`: what is too long, or needs too many programs, for the tests.
//!
//! `conformance` sends HTTP/2 that is not as the RFC has it, and runs the clients that people use through a gateway, also with the
//! configurations of `docs/recipes.md`. `soak` runs mixed traffic, with clients that abort and
//! stall and upstreams that die, and compares memory, files and threads at the end with those at the start. `idle` measures what an
//! idle connection takes. All are programs in `tests/conformance/`, which run a debug build unless told otherwise.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{debian, python, workspace};

/// Clients and servers from the Python package index.
const CLIENTS: python::Environment = python::Environment::new(
    "conformance",
    &["requests==2.34.2", "httpx[http2]==0.28.1", "aiohttp==3.14.5", "websockets==17.4", "h2==4.4.1"],
);

/// The configurations of `docs/recipes.md`, and what each needs: commands, with the Debian packages they come from.
const RECIPES: [(&str, &[(&str, &str)]); 4] = [
    ("git", &[("git", "git")]),
    ("etcd", &[("etcd", "etcd-server"), ("etcdctl", "etcd-client")]),
    ("registry", &[("docker-registry", "docker-registry"), ("skopeo", "skopeo")]),
    ("webdav", &[("rclone", "rclone"), ("litmus", "litmus"), ("curl", "curl")]),
];

/// What `cargo xtask conformance` is told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The gateway to run. Default: a debug build that is made first.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Only this configuration of `docs/recipes.md`, with its server and its client: git, etcd, registry or webdav. Can be given
    /// several times.
    #[arg(long, value_parser = RECIPES.map(|(name, _)| name))]
    only: Vec<String>,
}

impl Arguments {
    /// What continuous integration runs.
    pub(crate) fn of_ci() -> Self {
        Self { gateway: None, only: ["git", "etcd"].map(ToOwned::to_owned).to_vec() }
    }
}

/// What `cargo xtask soak` is told.
#[derive(clap::Args)]
pub(crate) struct SoakArguments {
    /// How long the traffic lasts.
    #[arg(long, default_value_t = 20)]
    minutes: u32,
    /// The gateway to run. Default: a debug build that is made first.
    #[arg(long)]
    gateway: Option<PathBuf>,
}

/// What `cargo xtask idle` is told.
#[derive(clap::Args)]
pub(crate) struct IdleArguments {
    /// The gateway to run. Default: a debug build that is made first.
    #[arg(long)]
    gateway: Option<PathBuf>,
}

/// Runs the clients, or some of the documented configurations.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    if !arguments.only.is_empty() {
        return recipes(&arguments.only, arguments.gateway.as_ref());
    }
    for (command, package) in [
        ("git", "git"),
        ("curl", "curl"),
        ("openssl", "openssl"),
        ("etcd", "etcd-server"),
        ("etcdctl", "etcd-client"),
        ("node", "nodejs"),
    ] {
        debian::require(command, package)?;
    }
    script("http2_frames.py", &[], arguments.gateway.as_ref())?;
    script("clients.py", &[], arguments.gateway.as_ref())?;
    recipes(&RECIPES.map(|(name, _)| name.to_owned()), arguments.gateway.as_ref())
}

fn recipes(names: &[String], gateway: Option<&PathBuf>) -> Outcome<()> {
    debian::require("openssl", "openssl")?;
    let needed = RECIPES.iter().filter(|(name, _)| names.iter().any(|wanted| wanted == name));
    for (command, package) in needed.flat_map(|(_, commands)| *commands) {
        debian::require(command, package)?;
    }
    script("recipes.py", names, gateway)
}

/// Measures idle connections.
pub(crate) fn idle(arguments: &IdleArguments) -> Outcome<()> {
    debian::require("openssl", "openssl")?;
    script("idle_memory.py", &["1000".to_owned()], arguments.gateway.as_ref())
}

/// Runs the traffic.
pub(crate) fn soak(arguments: &SoakArguments) -> Outcome<()> {
    script("soak.py", &[(arguments.minutes * 60).to_string()], arguments.gateway.as_ref())
}

fn script(name: &str, words: &[String], gateway: Option<&PathBuf>) -> Outcome<()> {
    let gateway = match gateway {
        Some(gateway) => gateway.clone(),
        None => {
            let mut build = Command::new("cargo");
            build.args(["build", "--quiet", "--package", "portcullis-cli"]).current_dir(workspace::root());
            let status = build.status().context(|| "running cargo build".into())?;
            if !status.success() {
                return Err(Failure::new(format!("cargo build: {status}")));
            }
            workspace::root().join("target/debug/portcullis")
        }
    };
    let python = python::require_all(&CLIENTS)?;
    let status = Command::new(python)
        .arg(workspace::root().join("tests/conformance").join(name))
        .arg(gateway)
        .args(words)
        .status()
        .context(|| format!("running {name}"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{name}: {status}"))) }
}
