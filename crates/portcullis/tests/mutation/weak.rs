//! Checks that do not do what they say.

use bytes::Bytes;
use portcullis_core::check::Charge;
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
    /// Its refusal is only recorded.
    Observes,
    /// One of several is enough.
    OneIsEnough,
}

/// A weakness in a place of a route.
pub(crate) struct Mutant {
    route: RouteId,
    place: Place,
    weakness: Weakness,
    check: String,
    /// Somebody to credit.
    anybody: ConsumerId,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}, {} {:?}", self.route.0, self.check, self.weakness)
    }
}

/// Every mutant of a plan.
pub(crate) fn mutants(plan: &Plan) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let anybody = ConsumerId(0);
    for (index, route) in plan.routes.iter().enumerate() {
        let controls = &route.controls;
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
            add(Place::Screen(at), guarded.check.id().as_str(), &[Skipped, Allows, Observes]);
        }
        let methods = controls.authentication.methods();
        for (at, method) in methods.iter().enumerate() {
            add(Place::Method(at), method.id().as_str(), &[Allows, FailsOpen, CreditsAnother]);
            // Where no other method is asked after it, a credential that counts as none is refused as none.
            let any = matches!(controls.authentication, Authentication::AnyOf { .. });
            if any && at + 1 < methods.len() {
                add(Place::Method(at), method.id().as_str(), &[FallsThrough]);
            }
        }
        if !methods.is_empty() {
            add(Place::Statement, "authn", &[Skipped, Observes]);
            if let Authentication::AllOf { .. } = controls.authentication {
                add(Place::Statement, "authn", &[OneIsEnough]);
            }
            add(Place::KeptCredentials, "kept credentials", &[Allows]);
        }
        for (at, guarded) in controls.authorize.iter().enumerate() {
            add(Place::Authorize(at), guarded.check.id().as_str(), &[Skipped, Allows, Observes]);
        }
        for (at, guarded) in controls.quotas.iter().enumerate() {
            add(Place::Quota(at), guarded.check.id().as_str(), &[Skipped, Allows, FailsOpen, Observes]);
        }
        for (at, guarded) in controls.inspection.requests.iter().enumerate() {
            add(Place::Inspect(at), guarded.check.id().as_str(), &[Skipped, Allows, Observes]);
        }
        for (at, shape) in controls.shape.iter().enumerate() {
            add(Place::Shape(at), shape.id().as_str(), &[Skipped]);
        }
        add(Place::BodySize, "inspect.body_size", &[Skipped]);
    }
    mutants
}

impl Mutant {
    /// The controls of a route, weak if they are this mutant's.
    pub(crate) fn applied(&self, route: RouteId, controls: &Controls) -> Controls {
        let mut weak = controls.clone();
        // Routes that share controls share the weakness; the first one of them is asked.
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
            (Place::Shape(at), _) => drop(weak.shape.remove(at)),
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

impl Quota for Weak<dyn Quota> {
    fn charge(&self) -> Charge {
        self.0.charge()
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
