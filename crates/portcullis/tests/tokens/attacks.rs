//! Attacks with tokens, one row each: how it is made, and the code under which the record has it.
//!
//! Whatever the attack, the client gets the same plain refusal, with no word of the reason in it, and the backend sees
//! nothing. In each family there are untampered tokens that pass, so that a row is refused for what was done to it and
//! for nothing else. The keys are the tests' own, since a real issuer does not sign what these rows need.

mod algorithms;
mod bound;
mod carriage;
mod claims;
mod forms;
mod keys;
mod opaque;
mod purposes;
mod signatures;
mod stage;

use super::support::{self, Answer, Backend, Client, World, faults_of_refusal, leaks};
use serde_json::{Value, json};
use stage::Stage;
use std::collections::BTreeMap;

/// What must come of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    Passes,
    /// Refused under this code.
    Refused(&'static str),
}

/// One request.
struct Row {
    family: &'static str,
    name: String,
    /// Method and target.
    line: String,
    fields: Vec<String>,
    expected: Expected,
}

/// All rows.
#[derive(Default)]
struct Table {
    family: &'static str,
    rows: Vec<Row>,
}

impl Table {
    /// The rows from here on belong together.
    fn family(&mut self, family: &'static str) {
        self.family = family;
    }

    /// A token that is sent to a route as RFC 6750 says.
    fn bearer(&mut self, name: &str, path: &str, token: &str, expected: Expected) {
        self.fields(name, path, &[&format!("Authorization: Bearer {token}")], expected);
    }

    /// A GET with these fields.
    fn fields(&mut self, name: &str, path: &str, fields: &[&str], expected: Expected) {
        self.request(name, &format!("GET {path}"), fields, expected);
    }

    fn request(&mut self, name: &str, line: &str, fields: &[&str], expected: Expected) {
        self.rows.push(Row {
            family: self.family,
            name: name.to_owned(),
            line: line.to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            expected,
        });
    }
}

/// What is wrong with the challenges of a refusal: they may say what the standards make them say, and no more.
fn faults_of_challenges(answer: &Answer) -> Option<String> {
    let said = answer.fields("www-authenticate").join(", ");
    let mut left = said.clone();
    for allowed in [
        r#"error="invalid_token""#,
        r#"error="invalid_dpop_proof""#,
        r#"error="use_dpop_nonce""#,
        r#"algs="ES256 ES384 ES512 PS256 PS384 PS512 RS256 RS384 RS512 EdDSA""#,
        r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#,
        "ApiKey",
        "Bearer",
        "DPoP",
    ] {
        left = left.replace(allowed, "");
    }
    let left = left.trim_matches([' ', ',']);
    (!left.is_empty() || said.is_empty()).then(|| format!("the challenges are {said:?}"))
}

/// Sends a row from an address of its own, so that no row is judged by what another one did.
async fn play(number: usize, row: &Row, world: &World) -> (Client, Answer) {
    let source = format!("127.1.{}.{}", number / 200 + 1, number % 200 + 1);
    let mut client = Client::connect_from(&source, world.address).await;
    let Row { line, fields, .. } = row;
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let answer = client.ask(&format!("{line} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
    (client, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_with_a_token_gets_in() {
    let stage = Stage::set().await;
    let mut table = Table::default();
    algorithms::rows(&mut table, &stage);
    keys::rows(&mut table, &stage);
    signatures::rows(&mut table, &stage);
    forms::rows(&mut table, &stage);
    claims::rows(&mut table, &stage);
    purposes::rows(&mut table, &stage);
    carriage::rows(&mut table, &stage);
    bound::rows(&mut table, &stage);
    opaque::rows(&mut table, &stage);

    let backend = Backend::start().await;
    let world = World::start(&stage.document(backend.address));
    let mut played = Vec::new();
    for (number, row) in table.rows.iter().enumerate() {
        played.push(play(number, row, &world).await);
    }
    let records = world.end().await;
    let seen: Vec<String> = backend.seen().iter().map(|seen| seen.fields("x-request-id").join(",")).collect();

    let mut failures = Vec::new();
    let mut texts: BTreeMap<u16, Value> = BTreeMap::new();
    for (row, (client, answer)) in table.rows.iter().zip(&played) {
        let mut faults = Vec::new();
        let all = records.of(client.address);
        let record = all.first().cloned().unwrap_or(Value::Null);
        let code = record["denied"]["code"].as_str().unwrap_or("none");
        let reached = seen.contains(&answer.fields("x-request-id").join(","));
        match row.expected {
            Expected::Passes if answer.status == 200 && reached => {}
            Expected::Passes => faults.push(format!("got {}, {record}", answer.status)),
            Expected::Refused(wanted) => {
                if code != wanted {
                    faults.push(format!("recorded as {code}: {record}"));
                }
                if reached || answer.status == 200 {
                    faults.push("it came through".to_owned());
                }
                let detail = record["denied"]["detail"].as_str().unwrap_or_default();
                faults.extend(faults_of_refusal(answer));
                faults.extend(leaks(
                    answer,
                    &["kid-", "signature", "expired", "audience", "issuer", "nonce is"],
                ));
                // The word `fault` stands in `default`.
                if wanted != "fault" {
                    faults.extend(leaks(answer, &[wanted, detail]));
                }
                let mut text: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                text["request_id"] = json!("");
                if texts.entry(answer.status).or_insert_with(|| text.clone()) != &text {
                    faults.push(format!("another text than the others: {text}"));
                }
                match answer.status {
                    401 => faults.extend(faults_of_challenges(answer)),
                    403 | 503 => {}
                    other => faults.push(format!("status {other}")),
                }
            }
        }
        if all.len() != 1 {
            faults.push(format!("{} records", all.len()));
        }
        failures.extend(faults.into_iter().map(|fault| format!("{} / {}: {fault}", row.family, row.name)));
    }
    let passing = table.rows.iter().filter(|row| row.expected == Expected::Passes).count();
    if seen.len() != passing {
        failures.push(format!("the backend saw {} requests, not {passing}", seen.len()));
    }
    let mut names: Vec<_> = table.rows.iter().map(|row| (row.family, &row.name)).collect();
    names.sort_unstable();
    failures
        .extend(names.windows(2).filter(|two| two[0] == two[1]).map(|two| format!("twice: {:?}", two[0])));
    for row in &table.rows {
        let controlled = |other: &Row| other.family == row.family && other.expected == Expected::Passes;
        if !table.rows.iter().any(controlled) {
            failures.push(format!("the family {} has no token that passes", row.family));
        }
    }
    assert!(stage.lure.seen().is_empty(), "a token chose what the gateway fetches: {:?}", stage.lure.seen());
    let attacks = table.rows.len() - passing;
    assert!(failures.is_empty(), "{} faults in {attacks} attacks:\n{}", failures.len(), failures.join("\n"));
    assert!(attacks >= 80, "{attacks} attacks");
    println!("{attacks} attacks refused, {passing} good tokens passed");
}
