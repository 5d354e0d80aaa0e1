//! Requests judged in this process, without a connection, an upstream or anything that a serving gateway has.
//!
//! The plan is compiled like any other, and [`portcullis_core::judge`] decides, so what is said here is what a server does.
//! The [`Bench`] keeps it apart: counters, failed credentials and remembered values are its own, its clock stands still
//! until it is told otherwise, and nothing is written to a log or sent over the network. Where an answer depends on
//! something that would have to be fetched, the verdict is [`Decision::Unknown`] and says what is missing.
//!
//! | module      | decides                                                        |
//! |-------------|----------------------------------------------------------------|
//! | [`bench`]     | what such a plan shares with the process: nothing              |
//! | [`request`]   | what a request is: what a client would send                    |
//! | [`verdict`]   | what is told of a decision                                     |
//! | [`places`]    | which line of the configuration caused it                      |
//! | `trace`     | what each check said                                           |
//! | `world`     | what checks may ask here                                       |
//! | [`curl`], [`har`], [`log`] | requests as other programs write them            |
//! | `fetching`  | how issuers' keys come, where they are asked for               |

pub mod bench;
pub mod curl;
mod fetching;
pub mod har;
pub mod log;
pub mod places;
pub mod request;
mod trace;
pub mod verdict;
mod wait;
mod world;

pub use bench::Bench;
pub use places::{Place, Places};
pub use request::Request;
pub use verdict::{CheckVerdict, Decision, Principal, Refusal, Said, Stage, Upstream, Verdict};

use crate::compile::Blueprint;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use portcullis_checks::rehearsal::PolicySays;
use portcullis_core::permit::Shaped;
use portcullis_core::{
    Authentication, Code, Controls, Denial, Effects, Job, Plan, Record, RecordSink, Recording, Refused,
    RouteId, RouteTable, Snapshot,
};
use portcullis_proxy::read_request;
use portcullis_runtime::OutboundPolicy;
use std::sync::Arc;
use trace::Trace;
use world::JudgeWorld;
pub use world::UsedUp;

/// A request that goes upstream and has no answer yet.
pub struct Ongoing(#[expect(dead_code, reason = "it is held, and not looked at")] Box<Shaped<Full<Bytes>>>);

/// What an upstream answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAnswer {
    /// The status.
    pub status: StatusCode,
    /// The media type.
    pub media_type: String,
    /// The body.
    pub body: Bytes,
}

/// Whether what each check said is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// It is: for `explain` and for tests.
    Checks,
    /// Only the decision: for many requests.
    Decision,
}

/// Judges requests by a plan, one after the other. Several threads each need one of their own.
pub struct Judge {
    snapshot: Snapshot,
    world: Arc<JudgeWorld>,
    trace: Option<Arc<Trace>>,
    bench: Bench,
    targets: Vec<String>,
    jobs: Vec<Arc<dyn Job>>,
    outbound: OutboundPolicy,
}

/// What a plan's controls are made into before anything is judged.
pub type Change<'a> = dyn FnMut(RouteId, &Controls) -> Controls + 'a;

impl Judge {
    /// Judges by this plan, which was compiled against the state of `bench`. `None` where somebody else has the plan too.
    pub fn new(blueprint: Blueprint, bench: &Bench, tracing: Tracing) -> Option<Judge> {
        Judge::changed(blueprint, bench, tracing, &mut |_, controls| controls.clone())
    }

    /// The same with other controls. Only a trial of the tests themselves has a use for that.
    pub fn changed(
        blueprint: Blueprint,
        bench: &Bench,
        tracing: Tracing,
        change: &mut Change<'_>,
    ) -> Option<Judge> {
        let targets = blueprint.listing().map(|listed| listed.target.to_owned()).collect();
        let longest_wait = blueprint.failures.longest_wait;
        let Blueprint { plan, world, endpoint_world, jobs, outbound, .. } = blueprint;
        let trace = (tracing == Tracing::Checks).then(Arc::<Trace>::default);
        let plan = Arc::into_inner(plan)?;
        let routes = with_controls(plan.routes, &mut |id, controls| {
            let changed = change(id, controls);
            match &trace {
                Some(trace) => trace.around(&changed),
                None => changed,
            }
        });
        let world = Arc::new(JudgeWorld::new(world, bench.clone(), longest_wait));
        let effects: Arc<dyn Effects> = Arc::<JudgeWorld>::clone(&world);
        let _ = endpoint_world.set(Arc::clone(&effects));
        let snapshot = Snapshot::new(Arc::new(Plan { routes, ..plan }), effects, Arc::new(Nowhere));
        Some(Judge { snapshot, world, trace, bench: bench.clone(), targets, jobs, outbound })
    }

