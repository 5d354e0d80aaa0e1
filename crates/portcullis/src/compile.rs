//! From a document to what runs.
//!
//! Everything that can be found out before the first request is found out here, and all of it is reported together. The
//! result is either complete or not there at all: there is no plan with a part missing.

mod asked;
mod bases;
mod changes;
mod headers;
mod lint;
mod matching;
mod redirects;
mod targets;

use crate::document::{
    AccessLogConfig, AuditLogConfig, GatewayConfig, Limits, MetricsPlan, RequestHeadersConfig, RouteConfig,
    answer_challenges, fingerprint, name_hosts, warn_of_uncovered_hosts,
};
use crate::endpoint::{EndpointHandler, LaterWorld, MAX_BODY_BYTES};
use crate::observe::ObserveConfig;
use bases::{Base, Bases};
use ipnet::IpNet;
use portcullis_checks::authn::AuthenticationConfig;
use portcullis_checks::authn::key_digest::KeyHasher;
use portcullis_checks::build::{Random, system_random};
use portcullis_checks::inspect::openapi::CompiledOpenapi;
use portcullis_checks::quota::overload::Shedding;
use portcullis_checks::quota::plans::{Plans, Subscription};
use portcullis_checks::rehearsal::Doubles;
use portcullis_checks::security::CompiledSecurity;
use portcullis_checks::{Build, RouteAuthentication, SecurityConfig};
use portcullis_config::{Context, Span, Spanned};
use portcullis_core::Inspection;
use portcullis_core::endpoint::Served;
use portcullis_core::error_bodies::ErrorBodies;
use portcullis_core::head::{HeadPolicy, Reserved};

use portcullis_core::route::RouteConflict;
use portcullis_core::route::changes::Changes;
use portcullis_core::route::conditions::Conditions;
use portcullis_core::{
    Control, Controls, CredentialLocation, Job, KeptCredential, MethodSet, Mode, Plan, Route, RouteId,
    RouteTable, TargetId,
};
use portcullis_proxy::tls::Tls;
use portcullis_proxy::tls::Watch;
use portcullis_proxy::tls::acme::Renewal;
use portcullis_proxy::{FrontConfig, GroupKeeper, Handler, Inherited, Target, UpstreamGroup};
use portcullis_runtime::{OutboundPolicy, State, World};
use portcullis_store::{CountNames, FailurePolicy};
use portcullis_telemetry::{MetricsExport, Traces};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use targets::Targets;

pub use headers::HeaderListing;
pub(crate) use lint::short_pepper;

/// The fields of W3C Trace Context.
const TRACE_FIELDS: [&str; 2] = ["traceparent", "tracestate"];

/// Everything that a gateway needs to run.
pub struct Blueprint {
    /// By which requests are judged.
    pub plan: Arc<Plan>,
    /// Where it listens and where requests go.
    pub front: FrontConfig,
    /// What checks may ask of the world.
    pub world: World,
    /// Where the access log goes.
    pub access_log: AccessLogConfig,
    /// Where the audit log goes, if there is one.
    pub audit_log: Option<AuditLogConfig>,
    /// Who watches it.
    pub observe: ObserveConfig,
    /// Where spans of its requests go, if anywhere.
    pub traces: Option<Arc<Traces>>,
    /// How many keys it knows.
    pub keys: usize,
    /// Where more keys are, which come and go.
    pub key_store: Option<portcullis_keys::Settings>,
    /// The plans that consumers and keys of the store can have.
    pub plan_names: Arc<[String]>,
    /// How guessing credentials is slowed down.
    pub failures: FailurePolicy,
    /// Whether it is.
    pub failures_mode: Mode,
    /// Where counters are shared with other gateways, and how, if they are.
    pub shared_store: Option<String>,
    /// What goes on beside requests.
    pub jobs: Vec<Arc<dyn Job>>,
    /// To whom the gateway itself may speak.
    pub outbound: OutboundPolicy,
    /// What it says of header fields.
    pub headers: HeaderListing,
    /// Where the gateway answers its owner, if anywhere.
    pub state_dir: Option<PathBuf>,
    /// What stands for the text of its configuration; see [`Loaded::digest`](crate::Loaded::digest).
    pub digest: String,
    /// What outlives it.
    pub state: State,
    /// What its listeners protect their connections with, by what the next plan finds it.
    pub(crate) protections: Vec<(String, Arc<Tls>)>,
    /// The world, for what the gateway itself answers.
    pub(crate) endpoint_world: LaterWorld,
    pub(crate) targets: Vec<String>,
    /// The groups of upstreams that routes use.
    pub(crate) groups: Vec<Arc<UpstreamGroup>>,
}

