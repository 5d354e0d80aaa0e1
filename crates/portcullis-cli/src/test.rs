//! `portcullis test`: tests of a configuration, those that stand in it and those that follow from it.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, GOOD, count, load, print, print_error};
use portcullis::prove::{Report, prove};
use portcullis::visible;
use std::path::Path;
use std::time::Duration;

/// Nobody waits for so long; it keeps a build server from waiting for ever.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn run(file: &Path, junit: Option<&Path>, as_json: bool) -> Outcome {
    let loaded = load(file)?;
    let Some(report) = prove(&loaded, PATIENCE) else {
        print_error(format!("{BAD}{} cannot be used{BAD:#}\n", file.display()));
        return Err(Exit::Configuration);
    };
    if let Some(path) = junit {
        std::fs::write(path, report.junit()).map_err(|error| {
            print_error(format!("{BAD}error{BAD:#}: cannot write {}: {error}\n", path.display()));
            Exit::Failed
        })?;
    }
    if as_json {
        print(format!("{:#}\n", report.json()));
    } else {
        print(text(&report));
    }
    Ok(if report.is_good() { Exit::Well } else { Exit::Findings })
}

pub(crate) fn text(report: &Report) -> String {
    // SECURITY: a name in the file could rewrite on a terminal what is told here
    // (what_the_file_says_cannot_rewrite_the_listing).
    let mut text: String = report.text().lines().map(|line| format!("{}\n", visible(line))).collect();
    for fault in report.faults() {
        text.push_str(&format!("{BAD}FAILED{BAD:#} {}\n", visible(&fault)));
    }
    let unproven = report.unproven().count();
    let (requests, elapsed) = (count(report.requests(), "request"), report.elapsed.as_secs_f64());
    let targets = count(report.rows.len(), "target");
    let mut summary = format!("{requests} on {targets} in {elapsed:.2} s");
    if unproven > 0 {
        summary.push_str(&format!(
            "; {CARE}{} not provable{CARE:#}, since no request passes",
            count(unproven, "target")
        ));
    }
    if report.untried > 0 {
        summary.push_str(&format!(
            "; {CARE}{} not tried{CARE:#}, since time was over",
            count(report.untried, "target")
        ));
    }
    let verdict =
        if report.is_good() { format!("{GOOD}passed{GOOD:#}") } else { format!("{BAD}failed{BAD:#}") };
    text.push_str(&format!("{verdict}: {summary}\n"));
    text
}
