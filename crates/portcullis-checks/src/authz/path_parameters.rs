//! Whether what the path names belongs to the principal.
//!
//! Each path parameter that is listed must be, once decoded, exactly the text of a claim; `/users/{id}` with `id: sub` lets
//! everybody see their own entry and nobody else's. For a consumer with a key, `sub` is its name. A claim that is absent, or
//! no string or whole number, refuses, and so does a parameter that the path does not have. Needs nothing that could fail.

use percent_encoding::percent_decode_str;
use portcullis_config::{Context, Span, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{
    Authorize, CheckId, Claim, ClaimPath, Code, Denial, Effects, Facts, Identity, Principal, Step,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The check.
#[derive(Debug)]
pub struct PathParameters {
    wanted: Vec<(String, ClaimPath)>,
}

/// Whether a route's path has this parameter.
pub fn has_parameter(path: &str, name: &str) -> bool {
    path.split('/')
        .any(|segment| segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) == Some(name))
}

impl PathParameters {
    /// The check that runs for `path_parameters_equal`.
    pub fn compile(
        wanted: &BTreeMap<String, Spanned<String>>,
        at: Span,
        cx: &mut Context,
    ) -> Option<PathParameters> {
        let mut parameters = Vec::new();
        for (name, claim) in wanted {
            let Some(path) = ClaimPath::parse(&claim.value) else {
                cx.error("config.claim_path", claim.span, "this is not the path of a claim")
                    .help("write the claim that the parameter must equal, such as `sub`");
                return None;
            };
            parameters.push((name.clone(), path));
        }
        if parameters.is_empty() {
            cx.error("config.empty_section", at, "this asks for no parameter")
                .help("write for instance `path_parameters_equal: { id: sub }`, or leave the key out");
            return None;
        }
        Some(PathParameters { wanted: parameters })
    }
}

impl Check for PathParameters {
    fn id(&self) -> CheckId {
        CheckId::new("authz.path_parameters")
    }

    fn describe(&self) -> String {
        let pairs: Vec<String> =
            self.wanted.iter().map(|(name, claim)| format!("{{{name}}} equals {claim}")).collect();
        pairs.join(", ")
    }
}

/// The text of a claim of the principal.
fn text<'a>(principal: &'a Principal, facts: &'a Facts<'_>, claim: &ClaimPath) -> Option<Cow<'a, str>> {
    match principal.identity() {
        Identity::Anonymous => None,
        Identity::Consumer(_) | Identity::Stored(_) if *claim == ClaimPath::new(["sub"]) => {
            principal.consumer(&facts.plan.consumers).map(Cow::Borrowed)
        }
        Identity::Consumer(_) | Identity::Stored(_) => None,
        Identity::Subject(subject) => match subject.claims.at(claim)? {
            Claim::Text(text) => Some(Cow::Borrowed(text.as_str())),
            Claim::Integer(number) => Some(Cow::Owned(number.to_string())),
            Claim::Null | Claim::Bool(_) | Claim::Number(_) | Claim::List(_) | Claim::Object(_) => None,
        },
    }
}

impl Authorize for PathParameters {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        for (name, claim) in &self.wanted {
            let raw = facts.route.parameter(facts.head.path(), name);
            let named = raw.and_then(|raw| percent_decode_str(raw).decode_utf8().ok());
            let own = text(principal, facts, claim);
            // SECURITY: two absent values are not equal (an_object_belongs_to_its_owner).
            if own.is_none() || named != own {
                return Step::Ready(Err(Denial::new(
                    Code::NotOwner,
                    format!("the path parameter {name} is not the principal's {claim}"),
                )));
            }
        }
        Step::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
