//! Tries one section of a configuration on one request.
//!
//! A [`Setup`] compiles the text of a `security` section as the gateway does. The [`Trial`] that comes of it asks the checks
//! of each stage, or judges a request as a whole. The [`World`] in which they run counts with the real counters, on a clock that
//! the test sets; other servers answer what the test says. Nothing waits for time to pass.

mod world;

pub(crate) use world::World;

use crate::authn::key_digest::KeyHasher;
use crate::build::Build;
use crate::security::{CompiledSecurity, RouteAuthentication, SecurityConfig};
use crate::token::json;
use http::Request;
use http::request::Builder;
use portcullis_config::{
    Context, Decode, Renderer, Severity, Source, Spanned, Style, document_schema, from_yaml,
};
use portcullis_core::check::Charge;
use portcullis_core::error_bodies::ErrorBodies;
use portcullis_core::head::{HeadPolicy, Reserved};
use portcullis_core::route::conditions::Conditions;
use portcullis_core::{
    Authenticate, Authn, CheckId, Cleared, Conn, Consumer, ConsumerId, Controls, Count, Denial, Evidence,
    Facts, Head, Held, Keys, KeysBuf, LateCost, MethodId, MethodSet, Plan, Policy, Principal, Record,
    RecordSink, Recording, Refused, Route, RouteId, RouteTable, Snapshot, Standing, Step, Subject, TargetId,
    Transport, judge,
};
use portcullis_store::{CountNames, Kept};
use std::env::VarError;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// What is there before a section is compiled, and where the section's route stands.
pub(crate) struct Setup {
    pub(crate) build: Build,
    path: String,
    hosts: Vec<String>,
    public: bool,
}

impl Setup {
    /// A route that serves every path, and nobody who is known.
    pub(crate) fn new() -> Setup {
        Setup::on("/{*rest}")
    }

    /// A route with this path.
    pub(crate) fn on(path: &str) -> Setup {
        let build = Build::new(KeyHasher::new(&[7; 32], None), Kept::default());
        Setup { build, path: path.to_owned(), hosts: Vec::new(), public: false }
    }

    /// The route serves this host alone.
    pub(crate) fn at_host(self, host: &str) -> Setup {
        Setup { hosts: vec![host.to_owned()], ..self }
    }

    /// Nobody is asked who they are.
    pub(crate) fn public(self) -> Setup {
        Setup { public: true, ..self }
    }

    /// With a consumer, who gets the next number: 0 for the first.
    pub(crate) fn consumer(mut self, name: &str, roles: &[&str], scopes: &[&str]) -> Setup {
        let consumer = Consumer { name: name.to_owned(), roles: owned(roles), scopes: owned(scopes) };
        self.build.consumers.add(consumer).expect("another consumer has this name");
        self
    }

    /// With keys at rest that are hashed under this pepper.
    pub(crate) fn pepper(mut self, pepper: &str) -> Setup {
        self.build.hasher = KeyHasher::new(&[7; 32], Some(pepper.as_bytes()));
        self
    }

    /// With a key of the consumer with this number, as the configuration writes it.
    pub(crate) fn key(mut self, number: u32, key: &str) -> Setup {
        let (key, set) = (decoded(key).expect("a key"), self.build.consumer_keys);
        let added = self.build.add_key(set, &key, ConsumerId(number), key.at, &mut context());
        added.expect("the key is there already");
        self
    }

    /// With the password of a consumer that is there, as the configuration writes it.
    pub(crate) fn password(mut self, name: &str, password: &str) -> Setup {
        let id = self.build.consumers.named(name).expect("a consumer");
        let password = decoded(password).expect("the hash of a password");
        Arc::make_mut(&mut self.build.users).add(name, id, &password, &mut context());
        self
    }

    /// The trial of a `security` section. Without `authentication`, it asks for an API key.
    pub(crate) fn compile(self, security: &str) -> Trial {
        self.compile_with(security, |_, _, _| {})
    }

