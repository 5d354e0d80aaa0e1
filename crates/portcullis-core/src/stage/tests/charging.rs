//! What is counted, taken back and told; who is in flight; and how a source that guesses is met.

use super::*;
use crate::check::{Charge, Charged, Held, InFlight, LateCost, Policy, Quota};

/// Counters that say what they are told, and write down what they are asked.
#[derive(Default)]
pub(super) struct Counters {
    /// By the number of the limit; allowed with much left where nothing stands here.
    pub(super) says: Vec<(u32, Result<Count, ()>)>,
    pub(super) together: bool,
    pub(super) standing: Option<Standing>,
    pub(super) known: bool,
    pub(super) calls: Mutex<Vec<String>>,
}

impl Counters {
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn call(&self, what: String) {
        self.calls.lock().unwrap().push(what);
    }

    fn said(&self, limit: &Limit) -> Result<Count, Fault> {
        let said = self.says.iter().find(|(of, _)| *of == limit.id.0).map(|(_, count)| *count);
        said.unwrap_or(Ok(left(1000))).map_err(|()| Fault { detail: "the counter is down".into() })
    }
}

impl Effects for Counters {
    fn now(&self) -> Now {
        World.now()
    }
    fn random(&self) -> [u8; 16] {
        World.random()
    }
    fn count<'a>(&'a self, limit: &'a Limit, _: &'a Keys<'a>, cost: u32) -> Step<'a, Result<Count, Fault>> {
        self.call(format!("count {} {cost}", limit.id.0));
        Step::Ready(self.said(limit))
    }
    fn counts_together(&self) -> bool {
        self.together
    }
    fn count_all<'a>(&'a self, charges: &'a mut [Charging<'_>]) -> Step<'a, Result<(), Fault>> {
        let mut failed = Ok(());
        for charge in charges {
            self.call(format!("count {} {} {}", charge.limit.id.0, charge.cost, charge.enforced));
            match self.said(charge.limit) {
                Ok(count) => charge.count = Some(count),
                Err(fault) => failed = Err(fault),
            }
        }
        Step::Ready(failed)
    }
    fn uncount(&self, limit: &Limit, _: &Keys<'_>, cost: u32) {
        self.call(format!("uncount {} {cost}", limit.id.0));
    }
    fn charge_late(&self, limit: &Limit, _: &Keys<'_>, cost: u32) {
        self.call(format!("late {} {cost}", limit.id.0));
    }
    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        World.key(set, digest).map(|found| found)
    }
    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        World.sleep(time)
    }
    fn standing(&self, _: IpAddr) -> Standing {
        self.standing.unwrap_or(Standing::Free)
    }
    fn credential_failed(&self, _: IpAddr) {
        self.call("failed".into());
    }
    fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
        self.known
    }
    fn credential_good(&self, _: IpAddr, _: Fingerprint) {
        self.call("good".into());
    }
    fn notice(&self, _: &str, _: &str) {}
}

pub(super) fn left(remaining: u32) -> Count {
    Count { allowed: true, remaining, retry_after: Duration::ZERO, reset_after: Duration::from_secs(60) }
}

fn used_up(wait: Duration) -> Count {
    Count { allowed: false, remaining: 0, retry_after: wait, reset_after: Duration::from_secs(60) }
}

/// A limit.
pub(super) struct Counts {
    limit: Limit,
    charge: Charge,
    cost: u32,
    late: Option<LateCost>,
    policy: Policy,
    /// It is not about this request, or cannot tell.
    instead: Option<Result<(), Code>>,
}

pub(super) fn counts(number: u32, charge: Charge) -> Counts {
    let limit = Limit {
        id: LimitId(number),
        max: 10,
        period: Duration::from_secs(60),
        burst: 10,
        algorithm: Algorithm::Gcra,
    };
    let policy = Policy {
        name: format!("limit{number}"),
        text: format!("\"limit{number}\""),
        max: 10,
        legacy_fields: false,
    };
    Counts { limit, charge, cost: 1, late: None, policy, instead: None }
}

