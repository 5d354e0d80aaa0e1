//! `cargo xtask package`: builds the Debian package, and checks everything under `packaging/`.
//!
//! Each file is judged by a program that knows its kind: systemd's own verifier, logrotate's dry run, Helm's renderer, a
//! validator of Kubernetes objects. The configurations in them are loaded by the gateway itself.

mod chroot;
mod kubernetes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::process::{Scratch, find_command};
use crate::tools::Tool;
use crate::{debian, workspace};

/// What builds the Debian package.
const CARGO_DEB: Tool = Tool { name: "cargo-deb", version: "3.8.0", features: &["--no-default-features"] };
/// What lists everything that the program is made of.
const CARGO_SBOM: Tool = Tool { name: "cargo-sbom", version: "0.10.0", features: &[] };

/// What to package.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Check the files under `packaging/` alone, with a debug build; nothing is packaged.
    #[arg(long, conflicts_with = "chroot")]
    check: bool,
    /// Also install, reload, upgrade and remove the package in a fresh Debian. Needs root.
    #[arg(long)]
    chroot: bool,
    /// Package a debug build, which is there sooner, to try the package and its scripts out.
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    if arguments.check {
        let gateway = build(&["-p", "portcullis-cli"], "debug")?;
        return check(&gateway);
    }
    let (gateway, profile) = if arguments.debug {
        (build(&["-p", "portcullis-cli"], "debug")?, "dev")
    } else {
        (build(&["--release", "-p", "portcullis-cli"], "release")?, "release")
    };
    check(&gateway)?;
    let package = debian_package(&gateway, profile)?;
    println!("{}", package.display());
    if arguments.chroot { chroot::try_out(&package) } else { Ok(()) }
}

/// Builds the command, and answers with its path.
fn build(arguments: &[&str], folder: &str) -> Outcome<PathBuf> {
    // Only packages tell it: a new commit alone compiles nothing again.
    let commit = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(workspace::root()).output();
    let commit = commit.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let commit = commit.and_then(|text| String::from_utf8(text).ok()).unwrap_or_else(|| "unknown".to_owned());
    let mut build = workspace::cargo();
    build.arg("build").args(arguments).env("PORTCULLIS_COMMIT", commit.trim());
    run_command(&mut build, "cargo build")?;
    Ok(workspace::target_directory()?.join(folder).join("portcullis"))
}

/// Checks the files under `packaging/`, without packaging them.
fn check(gateway: &Path) -> Outcome<()> {
    let packaging = workspace::root().join("packaging");
    configuration(
        gateway,
        &fs::read_to_string(packaging.join("gateway.yaml")).context(|| "reading gateway.yaml".into())?,
    )?;
    unit(&packaging.join("systemd/portcullis.service"), gateway)?;
    let logrotate = debian::require("logrotate", "logrotate")?;
    // With `--debug` nothing is rotated, and a mistake in the file is an error.
    run_command(
        Command::new(logrotate).arg("--debug").arg(packaging.join("logrotate/portcullis")),
        "logrotate",
    )?;
    container(&packaging.join("container/Containerfile"))?;
    kubernetes::check(&packaging, gateway)?;
    println!("packaging/: every file is as it should be.");
    Ok(())
}

/// The gateway loads this configuration, with made-up secrets in the place of those that a machine would have.
fn configuration(gateway: &Path, text: &str) -> Outcome<()> {
    let scratch = Scratch::new()?;
    let place = scratch.path().display().to_string();
    fs::write(scratch.path().join("first.key"), "0123456789abcdef0123456789abcdef")
        .context(|| "writing a key".into())?;
    let openssl = debian::require("openssl", "openssl")?;
    let [key, certificate] = ["tls.key", "tls.crt"].map(|name| scratch.path().join(name));
    let name = "subjectAltName=DNS:api.example.com";
    run_command(
        Command::new(openssl)
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-subj", "/CN=api.example.com", "-addext", name, "-days", "90", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate),
        "openssl req",
    )?;
    let mut here = text.replace("/etc/portcullis/keys/first", &format!("{place}/first.key"));
    for folder in
        ["/etc/portcullis/tls", "/etc/portcullis/secrets", "/var/lib/portcullis", "/var/log/portcullis"]
    {
        here = here.replace(folder, &place);
    }
    let file = scratch.path().join("gateway.yaml");
    fs::write(&file, here).context(|| "writing the configuration".into())?;
    run_command(Command::new(gateway).arg("check").arg(&file), "portcullis check")
}

