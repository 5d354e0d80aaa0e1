//! What a GraphQL request asks for: bounded before a server runs it.
//!
//! A single GraphQL request can ask for more than a server can ever answer, and says so in a few bytes. So its document is
//! read here first, in one reading, and measured with its fragments put in where they are spread. Every operation of a
//! document is judged, whichever of them is asked for. It needs nothing that could fail.
//!
//! | file        | decides                                                    |
//! |-------------|------------------------------------------------------------|
//! | [`request`]   | where the document stands, and that it stands there alone  |
//! | [`lexer`]     | the tokens of a document, and how many                     |
//! | [`document`]  | that it is one                                             |
//! | [`measure`]   | how much it asks for                                       |
//! | [`schema`]    | what a schema says of fields: types, lists, weights        |
//! | [`cost`]      | what answering it costs                                    |
//! | [`safelist`]  | whether it is one that the operator has registered         |
//! | [`persisted`] | which document a client means that sends its hash alone    |
//! | [`socket`]    | what a message over a WebSocket is                         |
//! | [`upload`]    | what is asked for in a form with files                     |

pub mod cost;
pub mod document;
pub mod lexer;
pub mod measure;
pub mod persisted;
pub mod request;
pub mod safelist;
pub mod schema;
pub mod socket;
mod upload;

use crate::build::Build;
use crate::inspect::memory::Lent;
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use bytes::Bytes;
use cost::{Cost, GraphqlCostConfig};
use document::Kind;
use http::Method;
use lexer::Flaw;
use measure::Measures;
use persisted::Persisted;
use portcullis_config::{ByteSize, Context, Span, object};
use portcullis_core::check::{Check, Inspect, Inspected, Wants};
use portcullis_core::{
    Advice, CheckId, Code, Conversation, Denial, Effects, Facts, Head, Position, Principal, Step,
};
use portcullis_openapi::Memory;
use request::{Asked, Place};
use safelist::{GraphqlSafelistConfig, Safelist, hash_of};
use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

const fn number(value: u32) -> NonZeroU32 {
    match NonZeroU32::new(value) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

object! {
    /// Limits of GraphQL requests. Fragments are expanded before anything is counted. A request beyond a limit is
    /// rejected with 400 and does not reach the upstream.
    pub struct GraphqlConfig {
        /// The maximum number of tokens (names, numbers, strings, brackets). Default: 2000.
        pub max_tokens: NonZeroU32 = number(2000),
        /// The maximum nesting depth of fields. Default: 10.
        pub max_depth: NonZeroU32 = number(10),
        /// The maximum number of fields. Default: 1000.
        pub max_fields: NonZeroU32 = number(1000),
        /// The maximum number of top-level fields. Default: 20.
        pub max_root_fields: NonZeroU32 = number(20),
        /// The maximum number of aliases. Default: 15.
        pub max_aliases: u32 = 15,
        /// The maximum number of directives. Default: 50.
        pub max_directives: u32 = 50,
        /// The maximum number of operations in a batch. Default: 1.
        pub max_batch: NonZeroU32 = number(1),
        /// Whether introspection queries are allowed. Default: false.
        pub introspection: bool = false,
        /// Whether subscriptions are allowed. Default: false.
        pub subscriptions: bool = false,
        /// Whether a form with files is accepted (`multipart/form-data`, the GraphQL multipart request specification). The files are
        /// not searched, but count in the size of the body, and the body is held. Default: false.
        pub uploads: bool = false,
        /// Memory of each worker for automatic persisted queries. A document that comes with its SHA-256 hash is judged and
        /// remembered; after that the hash alone is accepted, and judged as if the document were there. A hash that the worker does not
        /// know is answered with `PersistedQueryNotFound`, and the client sends the document again. Default: a hash alone is
        /// rejected.
        pub automatic_persisted_queries: Option<ByteSize>,
        /// The maximum cost of a request, estimated from the schema. Default: no estimate.
        pub cost: Option<GraphqlCostConfig>,
        /// The only allowed operations (persisted queries). The other limits do not apply to them. Default: every
        /// operation is allowed.
        pub safelist: Option<GraphqlSafelistConfig>,
        /// `enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off`
        /// skips the check. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

/// The check.
pub struct Graphql {
    tokens: usize,
    batch: usize,
    /// What an operation may ask for.
    most: Measures,
    subscriptions: bool,
    cost: Option<Cost>,
    safelist: Option<Safelist>,
    uploads: bool,
    persisted: Option<Persisted>,
}

impl Section for GraphqlConfig {
    const ABOUT: &'static str = "Limits of GraphQL requests. A route with this section accepts GraphQL only.";
    const CHECKS: &'static [&'static str] = &["inspect.graphql"];

    fn compile(&self, _: Span, _: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().inspect(self.mode, Arc::new(self.check(cx)?)))
    }
}

impl GraphqlConfig {
    /// The check that runs. `None` means that an error was pushed.
    fn check(&self, cx: &mut Context) -> Option<Graphql> {
        let cost = match &self.cost {
            None => Some(None),
            Some(cost) => cx.at("cost", |cx| cost.compile(cx)).map(Some),
        };
        let safelist = match &self.safelist {
            None => Some(None),
            Some(safelist) => cx.at("safelist", |cx| safelist.compile(cx)).map(Some),
        };
        let count = |number: NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
        Some(Graphql {
            tokens: count(self.max_tokens),
            batch: count(self.max_batch),
            most: Measures {
                depth: self.max_depth.get().into(),
                fields: self.max_fields.get().into(),
                root_fields: self.max_root_fields.get().into(),
                aliases: self.max_aliases.into(),
                directives: self.max_directives.into(),
                introspects: self.introspection,
            },
            subscriptions: self.subscriptions,
            cost: cost?,
            safelist: safelist?,
            uploads: self.uploads,
            persisted: self
                .automatic_persisted_queries
                .map(|ByteSize(bytes)| Persisted::new(usize::try_from(bytes).unwrap_or(usize::MAX))),
        })
    }
}

impl Check for Graphql {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.graphql")
    }

    fn describe(&self) -> String {
        let Measures { depth, fields, aliases, .. } = self.most;
        match (&self.safelist, &self.cost) {
            (Some(safelist), _) => format!("one of {} registered GraphQL operations", safelist.len()),
            (None, None) => format!("GraphQL of at most {fields} fields, {depth} deep, {aliases} aliases"),
            (None, Some(cost)) => {
                format!(
                    "GraphQL of at most {fields} fields, {depth} deep, {aliases} aliases, cost {}",
                    cost.most()
                )
            }
        }
    }
}