impl Check for Counts {
    fn id(&self) -> CheckId {
        CheckId::new("quota.counts")
    }
    fn describe(&self) -> String {
        self.policy.name.clone()
    }
}

impl Quota for Counts {
    fn charge(&self) -> Charge {
        self.charge
    }
    fn is_logged(&self, _: &Principal) -> bool {
        true
    }
    fn charged<'a>(&'a self, _: &'a Facts<'a>, _: &'a Principal) -> Result<Option<Charged<'a>>, Denial> {
        match self.instead {
            Some(Ok(())) => return Ok(None),
            Some(Err(code)) => return Err(Denial::new(code, "it cannot be told whose")),
            None => {}
        }
        Ok(Some(Charged {
            limit: &self.limit,
            keys: Keys::one(CountKey::Gateway),
            cost: self.cost,
            policy: &self.policy,
            late: self.late.as_ref(),
        }))
    }
}

pub(super) fn quota(mode: Mode, check: Counts) -> Guarded<dyn Quota> {
    Guarded { mode, check: Arc::new(check) }
}

pub(super) const BEFORE: Charge = Charge::BeforeAuthentication;
pub(super) const AFTER: Charge = Charge::AfterAuthorization;

fn gate(quotas: Vec<Guarded<dyn Quota>>, world: Counters) -> (Gate, Arc<Counters>) {
    let world = Arc::new(world);
    (Gate::in_world(Controls { quotas, ..controls() }, Arc::clone(&world) as Arc<dyn Effects>), world)
}

#[test]
fn each_limit_is_charged_once_in_its_stage_and_mode() {
    for together in [false, true] {
        let quotas = vec![
            quota(Mode::Enforce, counts(1, BEFORE)),
            quota(Mode::Off, counts(2, BEFORE)),
            quota(Mode::Enforce, Counts { cost: 3, ..counts(3, AFTER) }),
            quota(Mode::Observe, counts(4, AFTER)),
            quota(Mode::Off, counts(5, AFTER)),
            quota(Mode::Enforce, Counts { instead: Some(Ok(())), ..counts(6, AFTER) }),
        ];
        let (gate, world) = gate(quotas, Counters { together, ..Counters::default() });
        let told = |calls: &[&str], enforced: &[&str]| {
            if together { enforced.to_vec() } else { calls.to_vec() }.join(", ")
        };
        assert!(gate.judge(get("/data")).is_ok());
        let all = told(
            &["count 1 1", "count 3 3", "count 4 1"],
            &["count 1 1 true", "count 3 3 true", "count 4 1 false"],
        );
        assert_eq!(world.calls().join(", "), all);
        // Who is not let in is charged to what counts anybody.
        gate.refused(Request::get("/data").header("host", "a"));
        assert_eq!(world.calls(), [told(&["count 1 1"], &["count 1 1 true"]), "failed".to_owned()][..1]);
    }
}

