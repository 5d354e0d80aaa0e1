//! What holds of HTTP/1.1 messages, whatever their bytes: driven by the fuzz targets `http1_*`, and for a bounded time by
//! `crates/portcullis-http1/tests/random.rs`.

use bytes::Bytes;
use http::HeaderMap;
use portcullis_http1::{
    BodyLength, BodyLimits, BodyReader, ForbiddenTrailers, Framing, HeadLimits, Part, Refusal, RequestHead,
    RequestReader, ResponseBody, ResponseHead, ResponseReader, trailer, write,
};

/// The places at which bytes are split: all of a short text, some of a long one.
fn splits(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length / 200 + 1)
}

/// What a reader says, whether it is given all bytes at once, in two parts, or one after the other.
fn same_however_split<H: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    mut read: impl FnMut(&[usize]) -> Result<Option<H>, Refusal>,
) -> Option<H> {
    let whole = read(&[bytes.len()]);
    let same = |split: Result<Option<H>, Refusal>, ends: &[usize]| match (&whole, &split) {
        // Which of several faults is named may differ, as some come to light before others arrive.
        (Err(_), Err(_)) => {}
        (left, right) => assert_eq!(left, right, "split at {ends:?}"),
    };
    for end in splits(bytes.len()) {
        let ends = [end, bytes.len()];
        same(read(&ends), &ends);
    }
    let each: Vec<usize> = splits(bytes.len()).chain([bytes.len()]).collect();
    same(read(&each), &[]);
    whole.ok().flatten()
}

/// Bounds for a head that was written after it was read: it may have got one field more, for its framing, and a space in
/// each.
fn with_room() -> HeadLimits {
    let read = HeadLimits::default();
    HeadLimits {
        max_fields: read.max_fields + 1,
        max_field_bytes: read.max_field_bytes + 1,
        max_head_bytes: read.max_head_bytes + read.max_fields + 64,
        ..read
    }
}

fn read_request(bytes: &[u8], ends: &[usize]) -> Result<Option<RequestHead>, Refusal> {
    read_request_within(bytes, ends, &HeadLimits::default())
}

fn read_request_within(
    bytes: &[u8],
    ends: &[usize],
    limits: &HeadLimits,
) -> Result<Option<RequestHead>, Refusal> {
    let mut reader = RequestReader::default();
    for end in ends {
        if let Some(head) = reader.read(&bytes[..*end], limits)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn read_response(bytes: &[u8], ends: &[usize]) -> Result<Option<ResponseHead>, Refusal> {
    read_response_within(bytes, ends, &HeadLimits::default())
}

fn read_response_within(
    bytes: &[u8],
    ends: &[usize],
    limits: &HeadLimits,
) -> Result<Option<ResponseHead>, Refusal> {
    let mut reader = ResponseReader::default();
    for end in ends {
        if let Some(head) = reader.read(&bytes[..*end], limits)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// What every head that was read is: lines that end with CRLF, and no byte that none may hold.
fn is_clean(head: &[u8], fields: usize) {
    assert!(head.ends_with(b"\r\n\r\n"));
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or_default();
    let mut lines = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let line = if lines == 0 { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.iter().any(|byte| matches!(byte, 0..=0x08 | 0x0a..=0x1f | 0x7f)), "{line:?}");
        if !line.is_empty() {
            lines += 1;
            assert!(lines == 1 || !matches!(line, [b' ' | b'\t', ..]), "{line:?}");
            assert!(lines == 1 || line.contains(&b':'), "{line:?}");
        }
    }
    assert_eq!(lines, fields + 1, "as many fields as lines");
}

fn pairs(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut pairs: Vec<_> =
        map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    // The order of fields with different names means nothing (RFC 9110, section 5.3), and the sort is stable.
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    pairs
}

/// A request head has one reading, however it arrives. Whether it was read.
pub(crate) fn request(bytes: &[u8]) -> bool {
    let Some(head) = same_however_split(bytes, |ends| read_request(bytes, ends)) else { return false };
    assert!(head.length() <= bytes.len());
    let view = head.view(bytes);
    is_clean(&bytes[..head.length()], view.fields().count());
    assert!(!view.method().is_empty() && !view.target().is_empty());
    assert!(view.target().bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'#'));
    let count =
        |name: &str| view.fields().filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).count();
    assert!(count("host") <= 1);
    match head.framing() {
        Framing::None => assert_eq!(count("content-length") + count("transfer-encoding"), 0),
        Framing::Length(_) => {
            assert_eq!((count("content-length"), count("transfer-encoding")), (1, 0));
        }
        Framing::Chunked => assert_eq!((count("content-length"), count("transfer-encoding")), (0, 1)),
    }
    // What follows changes nothing.
    let mut longer = bytes[..head.length()].to_vec();
    longer.extend_from_slice(b"\r\n\nGET / HTTP/1.1\n\n");
    assert_eq!(read_request(&longer, &[longer.len()]), Ok(Some(head.clone())));
    body_of(&bytes[head.length()..], head.framing().into());
    true
}

/// The same of a response head, and of what follows it.
pub(crate) fn response(bytes: &[u8]) -> bool {
    let Some(head) = same_however_split(bytes, |ends| read_response(bytes, ends)) else { return false };
    is_clean(&bytes[..head.length()], head.view(bytes).fields().count());
    assert!((100..1000).contains(&head.status()));
    for method in ["GET", "HEAD", "CONNECT"] {
        match head.body(method) {
            Ok(ResponseBody::Body(length)) => {
                assert!(head.status() >= 200 && !matches!(head.status(), 204 | 304) && method != "HEAD");
                body_of(&bytes[head.length()..], length);
            }
            Ok(ResponseBody::AnotherHead) => assert!((100..200).contains(&head.status())),
            Ok(ResponseBody::AnotherProtocol) => assert!(head.status() == 101 || method == "CONNECT"),
            Ok(ResponseBody::Nothing) => {
                assert!(method == "HEAD" || matches!(head.status(), 204 | 304));
            }
            Err(_) => assert!((100..200).contains(&head.status())),
        }
    }
    true
}

/// The content of a body, how many bytes it took, and its trailers.
type Read = (Vec<u8>, Option<usize>, Option<HeaderMap>);

fn read_body(bytes: &[u8], length: BodyLength, step: usize) -> Result<Read, Refusal> {
    let limits = BodyLimits { forbidden_trailers: ForbiddenTrailers::Drop, ..BodyLimits::default() };
    let mut reader = BodyReader::new(length, limits);
    let (mut content, mut used, mut arrived) = (Vec::new(), 0, 0);
    loop {
        assert!(used <= arrived && arrived <= bytes.len());
        match reader.read(&bytes[used..arrived])? {
            Part::Data(range) => {
                assert!(!range.is_empty(), "no progress");
                content.extend_from_slice(&bytes[used..arrived][range.clone()]);
                used += range.end;
            }
            Part::End(size) => {
                assert!(reader.is_complete());
                return Ok((content, Some(used + size), reader.take_trailers()));
            }
            Part::More(size) => {
                used += size;
                assert_eq!(used, arrived, "what has arrived is used up");
                if arrived == bytes.len() {
                    return Ok((content, None, None));
                }
                arrived = bytes.len().min(arrived + step);
            }
        }
    }
}

fn body_of(bytes: &[u8], length: BodyLength) -> Option<Read> {
    let whole = read_body(bytes, length, usize::MAX);
    for step in [1, 2, 3, 7, 64] {
        match (&whole, read_body(bytes, length, step)) {
            (Err(_), Err(_)) => {}
            (left, right) => assert_eq!(*left, right, "in steps of {step}"),
        }
    }
    let (content, end, trailers) = whole.ok()?;
    assert!(content.len() <= bytes.len());
    let end = end?;
    // What follows changes nothing.
    let mut longer = bytes[..end].to_vec();
    longer.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(read_body(&longer, length, usize::MAX), Ok((content.clone(), Some(end), trailers.clone())));
    Some((content, Some(end), trailers))
}

/// A chunked body has one reading, and so has what is written of it.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let Some((content, _, trailers)) = body_of(bytes, BodyLength::Chunked) else { return false };
    let mut out = Vec::new();
    for chunk in content.chunks(1000) {
        write::chunk_begin(&mut out, chunk.len());
        out.extend_from_slice(chunk);
        write::chunk_end(&mut out);
    }
    write::last_chunk(&mut out, trailers.as_ref());
    for name in trailers.iter().flat_map(HeaderMap::keys) {
        assert!(trailer::is_allowed(name.as_str()), "{name}");
    }
    let length = out.len();
    out.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(read_body(&out, BodyLength::Chunked, usize::MAX), Ok((content, Some(length), trailers)));
    true
}

