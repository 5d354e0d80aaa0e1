//! What is told of the tests of a configuration.

use portcullis_checks::rehearsal::Attack;
use portcullis_core::RouteId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What came of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed, and had to.
    Passed,
    /// It was refused, and had to be, by this check or stage.
    Refused(&'static str),
    /// It was refused by this check alone, which is there for something else: the check that had to refuse it did not.
    TooLate(&'static str),
    /// It was let through by a check that only observes.
    Observed(&'static str),
    /// It shows nothing, for this reason.
    Unproven(String),
    /// It went upstream, and must not.
    Hole,
}

/// An attack on a target and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The attack; `None` for a request that must pass.
    pub attack: Option<Attack>,
    /// What came of it.
    pub outcome: Outcome,
    /// How, where there are several ways.
    pub how: String,
}

/// A target with all that was tried on it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The target: a route or an operation.
    pub target: String,
    /// Its route.
    pub route: RouteId,
    /// Whether some request passes; else why none does, so that nothing is proven.
    pub proven: Result<(), String>,
    /// What was tried.
    pub findings: Vec<Finding>,
}

impl Row {
    /// Whether an attack went through, or what passed at first did not pass again.
    pub fn is_open(&self) -> bool {
        self.findings.iter().any(|finding| finding.failed())
    }
}

impl Finding {
    /// Whether it shows a fault.
    pub fn failed(&self) -> bool {
        match &self.outcome {
            Outcome::Hole | Outcome::TooLate(_) => true,
            // What passed a moment ago must pass again.
            Outcome::Unproven(_) => {
                self.attack.is_none()
                    || matches!(
                        self.attack,
                        Some(Attack::OverLimit | Attack::TooManyAtOnce | Attack::Overload)
                    )
            }
            Outcome::Passed | Outcome::Refused(_) | Outcome::Observed(_) => false,
        }
    }
}

/// What came of a test that stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenResult {
    /// Its name.
    pub name: String,
    /// Where it stands, such as `gateway.yaml:12`.
    pub place: String,
    /// What is not as expected. Empty where the test passed.
    pub faults: Vec<String>,
}

/// Everything that came of the tests of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The tests that stand in it.
    pub written: Vec<WrittenResult>,
    /// The generated ones, by target.
    pub rows: Vec<Row>,
    /// Targets that were not tried since time was over.
    pub untried: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// Whether no test failed. Targets of which nothing could be proven do not count as failed.
    pub fn is_good(&self) -> bool {
        self.written.iter().all(|test| test.faults.is_empty()) && !self.rows.iter().any(Row::is_open)
    }

    /// What was not tried since time was over, in words; `None` where everything was.
    pub fn not_tried(&self) -> Option<String> {
        let all = self.rows.len() + self.untried;
        (self.untried > 0).then(|| {
            format!(
                "{} of {all} routes and operations were not tried, since time was over; `portcullis test` tries all",
                self.untried
            )
        })
    }

    /// How many requests were judged.
    pub fn requests(&self) -> usize {
        self.written.len() + self.rows.iter().map(|row| row.findings.len()).sum::<usize>()
    }

    /// Targets of which nothing could be proven.
    pub fn unproven(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.proven.is_err())
    }

    /// The attacks that went through, and what else failed, in words.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for test in self.written.iter().filter(|test| !test.faults.is_empty()) {
            faults.push(format!("{} ({}): {}", test.name, test.place, test.faults.join("; ")));
        }
        for row in &self.rows {
            for finding in row.findings.iter().filter(|finding| finding.failed()) {
                faults.push(match (&finding.attack, &finding.outcome) {
                    (Some(attack), Outcome::TooLate(by)) => {
                        format!("{}: `{attack}`{} is refused by {by} only", row.target, how(finding))
                    }
                    (Some(attack), _) => format!("{}: `{attack}`{} goes upstream", row.target, how(finding)),
                    (None, outcome) => {
                        format!(
                            "{}: what passed does not pass again{}: {outcome:?}",
                            row.target,
                            how(finding)
                        )
                    }
                });
            }
        }
        faults
    }

    /// One row for each target, one line for each attack, and the checks that refused it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for test in &self.written {
            let mark = if test.faults.is_empty() { "ok  " } else { "FAIL" };
            let _ = writeln!(text, "{mark} {} ({})", test.name, test.place);
            for fault in &test.faults {
                let _ = writeln!(text, "       {fault}");
            }
        }
        if !self.written.is_empty() {
            text.push('\n');
        }
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.target);
            if let Err(why) = &row.proven {
                let _ = writeln!(text, "  not provable           no request passes: {why}");
            }
            for (attack, cell) in cells(row) {
                let _ = writeln!(text, "  {:<22} {}", attack, cell.text());
            }
            text.push('\n');
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let written: Vec<_> = self
            .written
            .iter()
            .map(|test| json!({ "name": test.name, "place": test.place, "faults": test.faults }))
            .collect();
        let rows: Vec<_> = self.rows.iter().map(row_json).collect();
        json!({
            "passed": self.is_good(), "requests": self.requests(), "untried": self.untried,
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "tests": written, "targets": rows, "faults": self.faults(),
        })
    }

    /// As JUnit's XML, which build servers read.
    pub fn junit(&self) -> String {
        let mut cases = String::new();
        let (mut tests, mut failures, mut skipped) = (0, 0, 0);
        let mut case = |class: &str, name: &str, failed: Option<String>, skip: Option<&str>| {
            tests += 1;
            let _ = write!(cases, "  <testcase classname=\"{}\" name=\"{}\"", xml(class), xml(name));
            match (failed, skip) {
                (Some(why), _) => {
                    failures += 1;
                    let _ = writeln!(cases, "><failure message=\"{}\"/></testcase>", xml(&why));
                }
                (None, Some(why)) => {
                    skipped += 1;
                    let _ = writeln!(cases, "><skipped message=\"{}\"/></testcase>", xml(why));
                }
                (None, None) => {
                    let _ = writeln!(cases, "/>");
                }
            }
        };
        for test in &self.written {
            let failed = (!test.faults.is_empty()).then(|| test.faults.join("; "));
            case("tests", &test.name, failed, None);
        }
        for row in &self.rows {
            for finding in &row.findings {
                let attack = finding.attack.map_or("a request that passes", Attack::as_str);
                let name = format!("{attack}{}", how(finding));
                let failed = finding.failed().then(|| match &finding.outcome {
                    Outcome::Unproven(why) => why.clone(),
                    Outcome::TooLate(by) => format!("it is refused by {by} only"),
                    Outcome::Passed | Outcome::Refused(_) | Outcome::Observed(_) | Outcome::Hole => {
                        "it goes upstream".to_owned()
                    }
                });
                let skip = match &finding.outcome {
                    Outcome::Unproven(why) => Some(why.as_str()),
                    Outcome::Observed(_) => Some("only observed"),
                    Outcome::Passed | Outcome::Refused(_) | Outcome::TooLate(_) | Outcome::Hole => None,
                };
                case(&row.target, &name, failed, skip);
            }
            if let Err(why) = &row.proven {
                case(&row.target, "a request that passes", None, Some(why));
            }
        }
        let seconds = self.elapsed.as_secs_f64();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"portcullis\" tests=\"{tests}\" failures=\"{failures}\" \
             skipped=\"{skipped}\" time=\"{seconds:.3}\">\n{cases}</testsuite>\n"
        )
    }
}

