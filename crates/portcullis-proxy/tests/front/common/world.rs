//! A plan, a world that has nothing to offer, and a sink that remembers.

use super::{CAP, PATIENCE, TARGET};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use portcullis_core::check::{Authn, Check, CheckId};
use portcullis_core::effects::{Count, Fault, KeyDigest, KeyRecord, KeySetId, Keys, Limit, Now, Step};
use portcullis_core::head::HeadPolicy;
use portcullis_core::{
    Answers, Authenticate, Authentication, Code, ConsumerId, Consumers, Controls, CredentialLocation, Denial,
    Effects, Evidence, Facts, Fingerprint, Guarded, Inspect, InspectAnswer, Inspected, Inspection, MethodId,
    MethodSet, Mode, Once, Outcome, Plan, Principal, Record, RecordSink, Route, RouteTable, SecurityScheme,
    Snapshot, Standing, TargetId, Wait,
};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

struct World {
    begun: Instant,
    next: AtomicU64,
}

impl Effects for World {
    fn now(&self) -> Now {
        Now { monotonic: self.begun.elapsed(), unix: Duration::from_secs(1_700_000_000) }
    }

    fn random(&self) -> [u8; 16] {
        u128::from(self.next.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }

    fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(Err(Fault { detail: "no counters".into() }))
    }

    fn key<'a>(&'a self, _: KeySetId, _: KeyDigest) -> Step<'a, Result<Option<KeyRecord>, Fault>> {
        Step::Ready(Ok(None))
    }
    fn sleep(&self, _: Duration) -> Wait<'static, ()> {
        Box::pin(std::future::pending())
    }
    fn standing(&self, _: IpAddr) -> Standing {
        Standing::Free
    }
    fn credential_failed(&self, _: IpAddr) {}
    fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
        false
    }
    fn credential_good(&self, _: IpAddr, _: Fingerprint) {}
    fn notice(&self, _: &str, _: &str) {}
}

/// What a test wants to know of a record.
#[derive(Clone, Debug)]
pub struct Written {
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub upstream_status: Option<u16>,
    pub asked_upstream: bool,
    pub path: Option<String>,
    pub sent: u64,
    pub received: u64,
    pub observed: Vec<Code>,
}

impl Written {
    pub fn code(&self) -> Option<Code> {
        match &self.outcome {
            Outcome::Refused(denial) | Outcome::Failed(denial) => Some(denial.code()),
            Outcome::Served | Outcome::Aborted => None,
        }
    }
}

#[derive(Default)]
pub struct Records {
    all: Mutex<Vec<Written>>,
    more: Condvar,
}

impl RecordSink for Records {
    fn write(&self, record: &Record, _: &Plan) {
        let written = Written {
            outcome: record.outcome.clone(),
            status: record.status.map(|status| status.as_u16()),
            upstream_status: record.upstream.as_ref().and_then(|u| u.status).map(|status| status.as_u16()),
            asked_upstream: record.upstream.is_some(),
            path: record.target.as_ref().map(|target| target.path().to_owned()),
            sent: record.bytes_sent,
            received: record.bytes_received(),
            observed: record.observed.iter().map(Denial::code).collect(),
        };
        self.all.lock().unwrap().push(written);
        self.more.notify_all();
    }
}

impl Records {
    pub fn wait(&self, count: usize) -> Vec<Written> {
        let all = self.all.lock().unwrap();
        let (all, _) = self.more.wait_timeout_while(all, PATIENCE, |all| all.len() < count).unwrap();
        assert_eq!(all.len(), count, "{all:#?}");
        all.clone()
    }

    pub fn one(&self) -> Written {
        self.wait(1).remove(0)
    }

    pub fn now(&self) -> Vec<Written> {
        self.all.lock().unwrap().clone()
    }
}

/// Lets `x-key: good` in.
struct Key;

impl Check for Key {
    fn id(&self) -> CheckId {
        CheckId::new("authn.test")
    }

    fn describe(&self) -> String {
        "a key".into()
    }
}

