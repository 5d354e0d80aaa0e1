//! What is tried on a target: one request that passes, and the same with one thing changed.

use super::people::{Candidate, candidates, combinations, refusals};
use super::stand::{OUTSIDER, Rehearsal};
use super::target::Target;
use super::tricks;
use super::{Expected, Passage};
use crate::judge::request::SOMEBODY;
use crate::judge::{Refusal, Request, Stage, UpstreamAnswer, UsedUp, Verdict};
use bytes::Bytes;
use portcullis_checks::authn::MethodConfig;
use portcullis_checks::authn::method::Establishes;
use portcullis_checks::rehearsal::{Attack, Credential, PolicySays, Stage as Circumstances};
use portcullis_checks::{Cidr, ModeConfig};
use portcullis_core::route::conditions::Wanted;
use portcullis_core::{CredentialLocation, RouteId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// One request, and what it must come to.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is tried; `None` for a request that must pass.
    pub attack: Option<Attack>,
    /// How, where there are several ways.
    pub how: String,
    /// The request.
    pub request: Request,
    /// What it must come to.
    pub expected: Expected,
    /// The route that it is about.
    pub route: RouteId,
    /// Whether it may go upstream by another route.
    pub own_route_only: bool,
    /// The last stage in which it may be refused: a refusal after it is by a check that is there for something else.
    pub latest: Stage,
    /// How often the same is sent before, and must pass.
    pub sent_before: u32,
    /// What is sent before in its place.
    pub before: Option<Request>,
    /// How slow the gateway is meanwhile: so many priorities are given up.
    pub given_up: u32,
    /// How many of the same go on meanwhile, and must have passed.
    pub held: u32,
    /// Whether each of those comes from another address.
    pub held_elsewhere: bool,
    /// Which limits others have used up.
    pub used_up: UsedUp,
    /// What policy servers say.
    pub policies: PolicySays,
    /// What the upstream answers, if that matters.
    pub answer: Option<UpstreamAnswer>,
}

/// How many others of those who may are tried.
const MOST_OTHERS: usize = 6;

/// Addresses of documents (RFC 5737, RFC 3849) and others, of which one is let in almost everywhere.
pub(super) const ADDRESSES: [&str; 6] =
    ["192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "10.20.30.40", "127.0.0.1"];

pub(super) struct Builder<'a> {
    pub(super) rehearsal: &'a Rehearsal,
    pub(super) target: &'a Target<'a>,
    pub(super) cases: Vec<Case>,
}

/// Somebody who passes, with the request that shows it.
pub(super) struct Base<'a> {
    pub(super) methods: Vec<&'a MethodConfig>,
    pub(super) candidate: Candidate,
    pub(super) request: Request,
}

/// The cases of a target. The first part says whether some request passes.
pub(super) fn generate(rehearsal: &Rehearsal, target: &Target<'_>) -> (Result<(), String>, Vec<Case>) {
    let mut builder = Builder { rehearsal, target, cases: Vec::new() };
    let combinations = combinations(target);
    let mut proven = Err("nothing was tried".to_owned());
    if combinations.is_empty() {
        let anybody = Candidate {
            person: Default::default(),
            credential: Credential::default(),
            parameters: BTreeMap::new(),
        };
        match builder.passing(std::slice::from_ref(&anybody), &[]) {
            Ok(base) => {
                builder.shared(&base);
                proven = Ok(());
            }
            Err(why) => {
                proven = Err(why);
                builder.not_named(&[anybody], &[]);
            }
        }
        return (proven, builder.cases);
    }
    let several = combinations.len() > 1;
    let mut shown = false;
    for methods in combinations {
        let stage = builder.stage();
        let consumers = rehearsal.consumers();
        let stage = Circumstances { consumers: &consumers, ..stage };
        let everybody = candidates(rehearsal, target, &methods, &stage);
        let base = everybody
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|everybody| builder.passing(everybody, &methods));
        let everybody = everybody.unwrap_or_default();
        match base {
            Ok(base) => {
                builder.others(&base, &everybody);
                builder.credentials(&base, &stage, several);
                if several {
                    builder.beside_others(&base, &stage);
                }
                builder.rights(&base, &stage);
                if !shown {
                    shown = true;
                    builder.shared(&base);
                    builder.counted_together(&base, &everybody);
                }
                builder.while_slow(&base, &everybody);
                proven = Ok(());
            }
            Err(why) => {
                builder.not_named(&everybody, &methods);
                builder.nobody_may(&methods, &stage);
                if !shown {
                    proven = Err(why);
                }
            }
        }
    }
    if !shown {
        // Without a request that passes nothing is proven, and yet nobody may get in without a credential.
        let bare = builder.request(&BTreeMap::new(), &Credential::default(), SOMEBODY);
        builder.attack(Attack::NoCredential, "", bare);
    }
    (proven, builder.cases)
}

