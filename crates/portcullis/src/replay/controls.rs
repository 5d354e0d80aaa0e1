//! A plan's controls where nothing but a log is there.
//!
//! A control that needs no more than a line tells is asked as it is. Any other one says that the decision is unknown, and lets the
//! request on: if it passes, the limits behind it count it. Who sent a request, the line says in place of a credential. What only
//! observes decides nothing, so it is left out.

use super::counts::Counts;
use bytes::Bytes;
use portcullis_core::check::{Charge, InFlight};
use portcullis_core::{
    Answers, Authenticate, Authentication, Authn, Authorize, Charged, Check, CheckId, Claim, Code, Consumers,
    Controls, CredentialLocation, Denial, Effects, Evidence, Facts, Guarded, Held, Inspect, Inspected,
    Inspection, MethodId, Mode, Principal, Quota, Screen, SecurityScheme, Step, Subject, Wants,
};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// These controls for a log.
pub(super) fn told(controls: &Controls, log: &Arc<Counts>) -> Controls {
    let untold = |why| Untold { why, log: Arc::clone(log) };
    let mut screen = enforced(&controls.screen);
    for guarded in &mut screen {
        if guarded.check.id().as_str() != "screen.addresses" {
            guarded.check = Arc::new(untold("a check reads what the log does not have"));
        }
    }
    let mut authorize = enforced(&controls.authorize);
    for guarded in &mut authorize {
        guarded.check = Arc::new(Asked { check: Arc::clone(&guarded.check), log: Arc::clone(log) });
    }
    let mut in_flight = enforced(&controls.in_flight);
    for guarded in &mut in_flight {
        guarded.check = Arc::new(untold("the log does not tell how many requests went on at once"));
    }
    let mut quotas = enforced(&controls.quotas);
    for guarded in &mut quotas {
        guarded.check = Arc::new(Followed { check: Arc::clone(&guarded.check), log: Arc::clone(log) });
    }
    let mut requests = enforced(&controls.inspection.requests);
    for guarded in &mut requests {
        guarded.check = Arc::new(untold("a check looks into headers, query or body"));
    }
    if controls.inspection.answers.iter().any(|guarded| guarded.mode == Mode::Enforce) {
        let check = Arc::new(untold("a check looks into the answer"));
        requests.push(Guarded { mode: Mode::Enforce, check });
    }
    Controls {
        screen,
        cross_origin: None,
        authentication: claims(&controls.authentication, log),
        authorize,
        in_flight,
        quotas,
        shape: Vec::new(),
        kept_credentials: Vec::new(),
        max_body_bytes: controls.max_body_bytes,
        inspection: Inspection { requests, ..Inspection::default() },
        off: Vec::new(),
    }
}

fn enforced<C: ?Sized>(checks: &[Guarded<C>]) -> Vec<Guarded<C>> {
    checks.iter().filter(|guarded| guarded.mode == Mode::Enforce).cloned().collect()
}

/// What asks the line in place of the route's methods.
fn claims(authentication: &Authentication, log: &Arc<Counts>) -> Authentication {
    let (mode, methods, all) = match authentication {
        Authentication::AnyOf { mode, methods } => (*mode, methods, false),
        Authentication::AllOf { mode, methods } => (*mode, methods, true),
        Authentication::Public { .. } => return authentication.clone(),
    };
    if mode == Mode::Off {
        return authentication.clone();
    }
    let methods = methods.iter().map(|method| (method.id(), method.describe())).collect();
    let log = Arc::clone(log);
    let claims = Claims { methods, several: all, observed: mode == Mode::Observe, log };
    Authentication::AnyOf { mode: Mode::Enforce, methods: vec![Arc::new(claims)] }
}

/// Stands for a check of which the log does not tell what it would say.
struct Untold {
    why: &'static str,
    log: Arc<Counts>,
}

impl Check for Untold {
    fn id(&self) -> CheckId {
        CheckId::new("replay.untold")
    }

    fn describe(&self) -> String {
        self.why.to_owned()
    }
}

impl Screen for Untold {
    fn screen<'a>(&'a self, _: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Result<(), Denial>> {
        self.log.is_unknown(self.why);
        Step::Ready(Ok(()))
    }
}

impl InFlight for Untold {
    fn enter<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Option<Held>, Denial>> {
        self.log.is_unknown(self.why);
        Step::Ready(Ok(None))
    }
}

