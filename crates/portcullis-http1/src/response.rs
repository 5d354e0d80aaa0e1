//! Response heads, and where the bodies after them end (RFC 9112, sections 4 and 6.3).

use crate::connection::{ConnectionFields, Persistence};
use crate::field::Field;
use crate::framing::{BodyLength, Framing, FramingFields};
use crate::limits::HeadLimits;
use crate::lines::{Found, Kind, Lines};
use crate::parts::{fields, with_headers};
use crate::refusal::Refusal;
use crate::{Version, diagnose};
use std::fmt;

/// Reads response heads, one after the other.
#[derive(Clone, Debug)]
pub struct ResponseReader {
    lines: Lines,
}

/// A response head with one reading, as offsets into the bytes that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub(crate) fields: Vec<Field>,
    length: usize,
    version: Version,
    status: u16,
    framing: Framing,
    persistence: Persistence,
}

/// A response head together with its bytes.
#[derive(Clone, Copy)]
pub struct ResponseView<'a> {
    head: &'a ResponseHead,
    bytes: &'a [u8],
}

/// What follows a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// Another head: this one was informational (RFC 9110, section 15.2).
    AnotherHead,
    /// Another protocol: 101, or the answer to a `CONNECT` that succeeded.
    AnotherProtocol,
    /// Nothing, whatever the fields say: the answer to `HEAD`, 204 and 304 (RFC 9112, section 6.3, rule 1).
    Nothing,
    /// A body.
    Body(BodyLength),
}

impl Default for ResponseReader {
    fn default() -> Self {
        ResponseReader { lines: Lines::new(Kind::Response) }
    }
}

impl ResponseReader {
    /// Reads on; see [`RequestReader::read`](crate::RequestReader::read). Nothing may come before a status line.
    ///
    /// # Errors
    /// The head has no single reading, or exceeds a limit. Framing is judged as strictly as in a request: an answer with
    /// two framings is one that somebody has split.
    pub fn read(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<ResponseHead>, Refusal> {
        let Some(found) = self.lines.find(bytes, limits)? else { return Ok(None) };
        *self = ResponseReader::default();
        parse(bytes, found).map(Some)
    }
}

impl ResponseHead {
    /// How many bytes the head takes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The status, from 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What the framing fields say, whether or not there is a body.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// What follows this answer to a request with this method.
    ///
    /// # Errors
    /// An informational answer that announces a body (RFC 9112, section 6.1): nobody knows where the next head begins.
    pub fn body(&self, method: &str) -> Result<ResponseBody, Refusal> {
        match (self.status, self.framing) {
            (101, _) => Ok(ResponseBody::AnotherProtocol),
            (100..200, Framing::None | Framing::Length(0)) => Ok(ResponseBody::AnotherHead),
            (100..200, Framing::Chunked) => Err(Refusal::Coding),
            (100..200, Framing::Length(_)) => Err(Refusal::LengthInvalid),
            (200..300, _) if method == "CONNECT" => Ok(ResponseBody::AnotherProtocol),
            (204 | 304, _) => Ok(ResponseBody::Nothing),
            _ if method == "HEAD" => Ok(ResponseBody::Nothing),
            (_, Framing::Length(length)) => Ok(ResponseBody::Body(BodyLength::Exact(length))),
            (_, Framing::Chunked) => Ok(ResponseBody::Body(BodyLength::Chunked)),
            (_, Framing::None) => Ok(ResponseBody::Body(BodyLength::UntilClose)),
        }
    }

    /// Whether the connection may carry another request after this answer and `body`, what [`ResponseHead::body`] says
    /// that follows.
    pub fn persistence(&self, body: ResponseBody) -> Persistence {
        match body {
            ResponseBody::AnotherProtocol | ResponseBody::Body(BodyLength::UntilClose) => Persistence::Close,
            // A 204 that announces a body may well be followed by one.
            ResponseBody::Nothing if self.status == 204 => match self.framing {
                Framing::None | Framing::Length(0) => self.persistence,
                Framing::Length(_) | Framing::Chunked => Persistence::Close,
            },
            ResponseBody::Nothing | ResponseBody::AnotherHead | ResponseBody::Body(_) => self.persistence,
        }
    }