impl<'a> Builder<'a> {
    fn stage(&self) -> Circumstances<'a> {
        let scheme = if self.tls() { "https" } else { "http" };
        Circumstances {
            doubles: &self.rehearsal.doubles,
            consumers: &[],
            now: self.rehearsal.judge.bench().time(),
            method: &self.target.method,
            url: format!("{scheme}://{}{}", self.host(), self.path(&BTreeMap::new())),
            body: self.body().map(|(_, content)| Bytes::from(content)).unwrap_or_default(),
        }
    }

    fn tls(&self) -> bool {
        self.rehearsal.config.listeners.first().is_some_and(|listener| listener.tls.is_some())
    }

    /// A host of the route; of a pattern, one that it covers.
    fn host(&self) -> String {
        let host = self.target.compiled.hosts.first().map_or("api.example.com", String::as_str);
        host.replace("*.", "rehearsal.")
    }

    /// The path with these parameters, and others made up.
    fn path(&self, parameters: &BTreeMap<String, String>) -> String {
        let operation = self.target.operation.as_ref();
        let value = |name: &str| {
            let own = parameters.get(name).cloned();
            let sample = operation.and_then(|operation| {
                operation.parameters.iter().find(|(there, _)| there == name).map(|(_, value)| value.clone())
            });
            own.or(sample).unwrap_or_else(|| format!("rehearsal-{name}"))
        };
        // A route knows its parameters by its own names, and an operation by others.
        let template =
            operation.map_or(Vec::new(), |operation| operation.template.split('/').rev().collect());
        let mut segments: Vec<String> = Vec::new();
        let route: Vec<&str> = self.target.compiled.path.split('/').collect();
        for (index, segment) in route.iter().enumerate() {
            let inner = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
            let Some(name) = inner else {
                segments.push((*segment).to_owned());
                continue;
            };
            if let Some(rest) = name.strip_prefix('*') {
                match operation {
                    // What stands in place of the rest is the operation's own path, without what stood before it.
                    Some(operation) => {
                        let whole: Vec<&str> =
                            operation.template.trim_start_matches('/').split('/').collect();
                        let before = segments.iter().filter(|segment| !segment.is_empty()).count();
                        let is_before =
                            whole.iter().zip(segments.iter().filter(|segment| !segment.is_empty()));
                        let shared = is_before.take_while(|(own, there)| **own == there.as_str()).count();
                        let skipped = if shared == before { before } else { 0 };
                        for part in whole.iter().skip(skipped) {
                            let inner = part.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
                            segments
                                .push(inner.map_or_else(|| (*part).to_owned(), |name| escaped(&value(name))));
                        }
                    }
                    None => segments.push(escaped(&value(rest))),
                }
                continue;
            }
            let from_end = route.len() - 1 - index;
            let theirs = template
                .get(from_end)
                .and_then(|part| part.strip_prefix('{'))
                .and_then(|part| part.strip_suffix('}'));
            let own = parameters.get(name).cloned();
            segments.push(escaped(&own.unwrap_or_else(|| value(theirs.unwrap_or(name)))));
        }
        segments.join("/")
    }

    pub(super) fn request(
        &self,
        parameters: &BTreeMap<String, String>,
        credential: &Credential,
        client: IpAddr,
    ) -> Request {
        let mut request = Request::new(&self.target.method, &self.path(parameters));
        request.headers = vec![
            ("host".to_owned(), self.host()),
            ("user-agent".to_owned(), "portcullis-rehearsal/1".to_owned()),
            ("accept".to_owned(), "*/*".to_owned()),
        ];
        request.client = client;
        request.tls = self.tls();
        if let Some(operation) = &self.target.operation {
            request.headers.extend(operation.headers.iter().cloned());
            for (name, value) in &operation.query {
                add_query(&mut request, name, value);
            }
        }
        // What the route is chosen by.
        let chosen = |wanted: &Wanted| match wanted {
            Wanted::Present => "rehearsal".to_owned(),
            Wanted::Value(value) => value.clone(),
        };
        let conditions = &self.target.compiled.conditions;
        request
            .headers
            .extend(conditions.headers.iter().map(|(name, wanted)| (name.to_string(), chosen(wanted))));
        for (name, wanted) in &conditions.query {
            add_query(&mut request, name, &chosen(wanted));
        }
        if let Some((media_type, content)) = self.body() {
            request.headers.push(("content-type".to_owned(), media_type));
            request.body = Bytes::from(content);
        }
        with(request, credential)
    }

    /// A body that the route takes, with its media type; `None` where it needs none, as far as is known.
    fn body(&self) -> Option<(String, String)> {
        let bodiless = matches!(self.target.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
        if let Some(operation) = &self.target.operation {
            return operation.body.clone();
        }
        let security = self.target.security.as_ref()?;
        if bodiless {
            return None;
        }
        if let Some(graphql) = &security.graphql {
            let registered = graphql.safelist.as_ref().and_then(|safelist| safelist.sample());
            let query = registered.unwrap_or_else(|| "{ __typename }".to_owned());
            return Some(("application/json".to_owned(), serde_json::json!({ "query": query }).to_string()));
        }
        security.validation.as_ref()?.sample()
    }

    /// The first of these who passes.
    fn passing<'m>(
        &mut self,
        people: &[Candidate],
        methods: &[&'m MethodConfig],
    ) -> Result<Base<'m>, String> {
        let mut why = "nobody could be asked".to_owned();
        for candidate in people {
            for address in self.addresses() {
                let request = self.request(&candidate.parameters, &candidate.credential, address);
                self.rehearsal.judge.forget();
                let verdict = self.rehearsal.judge.decide(&request);
                if verdict.is_forwarded() && verdict.route == Some(self.target.route) {
                    // A session, a nonce or a proof is good once.
                    let (request, credential) = self.fresh(candidate, methods, address);
                    let passage = self.passage(candidate, &credential, methods, &verdict);
                    self.push(None, "", request.clone(), Expected::Passed(passage));
                    return Ok(Base { methods: methods.to_vec(), candidate: candidate.clone(), request });
                }
                why = told(&verdict, self.target.route);
                if verdict.refusal().is_none_or(|refusal| refusal.code != "address_refused") {
                    break;
                }
            }
        }
        Err(why)
    }

    /// Where no consumer has what the route asks for, each of them is refused.
    fn nobody_may(&mut self, methods: &[&MethodConfig], stage: &Circumstances<'_>) {
        if !methods.iter().any(|method| method.establishes() == Establishes::Consumers) {
            return;
        }
        for known in stage.consumers {
            let person = known.person();
            let Some(attack) = refusals(self.target, &person).first().copied() else { continue };
            let shown: Option<Vec<_>> =
                methods.iter().map(|method| method.good(&person, stage).ok()).collect();
            if let Some(shown) = shown {
                let credential = shown.into_iter().fold(Credential::default(), Credential::and);
                let request = self.request(&BTreeMap::new(), &credential, SOMEBODY);
                self.attack(attack, &format!("by {}", known.name), request);
            }
        }
    }

    /// A credential of a method that the route takes, and the operation does not name; and content that was made up, where that is
    /// refused.
    fn not_named(&mut self, people: &[Candidate], methods: &[&MethodConfig]) {
        let Some(candidate) = people.first() else { return };
        let (request, _) = self.fresh(candidate, methods, SOMEBODY);
        self.rehearsal.judge.forget();
        let verdict = self.rehearsal.judge.decide(&request);
        let by_document =
            |refusal: &Refusal| refusal.check == Some("authz.openapi") && refusal.code == "scope_missing";
        if verdict.refusal().is_some_and(by_document) {
            let (request, _) = self.fresh(candidate, methods, SOMEBODY);
            self.attack(Attack::WrongPurpose, "of a method that the operation does not name", request);
            if let Some(case) = self.cases.last_mut() {
                case.latest = Stage::Inspect;
            }
        }
        let content = ["inspect.openapi", "inspect.validation", "inspect.graphql"];
        if verdict
            .refusal()
            .is_some_and(|refusal| refusal.check.is_some_and(|check| content.contains(&check)))
        {
            let (request, _) = self.fresh(candidate, methods, SOMEBODY);
            self.attack(Attack::Undeclared, "made up", request);
        }
        // What comes before everything else needs nobody who passes.
        let (request, _) = self.fresh(candidate, methods, SOMEBODY);
        let base = Base { methods: methods.to_vec(), candidate: candidate.clone(), request };
        self.hosts_refused(&base);
        self.methods_refused(&base);
        self.unmatched(&base);
    }

    /// Others who may as well: whoever passes today must pass after the next change.
    fn others(&mut self, base: &Base<'_>, everybody: &[Candidate]) {
        let others = everybody.iter().filter(|other| other.person.name != base.candidate.person.name);
        for candidate in others.take(MOST_OTHERS) {
            let address = base.request.client;
            let (request, _) = self.fresh(candidate, &base.methods, address);
            self.rehearsal.judge.forget();
            let verdict = self.rehearsal.judge.decide(&request);
            if verdict.is_forwarded() && verdict.route == Some(self.target.route) {
                let (request, credential) = self.fresh(candidate, &base.methods, address);
                let passage = self.passage(candidate, &credential, &base.methods, &verdict);
                self.push(None, &format!("by {}", candidate.person.name), request, Expected::Passed(passage));
                if base.methods.len() > 1 {
                    self.beside_own(base, candidate);
                }
                // Limits differ by plan and by consumer.
                let known = self.rehearsal.config.consumers.iter();
                let mut known = known.filter(|known| known.name.value == candidate.person.name);
                if known.any(|known| {
                    known.plan.is_some() || known.rate_limiting.is_some() || known.quota.is_some()
                }) {
                    let whose = format!(", by {}", candidate.person.name);
                    self.each_limit(candidate, &base.methods, address, &whose);
                }
            }
        }
    }

    /// Where several credentials are needed: each wrong one of another person beside the good others.
    fn beside_own(&mut self, base: &Base<'_>, candidate: &Candidate) {
        let consumers = self.rehearsal.consumers();
        let stage =
            Circumstances { consumers: &consumers, url: self.url(&candidate.parameters), ..self.stage() };
        for (index, method) in base.methods.iter().enumerate() {
            let others = base.methods.iter().enumerate().filter(|(other, _)| *other != index);
            let others: Result<Vec<_>, _> =
                others.map(|(_, other)| other.good(&candidate.person, &stage)).collect();
            let Ok(others) = others else { continue };
            let others = others.into_iter().fold(Credential::default(), Credential::and);
            for (attack, wrong) in method.wrong(&candidate.person, &stage) {
                let credential = wrong.and(others.clone());
                let request = self.request(&candidate.parameters, &credential, base.request.client);
                self.attack(attack, &format!("by {}", candidate.person.name), request);
            }
        }
    }

    /// What must be true of a request of somebody that passes.
    fn passage(
        &self,
        candidate: &Candidate,
        credential: &Credential,
        methods: &[&MethodConfig],
        verdict: &Verdict,
    ) -> Passage {
        let unnamed = methods.iter().all(|method| method.establishes() == Establishes::Unnamed);
        let named = (!methods.is_empty() && !unnamed).then(|| candidate.person.name.clone());
        // What a method is called that names nobody, the plan knows.
        let found = verdict.principal.as_ref().map(|principal| principal.name.clone());
        let by = named.clone().or_else(|| found.filter(|_| unnamed && !methods.is_empty()));
        let fields = self.target.compiled.controls.shape.iter().flat_map(|shape| shape.identity_fields());
        let own_token =
            self.target.security.as_ref().is_some_and(|security| {
                security.upstream_token.is_some() || security.token_exchange.is_some()
            });
        let fields = fields.map(|field| field.to_string());
        let fields = fields.chain(own_token.then(|| "authorization".to_owned()));
        // What the gateway adds is known by what was there a moment ago.
        let fields = fields.filter(|field| match &verdict.decision {
            crate::judge::Decision::Forwarded(upstream) => {
                upstream.headers.iter().any(|(name, _)| name == field)
            }
            crate::judge::Decision::Refused(_) | crate::judge::Decision::Unknown { .. } => false,
        });
        let kept = !self.target.compiled.controls.kept_credentials.is_empty();
        let Credential { headers, query, cookies, .. } = credential;
        // A signature is no credential: whoever sees it can send nothing else with it, and it goes on.
        let locations: Vec<_> = self.target.compiled.controls.authentication.methods().iter().collect();
        let locations: Vec<_> = locations.iter().flat_map(|method| method.credentials()).collect();
        let is_taken_away = |part: &str, name: &str| {
            locations.iter().any(|location| match location {
                CredentialLocation::Header(known) => {
                    part == "header" && known.as_str().eq_ignore_ascii_case(name)
                }
                CredentialLocation::Query(known) => part == "query" && known == name,
                CredentialLocation::Cookie(known) => part == "cookie" && known == name,
            })
        };
        let of = |part: &'static str, list: &'_ [(String, String)]| {
            list.iter().filter(|(name, _)| is_taken_away(part, name)).cloned().collect::<Vec<_>>()
        };
        let values = [of("header", headers), of("query", query), of("cookie", cookies)].concat();
        let values = values.iter().filter(|(_, value)| value.len() >= 16);
        let without = if kept { Vec::new() } else { values.map(|(_, value)| value.clone()).collect() };
        let rights =
            named.as_ref().map(|_| (candidate.person.roles.clone(), candidate.person.scopes.clone()));
        // A limit that is too wide to be used up is known by what clients are told of it.
        let told = verdict.answer_headers.iter().filter(|(name, _)| name == "ratelimit-policy");
        let changes = self.target.config.request_headers.as_ref();
        let set = changes.iter().flat_map(|changes| &changes.set);
        Passage {
            by,
            by_nobody: methods.is_empty(),
            rights,
            fields: fields.collect(),
            fields_with: set.map(|(name, value)| (name.clone(), value.value.clone())).collect(),
            without,
            answer: told.cloned().collect(),
            ..Passage::default()
        }
    }

    /// The same request with a credential that was not used yet.
    pub(super) fn fresh(
        &self,
        candidate: &Candidate,
        methods: &[&MethodConfig],
        address: IpAddr,
    ) -> (Request, Credential) {
        let consumers = self.rehearsal.consumers();
        let mut stage = Circumstances { consumers: &consumers, ..self.stage() };
        stage.url = self.url(&candidate.parameters);
        let made: Result<Vec<_>, _> =
            methods.iter().map(|method| method.good(&candidate.person, &stage)).collect();
        let credential = made.map_or_else(
            |_| candidate.credential.clone(),
            |made| made.into_iter().fold(Credential::default(), Credential::and),
        );
        (self.request(&candidate.parameters, &credential, address), credential)
    }

    /// The same request once more, with a credential of its own.
    pub(super) fn again(&self, base: &Base<'_>) -> Request {
        self.fresh(&base.candidate, &base.methods, base.request.client).0
    }

    pub(super) fn url(&self, parameters: &BTreeMap<String, String>) -> String {
        let scheme = if self.tls() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host(), self.path(parameters))
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let addresses = self.target.security.as_ref().and_then(|security| security.addresses.as_ref());
        let allowed = addresses.and_then(|addresses| addresses.allow.as_ref());
        let allowed = allowed.into_iter().flatten().map(|Cidr(network)| network.addr());
        allowed.chain(ADDRESSES.iter().filter_map(|address| address.parse().ok())).collect()
    }

    pub(super) fn push(&mut self, attack: Option<Attack>, how: &str, request: Request, expected: Expected) {
        self.cases.push(Case {
            attack,
            how: how.to_owned(),
            request,
            expected,
            route: self.target.route,
            own_route_only: false,
            latest: attack.map_or(Stage::Forward, latest),
            sent_before: 0,
            before: None,
            given_up: 0,
            held: 0,
            held_elsewhere: false,
            used_up: UsedUp::Nothing,
            policies: PolicySays::Yes,
            answer: None,
        });
    }

    pub(super) fn attack(&mut self, attack: Attack, how: &str, request: Request) {
        self.push(Some(attack), how, request, Expected::Refused);
    }

    /// Attacks on who somebody is.
    fn credentials(&mut self, base: &Base<'_>, stage: &Circumstances<'_>, several: bool) {
        let Base { methods, candidate, request } = base;
        let client = request.client;
        let stage =
            &Circumstances { url: self.url(&candidate.parameters), ..Circumstances { ..copied(stage) } };
        let bare = self.request(&candidate.parameters, &Credential::default(), client);
        self.attack(Attack::NoCredential, "", bare.clone());
        self.attack(
            Attack::NoCredential,
            "with names of the gateway's own",
            bare.clone()
                .header("x-consumer-name", &candidate.person.name)
                .header("x-forwarded-user", "admin"),
        );
        for (index, method) in methods.iter().enumerate() {
            let others: Vec<Credential> = methods
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .filter_map(|(_, other)| other.good(&candidate.person, stage).ok())
                .collect();
            let others = others.into_iter().fold(Credential::default(), Credential::and);
            for (attack, wrong) in method.wrong(&candidate.person, stage) {
                let request = self.request(&candidate.parameters, &wrong.and(others.clone()), client);
                self.attack(attack, if several { "of one method" } else { "" }, request);
            }
            if let Some(twice) = method.good(&candidate.person, stage).ok().and_then(|good| good.repeated()) {
                let request = self.request(&candidate.parameters, &twice.and(others.clone()), client);
                self.attack(Attack::Repeated, "", request);
            }
            if methods.len() > 1 {
                let request = self.request(&candidate.parameters, &others, client);
                self.attack(Attack::OneOfTwo, "", request);
                self.wrong_consumer(method, &others, base, stage);
            }
        }
        self.impersonation(base);
        for spelling in tricks::of(&self.path(&candidate.parameters)) {
            let mut request = bare.clone();
            let query =
                request.target.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
            request.target = format!("{spelling}{query}");
            self.attack(Attack::PathTrick, &spelling, request);
        }
    }

    /// A bad credential of another method beside the good one: it must not be passed over.
    fn beside_others(&mut self, base: &Base<'_>, stage: &Circumstances<'_>) {
        let stage = &Circumstances { url: self.url(&base.candidate.parameters), ..copied(stage) };
        let own: Vec<&str> =
            base.candidate.credential.headers.iter().map(|(name, _)| name.as_str()).collect();
        let cookies = !base.candidate.credential.cookies.is_empty();
        let authentication =
            self.target.security.as_ref().and_then(|security| security.authentication.clone());
        let methods = authentication.map(|authentication| authentication.methods).unwrap_or_default();
        // Those that are asked before it; one that is asked after it is not asked at all.
        for method in methods.iter().take_while(|method| {
            !base.methods.iter().any(|own| std::ptr::addr_eq(&raw const ***own, &raw const ***method))
        }) {
            let wrong = method
                .wrong(&base.candidate.person, stage)
                .into_iter()
                .find(|(attack, _)| *attack == Attack::Wrong);
            let Some((_, wrong)) = wrong else { continue };
            let shares = wrong.headers.iter().any(|(name, _)| own.contains(&name.as_str()))
                || (cookies && !wrong.cookies.is_empty());
            if shares {
                continue;
            }
            let good: Result<Vec<_>, _> =
                base.methods.iter().map(|method| method.good(&base.candidate.person, stage)).collect();
            if let Ok(good) = good {
                let both = good.into_iter().fold(wrong, Credential::and);
                let request = self.request(&base.candidate.parameters, &both, base.request.client);
                self.attack(Attack::Wrong, "beside a good one", request);
            }
        }
    }

    /// One credential of somebody else.
    fn wrong_consumer(
        &mut self,
        method: &MethodConfig,
        others: &Credential,
        base: &Base<'_>,
        stage: &Circumstances<'_>,
    ) {
        if method.establishes() != Establishes::Consumers {
            return;
        }
        let outsider =
            portcullis_checks::rehearsal::Person { name: format!("{OUTSIDER}-0"), ..Default::default() };
        let consumers = base.methods.iter().filter(|method| method.establishes() == Establishes::Consumers);
        if consumers.count() < 2 {
            return;
        }
        if let Ok(theirs) = method.good(&outsider, stage) {
            let request =
                self.request(&base.candidate.parameters, &theirs.and(others.clone()), base.request.client);
            self.attack(Attack::WrongConsumer, "", request);
        }
    }

    /// Somebody who says that they are somebody else, in the fields in which the gateway says it.
    pub(super) fn impersonation(&mut self, base: &Base<'_>) {
        for name in ["x-consumer-name", "X-Consumer-Roles", "x_consumer_name", "x-consumer-issuer"] {
            let request = base.request.clone().header(name, "somebody-else");
            let expected = Expected::Without(name.to_owned(), "somebody-else".to_owned());
            self.push(Some(Attack::Impersonation), name, request, expected);
        }
    }

    /// Attacks on what somebody may.
    fn rights(&mut self, base: &Base<'_>, stage: &Circumstances<'_>) {
        let Base { methods, candidate, request } = base;
        let client = request.client;
        let stage = &Circumstances { url: self.url(&candidate.parameters), ..copied(stage) };
        let Some(wanted) = self.target.security.as_ref().and_then(|security| security.authorization.clone())
        else {
            return;
        };
        let shown = |person: &_| -> Option<Credential> {
            let made: Option<Vec<_>> = methods.iter().map(|method| method.good(person, stage).ok()).collect();
            made.map(|made| made.into_iter().fold(Credential::default(), Credential::and))
        };
        let of_consumers = methods.iter().any(|method| method.establishes() == Establishes::Consumers);
        if of_consumers {
            let mut tried: Vec<(Attack, Vec<String>, Vec<String>)> = Vec::new();
            // Those who lack one thing show the most; those who lack several are tried where there is nobody else.
            let mut people: Vec<_> =
                stage.consumers.iter().map(|known| (refusals(self.target, &known.person()), known)).collect();
            people.sort_by_key(|(lacks, _)| lacks.len());
            for (lacks, known) in people {
                let mut person = known.person();
                let [attack, others @ ..] = lacks.as_slice() else { continue };
                let rights = (*attack, person.roles.clone(), person.scopes.clone());
                let known_already = tried.iter().any(|(there, _, _)| there == attack);
                if tried.contains(&rights) || (!others.is_empty() && known_already) {
                    continue;
                }
                let own = wanted.own_parameters(&mut person);
                if let Some(credential) = shown(&person) {
                    tried.push(rights);
                    let request = self.request(&own, &credential, client);
                    self.attack(*attack, &format!("by {}", known.name), request);
                }
            }
        } else if methods.iter().all(|method| matches!(method.establishes(), Establishes::Subjects { .. })) {
            let mut unfit = wanted.unfit(&candidate.person);
            let operation = self.target.operation.as_ref();
            for missing in operation.iter().flat_map(|operation| &operation.scopes) {
                let mut person = candidate.person.clone();
                person.scopes.retain(|scope| scope != missing);
                unfit.push((Attack::MissingScope, person));
            }
            for (attack, person) in unfit {
                if let Some(credential) = shown(&person) {
                    let request = self.request(&candidate.parameters, &credential, client);
                    self.attack(attack, "", request);
                }
            }
        }
        if wanted.path_parameters_equal.is_some() {
            let others =
                candidate.parameters.keys().map(|name| (name.clone(), "somebody-elses".to_owned())).collect();
            let elsewhere = Circumstances { url: self.url(&others), ..copied(stage) };
            let made: Option<Vec<_>> =
                methods.iter().map(|method| method.good(&candidate.person, &elsewhere).ok()).collect();
            if let Some(made) = made {
                let credential = made.into_iter().fold(Credential::default(), Credential::and);
                let request = self.request(&others, &credential, client);
                self.attack(Attack::NotOwner, "", request);
            }
        }
        if wanted.condition.is_some() {
            self.unlike(base, stage, &shown);
        }
        if wanted.external.is_some() && wanted.mode == ModeConfig::Enforce {
            self.attack(Attack::PolicyRefuses, "", self.again(base));
            self.let_policies_say(PolicySays::No);
            self.push(Some(Attack::PolicyDown), "", self.again(base), Expected::Fault);
            self.let_policies_say(PolicySays::Nothing);
        }
    }

    /// In the last case.
    fn let_policies_say(&mut self, says: PolicySays) {
        if let Some(case) = self.cases.last_mut() {
            case.policies = says;
        }
    }

    /// Somebody else of whom an expression is not true. Which people that are, only the expression knows, so it is asked first.
    fn unlike(
        &mut self,
        base: &Base<'_>,
        stage: &Circumstances<'_>,
        shown: &dyn Fn(&portcullis_checks::rehearsal::Person) -> Option<Credential>,
    ) {
        use portcullis_checks::rehearsal::Person;
        let good = &base.candidate.person;
        let mut people = vec![
            Person { claims: BTreeMap::new(), ..good.clone() },
            Person { roles: Vec::new(), ..good.clone() },
            Person { scopes: Vec::new(), ..good.clone() },
            Person { name: "rehearsal-somebody-else".to_owned(), ..good.clone() },
        ];
        people.extend(stage.consumers.iter().map(portcullis_checks::rehearsal::Known::person));
        for person in people {
            let Some(credential) = shown(&person) else { continue };
            let request = self.request(&base.candidate.parameters, &credential, base.request.client);
            self.rehearsal.judge.forget();
            let verdict = self.rehearsal.judge.decide(&request);
            if verdict.refusal().is_some_and(|refusal| refusal.check == Some("authz.condition")) {
                let Some(credential) = shown(&person) else { continue };
                let request = self.request(&base.candidate.parameters, &credential, base.request.client);
                self.attack(Attack::WrongClaim, "of whom the condition is not true", request);
                return;
            }
        }
    }
}

