//! PCRE's syntax, in that of the `regex` crate.
//!
//! The two differ in details that change what matches: `[[]`, `\<`, `\v`, a lone `{`, `[\w-.]`, bytes above 127. Each
//! class is written anew from its bytes, and each literal as itself or as `\xHH`.

use crate::transform::hex;

/// An expression in the other syntax.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) text: String,
    /// Whether it needs an engine that backtracks.
    pub(super) backtracks: bool,
}

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A part of the syntax that is not supported.
    Unsupported(String),
    /// A mistake.
    Wrong(String),
}

const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0b\x0c\r ";
const VERTICAL: &str = r"\n\x0b\x0c\r\x85";
const HORIZONTAL: &str = r"\t \xa0";

/// What the last thing was, which decides what `+` and `?` mean.
#[derive(PartialEq)]
enum Last {
    Start,
    Atom,
    Quantifier,
    Done,
}

struct Translator<'p> {
    rest: &'p [u8],
    out: String,
    backtracks: bool,
}

/// Translates an expression.
pub(super) fn translate(pattern: &[u8]) -> Result<Translated, Unreadable> {
    let mut this =
        Translator { rest: pattern, out: String::with_capacity(pattern.len() * 2), backtracks: false };
    this.run()?;
    Ok(Translated { text: this.out, backtracks: this.backtracks })
}

fn unsupported<T>(what: &str) -> Result<T, Unreadable> {
    Err(Unreadable::Unsupported(format!("{what} is not supported in regular expressions")))
}

fn wrong<T>(what: &str) -> Result<T, Unreadable> {
    Err(Unreadable::Wrong(what.to_owned()))
}

