//! Everything that is decided before the first request arrives.
//!
//! A plan is built in full and never changed. A request is judged by the one plan that it met on arrival.

use crate::check::Charge;
use crate::check::{
    Authenticate, Authentication, Authorize, Control, CrossOrigin, Guarded, InFlight, Inspect, InspectAnswer,
    Mode, Operations, Policy, Quota, Screen, Shape,
};
use crate::effects::Effects;
use crate::error_bodies::ErrorBodies;
use crate::head::{Head, HeadPolicy};
use crate::held::{HeldAccounts, HeldMemory};
use crate::principal::{Consumers, MethodId, Principal};
use crate::record::RecordSink;
use crate::route::RouteTable;
use http::HeaderName;
use std::ops::Deref;
use std::sync::Arc;

/// Where a credential stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialLocation {
    /// In this header field.
    Header(HeaderName),
    /// In the query parameter with this decoded name.
    Query(String),
    /// In this cookie.
    Cookie(String),
}

/// A credential that goes upstream, since the operator said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCredential {
    /// Where it stands.
    pub location: CredentialLocation,
    /// The method that must have taken it. `None` keeps whatever stands there, for a target that judges it itself.
    pub by: Option<MethodId>,
}

/// What judges the requests of a route.
#[derive(Clone)]
pub struct Controls {
    /// Before authentication.
    pub screen: Vec<Guarded<dyn Screen>>,
    /// Which pages of other origins may read its answers. `None` leaves that to the upstream.
    pub cross_origin: Option<Arc<dyn CrossOrigin>>,
    /// Who sends the request; every route has a statement on it.
    pub authentication: Authentication,
    /// What the principal must be allowed to do: roles, scopes, claims, conditions.
    pub authorize: Vec<Guarded<dyn Authorize>>,
    /// How many at once.
    pub in_flight: Vec<Guarded<dyn InFlight>>,
    /// How much of it.
    pub quotas: Vec<Guarded<dyn Quota>>,
    /// What is added on the way to the upstream.
    pub shape: Vec<Arc<dyn Shape>>,
    /// Credentials that go upstream, since the operator said so.
    pub kept_credentials: Vec<KeptCredential>,
    /// The most bytes of a body (413 beyond it).
    pub max_body_bytes: u64,
    /// What looks into requests and answers.
    pub inspection: Inspection,
    /// What is declared and switched off, so that a listing can say so.
    pub off: Vec<Control>,
}

/// What looks into requests and answers. The default is nothing: bodies stream.
#[derive(Clone)]
pub struct Inspection {
    /// Of requests, in the order in which they look.
    pub requests: Vec<Guarded<dyn Inspect>>,
    /// Of answers, in the order in which they look.
    pub answers: Vec<Guarded<dyn InspectAnswer>>,
    /// The most bytes of an answer that is judged. Default: 1 MiB.
    pub max_answer_bytes: u64,
    /// What a client is told of what is wrong with its request.
    pub error_detail: ErrorDetail,
    /// The operations of the route's document, if it has one.
    pub operations: Option<Arc<dyn Operations>>,
    /// Who knows which values of a valid request can hold no attack. Only what is enforced proves anything.
    pub proofs: Option<Arc<dyn Proofs>>,
}

/// Where a value stands that may be proved harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// A field of a form, or a member of JSON: `json.` and its path with dots.
    Body,
}

/// Says whether every value under a name is harmless.
pub type IsHarmless<'a> = dyn Fn(Argument, &str) -> bool + 'a;

