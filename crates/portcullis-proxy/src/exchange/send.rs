//! Sends a request to one server, and waits for the head of its answer.
//!
//! A request goes out more than once only if that cannot have its effect twice: the server did not process it by its own word
//! (HTTP/2: GOAWAY, REFUSED_STREAM), not a byte of it left, or a connection turned out to be dead that was used before and the
//! request may be repeated. What there is to try beyond that, such as another server, is for the caller: where the
//! request is as it was, it comes back with the failure.

use super::hygiene;
use super::life::Life;
use crate::upload::{ForwardedBody, Upload};
use crate::upstream::{
    AnswerBody, Call, Failure, Fresh, Head, Http1Lease, Http2Stream, Lease, Pool, Switched, Unanswered,
};
use http::header::HeaderMap;
use http::response::Parts;
use http::{Method, Request, StatusCode};
use http_body::Body;
use portcullis_core::{Code, Denial};
use portcullis_http1::{BodyLength, ResponseBody};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

/// How often a request is sent to a server that says that it has not processed it, or that closes connections on it.
const MOST_TRIES: u32 = 3;

/// What an upstream has answered.
pub(super) enum Got {
    Answer(Parts, AnswerBody),
    /// It has switched protocols, with these fields.
    Switched(HeaderMap, Switched),
}

impl Got {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Got::Answer(parts, _) => parts.status,
            Got::Switched(..) => StatusCode::SWITCHING_PROTOCOLS,
        }
    }
}

