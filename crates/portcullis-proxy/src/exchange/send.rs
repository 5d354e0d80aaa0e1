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
    AnswerBody, Call, Ends, Failure, Fresh, Head, Http1Lease, Http2Stream, Lease, Pool, Switched, Unanswered,
};
use bytes::Bytes;
use http::header::HeaderMap;
use http::request::Parts;
use http::response::Parts as AnswerParts;
use http::{Method, Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use portcullis_core::{Code, Denial};
use portcullis_http1::{BodyLength, ResponseBody};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a request is sent to a server that says that it has not processed it, or that closes connections on it.
const MOST_TRIES: u32 = 3;

/// What an upstream has answered.
pub(super) enum Got {
    Answer(AnswerParts, AnswerBody),
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

/// Why a server has not answered a request.
pub(super) struct Failed {
    pub(super) denial: Denial,
    pub(super) what: What,
    /// The request as it was; `None` where that is not remembered, or where the client has had a part of an answer.
    pub(super) request: Option<Box<Request<ForwardedBody>>>,
}

/// What went wrong between the gateway and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// There is no connection to it.
    Unreached,
    /// It has as many connections as it may. Nothing is known of it.
    Full,
    /// It has not processed the request, by its own word.
    Unprocessed,
    /// The connection ended before the answer.
    Reset,
    /// It did not answer in time.
    Late,
    /// It answered with this status, for which there is another try.
    Status(StatusCode),
    /// What it answered is no answer.
    Malformed,
    /// Nothing of its doing: the client's body broke off, or what let the request in is gone.
    Other,
}

/// What one try may take, and which answers are none.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// How long a connection may take, and then the answer; the server's own times are bounds as well.
    pub(super) limit: Option<Duration>,
    /// Whose request it is, for servers that hear that.
    pub(super) ends: Option<Ends>,
    /// Who says which answers are given up for another try.
    pub(super) unwanted: Option<&'a dyn Unwanted>,
}

/// Says which answers are given up for another try.
pub(super) trait Unwanted {
    /// Whether an answer with this status is. Asked at most once in a try.
    fn is_unwanted(&self, status: StatusCode, now: Instant) -> bool;
}

impl Terms<'_> {
    /// Those of the server alone.
    pub(super) fn of_the_server(ends: Option<Ends>) -> Terms<'static> {
        Terms { limit: None, ends, unwanted: None }
    }
}

