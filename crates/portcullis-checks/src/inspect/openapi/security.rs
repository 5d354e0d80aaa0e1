//! Whether the document's own security requirements are met: each scheme that an operation requires is answered by a method
//! of the route, which must have established its part of the principal with the scopes that are required of that scheme.
//!
//! Which methods answer a scheme, the methods say themselves, when the configuration is loaded. A scheme without a
//! counterpart does not load. An operation that requires nothing, or may be used without, stays under the route's statement
//! on authentication, which is never weakened by a document. Needs nothing that could fail.

use super::Document;
use super::cover;
use crate::authz::{is_scope, scopes};
use http::HeaderName;
use portcullis_config::{Context, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{
    Answers, Authentication, Authorize, CheckId, Code, CredentialLocation, Denial, Effects, Evidence, Facts,
    MethodId, MethodSet, Principal, SchemeKind, Step,
};
use portcullis_openapi::{Api, Match, Operation, Requirement, SecurityScheme};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The check, for the routes with one statement on authentication.
pub struct OpenapiSecurity {
    pub(super) document: Document,
    pub(super) answered: Answered,
}

/// The methods of a route that answer each scheme of a document.
pub type Answered = BTreeMap<String, Vec<MethodId>>;

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
    /// One alternative must be met: each of its schemes by a method that established the principal, or a part of it.
    fn judge(
        &self,
        alternatives: &[Requirement],
        facts: &Facts<'_>,
        principal: &Principal,
    ) -> Result<(), Denial> {
        if alternatives.is_empty() {
            return Ok(());
        }
        let mut lacking = None;
        for alternative in alternatives {
            // SECURITY: another alternative's credential does not open what this one guards by a scope
            // (a_key_does_not_stand_in_for_a_token).
            if !alternative.keys().all(|scheme| self.evidence_for(scheme, principal).next().is_some()) {
                continue;
            }
            let missing = alternative
                .iter()
                .find_map(|(scheme, scopes)| self.missing_scope(scheme, scopes, facts, principal));
            match missing {
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

    /// What was established by methods that answer this scheme.
    fn evidence_for<'a>(
        &'a self,
        scheme: &str,
        principal: &'a Principal,
    ) -> impl Iterator<Item = &'a Evidence> {
        let methods = self.answered.get(scheme).map_or(&[][..], Vec::as_slice);
        principal.evidence().filter(|evidence| methods.contains(&evidence.method))
    }

    /// A scope that no evidence for this scheme has together with the others.
    // SECURITY: a scope counts for the method that established it, and not for the request
    // (a_scope_counts_for_the_method_that_established_it).
    fn missing_scope<'a>(
        &self,
        scheme: &str,
        scopes: &'a [String],
        facts: &Facts<'_>,
        principal: &Principal,
    ) -> Option<&'a String> {
        let missing = |evidence: &Evidence| {
            let held = evidence.scopes(&facts.plan.consumers);
            scopes.iter().find(|scope| !held.contains(scope))
        };
        let mut lacking = scopes.first();
        for evidence in self.evidence_for(scheme, principal) {
            lacking = missing(evidence);
            if lacking.is_none() {
                break;
            }
        }
        lacking
    }
}

/// What a scheme is to a method.
fn kind(scheme: &SecurityScheme) -> Option<SchemeKind<'_>> {
    Some(match scheme {
        SecurityScheme::ApiKey { place, name } => SchemeKind::Key(match place.as_str() {
            "header" => CredentialLocation::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
            "query" => CredentialLocation::Query(name.clone()),
            _ => CredentialLocation::Cookie(name.clone()),
        }),
        SecurityScheme::Http { scheme } => SchemeKind::Http(scheme),
        SecurityScheme::OAuth2 { urls } => SchemeKind::OAuth2(urls),
        SecurityScheme::OpenIdConnect { url } => SchemeKind::OpenIdConnect(url),
        SecurityScheme::MutualTls => SchemeKind::MutualTls,
    })
}

/// Whether a scheme means a token of an issuer, and says by a URL which issuer's.
fn names_issuer(scheme: &SecurityScheme) -> bool {
    matches!(scheme, SecurityScheme::OAuth2 { .. } | SecurityScheme::OpenIdConnect { .. })
}

/// The methods of a route that answer one scheme.
///
/// # Errors
/// Nothing tells whose credential the scheme means, of several.
fn answering(
    api: &Api,
    name: &str,
    scheme: &SecurityScheme,
    authentication: &Authentication,
) -> Result<Vec<MethodId>, String> {
    let Some(kind) = kind(scheme) else { return Ok(Vec::new()) };
    let wanted = portcullis_core::SecurityScheme { name, kind };
    let answers: Vec<(MethodId, Answers)> =
        authentication.methods().iter().flat_map(|method| method.answers(&wanted)).collect();
    let those = |wanted: Answers| -> Vec<MethodId> {
        answers.iter().filter(|(_, answers)| *answers == wanted).map(|(method, _)| *method).collect()
    };
    // SECURITY: a method that only may be meant is not, where another one certainly is
    // (a_token_counts_for_the_scheme_of_its_issuer).
    let certain = those(Answers::Certainly);
    if !certain.is_empty() {
        return Ok(certain);
    }
    let mut possible = those(Answers::Possibly);
    let like_it = |other: &SecurityScheme| match scheme {
        SecurityScheme::OAuth2 { .. } | SecurityScheme::OpenIdConnect { .. } => names_issuer(other),
        SecurityScheme::ApiKey { .. } | SecurityScheme::Http { .. } | SecurityScheme::MutualTls => {
            other == scheme
        }
    };
    let several = api.security_schemes().values().filter(|other| like_it(other)).count() > 1;
    // What says of one issuer something else than the configuration, and of no other one anything, can mean no other.
    let foreign = those(Answers::Foreign);
    if possible.is_empty() && foreign.len() == 1 && answers.len() == 1 && !several {
        possible = foreign;
    }
    if several && possible.len() > 1 {
        return Err(format!("requires `{name}`, and nothing says which of the route's issuers that means"));
    }
    Ok(possible)
}

