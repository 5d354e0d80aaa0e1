//! The one reading of a request path.
//!
//! A path that a router, a check and a backend could read differently is refused, never repaired: dot segments in any
//! spelling, empty segments, encoded slashes and backslashes, path parameters (`;`), double encoding, control bytes,
//! anything that is not UTF-8 after decoding. What is left is spelled in one way (RFC 3986, section 6.2.2): unreserved
//! characters stand for themselves, all other escapes are upper case. A route can allow some of it ([`Reserved`]), which
//! then keeps its spelling.

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

/// What in a path servers read in several ways, and what a route can allow. A set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reserved(u8);

impl Reserved {
    /// Nothing.
    pub const NONE: Reserved = Reserved(0);
    /// `%2F`: a slash within a segment to some, between two to others.
    pub const SLASH: Reserved = Reserved(1);
    /// `%5C`: a slash to some.
    pub const BACKSLASH: Reserved = Reserved(2);
    /// `;`: some cut the segment there.
    pub const SEMICOLON: Reserved = Reserved(4);
    /// `//`: some merge it.
    pub const DOUBLE_SLASH: Reserved = Reserved(8);
    /// `%25` before what is then an escape: some decode it twice.
    pub const PERCENT: Reserved = Reserved(16);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Reserved) -> Reserved {
        Reserved(self.0 | other.0)
    }

    /// Whether it is nothing.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Why a path with this is refused where `allowed` is allowed. `None` where it is not.
    pub fn refused_by(self, allowed: Reserved) -> Option<PathError> {
        let left = self.0 & !allowed.0;
        let has = |one: Reserved| left & one.0 != 0;
        match left {
            0 => None,
            _ if has(Reserved::DOUBLE_SLASH) => Some(PathError::EmptySegment),
            _ if has(Reserved::SLASH) || has(Reserved::BACKSLASH) => Some(PathError::Slash),
            _ if has(Reserved::SEMICOLON) => Some(PathError::Parameter),
            _ => Some(PathError::DoubleEncoding),
        }
    }
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
    Semicolon,
    /// Clients send it raw, browsers some of it; it has one reading, and is escaped.
    Escaped,
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
                b';' => Class::Semicolon,
                b'[' | b']' | b'|' | b'^' | b'{' | b'}' | b'"' | b'`' | 0x80.. => Class::Escaped,
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

/// A path in the one spelling, and what in it servers read in several ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled<'a> {
    /// The path. Borrowed where it was spelled so already.
    pub path: Cow<'a, str>,
    /// What only a route that says so lets through.
    pub reserved: Reserved,
}

/// The one reading of `raw`, which is borrowed where it is spelled canonically already.
///
/// # Errors
/// Every path that has more than one reading.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let Spelled { path, reserved } = spelled(raw)?;
    reserved.refused_by(Reserved::NONE).map_or(Ok(path), Err)
}

/// The one spelling of `raw`, with what in it is reserved. That is for a route to allow.
///
/// # Errors
/// Every path that no route may allow: dot segments in any reading, control characters, broken escapes and UTF-8, a raw
/// backslash, two slashes at the beginning (which name a host elsewhere), more than two layers of escapes.
pub fn spelled(raw: &str) -> Result<Spelled<'_>, PathError> {
    let Some(rest) = raw.strip_prefix('/') else { return Err(PathError::NotAbsolute) };
    let mut reserved = Reserved::NONE;
    let mut other = false;
    // Bytes of the current segment so far, and whether all of them are dots.
    let (mut length, mut dots) = (0_usize, true);
    let mut first = true;
    for &byte in rest.as_bytes() {
        match class(byte) {
            Class::Plain => {
                length += 1;
                dots = false;
            }
            Class::Dot => length += 1,
            Class::Percent | Class::Escaped => {
                other = true;
                length += 1;
                dots = false;
            }
            Class::Semicolon => {
                other = true;
                reserved = reserved.with(Reserved::SEMICOLON);
                length += 1;
                dots = false;
            }
            Class::Slash => {
                if length == 0 {
                    if first {
                        return Err(PathError::EmptySegment);
                    }
                    reserved = reserved.with(Reserved::DOUBLE_SLASH);
                }
                end_of_segment(length, dots)?;
                (length, dots, first) = (0, true, false);
            }
            Class::Bad => return Err(bad(byte)),
        }
    }
    end_of_segment(length, dots)?;
    if !other {
        return Ok(Spelled { path: Cow::Borrowed(raw), reserved });
    }
    let (path, escapes) = respell(rest)?;
    Ok(Spelled { path: Cow::Owned(path), reserved: reserved.with(escapes) })
}

