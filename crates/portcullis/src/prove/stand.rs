//! How a configuration is rehearsed.

use super::attacks::{Case, generate};
use super::outcome;
use super::report::{Finding, Outcome, Row};
use super::target::{Target, targets};
use crate::compile::{Blueprint, compile_rehearsed};
use crate::document::{ConsumerConfig, GatewayConfig, RouteConfig};
use crate::judge::{Bench, Judge, Request, Tracing, UsedUp, Verdict};
use crate::load::{Context, Loaded};
use portcullis_checks::SecurityConfig;
use portcullis_checks::authn::key_config::{KeyConfig, KeySource};
use portcullis_checks::authn::mtls::CertificateIdentityConfig;
use portcullis_checks::rehearsal::{Doubles, Known, PolicySays};
use portcullis_config::{Secret, Span, Spanned};
use portcullis_core::Plan;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The most consumers that only rehearsals have.
const MOST_OUTSIDERS: usize = 40;

/// What consumers are called that only rehearsals have: each has a credential of every kind, and lacks a role or a scope that
/// somebody has. The first one has none at all.
pub(super) const OUTSIDER: &str = "rehearsal-outsider";

/// A configuration that is rehearsed.
pub struct Rehearsal {
    pub(super) config: GatewayConfig,
    pub(super) judge: Judge,
    pub(super) doubles: Arc<Doubles>,
    /// The consumers that are tried, by their place: a few of each kind, so that many thousands cost no more.
    tried: Vec<usize>,
}

/// How many consumers with the same rights, the same kinds of credentials and the same plan are tried.
const OF_A_KIND: usize = 2;
/// How many are tried in all.
const MOST_TRIED: usize = 200;

impl Rehearsal {
    /// The rehearsal of a configuration. `None` where it does not load, or was made in code.
    pub fn of(loaded: &Loaded) -> Option<Rehearsal> {
        let config = with_outsider(loaded.config()?.clone());
        let bench = Bench::for_rehearsals();
        let doubles = Arc::clone(bench.doubles()?);
        let blueprint = Rehearsal::compiled(&config, &bench)?;
        let judge = Judge::new(blueprint, &bench, Tracing::Decision)?;
        let tried = tried(&config.consumers);
        Some(Rehearsal { config, judge, doubles, tried })
    }

    /// A plan for a rehearsal. Whatever there is to say of it was said when it was loaded.
    pub(super) fn compiled(config: &GatewayConfig, bench: &Bench) -> Option<Blueprint> {
        let mut cx = Context::for_file(".");
        compile_rehearsed(config, Arc::clone(bench.doubles()?), bench.state(), &mut cx)
    }

    /// Compiles another configuration to be tried by the tests of this one.
    #[doc(hidden)]
    pub fn judge_of(&self, loaded: &Loaded, change: &mut crate::judge::Change<'_>) -> Option<Judge> {
        let config = with_outsider(loaded.config()?.clone());
        let bench = self.judge.bench().again();
        Judge::changed(Rehearsal::compiled(&config, &bench)?, &bench, Tracing::Decision, change)
    }

