//! `portcullis waf tune`: which exclusions an access log speaks for.

mod evidence;

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, FAINT, STRONG, print, print_error};
use evidence::{Evidence, Finding, Needed};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// What can be done about the rules of `security.waf`.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Propose exclusions from what the rules matched in an access log.
    ///
    /// Run the rules with `mode: observe` for some days first. An exclusion is proposed if many requests of several clients
    /// match a rule in the same place: one attacker alone cannot cause a proposal. Read some of the requests before you
    /// take one over. Nothing is changed.
    ///
    /// Exit codes: 0 the log was read, 4 it cannot be read.
    Tune(Tune),
}

/// Which log, and what counts as evidence.
#[derive(clap::Args)]
pub(crate) struct Tune {
    /// The access log, or several.
    #[arg(required = true)]
    logs: Vec<PathBuf>,
    /// The fewest requests for a proposal.
    #[arg(long, default_value = "20")]
    min_requests: NonZeroU32,
    /// The fewest different clients for a proposal: consumers, subjects of tokens, or else networks (IPv4 /24, IPv6 /48).
    #[arg(long, default_value = "5")]
    min_clients: NonZeroU32,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(action: Action) -> Outcome {
    let Action::Tune(Tune { logs, min_requests, min_clients, json }) = action;
    let mut evidence = Evidence::default();
    for log in &logs {
        let read = File::open(log).and_then(|file| evidence.read(BufReader::new(file)));
        read.map_err(|error| {
            print_error(format!("{BAD}error{BAD:#}: cannot read {}: {error}\n", log.display()));
            Exit::Failed
        })?;
    }
    let needed = Needed { requests: min_requests.get().into(), clients: min_clients.get().into() };
    let findings = evidence.findings(&needed);
    print(if json { as_json(&evidence, &findings) } else { as_text(&evidence, &findings, &needed) });
    Ok(Exit::Well)
}

/// `2 requests`, `1 request`.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn as_json(evidence: &Evidence, findings: &[Finding]) -> String {
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "route": finding.route, "rules": finding.rules, "target": finding.target, "proposed": finding.proposed,
                "requests": finding.requests, "of": finding.of, "clients": finding.clients,
                "authenticated": finding.authenticated, "why_not": finding.why_not(),
            })
        })
        .collect();
    let whole =
        json!({ "requests": evidence.requests(), "unreadable": evidence.unreadable(), "findings": findings });
    format!("{whole:#}\n")
}

fn as_text(evidence: &Evidence, findings: &[Finding], needed: &Needed) -> String {
    let mut text = format!("{} were read.", count(evidence.requests(), "request"));
    if evidence.unreadable() > 0 {
        let _ = write!(text, " {} could not be read as JSON.", count(evidence.unreadable(), "line"));
    }
    text.push('\n');
    if findings.is_empty() {
        text.push_str("The rules matched none of them: there is nothing to exclude.\n");
        return text;
    }
    let mut routes: Vec<&str> = findings.iter().map(|finding| finding.route.as_str()).collect();
    routes.dedup();
    for route in routes {
        let of_route = || findings.iter().filter(|finding| finding.route == route);
        let _ = write!(text, "\n{STRONG}{route}{STRONG:#}\n");
        if of_route().any(|finding| finding.proposed) {
            text.push_str("  security:\n    waf:\n      exclude:\n");
        }
        for finding in of_route().filter(|finding| finding.proposed) {
            let rules: Vec<String> = finding.rules.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "        - rules: [{}]", rules.join(", "));
            let _ = writeln!(text, "          targets: [\"{}\"]", finding.target);
            let _ = writeln!(text, "          reason: \"{}\"", finding.reason());
        }
        for finding in of_route().filter(|finding| !finding.proposed) {
            let rules: Vec<String> = finding.rules.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "  {FAINT}not proposed: {} on {}: {}; {}{FAINT:#}",
                rules.join(", "),
                finding.target,
                finding.reason(),
                finding.why_not().unwrap_or_default(),
            );
        }
    }
    let _ = write!(
        text,
        "\nA proposal has at least {} of at least {}. Read some of the requests before you exclude anything.\n",
        count(needed.requests, "request"),
        count(needed.clients, "client"),
    );
    text
}