impl Inspect for Untold {
    fn inspect_head<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        self.log.is_unknown(self.why);
        Step::Ready(Ok(Wants::Nothing))
    }

    fn inspect<'a>(
        &'a self,
        _: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        self.log.is_unknown(self.why);
        Step::Ready(Ok(Inspected::AsItIs))
    }
}

/// Who sent a request, by its line.
struct Claims {
    /// The methods that the route asks, with what each says of itself.
    methods: Vec<(CheckId, String)>,
    several: bool,
    observed: bool,
    log: Arc<Counts>,
}

impl Claims {
    fn evidence(&self, consumers: &Consumers) -> Result<Evidence, &'static str> {
        let sender = self.log.sender();
        let Some(by) = sender.by.as_deref() else {
            return Err("the log does not tell whether there was a good credential");
        };
        let Some((method, describes)) = self.methods.iter().find(|(method, _)| method.as_str() == by) else {
            return Err("the route asks for another credential than the log shows");
        };
        if self.several && self.methods.len() > 1 {
            return Err("the route asks for several credentials");
        }
        if self.observed {
            return Err("the log does not tell whether there was a good credential");
        }
        if let Some(name) = sender.consumer.as_deref() {
            let id = consumers.named(name).ok_or("no consumer has this name any more")?;
            return Ok(Evidence::consumer(id, MethodId(0), *method));
        }
        match (sender.issuer.as_deref(), sender.subject.as_deref()) {
            (Some(issuer), Some(_)) if !describes.contains(issuer) => {
                Err("the route may not trust the token's issuer")
            }
            (Some(issuer), Some(subject)) => {
                let subject = Arc::new(Subject::new(issuer, subject, Claim::Null));
                Ok(Evidence::subject(subject, MethodId(0), *method))
            }
            _ => Err("the log does not tell who sent it"),
        }
    }
}

impl Check for Claims {
    fn id(&self) -> CheckId {
        CheckId::new("replay.claims")
    }

    fn describe(&self) -> String {
        "what the log says".to_owned()
    }
}

impl Authenticate for Claims {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        Step::Ready(match self.evidence(&facts.plan.consumers) {
            Ok(evidence) => Authn::Claim(evidence),
            Err(why) => {
                self.log.is_unknown(why);
                self.log.is_a_strangers(facts.head.client());
                // Nobody knows what is asked of whom, so nothing more is.
                Authn::Deny(Denial::new(Code::Fault, why))
            }
        })
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        Vec::new()
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        Vec::new()
    }

    fn answers(&self, _: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        Vec::new()
    }
}

/// Asks a check that knows consumers, and may ask somebody who is not here.
struct Asked {
    check: Arc<dyn Authorize>,
    log: Arc<Counts>,
}

impl Check for Asked {
    fn id(&self) -> CheckId {
        self.check.id()
    }

    fn describe(&self) -> String {
        self.check.describe()
    }
}

impl Authorize for Asked {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        let untold = |why| {
            self.log.is_unknown(why);
            Step::Ready(Ok(()))
        };
        if principal.as_subject().is_some() {
            return untold("the log does not have the token's roles, scopes and claims");
        }
        let said = match self.check.authorize(facts, principal, effects) {
            Step::Ready(said) => said,
            Step::Later(future) => match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(said) => said,
                Poll::Pending => return untold("a check waits for something that is not here"),
            },
        };
        match said {
            Err(denial) if denial.code() == Code::Fault => untold("a check asks somebody who is not here"),
            said => Step::Ready(said),
        }
    }
}

/// A limit that is followed from its worst case.
struct Followed {
    check: Arc<dyn Quota>,
    log: Arc<Counts>,
}

impl Check for Followed {
    fn id(&self) -> CheckId {
        self.check.id()
    }

    fn describe(&self) -> String {
        self.check.describe()
    }
}

impl Quota for Followed {
    fn charge(&self) -> Charge {
        self.check.charge()
    }

    fn is_logged(&self, principal: &Principal) -> bool {
        self.check.is_logged(principal)
    }

    fn charged<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
    ) -> Result<Option<Charged<'a>>, Denial> {
        if !self.is_logged(principal) {
            self.log.is_unknown(super::USED_UP);
        }
        let charged = self.check.charged(facts, principal)?;
        // What is charged once the answer is known may have used it up.
        if charged.as_ref().is_some_and(|charged| charged.late.is_some()) {
            self.log.is_unknown(super::USED_UP);
        }
        Ok(charged)
    }
}