/// A route and its controls, as `portcullis check` lists them.
pub struct RouteListing<'a> {
    /// The route.
    pub route: &'a Route,
    /// The upstream server.
    pub target: &'a str,
    /// The controls in the order in which they run, then those that are off.
    pub controls: Vec<Control>,
    /// What else is said of it: what its requests must have, and how they and their answers are changed.
    pub notes: Vec<String>,
}

impl Blueprint {
    fn notes(&self, route: &Route) -> Vec<String> {
        let mut notes = changes::notes(route);
        if let Some(Target::Group(group)) = self.front.targets.get(route.target.0 as usize) {
            notes.extend(group.describe());
        }
        notes
    }

    /// Every route and its controls.
    pub fn listing(&self) -> impl Iterator<Item = RouteListing<'_>> {
        self.plan.routes.iter().map(|route| RouteListing {
            route,
            target: self.targets.get(route.target.0 as usize).map_or("", String::as_str),
            controls: route.controls.list(),
            notes: self.notes(route),
        })
    }
}

/// Compiles a document, against what plans before have left in `state`. Changes nothing there that a running plan would
/// notice. `None` means that `cx.diagnostics` says why.
pub fn compile(
    config: &GatewayConfig,
    handlers: Vec<Arc<dyn Handler>>,
    state: &State,
    cx: &mut Context,
) -> Option<Blueprint> {
    compile_with(config, handlers, system_random, None, state, cx)
}

/// [`compile`], for a rehearsal: with doubles of the secrets of others.
pub(crate) fn compile_rehearsed(
    config: &GatewayConfig,
    doubles: Arc<Doubles>,
    state: &State,
    cx: &mut Context,
) -> Option<Blueprint> {
    compile_with(config, Vec::new(), system_random, Some(doubles), state, cx)
}

