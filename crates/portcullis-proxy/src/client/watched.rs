//! A client's socket that tells the connection's [`Life`] whether the client takes what is written.

use crate::exchange::life::Life;
use crate::stream::Stream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) struct Watched {
    stream: Stream,
    life: Rc<Life>,
    /// How many bytes had left when it was last asked.
    left: u64,
}

impl Watched {
    pub(crate) fn new(stream: Stream, life: Rc<Life>) -> Watched {
        let left = stream.written();
        Watched { stream, life, left }
    }

    /// SECURITY: only what has left the socket is progress; bytes that TLS keeps in a buffer are not, and a flush that does
    /// not end blocks like a write (a_client_that_stops_reading_under_tls_is_cut_off).
    fn note<T>(&mut self, wrote: Poll<io::Result<T>>, flushed: bool) -> Poll<io::Result<T>> {
        let left = self.stream.written();
        if left != self.left || (flushed && wrote.is_ready()) {
            self.left = left;
            self.life.wrote_some();
        }
        if wrote.is_pending() {
            self.life.write_blocks();
        }
        wrote
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written, false)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written, false)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(flushed, true)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.note(shut, false)
    }
}
