//! `portcullis replay`: a configuration and an access log.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, load, print, print_error};
use anstream::stream::IsTerminal as _;
use portcullis::replay::{Line, Replay, Report};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// How many lines pass between two looks at the progress.
const EACH: u64 = 10_000;
/// The longest line in bytes that is read; a longer one is passed over.
const MAX_LINE: usize = 1024 * 1024;

pub(crate) fn run(config: &Path, log: &Path, json: bool) -> Outcome {
    let loaded = load(config)?;
    let blueprint = loaded.into_blueprint().map_err(|_| Exit::Configuration)?;
    let failed = |error: io::Error| {
        print_error(format!("{BAD}error{BAD:#}: cannot read {}: {error}\n", log.display()));
        Exit::Failed
    };
    let (mut input, size): (Box<dyn BufRead>, u64) = if log == Path::new("-") {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let file = File::open(log).map_err(failed)?;
        let size = file.metadata().map_or(0, |data| data.len());
        (Box::new(BufReader::with_capacity(1024 * 1024, file)), size)
    };
    let replay = Replay::new(blueprint).ok_or(Exit::Configuration)?;
    let mut report = Report::default();
    let mut progress = Progress { size, read: 0, lines: 0, shown: io::stderr().is_terminal() };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            break;
        }
        progress.advance(read);
        let text = std::str::from_utf8(&line).ok().filter(|text| text.len() <= MAX_LINE);
        match text.map(str::trim).filter(|text| !text.is_empty()).and_then(Line::parse) {
            Some(request) => report.add(&request, &replay.decide(&request)),
            None => report.skipped += 1,
        }
    }
    progress.end();
    print(if json { format!("{:#}\n", report.json()) } else { report.text() });
    Ok(Exit::Well)
}

/// A bar on a terminal.
struct Progress {
    size: u64,
    read: u64,
    lines: u64,
    shown: bool,
}

impl Progress {
    fn advance(&mut self, bytes: usize) {
        self.read += bytes as u64;
        self.lines += 1;
        if self.shown && self.lines.is_multiple_of(EACH) {
            let part = (self.read * 30).checked_div(self.size).map_or(0, |part| part.min(30));
            let bar: String = (0..30).map(|place| if place < part { '#' } else { '.' }).collect();
            print_error(format!("\r[{bar}] {} lines", self.lines));
        }
    }

    fn end(&self) {
        if self.shown && self.lines >= EACH {
            print_error(format!("\r{:60}\r", ""));
        }
    }
}
