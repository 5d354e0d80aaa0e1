//! The chunked transfer coding (RFC 9112, section 7.1), one byte after the other.
//!
//! ```text
//! chunked-body = *chunk last-chunk trailer-section CRLF
//! chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! ```
//!
//! No byte outside of the grammar is taken, and no line is buffered: a bare LF within an extension, a sign before a size
//! or a missing CR have let requests through in servers that searched for line ends instead. Extensions are checked,
//! counted and dropped.

use crate::body::Part;
use crate::diagnose::{control, field_line};
use crate::field::{Field, is_token};
use crate::limits::{BodyLimits, ForbiddenTrailers};
use crate::parts::map;
use crate::refusal::Refusal;
use crate::trailer;
use bytes::Bytes;
use http::HeaderMap;
use memchr::memchr;

/// The most digits of a chunk size, leading zeros included.
const MAX_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk size, of which there have been so many.
    Size(u8),
    Extension(Extension),
    /// Behind the CR after a size and its extensions.
    SizeFeed,
    /// So much of a chunk is to come.
    Data(u64),
    DataReturn,
    DataFeed,
    /// In the trailer section.
    Trailers,
    End,
}

/// Where in a chunk extension (RFC 9112, section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// In the whitespace before a `;`.
    BeforeSemicolon,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Token,
    Quoted,
    Escaped,
    AfterQuoted,
}

/// A chunked body.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    size: u64,
    limits: BodyLimits,
    /// Bytes of extensions after this chunk size, and in all.
    extension: usize,
    extensions: usize,
    /// The trailer section so far, and where its current line begins.
    trailers: Vec<u8>,
    line: usize,
    fields: usize,
}

impl Chunked {
    pub(crate) fn new(limits: BodyLimits) -> Chunked {
        Chunked {
            state: State::Size(0),
            size: 0,
            limits,
            extension: 0,
            extensions: 0,
            trailers: Vec::new(),
            line: 0,
            fields: 0,
        }
    }

    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Part, Refusal> {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            match self.state {
                State::Data(left) => {
                    let size = (bytes.len() - used).min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - size as u64;
                    self.state = if left == 0 { State::DataReturn } else { State::Data(left) };
                    return Ok(Part::Data(used..used + size));
                }
                State::Trailers => {
                    used += self.trailer(bytes.get(used..).unwrap_or_default())?;
                    if self.state == State::End {
                        return Ok(Part::End(used));
                    }
                    continue;
                }
                State::End => return Ok(Part::End(used)),
                State::Size(digits) => self.state = self.digit(digits, byte)?,
                State::Extension(place) => {
                    self.state = extension(place, byte)?;
                    // The CR behind it belongs to the line.
                    if self.state != State::SizeFeed {
                        self.count()?;
                    }
                }
                State::SizeFeed => self.state = self.sized(byte)?,
                State::DataReturn if byte == b'\r' => self.state = State::DataFeed,
                State::DataFeed if byte == b'\n' => {
                    (self.state, self.size, self.extension) = (State::Size(0), 0, 0);
                }
                State::DataReturn | State::DataFeed => return Err(Refusal::ChunkEnd),
            }
            used += 1;
        }
        Ok(if self.state == State::End { Part::End(used) } else { Part::More(used) })
    }

    /// Takes a byte of a chunk size.
    fn digit(&mut self, digits: u8, byte: u8) -> Result<State, Refusal> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            // The grammar wants a digit at least; no sign, no prefix, no whitespace before it.
            _ if digits == 0 => return Err(Refusal::ChunkSize),
            b'\r' => return Ok(State::SizeFeed),
            b';' | b' ' | b'\t' => {
                self.count()?;
                return Ok(State::Extension(match byte {
                    b';' => Extension::BeforeName,
                    _ => Extension::BeforeSemicolon,
                }));
            }
            b'\n' => return Err(Refusal::BareLineFeed),
            _ => return Err(Refusal::ChunkSize),
        };
        self.size = self.size.checked_mul(16).ok_or(Refusal::ChunkTooLarge)? | u64::from(digit);
        if digits >= MAX_DIGITS || self.size > i64::MAX as u64 {
            return Err(Refusal::ChunkTooLarge);
        }
        Ok(State::Size(digits + 1))
    }

    /// Counts a byte of an extension.
    fn count(&mut self) -> Result<(), Refusal> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > self.limits.max_extension_bytes
            || self.extensions > self.limits.max_extensions_bytes
        {
            return Err(Refusal::ChunkExtensionTooLong);
        }
        Ok(())
    }

    /// The LF after a size.
    fn sized(&self, byte: u8) -> Result<State, Refusal> {
        match (byte, self.size) {
            (b'\n', 0) => Ok(State::Trailers),
            (b'\n', size) => Ok(State::Data(size)),
            _ => Err(Refusal::BareCarriageReturn),
        }
    }

    /// Takes bytes of the trailer section up to the next line end, and says how many.
    fn trailer(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let end = memchr(b'\n', bytes);
        let size = end.map_or(bytes.len(), |end| end + 1);
        if self.trailers.len() + size > self.limits.max_trailer_bytes.max(2) {
            return Err(Refusal::TrailersTooLarge);
        }
        self.trailers.extend_from_slice(bytes.get(..size).unwrap_or_default());
        let line = self.trailers.get(self.line..).unwrap_or_default();
        if end.is_none() {
            // What can only be refused is refused at once.
            return control(line).map_or(Ok(size), Err);
        }
        // SECURITY: `0\r\n\n` ends no body, or the next request would be read from its middle (a_bare_lf_ends_no_body).
        let Some(line) = line.strip_suffix(b"\r\n") else { return Err(Refusal::BareLineFeed) };
        if line.is_empty() {
            self.state = State::End;
            return Ok(size);
        }
        if let Some(refusal) = field_line(line) {
            return Err(refusal);
        }
        self.fields += 1;
        if self.fields > self.limits.max_trailers {
            return Err(Refusal::TrailersTooLarge);
        }
        self.line = self.trailers.len();
        Ok(size)
    }

    /// The trailer fields of a body that has ended.
    pub(crate) fn trailers(&mut self) -> Result<Option<HeaderMap>, Refusal> {
        if self.fields == 0 {
            return Ok(None);
        }
        let bytes = Bytes::from(std::mem::take(&mut self.trailers));
        let mut fields = vec![httparse::EMPTY_HEADER; self.fields];
        let parsed = httparse::parse_headers(&bytes, &mut fields);
        let Ok(httparse::Status::Complete((_, headers))) = parsed else { return Err(Refusal::FieldValue) };
        let mut kept = Vec::with_capacity(headers.len());
        for header in headers {
            match (trailer::is_allowed(header.name), self.limits.forbidden_trailers) {
                (true, _) => kept.push(Field::of(&bytes, header.name, header.value)),
                (false, ForbiddenTrailers::Drop) => {}
                (false, ForbiddenTrailers::Refuse) => return Err(Refusal::ForbiddenTrailer),
            }
        }
        map(&kept, &bytes).map(|map| (!map.is_empty()).then_some(map))
    }
}

