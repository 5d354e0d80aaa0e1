//! A PostgreSQL server of the tests' own, in a folder that goes with it.
//!
//! The server refuses to run as root, so it runs as the user `postgres` then. A shell keeps it, and ends it and
//! removes its folder when the process of the test is gone, however that ended.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

pub(crate) const PASSWORD: &str = "right-password";

pub(crate) struct Server {
    folder: PathBuf,
    programs: PathBuf,
    pub(crate) port: u16,
    running: Mutex<Option<Running>>,
    databases: AtomicU32,
}

struct Running {
    keeper: Child,
    /// While it is open, the server runs.
    _life: ChildStdin,
}

/// Where the programs of the newest version are.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|entry| entry.path().join("bin")).collect());
    let mut versions: Vec<PathBuf> = versions.unwrap_or_default();
    versions.retain(|bin| bin.join("initdb").exists());
    versions.sort();
    versions.pop().expect("PostgreSQL is installed: `cargo xtask test` installs it")
}

/// A command as a user who may run the server.
fn as_user(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Server {
    /// One for all tests that do not hurt it.
    pub(crate) fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Server::start)
    }

    pub(crate) fn start() -> Server {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short, since a socket's path may have 107 bytes.
        let folder = PathBuf::from(format!("/tmp/pk-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let programs = programs();
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
        }
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let data = folder.join("data");
        let made = as_user(&programs.join("initdb"))
            .args([
                "--no-sync",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "-U",
                "portcullis",
                "-E",
                "UTF8",
                "--locale=C",
            ])
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server =
            Server { folder, programs, port, running: Mutex::new(None), databases: AtomicU32::new(0) };
        server.begin();
        server
    }

    /// Starts it, again if it was ended before.
    pub(crate) fn begin(&self) {
        let mut command = as_user(Path::new("sh"));
        let mut keeper = command
            .arg("-c")
            .arg("\"$1/postgres\" -D \"$2/data\" -k \"$2\" -p \"$3\" -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60 >>\"$2/log\" 2>&1 & read _; there=$?; kill -QUIT $!; wait; [ $there = 0 ] || rm -rf \"$2\"")
            .args(["keeper".as_ref(), self.programs.as_os_str(), self.folder.as_os_str(), self.port.to_string().as_ref()])
            .current_dir("/")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let life = keeper.stdin.take().unwrap();
        *self.running.lock().unwrap() = Some(Running { keeper, _life: life });
        let begun = Instant::now();
        while !self.sql("postgres", "SELECT 1").is_ok_and(|answer| answer.contains('1')) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{}",
                std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has it speak TLS with a certificate for `localhost`; gives the file with that.
    pub(crate) fn with_tls(&self) -> PathBuf {
        let (certificate, key) = (self.folder.join("tls.pem"), self.folder.join("tls.key"));
        let made = as_user(Path::new("openssl"))
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .current_dir("/")
            .output()
            .expect("openssl is installed: `cargo xtask test` installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for (name, value) in [("ssl_cert_file", &certificate), ("ssl_key_file", &key)] {
            self.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{}'", value.display())).unwrap();
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on").unwrap();
        self.sql("postgres", "SELECT pg_reload_conf()").unwrap();
        let begun = Instant::now();
        while self.sql("postgres", "SHOW ssl").unwrap().trim() != "on" {
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not come to speak TLS");
            std::thread::sleep(Duration::from_millis(20));
        }
        certificate
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn crash(&self) {
        if let Some(Running { mut keeper, _life: mut life }) = self.running.lock().unwrap().take() {
            let _ = life.write_all(b"\n");
            drop(life);
            keeper.wait().unwrap();
        }
    }

    fn main_process(&self) -> String {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    /// Stops all its processes from running, or lets them go on: a server that takes everything and answers nothing.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let main = self.main_process();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &main]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let all = std::iter::once(main.as_str()).chain(children.split_whitespace());
        assert!(Command::new("kill").arg(signal).args(all).status().unwrap().success());
    }

    /// Runs a statement, by the server's own client.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> Result<String, String> {
        let done = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-q",
                "-t",
                "-A",
                "-U",
                "portcullis",
                "-d",
                database,
                "-c",
                statement,
                "-p",
                &self.port.to_string(),
                "-h",
            ])
            .arg(&self.folder)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    /// A new database, as a URL by its socket.
    pub(crate) fn database(&self) -> String {
        let name = format!("keys{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        format!("host={} port={} user=portcullis dbname={name}", self.folder.display(), self.port)
    }

    /// The same database by TCP, with this password.
    pub(crate) fn by_tcp(&self, password: &str) -> String {
        let name = format!("keys{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        format!("postgres://portcullis:{password}@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