impl Inspect for Graphql {
    fn converse(&self, head: &Head) -> Option<Box<dyn Conversation>> {
        socket::begin(head)
    }

    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        Step::Ready(match socket::is_wanted(facts.head) {
            true => socket::judge_head(facts.head).map(|()| Wants::Nothing),
            false => request::judge_head(facts.head, self.uploads).map(|()| Wants::Body),
        })
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        let reads = *facts.head.method() != Method::POST;
        // SECURITY: what is read of a request is counted like a body (what_is_read_of_a_request_is_counted).
        let memory = Lent::new(facts, effects);
        let judged = request::read(facts.head, body, self.batch, self.uploads, &memory)
            .and_then(|asked| self.judge(asked, reads, facts.head.client(), &memory));
        Step::Ready(judged.map(|()| Inspected::AsItIs))
    }
}

/// How an operation is refused.
enum Refusal {
    Flaw(Flaw, Option<Position>),
    /// It changes something, and was asked for with a method that reads.
    Method,
    /// Its hash is that of no document that is remembered.
    Unknown,
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Refusal {
        Refusal::Flaw(flaw, None)
    }
}

/// The refusal of a document, which says where.
fn of_document(text: &str, (flaw, offset): (Flaw, usize)) -> Refusal {
    Refusal::Flaw(flaw, Some(document::position(text, offset)))
}

