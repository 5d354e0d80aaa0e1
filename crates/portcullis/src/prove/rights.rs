//! Attacks on what somebody may: a good credential of somebody who lacks a role, a scope, a claim, or the thing itself.

use super::Expected;
use super::attacks::{Base, Builder};
use super::people::refusals;
use super::sent::copied;
use crate::judge::request::SOMEBODY;
use portcullis_checks::ModeConfig;
use portcullis_checks::authn::MethodConfig;
use portcullis_checks::authn::method::Establishes;
use portcullis_checks::rehearsal::{Attack, Credential, PolicySays, Stage as Circumstances};
use std::collections::BTreeMap;

impl Builder<'_> {
    /// Where no consumer has what the route asks for, each of them is refused.
    pub(super) fn nobody_may(&mut self, methods: &[&MethodConfig], stage: &Circumstances<'_>) {
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

    /// Attacks on what somebody may.
    pub(super) fn rights(&mut self, base: &Base<'_>, stage: &Circumstances<'_>) {
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

    /// Somebody else, for whom the expression is false. Only the expression knows who that is, so it is asked first.
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

    /// In the last case.
    fn let_policies_say(&mut self, says: PolicySays) {
        if let Some(case) = self.cases.last_mut() {
            case.policies = says;
        }
    }
}
