//! The body of an upstream's answer. At its end the connection that it came by goes back to its pool, if it can be used
//! again; dropped before that, it is closed.

use super::http1::Connection;
use super::http2::Http2Body;
use super::pool::Pool;
use crate::upload::ForwardedBody;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use portcullis_http1::{BodyLength, BodyLimits, BodyReader, ForbiddenTrailers, Part};
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// The most that is read at once of a body, where nobody says otherwise.
const BODY_READ: usize = 64 * 1024;

/// The body of an answer, in either version of HTTP.
pub(crate) enum AnswerBody {
    Http1(Http1Body),
    Http2(Box<Http2Body>),
}

/// The body of an answer in HTTP/1.1.
pub(crate) struct Http1Body {
    /// `None` after its end.
    open: Option<Box<Open>>,
}

struct Open {
    connection: Box<Connection>,
    pool: Rc<Pool>,
    reader: BodyReader,
    /// The rest of the request.
    upload: Option<ForwardedBody>,
    persists: bool,
    /// The most that is read at once.
    most: usize,
    /// When the turn began in which it is read.
    now: Instant,
}

impl AnswerBody {
    /// The body that comes by this connection of HTTP/1.1. `upload` is what is left of the request, and `now` when this turn began.
    pub(crate) fn http1(
        connection: Box<Connection>,
        pool: Rc<Pool>,
        length: BodyLength,
        upload: Option<ForwardedBody>,
        persists: bool,
        now: Instant,
    ) -> AnswerBody {
        let limits = BodyLimits { forbidden_trailers: ForbiddenTrailers::Drop, ..BodyLimits::default() };
        let reader = BodyReader::new(length, limits);
        let mut body = Http1Body { open: None };
        let open = Box::new(Open { connection, pool, reader, upload, persists, most: BODY_READ, now });
        if open.reader.is_complete() {
            open.end()
        } else {
            body.open = Some(open)
        }
        AnswerBody::Http1(body)
    }
}

impl AnswerBody {
    /// The body that comes by a stream of HTTP/2.
    pub(crate) fn http2(body: Http2Body) -> AnswerBody {
        AnswerBody::Http2(Box::new(body))
    }

    /// It is read in a turn that began then. At the end of the answer, its connection has been idle since that time.
    pub(crate) fn turn(&mut self, now: Instant) {
        if let AnswerBody::Http1(Http1Body { open: Some(open) }) = self {
            open.now = now;
        }
    }

    /// Reads at most about so much at once from now on. Nobody is asked where the window of a stream decides that.
    pub(crate) fn read_at_once(&mut self, most: impl FnOnce() -> usize) {
        if let AnswerBody::Http1(Http1Body { open: Some(open) }) = self {
            open.most = most().max(1024);
        }
    }

    /// All of it has been read that was announced.
    pub(crate) fn finish(self) {
        match self {
            AnswerBody::Http2(mut body) => body.finish(),
            AnswerBody::Http1(_) => {}
        }
    }
}

impl Open {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, BoxError>> {
        if let Some(upload) = &mut self.upload {
            match self.connection.poll_upload(upload, cx) {
                Poll::Ready(Ok(())) => self.upload = None,
                Poll::Ready(Err(())) => return Poll::Ready(Err("the body of the request broke off".into())),
                Poll::Pending => {}
            }
        }
        loop {
            match self.reader.read(&self.connection.input)? {
                Part::More(size) => self.connection.input.advance(size),
                part @ (Part::Data(_) | Part::End(_)) => return Poll::Ready(Ok(part)),
            }
            if self.connection.ended {
                self.reader.close()?;
                // Its end is that of the connection.
                self.persists = false;
                return Poll::Ready(Ok(Part::End(0)));
            }
            let left =
                self.reader.left().map_or(self.most, |left| usize::try_from(left).unwrap_or(self.most));
            if self.connection.poll_fill(cx, left.clamp(1024, self.most)).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What becomes of the connection at the end of the answer.
    ///
    /// SECURITY: a server that has answered before it had the whole request may not read the rest as such, but as the next
    /// request, or not at all (a_connection_with_an_early_answer_is_not_used_again).
    fn end(self) {
        let Open { mut connection, pool, upload, persists, now, .. } = self;
        match upload {
            Some(mut upload) if !connection.has_sent() => {
                tokio::task::spawn_local(async move {
                    connection.settle(&mut upload).await;
                });
            }
            Some(_) | None if persists && connection.has_sent() => pool.keep_http1(connection, now),
            Some(_) | None => {}
        }
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Http1Body {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        match open.poll_data(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Part::Data(range))) => {
                open.connection.input.advance(range.start);
                let data = open.connection.input.split_to(range.len()).freeze();
                if open.reader.is_complete()
                    && let Some(open) = self.open.take()
                {
                    open.end();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Ok(Part::End(size) | Part::More(size))) => {
                open.connection.input.advance(size);
                let trailers = open.reader.take_trailers();
                if let Some(open) = self.open.take() {
                    open.end();
                }
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Poll::Ready(Err(error)) => {
                self.open = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            AnswerBody::Http1(body) => body.poll_frame(cx),
            AnswerBody::Http2(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Http1(body) => body.open.is_none(),
            AnswerBody::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Http1(body) => match &body.open {
                None => SizeHint::with_exact(0),
                Some(open) => open.reader.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            },
            AnswerBody::Http2(body) => body.size_hint(),
        }
    }
}
