//! `simulate`: traffic that nobody sent, with attacks in it, and whether the detectors find them and nothing else.
//!
//! Time is virtual: two days take a second. What an attack is made of stands in `attacks.rs`, in terms of what documentation
//! promises to find, and no threshold of a detector is read. An attack of the strength 1 is a tenth beyond that promise;
//! one of 0.5 is half as fast and goes on for an hour.

mod attacks;
mod random;
mod score;
mod traffic;

use crate::failure::{Failure, Outcome};
use portcullis_detect::ledger::Ledger;
use portcullis_detect::{Change, Engine, Event, Exempt, Finding};
use score::Score;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to play.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seeds, each a run of two days: numbers and ranges such as `1-20`. Those below 5000 were used while the detectors
    /// were made.
    #[arg(default_value = "5001-5020")]
    seeds: String,
    /// How strong attacks are, in multiples of what documentation promises to find.
    #[arg(long, value_delimiter = ',', default_value = "0.5,1,3")]
    strengths: Vec<f64>,
}

/// What each detector must reach at the strengths that are promised to be found.
const LEAST: f64 = 0.95;
/// The memory that detectors have, as in a gateway.
const BYTES: usize = 32 * 1024 * 1024;

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let seeds = seeds(&arguments.seeds)?;
    let mut good = true;
    for strength in &arguments.strengths {
        let mut score = Score::default();
        for seed in &seeds {
            score.add(&played(*seed, *strength));
        }
        println!("strength {strength}, {} seeds", seeds.len());
        print!("{}", score.table());
        good &= score.is_at_least(LEAST);
    }
    let steady = steady(*seeds.first().unwrap_or(&1));
    println!(
        "steady day: {} records, {} findings, {:.0} ns for each record, {} kB of memory",
        steady.records,
        steady.findings.len(),
        steady.nanoseconds,
        steady.bytes / 1024
    );
    for finding in &steady.findings {
        println!("  {}: {} {:?}", finding.detector, finding.summary, finding.evidence);
    }
    good &= steady.findings.is_empty() && steady.records >= 1_000_000;
    match good {
        true => Ok(()),
        false => Err(Failure::new("a detector misses attacks, or finds what is none")),
    }
}

fn seeds(text: &str) -> Outcome<Vec<u64>> {
    let bad = || Failure::new("seeds are numbers and ranges, such as `7,1001-1020`");
    let mut all = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let from: u64 = from.trim().parse().map_err(|_| bad())?;
        let to: u64 = to.trim().parse().map_err(|_| bad())?;
        if to.saturating_sub(from) > 1000 {
            return Err(bad());
        }
        all.extend(from..=to);
    }
    match all.len() {
        1..=1000 => Ok(all),
        _ => Err(bad()),
    }
}

/// A run of two days with every attack in it.
fn played(seed: u64, strength: f64) -> score::Run {
    // The peak comes after the attacks: some of them are so many times what somebody ever had, which a peak makes more.
    let world = traffic::World::new(seed, 1.0, 49);
    let attacks = attacks::all(&world, seed, strength);
    let mut engine = engine(seed);
    let mut findings = Vec::new();
    for minute in 0..attacks::MINUTES {
        let mut events = world.minute(minute);
        attacks.iter().for_each(|attack| attack.minute(minute, &mut events));
        play(&mut engine, &mut events, minute, &mut findings);
    }
    score::Run::of(&attacks, &findings)
}

/// What came of a day without an attack.
struct Steady {
    records: u64,
    findings: Vec<Finding>,
    nanoseconds: f64,
    bytes: usize,
}

/// A day of history, and one of more than a million records, with a deploy, a marketing peak and a night. Nothing of it is
/// an attack.
fn steady(seed: u64) -> Steady {
    let world = traffic::World::new(seed, 15.0, 41);
    let mut engine = engine(seed);
    let mut findings = Vec::new();
    let (mut records, mut spent) = (0, Duration::ZERO);
    for minute in 0..attacks::MINUTES {
        let mut events = world.minute(minute);
        let begun = processor_time();
        play(&mut engine, &mut events, minute, &mut findings);
        if (24 * 60..48 * 60).contains(&minute) {
            records += events.len() as u64;
            spent += processor_time().saturating_sub(begun);
        }
    }
    let nanoseconds = spent.as_nanos() as f64 / (records as f64).max(1.0);
    let found = findings.into_iter().map(|(finding, _)| finding).collect();
    Steady { records, findings: found, nanoseconds, bytes: engine.bytes() }
}

/// The time that this thread had on a processor, where the system says so (Linux), and otherwise any time that passed.
fn processor_time() -> Duration {
    static BEGUN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match text.split(' ').next().and_then(|first| first.parse().ok()) {
        Some(nanoseconds) => Duration::from_nanos(nanoseconds),
        None => BEGUN.get_or_init(Instant::now).elapsed(),
    }
}

fn engine(seed: u64) -> Engine {
    let route_name = Arc::new(|route: u32| format!("/route-{route}"));
    Engine::new(BYTES, |_| true, Exempt::default(), route_name, Ledger::new(Vec::new(), seed))
}

/// Gives a minute's events to the engine in their order. New findings go to `findings`, with the second of their beginning.
fn play(engine: &mut Engine, events: &mut [Event], minute: u64, findings: &mut Vec<(Finding, u64)>) {
    events.sort_by_key(|event| event.at.steady);
    for event in events.iter() {
        let second = event.at.steady.as_secs();
        engine.see(event, &mut |change| match change {
            Change::Began(finding) => findings.push((finding, second)),
            Change::Grew(_) | Change::Ended(_) => {}
        });
    }
    let end = traffic::moment(Duration::from_secs(minute * 60 + 60));
    engine.tick(end, &mut |change| match change {
        Change::Began(finding) => findings.push((finding, end.steady.as_secs())),
        Change::Grew(_) | Change::Ended(_) => {}
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_found_and_nothing_else() {
        for strength in [0.5, 1.0, 3.0] {
            let mut score = Score::default();
            score.add(&played(2001, strength));
            score.add(&played(2002, strength));
            assert!(score.is_at_least(LEAST), "strength {strength}\n{}", score.table());
        }
    }

    #[test]
    fn a_steady_day_of_a_million_records_raises_nothing() {
        let steady = steady(2003);
        assert!(steady.records >= 1_000_000, "{}", steady.records);
        assert!(steady.findings.is_empty(), "{:?}", steady.findings);
        assert!(steady.bytes <= BYTES, "{}", steady.bytes);
    }

    #[test]
    fn seeds_are_numbers_and_ranges() {
        assert_eq!(seeds("7,1001-1003").unwrap(), [7, 1001, 1002, 1003]);
        assert!(seeds("x").is_err() && seeds("5-1").is_err() && seeds("1-99999").is_err());
    }
}