/// Knows of which values of a request nothing needs to be searched, since another check refuses whatever else they could be.
pub trait Proofs: Send + Sync {
    /// Calls `each` once, with a function that says whether every value under a name is harmless.
    fn of(&self, head: &Head, each: &mut dyn FnMut(&IsHarmless<'_>));
}

/// What a client is told of what is wrong with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ErrorDetail {
    /// Where, by JSON Pointers, and what in fixed words.
    #[default]
    Pointers,
    /// The status and the request id alone.
    Nothing,
}

impl Default for Inspection {
    fn default() -> Self {
        Inspection {
            requests: Vec::new(),
            answers: Vec::new(),
            max_answer_bytes: 1024 * 1024,
            error_detail: ErrorDetail::default(),
            operations: None,
            proofs: None,
        }
    }
}

impl Inspection {
    /// Whether anything looks into answers.
    pub fn examines_answers(&self) -> bool {
        self.answers.iter().any(|guarded| guarded.mode != Mode::Off)
    }
}

impl Controls {
    /// Whether what stands at `location` goes upstream in a request of `principal`.
    // SECURITY: what one method may forward says nothing of what another one took from the same place, or of what nobody
    // looked at (a_credential_is_kept_for_the_method_that_took_it).
    pub fn keeps(&self, location: &CredentialLocation, principal: &Principal) -> bool {
        self.kept_credentials
            .iter()
            .any(|kept| kept.location == *location && kept.by.is_none_or(|method| principal.is_by(method)))
    }

    /// The controls in the order in which they run, then those that are off.
    pub fn list(&self) -> Vec<Control> {
        let mut list = Vec::new();
        let mut add = |stage, id, mode, summary| list.push(Control { stage, id, mode, summary });
        for guarded in &self.screen {
            add("screen", guarded.check.id().as_str(), guarded.mode, guarded.check.describe());
        }
        let mut quotas = |charge| {
            for guarded in self.quotas.iter().filter(|guarded| guarded.check.charge() == charge) {
                add("quota", guarded.check.id().as_str(), guarded.mode, guarded.check.describe());
            }
        };
        quotas(Charge::BeforeAuthentication);
        let mut later = Vec::new();
        if let Some(check) = &self.cross_origin {
            later.push(Control {
                stage: "screen",
                id: check.id().as_str(),
                mode: Mode::Enforce,
                summary: check.describe(),
            });
        }
        match &self.authentication {
            Authentication::Public { reason } => later.push(Control {
                stage: "authn",
                id: "authn.public",
                mode: Mode::Off,
                summary: format!("nobody is asked who they are: {reason}"),
            }),
            Authentication::AnyOf { mode, methods } => {
                later.extend(methods.iter().map(|method| listed(method.as_ref(), *mode, "")));
            }
            Authentication::AllOf { mode, methods } => {
                later.extend(methods.iter().map(|method| listed(method.as_ref(), *mode, "and ")));
            }
        }
        for guarded in &self.authorize {
            later.push(Control {
                stage: "authz",
                id: guarded.check.id().as_str(),
                mode: guarded.mode,
                summary: guarded.check.describe(),
            });
        }
        for guarded in &self.in_flight {
            later.push(Control {
                stage: "quota",
                id: guarded.check.id().as_str(),
                mode: guarded.mode,
                summary: guarded.check.describe(),
            });
        }
        for guarded in
            self.quotas.iter().filter(|guarded| guarded.check.charge() == Charge::AfterAuthorization)
        {
            later.push(Control {
                stage: "quota",
                id: guarded.check.id().as_str(),
                mode: guarded.mode,
                summary: guarded.check.describe(),
            });
        }
        later.push(Control {
            stage: "inspect",
            id: "inspect.body_size",
            mode: Mode::Enforce,
            summary: format!("a body of at most {} bytes", self.max_body_bytes),
        });
        for guarded in &self.inspection.requests {
            later.push(Control {
                stage: "inspect",
                id: guarded.check.id().as_str(),
                mode: guarded.mode,
                summary: guarded.check.describe(),
            });
        }
        later.extend(self.shape.iter().map(|check| Control {
            stage: "shape",
            id: check.id().as_str(),
            mode: Mode::Enforce,
            summary: check.describe(),
        }));
        for guarded in &self.inspection.answers {
            later.push(Control {
                stage: "answer",
                id: guarded.check.id().as_str(),
                mode: guarded.mode,
                summary: guarded.check.describe(),
            });
        }
        list.extend(later);
        list.extend(self.off.iter().cloned());
        list
    }
}

fn listed(method: &dyn Authenticate, mode: Mode, prefix: &str) -> Control {
    let summary = format!("{prefix}{}", method.describe());
    Control { stage: "authn", id: method.id().as_str(), mode, summary }
}

/// Everything by which requests are judged.
pub struct Plan {
    /// Bounds of a head, and whom to believe.
    pub head: HeadPolicy,
    /// The routes.
    pub routes: RouteTable,
    /// The consumers that the configuration names.
    pub consumers: Consumers,
    /// Where any route looks for a credential. All of them are taken away on every route, so that a key sent to the
    /// wrong route does not reach its upstream.
    pub credentials: Vec<CredentialLocation>,
    /// The most bytes of bodies that a worker holds at once (503 beyond it).
    pub max_held_bytes: usize,
    /// The operator's own bodies of errors.
    pub error_bodies: ErrorBodies,
    /// What clients are told of each limit, by its number.
    pub policies: Vec<Policy>,
}

/// What a request is judged with: a plan, the world, and where its record goes.
///
/// Each worker holds one of its own, so that cloning it touches no count that another core touches.
#[derive(Clone)]
pub struct Snapshot(Arc<Inner>);

struct Inner {
    plan: Arc<Plan>,
    effects: Arc<dyn Effects>,
    sink: Arc<dyn RecordSink>,
    wants_unasked_credentials: bool,
    wants_check_times: bool,
    wants_agent: bool,
    held: HeldMemory,
    accounts: HeldAccounts,
}

impl Snapshot {
    /// A snapshot for one worker.
    pub fn new(plan: Arc<Plan>, effects: Arc<dyn Effects>, sink: Arc<dyn RecordSink>) -> Snapshot {
        let held = HeldMemory::new(plan.max_held_bytes);
        Snapshot::with(plan, effects, sink, held, HeldAccounts::default())
    }

