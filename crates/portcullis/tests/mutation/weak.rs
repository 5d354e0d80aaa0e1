//! Checks that do not do what they say.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use portcullis_core::check::{AnswerFields, Charge};
use portcullis_core::*;
use std::fmt;
use std::sync::Arc;

/// A place in a route's controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Screen(usize),
    Method(usize),
    Statement,
    Authorize(usize),
    Quota(usize),
    Inspect(usize),
    Answer(usize),
    InFlight(usize),
    CrossOrigin,
    Shape(usize),
    BodySize,
    KeptCredentials,
}

/// How a check is weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// It does not run.
    Skipped,
    /// It answers that it allows, whatever comes.
    Allows,
    /// It takes what it would refuse for what it lets in.
    FailsOpen,
    /// A bad credential of it counts as none.
    FallsThrough,
    /// It credits another consumer than the one whose credential it is.
    CreditsAnother,
    /// It credits another method than the one that found it.
    CreditsMethod(MethodId),
    /// Its refusal is only recorded.
    Observes,
    /// One of several is enough.
    OneIsEnough,
}

/// A weakness in a place of a route.
pub(crate) struct Mutant {
    pub(crate) route: RouteId,
    place: Place,
    weakness: Weakness,
    pub(crate) check: String,
    /// Somebody to credit.
    anybody: ConsumerId,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}, {} {:?}", self.route.0, self.check, self.weakness)
    }
}

/// The numbers of a method, as it answers the schemes that mean its credentials.
fn ids(method: &dyn Authenticate) -> Vec<MethodId> {
    let keys = method.credentials().into_iter().map(SchemeKind::Key);
    let kinds = keys.chain([SchemeKind::Http("bearer"), SchemeKind::Http("basic"), SchemeKind::MutualTls]);
    kinds.flat_map(|kind| method.answers(&SecurityScheme { name: "any", kind })).map(|(id, _)| id).collect()
}

