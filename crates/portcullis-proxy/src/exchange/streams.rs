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
    headers.get(CONTENT_TYPE).is_some_and(|value| is_calls(value.as_bytes()) || is_events(value.as_bytes()))
}

/// Whether a message is of a gRPC call.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| is_calls(value.as_bytes()))
}

fn is_calls(media_type: &[u8]) -> bool {
    // `application/grpc+proto` and the like are calls; `application/grpc-web` is another protocol, without trailers.
    after(media_type, b"application/grpc").is_some_and(|rest| match rest.split_first() {
        Some((b'+', format)) => !format.is_empty(),
        _ => is_end(rest),
    })
}

fn is_events(media_type: &[u8]) -> bool {
    after(media_type, b"text/event-stream").is_some_and(is_end)
}

/// What follows a type, in any case.
fn after<'a>(media_type: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = media_type.split_at_checked(wanted.len())?;
    start.eq_ignore_ascii_case(wanted).then_some(rest)
}

/// Whether the type ends here, and at most parameters follow.
fn is_end(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b';' | b' ' | b'\t'))
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
