//! Writes heads and chunks into an output buffer.
//!
//! Names and values are those of the `http` crate, which hold no CR and no LF, so no message can be split by what is
//! written here. The framing fields are written from the [`BodyLength`] alone; those among the given fields are left out.

use crate::framing::BodyLength;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

/// Writes a request head in HTTP/1.1.
///
/// `target` is in origin form, such as [`PathAndQuery`](http::uri::PathAndQuery) has it. `fields` have `Host` among them.
/// A length of 0 is written for the methods of which a body is expected, `POST`, `PUT` and `PATCH`, because some servers
/// answer 411 without it (RFC 9110, section 8.6); otherwise a request without a body has no framing field.
///
/// Returns whether it was written. It is not where the target has a byte that no target holds, or where the body has no end
/// but the connection's, which a request cannot have.
pub fn request_head(
    out: &mut Vec<u8>,
    method: &Method,
    target: &str,
    fields: &HeaderMap,
    body: BodyLength,
) -> bool {
    // SECURITY: a space or a line end in the target would make two request lines of one (a_target_cannot_split_a_head).
    if target.is_empty() || !target.bytes().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..)) {
        return false;
    }
    let length = match body {
        BodyLength::UntilClose => return false,
        BodyLength::Exact(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => None,
        BodyLength::Exact(_) | BodyLength::Chunked => Some(body),
    };
    out.reserve(64 + target.len() + fields.len() * 48);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    end_to_end(out, fields);
    if let Some(length) = length {
        framing(out, length);
    }
    out.extend_from_slice(b"\r\n");
    true
}

/// Writes a response head.
///
/// `body` is `None` where the answer has no body whatever its fields say: to `HEAD`, and with 1xx, 204 and 304. A
/// `Content-Length` among `fields` then stays, because it says how long the body would be (RFC 9110, section 8.6), except
/// where none may be sent at all.
pub fn response_head(
    out: &mut Vec<u8>,
    version: Version,
    status: StatusCode,
    fields: &HeaderMap,
    body: Option<BodyLength>,
) {
    out.reserve(64 + fields.len() * 48);
    status_line(out, version, status);
    end_to_end(out, fields);
    match body {
        Some(length) => framing(out, length),
        None if status.is_informational() || status == StatusCode::NO_CONTENT => {}
        None => {
            if let Some(length) = fields.get(CONTENT_LENGTH) {
                field(out, &CONTENT_LENGTH, length);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a status line, with the reason phrase that the RFC has for this status.
pub fn status_line(out: &mut Vec<u8>, version: Version, status: StatusCode) {
    out.extend_from_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a field line.
pub fn field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes what comes before the data of a chunk. A size of 0, which would end the body, is left out.
pub fn chunk_begin(out: &mut Vec<u8>, size: usize) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    if size == 0 {
        return;
    }
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        let digit = (size >> (place * 4)) & 0xf;
        out.push(DIGITS.get(digit).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes what comes after the data of a chunk.
pub fn chunk_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk, and the trailer fields after it. Those that only a head may have are left out.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if crate::trailer::is_allowed(name.as_str()) {
            field(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn end_to_end(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            field(out, name, value);
        }
    }
}

fn framing(out: &mut Vec<u8>, body: BodyLength) {
    match body {
        BodyLength::Exact(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        BodyLength::UntilClose => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BodyLimits, BodyReader, Part};

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn request(method: &Method, target: &str, body: BodyLength) -> Option<String> {
        let mut out = Vec::new();
        let given = fields(&[("host", "a"), ("content-length", "7"), ("transfer-encoding", "gzip")]);
        request_head(&mut out, method, target, &given, body).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_request_has_the_framing_of_its_body_and_no_other() {
        let get = request(&Method::GET, "/a?b", BodyLength::Exact(0)).unwrap();
        assert_eq!(get, "GET /a?b HTTP/1.1\r\nhost: a\r\n\r\n");
        let post = request(&Method::POST, "/", BodyLength::Chunked).unwrap();
        assert_eq!(post, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        let put = request(&Method::PUT, "/", BodyLength::Exact(12)).unwrap();
        assert_eq!(put, "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 12\r\n\r\n");
        assert_eq!(request(&Method::POST, "/", BodyLength::UntilClose), None);
    }

    #[test]
    fn an_empty_body_has_its_length_where_one_is_expected() {
        for (method, length) in [
            (Method::POST, true),
            (Method::PUT, true),
            (Method::PATCH, true),
            (Method::GET, false),
            (Method::DELETE, false),
        ] {
            let head = request(&method, "/", BodyLength::Exact(0)).unwrap();
            assert_eq!(head.contains("content-length: 0\r\n"), length, "{method}");
        }
    }

    #[test]
    fn a_target_cannot_split_a_head() {
        for target in ["", "/ HTTP/1.1", "/\r\nx: y", "/\n", "/a b", "/\t", "/\0", "/\u{7f}"] {
            assert_eq!(request(&Method::GET, target, BodyLength::Exact(0)), None, "{target:?}");
        }
    }

    #[test]
    fn an_answer_says_where_its_body_ends() {
        let head = |status, version, list: &[_], body| {
            let mut out = Vec::new();
            response_head(&mut out, version, status, &fields(list), body);
            String::from_utf8(out).unwrap()
        };
        let length = &[("content-length", "5")][..];
        for (status, version, list, body, expected) in [
            (StatusCode::OK, Version::HTTP_11, length, None, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
            (StatusCode::NO_CONTENT, Version::HTTP_11, length, None, "HTTP/1.1 204 No Content\r\n\r\n"),
            (StatusCode::NOT_MODIFIED, Version::HTTP_11, &[], None, "HTTP/1.1 304 Not Modified\r\n\r\n"),
            (
                StatusCode::OK,
                Version::HTTP_11,
                length,
                Some(BodyLength::Exact(7)),
                "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
            ),
            (
                StatusCode::OK,
                Version::HTTP_10,
                length,
                Some(BodyLength::UntilClose),
                "HTTP/1.0 200 OK\r\n\r\n",
            ),
            (
                StatusCode::OK,
                Version::HTTP_11,
                &[],
                Some(BodyLength::Chunked),
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
        ] {
            assert_eq!(head(status, version, list, body), expected);
        }
        let unnamed =
            head(StatusCode::from_u16(299).unwrap(), Version::HTTP_11, &[], Some(BodyLength::Exact(0)));
        assert_eq!(unnamed, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn chunks_that_are_written_are_read() {
        for size in [1, 9, 10, 15, 16, 17, 255, 256, 65_536, 1_048_576] {
            let mut out = Vec::new();
            chunk_begin(&mut out, size);
            assert_eq!(out, format!("{size:x}\r\n").into_bytes());
            out.resize(out.len() + size, b'x');
            chunk_end(&mut out);
            let trailers = fields(&[("digest", "x"), ("host", "evil")]);
            last_chunk(&mut out, Some(&trailers));
            let mut reader = BodyReader::new(BodyLength::Chunked, BodyLimits::default());
            let Ok(Part::Data(range)) = reader.read(&out) else { panic!("{size}") };
            assert_eq!(range.len(), size);
            assert_eq!(reader.read(&out[range.end..]), Ok(Part::End(out.len() - range.end)));
            assert_eq!(reader.take_trailers().unwrap().len(), 1);
        }
        let mut out = Vec::new();
        chunk_begin(&mut out, 0);
        assert!(out.is_empty(), "an empty chunk would end the body");
    }
}
