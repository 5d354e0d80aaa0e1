//! The body of a request on its way to a function of this process, which runs on another thread.
//!
//! The request's own task reads it from the client, one part ahead of the function, and passes it over.

use crate::body::BodyFault;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use portcullis_core::BodyRefused;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Some bytes, or the end.
type Part = Result<Option<Bytes>, BodyRefused<BodyFault>>;

/// The body of a request, under the route's cap and the client's deadlines. Trailer fields are dropped.
pub struct RequestBody {
    parts: Option<mpsc::Receiver<Part>>,
    /// How many bytes are still to come; `None` where nobody knows.
    remaining: Option<u64>,
}

/// Passes a body over. It is polled by the request's task; dropped, the body breaks off.
pub(super) type Pump = Pin<Box<dyn Future<Output = ()>>>;

impl RequestBody {
    /// The next bytes of the body; `None` after the last. The client is read no faster than this is called.
    ///
    /// # Errors
    /// The body is too large, too slow, or broke off; whatever the handler answers then, the client is told so. Nothing comes
    /// after an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            match self.frame().await?.map(Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                // No trailer is passed over.
                Ok(Err(_trailers)) => {}
                Err(refused) => return Some(Err(Box::new(refused))),
            }
        }
    }

    /// The other end of a body, and what fills it. Nothing has to fill an empty one.
    pub(super) fn of<B>(body: B) -> (RequestBody, Option<Pump>)
    where
        B: Body<Data = Bytes, Error = BodyRefused<BodyFault>> + Unpin + 'static,
    {
        if body.is_end_stream() {
            return (RequestBody { parts: None, remaining: Some(0) }, None);
        }
        let (sender, receiver) = mpsc::channel(1);
        let remaining = body.size_hint().exact();
        (RequestBody { parts: Some(receiver), remaining }, Some(Box::pin(pump(body, sender))))
    }
}

async fn pump<B>(mut body: B, sender: mpsc::Sender<Part>)
where
    B: Body<Data = Bytes, Error = BodyRefused<BodyFault>> + Unpin,
{
    loop {
        let part = tokio::select! {
            biased;
            // Nobody reads on. What is left of the body is known when it is dropped here.
            () = sender.closed() => return,
            part = body.frame() => part,
        };
        let sent = match part.map(|part| part.map(Frame::into_data)) {
            None | Some(Ok(Err(_))) => {
                let _gone = sender.send(Ok(None)).await;
                return;
            }
            Some(Ok(Ok(data))) => sender.send(Ok(Some(data))).await,
            Some(Err(refused)) => {
                let _gone = sender.send(Err(refused)).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyRefused<BodyFault>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(parts) = &mut self.parts else { return Poll::Ready(None) };
        let part = match ready!(parts.poll_recv(cx)) {
            Some(Ok(Some(data))) => {
                self.remaining = self.remaining.map(|left| left.saturating_sub(data.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Some(Ok(None)) => None,
            Some(Err(refused)) => Some(Err(refused)),
            // SECURITY: no handler may take a part of a body for the whole (a_body_that_breaks_off_is_never_whole).
            None => Some(Err(BodyRefused::Transport(BodyFault::new("the client is gone")))),
        };
        self.parts = None;
        self.remaining = Some(0);
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{ClientBody, Reader};
    use std::collections::VecDeque;

    /// Gives out parts, and then is silent or at its end.
    struct Parts(VecDeque<&'static str>, bool);

    impl Reader for Parts {
        fn poll_data(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
            match self.0.pop_front() {
                Some(part) => Poll::Ready(Some(Ok(part.into()))),
                None if self.1 => Poll::Ready(None),
                None => Poll::Pending,
            }
        }

        fn remaining(&self) -> Option<u64> {
            None
        }

        fn is_complete(&self) -> bool {
            false
        }
    }

    fn body(parts: &[&'static str], ends: bool) -> (RequestBody, Option<Pump>) {
        let reader = Parts(parts.iter().copied().collect(), ends);
        RequestBody::of(ClientBody::new(reader).map_err(BodyRefused::Transport))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_body_is_passed_over_to_its_end() {
        let (body, pump) = body(&["ab", "c"], true);
        let read = run(async { tokio::join!(body.collect(), pump.unwrap()).0 });
        assert_eq!(read.unwrap().to_bytes(), "abc");
    }

    #[test]
    fn a_body_that_breaks_off_is_never_whole() {
        let (mut body, pump) = body(&["ab"], false);
        let mut pump = pump.unwrap();
        run(async {
            tokio::select! {
                biased;
                () = &mut pump => panic!("it waits for the client"),
                part = body.frame() => assert_eq!(part.unwrap().unwrap().into_data().unwrap(), "ab"),
            }
            drop(pump);
            assert!(body.frame().await.unwrap().is_err());
        });
    }
}