#[test]
fn a_used_up_limit_refuses_and_the_others_are_given_back() {
    let waits = Duration::from_millis(1500);
    for (mode, refused) in [(Mode::Enforce, true), (Mode::Observe, false)] {
        let quotas = vec![
            quota(Mode::Enforce, counts(0, BEFORE)),
            quota(Mode::Enforce, counts(1, AFTER)),
            quota(Mode::Observe, counts(2, AFTER)),
            quota(Mode::Enforce, Counts { cost: 0, ..counts(3, AFTER) }),
            quota(mode, counts(4, AFTER)),
            quota(Mode::Enforce, counts(5, AFTER)),
        ];
        let says = vec![(4, Ok(used_up(waits))), (5, Ok(left(7)))];
        let (gate, world) = gate(quotas, Counters { says, ..Counters::default() });
        let judged = gate.judge(get("/data"));
        let calls = world.calls();
        if !refused {
            assert!(judged.is_ok());
            assert_eq!(
                calls.last().map(String::as_str),
                Some("count 5 1"),
                "nothing is given back: {calls:?}"
            );
            drop(judged);
            assert_eq!(gate.ledger.0.lock().unwrap()[0].1, [Code::RateLimited]);
            continue;
        }
        let Err(refused) = judged else { panic!("let through") };
        assert_eq!(
            (refused.denial.code(), refused.denial.check()),
            (Code::RateLimited, Some(CheckId::new("quota.counts")))
        );
        assert_eq!(*refused.denial.advice(), Advice::RetryAfter { seconds: 2 });
        assert!(refused.denial.detail().contains("\"limit4\""));
        let told = refused.told.as_ref().unwrap();
        assert_eq!((told.limit.0, told.count.allowed), (4, false));
        // Of its own stage, what is enforced and cost something.
        let given_back: Vec<_> = calls.iter().filter(|call| call.starts_with("uncount")).collect();
        assert_eq!(given_back, ["uncount 1 1"], "{calls:?}");
        assert!(!calls.contains(&"count 5 1".to_owned()), "{calls:?}");
        let answer = refused.answer();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (429, &"2".parse().unwrap())
        );
    }
}

#[test]
fn the_limit_that_leaves_the_least_is_told_and_an_observed_one_never() {
    for (counts_left, wanted) in
        [([9, 4, 6], (1, 4)), ([4, 9, 6], (0, 4)), ([5, 5, 5], (0, 5)), ([9, 8, 0], (1, 8))]
    {
        let quotas = vec![
            quota(Mode::Enforce, counts(0, BEFORE)),
            quota(Mode::Enforce, counts(1, AFTER)),
            quota(Mode::Observe, counts(2, AFTER)),
        ];
        let says = (0..3).zip(counts_left).map(|(limit, remaining)| (limit, Ok(left(remaining)))).collect();
        let (gate, _) = gate(quotas, Counters { says, ..Counters::default() });
        let cleared = gate.judge(get("/data")).unwrap_or_else(|_| panic!("refused"));
        let told = cleared.case.told.as_ref().unwrap();
        assert_eq!((told.limit.0, told.count.remaining), wanted, "{counts_left:?}");
        let shaped = passed(cleared, body(&[])).unwrap_or_else(|_| panic!("refused")).shape();
        assert_eq!(shaped.told.unwrap().limit.unwrap().limit.0, wanted.0);
    }
}

#[test]
fn counters_that_do_not_answer_refuse() {
    for together in [false, true] {
        let quotas = vec![quota(Mode::Enforce, counts(0, BEFORE)), quota(Mode::Enforce, counts(1, AFTER))];
        let world = Counters { together, says: vec![(1, Err(()))], ..Counters::default() };
        let (gate, _) = gate(quotas, world);
        let Err(refused) = gate.judge(get("/data")) else { panic!("let through") };
        assert_eq!(refused.denial.code(), Code::Fault);
        assert!(refused.denial.detail().contains("the counter is down"), "{}", refused.denial.detail());
        // A limit that cannot tell whose counter it is refuses as it says.
        for (mode, refuses) in [(Mode::Enforce, true), (Mode::Observe, false)] {
            let unclear = Counts { instead: Some(Err(Code::AmbiguousHeader)), ..counts(1, AFTER) };
            let quotas = vec![
                quota(Mode::Enforce, counts(0, AFTER)),
                quota(mode, unclear),
                quota(Mode::Enforce, counts(2, AFTER)),
            ];
            let (gate, world) = self::gate(quotas, Counters { together, ..Counters::default() });
            assert_eq!(
                gate.judge(get("/data")).err().map(|refused| refused.denial.code()),
                refuses.then_some(Code::AmbiguousHeader)
            );
            let calls = world.calls();
            assert_eq!(calls.iter().any(|call| call.starts_with("count 2")), !refuses, "{calls:?}");
        }
    }
}

