//! What the client sees of a refusal: a status, a request id, and nothing else, unless a route says what is wrong with
//! the client's own request.
//!
//! The body is RFC 9457 problem details of type `about:blank`, whose title is the status's own phrase. Every reason for
//! a status therefore looks the same: why exactly is in the record under the request id.

use crate::check::AnswerFields;
use crate::denial::{Advice, Code, Denial, Position, Violation};
use crate::effects::{Count, LimitId};
use crate::plan::Snapshot;
use crate::record::RequestId;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::fmt::{self, Write};

/// The field that carries the request id, to the client and to the upstream.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_RATE_LIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What clients of automatic persisted queries understand: they send the document again.
const QUERY_UNKNOWN: &[u8] =
    br#"{"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}"#;

/// The state of a limit, for the client.
#[derive(Clone)]
pub struct LimitState {
    /// The count after this request.
    pub count: Count,
    /// The limit.
    pub limit: LimitId,
    /// What the request is judged with, which has the limit's policy.
    pub snapshot: Snapshot,
}

impl fmt::Debug for LimitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitState")
            .field("count", &self.count)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl LimitState {
    /// Writes the `RateLimit` and `RateLimit-Policy` fields (draft-ietf-httpapi-ratelimit-headers-10, section 4), and the
    /// older ones where the policy wants them.
    pub fn write(&self, headers: &mut HeaderMap) {
        let LimitState { count, limit, snapshot } = self;
        let Some(policy) = snapshot.policies.get(limit.0 as usize) else { return };
        let state = format!("\"{}\";r={};t={}", policy.name, count.remaining, seconds(*count));
        if let (Ok(policy), Ok(state)) = (HeaderValue::from_str(&policy.text), HeaderValue::try_from(state)) {
            headers.insert(RATE_LIMIT_POLICY, policy);
            headers.insert(RATE_LIMIT, state);
        }
        if policy.legacy_fields {
            headers.insert(X_RATE_LIMIT_LIMIT, HeaderValue::from(policy.max));
            headers.insert(X_RATE_LIMIT_REMAINING, HeaderValue::from(count.remaining));
            headers.insert(X_RATE_LIMIT_RESET, HeaderValue::from(seconds(*count)));
        }
    }
}

/// What an answer that comes from elsewhere says beside what it says itself.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The state of a limit.
    pub limit: Option<LimitState>,
    /// Fields that a check wants the client to have.
    pub fields: AnswerFields,
    /// Whether the route says which pages of other origins may read its answers, so that nobody else does.
    pub cross_origin: bool,
}

impl Told {
    /// Writes it.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(limit) = &self.limit {
            limit.write(headers);
        }
        // SECURITY: what an upstream says to every origin is not what the route says (an_upstream_opens_no_route_to_pages).
        if self.cross_origin {
            let theirs = headers.keys().filter(|name| name.as_str().starts_with("access-control-"));
            for name in theirs.cloned().collect::<Vec<_>>() {
                headers.remove(name);
            }
        }
        for (name, value) in &self.fields {
            headers.append(name, value.clone());
        }
    }
}

