//! The package in a fresh Debian: installed, run, reloaded, upgraded and removed, with the gateway started as its unit
//! says, and its readiness read from a notify socket of this program's own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::run_command;
use crate::debian;
use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, free_port, supervised};

/// The release that the package is tried on.
const RELEASE: &str = "bookworm";

/// How long each state of the service may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn try_out(package: &Path) -> Outcome<()> {
    let debootstrap = debian::require("debootstrap", "debootstrap")?;
    let root = Root::new()?;
    println!("Making a Debian {RELEASE} in {}.", root.0.display());
    run_command(Command::new(debootstrap).args(["--variant=minbase", RELEASE]).arg(&root.0), "debootstrap")?;
    root.run("apt-get", &["install", "-y", "-q", "--no-install-recommends", "ca-certificates"])?;
    root.install(package)?;
    root.run("portcullis", &["--version"])?;
    root.run("portcullis", &["check", "/etc/portcullis/gateway.yaml"])?;
    // The chroot shares the ports of this machine, where the usual ones can be taken.
    let configuration = "etc/portcullis/gateway.yaml";
    let (port, upstream) = (free_port()?, free_port()?);
    let here = root
        .read(configuration)?
        .replace("127.0.0.1:3000", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{upstream}"));
    fs::write(root.0.join(configuration), here).context(|| "changing the ports".into())?;
    let key = root.read("etc/portcullis/secrets/first.key")?;
    if key.trim().len() != 64 {
        return Err(Failure::new("the installation made no key of 64 digits"));
    }
    serve(&root, key.trim(), port)?;
    // A change of the configuration survives an upgrade, and so does the key.
    let changed = root.read(configuration)?.replace("per: minute", "per: hour");
    fs::write(root.0.join(configuration), &changed).context(|| "changing the configuration".into())?;
    root.install(package)?;
    if root.read(configuration)? != changed || root.read("etc/portcullis/secrets/first.key")? != key {
        return Err(Failure::new("the upgrade changed the configuration or the key"));
    }
    serve(&root, key.trim(), port)?;
    root.run("dpkg", &["--remove", "portcullis"])?;
    if root.0.join("usr/bin/portcullis").exists() || !root.0.join(configuration).exists() {
        return Err(Failure::new("a removal takes the program and leaves the configuration"));
    }
    root.run("dpkg", &["--purge", "portcullis"])?;
    if root.0.join("etc/portcullis").exists() {
        return Err(Failure::new("a purge left /etc/portcullis"));
    }
    println!("The package was installed, run, reloaded, upgraded, removed and purged.");
    Ok(())
}

/// Starts the gateway as the unit says, asks it, reloads it and stops it.
fn serve(root: &Root, key: &str, port: u16) -> Outcome<()> {
    let unit = root
        .read("usr/lib/systemd/system/portcullis.service")
        .or_else(|_| root.read("lib/systemd/system/portcullis.service"))?;
    let command =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).context(|| "no ExecStart".into())?;
    let socket = root.0.join("run/notify");
    let _ = fs::remove_file(&socket);
    let notify = UnixDatagram::bind(&socket).context(|| "binding the notify socket".into())?;
    notify.set_read_timeout(Some(PATIENCE)).context(|| "the notify socket".into())?;
    for folder in ["var/lib/portcullis", "var/log/portcullis"] {
        fs::create_dir_all(root.0.join(folder)).context(|| format!("making {folder}"))?;
    }
    let mut start = supervised(Path::new("/usr/sbin/chroot"));
    start
        .arg(&root.0)
        .args(["/usr/bin/env", "NOTIFY_SOCKET=/run/notify"])
        .args(command.split_ascii_whitespace());
    let mut gateway = Guard::spawn("the gateway", &mut start)?;
    wait_for(&notify, "READY=1")?;
    expect(port, None, 401)?;
    expect(port, Some(key), 502)?; // Authenticated; there is no upstream in here.
    let reload = Command::new("kill").args(["-HUP", &gateway.id().to_string()]).status();
    reload.context(|| "sending SIGHUP".into())?;
    wait_for(&notify, "RELOADING=1")?;
    wait_for(&notify, "READY=1")?;
    expect(port, None, 401)?;
    Command::new("kill")
        .args(["-TERM", &gateway.id().to_string()])
        .status()
        .context(|| "sending SIGTERM".into())?;
    wait_for(&notify, "STOPPING=1")?;
    let ended = gateway.wait(PATIENCE)?;
    if ended.success() { Ok(()) } else { Err(Failure::new(format!("the gateway ended with {ended}"))) }
}

/// Waits for a line of systemd's notification protocol (`sd_notify(3)`).
fn wait_for(notify: &UnixDatagram, line: &str) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = [0_u8; 4096];
    while Instant::now() < deadline {
        let length = notify.recv(&mut bytes).context(|| format!("waiting for {line}"))?;
        let message = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
        if message.lines().any(|said| said == line) {
            return Ok(());
        }
    }
    Err(Failure::new(format!("the gateway did not say {line}")))
}

/// The gateway of the package's own configuration answers with this status.
fn expect(port: u16, key: Option<&str>, status: u16) -> Outcome<()> {
    let mut stream =
        TcpStream::connect(("127.0.0.1", port)).context(|| format!("connecting to port {port}"))?;
    stream.set_read_timeout(Some(PATIENCE)).context(|| "the connection".into())?;
    let field = key.map(|key| format!("x-api-key: {key}\r\n")).unwrap_or_default();
    write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\n{field}connection: close\r\n\r\n")
        .context(|| "asking".into())?;
    let mut line = String::new();
    BufReader::new(stream.take(4096)).read_line(&mut line).context(|| "reading the answer".into())?;
    if line.split(' ').nth(1) == Some(&status.to_string()) {
        return Ok(());
    }
    Err(Failure::new(format!("expected {status}, and the answer is {line:?}")))
}

/// A folder with a Debian in it, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("portcullis-chroot-{}", std::process::id()));
        fs::create_dir(&path).context(|| format!("making {}", path.display()))?;
        Ok(Root(path))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Outcome<()> {
        let mut command = Command::new("chroot");
        command
            .arg(&self.0)
            .args(["/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", program])
            .args(arguments);
        run_command(&mut command, &format!("{program} in the chroot"))
    }

    fn install(&self, package: &Path) -> Outcome<()> {
        fs::copy(package, self.0.join("portcullis.deb")).context(|| "copying the package".into())?;
        self.run("dpkg", &["--install", "/portcullis.deb"])
    }

    fn read(&self, file: &str) -> Outcome<String> {
        fs::read_to_string(self.0.join(file)).context(|| format!("reading {file} in the chroot"))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: {} was not removed: {error}", self.0.display());
        }
    }
}
