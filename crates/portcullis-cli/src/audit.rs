//! `portcullis audit verify`: whether an audit log is what the gateway wrote.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, GOOD, count, print, print_error};
use portcullis::audit::{Known, Problem, Report, verify};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

/// What can be done with an audit log.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Find any entry that was changed, removed, added or moved.
    ///
    /// Exit codes: 0 it is what was written, 1 it is not, 4 it cannot be read.
    Verify(Verify),
}

/// What to verify, and by what.
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The log; where it was rotated, its files from the oldest to the newest.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A head that the gateway told: the hash of an entry that must be there. Finds what was cut off at the end.
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    /// The public key that signs checkpoints, or the file that holds it. Without it, the key that the log itself names is taken.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The head of the file before the first one, where older files are gone.
    #[arg(long, value_name = "HASH")]
    after: Option<String>,
}

pub(crate) fn run(action: Action) -> Outcome {
    let Action::Verify(Verify { files, head, key, after }) = action;
    let unreadable = |path: &dyn std::fmt::Display, error: &dyn std::fmt::Display| {
        print_error(format!("{BAD}error{BAD:#}: cannot read {path}: {error}\n"));
        Exit::Failed
    };
    let key = match key {
        Some(key) if !is_key(&key) => {
            let text = std::fs::read_to_string(&key).map_err(|error| unreadable(&key, &error))?;
            Some(text.trim().to_owned())
        }
        key => key,
    };
    let mut readers = Vec::new();
    for file in &files {
        let opened = File::open(file).map_err(|error| unreadable(&file.display(), &error))?;
        readers.push(BufReader::new(opened));
    }
    let known = Known { key: key.as_deref(), head: head.as_deref(), after: after.as_deref() };
    match verify(readers, known) {
        Ok(report) => {
            print(said(&report, known));
            Ok(Exit::Well)
        }
        Err(Problem::Broken(broken)) => {
            let file = files.get(broken.file).map(|file| file.display().to_string()).unwrap_or_default();
            print(format!("{BAD}broken{BAD:#}: {file}, line {}: {}\n", broken.line, broken.reason));
            let until = &broken.until;
            if until.last > 0 {
                print(format!(
                    "  Entries {} to {} before it are as they were written.\n",
                    until.first, until.last
                ));
            }
            Ok(Exit::Findings)
        }
        Err(Problem::Read(error)) => Err(unreadable(&"the log", &error)),
    }
}

/// 32 bytes as hexadecimal digits.
fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn said(report: &Report, known: Known<'_>) -> String {
    let mut text = match report.last {
        0 => format!("{GOOD}well{GOOD:#}: there is no entry yet\n"),
        last => format!(
            "{GOOD}well{GOOD:#}: complete from entry {} up to entry {last}\n  head {}\n",
            report.first, report.head
        ),
    };
    match report.checkpoints {
        0 => text.push_str("  No checkpoint: nothing is signed yet.\n"),
        checkpoints => text.push_str(&format!(
            "  {}, the last at entry {}, signed by {}{}\n",
            count(usize::try_from(checkpoints).unwrap_or(usize::MAX), "checkpoint"),
            report.signed_until,
            report.key.as_deref().unwrap_or("nobody"),
            if known.key.is_none() { ", the key that the log names (give --key to be sure)" } else { "" },
        )),
    }
    match report.found_head {
        Some(entry) => text.push_str(&format!("  The head that was given is entry {entry}.\n")),
        None => text.push_str("  Whether entries after the last one were cut off shows only with --head.\n"),
    }
    if report.dropped > 0 {
        let dropped = count(usize::try_from(report.dropped).unwrap_or(usize::MAX), "entry");
        text.push_str(&format!(
            "  {CARE}The gateway had to drop {dropped}{CARE:#}: see `entries_dropped`.\n"
        ));
    }
    text
}