/// These weaknesses of a check that enforces. One that only observes refuses nobody, so nobody can see that it is weak.
fn of(mode: Mode, weaknesses: &'static [Weakness]) -> &'static [Weakness] {
    if mode == Mode::Enforce { weaknesses } else { &[] }
}

/// Every mutant of a plan.
pub(crate) fn mutants(plan: &Plan) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let anybody = ConsumerId(0);
    for (index, route) in plan.routes.iter().enumerate() {
        let controls = &route.controls;
        // Routes that share controls share the weakness, so the first one of them stands for all.
        if plan.routes.iter().take(index).any(|earlier| Arc::ptr_eq(&earlier.controls, controls)) {
            continue;
        }
        let mut add = |place, check: &str, weaknesses: &[Weakness]| {
            mutants.extend(weaknesses.iter().map(|weakness| Mutant {
                route: RouteId(index as u32),
                place,
                weakness: *weakness,
                check: check.to_owned(),
                anybody,
            }));
        };
        use Weakness::*;
        for (at, guarded) in controls.screen.iter().enumerate() {
            add(
                Place::Screen(at),
                guarded.check.id().as_str(),
                of(guarded.mode, &[Skipped, Allows, Observes]),
            );
        }
        let enforced = match controls.authentication {
            Authentication::AnyOf { mode, .. } | Authentication::AllOf { mode, .. } => mode == Mode::Enforce,
            Authentication::Public { .. } => false,
        };
        let methods = if enforced { controls.authentication.methods() } else { &[] };
        for (at, method) in methods.iter().enumerate() {
            add(Place::Method(at), method.id().as_str(), &[Allows, FailsOpen, CreditsAnother]);
            // Where no other method is asked after it, a credential that counts as none is refused as none.
            let any = matches!(controls.authentication, Authentication::AnyOf { .. });
            if any && at + 1 < methods.len() {
                add(Place::Method(at), method.id().as_str(), &[FallsThrough]);
            }
        }
        // Which method it was matters to a document that names methods for each operation.
        let asked = controls
            .inspection
            .requests
            .iter()
            .any(|guarded| guarded.check.id().as_str() == "inspect.openapi");
        if asked && methods.len() > 1 {
            for (at, method) in methods.iter().enumerate() {
                let own = ids(method.as_ref());
                let others = methods.iter().flat_map(|other| ids(other.as_ref()));
                for another in others.filter(|id| !own.contains(id)) {
                    add(Place::Method(at), method.id().as_str(), &[CreditsMethod(another)]);
                }
            }
        }
        if !methods.is_empty() {
            add(Place::Statement, "authn", &[Skipped, Observes]);
            if let Authentication::AllOf { .. } = controls.authentication {
                add(Place::Statement, "authn", &[OneIsEnough]);
            }
            if methods.iter().any(|method| !method.credentials().is_empty()) {
                add(Place::KeptCredentials, "kept credentials", &[Allows]);
            }
        }
        for (at, guarded) in controls.authorize.iter().enumerate() {
            add(
                Place::Authorize(at),
                guarded.check.id().as_str(),
                of(guarded.mode, &[Skipped, Allows, Observes]),
            );
        }
        for (at, guarded) in controls.quotas.iter().enumerate() {
            let weaknesses = of(guarded.mode, &[Skipped, Allows, FailsOpen, Observes]);
            add(Place::Quota(at), guarded.check.id().as_str(), weaknesses);
        }
        for (at, guarded) in controls.inspection.requests.iter().enumerate() {
            add(
                Place::Inspect(at),
                guarded.check.id().as_str(),
                of(guarded.mode, &[Skipped, Allows, Observes]),
            );
        }
        for (at, guarded) in controls.inspection.answers.iter().enumerate() {
            add(
                Place::Answer(at),
                guarded.check.id().as_str(),
                of(guarded.mode, &[Skipped, Allows, Observes]),
            );
        }
        for (at, guarded) in controls.in_flight.iter().enumerate() {
            add(
                Place::InFlight(at),
                guarded.check.id().as_str(),
                of(guarded.mode, &[Skipped, Allows, Observes]),
            );
        }
        if let Some(check) = &controls.cross_origin {
            add(Place::CrossOrigin, check.id().as_str(), &[Skipped, Allows]);
        }
        for (at, shape) in controls.shape.iter().enumerate() {
            add(Place::Shape(at), shape.id().as_str(), &[Skipped]);
            // Who the gateway itself is depends on nobody.
            if !shape.identity_fields().is_empty() {
                add(Place::Shape(at), shape.id().as_str(), &[CreditsAnother]);
            }
        }
        add(Place::BodySize, "inspect.body_size", &[Skipped]);
    }
    mutants
}