impl Translator<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, byte: u8) {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            self.out.push(char::from(byte));
        } else {
            self.out.push_str(&format!("\\x{byte:02x}"));
        }
    }

    fn run(&mut self) -> Result<(), Unreadable> {
        let mut last = Last::Start;
        while let Some(byte) = self.next() {
            last = match byte {
                b'\\' => {
                    self.escape()?;
                    Last::Atom
                }
                b'[' => {
                    self.class()?;
                    Last::Atom
                }
                b'(' => {
                    self.group()?;
                    Last::Start
                }
                b')' => {
                    self.out.push(')');
                    Last::Atom
                }
                b'|' => {
                    self.out.push('|');
                    Last::Start
                }
                b'^' | b'$' | b'.' => {
                    self.out.push(char::from(byte));
                    Last::Atom
                }
                b'+' | b'?' if last == Last::Quantifier => {
                    self.out.push(char::from(byte));
                    self.backtracks |= byte == b'+';
                    Last::Done
                }
                b'*' | b'+' | b'?' => {
                    if matches!(last, Last::Start) {
                        return wrong("a quantifier follows nothing");
                    }
                    self.out.push(char::from(byte));
                    Last::Quantifier
                }
                b'{' => match self.counted() {
                    Some(text) => {
                        self.out.push_str(&text);
                        Last::Quantifier
                    }
                    None => {
                        self.literal(b'{');
                        Last::Atom
                    }
                },
                _ => {
                    self.literal(byte);
                    Last::Atom
                }
            };
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,5}` after its brace; anything else is a brace.
    fn counted(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|byte| *byte == b'}')?;
        let inside = std::str::from_utf8(self.rest.get(..end)?).ok()?;
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let valid = match inside.split_once(',') {
            None => number(inside),
            Some((from, to)) => number(from) && (to.is_empty() || number(to)),
        };
        if !valid {
            return None;
        }
        let text = format!("{{{inside}}}");
        self.rest = self.rest.get(end + 1..)?;
        Some(text)
    }

    fn group(&mut self) -> Result<(), Unreadable> {
        if self.rest.starts_with(b"*") {
            return unsupported("a verb, as in (*ACCEPT),");
        }
        if !self.take(b"?") {
            self.out.push('(');
            return Ok(());
        }
        if self.take(b"#") {
            while let Some(byte) = self.next() {
                if byte == b')' {
                    return Ok(());
                }
            }
            return wrong("a comment is not closed");
        }
        for look in ["=", "!", "<=", "<!", ">"] {
            if self.take(look.as_bytes()) {
                self.backtracks = true;
                self.out.push_str("(?");
                self.out.push_str(look);
                return Ok(());
            }
        }
        if self.take(b":") {
            self.out.push_str("(?:");
            return Ok(());
        }
        if self.take(b"P<") || self.take(b"<") {
            self.out.push_str("(?P<");
            while let Some(byte) = self.next() {
                self.out.push(char::from(byte));
                if byte == b'>' {
                    return Ok(());
                }
            }
            return wrong("a group's name is not closed");
        }
        let length = self.rest.iter().position(|byte| matches!(byte, b':' | b')')).unwrap_or(self.rest.len());
        let flags = self.rest.get(..length).unwrap_or_default();
        if flags.is_empty() || !flags.iter().all(|flag| matches!(flag, b'i' | b'm' | b's' | b'U' | b'-')) {
            return unsupported(&format!(
                "(?{}",
                String::from_utf8_lossy(self.rest.get(..1).unwrap_or_default())
            ));
        }
        self.out.push_str("(?");
        self.out.push_str(&String::from_utf8_lossy(flags));
        self.rest = self.rest.get(length..).unwrap_or_default();
        match self.next() {
            Some(byte) => self.out.push(char::from(byte)),
            None => return wrong("a group is not closed"),
        }
        Ok(())
    }

    /// The byte of an escape that stands for one byte, after its backslash and `byte`.
    fn escaped_byte(&mut self, byte: u8) -> Result<Option<u8>, Unreadable> {
        Ok(Some(match byte {
            b'a' => 7,
            b'e' => 0x1b,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => self.octal(0, 2),
            b'c' => match self.next() {
                Some(letter) => letter.to_ascii_uppercase() ^ 0x40,
                None => return wrong("an escape is not complete"),
            },
            b'x' if self.take(b"{") => {
                let mut code = 0_u32;
                loop {
                    match self.next() {
                        Some(b'}') => break,
                        Some(digit) => match hex(digit) {
                            Some(value) if code < 0x1000 => code = code << 4 | u32::from(value),
                            _ => return wrong("\\x{…} is not a number"),
                        },
                        None => return wrong("\\x{…} is not closed"),
                    }
                }
                match u8::try_from(code) {
                    Ok(byte) => byte,
                    Err(_) => return unsupported("a character above \\x{ff}"),
                }
            }
            b'x' => {
                let mut code = 0;
                for _ in 0..2 {
                    let Some(value) = self.rest.first().and_then(|digit| hex(*digit)) else { break };
                    code = code << 4 | value;
                    self.next();
                }
                code
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'1'..=b'9' => return Ok(None),
            _ => byte,
        }))
    }

    fn octal(&mut self, start: u8, most: usize) -> u8 {
        let mut code = start;
        for _ in 0..most {
            let Some(digit) = self.rest.first().and_then(|byte| (*byte as char).to_digit(8)) else { break };
            code = code.wrapping_mul(8).wrapping_add(u8::try_from(digit).unwrap_or(0));
            self.next();
        }
        code
    }

    fn escape(&mut self) -> Result<(), Unreadable> {
        let Some(byte) = self.next() else { return wrong("a backslash stands at the end") };
        if let Some(byte) = self.escaped_byte(byte)? {
            self.literal(byte);
            return Ok(());
        }
        let set = match byte {
            b'd' => "[0-9]".to_owned(),
            b'D' => "[^0-9]".to_owned(),
            b'w' => format!("[{WORD}]"),
            b'W' => format!("[^{WORD}]"),
            b's' => format!("[{SPACE}]"),
            b'S' => format!("[^{SPACE}]"),
            b'v' => format!("[{VERTICAL}]"),
            b'V' => format!("[^{VERTICAL}]"),
            b'h' => format!("[{HORIZONTAL}]"),
            b'H' => format!("[^{HORIZONTAL}]"),
            b'N' => r"[^\n]".to_owned(),
            b'R' => format!(r"(?:\r\n|[{VERTICAL}])"),
            b'b' => r"\b".to_owned(),
            b'B' => r"\B".to_owned(),
            b'A' => r"\A".to_owned(),
            b'z' => r"\z".to_owned(),
            b'Q' => {
                let end = memchr::memmem::find(self.rest, b"\\E");
                let text = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default();
                text.iter().for_each(|byte| self.literal(*byte));
                self.rest = end.and_then(|end| self.rest.get(end + 2..)).unwrap_or_default();
                return Ok(());
            }
            b'1'..=b'9' => {
                self.backtracks = true;
                format!("\\{}", char::from(byte))
            }
            _ => return unsupported(&format!("\\{}", char::from(byte))),
        };
        self.out.push_str(&set);
        Ok(())
    }

    fn class(&mut self) -> Result<(), Unreadable> {
        self.out.push('[');
        if self.take(b"^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(byte) = self.next() else { return wrong("a class is not closed") };
            if byte == b']' && !first {
                break;
            }
            first = false;
            let Some(from) = self.class_item(byte)? else { continue };
            let is_range = matches!(self.rest, [b'-', next, ..] if *next != b']');
            if !is_range {
                self.class_byte(from);
                continue;
            }
            let before = self.rest;
            self.next();
            let Some(next) = self.next() else { return wrong("a class is not closed") };
            let written = self.out.len();
            match self.class_item(next)? {
                Some(to) if to < from => return wrong("a range goes backwards"),
                Some(to) => {
                    self.class_byte(from);
                    self.out.push('-');
                    self.class_byte(to);
                }
                None => {
                    // `[a-\d]`: the hyphen is itself, and what follows it is read again.
                    self.out.truncate(written);
                    self.rest = before;
                    self.next();
                    self.class_byte(from);
                    self.class_byte(b'-');
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn class_byte(&mut self, byte: u8) {
        self.out.push_str(&format!("\\x{byte:02x}"));
    }

    /// One byte of a class, or `None` after a set was written.
    fn class_item(&mut self, byte: u8) -> Result<Option<u8>, Unreadable> {
        if byte == b'[' && self.rest.starts_with(b":") {
            let Some(end) = memchr::memmem::find(self.rest, b":]") else { return Ok(Some(byte)) };
            let name = self.rest.get(1..end).unwrap_or_default();
            if !name.is_empty() && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'^') {
                self.out.push_str(&format!("[:{}:]", String::from_utf8_lossy(name)));
                self.rest = self.rest.get(end + 2..).unwrap_or_default();
                return Ok(None);
            }
            return Ok(Some(byte));
        }
        if byte != b'\\' {
            return Ok(Some(byte));
        }
        let Some(byte) = self.next() else { return wrong("a backslash stands at the end") };
        if let Some(byte) = self.escaped_byte(byte)? {
            return Ok(Some(byte));
        }
        let set = match byte {
            b'b' => return Ok(Some(8)),
            b'1'..=b'7' => return Ok(Some(self.octal(byte - b'0', 2))),
            b'd' => "0-9".to_owned(),
            b'w' => WORD.to_owned(),
            b's' => SPACE.to_owned(),
            b'v' => VERTICAL.to_owned(),
            b'h' => HORIZONTAL.to_owned(),
            b'D' => "[^0-9]".to_owned(),
            b'W' => format!("[^{WORD}]"),
            b'S' => format!("[^{SPACE}]"),
            _ => return unsupported(&format!("\\{} in a class", char::from(byte))),
        };
        self.out.push_str(&set);
        Ok(None)
    }
}
