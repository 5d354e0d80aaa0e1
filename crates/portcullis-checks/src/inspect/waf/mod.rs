//! Whether a request looks like an attack, by rules in SecLang: the builtin ones, or those of files such as the OWASP Core
//! Rule Set.
//!
//! The head and the body are judged together, after the body is whole, so that nothing of a refused request goes
//! upstream. What cannot be judged is refused: a body that cannot be read as its media type says, one in a content coding,
//! and a request that needs more work than it may. The record names the rules, the names of what they matched, and the
//! score; never a value.
//!
//! | file      | decides                                                            |
//! |-----------|--------------------------------------------------------------------|
//! | `config`  | what can be written, and which rules run                           |
//! | `answer`  | whether a response gives away what must not leave                  |

mod answer;
mod config;

pub use config::WafConfig;

use bytes::Bytes;
use config::GrpcConfig;
use http::{HeaderMap, header};
use portcullis_core::check::{Check, Inspect, Inspected, Wants};
use portcullis_core::{
    Argument, BodyFormat, CheckId, Code, Denial, Effects, Facts, Principal, Searched, Step, Violation,
};
use portcullis_waf::tree::Phase;
use portcullis_waf::{Parsed, Place, Plan, Report, Request, RuleMatch, Transaction};
use std::fmt::Write as _;

/// How much work one request may cause, in bytes that one expression goes over: some tens of milliseconds at the worst.
const MOST_WORK: u64 = 60_000_000;
/// The most rules that a record names.
const MOST_NAMED: usize = 12;

/// The check.
pub struct Waf {
    plan: Plan,
    /// Whether bodies whose media type says nothing are searched as arguments: the builtin rules want it.
    search_unlabelled: bool,
    grpc: GrpcConfig,
    summary: String,
}

impl Check for Waf {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.waf")
    }

    fn describe(&self) -> String {
        self.summary.clone()
    }
}

impl Inspect for Waf {
    fn reads_arguments(&self) -> bool {
        true
    }

    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        let headers = facts.head.headers();
        let refused = |detail: &'static str, name: &str, word: &'static str| {
            Step::Ready(Err(
                Denial::new(Code::MediaTypeRefused, detail).pointing_out([Violation::new(name, word)])
            ))
        };
        // SECURITY: every line of a header counts, since a server may go by another one than the first
        // (a_body_has_one_media_type).
        if headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_some() {
            return refused("several media types", "content-type", "required");
        }
        // SECURITY: what is unpacked only behind the gateway is searched by nobody (a_coded_body_is_not_let_through).
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return refused(
                "a content coding hides the body from the rules",
                "content-encoding",
                "undeclared",
            );
        }
        match (is_grpc(headers), self.grpc) {
            (false, _) => Step::Ready(Ok(Wants::Body)),
            // SECURITY: the client alone says that it is gRPC (a_body_is_grpc_only_where_the_route_says_so).
            (true, GrpcConfig::Refuse) => refused(
                "the messages of gRPC cannot be searched; `grpc: unsearched` lets them through",
                "content-type",
                "content_type",
            ),
            // A call may go on for as long as it likes.
            (true, GrpcConfig::Unsearched) => {
                Step::Ready(self.judge(facts, &Bytes::new()).map(|()| Wants::Nothing))
            }
        }
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        Step::Ready(self.judge(facts, body).map(|()| Inspected::AsItIs))
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    content_type.is_some_and(|value| {
        value.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    })
}

impl Waf {
    /// What the record and the metrics say of a search. Rules of the last phase, which report on others, are left out.
    fn searched(&self, report: &Report, values: usize, harmless: usize) -> Searched {
        let reports = |found: &&RuleMatch| {
            self.plan.rules().get(found.rule).is_some_and(|rule| rule.phase == Phase::Logging)
        };
        let mut rules: Vec<u64> =
            report.matches.iter().filter(|found| !reports(found)).map(|found| found.id).collect();
        rules.sort_unstable();
        rules.dedup();
        Searched { rules, values: values as u64, harmless: harmless as u64 }
    }

