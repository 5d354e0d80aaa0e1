//! Decisions run here without an async runtime: a future that is not ready at once fails the test.

mod charging;
mod dialogue;
mod findings;
mod inspection;
mod routing;

use super::*;
use crate::check::{Answers, Authenticate, Authentication, Authn, Authorize, Check, Screen, SecurityScheme};
use crate::conn::Transport;
use crate::effects::*;
use crate::error_bodies::ErrorBodies;
use crate::head::HeadPolicy;
use crate::method::MethodSet;
use crate::plan::{Controls, CredentialLocation, Inspection, Snapshot};
use crate::principal::{
    Consumer, ConsumerId, Consumers, CredentialName, Evidence, Fingerprint, Ground, MethodId,
};
use crate::record::{Record, RecordSink};
use crate::route::conditions::Conditions;
use crate::route::{RouteTable, TargetId};
use http::{HeaderName, Request};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a pure decision suspended"),
    }
}

struct World;

impl Effects for World {
    fn now(&self) -> Now {
        Now { monotonic: Duration::from_secs(1), unix: Duration::from_secs(1) }
    }
    fn random(&self) -> [u8; 16] {
        [0xab; 16]
    }
    fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(Err(Fault { detail: "no counters here".into() }))
    }
    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        Step::Ready(Err(Fault { detail: "no keys here".into() }))
    }
    fn sleep(&self, _: Duration) -> Wait<'static, ()> {
        Box::pin(std::future::pending())
    }
    fn is_blocked(&self, client: IpAddr) -> bool {
        client == IpAddr::from([192, 0, 2, 66])
    }
    fn is_blocked_as(&self, client: IpAddr, name: &str) -> bool {
        client == IpAddr::from([192, 0, 2, 67]) && name == "alice"
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

#[derive(Default)]
struct Ledger(Mutex<Vec<Entry>>);

/// The outcome, what was observed, and the status.
type Entry = (Outcome, Vec<Code>, Option<u16>);

impl RecordSink for Ledger {
    fn write(&self, record: &Record, _: &Plan) {
        let observed = record.observed.iter().map(|denial| denial.code()).collect();
        self.0.lock().unwrap().push((
            record.outcome.clone(),
            observed,
            record.status.map(|status| status.as_u16()),
        ));
    }
}

/// A check of every stage that does as it is told.
struct Says {
    id: &'static str,
    denies: Option<Code>,
}

impl Says {
    fn answer(&self) -> Step<'_, Result<(), Denial>> {
        Step::Ready(match self.denies {
            None => Ok(()),
            Some(code) => Err(Denial::new(code, "told so")),
        })
    }
}

impl Check for Says {
    fn id(&self) -> CheckId {
        CheckId::new(self.id)
    }
    fn describe(&self) -> String {
        "does as it is told".into()
    }
}

impl Screen for Says {
    fn screen<'a>(&'a self, _: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Result<(), Denial>> {
        self.answer()
    }
}

impl Authorize for Says {
    fn authorize<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        self.answer()
    }
}

/// Claims the consumer whose number is in the header field; denies anything else in it.
struct Badge(&'static str);

impl Check for Badge {
    fn id(&self) -> CheckId {
        CheckId::new("authn.badge")
    }
    fn describe(&self) -> String {
        format!("a badge in {}", self.0)
    }
}

impl Authenticate for Badge {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        use crate::head::Once;
        Step::Ready(match facts.head.once(self.0) {
            Once::Absent => Authn::NotMine,
            Once::One(number) => match number.parse() {
                Ok(number) => Authn::Claim(Evidence::consumer(
                    ConsumerId(number),
                    MethodId(self.0.len() as u32),
                    self.id(),
                )),
                Err(_) => Authn::Deny(Denial::new(Code::CredentialUnknown, "no such badge")),
            },
            Once::Repeated | Once::Unreadable => {
                Authn::Deny(Denial::new(Code::CredentialRepeated, "two badges"))
            }
        })
    }
    fn uphold<'a>(&'a self, evidence: &'a Evidence, _: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        Step::Ready(Authn::Claim(evidence.clone()))
    }
    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec!["Badge".into()]
    }
    fn credentials(&self) -> Vec<CredentialLocation> {
        vec![CredentialLocation::Header(HeaderName::from_static(self.0))]
    }
    fn answers(&self, _: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        Vec::new()
    }
}

