//! The body of a request as its client's connection gives it out, in whichever version of HTTP.
//!
//! It is read on the worker's own thread, by the task of the request: a reader may share state with its connection.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Reads a body from a client's connection. Trailer fields are not given out.
pub(crate) trait Reader {
    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// The connection broke, or what came is no body. Nothing comes after an error.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>>;

    /// How many bytes are still to come; `None` where nobody knows.
    fn remaining(&self) -> Option<u64>;

    /// Whether there are no more. It may be `false` at the end until that was read.
    fn is_complete(&self) -> bool;
}

/// The body of a request; may be empty.
pub(crate) struct ClientBody(Option<Box<dyn Reader>>);

impl ClientBody {
    /// Not a byte.
    pub(crate) fn empty() -> ClientBody {
        ClientBody(None)
    }

    /// A body that comes in parts.
    pub(crate) fn new(reader: impl Reader + 'static) -> ClientBody {
        ClientBody(Some(Box::new(reader)))
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(reader) = &mut self.0 else { return Poll::Ready(None) };
        reader.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|reader| reader.is_complete())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(reader) = &self.0 else { return SizeHint::with_exact(0) };
        reader.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Why a body could not be read to its end.
#[derive(Debug)]
pub struct BodyFault(String);

impl BodyFault {
    pub(crate) fn new(detail: impl Into<String>) -> BodyFault {
        BodyFault(detail.into())
    }
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BodyFault {}
