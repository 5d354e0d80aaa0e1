//! What an access log says about the matches of rules: how often, where, and from how many clients.
//!
//! Names of targets are written by clients, so they are taken only where they have a form that can be excluded. What is
//! kept is bounded, whatever the log holds.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, Read as _};
use std::net::IpAddr;

/// The check whose findings are read.
const CHECK: &str = "inspect.waf";
/// The most pairs of a rule and a target, over all routes, that are followed.
const MOST_MATCHES: usize = 100_000;
/// The most clients that are told apart for one match.
const MOST_CLIENTS: usize = 1_000;
/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 1024 * 1024;
/// What an exclusion can name: see `exclude.targets` of `security.waf`.
const EXCLUDABLE: [&str; 6] =
    ["ARGS", "ARGS_NAMES", "REQUEST_COOKIES", "REQUEST_COOKIES_NAMES", "REQUEST_HEADERS", "FILES"];

/// What a proposal needs.
pub(super) struct Needed {
    /// The fewest requests.
    pub(super) requests: u64,
    /// The fewest clients.
    pub(super) clients: u64,
}

/// Rules that matched in one place of a route's requests.
#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    /// The route's path, as it is configured.
    pub(super) route: String,
    /// The ids of the rules.
    pub(super) rules: Vec<u64>,
    /// The place, such as `ARGS:json.comment`.
    pub(super) target: String,
    /// How many requests matched.
    pub(super) requests: u64,
    /// How many requests the route had.
    pub(super) of: u64,
    /// How many clients they came from.
    pub(super) clients: u64,
    /// How many of the clients were authenticated.
    pub(super) authenticated: u64,
    /// Whether an exclusion is proposed.
    pub(super) proposed: bool,
    excludable: bool,
}

impl Finding {
    /// The evidence in words.
    pub(super) fn reason(&self) -> String {
        let authenticated = match self.authenticated {
            0 => "none of them authenticated".to_owned(),
            all if all == self.clients => "all authenticated".to_owned(),
            some => format!("{some} of them authenticated"),
        };
        let clients = if self.clients == 1 { "client" } else { "clients" };
        format!("{} of {} requests, from {} {clients}, {authenticated}", self.requests, self.of, self.clients)
    }

    /// Why no exclusion is proposed.
    pub(super) fn why_not(&self) -> Option<&'static str> {
        match (self.proposed, self.excludable) {
            (true, _) => None,
            (false, false) => Some("this place cannot be excluded by name"),
            (false, true) => Some("too little evidence that honest clients send this"),
        }
    }
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Evidence {
    requests: u64,
    unreadable: u64,
    /// Requests by route.
    routes: HashMap<String, u64>,
    /// Matches by route, target and rule.
    matches: BTreeMap<(String, String, u64), Match>,
}

#[derive(Default)]
struct Match {
    requests: u64,
    clients: BTreeSet<Client>,
}

/// Who sent a request, as far as the log tells.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Client {
    Consumer(String),
    Subject(String, String),
    /// The network, since one attacker has many addresses.
    Network([u8; 6]),
}

#[derive(Deserialize)]
struct Line {
    route: Option<String>,
    peer: Option<std::net::SocketAddr>,
    client: Option<IpAddr>,
    consumer: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
    request_id: Option<String>,
    denied: Option<Reason>,
    #[serde(default)]
    observed: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    check: Option<String>,
    detail: String,
}

impl Evidence {
    /// How many requests were read.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// How many lines are no line of an access log.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Reads a log.
    ///
    /// # Errors
    /// Those of the reader. A line that is no JSON is counted.
    pub(super) fn read(&mut self, mut log: impl BufRead) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(());
            }
            match serde_json::from_slice::<Line>(&bytes) {
                Ok(line) => self.count(&line),
                Err(_) => self.unreadable += 1,
            }
        }
    }

    fn count(&mut self, line: &Line) {
        // Notices have no request, and requests without a route were not searched.
        if line.request_id.is_none() {
            return;
        }
        self.requests += 1;
        let Some(route) = &line.route else { return };
        if self.routes.len() < MOST_MATCHES || self.routes.contains_key(route) {
            *self.routes.entry(route.clone()).or_default() += 1;
        }
        let reasons = line.denied.iter().chain(&line.observed);
        let found: BTreeSet<(String, u64)> = reasons
            .filter(|reason| reason.check.as_deref() == Some(CHECK))
            .flat_map(|reason| matches_of(&reason.detail))
            .collect();
        for (target, rule) in found {
            let key = (route.clone(), target, rule);
            if self.matches.len() >= MOST_MATCHES && !self.matches.contains_key(&key) {
                continue;
            }
            let found = self.matches.entry(key).or_default();
            found.requests += 1;
            if found.clients.len() < MOST_CLIENTS
                && let Some(client) = line.client()
            {
                found.clients.insert(client);
            }
        }
    }

    /// What was found, by route and target; rules with the same evidence are together.
    pub(super) fn findings(&self, needed: &Needed) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for ((route, target, rule), found) in &self.matches {
            let of = self.routes.get(route).copied().unwrap_or_default();
            let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let clients = number(found.clients.len());
            let known = found.clients.iter().filter(|client| !matches!(client, Client::Network(_)));
            let authenticated = number(known.count());
            let excludable = is_excludable(target);
            let enough = found.requests >= needed.requests && clients >= needed.clients;
            let finding = Finding {
                route: route.clone(),
                rules: vec![*rule],
                target: target.clone(),
                requests: found.requests,
                of,
                clients,
                authenticated,
                proposed: excludable && enough,
                excludable,
            };
            match findings.iter_mut().rev().take(20).find(|earlier| earlier.is_like(&finding)) {
                Some(earlier) => earlier.rules.push(*rule),
                None => findings.push(finding),
            }
        }
        findings
    }
}

