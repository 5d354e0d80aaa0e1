//! What a record tells of the checks of a request: how long they took, who refused, which limit leaves the least, and what the
//! client says of itself; and what a request that still runs is asked again.

use super::charging::{AFTER, BEFORE, Counters, counts, left, quota};
use super::routing::{judged, public, route, snapshot};
use super::*;
use crate::check::{Inspect, Inspected, Wants};
use crate::record::Tightest;
use http::HeaderValue;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a record tells of checks, in order: who, how long in milliseconds, and whether it refused.
type Times = Vec<(&'static str, u64, bool)>;

#[derive(Default)]
struct Teller {
    wants: bool,
    times: Mutex<Vec<Times>>,
    limits: Mutex<Vec<Option<Tightest>>>,
    agents: Mutex<Vec<Option<Agent>>>,
    unasked: Mutex<Vec<bool>>,
}

impl RecordSink for Teller {
    fn write(&self, record: &Record, _: &Plan) {
        let times = record.checks.iter();
        let times = times.map(|time| (time.check.as_str(), time.took.as_millis() as u64, time.refused));
        self.times.lock().unwrap().push(times.collect());
        self.limits.lock().unwrap().push(record.limit);
        self.agents.lock().unwrap().push(record.agent.as_deref().cloned());
        self.unasked.lock().unwrap().push(record.unasked_credential);
    }
    fn wants_check_times(&self) -> bool {
        self.wants
    }
    fn wants_agent(&self) -> bool {
        self.wants
    }
    fn wants_unasked_credentials(&self) -> bool {
        self.wants
    }
}

/// A world in which each look at the clock takes a millisecond, and each request is one whose checks are timed.
struct Ticking {
    counters: Counters,
    clock: AtomicU64,
}

impl Effects for Ticking {
    fn now(&self) -> Now {
        World.now()
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.clock.fetch_add(1, Ordering::Relaxed))
    }
    fn random(&self) -> [u8; 16] {
        [0; 16]
    }
    fn count<'a>(
        &'a self,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        self.counters.count(limit, keys, cost)
    }
    fn counts_together(&self) -> bool {
        self.counters.counts_together()
    }
    fn count_all<'a>(&'a self, charges: &'a mut [Charging<'_>]) -> Step<'a, Result<(), Fault>> {
        self.counters.count_all(charges)
    }
    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        World.key(set, digest).map(|found| found)
    }
    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        World.sleep(time)
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

/// The same gate with another world and sink.
fn told(controls: Controls, counters: Counters, wants: bool) -> (Gate, Arc<Teller>) {
    let gate = Gate::new(controls);
    let sink = Arc::new(Teller { wants, ..Teller::default() });
    let world = Arc::new(Ticking { counters, clock: AtomicU64::new(0) });
    let plan: Plan = {
        let Gate { snapshot, .. } = &gate;
        Plan {
            head: HeadPolicy::default(),
            routes: RouteTable::build(snapshot.routes.iter().cloned().collect()).ok().unwrap(),
            consumers: Consumers::default(),
            credentials: snapshot.credentials.clone(),
            max_held_bytes: 4096,
            error_bodies: ErrorBodies::default(),
            policies: Vec::new(),
        }
    };
    let snapshot = Snapshot::new(Arc::new(plan), world, Arc::clone(&sink) as Arc<dyn RecordSink>);
    (Gate { snapshot, ..gate }, sink)
}

/// Knows whether it was shown the notes and the memory of a body.
struct Looks {
    reads: bool,
    seen: Arc<Mutex<Vec<(bool, bool, bool)>>>,
}

impl Check for Looks {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.looks")
    }
    fn describe(&self) -> String {
        "looks".into()
    }
}

impl Looks {
    fn see(&self, facts: &Facts<'_>) {
        let wanted = facts.notes.is_some_and(|notes| notes.wants_arguments());
        let seen = (facts.notes.is_some(), facts.holding.is_some(), wanted);
        self.seen.lock().unwrap().push(seen);
    }
}

