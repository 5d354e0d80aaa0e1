//! The stages of a decision, and the one function that runs them.
//!
//! Each stage is a value that only the stage before it can become. So the order cannot be configured, forgotten or got
//! wrong: authorization needs a principal, and only authentication makes one.

mod again;
mod charge;
mod dialogue;
mod identify;
mod inspect;

pub use again::Admission;
pub use dialogue::{Dialogue, Said};

use crate::answer::LimitState;
use crate::check::{AnswerFields, Authentication, Charge, CheckId, Guarded, Mode};
use crate::conn::Conn;
use crate::denial::{Advice, Code, Denial};
use crate::effects::{Effects, LimitId, Now, Standing};
use crate::head::Head;
use crate::held::Holding;
use crate::notes::Notes;
use crate::plan::{CredentialLocation, Plan};
use crate::principal::Principal;
use crate::record::{Agent, CheckTime, Outcome, Record, Recording, Tightest};
use crate::route::template::Rewritten;
use crate::route::{Route, RouteId};
use bytes::Bytes;
use charge::{Charges, enter};
use http::request::Parts;
use http::{HeaderName, Method, header};
use identify::{Identified, identify};
use std::time::Duration;

/// What a check may look at.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The canonical head.
    pub head: &'a Head,
    /// The connection.
    pub conn: &'a Conn,
    /// The plan.
    pub plan: &'a Plan,
    /// The route.
    pub route: &'a Route,
    /// The route's number.
    pub route_id: RouteId,
    /// When the request arrived.
    pub now: Now,
    /// Whether too many wrong credentials came from the client's address. A credential that has not been seen from it
    /// before is then refused, so a method need not begin what is costly.
    pub source: Standing,
    /// The memory of this request, while a body is judged: what a check needs for it is taken from here. `None` before.
    pub holding: Option<&'a Holding>,
    /// What checks of the same body leave for each other. `None` before a body is judged.
    pub notes: Option<&'a Notes>,
}

impl Facts<'_> {
    /// The refusal of a credential that has not been seen from a blocked source before. `None` where the source is free.
    pub fn blocked(&self) -> Option<Denial> {
        match self.source {
            Standing::Free | Standing::Observed { .. } => None,
            Standing::Blocked { wait } => Some(must_wait(wait)),
        }
    }
}

/// The refusal of a credential from a source that must wait for so long.
fn must_wait(wait: Duration) -> Denial {
    Denial::new(Code::TooManyFailures, "too many wrong credentials from this address")
        .advising(Advice::RetryAfter { seconds: whole_seconds(wait) })
}

/// The refusal of an address that an operator has blocked.
fn blocked() -> Denial {
    Denial::new(Code::SourceBlocked, "an operator has blocked this address for a time")
}

/// Whole seconds, rounded up, at least 1.
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// A refused request: what to tell the client, and the account of it.
#[must_use]
pub struct Refused {
    /// Why.
    pub denial: Denial,
    /// The state of the limit that refused it.
    pub told: Option<LimitState>,
    /// The account, still open: the answer has yet to be sent.
    pub recording: Recording,
}

impl Refused {
    /// Closes the account of a request that was refused before it was forwarded, and builds its answer.
    pub fn answer(self) -> http::Response<Bytes> {
        let Refused { denial, told, mut recording } = self;
        let mut response = crate::answer::refusal(&denial, &recording.record().id, told.as_ref());
        recording.snapshot().error_bodies.apply(&mut response, &recording.record().id);
        let record = recording.record_mut();
        record.status = Some(response.status());
        record.bytes_sent = response.body().len() as u64;
        recording.close(Outcome::Refused(denial));
        response
    }
}

/// Judges a request head. Whoever is cleared may show a body, and then be forwarded.
///
/// # Errors
/// [`Refused`], in every other case.
pub async fn judge(parts: Parts, conn: Conn, recording: Recording) -> Result<Cleared, Refused> {
    let routed = match Admitted::admit(parts, conn, recording)?.route() {
        Ok(routed) => routed,
        // On the heap: requests that have a route carry no room for it.
        Err(unrouted) => return Err(Box::pin(unrouted.refuse()).await),
    };
    routed.screen().await?.authenticate().await?.authorize().await?.charge().await?.shape().await
}

/// What every stage carries along. In one place of its own, so that a stage hands on a pointer.
struct Case {
    head: Head,
    conn: Conn,
    recording: Recording,
    /// Fields for whatever the answer is.
    answer_fields: AnswerFields,
    /// Fields for the upstream.
    additions: AnswerFields,
    /// The state of the limit that leaves the least, for the client.
    told: Option<LimitState>,
    /// The path at the upstream, if it is another one.
    rewritten: Option<Rewritten>,
}

