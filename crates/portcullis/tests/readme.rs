//! What the README shows loads, and is what it says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use portcullis::Loaded;
use portcullis::load::Context;

#[test]
fn the_configuration_in_the_readme_loads() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let yaml = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let environment = |name: &str| match name {
        "ALICE_API_KEY" => Ok("0123456789abcdef0123456789abcdef".to_owned()),
        _ => Err(std::env::VarError::NotPresent),
    };
    let loaded =
        Loaded::yaml("README.md", yaml.to_owned(), Context::for_file(".").with_environment(environment));
    let text = loaded.text(portcullis::Style::Plain);
    let blueprint = loaded.blueprint().unwrap_or_else(|| panic!("{text}"));
    assert_eq!((blueprint.listing().count(), blueprint.keys), (2, 1));
    // `admin` is allowed for who may come, and nobody has it yet.
    assert_eq!((loaded.errors(), loaded.warnings()), (0, 1), "{text}");
}
