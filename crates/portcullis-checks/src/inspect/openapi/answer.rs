//! Whether an answer is as the document declares it: its status, its content type, its fields, its body.
//!
//! What it refuses becomes a 502 of the gateway's own, so that a backend that fails does not tell the client how. A switch
//! of protocols is not judged, since what follows is no answer.

use super::{Document, Uncoded, refusal};
use crate::inspect::memory::Lent;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use portcullis_core::check::{Check, Inspected, Wants};
use portcullis_core::{CheckId, Code, Denial, Effects, Facts, InspectAnswer, Principal, Step};
use portcullis_openapi::{Found, Match};

/// The check.
pub struct OpenapiAnswer {
    pub(super) document: Document,
    /// Whether members that no schema names are taken away.
    pub(super) removes: bool,
}

impl Check for OpenapiAnswer {
    fn id(&self) -> CheckId {
        CheckId::new("answer.openapi")
    }

    fn describe(&self) -> String {
        let removes = if self.removes { ", without the members that it does not declare" } else { "" };
        format!("an answer that {} declares{removes}", self.document.name)
    }
}

impl InspectAnswer for OpenapiAnswer {
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
        Step::Ready(self.operation(facts).and_then(|found| {
            let bodiless = facts.head.method() == Method::HEAD
                || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
            if !bodiless {
                return Ok(Wants::Body);
            }
            let judged = found.operation().judge_response_head(status.as_u16(), headers);
            judged.map(|()| Wants::Nothing).map_err(|violations| refusal::of_answer(&violations))
        }))
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        status: StatusCode,
        headers: &'a HeaderMap,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        let memory = Lent::new(facts, effects);
        Step::Ready(self.operation(facts).and_then(|found| {
            let operation = found.operation();
            let left = match self.removes {
                true => operation
                    .remove_undeclared_within(status.as_u16(), headers, body, &memory)
                    .map_err(|violations| refusal::of_answer(&violations))?,
                false => None,
            };
            if let Some(left) = left {
                // What is left has been found to be as declared; its status and fields have not.
                let judged =
                    operation.judge_response_within(status.as_u16(), &Uncoded(headers), &left, &memory);
                return judged
                    .map(|()| Inspected::Decoded(Bytes::from(left)))
                    .map_err(|violations| refusal::of_answer(&violations));
            }
            let judged = operation.judge_response_within(status.as_u16(), headers, body, &memory);
            judged.map(|()| Inspected::AsItIs).map_err(|violations| refusal::of_answer(&violations))
        }))
    }
}

impl OpenapiAnswer {
    fn operation<'a>(&'a self, facts: &Facts<'a>) -> Result<Found<'a>, Denial> {
        match self.document.find(facts.head) {
            Match::Operation(found) => Ok(found),
            Match::UndeclaredMethod { .. } | Match::UndeclaredPath => Err(Denial::new(
                Code::AnswerInvalid,
                "the answer to a request that the document does not declare",
            )),
        }
    }
}
