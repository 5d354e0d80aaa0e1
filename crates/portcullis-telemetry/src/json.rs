//! JSON as lines of the access log have it: an object, written member by member into a buffer.
//!
//! A line is written for every request, and most of its values are plain words, numbers and addresses. They are written here
//! directly. What needs an escape is for `serde_json`: [`is_plain`] says what does not.

use std::io::{self, Write};
use std::net::Ipv4Addr;

/// An object that is being written. The names of members are ours, and need no escape.
pub(crate) struct Object<W> {
    to: W,
    is_empty: bool,
}

impl<W: Write> Object<W> {
    pub(crate) fn new(to: W) -> Object<W> {
        Object { to, is_empty: true }
    }

    /// Begins a member; its value is written next. `name` has the comma before it, its quotes and the colon, so that it is written
    /// at once.
    pub(crate) fn member(&mut self, name: &'static str) -> io::Result<&mut W> {
        let mut name = name.as_bytes();
        if std::mem::replace(&mut self.is_empty, false) {
            self.to.write_all(b"{")?;
            name = name.strip_prefix(b",").unwrap_or(name);
        }
        self.to.write_all(name)?;
        Ok(&mut self.to)
    }

    pub(crate) fn end(mut self) -> io::Result<()> {
        self.to.write_all(if self.is_empty { b"{}" } else { b"}" })
    }
}

/// Whether bytes stand in a string of JSON as they are: printable ASCII without `"` and `\`.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    // Without an end before the last byte, so that many bytes are compared at once.
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\'))
}

/// Writes plain bytes as a string.
pub(crate) fn quoted(plain: &[u8], to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"\"")?;
    to.write_all(plain)?;
    to.write_all(b"\"")
}

pub(crate) fn number(number: impl itoa::Integer, to: &mut impl Write) -> io::Result<()> {
    to.write_all(itoa::Buffer::new().format(number).as_bytes())
}

/// Writes a number below a million with its leading zeros.
pub(crate) fn six_digits(number: u32, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number.saturating_add(1_000_000)).as_bytes();
    to.write_all(digits.get(1..).unwrap_or_default())
}

/// Writes an address, and a port after it, as a string.
pub(crate) fn ipv4(address: Ipv4Addr, port: Option<u16>, to: &mut impl Write) -> io::Result<()> {
    let mut before = b'"';
    for octet in address.octets() {
        to.write_all(&[before])?;
        number(octet, to)?;
        before = b'.';
    }
    if let Some(port) = port {
        to.write_all(b":")?;
        number(port, to)?;
    }
    to.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_of_json() {
        let mut to = Vec::new();
        Object::new(&mut to).end().unwrap();
        let mut object = Object::new(&mut to);
        number(1_u8, object.member(",\"a\":").unwrap()).unwrap();
        quoted(b"x y", object.member(",\"b\":").unwrap()).unwrap();
        object.end().unwrap();
        assert_eq!(String::from_utf8(to).unwrap(), r#"{}{"a":1,"b":"x y"}"#);
        assert!(
            is_plain(b"")
                && is_plain(b" ~a/b?")
                && !is_plain(b"\"")
                && !is_plain(b"\\")
                && !is_plain(b"\x7f")
        );
    }
}
