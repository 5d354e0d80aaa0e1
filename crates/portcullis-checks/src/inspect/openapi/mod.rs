//! Whether a request is as an OpenAPI document declares it; what is not declared does not reach the upstream.
//!
//! The document is compiled once, when the configuration is loaded. Judged is the request as it would go upstream: without
//! the credentials that the gateway takes away. An undeclared path or method is told before any of the body is read.
//! It needs nothing that could fail.
//!
//! | file        | decides                                                                          |
//! |-------------|----------------------------------------------------------------------------------|
//! | [`config`]    | what can be written, and that the document says something of the route           |
//! | [`cover`]     | which declared paths a route serves                                              |
//! | [`security`]  | that whoever sends the request may, by the document's own security requirements  |
//! | `undeclared` | what is remembered of requests that are not declared                             |
//! | [`answer`]    | whether an answer is as declared                                                 |
//! | [`refusal`]   | how a refusal is told                                                            |

pub mod answer;
pub mod config;
pub mod cover;
pub mod refusal;
pub mod rehearsal;
pub mod security;
mod undeclared;

pub use config::{CompiledOpenapi, OpenapiConfig};

use crate::inspect::memory::Lent;
use bytes::Bytes;
use http::Method;
use http::header::HOST;
use portcullis_core::check::{Check, Inspect, Inspected, Wants};
use portcullis_core::head::{Framing, query};
use portcullis_core::{
    Advice, Argument, CheckId, Code, CredentialLocation, Denial, Effects, Facts, Head, IsHarmless, MethodSet,
    Operation, OperationUse, Operations, Principal, Proofs, Step,
};
use portcullis_openapi::{Api, Fields, Files, Found, Match, RequestView};
use std::borrow::Cow;
use std::sync::Arc;
use undeclared::Undeclared;

/// A document in JSON or YAML as it is written, under the bounds that hold for any.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn read_document(name: &str, text: &[u8]) -> Result<serde_json::Value, String> {
    let files = Files::new(name, text).map_err(|error| error.to_string())?;
    files.document().cloned().ok_or_else(|| "it is empty".to_owned())
}

/// The document that a route has, compiled.
#[derive(Clone)]
pub struct Document {
    api: Arc<Api>,
    /// The file's name, for listings.
    name: String,
    undeclared: Arc<Undeclared>,
}

impl Document {
    /// What a request is in the document. As everywhere, `HEAD` comes with `GET`.
    fn find<'a>(&'a self, head: &'a Head) -> Match<'a> {
        let found = self.api.operation_for(head.method().as_str(), head.path(), head.query());
        if head.method() == Method::HEAD && matches!(found, Match::UndeclaredMethod { .. }) {
            return self.api.operation_for(Method::GET.as_str(), head.path(), head.query());
        }
        found
    }
}

impl Operations for Document {
    fn operation<'a>(&'a self, head: &'a Head) -> Option<Operation<'a>> {
        match self.find(head) {
            Match::Operation(found) => {
                let operation = found.operation();
                let (method, path, id) = (operation.method(), operation.path(), operation.id());
                Some(Operation { document: &self.name, method, path, id })
            }
            Match::UndeclaredMethod { .. } | Match::UndeclaredPath => None,
        }
    }

    fn uses(&self) -> Vec<OperationUse> {
        let declared = self.api.operations().flat_map(|operation| {
            let one = |base: &str| OperationUse {
                document: self.name.clone(),
                method: operation.method().to_owned(),
                path: format!("{base}{}", operation.path()),
                id: operation.id().map(str::to_owned),
                declared: true,
                deprecated: operation.is_deprecated(),
                last_used: operation.last_used(),
            };
            match operation.base_paths() {
                [] => vec![one("")],
                bases => bases.iter().map(|base| one(base)).collect(),
            }
        });
        declared.chain(self.undeclared.list(&self.name)).collect()
    }

