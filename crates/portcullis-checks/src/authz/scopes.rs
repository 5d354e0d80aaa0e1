//! Whether the credential may be used for this: it must have every scope that the route asks for.
//!
//! Scopes are compared byte by byte. A principal without scopes, such as an anonymous one, is refused. The client is told
//! which scopes are needed (RFC 6750, section 3.1), since they are part of the API. Needs nothing that could fail.

use http::header::AUTHORIZATION;
use portcullis_config::{Context, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{Advice, Authorize, CheckId, Code, Denial, Effects, Facts, Once, Principal, Step};

/// The check.
#[derive(Debug)]
pub struct Scopes {
    required: Vec<String>,
}

impl Scopes {
    /// The check that runs for `scopes_required`.
    pub fn compile(scopes: &Spanned<Vec<String>>, cx: &mut Context) -> Option<Scopes> {
        if scopes.value.is_empty() || !scopes.value.iter().all(|scope| super::is_scope(scope)) {
            cx.error("config.scope_name", scopes.span, "a list of scopes needs at least one, and each is made of visible ASCII characters without quotes and backslashes (RFC 6749, section 3.3)")
                .help("write names such as `[orders.read]`, or leave the key out");
            return None;
        }
        Some(Scopes { required: scopes.value.clone() })
    }
}

impl Check for Scopes {
    fn id(&self) -> CheckId {
        CheckId::new("authz.scopes")
    }

    fn describe(&self) -> String {
        format!("every one of the scopes {}", self.required.join(", "))
    }
}

/// The scheme with which the token was sent (RFC 9449, section 7.1).
fn scheme(facts: &Facts<'_>) -> &'static str {
    match facts.head.once(AUTHORIZATION.as_str()) {
        Once::One(field) if field.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("dpop ")) => {
            "DPoP"
        }
        Once::One(_) | Once::Absent | Once::Repeated | Once::Unreadable => "Bearer",
    }
}

impl Authorize for Scopes {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        let held = principal.scopes(&facts.plan.consumers);
        let missing = self.required.iter().find(|scope| !held.contains(scope));
        Step::Ready(match missing {
            None => Ok(()),
            Some(missing) => Err(insufficient(&self.required, missing, facts, principal)),
        })
    }
}

/// The refusal of a principal that lacks the scope `missing`, one of those that are needed.
pub fn insufficient(needed: &[String], missing: &str, facts: &Facts<'_>, principal: &Principal) -> Denial {
    let denial = Denial::new(Code::ScopeMissing, format!("lacks the scope {missing}"));
    if principal.as_subject().is_none() {
        return denial;
    }
    let (scheme, scopes) = (scheme(facts), needed.join(" "));
    let challenge = format!("{scheme} error=\"insufficient_scope\", scope=\"{scopes}\"");
    denial.advising(Advice::Challenge(vec![challenge]))
}

#[cfg(test)]
mod tests;