impl Inspect for Looks {
    fn reads_arguments(&self) -> bool {
        self.reads
    }
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        self.see(facts);
        Step::Ready(Ok(Wants::Body))
    }
    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        self.see(facts);
        Step::Ready(Ok(Inspected::AsItIs))
    }
}

#[test]
fn inspectors_are_shown_the_notes_and_the_memory_of_a_body() {
    for (mode, reads, wanted) in [
        (Mode::Enforce, true, true),
        (Mode::Observe, true, true),
        (Mode::Enforce, false, false),
        (Mode::Off, true, false),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let looks = |reads| Arc::new(Looks { reads, seen: Arc::clone(&seen) });
        let requests: Vec<Guarded<dyn Inspect>> =
            vec![Guarded { mode: Mode::Enforce, check: looks(false) }, Guarded { mode, check: looks(reads) }];
        let inspection = Inspection { requests, ..Inspection::default() };
        let gate = Gate::new(Controls { inspection, ..controls() });
        let cleared = gate.judge(get("/data").header("transfer-encoding", "chunked")).ok().unwrap();
        assert!(passed(cleared, body(&["abc"])).is_ok());
        let seen = seen.lock().unwrap();
        let looked = if mode == Mode::Off { 1 } else { 2 };
        assert_eq!(seen[..looked], vec![(true, false, wanted); looked], "at the head, {mode:?}");
        assert_eq!(seen[looked..], vec![(true, true, wanted); looked], "at the body, {mode:?}");
    }
}

#[test]
fn the_bytes_of_a_body_that_streams_are_counted() {
    let gate = Gate::new(controls());
    for (pieces, bytes) in [(&["01234", "567"][..], 8), (&[], 0)] {
        let cleared = gate.judge(get("/data").header("transfer-encoding", "chunked")).ok().unwrap();
        let mut shaped = passed(cleared, body(pieces)).ok().unwrap().shape();
        while let Poll::Ready(Some(_)) =
            Pin::new(&mut shaped.body).poll_frame(&mut Context::from_waker(Waker::noop()))
        {}
        assert_eq!(shaped.recording.record().bytes_received(), bytes);
    }
}

#[test]
fn checks_are_timed_where_somebody_wants_to_know() {
    for together in [false, true] {
        let used_up = Count { allowed: false, ..left(0) };
        let of = || Controls {
            screen: vec![Guarded {
                mode: Mode::Observe,
                check: Arc::new(Says { id: "screen.says", denies: Some(Code::AddressRefused) }),
            }],
            authorize: vec![Guarded {
                mode: Mode::Enforce,
                check: Arc::new(Says { id: "authz.says", denies: None }),
            }],
            quotas: vec![quota(Mode::Enforce, counts(1, AFTER)), quota(Mode::Observe, counts(2, AFTER))],
            ..controls()
        };
        let says = || Counters { together, says: vec![(2, Ok(used_up))], ..Counters::default() };
        let (gate, sink) = told(of(), says(), true);
        drop(gate.judge(get("/data")));
        let times = sink.times.lock().unwrap()[0].clone();
        let known: Vec<_> = times.iter().map(|(check, _, refused)| (*check, *refused)).collect();
        assert_eq!(
            known,
            [
                ("screen.says", true),
                ("authn.badge", false),
                ("authz.says", false),
                ("quota.counts", false),
                ("quota.counts", true),
            ]
        );
        assert!(times.iter().all(|(_, took, _)| *took >= 1), "{times:?}");
        assert!(times[0].1 == 1, "a look at the clock before and one after it: {times:?}");
        let (gate, sink) = told(of(), says(), false);
        drop(gate.judge(get("/data")));
        assert!(sink.times.lock().unwrap()[0].is_empty(), "nobody wants to know");
    }
}

