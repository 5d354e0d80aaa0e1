//! The Core Rule Set loads, and passes its own regression tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod support;

use portcullis_waf::{Loader, Plan, Settings};
use std::collections::BTreeMap;
use std::path::Path;
use support::crs;

/// Of all stages, so many in a thousand pass.
const PER_MILLE: usize = 995;

#[test]
fn the_core_rule_set_passes_its_own_tests() {
    let Some(directory) = support::crs_dir() else { return };
    let plan = crs::plan(&directory);
    println!(
        "{} rules run, {} were decided at load, filtered {:?}",
        plan.rules().len(),
        plan.folded(),
        plan.filtered()
    );
    let overrides: BTreeMap<String, String> = support::table("crs_overrides.txt").into_iter().collect();
    let stages = crs::stages(&directory.join("tests"));
    let (mut passed, mut overridden, mut failed) = (0, 0, Vec::new());
    for stage in &stages {
        match crs::judge(&plan, stage) {
            None => passed += 1,
            Some(_) if overrides.contains_key(&stage.key) => overridden += 1,
            Some(fault) => failed.push(format!("{}: {fault}", stage.key)),
        }
    }
    println!("{passed} of {} stages pass, {overridden} are overridden, {} fail", stages.len(), failed.len());
    for fault in &failed {
        println!("  {fault}");
    }
    assert!(overrides.values().all(|reason| !reason.is_empty()), "an override has no reason");
    assert!(stages.len() > 1_000, "the tests are there");
    assert!((passed + overridden) * 1_000 >= stages.len() * PER_MILLE, "too many stages fail");
}

#[test]
fn the_core_rule_set_3_of_debian_loads_without_what_is_not_supported() {
    let directory = Path::new("/usr/share/modsecurity-crs/rules");
    if !directory.is_dir() {
        println!("{} is not there: Debian's modsecurity-crs is not loaded here", directory.display());
        return;
    }
    let load = |loader: Loader| {
        let setup = b"SecAction \"id:900990,phase:1,pass,nolog,setvar:tx.crs_setup_version=334\"\n";
        Plan::new(loader.text("setup", setup).path(directory), &Settings::default().paranoia(4))
    };
    let refused = load(Loader::new()).unwrap_err().0;
    assert!(refused.iter().all(|error| error.unsupported), "{refused:?}");
    let plan = load(Loader::new().leave_out_unsupported()).unwrap_or_else(|errors| panic!("{errors}"));
    println!("{} rules run, {} are left out", plan.rules().len(), plan.left_out().len());
    for error in plan.left_out() {
        println!("  {error}");
    }
    assert!(plan.rules().len() > 150 && plan.rules().len() + plan.folded() > 300);
}
