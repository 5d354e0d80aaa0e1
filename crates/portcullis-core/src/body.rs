//! Bodies: under a cap while they stream, and whole once they have been judged.
//!
//! A cap ends a body with an error where it is exceeded, so no reader takes a part for the whole.

use crate::check::Inspected;
use crate::denial::{Code, Denial};
use bytes::{Buf, Bytes};
use http::header::{CONTENT_ENCODING, ETAG, HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// A body that was let through: one that streams and ends with an error where it exceeds its cap, or one that was held
/// until it was judged. Trailer fields, which nobody has judged, are dropped.
pub struct Capped<B>(Content<B>);

enum Content<B> {
    Streamed { inner: B, left: u64, received: Option<Arc<AtomicU64>>, ended: bool },
    Held(Bytes),
}

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub enum BodyRefused<E> {
    /// It was refused.
    Denied(Denial),
    /// The connection, or its framing, failed.
    Transport(E),
}

impl<E: std::fmt::Display> std::fmt::Display for BodyRefused<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BodyRefused::Denied(denial) => f.write_str(denial.detail()),
            BodyRefused::Transport(error) => error.fmt(f),
        }
    }
}

impl<E: std::fmt::Debug + std::fmt::Display> std::error::Error for BodyRefused<E> {}

impl<E: std::error::Error> From<BodyRefused<E>> for Denial {
    fn from(refused: BodyRefused<E>) -> Denial {
        match refused {
            BodyRefused::Denied(denial) => denial,
            BodyRefused::Transport(error) => {
                let cause = error.source().map_or(String::new(), |source| format!(": {source}"));
                Denial::new(Code::BodyMalformed, format!("{error}{cause}"))
            }
        }
    }
}

impl<B> Capped<B> {
    /// `received` counts the bytes; leave it out where there is no body.
    pub(crate) fn new(inner: B, cap: u64, received: Option<Arc<AtomicU64>>) -> Capped<B> {
        Capped(Content::Streamed { inner, left: cap, received, ended: false })
    }

    /// A body that was judged whole.
    pub(crate) fn held(bytes: Bytes) -> Capped<B> {
        Capped(Content::Held(bytes))
    }

    /// The whole of it, where it was held.
    pub(crate) fn as_held(&self) -> Option<&Bytes> {
        match &self.0 {
            Content::Held(bytes) => Some(bytes),
            Content::Streamed { .. } => None,
        }
    }

    /// Whether it is here already, so that nobody waits for a client to send it.
    pub fn is_held(&self) -> bool {
        matches!(self.0, Content::Held(_))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Capped<B> {
    type Data = Bytes;
    type Error = BodyRefused<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let (inner, left, received, ended) = match &mut self.0 {
            Content::Streamed { inner, left, received, ended } => (inner, left, received, ended),
            Content::Held(bytes) => {
                let bytes = std::mem::take(bytes);
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
        };
        if *ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                *ended = true;
                return Poll::Ready(Some(Err(BodyRefused::Transport(error))));
            }
            None => {
                *ended = true;
                return Poll::Ready(None);
            }
        };
        let Ok(data) = frame.into_data() else {
            *ended = true;
            return Poll::Ready(None);
        };
        let size = data.remaining() as u64;
        if let Some(received) = received {
            received.fetch_add(size, Ordering::Relaxed);
        }
        // SECURITY: the cap also holds for a body that did not announce its length (a_body_beyond_its_cap_is_cut).
        let Some(rest) = left.checked_sub(size) else {
            *ended = true;
            let denial = Denial::new(Code::BodyTooLarge, "the body grew beyond the cap");
            return Poll::Ready(Some(Err(BodyRefused::Denied(denial))));
        };
        *left = rest;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Streamed { inner, ended, .. } => *ended || inner.is_end_stream(),
            Content::Held(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Streamed { ended: true, .. } => SizeHint::with_exact(0),
            Content::Streamed { inner, .. } => inner.size_hint(),
            Content::Held(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// What becomes of the content coding of a body that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// It is as it was.
    Stays,
    /// The body has been decoded.
    Gone,
}

impl Inspected {
    /// The body that takes the place of the one that was sent, and what becomes of its content coding.
    pub(crate) fn replacement(self) -> Option<(Bytes, Coding)> {
        match self {
            Inspected::AsItIs => None,
            Inspected::Replaced(bytes) => Some((bytes, Coding::Stays)),
            Inspected::Decoded(bytes) => Some((bytes, Coding::Gone)),
        }
    }
}

/// Removes the fields that speak of the bytes of a body that was replaced (RFC 9530; RFC 9110, section 8.8.3).
pub(crate) fn forget_body(headers: &mut HeaderMap, coding: Coding) {
    const OF_THE_BYTES: [HeaderName; 5] = [
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("repr-digest"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("content-md5"),
        ETAG,
    ];
    for name in &OF_THE_BYTES {
        headers.remove(name);
    }
    if coding == Coding::Gone {
        headers.remove(CONTENT_ENCODING);
    }
}