#[test]
fn a_record_tells_the_limit_that_leaves_the_least() {
    for (before, after, limit, remaining) in [
        (&[(1, 5)][..], &[][..], 1, 5),
        (&[(1, 5), (2, 3), (3, 7)], &[], 2, 3),
        (&[(1, 5), (2, 5)], &[], 1, 5),
        (&[], &[(4, 9)], 4, 9),
        (&[(1, 5)], &[(4, 9)], 1, 5),
        (&[(1, 5)], &[(4, 5)], 1, 5),
        (&[(1, 5)], &[(4, 4)], 4, 4),
        (&[(1, 5)], &[(4, 8), (5, 2)], 5, 2),
    ] {
        let quotas = before.iter().map(|(number, _)| quota(Mode::Enforce, counts(*number, BEFORE)));
        let quotas =
            quotas.chain(after.iter().map(|(number, _)| quota(Mode::Enforce, counts(*number, AFTER))));
        let says =
            before.iter().chain(after).map(|(number, remaining)| (*number, Ok(left(*remaining)))).collect();
        let counters = Counters { says, ..Counters::default() };
        let (gate, sink) = told(Controls { quotas: quotas.collect(), ..controls() }, counters, false);
        drop(gate.judge(get("/data")));
        let expected = Tightest { limit: LimitId(limit), remaining };
        assert_eq!(sink.limits.lock().unwrap()[0], Some(expected), "{before:?} {after:?}");
    }
}

#[test]
fn what_a_client_says_of_itself_is_told_without_credentials() {
    let asked = || {
        get("/data")
            .header("referer", "https://app.example.com/")
            .header("user-agent", "curl/8")
            .header("x-badge", "0")
    };
    for wants in [true, false] {
        let (gate, sink) = told(controls(), Counters::default(), wants);
        drop(gate.judge(asked()));
        let expected = wants.then(|| Agent {
            referer: Some(HeaderValue::from_static("https://app.example.com/")),
            user_agent: Some(HeaderValue::from_static("curl/8")),
        });
        assert_eq!(sink.agents.lock().unwrap()[0], expected);
    }
    // Where a route looks for a credential in it, it may be one.
    let (gate, sink) = told(controls(), Counters::default(), true);
    let plan = Plan {
        head: HeadPolicy::default(),
        routes: RouteTable::build(gate.snapshot.routes.iter().cloned().collect()).ok().unwrap(),
        consumers: Consumers::default(),
        credentials: vec![
            CredentialLocation::Header(http::header::USER_AGENT),
            CredentialLocation::Query("k".into()),
        ],
        max_held_bytes: 4096,
        error_bodies: ErrorBodies::default(),
        policies: Vec::new(),
    };
    let snapshot = Snapshot::new(Arc::new(plan), Arc::new(World), Arc::clone(&sink) as Arc<dyn RecordSink>);
    drop(Gate { snapshot, ..gate }.judge(asked()));
    let agent = sink.agents.lock().unwrap()[0].clone().unwrap();
    assert_eq!((agent.referer.is_some(), agent.user_agent), (true, None));
}

#[test]
fn a_credential_that_a_public_route_was_sent_is_told_where_somebody_wants_to_know() {
    let told_of = |wants, controls: Controls, request: http::request::Builder| {
        let (gate, sink) = told(controls, Counters::default(), wants);
        drop(gate.judge(request));
        sink.unasked.lock().unwrap()[0]
    };
    let bare = || Request::get("/data").header("host", "a");
    assert!(told_of(true, public(), get("/data")));
    assert!(!told_of(false, public(), get("/data")));
    assert!(!told_of(true, public(), bare()));
    assert!(!told_of(true, controls(), get("/data")));
    assert!(!told_of(false, public(), bare()));
}