    /// Calls `each` with the request as rules see it. `length` is that of its body, where rules are to know it.
    fn with_request<R>(facts: &Facts<'_>, length: Option<usize>, each: impl FnOnce(Request<'_>) -> R) -> R {
        let head = facts.head;
        let mut headers: Vec<(&[u8], &[u8])> = vec![(b"host", head.host().as_bytes())];
        let others = head.headers().iter().filter(|(name, _)| *name != header::HOST);
        headers.extend(others.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
        let length = length.map(|length| length.to_string());
        if let Some(length) = &length
            && !head.headers().contains_key(header::CONTENT_LENGTH)
        {
            // The length is part of the framing, which the head no longer has. Rules ask for it.
            headers.push((b"content-length", length.as_bytes()));
        }
        let unique = format!("{:x}{:04x}", facts.now.unix.as_nanos(), facts.conn.peer.port());
        each(Request {
            method: head.method().as_str().as_bytes(),
            target: head.target().as_str().as_bytes(),
            protocol: b"HTTP/1.1",
            headers: &headers,
            client: (head.client(), facts.conn.peer.port()),
            server: (facts.conn.local.ip(), facts.conn.local.port()),
            unique_id: unique.as_bytes(),
        })
    }

    fn judge(&self, facts: &Facts<'_>, body: &Bytes) -> Result<(), Denial> {
        let length = (!body.is_empty()).then_some(body.len());
        Self::with_request(facts, length, |request| self.judge_request(facts, request, body))
    }

    fn judge_request(&self, facts: &Facts<'_>, request: Request<'_>, body: &Bytes) -> Result<(), Denial> {
        let head = facts.head;
        let mut transaction = Transaction::new(&self.plan, request).work(MOST_WORK);
        if self.search_unlabelled {
            transaction = transaction.search_unlabelled_bodies();
        }
        let parsed = facts.notes.and_then(|notes| notes.arguments(body)).map(|read| match read.format {
            BodyFormat::Json => Parsed::Json(&read.pairs),
            BodyFormat::Form => Parsed::Form(&read.pairs),
            BodyFormat::Xml => Parsed::Xml(&read.pairs),
        });
        let mut saved = (0, 0);
        match &facts.route.controls.inspection.proofs {
            None => {
                transaction.request_headers();
                transaction.read_parsed_body(body, parsed);
                transaction.judge_body();
            }
            // What another check refuses unless it is a number or the like is not searched.
            Some(proofs) => proofs.of(head, &mut |is_harmless| {
                let is_harmless = |place: Place, name: &[u8]| {
                    let argument = match place {
                        Place::Query => Argument::Query,
                        Place::Body => Argument::Body,
                        Place::Header => Argument::Header,
                        Place::Cookie => Argument::Cookie,
                    };
                    std::str::from_utf8(name).is_ok_and(|name| is_harmless(argument, name))
                };
                transaction.prove_all(is_harmless);
                transaction.request_headers();
                transaction.read_parsed_body(body, parsed);
                saved = transaction.prove_all(is_harmless);
                transaction.judge_body();
            }),
        }
        let unreadable = transaction.body_error().map(str::to_owned);
        let values = transaction.value_count();
        let report = transaction.finish();
        if let Some(notes) = facts.notes {
            notes.searched(self.searched(&report, values, saved.0));
        }
        if report.interruption.is_some() {
            let mut detail = said(&report, report.inbound_score);
            if let (proved @ 1.., all) = saved {
                let _ = write!(
                    detail,
                    "; {proved} of {all} values are harmless by the document and were not searched"
                );
            }
            return Err(Denial::new(Code::AttackSuspected, detail));
        }
        match unreadable {
            // SECURITY: a server that reads the body otherwise would find in it what the rules have not seen
            // (an_unreadable_body_is_refused).
            Some(error) => {
                Err(Denial::new(Code::ContentMalformed, format!("the body cannot be searched: {error}")))
            }
            None => Ok(()),
        }
    }
}

/// What the record says of a refusal.
fn said(report: &Report, score: i64) -> String {
    if report.exhausted {
        return format!("the request needs more work than it may ({})", report.work);
    }
    let rule = |found: &RuleMatch| {
        let targets: Vec<String> = found
            .targets
            .iter()
            .take(3)
            .map(|target| match target.name.as_str() {
                "" => target.variable.name().to_owned(),
                name => format!("{}:{name}", target.variable.name()),
            })
            .collect();
        format!("{} ({})", found.id, targets.join(", "))
    };
    let rules: Vec<String> = report.matches.iter().take(MOST_NAMED).map(rule).collect();
    format!("score {score}: {}", rules.join("; "))
}
