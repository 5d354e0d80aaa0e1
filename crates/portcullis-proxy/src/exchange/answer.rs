//! The body of an answer on its way to a client.
//!
//! It owns the account of its request and closes it: as served when its last byte has been handed to the connection,
//! as failed when what it comes from breaks off, and as aborted when the connection drops it before its end. An answer
//! that breaks off ends with an error, upon which the client's connection is cut: it must not look complete.

use super::ahead;
use super::compressed::{Coded, Compressed, Parts};
use super::grpc_status;
use super::handler::ResponseBody;
use super::handler_body::{BoxError, Pump};
use super::hygiene;
use super::life::Life;
use super::seat::Seat;
use super::shares::{Share, Unread};
use crate::upload::Upload;
use crate::upstream::AnswerBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use portcullis_core::{Code, Denial, Outcome, Recording};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The body of any answer. Its end, in whatever way, is the end of the request.
pub(crate) struct Answer {
    content: Content,
    life: Rc<Life>,
    /// The request's place among those of its client.
    share: Option<Share>,
    /// Its place at a server of a group.
    seat: Option<Box<Seat>>,
    /// Whether the server broke it off.
    broken: bool,
}

enum Content {
    /// Everything at once, already accounted for.
    Whole(Option<Bytes>),
    Relayed(Relayed),
}

/// Where the parts come from.
pub(crate) enum Source {
    /// An upstream; its connection can be used again after the last part.
    Upstream {
        /// The parts.
        body: AnswerBody,
        /// How long to wait for each.
        idle: Duration,
    },
    /// This process: a handler, or what was held here until it was judged.
    Local {
        /// The parts.
        body: ResponseBody,
        /// What passes the rest of the request's body over.
        pump: Option<Pump>,
    },
    /// Another source, compressed.
    Compressed(Box<Compressed<Source>>),
}

struct Relayed {
    /// What was read before.
    read: Bytes,
    source: Option<Source>,
    recording: Option<Recording>,
    upload: Option<Arc<Upload>>,
    /// Bytes that are missing; `None` where nobody knows.
    missing: Option<u64>,
    waiting: Option<Instant>,
    /// Bytes that have been handed out.
    handed_out: u64,
    /// Whether what comes after the body goes on, too.
    trailers: bool,
    /// Whether it broke off, and the upstream did that.
    broken: bool,
}

impl Answer {
    /// An answer that is there already. The account must be closed by the caller.
    pub(crate) fn whole(bytes: Bytes, life: &Rc<Life>) -> Answer {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Answer {
            content: Content::Whole(bytes),
            life: Rc::clone(life),
            share: None,
            seat: None,
            broken: false,
        }
    }

    /// Whether it is there already.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.content, Content::Whole(_))
    }

    /// Takes the body of an answer that is there already.
    pub(crate) fn empty(&mut self) {
        if let Content::Whole(bytes) = &mut self.content {
            *bytes = None;
        }
    }

    /// Keeps the request's place until the answer is over.
    pub(crate) fn keep(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// Keeps the request's place at a server until the answer is over.
    pub(super) fn sit(&mut self, seat: Option<Box<Seat>>) {
        self.seat = seat;
    }

    /// The server broke off what this answer was to be made of.
    pub(super) fn broke_off(&mut self) {
        self.broken = true;
    }

    /// An answer whose parts are yet to come, after those that were read before.
    pub(crate) fn relayed(
        read: Bytes,
        source: Source,
        recording: Recording,
        upload: Option<Arc<Upload>>,
        trailers: bool,
        life: &Rc<Life>,
    ) -> Answer {
        let missing = source.size_hint().exact().map(|rest| rest + read.len() as u64);
        let ended = read.is_empty() && source.is_end_stream();
        let (source, recording) = (Some(source), Some(recording));
        let mut relayed = Relayed {
            read,
            source,
            recording,
            upload,
            missing,
            waiting: None,
            handed_out: 0,
            trailers,
            broken: false,
        };
        if ended || missing == Some(0) {
            relayed.served();
        }
        Answer {
            content: Content::Relayed(relayed),
            life: Rc::clone(life),
            share: None,
            seat: None,
            broken: false,
        }
    }
}

impl Source {
    fn is_end_stream(&self) -> bool {
        match self {
            Source::Upstream { body, .. } => body.is_end_stream(),
            Source::Local { body, .. } => body.is_end_stream(),
            Source::Compressed(compressed) => compressed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Source::Upstream { body, .. } => body.size_hint(),
            Source::Local { body, .. } => body.size_hint(),
            // Nobody knows before its end.
            Source::Compressed(_) => SizeHint::default(),
        }
    }

    /// It is read in a turn that began then, at most about so much at once. Nobody is asked how much where something else
    /// decides that: the window of a stream, a handler.
    fn turn(&mut self, now: Instant, most: impl FnOnce() -> usize) {
        match self {
            Source::Upstream { body, .. } => {
                body.turn(now);
                body.read_at_once(most);
            }
            Source::Local { .. } => {}
            Source::Compressed(compressed) => compressed.inner_mut().turn(now, most),
        }
    }

    /// How long to wait for a part.
    fn idle(&self) -> Option<Duration> {
        match self {
            Source::Upstream { idle, .. } => Some(*idle),
            Source::Local { .. } => None,
            Source::Compressed(compressed) => compressed.inner().idle(),
        }
    }

    /// It was read to its end.
    fn finish(self) {
        match self {
            Source::Upstream { body, .. } => body.finish(),
            Source::Local { .. } => {}
            Source::Compressed(compressed) => compressed.into_inner().finish(),
        }
    }

    /// What it means that the source broke off.
    fn failure(&self) -> Code {
        match self {
            Source::Upstream { .. } => Code::UpstreamClosed,
            Source::Local { .. } => Code::HandlerFailed,
            Source::Compressed(compressed) => compressed.inner().failure(),
        }
    }
}