/// [`compile`], with another source of randomness for the secrets that are made at the start.
fn compile_with(
    config: &GatewayConfig,
    handlers: Vec<Arc<dyn Handler>>,
    random: Random,
    doubles: Option<Arc<Doubles>>,
    state: &State,
    cx: &mut Context,
) -> Option<Blueprint> {
    let pepper = config.key_pepper.as_ref().map(|pepper| pepper.value.expose().as_bytes());
    let mut build = Build::new(KeyHasher::new(state.secret(), pepper), state.kept().clone());
    build.random = random;
    build.doubles = doubles;
    if let Some(pepper) = &config.key_pepper {
        lint::short_pepper(&pepper.value, pepper.span, cx);
    }
    // SECURITY: of the whole configuration, since a role that is asked for on one route may be given by an issuer of another
    // (a_role_of_one_issuer_is_not_spelled_by_another).
    build.role_prefixes = sections(config)
        .filter_map(|security| security.authentication.as_ref())
        .flat_map(AuthenticationConfig::role_prefixes)
        .collect();
    let headers = headers::configured(config, &mut build, cx);

    let listeners = listeners(config, cx);
    build.asks_for_certificates = config
        .listeners
        .iter()
        .any(|listener| listener.tls.as_ref().is_some_and(|tls| tls.client_certificates.is_some()));
    let workers = workers(config, cx);
    let trusted_proxies = trusted_proxies(config, cx);
    for (index, consumer) in config.consumers.iter().enumerate() {
        let _ = cx.at("consumers", |cx| cx.index(index, |cx| consumer.compile(&mut build, cx)));
    }
    let overload = match &config.overload {
        None => None,
        Some(overload) => cx.at("overload", |cx| overload.compile(&build, cx)),
    };
    let plans = Arc::new(plans(config, &mut build, cx));
    let shedding = overload.clone().map(|(mode, overload)| Shedding::new(mode, overload, Arc::clone(&plans)));
    let shared = match config.store.as_ref().and_then(|store| store.counters.as_ref()) {
        None => None,
        Some(counters) => cx.at("store", |cx| cx.at("counters", |cx| counters.compile(&build, cx))),
    };
    let key_store = match config.store.as_ref().and_then(|store| store.keys.as_ref()) {
        None => None,
        Some(keys) => {
            build.has_key_store = true;
            build.plans = Arc::new(config.plans.keys().cloned().collect());
            let pepper = config.key_pepper.as_ref().map(|pepper| &pepper.value);
            let compile = |cx: &mut Context| keys.compile(pepper, config.state_dir.as_deref(), cx);
            cx.at("store", |cx| cx.at("keys", compile))
        }
    };
    let bases = Bases::compile(config, &mut build, cx);

    let openapi = match &config.openapi {
        None => None,
        Some(openapi) => cx.at("openapi", |cx| openapi.compile(&mut build, cx)),
    };
    let mut error_bodies = ErrorBodies::default();
    for (index, body) in config.error_bodies.iter().enumerate() {
        let _ = cx.at("error_bodies", |cx| cx.index(index, |cx| body.add_to(&mut error_bodies, cx)));
    }
    let changes = changes::of_gateway(config, cx).unwrap_or_default();
    let mut targets = Targets::new(handlers);
    targets.offer(&config.upstreams, &build.kept, cx);
    build.read_fields.extend(targets.read_fields());
    let mut routes = Routes { bases, plans, shedding, openapi, changes, targets, routes: Vec::new() };
    if config.routes.is_empty() {
        cx.error("config.empty_list", config.at, "there are no routes")
            .help("add a route, with `path` and `upstream`");
    }
    for (index, route) in config.routes.iter().enumerate() {
        cx.at("routes", |cx| cx.index(index, |cx| routes.add(route, &mut build, cx)));
    }
    let Routes { bases, mut targets, mut routes, .. } = routes;
    bases.warn_of_unused(cx);
    targets.warn_of_unused(cx);
    let groups = targets.used_groups();
    if let Some(checks) = GroupKeeper::of(groups.clone()) {
        build.add_job(Arc::new(checks));
    }
    let endpoint_world = LaterWorld::default();
    serve_endpoints(&build.endpoints, bases.gateway(), &endpoint_world, &mut routes, &mut targets);
    let unrouted = unrouted(bases.gateway())?;
    let outbound = match &config.outbound {
        None => Some(OutboundPolicy::default()),
        Some(outbound) => cx.at("outbound", |cx| outbound.compile(cx)),
    };
    let brute_force = match &config.brute_force {
        None => Some((FailurePolicy::DEFAULT, Mode::Enforce)),
        Some(brute_force) => cx.at("brute_force", |cx| brute_force.compile(cx)),
    };
    let admin = match &config.admin {
        None => Some(None),
        Some(admin) => cx.at("admin", |cx| admin.compile(config.state_dir.as_deref(), cx)).map(Some),
    };
    let metrics = match &config.metrics {
        None => Some(None),
        Some(metrics) => cx.at("metrics", |cx| metrics.compile(cx)).map(Some),
    };
    let detection = match &config.detection {
        None => Some(None),
        Some(detection) => cx.at("detection", |cx| detection.compile(cx)).map(Some),
    };
    let webhook = detection.iter().flatten().filter_map(|detection| detection.webhook.clone());
    webhook.for_each(|webhook| build.add_job(webhook));
    let tracing = match &config.tracing {
        None => Some(None),
        Some(tracing) => cx.at("tracing", |cx| tracing.compile(cx)).map(Some),
    };
    if let Some(outbound) = &outbound {
        asked::judge(config, std::mem::take(&mut build.asked), outbound, cx);
    }
    let limits = match &config.limits {
        None => Some(Limits::default()),
        Some(limits) => cx.at("limits", |cx| limits.compile(cx)),
    };
    for (index, accepted) in config.accepted_findings.iter().enumerate() {
        let paths = config.routes.iter().map(|route| &route.path.value);
        cx.at("accepted_findings", |cx| cx.index(index, |cx| accepted.check(paths, cx)));
    }
    let identity_fields = headers::of_identity(&routes);
    headers::readable(&identity_fields, &build, cx);
    lint::missing_keys(config, &build, cx);
    lint::expired_keys(config, cx);
    lint::open_below(config, cx);
    if cx.diagnostics.has_errors() {
        return None;
    }
    build.check_operations(cx);

    matching::no_weaker_choice(config, &routes, cx)?;
    if let Some(limits) = &limits {
        hold_fits(&routes, limits.max_held_bytes, &config.routes, cx)?;
    }
    let credentials = credentials(&routes);
    let table = match RouteTable::build(routes) {
        Ok(table) => table.with_unrouted(unrouted),
        Err(conflicts) => {
            conflicts.iter().for_each(|conflict| report(conflict, &config.routes, cx));
            return None;
        }
    };
    let mut fields = headers::rules(config, &identity_fields, &credentials, &build, cx)?;
    // An alias of a header that is routed by is another route's to a backend that knows no difference.
    for (name, _) in table.iter().flat_map(|route| &route.conditions.headers) {
        fields.credential(name.as_str());
    }
    let tracing = tracing?;
    if tracing.is_some() {
        // SECURITY: what a client says of a trace is not believed; what a trusted proxy says is read before it is removed
        // (a_trace_of_a_client_is_not_believed).
        TRACE_FIELDS.iter().for_each(|field| fields.set_by_gateway(field));
    }
    let sampling = tracing.as_ref().map(|tracing| tracing.sampling);
    let traces = tracing.map(|tracing| {
        let name = format!("traces {}", fingerprint(&tracing.collector));
        state.kept().keep(&name, || Traces::new(tracing.collector))
    });
    if let Some(traces) = &traces {
        build.add_job(Arc::clone(traces) as Arc<dyn Job>);
    }
    let MetricsPlan { bind, export } = metrics?.unwrap_or_default();
    let metrics_export = export.map(|(collector, every)| {
        let name = format!("metrics {every:?} {}", fingerprint(&collector));
        state.kept().keep(&name, || MetricsExport::new(collector, every))
    });
    if let Some(export) = &metrics_export {
        build.add_job(Arc::clone(export) as Arc<dyn Job>);
    }
    let Limits { max_target_bytes, max_fields, max_field_bytes, max_head_bytes, max_held_bytes } = limits?;
    let head = HeadPolicy {
        max_target_bytes,
        max_fields,
        max_field_bytes,
        max_head_bytes,
        trusted_proxies: trusted_proxies?,
        judged_first: headers::judged_first(&fields, &build),
        rules: fields,
        reserved: config.routes.iter().fold(Reserved::NONE, |all, route| all.with(route.reserved())),
        method_override: config
            .request_headers
            .as_ref()
            .map(RequestHeadersConfig::method_override)
            .unwrap_or_default(),
        request_id: config
            .request_headers
            .as_ref()
            .map(RequestHeadersConfig::request_ids)
            .unwrap_or_default(),
        sends_forwarded: config.request_headers.as_ref().is_some_and(|headers| headers.forwarded),
        tracing: sampling,
    };
    redirects::no_circle(&table, &targets.all, &head, &config.routes, cx)?;
    let names = CountNames {
        limits: build.limits(),
        consumers: build.counted_as(),
        routes: table.iter().map(name_of).chain([Arc::from("unrouted")]).collect(),
    };
    let keys = build.keys.len();
    let (failures, failures_mode) = brute_force?;
    let mut listeners = listeners?;
    name_hosts(&mut listeners, config, cx);
    answer_challenges(&mut listeners, config, cx);
    if cx.diagnostics.has_errors() {
        return None;
    }
    warn_of_uncovered_hosts(&listeners, &config.routes, cx);
    let protections = protections(&mut listeners, &mut build);
    let admin_tls = admin.iter().flatten().filter_map(|admin| admin.tls.clone());
    admin_tls.for_each(|tls| build.add_job(Arc::new(Watch::new(tls))));
    Some(Blueprint {
        plan: Arc::new(Plan {
            head,
            routes: table,
            consumers: build.consumers,
            credentials,
            max_held_bytes,
            error_bodies,
            policies: build.policies,
        }),
        front: FrontConfig {
            listeners,
            workers: workers?,
            targets: targets.all,
            drain: config.drain,
            inherited: Inherited::default(),
        },
        world: World::new(state, names, build.keys, shared.clone())
            .with_failures(failures, failures_mode)
            .with_overload(overload.filter(|(mode, _)| *mode != Mode::Off).map(|(_, overload)| overload)),
        access_log: config.access_log.clone(),
        audit_log: config.audit_log.clone(),
        observe: ObserveConfig { metrics: bind, metrics_export, admin: admin?, detection: detection? },
        traces,
        keys,
        key_store,
        plan_names: config.plans.keys().cloned().collect(),
        failures,
        failures_mode,
        shared_store: shared.as_ref().map(|shared| shared.describe()),
        jobs: build.jobs,
        outbound: outbound?,
        headers: headers?,
        state_dir: config.state_dir.clone(),
        digest: String::new(),
        state: state.clone(),
        protections,
        endpoint_world,
        targets: targets.names,
        groups,
    })
}

