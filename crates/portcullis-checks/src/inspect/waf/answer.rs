//! Whether a response gives away what must not leave: stack traces, errors of databases, private keys.
//!
//! Rules of phase 3 judge the head, rules of phase 4 the body. Held and searched is what is text: HTML, XML, JSON and plain
//! text, within the bound of the route; anything else passes on its head. The request was judged before, so its rules
//! count only for what they switch off. A response in a content coding is refused, since nobody here can read it; the
//! gateway asks its upstreams for none.

use super::{MOST_WORK, Waf, said};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use portcullis_core::check::{Check, Inspected, Wants};
use portcullis_core::{CheckId, Code, Denial, Effects, Facts, InspectAnswer, Principal, Step};
use portcullis_waf::{Response, Transaction};
use std::sync::Arc;

/// The check.
pub(super) struct WafAnswer(pub(super) Arc<Waf>);

impl Check for WafAnswer {
    fn id(&self) -> CheckId {
        CheckId::new("answer.waf")
    }

    fn describe(&self) -> String {
        "responses of text, HTML, XML and JSON in which the same rules find nothing that must not leave"
            .to_owned()
    }
}

impl InspectAnswer for WafAnswer {
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        status: StatusCode,
        headers: &'a HeaderMap,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        if status.is_informational() {
            return Step::Ready(Ok(Wants::Nothing));
        }
        let bodiless = facts.head.method() == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !bodiless && is_text(headers) {
            return Step::Ready(Ok(Wants::Body));
        }
        Step::Ready(self.judge(facts, status, headers, b"").map(|()| Wants::Nothing))
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        status: StatusCode,
        headers: &'a HeaderMap,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        Step::Ready(self.judge(facts, status, headers, body).map(|()| Inspected::AsItIs))
    }
}

impl WafAnswer {
    fn judge(
        &self,
        facts: &Facts<'_>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), Denial> {
        // SECURITY: what is packed is searched by nobody (what_must_not_leave_does_not).
        if !body.is_empty() && is_coded(headers) {
            return Err(Denial::new(
                Code::AnswerInvalid,
                "a content coding hides the response from the rules",
            ));
        }
        let Waf { plan, .. } = &*self.0;
        let fields: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
        let report = Waf::with_request(facts, None, |request| {
            let mut transaction = Transaction::new(plan, request).work(MOST_WORK);
            transaction.request_headers();
            transaction.forget_matches();
            transaction.response_headers(Response {
                status: status.as_u16(),
                protocol: b"HTTP/1.1",
                headers: &fields,
            });
            transaction.response_body(body);
            transaction.finish()
        });
        if let Some(notes) = facts.notes {
            notes.searched(self.0.searched(&report, 0, 0));
        }
        match report.interruption {
            Some(_) => Err(Denial::new(Code::AnswerLeaks, said(&report, report.outbound_score))),
            None => Ok(()),
        }
    }
}

/// Whether a response is text, so that rules can search it. Without a type it may be anything, and browsers guess.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.as_bytes().to_ascii_lowercase();
    let end = kind.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(kind.len());
    let kind = kind.get(..end).unwrap_or_default().trim_ascii();
    let is_stream = kind == b"text/event-stream";
    !is_stream
        && (kind.starts_with(b"text/")
            || [b"/json".as_slice(), b"+json", b"/xml", b"+xml", b"/javascript"]
                .iter()
                .any(|end| kind.ends_with(end)))
}

fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
