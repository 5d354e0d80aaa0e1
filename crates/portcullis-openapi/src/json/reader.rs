//! Reads JSON into a [`Document`].

use std::borrow::Cow;

use super::document::{Document, Entry, Num};
use super::{Fault, number, rounded};
use crate::limits::Limits;
use crate::memory::Memory;

/// See [`Document::read_at`].
pub(super) fn read<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    memory: &dyn Memory,
) -> Result<Document<'a>, (Fault, usize)> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err((Fault::ByteOrderMark, 0));
    }
    // One pass over all bytes first, so that every slice taken later is text.
    let text = std::str::from_utf8(bytes).map_err(|error| (Fault::Encoding, error.valid_up_to()))?;
    let document = Document::with_room_for(text, memory).map_err(|fault| (fault, 0))?;
    let mut reader = Reader { text, at: 0, nodes: 0, limits, memory, document };
    reader.skip_blanks();
    match reader.value(0) {
        Ok(()) => reader.skip_blanks(),
        Err(fault) => return Err((fault, reader.at)),
    }
    if reader.at == text.len() { Ok(reader.document) } else { Err((Fault::Trailing, reader.at)) }
}

pub(super) struct Reader<'a, 'l> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    nodes: usize,
    limits: &'l Limits,
    memory: &'l dyn Memory,
    document: Document<'a>,
}

impl<'a> Reader<'a, '_> {
    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(Fault::Nodes);
        }
        match self.peek().ok_or(Fault::Syntax)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.text(self.limits.string_bytes, Fault::StringLength),
            b't' => self.word("true", Entry::Bool(true)),
            b'f' => self.word("false", Entry::Bool(false)),
            b'n' => self.word("null", Entry::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(Fault::Syntax),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Fault> {
        // SECURITY: recursion ends here, whatever the text holds (nesting_is_bounded).
        if depth >= self.limits.depth {
            return Err(Fault::Depth);
        }
        self.at += 1;
        let open = self.document.open(self.memory)?;
        let mut members = 0;
        self.skip_blanks();
        if self.take(b'}') {
            return self.document.close_object(open, members, self.memory);
        }
        loop {
            if members >= self.limits.members {
                self.document.close_object(open, members, self.memory)?;
                return Err(Fault::Members);
            }
            if self.peek() != Some(b'"') {
                return Err(Fault::Syntax);
            }
            self.text(self.limits.name_bytes, Fault::NameLength)?;
            self.skip_blanks();
            if !self.take(b':') {
                return Err(Fault::Syntax);
            }
            self.skip_blanks();
            self.value(depth + 1)?;
            members += 1;
            self.skip_blanks();
            if self.take(b'}') {
                return self.document.close_object(open, members, self.memory);
            }
            if !self.take(b',') {
                return Err(Fault::Syntax);
            }
            self.skip_blanks();
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Fault> {
        if depth >= self.limits.depth {
            return Err(Fault::Depth);
        }
        self.at += 1;
        let open = self.document.open(self.memory)?;
        let mut items = 0;
        self.skip_blanks();
        if self.take(b']') {
            return self.document.close_array(open, items);
        }
        loop {
            if items >= self.limits.items {
                return Err(Fault::Items);
            }
            self.value(depth + 1)?;
            items += 1;
            self.skip_blanks();
            if self.take(b']') {
                return self.document.close_array(open, items);
            }
            if !self.take(b',') {
                return Err(Fault::Syntax);
            }
            self.skip_blanks();
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
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
        let number = match self.limits.strict_numbers {
            true => Num::of(&number(text)?),
            false => rounded(text)?,
        };
        self.document.push(Entry::Number(number), self.memory)
    }

    /// A string: borrowed where it has no escape, which is nearly always so.
    fn text(&mut self, limit: usize, too_long: Fault) -> Result<(), Fault> {
        let entry = match self.string(limit, too_long)? {
            Cow::Borrowed(text) => Entry::Text(text),
            Cow::Owned(text) => self.document.keep(&text, self.memory)?,
        };
        self.document.push(entry, self.memory)
    }

    fn word(&mut self, word: &str, entry: Entry<'a>) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Fault::Syntax);
        }
        self.at += word.len();
        self.document.push(entry, self.memory)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
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