    /// The same, with further controls of the route.
    pub(crate) fn compile_with(
        mut self,
        security: &str,
        more: impl FnOnce(&mut Build, &mut Controls, &mut Context),
    ) -> Trial {
        let (source, mut cx) = (Source::new("security", security), context());
        let mut controls = self.controls(&source, &mut cx);
        if let Some(controls) = &mut controls {
            more(&mut self.build, controls, &mut cx);
        }
        match controls.filter(|_| !cx.diagnostics.has_errors()) {
            Some(controls) => Trial::new(self, controls),
            None => panic!("{}", Renderer::new(&cx.diagnostics, Some(&source), Style::Plain).text()),
        }
    }

    /// The codes and the messages of what is wrong with a `security` section.
    pub(crate) fn wrong(mut self, security: &str) -> Vec<String> {
        let (source, mut cx) = (Source::new("security", security), context());
        let controls = self.controls(&source, &mut cx);
        let wrong = said(&cx);
        assert_eq!(
            controls.is_some(),
            wrong.is_empty(),
            "what is refused says why, and nothing else: {wrong:?}"
        );
        wrong
    }

    fn controls(&mut self, source: &Source, cx: &mut Context) -> Option<Controls> {
        let config: SecurityConfig = from_yaml(source, cx)?;
        let path = Spanned { value: self.path.clone(), span: source.span() };
        let fits = SecurityConfig::fits_path(Some(&config), None, self.public, &path, cx);
        let compiled = config.compile(&mut self.build, cx);
        let by_key = Source::new("authentication", "authentication: { type: api_key }");
        let by_key = from_yaml::<SecurityConfig>(&by_key, cx)?.compile(&mut self.build, cx)?;
        let statement = match self.public {
            true => RouteAuthentication::Public("a trial".to_owned()),
            false => RouteAuthentication::Required,
        };
        let controls = compiled?.over(&by_key).controls(&CompiledSecurity::default(), &statement);
        fits.and(controls)
    }
}

fn context() -> Context {
    Context::for_file(".").with_environment(|_| Err(VarError::NotPresent))
}

/// The codes and messages of all errors.
pub(crate) fn said(cx: &Context) -> Vec<String> {
    let errors = cx.diagnostics.sorted().into_iter().filter(|one| one.severity == Severity::Error);
    errors.map(|one| format!("{}: {}", one.code, one.message)).collect()
}

/// A value as the configuration writes it, or the codes and messages of what is wrong with it.
pub(crate) fn decoded<T: Decode>(yaml: &str) -> Result<T, Vec<String>> {
    let (value, cx, _) = read(yaml);
    value.ok_or_else(|| said(&cx))
}

/// What becomes of a value that the configuration writes, and all that is said of it, as a person sees it too.
pub(crate) fn read<T: Decode>(yaml: &str) -> (Option<T>, Context, String) {
    let (source, mut cx) = (Source::new("value", yaml), context());
    let value = from_yaml(&source, &mut cx);
    let wrong = said(&cx);
    assert_eq!(value.is_some(), wrong.is_empty(), "{yaml}: {wrong:?}");
    let shown = Renderer::new(&cx.diagnostics, Some(&source), Style::Plain).text();
    (value, cx, shown)
}

