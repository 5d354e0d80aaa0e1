//! What is one finding, when it is over, and how many are kept.
//!
//! The same detector about the same subject is one finding while it goes on. It is over when nothing was seen of it for half
//! an hour; what is seen within an hour of that belongs to it again. The oldest findings that are over leave first.

use crate::detector::Raise;
use crate::engine::Change;
use crate::event::Moment;
use crate::finding::Finding;
use std::time::Duration;

/// A finding of which so long nothing was seen is over.
pub const QUIET: Duration = Duration::from_secs(30 * 60);
/// What is seen so soon after the end of a finding belongs to it.
const AGAIN: u64 = 3600;
/// The most findings that are kept.
pub const MOST: usize = 1000;
/// The longest text in a finding, in bytes.
const LONGEST: usize = 300;
/// The most facts of a finding.
const MOST_EVIDENCE: usize = 12;

/// Findings, the oldest first.
pub struct Ledger {
    findings: Vec<Kept>,
    /// Makes ids of this process differ from those of another.
    seed: u64,
    made: u64,
    /// New findings that no place was left for.
    dropped: u64,
    changes: u64,
}

struct Kept {
    finding: Finding,
    seen: Duration,
}

impl Ledger {
    /// Those of an earlier process, and a number that no other process has.
    pub fn new(before: Vec<Finding>, seed: u64) -> Ledger {
        let mut before = before;
        before.truncate(MOST);
        // What went on when the process ended may still do: it is over when nothing is seen of it from now on.
        let findings = before.into_iter().map(|finding| Kept { finding, seen: Duration::ZERO }).collect();
        Ledger { findings, seed, made: 0, dropped: 0, changes: 0 }
    }

    /// A number that differs after each change.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// New findings that no place was left for, since all others go on.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// All of them, the oldest first.
    pub fn findings(&self) -> impl DoubleEndedIterator<Item = &Finding> {
        self.findings.iter().map(|kept| &kept.finding)
    }

    /// Notes until when the sender of a finding is blocked.
    pub fn blocked(&mut self, id: &str, until: u64) {
        if let Some(kept) = self.findings.iter_mut().find(|kept| kept.finding.id == id) {
            kept.finding.blocked_until = Some(until);
            self.changes += 1;
        }
    }

    pub(crate) fn raise(
        &mut self,
        detector: &'static str,
        raise: Raise,
        now: Moment,
        changed: &mut dyn FnMut(Change),
    ) {
        let unix = now.unix.as_secs();
        let evidence = raise.evidence.into_iter().take(MOST_EVIDENCE).map(|mut fact| {
            cut(&mut fact.value);
            fact
        });
        let same = self.findings.iter_mut().rev().find(|kept| {
            let finding = &kept.finding;
            finding.detector == detector
                && finding.subject == raise.subject
                && (finding.open || unix.saturating_sub(finding.last) < AGAIN + QUIET.as_secs())
        });
        self.changes += 1;
        if let Some(Kept { finding, seen }) = same {
            *seen = now.steady;
            finding.last = finding.last.max(unix);
            finding.evidence = evidence.collect();
            finding.source = raise.source;
            let worse = raise.severity > finding.severity || !finding.open;
            finding.open = true;
            if worse {
                finding.severity = finding.severity.max(raise.severity);
                finding.summary = raise.summary;
                changed(Change::Grew(finding.clone()));
            }
            return;
        }
        if self.findings.len() >= MOST {
            let over = self.findings.iter().position(|kept| !kept.finding.open);
            match over {
                Some(over) => drop(self.findings.remove(over)),
                // Hundreds of attacks at once: the least of them makes room for one that matters more.
                None => match self.findings.iter().position(|kept| kept.finding.severity < raise.severity) {
                    Some(less) => drop(self.findings.remove(less)),
                    None => {
                        self.dropped += 1;
                        return;
                    }
                },
            }
        }
        self.made += 1;
        let finding = Finding {
            id: format!("{:016x}", mix(self.seed ^ mix(self.made))),
            detector: detector.to_owned(),
            severity: raise.severity,
            summary: raise.summary,
            subject: raise.subject,
            evidence: evidence.collect(),
            start: unix.saturating_sub(raise.began.as_secs()),
            last: unix,
            open: true,
            source: raise.source,
            blocked_until: None,
        };
        self.findings.push(Kept { finding: finding.clone(), seen: now.steady });
        changed(Change::Began(finding));
    }