fn told(verdict: &Verdict, route: RouteId) -> String {
    match (&verdict.decision, verdict.refusal()) {
        (_, Some(refusal)) => format!("{}: {}", refusal.code, refusal.detail),
        (crate::judge::Decision::Unknown { because }, _) => format!("it depends on {because}"),
        _ if verdict.route != Some(route) => "its requests belong to another route".to_owned(),
        _ => "it passes".to_owned(),
    }
}

pub(super) fn copied<'a>(stage: &Circumstances<'a>) -> Circumstances<'a> {
    Circumstances {
        doubles: stage.doubles,
        consumers: stage.consumers,
        now: stage.now,
        method: stage.method,
        url: stage.url.clone(),
        body: stage.body.clone(),
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

pub(super) fn add_query(request: &mut Request, name: &str, value: &str) {
    let mark = if request.target.contains('?') { '&' } else { '?' };
    request.target.push_str(&format!(
        "{mark}{}={}",
        escaped(name).replace('&', "%26"),
        escaped(value).replace('&', "%26").replace('+', "%2B")
    ));
}

/// A request with this credential.
pub(super) fn with(mut request: Request, credential: &Credential) -> Request {
    request.headers.extend(credential.headers.iter().cloned());
    for (name, value) in &credential.query {
        add_query(&mut request, name, value);
    }
    if !credential.cookies.is_empty() {
        let cookies: Vec<_> =
            credential.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.headers.push(("cookie".to_owned(), cookies.join("; ")));
    }
    if let Some(certificate) = &credential.certificate {
        request.certificate = Some(Arc::new(certificate.clone()));
    }
    request
}

/// The last stage in which an attack may be refused.
fn latest(attack: Attack) -> Stage {
    match attack {
        Attack::NoCredential
        | Attack::Wrong
        | Attack::Expired
        | Attack::NotYetValid
        | Attack::Repeated
        | Attack::WrongAudience
        | Attack::AnotherIssuer
        | Attack::ForeignSignature
        | Attack::AlgorithmNone
        | Attack::AlgorithmSwapped
        | Attack::AnotherAlgorithm
        | Attack::TooOld
        | Attack::WrongPurpose
        | Attack::NoProof
        | Attack::CrossSite
        | Attack::OneOfTwo
        | Attack::WrongConsumer
        | Attack::PathTrick
        | Attack::HeaderAlias => Stage::Authenticate,
        Attack::WrongRole
        | Attack::MissingScope
        | Attack::WrongClaim
        | Attack::NotOwner
        | Attack::PolicyRefuses
        | Attack::PolicyDown => Stage::Authorize,
        Attack::WrongAddress => Stage::Screen,
        Attack::WrongMethod | Attack::WrongHost | Attack::Unmatched => Stage::Route,
        Attack::OverLimit | Attack::TooManyAtOnce | Attack::Overload => Stage::Charge,
        Attack::Impersonation
        | Attack::Oversize
        | Attack::WrongType
        | Attack::Undeclared
        | Attack::Injection => Stage::Inspect,
        Attack::WrongAnswer | Attack::ForeignOrigin => Stage::Forward,
    }
}