fn controls() -> Controls {
    let badges: Vec<Arc<dyn Authenticate>> = vec![Arc::new(Badge("x-badge")), Arc::new(Badge("x-other"))];
    Controls {
        screen: vec![],
        cross_origin: None,
        authentication: Authentication::AnyOf { mode: Mode::Enforce, methods: badges },
        authorize: vec![],
        in_flight: vec![],
        quotas: vec![],
        shape: Vec::new(),
        kept_credentials: Vec::new(),
        max_body_bytes: 10,
        inspection: Inspection::default(),
        off: vec![],
    }
}

fn guard<C>(mode: Mode, check: C) -> Guarded<C> {
    Guarded { mode, check: Arc::new(check) }
}

struct Gate {
    snapshot: Snapshot,
    ledger: Arc<Ledger>,
}

impl Gate {
    fn new(controls: Controls) -> Gate {
        Gate::in_world(controls, Arc::new(World))
    }

    fn in_world(controls: Controls, world: Arc<dyn Effects>) -> Gate {
        let controls = Arc::new(controls);
        let route = |path: &str, methods: MethodSet, hosts: &[&str]| Route {
            reserved: crate::head::Reserved::NONE,
            path: path.into(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            methods,
            controls: Arc::clone(&controls),
            target: TargetId(0),
            upgrades: vec![],
            conditions: Conditions::default(),
            changes: None,
        };
        let public = Authentication::Public { reason: "nothing is here".into() };
        let mut unrouted = route("", MethodSet::NONE, &[]);
        unrouted.controls = Arc::new(Controls { authentication: public, ..controls.as_ref().clone() });
        let get = MethodSet::named("GET").unwrap().with_head();
        let post = MethodSet::named("POST").unwrap();
        let routes = vec![
            route("/data", get.clone(), &[]),
            route("/data", post, &[]),
            route("/data/{id}", get.clone(), &[]),
            route("/only/{*rest}", get, &["inner.example"]),
        ];
        let mut consumers = Consumers::default();
        consumers
            .add(Consumer { name: "alice".into(), roles: vec!["user".into()], scopes: Vec::new() })
            .unwrap();
        let plan = Plan {
            head: HeadPolicy::default(),
            routes: RouteTable::build(routes).unwrap().with_unrouted(unrouted),
            consumers,
            credentials: vec![CredentialLocation::Header(HeaderName::from_static("x-badge"))],
            max_held_bytes: 4096,
            error_bodies: ErrorBodies::default(),
            policies: Vec::new(),
        };
        let ledger = Arc::new(Ledger::default());
        Gate { snapshot: Snapshot::new(Arc::new(plan), world, ledger.clone()), ledger }
    }

    fn judge(&self, request: http::request::Builder) -> Result<Cleared, Refused> {
        self.judge_from("192.0.2.1:5", request)
    }

    fn judge_from(&self, peer: &str, request: http::request::Builder) -> Result<Cleared, Refused> {
        let conn = Conn {
            peer: peer.parse().unwrap(),
            local: "127.0.0.1:1".parse().unwrap(),
            transport: Transport::Memory,
            certificate: None,
        };
        let parts = request.body(()).unwrap().into_parts().0;
        at_once(judge(parts, conn.clone(), Recording::open(self.snapshot.clone(), &conn)))
    }

    /// The answer to a refusal, and its code.
    fn refused(&self, request: http::request::Builder) -> (http::Response<Bytes>, Code) {
        let Err(refused) = self.judge(request) else { panic!("cleared") };
        let code = refused.denial.code();
        (refused.answer(), code)
    }
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path).header("host", "a.example").header("x-badge", "0")
}

