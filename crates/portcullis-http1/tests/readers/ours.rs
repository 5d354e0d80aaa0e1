//! What we make of the bytes that a client sends, and what of them goes on.

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue, UPGRADE};
use portcullis_http1::{
    BodyLength, BodyLimits, BodyReader, ForbiddenTrailers, HeadLimits, Part, Persistence, RequestReader,
    write,
};

/// A request as a server has read it. The target is in origin form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

/// What a server is given, and what we read in it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) form: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) requests: Vec<Request>,
}

/// Asks for the end of a connection, so that a server that still waits for a body or a head is found out.
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The stream as the client sent it, up to the end of what we accept, and the same as it is forwarded.
pub(crate) fn streams(raw: &[u8]) -> Vec<Stream> {
    let mut requests = Vec::new();
    let (mut used, mut forwarded, mut open) = (0, Vec::new(), true);
    while open && let Some((request, length, persistence)) = next(&raw[used..], &mut forwarded) {
        requests.push(request);
        used += length;
        open = persistence == Persistence::KeepAlive;
    }
    if requests.is_empty() {
        return Vec::new();
    }
    let last = Request { method: "GET".into(), target: "/last".into(), body: Vec::new() };
    let complete = |form, mut bytes: Vec<u8>, open: bool| {
        let mut requests = requests.clone();
        if open {
            bytes.extend_from_slice(LAST);
            requests.push(last.clone());
        }
        Stream { form, bytes, requests }
    };
    vec![complete("raw", raw[..used].to_vec(), open), complete("forwarded", forwarded, true)]
}

/// The first request, how many bytes it has, and whether another may follow. `None` where it is refused or incomplete.
fn next(raw: &[u8], forwarded: &mut Vec<u8>) -> Option<(Request, usize, Persistence)> {
    let head = RequestReader::default().read(raw, &HeadLimits::default()).ok()??;
    let (framing, persistence) = (head.framing(), head.persistence());
    let mut used = head.length();
    let limits = BodyLimits { forbidden_trailers: ForbiddenTrailers::Drop, ..BodyLimits::default() };
    let mut reader = BodyReader::new(framing.into(), limits);
    let mut body = Vec::new();
    loop {
        match reader.read(&raw[used..]).ok()? {
            Part::Data(range) => {
                body.extend_from_slice(&raw[used..][range.clone()]);
                used += range.end;
            }
            Part::End(size) => {
                used += size;
                break;
            }
            Part::More(_) => return None,
        }
    }
    let mut parts = head.into_parts(&Bytes::copy_from_slice(raw)).ok()?;
    let target = origin(&parts.uri.to_string());
    let request = Request { method: parts.method.to_string(), target: target.clone(), body: body.clone() };
    for name in [CONNECTION, UPGRADE, EXPECT] {
        parts.headers.remove(name);
    }
    parts.headers.insert(HOST, HeaderValue::from_static("upstream"));
    let length = BodyLength::from(framing);
    assert!(write::request_head(forwarded, &parts.method, &target, &parts.headers, length));
    match length {
        BodyLength::Chunked => {
            // As parts arrive, whatever the client's chunks were.
            for part in body.chunks(3) {
                write::chunk_begin(forwarded, part.len());
                forwarded.extend_from_slice(part);
                write::chunk_end(forwarded);
            }
            write::last_chunk(forwarded, reader.take_trailers().as_ref());
        }
        BodyLength::Exact(_) | BodyLength::UntilClose => forwarded.extend_from_slice(&body),
    }
    Some((request, used, persistence))
}

/// A target in origin form. An empty query is none, because some servers cannot tell the two apart.
pub(crate) fn origin(target: &str) -> String {
    let path = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => match rest.find(['/', '?']) {
            Some(start) if rest[start..].starts_with('?') => format!("/{}", &rest[start..]),
            Some(start) => rest[start..].to_owned(),
            None => "/".to_owned(),
        },
        Some(_) | None => target.to_owned(),
    };
    path.strip_suffix('?').unwrap_or(&path).to_owned()
}
