//! What is to go out on a connection of HTTP/1.1.
//!
//! Small parts are put together and leave in one write; large ones are written from where they lie. Only what the socket has
//! taken counts as progress: TLS keeps what it is given, so it is given one record at a time.

use crate::stream::Stream;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Data up to this size is copied behind what goes out before it; more is written from where it lies.
const COPIED: usize = 4 * 1024;
/// How much may wait to go out before more is asked for.
const MAX_WAITING: usize = 16 * 1024;
/// What TLS puts into one record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// Bytes that are to go out, in their order.
#[derive(Default)]
pub(crate) struct Output {
    head: Vec<u8>,
    /// How much of `head` has gone out.
    written: usize,
    /// What goes out after `head`, and what after that.
    data: Bytes,
    tail: &'static [u8],
    /// Whether the stream holds something that has not gone out.
    unflushed: bool,
    /// How many bytes the stream has taken.
    taken: u64,
}

impl Output {
    /// Something that is to go out, behind everything before it.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.join();
        write(&mut self.head);
    }

    /// A part of a body that is to go out.
    pub(crate) fn put_data(&mut self, data: Bytes) {
        self.join();
        if data.len() <= COPIED {
            self.head.extend_from_slice(&data);
        } else {
            self.data = data;
        }
    }

    /// A few bytes that are to go out behind the data.
    pub(crate) fn put_tail(&mut self, tail: &'static [u8]) {
        if !self.tail.is_empty() {
            self.join();
        }
        if self.data.is_empty() {
            self.head.extend_from_slice(tail);
        } else {
            self.tail = tail;
        }
    }

    /// A part of a body in chunks.
    pub(crate) fn put_chunk(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.put(|out| portcullis_http1::write::chunk_begin(out, data.len()));
            self.put_data(data);
            self.put_tail(b"\r\n");
        }
    }

    /// The end of a body in chunks.
    pub(crate) fn put_last_chunk(&mut self) {
        match self.tail {
            b"\r\n" => self.tail = b"\r\n0\r\n\r\n",
            _ => self.put_tail(b"0\r\n\r\n"),
        }
    }

    /// Makes one of what is to go out, so that something can be put behind it.
    fn join(&mut self) {
        if !self.data.is_empty() || !self.tail.is_empty() {
            let data = std::mem::take(&mut self.data);
            self.head.extend_from_slice(&data);
            self.head.extend_from_slice(std::mem::take(&mut self.tail));
        }
    }

    /// Whether so much is to go out that more has to wait.
    pub(crate) fn is_full(&self) -> bool {
        !self.data.is_empty() || self.head.len() - self.written > MAX_WAITING
    }

    /// Whether everything has gone out.
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.head.len() && self.data.is_empty() && self.tail.is_empty() && !self.unflushed
    }

    /// How many bytes the stream has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Writes until everything has gone out, and says of each step that it was one.
    pub(crate) fn poll_flush(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        mut moved: impl FnMut(),
    ) -> Poll<io::Result<()>> {
        loop {
            if self.unflushed {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                self.unflushed = false;
                moved();
            }
            let head = self.head.get(self.written..).unwrap_or_default();
            if head.is_empty() && self.data.is_empty() && self.tail.is_empty() {
                self.head.clear();
                self.written = 0;
                self.data = Bytes::new();
                return Poll::Ready(Ok(()));
            }
            let size = match stream {
                Stream::Plain(_) => {
                    let parts = [IoSlice::new(head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
                    let size = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &parts))?;
                    moved();
                    size
                }
                Stream::Tls(_) => {
                    // SECURITY: TLS would take megabytes that nobody reads, and each of them would look like progress
                    // (a_client_that_stops_reading_under_tls_is_cut_off).
                    let parts = [head, &self.data, self.tail];
                    let part = parts.into_iter().find(|part| !part.is_empty()).unwrap_or_default();
                    let part = part.get(..RECORD).unwrap_or(part);
                    self.unflushed = true;
                    ready!(Pin::new(&mut *stream).poll_write(cx, part))?
                }
            };
            if size == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += size as u64;
            let of_head = size.min(self.head.len() - self.written);
            self.written += of_head;
            let of_data = (size - of_head).min(self.data.len());
            self.data.advance(of_data);
            self.tail = self.tail.get(size - of_head - of_data..).unwrap_or_default();
        }
    }

    /// Gives the memory back, because nothing will go out for a while.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            *self = Output { taken: self.taken, ..Output::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Socket;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn sent(fill: impl FnOnce(&mut Output)) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut output = Output::default();
        fill(&mut output);
        let mut stream = Stream::Plain(Socket::new(client));
        let mut read = Vec::new();
        let writing = async {
            std::future::poll_fn(|cx| output.poll_flush(&mut stream, cx, || {})).await.unwrap();
            assert!(output.is_empty());
            drop(stream);
        };
        let (_, got) = tokio::join!(writing, server.read_to_end(&mut read));
        got.unwrap();
        read
    }

    #[tokio::test]
    async fn everything_goes_out_in_its_order() {
        for size in [0, 1, COPIED, COPIED + 1, 3_000_000] {
            let data = Bytes::from(vec![b'x'; size]);
            let more = data.clone();
            let read = sent(|output| {
                output.put(|out| out.extend_from_slice(b"head "));
                output.put_data(data);
                output.put_chunk(more);
                output.put_last_chunk();
            })
            .await;
            let chunk =
                if size == 0 { String::new() } else { format!("{size:x}\r\n{}\r\n", "x".repeat(size)) };
            let wanted = format!("head {}{chunk}0\r\n\r\n", "x".repeat(size));
            assert!(read == wanted.as_bytes(), "{size}");
        }
    }

    #[test]
    fn rest_keeps_nothing() {
        let mut output = Output::default();
        output.put(|out| out.resize(10_000, b'x'));
        output.written = 10_000;
        output.rest();
        assert_eq!((output.head.capacity(), output.is_empty()), (0, true));
    }
}
