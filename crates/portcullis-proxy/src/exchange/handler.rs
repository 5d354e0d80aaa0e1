//! Functions of this process that answer requests: what one is.

use super::handler_body::{BoxError, RequestBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Answers requests inside the process.
///
/// The request is the one that was judged: a canonical target, end-to-end fields without credentials, and among the
/// extensions the [`Principal`](portcullis_core::Principal), the [`RouteId`](portcullis_core::RouteId) and the
/// [`ClientAddress`](portcullis_core::ClientAddress). If its body
/// is refused while it is read (too large, too slow), the client is told so whatever the handler answers. A handler that
/// refuses puts a [`Denial`] among the extensions of its answer, and nothing else of that answer counts.
pub trait Handler: Send + Sync {
    /// Answers one request. Runs on the runtime that [`bind`](crate::bind) was given.
    fn call(
        &self,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>;
}

/// The body of a handler's answer.
pub struct ResponseBody(Kind);

enum Kind {
    Whole(Full<Bytes>),
    Streamed(UnsyncBoxBody<Bytes, BoxError>),
}

impl ResponseBody {
    /// No byte.
    pub fn empty() -> ResponseBody {
        ResponseBody::from(Bytes::new())
    }

    /// A body that comes in parts. If it ends with an error, the client's connection is cut.
    pub fn streamed<B>(body: B) -> ResponseBody
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        ResponseBody(Kind::Streamed(body.map_err(Into::into).boxed_unsync()))
    }
}

impl<T: Into<Bytes>> From<T> for ResponseBody {
    fn from(bytes: T) -> Self {
        ResponseBody(Kind::Whole(Full::new(bytes.into())))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Kind::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}
