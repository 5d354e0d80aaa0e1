//! A connection of HTTP/2 to an upstream, which requests share.
//!
//! It takes another request while the server lets it (SETTINGS_MAX_CONCURRENT_STREAMS), until the server says goodbye
//! (GOAWAY), until it is too old or has carried enough, and while nothing gives reason to think that the server is gone. A
//! connection that takes no more is closed when its last stream has ended.

use super::driver::{self, Signals};
use crate::stream;
use crate::upstream::Upstream;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// How much of an answer may come before its client takes it. All streams of a connection together may have as much each, so
/// that clients that do not read hold up nobody else's answer.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;
/// How much of a request's body is kept for a server that has opened its window.
const SEND_BUFFER: usize = 64 * 1024;
/// How many streams h2 takes the server to let have until it has said so. No server says this.
const UNSAID: usize = 0x7fff_fff1;
/// How many more requests than were answered may be given up on a connection before it takes no more. A server that is sent
/// many resets takes their sender for an attacker (CVE-2023-44487), and would end all requests of the connection.
const GIVEN_UP: u64 = 50;

/// A connection.
pub(in crate::upstream) struct Http2Connection {
    sender: SendRequest<Bytes>,
    signals: Rc<Signals>,
    opened: Instant,
    /// Streams that have not ended.
    streams: Cell<usize>,
    /// Requests that it was given.
    begun: Cell<u64>,
    answered: Cell<u64>,
    given_up: Cell<u64>,
    /// Since when it has no stream.
    idle_since: Cell<Instant>,
}

impl Http2Connection {
    /// The most requests at once on a connection, even if the server takes more.
    pub(in crate::upstream) const MAX_STREAMS: usize = 100;

    /// Speaks HTTP/2 on this stream.
    ///
    /// # Errors
    /// The stream takes nothing.
    pub(in crate::upstream) async fn begin(
        stream: stream::Stream,
        upstream: &Upstream,
    ) -> Result<Http2Connection, h2::Error> {
        let (sender, connection) = Builder::new()
            .enable_push(false)
            .max_header_list_size(u32::try_from(upstream.max_head_bytes).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(UNSAID)
            .max_send_buffer_size(SEND_BUFFER)
            .handshake(stream)
            .await?;
        let signals = Rc::new(Signals::new());
        let said = |most| most != UNSAID;
        tokio::task::spawn_local(driver::drive(connection, said, Rc::clone(&signals)));
        let now = Instant::now();
        Ok(Http2Connection {
            sender,
            signals,
            opened: now,
            streams: Cell::new(0),
            begun: Cell::new(0),
            answered: Cell::new(0),
            given_up: Cell::new(0),
            idle_since: Cell::new(now),
        })
    }

    /// How many streams at once the server lets have, as far as it has said so.
    pub(in crate::upstream) fn most_streams(&self) -> usize {
        self.sender.current_max_send_streams().min(Http2Connection::MAX_STREAMS)
    }

    /// Whether it will ever take another request.
    pub(in crate::upstream) fn is_open(&self, upstream: &Upstream, now: Instant) -> bool {
        // h2 knows of the server's goodbye, and of its end.
        let ready = self.sender.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Ok(())) | Poll::Pending)
            && !self.signals.is_over()
            && now.saturating_duration_since(self.opened) < upstream.max_age
            && self.begun.get() < upstream.max_requests
            && self.given_up.get() <= self.answered.get().saturating_add(GIVEN_UP)
    }

    /// Whether it takes another request now. Before the server has said how many it takes, that is one.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        let most = if self.signals.is_settled() { self.most_streams() } else { 1 };
        self.streams.get() < most && !self.signals.is_in_doubt()
    }

    /// What tells when the server has said how many streams it takes, or never will.
    pub(in crate::upstream) fn signals(&self) -> Rc<Signals> {
        Rc::clone(&self.signals)
    }

    /// Since when it has no stream; `None` while it has one.
    pub(in crate::upstream) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }
}

impl Drop for Http2Connection {
    fn drop(&mut self) {
        self.signals.release();
    }
}

/// A place for a request on a connection. Dropped before the answer's end, the request was given up.
pub(crate) struct Stream {
    connection: Rc<Http2Connection>,
    /// Whether the connection has carried a request before.
    pub(crate) reused: bool,
    over: bool,
}

impl Stream {
    pub(in crate::upstream) fn of(connection: &Rc<Http2Connection>) -> Stream {
        let reused = connection.begun.get() > 0;
        connection.begun.set(connection.begun.get().saturating_add(1));
        connection.streams.set(connection.streams.get().saturating_add(1));
        connection.signals.busy(true);
        Stream { connection: Rc::clone(connection), reused, over: false }
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.connection.sender.clone()
    }

    /// The server has said something.
    pub(super) fn heard(&self) {
        self.connection.signals.heard();
    }

    /// The server has not said anything for too long; it is asked whether it is there.
    pub(crate) fn doubt(&self) {
        self.connection.signals.doubt();
    }

    /// The server has answered, or has refused the request by itself: that it is over is nobody's giving up.
    pub(super) fn over(&mut self) {
        self.over = true;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let connection = &self.connection;
        let count = if self.over { &connection.answered } else { &connection.given_up };
        count.set(count.get().saturating_add(1));
        let left = connection.streams.get().saturating_sub(1);
        connection.streams.set(left);
        if left == 0 {
            connection.idle_since.set(Instant::now());
            connection.signals.busy(false);
        }
    }
}
