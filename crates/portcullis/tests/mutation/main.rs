//! The generated tests notice every check that does not do what it says.
//!
//! Each check of each configuration here is weakened in turn, in process: it answers that it allows, it is skipped, it takes what
//! it refuses for what it lets in, it credits somebody else, or another method. And each key of each configuration is left out in
//! turn. The tests that were generated from the whole configuration must fail, or the configuration must not load. The score is
//! printed; whatever survives is named, and only what `no_controls.txt` gives a reason for may.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod documents;
mod examples;
mod files;
mod keys;
mod tried;
mod weak;

use files::load;
use keys::{NoControl, Table};
use portcullis::prove::{Case, Outcome, Rehearsal};
use portcullis::{Loaded, Style};
use portcullis_core::RouteId;
use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How much CPU time the whole of it may take: five minutes on two cores.
const PATIENCE: Duration = Duration::from_secs(600);

/// The CPU time of this process. It does not depend on what else the machine does.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In hundredths of a second, of user and system (proc_pid_stat(5), fields 14 and 15).
    Duration::from_millis(10 * fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
}

/// A document, a target of it, and the reason that the report gives.
type Unproven = (&'static str, &'static str, &'static str);

/// Targets of which nothing can be proven.
const UNPROVEN: &[Unproven] = &[
    // A body that fits a pattern is not made up.
    ("bench/peers/portcullis-orders.yaml", "POST /orders", "content_invalid"),
    // The pages show what is refused.
    ("docs/guides/why-refused.md 0", "GET /reports", "no consumer has"),
    ("docs/replay.md 1", "GET /reports", "no consumer has"),
];

fn configurations() -> Vec<(String, String)> {
    let mut all = documents::all();
    all.extend(examples::all());
    all
}

/// A configuration with the tests that were generated from it.
struct Subject {
    name: String,
    text: String,
    loaded: Loaded,
    tests: Rehearsal,
    cases: Vec<Case>,
    /// Routes of which something is proven.
    proven: HashSet<RouteId>,
}

impl Subject {
    /// Tells `problems` where one of the tests fails without a mutation, or where nothing is proven.
    fn new(
        name: &str,
        text: &str,
        unproven: &Table<Unproven>,
        problems: &Mutex<Vec<String>>,
    ) -> Option<Subject> {
        let loaded = load(text);
        let Some(tests) = Rehearsal::of(&loaded) else {
            problems.lock().unwrap().push(format!("{name}: {}", loaded.text(Style::Plain)));
            return None;
        };
        let (mut cases, mut proven, mut bad) = (Vec::new(), HashSet::new(), Vec::new());
        for target in tests.targets() {
            let (shown, made) = tests.cases(&target);
            if let Err(why) = shown {
                let listed = |(document, there, reason): &(&str, &str, &str)| {
                    *document == name && *there == target.name() && why.contains(reason)
                };
                if !unproven.has(listed) {
                    bad.push(format!("nothing is proven of {}: {why}", target.name()));
                }
            } else {
                proven.insert(target.route);
            }
            cases.extend(made);
        }
        cases.retain(|case| match tests.run(case) {
            Outcome::Passed | Outcome::Refused(_) => true,
            // One that only observes stops nothing.
            Outcome::Observed(_) => false,
            outcome @ (Outcome::TooLate(_) | Outcome::Unproven(_) | Outcome::Hole) => {
                let Case { attack, how, request, .. } = case;
                bad.push(format!("{attack:?} ({how}) is {outcome:?}: {} {}", request.method, request.target));
                false
            }
        });
        problems.lock().unwrap().extend(bad.iter().map(|what| format!("{name}: {what}")));
        Some(Subject { name: name.to_owned(), text: text.to_owned(), loaded, tests, cases, proven })
    }
}

/// Does something with every configuration, on all cores.
fn each(unproven: &Table<Unproven>, problems: &Mutex<Vec<String>>, what: impl Fn(&Subject) + Sync) {
    let (all, next) = (configurations(), AtomicUsize::new(0));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((name, text)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(subject) = Subject::new(name, text, unproven, problems) {
                        what(&subject);
                    }
                }
            });
        }
    });
}