    fn remember(&self, before: &[OperationUse]) {
        let before = before.iter().filter(|one| one.document == self.name);
        for (one, last) in before.filter_map(|one| Some((one, one.last_used?))) {
            // What the document declares by now was asked for under one of its operations. With `HEAD` comes `GET`.
            let methods = if one.method == "HEAD" { &["HEAD", "GET"][..] } else { &[one.method.as_str()] };
            let is_it = |operation: &portcullis_openapi::Operation| {
                methods.contains(&operation.method())
                    && match operation.base_paths() {
                        [] => operation.path() == one.path,
                        bases => bases.iter().any(|base| {
                            one.path.strip_prefix(base.as_str()).is_some_and(|rest| rest == operation.path())
                        }),
                    }
            };
            let declared = self.api.operations().find(|operation| is_it(operation));
            if let Some(operation) = declared {
                operation.note_use(last);
                continue;
            }
            let path = one.path.replace("{}", "x");
            let found = methods.iter().find_map(|method| match self.api.operation_for(method, &path, None) {
                Match::Operation(found) => Some(found),
                Match::UndeclaredMethod { .. } | Match::UndeclaredPath => None,
            });
            match found {
                Some(found) => found.operation().note_use(last),
                // An operation that the document has lost is told again when it is asked for.
                None if one.declared => {}
                None => self.undeclared.note(&one.method, &one.path, last),
            }
        }
    }
}

/// The check.
pub struct Openapi {
    document: Document,
    allows_unknown: bool,
    /// Whether `readOnly` members are removed instead of refused.
    strips: bool,
}

impl Check for Openapi {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.openapi")
    }

    fn describe(&self) -> String {
        let operations = self.document.api.operations().count();
        let unknown = if self.allows_unknown { ", with unknown query parameters" } else { "" };
        format!(
            "one of the {operations} operations of {}{unknown}; other paths 404, other methods 405",
            self.document.name
        )
    }
}

impl Inspect for Openapi {
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        Step::Ready(self.noted(facts).and_then(|found| {
            let length = match facts.head.framing() {
                Framing::Length(length) => Some(length),
                Framing::None | Framing::Chunked => None,
            };
            // SECURITY: in HTTP/2 a body may come without a word of it in the head, so what has none is known only at its end
            // (a_body_that_the_head_does_not_announce_is_judged).
            if !found.operation().looks_at_no_body(&Sent(facts.head), length) {
                return Ok(Wants::Body);
            }
            // What is bytes to the document goes through as it comes, whatever its size.
            let memory = Lent::new(facts, effects);
            judge(&found, facts, principal, None, &memory).map(|()| Wants::Nothing)
        }))
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        let memory = Lent::new(facts, effects);
        Step::Ready(self.operation(facts).and_then(|found| {
            match judge(&found, facts, principal, Some(body), &memory) {
                Ok(()) => Ok(Inspected::AsItIs),
                Err(denial) if self.strips => stripped(&found, facts, principal, body, &memory, denial),
                Err(denial) => Err(denial),
            }
        }))
    }
}

impl Openapi {
    /// The operation of a request, which is noted as used, or as not declared.
    fn noted<'a>(&'a self, facts: &Facts<'a>) -> Result<Found<'a>, Denial> {
        let (found, now) = (self.operation(facts), facts.now.unix.as_secs());
        match &found {
            Ok(found) => found.operation().note_use(now),
            Err(_) => self.document.undeclared.note(facts.head.method().as_str(), facts.head.path(), now),
        }
        found
    }

    fn operation<'a>(&'a self, facts: &Facts<'a>) -> Result<Found<'a>, Denial> {
        match self.document.find(facts.head) {
            Match::Operation(found) => Ok(found),
            Match::UndeclaredMethod { allowed } => {
                let declared = allowed.split(", ").filter_map(MethodSet::named);
                let declared = declared.fold(MethodSet::NONE, MethodSet::union).with_head();
                let allowed = declared.intersection(&facts.route.methods);
                Err(Denial::new(Code::MethodNotAllowed, "the document does not declare this method here")
                    .advising(Advice::Allow(allowed)))
            }
            Match::UndeclaredPath => {
                Err(Denial::new(Code::RouteNotFound, "the document does not declare this path"))
            }
        }
    }
}

