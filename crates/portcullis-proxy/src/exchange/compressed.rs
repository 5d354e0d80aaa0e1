//! Compresses answers on their way to clients, part by part.
//!
//! What is held of an answer is the state of its encoder and one part. When the source pauses, what came is sent, so that a client
//! sees at once what a server sends little by little. All encoders of a worker together have a bound; an answer that finds no room
//! goes out as it came. If the source breaks off, so does the answer: what was compressed never looks complete.

use super::handler_body::BoxError;
use super::streams;
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use http_body::Frame;
use portcullis_core::route::changes::Changes;
use portcullis_core::route::compression::{Coding, Level, Wish, vary};
use std::cell::Cell;
use std::io::{self, Write};
use std::task::{Context, Poll};

/// How much is compressed before anything else gets its turn.
const SLICE: usize = 32 * 1024;

/// As soon as so much is there, it is sent.
const PART: usize = 8 * 1024;

/// After so much that made hardly anything, what there is is sent, so that a body of zeros is no silence.
const SILENCE: usize = 256 * 1024;

/// The memory of all encoders of a worker.
const MOST_MEMORY: usize = 64 * 1024 * 1024;

/// The windows of Brotli and Zstandard, as powers of two.
const WINDOW: u32 = 18;

thread_local! {
    /// What the encoders of this worker hold.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Memory that an encoder holds.
struct Room(usize);

impl Room {
    fn take(size: usize) -> Option<Room> {
        HELD.with(|held| {
            let all = held.get().checked_add(size).filter(|all| *all <= MOST_MEMORY)?;
            held.set(all);
            Some(Room(size))
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        HELD.with(|held| held.set(held.get().saturating_sub(self.0)));
    }
}

/// Where the parts of an answer come from.
pub(crate) trait Parts {
    /// The next part.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;

    /// How many bytes there are, where that is known.
    fn length(&self) -> Option<u64>;
}

/// An answer as it goes out.
pub(crate) enum Coded<S> {
    /// As it came.
    Plain(S),
    /// Compressed.
    Compressed(Box<Compressed<S>>),
}

/// An answer that is compressed.
pub(crate) struct Compressed<S> {
    inner: S,
    /// `None` after the end.
    encoder: Option<Encoder>,
    /// What came and is not compressed yet.
    waiting: Bytes,
    /// How much was compressed since something was sent.
    unsent: usize,
    _room: Room,
}

/// Compresses an answer if it may be and the client wants it, and has its fields say so. Otherwise it stays as it is.
pub(crate) fn compress<S: Parts>(
    changes: Option<&Changes>,
    wish: Option<Wish>,
    method: &Method,
    status: StatusCode,
    headers: &mut HeaderMap,
    (read, source): (Bytes, S),
) -> (Bytes, Coded<S>) {
    let Some((settings, wish)) = changes.and_then(|changes| changes.compression.as_ref()).zip(wish) else {
        return (read, Coded::Plain(source));
    };
    if status == StatusCode::NOT_MODIFIED {
        // The answer that the client has may be a compressed one.
        if wish.coding.is_some() && (settings.with_credentials || !wish.credentials) {
            weaken(headers);
            vary(headers);
        }
        return (read, Coded::Plain(source));
    }
    let bodiless = *method == Method::HEAD;
    let silent =
        matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT);
    let length =
        if bodiless { announced(headers) } else { source.length().map(|rest| rest + read.len() as u64) };
    if silent || streams::is_stream(headers) || !settings.suits(wish, headers, length) {
        return (read, Coded::Plain(source));
    }
    vary(headers);
    let Some(coding) = wish.coding else { return (read, Coded::Plain(source)) };
    if bodiless {
        // The same fields as the answer to GET (RFC 9110, section 9.3.2).
        mark(headers, coding);
        return (read, Coded::Plain(source));
    }
    let Some(room) = Room::take(Encoder::memory(coding)) else { return (read, Coded::Plain(source)) };
    let Ok(encoder) = Encoder::new(coding, settings.level) else { return (read, Coded::Plain(source)) };
    mark(headers, coding);
    let compressed =
        Compressed { inner: source, encoder: Some(encoder), waiting: read, unsent: 0, _room: room };
    (Bytes::new(), Coded::Compressed(Box::new(compressed)))
}

/// The length that the answer to HEAD announces.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Has the fields of an answer say that it is compressed.
fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    for name in [header::CONTENT_LENGTH, header::ACCEPT_RANGES] {
        headers.remove(name);
    }
    weaken(headers);
}

/// Other bytes, the same content: that is what a weak validator says (RFC 9110, section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else { return };
    let weak = [b"W/", tag.as_bytes()].concat();
    match HeaderValue::from_bytes(&weak) {
        Ok(weak) => headers.insert(header::ETAG, weak),
        Err(_) => headers.remove(header::ETAG),
    };
}

impl<S: Parts> Compressed<S> {
    /// What it is made from.
    pub(crate) fn inner(&self) -> &S {
        &self.inner
    }

