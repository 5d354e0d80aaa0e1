//! A connection of HTTP/1.1 to an upstream, driven by the task of the request that uses it.
//!
//! The head of the request is written from what was judged straight into the output. The body follows while the answer is
//! waited for, and while it is read: an upstream may answer before it has the whole request. Answers are read by
//! `portcullis-http1`, as strictly as requests: one with two framings is one that somebody has split.

use super::config::Upstream;
use super::interim::{Interim, MAX_INTERIM};
use crate::output::Output;
use crate::stream::Stream;
use crate::upload::ForwardedBody;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body::Body;
use portcullis_http1::{BodyLength, HeadLimits, Refusal, ResponseBody, ResponseReader, Version, write};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// How much is read at once where a head is expected.
const HEAD_READ: usize = 8 * 1024;
/// How long an upstream that has answered may take no more of the request.
const SETTLE: Duration = Duration::from_secs(1);
/// For how many times that its client may send no more of it.
const SETTLE_CLIENT: u32 = 30;

/// A connection.
pub(crate) struct Connection {
    stream: Stream,
    opened: Instant,
    /// How many requests it was given.
    begun: u64,
    /// Those of an answer's head.
    limits: HeadLimits,
    pub(super) input: BytesMut,
    output: Output,
    reader: ResponseReader,
    /// Nothing more comes in.
    pub(super) ended: bool,
    /// Nothing more goes out.
    broken: bool,
    /// How the body of the request goes out, and whether all of it has been handed to the output.
    framing: BodyLength,
    complete: bool,
    interim: Vec<Interim>,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// Not a byte of the request has gone out.
    Unsent,
    /// The connection was closed before the answer.
    Closed(&'static str),
    /// What came is no answer.
    Malformed(Refusal),
    /// The body of the request broke off.
    Upload,
}

/// The head of an answer, and what follows it.
pub(crate) struct Head {
    pub(crate) parts: http::response::Parts,
    pub(crate) follows: ResponseBody,
    /// Whether the connection can be used again afterwards.
    pub(crate) persists: bool,
}

impl Connection {
    pub(crate) fn new(stream: Stream, upstream: &Upstream) -> Connection {
        let limits = HeadLimits {
            max_target_bytes: 0,
            max_fields: upstream.max_head_fields,
            max_field_bytes: upstream.max_head_bytes,
            max_head_bytes: upstream.max_head_bytes,
        };
        Connection {
            stream,
            opened: Instant::now(),
            begun: 0,
            limits,
            input: BytesMut::new(),
            output: Output::default(),
            reader: ResponseReader::default(),
            ended: false,
            broken: false,
            framing: BodyLength::Exact(0),
            complete: true,
            interim: Vec::new(),
        }
    }

    /// Whether the upstream keeps silent on a connection without a request. If it does not, it has closed it, or has
    /// answered what nobody asked: the answer to the next request would be another one's.
    pub(crate) fn is_quiet(&mut self) -> bool {
        // SECURITY: bytes that nobody asked for would be read as the next answer
        // (unsolicited_bytes_close_an_idle_connection).
        self.input.is_empty()
            && !self.ended
            && self.output.is_empty()
            && self.poll_fill(&mut Context::from_waker(Waker::noop()), 1).is_pending()
    }

    /// Whether it may carry another request, by its age and how many it has carried.
    pub(crate) fn is_fresh(&self, upstream: &Upstream, now: Instant) -> bool {
        self.begun < upstream.max_requests && now.saturating_duration_since(self.opened) < upstream.max_age
    }

    /// Gives the memory back, because there is no request.
    pub(crate) fn rest(&mut self) {
        self.output.rest();
        self.input = BytesMut::new();
        self.interim = Vec::new();
    }

    /// Begins a request. `false` where it has no form in HTTP/1.1, which no canonical target brings about.
    pub(crate) fn begin(&mut self, parts: &Parts, body: &ForwardedBody) -> bool {
        self.begun = self.begun.saturating_add(1);
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        self.framing = length.map_or(BodyLength::Chunked, BodyLength::Exact);
        self.complete = length == Some(0);
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut begun = false;
        let framing = self.framing;
        self.output.put(|out| {
            begun = write::request_head(out, &parts.method, target, &parts.headers, framing);
        });
        begun
    }

