//! The way from offsets to the types of the `http` crate: names are looked up, values share the buffer.

use crate::Version;
use crate::field::Field;
use crate::refusal::Refusal;
use crate::request::RequestHead;
use crate::response::ResponseHead;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use httparse::Header;
use std::mem::MaybeUninit;

/// So many fields are parsed without room for them on the heap.
const INLINE: usize = 32;

/// So many fields find room in a map beside those that were read: what a proxy adds. A map that grows hashes all of them again.
const ADDED: usize = 8;

/// Gives room for so many fields to `parse`.
pub(crate) fn with_headers<'b, R>(
    fields: usize,
    parse: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> R,
) -> R {
    if fields <= INLINE {
        let mut headers = [const { MaybeUninit::uninit() }; INLINE];
        parse(headers.get_mut(..fields).unwrap_or_default())
    } else {
        let mut headers = Vec::new();
        headers.resize_with(fields, MaybeUninit::uninit);
        parse(&mut headers)
    }
}

/// Where these fields lie in `bytes`.
pub(crate) fn fields(bytes: &[u8], headers: &[Header<'_>]) -> Vec<Field> {
    headers.iter().map(|header| Field::of(bytes, header.name, header.value)).collect()
}

impl RequestHead {
    /// The head as the `http` crate has it. `bytes` are those that it was read from; the target and the values share them.
    ///
    /// # Errors
    /// A target that is none of [`Uri`]'s.
    pub fn into_parts(self, bytes: &Bytes) -> Result<http::request::Parts, Refusal> {
        let mut request = http::Request::new(());
        *request.method_mut() = Method::from_bytes(self.method.bytes(bytes)).map_err(|_| Refusal::Method)?;
        let target = share(bytes, self.target.range());
        let target = if target.iter().any(is_sent_raw) { escaped(&target) } else { target };
        *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_| Refusal::TargetCharacter)?;
        *request.version_mut() = self.version().into();
        *request.headers_mut() = map(&self.fields, bytes)?;
        Ok(request.into_parts().0)
    }
}

/// Whether clients send this byte of a target as it is, where RFC 3986 and the `http` crate want an escape: curl, PHP, Java and
/// Python send what they were given.
fn is_sent_raw(byte: &u8) -> bool {
    matches!(byte, b'"' | b'`' | 0x80..)
}

/// A target in which these bytes are escaped, which is their only reading.
fn escaped(target: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(target.len() + 16);
    for byte in target {
        if is_sent_raw(byte) {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
            text.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        } else {
            text.push(*byte);
        }
    }
    text.into()
}

impl ResponseHead {
    /// The head as the `http` crate has it, without the reason phrase. `bytes` are those that it was read from; the values
    /// share them.
    ///
    /// # Errors
    /// None that a head that was read brings about.
    pub fn into_parts(self, bytes: &Bytes) -> Result<http::response::Parts, Refusal> {
        let mut response = http::Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status()).map_err(|_| Refusal::Status)?;
        *response.version_mut() = self.version().into();
        *response.headers_mut() = map(&self.fields, bytes)?;
        Ok(response.into_parts().0)
    }
}

impl From<Version> for http::Version {
    fn from(version: Version) -> http::Version {
        match version {
            Version::Http10 => http::Version::HTTP_10,
            Version::Http11 => http::Version::HTTP_11,
        }
    }
}

/// The fields as a map.
pub(crate) fn map(fields: &[Field], bytes: &Bytes) -> Result<HeaderMap, Refusal> {
    let mut map = HeaderMap::try_with_capacity(fields.len().saturating_add(ADDED))
        .map_err(|_| Refusal::TooManyFields)?;
    for field in fields {
        let name = HeaderName::from_bytes(field.name(bytes)).map_err(|_| Refusal::FieldName)?;
        let value = HeaderValue::from_maybe_shared(share(bytes, field.value_span().range()))
            .map_err(|_| Refusal::FieldValue)?;
        map.try_append(name, value).map_err(|_| Refusal::TooManyFields)?;
    }
    Ok(map)
}

/// A part of the buffer without a copy. Nothing where the range is none of it.
fn share(bytes: &Bytes, range: std::ops::Range<usize>) -> Bytes {
    if range.end <= bytes.len() { bytes.slice(range) } else { Bytes::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadLimits, RequestReader};

    #[test]
    fn values_share_the_buffer() {
        let bytes = Bytes::from_static(b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-Many: 1\r\nx-many: 2\r\n\r\n");
        let head = RequestReader::default().read(&bytes, &HeadLimits::default()).unwrap().unwrap();
        let parts = head.into_parts(&bytes).unwrap();
        assert_eq!((parts.method, parts.uri), (Method::GET, Uri::from_static("/a?b")));
        let many: Vec<_> = parts.headers.get_all("x-many").iter().collect();
        assert_eq!(many, ["1", "2"]);
        assert!(bytes.as_ptr_range().contains(&many[0].as_bytes().as_ptr()));
    }

    #[test]
    fn what_clients_send_raw_is_escaped() {
        for (raw, uri) in [
            ("/ü", "/%C3%BC"),
            ("/a`b\"c", "/a%60b%22c"),
            ("/?q=\"x\"", "/?q=%22x%22"),
            ("http://x/ü?ü", "http://x/%C3%BC?%C3%BC"),
            ("/{a}[b]|^", "/{a}[b]|^"),
        ] {
            let bytes = Bytes::from(format!("GET {raw} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let head = RequestReader::default().read(&bytes, &HeadLimits::default()).unwrap().unwrap();
            assert_eq!(head.into_parts(&bytes).unwrap().uri, *uri, "{raw}");
        }
    }

    #[test]
    fn another_buffer_gives_no_panic() {
        let bytes = Bytes::from_static(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = RequestReader::default().read(&bytes, &HeadLimits::default()).unwrap().unwrap();
        assert!(head.into_parts(&Bytes::from_static(b"GET")).is_err());
    }
}
