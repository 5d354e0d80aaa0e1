//! A connection's bytes: what has come in and was not read yet, and what is to go out.
//!
//! Both buffers are there only while they hold something, so an idle connection has none.

use super::incoming::{Incoming, Piece};
use crate::exchange::life::Life;
use crate::output::Output;
use crate::stream::Stream;
use bytes::{Bytes, BytesMut};
use portcullis_http1::Refusal;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncReadExt;

/// How much is read at once where a head is expected.
pub(super) const HEAD_READ: usize = 4 * 1024;
/// The most that is read at once of a body.
const BODY_READ: usize = 64 * 1024;
/// How much may lie here unread while a request is served.
const MAX_AHEAD: usize = 16 * 1024;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The stream of a connection with its buffers.
pub(super) struct Io {
    /// `None` once the connection is over for HTTP.
    stream: Option<Stream>,
    life: Rc<Life>,
    pub(super) input: BytesMut,
    /// Nothing more comes in.
    pub(super) ended: bool,
    pub(super) output: Output,
    /// The body of the request that is served, if it has one.
    pub(super) body: Option<Incoming>,
    /// The number of that body. Who still holds the handle of an earlier one reads and ends nothing of this one.
    pub(super) number: u64,
    /// Wakes the connection's own task.
    pub(super) task: Option<Waker>,
    /// Wakes another task that reads the body.
    pub(super) reader: Option<Waker>,
}

impl Io {
    pub(super) fn new(stream: Stream, life: Rc<Life>) -> Io {
        Io {
            stream: Some(stream),
            life,
            input: BytesMut::new(),
            ended: false,
            output: Output::default(),
            body: None,
            number: 0,
            task: None,
            reader: None,
        }
    }

    /// The stream and what was read ahead, for what comes after HTTP. Whoever still reads a body learns that it broke off.
    pub(super) fn take(&mut self) -> (Option<Stream>, Bytes) {
        self.ended = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        (self.stream.take(), std::mem::take(&mut self.input).freeze())
    }

    /// Notes whose turn it is, so that a reader of the body knows whether it is part of the same task.
    pub(super) fn enter(&mut self, cx: &Context<'_>) {
        match &mut self.task {
            Some(task) => task.clone_from(cx.waker()),
            None => self.task = Some(cx.waker().clone()),
        }
    }

    /// Reads at most about so much. Ready when something has come in, or nothing more will.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<()> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) else {
            self.ended = true;
            return Poll::Ready(());
        };
        if self.input.is_empty() && stream.poll_is_silent(cx) {
            return Poll::Pending;
        }
        self.input.reserve(size);
        // The future keeps nothing between two polls.
        let read = pin!(stream.read_buf(&mut self.input)).poll(cx);
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

    /// Does what can be done while something else is waited for: what is to go out goes out, and a little is read ahead, so
    /// that a client that goes away is noticed. Whether it has gone away.
    pub(super) fn poll_beside(&mut self, cx: &mut Context<'_>) -> bool {
        self.enter(cx);
        if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
            self.ended = true;
        }
        while !self.ended && self.input.len() < MAX_AHEAD && self.poll_fill(cx, HEAD_READ).is_ready() {
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
        // Where a body is still read, its reader says what its early end means.
        self.ended && !self.body.as_ref().is_some_and(Incoming::is_being_read)
    }

    /// The next bytes of the request's body; `None` after the last. Only the connection's own task reads from the socket.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            if body.takes_expectation() {
                self.output.put(|out| out.extend_from_slice(CONTINUE));
                continue;
            }
            match body.next(&mut self.input) {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::Nothing) => {}
                Err(refusal) => return Poll::Ready(Some(Err(refusal))),
            }
            if self.ended {
                return Poll::Ready(Some(body.fail(Refusal::Incomplete)));
            }
            let left = body.left().map_or(BODY_READ, |left| usize::try_from(left).unwrap_or(BODY_READ));
            if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                self.reader = Some(cx.waker().clone());
                if let Some(task) = &self.task {
                    task.wake_by_ref();
                }
                return Poll::Pending;
            }
            if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
                self.ended = true;
            } else if self.poll_fill(cx, left.clamp(1024, BODY_READ)).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Whether nobody reads the request's body, and too much of it is left to be skipped.
    pub(super) fn body_is_lost(&mut self) -> bool {
        let Some(body) = &mut self.body else { return false };
        // A client that sends its body does not wait for a 100 any more.
        if !self.input.is_empty() {
            body.takes_expectation();
        }
        body.is_lost() && !body.is_being_read()
    }

    /// Nobody reads the request's body any more.
    pub(super) fn give_up_body(&mut self) {
        self.reader = None;
        if let Some(body) = &mut self.body {
            body.give_up();
        }
        // The connection may wait for it.
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Writes until everything has gone out.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let flushed = self.output.poll_flush(stream, cx, || self.life.wrote_some());
        if flushed.is_pending() {
            self.life.write_blocks();
        }
        flushed
    }

    /// Gives the buffers back, because the connection is idle.
    pub(super) fn rest(&mut self) {
        self.output.rest();
        self.body = None;
        self.reader = None;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }
}
