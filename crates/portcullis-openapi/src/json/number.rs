//! A number in JSON's grammar, kept exactly or refused.

use serde_json::Number;

use super::{Fault, Num};

/// More digits than this do not survive a double.
const SIGNIFICANT_DIGITS: usize = 17;

/// Reads `text`, which must be one number in JSON's grammar and nothing else: `007`, `+1`, `1.` and `.5` are not.
///
/// # Errors
/// It is not in the grammar, or its value cannot be held exactly.
pub fn number(text: &str) -> Result<Number, Fault> {
    let Parts { whole, fraction, exponent } = split(text)?;
    if fraction.is_none() && exponent.is_none() {
        if text == "-0" {
            return Ok(Number::from(0));
        }
        if let Ok(integer) = text.parse::<i64>() {
            return Ok(Number::from(integer));
        }
        // SECURITY: an integer beyond 64 bits would be rounded, and compared as what it is not (no_number_is_rounded).
        return text.parse::<u64>().map(Number::from).map_err(|_| Fault::Inexact);
    }
    let fraction = fraction.unwrap_or_default();
    if significant(whole, fraction) > SIGNIFICANT_DIGITS {
        return Err(Fault::Inexact);
    }
    let value: f64 = text.parse().map_err(|_| Fault::Syntax)?;
    let is_zero = whole.bytes().chain(fraction.bytes()).all(|digit| digit == b'0');
    // Too small for a double is as wrong as too large for one.
    if !value.is_finite() || (value == 0.0) != is_zero || value.is_subnormal() {
        return Err(Fault::Inexact);
    }
    Number::from_f64(value).ok_or(Fault::Inexact)
}

/// Reads `text` like [`number`]; a value that cannot be held exactly is rounded to a double, as most programs round it.
///
/// # Errors
/// It is not in the grammar, or larger than any double.
pub(crate) fn rounded(text: &str) -> Result<Num, Fault> {
    match number(text) {
        Err(Fault::Inexact) => {}
        known => return known.map(|number| Num::of(&number)),
    }
    let value: f64 = text.parse().map_err(|_| Fault::Syntax)?;
    if !value.is_finite() {
        return Err(Fault::Inexact);
    }
    let is_whole = !text.contains(['.', 'e', 'E']);
    Ok(if is_whole { Num::Whole(value) } else { Num::Float(value) })
}

struct Parts<'a> {
    whole: &'a str,
    fraction: Option<&'a str>,
    exponent: Option<&'a str>,
}

fn split(text: &str) -> Result<Parts<'_>, Fault> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_whole = digits(whole) && (whole == "0" || !whole.starts_with('0'));
    let is_exponent = |text: &str| digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    if is_whole && fraction.is_none_or(digits) && exponent.is_none_or(is_exponent) {
        Ok(Parts { whole, fraction, exponent })
    } else {
        Err(Fault::Syntax)
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// How many digits there are between the first and the last that is not zero.
fn significant(whole: &str, fraction: &str) -> usize {
    let mut digits = whole.bytes().chain(fraction.bytes()).enumerate().filter(|(_, digit)| *digit != b'0');
    let Some((first, _)) = digits.next() else { return 0 };
    digits.last().map_or(1, |(last, _)| last - first + 1)
}
