//! The `security` section: what judges the requests of a route.
//!
//! A route's own section takes the place of the gateway's section of the same name; what a route does not mention, it
//! inherits. The registry below is the one place that knows every section by name, and the order in which their checks
//! run within a stage.

use crate::authn::AuthenticationConfig;
use crate::authz::AuthorizationConfig;
use crate::build::Build;
use crate::inspect::body_size::{BodyConfig, DEFAULT_MAX_BYTES};
use crate::inspect::graphql::GraphqlConfig;
use crate::inspect::strict_errors::StrictErrorsConfig;
use crate::inspect::validation::ValidationConfig;
use crate::inspect::waf::WafConfig;
use crate::quota::calendar::QuotaConfig;
use crate::quota::concurrency::ConcurrencyConfig;
use crate::quota::rate_limit::RateLimitConfig;
use crate::screen::addresses::AddressesConfig;
use crate::section::{Part, Section};
use crate::shape::client_credentials::ClientCredentialsConfig;
use crate::shape::identity_token::IdentityTokenConfig;
use crate::shape::token_exchange::TokenExchangeConfig;
use portcullis_config::private::FieldDeclaration;
use portcullis_config::{
    Context, Decode, DecodeFields, Definitions, Fields, Node, ObjectSchema, OneOrMany, Span, Spanned,
};
use portcullis_core::{Authentication, Controls, Inspection, KeptCredential};

/// Declares [`SecurityConfig`] with a key for each section, and all that is done with every section.
macro_rules! sections {
    ($($name:ident: $section:ty,)+) => {
        /// Security controls, in the order in which they run.
        #[derive(Clone, Debug)]
        pub struct SecurityConfig {
            $(
                /// The section of this name.
                pub $name: Option<$section>,
            )+
            /// Where it stands in the document.
            pub at: Span,
        }

        impl DecodeFields for SecurityConfig {
            fn decode_fields(fields: &mut Fields<'_>, cx: &mut Context) -> Option<Self> {
                // Every section is read before the first failure counts, so that all are reported.
                $( let $name = fields.optional::<$section>(declared::<$section>(stringify!($name)).key(), cx); )+
                Some(SecurityConfig { $( $name: $name?, )+ at: fields.span() })
            }

            fn describe(schema: &mut ObjectSchema, definitions: &mut Definitions) {
                $( declared::<$section>(stringify!($name)).describe::<Option<$section>>(schema, definitions); )+
            }
        }

        impl SecurityConfig {
            /// Compiles every section once, for all routes that they serve. `None` means that an error was pushed.
            pub fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<CompiledSecurity> {
                // Each is compiled before the first failure counts, so that all failures are reported.
                let parts = [ $( compiled(stringify!($name), self.$name.as_ref(), self.at, build, cx), )+ ];
                let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
                Some(CompiledSecurity { parts })
            }

            /// Whether there is no section in it.
            pub fn is_empty(&self) -> bool {
                true $( && self.$name.is_none() )+
            }

            /// These sections, and those of `base` where there is none here: the one rule of inheritance, of what is written.
            #[must_use]
            pub fn over(&self, base: Option<&SecurityConfig>) -> SecurityConfig {
                let mut sections = self.clone();
                $(
                    let inherited = base.and_then(|base| base.$name.as_ref());
                    sections.$name = sections.$name.or_else(|| inherited.cloned());
                )+
                sections
            }

            /// That what a route's own sections, or else the gateway's, say of its path is true of it.
            pub fn fits_path(
                own: Option<&SecurityConfig>,
                inherited: Option<&SecurityConfig>,
                public: bool,
                path: &Spanned<String>,
                cx: &mut Context,
            ) -> Option<()> {
                let mut fits = Some(());
                $(
                    let written = own.and_then(|own| own.$name.as_ref());
                    let section = written.or(inherited.and_then(|inherited| inherited.$name.as_ref()));
                    if let Some(section) = section
                        && !(public && <$section as Section>::ASKS_WHO)
                    {
                        fits = fits.and(section.fits_path(path, cx));
                        if public && written.is_some() {
                            fits = fits.and(section.fits_public(path.span, cx));
                        }
                    }
                )+
                fits
            }
        }

        /// Of each section, its key and the checks that it configures.
        const CHECKS: &[(&str, &[&str])] = &[$( (stringify!($name), <$section as Section>::CHECKS), )+];

        /// Of each section, whether it speaks of who sends a request.
        const ASK_WHO: &[bool] = &[$( <$section as Section>::ASKS_WHO, )+];
    };
}

sections! {
    addresses: AddressesConfig,
    cors: crate::screen::cors::CorsConfig,
    authentication: AuthenticationConfig,
    authorization: AuthorizationConfig,
    concurrency: OneOrMany<ConcurrencyConfig>,
    rate_limiting: OneOrMany<RateLimitConfig>,
    quota: OneOrMany<QuotaConfig>,
    body: BodyConfig,
    graphql: GraphqlConfig,
    validation: ValidationConfig,
    waf: WafConfig,
    strict_errors: StrictErrorsConfig,
    identity_token: IdentityTokenConfig,
    upstream_token: ClientCredentialsConfig,
    token_exchange: TokenExchangeConfig,
}

