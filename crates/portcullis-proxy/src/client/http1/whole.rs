//! A request whose bytes are all there already, for who judges requests without a connection.
//!
//! It is read by the same reader, within the same limits and with the same refusals as one that comes over a connection.

use super::converse::limits;
use super::refuse;
use http::header;
use http::request::Parts;
use portcullis_core::{Code, Denial, HeadPolicy};
use portcullis_http1::{Framing, RequestReader};

/// A request head that was read.
pub struct Whole {
    /// The head.
    pub parts: Parts,
    /// How many bytes of the body it announces. `None` where the body is chunked.
    pub body: Option<u64>,
    /// Where the body begins.
    pub length: usize,
}

/// Reads the request head that these bytes begin with, as HTTP/1.1.
///
/// # Errors
/// It is no request, or not a whole one; the denial is that of a request that came over a connection.
pub fn read_request(bytes: &[u8], policy: &HeadPolicy) -> Result<Whole, Denial> {
    let head = match RequestReader::default().read(bytes, &limits(policy)) {
        Ok(Some(head)) => head,
        Ok(None) => return Err(Denial::new(Code::HeadTimeout, "the request head is not complete")),
        Err(refusal) => return Err(refuse::denial(refusal)),
    };
    let (framing, upgrades, length) = (head.framing(), head.offers_upgrade(), head.length());
    let head_bytes = bytes::Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default());
    let mut parts = head.into_parts(&head_bytes).map_err(refuse::denial)?;
    // As over a connection: an offer that does not count is none.
    if !upgrades {
        parts.headers.remove(header::UPGRADE);
    }
    let body = match framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };
    Ok(Whole { parts, body, length })
}
