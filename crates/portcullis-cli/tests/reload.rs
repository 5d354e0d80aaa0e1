//! The command reads its file again when it is told to, or when the file changes, and says what came of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::{Process, Scratch, curl, portcullis, run, signal};

const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    scratch: Scratch,
    port: u16,
    process: Process,
}

fn text(port: u16, path: &str) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]\nworkers: 1\naccess_log: insecure_off\nstate_dir: state\n\
         security: {{ authentication: {{ type: api_key, header: x-api-key }} }}\n\
         consumers: [{{ name: alice, keys: [{{ file: alice.key }}] }}]\n\
         routes:\n  - {{ path: {path}, methods: [GET], upstream: \"http://127.0.0.1:9\" }}\n"
    )
}

fn serve(name: &str, options: &[&str]) -> Served {
    let scratch = Scratch::new(name);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    scratch.file("alice.key", "alice-key-0123456789abcdef\n");
    std::fs::set_permissions(scratch.path("alice.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = scratch.file("gateway.yaml", &text(port, "/first"));
    let process = Process::start(portcullis().arg("run").arg(&file).args(options), "is listening on");
    Served { scratch, port, process }
}

impl Served {
    fn status(&self, path: &str, key: &str) -> u16 {
        curl(&format!("http://127.0.0.1:{}{path}", self.port), &["-H", &format!("x-api-key: {key}")]).status
    }

    fn wait_for(&self, path: &str, key: &str, status: u16) {
        let begun = Instant::now();
        while self.status(path, key) != status {
            assert!(begun.elapsed() < PATIENCE, "{path} is not {status} but {}", self.status(path, key));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn asked(&self) -> serde_json::Value {
        let output = run(&["status", "--json", &self.scratch.path("state")]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

const KEY: &str = "alice-key-0123456789abcdef";

#[test]
fn a_hangup_reads_the_file_again_and_the_socket_says_so() {
    let served = serve("hangup", &[]);
    // The upstream is not there, so a request that is let through is a 502.
    assert_eq!((served.status("/first", KEY), served.status("/second", KEY)), (502, 404));
    let first = served.asked();
    assert_eq!((&first["generation"], &first["last_failure"]), (&1.into(), &serde_json::Value::Null));

    served.scratch.file("gateway.yaml", &text(served.port, "/second"));
    signal(served.process.id(), "HUP");
    served.wait_for("/second", KEY, 502);
    assert_eq!(served.status("/first", KEY), 404);
    // Whoever was judged by it is told of it.
    let second = served.asked();
    assert_eq!(second["generation"], 2);
    assert_ne!(first["digest"], second["digest"]);

    served.scratch.file("gateway.yaml", &text(served.port, "/third").replace("routes", "routs"));
    signal(served.process.id(), "HUP");
    let begun = Instant::now();
    while served.asked()["last_failure"].is_null() {
        assert!(begun.elapsed() < PATIENCE, "it never failed");
        std::thread::sleep(Duration::from_millis(50));
    }
    let reason = served.asked()["last_failure"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("routs") && reason.contains("did you mean `routes`"), "{reason}");
    assert_eq!((served.status("/second", KEY), served.asked()["generation"].as_u64()), (502, Some(2)));

    let socket = std::fs::metadata(served.scratch.path("state/portcullis.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let words = run(&["status", &served.scratch.path("state")]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("generation 2 is running") && words.contains("the last reload failed"), "{words}");
    let (folder, Served { process, .. }) = (served.scratch.path("state"), &served);
    signal(process.id(), "TERM");
    let begun = Instant::now();
    while run(&["status", &folder]).status.code() == Some(0) {
        assert!(begun.elapsed() < PATIENCE, "it never ended");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_watched_file_and_what_it_refers_to_are_taken_up() {
    let served = serve("watch", &["--watch"]);
    assert_eq!(served.status("/first", KEY), 502);
    // A secret is replaced, as an editor does it; the configuration itself stays.
    served.scratch.file("new.key", "another-key-0123456789abcd\n");
    std::fs::set_permissions(served.scratch.path("new.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(served.scratch.path("new.key"), served.scratch.path("alice.key")).unwrap();
    served.wait_for("/first", "another-key-0123456789abcd", 502);
    assert_eq!(served.status("/first", KEY), 401, "the old key is gone");
    // A mistake changes nothing, and mending it is noticed.
    served.scratch.file("gateway.yaml", "routes: [");
    let begun = Instant::now();
    while served.asked()["last_failure"].is_null() {
        assert!(begun.elapsed() < PATIENCE, "the mistake is never noticed");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(served.status("/first", "another-key-0123456789abcd"), 502);
    served.scratch.file("gateway.yaml", &text(served.port, "/second"));
    served.wait_for("/second", "another-key-0123456789abcd", 502);
    assert!(served.asked()["last_failure"].is_null());
}

#[test]
fn only_the_owner_is_answered() {
    let served = serve("owner", &[]);
    assert_eq!(served.asked()["generation"], 1);
    let socket = served.scratch.path("state/portcullis.sock");
    // Whatever becomes of its mode, the socket asks who connects.
    for path in [served.scratch.path("."), served.scratch.path("state"), socket] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    assert_eq!(served.asked()["generation"], 1);
    let root =
        std::fs::metadata("/proc/self").map(|this| std::os::unix::fs::MetadataExt::uid(&this)).unwrap() == 0;
    if root {
        // The command is copied, since another user may not reach the folder in which it was built.
        let copy = served.scratch.path("portcullis");
        std::fs::copy(env!("CARGO_BIN_EXE_portcullis"), &copy).unwrap();
        let output = std::process::Command::new("setpriv")
            .args(["--reuid", "65534", "--clear-groups", &copy, "status", &served.scratch.path("state")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("generation"), "{output:?}");
    } else {
        eprintln!("not run as root, so no other user was tried");
    }
}
