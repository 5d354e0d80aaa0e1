//! Request heads (RFC 9112, sections 3 and 5).

use crate::connection::{ConnectionFields, Persistence};
use crate::field::{Field, Span};
use crate::framing::{Framing, FramingFields};
use crate::limits::HeadLimits;
use crate::lines::{Found, Kind, Lines, MAX_METHOD_BYTES};
use crate::parts::{fields, with_headers};
use crate::refusal::Refusal;
use crate::target::{self, TargetForm};
use crate::{Version, diagnose, host};
use std::fmt;

/// Reads request heads, one after the other.
#[derive(Clone, Debug)]
pub struct RequestReader {
    lines: Lines,
}

/// A request head with one reading, as offsets into the bytes that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    pub(crate) method: Span,
    pub(crate) target: Span,
    pub(crate) fields: Vec<Field>,
    length: usize,
    version: Version,
    form: TargetForm,
    framing: Framing,
    persistence: Persistence,
    upgrades: bool,
    expects_continue: bool,
}

/// A request head together with its bytes.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    head: &'a RequestHead,
    bytes: &'a [u8],
}

impl Default for RequestReader {
    fn default() -> Self {
        RequestReader { lines: Lines::new(Kind::Request) }
    }
}

impl RequestReader {
    /// Reads on. `bytes` begin where the head begins, and are those of the calls before with what has arrived since.
    /// `None` while the head is incomplete. After a head the reader is ready for the next one, whose bytes begin behind
    /// [`RequestHead::length`] and the body.
    ///
    /// # Errors
    /// The head has no single reading, or exceeds a limit. The connection is of no more use: nobody knows where the next
    /// request begins.
    pub fn read(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<RequestHead>, Refusal> {
        let Some(found) = self.lines.find(bytes, limits)? else { return Ok(None) };
        *self = RequestReader::default();
        parse(bytes, found, limits).map(Some)
    }

    /// Whether a head has begun: more than the empty lines before one has arrived.
    pub fn has_begun(&self) -> bool {
        self.lines.has_begun()
    }
}

impl RequestHead {
    /// How many bytes the head takes, with the empty lines before it and the one at its end.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The form of the target.
    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// Where the body ends.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client wants to send another request on this connection (RFC 9112, section 9.3).
    pub fn persistence(&self) -> Persistence {
        self.persistence
    }

    /// Whether the client offers to switch protocols in a way that counts: HTTP/1.1, and `Connection` names `Upgrade`
    /// (RFC 9110, section 7.8).
    pub fn offers_upgrade(&self) -> bool {
        self.upgrades
    }

    /// Whether the client waits for a 100 before it sends its body (RFC 9110, section 10.1.1). Never in HTTP/1.0.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The head with its bytes, which are those that it was read from.
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> RequestView<'a> {
        RequestView { head: self, bytes }
    }
}

impl fmt::Debug for RequestView<'_> {
    /// Without field values and the query, which may be credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequestView")
            .field("method", &self.method())
            .field("path", &self.target().split('?').next().unwrap_or_default())
            .field("fields", &self.head.fields.len())
            .finish_non_exhaustive()
    }
}

impl<'a> RequestView<'a> {
    /// The method.
    pub fn method(&self) -> &'a str {
        self.head.method.text(self.bytes)
    }

    /// The target, as it was sent.
    pub fn target(&self) -> &'a str {
        self.head.target.text(self.bytes)
    }

    /// The names and values of the fields, in their order. Names are as they were sent; values have no whitespace around
    /// them.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.head.fields.iter().map(move |field| (field.name(bytes), field.value(bytes)))
    }
}

/// Reads a complete head.
fn parse(bytes: &[u8], found: Found, limits: &HeadLimits) -> Result<RequestHead, Refusal> {
    let raw = bytes.get(found.start..found.end).unwrap_or_default();
    with_headers(found.fields, |headers| {
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(raw, headers);
        let (Ok(httparse::Status::Complete(length)), Some(method), Some(target), Some(minor)) =
            (parsed, request.method, request.path, request.version)
        else {
            return Err(diagnose::head(Kind::Request, raw));
        };
        // SECURITY: as many fields as lines, and the same end: the two passes have read the same head
        // (both_passes_read_the_same_head).
        if length != raw.len() || request.headers.len() != found.fields {
            return Err(diagnose::head(Kind::Request, raw));
        }
        if method.len() > MAX_METHOD_BYTES {
            return Err(Refusal::Method);
        }
        if target.len() > limits.max_target_bytes {
            return Err(Refusal::TargetTooLong);
        }
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let aim = target::judge(method, target.as_bytes())?;
        let said = Said::by(request.headers)?;
        said.judge_host(version, &aim)?;
        Ok(RequestHead {
            method: Span::of(bytes, method.as_bytes()),
            target: Span::of(bytes, target.as_bytes()),
            fields: fields(bytes, request.headers),
            length: found.end,
            version,
            form: aim.form,
            framing: said.framing.framing(version)?,
            persistence: said.connection.persistence(version),
            upgrades: said.connection.upgrades(version),
            expects_continue: said.expects_continue && version == Version::Http11,
        })
    })
}

/// What the fields say that concerns the connection and the framing.
#[derive(Default)]
struct Said<'a> {
    host: Option<&'a [u8]>,
    framing: FramingFields,
    connection: ConnectionFields,
    expects_continue: bool,
}

impl<'a> Said<'a> {
    fn by(headers: &[httparse::Header<'a>]) -> Result<Said<'a>, Refusal> {
        let mut said = Said::default();
        for header in headers {
            let name = header.name.as_bytes();
            // By length, since most fields are none of these.
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"host") && said.host.replace(header.value).is_some() => {
                    return Err(Refusal::HostRepeated);
                }
                6 if name.eq_ignore_ascii_case(b"expect") => {
                    said.expects_continue |= header.value.eq_ignore_ascii_case(b"100-continue");
                }
                7 if name.eq_ignore_ascii_case(b"upgrade") => said.connection.upgrade(),
                10 if name.eq_ignore_ascii_case(b"connection") => said.connection.connection(header.value),
                14 if name.eq_ignore_ascii_case(b"content-length") => said.framing.length(header.value)?,
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => said.framing.coding(header.value)?,
                _ => {}
            }
        }
        Ok(said)
    }

    /// One host, which the target does not contradict (RFC 9112, sections 3.2 and 3.2.2).
    fn judge_host(&self, version: Version, aim: &target::Target<'_>) -> Result<(), Refusal> {
        let Some(host) = self.host else {
            // An absolute target names a host that a server behind this one may not look for.
            return match (version, aim.authority) {
                (Version::Http10, None) => Ok(()),
                (Version::Http10 | Version::Http11, _) => Err(Refusal::HostMissing),
            };
        };
        if !host::is_authority(host) {
            return Err(Refusal::HostInvalid);
        }
        match aim.authority {
            Some((authority, port)) if !host::same(authority, host, port) => Err(Refusal::HostConflict),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