impl Parts for Source {
    /// How many bytes there are, where that is known.
    fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Source::Upstream { body, .. } => Pin::new(body).poll_frame(cx),
            Source::Local { body, pump } => {
                if pump.as_mut().is_some_and(|pump| pump.as_mut().poll(cx).is_ready()) {
                    *pump = None;
                }
                Pin::new(body).poll_frame(cx)
            }
            Source::Compressed(compressed) => compressed.poll_frame(cx),
        }
    }
}

impl From<Coded<Source>> for Source {
    fn from(coded: Coded<Source>) -> Source {
        match coded {
            Coded::Plain(source) => source,
            Coded::Compressed(compressed) => Source::Compressed(compressed),
        }
    }
}

impl Relayed {
    fn poll_frame(
        &mut self,
        life: &Life,
        mut unread: Option<&mut Unread>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        // SECURITY: before anything more is sent (a_stream_ends_with_its_token).
        if let Some(denial) = life.revoked() {
            return Poll::Ready(Some(self.revoked(denial)));
        }
        if !self.read.is_empty() {
            let read = std::mem::take(&mut self.read);
            self.sent(read.len());
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        source.turn(life.now(), || ahead::most(unread.as_deref_mut(), self.missing, self.handed_out));
        let frame = match source.poll_frame(cx) {
            Poll::Pending => {
                // Nothing waits for the client.
                if let Some(unread) = unread {
                    unread.set(0);
                }
                let since = *self.waiting.get_or_insert_with(|| life.now());
                let deadline = source.idle().and_then(|idle| since.checked_add(idle));
                if !life.has_passed(deadline) {
                    return Poll::Pending;
                }
                let denial =
                    Denial::new(Code::UpstreamTimeout, "the upstream stopped in the middle of its answer");
                return Poll::Ready(Some(Err(self.broke_off(denial))));
            }
            Poll::Ready(frame) => frame,
        };
        self.waiting = None;
        life.upstream_moved();
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.sent(data.len());
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                // SECURITY: trailer fields come after every check of the head's; they go no further, except where a call
                // has its status there (a_chunked_answer_stays_one_and_trailers_are_dropped).
                Err(frame) => match frame.into_trailers() {
                    Ok(mut trailers) if self.trailers => match hygiene::clean_trailers(&mut trailers) {
                        Ok(()) => {
                            self.served();
                            Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                        }
                        Err(denial) => Poll::Ready(Some(Err(self.failed(denial)))),
                    },
                    Ok(_) | Err(_) => {
                        self.served();
                        Poll::Ready(None)
                    }
                },
            },
            Some(Err(error)) => {
                let cause = error.source().map_or(String::new(), |source| format!(": {source}"));
                let denial = Denial::new(source.failure(), format!("the answer broke off: {error}{cause}"));
                Poll::Ready(Some(Err(self.broke_off(denial))))
            }
            None => {
                self.served();
                Poll::Ready(None)
            }
        }
    }

    fn sent(&mut self, size: usize) {
        let size = size as u64;
        self.handed_out = self.handed_out.saturating_add(size);
        if let Some(recording) = &mut self.recording {
            recording.record_mut().bytes_sent += size;
        }
        if let Some(missing) = &mut self.missing {
            *missing = missing.saturating_sub(size);
        }
        // Nobody asks for more once the announced length is reached.
        if self.missing == Some(0) || self.source.as_ref().is_some_and(Source::is_end_stream) {
            self.served();
        }
    }

    fn served(&mut self) {
        if let Some(source) = self.source.take() {
            source.finish();
        }
        if let Some(recording) = self.recording.take() {
            recording.close(Outcome::Served);
        }
    }

    /// What let the request in is gone. A call is told so by its status; another answer breaks off.
    fn revoked(&mut self, denial: Denial) -> Result<Frame<Bytes>, BoxError> {
        let trailers = self.trailers.then(|| grpc_status::trailers(denial.status()));
        let error = self.failed(denial);
        trailers.map(Frame::trailers).ok_or(error)
    }

    /// What the answer comes from broke off.
    fn broke_off(&mut self, denial: Denial) -> BoxError {
        let upload_broke = self.upload.as_deref().is_some_and(|upload| upload.refused().is_some());
        self.broken = denial.code() != Code::HandlerFailed && !upload_broke;
        self.failed(denial)
    }

    /// The answer is broken. If the request's body broke first, that is why.
    fn failed(&mut self, denial: Denial) -> BoxError {
        let denial = self.upload.as_deref().and_then(Upload::refused).unwrap_or(denial);
        let error = denial.code().as_str().into();
        self.source = None;
        if let Some(recording) = self.recording.take() {
            recording.close(Outcome::Failed(denial));
        }
        error
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Answer { content, life, share, .. } = &mut *self;
        life.asked_for_more();
        let frame = match content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Relayed(relayed) => relayed.poll_frame(life, share.as_mut().map(Share::unread), cx),
        };
        if let Poll::Ready(Some(Ok(_))) = &frame {
            life.handed_out();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Relayed(relayed) => relayed.source.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Relayed(relayed) => match (&relayed.source, relayed.missing) {
                (None, _) => SizeHint::with_exact(0),
                (Some(_), Some(missing)) => SizeHint::with_exact(missing),
                (Some(_), None) => SizeHint::default(),
            },
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(seat) = &self.seat {
            let broken = match &self.content {
                Content::Whole(_) => self.broken,
                Content::Relayed(relayed) => relayed.broken,
            };
            if broken {
                seat.broke_off(self.life.now());
            } else if self.is_end_stream() {
                seat.completed();
            }
        }
        self.life.end_request(self.is_end_stream());
    }
}