    /// Everything that can be attacked.
    pub fn targets(&self) -> Vec<Target<'_>> {
        targets(&self.config, self.judge.plan())
    }

    /// The consumers that are tried, with what they can show.
    pub(super) fn consumers(&self) -> Vec<Known<'_>> {
        self.tried.iter().filter_map(|place| self.config.consumers.get(*place)).map(known).collect()
    }

    /// One consumer.
    pub(super) fn consumer(&self, name: &str) -> Option<Known<'_>> {
        self.config.consumers.iter().find(|consumer| consumer.name.value == name).map(known)
    }

    /// The cases of a target: one that passes, and the attacks.
    pub fn cases(&self, target: &Target<'_>) -> (Result<(), String>, Vec<Case>) {
        generate(self, target)
    }

    /// Tries everything on a target.
    pub fn try_target(&self, target: &Target<'_>) -> Row {
        let (proven, cases) = self.cases(target);
        let mut row = Row {
            target: target.name(),
            route: target.route,
            proven,
            findings: Vec::with_capacity(cases.len()),
        };
        for case in cases {
            let outcome = self.run(&case);
            row.findings.push(Finding { attack: case.attack, outcome, how: case.how });
        }
        row
    }

    /// Has a case judged, as if nothing had come before it.
    pub fn run(&self, case: &Case) -> Outcome {
        run(&self.judge, case)
    }

    /// Whether any of these cases does not come to what it must where another plan judges: one that was changed, to see
    /// whether the cases notice that.
    #[doc(hidden)]
    pub fn notices(&self, cases: &[Case], judge: &Judge) -> bool {
        cases.iter().any(|case| match run(judge, case) {
            Outcome::Passed => case.attack.is_some(),
            Outcome::Refused(_) => case.attack.is_none(),
            Outcome::TooLate(_) | Outcome::Observed(_) | Outcome::Unproven(_) | Outcome::Hole => true,
        })
    }

    /// What becomes of a request, without anything being forgotten before it.
    #[doc(hidden)]
    pub fn decide(&self, request: &Request) -> Verdict {
        self.judge.decide(request)
    }

    /// The plan that is rehearsed.
    pub fn plan(&self) -> &Plan {
        self.judge.plan()
    }
}

fn run(judge: &Judge, case: &Case) -> Outcome {
    judge.forget();
    judge.use_up_limits(case.used_up);
    judge.let_policies_say(case.policies);
    judge.be_slow(case.given_up);
    let verdict = verdict(judge, case);
    judge.be_slow(0);
    judge.let_policies_say(PolicySays::Yes);
    judge.use_up_limits(UsedUp::Nothing);
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(why) => return Outcome::Unproven(why.to_owned()),
    };
    // A request that goes to another route was not the attacked one's, whatever becomes of it there.
    if case.own_route_only && verdict.route.is_some_and(|route| route != case.route) {
        return Outcome::Refused("route");
    }
    let came = outcome(&case.expected, &verdict);
    if let (Outcome::Refused(by), true) = (&came, !verdict.is_forwarded() && verdict.stage > case.latest) {
        return Outcome::TooLate(by);
    }
    came
}

/// What becomes of the last request of a case. The error says why it does not come to that.
fn verdict(judge: &Judge, case: &Case) -> Result<Verdict, &'static str> {
    let mut held = Vec::new();
    for number in 0..case.held {
        let mut request = case.request.clone();
        if case.held_elsewhere {
            // Addresses for measurements (RFC 2544).
            request.client = Ipv4Addr::from(0xc612_0001 + number).into();
        }
        let (verdict, ongoing) = judge.decide_and_hold(&request);
        if !verdict.is_forwarded() {
            return Err("fewer may go on at once than it says");
        }
        held.push(ongoing);
    }
    let decide = || match &case.answer {
        None => judge.decide(&case.request),
        Some(answer) => judge.decide_answered(&case.request, answer),
    };
    let before = || match &case.before {
        None => decide(),
        Some(request) => judge.decide(request),
    };
    for _ in 0..case.sent_before {
        if !before().is_forwarded() {
            // Too early: what comes before the last one must pass.
            return Err("the limit is lower than it says");
        }
    }
    Ok(decide())
}

fn known(consumer: &ConsumerConfig) -> Known<'_> {
    Known {
        name: &consumer.name.value,
        roles: &consumer.roles.value,
        scopes: &consumer.scopes.value,
        keys: &consumer.keys,
        password: consumer.password.as_ref(),
        certificates: &consumer.certificates,
    }
}

