//! A line marked `// SECURITY:` names the test that guards it, and that test is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust source file of the workspace, and every file of cases, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    fn read(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !matches!(name, "target" | "node_modules") {
                read(&path, found);
            } else if is_file(name) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["crates", "xtask"] {
        read(&root().join(folder), &mut found);
    }
    found
}

/// The comments of a text that are marked, each as one line.
fn marked(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let Some(begun) = line.strip_prefix("// SECURITY: ") else { continue };
        let mut comment = begun.to_owned();
        while let Some(more) = lines.peek().and_then(|line| line.strip_prefix("// ")) {
            if more.starts_with("SECURITY: ") {
                break;
            }
            comment.push(' ');
            comment.push_str(more);
            lines.next();
        }
        found.push(comment);
    }
    found
}

/// What stands in brackets, or behind `tests::`, and has the form of a test's name, or of a test file's.
fn guards(comment: &str) -> Vec<&str> {
    let inside = comment.split('(').skip(1).filter_map(|rest| rest.split_once(')')).map(|(inside, _)| inside);
    let inside = inside.flat_map(|inside| inside.split(", ")).map(|name| name.trim_matches('`'));
    // `what it tries in hostile.rs` leads to a file.
    let inside = inside.map(|name| name.rsplit(' ').next().filter(|last| is_file(last)).unwrap_or(name));
    let paths = comment.split(' ').filter(|word| word.contains("tests::"));
    let named = paths.filter_map(|path| path.trim_end_matches('.').rsplit("::").next());
    inside.chain(named).filter(|name| is_file(name) || is_test(name)).collect()
}

fn is_file(name: &str) -> bool {
    name.ends_with(".rs") || name.ends_with(".yaml") || name.ends_with('/')
}

fn is_test(name: &str) -> bool {
    name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[test]
fn a_security_comment_names_a_test_that_is_there() {
    let sources = sources();
    let is_there = |name: &str| {
        if is_file(name) {
            let name = name.trim_end_matches('/');
            sources.iter().any(|(path, _)| path.ends_with(name) || path.parent().unwrap().ends_with(name))
        } else {
            let head = format!("fn {name}(");
            sources.iter().any(|(_, text)| text.contains(&head))
        }
    };
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        let shown = path.strip_prefix(root()).unwrap().display();
        for comment in marked(text) {
            let guards = guards(&comment);
            if guards.is_empty() {
                wrong.push(format!("{shown}: no test guards {comment:?}"));
            }
            wrong.extend(
                guards.iter().filter(|name| !is_there(name)).map(|name| format!("{shown}: no test {name}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tests_that_the_owasp_page_names_are_there() {
    let (sources, page) = (sources(), fs::read_to_string(root().join("docs/owasp.md")).unwrap());
    let items: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert_eq!(items.len(), 10);
    for item in items {
        let title = item.lines().next().unwrap();
        let (_, tests) = item.split_once("- **Tests**: ").unwrap_or_else(|| panic!("{title} names no test"));
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{title}");
        for name in names {
            let head = format!("fn {name}(");
            assert!(sources.iter().any(|(_, text)| text.contains(&head)), "{title}: no test {name}");
        }
    }
}

#[test]
fn comments_and_their_guards_are_found() {
    let text = "x\n    // SECURITY: one must not\n    // happen (a_test, tests/files/one.rs).\n// SECURITY: two (RFC 9110, section 4)\ncode();\n";
    let comments = marked(text);
    assert_eq!(comments, ["one must not happen (a_test, tests/files/one.rs).", "two (RFC 9110, section 4)"]);
    assert_eq!(guards(&comments[0]), ["a_test", "tests/files/one.rs"]);
    assert!(guards(&comments[1]).is_empty());
    assert_eq!(guards("guarded by tests::more::a_test."), ["a_test"]);
}
