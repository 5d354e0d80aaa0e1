//! An OAuth 2 access token (RFC 6749, RFC 6750), named by where clients get it.
//!
//! The rest is found from the authorization server's metadata, which must name the very same token endpoint; so a URL that
//! is not quite right is refused instead of trusting somebody else.

use super::bearer::Trust;
use super::method::{Compiled, Declared, Establishes, Method};
use super::token_config::TokenConfig;
use super::token_maker::Maker;
use super::token_schemes::TokenSchemes;
use crate::build::Build;
use crate::reason::Reason;
use crate::rehearsal::{Credential, Person, Stage, UNTOLD_ISSUER, Wrong};
use crate::token::assertion::ClientAssertionConfig;
use crate::token::client_auth::{ClientAuthenticationConfig, Written};
use crate::token::introspection::Introspector;
use crate::token::issuer::{Issuer, KeySource};
use crate::token::rules::Profile;
use portcullis_config::{
    Context, DecodeFields, Definitions, Fields, ObjectSchema, Secret, Spanned, keyword, object,
};
use portcullis_core::CheckId;
use std::time::Duration;

keyword! {
    /// Which tokens an authorization server is asked about.
    pub enum IntrospectConfig {
        /// Those that are not signed.
        Opaque = "opaque",
        /// All of them.
        All = "all",
    }
}

object! {
    /// The authorization server.
    pub struct OAuth2ServerConfig {
        /// The token endpoint of the authorization server. The gateway finds everything else in the server's metadata.
        pub token_url: Option<Spanned<String>>,
        /// The issuer, if its metadata cannot be found from `token_url`.
        pub issuer: Option<Spanned<String>>,
        /// The introspection endpoint, if the metadata does not name it.
        pub introspection_url: Option<Spanned<String>>,
        /// The gateway's client id at the authorization server. Opaque tokens need it, because introspection requires
        /// authentication.
        pub client_id: Option<Spanned<String>>,
        /// The gateway's client secret at the authorization server. With `private_key_jwt` it is the private key, in PEM (PKCS #8).
        pub client_secret: Option<Spanned<Secret>>,
        /// How the gateway authenticates there: `client_secret_basic`, `client_secret_post` or `private_key_jwt`. Default:
        /// client_secret_basic.
        pub client_authentication: ClientAuthenticationConfig = ClientAuthenticationConfig::Basic,
        /// What the assertion of `private_key_jwt` contains. Default: nothing that is optional.
        pub client_assertion: Option<ClientAssertionConfig>,
        /// Which tokens are introspected: `opaque` ones, or `all`, also those that are signed, so that a revoked one is
        /// rejected. Default: opaque.
        pub introspect: Spanned<IntrospectConfig> = Spanned::nowhere(IntrospectConfig::Opaque),
        /// How long an introspection result is cached. A revoked token can still pass for this long. Default: 30s.
        pub introspection_lifetime: Duration = Duration::from_secs(30),
        /// Why introspection responses without `token_type` are accepted (RFC 7662, section 2.2). A refresh token can
        /// then pass as an access token. Default: such a response is rejected.
        pub untyped_introspection: Option<Spanned<Reason>>,
    }
}

/// An OAuth 2 access token.
#[derive(Clone, Debug)]
pub struct OAuth2Config {
    /// Whose.
    pub server: OAuth2ServerConfig,
    /// What is asked of it.
    pub token: TokenConfig,
}

impl DecodeFields for OAuth2Config {
    fn decode_fields(fields: &mut Fields<'_>, cx: &mut Context) -> Option<OAuth2Config> {
        let server = OAuth2ServerConfig::decode_fields(fields, cx);
        let token = TokenConfig::decode_fields(fields, cx);
        Some(OAuth2Config { server: server?, token: token? })
    }

    fn describe(schema: &mut ObjectSchema, definitions: &mut Definitions) {
        OAuth2ServerConfig::describe(schema, definitions);
        TokenConfig::describe(schema, definitions);
    }
}

impl Declared for OAuth2Config {
    const WORDS: &'static [&'static str] = &["OAuth2", "oauth2"];
    const ABOUT: &'static str = "An OAuth 2 access token, signed or opaque (RFC 6750).";
}

impl Method for OAuth2Config {
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        self.trust(build, cx).map(|trust| Compiled::Tokens(vec![trust]))
    }

    fn establishes(&self) -> Establishes {
        let OAuth2ServerConfig { issuer, token_url, .. } = &self.server;
        let issuer = issuer.as_ref().or(token_url.as_ref());
        Establishes::Subjects {
            issuer: issuer.map_or_else(String::new, |issuer| issuer.value.clone()),
            roles_prefix: self.token.prefix(),
        }
    }

    fn is_authorization(&self) -> bool {
        self.token.is_authorization()
    }

    fn token(&self) -> Option<&TokenConfig> {
        Some(&self.token)
    }

    fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String> {
        self.maker().good(person, stage)
    }

    fn wrong(&self, person: &Person, stage: &Stage<'_>) -> Vec<Wrong> {
        self.maker().wrong(person, stage)
    }
}

impl OAuth2Config {
    /// By what its server is told from others in a rehearsal.
    fn told_by(&self) -> &str {
        let OAuth2ServerConfig { token_url, issuer, .. } = &self.server;
        token_url.as_ref().or(issuer.as_ref()).map_or("", |text| text.value.as_str())
    }