    /// The plan that requests are judged by.
    pub fn plan(&self) -> &Plan {
        &self.snapshot
    }

    /// What keeps this apart.
    pub fn bench(&self) -> &Bench {
        &self.bench
    }

    /// Fetches the keys of every issuer over the network, once.
    ///
    /// # Errors
    /// What could not be fetched, in words for the operator. Keys of other issuers are there all the same.
    pub fn fetch_keys(&self) -> Result<(), String> {
        fetching::fetch(&self.jobs, &self.outbound, &self.bench)
    }

    /// Forgets what was counted, and who failed: the next request finds everything as the first one did.
    pub fn forget(&self) {
        self.world.forget();
    }

    /// From now on, policy servers say this.
    pub fn let_policies_say(&self, says: PolicySays) {
        if let Some(doubles) = self.bench.doubles() {
            doubles.let_policies_say(says);
        }
    }

    /// From now on, what is counted next finds these limits used up by others.
    pub fn use_up_limits(&self, used_up: UsedUp) {
        self.world.use_up(used_up);
    }

    /// From now on, the gateway is so slow that requests of this many priorities are given up, and none of the others.
    pub fn be_slow(&self, priorities: u32) {
        self.world.be_slow(priorities);
    }

    /// How many limits the last request was charged to.
    pub fn limits_charged(&self) -> usize {
        self.world.charged()
    }

    /// What becomes of a request.
    pub fn decide(&self, request: &Request) -> Verdict {
        wait::until_done(self.decide_later(request))
    }

    /// [`decide`](Judge::decide), where something else has to go on meanwhile.
    pub async fn decide_later(&self, request: &Request) -> Verdict {
        match self.shaped(request).await {
            Ok(shaped) => self.forwarded(&shaped),
            Err(verdict) => *verdict,
        }
    }

    /// The same for a request that does not end: what it holds is held for as long as the second part lives.
    pub fn decide_and_hold(&self, request: &Request) -> (Verdict, Option<Ongoing>) {
        match wait::until_done(self.shaped(request)) {
            Ok(shaped) => (self.forwarded(&shaped), Some(Ongoing(Box::new(shaped)))),
            Err(verdict) => (*verdict, None),
        }
    }

    /// What becomes of a request that the upstream answers like this: it is refused as well if its answer is.
    pub fn decide_answered(&self, request: &Request, answer: &UpstreamAnswer) -> Verdict {
        let shaped = match wait::until_done(self.shaped(request)) {
            Ok(shaped) => shaped,
            Err(verdict) => return *verdict,
        };
        let mut verdict = self.forwarded(&shaped);
        let Shaped { examiner: Some(examiner), mut recording, .. } = shaped else { return verdict };
        let mut headers = HeaderMap::new();
        if let Ok(kind) = HeaderValue::from_str(&answer.media_type) {
            headers.insert(CONTENT_TYPE, kind);
        }
        let body = Full::new(answer.body.clone()).map_err(|never| -> Denial { match never {} });
        let examined = examiner.examine(&mut recording, answer.status, &mut headers, body);
        let refused: Option<Denial> = wait::until_done(examined).err();
        verdict.observed = recording.record().observed.iter().map(Refusal::of).collect();
        if let Some(denial) = refused {
            verdict.status = Some(denial.status());
            verdict.decision = Decision::Refused(Refusal::of(&denial));
        }
        verdict
    }

    /// A request that goes upstream, or what became of it instead.
    async fn shaped(&self, request: &Request) -> Result<Shaped<Full<Bytes>>, Box<Verdict>> {
        self.bench.set_time(request.time);
        self.world.begin();
        if let Some(trace) = &self.trace {
            trace.clear();
        }
        let conn = request.conn();
        let recording = Recording::open(self.snapshot.clone(), &conn);
        let read = read_request(&request.head_bytes(), &self.snapshot.head);
        let (parts, announced) = match read {
            Ok(whole) => (whole.parts, whole.body),
            Err(denial) => {
                let refused = Refused { denial, told: None, recording };
                return Err(Box::new(self.refused(Stage::Read, refused)));
            }
        };
        self.shaped_parts(parts, announced, conn, recording, request).await.map_err(|refused| {
            let stage = Stage::of(&refused);
            Box::new(self.refused(stage, *refused))
        })
    }