/// Why a try has no answer.
enum Unsent {
    /// The server has not processed the request; here it is.
    Back(Box<Request<ForwardedBody>>, Fresh, &'static str),
    /// Anything else.
    Failed(Failed),
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
    terms: Terms<'_>,
) -> Result<Got, Failed> {
    let mut fresh = Fresh::IfNeedBe;
    let mut why = "";
    for _ in 0..MOST_TRIES {
        // A connection that is taken and not used would be closed.
        let idle = if fresh == Fresh::IfNeedBe { pool.take(life.now()) } else { None };
        let lease = match idle {
            Some(lease) => lease,
            // Boxed, since a connection is rarely new.
            None => match Box::pin(connected(pool, life, fresh, terms)).await {
                Ok(lease) => lease,
                Err((what, denial)) => {
                    return Err(Failed { denial, what, request: Some(Box::new(request)) });
                }
            },
        };
        let begun = life.now();
        let limit = pool.upstream.response_timeout;
        let limit = terms.limit.map_or(limit, |own| own.min(limit));
        // The upstream's time begins when it has the request; while the client still sends it, it is the client's.
        let deadline =
            || upload.map_or(Some(begun), Upload::active).and_then(|since| since.checked_add(limit));
        let exchanged = match lease {
            Lease::Http1(lease) => {
                let (parts, body) = request.into_parts();
                exchange_http1(life, lease, parts, body, deadline, terms).await
            }
            Lease::Http2(stream) => {
                let max_fields = pool.upstream.max_head_fields;
                Box::pin(exchange_http2(life, stream, max_fields, request, deadline, terms)).await
            }
        };
        match exchanged {
            Ok(got) => return Ok(got),
            Err(Unsent::Failed(failed)) => return Err(failed),
            Err(Unsent::Back(returned, next, reason)) => (request, fresh, why) = (*returned, next, reason),
        }
    }
    let denial = Denial::new(Code::UpstreamClosed, why);
    Err(Failed { denial, what: What::Unprocessed, request: Some(Box::new(request)) })
}

/// A place on a connection, on a new one if need be.
async fn connected(
    pool: &Rc<Pool>,
    life: &Life,
    fresh: Fresh,
    terms: Terms<'_>,
) -> Result<Lease, (What, Denial)> {
    let most = pool.upstream.connect_timeout;
    let time = terms.limit.map_or(most, |limit| limit.min(most));
    let deadline = Instant::now().checked_add(time);
    match life.within(|| deadline, pool.lease(fresh, terms.ends)).await {
        Some(Ok(lease)) => Ok(lease),
        Some(Err(denial)) if denial.code() == Code::UpstreamBusy => Err((What::Full, denial)),
        Some(Err(denial)) => Err((What::Unreached, denial)),
        None => Err(life.revoked().map_or_else(
            || {
                let late = "the upstream did not accept a connection in time";
                (What::Unreached, Denial::new(Code::UpstreamUnreachable, late))
            },
            |revoked| (What::Other, revoked),
        )),
    }
}

fn failed<T>(what: What, code: Code, detail: impl Into<std::borrow::Cow<'static, str>>) -> Result<T, Unsent> {
    Err(Unsent::Failed(Failed { denial: Denial::new(code, detail), what, request: None }))
}

/// Why nobody waits any longer: what let the request in is gone, or the time is over.
fn late(life: &Life, request: Option<Box<Request<ForwardedBody>>>) -> Unsent {
    let late = || Denial::new(Code::UpstreamTimeout, "the upstream did not answer in time");
    Unsent::Failed(match life.revoked() {
        Some(denial) => Failed { denial, what: What::Other, request: None },
        None => Failed { denial: late(), what: What::Late, request },
    })
}

const BROKE_OFF: &str = "the body of the request broke off";
const CLOSED_AT_ONCE: &str = "the upstream closed the connection at once";

/// Whether a request may be repeated: safe, and without a body. `PUT` and `DELETE` are idempotent too (RFC 9110, section
/// 9.2.2), but the answer to the second one can be another (a deleted thing is 404), so they are not repeated behind the
/// client's back.
fn is_repeatable(method: &Method, body: &ForwardedBody) -> bool {
    body.is_end_stream() && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A request that failed at a server, as it was, if its body is remembered.
fn again(parts: Parts, mut body: ForwardedBody) -> Option<Box<Request<ForwardedBody>>> {
    body.rewind().then(|| Box::new(Request::from_parts(parts, body)))
}

/// Sends a request in this very task, and keeps it until it is known that it need not be repeated.
async fn exchange_http1(
    life: &Life,
    lease: Http1Lease,
    parts: Parts,
    mut body: ForwardedBody,
    deadline: impl Fn() -> Option<Instant>,
    terms: Terms<'_>,
) -> Result<Got, Unsent> {
    let Http1Lease { mut connection, pool, reused } = lease;
    let bodiless = body.is_end_stream();
    let repeatable = reused && is_repeatable(&parts.method, &body);
    if !connection.begin(&parts, &body) {
        return failed(What::Other, Code::Fault, "the request has no form in HTTP/1.1");
    }
    let mut told = false;
    let answered = poll_fn(|cx| {
        let answered = connection.poll_answer(parts.method.as_str(), &mut body, cx);
        for mut interim in connection.take_interim() {
            hygiene::clean_interim(&mut interim.headers);
            life.interim(interim);
            told = true;
        }
        answered
    });
    let answered = life.within(deadline, answered).await;
    let back = |parts, body| {
        Err(Unsent::Back(Box::new(Request::from_parts(parts, body)), Fresh::Always, CLOSED_AT_ONCE))
    };
    // SECURITY: a client that had an informational answer has begun to read one server's answer
    // (nothing_is_sent_again_after_the_first_byte_of_an_answer).
    let again = |parts, body| if told { None } else { again(parts, body) };
    let closed = |detail: &'static str, request| {
        let denial = Denial::new(Code::UpstreamClosed, detail);
        Err(Unsent::Failed(Failed { denial, what: What::Reset, request }))
    };
    let Head { parts: head, follows, persists } = match answered {
        None => return Err(late(life, again(parts, body))),
        Some(Ok(head)) => head,
        Some(Err(Failure::Unsent)) if reused && bodiless => return back(parts, body),
        Some(Err(Failure::Closed(_))) if repeatable => return back(parts, body),
        Some(Err(Failure::Unsent)) => return closed(CLOSED_AT_ONCE, again(parts, body)),
        Some(Err(Failure::Closed(detail))) => return closed(detail, again(parts, body)),
        Some(Err(Failure::Malformed(refusal))) => {
            return failed(What::Malformed, Code::UpstreamMalformed, refusal.to_string());
        }
        Some(Err(Failure::Upload)) => return failed(What::Other, Code::UpstreamClosed, BROKE_OFF),
    };
    let length = match follows {
        ResponseBody::AnotherProtocol => {
            return Ok(Got::Switched(head.headers, connection.into_stream()));
        }
        ResponseBody::Body(length) => length,
        ResponseBody::Nothing | ResponseBody::AnotherHead => BodyLength::Exact(0),
    };
    let is_unwanted =
        |by: &dyn Unwanted| !told && connection.has_sent() && by.is_unwanted(head.status, life.now());
    if terms.unwanted.is_some_and(is_unwanted) {
        let unread = AnswerBody::http1(connection, pool, length, None, persists, life.now());
        tokio::task::spawn_local(discard(unread));
        return Err(Unsent::Failed(unwanted(head.status, again(parts, body))));
    }
    let rest = (!connection.has_sent()).then_some(body);
    // SECURITY: also where the rest goes out before the answer ends (a_connection_with_an_early_answer_is_not_used_again).
    let persists = persists && rest.is_none();
    Ok(Got::Answer(head, AnswerBody::http1(connection, pool, length, rest, persists, life.now())))
}

fn unwanted(status: StatusCode, request: Option<Box<Request<ForwardedBody>>>) -> Failed {
    let detail = format!("the upstream answered with status {}", status.as_u16());
    Failed { denial: Denial::new(Code::UpstreamFailed, detail), what: What::Status(status), request }
}

/// Sends a request on a stream, in this very task.
async fn exchange_http2(
    life: &Life,
    stream: Http2Stream,
    max_fields: usize,
    request: Request<ForwardedBody>,
    deadline: impl Fn() -> Option<Instant>,
    terms: Terms<'_>,
) -> Result<Got, Unsent> {
    let repeatable = stream.reused && is_repeatable(request.method(), request.body());
    let mut call = match Call::begin(stream, request) {
        Ok(call) => call,
        Err(unanswered) => return unanswered_call(unanswered, repeatable, false),
    };
    let mut told = false;
    let answered = poll_fn(|cx| {
        let answered = call.poll_answer(cx);
        for mut interim in call.take_interim() {
            hygiene::clean_interim(&mut interim.headers);
            life.interim(interim);
            told = true;
        }
        answered
    });
    match life.within(deadline, answered).await {
        None => {
            if life.revoked().is_none() {
                call.doubt();
            }
            Err(late(life, call.abandoned().filter(|_| !told)))
        }
        Some(Ok(response)) => {
            let status = response.status();
            if terms.unwanted.is_some_and(|by| !told && by.is_unwanted(status, life.now())) {
                return Err(Unsent::Failed(unwanted(status, call.abandoned())));
            }
            let answered = call.answered(response);
            if answered.parts.headers.len() > max_fields {
                let detail = "the answer has too many fields";
                return failed(What::Malformed, Code::UpstreamMalformed, detail);
            }
            Ok(Got::Answer(answered.parts, AnswerBody::http2(answered.body)))
        }
        Some(Err(error)) => unanswered_call(call.failed(error), repeatable, told),
    }
}

fn unanswered_call(unanswered: Unanswered, repeatable: bool, told: bool) -> Result<Got, Unsent> {
    match unanswered {
        Unanswered::Unprocessed(request) => {
            Err(Unsent::Back(request, Fresh::IfNeedBe, "the upstream takes no requests on its connections"))
        }
        Unanswered::Closed(_, Some(request)) if repeatable => {
            Err(Unsent::Back(request, Fresh::Always, CLOSED_AT_ONCE))
        }
        Unanswered::Closed(detail, request) => {
            let denial = Denial::new(Code::UpstreamClosed, detail);
            let request = request.filter(|_| !told);
            Err(Unsent::Failed(Failed { denial, what: What::Reset, request }))
        }
        Unanswered::Malformed(detail) => failed(What::Malformed, Code::UpstreamMalformed, detail),
        Unanswered::Upload => failed(What::Other, Code::UpstreamClosed, BROKE_OFF),
    }
}

/// How much of a body that nobody wants is read so that its connection can be used again.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Reads a little of a body that nobody wants, so that its connection can be used again.
pub(super) async fn discard(mut body: AnswerBody) {
    let read = async {
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            size += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if size > DRAIN_BYTES {
                return None;
            }
        }
        Some(())
    };
    // At its end the connection goes back; before it, the connection is closed.
    if let Ok(Some(())) = tokio::time::timeout(DRAIN_TIME, read).await {
        body.finish();
    }
}