    pub(crate) fn end_what_is_quiet(&mut self, now: Moment, changed: &mut dyn FnMut(Change)) {
        for kept in self.findings.iter_mut().filter(|kept| kept.finding.open) {
            if now.steady.saturating_sub(kept.seen) >= QUIET {
                kept.finding.open = false;
                self.changes += 1;
                changed(Change::Ended(kept.finding.clone()));
            }
        }
    }
}

/// Mixes the bits of a number (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn cut(text: &mut String) {
    let end = (0..=text.len().min(LONGEST)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Severity, Subject};

    fn at(seconds: u64) -> Moment {
        Moment { steady: Duration::from_secs(seconds), unix: Duration::from_secs(1_000_000 + seconds) }
    }

    fn about(address: &str) -> Subject {
        Subject { address: Some(address.parse().unwrap()), ..Subject::default() }
    }

    fn raise(ledger: &mut Ledger, severity: Severity, address: &str, second: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        let raise = Raise::new(severity, "it happened", about(address)).because("paths", 7);
        ledger.raise("scanner", raise, at(second), &mut |change| changes.push(change));
        changes
    }

    #[test]
    fn what_goes_on_is_one_finding() {
        let mut ledger = Ledger::new(Vec::new(), 1);
        assert!(matches!(raise(&mut ledger, Severity::Low, "192.0.2.1", 0)[..], [Change::Began(_)]));
        assert!(raise(&mut ledger, Severity::Low, "192.0.2.1", 60).is_empty());
        assert!(matches!(raise(&mut ledger, Severity::High, "192.0.2.1", 90)[..], [Change::Grew(_)]));
        assert!(matches!(raise(&mut ledger, Severity::Low, "192.0.2.2", 90)[..], [Change::Began(_)]));
        let mut ended = Vec::new();
        ledger.end_what_is_quiet(at(90 + QUIET.as_secs()), &mut |change| ended.push(change));
        assert_eq!(ended.len(), 2);
        assert!(ledger.findings().all(|finding| !finding.open));
        let again = raise(&mut ledger, Severity::Low, "192.0.2.1", 90 + QUIET.as_secs() + 60);
        assert!(matches!(&again[..], [Change::Grew(finding)] if finding.severity == Severity::High));
        let later = raise(&mut ledger, Severity::Low, "192.0.2.2", 100_000);
        assert!(matches!(&later[..], [Change::Began(_)]));
        let ids: std::collections::BTreeSet<_> = ledger.findings().map(|finding| &finding.id).collect();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn the_ledger_is_bounded_and_keeps_what_matters() {
        let mut ledger = Ledger::new(Vec::new(), 1);
        for number in 0..u32::try_from(MOST).unwrap() + 50 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string();
            raise(&mut ledger, Severity::Low, &address, 0);
        }
        assert_eq!((ledger.findings().count(), ledger.dropped()), (MOST, 50));
        assert_eq!(raise(&mut ledger, Severity::High, "192.0.2.1", 1).len(), 1);
        assert_eq!(ledger.findings().count(), MOST);
        let long = "é".repeat(1000);
        let raise = Raise::new(Severity::High, "x", about("192.0.2.9")).because("path", long);
        ledger.raise("scanner", raise, at(2), &mut |_| {});
        assert!(
            ledger.findings().all(|finding| finding.evidence.iter().all(|fact| fact.value.len() <= LONGEST))
        );
    }

    #[test]
    fn findings_of_an_earlier_process_go_on() {
        let mut first = Ledger::new(Vec::new(), 1);
        raise(&mut first, Severity::Low, "192.0.2.1", 0);
        let text = serde_json::to_string(&first.findings().collect::<Vec<_>>()).unwrap();
        let mut second = Ledger::new(serde_json::from_str(&text).unwrap(), 2);
        assert!(raise(&mut second, Severity::Low, "192.0.2.1", 60).is_empty());
        assert_eq!(second.findings().count(), 1);
    }
}
