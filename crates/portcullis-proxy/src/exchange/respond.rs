//! Builds answers, and closes the account of those that are complete at once.
//!
//! An answer that the gateway gives itself is problem details and nothing else: what went wrong is in the record.

use super::answer::{Answer, Source};
use super::life::Life;
use super::streams;
use crate::upload::Upload;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use portcullis_core::answer::{REQUEST_ID, Told, problem, refusal, secure};
use portcullis_core::head::Head;
use portcullis_core::{Conn, Denial, Outcome, Recording};
use std::rc::Rc;
use std::sync::Arc;

/// An answer of these parts.
pub(crate) fn respond(status: StatusCode, headers: HeaderMap, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What a request gets that goes to no route.
pub(super) struct Aside {
    pub(super) status: StatusCode,
    pub(super) field: (HeaderName, HeaderValue),
    pub(super) body: Bytes,
}

/// Answers a request that goes to no route. It is admitted like any other, so that it has one reading; then `aside` says what it
/// gets. `remaining` of its body were announced and not read.
pub(super) fn answer_aside(
    parts: Parts,
    conn: &Conn,
    mut recording: Recording,
    remaining: Option<u64>,
    life: &Rc<Life>,
    aside: impl FnOnce(&Head) -> Result<Aside, Denial>,
) -> Response<Answer> {
    life.leave_unread(remaining);
    recording.record_mut().version = Some(parts.version);
    let admitted = Head::admit(parts, conn, &recording.snapshot().head);
    let answered = admitted.and_then(|head| aside(&head).map(|aside| (head, aside)));
    let (head, Aside { status, field: (name, value), body }) = match answered {
        Ok(answered) => answered,
        Err(denial) => return refuse(recording, denial, None, life),
    };
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    headers.insert(REQUEST_ID, recording.record().id.to_value());
    secure(&mut headers);
    let record = recording.record_mut();
    record.method = Some(head.method().clone());
    record.target = Some(head.target().clone());
    record.host = Some(head.host().clone());
    record.client = Some(head.client());
    record.status = Some(status);
    record.bytes_sent = body.len() as u64;
    recording.close(Outcome::Served);
    respond(status, headers, Answer::whole(body, life))
}

/// An answer that is passed on: what was read of it already, and where the rest comes from.
pub(crate) fn answer_with(
    status: StatusCode,
    headers: HeaderMap,
    (read, source): (Bytes, Source),
    mut recording: Recording,
    upload: Option<Arc<Upload>>,
    life: &Rc<Life>,
) -> Response<Answer> {
    recording.record_mut().status = Some(status);
    let trailers = life.is_stream() && streams::is_call(&headers);
    respond(status, headers, Answer::relayed(read, source, recording, upload, trailers, life))
}

/// The answer to a server error: the same status, nothing else of it but when to come back.
pub(crate) fn end_with_server_error(
    recording: Recording,
    denial: Denial,
    status: StatusCode,
    headers: &HeaderMap,
    told: Option<&Told>,
    life: &Rc<Life>,
) -> Response<Answer> {
    let retry_after = headers.get(header::RETRY_AFTER).cloned();
    let mut response = end(recording, Outcome::Failed(denial), status, told, life);
    if let Some(value) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// The answer to a request that was let through and failed.
pub(crate) fn fail(
    recording: Recording,
    denial: Denial,
    told: Option<&Told>,
    life: &Rc<Life>,
) -> Response<Answer> {
    let status = denial.status();
    end(recording, Outcome::Failed(denial), status, told, life)
}

/// The answer to a request that the front refuses before it forwards anything.
pub(crate) fn refuse(
    recording: Recording,
    denial: Denial,
    told: Option<&Told>,
    life: &Rc<Life>,
) -> Response<Answer> {
    let status = denial.status();
    end(recording, Outcome::Refused(denial), status, told, life)
}

/// The answer to a request that the gateway itself refuses after it was judged, with what the refusal tells the client.
pub(crate) fn refuse_with_fields(
    mut recording: Recording,
    denial: Denial,
    told: Option<&Told>,
    life: &Rc<Life>,
) -> Response<Answer> {
    let mut response = refusal(&denial, &recording.record().id, None);
    recording.snapshot().error_bodies.apply(&mut response, &recording.record().id);
    if let Some(told) = told {
        told.write(response.headers_mut());
    }
    let record = recording.record_mut();
    record.status = Some(response.status());
    record.bytes_sent = response.body().len() as u64;
    recording.close(Outcome::Refused(denial));
    response.map(|bytes| Answer::whole(bytes, life))
}

fn end(
    mut recording: Recording,
    outcome: Outcome,
    status: StatusCode,
    told: Option<&Told>,
    life: &Rc<Life>,
) -> Response<Answer> {
    let mut response = problem(status, &recording.record().id);
    recording.snapshot().error_bodies.apply(&mut response, &recording.record().id);
    if let Some(told) = told {
        told.write(response.headers_mut());
    }
    let record = recording.record_mut();
    record.status = Some(status);
    record.bytes_sent = response.body().len() as u64;
    recording.close(outcome);
    response.map(|bytes| Answer::whole(bytes, life))
}