#[test]
fn limits_that_are_asked_together_refuse_as_one_by_one() {
    let quotas = vec![
        quota(Mode::Enforce, counts(0, AFTER)),
        quota(Mode::Observe, counts(1, AFTER)),
        quota(Mode::Enforce, counts(2, AFTER)),
    ];
    let says = vec![(1, Ok(used_up(Duration::ZERO))), (2, Ok(used_up(Duration::from_secs(7))))];
    let (gate, world) = gate(quotas, Counters { together: true, says, ..Counters::default() });
    let (answer, code) = gate.refused(get("/data"));
    assert_eq!((code, &answer.headers()["retry-after"]), (Code::RateLimited, &"7".parse().unwrap()));
    assert_eq!(world.calls().len(), 3, "the counters take back what they must by themselves");
    assert_eq!(gate.ledger.0.lock().unwrap()[0].1, [Code::RateLimited], "and one is observed");
}

#[test]
fn what_the_answer_costs_is_charged_late_unless_the_request_is_refused() {
    let late = || Some(LateCost::OnStatus { statuses: [(500, 599)].into(), cost: 9 });
    for refused in [false, true] {
        let quotas = vec![
            quota(Mode::Enforce, Counts { late: late(), ..counts(0, AFTER) }),
            quota(Mode::Enforce, counts(1, AFTER)),
        ];
        let says = if refused { vec![(1, Ok(used_up(Duration::ZERO)))] } else { Vec::new() };
        let (gate, world) = gate(quotas, Counters { says, ..Counters::default() });
        match gate.judge(get("/data")) {
            Err(denied) => {
                assert!(refused);
                let mut recording = denied.recording;
                recording.record_mut().status = Some(http::StatusCode::BAD_GATEWAY);
                recording.close(Outcome::Served);
            }
            Ok(cleared) => {
                let permit = passed(cleared, body(&[])).unwrap_or_else(|_| panic!("refused"));
                let mut recording = permit.shape().recording;
                recording.record_mut().status = Some(http::StatusCode::BAD_GATEWAY);
                recording.close(Outcome::Served);
            }
        }
        let calls = world.calls();
        assert_eq!(calls.contains(&"late 0 9".to_owned()), !refused, "{calls:?}");
    }
}

#[test]
fn waits_are_whole_seconds_and_never_none() {
    for (wait, seconds) in [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (Duration::from_secs(1), 1),
        (Duration::from_millis(1001), 2),
        (Duration::from_secs(60), 60),
    ] {
        assert_eq!(whole_seconds(wait), seconds, "{wait:?}");
    }
}

/// Bounds how many are in flight, or refuses all.
struct Room {
    taken: Arc<Mutex<u32>>,
    full: bool,
}

struct Place(Arc<Mutex<u32>>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.lock().unwrap() -= 1;
    }
}

impl Check for Room {
    fn id(&self) -> CheckId {
        CheckId::new("quota.room")
    }
    fn describe(&self) -> String {
        "so many at once".into()
    }
}

impl InFlight for Room {
    fn enter<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Option<Held>, Denial>> {
        if self.full {
            return Step::Ready(Err(Denial::new(Code::Overloaded, "full")));
        }
        *self.taken.lock().unwrap() += 1;
        Step::Ready(Ok(Some(Box::new(Place(Arc::clone(&self.taken))))))
    }
}

