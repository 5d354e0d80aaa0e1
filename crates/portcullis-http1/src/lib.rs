//! HTTP/1.1 messages without I/O, as rustls is for TLS: bytes go in, heads and bodies come out.
//!
//! A message has one strict reading by RFC 9112, or it is refused with a [`Refusal`] that names the rule. Nothing is
//! repaired. Two servers that disagree about where a request ends are what request smuggling is made of, so whatever two
//! of them may read differently is refused, even where the RFC allows a recipient to be lenient.
//!
//! | to read | use | then |
//! |---|---|---|
//! | a request | [`RequestReader`] | [`RequestHead`], its [`Framing`], and [`RequestHead::into_parts`] |
//! | an answer | [`ResponseReader`] | [`ResponseHead`], and [`ResponseHead::body`] for what follows it |
//! | a body | [`BodyReader`] | [`Part`]s, each a range of the bytes that were given |
//!
//! [`write`] is the other direction.
//!
//! Each reader is given all bytes of the message that have arrived so far, and remembers how far it has come, so a client
//! that sends one byte at a time costs no more than one that sends all at once. Limits are counted while reading: a head
//! is refused with the byte that exceeds the limit, not at its end. A head is kept as offsets into the buffer. No byte of
//! it is copied until [`RequestHead::into_parts`], and field values not even then.
//!
//! ```
//! use portcullis_http1::{BodyLimits, BodyReader, Framing, HeadLimits, Part, RequestReader};
//!
//! let bytes = b"POST /orders HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello";
//! let mut reader = RequestReader::default();
//! let head = reader.read(bytes, &HeadLimits::default())?.expect("the head is complete");
//! assert_eq!(head.view(bytes).target(), "/orders");
//! assert_eq!(head.framing(), Framing::Length(5));
//!
//! let mut body = BodyReader::new(head.framing().into(), BodyLimits::default());
//! let rest = &bytes[head.length()..];
//! assert_eq!(body.read(rest)?, Part::Data(0..5));
//! assert!(body.is_complete());
//! # Ok::<(), portcullis_http1::Refusal>(())
//! ```

#![forbid(unsafe_code)]

mod body;
mod chunked;
mod connection;
mod diagnose;
mod field;
mod framing;
mod host;
mod limits;
mod lines;
mod parts;
mod refusal;
mod request;
mod response;
mod target;
pub mod trailer;
pub mod write;

pub use body::{BodyReader, Part};
pub use connection::Persistence;
pub use framing::{BodyLength, Framing};
pub use limits::{BodyLimits, ForbiddenTrailers, HeadLimits};
pub use refusal::Refusal;
pub use request::{RequestHead, RequestReader, RequestView};
pub use response::{ResponseBody, ResponseHead, ResponseReader, ResponseView};
pub use target::TargetForm;

/// The version of a message (RFC 9112, section 2.3). Every other version is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `HTTP/1.0`.
    Http10,
    /// `HTTP/1.1`.
    Http11,
}