    /// Sends more of the request. Ready when all of it has gone out, or nothing more will.
    ///
    /// # Errors
    /// Its body broke off.
    pub(crate) fn poll_upload(
        &mut self,
        body: &mut ForwardedBody,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        loop {
            if self.broken {
                return Poll::Ready(Ok(()));
            }
            if self.complete || self.output.is_full() {
                match self.poll_flush(cx) {
                    Poll::Ready(()) if self.complete => return Poll::Ready(Ok(())),
                    Poll::Ready(()) => continue,
                    Poll::Pending => return Poll::Pending,
                }
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailer fields of requests go nowhere.
                    let Ok(data) = frame.into_data() else { continue };
                    match self.framing {
                        BodyLength::Chunked => self.output.put_chunk(data),
                        BodyLength::Exact(_) | BodyLength::UntilClose => self.output.put_data(data),
                    }
                }
                Poll::Ready(None) => {
                    if self.framing == BodyLength::Chunked {
                        self.output.put_last_chunk();
                    }
                    self.complete = true;
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(())),
                Poll::Pending => {
                    let _pending = self.poll_flush(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether the whole request has gone out.
    pub(crate) fn has_sent(&self) -> bool {
        self.complete && !self.broken && self.output.is_empty()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.output.poll_flush(&mut self.stream, cx, || {}).map(|flushed| self.broken |= flushed.is_err())
    }

    /// Sends the request and waits for the head of its answer.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) fn poll_answer(
        &mut self,
        method: &str,
        body: &mut ForwardedBody,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Failure>> {
        if let Poll::Ready(Err(())) = self.poll_upload(body, cx) {
            return Poll::Ready(Err(Failure::Upload));
        }
        loop {
            match self.head(method) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Err(Failure::Malformed(refusal))),
            }
            if self.ended {
                return Poll::Ready(Err(match (self.output.taken(), self.input.is_empty()) {
                    (0, _) => Failure::Unsent,
                    (_, true) => Failure::Closed("the upstream closed the connection before its answer"),
                    (_, false) => {
                        Failure::Closed("the upstream closed the connection within its answer's head")
                    }
                }));
            }
            if self.poll_fill(cx, HEAD_READ).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The head of the answer, once it has come in. Informational answers before it are put aside.
    fn head(&mut self, method: &str) -> Result<Option<Head>, Refusal> {
        while !self.input.is_empty() {
            let Some(head) = self.reader.read(&self.input, &self.limits)? else { return Ok(None) };
            let follows = head.body(method)?;
            let bytes = self.input.split_to(head.length()).freeze();
            let persists = head.persistence(follows) == portcullis_http1::Persistence::KeepAlive
                && head.version() == Version::Http11;
            let parts = head.into_parts(&bytes)?;
            if follows != ResponseBody::AnotherHead {
                return Ok(Some(Head { parts, follows, persists }));
            }
            // A 100 is for the gateway, which asks for none (RFC 9110, section 15.2).
            if parts.status != http::StatusCode::CONTINUE && self.interim.len() < MAX_INTERIM {
                self.interim.push(Interim { status: parts.status, headers: parts.headers });
            }
        }
        Ok(None)
    }

    /// The informational answers that have come since the last call.
    pub(crate) fn take_interim(&mut self) -> Vec<Interim> {
        std::mem::take(&mut self.interim)
    }

    /// Reads at most about so much of the answer. Ready when something has come in, or nothing more will.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        if self.input.is_empty() && self.stream.poll_is_silent(cx) {
            return Poll::Pending;
        }
        self.input.reserve(size);
        // The future keeps nothing between two polls.
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Ready(Ok(size)) if size > 0 => Poll::Ready(()),
            Poll::Ready(Ok(_) | Err(_)) => {
                self.ended = true;
                Poll::Ready(())
            }
            Poll::Pending => {
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                Poll::Pending
            }
        }
    }

    /// Sends the rest of a request that has been answered already, as long as the upstream takes it.
    pub(super) async fn settle(&mut self, body: &mut ForwardedBody) {
        let mut idle = 0;
        loop {
            let before = self.output.taken();
            let sent = poll_fn(|cx| self.poll_upload(body, cx));
            match tokio::time::timeout(SETTLE, sent).await {
                Ok(Ok(()) | Err(())) => return,
                // SECURITY: who neither reads nor closes would keep the connection for ever
                // (an_upstream_that_answers_early_and_stops_keeps_no_connection). A client of HTTP/1.1 has deadlines of its
                // own; a stream of HTTP/2 that has its answer has none.
                Err(_) if self.output.taken() == before => {
                    idle += 1;
                    if !self.output.is_empty() || idle >= SETTLE_CLIENT {
                        return;
                    }
                }
                Err(_) => idle = 0,
            }
        }
    }

    /// The connection and what has come in, for the protocol that was switched to.
    pub(crate) fn into_stream(self) -> (Stream, Bytes) {
        (self.stream, self.input.freeze())
    }
}
