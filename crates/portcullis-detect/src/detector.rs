//! What a detector is, and the list of all of them.
//!
//! A detector is a file in `detectors/` and a line in [`DETECTORS`].

use crate::detectors;
use crate::event::{Event, Moment};
use crate::finding::{Evidence, Severity, Subject};
use std::net::IpAddr;
use std::time::Duration;

/// What a detector raises. The same detector about the same subject is one finding, which goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// How much it matters.
    pub severity: Severity,
    /// What happened, in plain words, without anything that a client wrote.
    pub summary: String,
    /// Whom it is about.
    pub subject: Subject,
    /// The number of the route that it is about; 0 for none.
    pub route: u32,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// The address that it comes from, where one alone is responsible.
    pub source: Option<IpAddr>,
    /// How long before now it began.
    pub began: Duration,
}

impl Raise {
    /// A finding that is raised now.
    pub fn new(severity: Severity, summary: impl Into<String>, subject: Subject) -> Raise {
        Raise {
            severity,
            summary: summary.into(),
            subject,
            route: 0,
            evidence: Vec::new(),
            source: None,
            began: Duration::ZERO,
        }
    }

    /// With a fact that it rests on.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "facts are numbers and short texts")]
    pub fn because(mut self, what: &str, value: impl ToString) -> Raise {
        self.evidence.push(Evidence { what: what.to_owned(), value: value.to_string() });
        self
    }

    /// For which this address alone is responsible, with the consumer that it was shown to be.
    #[must_use]
    pub fn from(mut self, source: IpAddr) -> Raise {
        self.source = Some(source);
        self
    }

    /// That began so long before now.
    #[must_use]
    pub fn since(mut self, began: Duration) -> Raise {
        self.began = began;
        self
    }

    /// About this route.
    #[must_use]
    pub fn on(mut self, route: u32) -> Raise {
        self.route = route;
        self
    }
}

/// Sees every event, and says when several together are suspicious.
pub trait Detector: Send {
    /// Sees an event. Most events concern most detectors not at all, which is to cost nothing.
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise));

    /// Time has passed. Called once a second at most.
    fn tick(&mut self, now: Moment, raise: &mut dyn FnMut(Raise)) {
        let _ = (now, raise);
    }

    /// The bytes that it takes.
    fn bytes(&self) -> usize;
}

/// A detector in the list.
pub struct Kind {
    /// Its name, as in a configuration and in findings.
    pub name: &'static str,
    /// What it finds, in one sentence.
    pub finds: &'static str,
    /// From when on it finds it, in one sentence. Documentation says the same.
    pub threshold: &'static str,
    /// Makes one, which takes at most so many bytes.
    pub make: fn(usize) -> Box<dyn Detector>,
}

/// Makes the list.
macro_rules! list {
    ($($module:ident),+ $(,)?) => {
        /// All detectors, in the order of the documentation.
        pub static DETECTORS: &[Kind] = &[$(Kind {
            name: detectors::$module::NAME,
            finds: detectors::$module::FINDS,
            threshold: detectors::$module::THRESHOLD,
            make: detectors::$module::make,
        }),+];
    };
}

list! {
    credential_stuffing,
    brute_force,
    shared_key,
    token_replay,
    enumeration,
    scanner,
    schema_probing,
    limit_grinding,
    volume_change,
    error_change,
    data_volume,
    public_credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detector_is_documented_with_its_threshold() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/detection.md");
        let page = std::fs::read_to_string(page).unwrap();
        for kind in DETECTORS {
            let row = format!("| `{}` | {} | {} |", kind.name, kind.finds, kind.threshold);
            assert!(page.contains(&row), "docs/detection.md lacks\n{row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, DETECTORS.len());
    }
}
