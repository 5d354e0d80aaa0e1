//! How many attacks were found, how soon, and how many findings are about none.

use super::attacks::Attack;
use portcullis_detect::{DETECTORS, Finding};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What came of one run.
pub(super) struct Run {
    /// Attacks by the detector that is to find them: after how many seconds it did.
    attacks: Vec<(&'static str, Option<u64>)>,
    /// Findings: the detector, and whether an attack is meant.
    findings: Vec<(Finding, bool)>,
}

impl Run {
    pub(super) fn of(attacks: &[Attack], findings: &[(Finding, u64)]) -> Run {
        let found = |attack: &Attack| {
            let of_it = findings.iter().filter(|(finding, second)| {
                finding.detector == attack.detector && attack.is_meant(finding, *second)
            });
            of_it.map(|(_, second)| second.saturating_sub(attack.from * 60)).min()
        };
        Run {
            attacks: attacks.iter().map(|attack| (attack.detector, found(attack))).collect(),
            findings: findings
                .iter()
                .map(|(finding, second)| {
                    (finding.clone(), attacks.iter().any(|attack| attack.is_meant(finding, *second)))
                })
                .collect(),
        }
    }
}

#[derive(Default)]
struct Counted {
    attacks: u32,
    found: u32,
    seconds: Vec<u64>,
    right: u32,
    wrong: u32,
    examples: Vec<String>,
}

impl Counted {
    fn recall(&self) -> f64 {
        f64::from(self.found) / f64::from(self.attacks.max(1))
    }

    fn precision(&self) -> f64 {
        match self.right + self.wrong {
            0 => 1.0,
            all => f64::from(self.right) / f64::from(all),
        }
    }
}

/// What came of several runs, by detector.
#[derive(Default)]
pub(super) struct Score(BTreeMap<String, Counted>);

impl Score {
    pub(super) fn add(&mut self, run: &Run) {
        for kind in DETECTORS {
            self.0.entry(kind.name.to_owned()).or_default();
        }
        for (detector, found) in &run.attacks {
            let counted = self.0.entry((*detector).to_owned()).or_default();
            counted.attacks += 1;
            counted.found += u32::from(found.is_some());
            counted.seconds.extend(found);
        }
        for (finding, meant) in &run.findings {
            let counted = self.0.entry(finding.detector.clone()).or_default();
            match meant {
                true => counted.right += 1,
                false => {
                    counted.wrong += 1;
                    if counted.examples.len() < 3 {
                        counted.examples.push(format!("{:?} {:?}", finding.subject, finding.evidence));
                    }
                }
            }
        }
    }

    /// Whether each detector finds this share of its attacks, and this share of what it finds is one.
    pub(super) fn is_at_least(&self, least: f64) -> bool {
        self.is_precise(least)
            && self.0.values().all(|counted| counted.attacks > 0 && counted.recall() >= least)
    }

    /// Whether this share of what each detector finds is an attack.
    pub(super) fn is_precise(&self, least: f64) -> bool {
        self.0.values().all(|counted| counted.precision() >= least)
    }

    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "  {:<20} {:>8} {:>7} {:>10} {:>7} {:>16}\n",
            "detector", "attacks", "recall", "precision", "median", "slowest (s)"
        );
        for (detector, counted) in &self.0 {
            let mut seconds = counted.seconds.clone();
            seconds.sort_unstable();
            let _ = writeln!(
                text,
                "  {detector:<20} {:>8} {:>7.2} {:>10.2} {:>7} {:>16}",
                counted.attacks,
                counted.recall(),
                counted.precision(),
                seconds.get(seconds.len() / 2).copied().unwrap_or(0),
                seconds.last().copied().unwrap_or(0),
            );
            for example in &counted.examples {
                let _ = writeln!(text, "    none: {example}");
            }
        }
        text
    }
}
