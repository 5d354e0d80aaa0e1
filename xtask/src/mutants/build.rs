//! One build with all mutants that compile.
//!
//! Those that do not are found by the compiler's errors and taken out, until the rest builds. Which they are is kept for the next
//! time, as long as their file stays the same.

mod blame;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::binary::Binary;
use super::list::Mutant;
use super::rewrite::{self, Rewritten};
use super::sources;
use crate::failure::{Context, Failure, Outcome};
use crate::workspace;

/// More rounds than it ever took to find all that do not compile. Each finds at least one.
const ROUNDS: usize = 200;

/// What is built, and where.
pub(super) struct Plan<'a> {
    /// The original.
    pub(super) root: &'a Path,
    /// The copy.
    pub(super) sources: &'a Path,
    /// What cargo makes.
    pub(super) target: &'a Path,
    /// What is remembered of mutants that do not compile.
    pub(super) memory: &'a Path,
    /// The root of the crate that is mutated, from the root of the workspace.
    pub(super) library: &'a str,
    /// The packages with tests.
    pub(super) packages: &'a [&'a str],
    pub(super) mutants: &'a [Mutant],
}

pub(super) struct Built {
    pub(super) binaries: Vec<Binary>,
    /// The mutants that are in it.
    pub(super) placed: BTreeSet<usize>,
}

impl Plan<'_> {
    pub(super) fn build(&self) -> Outcome<Built> {
        let originals = self.originals()?;
        let mut out = self.recall(&originals);
        for _ in 0..ROUNDS {
            let written = self.write(&originals, &out)?;
            let (binaries, errors) = self.compile()?;
            if errors.is_empty() {
                self.remember(&originals, &out)?;
                let placed = written.values().flat_map(Rewritten::mutants).collect();
                return Ok(Built { binaries, placed });
            }
            let blamed = blame::blamed(&errors, &written, self.mutants);
            let before = out.len();
            out.extend(blamed);
            println!("  {} do not compile so far", out.len());
            if out.len() == before {
                let said = errors.iter().filter_map(|error| error.get("rendered")?.as_str()).take(3);
                let said: Vec<&str> = said.collect();
                return Err(Failure::new(format!("it does not build, mutants or not:\n{}", said.join("\n"))));
            }
            self.remember(&originals, &out)?;
        }
        Err(Failure::new(format!("it still does not build after {ROUNDS} attempts")))
    }

    /// The text of each file that has mutants, and of the crate's root.
    fn originals(&self) -> Outcome<BTreeMap<String, String>> {
        let mut names: BTreeSet<&str> = self.mutants.iter().map(|mutant| mutant.file.as_str()).collect();
        names.insert(self.library);
        let read = |name: &str| {
            let file = self.root.join(name);
            let text = fs::read_to_string(&file).context(|| format!("reading {}", file.display()))?;
            Ok((name.to_owned(), text))
        };
        names.into_iter().map(read).collect()
    }

    /// Writes the mutated files.
    fn write(
        &self,
        originals: &BTreeMap<String, String>,
        out: &BTreeSet<usize>,
    ) -> Outcome<BTreeMap<String, Rewritten>> {
        let mut written = BTreeMap::new();
        for (file, text) in originals {
            let here = self.numbered(file).filter(|(number, _)| !out.contains(number)).collect::<Vec<_>>();
            let mut new = rewrite::rewritten(text, &here).context(|| format!("mutating {file}"))?;
            if file == self.library {
                new.text.push_str(&rewrite::switch(self.mutants.len()));
            }
            sources::write(&self.sources.join(file), new.text.as_bytes())?;
            written.insert(file.clone(), new);
        }
        Ok(written)
    }

    fn numbered<'a>(&'a self, file: &'a str) -> impl Iterator<Item = (usize, &'a Mutant)> {
        self.mutants.iter().enumerate().filter(move |(_, mutant)| mutant.file == file)
    }

    /// Builds the tests. Answers with them, or with the errors.
    fn compile(&self) -> Outcome<(Vec<Binary>, Vec<Value>)> {
        let mut command = workspace::cargo();
        command.args(["test", "--no-run", "--lib", "--tests", "--quiet", "--message-format=json"]);
        for package in self.packages {
            command.args(["--package", package]);
        }
        command.current_dir(self.sources).stderr(Stdio::piped());
        command.env("CARGO_TARGET_DIR", self.target).env("CARGO_PROFILE_DEV_DEBUG", "0");
        let output = command.output().context(|| "running cargo test --no-run".into())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let messages: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let errors: Vec<Value> = messages.iter().filter_map(error).collect();
        if !output.status.success() && errors.is_empty() {
            return Err(Failure::new(format!("cargo test: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok((messages.iter().filter_map(Binary::of_message).collect(), errors))
    }

    /// The mutants of files that are as they were when they did not compile.
    fn recall(&self, originals: &BTreeMap<String, String>) -> BTreeSet<usize> {
        let text = fs::read_to_string(self.memory).unwrap_or_default();
        // Nothing, or nonsense, is found out anew.
        let known: BTreeMap<String, Vec<usize>> = serde_json::from_str(&text).unwrap_or_default();
        let mut out = BTreeSet::new();
        for (file, original) in originals {
            let places = known.get(&digest(file, original)).map(Vec::as_slice).unwrap_or_default();
            let here: Vec<usize> = self.numbered(file).map(|(number, _)| number).collect();
            out.extend(places.iter().filter_map(|place| here.get(*place)));
        }
        out
    }

    fn remember(&self, originals: &BTreeMap<String, String>, out: &BTreeSet<usize>) -> Outcome<()> {
        let places = |file| {
            let here = self.numbered(file).enumerate();
            here.filter(|(_, (number, _))| out.contains(number)).map(|(place, _)| place).collect::<Vec<_>>()
        };
        let known: BTreeMap<_, _> =
            originals.iter().map(|(file, text)| (digest(file, text), places(file))).collect();
        sources::write(self.memory, json!(known).to_string().as_bytes())
    }
}

/// Stands for a file with its text.
fn digest(file: &str, text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{file} {hex}")
}

/// The compiler's error in a message of cargo.
fn error(message: &Value) -> Option<Value> {
    let message = message.get("message")?;
    (message.get("level")?.as_str()? == "error").then(|| message.clone())
}
