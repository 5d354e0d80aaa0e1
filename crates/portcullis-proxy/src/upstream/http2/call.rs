//! One request on a stream: its head, its body, and the head of the answer.

use super::answer::Http2Body;
use super::connection::Stream;
use super::upload::Upload;
use crate::upload::ForwardedBody;
use crate::upstream::interim::{Interim, MAX_INTERIM};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, Scheme, Uri};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use std::task::{Context, Poll};

/// A request that waits for its answer.
pub(crate) struct Call {
    parts: Parts,
    response: ResponseFuture,
    upload: Upload,
    stream: Stream,
    interim: Vec<Interim>,
    told: bool,
}

/// The head of an answer, and its body.
pub(crate) struct Answered {
    pub(crate) parts: http::response::Parts,
    pub(crate) body: Http2Body,
}

/// Why there is no answer.
pub(crate) enum Unanswered {
    /// The server has not processed the request, which can be sent again.
    Unprocessed(Box<Request<ForwardedBody>>),
    /// The connection ended. Whether the server has processed the request, nobody knows; it may be sent again if it may be
    /// repeated. `None` where too much of its body is gone.
    Closed(String, Option<Box<Request<ForwardedBody>>>),
    /// What came is no answer.
    Malformed(String),
    /// The body of the request broke off.
    Upload,
}

impl Call {
    /// Sends a request, which has the form of HTTP/2, on a stream.
    ///
    /// # Errors
    /// The connection takes none.
    pub(crate) fn begin(stream: Stream, request: Request<ForwardedBody>) -> Result<Call, Unanswered> {
        let (parts, body) = request.into_parts();
        let mut head = Request::new(());
        *head.method_mut() = parts.method.clone();
        *head.uri_mut() = parts.uri.clone();
        *head.headers_mut() = parts.headers.clone();
        let ends = body.is_end_stream();
        match stream.sender().send_request(head, ends) {
            Ok((response, send)) => {
                let upload = Upload::new(send, body);
                Ok(Call { parts, response, upload, stream, interim: Vec::new(), told: false })
            }
            Err(error) if error.is_library() || error.is_go_away() || error.is_io() => {
                Err(Unanswered::Unprocessed(Box::new(Request::from_parts(parts, body))))
            }
            Err(error) => Err(Unanswered::Malformed(error.to_string())),
        }
    }

    /// Sends the request and waits for the head of its answer.
    ///
    /// # Errors
    /// The body of the request broke off, or the stream ended. The call is over then.
    pub(crate) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>, Option<h2::Error>>> {
        if let Poll::Ready(Err(())) = self.upload.poll(cx) {
            return Poll::Ready(Err(None));
        }
        while !self.told {
            match self.response.poll_informational(cx) {
                // SECURITY: a stream has no other protocol to switch to (RFC 9113, section 8.6). A client of HTTP/1.1 would take
                // the rest of its connection for one (a_server_of_http2_switches_no_protocol).
                Poll::Ready(Some(Ok(interim))) if interim.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Poll::Ready(Err(Some(Reason::PROTOCOL_ERROR.into())));
                }
                Poll::Ready(Some(Ok(interim))) => self.put_aside(interim),
                Poll::Ready(Some(Err(_)) | None) => self.told = true,
                Poll::Pending => break,
            }
        }
        let answer = std::pin::Pin::new(&mut self.response).poll(cx);
        if answer.is_ready() {
            self.stream.heard();
        }
        answer.map_err(Some)
    }

    fn put_aside(&mut self, interim: Response<()>) {
        self.stream.heard();
        let (parts, ()) = interim.into_parts();
        // A 100 is for the gateway, which asks for none (RFC 9110, section 15.2).
        if parts.status != StatusCode::CONTINUE && self.interim.len() < MAX_INTERIM {
            self.interim.push(Interim { status: parts.status, headers: parts.headers });
        }
    }

    /// The informational answers that have come since the last call.
    pub(crate) fn take_interim(&mut self) -> Vec<Interim> {
        std::mem::take(&mut self.interim)
    }

    /// The server has let the request's time run out.
    pub(crate) fn doubt(&self) {
        self.stream.doubt();
    }

    /// Gives the call up. The request comes back as it was, as far as that is remembered.
    pub(crate) fn abandoned(self) -> Option<Box<Request<ForwardedBody>>> {
        let Call { parts, upload, .. } = self;
        upload.into_body().map(|body| Box::new(Request::from_parts(parts, body)))
    }

    /// What follows from the head of the answer.
    pub(crate) fn answered(self, response: Response<RecvStream>) -> Answered {
        let Call { parts: request, mut upload, stream, .. } = self;
        upload.forget();
        let (parts, body) = response.into_parts();
        let head = request.method == Method::HEAD;
        let call = request.headers.contains_key(TE);
        let length = (!head).then(|| length(&parts.headers)).flatten();
        Answered { body: Http2Body::new(body, length, stream, upload, call), parts }
    }

    /// What follows from the end of the stream before the answer.
    pub(crate) fn failed(self, error: Option<h2::Error>) -> Unanswered {
        let Call { parts, upload, mut stream, .. } = self;
        let Some(error) = error else { return Unanswered::Upload };
        // The server's doing.
        stream.over();
        let again = upload.into_body().map(|body| Box::new(Request::from_parts(parts, body)));
        // SECURITY: what a server has not processed by its own word may go to another; anything else may have had its effect
        // (what_a_server_did_not_process_goes_to_another).
        let refused = error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
        let passed_over = error.is_go_away() && error.is_remote();
        match again {
            Some(request) if refused || passed_over => Unanswered::Unprocessed(request),
            again if error.is_io() => Unanswered::Closed(error.to_string(), again),
            // It has ended this request, and not the connection.
            _ if error.is_remote() => Unanswered::Closed(error.to_string(), None),
            _ => Unanswered::Malformed(error.to_string()),
        }
    }
}

fn length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Gives a request the form that it has in HTTP/2 (RFC 9113, section 8.3.1). `None` where it has none, which no canonical
/// target can bring about.
pub(crate) fn form(request: &mut Request<ForwardedBody>, tls: bool, authority: &Authority) -> Option<()> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority.clone());
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    let length = if request.body().is_end_stream() { Some(0) } else { request.body().size_hint().exact() };
    let expected = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let headers = request.headers_mut();
    headers.remove(HOST);
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length.filter(|length| *length > 0 || expected) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    // Says that trailers are understood, without which a server may not send the status of a call.
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Some(())
}
