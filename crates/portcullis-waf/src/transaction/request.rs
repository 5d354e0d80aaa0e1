//! What the caller gives.

use std::net::IpAddr;

/// A request's head, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// `GET`
    pub method: &'r [u8],
    /// The request target: `/path?query`.
    pub target: &'r [u8],
    /// `HTTP/1.1`
    pub protocol: &'r [u8],
    /// Names and values, in order.
    pub headers: &'r [(&'r [u8], &'r [u8])],
    /// Address and port of the client.
    pub client: (IpAddr, u16),
    /// Address and port that it came to.
    pub server: (IpAddr, u16),
    /// An id of the request, in hexadecimal digits.
    pub unique_id: &'r [u8],
}

/// A response's head.
#[derive(Debug, Clone, Copy)]
pub struct Response<'r> {
    /// The status.
    pub status: u16,
    /// `HTTP/1.1`
    pub protocol: &'r [u8],
    /// Names and values, in order.
    pub headers: &'r [(&'r [u8], &'r [u8])],
}

/// Where an argument stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the query.
    Query,
    /// In the body; for JSON the name is the path, as in `json.items.0.name`.
    Body,
    /// In a header.
    Header,
    /// In a cookie.
    Cookie,
}

/// A body that the caller has parsed already, as names with values in order.
#[derive(Debug, Clone, Copy)]
pub enum Parsed<'r> {
    /// JSON: each value that is no array and no object, under its path, as in `json.items.0.name`.
    Json(&'r [(Vec<u8>, Vec<u8>)]),
    /// A form whose names are decoded and whose values are not.
    Form(&'r [(Vec<u8>, Vec<u8>)]),
    /// XML: the text of the document under the name `/*`, and the value of each attribute under `//@*`.
    Xml(&'r [(Vec<u8>, Vec<u8>)]),
}

impl<'r> Request<'r> {
    /// The values of a header.
    pub(crate) fn header(&self, name: &[u8]) -> impl Iterator<Item = &'r [u8]> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The target without the scheme and host that its absolute form has.
    pub(crate) fn uri(&self) -> &'r [u8] {
        let after = |scheme: &[u8]| {
            let (start, rest) = self.target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        match after(b"http://").or_else(|| after(b"https://")) {
            Some(rest) => match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
                Some(path) => rest.get(path..).unwrap_or_default(),
                None => b"/",
            },
            None => self.target,
        }
    }

    /// The path, as it is encoded.
    pub(crate) fn path(&self) -> &'r [u8] {
        let uri = self.uri();
        let end = uri.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(uri.len());
        uri.get(..end).unwrap_or_default()
    }

    /// What follows the first question mark.
    pub(crate) fn query(&self) -> &'r [u8] {
        let uri = self.uri();
        match memchr::memchr(b'?', uri) {
            Some(mark) => uri.get(mark + 1..).unwrap_or_default(),
            None => b"",
        }
    }
}