/// The key of the section that configures a check. `None` for a check that no section does.
pub fn section_of(check: &str) -> Option<&'static str> {
    let section = CHECKS.iter().find(|(_, checks)| checks.iter().any(|named| check.starts_with(named)));
    section.map(|(name, _)| *name)
}

/// Every section: its key, and the names of the checks that it configures, or what they begin with.
pub fn sections() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    CHECKS.iter().copied()
}

/// The key of a section.
fn declared<S: Section>(name: &'static str) -> FieldDeclaration {
    FieldDeclaration { name, aliases: S::ALIASES, doc: About::<S>::LINES }
}

/// The reference text of a section, as a declaration has it.
struct About<S>(std::marker::PhantomData<S>);

impl<S: Section> About<S> {
    const LINES: &'static [&'static str] = &[S::ABOUT];
}

/// What a section adds; the inner `None` where it is not written.
fn compiled<S: Section>(
    name: &'static str,
    section: Option<&S>,
    at: Span,
    build: &mut Build,
    cx: &mut Context,
) -> Option<Option<Part>> {
    match section {
        None => Some(None),
        Some(section) => cx.at(name, |cx| section.compile(at, build, cx)).map(Some),
    }
}

impl Decode for SecurityConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let mut fields = cx.fields(node)?;
        let value = SecurityConfig::decode_fields(&mut fields, cx);
        fields.finish(cx)?;
        value
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("SecurityConfig", |definitions| {
            let mut schema = ObjectSchema::new("Security controls, in the order in which they run.");
            SecurityConfig::describe(&mut schema, definitions);
            schema.into_json()
        })
    }
}

impl SecurityConfig {
    /// Whether the section's authentication, if any, knows the consumers that the configuration names.
    pub fn knows_consumers(&self) -> Option<bool> {
        self.authentication.as_ref().and_then(AuthenticationConfig::knows_consumers)
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

/// A `security` section that was compiled: what each of its sections adds, in the registry's order; `None` for one that
/// is not written. Empty where there is no `security` at all.
#[derive(Clone, Default)]
pub struct CompiledSecurity {
    parts: Vec<Option<Part>>,
}

impl CompiledSecurity {
    /// What judges a route that has this section of its own, where `inherited` is the gateway's.
    ///
    /// `None` where neither says how requests are authenticated and the route is not public either.
    pub fn controls(
        &self,
        inherited: &CompiledSecurity,
        authentication: &RouteAuthentication,
    ) -> Option<Controls> {
        let public = matches!(authentication, RouteAuthentication::Public(_));
        // The one rule of inheritance: a section of its own takes the place of the gateway's, as a whole. Nobody is known on
        // a public route, so nothing can be asked about who it is.
        let parts = ASK_WHO.iter().enumerate().filter(|(_, asks_who)| !(public && **asks_who));
        let parts: Vec<&Part> =
            parts.filter_map(|(section, _)| self.part(section).or_else(|| inherited.part(section))).collect();
        let authentication = match authentication {
            RouteAuthentication::Public(reason) => Authentication::Public { reason: reason.clone() },
            RouteAuthentication::Required => parts.iter().find_map(|part| part.authentication())?.clone(),
        };
        let mut controls = Controls {
            kept_credentials: authentication
                .methods()
                .iter()
                .flat_map(|method| method.forwarded())
                .map(|(method, location)| KeptCredential { location, by: Some(method) })
                .collect(),
            screen: Vec::new(),
            cross_origin: None,
            authentication,
            authorize: Vec::new(),
            in_flight: Vec::new(),
            quotas: Vec::new(),
            shape: Vec::new(),
            max_body_bytes: DEFAULT_MAX_BYTES,
            inspection: Inspection::default(),
            off: Vec::new(),
        };
        parts.into_iter().for_each(|part| part.add_to(&mut controls));
        Some(controls)
    }

    /// These sections, and those of `base` where there is none here: the one rule of inheritance, of what was compiled. A
    /// limit of `base` stays one limit, whoever inherits it.
    #[must_use]
    pub fn over(&self, base: &CompiledSecurity) -> CompiledSecurity {
        let parts =
            (0..ASK_WHO.len()).map(|section| self.part(section).or_else(|| base.part(section)).cloned());
        CompiledSecurity { parts: parts.collect() }
    }

    /// Whether there is no section in it.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Option::is_none)
    }

    /// Whether it says anything that a public route cannot have.
    pub fn asks_who(&self) -> bool {
        ASK_WHO.iter().enumerate().any(|(section, asks_who)| *asks_who && self.part(section).is_some())
    }

    fn part(&self, section: usize) -> Option<&Part> {
        self.parts.get(section)?.as_ref()
    }
}
