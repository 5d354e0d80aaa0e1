//! Field lines as offsets into the buffer that they were read from.

/// Where a field's name and value lie, from the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    name: Span,
    value: Span,
}

/// A part of a buffer. 32 bits suffice, because heads are limited far below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

impl Field {
    pub(crate) fn of(buffer: &[u8], name: &str, value: &[u8]) -> Field {
        Field { name: Span::of(buffer, name.as_bytes()), value: Span::of(buffer, value) }
    }

    /// The name's bytes, which are a token.
    pub(crate) fn name(self, buffer: &[u8]) -> &[u8] {
        self.name.bytes(buffer)
    }

    /// The value without the whitespace around it.
    pub(crate) fn value(self, buffer: &[u8]) -> &[u8] {
        self.value.bytes(buffer)
    }

    /// Where the value lies.
    pub(crate) fn value_span(self) -> Span {
        self.value
    }
}

impl Span {
    /// Where `part`, which was cut from `buffer`, lies in it.
    pub(crate) fn of(buffer: &[u8], part: &[u8]) -> Span {
        // What was cut from a buffer lies behind its start, and a head is shorter than 2^32 bytes; anything else would
        // give an offset outside of the buffer, which reads as nothing.
        let start = part.as_ptr().addr().wrapping_sub(buffer.as_ptr().addr());
        Span {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            length: u32::try_from(part.len()).unwrap_or(0),
        }
    }

    pub(crate) fn bytes(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.range()).unwrap_or_default()
    }

    pub(crate) fn text(self, buffer: &[u8]) -> &str {
        // The spans of methods and targets are ASCII, judged when they were read.
        std::str::from_utf8(self.bytes(buffer)).unwrap_or_default()
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start.saturating_add(self.length as usize)
    }
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
            | b'^' | b'_' | b'`' | b'|' | b'~'
    )
}

/// The members of a list field's value, without the whitespace around them (RFC 9110, section 5.6.1).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_where_it_was_cut_from() {
        let buffer = b"name: value";
        let field = Field::of(buffer, std::str::from_utf8(&buffer[..4]).unwrap(), &buffer[6..]);
        assert_eq!((field.name(buffer), field.value(buffer)), (&b"name"[..], &b"value"[..]));
        assert_eq!(Span::of(buffer, &buffer[11..]).bytes(buffer), b"");
        assert_eq!(field.value(b"short"), b"", "another buffer than it was cut from");
    }

    #[test]
    fn lists_have_members() {
        let of = |value: &'static [u8]| members(value).collect::<Vec<_>>();
        assert_eq!(of(b"close"), [b"close"]);
        assert_eq!(of(b" a ,\tb,,"), [&b"a"[..], b"b", b"", b""]);
    }
}
