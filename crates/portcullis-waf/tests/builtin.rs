//! The builtin rules: what each must and must not match, attacks that were not looked at when they were written, and
//! harmless values of many kinds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod support;

use portcullis_waf::{Loader, Plan, Report, Request, Response, Settings, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use support::harmless;

/// The share of attacks that is found at paranoia 1, in percent.
const FOUND: usize = 85;
/// The share of harmless values that is refused at paranoia 1: one in so many.
const FALSE_ALARM_IN: usize = 1_000;

fn plan(paranoia: u8) -> Plan {
    let settings = Settings::default().paranoia(paranoia);
    Plan::new(Loader::new().builtin().evaluation(), &settings).unwrap_or_else(|errors| panic!("{errors}"))
}

fn send(plan: &Plan, target: &[u8], headers: &[(&[u8], &[u8])], body: &[u8]) -> Report {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = Request {
        method: b"POST",
        target,
        protocol: b"HTTP/1.1",
        headers,
        client: (here, 1),
        server: (here, 80),
        unique_id: b"0",
    };
    let mut transaction = Transaction::new(plan, request);
    transaction.request_headers();
    transaction.request_body(body);
    transaction.finish()
}

/// A value as the member of a JSON body.
fn value(plan: &Plan, value: &str) -> Report {
    let body = serde_json::to_vec(&serde_json::json!({ "value": value })).unwrap();
    send(plan, b"/", &[(b"content-type", b"application/json")], &body)
}

/// The body of an answer to a request that is harmless.
fn answer(plan: &Plan, body: &[u8]) -> Report {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = Request {
        method: b"GET",
        target: b"/",
        protocol: b"HTTP/1.1",
        headers: &[],
        client: (here, 1),
        server: (here, 80),
        unique_id: b"0",
    };
    let headers: [(&[u8], &[u8]); 1] = [(b"content-type", b"text/html")];
    let mut transaction = Transaction::new(plan, request);
    transaction.request_headers();
    transaction.forget_matches();
    transaction.response_headers(Response { status: 200, protocol: b"HTTP/1.1", headers: &headers });
    transaction.response_body(body);
    transaction.finish()
}

/// Sends a case: `arg VALUE`, `query QUERY`, `json BODY`, `xml BODY`, `path TARGET`, `agent VALUE` or `answer BODY`.
fn case(plan: &Plan, kind: &str, text: &str) -> Report {
    match kind {
        "arg" => value(plan, text),
        "query" => send(plan, format!("/?{text}").as_bytes(), &[], b""),
        "json" => send(plan, b"/", &[(b"content-type", b"application/json")], text.as_bytes()),
        "xml" => send(plan, b"/", &[(b"content-type", b"text/xml")], text.as_bytes()),
        "path" => send(plan, text.as_bytes(), &[], b""),
        "agent" => send(plan, b"/", &[(b"user-agent", text.as_bytes())], b""),
        "answer" => answer(plan, text.as_bytes()),
        _ => panic!("there is no kind {kind}"),
    }
}

#[test]
fn each_rule_matches_what_it_must_and_nothing_else() {
    let plan = plan(2);
    let ids: BTreeSet<u64> = plan
        .rules()
        .iter()
        .filter(|rule| rule.log && (11_000..14_000).contains(&rule.id))
        .map(|rule| rule.id)
        .collect();
    let mut seen: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    let mut faults = Vec::new();
    for line in include_str!("data/builtin_cases.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = line.splitn(4, ' ');
        let mut next = || fields.next().unwrap_or_else(|| panic!("{line}"));
        let (id, verdict, kind, text) = (next().parse::<u64>().unwrap(), next(), next(), next());
        assert!(ids.contains(&id), "there is no rule {id}");
        let text = text.replace("\\n", "\n").replace("\\r", "\r");
        let matched = case(&plan, kind, &text).ids().any(|found| found == id);
        let count = seen.entry(id).or_default();
        match verdict {
            "deny" => count.0 += 1,
            "allow" => count.1 += 1,
            _ => panic!("{line}"),
        }
        if matched != (verdict == "deny") {
            faults.push(line);
        }
    }
    assert_eq!(faults, [] as [&str; 0]);
    for id in ids {
        let (deny, allow) = seen.get(&id).copied().unwrap_or_default();
        assert!(
            deny > 0 && allow > 0,
            "rule {id} has {deny} cases that it must match and {allow} that it must not"
        );
    }
}

#[test]
fn attacks_that_were_not_looked_at_are_found() {
    let plan = plan(1);
    let mut classes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for line in include_str!("data/payloads.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (class, text) = line.split_once('\t').unwrap();
        let text: String = serde_json::from_str(text).unwrap();
        let report = match class {
            "prototype" | "nosql" if text.starts_with('{') => case(&plan, "json", &text),
            "prototype" => case(&plan, "query", text.trim_start_matches('?')),
            "xml" => {
                let body = case(&plan, "xml", &text);
                if body.interruption.is_some() { body } else { value(&plan, &text) }
            }
            _ => value(&plan, &text),
        };
        let count = classes.entry(class).or_default();
        count.1 += 1;
        if report.interruption.is_some() {
            count.0 += 1;
        } else {
            missed.push(format!("{class}: {text}"));
        }
    }
    let (found, total) = classes.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("{found} of {total} attacks are found at paranoia 1: {classes:?}");
    for text in &missed {
        println!("  missed {text}");
    }
    assert!(found * 100 >= total * FOUND);
}

/// Paragraphs of the READMEs of all crates that this one was built with: prose, code, tables and commands, written for people.
#[test]
fn paragraphs_of_readmes_pass() {
    let plan = plan(1);
    let (mut total, mut refused) = (0, Vec::new());
    for (file, text) in readmes() {
        for paragraph in text.split("\n\n").map(str::trim).filter(|text| (20..=2_000).contains(&text.len())) {
            total += 1;
            let report = value(&plan, paragraph);
            if report.interruption.is_some() {
                refused.push(format!("{file}: {paragraph:?}: {:?}", report.ids().collect::<Vec<_>>()));
            }
        }
    }
    println!("{} of {total} paragraphs of READMEs are refused at paranoia 1", refused.len());
    for text in &refused {
        println!("  {text}");
    }
    // One false alarm in a small collection says nothing.
    assert!(refused.len() * FALSE_ALARM_IN <= total.max(FALSE_ALARM_IN));
}

/// The READMEs in the folder of the package registry, each with the name of its crate; none where there is no such folder.
fn readmes() -> Vec<(String, String)> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let Ok(registries) = std::fs::read_dir(home.unwrap_or_default().join("registry/src")) else {
        return Vec::new();
    };
    let crates =
        registries.flatten().filter_map(|registry| std::fs::read_dir(registry.path()).ok()).flatten();
    let mut found: Vec<(String, String)> = crates
        .flatten()
        .filter_map(|folder| {
            let text = std::fs::read_to_string(folder.path().join("README.md")).ok()?;
            Some((folder.file_name().to_string_lossy().into_owned(), text))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn harmless_values_pass() {
    let plan = plan(1);
    let (mut total, mut refused) = (0, Vec::new());
    for (kind, text) in harmless::values() {
        total += 1;
        let report = value(&plan, &text);
        if report.interruption.is_some() {
            refused.push(format!("{kind}: {text:?}: {:?}", report.ids().collect::<Vec<_>>()));
        }
    }
    println!("{} of {total} harmless values are refused at paranoia 1", refused.len());
    for text in &refused {
        println!("  {text}");
    }
    assert!(total >= 10_000);
    assert!(refused.len() * FALSE_ALARM_IN <= total);
}
