//! What follows an upgrade: bytes in both directions, and nobody looks at them any more.
//!
//! The account of the request stays open until the tunnel ends. It is served if one of both sides ended it, and aborted
//! if it broke, was idle for too long, or a drain began: nothing else would end it before its clients do. It has failed if
//! what let it in is gone; then a WebSocket's client gets a close frame.

use super::websocket::{Frames, POLICY_VIOLATION};
use crate::stream::Stream;
use crate::upstream::Switched;
use bytes::Bytes;
use portcullis_core::{Denial, Outcome, Recording};
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
    recording: Recording,
}

impl Tunnel {
    pub(crate) fn new(upstream: Switched, idle: Duration, websocket: bool, recording: Recording) -> Tunnel {
        Tunnel { upstream, idle, websocket, recording }
    }

    /// Copies until one side ends it, it is idle for too long, `drain` is done, or `revoked` says why it must end. `early` are
    /// bytes that the client sent before it had the answer.
    pub(crate) async fn run(
        mut self,
        client: Stream,
        early: Bytes,
        drain: impl Future<Output = ()>,
        revoked: impl Future<Output = Denial>,
    ) {
        let (upstream, first) = self.upstream;
        let active = Rc::new(Cell::new(Instant::now()));
        let mut client = Metered::new(client, early, &active);
        client.frames = self.websocket.then(Frames::default);
        let mut upstream = Metered::new(upstream, first, &active);
        let outcome = tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut client, &mut upstream) => match copied {
                Ok(_) => Outcome::Served,
                Err(_) => Outcome::Aborted,
            },
            () = idle(&active, self.idle) => Outcome::Aborted,
            () = drain => Outcome::Aborted,
            denial = revoked => Outcome::Failed(denial),
        };
        self.recording.count_received().fetch_add(client.read, Ordering::Relaxed);
        self.recording.record_mut().bytes_sent = client.written;
        let must_end = matches!(outcome, Outcome::Failed(_));
        self.recording.close(outcome);
        drop(upstream);
        if must_end {
            // A client that does not read is cut off.
            let _late = tokio::time::timeout(FAREWELL, client.say_goodbye()).await;
        }
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
    read: u64,
    written: u64,
    /// Where the frames end that were written.
    frames: Option<Frames>,
}

impl Metered {
    fn new(stream: Stream, early: Bytes, active: &Rc<Cell<Instant>>) -> Metered {
        Metered { stream, early, active: Rc::clone(active), read: 0, written: 0, frames: None }
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
            self.read += size as u64;
            self.active.set(Instant::now());
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(size)) = &written {
            self.written += *size as u64;
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