fn judge(
    found: &Found<'_>,
    facts: &Facts<'_>,
    principal: &Principal,
    body: Option<&[u8]>,
    memory: &Lent<'_>,
) -> Result<(), Denial> {
    let query = without_credentials(facts, principal);
    let fields = &Sent(facts.head);
    let request = RequestView { query: query.as_deref(), fields, body: body.unwrap_or_default() };
    let judged = match body {
        Some(_) => found.judge_within(&request, memory),
        None => found.judge_head_within(&request, memory),
    };
    judged.map_err(|violations| refusal::of_request(&violations))
}

/// What is left of a refused body without its `readOnly` members, if that is as declared. Otherwise the refusal stands.
fn stripped(
    found: &Found<'_>,
    facts: &Facts<'_>,
    principal: &Principal,
    body: &[u8],
    memory: &Lent<'_>,
    denial: Denial,
) -> Result<Inspected, Denial> {
    let query = without_credentials(facts, principal);
    let fields = &Sent(facts.head);
    let sent = RequestView { query: query.as_deref(), fields, body };
    let left =
        found.without_read_only(&sent, memory).map_err(|violations| refusal::of_request(&violations))?;
    let Some(left) = left else { return Err(denial) };
    // SECURITY: what goes on is what was judged (read_only_members_are_removed_before_the_body_goes_on).
    let request = RequestView { query: query.as_deref(), fields: &Uncoded(fields), body: &left };
    let judged = found.judge_within(&request, memory);
    judged.map_err(|violations| refusal::of_request(&violations))?;
    Ok(Inspected::Decoded(Bytes::from(left)))
}

/// The fields of a message whose body is no longer compressed.
struct Uncoded<'a>(&'a dyn Fields);

impl Fields for Uncoded<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if name != http::header::CONTENT_ENCODING.as_str() {
            self.0.values(name, each);
        }
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.0.names(each);
    }
}

/// The fields of a request as the client sent them: a declared one is judged although the gateway removes it or sets it anew.
// SECURITY: a declared field that was gone before it is judged would never be judged
// (a_declared_field_that_the_gateway_removes_is_judged_before).
struct Sent<'a>(&'a Head);

impl Fields for Sent<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if name == HOST.as_str() {
            return each(self.0.host().as_bytes());
        }
        self.0.sent(name).for_each(|value| each(value.as_bytes()));
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        // Another spelling of what is removed is removed as well.
        Fields::names(self.0.headers(), each);
    }
}

/// What the document proves of a request that it lets through.
pub(super) struct DocumentProofs(pub(super) Document);

impl Proofs for DocumentProofs {
    fn of(&self, head: &Head, each: &mut dyn FnMut(&IsHarmless<'_>)) {
        let Match::Operation(found) = self.0.find(head) else { return each(&|_, _| false) };
        let operation = found.operation();
        each(&|argument, name| {
            let place = match argument {
                Argument::Query => portcullis_openapi::Place::Query,
                Argument::Header => portcullis_openapi::Place::Header,
                Argument::Cookie => portcullis_openapi::Place::Cookie,
                Argument::Body => portcullis_openapi::Place::Body,
            };
            operation.is_harmless(place, name, &Sent(head))
        });
    }
}

/// The query as it goes upstream: a key that the gateway takes away need not be declared.
fn without_credentials<'a>(facts: &Facts<'a>, principal: &Principal) -> Option<Cow<'a, str>> {
    let sent = facts.head.query()?;
    let taken: Vec<&str> = facts
        .plan
        .credentials
        .iter()
        .filter(|location| !facts.route.controls.keeps(location, principal))
        .filter_map(|location| match location {
            CredentialLocation::Query(name) => Some(name.as_str()),
            CredentialLocation::Header(_) | CredentialLocation::Cookie(_) => None,
        })
        .collect();
    if taken.is_empty() { Some(Cow::Borrowed(sent)) } else { query::without(sent, &taken).map(Cow::Owned) }
}