    /// Who makes its tokens in a rehearsal.
    fn maker(&self) -> Maker<'_> {
        Maker {
            of: self.told_by().to_owned(),
            issuer: self
                .server
                .issuer
                .as_ref()
                .map_or_else(|| UNTOLD_ISSUER.to_owned(), |issuer| issuer.value.clone()),
            token: &self.token,
            shared: false,
            access_only: true,
            opaque: self.server.client_id.is_some(),
        }
    }

    /// The authorization server, and on which conditions its tokens are accepted.
    fn trust(&self, build: &mut Build, cx: &mut Context) -> Option<Trust> {
        let options = self.token.compile(false, build, cx);
        let OAuth2ServerConfig { token_url, issuer, introspection_url, .. } = &self.server;
        if self.token.audience.is_none() && self.token.insecure_any_audience.is_none() {
            cx.warning(
                "config.any_audience",
                self.server.at,
                "tokens that the server issued for other APIs are accepted",
            )
            .help("write `audience`, the server's name for this API, or `insecure_any_audience: \"why\"`");
        }
        let mut parse = |text: &Option<Spanned<String>>| match text {
            None => Some(None),
            Some(text) => self.token.url(text, cx).map(Some),
        };
        let (token, introspection) = (parse(token_url), parse(introspection_url));
        let introspector = self.introspector(cx);
        let (token, introspection, introspector) = (token?, introspection?, introspector?);
        let mut options = options?;
        if options.rules.profile == Profile::Any {
            options.rules.profile = Profile::Access;
        }
        let all = self.server.introspect.value == IntrospectConfig::All;
        if (introspection.is_some() || all) && introspector.is_none() {
            cx.error(
                "config.client_id",
                self.server.at,
                "introspection of opaque tokens needs a client id and a secret",
            )
            .help("write `client_id` and `client_secret`, which the authorization server gave you");
            return None;
        }
        let name = issuer.as_ref().map(|issuer| issuer.value.clone());
        let source = match (&options.jwks, &token, issuer) {
            (Some(jwks), _, Some(_)) => KeySource::Url(jwks.clone()),
            (_, Some(token), _) => KeySource::TokenEndpoint(token.clone()),
            (None, None, Some(issuer)) => {
                self.token.url(issuer, cx)?;
                KeySource::Issuer
            }
            (_, None, None) => {
                cx.error("config.no_issuer", self.server.at, "the issuer of the tokens is missing")
                    .help("write `token_url`, where clients get their tokens, or `issuer`");
                return None;
            }
        };
        let whose = match (token_url, issuer) {
            (Some(url), _) => &url.value,
            (None, Some(issuer)) => &issuer.value,
            (None, None) => return None,
        };
        let kinds = if introspector.is_some() { "a signed or opaque token" } else { "a signed token" };
        let summary = format!("{kinds} of {whose}{}", options.rules.roles.told());
        let home = match (&options.jwks, &token, issuer) {
            (Some(url), _, _) | (None, Some(url), _) => Some(url.clone()),
            (None, None, Some(issuer)) => issuer.value.parse().ok(),
            (None, None, None) => None,
        };
        let access = self.token.access(home.as_ref(), cx)?;
        self.token.note_asked(token_url.as_ref().or(issuer.as_ref()), build);
        build.asked.extend(introspection_url.as_ref().filter(|_| introspector.is_some()).cloned());
        let server = match &build.doubles {
            Some(doubles) => doubles.issuer(self.told_by(), name.as_deref(), &options.algorithms, false)?,
            None => Issuer::fetched(name, source, introspection, options.algorithms, options.refresh)
                .with_keys_at(options.jwks)
                .with_more_keys_at(options.more_jwks)
                .with_access(access),
        };
        let server = build.issuer(server);
        // SECURITY: one that asks for another plan's rules would judge by them (a_changed_audience_forgets_tokens).
        let introspector = introspector.map(|introspector| {
            let name = format!("{} {} {:?}", introspector.settings(), server.settings(), options.rules);
            build.kept.keep(&name, || introspector)
        });
        let resource = options.resource.as_ref();
        let metadata_url =
            super::resource_metadata::serve(resource, &server, options.binding_required, build);
        Some(Trust {
            method: build.new_method(),
            schemes: TokenSchemes {
                named: self.token.scheme_names(),
                issuer: issuer.as_ref().map(|issuer| issuer.value.clone()),
                token_url: token_url.as_ref().map(|url| url.value.clone()),
            },
            id: CheckId::new("authn.oauth2"),
            issuer: server,
            rules: options.rules,
            introspector,
            asks_signed: self.server.introspect.value == IntrospectConfig::All,
            binding_required: options.binding_required,
            nonces: options.nonces,
            resource: options.resource.clone(),
            metadata_url,
            place: options.place,
            forward: options.forward,
            summary,
        })
    }

    fn introspector(&self, cx: &mut Context) -> Option<Option<Introspector>> {
        let server = &self.server;
        let missing = |span, cx: &mut Context| {
            cx.error("config.client_id", span, "`client_id` and `client_secret` belong together")
                .help("write `client_id` and `client_secret`, which the authorization server gave you");
            None
        };
        match (&server.client_id, &server.client_secret) {
            (None, None) => match &server.client_assertion {
                None => Some(None),
                Some(assertion) => missing(assertion.at, cx),
            },
            (Some(client), Some(secret))
                if server.client_authentication != ClientAuthenticationConfig::Public =>
            {
                let written = Written {
                    how: server.client_authentication,
                    id: client,
                    secret: Some(&secret.value),
                    assertion: server.client_assertion.as_ref(),
                };
                Some(Some(Introspector::new(
                    written.compile(cx)?,
                    &secret.value,
                    server.introspection_lifetime,
                    server.untyped_introspection.is_some(),
                    self.token.insecure_plaintext.is_some(),
                )))
            }
            (Some(Spanned { span, .. }), _) | (None, Some(Spanned { span, .. })) => missing(*span, cx),
        }
    }
}

#[cfg(test)]
mod tests;
