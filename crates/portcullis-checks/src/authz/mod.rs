//! Whether the principal may. Every check that is configured must pass; one that fails or cannot tell refuses.

pub mod claims;
pub mod condition;
pub mod external;
pub mod path_parameters;
pub mod roles;
pub mod scopes;

use crate::build::Build;
use crate::mode::ModeConfig;
use crate::rehearsal::{Attack, Person};
use crate::section::{Part, Section};
use claims::ClaimsConfig;
use condition::Condition;
use external::ExternalConfig;
use path_parameters::PathParameters;
use portcullis_config::{Context, Span, Spanned, object};
use portcullis_core::Authorize;
use roles::Roles;
use scopes::Scopes;
use std::collections::BTreeMap;
use std::sync::Arc;

object! {
    /// Which authenticated principals are allowed. Every key given here must be satisfied.
    pub struct AuthorizationConfig {
        /// The principal must have at least one of these roles.
        #[alias("roles")]
        pub roles_allowed: Option<Spanned<Vec<String>>>,
        /// The credential must have every one of these scopes.
        #[alias("scopes")]
        pub scopes_required: Option<Spanned<Vec<String>>>,
        /// Required claims, each with the values that are accepted.
        pub claims_required: Option<ClaimsConfig>,
        /// Path parameters and the claims that they must equal, such as `{ id: sub }` for `/users/{id}`.
        pub path_parameters_equal: Option<BTreeMap<String, Spanned<String>>>,
        /// An expression in CEL that must be true.
        pub condition: Option<Spanned<String>>,
        /// A decision that another service makes, after all others.
        pub external: Option<ExternalConfig>,
        /// `enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off`
        /// skips the check. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl Section for AuthorizationConfig {
    const ABOUT: &'static str =
        "What the principal must be allowed to do: roles, scopes, claims, conditions.";
    const CHECKS: &'static [&'static str] = &["authz."];
    const ASKS_WHO: bool = true;

    fn compile(&self, _: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        let mut checks: Vec<Option<Arc<dyn Authorize>>> = Vec::new();
        // Each is compiled before the first failure counts, so that all failures are reported.
        if let Some(roles) = &self.roles_allowed {
            checks.push(Roles::compile(roles, cx).map(|check| Arc::new(check) as Arc<dyn Authorize>));
        }
        if let Some(scopes) = &self.scopes_required {
            checks.push(Scopes::compile(scopes, cx).map(|check| Arc::new(check) as Arc<dyn Authorize>));
        }
        if let Some(claims) = &self.claims_required {
            checks.push(Some(Arc::new(claims.compile())));
        }
        if let Some(parameters) = &self.path_parameters_equal {
            let check = PathParameters::compile(parameters, self.at, cx);
            checks.push(check.map(|check| Arc::new(check) as Arc<dyn Authorize>));
        }
        if let Some(condition) = &self.condition {
            checks.push(Condition::compile(condition, cx).map(|check| Arc::new(check) as Arc<dyn Authorize>));
        }
        if let Some(external) = &self.external {
            let check = external.compile(cx);
            build.asked.push(external.url.clone());
            // Nobody else is asked about what is only rehearsed.
            if let (Some(doubles), Some(check)) = (&build.doubles, &check) {
                doubles.add_policy_server(check.url());
            }
            checks.push(check.map(|check| Arc::new(check) as Arc<dyn Authorize>));
        }
        if checks.is_empty() {
            cx.error("config.empty_section", self.at, "this authorization asks for nothing")
                .help("say who may, such as `roles_allowed: [admin]`, or leave the section out");
            return None;
        }
        checks.into_iter().try_fold(Part::new(), |part, check| Some(part.authorize(self.mode, check?)))
    }

    /// That a route with this path has every parameter that is compared.
    fn fits_path(&self, path: &Spanned<String>, cx: &mut Context) -> Option<()> {
        let mut fits = Some(());
        for (name, claim) in self.path_parameters_equal.iter().flatten() {
            if !path_parameters::has_parameter(&path.value, name) {
                cx.error(
                    "config.path_parameter",
                    claim.span,
                    format!("the path of a route for which this holds has no parameter `{{{name}}}`"),
                )
                .related(path.span, "the path")
                .help("name a parameter of the path, or say it in the section of the routes that have it");
                fits = None;
            }
        }
        fits
    }
}

impl AuthorizationConfig {
    /// Makes somebody of whom an issuer speaks into somebody who may, as far as that follows from the keys here, and says which
    /// path parameters they may name. What a `condition` asks for does not follow from it.
    pub fn fit(&self, person: &mut Person) -> BTreeMap<String, String> {
        person.roles.extend(self.roles_allowed.iter().filter_map(|roles| roles.value.first()).cloned());
        person.scopes.extend(self.scopes_required.iter().flat_map(|scopes| scopes.value.iter()).cloned());
        for (path, value) in self.claims_required.iter().flat_map(ClaimsConfig::first_values) {
            person.claims.insert(path, value);
        }
        self.own_parameters(person)
    }

    /// Which path parameters name what belongs to this person. A claim that is not said of them is made up.
    pub fn own_parameters(&self, person: &mut Person) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::new();
        for (name, claim) in self.path_parameters_equal.iter().flatten() {
            let value = if claim.value == "sub" {
                person.name.clone()
            } else {
                let said = person.claims.entry(claim.value.clone());
                let said = said.or_insert_with(|| format!("own-{name}").into());
                said.as_str().map_or_else(|| said.to_string(), str::to_owned)
            };
            parameters.insert(name.clone(), value);
        }
        parameters
    }

    /// The same person of whom an issuer says one thing less, or another one, so that they may not.
    pub fn unfit(&self, person: &Person) -> Vec<(Attack, Person)> {
        let mut unfit = Vec::new();
        if let Some(allowed) = &self.roles_allowed {
            let without = Person { roles: Vec::new(), ..person.clone() };
            unfit.push((Attack::WrongRole, without));
            // Like an allowed one, and another.
            let like = allowed.value.first().map(|role| vec![format!("{role}s"), role.to_uppercase() + "X"]);
            unfit.push((Attack::WrongRole, Person { roles: like.unwrap_or_default(), ..person.clone() }));
        }
        for missing in self.scopes_required.iter().flat_map(|scopes| &scopes.value) {
            let mut scopes = person.scopes.clone();
            scopes.retain(|scope| scope != missing);
            unfit.push((Attack::MissingScope, Person { scopes, ..person.clone() }));
        }
        for (path, _) in self.claims_required.iter().flat_map(ClaimsConfig::first_values) {
            let mut without = person.clone();
            without.claims.remove(&path);
            unfit.push((Attack::WrongClaim, without));
            let mut other = person.clone();
            other.claims.insert(path, "something else".into());
            unfit.push((Attack::WrongClaim, other));
        }
        unfit
    }
}

/// Whether `text` can be a scope (RFC 6749, section 3.3).
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests;