/// The places of a few consumers of each kind, and of the last one, which is the outsider.
fn tried(consumers: &[ConsumerConfig]) -> Vec<usize> {
    let mut kinds: HashMap<_, usize> = HashMap::new();
    let mut places = Vec::new();
    for (place, consumer) in consumers.iter().enumerate() {
        let shows =
            (!consumer.keys.is_empty(), consumer.password.is_some(), !consumer.certificates.is_empty());
        let plan = consumer.plan.as_ref().map(|plan| plan.value.as_str());
        let own = (plan, consumer.rate_limiting.is_some(), consumer.quota.is_some());
        let seen = kinds.entry((&consumer.roles.value, &consumer.scopes.value, shows, own)).or_default();
        *seen += 1;
        let outsider = consumer.name.value.starts_with(OUTSIDER);
        if (*seen <= OF_A_KIND && places.len() < MOST_TRIED) || outsider {
            places.push(place);
        }
    }
    places
}

/// The sections that hold for a route, each as a whole: its own, else its profile's, else the gateway's.
pub(super) fn effective(config: &GatewayConfig, route: &RouteConfig) -> Option<SecurityConfig> {
    let profile = route.security.as_ref().and_then(|security| security.profile.as_ref());
    let profile = profile.and_then(|name| config.security_profiles.get(&name.value));
    let base = match profile {
        Some(profile) => Some(profile.over(config.security.as_ref())),
        None => config.security.clone(),
    };
    match route.sections() {
        Some(own) => Some(own.over(base.as_ref())),
        None => base,
    }
}

/// Adds somebody who is known and may nothing.
fn with_outsider(mut config: GatewayConfig) -> GatewayConfig {
    let nowhere = Span::NONE;
    let any = |has: fn(&ConsumerConfig) -> bool| config.consumers.iter().any(has);
    // Of a kind that nobody has, a double would open what is closed to all.
    let password = config.consumers.iter().find_map(|consumer| consumer.password.clone());
    let certificate = CertificateIdentityConfig {
        name: None,
        dns: Some(Spanned::nowhere("rehearsal-outsider.invalid".to_owned())),
        uri: None,
        email: None,
        ip: None,
        subject: None,
        fingerprint: None,
        at: nowhere,
    };
    let Some(template) = config.consumers.first().cloned() else { return config };
    let mut kinds: Vec<(Vec<String>, Vec<String>)> = vec![(Vec::new(), Vec::new())];
    for consumer in &config.consumers {
        let (roles, scopes) = (&consumer.roles.value, &consumer.scopes.value);
        // With everything that somebody has, except one thing.
        let one_less = (0..scopes.len()).map(|at| {
            let mut scopes = scopes.clone();
            scopes.remove(at);
            (roles.clone(), scopes)
        });
        for kind in one_less.chain([(Vec::new(), scopes.clone()), (roles.clone(), Vec::new())]) {
            if kinds.len() < MOST_OUTSIDERS && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    let (keys, certificates) =
        (any(|consumer| !consumer.keys.is_empty()), any(|consumer| !consumer.certificates.is_empty()));
    for (number, (roles, scopes)) in kinds.into_iter().enumerate() {
        let key = KeyConfig {
            source: KeySource::Key(Secret::new(format!("rehearsal-outsider-{number:010}"))),
            expires: None,
            at: nowhere,
        };
        let certificate = CertificateIdentityConfig {
            dns: Some(Spanned::nowhere(format!("rehearsal-outsider-{number}.invalid"))),
            ..certificate.clone()
        };
        config.consumers.push(ConsumerConfig {
            name: Spanned::nowhere(format!("{OUTSIDER}-{number}")),
            roles: Spanned::nowhere(roles),
            scopes: Spanned::nowhere(scopes),
            keys: if keys { vec![key] } else { Vec::new() },
            password: password.clone(),
            certificates: if certificates { vec![certificate] } else { Vec::new() },
            // What it may use is not what is tried.
            plan: None,
            rate_limiting: None,
            quota: None,
            ..template.clone()
        });
    }
    config
}
