//! The examples do what they say, as curl sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses a part of it")]
#[path = "support/mod.rs"]
mod support;

use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use support::OidcProvider;

/// An example, built beside the tests.
fn example(name: &str) -> Command {
    let mut profile: PathBuf = std::env::current_exe().unwrap();
    profile.pop();
    profile.pop();
    // A test that runs alone comes without the examples.
    let built = Command::new(env!("CARGO"))
        // `cargo xtask test` gives it to test programs, for their times; cargo would build everything anew with it.
        .env_remove("RUSTC_BOOTSTRAP")
        .args(["build", "--quiet", "--package", "portcullis", "--example", name, "--target-dir"])
        .arg(profile.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success());
    Command::new(profile.join("examples").join(name))
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and whole answer.
fn curl(url: &str, arguments: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--include", "--max-time", "10", "--noproxy", "*", "--http1.1"])
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl is installed: `cargo xtask test` installs it");
    let text = String::from_utf8(output.stdout).unwrap().to_lowercase();
    let status = text.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {text}")).parse().unwrap();
    (status, text)
}

#[test]
fn secured_data_shows_every_answer() {
    let mut program = Program(example("secured_data").arg("0").stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("API Gateway running on port ").expect("it says where it runs");
    let url = format!("http://127.0.0.1:{port}/data");

    let refusals: [(u16, &str, &[&str], &str); 7] = [
        (401, &url, &[], "www-authenticate: "),
        (401, &url, &["-H", "x-api-key: 12346"], "www-authenticate: "),
        (401, &url, &["-H", "x-api-key: 12345", "-H", "x-api-key: 12345"], "www-authenticate: "),
        (404, &format!("{url}/more"), &["-H", "x-api-key: 12345"], ""),
        (
            405,
            &url,
            &["-X", "TRACE", "-H", "x-api-key: 12345"],
            "allow: get, head, post, put, patch, delete, options",
        ),
        (413, &url, &["-H", "x-api-key: 67890", "-H", "content-length: 1048577", "-X", "POST"], ""),
        (400, &format!("{url}%2f"), &["-H", "x-api-key: 12345"], ""),
    ];
    for (status, url, arguments, field) in refusals {
        let (answered, text) = curl(url, arguments);
        assert_eq!(answered, status, "{url} {arguments:?}: {text}");
        assert!(text.contains(field) && text.contains("application/problem+json"), "{text}");
        assert!(!text.contains("portcullis") && !text.contains("12345"), "{text}");
    }

    // The refusals were not counted, but for the one that was refused after it: five for each key.
    for _ in 0..5 {
        let (status, text) = curl(&url, &["-H", "x-api-key: 12345"]);
        assert_eq!(status, 200, "{text}");
        assert!(text.ends_with(r#"{"message":"secure data accessed"}"#), "{text}");
    }
    let (status, text) = curl(&url, &["-H", "x-api-key: 12345"]);
    assert_eq!(status, 429, "{text}");
    assert!(text.contains("retry-after: 1"), "{text}");
    assert_eq!(curl(&url, &["-H", "x-api-key: 67890"]).0, 200, "the other key has its own limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secured_data_oauth2_lets_users_in_and_nobody_else() {
    let provider = OidcProvider::start().await;
    let token_url = format!("{}/token", provider.issuer);
    let mut command = example("secured_data_oauth2");
    command.args(["0", &token_url, "127.0.0.0/8"]);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("API Gateway running on port ").expect("it says where it runs");
    let url = format!("http://127.0.0.1:{port}/data");

    for (account, status) in [("alice", 200), ("root", 200), ("carol", 403)] {
        for resource in ["urn:jwt:RS256", "urn:jwt:ES256"] {
            let token = provider.mint(account, resource, "read", json!({})).await;
            let (answered, text) = curl(&url, &["-H", &format!("authorization: bearer {token}")]);
            assert_eq!(answered, status, "{account}: {text}");
            if status == 200 {
                assert!(text.ends_with(r#"{"message":"secure data accessed"}"#), "{text}");
                assert!(text.contains("ratelimit-policy: \"default\";q=1000;w=60"), "{text}");
            }
        }
    }
    let mut stolen = provider.mint("alice", "urn:jwt:RS256", "read", json!({})).await;
    stolen.truncate(stolen.len() - 4);
    let refused: [&[&str]; 2] = [&[], &["-H", &format!("authorization: bearer {stolen}")]];
    for arguments in refused {
        let (answered, text) = curl(&url, arguments);
        assert_eq!(answered, 401, "{text}");
        assert!(text.contains("www-authenticate: bearer") && !text.contains("portcullis"), "{text}");
    }
}

#[test]
fn the_page_shows_the_example_with_axum() {
    let page = include_str!("../../../docs/library.md");
    assert!(
        page.contains(include_str!("../examples/mount_axum.rs")),
        "docs/library.md shows another program"
    );
}

#[test]
fn a_router_of_axum_is_behind_the_gateway() {
    // A port that is free now can be taken in a moment, and then the program ends.
    let started = (0..10).find_map(|_| {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut program = Program(example("mount_axum").arg(port.to_string()).spawn().unwrap());
        let up = (0..1000).find_map(|_| {
            if program.0.try_wait().unwrap().is_some() {
                return Some(false);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(|_| true)
        });
        (up == Some(true)).then_some((program, port))
    });
    let (_program, port) = started.expect("it listens");
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let key = ["-H", "x-api-key: alices-key-0123456789abcdef"];

    for (path, text) in [("/orders/7", "order 7\n"), ("/me", "you are alice\n")] {
        let (status, answer) = curl(&url(path), &key);
        assert!(status == 200 && answer.ends_with(text), "{path}: {answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
        assert_eq!(curl(&url(path), &[]).0, 401, "{path}");
        assert_eq!(curl(&url(path), &["-H", "x-api-key: alices-key-0123456789abcdee"]).0, 401, "{path}");
    }
    let claimed = [key[0], key[1], "-H", "x-consumer-name: root"];
    assert!(!curl(&url("/me"), &claimed).1.contains("root"), "nobody says who they are by a header");
    let posted = curl(&url("/length"), &[key[0], key[1], "--data", "hello"]);
    assert!(posted.0 == 200 && posted.1.ends_with("5 bytes\n"), "{posted:?}");
    let long = "x".repeat(1024 * 1024 + 1);
    let file = std::env::temp_dir().join(format!("portcullis-axum-{}", std::process::id()));
    std::fs::write(&file, long).unwrap();
    let announced = format!("@{}", file.display());
    assert_eq!(curl(&url("/length"), &[key[0], key[1], "--data-binary", &announced]).0, 413);
    let chunked = ["-H", "transfer-encoding: chunked", "-H", "expect:"];
    let (status, text) =
        curl(&url("/length"), &[&key[..], &chunked[..], &["--data-binary", &announced]].concat());
    let _ = std::fs::remove_file(&file);
    assert_eq!(status, 413, "whatever the handler answers: {text}");
    assert_eq!(curl(&url("/orders/x"), &key).0, 400, "the router's own answer");
    assert_eq!(curl(&url("/orders%2f7"), &key).0, 400);
    assert_eq!(curl(&url("/none"), &key).0, 404);
}