    /// The head with its bytes, which are those that it was read from.
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> ResponseView<'a> {
        ResponseView { head: self, bytes }
    }
}

impl fmt::Debug for ResponseView<'_> {
    /// Without field values and the query, which may be credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResponseView")
            .field("status", &self.head.status)
            .field("fields", &self.head.fields.len())
            .finish_non_exhaustive()
    }
}

impl<'a> ResponseView<'a> {
    /// The names and values of the fields, in their order. Names are as they were sent; values have no whitespace around
    /// them.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.head.fields.iter().map(move |field| (field.name(bytes), field.value(bytes)))
    }
}

fn parse(bytes: &[u8], found: Found) -> Result<ResponseHead, Refusal> {
    let raw = bytes.get(found.start..found.end).unwrap_or_default();
    with_headers(found.fields, |headers| {
        // Uninitialised room is for a parser with options alone; these are the strict ones.
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, raw, headers);
        let (Ok(httparse::Status::Complete(length)), Some(minor), Some(status)) =
            (parsed, response.version, response.code)
        else {
            return Err(diagnose::head(Kind::Response, raw));
        };
        // SECURITY: as in a request (both_passes_read_the_same_head).
        if length != raw.len() || response.headers.len() != found.fields {
            return Err(diagnose::head(Kind::Response, raw));
        }
        if status < 100 {
            return Err(Refusal::Status);
        }
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let (mut framing, mut connection) = (FramingFields::default(), ConnectionFields::default());
        for header in response.headers.iter() {
            let name = header.name.as_bytes();
            match name.len() {
                10 if name.eq_ignore_ascii_case(b"connection") => connection.connection(header.value),
                14 if name.eq_ignore_ascii_case(b"content-length") => framing.length(header.value)?,
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => framing.coding(header.value)?,
                _ => {}
            }
        }
        Ok(ResponseHead {
            fields: fields(bytes, response.headers),
            length: found.end,
            version,
            status,
            framing: framing.framing(version)?,
            persistence: connection.persistence(version),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use BodyLength::{Chunked, Exact, UntilClose};
    use ResponseBody::{AnotherHead, AnotherProtocol, Body, Nothing};

    fn read(text: &str) -> Result<ResponseHead, Refusal> {
        ResponseReader::default()
            .read(text.as_bytes(), &HeadLimits::default())
            .map(|head| head.expect("complete"))
    }

    #[test]
    fn a_status_line_has_one_form() {
        for (line, status) in [
            ("HTTP/1.1 200 OK", 200),
            ("HTTP/1.0 404 Not Found", 404),
            ("HTTP/1.1 204 ", 204),
            ("HTTP/1.1 204", 204),
            ("HTTP/1.1 200 sch\u{f6}n", 200),
            ("HTTP/1.1 999 ?", 999),
        ] {
            assert_eq!(read(&format!("{line}\r\n\r\n")).unwrap().status(), status, "{line}");
        }
        for (line, refusal) in [
            ("HTTP/2.0 200 OK", Refusal::Version),
            ("HTTP/1.2 200 OK", Refusal::Version),
            ("HTTP/1.1  200 OK", Refusal::StatusLine),
            ("HTTP/1.1\t200 OK", Refusal::Version),
            ("HTTP/1.1 2000 OK", Refusal::StatusLine),
            ("HTTP/1.1 20 OK", Refusal::StatusLine),
            ("HTTP/1.1 +20 OK", Refusal::StatusLine),
            ("HTTP/1.1 099 OK", Refusal::Status),
            ("ICY 200 OK", Refusal::StatusLine),
            ("200 OK", Refusal::StatusLine),
            ("HTTP/1.1 200 O\0K", Refusal::Nul),
            ("HTTP/1.1 200 O\u{1}K", Refusal::ControlByte),
            ("HTTP/1.1 200 O\rK", Refusal::BareCarriageReturn),
            ("HTTP/1.1 200 OK\r\n A: b", Refusal::ObsoleteFold),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c", Refusal::ObsoleteFold),
            ("HTTP/1.1 200 OK\r\nA : b", Refusal::SpaceBeforeColon),
            ("HTTP/1.1 200 OK\nA: b", Refusal::BareLineFeed),
            ("\r\nHTTP/1.1 200 OK", Refusal::StatusLine),
        ] {
            assert_eq!(read(&format!("{line}\r\n\r\n")), Err(refusal), "{line:?}");
        }
    }

    #[test]
    fn a_body_ends_where_the_rfc_says() {
        for (method, lines, expected, persistence) in [
            ("GET", "200 OK\r\nContent-Length: 5", Body(Exact(5)), Persistence::KeepAlive),
            ("GET", "200 OK\r\nContent-Length: 0", Body(Exact(0)), Persistence::KeepAlive),
            ("GET", "200 OK\r\nTransfer-Encoding: chunked", Body(Chunked), Persistence::KeepAlive),
            ("GET", "200 OK\r\nContent-Length: 5\r\nConnection: close", Body(Exact(5)), Persistence::Close),
            ("GET", "200 OK", Body(UntilClose), Persistence::Close),
            ("GET", "200 OK\r\nConnection: keep-alive", Body(UntilClose), Persistence::Close),
            ("HEAD", "200 OK\r\nContent-Length: 5", Nothing, Persistence::KeepAlive),
            ("HEAD", "200 OK\r\nTransfer-Encoding: chunked", Nothing, Persistence::KeepAlive),
            ("HEAD", "200 OK", Nothing, Persistence::KeepAlive),
            ("GET", "204 No Content", Nothing, Persistence::KeepAlive),
            ("GET", "204 No Content\r\nContent-Length: 0", Nothing, Persistence::KeepAlive),
            ("GET", "204 No Content\r\nContent-Length: 5", Nothing, Persistence::Close),
            ("GET", "204 No Content\r\nTransfer-Encoding: chunked", Nothing, Persistence::Close),
            ("GET", "304 Not Modified\r\nContent-Length: 5", Nothing, Persistence::KeepAlive),
            ("GET", "205 Reset Content\r\nContent-Length: 0", Body(Exact(0)), Persistence::KeepAlive),
            ("GET", "103 Early Hints", AnotherHead, Persistence::KeepAlive),
            ("POST", "100 Continue", AnotherHead, Persistence::KeepAlive),
            ("GET", "101 Switching Protocols", AnotherProtocol, Persistence::Close),
            ("CONNECT", "200 OK\r\nContent-Length: 5", AnotherProtocol, Persistence::Close),
            ("CONNECT", "403 Forbidden\r\nContent-Length: 5", Body(Exact(5)), Persistence::KeepAlive),
        ] {
            let head = read(&format!("HTTP/1.1 {lines}\r\n\r\n")).unwrap();
            let body = head.body(method).unwrap();
            assert_eq!((body, head.persistence(body)), (expected, persistence), "{method} {lines:?}");
        }
        for lines in ["103 Early Hints\r\nContent-Length: 5", "100 Continue\r\nTransfer-Encoding: chunked"] {
            assert!(read(&format!("HTTP/1.1 {lines}\r\n\r\n")).unwrap().body("GET").is_err(), "{lines:?}");
        }
    }

    #[test]
    fn an_answer_with_two_framings_is_refused() {
        for (lines, refusal) in [
            ("Content-Length: 5\r\nContent-Length: 5", Refusal::LengthRepeated),
            ("Content-Length: 5\r\nContent-Length: 6", Refusal::LengthRepeated),
            ("Content-Length: 5, 5", Refusal::LengthInvalid),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", Refusal::LengthAndCoding),
            ("Transfer-Encoding: gzip, chunked", Refusal::Coding),
            ("Transfer-Encoding: identity", Refusal::Coding),
            ("Content-Length: -1", Refusal::LengthInvalid),
        ] {
            assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")), Err(refusal), "{lines:?}");
        }
        let old = read("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old, Err(Refusal::CodingInHttp10));
    }
}
