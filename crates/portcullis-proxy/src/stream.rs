//! A connection's bytes, in the clear or under TLS.
//!
//! One type for both, so that what serves a connection is written and compiled once; the plain case costs a comparison.
//! What was written is counted at the socket, below TLS: TLS takes bytes into a buffer of its own, so that it seems to make
//! progress where a client reads nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// A socket that counts what it takes.
pub(crate) struct Socket {
    wire: Wire,
    written: u64,
    /// Its place among the connections to a server, where those are bounded.
    counted: Option<Counted>,
}

/// A place among the connections to a server. Dropped, it is free again.
pub(crate) struct Counted(Arc<AtomicU32>);

impl Counted {
    /// The place that was counted there.
    pub(crate) fn new(count: Arc<AtomicU32>) -> Counted {
        Counted(count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What carries the bytes.
enum Wire {
    Tcp(TcpStream),
    /// A socket of this machine, which only upstreams have.
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream) -> Socket {
        Socket { wire: Wire::Tcp(tcp), written: 0, counted: None }
    }

    /// A socket of this machine.
    pub(crate) fn unix(unix: UnixStream) -> Socket {
        Socket { wire: Wire::Unix(unix), written: 0, counted: None }
    }

    /// Keeps its place among the connections to a server.
    pub(crate) fn counted(mut self, counted: Option<Counted>) -> Socket {
        self.counted = counted;
        self
    }

    /// The address on which it was accepted.
    pub(crate) fn local(&self) -> Option<std::net::SocketAddr> {
        self.tcp().and_then(|tcp| tcp.local_addr().ok())
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.wire {
            Wire::Tcp(tcp) => Some(tcp),
            Wire::Unix(_) => None,
        }
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(size)) = &written {
            self.written = self.written.saturating_add(*size as u64);
        }
        written
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Wire::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.wire {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Wire::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
        };
        self.count(written)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.wire {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Wire::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
        };
        self.count(written)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Tcp(tcp) => tcp.is_write_vectored(),
            Wire::Unix(unix) => unix.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Unix(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}

/// A connection.
pub(crate) enum Stream {
    /// Nothing protects it.
    Plain(Socket),
    /// TLS protects it. Boxed, since its state is large and most of it is not looked at.
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    fn counted(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The socket below, where it is one of TCP.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        self.counted().tcp()
    }

    /// How many bytes the socket below has taken.
    pub(crate) fn written(&self) -> u64 {
        self.counted().written
    }

    /// Whether it is sure that nothing has come in, so that reading needs no buffer yet. The task is woken when something does.
    /// What TLS holds is unknown until it is read.
    pub(crate) fn poll_is_silent(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Stream::Plain(Socket { wire: Wire::Tcp(tcp), .. }) => tcp.poll_read_ready(cx).is_pending(),
            Stream::Plain(Socket { wire: Wire::Unix(unix), .. }) => unix.poll_read_ready(cx).is_pending(),
            Stream::Tls(_) => false,
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(socket) => socket.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
