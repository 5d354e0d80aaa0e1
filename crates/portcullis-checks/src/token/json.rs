//! JSON with one reading, within the bounds of a token or of what an issuer says.

use crate::json::Bounds;
use portcullis_core::Claim;

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
