//! Pebble and its DNS server, each a process on free ports of this machine that ends with its value.

use crate::authority::{Authority, Wanted, folder, write};
use crate::support::World;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than an order takes that works, on a machine that does much else.
pub const LONG: Duration = Duration::from_secs(90);

/// A port that nobody has, and that the operating system gives to nobody who asks for any.
pub fn free_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    let below_the_systems_own = || 10_000 + u16::try_from(RandomState::new().hash_one(0) % 22_000).unwrap();
    std::iter::repeat_with(below_the_systems_own)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

/// A process that ends with its value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority, and the ports at which it looks for proofs.
pub struct Pebble {
    processes: [Ended; 2],
    pub folder: PathBuf,
    pub directory: String,
    /// Whom its own server is believed by.
    pub ca: PathBuf,
    pub tls_port: u16,
    pub http_port: u16,
    management: u16,
    log: PathBuf,
}

impl Pebble {
    /// Starts it; its certificates live so many seconds.
    pub fn start(life: u32) -> Pebble {
        let folder = folder();
        let authority = Authority::new("the authority of Pebble's own server");
        let ca = folder.join("pebble-ca.pem");
        write(&ca, &authority.pem);
        let tries = std::iter::repeat_with(|| Pebble::try_start(life, free_port(), &folder, &authority, &ca));
        tries.take(5).flatten().next().expect("Pebble finds its ports")
    }

    /// The same, at a port that is known before, and believed by an authority that is there already.
    pub fn start_with(life: u32, port: u16, folder: &Path, authority: &Authority, ca: &Path) -> Pebble {
        let tries = std::iter::repeat_with(|| Pebble::try_start(life, port, folder, authority, ca));
        tries.take(5).flatten().next().expect("Pebble finds its ports")
    }

    /// `None` where somebody else took one of the ports meanwhile.
    fn try_start(life: u32, port: u16, folder: &Path, authority: &Authority, ca: &Path) -> Option<Pebble> {
        authority.issue(folder, "pebble", &Wanted::server(&["localhost"]));
        let [management, tls_port, http_port, dns, dns_management] = [(); 5].map(|()| free_port());
        let place = folder.display();
        let config = folder.join("pebble.json");
        let settings = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": format!("{place}/pebble.pem"),
            "privateKey": format!("{place}/pebble.key"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": life,
        }});
        write(&config, &settings.to_string());
        let log = folder.join("pebble.log");
        let out = File::create(&log).unwrap();
        let dns_server = Command::new("pebble-challtestsrv")
            .args([
                "-dns01",
                &format!("127.0.0.1:{dns}"),
                "-management",
                &format!("127.0.0.1:{dns_management}"),
            ])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv, of the Debian package pebble");
        let dns_server = Ended(dns_server);
        let server = Command::new("pebble")
            .args(["-config", config.to_str().unwrap(), "-dnsserver", &format!("127.0.0.1:{dns}"), "-strict"])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "50")
            // Each order has its hosts proven anew.
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .expect("pebble, of the Debian package pebble");
        let server = Ended(server);
        let mut pebble = Pebble {
            processes: [server, dns_server],
            directory: format!("https://localhost:{port}/dir"),
            folder: folder.to_owned(),
            ca: ca.to_owned(),
            tls_port,
            http_port,
            management,
            log,
        };
        let begun = Instant::now();
        while pebble.ask(&pebble.directory).is_none() {
            let ended = pebble.processes.iter_mut().any(|process| process.0.try_wait().unwrap().is_some());
            if ended || begun.elapsed() > LONG {
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // The other one has had the time to fail, too.
        let running = pebble.processes.iter_mut().all(|process| process.0.try_wait().unwrap().is_none());
        running.then_some(pebble)
    }

    fn ask(&self, url: &str) -> Option<String> {
        let arguments = ["-sSf", "--max-time", "10", "--cacert", self.ca.to_str().unwrap(), url];
        let output = Command::new("curl").args(arguments).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Whom its certificates are believed by.
    pub fn root(&self) -> PathBuf {
        let pem = self.ask(&format!("https://localhost:{}/roots/0", self.management)).expect("a root");
        let file = self.folder.join("root.pem");
        write(&file, &pem);
        file
    }

    /// How often it was asked for something of which its log has this.
    pub fn count(&self, text: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap().matches(text).count()
    }

    /// How many orders it took.
    pub fn orders(&self) -> usize {
        self.count("Added order ")
    }

    /// Where the gateway keeps what it gets.
    pub fn storage(&self) -> PathBuf {
        self.folder.join("storage")
    }

    /// `acme` for these hosts, with more keys.
    pub fn acme(&self, domains: &str, more: &str) -> String {
        format!(
            "{{ domains: [{domains}], agree_to_terms: true, directory: \"{}\", ca: {}, storage: {}, \
             contact: [\"mailto:operator@example.com\"], retry_interval: 1s{more} }}",
            self.directory,
            self.ca.display(),
            self.storage().display(),
        )
    }

    /// A gateway at the port at which Pebble looks, before this backend.
    pub fn gateway(&self, domains: &str, more: &str, backend: std::net::SocketAddr) -> World {
        World::start(&document(
            &format!(
                "  - bind: 127.0.0.1:{}\n    tls: {{ acme: {} }}\n  - {{ bind: \"127.0.0.1:{}\", redirect_to_https: 443 }}\n",
                self.tls_port,
                self.acme(domains, more),
                self.http_port,
            ),
            backend,
        ))
    }
}

/// A document with these listeners.
pub fn document(listeners: &str, backend: std::net::SocketAddr) -> String {
    format!(
        "listeners:\n{listeners}outbound: {{ allow: [127.0.0.0/8] }}\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: \"http://{backend}\" }}]\n"
    )
}

/// Waits for something that takes a while.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "{what}: not after {LONG:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits for a notice.
pub fn until_noticed(world: &World, text: &str) {
    let begun = Instant::now();
    while !world.records.notices().iter().any(|notice| notice.contains(text)) {
        assert!(begun.elapsed() < LONG, "no {text:?} among {:#?}", world.records.notices());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
