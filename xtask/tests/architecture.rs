//! Arrows point down only: which crate may depend on which.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::process::Command;

/// The layers from the top, and for each crate the crates of the workspace that it may depend on. A crate that is not
/// named here fails the test, so that a new one is placed with thought.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("portcullis-cli", &["portcullis"]),
    (
        "portcullis",
        &[
            "portcullis-proxy",
            "portcullis-admin",
            "portcullis-telemetry",
            "portcullis-checks",
            "portcullis-runtime",
            "portcullis-config",
            "portcullis-keys",
            "portcullis-permissions",
            "portcullis-store",
            "portcullis-core",
        ],
    ),
    (
        "portcullis-proxy",
        &["portcullis-http1", "portcullis-permissions", "portcullis-runtime", "portcullis-core"],
    ),
    (
        "portcullis-admin",
        &["portcullis-telemetry", "portcullis-keys", "portcullis-runtime", "portcullis-core"],
    ),
    ("portcullis-telemetry", &["portcullis-detect", "portcullis-permissions", "portcullis-core"]),
    (
        "portcullis-checks",
        &[
            "portcullis-runtime",
            "portcullis-config",
            "portcullis-openapi",
            "portcullis-waf",
            "portcullis-store",
            "portcullis-core",
        ],
    ),
    ("portcullis-runtime", &["portcullis-store", "portcullis-core"]),
    ("portcullis-config", &["portcullis-permissions"]),
    ("portcullis-openapi", &["portcullis-paths"]),
    ("portcullis-paths", &[]),
    ("portcullis-permissions", &[]),
    ("portcullis-http1", &[]),
    ("portcullis-waf", &[]),
    ("portcullis-keys", &["portcullis-permissions", "portcullis-store", "portcullis-core"]),
    ("portcullis-store", &["portcullis-core"]),
    ("portcullis-core", &["portcullis-paths"]),
    ("portcullis-detect", &[]),
    ("xtask", &["portcullis-detect"]),
];

/// What the engine must do without: a runtime, a server, a serializer, randomness, a clock.
const NOT_IN_CORE: [&str; 8] =
    ["tokio", "hyper", "serde", "serde_json", "rand", "getrandom", "jiff", "socket2"];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every package with the names of what it depends on, development dependencies apart.
fn packages() -> Vec<(String, Vec<String>)> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let normal = dependencies.filter(|dependency| dependency["kind"] != "dev");
            let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

#[test]
fn dependencies_point_down_only() {
    let packages = packages();
    assert_eq!(packages.len(), ALLOWED.len(), "every crate has its place in the table");
    let ours: Vec<&str> = packages.iter().map(|(name, _)| name.as_str()).collect();
    for (name, dependencies) in &packages {
        let (_, allowed) =
            ALLOWED.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name} has no place"));
        for dependency in dependencies.iter().filter(|dependency| ours.contains(&dependency.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_engine_stays_pure() {
    let packages = packages();
    let (_, dependencies) = packages.iter().find(|(name, _)| name == "portcullis-core").unwrap();
    for forbidden in NOT_IN_CORE {
        assert!(
            !dependencies.iter().any(|dependency| dependency == forbidden),
            "the engine must not depend on {forbidden}"
        );
    }
}

/// Fronts know no check by name; the engine and the checks know no front.
#[test]
fn no_check_is_named_outside_the_checks() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for folder in [
        "crates/portcullis-core/src",
        "crates/portcullis-proxy/src",
        "crates/portcullis-runtime/src",
        "crates/portcullis-telemetry/src",
    ] {
        for file in sources(&root.join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for check in ["authn.api_key", "authz.roles", "quota.rate_limit", "screen.addresses"] {
                assert!(!text.contains(&format!("\"{check}\"")), "{} names {check}", file.display());
            }
        }
    }
}

fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "{} holds no source", folder.display());
    found
}
