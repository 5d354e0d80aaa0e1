//! The configurations of the repository: every document with routes on a page, in the packages, beside the examples, and in the
//! benchmarks. What a part of a document lacks is added.

use crate::files::load;
use std::fs;
use std::path::{Path, PathBuf};

/// What a part of a document may lack, in the order in which it is added until the document loads.
const REST: [(&str, &str); 3] = [
    ("listeners", "listeners: [{ bind: \"127.0.0.1:3000\" }]\n"),
    (
        "consumers",
        "consumers: [{ name: alice, roles: [user, admin, partner], keys: [{ env: ALICE_API_KEY }] }]\n",
    ),
    ("security", "security: { authentication: { type: api_key } }\n"),
];

/// Name and text of each.
pub(crate) fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["docs", "packaging", "bench/peers", "crates/portcullis/examples"] {
        collect(&root.join(folder), &mut files);
    }
    files.push(root.join("README.md"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        if name.ends_with(".md") {
            let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
            let blocks = blocks.enumerate().filter(|(_, block)| is_whole(block));
            all.extend(blocks.map(|(number, block)| (format!("{name} {number}"), completed(block))));
        } else if is_whole(&text) {
            all.push((name, completed(&filled(&text))));
        }
    }
    all
}

/// Whether it is a document of the gateway with routes.
fn is_whole(text: &str) -> bool {
    let of_the_gateway = !text.starts_with("# not for the gateway");
    of_the_gateway && text.lines().any(|line| line.starts_with("routes:"))
}

fn completed(block: &str) -> String {
    let has = |key: &str| block.lines().any(|line| line.starts_with(&format!("{key}:")));
    let mut text = format!("{block}\n");
    for (_, line) in REST.iter().filter(|(key, _)| !has(key)) {
        // Consumers that only a store knows are nobody's to try.
        if load(&text).blueprint().is_some() && !text.contains("\nstore:") {
            break;
        }
        text += line;
    }
    text
}

/// A template of the benchmarks with something in each place.
fn filled(text: &str) -> String {
    let consumer = |name: &str, role: &str| {
        format!("  - {{ name: {name}, roles: [{role}], keys: [{{ env: {}_KEY }}] }}\n", name.to_uppercase())
    };
    let places = [
        ("@PORT@", "3000".to_owned()),
        ("@BACKEND@", "8080".to_owned()),
        ("@LOG@", "access.log".to_owned()),
        ("@CERTIFICATE@", "server.pem".to_owned()),
        ("@KEY@", "server.key".to_owned()),
        ("@ISSUER@", "keys.json".to_owned()),
        ("@CACHED@", "1000".to_owned()),
        ("@OPENAPI@", "openapi: orders.openapi.yaml".to_owned()),
        ("@SHARED@", String::new()),
        ("@CONSUMERS@", consumer("alice", "reader") + &consumer("bob", "reader, admin")),
    ];
    places.iter().fold(text.to_owned(), |text, (place, with)| text.replace(place, with))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_dir() {
            collect(&path, files);
        } else if matches!(ending, Some("md" | "yaml")) {
            files.push(path);
        }
    }
}
