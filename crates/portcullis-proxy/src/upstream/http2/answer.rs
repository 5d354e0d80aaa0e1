//! The body of an answer on a stream. The window of the stream is opened again as parts are given out.

use super::connection::Stream;
use super::upload::Upload;
use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};
use std::error::Error;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long the end of a stream may come after the last byte that was announced.
const LAST_FRAME: Duration = Duration::from_secs(1);

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an answer.
pub(crate) struct Http2Body {
    /// How much is still to come, where the head says so.
    left: Option<u64>,
    /// `None` after its end.
    open: Option<Open>,
}

struct Open {
    parts: RecvStream,
    stream: Stream,
    /// The rest of the request; `None` where all of it has been sent.
    upload: Option<Upload>,
    /// Whether it is a gRPC call, which ends with its answer.
    call: bool,
}

impl Http2Body {
    pub(super) fn new(
        parts: RecvStream,
        left: Option<u64>,
        stream: Stream,
        upload: Upload,
        call: bool,
    ) -> Http2Body {
        let upload = (!upload.is_over()).then_some(upload);
        let ends = parts.is_end_stream();
        let mut body = Http2Body { left, open: Some(Open { parts, stream, upload, call }) };
        if ends {
            body.finish();
        }
        body
    }

    /// All of it has been read that was announced.
    pub(crate) fn finish(&mut self) {
        let Some(Open { mut parts, mut stream, upload, call }) = self.open.take() else { return };
        stream.over();
        // The client of a call sends nothing more once it has its status, so its stream is ended.
        let upload = upload.filter(|_| !call);
        if upload.is_none() && parts.is_end_stream() {
            return;
        }
        // Some servers send the end of a stream in a frame of its own. Dropped before it, the stream would be reset.
        tokio::task::spawn_local(async move {
            if let Some(upload) = upload {
                upload.settle().await;
            }
            let ended = poll_fn(|cx| parts.poll_data(cx));
            let _late = tokio::time::timeout(LAST_FRAME, ended).await;
            drop((parts, stream));
        });
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        if let Some(upload) = &mut open.upload {
            match upload.poll(cx) {
                Poll::Ready(Ok(())) => open.upload = None,
                Poll::Ready(Err(())) => {
                    self.open = None;
                    return Poll::Ready(Some(Err("the body of the request broke off".into())));
                }
                Poll::Pending => {}
            }
        }
        let read = match ready!(open.parts.poll_data(cx)) {
            Some(Ok(data)) => {
                open.stream.heard();
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                open.parts.flow_control().release_capacity(data.len()).map(|()| Some(Frame::data(data)))
            }
            Some(Err(error)) => Err(error),
            None => ready!(open.parts.poll_trailers(cx)).map(|trailers| trailers.map(Frame::trailers)),
        };
        match read {
            Ok(frame) => {
                if frame.as_ref().is_none_or(Frame::is_trailers) || open.parts.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(frame.map(Ok))
            }
            Err(error) => {
                // The server's doing.
                open.stream.over();
                self.open = None;
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match (&self.open, self.left) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), left) => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