impl Mutant {
    /// The controls of a route, weak if they are this mutant's.
    pub(crate) fn applied(&self, route: RouteId, controls: &Controls) -> Controls {
        let mut weak = controls.clone();
        if route != self.route {
            return weak;
        }
        match (self.place, self.weakness) {
            (Place::Screen(at), Weakness::Skipped) => drop(weak.screen.remove(at)),
            (Place::Screen(at), Weakness::Observes) => weak.screen[at].mode = Mode::Observe,
            (Place::Screen(at), _) => {
                weak.screen[at].check = Arc::new(Weak(Arc::clone(&weak.screen[at].check)))
            }
            (Place::Method(at), weakness) => {
                if let Authentication::AnyOf { methods, .. } | Authentication::AllOf { methods, .. } =
                    &mut weak.authentication
                {
                    methods[at] = Arc::new(WeakMethod {
                        inner: Arc::clone(&methods[at]),
                        weakness,
                        anybody: self.anybody,
                    });
                }
            }
            (Place::Statement, weakness) => {
                weak.authentication = match (weak.authentication, weakness) {
                    (Authentication::AnyOf { methods, .. }, Weakness::Observes) => {
                        Authentication::AnyOf { mode: Mode::Observe, methods }
                    }
                    (Authentication::AllOf { methods, .. }, Weakness::Observes) => {
                        Authentication::AllOf { mode: Mode::Observe, methods }
                    }
                    (Authentication::AllOf { mode, methods }, Weakness::OneIsEnough) => {
                        Authentication::AnyOf { mode, methods }
                    }
                    _ => Authentication::Public { reason: "a mutant".to_owned() },
                };
            }
            (Place::Authorize(at), Weakness::Skipped) => drop(weak.authorize.remove(at)),
            (Place::Authorize(at), Weakness::Observes) => weak.authorize[at].mode = Mode::Observe,
            (Place::Authorize(at), _) => {
                weak.authorize[at].check = Arc::new(Weak(Arc::clone(&weak.authorize[at].check)));
            }
            (Place::Quota(at), Weakness::Skipped) => drop(weak.quotas.remove(at)),
            (Place::Quota(at), Weakness::Observes) => weak.quotas[at].mode = Mode::Observe,
            (Place::Quota(at), Weakness::FailsOpen) => {
                weak.quotas[at].check = Arc::new(OpenQuota(Arc::clone(&weak.quotas[at].check)));
            }
            (Place::Quota(at), _) => {
                weak.quotas[at].check = Arc::new(Weak(Arc::clone(&weak.quotas[at].check)))
            }
            (Place::Inspect(at), Weakness::Skipped) => drop(weak.inspection.requests.remove(at)),
            (Place::Inspect(at), Weakness::Observes) => weak.inspection.requests[at].mode = Mode::Observe,
            (Place::Inspect(at), _) => {
                let inner = Arc::clone(&weak.inspection.requests[at].check);
                weak.inspection.requests[at].check = Arc::new(Weak(inner));
            }
            (Place::Answer(at), Weakness::Skipped) => drop(weak.inspection.answers.remove(at)),
            (Place::Answer(at), Weakness::Observes) => weak.inspection.answers[at].mode = Mode::Observe,
            (Place::Answer(at), _) => {
                let inner = Arc::clone(&weak.inspection.answers[at].check);
                weak.inspection.answers[at].check = Arc::new(Weak(inner));
            }
            (Place::InFlight(at), Weakness::Skipped) => drop(weak.in_flight.remove(at)),
            (Place::InFlight(at), Weakness::Observes) => weak.in_flight[at].mode = Mode::Observe,
            (Place::InFlight(at), _) => {
                let inner = Arc::clone(&weak.in_flight[at].check);
                weak.in_flight[at].check = Arc::new(Weak(inner));
            }
            (Place::CrossOrigin, Weakness::Skipped) => weak.cross_origin = None,
            (Place::CrossOrigin, _) => {
                let inner = weak.cross_origin.take().unwrap();
                weak.cross_origin = Some(Arc::new(Weak(inner)));
            }
            (Place::Shape(at), Weakness::Skipped) => drop(weak.shape.remove(at)),
            (Place::Shape(at), _) => {
                let inner = Arc::clone(&weak.shape[at]);
                weak.shape[at] = Arc::new(Stranger { inner, anybody: self.anybody });
            }
            (Place::BodySize, _) => weak.max_body_bytes = u64::MAX,
            (Place::KeptCredentials, _) => {
                let locations = weak.authentication.methods().iter().flat_map(|method| method.credentials());
                weak.kept_credentials =
                    locations.map(|location| KeptCredential { location, by: None }).collect();
            }
        }
        weak
    }
}

/// A check that allows everything.
struct Weak<C: ?Sized>(Arc<C>);

impl<C: Check + ?Sized> Check for Weak<C> {
    fn id(&self) -> CheckId {
        self.0.id()
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

impl Screen for Weak<dyn Screen> {
    fn screen<'a>(&'a self, _: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Result<(), Denial>> {
        Step::Ready(Ok(()))
    }
}

impl Authorize for Weak<dyn Authorize> {
    fn authorize<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        Step::Ready(Ok(()))
    }
}

impl Inspect for Weak<dyn Inspect> {
    fn inspect<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        Step::Ready(Ok(Inspected::AsItIs))
    }
}

impl InspectAnswer for Weak<dyn InspectAnswer> {
    fn inspect<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: StatusCode,
        _: &'a HeaderMap,
        _: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        Step::Ready(Ok(Inspected::AsItIs))
    }
}

impl InFlight for Weak<dyn InFlight> {
    fn enter<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Option<Held>, Denial>> {
        Step::Ready(Ok(None))
    }
}

/// Every page may read, whatever its origin.
impl CrossOrigin for Weak<dyn CrossOrigin> {
    fn fields(&self, head: &Head) -> AnswerFields {
        let mut fields = self.0.fields(head);
        if let Some(origin) = head.headers().get(ORIGIN) {
            fields.retain(|(name, _)| *name != ACCESS_CONTROL_ALLOW_ORIGIN);
            fields.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
        }
        fields
    }

