//! The examples do what they say, as curl sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An example, built beside the tests.
fn example(name: &str) -> Command {
    let mut profile: PathBuf = std::env::current_exe().unwrap();
    profile.pop();
    profile.pop();
    // A test that runs alone comes without the examples.
    let built = Command::new(env!("CARGO"))
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

#[test]
fn oauth2_is_refused_with_a_reason() {
    let output = example("oauth2_refused").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("error[config.unsupported]") && text.contains("security.authentication"), "{text}");
    assert!(!text.contains("unknown key"), "the spelling is right: {text}");
}
