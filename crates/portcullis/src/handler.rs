//! Functions of the embedding program that answer requests.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use portcullis_proxy::{Handler, RequestBody, ResponseBody};
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;

/// What a handler may answer with.
pub trait IntoResponse {
    /// The answer.
    fn into_response(self) -> Response<ResponseBody>;
}

/// A value that is sent as JSON.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response<ResponseBody> {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => with_type(bytes, "application/json"),
            // A value that cannot be written is the handler's fault; the gateway replaces the answer.
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response<ResponseBody> {
        with_type(self.as_bytes(), "text/plain; charset=utf-8")
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response<ResponseBody> {
        with_type(self, "text/plain; charset=utf-8")
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = self;
        response
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response<ResponseBody> {
        let mut response = self.1.into_response();
        *response.status_mut() = self.0;
        response
    }
}

impl<B: Into<ResponseBody>> IntoResponse for Response<B> {
    fn into_response(self) -> Response<ResponseBody> {
        self.map(Into::into)
    }
}

fn with_type(bytes: impl Into<Bytes>, content_type: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(bytes.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An error that a handler answers with is told to nobody: the client gets the gateway's own 500.
impl<T: IntoResponse, E> IntoResponse for Result<T, E>
where
    E: std::fmt::Display,
{
    fn into_response(self) -> Response<ResponseBody> {
        match self {
            Ok(answer) => answer.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// Reads a request's whole body. It is bounded by the route's `body.max_size`.
///
/// # Errors
/// The body is too large, too slow, or broke off; whatever the handler answers then, the client is told so.
pub async fn read_body(body: RequestBody) -> Result<Bytes, portcullis_proxy::BoxError> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// A function as a handler.
pub(crate) struct Function<F>(pub(crate) F);

impl<F, Answering> Handler for Function<F>
where
    F: Fn(Request<RequestBody>) -> Answering + Send + Sync,
    Answering: Future<Output: IntoResponse> + Send + 'static,
{
    fn call(
        &self,
        request: Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>> {
        let answering = (self.0)(request);
        Box::pin(async move { answering.await.into_response() })
    }
}