    fn preflight(&self, head: &Head, wanted: Option<&Method>) -> AnswerFields {
        self.0.preflight(head, wanted)
    }
}

/// Says of a request that it is somebody else's.
struct Stranger {
    inner: Arc<dyn Shape>,
    anybody: ConsumerId,
}

impl Check for Stranger {
    fn id(&self) -> CheckId {
        self.inner.id()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

impl Shape for Stranger {
    fn identity_fields(&self) -> Vec<HeaderName> {
        self.inner.identity_fields()
    }

    fn shape<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Vec<(HeaderName, HeaderValue)>, Denial>> {
        if *principal.identity() == Identity::Anonymous {
            return self.inner.shape(facts, principal, effects);
        }
        let stranger = match principal.identity() {
            Identity::Consumer(id) => {
                Evidence::consumer(ConsumerId(u32::from(id.0 == 0)), MethodId(0), self.id())
            }
            Identity::Stored(_) | Identity::Subject(_) | Identity::Anonymous => {
                let subject = Arc::new(Subject::new("https://stranger.invalid", "a stranger", Claim::Null));
                Evidence::subject(subject, MethodId(0), self.id())
            }
        };
        let _ = self.anybody;
        let stranger = Principal::of(stranger);
        Step::Later(Box::pin(async move { self.inner.shape(facts, &stranger, effects).resolve().await }))
    }
}

impl Quota for Weak<dyn Quota> {
    fn charge(&self) -> Charge {
        self.0.charge()
    }

    fn is_logged(&self, principal: &Principal) -> bool {
        self.0.is_logged(principal)
    }

    fn charged<'a>(&'a self, _: &'a Facts<'a>, _: &'a Principal) -> Result<Option<Charged<'a>>, Denial> {
        Ok(None)
    }
}

/// A limit that finds its counter and forgets to charge it.
struct OpenQuota(Arc<dyn Quota>);

impl Check for OpenQuota {
    fn id(&self) -> CheckId {
        self.0.id()
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

impl Quota for OpenQuota {
    fn charge(&self) -> Charge {
        self.0.charge()
    }

    fn is_logged(&self, principal: &Principal) -> bool {
        self.0.is_logged(principal)
    }

    fn charged<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
    ) -> Result<Option<Charged<'a>>, Denial> {
        self.0.charged(facts, principal).map(|_| None)
    }
}

/// A method that lets in whom it should not.
struct WeakMethod {
    inner: Arc<dyn Authenticate>,
    weakness: Weakness,
    anybody: ConsumerId,
}

impl Check for WeakMethod {
    fn id(&self) -> CheckId {
        self.inner.id()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

impl Authenticate for WeakMethod {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        let anybody = || Authn::Claim(Evidence::consumer(self.anybody, MethodId(0), self.inner.id()));
        if self.weakness == Weakness::Allows {
            return Step::Ready(anybody());
        }
        self.inner.authenticate(facts, effects).map(move |authn| match (self.weakness, authn) {
            (Weakness::FailsOpen, Authn::Deny(_)) => anybody(),
            (Weakness::FallsThrough, Authn::Deny(_)) => Authn::NotMine,
            (Weakness::CreditsMethod(another), Authn::Claim(mut evidence)) => {
                evidence.method = another;
                Authn::Claim(evidence)
            }
            (Weakness::CreditsMethod(another), Authn::ClaimAndTell(mut evidence, told)) => {
                evidence.method = another;
                Authn::ClaimAndTell(evidence, told)
            }
            (Weakness::CreditsAnother, Authn::Claim(evidence) | Authn::ClaimAndTell(evidence, _)) => {
                let another = match evidence.identity() {
                    Identity::Consumer(id) => ConsumerId(u32::from(id.0 == 0)),
                    Identity::Stored(_) | Identity::Subject(_) | Identity::Anonymous => self.anybody,
                };
                Authn::Claim(Evidence::consumer(another, evidence.method, evidence.check))
            }
            (_, authn) => authn,
        })
    }

    fn challenges(&self, refused: Option<&Denial>) -> Vec<String> {
        self.inner.challenges(refused)
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        self.inner.credentials()
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        self.inner.answers(scheme)
    }
}