/// A body that announces nothing.
struct Pieces(VecDeque<&'static str>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn passed(cleared: Cleared, body: Pieces) -> Result<crate::permit::Permit<Pieces>, Refused> {
    at_once(cleared.inspect(body, |body| body))
}

fn body(pieces: &[&'static str]) -> Pieces {
    Pieces(pieces.iter().copied().collect())
}

#[test]
fn a_good_request_gets_a_permit_and_one_record() {
    let gate = Gate::new(controls());
    let permit = passed(gate.judge(get("/data?x=1")).ok().unwrap(), body(&[])).ok().unwrap();
    assert_eq!(*permit.principal().identity(), crate::principal::Identity::Consumer(ConsumerId(0)));
    let shaped = permit.shape();
    assert_eq!(shaped.path_and_query.as_str(), "/data?x=1");
    assert!(shaped.headers.get("x-badge").is_none(), "the credential stays here");
    assert_eq!(shaped.headers["x-consumer-name"], "alice");
    assert_eq!(shaped.headers["x-consumer-roles"], "user");
    assert_eq!(shaped.headers["x-forwarded-for"], "192.0.2.1");
    assert_eq!(shaped.headers["x-forwarded-host"], "a.example");
    assert_eq!(shaped.headers["x-request-id"], "ab".repeat(16).as_str());
    assert!(gate.ledger.0.lock().unwrap().is_empty(), "still open");
    shaped.recording.close(Outcome::Served);
    assert_eq!(gate.ledger.0.lock().unwrap().len(), 1);
}

#[test]
fn a_record_shows_no_query() {
    let gate = Gate::new(controls());
    let refused = gate.judge(Request::get("/data?key=hunter2").header("host", "a")).err().unwrap();
    let shown = format!("{:?}", refused.recording.record());
    assert!(shown.contains("/data") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_dropped_recording_is_written_once_as_aborted() {
    let gate = Gate::new(controls());
    drop(gate.judge(get("/data")));
    let ledger = gate.ledger.0.lock().unwrap();
    assert_eq!(ledger.as_slice(), [(Outcome::Aborted, vec![], None)]);
}

#[test]
fn a_refusal_says_its_status_and_nothing_else() {
    let gate = Gate::new(controls());
    let (response, code) = gate.refused(Request::get("/data").header("host", "a"));
    assert_eq!((response.status().as_u16(), code), (401, Code::CredentialMissing));
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let challenges: Vec<_> = response.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Badge"], "a challenge is said once, however many methods have it");
    let id = "ab".repeat(16);
    let expected = format!(
        "{{\"type\":\"about:blank\",\"title\":\"Unauthorized\",\"status\":401,\"request_id\":\"{id}\"}}\n"
    );
    assert_eq!(response.body().as_ref(), expected.as_bytes());
    assert_eq!(gate.ledger.0.lock().unwrap().len(), 1);
}

#[test]
fn a_bad_credential_ends_the_search() {
    let gate = Gate::new(controls());
    let both = Request::get("/data").header("host", "a").header("x-badge", "bad").header("x-other", "0");
    assert_eq!(gate.refused(both).1, Code::CredentialUnknown);
    let twice = get("/data").header("x-badge", "0");
    assert_eq!(gate.refused(twice).1, Code::CredentialRepeated);
    let second = Request::get("/data").header("host", "a").header("x-other", "0");
    assert!(gate.judge(second).is_ok(), "an absent one does not");
}

#[test]
fn a_blocked_address_learns_no_paths() {
    let gate = Gate::new(controls());
    for request in [get("/data"), get("/nothing"), get("/data").method("DELETE"), get("/only/x")] {
        let Err(refused) = gate.judge_from("192.0.2.66:5", request) else { panic!("cleared") };
        assert_eq!(refused.denial.code(), Code::SourceBlocked);
    }
    assert_eq!(gate.refused(get("/nothing")).1, Code::RouteNotFound);
}

#[test]
fn a_block_ends_what_runs() {
    let gate = Gate::new(controls());
    let cleared = gate.judge(get("/data")).unwrap_or_else(|refused| panic!("{:?}", refused.denial));
    let credential = CredentialName::Digest([0; 32]);
    let evidence = cleared.case.principal().evidence().next().unwrap().clone();
    let evidence = evidence.resting_on(Ground { credential, rules: 0, until: None });
    let principal = Principal::of(evidence);
    let admission = |peer: &str| {
        let conn = Conn { peer: peer.parse().unwrap(), ..cleared.case.conn.clone() };
        let head = Head::admit(get("/data").body(()).unwrap().into_parts().0, &conn, &gate.snapshot.head);
        Admission::new(head.unwrap().without_fields(), conn, principal.clone())
    };
    let judged = |peer: &str| at_once(admission(peer).judge(&gate.snapshot)).map_err(|denial| denial.code());
    assert_eq!(judged("192.0.2.66:5"), Err(Code::SourceBlocked));
    assert_eq!(judged("192.0.2.67:5"), Err(Code::SourceBlocked), "alice is blocked here");
    assert_eq!(judged("192.0.2.1:5"), Ok(()));
}

#[test]
fn routes_are_found_by_host_path_and_method() {
    let gate = Gate::new(controls());
    for (path, code) in [
        ("/", Code::RouteNotFound),
        ("/data/", Code::RouteNotFound),
        ("/DATA", Code::RouteNotFound),
        ("/only/x", Code::RouteNotFound),
    ] {
        assert_eq!(gate.refused(get(path)).1, code, "{path}");
    }
    let (response, code) = gate.refused(Request::delete("/data").header("host", "a"));
    assert_eq!((response.status().as_u16(), code), (405, Code::MethodNotAllowed));
    assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
    let inner = Request::get("/only/a/b").header("host", "INNER.example:80").header("x-badge", "0");
    let cleared = gate.judge(inner).ok().unwrap();
    let route = gate.snapshot.routes.route(cleared.route).unwrap();
    assert_eq!(route.parameter("/only/a/b", "rest"), Some("a/b"));
    let cleared = gate.judge(get("/data/7%20x")).ok().unwrap();
    let route = gate.snapshot.routes.route(cleared.route).unwrap();
    assert_eq!(route.parameter("/data/7%20x", "id"), Some("7%20x"));
    assert_eq!(route.parameter("/data/7", "other"), None);
}

#[test]
fn each_mode_does_what_it_says() {
    for (mode, cleared, observed) in [
        (Mode::Enforce, false, vec![]),
        (Mode::Observe, true, vec![Code::AddressRefused, Code::RoleMissing]),
        (Mode::Off, true, vec![]),
    ] {
        let mut controls = controls();
        let screen = Says { id: "screen.says", denies: Some(Code::AddressRefused) };
        let authorize = Says { id: "authz.says", denies: Some(Code::RoleMissing) };
        controls.screen = vec![Guarded { mode, check: guard(mode, screen).check }];
        controls.authorize = vec![Guarded { mode, check: guard(mode, authorize).check }];
        let gate = Gate::new(controls);
        match gate.judge(get("/data")) {
            Ok(_) => assert!(cleared, "{mode:?}"),
            Err(refused) => {
                assert!(!cleared, "{mode:?}");
                assert_eq!(refused.denial.check(), Some(CheckId::new("screen.says")));
                let _ = refused.answer();
            }
        }
        assert_eq!(gate.ledger.0.lock().unwrap()[0].1, observed, "{mode:?}");
    }
}

#[test]
fn observed_authentication_lets_a_nobody_through_and_says_so() {
    let mut controls = controls();
    controls.authentication =
        Authentication::AnyOf { mode: Mode::Observe, methods: vec![Arc::new(Badge("x-badge"))] };
    controls.authorize = vec![Guarded { mode: Mode::Enforce, check: Arc::new(NeedsRole) }];
    let gate = Gate::new(controls);
    let (_, code) = gate.refused(Request::get("/data").header("host", "a"));
    assert_eq!(code, Code::RoleMissing, "a nobody has no role");
    assert_eq!(gate.ledger.0.lock().unwrap()[0].1, vec![Code::CredentialMissing]);
}

struct NeedsRole;

impl Check for NeedsRole {
    fn id(&self) -> CheckId {
        CheckId::new("authz.needs_role")
    }
    fn describe(&self) -> String {
        "any role".into()
    }
}

impl Authorize for NeedsRole {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        let roles = principal.roles(&facts.plan.consumers);
        Step::Ready(if roles.is_empty() { Err(Denial::new(Code::RoleMissing, "none")) } else { Ok(()) })
    }
}

#[test]
fn an_announced_body_beyond_its_cap_is_refused_before_it_is_read() {
    let gate = Gate::new(controls());
    let cleared = gate.judge(get("/data").header("content-length", "11")).ok().unwrap();
    let Err(refused) = passed(cleared, body(&["01234567890"])) else { panic!("permitted") };
    assert_eq!((refused.denial.code(), refused.denial.status().as_u16()), (Code::BodyTooLarge, 413));
    let cleared = gate.judge(get("/data").header("content-length", "10")).ok().unwrap();
    assert!(passed(cleared, body(&["0123456789"])).is_ok());
}

#[test]
fn a_body_beyond_its_cap_is_cut() {
    let gate = Gate::new(controls());
    for (pieces, fits) in
        [(&["01234", "56789"][..], true), (&["01234", "56789", "x"], false), (&["0123456789x"], false)]
    {
        let permit = gate.judge(get("/data").header("transfer-encoding", "chunked")).ok().unwrap();
        let mut capped = passed(permit, body(pieces)).ok().unwrap().shape().body;
        let mut error = None;
        let mut bytes = 0;
        while let Poll::Ready(Some(frame)) =
            Pin::new(&mut capped).poll_frame(&mut Context::from_waker(Waker::noop()))
        {
            match frame {
                Ok(frame) => bytes += frame.into_data().unwrap().len(),
                Err(refused) => error = Some(refused),
            }
        }
        assert_eq!(error.is_none(), fits, "{pieces:?}");
        assert!(bytes <= 10);
        assert!(capped.is_end_stream());
    }
}

#[test]
fn two_routes_for_one_request_are_a_conflict() {
    let route = |path: &str, methods: &str| Route {
        reserved: crate::head::Reserved::NONE,
        path: path.into(),
        hosts: vec![],
        methods: MethodSet::named(methods).unwrap(),
        controls: Arc::new(controls()),
        target: TargetId(0),
        upgrades: vec![],
        conditions: Conditions::default(),
        changes: None,
    };
    assert!(RouteTable::build(vec![route("/a", "GET"), route("/a", "POST"), route("/{x}", "GET")]).is_ok());
    for bad in [
        vec![route("/a", "GET"), route("/a", "GET")],
        vec![route("/a/{x}", "GET"), route("/a/{y}", "POST")],
        vec![route("/a/{x", "GET")],
    ] {
        assert!(RouteTable::build(bad).is_err());
    }
}

#[test]
fn nothing_of_a_secret_is_in_a_debug_form() {
    assert!(!format!("{:?}", KeyDigest([7; 32])).contains('7'));
}

fn all_badges() -> Controls {
    let badges: Vec<Arc<dyn Authenticate>> = vec![Arc::new(Badge("x-badge")), Arc::new(Badge("x-other"))];
    Controls { authentication: Authentication::AllOf { mode: Mode::Enforce, methods: badges }, ..controls() }
}

#[test]
fn all_of_several_credentials_are_needed() {
    let gate = Gate::new(all_badges());
    assert_eq!(gate.refused(get("/data")).1, Code::CredentialMissing);
    assert_eq!(gate.refused(get("/data").header("x-other", "stolen")).1, Code::CredentialUnknown);
    assert!(gate.judge(get("/data").header("x-other", "0")).is_ok());
}

#[test]
fn credentials_of_two_consumers_are_refused() {
    let gate = Gate::new(all_badges());
    assert_eq!(gate.refused(get("/data").header("x-other", "1")).1, Code::CredentialsDisagree);
}
