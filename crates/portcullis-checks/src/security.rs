//! The `security` section: what judges the requests of a route.
//!
//! A route's own section takes the place of the gateway's section of the same name; what a route does not mention, it
//! inherits. This is the one place that knows every check by name.

use crate::authn::AuthenticationConfig;
use crate::authz::AuthorizationConfig;
use crate::build::Build;
use crate::inspect::body_size::{BodyConfig, DEFAULT_MAX_BYTES};
use crate::inspect::graphql::GraphqlConfig;
use crate::inspect::validation::ValidationConfig;
use crate::mode::ModeConfig;
use crate::quota::rate_limit::RateLimitConfig;
use crate::screen::addresses::AddressesConfig;
use crate::shape::client_credentials::ClientCredentialsConfig;
use crate::shape::identity_token::IdentityTokenConfig;
use portcullis_config::{Context, OneOrMany, object};
use portcullis_core::check::Check;
use portcullis_core::{
    Authentication, Authorize, Control, Controls, ErrorDetail, Guarded, Inspect, Inspection, Mode, Quota,
    Screen, Shape,
};
use std::sync::Arc;

object! {
    /// What judges requests, in the order in which it runs.
    pub struct SecurityConfig {
        /// From which addresses requests may come.
        pub addresses: Option<AddressesConfig>,
        /// Who sends the request.
        pub authentication: Option<AuthenticationConfig>,
        /// Whether they may.
        pub authorization: Option<AuthorizationConfig>,
        /// How many requests; one limit or a list of them.
        #[alias("rate_limit")]
        pub rate_limiting: Option<OneOrMany<RateLimitConfig>>,
        /// What a body may be.
        pub body: Option<BodyConfig>,
        /// What a GraphQL request may ask for. A route that has this takes GraphQL and nothing else.
        pub graphql: Option<GraphqlConfig>,
        /// What a JSON body must be, by a JSON Schema, for an API without an OpenAPI document.
        pub validation: Option<ValidationConfig>,
        /// Whether a client whose request is refused with 400, 415 or 422 is told where it is wrong, as JSON Pointers with
        /// fixed words in the member `errors`. Without, it is told the status and the request id alone. Default: true.
        pub strict_errors: Option<bool>,
        /// A token, signed by the gateway, that tells upstreams who sends the request.
        pub identity_token: Option<IdentityTokenConfig>,
        /// The gateway's own access token for the upstream, in place of the client's.
        pub upstream_token: Option<ClientCredentialsConfig>,
    }
}

/// What a route says on authentication.
#[derive(Clone, Debug)]
pub enum RouteAuthentication {
    /// Nobody is asked who they are, for this reason.
    Public(String),
    /// Requests are authenticated, by the route's own section or the gateway's.
    Required,
}

/// A section that was compiled: `None` where it does not say anything on the matter.
#[derive(Clone, Default)]
pub struct CompiledSecurity {
    screen: Option<Vec<Guarded<dyn Screen>>>,
    authentication: Option<Authentication>,
    authorize: Option<Vec<Guarded<dyn Authorize>>>,
    quotas: Option<Vec<Guarded<dyn Quota>>>,
    identity_token: Option<Arc<dyn Shape>>,
    upstream_token: Option<Arc<dyn Shape>>,
    max_body_bytes: Option<u64>,
    graphql: Option<Vec<Guarded<dyn Inspect>>>,
    validation: Option<Vec<Guarded<dyn Inspect>>>,
    error_detail: Option<ErrorDetail>,
    off: Vec<(Section, Control)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Screen,
    Authorize,
    Quotas,
    Graphql,
    Validation,
}

impl SecurityConfig {
    /// Compiles the section once, for all routes that it serves. `None` means that an error was pushed.
    pub fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<CompiledSecurity> {
        let mut compiled = CompiledSecurity::default();
        let mut complete = true;
        if let Some(config) = &self.addresses {
            match cx.at("addresses", |cx| config.compile(cx)) {
                Some(check) => {
                    let guarded: Guarded<dyn Screen> =
                        Guarded { mode: config.mode.into(), check: Arc::new(check) };
                    compiled.screen = Some(compiled.keep(Section::Screen, vec![guarded]));
                }
                None => complete = false,
            }
        }
        if let Some(config) = &self.authentication {
            compiled.authentication = cx.at("authentication", |cx| config.compile(build, cx));
            complete &= compiled.authentication.is_some();
        }
        if let Some(config) = &self.authorization {
            match cx.at("authorization", |cx| config.compile(cx)) {
                Some(checks) => compiled.authorize = Some(compiled.keep(Section::Authorize, checks)),
                None => complete = false,
            }
        }
        if let Some(configs) = &self.rate_limiting {
            let mut checks: Vec<Guarded<dyn Quota>> = Vec::new();
            for config in &configs.0 {
                match cx.at("rate_limiting", |cx| config.compile(build, cx)) {
                    Some(check) => checks.push(Guarded { mode: config.mode.into(), check: Arc::new(check) }),
                    None => complete = false,
                }
            }
            if configs.0.is_empty() {
                cx.at("rate_limiting", |cx| {
                    cx.error(
                        "config.empty_list",
                        self.at,
                        "this list of limits is empty, so it says nothing",
                    )
                    .help("give at least one limit, or leave the section out");
                });
                complete = false;
            }
            compiled.quotas = Some(compiled.keep(Section::Quotas, checks));
        }
        if let Some(config) = &self.identity_token {
            let check = cx.at("identity_token", |cx| config.compile(build, cx));
            complete &= check.is_some();
            compiled.identity_token = check.map(|check| Arc::new(check) as Arc<dyn Shape>);
        }
        if let Some(config) = &self.upstream_token {
            let check = cx.at("upstream_token", |cx| config.compile(build, cx));
            complete &= check.is_some();
            compiled.upstream_token = check.map(|check| Arc::new(check) as Arc<dyn Shape>);
        }
        compiled.max_body_bytes = self.body.as_ref().map(|body| body.max_size.0);
        if let Some(config) = &self.graphql {
            match cx.at("graphql", |cx| config.compile(cx)) {
                Some(check) => {
                    let guarded: Guarded<dyn Inspect> =
                        Guarded { mode: config.mode.into(), check: Arc::new(check) };
                    compiled.graphql = Some(compiled.keep(Section::Graphql, vec![guarded]));
                }
                None => complete = false,
            }
        }
        if let Some(config) = &self.validation {
            match cx.at("validation", |cx| config.compile(cx)) {
                Some(check) => {
                    let guarded: Guarded<dyn Inspect> =
                        Guarded { mode: config.mode.into(), check: Arc::new(check) };
                    compiled.validation = Some(compiled.keep(Section::Validation, vec![guarded]));
                }
                None => complete = false,
            }
        }
        compiled.error_detail = self.strict_errors.map(|strict| match strict {
            true => ErrorDetail::Pointers,
            false => ErrorDetail::Nothing,
        });
        complete.then_some(compiled)
    }

