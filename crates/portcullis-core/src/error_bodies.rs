//! Bodies of errors that an operator gives in place of problem details.
//!
//! The status and all header fields but the content type stay. Of the request nothing but its id can stand in such a body, so
//! nothing that a client sends comes back in it. Needs nothing that could fail.

use crate::record::RequestId;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use std::sync::Arc;

/// What stands for the id of the request.
const PLACE: &str = "{request_id}";

/// What a page of errors may hold: its own styles and images, and nothing from elsewhere.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
);

/// A body of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// What it is.
    pub content_type: HeaderValue,
    /// The text; `{request_id}` stands for the id of the request.
    pub text: String,
}

/// Bodies by status; statuses without one have problem details.
#[derive(Clone, Debug, Default)]
pub struct ErrorBodies(Vec<(StatusCode, Arc<ErrorBody>)>);

impl ErrorBodies {
    /// Gives a status this body, in place of one that it has.
    pub fn insert(&mut self, status: StatusCode, body: Arc<ErrorBody>) {
        self.0.retain(|(known, _)| *known != status);
        self.0.push((status, body));
    }

    /// The body of a status.
    pub fn get(&self, status: StatusCode) -> Option<&ErrorBody> {
        self.0.iter().find(|(known, _)| *known == status).map(|(_, body)| body.as_ref())
    }

    /// Gives an answer of the gateway's own the body of its status, if there is one.
    pub fn apply(&self, response: &mut Response<Bytes>, id: &RequestId) {
        let Some(ErrorBody { content_type, text }) = self.get(response.status()) else { return };
        *response.body_mut() = text.replace(PLACE, id.as_str()).into();
        let html = content_type.as_bytes().starts_with(b"text/html");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type.clone());
        if html {
            headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::problem;

    #[test]
    fn a_status_has_its_own_body_and_others_have_problem_details() {
        let mut bodies = ErrorBodies::default();
        let page = ErrorBody {
            content_type: HeaderValue::from_static("text/html; charset=utf-8"),
            text: "<p>Nothing here. {request_id}</p>".to_owned(),
        };
        bodies.insert(StatusCode::NOT_FOUND, Arc::new(page));
        let id = RequestId::new([1; 16]);
        let answer = |status| {
            let mut response = problem(status, &id);
            bodies.apply(&mut response, &id);
            response
        };
        let page = answer(StatusCode::NOT_FOUND);
        assert_eq!(page.body().as_ref(), format!("<p>Nothing here. {id}</p>").as_bytes());
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(
            (&page.headers()["content-security-policy"], page.status()),
            (&PAGE_POLICY, StatusCode::NOT_FOUND)
        );
        assert_eq!(answer(StatusCode::FORBIDDEN).headers()["content-type"], "application/problem+json");
    }
}