/// What the JSON Schema says of a type.
pub(crate) fn schema<T: Decode>() -> serde_json::Value {
    document_schema::<T>("trial", "https://example.com/trial")
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The consumer with this number.
pub(crate) fn consumer(number: u32) -> Principal {
    Principal::of(evidence(number))
}

/// That it is the consumer with this number.
pub(crate) fn evidence(number: u32) -> Evidence {
    Evidence::consumer(ConsumerId(number), MethodId(0), CheckId::new("authn.trial"))
}

/// Somebody called `name` of whom the issuer `https://issuer.example` says this, in JSON.
pub(crate) fn subject(name: &str, claims: &str) -> Subject {
    let claims = json::object(claims.as_bytes()).expect("claims are an object");
    Subject::new("https://issuer.example", name, claims)
}

/// The principal that a subject is.
pub(crate) fn known(subject: Subject) -> Principal {
    Principal::of(Evidence::subject(Arc::new(subject), MethodId(0), CheckId::new("authn.trial")))
}

/// A request as a client sends it, from 192.0.2.1 unless another address is given.
pub(crate) struct Ask {
    request: Builder,
    from: IpAddr,
}

/// A `GET` of this path.
pub(crate) fn get(path: &str) -> Ask {
    ask("GET", path)
}

/// A request of this method for this path.
pub(crate) fn ask(method: &str, path: &str) -> Ask {
    let request = Request::builder().method(method).uri(path).header("host", "api.example");
    Ask { request, from: IpAddr::from([192, 0, 2, 1]) }
}

impl Ask {
    /// With this field as well.
    pub(crate) fn with(self, name: &str, value: &str) -> Ask {
        Ask { request: self.request.header(name, value), ..self }
    }

    /// To this host.
    pub(crate) fn to(mut self, host: &'static str) -> Ask {
        let headers = self.request.headers_mut().expect("a request");
        headers.insert("host", http::HeaderValue::from_static(host));
        self
    }

    /// From this address.
    pub(crate) fn from(self, address: &str) -> Ask {
        Ask { from: address.parse().expect("an address"), ..self }
    }

    fn parts(self) -> (http::request::Parts, Conn) {
        let conn = Conn {
            peer: (self.from, 50_000).into(),
            local: ([127, 0, 0, 1], 8080).into(),
            transport: Transport::Memory,
            certificate: None,
        };
        (self.request.body(()).expect("a request").into_parts().0, conn)
    }
}

/// What a limit charges a request to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Charged {
    /// What the limit is called.
    pub(crate) name: String,
    /// Whose counter it is.
    pub(crate) whose: KeysBuf,
    /// What the request costs on arrival.
    pub(crate) cost: u32,
    /// What it costs later.
    pub(crate) late: Option<LateCost>,
    /// Before or after it is known who sends it.
    pub(crate) charge: Charge,
}

/// Controls that judge requests.
pub(crate) struct Trial {
    plan: Arc<Plan>,
    pub(crate) world: Arc<World>,
}

impl Trial {
    fn new(setup: Setup, controls: Controls) -> Trial {
        let Setup { build, path, hosts, .. } = setup;
        let names = CountNames {
            limits: build.limits(),
            consumers: build.counted_as(),
            routes: vec![Arc::from("route")],
        };
        let route = Route {
            path,
            hosts,
            methods: MethodSet::ANY,
            controls: Arc::new(controls),
            target: TargetId(0),
            reserved: Reserved::NONE,
            upgrades: Vec::new(),
            conditions: Conditions::default(),
            changes: None,
        };
        let plan = Plan {
            head: HeadPolicy::default(),
            routes: RouteTable::build(vec![route]).expect("a route"),
            consumers: build.consumers,
            credentials: Vec::new(),
            max_held_bytes: 1 << 20,
            error_bodies: ErrorBodies::default(),
            policies: build.policies,
        };
        Trial { plan: Arc::new(plan), world: Arc::new(World::new(names, build.keys)) }
    }

    /// What judges the requests.
    pub(crate) fn controls(&self) -> &Controls {
        &self.plan.routes.route(RouteId(0)).expect("a route").controls
    }

    /// What clients are told of each limit.
    pub(crate) fn policies(&self) -> &[Policy] {
        &self.plan.policies
    }

    /// Of every control of this stage, its name, its mode and what it says of itself.
    pub(crate) fn listed(&self, stage: &str) -> Vec<String> {
        let all = self.controls().list().into_iter().filter(|control| control.stage == stage);
        all.map(|one| format!("{} {}: {}", one.id, one.mode.as_str(), one.summary)).collect()
    }