/// systemd understands the unit, and rates its exposure as low.
fn unit(unit: &Path, gateway: &Path) -> Outcome<()> {
    /// The highest exposure that `systemd-analyze security` may say: 2.0 on its scale from 0 (best) to 10.
    const EXPOSURE: &str = "--threshold=20";
    let analyze = debian::require("systemd-analyze", "systemd")?;
    let scratch = Scratch::new()?;
    let text = fs::read_to_string(unit).context(|| format!("reading {}", unit.display()))?;
    // The verifier wants programs and manual pages that exist.
    let here = text
        .replace("/usr/bin/portcullis", &gateway.display().to_string())
        .lines()
        .filter(|line| !line.starts_with("Documentation="))
        .fold(String::new(), |text, line| text + line + "\n");
    let copy = scratch.path().join("portcullis.service");
    fs::write(&copy, here).context(|| "writing the unit".into())?;
    let output = Command::new(&analyze)
        .arg("verify")
        .arg(&copy)
        .output()
        .context(|| "running systemd-analyze".into())?;
    let said = String::from_utf8_lossy(&output.stderr);
    // It judges the other units of this machine as well.
    if let Some(line) = said.lines().find(|line| line.contains("portcullis.service")) {
        return Err(Failure::new(format!("systemd-analyze verify: {line}")));
    }
    run_command(
        Command::new(analyze).args(["security", "--offline=true", "--no-pager", EXPOSURE]).arg(&copy),
        "systemd-analyze security",
    )
}

/// The container's steps name files that are there, its last stage is empty, and it does not run as root.
fn container(file: &Path) -> Outcome<()> {
    let text = fs::read_to_string(file).context(|| format!("reading {}", file.display()))?;
    let last = text.rsplit("\nFROM ").next().unwrap_or_default();
    let wrong = |what: &str| Err(Failure::new(format!("{}: {what}", file.display())));
    if !last.starts_with("scratch") {
        return wrong("the last stage is not `scratch`");
    }
    let user = last.lines().find_map(|line| line.strip_prefix("USER "));
    match user.and_then(|user| user.split(':').next()).and_then(|user| user.parse::<u32>().ok()) {
        Some(1..) => {}
        Some(0) | None => return wrong("it runs as root"),
    }
    let toolchain =
        fs::read_to_string(workspace::root().join("Cargo.toml")).context(|| "reading Cargo.toml".into())?;
    let msrv = toolchain.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap_or_default();
    if !text.contains(&format!("rust:{}", msrv.trim_matches('"'))) {
        return wrong("its toolchain is not the one in Cargo.toml");
    }
    Ok(())
}

/// Builds the package, and answers with its path.
fn debian_package(gateway: &Path, profile: &str) -> Outcome<PathBuf> {
    let target = workspace::target_directory()?;
    run_command(Command::new(gateway).arg("manual").arg(target.join("man")), "portcullis manual")?;
    let completions = target.join("completions");
    fs::create_dir_all(&completions).context(|| format!("making {}", completions.display()))?;
    for (shell, name) in [("bash", "portcullis.bash"), ("zsh", "_portcullis"), ("fish", "portcullis.fish")] {
        let output = Command::new(gateway)
            .args(["completions", shell])
            .output()
            .context(|| "running portcullis".into())?;
        fs::write(completions.join(name), output.stdout).context(|| format!("writing {name}"))?;
    }
    if find_command("dpkg-deb").is_none() {
        return Err(Failure::new(
            "`dpkg-deb` is missing: a Debian package is built on Debian or a relative of it",
        ));
    }
    bill_of_materials(&target.join("portcullis.cdx.json"))?;
    let package = target.join("debian").join("portcullis.deb");
    run_command(
        Command::new(CARGO_DEB.require()?)
            .current_dir(workspace::root())
            .args(["deb", "-p", "portcullis-cli", "--no-build", "--profile", profile, "--output"])
            .arg(&package),
        "cargo deb",
    )?;
    Ok(package)
}

/// Writes the bill of materials (CycloneDX, JSON): every crate in the program, with its version and licence.
fn bill_of_materials(file: &Path) -> Outcome<()> {
    let output = Command::new(CARGO_SBOM.require()?)
        .current_dir(workspace::root())
        .args(["sbom", "--cargo-package", "portcullis-cli", "--output-format", "cyclone_dx_json_1_6"])
        .output()
        .context(|| "running cargo-sbom".into())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(Failure::new(format!("cargo-sbom: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let bill: serde_json::Value =
        serde_json::from_str(&text).context(|| "reading the bill of materials".into())?;
    let parts = bill.get("components").and_then(serde_json::Value::as_array).into_iter().flatten();
    let names: Vec<_> = parts.filter_map(|part| part.get("name")?.as_str()).collect();
    // A bill that leaves out what does the cryptography, or us, is not of this program.
    if let Some(missing) =
        ["rustls", "aws-lc-rs", "portcullis-core"].iter().find(|name| !names.contains(name))
    {
        return Err(Failure::new(format!("the bill of materials has no `{missing}`: {} parts", names.len())));
    }
    println!("{}: {} parts", file.display(), names.len());
    fs::write(file, text.as_bytes()).context(|| format!("writing {}", file.display()))
}

/// Runs a command to its end; its output is shown if it fails.
fn run_command(command: &mut Command, about: &str) -> Outcome<()> {
    let output = command.output().context(|| format!("running {about}"))?;
    if output.status.success() {
        return Ok(());
    }
    let [out, error] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Err(Failure::new(format!("{about}: {}\n{out}{error}", output.status)))
}