/// Every section `security` that is written.
fn sections(config: &GatewayConfig) -> impl Iterator<Item = &SecurityConfig> {
    let shared = config.security.iter().chain(config.security_profiles.values());
    shared.chain(config.routes.iter().filter_map(RouteConfig::sections))
}

/// What consumers' plans allow.
fn plans(config: &GatewayConfig, build: &mut Build, cx: &mut Context) -> Plans {
    let priorities = config.plans.values().filter_map(|plan| plan.priority.as_ref());
    for priority in priorities.filter(|_| config.overload.is_none()) {
        cx.error("config.plan_priority", priority.span, "a priority has no effect without `overload`")
            .help("add `overload: { max_delay: 50ms }` at the top, or remove `priority`");
    }
    let subscriptions: Vec<Subscription<'_>> = config
        .consumers
        .iter()
        .filter_map(|consumer| {
            Some(Subscription {
                consumer: build.consumers.named(&consumer.name.value)?,
                name: &consumer.name.value,
                plan: consumer.plan.as_ref(),
                rate_limiting: consumer.rate_limiting.as_ref(),
                quota: consumer.quota.as_ref(),
            })
        })
        .collect();
    Plans::compile(&config.plans, &subscriptions, build, cx)
}

/// What the requests of a route are counted under: what it matches.
fn name_of(route: &Route) -> Arc<str> {
    let Route { hosts, methods, path, conditions, .. } = route;
    let name = format!("{} {} {path}", hosts.join(","), methods.describe());
    Arc::from(if conditions.count() == 0 { name } else { format!("{name} {conditions}") })
}

