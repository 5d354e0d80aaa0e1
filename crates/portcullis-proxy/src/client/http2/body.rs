//! The body of a request that comes on a stream.
//!
//! Its window is opened again as parts are given out, so a client sends no more than is read, and its window, ahead.

use crate::body::{BodyFault, ClientBody, Reader};
use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_LENGTH, HeaderMap};
use std::task::{Context, Poll, ready};

struct StreamBody {
    parts: RecvStream,
    remaining: Option<u64>,
}

/// The body of the request with this head.
pub(super) fn body(headers: &HeaderMap, parts: RecvStream) -> ClientBody {
    if parts.is_end_stream() {
        return ClientBody::empty();
    }
    // h2 has compared it with what comes; a head that has several is refused before anybody reads (RFC 9110, section 8.6).
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    ClientBody::new(StreamBody { parts, remaining: length })
}

impl Reader for StreamBody {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        let fault = |error: &h2::Error| BodyFault::new(error.to_string());
        Poll::Ready(match ready!(self.parts.poll_data(cx)) {
            Some(Ok(data)) => {
                self.remaining = self.remaining.map(|left| left.saturating_sub(data.len() as u64));
                match self.parts.flow_control().release_capacity(data.len()) {
                    Ok(()) => Some(Ok(data)),
                    Err(error) => Some(Err(fault(&error))),
                }
            }
            Some(Err(error)) => Some(Err(fault(&error))),
            None => None,
        })
    }

    fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    fn is_complete(&self) -> bool {
        self.parts.is_end_stream()
    }
}