    /// Whether the section's authentication, if any, knows the consumers that the configuration names.
    pub fn knows_consumers(&self) -> Option<bool> {
        self.authentication.as_ref().and_then(AuthenticationConfig::knows_consumers)
    }

    /// Whether anything in it only observes or is off.
    pub fn is_weakened(&self) -> bool {
        let weak = |mode: ModeConfig| mode != ModeConfig::Enforce;
        self.addresses.as_ref().is_some_and(|config| weak(config.mode))
            || self.authentication.as_ref().is_some_and(|config| weak(config.mode))
            || self.graphql.as_ref().is_some_and(|config| weak(config.mode))
            || self.validation.as_ref().is_some_and(|config| weak(config.mode))
            || self.authorization.as_ref().is_some_and(|config| weak(config.mode))
            || self
                .rate_limiting
                .as_ref()
                .is_some_and(|configs| configs.0.iter().any(|config| weak(config.mode)))
    }
}

impl CompiledSecurity {
    /// The checks that run; those that are off are only listed.
    fn keep<C: Check + ?Sized>(&mut self, section: Section, checks: Vec<Guarded<C>>) -> Vec<Guarded<C>> {
        let stage = match section {
            Section::Screen => "screen",
            Section::Authorize => "authz",
            Section::Quotas => "quota",
            Section::Graphql | Section::Validation => "inspect",
        };
        let (off, on): (Vec<_>, Vec<_>) = checks.into_iter().partition(|guarded| guarded.mode == Mode::Off);
        self.off.extend(off.into_iter().map(|guarded| {
            let summary = guarded.check.describe();
            (section, Control { stage, id: guarded.check.id().as_str(), mode: Mode::Off, summary })
        }));
        on
    }

    /// What judges a route that has this section of its own, where `inherited` is the gateway's.
    ///
    /// `None` where neither says how requests are authenticated and the route is not public either.
    pub fn controls(
        &self,
        inherited: &CompiledSecurity,
        authentication: &RouteAuthentication,
    ) -> Option<Controls> {
        let mut off = Vec::new();
        let mut list_off = |section: Section, own: bool| {
            let from = if own { self } else { inherited };
            off.extend(from.off.iter().filter(|(of, _)| *of == section).map(|(_, control)| control.clone()));
        };
        list_off(Section::Screen, self.screen.is_some());
        list_off(Section::Quotas, self.quotas.is_some());
        list_off(Section::Graphql, self.graphql.is_some());
        list_off(Section::Validation, self.validation.is_some());
        let (authentication, authorize) = match authentication {
            // Nobody is known on a public route, so nothing can be asked about who it is.
            RouteAuthentication::Public(reason) => {
                (Authentication::Public { reason: reason.clone() }, Vec::new())
            }
            RouteAuthentication::Required => {
                list_off(Section::Authorize, self.authorize.is_some());
                let authentication =
                    self.authentication.as_ref().or(inherited.authentication.as_ref())?.clone();
                (authentication, inherit(&self.authorize, &inherited.authorize))
            }
        };
        let kept_credentials =
            authentication.methods().iter().flat_map(|method| method.forwarded()).collect();
        Some(Controls {
            kept_credentials,
            screen: inherit(&self.screen, &inherited.screen),
            authentication,
            authorize,
            shape: [
                self.identity_token.as_ref().or(inherited.identity_token.as_ref()),
                self.upstream_token.as_ref().or(inherited.upstream_token.as_ref()),
            ]
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
            quotas: inherit(&self.quotas, &inherited.quotas),
            max_body_bytes: self.max_body_bytes.or(inherited.max_body_bytes).unwrap_or(DEFAULT_MAX_BYTES),
            inspection: Inspection {
                // Each is inherited by itself, so that a route's schema does not switch off the gateway's GraphQL limits.
                requests: [
                    inherit(&self.graphql, &inherited.graphql),
                    inherit(&self.validation, &inherited.validation),
                ]
                .concat(),
                error_detail: self.error_detail.or(inherited.error_detail).unwrap_or_default(),
                ..Inspection::default()
            },
            off,
        })
    }

    /// Whether it says anything that a public route cannot have.
    pub fn asks_who(&self) -> bool {
        self.authentication.is_some() || self.authorize.is_some()
    }
}

fn inherit<T: Clone>(own: &Option<Vec<T>>, inherited: &Option<Vec<T>>) -> Vec<T> {
    own.as_ref().or(inherited.as_ref()).cloned().unwrap_or_default()
}
