//! What each check says, heard by something put around it. A plan that serves has nothing of it, and so pays nothing.

use super::verdict::{CheckVerdict, Refusal, Said};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use portcullis_core::check::Charge;
use portcullis_core::{
    Answers, Authenticate, Authentication, Authn, Authorize, Charged, Check, CheckId, Controls, Count,
    CredentialLocation, Denial, Effects, Facts, Guarded, Inspect, Inspected, MethodId, Mode, Policy,
    Principal, Quota, Screen, SecurityScheme, Shape, Step, Wants,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was said since it was cleared.
#[derive(Default)]
pub(super) struct Trace(Mutex<Vec<CheckVerdict>>);

impl Trace {
    fn said(&self) -> MutexGuard<'_, Vec<CheckVerdict>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        self.said().clear();
    }

    pub(super) fn take(&self) -> Vec<CheckVerdict> {
        std::mem::take(&mut self.said())
    }

    /// The same controls, each check heard.
    pub(super) fn around(self: &Arc<Trace>, controls: &Controls) -> Controls {
        let mut heard = controls.clone();
        for guarded in &mut heard.screen {
            guarded.check = Arc::new(self.heard(guarded.mode, &guarded.check));
        }
        let (mode, methods) = match &mut heard.authentication {
            Authentication::Public { .. } => (Mode::Off, &mut Vec::new()),
            Authentication::AnyOf { mode, methods } | Authentication::AllOf { mode, methods } => {
                (*mode, methods)
            }
        };
        for method in methods {
            *method = Arc::new(self.heard(mode, method));
        }
        for guarded in &mut heard.authorize {
            guarded.check = Arc::new(self.heard(guarded.mode, &guarded.check));
        }
        for guarded in &mut heard.quotas {
            guarded.check = Arc::new(self.heard(guarded.mode, &guarded.check));
        }
        for Guarded { mode, check } in &mut heard.inspection.requests {
            *check = Arc::new(self.heard(*mode, check));
        }
        for shape in &mut heard.shape {
            *shape = Arc::new(self.heard(Mode::Enforce, shape));
        }
        heard
    }

    fn heard<C: ?Sized>(self: &Arc<Trace>, mode: Mode, check: &Arc<C>) -> Heard<C> {
        Heard { check: Arc::clone(check), mode, trace: Arc::clone(self) }
    }
}

/// A check that is heard.
struct Heard<C: ?Sized> {
    check: Arc<C>,
    mode: Mode,
    trace: Arc<Trace>,
}

impl<C: Check + ?Sized> Heard<C> {
    fn say(&self, said: Said) {
        self.trace.said().push(CheckVerdict { check: self.check.id().as_str(), mode: self.mode, said });
    }

    /// Says what came out, unless that is a refusal.
    fn hear<'a, T: 'a>(
        &'a self,
        step: Step<'a, Result<T, Denial>>,
        good: impl FnOnce(&T) -> Said + Send + 'a,
    ) -> Step<'a, Result<T, Denial>> {
        step.map(move |result| {
            self.say(match &result {
                Ok(value) => good(value),
                Err(denial) => self.refusal(denial),
            });
            result
        })
    }

    fn refusal(&self, denial: &Denial) -> Said {
        Said::Refused(Refusal::of(&denial.clone().by(self.check.id())))
    }
}

impl<C: Check + ?Sized> Check for Heard<C> {
    fn id(&self) -> CheckId {
        self.check.id()
    }

    fn describe(&self) -> String {
        self.check.describe()
    }
}

impl Screen for Heard<dyn Screen> {
    fn screen<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Result<(), Denial>> {
        self.hear(self.check.screen(facts, effects), |()| Said::Passed)
    }
}

impl Authenticate for Heard<dyn Authenticate> {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        self.check.authenticate(facts, effects).map(move |authn| {
            self.say(match &authn {
                Authn::Claim(_) | Authn::ClaimAndTell(..) => Said::Identified,
                Authn::NotMine => Said::Absent,
                Authn::Deny(denial) => self.refusal(denial),
            });
            authn
        })
    }

    fn challenges(&self, refused: Option<&Denial>) -> Vec<String> {
        self.check.challenges(refused)
    }

    fn invite<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Option<Denial>> {
        self.check.invite(facts, effects)
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        self.check.credentials()
    }

    fn forwarded(&self) -> Vec<(MethodId, CredentialLocation)> {
        self.check.forwarded()
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        self.check.answers(scheme)
    }
}

impl Authorize for Heard<dyn Authorize> {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        self.hear(self.check.authorize(facts, principal, effects), |()| Said::Passed)
    }
}

impl Quota for Heard<dyn Quota> {
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
        let charged = self.check.charged(facts, principal);
        if let Err(denial) = &charged {
            self.say(self.refusal(denial));
        }
        charged
    }

    fn counted(&self, policy: &Policy, counted: &Result<Count, Denial>) {
        self.say(match counted {
            Ok(count) if count.allowed => Said::Counted { remaining: count.remaining },
            Ok(_) => self.refusal(&Denial::new(portcullis_core::Code::RateLimited, policy.text.clone())),
            Err(denial) => self.refusal(denial),
        });
    }
}

impl Shape for Heard<dyn Shape> {
    fn identity_fields(&self) -> Vec<HeaderName> {
        self.check.identity_fields()
    }

    fn shape<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Vec<(HeaderName, HeaderValue)>, Denial>> {
        self.hear(self.check.shape(facts, principal, effects), |_| Said::Passed)
    }
}

impl Inspect for Heard<dyn Inspect> {
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        // One that wants the body is heard when it has seen it.
        self.check.inspect_head(facts, principal, effects).map(move |result| {
            match &result {
                Ok(Wants::Body) => {}
                Ok(Wants::Nothing) => self.say(Said::Passed),
                Err(denial) => self.say(self.refusal(denial)),
            }
            result
        })
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        self.hear(self.check.inspect(facts, principal, body, effects), |_| Said::Passed)
    }
}
