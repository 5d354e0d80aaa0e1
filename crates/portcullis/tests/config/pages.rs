//! Every configuration that a page of the documentation shows can be pasted and loads.
//!
//! A block can be a part of a document; the keys that it lacks are added here. Files that a page names are not here, so
//! a missing file is the one error that a block may have.

use portcullis::Loaded;
use portcullis_config::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// What a part of a document lacks, by key.
const REST: [(&str, &str); 4] = [
    ("listeners", "listeners: [{ bind: \"127.0.0.1:3000\" }]\n"),
    ("consumers", "consumers: [{ name: alice, roles: [user, admin], keys: [{ env: ALICE_API_KEY }] }]\n"),
    ("security", "security: { authentication: { type: api_key } }\n"),
    (
        "routes",
        "routes: [{ path: \"/{*rest}\", upstream: \"http://127.0.0.1:8080\", security: { authentication: { type: api_key } } }]\n",
    ),
];

#[test]
fn what_the_pages_show_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    collect(&root.join("docs"), &mut pages);
    let mut blocks = 0;
    let mut wrong = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for (number, block) in blocks_of(&text).enumerate() {
            blocks += 1;
            if let Some(problem) = problem(&completed(block)) {
                wrong.push(format!("{}, block {}: {problem}\n{block}", page.display(), number + 1));
            }
        }
    }
    assert!(blocks >= 20, "the pages have {blocks} configurations: are they looked for in the right way?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_block_that_does_not_load_is_noticed() {
    assert!(problem(&completed("drain: 30 s\n")).is_some());
    assert!(problem(&completed("drian: 30s\n")).is_some());
    assert!(problem(&completed("drain: 30s\n")).is_none());
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The blocks of YAML that are configurations of the gateway.
fn blocks_of(page: &str) -> impl Iterator<Item = &str> {
    let parts = page.split("```yaml\n").skip(1);
    let blocks = parts.map(|part| part.split("```").next().unwrap());
    // Files of other programs say so in their first lines.
    blocks.filter(|block| !block.lines().take(2).any(|line| line == "# not for the gateway"))
}

fn completed(block: &str) -> String {
    let has = |key: &str| block.lines().any(|line| line.starts_with(&format!("{key}:")));
    let missing = REST.iter().filter(|(key, _)| !has(key));
    missing.fold(format!("{block}\n"), |text, (_, line)| text + line)
}

/// The first error but for files that are not here.
fn problem(text: &str) -> Option<String> {
    let cx = Context::for_file("/a-folder-that-is-not-there").with_environment(|name| {
        let url = name.ends_with("_URL").then_some("postgres://portcullis@localhost/keys");
        let secret = format!("a-secret-of-the-test-0123456789abcdef-{name}");
        Ok(url.map_or(secret, str::to_owned))
    });
    let loaded = Loaded::yaml("page.yaml", text.to_owned(), cx);
    let json = loaded.json();
    let errors = json.as_array().unwrap().iter().filter(|found| found["severity"] == "error");
    let mut errors = errors.map(ToString::to_string);
    errors.find(|error| {
        !["No such file or directory", "does not exist"].iter().any(|gone| error.contains(gone))
    })
}