/// Has each listener go on with the TLS that the running plan's has, where it is told the same: its tickets stay good, and
/// an order for a certificate goes on. Gives what each is found by.
fn protections(listeners: &mut [portcullis_proxy::Listener], build: &mut Build) -> Vec<(String, Arc<Tls>)> {
    let mut protections: Vec<(String, Arc<Tls>)> = Vec::new();
    for listener in listeners {
        let Some(tls) = &mut listener.tls else { continue };
        // Several can have port 0.
        let same =
            protections.iter().filter(|(name, _)| name.starts_with(&format!("{} ", listener.bind))).count();
        let name = format!("{} {same}", listener.bind);
        if let Some(there) =
            build.kept.find::<Tls>(&name).filter(|there| there.settings().says_as(tls.settings()))
        {
            *tls = there;
        }
        let watched = Arc::clone(tls);
        let watch = build.kept.find::<Watch>(&name).filter(|there| there.is_of(&watched));
        build.add_job(watch.unwrap_or_else(|| build.kept.insert(&name, Arc::new(Watch::new(watched)))));
        let renewal = build.kept.find::<Renewal>(&name).filter(|there| there.is_of(tls));
        if let Some(renewal) = renewal.or_else(|| Some(build.kept.insert(&name, Arc::new(Renewal::of(tls)?))))
        {
            build.add_job(renewal);
        }
        protections.push((name, Arc::clone(tls)));
    }
    protections
}