/// Takes a byte of an extension:
/// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS ( token / quoted-string ) ] )`.
fn extension(place: Extension, byte: u8) -> Result<State, Refusal> {
    use Extension::{
        AfterName, AfterQuoted, BeforeName, BeforeSemicolon, BeforeValue, Escaped, Name, Quoted, Token,
    };
    let space = matches!(byte, b' ' | b'\t');
    let next = match place {
        // Text may stand in quotes: everything but controls (RFC 9110, section 5.6.4).
        Quoted | Escaped => match byte {
            b'\n' => return Err(Refusal::BareLineFeed),
            b'\r' => return Err(Refusal::ChunkExtension),
            0..=0x08 | 0x0b..=0x1f | 0x7f => return Err(Refusal::ChunkExtension),
            b'"' if place == Quoted => AfterQuoted,
            b'\\' if place == Quoted => Escaped,
            b'\t' | b' '..=0x7e | 0x80.. => Quoted,
        },
        Name | Token | AfterQuoted if byte == b'\r' => return Ok(State::SizeFeed),
        Name | Token if is_token(byte) => place,
        BeforeName if is_token(byte) => Name,
        BeforeValue if is_token(byte) => Token,
        BeforeValue if byte == b'"' => Quoted,
        BeforeName | BeforeValue | BeforeSemicolon | AfterName if space => place,
        Name if space => AfterName,
        Token | AfterQuoted if space => BeforeSemicolon,
        Name | AfterName if byte == b'=' => BeforeValue,
        Name | AfterName | Token | AfterQuoted | BeforeSemicolon if byte == b';' => BeforeName,
        BeforeSemicolon | BeforeName | Name | AfterName | BeforeValue | Token | AfterQuoted => {
            return Err(if byte == b'\n' { Refusal::BareLineFeed } else { Refusal::ChunkExtension });
        }
    };
    Ok(State::Extension(next))
}

#[cfg(test)]
mod tests;