/// Stands where nobody had to be identified.
static NOBODY: Principal = Principal::ANONYMOUS;

impl Case {
    /// Who sends the request, as authentication has found out. It stands in the record alone: what every stage handed on would be
    /// copied by each.
    fn principal(&self) -> &Principal {
        self.recording.record().principal.as_ref().unwrap_or(&NOBODY)
    }

    fn refuse(self: Box<Self>, denial: Denial) -> Refused {
        let denial =
            self.answer_fields.into_iter().fold(denial, |denial, (name, value)| denial.telling(name, value));
        Refused { denial, told: None, recording: self.recording }
    }

    /// The same, and the client is told how much of a limit is left.
    fn refuse_and_tell(mut self: Box<Self>, denial: Denial) -> Refused {
        let told = self.told.take();
        Refused { told, ..self.refuse(denial) }
    }
}

struct Admitted(Box<Case>);

impl Admitted {
    fn admit(parts: Parts, conn: Conn, mut recording: Recording) -> Result<Admitted, Refused> {
        let record = recording.record_mut();
        record.method = Some(parts.method.clone());
        record.version = Some(parts.version);
        record.target = parts.uri.path_and_query().cloned();
        match Head::admit(parts, &conn, &recording.snapshot().head) {
            Ok(head) => {
                let agent = recording.snapshot().wants_agent().then(|| agent(&head, recording.snapshot()));
                let record = recording.record_mut();
                record.agent = agent;
                record.target = Some(head.target().clone());
                record.host = Some(head.host().clone());
                record.client = Some(head.client());
                record.id = head.way().request_id.unwrap_or(record.id);
                recording.trace(head.way().trace.as_ref());
                recording.begin("route");
                Ok(Admitted(Box::new(Case {
                    head,
                    conn,
                    recording,
                    answer_fields: Vec::new(),
                    additions: Vec::new(),
                    told: None,
                    rewritten: None,
                })))
            }
            Err(denial) => Err(Refused { denial, told: None, recording }),
        }
    }

    fn route(self) -> Result<Routed, Unrouted> {
        let Admitted(mut case) = self;
        match find(&case) {
            Ok((id, preflight)) => {
                case.recording.record_mut().route = Some(id);
                case.answer_fields = cross_origin_fields(&case, Some(id));
                Ok(Routed { case, route: id, preflight })
            }
            Err(denial) => {
                // A page must be able to read that its method is not allowed.
                let readable = (denial.code() == Code::MethodNotAllowed)
                    .then(|| case.recording.snapshot().routes.cross_origin_at(&case.head));
                case.answer_fields = cross_origin_fields(&case, readable.flatten());
                Err(Unrouted { case, denial })
            }
        }
    }
}

/// What a client says of itself.
// SECURITY: a field in which any route expects a credential is left out (the_combined_format_has_referrer_and_user_agent).
fn agent(head: &Head, plan: &Plan) -> Box<Agent> {
    let value = |name: HeaderName| {
        let secret = plan.credentials.iter().any(|location| match location {
            CredentialLocation::Header(header) => *header == name,
            CredentialLocation::Query(_) | CredentialLocation::Cookie(_) => false,
        });
        if secret { None } else { head.sent(name.as_str()).next().cloned() }
    };
    Box::new(Agent { referer: value(header::REFERER), user_agent: value(header::USER_AGENT) })
}

/// A request that no route takes.
struct Unrouted {
    case: Box<Case>,
    denial: Denial,
}

impl Unrouted {
    // SECURITY: screened and counted as on a route that adds nothing, before it is told anything, so that a refused address
    // learns no paths, and looking for some is limited (what_no_route_takes_is_screened_and_counted).
    async fn refuse(self) -> Refused {
        let Unrouted { mut case, denial } = self;
        let refused = match case.recording.snapshot().routes.unrouted() {
            Some(unrouted) => screen(&mut case, unrouted).await,
            None => None,
        };
        case.refuse_and_tell(refused.unwrap_or(denial))
    }
}

struct Routed {
    case: Box<Case>,
    route: RouteId,
    /// What a page of another origin asks, where the route answers such questions.
    preflight: Option<Preflight>,
}

/// What a page of another origin asks before it sends a request.
enum Preflight {
    /// Whether it may use this method, which the route allows.
    Allowed(Method),
    /// Whether it may use a method that no route of this path allows.
    NotAllowed,
}

