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

/// Every reading of a path that has escaped slashes, semicolons and the like in it, for who lets them through: decoded so
/// many times before it is cut into segments, or only afterwards; with backslashes as slashes or not; cut at `;` or not.
/// Empty segments are merged, and case, dots and spaces at the end of a segment are ignored, in all of them. A slash that
/// is decoded after the cut stands as `\u{2044}`.
///
/// ```
/// let readings = portcullis_paths::readings("/v1/7%2Fexport");
/// assert!(readings.contains(&"/v1/7/export".to_owned()));
/// ```
#[must_use]
pub fn readings(path: &str) -> Vec<String> {
    let mut layers = vec![path.as_bytes().to_vec()];
    while let Some(next) = layers.last().and_then(|last| decoded_again(last)) {
        layers.push(next);
    }
    let mut readings = Vec::new();
    for layer in layers {
        let text = String::from_utf8_lossy(&layer);
        for backslash in [false, true] {
            let is_separator = |c: char| c == '/' || (backslash && c == '\\');
            for cut in [false, true] {
                let mut reading = String::with_capacity(text.len());
                for segment in text.split(is_separator) {
                    let segment = if cut {
                        laxest_segment(segment.split(';').next().unwrap_or_default())
                    } else {
                        folded(segment).trim().trim_end_matches(['.', ' ']).to_owned()
                    };
                    if !segment.is_empty() {
                        reading.push('/');
                        reading.push_str(&segment.replace('/', "\u{2044}"));
                    }
                }
                readings.push(if reading.is_empty() { "/".to_owned() } else { reading });
            }
        }
    }
    readings
}

/// These bytes decoded once more. `None` where there is no escape in them.
#[must_use]
pub fn decoded_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut found = false;
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        match escape(&mut ahead).filter(|_| byte == b'%') {
            Some(value) => {
                found = true;
                decoded.push(value);
                rest = ahead;
            }
            None => decoded.push(byte),
        }
    }
    found.then_some(decoded)
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