/// Whole seconds, rounded up, until the limit is as wide as it gets; while it is exhausted, until one more is allowed.
fn seconds(count: Count) -> u64 {
    let wait = if count.allowed { count.reset_after } else { count.retry_after };
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The answer to a refusal.
pub fn refusal(denial: &Denial, id: &RequestId, told: Option<&LimitState>) -> Response<Bytes> {
    let mut response = problem_about(denial.status(), id, denial.told_violations());
    if denial.status() == StatusCode::NO_CONTENT {
        *response.body_mut() = Bytes::new();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    if let Some(page) = denial.page() {
        page.put(&mut response, id);
    }
    if denial.code() == Code::GraphqlQueryUnknown {
        *response.body_mut() = Bytes::from_static(QUERY_UNKNOWN);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let headers = response.headers_mut();
    match denial.advice() {
        Advice::None => {}
        Advice::Allow(methods) => {
            if let Ok(value) = HeaderValue::try_from(methods.to_string()) {
                headers.insert(header::ALLOW, value);
            }
        }
        Advice::Challenge(challenges) => {
            for value in challenges.iter().filter_map(|challenge| HeaderValue::from_str(challenge).ok()) {
                headers.append(header::WWW_AUTHENTICATE, value);
            }
        }
        Advice::RetryAfter { seconds } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
    }
    for (name, value) in denial.fields() {
        headers.append(name, value.clone());
    }
    if let Some(told) = told {
        told.write(headers);
    }
    response
}

/// Problem details for a status, with this request id.
pub fn problem(status: StatusCode, id: &RequestId) -> Response<Bytes> {
    problem_about(status, id, &[])
}

/// The phrase of a status by RFC 9110, section 15.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

fn problem_about(status: StatusCode, id: &RequestId, violations: &[Violation]) -> Response<Bytes> {
    let title = title(status);
    let code = status.as_u16();
    let mut body =
        format!("{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{code},\"request_id\":\"{id}\"");
    for (index, Violation { pointer, detail, place, position }) in violations.iter().enumerate() {
        body.push_str(if index == 0 { ",\"errors\":[{" } else { ",{" });
        if let Some(place) = place {
            body.push_str("\"in\":");
            quote(place, &mut body);
            body.push(',');
        }
        body.push_str("\"pointer\":");
        quote(pointer, &mut body);
        body.push_str(",\"detail\":");
        quote(detail, &mut body);
        match position {
            None => {}
            Some(Position::Offset(offset)) => body.push_str(&format!(",\"offset\":{offset}")),
            Some(Position::Line { line, column }) => {
                body.push_str(&format!(",\"line\":{line},\"column\":{column}"));
            }
        }
        body.push('}');
    }
    body.push_str(if violations.is_empty() { "}\n" } else { "]}\n" });
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, id.to_value());
    secure(headers);
    response
}

/// A JSON string (RFC 8259, section 7), with nothing in it that HTML gives a meaning to.
fn quote(text: &str, body: &mut String) {
    body.push('"');
    for character in text.chars() {
        match character {
            '"' => body.push_str("\\\""),
            '\\' => body.push_str("\\\\"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}' => escape(character, body),
            control if control < ' ' => escape(control, body),
            plain => body.push(plain),
        }
    }
    body.push('"');
}

fn escape(character: char, body: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(body, "\\u{:04x}", u32::from(character));
}

/// Adds the fields that keep a browser from doing more with an answer than an API means. What is there already stays.
pub fn secure(headers: &mut HeaderMap) {
    const FIELDS: [(HeaderName, HeaderValue); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
    ];
    for (name, value) in FIELDS {
        if let header::Entry::Vacant(entry) = headers.entry(name) {
            entry.insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denial::Code;

    #[test]
    fn what_is_wrong_is_told_only_where_the_engine_says_so() {
        let id = RequestId::new([0; 16]);
        let text =
            |denial: &Denial| String::from_utf8(refusal(denial, &id, None).into_body().to_vec()).unwrap();
        let denial = Denial::new(Code::ContentInvalid, "internal")
            .pointing_out([Violation::new("/a/\u{1}\"<b>\\", "this must be a string")]);
        assert!(!text(&denial).contains("errors"));
        let told = text(&denial.told_to_the_client());
        assert!(
            told.ends_with(
                ",\"errors\":[{\"pointer\":\"/a/\\u0001\\\"\\u003cb\\u003e\\\\\",\"detail\":\"this must be a string\"}]}\n"
            ),
            "{told}"
        );
        assert!(!told.contains("internal"));
    }

    #[test]
    fn where_it_is_is_told_as_far_as_it_is_known() {
        let denial = Denial::new(Code::RequestInvalid, "").pointing_out([
            Violation::new("/limit", "type").within("query"),
            Violation::new("", "json.syntax").at(Some(Position::Offset(7))),
            Violation::new("/query", "syntax").at(Some(Position::Line { line: 2, column: 5 })),
        ]);
        let body = refusal(&denial.told_to_the_client(), &RequestId::new([0; 16]), None).into_body();
        let told = String::from_utf8(body.to_vec()).unwrap();
        let errors = "\"errors\":[{\"in\":\"query\",\"pointer\":\"/limit\",\"detail\":\"type\"},\
            {\"pointer\":\"\",\"detail\":\"json.syntax\",\"offset\":7},\
            {\"pointer\":\"/query\",\"detail\":\"syntax\",\"line\":2,\"column\":5}]}\n";
        assert!(told.ends_with(errors), "{told}");
    }

    #[test]
    fn titles_are_those_of_rfc_9110() {
        for (status, title) in [
            (StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large"),
            (StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Content"),
            (StatusCode::URI_TOO_LONG, "URI Too Long"),
            (StatusCode::MISDIRECTED_REQUEST, "Misdirected Request"),
        ] {
            let body = problem(status, &RequestId::new([0; 16])).into_body();
            let told = String::from_utf8(body.to_vec()).unwrap();
            assert!(told.contains(&format!("\"title\":\"{title}\"")), "{told}");
        }
    }

    #[test]
    fn no_more_than_ten_and_no_endless_pointer() {
        let many = (0..50).map(|number| Violation::new(format!("/{number}"), "no"));
        assert_eq!(Denial::new(Code::ContentInvalid, "").pointing_out(many).violations().len(), 10);
        let long = Violation::new(format!("/a/{}/{}", "b".repeat(200), "\u{e9}".repeat(300)), "no");
        assert_eq!(long.pointer, format!("/a/{}", "b".repeat(200)));
        assert_eq!(Violation::new("x".repeat(300), "no").pointer, "");
    }
}