    async fn shaped_parts(
        &self,
        parts: Parts,
        announced: Option<u64>,
        conn: portcullis_core::Conn,
        recording: Recording,
        request: &Request,
    ) -> Result<Shaped<Full<Bytes>>, Box<Refused>> {
        let cleared = portcullis_core::judge(parts, conn, recording).await.map_err(Box::new)?;
        // What is longer than announced is the next request, and what is shorter never ends.
        let body = match announced {
            Some(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(request.body.len());
                request.body.slice(..length)
            }
            None => request.body.clone(),
        };
        let permit = cleared.inspect(Full::new(body), |body| body).await.map_err(Box::new)?;
        Ok(permit.shape())
    }

    fn refused(&self, stage: Stage, refused: Refused) -> Verdict {
        let record = refused.recording.record();
        let refusal = Refusal::of(&refused.denial);
        let mut verdict = self.verdict(stage, record);
        let missing = self.world.missing();
        verdict.decision = if refused.denial.code() == Code::Fault && !missing.is_empty() {
            Decision::Unknown { because: missing.join("; ") }
        } else {
            Decision::Refused(refusal)
        };
        let answer = refused.answer();
        verdict.status = Some(answer.status());
        verdict.answer_headers = verdict::texts(answer.headers());
        verdict
    }

    fn forwarded(&self, shaped: &Shaped<Full<Bytes>>) -> Verdict {
        let mut verdict = self.verdict(Stage::Forward, shaped.recording.record());
        let mut added = HeaderMap::new();
        if let Some(told) = &shaped.told {
            told.write(&mut added);
        }
        verdict.answer_headers = verdict::texts(&added);
        verdict.decision = Decision::Forwarded(Upstream {
            target: self.targets.get(shaped.target.0 as usize).cloned().unwrap_or_default(),
            method: shaped.method.to_string(),
            path: shaped.path_and_query.to_string(),
            host: String::from_utf8_lossy(shaped.host.as_bytes()).into_owned(),
            headers: verdict::texts(&shaped.headers),
        });
        verdict
    }

    /// What a verdict says whatever was decided.
    fn verdict(&self, stage: Stage, record: &Record) -> Verdict {
        let consumers = &self.snapshot.consumers;
        let public = record
            .route
            .and_then(|id| self.snapshot.routes.route(id))
            .is_some_and(|route| matches!(route.controls.authentication, Authentication::Public { .. }));
        Verdict {
            stage,
            decision: Decision::Unknown { because: String::new() },
            route: record.route,
            public,
            principal: record.principal.as_ref().and_then(|principal| Principal::of(principal, consumers)),
            checks: self.trace.as_ref().map(|trace| trace.take()).unwrap_or_default(),
            observed: record.observed.iter().map(Refusal::of).collect(),
            status: None::<StatusCode>,
            answer_headers: Vec::new(),
        }
    }
}

/// The same routes with other controls. Those that share controls go on sharing them, so that thousands of routes cost no more
/// than before.
pub(crate) fn with_controls(routes: RouteTable, change: &mut Change<'_>) -> RouteTable {
    let mut made: Vec<(*const Controls, Arc<Controls>)> = Vec::new();
    let mut last = usize::MAX;
    routes.with_controls(|id, controls| {
        let known = made.get(last).filter(|(of, _)| *of == Arc::as_ptr(controls));
        let known = known.or_else(|| made.iter().find(|(of, _)| *of == Arc::as_ptr(controls)));
        if let Some((_, known)) = known {
            return Arc::clone(known);
        }
        let changed = Arc::new(change(id, controls));
        made.push((Arc::as_ptr(controls), Arc::clone(&changed)));
        last = made.len() - 1;
        changed
    })
}

/// Where the records of such requests go.
struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}
}

impl Stage {
    /// The stage in which a request ended.
    fn of(refused: &Refused) -> Stage {
        let Refused { denial, recording, .. } = refused;
        let by_check = |denial: &Denial| denial.check().and_then(|check| Stage::of_check(check.as_str()));
        let record = recording.record();
        if record.client.is_none() {
            return Stage::Admit;
        }
        if record.route.is_none() {
            return Stage::Route;
        }
        by_check(denial).unwrap_or_else(|| {
            if denial.code() == Code::UpgradeRefused {
                Stage::Route
            } else if record.principal.is_none() {
                Stage::Authenticate
            } else {
                Stage::Inspect
            }
        })
    }
}

#[cfg(test)]
mod tests;
