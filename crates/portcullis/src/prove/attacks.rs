//! What is tried on a target: one request that passes, and the same with one thing changed. Which things, the modules beside it
//! say. Where nobody passes, what can be shown without a request that passes is tried all the same.

use super::people::{Candidate, candidates, combinations};
use super::stand::Rehearsal;
use super::target::Target;
use super::{Expected, Passage};
use crate::judge::request::SOMEBODY;
use crate::judge::{Refusal, Request, Stage, UpstreamAnswer, UsedUp, Verdict};
use portcullis_checks::authn::MethodConfig;
use portcullis_checks::authn::method::Establishes;
use portcullis_checks::rehearsal::{Attack, Credential, PolicySays, Stage as Circumstances};
use portcullis_core::{CredentialLocation, RouteId};
use std::collections::BTreeMap;

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
}

fn told(verdict: &Verdict, route: RouteId) -> String {
    match (&verdict.decision, verdict.refusal()) {
        (_, Some(refusal)) => format!("{}: {}", refusal.code, refusal.detail),
        (crate::judge::Decision::Unknown { because }, _) => format!("it depends on {because}"),
        _ if verdict.route != Some(route) => "its requests belong to another route".to_owned(),
        _ => "it passes".to_owned(),
    }
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