/// Why a try has no answer.
enum Unsent {
    /// The server has not processed the request; here it is.
    Back(Box<Request<ForwardedBody>>, Fresh, &'static str),
    /// Anything else.
    Failed(Denial),
}

/// Sends a request on an idle connection, or a new one, and waits for the head of the answer. The connection has the
/// upstream's `connect_timeout`, and the answer its `response_timeout`.
///
/// # Errors
/// The server cannot be reached, does not answer in time, or what it answers is no answer.
pub(super) async fn send(
    pool: &Rc<Pool>,
    life: &Rc<Life>,
    mut request: Request<ForwardedBody>,
    upload: Option<&Upload>,
) -> Result<Got, Denial> {
    let mut fresh = Fresh::IfNeedBe;
    let mut why = "";
    for _ in 0..MOST_TRIES {
        let lease = match pool.take().filter(|_| fresh == Fresh::IfNeedBe) {
            Some(lease) => lease,
            None => {
                let deadline = Instant::now().checked_add(pool.upstream.connect_timeout);
                life.within(|| deadline, pool.lease(fresh)).await.ok_or_else(|| {
                    let late = "the upstream did not accept a connection in time";
                    life.revoked().unwrap_or_else(|| Denial::new(Code::UpstreamUnreachable, late))
                })??
            }
        };
        match exchange(pool, life, lease, request, upload).await {
            Ok(got) => return Ok(got),
            Err(Unsent::Failed(denial)) => return Err(denial),
            Err(Unsent::Back(returned, next, reason)) => (request, fresh, why) = (*returned, next, reason),
        }
    }
    Err(Denial::new(Code::UpstreamClosed, why))
}

async fn exchange(
    pool: &Pool,
    life: &Life,
    lease: Lease,
    request: Request<ForwardedBody>,
    upload: Option<&Upload>,
) -> Result<Got, Unsent> {
    let begun = Instant::now();
    let limit = pool.upstream.response_timeout;
    // The upstream's time begins when it has the request; while the client still sends it, it is the client's.
    let deadline = || upload.map_or(Some(begun), Upload::active).and_then(|since| since.checked_add(limit));
    match lease {
        Lease::Http1(lease) => exchange_http1(life, lease, request, deadline).await,
        Lease::Http2(stream) => {
            exchange_http2(life, stream, pool.upstream.max_head_fields, request, deadline).await
        }
    }
}

fn failed<T>(code: Code, detail: impl Into<std::borrow::Cow<'static, str>>) -> Result<T, Unsent> {
    Err(Unsent::Failed(Denial::new(code, detail)))
}

/// Why nobody waits any longer: what let the request in is gone, or the time is over.
fn late(life: &Life) -> Unsent {
    let late = || Denial::new(Code::UpstreamTimeout, "the upstream did not answer in time");
    Unsent::Failed(life.revoked().unwrap_or_else(late))
}

const BROKE_OFF: &str = "the body of the request broke off";
const CLOSED_AT_ONCE: &str = "the upstream closed the connection at once";

/// Whether a request may be repeated: safe, and without a body. `PUT` and `DELETE` are idempotent too (RFC 9110, section
/// 9.2.2), but the answer to the second one can be another (a deleted thing is 404), so they are not repeated behind the
/// client's back.
fn is_repeatable(method: &Method, body: &ForwardedBody) -> bool {
    body.is_end_stream() && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Sends a request in this very task, and keeps it until it is known that it need not be repeated.
async fn exchange_http1(
    life: &Life,
    lease: Http1Lease,
    request: Request<ForwardedBody>,
    deadline: impl Fn() -> Option<Instant>,
) -> Result<Got, Unsent> {
    let Http1Lease { mut connection, pool, reused } = lease;
    let bodiless = request.body().is_end_stream();
    let repeatable = reused && is_repeatable(request.method(), request.body());
    let (parts, mut body) = request.into_parts();
    if !connection.begin(&parts, &body) {
        return failed(Code::Fault, "the request has no form in HTTP/1.1");
    }
    let answered = poll_fn(|cx| {
        let answered = connection.poll_answer(parts.method.as_str(), &mut body, cx);
        for mut interim in connection.take_interim() {
            hygiene::clean_interim(&mut interim.headers);
            life.interim(interim);
        }
        answered
    });
    let again = |parts, body| {
        Err(Unsent::Back(Box::new(Request::from_parts(parts, body)), Fresh::Always, CLOSED_AT_ONCE))
    };
    let Head { parts: head, follows, persists } = match life.within(deadline, answered).await {
        None => return Err(late(life)),
        Some(Ok(head)) => head,
        Some(Err(Failure::Unsent)) if reused && bodiless => return again(parts, body),
        Some(Err(Failure::Closed(_))) if repeatable => return again(parts, body),
        Some(Err(Failure::Unsent)) => return failed(Code::UpstreamClosed, CLOSED_AT_ONCE),
        Some(Err(Failure::Closed(detail))) => return failed(Code::UpstreamClosed, detail),
        Some(Err(Failure::Malformed(refusal))) => {
            return failed(Code::UpstreamMalformed, refusal.to_string());
        }
        Some(Err(Failure::Upload)) => return failed(Code::UpstreamClosed, BROKE_OFF),
    };
    let length = match follows {
        ResponseBody::AnotherProtocol => {
            return Ok(Got::Switched(head.headers, connection.into_stream()));
        }
        ResponseBody::Body(length) => length,
        ResponseBody::Nothing | ResponseBody::AnotherHead => BodyLength::Exact(0),
    };
    let rest = (!connection.has_sent()).then_some(body);
    Ok(Got::Answer(head, AnswerBody::http1(connection, pool, length, rest, persists)))
}

/// Sends a request on a stream, in this very task.
async fn exchange_http2(
    life: &Life,
    stream: Http2Stream,
    max_fields: usize,
    request: Request<ForwardedBody>,
    deadline: impl Fn() -> Option<Instant>,
) -> Result<Got, Unsent> {
    let repeatable = stream.reused && is_repeatable(request.method(), request.body());
    let mut call = match Call::begin(stream, request) {
        Ok(call) => call,
        Err(unanswered) => return unanswered_call(unanswered, repeatable),
    };
    let answered = poll_fn(|cx| {
        let answered = call.poll_answer(cx);
        for mut interim in call.take_interim() {
            hygiene::clean_interim(&mut interim.headers);
            life.interim(interim);
        }
        answered
    });
    match life.within(deadline, answered).await {
        None => {
            if life.revoked().is_none() {
                call.doubt();
            }
            Err(late(life))
        }
        Some(Ok(response)) => {
            let answered = call.answered(response);
            if answered.parts.headers.len() > max_fields {
                return failed(Code::UpstreamMalformed, "the answer has too many fields");
            }
            Ok(Got::Answer(answered.parts, AnswerBody::http2(answered.body)))
        }
        Some(Err(error)) => unanswered_call(call.failed(error), repeatable),
    }
}

fn unanswered_call(unanswered: Unanswered, repeatable: bool) -> Result<Got, Unsent> {
    match unanswered {
        Unanswered::Unprocessed(request) => {
            Err(Unsent::Back(request, Fresh::IfNeedBe, "the upstream takes no requests on its connections"))
        }
        Unanswered::Closed(_, Some(request)) if repeatable => {
            Err(Unsent::Back(request, Fresh::Always, CLOSED_AT_ONCE))
        }
        Unanswered::Closed(detail, _) => failed(Code::UpstreamClosed, detail),
        Unanswered::Malformed(detail) => failed(Code::UpstreamMalformed, detail),
        Unanswered::Upload => failed(Code::UpstreamClosed, BROKE_OFF),
    }
}
