use std::path::PathBuf;

use super::list::{Genre, Position};
use super::*;
use crate::process::{Scratch, write};

const LIBRARY: &str = "\
pub fn larger(a: u32, b: u32) -> u32 {
    if a > b { a } else { b }
}

pub fn unused() -> u32 {
    1
}

pub const fn constant() -> bool {
    true
}

#[test]
fn the_larger_one() {
    assert_eq!(larger(2, 1), 2);
}
";

fn mutant(name: &str, genre: Genre, from: (usize, usize), to: (usize, usize), replacement: &str) -> Mutant {
    let position = |(line, column)| Position { line, column };
    Mutant {
        name: format!("src/lib.rs: {name}"),
        file: "src/lib.rs".into(),
        genre,
        from: position(from),
        to: position(to),
        replacement: replacement.into(),
    }
}

/// Where all of it is tried: a small crate, its copy, cargo and its tests.
struct Small {
    scratch: Scratch,
    root: PathBuf,
    /// Beside this program, where programs may run.
    target: PathBuf,
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.target);
    }
}

impl Small {
    fn new(name: &str, library: &str) -> Self {
        let scratch = Scratch::new().unwrap();
        let root = scratch.folder("root").unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        let manifest = "[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n";
        write(&root.join("Cargo.toml"), manifest).unwrap();
        write(&root.join("src/lib.rs"), library).unwrap();
        let program = std::env::current_exe().unwrap();
        let target = program.with_file_name(format!("{name}-{}", std::process::id()));
        Self { scratch, root, target }
    }

    fn measure(&self, mutants: &[Mutant]) -> Outcome<Measured> {
        let files = ["Cargo.toml", "src/lib.rs"].map(str::to_owned);
        let work = self.scratch.path().join("work");
        let subject = Subject {
            root: &self.root,
            files: &files,
            work: &work,
            target: &self.target,
            library: "src/lib.rs",
            packages: &["small"],
            without: &[],
        };
        subject.measure(mutants)
    }
}

#[test]
fn mutants_are_noticed_or_survive_or_are_not_tried() {
    let small = Small::new("small", LIBRARY);
    let mutants = [
        mutant("replace > with < in larger", Genre::Binary, (2, 9), (2, 10), "<"),
        mutant("replace > with >= in larger", Genre::Binary, (2, 9), (2, 10), ">="),
        mutant("replace larger -> u32 with 0", Genre::Body, (2, 4), (2, 29), "0"),
        mutant("replace larger -> u32 with ()", Genre::Body, (2, 4), (2, 29), "()"),
        mutant("replace unused -> u32 with 0", Genre::Body, (6, 4), (6, 5), "0"),
        mutant("replace constant -> bool with false", Genre::Body, (10, 4), (10, 8), "false"),
    ];
    let expected = Measured { noticed: vec![0, 2], survived: vec![(1, 1), (4, 0)], not_tried: 2 };
    assert_eq!(small.measure(&mutants).unwrap(), expected);
    let original = std::fs::read_to_string(small.root.join("src/lib.rs")).unwrap();
    assert_eq!(original, LIBRARY, "what is mutated is a copy");

    let text = survivors(&expected, &mutants);
    assert_eq!(
        text,
        "src/lib.rs:2: replace > with >= in larger [1 tests]\nsrc/lib.rs:6: replace unused -> u32 with 0 [0 tests]\n"
    );
    let tried = Tried::of(&expected, &mutants);
    assert_eq!((tried.noticed, tried.survived, tried.not_tried), (2, 2, 2));
    assert!((tried.score() - 50.0).abs() < f64::EPSILON);
}

#[test]
fn what_does_not_build_without_mutants_is_an_error() {
    let small = Small::new("broken", "pub fn broken() -> u32 { \"text\" }\n");
    let failure = small.measure(&[]).unwrap_err().to_string();
    assert!(failure.contains("mismatched types"), "{failure}");
}

#[test]
fn a_survivor_needs_an_explanation_and_an_explanation_a_survivor() {
    let explained = explained(EXPLAINED);
    let of_core = |name: &&str| name.starts_with("crates/portcullis-core/");
    let survivors: BTreeSet<String> =
        explained.iter().map(|(name, _)| *name).filter(of_core).map(str::to_owned).collect();
    let first = survivors.first().cloned().unwrap();
    let tried = Tried { noticed: 10_000, survived: survivors.len(), survivors, not_tried: 7 };
    let [core, _] = &AREAS;
    assert_eq!(judge(core, &tried, true), [""; 0]);

    let mut other = tried;
    other.survivors.remove(&first);
    assert_eq!(judge(core, &other, true), [format!("is explained and does not survive: {first}")]);
    assert_eq!(judge(core, &other, false), [""; 0], "it may be in another file");
    other.survivors.insert("crates/portcullis-core/src/new.rs: replace f with ()".into());
    assert_eq!(judge(core, &other, false).len(), 1);
    other.noticed = 0;
    assert_eq!(judge(core, &other, false).len(), 2, "and the score is too low");
}

#[test]
fn each_explanation_is_of_a_file_that_is_there_and_says_something() {
    let explained = explained(EXPLAINED);
    let lines = EXPLAINED.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    assert_eq!(explained.len(), lines.count(), "a line is not `FILE: MUTATION | REASON`");
    for (name, why) in explained {
        let file = name.split(": ").next().unwrap_or_default();
        assert!(workspace::root().join(file).is_file(), "{file}");
        assert!(why.len() > 10, "{name}");
    }
}