impl Graphql {
    fn judge(
        &self,
        all: Vec<(Place, Asked<'_>)>,
        reads: bool,
        client: IpAddr,
        memory: &dyn Memory,
    ) -> Result<(), Denial> {
        let mut tokens = self.tokens;
        let mut cost = 0;
        for (place, asked) in all {
            self.judge_one(&asked, reads, client, &mut tokens, &mut cost, memory).map_err(|refusal| {
                match refusal {
                    Refusal::Flaw(flaw, position) => place.refuse_at(flaw, position),
                    Refusal::Unknown => Denial::new(
                        Code::GraphqlQueryUnknown,
                        "no document with this hash is remembered here",
                    ),
                    Refusal::Method => {
                        let detail = "what changes something is asked for with POST";
                        Denial::new(Code::MethodNotAllowed, detail)
                            .advising(Advice::Allow(request::allowed(&["POST"])))
                    }
                }
            })?;
        }
        Ok(())
    }

    fn judge_one(
        &self,
        asked: &Asked<'_>,
        reads: bool,
        client: IpAddr,
        tokens: &mut usize,
        cost: &mut u64,
        memory: &dyn Memory,
    ) -> Result<(), Refusal> {
        if let Some(safelist) = &self.safelist {
            return self.judge_registered(safelist, asked, reads, memory);
        }
        let text = self.text_of(asked, client)?;
        let (document, left) =
            document::read_at(&text, *tokens, memory).map_err(|flaw| of_document(&text, flaw))?;
        *tokens = left;
        let measured = measure::measure(&document)?;
        let named = asked.operation.as_deref().filter(|name| !name.is_empty());
        match named {
            None if measured.operations.len() > 1 => {
                return Err(Flaw::Malformed("it is not said which of several operations is meant").into());
            }
            Some(name) if measured.operations.iter().all(|operation| operation.name != Some(name)) => {
                return Err(Flaw::Malformed("the operation that is meant is not there").into());
            }
            None | Some(_) => {}
        }
        // SECURITY: every operation is judged, so it does not matter which one a server picks
        // (every_operation_of_a_document_is_judged).
        for operation in &measured.operations {
            self.judge_kind(operation.kind == Kind::Mutation, operation.kind == Kind::Subscription, reads)?;
            self.judge_measures(&operation.measures)?;
            if let Some(limit) = &self.cost {
                let of_this = limit.of(&document, &measured, operation, asked.variables.as_ref())?;
                *cost = cost.saturating_add(of_this);
                if *cost > limit.most() {
                    return Err(Flaw::Refused("the operation costs more than allowed").into());
                }
            }
        }
        if let (Some(persisted), Some(hash), Some(text)) = (&self.persisted, asked.hash, &asked.document) {
            persisted.remember(hash, text, client);
        }
        Ok(())
    }

    /// The document that is asked for: the request's own, or the one that is remembered under its hash.
    fn text_of<'a>(&self, asked: &'a Asked<'_>, client: IpAddr) -> Result<Cow<'a, str>, Refusal> {
        if asked.id.is_some() && (asked.document.is_some() || asked.hash.is_some()) {
            return Err(Flaw::Malformed("the document is named twice").into());
        }
        match (&asked.document, asked.hash, &self.persisted) {
            // SECURITY: a server that keeps the document under the hash that it came with would from then on take it for another
            // one (a_hash_of_another_document_is_refused).
            (Some(text), Some(hash), _) if hash != hash_of(text) => {
                Err(Flaw::Malformed("the hash is not the document's").into())
            }
            (Some(text), _, _) => Ok(Cow::Borrowed(text)),
            // SECURITY: what the server may know under this hash, nobody has judged (a_hash_that_is_not_known_does_not_go_on).
            (None, Some(hash), Some(persisted)) => match persisted.find(&hash, client) {
                Some(text) => Ok(Cow::Owned(text.as_ref().to_owned())),
                None => Err(Refusal::Unknown),
            },
            (None, _, _) => Err(Flaw::Refused("there is no document, and none is registered here").into()),
        }
    }

    /// Judges what must be one of the operator's own operations.
    fn judge_registered(
        &self,
        safelist: &Safelist,
        asked: &Asked<'_>,
        reads: bool,
        memory: &dyn Memory,
    ) -> Result<(), Refusal> {
        const UNKNOWN: Flaw = Flaw::Refused("the operation is not one of those that are taken here");
        let mut named = asked.hash;
        if let Some(id) = &asked.id {
            let hash = safelist.find(id).ok_or(UNKNOWN)?;
            if named.replace(hash).is_some_and(|other| other != hash) {
                return Err(Flaw::Malformed("the document is named twice").into());
            }
        }
        let hash = match (&asked.document, named) {
            (None, None) => return Err(Flaw::Malformed("there is no document").into()),
            (None, Some(hash)) => hash,
            (Some(text), named) => {
                let hash = hash_of(text);
                // SECURITY: a server that keeps the document under the hash that it came with would from then on take it
                // for another one (a_hash_of_another_document_is_refused).
                if named.is_some_and(|named| named != hash) {
                    return Err(Flaw::Malformed("the hash is not the document's").into());
                }
                hash
            }
        };
        if !safelist.contains(&hash) {
            return Err(UNKNOWN.into());
        }
        match (safelist.known(&hash), &asked.document) {
            (Some(known), _) => self.judge_kind(known.mutates, known.subscribes, reads),
            (None, Some(text)) => {
                let read = document::read_at(text, usize::MAX, memory);
                let (document, _) = read.map_err(|flaw| of_document(text, flaw))?;
                for operation in measure::measure(&document)?.operations {
                    self.judge_kind(
                        operation.kind == Kind::Mutation,
                        operation.kind == Kind::Subscription,
                        reads,
                    )?;
                }
                Ok(())
            }
            // Nobody here knows what it does, so it must not be what a mere link can do.
            (None, None) if reads => Err(Refusal::Method),
            (None, None) => Ok(()),
        }
    }

    fn judge_kind(&self, mutates: bool, subscribes: bool, reads: bool) -> Result<(), Refusal> {
        if subscribes && !self.subscriptions {
            return Err(Flaw::Refused("nobody can subscribe here").into());
        }
        // SECURITY: a link or an image in a foreign page sends GET with cookies (mutations_over_get_are_refused).
        if mutates && reads {
            return Err(Refusal::Method);
        }
        Ok(())
    }

    fn judge_measures(&self, measures: &Measures) -> Result<(), Flaw> {
        let most = &self.most;
        if measures.introspects && !most.introspects {
            return Err(Flaw::Refused("nobody can ask for the schema here"));
        }
        if measures.depth > most.depth {
            return Err(Flaw::Refused("fields are nested more deeply than allowed"));
        }
        if measures.root_fields > most.root_fields {
            return Err(Flaw::Refused("there are more root fields than allowed"));
        }
        if measures.aliases > most.aliases {
            return Err(Flaw::Refused("there are more aliases than allowed"));
        }
        if measures.directives > most.directives {
            return Err(Flaw::Refused("there are more directives than allowed"));
        }
        if measures.fields > most.fields {
            return Err(Flaw::Refused("there are more fields than allowed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
