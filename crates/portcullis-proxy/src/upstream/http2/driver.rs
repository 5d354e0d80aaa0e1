//! Runs a connection of HTTP/2 to an upstream.
//!
//! While requests run, a server that has been silent for [`SILENCE`], or that has let a request's time run out, is sent a PING
//! (RFC 9113, section 6.7). Without an answer in [`PATIENCE`] the connection is dropped, and its requests fail. Servers of gRPC
//! take pings more often than every five minutes for abuse, so silence alone is asked about later than that.

use crate::stream::Stream;
use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a server may be silent while requests run before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(310);
/// How long it may take to answer that.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a connection's driver and its requests tell each other.
pub(in crate::upstream) struct Signals {
    heard: Cell<Instant>,
    busy: Cell<bool>,
    doubted: Cell<bool>,
    doubt: Notify,
    released: Notify,
    over: Cell<bool>,
    settled: Cell<bool>,
    settles: Notify,
}

impl Signals {
    pub(super) fn new() -> Signals {
        Signals {
            heard: Cell::new(Instant::now()),
            busy: Cell::new(false),
            doubted: Cell::new(false),
            doubt: Notify::new(),
            released: Notify::new(),
            over: Cell::new(false),
            settled: Cell::new(false),
            settles: Notify::new(),
        }
    }

    /// The server has said something.
    pub(super) fn heard(&self) {
        self.heard.set(Instant::now());
        self.doubted.set(false);
    }

    /// Whether requests run.
    pub(super) fn busy(&self, busy: bool) {
        self.busy.set(busy);
    }

    /// The server may be gone.
    pub(super) fn doubt(&self) {
        if !self.doubted.replace(true) {
            self.doubt.notify_one();
        }
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubted.get()
    }

    /// Nobody will use the connection any more.
    pub(super) fn release(&self) {
        self.released.notify_one();
    }

    /// Whether the server has said how many streams it takes (SETTINGS), or never will.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    fn settle(&self) {
        if !self.settled.replace(true) {
            self.settles.notify_waiters();
        }
    }

    /// Done when the server has said how many streams it takes, or never will.
    pub(in crate::upstream) async fn settled(&self) {
        let settles = self.settles.notified();
        if !self.is_settled() {
            settles.await;
        }
    }

    /// Whether the connection is over.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }
}

/// Runs a connection until it has ended, the server is gone, or nobody needs it. `said` tells whether so many streams are what
/// the server has said that it takes.
pub(super) async fn drive(
    mut connection: Connection<Stream, Bytes>,
    said: impl Fn(usize) -> bool,
    signals: Rc<Signals>,
) {
    let pings = connection.ping_pong();
    let mut connection = Box::pin(connection);
    let mut connection = poll_fn(|cx| {
        let ended = connection.as_mut().poll(cx);
        if !signals.is_settled() && said(connection.max_concurrent_send_streams()) {
            signals.settle();
        }
        ended
    });
    tokio::select! {
        // Its failure is told to whoever waits for an answer.
        _told = &mut connection => {}
        () = gone(pings, &signals) => {}
        () = signals.released.notified() => {
            // SECURITY: a server that neither reads nor closes would keep the connection for ever
            // (an_upstream_that_stops_reading_keeps_nothing).
            let _late = tokio::time::timeout(GOODBYE, &mut connection).await;
        }
    }
    signals.over.set(true);
    signals.settle();
}

/// Done when the server does not answer a PING.
async fn gone(pings: Option<PingPong>, signals: &Signals) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        let since = signals.heard.get();
        let mut silence = pin!(tokio::time::sleep_until((since + SILENCE).into()));
        tokio::select! {
            () = &mut silence => {
                if !signals.busy.get() {
                    signals.heard.set(Instant::now());
                }
                if signals.heard.get() != since {
                    continue;
                }
            }
            () = signals.doubt.notified() => {}
        }
        if pings.send_ping(Ping::opaque()).is_err() {
            return;
        }
        match tokio::time::timeout(PATIENCE, poll_fn(|cx| pings.poll_pong(cx))).await {
            Ok(Ok(_)) => signals.heard(),
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
