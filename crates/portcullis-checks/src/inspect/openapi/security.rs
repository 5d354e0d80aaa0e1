//! Whether the document's own security requirements are met: each scheme that an operation requires is one of the route's
//! methods, and its scopes are required scopes.
//!
//! A scheme without a counterpart does not load. An operation that requires nothing, or may be used without, stays under the
//! route's statement on authentication, which is never weakened by a document. Needs nothing that could fail.

use super::Document;
use super::cover;
use crate::authz::{is_scope, scopes};
use http::HeaderName;
use portcullis_config::{Context, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{
    Authentication, Authorize, CheckId, Code, CredentialLocation, Denial, Effects, Facts, MethodSet,
    Principal, Step,
};
use portcullis_openapi::{Api, Match, Operation, Requirement, SecurityScheme};
use std::path::PathBuf;

/// The check.
pub struct OpenapiSecurity {
    pub(super) document: Document,
}

impl Check for OpenapiSecurity {
    fn id(&self) -> CheckId {
        CheckId::new("authz.openapi")
    }

    fn describe(&self) -> String {
        format!("the security requirements of {}", self.document.name)
    }
}

impl Authorize for OpenapiSecurity {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        // What is not declared is refused later, in other words.
        let Match::Operation(found) = self.document.find(facts.head) else { return Step::Ready(Ok(())) };
        Step::Ready(self.judge(found.operation().security(), facts, principal))
    }
}

impl OpenapiSecurity {
    /// One alternative must be met by the very method that established the principal.
    fn judge(
        &self,
        alternatives: &[Requirement],
        facts: &Facts<'_>,
        principal: &Principal,
    ) -> Result<(), Denial> {
        if alternatives.is_empty() {
            return Ok(());
        }
        let schemes = self.document.api.security_schemes();
        let held = principal.scopes(&facts.plan.consumers);
        let mut lacking = None;
        for alternative in alternatives {
            // SECURITY: another alternative's credential does not open what this one guards by a scope
            // (a_key_does_not_stand_in_for_a_token).
            let meant = alternative
                .keys()
                .all(|name| schemes.get(name).is_some_and(|scheme| was_used(scheme, facts, principal)));
            if !meant {
                continue;
            }
            match alternative.values().flatten().find(|scope| !held.contains(scope)) {
                None => return Ok(()),
                Some(missing) => _ = lacking.get_or_insert((alternative, missing)),
            }
        }
        Err(match lacking {
            Some((alternative, missing)) => {
                let required: Vec<String> = alternative.values().flatten().cloned().collect();
                scopes::insufficient(&required, missing, facts, principal)
            }
            None => {
                Denial::new(Code::ScopeMissing, "the document does not take this kind of credential here")
            }
        })
    }
}

/// Whether the principal was established by this scheme.
fn was_used(scheme: &SecurityScheme, facts: &Facts<'_>, principal: &Principal) -> bool {
    match &facts.route.controls.authentication {
        // Every method of the route has succeeded.
        Authentication::AllOf { .. } => principal.authenticated_by.is_some(),
        Authentication::AnyOf { methods, .. } => principal.authenticated_by.is_some_and(|by| {
            counterparts(scheme).contains(&by.as_str())
                && methods.iter().any(|method| stands_for(scheme, method.id(), &method.credentials()))
        }),
        Authentication::Public { .. } => false,
    }
}

/// The checks that take the credential of a scheme.
fn counterparts(scheme: &SecurityScheme) -> &'static [&'static str] {
    match scheme {
        SecurityScheme::ApiKey { .. } => &["authn.api_key"],
        SecurityScheme::Http { scheme } if scheme == "basic" => &["authn.basic"],
        SecurityScheme::Http { scheme } if scheme == "bearer" || scheme == "dpop" => {
            &["authn.jwt", "authn.oauth2", "authn.openid_connect"]
        }
        SecurityScheme::Http { .. } => &[],
        SecurityScheme::OAuth2 | SecurityScheme::OpenIdConnect { .. } => {
            &["authn.jwt", "authn.oauth2", "authn.openid_connect"]
        }
        SecurityScheme::MutualTls => &["authn.mtls"],
    }
}