    /// The same, to be told something.
    pub(crate) fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The same, at the end.
    pub(crate) fn into_inner(self) -> S {
        self.inner
    }

    /// Whether its last part was given out.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }

    /// The next part. After the one that ends it, [`Compressed::is_end_stream`] holds.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Some(encoder) = &mut self.encoder else { return Poll::Ready(None) };
            if !self.waiting.is_empty() {
                let slice = self.waiting.split_to(self.waiting.len().min(SLICE));
                encoder.write(&slice)?;
                self.unsent += slice.len();
                if encoder.ready() < PART {
                    if self.unsent < SILENCE {
                        continue;
                    }
                    encoder.flush()?;
                }
                self.unsent = 0;
                if encoder.ready() > 0 {
                    return self.part();
                }
                continue;
            }
            let frame = match self.inner.poll_frame(cx) {
                Poll::Pending if self.unsent == 0 => return Poll::Pending,
                Poll::Pending => {
                    encoder.flush()?;
                    self.unsent = 0;
                    // An empty part would look like the end.
                    return if encoder.ready() == 0 { Poll::Pending } else { self.part() };
                }
                Poll::Ready(frame) => frame,
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.waiting = data,
                // What comes after a body goes no further.
                None | Some(Ok(Err(_))) => {
                    let rest = self.encoder.take().map_or(Ok(Vec::new()), Encoder::finish)?;
                    return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// What has come out, as the next part.
    fn part(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let made = self.encoder.as_mut().map(Encoder::take).unwrap_or_default();
        Poll::Ready(Some(Ok(Frame::data(made.into()))))
    }
}

/// The one of three values that is for this level.
fn of<T>(level: Level, [fast, balanced, small]: [T; 3]) -> T {
    match level {
        Level::Fast => fast,
        Level::Balanced => balanced,
        Level::Small => small,
    }
}

/// Makes one content coding.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// What one holds at most, roughly and rather too much (`clients_that_read_nothing_hold_little`).
    fn memory(coding: Coding) -> usize {
        match coding {
            Coding::Gzip => 512 * 1024,
            Coding::Brotli => 4 * 1024 * 1024,
            Coding::Zstd => 3 * 1024 * 1024,
        }
    }

    fn new(coding: Coding, level: Level) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Gzip => {
                Encoder::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(of(level, [1, 5, 9]))))
            }
            Coding::Brotli => {
                let quality = of(level, [1, 4, 8]);
                let writer = brotli::CompressorWriter::new(Vec::new(), 4096, quality, WINDOW);
                Encoder::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let mut writer = zstd::stream::write::Encoder::new(Vec::new(), of(level, [1, 3, 9]))?;
                writer.set_parameter(zstd::zstd_safe::CParameter::WindowLog(WINDOW))?;
                Encoder::Zstd(writer)
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(writer) => writer.write_all(bytes),
            Encoder::Brotli(writer) => writer.write_all(bytes),
            Encoder::Zstd(writer) => writer.write_all(bytes),
        }
    }

    /// Has everything that was written come out.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(writer) => writer.flush(),
            Encoder::Brotli(writer) => writer.flush(),
            Encoder::Zstd(writer) => writer.flush(),
        }
    }

    fn made(&mut self) -> &mut Vec<u8> {
        match self {
            Encoder::Gzip(writer) => writer.get_mut(),
            Encoder::Brotli(writer) => writer.get_mut(),
            Encoder::Zstd(writer) => writer.get_mut(),
        }
    }

    /// How much has come out.
    fn ready(&mut self) -> usize {
        self.made().len()
    }

    /// What has come out.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.made())
    }

    /// The end.
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(writer) => writer.finish(),
            Encoder::Brotli(writer) => Ok(writer.into_inner()),
            Encoder::Zstd(writer) => writer.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_of_a_worker_have_a_bound_together() {
        let mut rooms: Vec<Room> =
            std::iter::from_fn(|| Room::take(Encoder::memory(Coding::Brotli))).collect();
        assert_eq!(rooms.len(), MOST_MEMORY / Encoder::memory(Coding::Brotli));
        assert!(Room::take(Encoder::memory(Coding::Gzip)).is_none());
        rooms.pop();
        assert!(Room::take(Encoder::memory(Coding::Gzip)).is_some(), "what is over makes room");
    }

    #[test]
    fn every_part_can_be_read_when_it_is_there() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            for level in [Level::Fast, Level::Balanced, Level::Small] {
                let mut encoder = Encoder::new(coding, level).unwrap();
                for part in ["some", " more", ""] {
                    encoder.write(part.as_bytes()).unwrap();
                    encoder.flush().unwrap();
                    assert!(part.is_empty() || encoder.ready() > 0, "{coding:?} {level:?}: {part}");
                    let _sent = encoder.take();
                }
                assert!(!encoder.finish().unwrap().is_empty(), "{coding:?} {level:?}: an end");
            }
        }
    }
}