/// What is written of a head that was read is read as the same head.
pub(crate) fn round_trip(bytes: &[u8]) -> bool {
    let shared = Bytes::copy_from_slice(bytes);
    let mut seen = false;
    if let Ok(Some(head)) = read_request(bytes, &[bytes.len()]) {
        let framing = head.framing();
        if let Ok(parts) = head.into_parts(&shared)
            && let Some(target) = parts.uri.path_and_query()
            && parts.uri.authority().is_none()
        {
            let mut out = Vec::new();
            let body = framing.into();
            assert!(write::request_head(&mut out, &parts.method, target.as_str(), &parts.headers, body));
            // An answer to HTTP/1.0 may lack a host, a request that goes on does not.
            if parts.headers.contains_key("host") {
                let again = read_request_within(&out, &[out.len()], &with_room()).map(|head| {
                    head.map(|head| (head.framing(), head.into_parts(&Bytes::copy_from_slice(&out))))
                });
                let Ok(Some((again, Ok(second)))) = again else { panic!("{again:?}") };
                assert_eq!(BodyLength::from(again), BodyLength::from(framing));
                assert_eq!((second.method, second.uri), (parts.method, parts.uri));
                assert_eq!(without_framing(&second.headers), without_framing(&parts.headers));
                seen = true;
            }
        }
    }
    if let Ok(Some(head)) = read_response(bytes, &[bytes.len()])
        && let Ok(follows) = head.body("GET")
        && let Ok(parts) = head.into_parts(&shared)
    {
        let body = match follows {
            ResponseBody::Body(length) => Some(length),
            ResponseBody::Nothing | ResponseBody::AnotherHead | ResponseBody::AnotherProtocol => None,
        };
        let mut out = Vec::new();
        write::response_head(&mut out, parts.version, parts.status, &parts.headers, body);
        let again = read_response_within(&out, &[out.len()], &with_room())
            .unwrap_or_else(|refusal| panic!("{refusal}"));
        let Some(again) = again else { panic!("incomplete") };
        assert_eq!(again.body("GET"), Ok(follows));
        let Ok(second) = again.into_parts(&Bytes::copy_from_slice(&out)) else { panic!("no parts") };
        assert_eq!((second.status, second.version), (parts.status, parts.version));
        assert_eq!(without_framing(&second.headers), without_framing(&parts.headers));
        seen = true;
    }
    seen
}

fn without_framing(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut pairs = pairs(headers);
    pairs.retain(|(name, _)| name != "content-length" && name != "transfer-encoding");
    pairs
}