/// That the largest body of each route that must be held has room.
fn hold_fits(routes: &[Route], held: usize, configs: &[RouteConfig], cx: &mut Context) -> Option<()> {
    for (route, config) in routes.iter().zip(configs) {
        let Controls { inspection, max_body_bytes, .. } = route.controls.as_ref();
        if !inspection.requests.is_empty() && usize::try_from(*max_body_bytes).is_ok_and(|most| most > held) {
            cx.error(
                "config.limit",
                config.path.span,
                format!("this route holds bodies to validate them, and its maximum body size is larger than the {held} bytes of memory for that"),
            )
            .help("raise `limits.max_held_size`, or lower the route's `body.max_size`");
            return None;
        }
    }
    Some(())
}

/// Adds a route for each thing that the gateway itself answers.
// SECURITY: an endpoint is a route: addresses and limits of the gateway hold for it as well
// (what_the_gateway_answers_is_screened_and_counted).
fn serve_endpoints(
    endpoints: &[Served],
    gateway: &CompiledSecurity,
    world: &LaterWorld,
    routes: &mut Vec<Route>,
    targets: &mut Targets,
) {
    let mut places: Vec<(&str, &[String])> = Vec::new();
    for served in endpoints {
        // The same thing can be asked for in several sections.
        let place = (served.path.as_str(), served.hosts.as_slice());
        if places.contains(&place) {
            continue;
        }
        places.push(place);
        let handler = EndpointHandler { endpoint: Arc::clone(&served.endpoint), world: Arc::clone(world) };
        let target = targets.push(Target::Handler(Arc::new(handler)), "the gateway itself".to_owned());
        let public = RouteAuthentication::Public(served.endpoint.describe());
        let Some(inherited) = CompiledSecurity::default().controls(gateway, &public) else { continue };
        let controls = Controls {
            shape: Vec::new(),
            kept_credentials: served
                .keeps
                .iter()
                .cloned()
                .map(|location| KeptCredential { location, by: None })
                .collect(),
            max_body_bytes: MAX_BODY_BYTES,
            inspection: Inspection::default(),
            ..inherited
        };
        routes.push(Route {
            path: served.path.clone(),
            hosts: served.hosts.clone(),
            methods: served.methods.clone(),
            controls: Arc::new(controls),
            target,
            reserved: Reserved::NONE,
            upgrades: Vec::new(),
            conditions: Conditions::default(),
            changes: None,
        });
    }
}

/// What stands for requests that no route takes: a public route of the gateway's sections.
fn unrouted(gateway: &CompiledSecurity) -> Option<Route> {
    let public = RouteAuthentication::Public("no route takes it".into());
    Some(Route {
        path: String::new(),
        hosts: Vec::new(),
        methods: MethodSet::NONE,
        controls: Arc::new(CompiledSecurity::default().controls(gateway, &public)?),
        target: TargetId(u32::MAX),
        reserved: Reserved::NONE,
        upgrades: Vec::new(),
        conditions: Conditions::default(),
        changes: None,
    })
}

fn listeners(config: &GatewayConfig, cx: &mut Context) -> Option<Vec<portcullis_proxy::Listener>> {
    if config.listeners.is_empty() {
        cx.error("config.empty_list", config.at, "there are no listeners")
            .help("add `listeners: [{ bind: \"127.0.0.1:3000\" }]`");
        return None;
    }
    let mut listeners = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let compiled = cx.at("listeners", |cx| cx.index(index, |cx| listener.compile(cx)));
        let earlier =
            config.listeners.iter().take(index).find(|earlier| earlier.bind.value == listener.bind.value);
        if let Some(earlier) = earlier.filter(|_| listener.bind.value.port() != 0) {
            cx.error("config.duplicate_listener", listener.bind.span, "two listeners have this address")
                .related(earlier.bind.span, "the other one");
        }
        listeners.extend(compiled);
    }
    Some(listeners)
}