#[test]
fn a_place_is_held_until_the_exchange_ends_and_a_full_room_is_charged_to_nothing() {
    let taken = Arc::<Mutex<u32>>::default();
    let room = |mode, full| Guarded::<dyn InFlight> {
        mode,
        check: Arc::new(Room { taken: Arc::clone(&taken), full }),
    };
    let count = || *taken.lock().unwrap();
    let judged = |in_flight| {
        let world = Arc::new(Counters::default());
        let quotas = vec![quota(Mode::Enforce, counts(0, AFTER))];
        let effects = Arc::clone(&world) as Arc<dyn Effects>;
        let gate = Gate::in_world(Controls { in_flight, quotas, ..controls() }, effects);
        let judged = gate.judge(get("/data"));
        (judged, world.calls(), gate)
    };
    let (cleared, calls, _gate) = judged(vec![room(Mode::Enforce, false), room(Mode::Enforce, false)]);
    assert_eq!((count(), calls.len()), (2, 1));
    let cleared = cleared.unwrap_or_else(|_| panic!("refused"));
    let shaped = passed(cleared, body(&[])).unwrap_or_else(|_| panic!("refused")).shape();
    assert_eq!(count(), 2, "it goes upstream");
    shaped.recording.close(Outcome::Served);
    assert_eq!(count(), 0, "it has ended");

    let (refused, calls, _gate) =
        judged(vec![room(Mode::Enforce, false), room(Mode::Enforce, true), room(Mode::Enforce, false)]);
    assert_eq!(count(), 1, "the third one is not asked");
    let refused = refused.err().unwrap();
    assert_eq!(
        (refused.denial.code(), refused.denial.check()),
        (Code::Overloaded, Some(CheckId::new("quota.room")))
    );
    drop(refused);
    assert_eq!((count(), calls.len()), (0, 0));

    let (cleared, calls, gate) =
        judged(vec![room(Mode::Observe, true), room(Mode::Off, true), room(Mode::Off, false)]);
    assert_eq!((cleared.is_ok(), count(), calls.len()), (true, 0, 1));
    drop(cleared);
    assert_eq!(gate.ledger.0.lock().unwrap()[0].1, [Code::Overloaded]);
}

/// A key in a field: `good` is the first consumer's, anything else is a guess.
struct Key {
    bearer: bool,
    good: &'static str,
    refuses: Code,
}

impl Check for Key {
    fn id(&self) -> CheckId {
        CheckId::new("authn.key")
    }
    fn describe(&self) -> String {
        "a key".into()
    }
}

impl Authenticate for Key {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        use crate::head::Once;
        Step::Ready(match facts.head.once("x-key") {
            Once::One(key) if key == self.good => {
                let mut evidence = Evidence::consumer(ConsumerId(0), MethodId(0), self.id());
                evidence.fingerprint = Some(Fingerprint(7));
                Authn::Claim(evidence)
            }
            Once::Absent => Authn::NotMine,
            Once::One(_) | Once::Repeated | Once::Unreadable => {
                Authn::Deny(Denial::new(self.refuses, format!("not {}", self.good)))
            }
        })
    }
    fn challenges(&self, refused: Option<&Denial>) -> Vec<String> {
        vec![format!("Key {}", if refused.is_some() { self.good } else { "any" })]
    }
    fn is_bearer(&self) -> bool {
        self.bearer
    }
    fn credentials(&self) -> Vec<CredentialLocation> {
        vec![CredentialLocation::Header(HeaderName::from_static("x-key"))]
    }
    fn answers(&self, _: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        Vec::new()
    }
}

fn keys(methods: Vec<Key>, world: Counters) -> (Gate, Arc<Counters>) {
    let world = Arc::new(world);
    let methods = methods.into_iter().map(|key| Arc::new(key) as Arc<dyn Authenticate>).collect();
    let authentication = Authentication::AnyOf { mode: Mode::Enforce, methods };
    (Gate::in_world(Controls { authentication, ..controls() }, Arc::clone(&world) as Arc<dyn Effects>), world)
}

fn with_key(key: &str) -> http::request::Builder {
    Request::get("/data").header("host", "a").header("x-key", key)
}

