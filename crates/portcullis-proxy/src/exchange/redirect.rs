//! Sends whoever comes in the clear to HTTPS, and serves nothing else.
//!
//! A request is admitted like any other, so that it has one reading; then it is sent to the same path of the same host.
//! Only hosts that the gateway serves are named in an answer: for any other there is 404, so nobody is sent elsewhere.

use super::answer::Answer;
use super::life::Life;
use super::respond::{Aside, answer_aside};
use crate::tls::covers;
use bytes::Bytes;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use portcullis_core::head::Head;
use portcullis_core::{Code, Conn, Denial, Recording};
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
        recording: Recording,
        remaining: Option<u64>,
        life: &Rc<Life>,
    ) -> Response<Answer> {
        answer_aside(parts, conn, recording, remaining, life, |head| {
            let field = (LOCATION, self.locate(head)?);
            Ok(Aside { status: StatusCode::PERMANENT_REDIRECT, field, body: Bytes::new() })
        })
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
