//! Refusals of gRPC calls, as gRPC clients understand them.
//!
//! A refusal is HTTP 200 with the status of the call in its head and nothing behind it ("Trailers-Only", "gRPC over HTTP2" of
//! the gRPC project), by that project's mapping of HTTP statuses. The record keeps the HTTP status.

use super::answer::Answer;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
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
    // Fixed, and without a character that needs an escape.
    let reason = status.canonical_reason().unwrap_or("Refused");
    headers.insert(MESSAGE, HeaderValue::from_static(reason));
}

/// The end of a call that had begun, for an HTTP status of the gateway's own.
pub(super) fn trailers(status: StatusCode) -> HeaderMap {
    let reason = status.canonical_reason().unwrap_or("Refused");
    HeaderMap::from_iter([
        (STATUS, HeaderValue::from(code(status))),
        (MESSAGE, HeaderValue::from_static(reason)),
    ])
}

/// The status of a call for an HTTP status ("HTTP to gRPC Status Code Mapping").
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_statuses_have_the_projects_mapping() {
        for (status, wanted) in [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (429, 14),
            (502, 14),
            (503, 14),
            (504, 14),
            (500, 2),
            (413, 2),
        ] {
            assert_eq!(code(StatusCode::from_u16(status).unwrap()), wanted, "{status}");
        }
    }
}
