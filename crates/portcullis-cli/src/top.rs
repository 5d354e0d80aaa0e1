//! `portcullis top`: what a running gateway does now, again and again.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, FAINT, STRONG, print, print_error};
use crate::status::ask;
use portcullis::visible;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

/// Clears the screen and goes to its first line (ECMA-48, ED and CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

pub(crate) fn run(place: &Path, once: bool) -> Outcome {
    let live = !once && std::io::stdout().is_terminal();
    loop {
        let answer = ask(place, "top")?;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            print_error(format!("{BAD}error{BAD:#}: {}\n", visible(error)));
            return Err(Exit::Failed);
        }
        print(if live { format!("{CLEAR}{}", text(&answer)) } else { text(&answer) });
        if !live {
            return Ok(Exit::Well);
        }
        let interval = answer.get("interval_seconds").and_then(Value::as_u64).unwrap_or(5);
        std::thread::sleep(Duration::from_secs(interval.clamp(1, 60)));
    }
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn text(answer: &Value) -> String {
    let interval = number(answer, "interval_seconds").max(1);
    let minute: Vec<&Value> = list(answer, "samples").collect();
    let seconds = (minute.len() as u64 * interval).max(1);
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    let mut endings: BTreeMap<&str, u64> = BTreeMap::new();
    for sample in &minute {
        for (all, name) in [(&mut endings, "outcomes"), (&mut reasons, "refusals")] {
            for (key, count) in sample.get(name).and_then(Value::as_object).into_iter().flatten() {
                *all.entry(key).or_default() += count.as_u64().unwrap_or_default();
            }
        }
    }
    let mut text = format!("{STRONG}The last {seconds} s{STRONG:#}\n");
    for ending in ["served", "refused", "failed", "aborted"] {
        let count = endings.get(ending).copied().unwrap_or_default();
        let tenths = count.saturating_mul(10) / seconds;
        text.push_str(&format!("  {ending:<10} {count:>8}   {:>6}.{} /s\n", tenths / 10, tenths % 10));
    }
    let latest = minute.first();
    for (name, member) in [("gateway", "gateway_p99_seconds"), ("upstream", "upstream_p99_seconds")] {
        let time = latest.and_then(|sample| sample.get(member)).and_then(Value::as_f64);
        let time = time.map_or("–".to_owned(), |time| format!("{:.2} ms", time * 1000.0));
        text.push_str(&format!("  {name:<10} 99th percentile at most {time}\n"));
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    text.push_str(&format!("\n{STRONG}Refused because of{STRONG:#}\n"));
    if reasons.is_empty() {
        text.push_str(&format!("  {FAINT}nothing was refused{FAINT:#}\n"));
    }
    for (code, count) in reasons.iter().take(10) {
        text.push_str(&format!("  {:<28} {count:>8}\n", visible(code)));
    }
    if answer.get("findings").is_some_and(Value::is_array) {
        text.push_str(&format!("\n{STRONG}Suspicious activity that goes on{STRONG:#}\n"));
        if list(answer, "findings").next().is_none() {
            text.push_str(&format!("  {FAINT}nothing{FAINT:#}\n"));
        }
    }
    for finding in list(answer, "findings") {
        let word = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default();
        let source = word("source");
        text.push_str(&format!("  {:<7} {}", visible(word("severity")), visible(word("summary"))));
        text.push_str(&if source.is_empty() { "\n".to_owned() } else { format!(" {}\n", visible(source)) });
    }
    text.push_str(&format!("\n{STRONG}Addresses, since the start{STRONG:#}\n"));
    for source in list(answer, "sources") {
        let name = source.get("source").and_then(Value::as_str).unwrap_or_default();
        let (requests, refused) = (number(source, "requests"), number(source, "refused"));
        text.push_str(&format!("  {:<40} {requests:>8} requests {refused:>8} refused\n", visible(name)));
    }
    text
}