impl Finding {
    fn is_like(&self, other: &Finding) -> bool {
        (&self.route, &self.target) == (&other.route, &other.target)
            && (self.requests, self.clients, self.authenticated)
                == (other.requests, other.clients, other.authenticated)
    }
}

impl Line {
    fn client(&self) -> Option<Client> {
        if let Some(consumer) = &self.consumer {
            return Some(Client::Consumer(consumer.clone()));
        }
        if let (Some(issuer), Some(subject)) = (&self.issuer, &self.subject) {
            return Some(Client::Subject(issuer.clone(), subject.clone()));
        }
        let address = self.client.or(self.peer.map(|peer| peer.ip()))?;
        Some(Client::Network(match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                [0, 0, 4, a, b, c]
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                [a, b, c, d, e, f]
            }
        }))
    }
}

/// The rules and targets in `score 10: 11010 (ARGS:json.name); 19010 (TX:blocking_inbound_anomaly_score)`.
fn matches_of(detail: &str) -> Vec<(String, u64)> {
    let Some((_, rules)) = detail.strip_prefix("score ").and_then(|rest| rest.split_once(": ")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for rule in rules.split("; ") {
        let Some((id, targets)) = rule.strip_suffix(')').and_then(|rule| rule.split_once(" (")) else {
            continue;
        };
        let Ok(id) = id.parse::<u64>() else { continue };
        // The rule that compares the score matches a variable of the rules themselves.
        let targets = targets.split(", ").filter(|target| !target.starts_with("TX"));
        found.extend(targets.map(|target| (target.to_owned(), id)));
    }
    found
}

fn is_excludable(target: &str) -> bool {
    target.split_once(':').is_some_and(|(variable, name)| {
        EXCLUDABLE.contains(&variable)
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]$@~".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: Needed = Needed { requests: 3, clients: 2 };

    fn line(who: &str, detail: &str) -> String {
        format!(
            "{{\"request_id\":\"a\",\"peer\":\"192.0.2.7:1\",\"route\":\"/a\",{who}\"observed\":[{{\"code\":\"attack_suspected\",\"check\":\"inspect.waf\",\"detail\":{}}}]}}\n",
            serde_json::to_string(detail).unwrap()
        )
    }

    fn findings(log: &str) -> Vec<Finding> {
        let mut evidence = Evidence::default();
        evidence.read(log.as_bytes()).unwrap();
        evidence.findings(&NEEDED)
    }

    const DETAIL: &str =
        "score 10: 11010 (ARGS:json.name); 11030 (ARGS:json.name); 19010 (TX:blocking_inbound_anomaly_score)";

    #[test]
    fn what_several_consumers_send_is_proposed() {
        let log: String = ["alice", "bob", "alice"]
            .iter()
            .map(|name| line(&format!("\"consumer\":\"{name}\","), DETAIL))
            .chain([
                "{\"request_id\":\"b\",\"route\":\"/a\"}\n".to_owned(),
                "{\"about\":\"reload\"}\n".to_owned(),
            ])
            .collect();
        let [finding] = &findings(&log)[..] else { panic!("{:?}", findings(&log)) };
        assert!(finding.proposed);
        assert_eq!(finding.rules, [11010, 11030]);
        assert_eq!(finding.target, "ARGS:json.name");
        assert_eq!(finding.reason(), "3 of 4 requests, from 2 clients, all authenticated");
    }

    #[test]
    fn one_attacker_causes_no_proposal() {
        let one: String = std::iter::repeat_n(line("\"consumer\":\"mallory\",", DETAIL), 500).collect();
        assert!(findings(&one).iter().all(|finding| !finding.proposed));
        // A hundred addresses of one network are one client.
        let network: String =
            (0..100).map(|host| line(&format!("\"client\":\"198.51.100.{host}\","), DETAIL)).collect();
        assert!(findings(&network).iter().all(|finding| !finding.proposed));
    }

    #[test]
    fn a_name_that_a_client_made_up_proposes_nothing_else() {
        for name in ["ARGS:a); 11030 (ARGS:b", "ARGS:\" }, targets: [x", "ARGS:a b", "REQUEST_BODY", "ARGS:"]
        {
            let detail = format!("score 5: 11010 ({name})");
            let log: String = ["a", "b", "c"]
                .iter()
                .map(|who| line(&format!("\"consumer\":\"{who}\","), &detail))
                .collect();
            for finding in findings(&log) {
                let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
                assert!(!finding.proposed || plain(&finding.target), "{name}: {finding:?}");
            }
        }
    }

    #[test]
    fn lines_of_something_else_are_counted_and_no_more() {
        let mut evidence = Evidence::default();
        evidence.read(&b"not json\n{}\n\xff\xfe\n[1]\n"[..]).unwrap();
        assert_eq!((evidence.requests(), evidence.unreadable()), (0, 3));
    }
}
