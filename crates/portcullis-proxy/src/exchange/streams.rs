//! Messages that go on for as long as something happens: streams of events and of gRPC messages.
//!
//! They are silent while nothing happens, so the deadlines for the pauses of a body are an hour at least. A client that does
//! not take what there is is given up as ever.

use http::header::{CONTENT_TYPE, HeaderMap};
use std::time::Duration;

/// How long a stream may be silent, at least.
pub(crate) const IDLE: Duration = Duration::from_secs(3600);

/// Whether a message is such a stream, by its media type.
pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    is_call(headers) || has_type(headers, b"text/event-stream")
}

/// Whether a message is of a gRPC call.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    // `application/grpc+proto` and the like are calls; `application/grpc-web` is another protocol, without trailers.
    has_type(headers, b"application/grpc")
        || prefix(headers, b"application/grpc+").is_some_and(|rest| !rest.is_empty())
}

/// What follows a prefix of the media type, in any case.
fn prefix<'a>(headers: &'a HeaderMap, wanted: &[u8]) -> Option<&'a [u8]> {
    let value = headers.get(CONTENT_TYPE)?.as_bytes();
    let (start, rest) = value.split_at_checked(wanted.len())?;
    start.eq_ignore_ascii_case(wanted).then_some(rest)
}

fn has_type(headers: &HeaderMap, wanted: &[u8]) -> bool {
    prefix(headers, wanted).is_some_and(|rest| matches!(rest.first(), None | Some(b';' | b' ' | b'\t')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn streams_are_known_by_their_media_type() {
        let of = |kind: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
            (is_stream(&headers), is_call(&headers))
        };
        for kind in ["application/grpc", "Application/GRPC+proto", "application/grpc; x=y"] {
            assert_eq!(of(kind), (true, true), "{kind}");
        }
        for kind in ["text/event-stream", "text/event-stream;charset=utf-8", "TEXT/EVENT-STREAM"] {
            assert_eq!(of(kind), (true, false), "{kind}");
        }
        for kind in [
            "",
            "text/plain",
            "text/event-streams",
            "application/grpc-web",
            "application/grpc+",
            "x; application/grpc",
        ] {
            assert_eq!(of(kind), (false, false), "{kind}");
        }
        assert!(!is_stream(&HeaderMap::new()));
    }
}
