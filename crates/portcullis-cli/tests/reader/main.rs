//! A reader follows every page of the documentation word for word, with the command that was built.
//!
//! Whatever a page has on the Internet has a double on this machine. What cannot be followed here says why, in a comment of the page, and
//! is listed by this test (`--nocapture`). A guide without a command that is followed, or a reason, is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod doubles;
mod follow;
mod page;

use follow::follow;
use page::Page;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Parts of the book in which every page shows its reader something to do.
const GUIDES: [&str; 2] = ["Summary", "Guides"];

#[test]
fn every_guide_works_as_it_is_written() {
    let only = std::env::var("READER_PAGE").unwrap_or_default();
    let pages: Vec<(String, bool)> =
        pages().into_iter().filter(|(name, _)| only.is_empty() || *name == only).collect();
    let next = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    let work = || {
        while let Some((name, _)) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(problem) = follow(name, &text(name)) {
                problems.lock().unwrap().push(problem);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let mut problems = problems.into_inner().unwrap();
    let mut followed = 0;
    for (name, guide) in &pages {
        let page = Page::read(&text(name));
        followed += usize::from(page.is_followed());
        if *guide && !page.is_followed() && page.reason.is_none() {
            problems.push(format!("{name}: a guide without a command, and without a reason for that"));
        }
        let reasons =
            page.reason.iter().map(|why| (1, why)).chain(page.skipped.iter().map(|(line, why)| (*line, why)));
        reasons.for_each(|(line, why)| println!("not followed: {name}:{line}: {why}"));
    }
    println!("{followed} pages were followed.");
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    assert!(
        followed >= 25 || !only.is_empty(),
        "only {followed} pages have commands: are they looked for in the right way?"
    );
}

#[test]
fn a_page_that_is_wrong_is_noticed() {
    let gateway = "```yaml\n# gateway.yaml\nlisteners: [{ bind: \"127.0.0.1:3000\" }]\nroutes: [{ path: /a, public: \"a test\", upstream: \"http://127.0.0.1:8080\" }]\n```\n";
    let run = format!(
        "{gateway}```sh\nportcullis run gateway.yaml\ncurl -i http://127.0.0.1:3000/a   # 200\n```\n"
    );
    assert_eq!(follow("right", &run), Ok(()));
    for (name, wrong) in [
        ("status", run.replace("# 200", "# 401")),
        ("command", format!("{gateway}```sh\nportcullis chekc gateway.yaml\n```\n")),
        ("key", run.replace("upstream", "upsteram").replace("run", "check")),
        (
            "text",
            format!("{run}```sh\nportcullis check gateway.yaml\n```\n```text\nall is lost\n```\n")
                .replace("portcullis run", "echo"),
        ),
        ("code", format!("{gateway}```sh\nportcullis check gateway.yaml   # ends with 1\n```\n")),
    ] {
        assert!(follow(name, &wrong).is_err(), "{name}");
    }
}

/// Every page of the book by its name below `docs/`, with whether it is a guide, and the README.
fn pages() -> Vec<(String, bool)> {
    let summary = text("SUMMARY.md");
    let mut part = "";
    let mut found = vec![("../README.md".to_owned(), true)];
    for line in summary.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            part = title;
        }
        if let Some((_, name)) = line.trim_end_matches(')').split_once("](") {
            found.push((name.to_owned(), GUIDES.contains(&part)));
        }
    }
    found
}

fn text(name: &str) -> String {
    let docs: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    fs::read_to_string(docs.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
