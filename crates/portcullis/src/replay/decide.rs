//! The decision on one line.

use super::Decision;
use super::counts::Counts;
use super::line::Line;
use crate::compile::Blueprint;
use http::header::HOST;
use http::{Method, Request};
use portcullis_core::check::Charge;
use portcullis_core::{
    Authentication, Claim, Code, Conn, Denial, Evidence, Facts, Guarded, Head, MethodId, Mode, Plan,
    Principal, Route, RouteId, Standing, Step, Subject, Transport,
};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A configuration that judges the lines of a log, in their order.
pub struct Replay {
    plan: Arc<Plan>,
    counts: Counts,
}

/// Ends a decision early.
type Early<T> = Result<T, Decision>;

fn unknown<T>(why: &'static str) -> Early<T> {
    Err(Decision::Unknown(why))
}

fn refused<T>(denial: &Denial) -> Early<T> {
    Err(Decision::Refused(denial.code().as_str()))
}

impl Replay {
    /// By this plan.
    pub fn new(blueprint: Blueprint) -> Replay {
        Replay { plan: blueprint.plan, counts: Counts::default() }
    }

    /// What becomes of the request of this line.
    pub fn decide(&self, line: &Line<'_>) -> Decision {
        match self.judge(line) {
            Ok(()) => Decision::Allowed,
            Err(decision) => decision,
        }
    }

    fn judge(&self, line: &Line<'_>) -> Early<()> {
        let Some(time) = line.time() else { return unknown("the line has no time") };
        self.counts.set(time);
        let head = head(line, &self.plan)?;
        let conn = conn(head.client());
        if self.plan.routes.has_conditions_at(&head) {
            return unknown("the log does not have the headers and the query by which the route is chosen");
        }
        let id = match self.plan.routes.find(&head) {
            Ok(id) => id,
            Err(denial) if denial.code() == Code::AmbiguousPath => {
                return unknown("the log spells the path in its canonical form");
            }
            Err(denial) => return refused(&denial),
        };
        let Some(route) = self.plan.routes.route(id) else { return unknown("a route of another plan") };
        self.on_route(line, &head, &conn, id, route)
    }

    fn on_route(&self, line: &Line<'_>, head: &Head, conn: &Conn, id: RouteId, route: &Route) -> Early<()> {
        let controls = &route.controls;
        if head.method() == Method::OPTIONS && (controls.cross_origin.is_some() || line.code() == "preflight")
        {
            return unknown("the log does not tell a preflight from another request");
        }
        if line.status == Some(101) && route.upgrades.is_empty() {
            return Err(Decision::Refused(Code::UpgradeRefused.as_str()));
        }
        let effects = &self.counts;
        let facts = Facts {
            head,
            conn,
            plan: &self.plan,
            route,
            route_id: id,
            now: portcullis_core::Effects::now(effects),
            source: Standing::Free,
            holding: None,
            notes: None,
        };
        for Guarded { mode, check } in &controls.screen {
            if *mode == Mode::Enforce {
                if check.id().as_str() != "screen.addresses" {
                    return unknown("a check reads what the log does not have");
                }
                ready(check.screen(&facts, effects))?.or_else(|denial| refused(&denial))?;
            }
        }
        self.charge(&facts, Charge::BeforeAuthentication, &Principal::ANONYMOUS)?;
        let principal = self.principal(line, route)?;
        let of_an_issuer = principal.as_subject().is_some();
        for Guarded { mode, check } in &controls.authorize {
            if *mode != Mode::Enforce {
                continue;
            }
            if of_an_issuer {
                return unknown("the log does not have the token's roles, scopes and claims");
            }
            let said = ready(check.authorize(&facts, &principal, effects))?;
            // What a check asks others about is not in the log.
            if said.as_ref().is_err_and(|denial| denial.code() == Code::Fault) {
                return unknown("a check asks somebody who is not here");
            }
            said.or_else(|denial| refused(&denial))?;
        }
        if controls.in_flight.iter().any(|guarded| guarded.mode == Mode::Enforce) {
            return unknown("the log does not tell how many requests went on at once");
        }
        self.charge(&facts, Charge::AfterAuthorization, &principal)?;
        if line.bytes_received > controls.max_body_bytes {
            return Err(Decision::Refused(Code::BodyTooLarge.as_str()));
        }
        if !line.was_allowed() && !head_alone(line.code()) {
            return unknown("the log does not have the request that was refused");
        }
        if controls.inspection.requests.iter().any(|guarded| guarded.mode == Mode::Enforce) {
            return unknown("a check looks into headers, query or body");
        }
        Ok(())
    }

