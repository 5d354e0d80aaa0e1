//! Refusals of gRPC calls, as gRPC clients understand them.
//!
//! A refusal is HTTP 200 with the status of the call in its head and nothing behind it ("Trailers-Only", "gRPC over HTTP2" of
//! the gRPC project), by that project's mapping of HTTP statuses. The record keeps the HTTP status.

use super::answer::Answer;
use super::grpc_status::{MESSAGE, STATUS, code, message};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const CALL: HeaderValue = HeaderValue::from_static("application/grpc");

/// Makes an answer of the gateway's own one to a call. Leaves any other answer as it is.
pub(super) fn translate(response: &mut Response<Answer>) {
    if response.headers().get(CONTENT_TYPE) != Some(&PROBLEM) {
        return;
    }
    let status = response.status();
    *response.status_mut() = StatusCode::OK;
    response.body_mut().empty();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, CALL);
    headers.insert(STATUS, HeaderValue::from(code(status)));
    headers.insert(MESSAGE, message(status));
}