/// The methods of a route that answer each scheme that its operations require.
fn answered(
    api: &Api,
    operation: &Operation,
    authentication: &Authentication,
    answered: &mut Answered,
) -> Result<(), String> {
    for name in operation.security().iter().flat_map(Requirement::keys) {
        if let Some(scheme) = api.security_schemes().get(name)
            && !answered.contains_key(name)
        {
            answered.insert(name.clone(), answering(api, name, scheme, authentication)?);
        }
    }
    Ok(())
}

/// What a scheme is in the words of its author.
fn described(scheme: &SecurityScheme) -> String {
    match scheme {
        SecurityScheme::ApiKey { place, name } => format!("an API key in the {place} `{name}`"),
        SecurityScheme::Http { scheme } => format!("HTTP authentication by `{scheme}`"),
        SecurityScheme::OAuth2 { .. } => "an OAuth 2 access token".to_owned(),
        SecurityScheme::OpenIdConnect { url } => format!("OpenID Connect of {url}"),
        SecurityScheme::MutualTls => "a client certificate".to_owned(),
    }
}

/// The declared operations that a route serves.
pub fn served<'a>(
    api: &'a Api,
    path: &'a str,
    methods: &'a MethodSet,
) -> impl Iterator<Item = &'a Operation> {
    api.operations().filter(move |operation| {
        let allowed = MethodSet::named(operation.method())
            .is_some_and(|method| !method.intersection(methods).is_empty());
        allowed
            && operation
                .base_paths()
                .iter()
                .any(|base| cover::overlap(path, &format!("{base}{}", operation.path())))
    })
}

/// That the route asks for what the operations that it serves require, and which methods answer that.
pub fn covered(
    api: &Api,
    path: &Spanned<String>,
    methods: &MethodSet,
    authentication: &Authentication,
    file: &Spanned<PathBuf>,
    cx: &mut Context,
) -> Option<Answered> {
    let mut schemes = Answered::new();
    for operation in served(api, &path.value, methods) {
        // Where nobody is asked who they are, what is open to all in the document is so here.
        let open = operation.security().iter().any(Requirement::is_empty);
        if open && matches!(authentication, Authentication::Public { .. }) {
            continue;
        }
        let result = answered(api, operation, authentication, &mut schemes).and_then(|()| {
            let mut requirements = operation.security().iter();
            requirements.try_for_each(|requirement| {
                requirement_covered(api, requirement, authentication, &schemes)
            })?;
            one_place_for_keys(api, operation, authentication)
        });
        if let Err(missing) = result {
            let name = format!("{} {}", operation.method(), operation.path());
            cx.error("config.openapi_security", file.span, format!("{name} {missing}"))
                .related(path.span, "the route")
                .help("add the method to the route's authentication, set its `openapi_schemes`, or remove the requirement from the document");
            return None;
        }
    }
    Some(schemes)
}

/// That whoever has a key for the route is not refused by the document with every request: a route that takes a key in
/// another place than the operation does has most likely a slip in one of the two.
fn one_place_for_keys(
    api: &Api,
    operation: &Operation,
    authentication: &Authentication,
) -> Result<(), String> {
    let Authentication::AnyOf { methods, .. } = authentication else { return Ok(()) };
    let names = operation.security().iter().flat_map(Requirement::keys);
    let places: Vec<SchemeKind<'_>> = names
        .filter_map(|name| kind(api.security_schemes().get(name)?))
        .filter(|kind| matches!(kind, SchemeKind::Key(_)))
        .collect();
    let stranger = methods
        .iter()
        .filter(|method| method.id().as_str() == "authn.api_key")
        .flat_map(|method| method.credentials())
        .any(|location| !places.contains(&SchemeKind::Key(location)));
    if stranger && !places.is_empty() {
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
    answered: &Answered,
) -> Result<(), String> {
    let by = |name: &String| answered.get(name).map_or(&[][..], Vec::as_slice);
    for (name, scopes) in requirement {
        let Some(scheme) = api.security_schemes().get(name) else { continue };
        if by(name).is_empty() {
            let what = described(scheme);
            return Err(format!("requires {what} (`{name}`), and no method of the route asks for that"));
        }
        if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(format!("requires the scope `{scope}`, which no token can have"));
        }
    }
    if let Authentication::AnyOf { .. } = authentication
        && let Some((first, rest)) = requirement.keys().collect::<Vec<_>>().split_first()
        && !by(first).iter().any(|method| rest.iter().all(|name| by(name).contains(method)))
    {
        return Err("requires several schemes at once, and the route asks for only one".to_owned());
    }
    Ok(())
}