    /// Counts it. A limit that could refuse it, or not, is unknown.
    fn charge(&self, facts: &Facts<'_>, when: Charge, principal: &Principal) -> Early<()> {
        let (mut header, mut late) = (false, false);
        for Guarded { mode, check } in &facts.route.controls.quotas {
            if *mode != Mode::Enforce || check.charge() != when {
                continue;
            }
            // The log has neither headers nor claims, and names no key.
            let by = check.describe();
            header |= ["value of ", "each key", "and key"].iter().any(|part| by.contains(part));
            let charged = match check.charged(facts, principal) {
                Ok(Some(charged)) => charged,
                Ok(None) => continue,
                Err(denial) => return refused(&denial),
            };
            // What is charged once the answer is known may have used it up.
            late |= charged.late.is_some();
            let counted =
                portcullis_core::Effects::count(&self.counts, charged.limit, &charged.keys, charged.cost);
            if let Err(fault) = ready(counted)? {
                return refused(&Denial::new(Code::Fault, fault.detail));
            }
        }
        if header || late || self.counts.was_unknown() {
            return unknown("a limit might be used up");
        }
        Ok(())
    }

    /// Who sent it, by what the route asks for.
    fn principal(&self, line: &Line<'_>, route: &Route) -> Early<Principal> {
        let (mode, all) = match &route.controls.authentication {
            Authentication::Public { .. } => return Ok(Principal::ANONYMOUS),
            Authentication::AnyOf { mode, .. } => (*mode, false),
            Authentication::AllOf { mode, .. } => (*mode, true),
        };
        if mode == Mode::Off {
            return Ok(Principal::ANONYMOUS);
        }
        let Some(by) = line.authenticated_by.as_deref() else {
            return unknown("the log does not tell whether there was a good credential");
        };
        let methods = route.controls.authentication.methods();
        let Some(method) = methods.iter().find(|method| method.id().as_str() == by) else {
            return unknown("the route asks for another credential than the log shows");
        };
        if all && methods.len() > 1 {
            return unknown("the route asks for several credentials");
        }
        if mode == Mode::Observe {
            return unknown("the log does not tell whether there was a good credential");
        }
        if let Some(name) = line.consumer.as_deref() {
            return match self.plan.consumers.named(name) {
                Some(id) => Ok(Principal::of(Evidence::consumer(id, MethodId(0), method.id()))),
                None => unknown("no consumer has this name any more"),
            };
        }
        match (line.issuer.as_deref(), line.subject.as_deref()) {
            (Some(issuer), Some(subject)) => {
                if !method.describe().contains(issuer) {
                    return unknown("the route may not trust the token's issuer");
                }
                let subject = Arc::new(Subject::new(issuer, subject, Claim::Null));
                Ok(Principal::of(Evidence::subject(subject, MethodId(0), method.id())))
            }
            _ => unknown("the log does not tell who sent it"),
        }
    }
}

/// Whether a refusal with this code came before anything was looked at that the log does not have.
fn head_alone(code: &str) -> bool {
    matches!(
        code,
        "route_not_found"
            | "method_not_allowed"
            | "address_refused"
            | "role_missing"
            | "scope_missing"
            | "not_owner"
            | "rate_limited"
    )
}

/// What a check says that needs nothing but what is here.
fn ready<T>(step: Step<'_, T>) -> Early<T> {
    match step {
        Step::Ready(value) => Ok(value),
        Step::Later(future) => match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Ok(value),
            Poll::Pending => unknown("a check waits for something that is not here"),
        },
    }
}

fn conn(client: IpAddr) -> Conn {
    let local = SocketAddr::from(([127, 0, 0, 1], 80));
    Conn { peer: SocketAddr::new(client, 1), local, transport: Transport::Memory, certificate: None }
}

/// The head, as far as the log has it.
fn head(line: &Line<'_>, plan: &Plan) -> Early<Head> {
    let (Some(method), Some(host), Some(path)) = (&line.method, &line.host, &line.path) else {
        return unknown("the request could not be read");
    };
    let Some(client) = line.client else { return unknown("the log does not tell the client's address") };
    let request =
        Request::builder().method(method.as_ref()).uri(path.as_ref()).header(HOST, host.as_ref()).body(());
    let Ok(request) = request else { return unknown("the request could not be read") };
    match Head::admit(request.into_parts().0, &conn(client), &plan.head) {
        Ok(head) if head.path() == path.as_ref() && head.client() == client.to_canonical() => Ok(head),
        Ok(_) => unknown("the log spells the path in its canonical form"),
        Err(denial) if denial.code() == Code::ForwardedAddress => {
            unknown("the log does not tell the way through proxies")
        }
        Err(_) => unknown("the request could not be read"),
    }
}