fn trusted_proxies(config: &GatewayConfig, cx: &mut Context) -> Option<Vec<IpNet>> {
    // SECURITY: where everybody is a trusted proxy, everybody chooses the address that lists and limits go by
    // (every_code_points_to_its_place_and_says_what_to_do).
    let everybody = config.trusted_proxies.iter().filter(|network| network.value.0.prefix_len() == 0);
    let mut networks = Some(config.trusted_proxies.iter().map(|network| network.value.0).collect());
    for network in everybody {
        cx.error(
            "config.trusts_everybody",
            network.span,
            "this trusts every client as a proxy, so every client could forge its address",
        )
        .help("name the networks of the proxies themselves, such as `10.1.0.0/16`");
        networks = None;
    }
    networks
}

/// More threads than any machine has cores would take its memory before the first request.
const MAX_WORKERS: u32 = 1024;

fn workers(config: &GatewayConfig, cx: &mut Context) -> Option<NonZeroUsize> {
    let Some(workers) = &config.workers else {
        return Some(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    };
    if workers.value.get() > MAX_WORKERS {
        cx.error("config.out_of_range", workers.span, format!("{} threads are too many", workers.value))
            .label(format!("expected a whole number from 1 to {MAX_WORKERS}"))
            .help("leave the key out for one per core");
        return None;
    }
    NonZeroUsize::new(workers.value.get() as usize)
}

struct Routes {
    bases: Bases,
    /// What consumers' plans allow.
    plans: Arc<Plans>,
    /// What is given up while the gateway is too slow.
    shedding: Option<Shedding>,
    /// The gateway's own document, if there is one.
    openapi: Option<CompiledOpenapi>,
    /// What is changed on every route.
    changes: Changes,
    targets: Targets,
    routes: Vec<Route>,
}

impl Routes {
    fn add(&mut self, config: &RouteConfig, build: &mut Build, cx: &mut Context) {
        // Each is looked at before the first failure counts, so that all failures are reported.
        let path = config.checked_path(cx).map(|value| Spanned { value, span: config.path.span });
        let read = path.as_ref().unwrap_or(&config.path);
        let hosts = config.canonical_hosts(cx);
        let methods = config.method_set(cx);
        let upgrades = config.upgrades(cx);
        build.scope = Arc::from(format!("route {}", config.stable_name()));
        let base = self.bases.of(config.security.as_ref(), cx);
        let (fits, controls) = match base {
            None => (None, None),
            Some(base) => (
                fits_path(config, read, base, cx),
                controls(config, base, &self.plans, self.shedding.as_ref(), build, cx),
            ),
        };
        let target = self.targets.of_route(config, &read.value, &build.kept, cx);
        let changes = changes::of_route(config, &self.changes, &read.value, cx);
        let conditions = match &config.r#match {
            None => Some(Conditions::default()),
            Some(matching) => cx.at("match", |cx| matching.compile(&build.fields, cx)),
        };
        let openapi = match &config.openapi {
            None => Some(self.openapi.clone()),
            Some(own) => cx.at("openapi", |cx| own.compile(build, cx)).map(Some),
        };
        let controls = match (openapi, controls, &methods) {
            (Some(Some(openapi)), Some(controls), Some(methods)) => {
                openapi.applied(&controls, read, methods, cx).map(Arc::new)
            }
            (Some(None), controls, _) => controls,
            (None, ..) | (Some(Some(_)), ..) => None,
        };
        if let (
            Some(Spanned { value: path, .. }),
            Some(hosts),
            Some(methods),
            Some(upgrades),
            Some(()),
            Some(controls),
            Some(target),
            Some(changes),
            Some(conditions),
        ) = (path, hosts, methods, upgrades, fits, controls, target, changes, conditions)
        {
            let reserved = config.reserved();
            self.routes.push(Route {
                path,
                hosts,
                methods,
                controls,
                target,
                reserved,
                upgrades,
                conditions,
                changes,
            });
        }
    }
}

