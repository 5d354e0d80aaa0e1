//! Who sends the request: how a route's methods are asked, and what their answers come to.
//!
//! A method is passed over only where its credential is absent; one whose credential is there and bad ends the search.
//! Wrong credentials are counted for the address that they come from, and beyond a bound only credentials that were good
//! from there before are taken. To any other the answer is the same whether it is right or wrong, so guessing on is
//! pointless; and since it is, it is not counted either, so that nobody is kept waiting by somebody else's persistence.

use super::{Facts, Findings, must_wait};
use crate::check::{AnswerFields, Authenticate, Authentication, Authn, CheckId, Mode};
use crate::denial::{Advice, Code, Denial};
use crate::effects::{Effects, Standing, Step};
use crate::principal::{Evidence, Principal};
use http::StatusCode;
use std::net::IpAddr;
use std::sync::Arc;

/// Who sends the request, and what the client is told for next time.
pub(super) struct Identified {
    pub(super) principal: Principal,
    pub(super) tell: AnswerFields,
}

impl Identified {
    pub(super) const ANONYMOUS: Identified = Identified { principal: Principal::ANONYMOUS, tell: Vec::new() };
}

/// A refusal and the method that it is by.
struct Refusal<'a> {
    denial: Denial,
    by: Option<&'a dyn Authenticate>,
}

/// Who sends the request. Anonymous where the route is public, where authentication only observes, and where `findings`
/// says that the request is refused.
pub(super) async fn identify(
    mut facts: Facts<'_>,
    effects: &dyn Effects,
    findings: &mut Findings,
) -> Identified {
    let (mode, methods) = match &facts.route.controls.authentication {
        Authentication::Public { .. }
        | Authentication::AnyOf { mode: Mode::Off, .. }
        | Authentication::AllOf { mode: Mode::Off, .. } => return Identified::ANONYMOUS,
        Authentication::AnyOf { mode, methods } | Authentication::AllOf { mode, methods } => (*mode, methods),
    };
    let source = facts.head.client();
    facts.source = effects.standing(source);
    let identified = match &facts.route.controls.authentication {
        Authentication::AllOf { .. } => all_of(&facts, methods, effects, findings).await,
        Authentication::AnyOf { .. } | Authentication::Public { .. } => {
            any_of(&facts, methods, effects, findings).await
        }
    };
    match identified {
        Ok(identified) => identified,
        Err(Refusal { denial, by }) => {
            let id =
                by.or(methods.first().map(AsRef::as_ref)).map_or(CheckId::new("authn"), |method| method.id());
            let denial = counted(denial, id, source, effects, findings);
            findings.refuse(mode, id, challenged(denial, by, methods));
            Identified::ANONYMOUS
        }
    }
}

/// The first method whose credential is there decides.
async fn any_of<'a>(
    facts: &Facts<'_>,
    methods: &'a [Arc<dyn Authenticate>],
    effects: &dyn Effects,
    findings: &mut Findings,
) -> Result<Identified, Refusal<'a>> {
    let mut together: Option<Refusal<'a>> = None;
    for method in methods {
        if together.is_some() && !method.is_bearer() {
            continue;
        }
        match ask(facts, method.as_ref(), effects, findings).await {
            Ok(Some((evidence, tell))) => {
                return Ok(Identified { principal: Principal::of(evidence), tell });
            }
            Ok(None) => {}
            // SECURITY: only methods that read the very same credential are asked about it, and a fault ends the search
            // (methods_that_read_one_place_are_judged_together).
            Err(refusal) if refusal.denial.status() == StatusCode::UNAUTHORIZED && method.is_bearer() => {
                let tells_little = |refusal: &Refusal<'_>| {
                    matches!(refusal.denial.code(), Code::CredentialUnknown | Code::TokenMalformed)
                };
                if together.as_ref().is_none_or(tells_little) {
                    together = Some(refusal);
                }
            }
            // SECURITY: a bad credential never falls through to the next method (a_bad_credential_ends_the_search).
            Err(refusal) => return Err(refusal),
        }
    }
    if let Some(refusal) = together {
        return Err(refusal);
    }
    for method in methods {
        if let Some(denial) = method.invite(facts, effects).resolve().await {
            return Err(Refusal { denial, by: Some(method.as_ref()) });
        }
    }
    Err(Refusal {
        denial: Denial::new(Code::CredentialMissing, "no credential that the route accepts"),
        by: None,
    })
}

