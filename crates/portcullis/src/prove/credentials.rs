//! Attacks on who somebody is: no credential, a bad one, one of somebody else, and names that only the gateway may give.

use super::Expected;
use super::attacks::{Base, Builder};
use super::people::Candidate;
use super::sent::copied;
use super::stand::OUTSIDER;
use super::tricks;
use portcullis_checks::authn::MethodConfig;
use portcullis_checks::authn::method::Establishes;
use portcullis_checks::rehearsal::{Attack, Credential, Stage as Circumstances};

impl Builder<'_> {
    /// Attacks on who somebody is.
    pub(super) fn credentials(&mut self, base: &Base<'_>, stage: &Circumstances<'_>, several: bool) {
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
    pub(super) fn beside_others(&mut self, base: &Base<'_>, stage: &Circumstances<'_>) {
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

    /// Where several credentials are needed: each wrong one of another person beside the good others.
    pub(super) fn beside_own(&mut self, base: &Base<'_>, candidate: &Candidate) {
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
}
