//! Inside of the proxy, imports point one way: a folder uses what stands below it, and files of a folder do not import each
//! other in a circle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the proxy from the top. A module uses only those further down. One that is not named fails the test, so that
/// a new one is placed with thought.
const ORDER: [&str; 19] = [
    "running",
    "reload",
    "front",
    "config",
    "listener",
    "client",
    "exchange",
    "upstream",
    "tls",
    "upload",
    "body",
    "output",
    "stream",
    "descriptors",
    "network",
    "drain",
    "state",
    "timeouts",
    "lib",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("crates/portcullis-proxy/src")
}

/// Every file, as the path of its module below the crate, with its text without comments and tests.
fn modules() -> BTreeMap<Vec<String>, String> {
    fn read(folder: &Path, path: &[String], found: &mut BTreeMap<Vec<String>, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            if file.is_dir() {
                read(&file, &[path, &[name]].concat(), found);
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                let module = if name == "mod" { path.to_vec() } else { [path, &[name]].concat() };
                found.insert(module, code(&fs::read_to_string(&file).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    read(&source(), &[], &mut found);
    found
}

/// What is neither a comment nor a test.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The absolute paths that a module names after `crate::`, `super::` and `self::`.
fn named(module: &[String], is_folder: bool, text: &str) -> Vec<Vec<String>> {
    let segments = |rest: &str| -> Vec<String> {
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        rest[..end].split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
    };
    // A list in braces names each of its members.
    let members = |rest: &str| -> Vec<Vec<String>> {
        let path = segments(rest);
        let length = rest.find('{').unwrap_or(usize::MAX);
        let before: String = rest.chars().take(length).collect();
        if length < rest.len() && before.ends_with("::") && before.matches("::").count() == path.len() {
            let list = rest[length + 1..].split('}').next().unwrap();
            return list.split(',').map(|member| [path.clone(), segments(member.trim())].concat()).collect();
        }
        vec![path]
    };
    let parent = &module[..module.len().saturating_sub(1)];
    let mut found = Vec::new();
    for (keyword, base) in
        [("crate::", &[][..]), ("super::", parent), ("self::", if is_folder { module } else { &[] })]
    {
        for (at, _) in text.match_indices(keyword) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$')) {
                continue;
            }
            for member in members(&text[at + keyword.len()..]) {
                found.push([base, &member].concat());
            }
        }
    }
    found
}

/// The longest module that a path names.
fn module_of(path: &[String], modules: &BTreeMap<Vec<String>, String>) -> Option<Vec<String>> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|prefix| modules.contains_key(prefix))
}

fn imports() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules = modules();
    let mut imports = BTreeMap::new();
    for (module, text) in &modules {
        let is_folder = modules.keys().any(|other| other.len() > module.len() && other.starts_with(module));
        let named = named(module, is_folder, text);
        let used: BTreeSet<_> = named.iter().filter_map(|path| module_of(path, &modules)).collect();
        imports.insert(module.clone(), used);
    }
    imports
}

#[test]
fn a_folder_uses_only_what_stands_below_it() {
    let imports = imports();
    assert!(imports.len() > 30, "the sources are read");
    let place = |module: &[String]| {
        let top = &module[0];
        ORDER.iter().position(|name| name == top).unwrap_or_else(|| panic!("{top} has no place"))
    };
    let mut seen = 0;
    for (module, used) in &imports {
        for other in used {
            seen += 1;
            assert!(
                module[0] == other[0] || place(module) < place(other) || module[0] == "lib",
                "{} must not use {}",
                module.join("::"),
                other.join("::")
            );
        }
    }
    assert!(seen > 50, "imports are found: {seen}");
}

/// The module that stands for a folder re-exports its files, so it is left out.
#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let imports = imports();
    let is_folder = |module: &[String]| {
        imports.keys().any(|other| other.len() > module.len() && other.starts_with(module))
    };
    let mut done: BTreeSet<Vec<String>> = BTreeSet::new();
    fn visit(
        module: &[String],
        imports: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
        is_folder: &dyn Fn(&[String]) -> bool,
        path: &mut Vec<Vec<String>>,
        done: &mut BTreeSet<Vec<String>>,
    ) {
        if done.contains(module) {
            return;
        }
        assert!(
            !path.iter().any(|other| other == module),
            "a circle: {}",
            path.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" -> ")
        );
        path.push(module.to_vec());
        for other in imports[module].iter().filter(|other| other.as_slice() != module && !is_folder(other)) {
            visit(other, imports, is_folder, path, done);
        }
        path.pop();
        done.insert(module.to_vec());
    }
    for module in imports.keys().filter(|module| !is_folder(module)) {
        visit(module, &imports, &is_folder, &mut Vec::new(), &mut done);
    }
    assert!(done.len() > 25, "{}", done.len());
}