fn how(finding: &Finding) -> String {
    if finding.how.is_empty() { String::new() } else { format!(" ({})", finding.how) }
}

/// All requests of one attack on one target.
#[derive(Default)]
struct Cell {
    tried: usize,
    passed: usize,
    by: BTreeMap<&'static str, usize>,
    observed: Vec<&'static str>,
    unproven: Option<String>,
    holes: Vec<String>,
}

impl Cell {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.passed > 0 {
            parts.push("passes".to_owned());
        }
        let by: Vec<_> = self.by.keys().copied().collect();
        if !by.is_empty() {
            parts.push(format!("refused by {}", by.join(", ")));
        }
        if let Some(check) = self.observed.first() {
            parts.push(format!("ONLY OBSERVED by {check}"));
        }
        if let Some(why) = &self.unproven {
            parts.push(format!("not proven: {why}"));
        }
        if !self.holes.is_empty() {
            let how: Vec<_> = self.holes.iter().filter(|how| !how.is_empty()).map(String::as_str).collect();
            parts.push(format!("HOLE {}", how.join(", ")).trim_end().to_owned());
        }
        if self.tried > 1 {
            parts.push(format!("({} requests)", self.tried));
        }
        parts.join("  ")
    }
}

fn cells(row: &Row) -> Vec<(&'static str, Cell)> {
    let mut cells: BTreeMap<Option<Attack>, Cell> = BTreeMap::new();
    for finding in &row.findings {
        let cell = cells.entry(finding.attack).or_default();
        cell.tried += 1;
        match &finding.outcome {
            Outcome::Passed => cell.passed += 1,
            Outcome::Refused(by) => *cell.by.entry(by).or_default() += 1,
            Outcome::Observed(by) => cell.observed.push(by),
            Outcome::Unproven(why) => cell.unproven = Some(why.clone()),
            Outcome::TooLate(by) => cell.holes.push(format!("refused by {by} only")),
            Outcome::Hole => cell.holes.push(finding.how.clone()),
        }
    }
    cells.into_iter().map(|(attack, cell)| (attack.map_or("good request", Attack::as_str), cell)).collect()
}

fn row_json(row: &Row) -> Value {
    let findings: Vec<_> = row
        .findings
        .iter()
        .map(|finding| {
            let (outcome, by) = match &finding.outcome {
                Outcome::Passed => ("passed", Value::Null),
                Outcome::Refused(by) => ("refused", json!(by)),
                Outcome::Observed(by) => ("observed", json!(by)),
                Outcome::Unproven(why) => ("unproven", json!(why)),
                Outcome::TooLate(by) => ("too_late", json!(by)),
                Outcome::Hole => ("hole", Value::Null),
            };
            json!({ "attack": finding.attack.map(Attack::as_str), "how": finding.how, "outcome": outcome, "by": by })
        })
        .collect();
    json!({
        "target": row.target, "proven": row.proven.is_ok(), "because": row.proven.as_ref().err(), "attacks": findings,
    })
}

fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no way to write these.
            char if char.is_control() => escaped.push(' '),
            char => escaped.push(char),
        }
    }
    escaped
}