fn end_of_segment(length: usize, dots: bool) -> Result<(), PathError> {
    match length {
        1 | 2 if dots => Err(PathError::DotSegment),
        _ => Ok(()),
    }
}

fn bad(byte: u8) -> PathError {
    match byte {
        b'\\' => PathError::Slash,
        0..=0x1f | 0x7f => PathError::Control,
        _ => PathError::Character,
    }
}

/// Spells the escapes of a path (without its first slash) in the one way, and says what is reserved among them.
fn respell(rest: &str) -> Result<(String, Reserved), PathError> {
    let mut path = String::with_capacity(rest.len() + 8);
    path.push('/');
    let mut decoded = Vec::with_capacity(rest.len() + 1);
    decoded.push(b'/');
    let mut reserved = Reserved::NONE;
    let mut bytes = rest.bytes();
    while let Some(byte) = bytes.next() {
        let value = match byte {
            b'%' => escape(&mut bytes).ok_or(PathError::Escape)?,
            other if class(other) == Class::Escaped => other,
            other => {
                path.push(char::from(other));
                decoded.push(other);
                continue;
            }
        };
        match value {
            b'/' => reserved = reserved.with(Reserved::SLASH),
            b'\\' => reserved = reserved.with(Reserved::BACKSLASH),
            0..=0x1f | 0x7f => return Err(PathError::Control),
            _ => {}
        }
        if matches!(value, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(value));
        } else {
            path.push('%');
            for nibble in [value >> 4, value & 0xf] {
                path.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
        decoded.push(value);
    }
    one_reading(&decoded)?;
    // SECURITY: `%252e` is `%2e` to whoever decodes once and `.` to whoever decodes twice, however the digits are
    // spelled: `%25%32e` is it too (a_canonical_path_is_its_own_canonical_form).
    if let Some(twice) = decoded_again(&decoded) {
        reserved = reserved.with(Reserved::PERCENT);
        one_reading(&twice)?;
        if decoded_again(&twice).is_some() {
            return Err(PathError::DoubleEncoding);
        }
    }
    Ok((path, reserved))
}

/// That nobody who reads this decoded path finds a dot segment, a host or a control character in it.
fn one_reading(decoded: &[u8]) -> Result<(), PathError> {
    let Ok(text) = std::str::from_utf8(decoded) else { return Err(PathError::Utf8) };
    if text.bytes().any(|byte| matches!(byte, 0..=0x1f | 0x7f)) {
        return Err(PathError::Control);
    }
    let separates = |c: char| c == '/' || c == '\\';
    if text.chars().nth(1).is_some_and(separates) {
        return Err(PathError::EmptySegment);
    }
    let mut segments = text.split(separates).skip(1).peekable();
    let mut first = true;
    while let Some(segment) = segments.next() {
        // SECURITY: `..%3Bx` and `..%20` are `..` to a backend that decodes before it cuts a parameter or a space off
        // (paths_with_two_readings_do_not).
        let name = segment.split([';', '?', '#']).next().unwrap_or_default().trim();
        if matches!(segment, "." | "..") || matches!(name, "." | "..") {
            return Err(PathError::DotSegment);
        }
        // `/;x/a.example` is `//a.example` to who cuts it.
        let cut_away = segment.starts_with(';') && segments.peek().is_some();
        if std::mem::take(&mut first) && cut_away {
            return Err(PathError::EmptySegment);
        }
    }
    Ok(())
}

use portcullis_paths::decoded_again;
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
            ("/%C3%A9/%40", "/%C3%A9/%40"),
            ("/[/b", "/%5B/b"),
            ("/a[0]|^", "/a%5B0%5D%7C%5E"),
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
            ("/..;/b", DotSegment),
            ("/a%zz", Escape),
            ("/a%2", Escape),
            ("/a%", Escape),
            ("/%252e%252e/b", DotSegment),
            ("/%2525", DoubleEncoding),
            ("/%25%37%33ecret", DoubleEncoding),
            ("/%25%32e%25%32e/b", DotSegment),
            ("/a%25b%63", Utf8),
            ("/%25%34%31", DoubleEncoding),
            ("/%25%32%35", DoubleEncoding),
            ("/a%00", Control),
            ("/a%0d%0a", Control),
            ("/a%7f", Control),
            ("/a\u{1}", Control),
            ("/a b", Character),
            ("/a<b", Character),
            ("/%c0%ae%c0%ae/b", Utf8),
            ("/%c0%af", Utf8),
            ("/%ff", Utf8),
            ("/%c3/%a9", Utf8),
            ("/%ed%a0%80", Utf8),
        ] {
            assert_eq!(canonical(raw), Err(error), "{raw:?}");
        }
    }

    #[test]
    fn what_a_route_may_allow_keeps_its_spelling() {
        let one = |raw, path, reserved| {
            let spelled = spelled(raw).unwrap();
            assert_eq!((&*spelled.path, spelled.reserved), (path, reserved), "{raw}");
            let again = super::spelled(path).unwrap();
            assert_eq!(
                (&*again.path, again.reserved),
                (path, reserved),
                "a spelled path stays as it is: {raw}"
            );
        };
        one("/a", "/a", Reserved::NONE);
        one("/group%2fproject/x", "/group%2Fproject/x", Reserved::SLASH);
        one("/a%5cb", "/a%5Cb", Reserved::BACKSLASH);
        one("/map;x=1/y;z", "/map;x=1/y;z", Reserved::SEMICOLON);
        one("/a/;/b", "/a/;/b", Reserved::SEMICOLON);
        one("/img/http://a.example/b", "/img/http://a.example/b", Reserved::DOUBLE_SLASH);
        one("/a//", "/a//", Reserved::DOUBLE_SLASH);
        one("/job/x%252Fy", "/job/x%252Fy", Reserved::PERCENT);
        one("/%25%37%33ecret", "/%2573ecret", Reserved::PERCENT);
        one("/a%2Fb;c//%2525", "/a%2Fb;c//%2525", Reserved(1 | 4 | 8 | 16));
    }

    #[test]
    fn what_no_route_may_allow_is_refused() {
        use PathError::*;
        for (raw, error) in [
            ("//evil.example/a", EmptySegment),
            ("/%2Fevil.example", EmptySegment),
            ("/%5Cevil.example", EmptySegment),
            ("/%252Fevil.example", EmptySegment),
            ("/;x/evil.example", EmptySegment),
            ("/%3B/evil.example", EmptySegment),
            ("/a\\b", Slash),
            ("/a/..;x/b", DotSegment),
            ("/a/.;/b", DotSegment),
            ("/a%2F..%2Fb", DotSegment),
            ("/a%2F%2e%2e", DotSegment),
            ("/a%5C..%5Cb", DotSegment),
            ("/%252e%252e/b", DotSegment),
            ("/a%252F..%252Fb", DotSegment),
            ("/a%252F%252e%252e", DotSegment),
            ("/a%2F..;x", DotSegment),
            ("/a//..//b", DotSegment),
            ("/a%2500", Control),
            ("/a%250d%250a", Control),
            ("/a%25ff", Utf8),
            ("/a%25252F", DoubleEncoding),
        ] {
            assert_eq!(spelled(raw).map(|spelled| spelled.path), Err(error), "{raw}");
        }
    }
}
