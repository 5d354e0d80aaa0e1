//! Services of `tower` that answer requests, such as a router of `axum`.
//!
//! A service gets the request that was judged, as a handler does, with the whole path. Nothing is forwarded to it that the
//! engine did not let through. If it answers with an error, or panics, the client gets the gateway's own 500.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use portcullis_proxy::{BoxError, Handler, RequestBody, ResponseBody};
use std::future::poll_fn;
use std::pin::Pin;

/// A service that can be mounted. Do not implement it: every [`tower_service::Service`] of `http` requests that is `Clone`,
/// `Send` and `Sync` has it. One that is not `Sync` can be made so by `tower::util::BoxCloneSyncService`.
pub trait Service: Clone + Send + Sync + 'static {
    /// Answers one request with a copy of this service that was made for it.
    fn answer(
        self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<ResponseBody>> + Send + 'static;
}

impl<S, B> Service for S
where
    S: tower_service::Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn answer(mut self, request: Request<RequestBody>) -> Response<ResponseBody> {
        // A service may be called only after it said that it is ready.
        let ready = poll_fn(|cx| self.poll_ready(cx)).await;
        match ready {
            Ok(()) => {
                self.call(request).await.map_or_else(|_error| failed(), |r| r.map(ResponseBody::streamed))
            }
            Err(_error) => failed(),
        }
    }
}

/// What went wrong is told to nobody: the client gets the gateway's own 500.
fn failed() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// A service as a handler.
pub(crate) struct Mounted<S>(pub(crate) S);

impl<S: Service> Handler for Mounted<S> {
    fn call(
        &self,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>> {
        Box::pin(self.0.clone().answer(request))
    }
}