/// The route of a request. A preflight belongs to the route of the request that it asks about, if that one answers
/// preflights; otherwise it is a request like any other. Where no route allows the method, one that answers preflights says
/// so, since a page cannot read a 405 to a preflight.
fn find(case: &Case) -> Result<(RouteId, Option<Preflight>), Denial> {
    let routes = &case.recording.snapshot().routes;
    if let Some(wanted) = case.head.preflight() {
        match routes.find_asked(&case.head, &wanted) {
            Ok(id) if routes.route(id).is_some_and(|route| route.controls.cross_origin.is_some()) => {
                return Ok((id, Some(Preflight::Allowed(wanted))));
            }
            Err(denial) if denial.code() == Code::MethodNotAllowed => {
                if let Some(id) = routes.cross_origin_at(&case.head) {
                    return Ok((id, Some(Preflight::NotAllowed)));
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    routes.find(&case.head).map(|id| (id, None))
}

/// What every answer of this route tells pages of other origins.
fn cross_origin_fields(case: &Case, route: Option<RouteId>) -> AnswerFields {
    let route = route.and_then(|id| route_of(case, id).ok());
    let check = route.and_then(|route| route.controls.cross_origin.as_ref());
    check.map(|check| check.fields(&case.head)).unwrap_or_default()
}

/// The route of a stage. The number comes from this very plan's table, so it is there; if it were not, the request is
/// refused.
fn route_of(case: &Case, id: RouteId) -> Result<&Route, Denial> {
    case.recording
        .snapshot()
        .routes
        .route(id)
        .ok_or_else(|| Denial::new(Code::Fault, "a route number of another plan"))
}

fn facts<'a>(case: &'a Case, id: RouteId) -> Result<Facts<'a>, Denial> {
    let route = route_of(case, id)?;
    Ok(Facts {
        head: &case.head,
        conn: &case.conn,
        plan: case.recording.snapshot(),
        route,
        route_id: id,
        now: case.recording.record().arrived,
        source: Standing::Free,
        holding: None,
        notes: None,
    })
}

/// What came of running the checks of a stage: who would have refused, and who did.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) observed: Vec<Denial>,
    pub(crate) refused: Option<Denial>,
    /// How long checks took, where that is measured.
    times: Option<Vec<CheckTime>>,
    limit: Option<Tightest>,
}

impl Findings {
    /// Those of a request, whose checks are timed or not.
    fn of(case: &Case) -> Findings {
        let times = case.recording.record().is_timed().then(Vec::new);
        Findings { times, ..Findings::default() }
    }

    /// Now, where checks are timed.
    pub(crate) fn clock(&self, effects: &dyn Effects) -> Option<Duration> {
        self.times.as_ref().map(|_| effects.monotonic())
    }

    /// A check that began then has ended.
    pub(crate) fn ran(
        &mut self,
        check: CheckId,
        begun: Option<Duration>,
        refused: bool,
        effects: &dyn Effects,
    ) {
        if let (Some(times), Some(begun)) = (&mut self.times, begun) {
            let took = effects.monotonic().saturating_sub(begun);
            times.push(CheckTime { check, took, refused });
        }
    }

    /// A limit has left so much.
    pub(crate) fn left(&mut self, limit: LimitId, remaining: u32) {
        if self.limit.is_none_or(|tightest| remaining < tightest.remaining) {
            self.limit = Some(Tightest { limit, remaining });
        }
    }

    /// Adds to a record everything but the refusal.
    pub(crate) fn tell(&mut self, record: &mut Record) {
        record.observed.append(&mut self.observed);
        if let Some(times) = &mut self.times {
            record.checks.append(times);
        }
        if let Some(limit) = self.limit
            && record.limit.is_none_or(|before| limit.remaining < before.remaining)
        {
            record.limit = Some(limit);
        }
    }

    /// Takes one check's refusal. `true` where the request ends here.
    pub(crate) fn refuse(&mut self, mode: Mode, check: CheckId, denial: Denial) -> bool {
        let denial = denial.by(check);
        match mode {
            Mode::Enforce => {
                self.refused = Some(denial);
                true
            }
            Mode::Observe => {
                self.observed.push(denial);
                false
            }
            Mode::Off => false,
        }
    }
}

impl Routed {
    async fn screen(self) -> Result<Screened, Refused> {
        let Routed { mut case, route, preflight } = self;
        case.recording.begin("screen");
        if let Some(denial) = screen(&mut case, route).await {
            return Err(case.refuse_and_tell(denial));
        }
        // SECURITY: nobody is authenticated, so nothing but the route's own fields is told, and nothing goes upstream
        // (a_preflight_is_answered_by_the_gateway).
        if let Some(asked) = preflight {
            let denial = answer_preflight(&case, route, &asked);
            return Err(case.refuse_and_tell(denial));
        }
        if let Some(denial) = upgrade_refused(&case, route) {
            return Err(case.refuse_and_tell(denial));
        }
        match rewritten(&case, route) {
            Ok(rewritten) => {
                case.rewritten = rewritten;
                Ok(Screened { case, route })
            }
            Err(denial) => Err(case.refuse_and_tell(denial)),
        }
    }
}

/// Why the protocol to which the client wants to switch is not the route's to allow.
fn upgrade_refused(case: &Case, route: RouteId) -> Option<Denial> {
    let wish = case.head.upgrade()?;
    let allowed = route_of(case, route).map(|route| &route.upgrades).ok();
    let wish = wish.as_bytes().to_ascii_lowercase();
    if allowed.is_some_and(|allowed| allowed.iter().any(|protocol| protocol.as_bytes() == wish)) {
        return None;
    }
    Some(Denial::new(Code::UpgradeRefused, "the route does not allow this upgrade"))
}

/// The path at the upstream. Checks judge the one that the client sent.
fn rewritten(case: &Case, route: RouteId) -> Result<Option<Rewritten>, Denial> {
    let route = route_of(case, route)?;
    let rewrite = route.changes.as_ref().and_then(|changes| changes.rewrite.as_ref());
    rewrite.map(|rewrite| rewrite.apply(route, case.head.path())).transpose()
}

/// Screens a request, and charges it to the limits that need not know who sends it. The refusal, if it is refused.
async fn screen(case: &mut Case, route: RouteId) -> Option<Denial> {
    let mut findings = Findings::of(case);
    let mut told = None;
    let mut late = Vec::new();
    match facts(case, route) {
        Err(denial) => findings.refused = Some(denial),
        // SECURITY: before everything else, so that a blocked client costs and learns nothing (a_blocked_address_is_refused).
        Ok(facts) if case.recording.snapshot().effects().is_blocked(facts.head.client()) => {
            findings.refused = Some(blocked());
        }
        Ok(facts) => {
            let effects = case.recording.snapshot().effects();
            for Guarded { mode, check } in &facts.route.controls.screen {
                if *mode == Mode::Off {
                    continue;
                }
                let begun = findings.clock(effects);
                let screened = check.screen(&facts, effects).resolve().await;
                findings.ran(check.id(), begun, screened.is_err(), effects);
                if let Err(denial) = screened
                    && findings.refuse(*mode, check.id(), denial)
                {
                    break;
                }
            }
            if findings.refused.is_none() {
                let mut charging =
                    Charges::new(case.recording.snapshot(), &mut findings, &mut told, &mut late);
                charging.run(&facts, Charge::BeforeAuthentication, &Principal::ANONYMOUS, effects).await;
            }
        }
    }
    case.told = told;
    case.recording.charge_late(late);
    findings.tell(case.recording.record_mut());
    findings.refused
}

fn answer_preflight(case: &Case, route: RouteId, asked: &Preflight) -> Denial {
    let wanted = match asked {
        Preflight::Allowed(method) => Some(method),
        Preflight::NotAllowed => None,
    };
    match route_of(case, route).map(|route| route.controls.cross_origin.as_ref()) {
        Ok(Some(check)) => {
            let denial = Denial::new(Code::Preflight, "a page asked whether it may").by(check.id());
            let fields = check.preflight(&case.head, wanted);
            fields.into_iter().fold(denial, |denial, (name, value)| denial.telling(name, value))
        }
        Ok(None) => Denial::new(Code::Fault, "a route that answers no preflights"),
        Err(denial) => denial,
    }
}

/// Whether a public route was sent a credential, if anybody wants to know.
fn has_unasked_credential(case: &Case, route: RouteId) -> bool {
    let snapshot = case.recording.snapshot();
    snapshot.wants_unasked_credentials()
        && route_of(case, route)
            .is_ok_and(|route| matches!(route.controls.authentication, Authentication::Public { .. }))
        && snapshot.credentials.iter().any(|location| case.head.has_credential(location))
}

struct Screened {
    case: Box<Case>,
    route: RouteId,
}

impl Screened {
    async fn authenticate(self) -> Result<Authenticated, Refused> {
        let Screened { mut case, route } = self;
        case.recording.begin("authenticate");
        let mut findings = Findings::of(&case);
        let identified = match facts(&case, route) {
            Err(denial) => {
                findings.refused = Some(denial);
                Identified::ANONYMOUS
            }
            Ok(facts) => identify(facts, case.recording.snapshot().effects(), &mut findings).await,
        };
        let snapshot = case.recording.snapshot();
        // SECURITY: with its address alone, so that what somebody does elsewhere with its key does not shut a consumer out
        // (a_block_of_address_and_consumer_stops_neither_alone).
        if let Some(name) = identified.principal.name(&snapshot.consumers)
            && snapshot.effects().is_blocked_as(case.head.client(), name)
        {
            let detail = "this consumer is blocked at this address for a time";
            findings.refused.get_or_insert(Denial::new(Code::SourceBlocked, detail));
        }
        let unasked = has_unasked_credential(&case, route);
        let record = case.recording.record_mut();
        record.unasked_credential = unasked;
        findings.tell(record);
        match findings.refused {
            Some(denial) => Err(case.refuse(denial)),
            None => {
                record.principal = Some(identified.principal);
                case.answer_fields.extend(identified.tell);
                Ok(Authenticated { case, route })
            }
        }
    }
}

struct Authenticated {
    case: Box<Case>,
    route: RouteId,
}

impl Authenticated {
    async fn authorize(self) -> Result<Authorized, Refused> {
        let Authenticated { mut case, route } = self;
        case.recording.begin("authorize");
        let mut findings = Findings::of(&case);
        match facts(&case, route) {
            Err(denial) => findings.refused = Some(denial),
            Ok(facts) => {
                let effects = case.recording.snapshot().effects();
                for Guarded { mode, check } in &facts.route.controls.authorize {
                    if *mode == Mode::Off {
                        continue;
                    }
                    let begun = findings.clock(effects);
                    let authorized = check.authorize(&facts, case.principal(), effects).resolve().await;
                    findings.ran(check.id(), begun, authorized.is_err(), effects);
                    if let Err(denial) = authorized
                        && findings.refuse(*mode, check.id(), denial)
                    {
                        break;
                    }
                }
            }
        }
        findings.tell(case.recording.record_mut());
        match findings.refused {
            Some(denial) => Err(case.refuse(denial)),
            None => Ok(Authorized { case, route }),
        }
    }
}

struct Authorized {
    case: Box<Case>,
    route: RouteId,
}

impl Authorized {
    async fn charge(self) -> Result<Charged, Refused> {
        let Authorized { mut case, route } = self;
        case.recording.begin("charge");
        let mut told = case.told.take();
        let mut findings = Findings::of(&case);
        let mut late = Vec::new();
        let mut held = Vec::new();
        match facts(&case, route) {
            Err(denial) => findings.refused = Some(denial),
            Ok(facts) => {
                let effects = case.recording.snapshot().effects();
                // First, so that a request which finds no place is charged to nothing.
                if !facts.route.controls.in_flight.is_empty() {
                    enter(&facts, case.principal(), effects, &mut findings, &mut held).await;
                }
                if findings.refused.is_none() {
                    let mut charging =
                        Charges::new(case.recording.snapshot(), &mut findings, &mut told, &mut late);
                    charging.run(&facts, Charge::AfterAuthorization, case.principal(), effects).await;
                }
            }
        }
        case.told = told;
        case.recording.charge_late(late);
        case.recording.hold(held);
        findings.tell(case.recording.record_mut());
        match findings.refused {
            Some(denial) => Err(case.refuse_and_tell(denial)),
            None => Ok(Charged { case, route }),
        }
    }
}

struct Charged {
    case: Box<Case>,
    route: RouteId,
}

impl Charged {
    async fn shape(self) -> Result<Cleared, Refused> {
        let Charged { mut case, route } = self;
        case.recording.begin("shape");
        let mut additions = Vec::new();
        let mut refused = None;
        match facts(&case, route) {
            Err(denial) => refused = Some(denial),
            Ok(facts) => {
                let effects = case.recording.snapshot().effects();
                for check in &facts.route.controls.shape {
                    match check.shape(&facts, case.principal(), effects).resolve().await {
                        Ok(mut fields) => additions.append(&mut fields),
                        Err(denial) => {
                            refused = Some(denial.by(check.id()));
                            break;
                        }
                    }
                }
            }
        }
        case.additions = additions;
        match refused {
            Some(denial) => Err(case.refuse_and_tell(denial)),
            None => Ok(Cleared { case, route }),
        }
    }
}

/// A request whose head passed every control. Its body has yet to be looked at.
#[must_use]
pub struct Cleared {
    case: Box<Case>,
    route: RouteId,
}

#[cfg(test)]
mod tests;