/// That what the route's sections say of its path is true of it.
fn fits_path(config: &RouteConfig, path: &Spanned<String>, base: &Base, cx: &mut Context) -> Option<()> {
    let public = config.public.is_some();
    SecurityConfig::fits_path(config.sections(), base.config.as_ref(), public, path, cx)
}

fn controls(
    config: &RouteConfig,
    base: &mut Base,
    plans: &Arc<Plans>,
    shedding: Option<&Shedding>,
    build: &mut Build,
    cx: &mut Context,
) -> Option<Arc<Controls>> {
    let own = match config.sections() {
        None => CompiledSecurity::default(),
        Some(security) => cx.at("security", |cx| security.compile(build, cx))?,
    };
    if let Some(public) = &config.public {
        if own.asks_who() {
            cx.error(
                "config.public_and_not",
                public.span,
                "the route is public, but also has authentication or authorization",
            )
            .help("remove `public`, or the route's `authentication` and `authorization`");
            return None;
        }
        let reason = public.value.0.clone();
        if own.is_empty()
            && let Some(shared) = base.public.get(&*reason)
        {
            return Some(Arc::clone(shared));
        }
        let mut controls = own.controls(&base.compiled, &RouteAuthentication::Public(reason.clone()))?;
        shedding.into_iter().for_each(|shedding| shedding.add_to(&mut controls));
        let controls = Arc::new(controls);
        if own.is_empty() {
            base.public.insert(reason, Arc::clone(&controls));
        }
        return Some(controls);
    }
    lint::roles(config.sections(), base.config.as_ref(), build, cx);
    if own.is_empty()
        && let Some(shared) = &base.shared
    {
        return Some(Arc::clone(shared));
    }
    match own.controls(&base.compiled, &RouteAuthentication::Required) {
        Some(mut controls) => {
            plans.add_to(&mut controls);
            shedding.into_iter().for_each(|shedding| shedding.add_to(&mut controls));
            let controls = Arc::new(controls);
            if own.is_empty() {
                base.shared = Some(Arc::clone(&controls));
            }
            Some(controls)
        }
        // The statement that it inherits was there, and wrong: one error is enough.
        None if base.config.as_ref().is_some_and(|base| base.authentication.is_some()) => None,
        None => {
            // SECURITY: a route without a statement does not load (a_route_without_a_statement_is_refused).
            cx.error("config.no_authentication", config.path.span, "this route has no authentication")
                .help("add `security: { authentication: { type: api_key } }` here or for the whole gateway, or open the route with `public: \"why\"`");
            None
        }
    }
}

/// Where any route looks for a credential.
fn credentials(routes: &[Route]) -> Vec<CredentialLocation> {
    let mut credentials: Vec<CredentialLocation> = Vec::new();
    let mut seen: Option<*const Controls> = None;
    for route in routes {
        // Thousands of routes share one set of controls; looking at it once is enough.
        if seen.replace(Arc::as_ptr(&route.controls)) == Some(Arc::as_ptr(&route.controls)) {
            continue;
        }
        let methods = route.controls.authentication.methods();
        for location in methods.iter().flat_map(|method| method.credentials()) {
            if !credentials.contains(&location) {
                credentials.push(location);
            }
        }
    }
    credentials
}

fn report(conflict: &RouteConflict, routes: &[RouteConfig], cx: &mut Context) {
    let at = |id: RouteId| routes.get(id.0 as usize).map_or(Span::NONE, |route| route.path.span);
    match conflict {
        RouteConflict::Same { route, with } => {
            cx.error(
                "config.duplicate_route",
                at(*route),
                "another route has this host, path, method and `match`",
            )
            .related(at(*with), "the other one");
        }
        RouteConflict::Overlap { route, with } => {
            cx.error(
                "config.overlapping_routes",
                at(*route),
                format!("this path overlaps with `{with}`, so a request could belong to both"),
            )
            .help("use the same parameter names in paths of the same form");
        }
        RouteConflict::Syntax { route, reason } => {
            cx.error("config.route_path", at(*route), format!("this is not a path: {reason}"))
                .help("write it as clients do, such as `/orders/{id}`");
        }
    }
}

#[cfg(test)]
mod tests;
