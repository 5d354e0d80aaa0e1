//! Times as people write them: how long something lasts, and when it ends.

use crate::import::moment;
use crate::model::now;
use std::time::Duration;

/// A time such as `90d`, `12h`, `30m`, `10s` or `2w`. `0` needs no unit.
///
/// # Errors
/// What to write instead.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit, such as `90d`, `12h` or `30m`".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        "" if text == "0" => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    // A thousand years, which every date can say.
    let most = 1000 * 366 * 86_400;
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= most)
        .map(Duration::from_secs)
        .ok_or_else(|| "this is more than a thousand years".to_owned())
}

/// The same, and longer than nothing.
///
/// # Errors
/// What to write instead.
pub fn lasting(text: &str) -> Result<Duration, String> {
    match span(text) {
        Ok(time) if time.is_zero() => Err("a key that ends at once is of no use".to_owned()),
        other => other,
    }
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Not at all.
    Never,
    /// After this time.
    After(Duration),
    /// Then, in seconds since 1970.
    At(u64),
}

impl End {
    /// `never`, a time such as `90d`, or a moment or day such as `2027-06-30`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<End, String> {
        if text == "never" {
            return Ok(End::Never);
        }
        let date = || moment(text).or_else(|| moment(&format!("{text}T00:00:00Z")));
        if let Some(at) = date() {
            let ahead = at > now();
            return ahead.then_some(End::At(at)).ok_or_else(|| "this moment has passed".to_owned());
        }
        match span(text) {
            Ok(_) => lasting(text).map(End::After),
            Err(_) => Err("write a time such as `90d`, a day such as `2027-06-30`, or `never`".to_owned()),
        }
    }

    /// In seconds since 1970.
    pub fn moment(self) -> Option<u64> {
        match self {
            End::Never => None,
            End::After(time) => Some(now().saturating_add(time.as_secs())),
            End::At(at) => Some(at),
        }
    }
}
