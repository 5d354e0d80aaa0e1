//! JSON with one reading, within the bounds of a token or of what an issuer says.

use crate::json::Bounds;
use portcullis_core::Claim;
use serde_json::{Value, json};
use std::time::Duration;

/// Nothing here is deeper than 16, or holds more than 4096 values.
const BOUNDS: Bounds = Bounds { depth: 16, values: 4096 };

/// Reads an object.
///
/// # Errors
/// It is no JSON object, something follows it, a name repeats, or it is too deep or too large. The text says which, and
/// nothing of the content.
pub fn object(bytes: &[u8]) -> Result<Claim, &'static str> {
    let value = crate::json::read(bytes, BOUNDS)?;
    if matches!(value, Claim::Object(_)) { Ok(value) } else { Err("it is not a JSON object") }
}

/// A number of seconds, as `expires_in` (RFC 6749, section 5.1): some servers write it as a string, or with a fraction.
/// `None` for anything else.
pub fn seconds(value: Option<&Claim>) -> Option<Duration> {
    match value? {
        Claim::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Claim::Number(seconds) => Duration::try_from_secs_f64(seconds.trunc()).ok(),
        Claim::Text(text) if text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok().map(Duration::from_secs)
        }
        Claim::Text(_) | Claim::Null | Claim::Bool(_) | Claim::List(_) | Claim::Object(_) => None,
    }
}

/// A claim as plain JSON.
pub fn plain(claim: &Claim) -> Value {
    match claim {
        Claim::Null => Value::Null,
        Claim::Bool(value) => json!(value),
        Claim::Integer(value) => json!(value),
        Claim::Number(value) => json!(value),
        Claim::Text(value) => json!(value),
        Claim::List(items) => items.iter().map(plain).collect(),
        Claim::Object(members) => {
            Value::Object(members.iter().map(|(name, inner)| (name.clone(), plain(inner))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_seconds_may_be_a_text_of_digits() {
        let text = |text: &str| seconds(Some(&Claim::Text(text.into()))).map(|time| time.as_secs());
        assert_eq!(text("3600"), Some(3600));
        assert_eq!(text("9999999999"), Some(9_999_999_999));
        for bad in ["", "10000000000", "+1", "-1", "1.5", "1 ", "abc"] {
            assert_eq!(text(bad), None, "{bad}");
        }
        assert_eq!(seconds(Some(&Claim::Integer(60))), Some(Duration::from_secs(60)));
        assert_eq!(seconds(Some(&Claim::Integer(-60))), None);
        assert_eq!(seconds(Some(&Claim::Number(1.9))), Some(Duration::from_secs(1)));
        assert_eq!(seconds(Some(&Claim::Bool(true))), None);
        assert_eq!(seconds(None), None);
    }
}
