//! One request and its answer, as rules see them.
//!
//! `request` is what the caller gives, `collections` what is read out of it, `values` keeps every distinct value with
//! all its transformed forms, `variables` finds what a target means, `seen` keeps that and `look` asks it, `state` is
//! TX, and `evaluate` runs the rules.

mod collections;
mod evaluate;
mod look;
mod report;
mod request;
mod seen;
mod state;
mod values;
mod variables;

pub use report::{Interruption, MatchedTarget, Report, RuleMatch};
pub use request::{Parsed, Place, Request, Response};

use crate::detect::{Detector, LibInjection};
use crate::plan::Plan;
use crate::seclang::tree::{Engine, Phase, RuleSelector, Target};
use collections::Collections;
use seen::Seen;
use state::State;
use values::{NodeId, Values};

/// How much work one request may cause, unless it is said otherwise. One unit is about one byte that one expression
/// or one transformation goes over.
pub const WORK: u64 = 400_000_000;

/// One request on its way through the rules.
///
/// The phases run in their order, each at most once. After a refusal only phase 5 runs, unless the transaction
/// [observes](Self::observe).
pub struct Transaction<'r> {
    plan: &'r Plan,
    detector: &'r dyn Detector,
    request: Request<'r>,
    response: Option<Response<'r>>,
    values: Values<'r>,
    collections: Collections,
    state: State<'r>,
    engine: Engine,
    observing: bool,
    /// What follows an `allow`: the phase up to which nothing runs.
    allowed: Option<Allowed>,
    removed: Vec<bool>,
    removed_targets: Vec<(&'r RuleSelector, &'r Target)>,
    matched: Matched,
    matches: Vec<RuleMatch>,
    interruption: Option<Interruption>,
    exhausted: bool,
    skipped: u64,
    scratch: Vec<variables::Subject>,
    seen: Seen,
}

#[derive(Clone, Copy, PartialEq)]
enum Allowed {
    Request,
    Everything,
}

/// What the last match was, and those of the current chain.
#[derive(Default)]
struct Matched {
    value: Option<NodeId>,
    name: Vec<u8>,
    /// The names and values of all matches of this chain.
    all: Vec<(Vec<u8>, NodeId)>,
    highest_severity: Option<u8>,
}

impl<'r> Transaction<'r> {
    /// Begins a transaction.
    #[must_use]
    pub fn new(plan: &'r Plan, request: Request<'r>) -> Self {
        let mut values = Values::new(plan, WORK);
        let collections = Collections::new(&request, &mut values);
        Self {
            plan,
            detector: &LibInjection,
            request,
            response: None,
            values,
            collections,
            state: State::new(plan),
            engine: Engine::On,
            observing: false,
            allowed: None,
            removed: Vec::new(),
            removed_targets: Vec::new(),
            matched: Matched::default(),
            matches: Vec::new(),
            interruption: None,
            exhausted: false,
            skipped: 0,
            scratch: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Goes on after what would refuse the request, so that everything that would match is found.
    #[must_use]
    pub fn observe(mut self) -> Self {
        self.observing = true;
        self
    }

    /// Bounds the work to `units` instead of [`WORK`].
    #[must_use]
    pub fn work(mut self, units: u64) -> Self {
        self.values.set_work(units);
        self
    }

    /// Uses another detector of injections.
    #[must_use]
    pub fn detector(mut self, detector: &'r dyn Detector) -> Self {
        self.detector = detector;
        self
    }

    /// Searches bodies whose media type says nothing, as arguments: the members of JSON, or the whole text as `ARGS:body`.
    /// ModSecurity does not, and a server that does not look at media types reads them all the same.
    #[must_use]
    pub fn search_unlabelled_bodies(mut self) -> Self {
        self.collections.search_unlabelled = true;
        self
    }

    /// Runs phase 1.
    pub fn request_headers(&mut self) {
        self.run(Phase::RequestHeaders);
    }

    /// Reads the body and runs phase 2. A request without a body has an empty one.
    pub fn request_body(&mut self, body: &'r [u8]) {
        self.read_body(body);
        self.run(Phase::RequestBody);
    }

    /// Reads the body, without running phase 2, so that [`prove`](Self::prove) can be told of its arguments.
    pub fn read_body(&mut self, body: &'r [u8]) {
        self.read_parsed_body(body, None);
    }

    /// The same for a body that the caller may have parsed already. It is not parsed again where the rules want it read as
    /// that format, which they say in phase 1.
    pub fn read_parsed_body(&mut self, body: &'r [u8], parsed: Option<Parsed<'r>>) {
        if !self.collections.body_read {
            self.collections.read_body(&self.request, body, parsed, &mut self.values);
        }
    }

    /// What is wrong with the body, by its media type. Rules see it as `REQBODY_ERROR`.
    #[must_use]
    pub fn body_error(&self) -> Option<&str> {
        self.collections.body_error.as_deref()
    }

    /// Says that the values of an argument are proved harmless, as by a schema that allows only numbers. They are no
    /// longer searched for attacks; counts and lengths still see them. Returns how many values it concerns.
    pub fn prove(&mut self, place: Place, name: &[u8]) -> usize {
        self.collections.prove(place, name, &self.values)
    }

    /// The same for every argument that `is_harmless`. Returns how many values it concerns, and how many there are.
    pub fn prove_all(&mut self, mut is_harmless: impl FnMut(Place, &[u8]) -> bool) -> (usize, usize) {
        self.collections.prove_all(&mut is_harmless, &self.values)
    }

    /// How many named values the request has so far: arguments, headers and cookies.
    #[must_use]
    pub fn value_count(&self) -> usize {
        let these = &self.collections;
        these.query.len() + these.body.len() + these.headers.len() + these.cookies.len()
    }

    /// Runs phase 2, after [`read_body`](Self::read_body).
    pub fn judge_body(&mut self) {
        self.run(Phase::RequestBody);
    }

    /// Forgets what matched so far and that the request was to be refused, but not what the rules have set and switched
    /// off. For an answer whose request was judged before.
    pub fn forget_matches(&mut self) {
        self.matches.clear();
        self.interruption = None;
    }

    /// Runs phase 3.
    pub fn response_headers(&mut self, response: Response<'r>) {
        self.collections.read_response(&response, &mut self.values);
        self.response = Some(response);
        self.run(Phase::ResponseHeaders);
    }

    /// Runs phase 4.
    pub fn response_body(&mut self, body: &'r [u8]) {
        self.collections.response_body = Some(self.values.borrowed(body));
        self.run(Phase::ResponseBody);
    }

    /// What the last rule with `capture` caught: `TX:0` to `TX:9`, as far as they are set.
    #[must_use]
    pub fn captures(&self) -> Vec<Vec<u8>> {
        (0..crate::plan::CAPTURES)
            .map_while(|place| self.state.slot(crate::plan::Slot(place)).map(<[u8]>::to_vec))
            .collect()
    }

    /// Why the request is to be refused, if it is.
    #[must_use]
    pub fn interruption(&self) -> Option<&Interruption> {
        self.interruption.as_ref()
    }

    /// Runs phase 5 and says what happened.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.run(Phase::Logging);
        let [inbound, outbound] = self.plan.scores;
        Report {
            inbound_score: self.state.number(inbound),
            outbound_score: self.state.number(outbound),
            matches: self.matches,
            interruption: self.interruption,
            exhausted: self.exhausted,
            values_not_searched: self.skipped,
            work: self.values.work_done(),
        }
    }
}
