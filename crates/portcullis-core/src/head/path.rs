//! The one reading of a request path.
//!
//! A path that a router, a check and a backend could read differently is refused, never repaired: dot segments in any
//! spelling, empty segments, encoded slashes and backslashes, path parameters (`;`), double encoding, control bytes,
//! anything that is not UTF-8 after decoding. What is left is spelled in one way (RFC 3986, section 6.2.2): unreserved
//! characters stand for themselves, all other escapes are upper case.

use std::borrow::Cow;

/// Why a path has no single reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not start with `/`.
    NotAbsolute,
    /// `//`: some servers merge it, some do not.
    EmptySegment,
    /// `.` or `..`, escaped or not.
    DotSegment,
    /// `/` or `\` as an escape, or a raw `\`.
    Slash,
    /// `;`: some servers cut the segment there.
    Parameter,
    /// A `%` without two hexadecimal digits.
    Escape,
    /// An escaped `%` that is followed by what would be an escape.
    DoubleEncoding,
    /// A control character, escaped or not.
    Control,
    /// A character that no path can hold (RFC 3986, section 3.3).
    Character,
    /// Not UTF-8 after decoding; overlong forms included.
    Utf8,
}

impl PathError {
    /// What is wrong, for the record.
    pub fn as_str(self) -> &'static str {
        match self {
            PathError::NotAbsolute => "the path does not start with a slash",
            PathError::EmptySegment => "the path has an empty segment",
            PathError::DotSegment => "the path has a dot segment",
            PathError::Slash => "the path has an encoded slash or a backslash",
            PathError::Parameter => "the path has a segment with a parameter",
            PathError::Escape => "the path has a broken percent escape",
            PathError::DoubleEncoding => "the path is encoded twice",
            PathError::Control => "the path has a control character",
            PathError::Character => "the path has a character that must be escaped",
            PathError::Utf8 => "the path is not UTF-8",
        }
    }
}

/// What a byte means in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Dot,
    Slash,
    Percent,
    Bad,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Bad; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, bound by the loop")]
        {
            classes[byte] = match byte as u8 {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => Class::Plain,
                b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
                    Class::Plain
                }
                b'.' => Class::Dot,
                b'/' => Class::Slash,
                b'%' => Class::Percent,
                _ => Class::Bad,
            };
        }
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Bad)
}

/// The one reading of `raw`, which is borrowed where it is spelled canonically already.
///
/// # Errors
/// Every path that has more than one reading.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let Some(rest) = raw.strip_prefix('/') else { return Err(PathError::NotAbsolute) };
    let mut escaped = false;
    // Bytes of the current segment so far, and whether all of them are dots.
    let (mut length, mut dots) = (0_usize, true);
    for &byte in rest.as_bytes() {
        match class(byte) {
            Class::Plain => {
                length += 1;
                dots = false;
            }
            Class::Dot => length += 1,
            Class::Percent => {
                escaped = true;
                length += 1;
                dots = false;
            }
            Class::Slash => {
                end_of_segment(length, dots, false)?;
                (length, dots) = (0, true);
            }
            Class::Bad => return Err(bad(byte)),
        }
    }
    end_of_segment(length, dots, true)?;
    if escaped { respell(rest).map(Cow::Owned) } else { Ok(Cow::Borrowed(raw)) }
}

fn end_of_segment(length: usize, dots: bool, last: bool) -> Result<(), PathError> {
    match length {
        0 if !last => Err(PathError::EmptySegment),
        1 | 2 if dots => Err(PathError::DotSegment),
        _ => Ok(()),
    }
}

fn bad(byte: u8) -> PathError {
    match byte {
        b'\\' => PathError::Slash,
        b';' => PathError::Parameter,
        0..=0x1f | 0x7f => PathError::Control,
        _ => PathError::Character,
    }
}