impl Authenticate for Key {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        Step::Ready(match facts.head.once("x-key") {
            Once::Absent => Authn::NotMine,
            Once::One(key) if key == "good" => {
                Authn::Claim(Evidence::consumer(ConsumerId(0), MethodId(0), self.id()))
            }
            Once::One(_) | Once::Repeated | Once::Unreadable => {
                Authn::Deny(Denial::new(Code::CredentialUnknown, "not good"))
            }
        })
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec!["Test".into()]
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        vec![CredentialLocation::Header(http::HeaderName::from_static("x-key"))]
    }

    fn answers(&self, _: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        Vec::new()
    }
}

/// Refuses what has `bad` in it, and turns `old` into `new`: in requests and in answers.
struct NothingBad;

impl NothingBad {
    fn judge(body: &Bytes, code: Code) -> Result<Inspected, Denial> {
        if body.windows(3).any(|window| window == b"bad") {
            return Err(Denial::new(code, "bad"));
        }
        Ok(if body == "old" { Inspected::Replaced(Bytes::from_static(b"newer")) } else { Inspected::AsItIs })
    }
}

impl Check for NothingBad {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.nothing_bad")
    }

    fn describe(&self) -> String {
        "nothing bad".into()
    }
}

impl Inspect for NothingBad {
    fn inspect<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        Step::Ready(NothingBad::judge(body, Code::ContentInvalid))
    }
}

impl InspectAnswer for NothingBad {
    fn inspect<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: StatusCode,
        _: &'a HeaderMap,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        Step::Ready(NothingBad::judge(body, Code::AnswerInvalid))
    }
}

/// What a worker may hold.
pub const HELD: usize = 4 * CAP as usize;

fn plan() -> Plan {
    let controls = |authentication| {
        Arc::new(Controls {
            screen: Vec::new(),
            cross_origin: None,
            authentication,
            authorize: Vec::new(),
            in_flight: Vec::new(),
            quotas: Vec::new(),
            shape: Vec::new(),
            kept_credentials: Vec::new(),
            max_body_bytes: CAP,
            inspection: Inspection::default(),
            off: Vec::new(),
        })
    };
    let public = controls(Authentication::Public { reason: "a test".into() });
    let locked = controls(Authentication::AnyOf { mode: Mode::Enforce, methods: vec![Arc::new(Key)] });
    let inspected = |inspection| Arc::new(Controls { inspection, ..Controls::clone(&public) });
    let requests = inspected(Inspection {
        requests: vec![Guarded { mode: Mode::Enforce, check: Arc::new(NothingBad) }],
        ..Inspection::default()
    });
    let answers = |mode| {
        inspected(Inspection {
            answers: vec![Guarded { mode, check: Arc::new(NothingBad) }],
            max_answer_bytes: CAP,
            ..Inspection::default()
        })
    };
    let (examined, observed) = (answers(Mode::Enforce), answers(Mode::Observe));
    let route = |path: &str, controls: &Arc<Controls>, upgrades: &[&str], target| Route {
        reserved: portcullis_core::head::Reserved::NONE,
        path: path.into(),
        hosts: Vec::new(),
        methods: MethodSet::USUAL,
        controls: Arc::clone(controls),
        target,
        upgrades: upgrades.iter().map(|&name| name.into()).collect(),
        conditions: portcullis_core::route::conditions::Conditions::default(),
        changes: None,
    };
    let routes = vec![
        route("/", &public, &[], TARGET),
        route("/{*rest}", &public, &[], TARGET),
        route("/locked", &locked, &[], TARGET),
        route("/ws", &public, &["websocket"], TARGET),
        route("/inspected", &requests, &["websocket"], TARGET),
        route("/examined", &examined, &[], TARGET),
        route("/observed", &observed, &[], TARGET),
        route("/nowhere", &public, &[], TargetId(99)),
    ];
    Plan {
        head: HeadPolicy::default(),
        routes: RouteTable::build(routes).unwrap_or_else(|conflicts| panic!("{conflicts:?}")),
        consumers: Consumers::default(),
        credentials: vec![CredentialLocation::Header(http::HeaderName::from_static("x-key"))],
        max_held_bytes: HELD,
        policies: Vec::new(),
        error_bodies: portcullis_core::error_bodies::ErrorBodies::default(),
    }
}

pub fn snapshot(records: &Arc<Records>) -> Snapshot {
    let world = World { begun: Instant::now(), next: AtomicU64::new(1) };
    Snapshot::new(Arc::new(plan()), Arc::new(world), Arc::<Records>::clone(records))
}
