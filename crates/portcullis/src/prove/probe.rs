//! The generated attacks, sent over the network to a gateway that serves.
//!
//! The gateway has its own keys, so nothing that is sent here can be good: each request must be refused, and one that is answered
//! by the upstream, or that the gateway tried to send there, is a hole. It is sent one request after the other, each on a connection
//! of its own, to this machine or to a host that its owner has named, and to nobody else.

mod client;

pub use client::Trust;

use super::attacks::Case;
use super::report::{Finding, Outcome, Report, Row};
use super::{Expected, Rehearsal};
use crate::load::Loaded;
use client::Client;
use portcullis_checks::rehearsal::Attack;
use std::time::{Duration, Instant};

/// The bounds of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most requests.
    pub requests: usize,
    /// How long all of it may take.
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { requests: 2000, patience: Duration::from_secs(120) }
    }
}

/// Sends the attacks that follow from a configuration to `url`.
///
/// # Errors
/// The URL is not one to which anything may be sent, or nobody answers there.
pub fn probe(
    loaded: &Loaded,
    url: &str,
    owned: &[String],
    trust: &Trust,
    bounds: Bounds,
) -> Result<Report, String> {
    let rehearsal = Rehearsal::of(loaded).ok_or("the configuration does not load")?;
    let client = Client::new(url, owned, trust)?;
    let begun = Instant::now();
    let mut report = Report::default();
    let mut left = bounds.requests;
    // Each wrong guess brings the address closer to having to wait, and then everything is refused whatever it is.
    let mut waits = false;
    for target in rehearsal.targets() {
        if left == 0 || waits || begun.elapsed() > bounds.patience {
            report.untried += 1;
            continue;
        }
        let (proven, mut cases) = rehearsal.cases(&target);
        cases.retain(can_be_sent);
        cases.sort_by_key(guesses);
        let mut row = Row { target: target.name(), route: target.route, proven, findings: Vec::new() };
        for case in cases.iter().take(left) {
            if begun.elapsed() > bounds.patience {
                break;
            }
            let status = client.send(&case.request)?;
            left = left.saturating_sub(1);
            if status == Some(429) && !guesses(case) {
                waits = true;
                break;
            }
            let outcome = outcome(status);
            row.findings.push(Finding { attack: case.attack, outcome, how: case.how.clone() });
        }
        report.rows.push(row);
    }
    report.elapsed = begun.elapsed();
    Ok(report)
}

/// Whether a case says something of a gateway that has other keys and other counts than the rehearsal.
fn can_be_sent(case: &Case) -> bool {
    let depends_on_state = matches!(
        case.attack,
        None | Some(
            Attack::OverLimit
                | Attack::TooManyAtOnce
                | Attack::Overload
                | Attack::Impersonation
                | Attack::WrongAddress
                | Attack::PolicyRefuses
                | Attack::WrongAnswer
        )
    );
    // By another route it may well pass.
    !depends_on_state
        && case.expected == Expected::Refused
        && case.request.certificate.is_none()
        && !case.own_route_only
}

/// Whether a gateway would take it for a guess.
fn guesses(case: &Case) -> bool {
    !matches!(
        case.attack,
        Some(Attack::NoCredential | Attack::PathTrick | Attack::HeaderAlias | Attack::WrongMethod)
    )
}

fn outcome(status: Option<u16>) -> Outcome {
    match status {
        // Closed without an answer: nothing went upstream that anybody saw.
        None => Outcome::Refused("a closed connection"),
        Some(303) => Outcome::Refused("a login"),
        Some(400) => Outcome::Refused("400"),
        Some(401) => Outcome::Refused("401"),
        Some(403) => Outcome::Refused("403"),
        Some(404) => Outcome::Refused("404"),
        Some(405) => Outcome::Refused("405"),
        Some(413) => Outcome::Refused("413"),
        Some(415) => Outcome::Refused("415"),
        Some(422) => Outcome::Refused("422"),
        Some(429) => Outcome::Refused("429"),
        Some(431) => Outcome::Refused("431"),
        Some(414) => Outcome::Refused("414"),
        Some(status @ (408 | 503)) => Outcome::Unproven(format!("the gateway answered {status}")),
        // SECURITY: a 502 says that the gateway tried to send it on (a_probe_finds_a_route_that_is_open).
        Some(_) => Outcome::Hole,
    }
}
