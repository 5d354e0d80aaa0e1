//! The body of a handler's answer that is written part by part.
//!
//! A part is taken when there is room for it, so a client that reads slowly holds its handler up and takes no memory. A sender
//! that is dropped before `finish` breaks the answer off: no client may take a part of a body for the whole.

use super::handler::ResponseBody;
use super::handler_body::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Writes the body of an answer. Comes from [`ResponseBody::channel`].
pub struct BodySender(mpsc::Sender<Option<Bytes>>);

impl BodySender {
    /// Sends some bytes, once there is room for them.
    ///
    /// # Errors
    /// Nobody reads on: the client is gone, or the request was ended.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), BoxError> {
        self.part(Some(bytes.into())).await
    }

    /// Ends the body.
    ///
    /// # Errors
    /// Nobody reads on: the client is gone, or the request was ended.
    pub async fn finish(self) -> Result<(), BoxError> {
        self.part(None).await
    }

    async fn part(&self, part: Option<Bytes>) -> Result<(), BoxError> {
        self.0.send(part).await.map_err(|_| "nobody reads on".into())
    }
}

impl ResponseBody {
    /// A body that is written part by part, and what writes it.
    pub fn channel() -> (BodySender, ResponseBody) {
        let (sender, receiver) = mpsc::channel(1);
        (BodySender(sender), ResponseBody::streamed(Parts(Some(receiver))))
    }
}

/// The other end.
struct Parts(Option<mpsc::Receiver<Option<Bytes>>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(parts) = &mut self.0 else { return Poll::Ready(None) };
        let frame = match parts.poll_recv(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Some(bytes))) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Poll::Ready(Some(None)) => None,
            // SECURITY: not an end (a_sender_that_is_dropped_breaks_the_answer_off).
            Poll::Ready(None) => Some(Err("the handler did not finish its answer".into())),
        };
        self.0 = None;
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn what_is_sent_arrives() {
        let (mut sender, body) = ResponseBody::channel();
        let send = async {
            sender.send("ab").await.unwrap();
            sender.send("c").await.unwrap();
            sender.finish().await.unwrap();
        };
        let (read, ()) = run(async { tokio::join!(body.collect(), send) });
        assert_eq!(read.unwrap().to_bytes(), "abc");
    }

    #[test]
    fn a_sender_that_is_dropped_breaks_the_answer_off() {
        let (mut sender, mut body) = ResponseBody::channel();
        run(async {
            sender.send("ab").await.unwrap();
            drop(sender);
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
            assert!(body.frame().await.unwrap().is_err());
            assert!(body.frame().await.is_none());
        });
    }

    #[test]
    fn a_sender_notices_that_nobody_reads() {
        let (mut sender, body) = ResponseBody::channel();
        drop(body);
        assert!(run(sender.send("ab")).is_err());
    }
}
