//! The gateway's end of a connection of HTTP/2 to an upstream.
//!
//! A connection carries one request at a time: an upstream that ends it, or a client that stalls on it, then concerns one
//! request alone.

use crate::stream::Stream;
use crate::upload::ForwardedBody;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, TE, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme, Uri};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;

/// How much of an answer may come before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Sends requests on a connection.
pub(crate) struct Sender(http2::SendRequest<ForwardedBody>);

/// What drives a connection of HTTP/2.
pub(crate) type Http2Connection = http2::Connection<TokioIo<Stream>, ForwardedBody, OnThisThread>;

/// Runs what a connection needs on the worker's own thread.
#[derive(Clone)]
pub(crate) struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Begins a connection of HTTP/2, with heads of at most this size.
pub(crate) async fn begin(stream: Stream, max_head: u32) -> hyper::Result<(Sender, Http2Connection)> {
    let mut http = http2::Builder::new(OnThisThread);
    http.max_header_list_size(max_head)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let (sender, connection) = http.handshake(TokioIo::new(stream)).await?;
    Ok((Sender(sender), connection))
}

impl Sender {
    /// Whether a request can be sent now.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    /// Whether none ever will.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until a request can be sent.
    pub(crate) async fn ready(&mut self) -> hyper::Result<()> {
        self.0.ready().await
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<ForwardedBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ForwardedBody>>> {
        self.0.try_send_request(request).await
    }
}

/// Gives a request the form that it has in HTTP/2 (RFC 9113, section 8.3.1). `None` where it has none, which no canonical
/// target can bring about.
pub(crate) fn formed(
    mut request: Request<ForwardedBody>,
    tls: bool,
    authority: &Authority,
) -> Option<Request<ForwardedBody>> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority.clone());
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    let headers = request.headers_mut();
    headers.remove(HOST);
    headers.remove(TRANSFER_ENCODING);
    // Says that trailers are understood, without which a server may not send the status of a call.
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Some(request)
}
