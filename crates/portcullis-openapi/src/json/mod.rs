//! JSON with one reading (RFC 8259), within limits that hold while it is read.
//!
//! Two members of one name, `NaN`, bytes that are not UTF-8, half a surrogate pair, a byte order mark, anything after the
//! value, and a number that cannot be held exactly are refused, because the backend may read them otherwise than this
//! reader did. What is read is kept exactly: integers of 64 bits, and decimals of up to 17 significant digits.

use serde_json::{Map, Value};

use crate::limits::Limits;

mod number;
mod text;

pub use number::number;

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not JSON.
    Syntax,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// Something follows the value.
    Trailing,
    /// It is not UTF-8.
    Encoding,
    /// Half of a surrogate pair.
    Surrogate,
    /// One object has two members of the same name.
    Duplicate,
    /// A number has more digits than can be held exactly, or is out of range.
    Inexact,
    /// It is nested too deep.
    Depth,
    /// An object has too many members.
    Members,
    /// An array has too many items.
    Items,
    /// A text is too long.
    StringLength,
    /// A member name is too long.
    NameLength,
    /// A number is too long.
    NumberLength,
    /// It holds too many values.
    Nodes,
}

impl Fault {
    /// A fixed word for the fault.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Fault::Syntax => "json.syntax",
            Fault::ByteOrderMark => "json.byte_order_mark",
            Fault::Trailing => "json.trailing",
            Fault::Encoding => "json.utf8",
            Fault::Surrogate => "json.surrogate",
            Fault::Duplicate => "json.duplicate_member",
            Fault::Inexact => "json.number_inexact",
            Fault::Depth => "json.depth",
            Fault::Members => "json.members",
            Fault::Items => "json.items",
            Fault::StringLength => "json.string_length",
            Fault::NameLength => "json.name_length",
            Fault::NumberLength => "json.number_length",
            Fault::Nodes => "json.nodes",
        }
    }
}

/// Reads the one value in `bytes`.
///
/// # Errors
/// The first fault; the rest is not read.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Value, Fault> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Fault::ByteOrderMark);
    }
    // One pass over all bytes first, so that every slice taken later is text.
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Encoding)?;
    let mut reader = Reader { text, at: 0, nodes: 0, limits };
    reader.skip_blanks();
    let value = reader.value(0)?;
    reader.skip_blanks();
    if reader.at == text.len() { Ok(value) } else { Err(Fault::Trailing) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(Fault::Nodes);
        }
        match self.peek().ok_or(Fault::Syntax)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(self.limits.string_bytes, Fault::StringLength).map(Value::String),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(Fault::Syntax),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Fault> {
        // SECURITY: recursion ends here, whatever the text holds (nesting_is_bounded).
        if depth >= self.limits.depth {
            return Err(Fault::Depth);
        }
        self.at += 1;
        let mut members = Map::new();
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            if members.len() >= self.limits.members {
                return Err(Fault::Members);
            }
            if self.peek() != Some(b'"') {
                return Err(Fault::Syntax);
            }
            let name = self.string(self.limits.name_bytes, Fault::NameLength)?;
            self.skip_blanks();
            if !self.take(b':') {
                return Err(Fault::Syntax);
            }
            self.skip_blanks();
            // SECURITY: which of two members counts is a matter of taste, so neither does (a_member_stands_once). The name
            // is looked up before the value is read, so that a flood of values behind one name is not read at all.
            let serde_json::map::Entry::Vacant(place) = members.entry(name) else {
                return Err(Fault::Duplicate);
            };
            place.insert(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(Fault::Syntax);
            }
            self.skip_blanks();
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Fault> {
        if depth >= self.limits.depth {
            return Err(Fault::Depth);
        }
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            if items.len() >= self.limits.items {
                return Err(Fault::Items);
            }
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(Fault::Syntax);
            }
            self.skip_blanks();
        }
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest
            .bytes()
            .take(self.limits.number_bytes + 1)
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        if length > self.limits.number_bytes {
            return Err(Fault::NumberLength);
        }
        let text = rest.get(..length).unwrap_or_default();
        self.at += length;
        number(text).map(Value::Number)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Fault::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests;
