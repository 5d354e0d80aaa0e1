//! What follows an upgrade: bytes in both directions, and nobody looks at them any more.
//!
//! The account of the request stays open until the tunnel ends. It is served if one of both sides ended it, and aborted
//! if it broke, was idle for too long, or a drain began: nothing else would end it before its clients do.

use crate::stream::Stream;
use crate::upstream::Switched;
use bytes::Bytes;
use portcullis_core::{Outcome, Recording};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An upgrade that both sides agreed on.
pub(crate) struct Tunnel {
    upstream: Switched,
    idle: Duration,
    recording: Recording,
}

impl Tunnel {
    pub(crate) fn new(upstream: Switched, idle: Duration, recording: Recording) -> Tunnel {
        Tunnel { upstream, idle, recording }
    }

    /// Copies until one side ends it, it is idle for too long, or `drain` is done. `early` are bytes that the client
    /// sent before it had the answer.
    pub(crate) async fn run(mut self, client: Stream, early: Bytes, drain: impl Future<Output = ()>) {
        let (upstream, first) = self.upstream;
        let active = Rc::new(Cell::new(Instant::now()));
        let mut client = Metered::new(client, early, &active);
        let mut upstream = Metered::new(upstream, first, &active);
        let ended = tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut client, &mut upstream) => copied.is_ok(),
            () = idle(&active, self.idle) => false,
            () = drain => false,
        };
        self.recording.count_received().fetch_add(client.read, Ordering::Relaxed);
        self.recording.record_mut().bytes_sent = client.written;
        self.recording.close(if ended { Outcome::Served } else { Outcome::Aborted });
    }
}

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
}

impl Metered {
    fn new(stream: Stream, early: Bytes, active: &Rc<Cell<Instant>>) -> Metered {
        Metered { stream, early, active: Rc::clone(active), read: 0, written: 0 }
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
