//! The body of a request on its way into a stream, as far as the server's windows go.
//!
//! While no answer has come, what was sent is remembered up to [`MOST_KEPT`], so that a request that the server did not process
//! can go to another one. Nothing is copied for that.

use crate::upload::ForwardedBody;
use bytes::Bytes;
use h2::SendStream;
use http_body::Body;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How much of a body is remembered.
const MOST_KEPT: usize = 64 * 1024;
/// How long a server that has answered may take no more of the request, and how long its client may send no more of it.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_CLIENT: u32 = 30;

/// The sending side of a stream.
pub(super) struct Upload {
    /// `None` when nothing more will be sent.
    send: Option<SendStream<Bytes>>,
    body: ForwardedBody,
    /// What was read of the body and not sent yet.
    part: Bytes,
    /// Whether `part` is the last.
    last: bool,
    /// What was read of the body so far; `None` where that is too much to keep.
    kept: Option<VecDeque<Bytes>>,
    size: usize,
    /// How much the server has let pass.
    sent: u64,
}

impl Upload {
    pub(super) fn new(send: SendStream<Bytes>, body: ForwardedBody) -> Upload {
        Upload {
            send: Some(send),
            body,
            part: Bytes::new(),
            last: false,
            kept: Some(VecDeque::new()),
            size: 0,
            sent: 0,
        }
    }

    /// Whether nothing more will be sent.
    pub(super) fn is_over(&self) -> bool {
        self.send.is_none()
    }

    /// Remembers no more: there is an answer.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// The body as it was before anything was sent. `None` where that is not remembered.
    pub(super) fn into_body(self) -> Option<ForwardedBody> {
        let Upload { mut body, kept, .. } = self;
        body.put_back(kept?);
        Some(body)
    }

    /// Sends more. Ready when all has been handed on, or the server wants no more.
    ///
    /// # Errors
    /// The body broke off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        loop {
            let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
            // A server that has read enough says so by a reset; what it has answered counts (RFC 9113, section 8.1).
            if send.poll_reset(cx).is_ready() {
                self.send = None;
                continue;
            }
            if !self.part.is_empty() {
                send.reserve_capacity(self.part.len());
                if send.capacity() == 0 {
                    match send.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(_)) | None) => {
                            self.send = None;
                            continue;
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
                let part = self.part.split_to(self.part.len().min(send.capacity()));
                self.sent = self.sent.saturating_add(part.len() as u64);
                let ends = self.last && self.part.is_empty();
                if send.send_data(part, ends).is_err() || ends {
                    self.send = None;
                }
                continue;
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailer fields of requests go nowhere.
                    let Ok(data) = frame.into_data() else { continue };
                    self.keep(&data);
                    self.last = self.body.is_end_stream();
                    self.part = data;
                    if self.part.is_empty() && self.last {
                        self.end();
                    }
                }
                Poll::Ready(None) => self.end(),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn end(&mut self) {
        if let Some(mut send) = self.send.take() {
            // A stream that is over already has its reason told where the answer is read.
            let _over = send.send_data(Bytes::new(), true);
        }
    }

    fn keep(&mut self, data: &Bytes) {
        self.size = self.size.saturating_add(data.len());
        if self.size > MOST_KEPT {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.push_back(data.clone());
        }
    }

    /// Sends the rest of a request that has been answered already, as long as there is progress.
    pub(super) async fn settle(mut self) {
        let mut idle = 0;
        while !self.is_over() {
            let before = self.sent;
            let sent = std::future::poll_fn(|cx| self.poll(cx));
            if tokio::time::timeout(SETTLE, sent).await.is_ok() {
                return;
            }
            idle = if self.sent == before { idle + 1 } else { 0 };
            // SECURITY: a server that reads no more, or a client that sends no more, would keep the stream for ever
            // (an_upstream_of_http2_that_answers_early_keeps_no_stream).
            if idle > 0 && (!self.part.is_empty() || idle >= SETTLE_CLIENT) {
                return;
            }
        }
    }
}