#[test]
fn every_weakness_and_every_missing_key_is_noticed() {
    let begun = Instant::now();
    let (unproven, harmless) = (Table::new(UNPROVEN.to_vec()), Table::new(NoControl::all()));
    let (weakened, left_out, configurations) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let (survivors, problems) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let (weak_checks, known_harmless) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
    each(&unproven, &problems, |subject| {
        let Subject { name, text, loaded, tests, cases, proven } = subject;
        configurations.fetch_add(1, Ordering::Relaxed);
        for mutant in weak::mutants(tests.plan()).into_iter().filter(|mutant| proven.contains(&mutant.route))
        {
            let judge =
                tests.judge_of(loaded, &mut |route, controls| mutant.applied(route, controls)).unwrap();
            weakened.fetch_add(1, Ordering::Relaxed);
            weak_checks.lock().unwrap().insert(mutant.check.clone());
            if tests.notices(cases, &judge) {
                continue;
            }
            match harmless.has(|row| row.is_of_check(name, &mutant.to_string())) {
                true => drop(known_harmless.fetch_add(1, Ordering::Relaxed)),
                false => survivors.lock().unwrap().push(format!("{name}: {mutant}")),
            }
        }
        for (key, value, document) in keys::left_out(text) {
            left_out.fetch_add(1, Ordering::Relaxed);
            let mutated = load(&document);
            let judge = mutated
                .blueprint()
                .and_then(|_| tests.judge_of(&mutated, &mut |_, controls| controls.clone()));
            // What does not load is noticed by everybody.
            if judge.is_none_or(|judge| tests.notices(cases, &judge)) {
                continue;
            }
            match harmless.has(|row| row.is_of(name, &key, &value)) {
                true => drop(known_harmless.fetch_add(1, Ordering::Relaxed)),
                false => survivors.lock().unwrap().push(format!("{name}: without {key} = {value}")),
            }
        }
    });
    let mut survivors = survivors.into_inner().unwrap();
    survivors.sort();
    let (weakened, left_out) = (weakened.into_inner(), left_out.into_inner());
    let all = weakened + left_out - known_harmless.load(Ordering::Relaxed);
    println!(
        "{} configurations: {weakened} weakened checks and {left_out} missing keys, {} of {all} noticed ({:.1} %) in {:.0} s; \
         {} are no controls (no_controls.txt)",
        configurations.into_inner(),
        all - survivors.len(),
        100.0 * (all - survivors.len()) as f64 / all as f64,
        begun.elapsed().as_secs_f64(),
        known_harmless.into_inner(),
    );
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}\nnot noticed:\n{}", problems.join("\n"), survivors.join("\n"));
    assert!(survivors.is_empty(), "not noticed:\n{}", survivors.join("\n"));
    assert_eq!(unproven.unused(), Vec::<String>::new(), "what is proven needs no reason");
    assert_eq!(harmless.unused(), Vec::<String>::new(), "what is noticed needs no reason");
    assert!(weakened > 300, "only {weakened} weakened checks");
    let missing = registered_checks(&weak_checks.into_inner().unwrap());
    assert_eq!(missing, Vec::<String>::new(), "no configuration here has such a check");
    assert!(cpu_time() < PATIENCE, "it takes too long: {:?}", cpu_time());
}

/// Every registered section and method that no mutant was of.
fn registered_checks(weakened: &BTreeSet<String>) -> Vec<String> {
    let mut missing = Vec::new();
    for (section, checks) in portcullis_checks::security::sections() {
        // A section without checks says how something is told, and `authentication` is looked at by its methods.
        let covered = |check: &&str| weakened.iter().any(|weak| weak.starts_with(*check));
        missing
            .extend(checks.iter().filter(|check| !covered(check)).map(|check| format!("{section}: {check}")));
    }
    let written: BTreeSet<String> =
        configurations().iter().flat_map(|(_, text)| keys::types_of_methods(text)).collect();
    for words in portcullis_checks::authn::method::registered() {
        if !words.iter().any(|word| written.contains(&keys::folded(word))) {
            missing.push(format!("authentication: {}", words[0]));
        }
    }
    missing
}