/// Refuses a credential with this code, and with this challenge if there is one.
struct Refuses(Code, Option<&'static str>);

impl Check for Refuses {
    fn id(&self) -> CheckId {
        CheckId::new("authn.refuses")
    }
    fn describe(&self) -> String {
        "refuses".into()
    }
}

impl Authenticate for Refuses {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        if let Some(blocked) = facts.blocked() {
            return Step::Ready(Authn::Deny(blocked));
        }
        let denial = Denial::new(self.0, "told so");
        Step::Ready(Authn::Deny(match self.1 {
            Some(own) => denial.advising(Advice::Challenge(vec![own.to_owned()])),
            None => denial,
        }))
    }
    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec!["Usual".into()]
    }
    fn credentials(&self) -> Vec<CredentialLocation> {
        Vec::new()
    }
    fn answers(&self, _: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        Vec::new()
    }
}

fn refusing(code: Code, own: Option<&'static str>) -> Controls {
    let methods: Vec<Arc<dyn Authenticate>> = vec![Arc::new(Refuses(code, own))];
    Controls { authentication: Authentication::AnyOf { mode: Mode::Enforce, methods }, ..controls() }
}

#[test]
fn an_answer_challenges_where_it_asks_for_a_credential_and_says_nothing_else() {
    for (code, own, challenge) in [
        (Code::CredentialUnknown, None, Some("Usual")),
        (Code::CredentialUnknown, Some("Own"), Some("Own")),
        (Code::RoleMissing, None, None),
    ] {
        let (answer, found) = Gate::new(refusing(code, own)).refused(get("/data"));
        let said = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!((found, said), (code, challenge));
    }
}

#[test]
fn a_method_knows_that_a_source_is_blocked() {
    for (standing, code) in [
        (Standing::Blocked { wait: Duration::from_secs(3) }, Code::TooManyFailures),
        (Standing::Observed { wait: Duration::from_secs(3) }, Code::RoleMissing),
        (Standing::Free, Code::RoleMissing),
    ] {
        let counters = Counters { standing: Some(standing), ..Counters::default() };
        let gate = Gate::in_world(refusing(Code::RoleMissing, None), Arc::new(counters));
        assert_eq!(gate.refused(get("/data")).1, code, "{standing:?}");
    }
}

#[test]
fn what_still_runs_is_asked_again_by_what_is_enforced_now() {
    let plan = |mode, upgrades: &[&str], screens: Option<Code>, authorizes: Option<Code>| {
        let controls = Arc::new(Controls {
            screen: vec![guard_screen(mode, screens)],
            authorize: vec![Guarded { mode, check: Arc::new(Says { id: "authz.says", denies: authorizes }) }],
            ..public()
        });
        let upgrades = upgrades.iter().map(|protocol| (*protocol).to_owned()).collect();
        let routes = vec![Route { upgrades, ..route("/chat", &["GET"], &controls) }];
        snapshot(routes, HeadPolicy::default(), Arc::new(Ledger::default()))
    };
    let open = plan(Mode::Enforce, &["websocket"], None, None);
    let request = Request::get("/chat").header("connection", "upgrade").header("upgrade", "WebSocket");
    let cleared = judged(&open, request).ok().unwrap();
    let admission = passed(cleared, body(&[])).ok().unwrap().shape().admission.unwrap();
    let now = |plan: &Snapshot| at_once(admission.judge(plan)).map_err(|denial| denial.code());
    assert_eq!(now(&open), Ok(()));
    assert_eq!(now(&plan(Mode::Enforce, &["other"], None, None)), Err(Code::UpgradeRefused));
    let (address, role) = (Some(Code::AddressRefused), Some(Code::RoleMissing));
    assert_eq!(now(&plan(Mode::Enforce, &["websocket"], address, None)), Err(Code::AddressRefused));
    assert_eq!(now(&plan(Mode::Enforce, &["websocket"], None, role)), Err(Code::RoleMissing));
    assert_eq!(now(&plan(Mode::Observe, &["websocket"], address, role)), Ok(()));
    assert_eq!(now(&plan(Mode::Off, &["websocket"], address, role)), Ok(()));
}

fn guard_screen(mode: Mode, denies: Option<Code>) -> Guarded<dyn Screen> {
    Guarded { mode, check: Arc::new(Says { id: "screen.says", denies }) }
}
