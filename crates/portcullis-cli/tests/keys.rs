//! `portcullis keys` and `portcullis consumers`, and a gateway that runs beside them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use support::{Process, Scratch, curl, portcullis};

/// A backend that answers every request with 200.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut head = [0; 8192];
                while matches!(stream.read(&mut head), Ok(read) if read > 0) {
                    if head.starts_with(b"GET /events") {
                        return events(&mut stream);
                    }
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                }
            });
        }
    });
    port
}

/// Events without an end.
fn events(stream: &mut TcpStream) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let mut going = stream.write_all(head).is_ok();
    while going {
        going = stream.write_all(b"data: x\n\n").is_ok();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A configuration with a store, in a folder of its own.
struct Site {
    scratch: Scratch,
    config: String,
}

const OWN_KEY: &str = "a-key-of-the-file-0123456789";

impl Site {
    fn new(name: &str) -> Site {
        let scratch = Scratch::new(name);
        let upstream = format!("http://127.0.0.1:{}", backend());
        let config = scratch.file(
            "gateway.yaml",
            &format!(
                "listeners: [{{ bind: \"127.0.0.1:0\" }}]
access_log: {{ file: access.log }}
brute_force: {{ free_failures: 1000 }}
security:
  authentication: {{ type: api_key }}
  authorization: {{ roles_allowed: [user] }}
store: {{ keys: {{ sqlite: portcullis.db }} }}
plans: {{ free: {{ rate_limiting: {{ max_requests: 100000, per: minute }} }}, tiny: {{ rate_limiting: {{ max_requests: 2, per: day }} }} }}
consumers: [{{ name: filed, roles: [user, admin], keys: [{{ env: OWN_KEY }}] }}]
routes:
  - {{ path: /a, upstream: \"{upstream}\" }}
  - {{ path: /b, upstream: \"{upstream}\" }}
  - {{ path: /events, upstream: \"{upstream}\" }}
  - {{ path: /admin, upstream: \"{upstream}\", security: {{ authorization: {{ roles_allowed: [admin] }} }} }}
  - {{ path: /scoped, upstream: \"{upstream}\", security: {{ authorization: {{ scopes_required: [read] }} }} }}
  - {{ path: /listed, upstream: \"{upstream}\", security: {{ authentication: {{ type: api_key, keys: [{{ env: OWN_KEY }}] }}, authorization: {{ condition: \"true\" }} }} }}
"
            ),
        );
        Site { scratch, config }
    }

    fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = portcullis()
            .args(arguments)
            .args(["--config", &self.config])
            .env("OWN_KEY", OWN_KEY)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let (code, said, error) = self.command(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}{error}");
        serde_json::from_str(&said).unwrap()
    }

    /// Makes a key; gives it and its number.
    fn key(&self, consumer: &str, more: &[&str]) -> (String, String) {
        let made = self.json(&[&["keys", "create", "--consumer", consumer], more].concat());
        (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    }

    fn gateway(&self) -> Gateway {
        let mut command = portcullis();
        command.args(["run", &self.config]).env("OWN_KEY", OWN_KEY);
        let process = Process::start(&mut command, "is listening");
        let at = process.said.find("http://").unwrap();
        let url = process.said[at..].split_whitespace().next().unwrap().to_owned();
        Gateway { _process: process, url }
    }
}

struct Gateway {
    _process: Process,
    url: String,
}

impl Gateway {
    fn status(&self, path: &str, key: &str) -> u16 {
        curl(&format!("{}{path}", self.url), &["-H", &format!("x-api-key: {key}")]).status
    }

    /// Waits until the answer is this.
    fn until(&self, path: &str, key: &str, status: u16) -> Duration {
        let begun = Instant::now();
        while self.status(path, key) != status {
            assert!(begun.elapsed() < Duration::from_secs(5), "{} and not {status}", self.status(path, key));
        }
        begun.elapsed()
    }
}

#[test]
fn a_key_opens_two_gateways_until_it_is_revoked() {
    let site = Site::new("keys-two");
    let (one, other) = (site.gateway(), site.gateway());
    site.json(&["consumers", "add", "alice", "--roles", "user", "--plan", "free"]);
    let (key, id) = site.key("alice", &["--expires", "90d", "--scopes", "read,write"]);
    for gateway in [&one, &other] {
        assert!(gateway.until("/a", &key, 200) < Duration::from_secs(1));
        assert_eq!(gateway.status("/scoped", &key), 200);
        assert_eq!(gateway.status("/admin", &key), 403);
        assert_eq!(gateway.status("/a", OWN_KEY), 200, "keys of the file go on");
    }
    let (code, said, _) = site.command(&["keys", "list"]);
    assert!(code == 0 && said.contains(&id) && !said.contains(&key), "{said}");
    let shown = site.json(&["keys", "show", &id]);
    assert_eq!((shown["status"].as_str(), shown.get("key")), (Some("active"), None));
    let new = site.json(&["keys", "rotate", &id, "--overlap", "24h"]);
    let new_key = new["key"].as_str().unwrap();
    one.until("/a", new_key, 200);
    assert_eq!(one.status("/a", &key), 200, "both work for a day");
    site.json(&["keys", "revoke", &id]);
    for gateway in [&one, &other] {
        assert!(gateway.until("/a", &key, 401) < Duration::from_secs(1));
        assert_eq!(gateway.status("/a", new_key), 200);
    }
    site.json(&["consumers", "set", "alice", "--roles", ""]);
    one.until("/a", new_key, 403);
    assert_eq!(site.json(&["consumers", "remove", "alice"])["revoked_keys"], 1);
    one.until("/a", new_key, 401);
}

#[test]
fn a_list_of_keys_does_not_open_the_store() {
    let site = Site::new("keys-listed");
    site.json(&["consumers", "add", "alice", "--roles", "user"]);
    let (key, _) = site.key("alice", &[]);
    let gateway = site.gateway();
    assert_eq!(gateway.status("/a", &key), 200);
    assert_eq!(gateway.status("/listed", &key), 401);
    assert_eq!(gateway.status("/listed", OWN_KEY), 200);
}

#[test]
fn a_bound_key_is_good_in_its_place_alone() {
    let site = Site::new("keys-bound");
    site.json(&["consumers", "add", "alice", "--roles", "user"]);
    let (elsewhere, _) = site.key("alice", &["--addresses", "10.0.0.0/8,2001:db8::1"]);
    let (here, _) = site.key("alice", &["--addresses", "127.0.0.0/8"]);
    let (on_b, _) = site.key("alice", &["--routes", "/b"]);
    let gateway = site.gateway();
    assert_eq!((gateway.status("/a", &elsewhere), gateway.status("/a", &here)), (401, 200));
    assert_eq!((gateway.status("/a", &on_b), gateway.status("/b", &on_b)), (401, 200));
    let told = || {
        std::fs::read_to_string(site.scratch.path("access.log"))
            .unwrap()
            .matches("\"credential_elsewhere\"")
            .count()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while told() < 2 && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(told(), 2, "the log says why");
    let (code, _, error) = site.command(&["keys", "create", "--consumer", "alice", "--routes", "/c"]);
    assert!(code == 3 && error.contains("no route with the path `/c`"), "{error}");
}

/// A key in the store for a consumer of the file has what the file says, or less.
#[test]
fn a_consumer_of_the_file_can_have_keys_in_the_store() {
    let site = Site::new("keys-filed");
    let (whole, _) = site.key("filed", &[]);
    let (less, _) = site.key("filed", &["--roles", "user", "--scopes", "read"]);
    let gateway = site.gateway();
    assert_eq!((gateway.status("/admin", &whole), gateway.status("/admin", &less)), (200, 403));
    assert_eq!((gateway.status("/scoped", &whole), gateway.status("/scoped", &less)), (403, 200));
    let (code, _, error) = site.command(&["keys", "create", "--consumer", "filed", "--roles", "root"]);
    assert!(code == 3 && error.contains("does not have the role `root`"), "{error}");
}

#[test]
fn a_name_that_two_have_does_not_start() {
    let site = Site::new("keys-conflict");
    let (code, _, error) = site.command(&["consumers", "add", "filed"]);
    assert!(code == 4 && error.contains("has a consumer `filed` already"), "{error}");
    // Another configuration has no such consumer, and adds one.
    let text = std::fs::read_to_string(&site.config).unwrap();
    let other = site.scratch.file("other.yaml", &text.replace("name: filed", "name: somebody"));
    let added = portcullis()
        .args(["consumers", "add", "filed", "--roles", "user", "--config", &other])
        .env("OWN_KEY", OWN_KEY)
        .output()
        .unwrap();
    assert!(added.status.success());
    let refused = portcullis().args(["run", &site.config]).env("OWN_KEY", OWN_KEY).output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(4) && error.contains("both have a consumer `filed`"), "{error}");
}

#[test]
fn a_key_is_no_number_and_is_not_repeated() {
    let site = Site::new("keys-number");
    site.json(&["consumers", "add", "alice"]);
    let (key, _) = site.key("alice", &[]);
    let (code, said, error) = site.command(&["keys", "revoke", "key_0000000000000001"]);
    assert!(code == 4 && error.contains("has no key"), "{said}{error}");
    let (code, said, error) = site.command(&["keys", "show", &key]);
    assert_eq!(code, 3);
    assert!(error.contains("not the number of a key"), "{error}");
    assert!(!said.contains(&key) && !error.contains(&key), "{said}{error}");
}

#[test]
fn mistakes_are_told() {
    let site = Site::new("keys-mistakes");
    for (arguments, code, expected) in [
        (&["keys", "create", "--consumer", "nobody"][..], 4, "consumers add"),
        (&["keys", "create", "--consumer", "filed", "--expires", "soon"], 3, "90d"),
        (&["keys", "create", "--consumer", "filed", "--expires", "2020-01-01"], 3, "passed"),
        (&["keys", "create", "--consumer", "filed", "--addresses", "home"], 3, "10.0.0.0/8"),
        (&["keys", "create", "--consumer", "filed", "--addresses", "10.0.0.1/8"], 3, "10.0.0.0/8"),
        (&["keys", "create", "--consumer", "filed", "--addresses", ""], 3, "10.0.0.0/8"),
        (&["keys", "create", "--consumer", "filed", "--routes", ""], 3, "for all routes"),
        (&["keys", "create", "--consumer", "filed", "--routes", " , "], 3, "for all routes"),
        (&["keys", "create", "--consumer", "filed", "--expires", "0"], 3, "of no use"),
        (&["keys", "rotate", "key_0000000000000001", "--expires", "0"], 3, "of no use"),
        (&["consumers", "remove", "nobody"], 4, "there is no consumer `nobody`"),
        (&["keys", "import", "/does/not/exist.csv"], 4, "cannot read"),
    ] {
        let (found, _, error) = site.command(arguments);
        assert!(found == code && error.contains(expected), "{arguments:?}: {found} {error}");
    }
    let text = std::fs::read_to_string(&site.config).unwrap();
    let without = site.scratch.file("without.yaml", &text.replace("store: {", "x-store: {"));
    let output =
        portcullis().args(["keys", "list", "--config", &without]).env("OWN_KEY", OWN_KEY).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("names no store of keys"));
}

/// Whoever may make keys writes notes that somebody else reads on a terminal or in a spreadsheet.
#[test]
fn notes_and_files_cannot_drive_a_terminal() {
    let site = Site::new("keys-terminal");
    site.json(&["consumers", "add", "alice", "--roles", "user"]);
    for bad in ["\u{1b}]0;owned\u{7}", "\u{9b}2J", "a\rb", "a\u{7f}b"] {
        let (code, said, error) = site.command(&["keys", "create", "--consumer", "alice", "--note", bad]);
        assert_eq!(code, 3, "{bad:?}: {said}{error}");
        assert!(!error.contains('\u{1b}') && !error.contains('\u{9b}'), "{error:?}");
    }
    // What turns the direction of a text, or is not seen, is no control character. It is shown as what it is.
    let (_, id) = site.key("alice", &["--note", "paid\u{202e}fdp\u{200b}"]);
    for arguments in [&["keys", "list"][..], &["keys", "show", &id]] {
        let (_, said, _) = site.command(arguments);
        assert!(
            said.contains("paid") && !said.contains('\u{202e}') && !said.contains('\u{200b}'),
            "{said:?}"
        );
    }
    let hash = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";
    for (name, text) in [
        ("note", format!("consumer,hash,note\nalice,sha256:{hash},\u{1b}[31mred\n")),
        ("consumer", format!("consumer,hash\n\u{1b}[2J,sha256:{hash}\n")),
        ("column", format!("consumer,hash,\u{1b}[2J\nalice,sha256:{hash},x\n")),
        ("second", format!("consumer,hash\nalice,sha256:{hash}\nalice,sha256:{hash}\n")),
        ("stranger", format!("consumer,hash\nmallory,sha256:{hash}\n")),
        ("roles", format!("consumer,hash,roles\nalice,sha256:{hash},admin\n")),
    ] {
        let file = site.scratch.file(&format!("{name}.csv"), &text);
        let (code, said, error) = site.command(&["keys", "import", &file]);
        assert!(code != 0 && said.is_empty(), "{name}: {code} {said}");
        assert!(!error.contains('\u{1b}'), "{name}: {error:?}");
    }
    assert_eq!(site.json(&["keys", "list"]).as_array().unwrap().len(), 1, "nothing of a bad file is kept");
}

/// Two people rotate and revoke one key at the same time.
#[test]
fn rotations_and_revocations_at_once_leave_one_truth() {
    let site = Site::new("keys-at-once");
    site.json(&["consumers", "add", "alice", "--roles", "user"]);
    let (old, id) = site.key("alice", &[]);
    let gateway = site.gateway();
    gateway.until("/a", &old, 200);
    let ran: Vec<(bool, i32, String)> = std::thread::scope(|scope| {
        let run = |rotates: bool| {
            let word = if rotates { "rotate" } else { "revoke" };
            let (code, said, _) = site.command(&["keys", word, &id, "--json"]);
            (rotates, code, said)
        };
        let threads: Vec<_> =
            [true, false, true, false, true].map(|rotates| scope.spawn(move || run(rotates))).into();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let made: Vec<String> = ran
        .iter()
        .filter(|(rotates, code, _)| *rotates && *code == 0)
        .map(|(_, _, said)| serde_json::from_str::<Value>(said).unwrap()["key"].as_str().unwrap().to_owned())
        .collect();
    assert!(made.len() <= 1, "a key has one successor: {ran:?}");
    assert!(ran.iter().any(|(rotates, code, _)| !rotates && *code == 0), "it was revoked: {ran:?}");
    gateway.until("/a", &old, 401);
    assert_eq!(site.json(&["keys", "show", &id])["status"], "revoked");
    for key in &made {
        gateway.until("/a", key, 200);
    }
    assert_eq!(site.json(&["keys", "list"]).as_array().unwrap().len(), 1 + made.len());
}

/// The documented expression finds keys in what people commit, and nothing that merely looks like one; a typo is no key.
#[test]
fn a_scanner_finds_keys_by_the_documented_expression() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/keys.md");
    let page = std::fs::read_to_string(page).unwrap();
    let expression = page.lines().find(|line| line.starts_with("\\bpk_live_")).expect("the page has it");
    let site = Site::new("keys-scanner");
    site.json(&["consumers", "add", "alice", "--roles", "user"]);
    let (key, _) = site.key("alice", &[]);
    let found = |text: &str| {
        let file = site.scratch.file("scanned.txt", text);
        let output = std::process::Command::new("grep").args(["-oP", expression, &file]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for text in [
        format!("KEY={key}"),
        format!("{{\"key\":\"{key}\"}}"),
        format!("curl -H 'x-api-key: {key}' a"),
        key.clone(),
    ] {
        assert_eq!(found(&text), key, "{text}");
    }
    for text in [
        format!("{key}x"),
        format!("x{key}"),
        key[..56].to_owned(),
        key.to_uppercase(),
        key.replace("live", "test"),
    ] {
        assert_eq!(found(&text), "", "{text}");
    }
    let gateway = site.gateway();
    gateway.until("/a", &key, 200);
    let last = if key.ends_with('0') { "1" } else { "0" };
    for typo in [format!("{}{last}", &key[..56]), key.to_lowercase(), key[..56].to_owned(), format!("{key}0")]
    {
        assert_eq!(gateway.status("/a", &typo), 401, "{typo}");
    }
}

/// A file that may not grow, as on a full disk: a change fails and says so, and what was there stays.
#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let site = Site::new("keys-full");
    site.json(&["consumers", "add", "alice", "--roles", "user"]);
    let (key, _) = site.key("alice", &[]);
    let gateway = site.gateway();
    assert_eq!(gateway.status("/a", &key), 200);
    let note = "x".repeat(4000);
    let line = format!(
        "trap '' XFSZ; ulimit -f 40; for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do \"$0\" keys create --consumer alice --note {note} --config \"$1\" || exit $?; done"
    );
    let full = std::process::Command::new("bash")
        .args(["-c", &line, env!("CARGO_BIN_EXE_portcullis"), &site.config])
        .env("OWN_KEY", OWN_KEY)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(4), "{error}");
    assert!(error.contains("portcullis.db"), "{error}");
    assert_eq!(gateway.status("/a", &key), 200);
    let made =
        String::from_utf8_lossy(&full.stdout).lines().filter(|line| line.starts_with("pk_live_")).count();
    assert_eq!(
        site.json(&["keys", "list"]).as_array().unwrap().len(),
        made + 1,
        "each key that was shown is there"
    );
    let (after, _) = site.key("alice", &[]);
    gateway.until("/a", &after, 200);
}

#[test]
fn a_revoked_key_ends_its_streams() {
    let site = Site::new("keys-streams");
    site.json(&["consumers", "add", "alice", "--roles", "user"]);
    let ((key, id), (other, _)) = (site.key("alice", &[]), site.key("alice", &[]));
    let gateway = site.gateway();
    let open = |key: &str| {
        let mut stream = TcpStream::connect(gateway.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n\r\n").unwrap();
        let mut some = [0; 64];
        assert!(stream.read(&mut some).unwrap() > 0 && some.starts_with(b"HTTP/1.1 200"));
        stream
    };
    let (mut ends, mut goes_on) = (open(&key), open(&other));
    // Reviews of both have passed before.
    std::thread::sleep(Duration::from_secs(4));
    assert!(ends.read(&mut [0; 1024]).unwrap() > 0);
    site.json(&["keys", "revoke", &id]);
    let begun = Instant::now();
    while matches!(ends.read(&mut [0; 4096]), Ok(read) if read > 0) {
        assert!(begun.elapsed() < Duration::from_secs(8), "it goes on");
    }
    assert!(goes_on.read(&mut [0; 4096]).unwrap() > 0, "the other one goes on");
}

#[test]
fn a_plan_limits_keys_of_the_store() {
    let site = Site::new("keys-plans");
    site.json(&["consumers", "add", "alice", "--roles", "user", "--plan", "free"]);
    let ((free, _), (tiny, _)) = (site.key("alice", &[]), site.key("alice", &["--plan", "tiny"]));
    let (filed, _) = site.key("filed", &["--plan", "tiny"]);
    let gateway = site.gateway();
    for key in [&tiny, &filed] {
        assert_eq!([1, 2, 3].map(|_| gateway.status("/a", key)), [200, 200, 429]);
    }
    assert_eq!(gateway.status("/a", &free), 200);
    let (code, _, error) = site.command(&["consumers", "set", "alice", "--plan", "fre"]);
    assert!(code == 3 && error.contains("no plan `fre`"), "{error}");
}

#[test]
fn a_plan_that_is_not_there_is_a_fault() {
    let site = Site::new("keys-no-plan");
    site.json(&["consumers", "add", "alice", "--roles", "user", "--plan", "free"]);
    let (key, _) = site.key("alice", &[]);
    let text = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, text.replace("plans: {", "x-plans: {")).unwrap();
    let gateway = site.gateway();
    assert_eq!((gateway.status("/a", &key), gateway.status("/a", OWN_KEY)), (503, 200));
}