#[test]
fn a_source_that_guesses_waits_and_learns_nothing() {
    let wait = Duration::from_secs(9);
    let key = || vec![Key { bearer: false, good: "good", refuses: Code::CredentialUnknown }];
    // (standing, whether the key is known there, key) and (the code, what was told to the world, what was observed).
    for (standing, known, sent, wanted, calls, observed) in [
        (Standing::Free, false, "good", None, &["good"][..], &[][..]),
        (Standing::Free, false, "bad", Some(Code::CredentialUnknown), &["failed"], &[]),
        (Standing::Blocked { wait }, false, "good", Some(Code::TooManyFailures), &[], &[]),
        (Standing::Blocked { wait }, true, "good", None, &[], &[]),
        (Standing::Blocked { wait }, true, "bad", Some(Code::TooManyFailures), &[], &[]),
        (Standing::Observed { wait }, false, "good", None, &[], &[Code::TooManyFailures]),
        (Standing::Observed { wait }, true, "good", None, &[], &[]),
        (
            Standing::Observed { wait },
            true,
            "bad",
            Some(Code::CredentialUnknown),
            &[],
            &[Code::TooManyFailures],
        ),
    ] {
        let (gate, world) = keys(key(), Counters { standing: Some(standing), known, ..Counters::default() });
        let judged = gate.judge(with_key(sent));
        let told = (judged.as_ref().err().map(|refused| refused.denial.code()), world.calls());
        assert_eq!(
            told,
            (wanted, calls.iter().map(|call| (*call).to_owned()).collect()),
            "{standing:?} {known} {sent}"
        );
        if wanted == Some(Code::TooManyFailures) {
            let advice = judged.as_ref().err().map(|refused| refused.denial.advice().clone());
            assert_eq!(advice, Some(Advice::RetryAfter { seconds: 9 }));
        }
        drop(judged);
        assert_eq!(gate.ledger.0.lock().unwrap()[0].1, observed, "{standing:?} {known} {sent}");
    }
    // A credential that is missing is no guess.
    let (gate, world) = keys(key(), Counters::default());
    let (answer, code) = gate.refused(Request::get("/data").header("host", "a"));
    assert_eq!((code, world.calls()), (Code::CredentialMissing, Vec::new()));
    assert_eq!(answer.headers()["www-authenticate"], "Key any");
}

#[test]
fn methods_that_read_one_credential_are_judged_together() {
    let key = |good, refuses| Key { bearer: true, good, refuses };
    let two = |first, second| vec![key("one", first), key("two", second)];
    let unknown = Code::CredentialUnknown;
    for (methods, sent, wanted) in [
        (two(unknown, unknown), "one", None),
        (two(unknown, unknown), "two", None),
        (two(unknown, unknown), "three", Some(unknown)),
        // What tells more is told.
        (two(unknown, Code::TokenAudience), "three", Some(Code::TokenAudience)),
        (two(Code::TokenAudience, unknown), "three", Some(Code::TokenAudience)),
        // A fault ends the search, and so does what is no 401.
        (two(Code::Fault, unknown), "two", Some(Code::Fault)),
        (two(Code::CrossSite, unknown), "two", Some(Code::CrossSite)),
    ] {
        let (gate, world) = keys(methods, Counters::default());
        let judged = gate.judge(with_key(sent)).err().map(|refused| refused.denial.code());
        assert_eq!(judged, wanted, "{sent}");
        let failures = world.calls().iter().filter(|call| *call == "failed").count();
        assert_eq!(failures, usize::from(wanted == Some(unknown)), "one guess is one failure: {sent}");
    }
    // Once one has refused, only those who read the same are asked.
    let other = Key { bearer: false, good: "three", refuses: unknown };
    let (gate, _) = keys(vec![key("one", unknown), other, key("two", unknown)], Counters::default());
    assert_eq!(gate.refused(with_key("three")).1, unknown);
    assert!(gate.judge(with_key("two")).is_ok());
    let (answer, _) = gate.refused(with_key("four"));
    let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Key any", "Key two"], "only who refused is told why");
}
