//! The tokens of a GraphQL document (GraphQL specification, October 2021, section 2.1).
//!
//! Stricter than the specification in two places: a byte order mark is refused, since servers disagree about it, and so
//! are control characters. Every token is counted against a limit, so work is bounded before anything is built, and memory is
//! taken for it.

use portcullis_openapi::Memory;

/// Why a document is refused, in words fixed at compile time: they may be told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not a document, or has more than one reading.
    Malformed(&'static str),
    /// It is one, and more than is allowed.
    Refused(&'static str),
    /// No memory is left to judge it. This is not the sender's fault.
    NoMemory,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Punctuator(u8),
    /// `...`
    Spread,
    /// A name, also `true`, `null` and the like.
    Name(&'a str),
    /// A whole number.
    Integer(&'a str),
    /// Any other number.
    Float,
    /// A string or block string, with its quotes.
    Text(&'a str),
}

/// Takes a document apart.
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the last token begins, or what was to be one.
    began: usize,
    left: usize,
    memory: &'a dyn Memory,
}

/// What is kept for each token of a document while it is judged, at most.
const BYTES_OF_A_TOKEN: usize = 256;

const MANY: Flaw = Flaw::Refused("the document has more tokens than allowed");

impl<'a> Lexer<'a> {
    /// At the beginning of `text`, with so many tokens to give.
    pub fn new(text: &'a str, tokens: usize, memory: &'a dyn Memory) -> Lexer<'a> {
        Lexer { text, at: 0, began: 0, left: tokens, memory }
    }

    /// How many bytes come before the last token, or before what was to be one.
    pub fn began(&self) -> usize {
        self.began
    }

    /// Tokens that may still come.
    pub fn left(&self) -> usize {
        self.left
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at.saturating_add(ahead)).copied()
    }

    /// The next token; `None` at the end.
    ///
    /// # Errors
    /// What comes is no token, or one too many.
    pub fn token(&mut self) -> Result<Option<Token<'a>>, Flaw> {
        self.began = self.at;
        self.skip_ignored()?;
        self.began = self.at;
        let Some(first) = self.byte(0) else { return Ok(None) };
        self.left = self.left.checked_sub(1).ok_or(MANY)?;
        if !self.memory.take(BYTES_OF_A_TOKEN) {
            return Err(Flaw::NoMemory);
        }
        let token = match first {
            b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|' | b'}' => {
                self.at += 1;
                Token::Punctuator(first)
            }
            b'.' if self.byte(1) == Some(b'.') && self.byte(2) == Some(b'.') => {
                self.at += 3;
                Token::Spread
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Token::Name(self.run(is_name)),
            b'0'..=b'9' | b'-' => self.number()?,
            b'"' => Token::Text(self.string()?),
            _ => return Err(Flaw::Malformed("there is a character that begins no token")),
        };
        Ok(Some(token))
    }

    /// White space, line ends, commas and comments mean nothing.
    fn skip_ignored(&mut self) -> Result<(), Flaw> {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b',') => self.at += 1,
                Some(b'#') => {
                    let comment = self.run(|byte| byte != b'\n' && byte != b'\r');
                    if comment.bytes().any(|byte| byte < b' ' && byte != b'\t') {
                        return Err(Flaw::Malformed("there is a control character in a comment"));
                    }
                }
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// The bytes from here on for which `belongs` is true; they end where a character does.
    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.bytes().position(|byte| !belongs(byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn digits(&mut self) -> Result<&'a str, Flaw> {
        match self.run(|byte| byte.is_ascii_digit()) {
            "" => Err(Flaw::Malformed("a number is not complete")),
            digits => Ok(digits),
        }
    }

    fn number(&mut self) -> Result<Token<'a>, Flaw> {
        let start = self.at;
        self.run(|byte| byte == b'-');
        let signs = self.at - start;
        let digits = self.digits()?;
        if signs > 1 || (digits.len() > 1 && digits.starts_with('0')) {
            return Err(Flaw::Malformed("a number has a form that servers disagree about"));
        }
        let mut whole = true;
        if self.byte(0) == Some(b'.') && self.byte(1) != Some(b'.') {
            self.at += 1;
            self.digits()?;
            whole = false;
        }
        if matches!(self.byte(0), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
            whole = false;
        }
        if self.byte(0).is_some_and(|byte| is_name(byte) || byte == b'.') {
            return Err(Flaw::Malformed("a number runs into what follows"));
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(if whole { Token::Integer(text) } else { Token::Float })
    }

    fn string(&mut self) -> Result<&'a str, Flaw> {
        let start = self.at;
        if self.byte(1) == Some(b'"') && self.byte(2) == Some(b'"') {
            self.at += 3;
            self.block_string()?;
        } else {
            self.at += 1;
            self.line_string()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn line_string(&mut self) -> Result<(), Flaw> {
        loop {
            self.run(|byte| byte >= b' ' && byte != b'"' && byte != b'\\' || byte == b'\t');
            match self.byte(0) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(_) => return Err(Flaw::Malformed("there is a control character in a string")),
                None => return Err(Flaw::Malformed("a string does not end")),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<(), Flaw> {
        const BAD: Flaw = Flaw::Malformed("a string has an escape that is none");
        let letter = self.byte(0).ok_or(BAD)?;
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' if self.byte(0) == Some(b'{') => {
                self.at += 1;
                let code = u32::from_str_radix(self.run(|byte| byte.is_ascii_hexdigit()), 16);
                let ends = self.byte(0) == Some(b'}');
                self.at += 1;
                if ends && code.is_ok_and(|code| char::from_u32(code).is_some()) { Ok(()) } else { Err(BAD) }
            }
            b'u' => {
                let hex = self.text.get(self.at..self.at.saturating_add(4)).ok_or(BAD)?;
                self.at += 4;
                // A surrogate is half of a character; whether its other half follows is for the server to say.
                if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) { Ok(()) } else { Err(BAD) }
            }
            _ => Err(BAD),
        }
    }

    fn block_string(&mut self) -> Result<(), Flaw> {
        loop {
            self.run(|byte| {
                byte >= b' ' && byte != b'"' && byte != b'\\' || matches!(byte, b'\t' | b'\n' | b'\r')
            });
            let rest = self.text.get(self.at..).unwrap_or_default();
            if rest.starts_with("\"\"\"") {
                self.at += 3;
                return Ok(());
            }
            if rest.starts_with("\\\"\"\"") {
                self.at += 4;
            } else if rest.starts_with(['"', '\\']) {
                self.at += 1;
            } else if rest.is_empty() {
                return Err(Flaw::Malformed("a string does not end"));
            } else {
                return Err(Flaw::Malformed("there is a control character in a string"));
            }
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