    /// A request that has arrived, and can be judged stage by stage.
    pub(crate) fn arrive(&self, ask: Ask) -> Arrived<'_> {
        let (parts, conn) = ask.parts();
        let head = Head::admit(parts, &conn, &self.plan.head).expect("a request");
        Arrived { trial: self, head, conn, source: Standing::Free }
    }

    /// What every stage says of a request as a whole.
    pub(crate) fn judge(&self, ask: Ask) -> Result<Cleared, Refused> {
        let (parts, conn) = ask.parts();
        let snapshot = Snapshot::new(Arc::clone(&self.plan), Arc::clone(&self.world) as _, Arc::new(Nowhere));
        at_once(judge(parts, conn.clone(), Recording::open(snapshot, &conn)))
    }

    /// What the first method of authentication says.
    pub(crate) fn authenticate(&self, ask: Ask) -> Authn {
        let arrived = self.arrive(ask);
        at_once(self.method().authenticate(&arrived.facts(), self.world.as_ref()).resolve())
    }

    /// The first method of authentication.
    pub(crate) fn method(&self) -> &dyn Authenticate {
        self.controls().authentication.methods().first().expect("a method").as_ref()
    }

    /// What authorization says.
    pub(crate) fn authorize(&self, ask: Ask, who: &Principal) -> Result<(), Denial> {
        let arrived = self.arrive(ask);
        let facts = arrived.facts();
        let mut checks = self.controls().authorize.iter();
        checks.try_for_each(|one| at_once(one.check.authorize(&facts, who, self.world.as_ref()).resolve()))
    }

    /// What each limit charges the request to. Counts nothing.
    pub(crate) fn charged(&self, ask: Ask, who: &Principal) -> Result<Vec<Charged>, Denial> {
        let arrived = self.arrive(ask);
        let facts = arrived.facts();
        let mut all = Vec::new();
        for one in &self.controls().quotas {
            if let Some(charged) = one.check.charged(&facts, who)? {
                all.push(Charged {
                    name: charged.policy.name.clone(),
                    whose: KeysBuf::from(&charged.keys),
                    cost: charged.cost,
                    late: charged.late.cloned(),
                    charge: one.check.charge(),
                });
            }
        }
        Ok(all)
    }

    /// Counts the request against each limit, and says how each stands.
    pub(crate) fn count(&self, ask: Ask, who: &Principal) -> Result<Vec<Count>, Denial> {
        let arrived = self.arrive(ask);
        let facts = arrived.facts();
        let mut all = Vec::new();
        for one in &self.controls().quotas {
            if let Some(charged) = one.check.charged(&facts, who)? {
                all.push(self.world.counted(charged.limit, &charged.keys, charged.cost));
            }
        }
        Ok(all)
    }

    /// Counts the request against the one limit there is, and says whether it is within it.
    pub(crate) fn is_within(&self, ask: Ask, who: &Principal) -> bool {
        match self.count(ask, who).expect("a counter").as_slice() {
            [count] => count.allowed,
            several => panic!("{} limits", several.len()),
        }
    }

    /// How many of so many equal requests are within the one limit there is.
    pub(crate) fn of(&self, most: usize, ask: impl Fn() -> Ask, who: &Principal) -> usize {
        (0..most).filter(|_| self.is_within(ask(), who)).count()
    }
}

/// A request that has arrived.
pub(crate) struct Arrived<'a> {
    trial: &'a Trial,
    pub(crate) head: Head,
    conn: Conn,
    /// How its address stands.
    pub(crate) source: Standing,
}

impl Arrived<'_> {
    /// What checks know of it.
    pub(crate) fn facts(&self) -> Facts<'_> {
        let plan = &self.trial.plan;
        Facts {
            head: &self.head,
            conn: &self.conn,
            plan,
            route: plan.routes.route(RouteId(0)).expect("a route"),
            route_id: RouteId(0),
            now: self.trial.world.moment(),
            source: self.source,
            holding: None,
            notes: None,
        }
    }
}

/// Enters a request where so many may be in flight, by the first bound there is.
pub(crate) fn enter<'a>(
    trial: &'a Trial,
    facts: &'a Facts<'a>,
    who: &'a Principal,
) -> Step<'a, Result<Option<Held>, Denial>> {
    let bound = trial.controls().in_flight.first().expect("a bound");
    bound.check.enter(facts, who, trial.world.as_ref())
}

/// What comes of a future that need not wait.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// Whom a method established.
pub(crate) fn claimed(authn: Authn) -> Evidence {
    match authn {
        Authn::Claim(evidence) => evidence,
        Authn::ClaimAndTell(..) | Authn::Deny(_) | Authn::NotMine => panic!("{authn:?}"),
    }
}

/// Why a method refused.
pub(crate) fn denied(authn: Authn) -> Denial {
    match authn {
        Authn::Deny(denial) => denial,
        Authn::Claim(_) | Authn::ClaimAndTell(..) | Authn::NotMine => panic!("{authn:?}"),
    }
}

/// One key.
pub(crate) fn one(key: portcullis_core::CountKey<'_>) -> KeysBuf {
    KeysBuf::from(&Keys::one(key))
}

/// Takes no records.
struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}
}