/// Spells the escapes of a path (without its first slash) in the one way. Only paths with a `%` come here.
fn respell(rest: &str) -> Result<String, PathError> {
    let mut path = String::with_capacity(rest.len() + 1);
    for segment in rest.split('/') {
        path.push('/');
        let start = path.len();
        let mut decoded = Vec::with_capacity(segment.len());
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                path.push(char::from(byte));
                decoded.push(byte);
                continue;
            }
            let value = escape(&mut bytes).ok_or(PathError::Escape)?;
            match value {
                b'/' | b'\\' => return Err(PathError::Slash),
                0..=0x1f | 0x7f => return Err(PathError::Control),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    path.push(char::from(value))
                }
                _ => {
                    path.push('%');
                    for nibble in [value >> 4, value & 0xf] {
                        path.push(
                            char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase(),
                        );
                    }
                }
            }
            decoded.push(value);
        }
        // SECURITY: `%252e` is `%2e` to whoever decodes once and `.` to whoever decodes twice, however the digits are
        // spelled: `%25%32e` is it too (a_canonical_path_is_its_own_canonical_form).
        let twice =
            |at: usize| decoded.get(at + 1..).is_some_and(|rest| escape(&mut rest.iter().copied()).is_some());
        if decoded.iter().enumerate().any(|(at, byte)| *byte == b'%' && twice(at)) {
            return Err(PathError::DoubleEncoding);
        }
        let Ok(decoded) = std::str::from_utf8(&decoded) else { return Err(PathError::Utf8) };
        // SECURITY: `..%3Bx` and `..%20` are `..` to a backend that decodes before it cuts a parameter or a space off
        // (paths_with_two_readings_do_not).
        let name = decoded.split([';', '?', '#']).next().unwrap_or_default().trim();
        if matches!(path.get(start..), Some("." | "..")) || matches!(name, "." | "..") {
            return Err(PathError::DotSegment);
        }
    }
    Ok(path)
}

pub(crate) use portcullis_paths::escape;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_one_reading_pass() {
        for (raw, spelled) in [
            ("/", "/"),
            ("/orders", "/orders"),
            ("/orders/", "/orders/"),
            ("/a.b/..c/c../.well-known/...", "/a.b/..c/c../.well-known/..."),
            ("/%61dmin", "/admin"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b%3fc%23d%3be", "/a%20b%3Fc%23d%3Be"),
            ("/100%25", "/100%25"),
            ("/100%25zz", "/100%25zz"),
            ("/a%3Bb/...%20/..a%3B", "/a%3Bb/...%20/..a%3B"),
            ("/a:b@c!$&'()*+,=-_~", "/a:b@c!$&'()*+,=-_~"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(spelled), "{raw}");
            assert_eq!(canonical(spelled).as_deref(), Ok(spelled), "a canonical path stays as it is");
        }
        assert!(matches!(canonical("/plain"), Ok(Cow::Borrowed("/plain"))), "no copy without a reason");
    }

    #[test]
    fn paths_with_two_readings_do_not() {
        use PathError::*;
        for (raw, error) in [
            ("", NotAbsolute),
            ("orders", NotAbsolute),
            ("*", NotAbsolute),
            ("//", EmptySegment),
            ("/a//b", EmptySegment),
            ("//evil.example/a", EmptySegment),
            ("/.", DotSegment),
            ("/..", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/./b", DotSegment),
            ("/a/..", DotSegment),
            ("/%2e%2e/b", DotSegment),
            ("/.%2E/b", DotSegment),
            ("/a/%2e", DotSegment),
            ("/a/..%3Bx/b", DotSegment),
            ("/a/%2e%2e%3b/b", DotSegment),
            ("/a/..%20/b", DotSegment),
            ("/a/%20../b", DotSegment),
            ("/a/..%23/b", DotSegment),
            ("/a/.%3Fx/b", DotSegment),
            ("/a/..%C2%A0/b", DotSegment),
            ("/a%2fb", Slash),
            ("/a%5Cb", Slash),
            ("/a\\b", Slash),
            ("/a;x=1", Parameter),
            ("/..;/b", Parameter),
            ("/a%zz", Escape),
            ("/a%2", Escape),
            ("/a%", Escape),
            ("/%252e%252e/b", DoubleEncoding),
            ("/%2525", DoubleEncoding),
            ("/%25%37%33ecret", DoubleEncoding),
            ("/%25%32e%25%32e/b", DoubleEncoding),
            ("/a%25b%63", DoubleEncoding),
            ("/%25%34%31", DoubleEncoding),
            ("/%25%32%35", DoubleEncoding),
            ("/a%00", Control),
            ("/a%0d%0a", Control),
            ("/a%7f", Control),
            ("/a\u{1}", Control),
            ("/a b", Character),
            ("/a\"b", Character),
            ("/a|b", Character),
            ("/caf\u{e9}", Character),
            ("/%c0%ae%c0%ae/b", Utf8),
            ("/%c0%af", Utf8),
            ("/%ff", Utf8),
            ("/%c3/%a9", Utf8),
            ("/%ed%a0%80", Utf8),
        ] {
            assert_eq!(canonical(raw), Err(error), "{raw:?}");
        }
    }
}
