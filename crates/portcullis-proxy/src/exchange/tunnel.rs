//! What follows an upgrade: bytes in both directions, unread unless a check of the route reads the client's messages
//! ([`conversation`]).
//!
//! The account of the request stays open until the tunnel ends. It is served if one of both sides ended it, and aborted
//! if it broke, was idle for too long, or a drain began and its grace time is over: nothing else would end it before its clients
//! do. It has failed if what let it in is gone; then a WebSocket's client gets a close frame.

use super::conversation;
use super::seat::Seat;
use super::shares::Share;
use super::websocket::{Frames, POLICY_VIOLATION};
use crate::stream::Stream;
use crate::upstream::Switched;
use bytes::Bytes;
use portcullis_core::{Denial, Dialogue, Outcome, Recording};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// An upgrade that both sides agreed on.
pub(crate) struct Tunnel {
    upstream: Switched,
    idle: Duration,
    /// Whether what follows is a WebSocket's frames.
    websocket: bool,
    /// How long it may go on once a drain has begun.
    grace: Duration,
    recording: Recording,
    /// Who judges the client's messages.
    dialogue: Option<Box<Dialogue>>,
    /// The request's place among those of its client.
    share: Option<Share>,
    /// Its place at a server of a group.
    seat: Option<Box<Seat>>,
}

impl Tunnel {
    /// A tunnel that may be idle for `idle`, and has `grace` once a drain has begun.
    pub(crate) fn new(
        upstream: Switched,
        (idle, grace): (Duration, Duration),
        websocket: bool,
        recording: Recording,
    ) -> Tunnel {
        Tunnel { upstream, idle, websocket, grace, recording, dialogue: None, share: None, seat: None }
    }

    /// Has the client's messages judged.
    pub(super) fn hear(&mut self, dialogue: Option<Box<Dialogue>>) {
        self.dialogue = dialogue;
    }

    /// Keeps the request's place until the tunnel ends.
    pub(super) fn keep(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// Keeps the request's place at a server until the tunnel ends.
    pub(super) fn sit(&mut self, seat: Option<Box<Seat>>) {
        self.seat = seat;
    }

    /// Copies until one side ends it, it is idle for too long, its grace time after `drain` is over, or `revoked` says why it must end. `early` are
    /// bytes that the client sent before it had the answer.
    pub(crate) async fn run(
        self,
        client: Stream,
        early: Bytes,
        drain: impl Future<Output = ()>,
        revoked: impl Future<Output = Denial>,
    ) {
        let Tunnel {
            upstream: (upstream, first),
            idle: limit,
            websocket,
            grace,
            recording,
            dialogue,
            share: _share,
            seat: _seat,
        } = self;
        let active = Rc::new(Cell::new(Instant::now()));
        let mut client = Metered::new(client, early, &active);
        client.frames = websocket.then(Frames::default);
        let mut upstream = Metered::new(upstream, first, &active);
        let (read, written) = (Rc::clone(&client.read), Rc::clone(&client.written));
        let account = Account { recording: Some(recording), read, written };
        let outcome = tokio::select! {
            outcome = carry(&mut client, &mut upstream, dialogue) => outcome,
            () = idle(&active, limit) => Outcome::Aborted,
            () = async {
                drain.await;
                tokio::time::sleep(grace).await;
            } => Outcome::Aborted,
            denial = revoked => Outcome::Failed(denial),
        };
        let must_end = matches!(outcome, Outcome::Failed(_));
        account.close(outcome);
        drop(upstream);
        if must_end {
            // A client that does not read is cut off.
            let _late = tokio::time::timeout(FAREWELL, client.say_goodbye()).await;
        }
    }
}

/// Carries both directions until one side ends it.
async fn carry(client: &mut Metered, upstream: &mut Metered, dialogue: Option<Box<Dialogue>>) -> Outcome {
    let Some(dialogue) = dialogue else {
        return match tokio::io::copy_bidirectional(client, upstream).await {
            Ok(_) => Outcome::Served,
            Err(_) => Outcome::Aborted,
        };
    };
    // On the heap, so that a tunnel that nobody hears carries no room for it.
    match Box::pin(conversation::carry(client, upstream, dialogue)).await {
        Ok(None) => Outcome::Served,
        Ok(Some(denial)) => {
            // It has its close frame.
            client.frames = None;
            Outcome::Failed(denial)
        }
        Err(_) => Outcome::Aborted,
    }
}

/// The account of the request. Dropped, as when the worker ends, it says how much was carried until then.
struct Account {
    recording: Option<Recording>,
    /// What came from the client, and what it was sent.
    read: Rc<Cell<u64>>,
    written: Rc<Cell<u64>>,
}

impl Account {
    fn count(&mut self) -> Option<Recording> {
        let mut recording = self.recording.take()?;
        recording.count_received().fetch_add(self.read.get(), Ordering::Relaxed);
        recording.record_mut().bytes_sent = self.written.get();
        Some(recording)
    }

    fn close(mut self, outcome: Outcome) {
        if let Some(recording) = self.count() {
            recording.close(outcome);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        drop(self.count());
    }
}

/// How long a client that must go may take to take its close frame and to close.
const FAREWELL: Duration = Duration::from_secs(1);

/// Done when nothing has happened for this long.
async fn idle(active: &Cell<Instant>, limit: Duration) {
    loop {
        let left = limit.saturating_sub(active.get().elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

/// A stream that counts, and that begins with bytes that were read before.
struct Metered {
    stream: Stream,
    early: Bytes,
    active: Rc<Cell<Instant>>,
    read: Rc<Cell<u64>>,
    written: Rc<Cell<u64>>,
    /// Where the frames end that were written.
    frames: Option<Frames>,
}

impl Metered {
    fn new(stream: Stream, early: Bytes, active: &Rc<Cell<Instant>>) -> Metered {
        Metered {
            stream,
            early,
            active: Rc::clone(active),
            read: Rc::default(),
            written: Rc::default(),
            frames: None,
        }
    }

    /// Tells a client of a WebSocket why it ends, if that can be said between two frames, and closes.
    async fn say_goodbye(&mut self) {
        if self.frames.as_ref().is_some_and(Frames::is_between)
            && self.stream.write_all(&POLICY_VIOLATION).await.is_err()
        {
            return;
        }
        // An error says that the client is gone already.
        let _gone = self.stream.shutdown().await;
        // What lies unread when a socket is closed makes the last bytes disappear on the way.
        let mut buffer = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut buffer).await {}
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = if self.early.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        } else {
            let size = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(size));
            Poll::Ready(Ok(()))
        };
        let size = buf.filled().len() - before;
        if size > 0 {
            self.read.set(self.read.get() + size as u64);
            self.active.set(Instant::now());
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(size)) = &written {
            self.written.set(self.written.get() + *size as u64);
            if let Some(frames) = &mut self.frames {
                frames.pass(buf.get(..*size).unwrap_or_default());
            }
            self.active.set(Instant::now());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
