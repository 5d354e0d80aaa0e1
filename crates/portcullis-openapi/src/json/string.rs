//! The text of a JSON string: escapes are resolved, half a surrogate pair and control characters are refused.

use std::borrow::Cow;

use super::Fault;
use super::reader::Reader;

impl<'a> Reader<'a, '_> {
    /// Reads a string from its opening quote to its closing one.
    pub(super) fn string(&mut self, limit: usize, too_long: Fault) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let text: &'a str = self.text;
        let rest = text.get(self.at..).unwrap_or_default();
        // Most strings have no escape and are not copied.
        let plain = rest.bytes().take_while(|byte| is_plain(*byte)).take(limit + 1).count();
        if plain > limit {
            return Err(too_long);
        }
        let plain = rest.get(..plain).unwrap_or_default();
        self.at += plain.len();
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut value = plain.to_owned();
        loop {
            match self.peek().ok_or(Fault::Syntax)? {
                b'"' => {
                    self.at += 1;
                    return Ok(Cow::Owned(value));
                }
                b'\\' => {
                    self.at += 1;
                    value.push(self.escape()?);
                }
                byte if byte < 0x20 => return Err(Fault::Syntax),
                _ => self.run(&mut value),
            }
            if value.len() > limit {
                return Err(too_long);
            }
        }
    }

    /// Copies up to the next escape, quote or control character.
    fn run(&mut self, value: &mut String) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.bytes().take_while(|byte| is_plain(*byte)).count();
        value.push_str(rest.get(..length).unwrap_or_default());
        self.at += length;
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let byte = self.peek().ok_or(Fault::Syntax)?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unit(),
            _ => return Err(Fault::Syntax),
        })
    }

    /// One `\uXXXX`, or the two of a surrogate pair.
    fn unit(&mut self) -> Result<char, Fault> {
        let first = self.hexadecimal()?;
        match first {
            0xd800..=0xdbff => {
                if !(self.take(b'\\') && self.take(b'u')) {
                    return Err(Fault::Surrogate);
                }
                let second = self.hexadecimal()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(Fault::Surrogate);
                }
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                char::from_u32(code).ok_or(Fault::Surrogate)
            }
            _ => char::from_u32(first).ok_or(Fault::Surrogate),
        }
    }

    fn hexadecimal(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Fault::Syntax)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Fault::Syntax);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Fault::Syntax)
    }
}

fn is_plain(byte: u8) -> bool {
    byte != b'"' && byte != b'\\' && byte >= 0x20
}
