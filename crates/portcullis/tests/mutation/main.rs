//! The generated tests notice every check that does not do what it says.
//!
//! Each check of each configuration here is weakened in turn, in process: it answers that it allows, it is skipped, it takes what
//! it refuses for what it lets in, it credits somebody else. And each key of each configuration is left out in turn. The tests that
//! were generated from the whole configuration must fail, or the configuration must not load. The score is printed; whatever
//! survives is named, and only what is no control may.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod documents;
mod keys;
mod weak;

use portcullis::load::Context;
use portcullis::prove::Rehearsal;
use portcullis::{Loaded, Style};
use std::collections::BTreeMap;
use std::time::Instant;

/// Reads a document whose files lie in the folder of the configuration tests.
fn load(text: &str) -> Loaded {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/files");
    let cx = Context::for_file(folder)
        .with_environment(|_| Ok("a-secret-of-the-environment-0123456789".to_owned()));
    Loaded::yaml("gateway.yaml", text.to_owned(), cx)
}

fn rehearsal(loaded: &Loaded) -> Rehearsal {
    Rehearsal::of(loaded).unwrap_or_else(|| panic!("{}", loaded.text(Style::Plain)))
}

/// Every case of a rehearsal. Fails where one of them fails without a mutation, or where nothing is proven.
fn cases(name: &str, tests: &Rehearsal) -> Vec<portcullis::prove::Case> {
    let mut all = Vec::new();
    for target in tests.targets() {
        let (proven, cases) = tests.cases(&target);
        assert_eq!(proven, Ok(()), "{name}: nothing is proven of {}", target.name());
        all.extend(cases);
    }
    let mut bad = Vec::new();
    for case in &all {
        let outcome = tests.run(case);
        let good =
            matches!(outcome, portcullis::prove::Outcome::Passed | portcullis::prove::Outcome::Refused(_));
        if !good {
            bad.push(format!(
                "{:?} ({}) is {outcome:?}: {} {}",
                case.attack, case.how, case.request.method, case.request.target
            ));
        }
    }
    assert!(bad.is_empty(), "{name}: {bad:#?}");
    all
}

#[test]
fn every_weakened_check_is_noticed() {
    let begun = Instant::now();
    let (mut caught, mut survivors) = (0, Vec::new());
    for (name, text) in documents::all() {
        let loaded = load(&text);
        let tests = rehearsal(&loaded);
        let cases = cases(name, &tests);
        for mutant in weak::mutants(tests.plan()) {
            let judge =
                tests.judge_of(&loaded, &mut |route, controls| mutant.applied(route, controls)).unwrap();
            if tests.notices(&cases, &judge) {
                caught += 1;
            } else {
                survivors.push(format!("{name}: {mutant}"));
            }
        }
    }
    let all = caught + survivors.len();
    println!("weakened checks: {caught} of {all} noticed in {:.1} s", begun.elapsed().as_secs_f64());
    assert!(all > 60, "only {all} mutants");
    assert_eq!(survivors, Vec::<String>::new());
}

#[test]
fn every_key_that_is_left_out_is_noticed() {
    let begun = Instant::now();
    let (mut caught, mut harmless, mut survivors) = (0, BTreeMap::new(), Vec::new());
    for (name, text) in documents::all() {
        let loaded = load(&text);
        let tests = rehearsal(&loaded);
        let cases = cases(name, &tests);
        for (key, document) in keys::left_out(&text) {
            let mutated = load(&document);
            let judge = mutated
                .blueprint()
                .and_then(|_| tests.judge_of(&mutated, &mut |_, controls| controls.clone()));
            // What does not load is noticed by everybody.
            if judge.is_none_or(|judge| tests.notices(&cases, &judge)) {
                caught += 1;
                continue;
            }
            match keys::no_control(&key) {
                Some(why) => *harmless.entry(why).or_insert(0) += 1,
                None => survivors.push(format!("{name}: {key}")),
            }
        }
    }
    let all = caught + survivors.len();
    println!(
        "keys left out: {caught} of {all} noticed in {:.1} s; no controls: {harmless:?}",
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(survivors, Vec::<String>::new());
}