/// Every method must say who it is, and none may contradict another.
async fn all_of<'a>(
    facts: &Facts<'_>,
    methods: &'a [Arc<dyn Authenticate>],
    effects: &dyn Effects,
    findings: &mut Findings,
) -> Result<Identified, Refusal<'a>> {
    let mut identified = Identified::ANONYMOUS;
    for method in methods {
        let Some((evidence, mut tell)) = ask(facts, method.as_ref(), effects, findings).await? else {
            let invited = method.invite(facts, effects).resolve().await;
            let missing = || Denial::new(Code::CredentialMissing, "one of several credentials is missing");
            return Err(Refusal { denial: invited.unwrap_or_else(missing), by: Some(method.as_ref()) });
        };
        // SECURITY: one consumer's certificate does not vouch for another one's key
        // (credentials_of_two_consumers_are_refused).
        if !identified.principal.add(evidence) {
            let denial = Denial::new(Code::CredentialsDisagree, "credentials of different consumers");
            return Err(Refusal { denial, by: Some(method.as_ref()) });
        }
        identified.tell.append(&mut tell);
    }
    if identified.principal.evidence().next().is_none() {
        return Err(Refusal { denial: Denial::new(Code::Fault, "no method to ask"), by: None });
    }
    Ok(identified)
}

/// What one method says. `None` where its credential is absent.
async fn ask<'a>(
    facts: &Facts<'_>,
    method: &'a dyn Authenticate,
    effects: &dyn Effects,
    findings: &mut Findings,
) -> Result<Option<(Evidence, AnswerFields)>, Refusal<'a>> {
    let refuse = |denial| Err(Refusal { denial, by: Some(method) });
    let source = facts.head.client();
    let begun = findings.clock(effects);
    let (answer, standing) = match method.authenticate(facts, effects) {
        Step::Ready(answer) => (answer, facts.source),
        // SECURITY: other guesses may have failed meanwhile, so that many at once are not more than the same one after
        // the other (guesses_at_once_are_no_more_than_in_turn).
        Step::Later(answer) => (answer.await, effects.standing(source)),
    };
    findings.ran(method.id(), begun, matches!(answer, Authn::Deny(_)), effects);
    let (evidence, tell) = match answer {
        Authn::Claim(evidence) => (evidence, Vec::new()),
        Authn::ClaimAndTell(evidence, tell) => (evidence, tell),
        Authn::Deny(denial) => return refuse(denial),
        Authn::NotMine => return Ok(None),
    };
    if let Some(fingerprint) = evidence.fingerprint {
        match standing {
            Standing::Free => effects.credential_good(source, fingerprint),
            // SECURITY: a guess that hits at last is still a guess (a_lucky_guess_comes_too_late).
            Standing::Blocked { wait } if !effects.is_known(source, fingerprint) => {
                return refuse(must_wait(wait).of_credential(fingerprint));
            }
            Standing::Observed { wait } if !effects.is_known(source, fingerprint) => {
                findings.refuse(Mode::Observe, method.id(), must_wait(wait));
            }
            Standing::Blocked { .. } | Standing::Observed { .. } => {}
        }
    }
    Ok(Some((evidence, tell)))
}

/// Counts a wrong credential for its source. One from a source that must wait is refused as a right one would be.
fn counted(
    denial: Denial,
    by: CheckId,
    source: IpAddr,
    effects: &dyn Effects,
    findings: &mut Findings,
) -> Denial {
    if !denial.code().is_wrong_guess() {
        return denial;
    }
    match effects.standing(source) {
        Standing::Free => {
            effects.credential_failed(source);
            denial
        }
        // SECURITY: whoever must wait learns nothing by trying on (a_source_that_waits_learns_nothing).
        Standing::Blocked { wait } => must_wait(wait).in_place_of(&denial),
        Standing::Observed { wait } => {
            findings.refuse(Mode::Observe, by, must_wait(wait));
            denial
        }
    }
}

/// With what an answer that refuses must say of how to authenticate.
fn challenged(denial: Denial, by: Option<&dyn Authenticate>, methods: &[Arc<dyn Authenticate>]) -> Denial {
    if denial.status() != StatusCode::UNAUTHORIZED || *denial.advice() != Advice::None {
        return denial;
    }
    let mut challenges = Vec::new();
    for method in methods {
        let refused = by.is_some_and(|by| std::ptr::addr_eq(by, method.as_ref())).then_some(&denial);
        for challenge in method.challenges(refused) {
            if !challenges.contains(&challenge) {
                challenges.push(challenge);
            }
        }
    }
    denial.advising(Advice::Challenge(challenges))
}