/// Whether a method of the route takes the credential of a scheme.
fn stands_for(scheme: &SecurityScheme, method: CheckId, credentials: &[CredentialLocation]) -> bool {
    if !counterparts(scheme).contains(&method.as_str()) {
        return false;
    }
    let SecurityScheme::ApiKey { place, name } = scheme else { return true };
    let location = match place.as_str() {
        "header" => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => CredentialLocation::Header(name),
            Err(_) => return false,
        },
        "query" => CredentialLocation::Query(name.clone()),
        _ => CredentialLocation::Cookie(name.clone()),
    };
    credentials.contains(&location)
}

/// What a scheme is in the words of its author.
fn described(scheme: &SecurityScheme) -> String {
    match scheme {
        SecurityScheme::ApiKey { place, name } => format!("an API key in the {place} `{name}`"),
        SecurityScheme::Http { scheme } => format!("HTTP authentication by `{scheme}`"),
        SecurityScheme::OAuth2 => "an OAuth 2 access token".to_owned(),
        SecurityScheme::OpenIdConnect { .. } => "OpenID Connect".to_owned(),
        SecurityScheme::MutualTls => "a client certificate".to_owned(),
    }
}

/// The declared operations that a route serves.
pub fn served<'a>(api: &'a Api, path: &'a str, methods: MethodSet) -> impl Iterator<Item = &'a Operation> {
    api.operations().filter(move |operation| {
        let allowed = MethodSet::named(operation.method())
            .is_some_and(|method| !method.intersection(methods).is_empty());
        allowed
            && api
                .base_paths()
                .iter()
                .any(|base| cover::overlap(path, &format!("{base}{}", operation.path())))
    })
}

/// That the route asks for what the operations that it serves require.
pub fn covered(
    api: &Api,
    path: &Spanned<String>,
    methods: MethodSet,
    authentication: &Authentication,
    file: &Spanned<PathBuf>,
    cx: &mut Context,
) -> Option<()> {
    for operation in served(api, &path.value, methods) {
        for requirement in operation.security() {
            // Where nobody is asked who they are, what is open to all in the document is so here.
            let open = operation.security().iter().any(Requirement::is_empty);
            if open && matches!(authentication, Authentication::Public { .. }) {
                continue;
            }
            let result = requirement_covered(api, requirement, authentication)
                .and_then(|()| told_apart(api, operation, authentication));
            if let Err(missing) = result {
                let name = format!("{} {}", operation.method(), operation.path());
                cx.error("config.openapi_security", file.span, format!("{name} {missing}"))
                    .related(path.span, "the route")
                    .help("add the method to the route's authentication, or take the requirement out of the document");
                return None;
            }
        }
    }
    Some(())
}

/// That a key which the operation does not take is not taken for one that it does: of two keys, it is known who sent them,
/// not where they stood.
fn told_apart(api: &Api, operation: &Operation, authentication: &Authentication) -> Result<(), String> {
    let Authentication::AnyOf { methods, .. } = authentication else { return Ok(()) };
    let names = operation.security().iter().flat_map(Requirement::keys);
    let keys: Vec<&SecurityScheme> = names
        .filter_map(|name| api.security_schemes().get(name))
        .filter(|scheme| matches!(scheme, SecurityScheme::ApiKey { .. }))
        .collect();
    let is_key = |method: CheckId| method.as_str() == "authn.api_key";
    let stranger = methods
        .iter()
        .filter(|method| is_key(method.id()))
        .any(|method| !keys.iter().any(|scheme| stands_for(scheme, method.id(), &method.credentials())));
    if stranger && !keys.is_empty() {
        return Err(
            "takes an API key in one place, and the route takes one in another place as well".to_owned()
        );
    }
    Ok(())
}

fn requirement_covered(
    api: &Api,
    requirement: &Requirement,
    authentication: &Authentication,
) -> Result<(), String> {
    let methods = authentication.methods();
    for (name, scopes) in requirement {
        let Some(scheme) = api.security_schemes().get(name) else { continue };
        if !methods.iter().any(|method| stands_for(scheme, method.id(), &method.credentials())) {
            let what = described(scheme);
            return Err(format!("requires {what} (`{name}`), and no method of the route asks for that"));
        }
        if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(format!("requires the scope `{scope}`, which no token can have"));
        }
    }
    if let Authentication::AnyOf { .. } = authentication {
        let one_for_all = methods.iter().any(|method| {
            let mut schemes = requirement.keys().filter_map(|name| api.security_schemes().get(name));
            schemes.all(|scheme| stands_for(scheme, method.id(), &method.credentials()))
        });
        if !one_for_all {
            return Err("requires several schemes at once, and the route asks for only one".to_owned());
        }
    }
    Ok(())
}
