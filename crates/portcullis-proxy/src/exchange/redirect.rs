//! Sends whoever comes in the clear to HTTPS, and serves nothing else.
//!
//! A request is admitted like any other, so that it has one reading; then it is sent to the same path of the same host.
//! Only hosts that the gateway serves are named in an answer: for any other there is 404, so nobody is sent elsewhere.

use super::answer::Answer;
use super::life::Life;
use super::respond::{refuse, respond};
use crate::tls::covers;
use bytes::Bytes;
use http::header::{HeaderMap, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use portcullis_core::answer::{REQUEST_ID, secure};
use portcullis_core::head::Head;
use portcullis_core::{Code, Conn, Denial, Outcome, Recording};
use std::rc::Rc;

/// Where requests in the clear are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The port of HTTPS.
    pub port: u16,
    /// The hosts that may be named; one can begin with `*.`.
    pub hosts: Vec<String>,
}

impl Redirect {
    /// The answer to a request; `remaining` of its body were announced and not read.
    pub(crate) fn answer(
        &self,
        parts: Parts,
        conn: &Conn,
        mut recording: Recording,
        remaining: Option<u64>,
        life: &Rc<Life>,
    ) -> Response<Answer> {
        life.leave_unread(remaining);
        recording.record_mut().version = Some(parts.version);
        let admitted = Head::admit(parts, conn, &recording.snapshot().head);
        let located = admitted.and_then(|head| self.locate(&head).map(|location| (head, location)));
        let (head, location) = match located {
            Ok(located) => located,
            Err(denial) => return refuse(recording, denial, None, life),
        };
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location);
        headers.insert(REQUEST_ID, recording.record().id.to_value());
        secure(&mut headers);
        let record = recording.record_mut();
        record.method = Some(head.method().clone());
        record.target = Some(head.target().clone());
        record.host = Some(head.host().clone());
        record.client = Some(head.client());
        record.status = Some(StatusCode::PERMANENT_REDIRECT);
        recording.close(Outcome::Served);
        respond(StatusCode::PERMANENT_REDIRECT, headers, Answer::whole(Bytes::new(), life))
    }

    fn locate(&self, head: &Head) -> Result<HeaderValue, Denial> {
        let host = head.host().to_str().unwrap_or_default();
        // SECURITY: a host that is not served must not come back in an answer (nobody_is_sent_elsewhere).
        if !self.hosts.iter().any(|known| covers(known, host)) {
            return Err(Denial::new(Code::RouteNotFound, "a host that is not served here"));
        }
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        HeaderValue::try_from(format!("https://{host}{port}{}", head.target()))
            .map_err(|_| Denial::new(Code::Fault, "the target has no form in a field"))
    }
}