    fn with(
        plan: Arc<Plan>,
        effects: Arc<dyn Effects>,
        sink: Arc<dyn RecordSink>,
        held: HeldMemory,
        accounts: HeldAccounts,
    ) -> Snapshot {
        accounts.add(&held);
        let wants_unasked_credentials = sink.wants_unasked_credentials();
        let wants_check_times = sink.wants_check_times();
        let wants_agent = sink.wants_agent();
        Snapshot(Arc::new(Inner {
            plan,
            effects,
            sink,
            wants_unasked_credentials,
            wants_check_times,
            wants_agent,
            held,
            accounts,
        }))
    }

    /// This one with other memory for bodies.
    fn with_memory(&self, held: HeldMemory) -> Snapshot {
        let Inner { plan, effects, sink, accounts, .. } = self.0.as_ref();
        Snapshot::with(Arc::clone(plan), Arc::clone(effects), Arc::clone(sink), held, accounts.clone())
    }

    /// The same for another worker.
    #[must_use]
    pub fn for_another_worker(&self) -> Snapshot {
        self.with_memory(HeldMemory::new(self.0.plan.max_held_bytes))
    }

    /// This one for a worker that has `before`: what is held now is still counted, where the bound is the same.
    #[must_use]
    pub fn following(&self, before: &Snapshot) -> Snapshot {
        let same = self.0.plan.max_held_bytes == before.max_held_bytes;
        self.with_memory(if same {
            before.0.held.clone()
        } else {
            HeldMemory::new(self.0.plan.max_held_bytes)
        })
    }

    /// The memory of all workers that have this plan.
    pub fn held_accounts(&self) -> &HeldAccounts {
        &self.0.accounts
    }

    /// Whether somebody wants to know how long checks take.
    pub(crate) fn wants_check_times(&self) -> bool {
        self.0.wants_check_times
    }

    /// Whether somebody wants to know of credentials that are sent to public routes.
    pub(crate) fn wants_unasked_credentials(&self) -> bool {
        self.0.wants_unasked_credentials
    }

    /// Whether somebody wants to know what clients say of themselves.
    pub(crate) fn wants_agent(&self) -> bool {
        self.0.wants_agent
    }

    /// The world.
    pub fn effects(&self) -> &dyn Effects {
        self.0.effects.as_ref()
    }

    /// The worker's memory for bodies that are held.
    pub fn held_memory(&self) -> &HeldMemory {
        &self.0.held
    }

    /// Where records go.
    pub fn sink(&self) -> &dyn RecordSink {
        self.0.sink.as_ref()
    }
}

impl Deref for Snapshot {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.0.plan
    }
}
