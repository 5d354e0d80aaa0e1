//! `portcullis status`: which configuration a gateway runs, asked by the socket in its `state_dir`.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, FAINT, GOOD, STRONG, print, print_error};
use portcullis::{Loaded, visible};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) fn run(place: &Path, as_json: bool) -> Outcome {
    let answer = ask(place, "status")?;
    print(if as_json { format!("{answer:#}\n") } else { text(&answer) });
    Ok(Exit::Well)
}

/// The answer of the gateway that has this folder, or the one that a configuration file names.
pub(crate) fn ask(place: &Path, question: &str) -> Result<Value, Exit> {
    let folder = state_dir(place)?;
    portcullis::control::ask(&folder, question).map_err(|error| {
        print_error(format!("{BAD}error{BAD:#}: no gateway answers in {}: {error}\n", folder.display()));
        Exit::Failed
    })
}

/// A folder, or the one that a configuration file names.
fn state_dir(place: &Path) -> Result<PathBuf, Exit> {
    if place.is_dir() {
        return Ok(place.to_owned());
    }
    let cannot = |why: String| {
        print_error(format!("{BAD}error{BAD:#}: {why}\n"));
        Exit::Configuration
    };
    let loaded =
        Loaded::file(place).map_err(|error| cannot(format!("cannot read {}: {error}", place.display())))?;
    let named = loaded.state_dir().map(Path::to_owned);
    named.ok_or_else(|| {
        cannot(format!("{} names no `state_dir`, in which a gateway could answer", place.display()))
    })
}

fn text(answer: &Value) -> String {
    let word = |name: &str| answer.get(name).and_then(Value::as_str).map(visible).unwrap_or_default();
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    let addresses: Vec<_> = answer
        .get("addresses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut text = format!(
        "{STRONG}generation {}{STRONG:#} {GOOD}is running{GOOD:#} for {}, digest {}\n{FAINT}listening on{FAINT:#} {}\n",
        number(answer, "generation"),
        ago(number(answer, "since")),
        word("digest"),
        addresses.join(", "),
    );
    if let Some(failure) = answer.get("last_failure").filter(|failure| !failure.is_null()) {
        let reason = failure.get("reason").and_then(Value::as_str).unwrap_or_default();
        let reason: Vec<_> = reason.lines().map(|line| format!("  {}\n", visible(line))).collect();
        text.push_str(&format!(
            "{CARE}the last reload failed{CARE:#}, {} ago:\n{}",
            ago(number(failure, "at")),
            reason.concat()
        ));
    }
    text
}

/// How long ago a moment was, in seconds since 1970.
pub(crate) fn ago(then: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let seconds = now.saturating_sub(then);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
