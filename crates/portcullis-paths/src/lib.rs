//! How the laxest of backends reads the path of a request.
//!
//! Many frameworks ignore case, a slash at the end, what follows a `;`, or dots and spaces at the end of a segment, and all
//! of them decode escapes. So `/ADMIN` may be what somebody protected as `/admin`. Both the gateway's routes and the
//! operations of an OpenAPI document enter what they protect under this reading, and compare requests by it. The rule
//! stands in a crate of its own, because it must be one, and neither of the two may depend on the other.
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// The laxest reading of a path: it begins with a slash, and has none at its end unless it is all of it.
///
/// ```
/// assert_eq!(portcullis_paths::laxest("/Admin/%75sers%3Bx=1/"), "/admin/users");
/// assert_eq!(portcullis_paths::laxest("/"), "/");
/// ```
#[must_use]
pub fn laxest(path: &str) -> String {
    let mut reading = String::with_capacity(path.len());
    for segment in path.split('/').map(laxest_segment).filter(|segment| !segment.is_empty()) {
        reading.push('/');
        reading.push_str(&segment);
    }
    if reading.is_empty() { "/".to_owned() } else { reading }
}

/// The laxest reading of one segment. Empty: some backends see no segment there.
#[must_use]
pub fn laxest_segment(segment: &str) -> String {
    let text = folded(segment);
    let end = text.find([';', '?', '#']).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim().trim_end_matches(['.', ' ']).to_owned()
}

/// A part of a segment, decoded and without case: what stands beside a variable in a template.
#[must_use]
pub fn folded(part: &str) -> String {
    let mut decoded = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' { escape(&mut bytes).unwrap_or(b'%') } else { byte };
        decoded.push(byte.to_ascii_lowercase());
    }
    match String::from_utf8_lossy(&decoded) {
        // By way of upper case, since `\u{131}` (a dotless i) and `\u{17f}` (a long s) have the same one as `i` and `s`.
        text if !text.is_ascii() => Cow::Owned(text.to_uppercase().to_lowercase()),
        text => text,
    }
    .into_owned()
}

/// The byte that the next two hexadecimal digits stand for.
pub fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let high = char::from(bytes.next()?).to_digit(16)?;
    let low = char::from(bytes.next()?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backend_ignores_is_ignored() {
        for path in [
            "/ADMIN",
            "/admin/",
            "/admin.",
            "/admin%20",
            "/admin%3Bx",
            "/adm%C4%B1n",
            "/%61dmin",
            "/admin%3Fx",
            "/admin./",
        ] {
            assert_eq!(laxest(path), "/admin", "{path}");
        }
        for path in ["/administration", "/admin-1", "/a/dmin"] {
            assert_ne!(laxest(path), "/admin", "{path}");
        }
        assert_eq!(laxest("/v1/Users%3Aexport/"), "/v1/users:export");
    }

    #[test]
    fn a_laxest_reading_is_its_own() {
        for path in ["/", "/Admin/%41./b%3Bc", "/caf%C3%A9", "/a%20%2e"] {
            let once = laxest(path);
            assert_eq!(laxest(&once), once, "{path}");
        }
    }
}
