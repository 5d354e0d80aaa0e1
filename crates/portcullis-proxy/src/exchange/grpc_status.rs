//! The status of a gRPC call for an HTTP status of the gateway's own.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(super) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What a call is told beside its status: fixed, and without a character that needs an escape.
pub(super) fn message(status: StatusCode) -> HeaderValue {
    HeaderValue::from_static(status.canonical_reason().unwrap_or("Refused"))
}

/// The end of a call that had begun.
pub(super) fn trailers(status: StatusCode) -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from(code(status))), (MESSAGE, message(status))])
}

/// The status of a call for an HTTP status ("HTTP to gRPC Status Code Mapping").
pub(super) fn code(status: StatusCode) -> u16 {
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
