//! A signed token of an issuer that the configuration names (RFC 7519).

use super::bearer::Trust;
use super::method::{Compiled, Declared, Establishes, Method};
use super::token_config::{TokenConfig, url};
use super::token_maker::Maker;
use super::token_schemes::TokenSchemes;
use crate::build::Build;
use crate::rehearsal::{Credential, Person, Stage, Wrong};
use crate::token::algorithm::Algorithm;
use crate::token::cache;
use crate::token::issuer::{Issuer, KeySource};
use crate::token::keys::KeySet;
use portcullis_config::{Context, DecodeFields, Definitions, Fields, ObjectSchema, Secret, Spanned, object};
use portcullis_core::CheckId;
use std::path::PathBuf;

/// The least entropy of a shared secret: as many bytes as the shortest hash (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

object! {
    /// Whose tokens they are.
    pub struct JwtIssuerConfig {
        /// The issuer, exactly as in the tokens' `iss`. Its keys are found through its metadata, unless `jwks_url`,
        /// `jwks_file` or `secret` is given.
        pub issuer: Spanned<String>,
        /// A file with the issuer's JSON Web Key Set (RFC 7517), for an issuer that the gateway cannot reach.
        pub jwks_file: Option<Spanned<PathBuf>>,
        /// The secret that the issuer shares with the gateway, of at least 32 characters (HS256 and its relatives).
        /// Everyone who has it can make valid tokens.
        pub secret: Option<Spanned<Secret>>,
    }
}

/// A signed token.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Whose.
    pub issuer: JwtIssuerConfig,
    /// What is asked of it.
    pub token: TokenConfig,
}

impl DecodeFields for JwtConfig {
    fn decode_fields(fields: &mut Fields<'_>, cx: &mut Context) -> Option<JwtConfig> {
        let issuer = JwtIssuerConfig::decode_fields(fields, cx);
        let token = TokenConfig::decode_fields(fields, cx);
        Some(JwtConfig { issuer: issuer?, token: token? })
    }

    fn describe(schema: &mut ObjectSchema, definitions: &mut Definitions) {
        JwtIssuerConfig::describe(schema, definitions);
        TokenConfig::describe(schema, definitions);
    }
}

impl Declared for JwtConfig {
    const WORDS: &'static [&'static str] = &["jwt", "JWT"];
    const ABOUT: &'static str = "A signed JSON Web Token (RFC 7519).";
}

impl Method for JwtConfig {
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        self.trust(build, cx).map(Box::new).map(Compiled::Token)
    }

    fn establishes(&self) -> Establishes {
        Establishes::Subjects { issuer: self.issuer.issuer.value.clone(), roles_prefix: self.token.prefix() }
    }

    fn is_authorization(&self) -> bool {
        true
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

impl JwtConfig {
    /// Who makes its tokens in a rehearsal.
    fn maker(&self) -> Maker<'_> {
        let name = &self.issuer.issuer.value;
        Maker {
            of: name,
            issuer: name,
            token: &self.token,
            shared: self.issuer.secret.is_some(),
            access_only: false,
            opaque: false,
        }
    }

    /// The issuer, and on which conditions its tokens are accepted.
    fn trust(&self, build: &mut Build, cx: &mut Context) -> Option<Trust> {
        let options = self.token.compile(self.issuer.secret.is_some(), build, cx);
        if self.token.audience.is_none() && self.token.insecure_any_audience.is_none() {
            cx.error(
                "config.no_audience",
                self.issuer.at,
                "tokens that were issued for other APIs would be accepted",
            )
            .help("write `audience`, the issuer's name for this API, or `insecure_any_audience: \"why\"`");
            return None;
        }
        let options = options?;
        let mut issuer = self.issuer(&options.algorithms, &options, cx)?;
        if let Some(doubles) = &build.doubles {
            let (name, shared) = (self.issuer.issuer.value.as_str(), self.issuer.secret.is_some());
            issuer = doubles.issuer(name, Some(name), &options.algorithms, shared)?;
        }
        let issuer = build.issuer(issuer);
        let resource = options.resource.as_ref();
        let metadata_url =
            super::resource_metadata::serve(resource, &issuer, options.binding_required, build);
        let told = options.rules.roles.told();
        Some(Trust {
            method: build.new_method(),
            schemes: TokenSchemes {
                named: self.token.scheme_names(),
                issuer: Some(self.issuer.issuer.value.clone()),
                token_url: None,
            },
            id: CheckId::new("authn.jwt"),
            issuer,
            rules: options.rules,
            introspector: None,
            binding_required: options.binding_required,
            nonces: options.nonces,
            resource: options.resource.clone(),
            metadata_url,
            forward: options.forward,
            summary: format!("a token signed by {}{told}", self.issuer.issuer.value),
        })
    }

    fn issuer(
        &self,
        algorithms: &[Algorithm],
        options: &super::token_config::TokenOptions,
        cx: &mut Context,
    ) -> Option<Issuer> {
        let name = self.issuer.issuer.value.clone();
        if name.trim().is_empty() {
            cx.error("config.issuer_url", self.issuer.issuer.span, "the issuer is empty")
                .help("write it exactly as in the tokens' `iss`");
            return None;
        }
        let sources = [
            self.token.jwks_url.as_ref().map(|url| url.span),
            self.issuer.jwks_file.as_ref().map(|file| file.span),
            self.issuer.secret.as_ref().map(|secret| secret.span),
        ];
        let mut given = sources.iter().flatten();
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            cx.error("config.key_source", *second, "give only one source of the issuer's keys")
                .related(*first, "the other place")
                .help("remove one of the two");
            return None;
        }
        if let Some(secret) = &self.issuer.secret {
            if secret.value.expose().len() < MIN_SECRET_BYTES {
                cx.error(
                    "config.weak_secret",
                    secret.span,
                    format!(
                        "a secret of fewer than {MIN_SECRET_BYTES} characters can be guessed from a token"
                    ),
                )
                .help("make one with `openssl rand -hex 32`");
                return None;
            }
            let secret = secret.value.expose().as_bytes();
            let keys = KeySet::of_secret(secret, algorithms);
            return Some(Issuer::fixed(name, keys, &format!("{algorithms:?} {}", cache::named(secret))));
        }
        if let Some(file) = &self.issuer.jwks_file {
            let (keys, bytes) = keys_of_file(file, algorithms, cx)?;
            return Some(Issuer::fixed(name, keys, &format!("{algorithms:?} {}", cache::named(&bytes))));
        }
        let source = match &options.jwks {
            Some(url) => KeySource::Url(url.clone()),
            None => {
                url(&self.issuer.issuer, cx)?;
                KeySource::Issuer
            }
        };
        Some(Issuer::fetched(Some(name), source, None, algorithms.to_vec(), options.refresh))
    }
}

/// The keys that a file holds, and its content.
fn keys_of_file(
    file: &Spanned<PathBuf>,
    algorithms: &[Algorithm],
    cx: &mut Context,
) -> Option<(KeySet, Vec<u8>)> {
    let keys = std::fs::read(&file.value)
        .map_err(|error| format!("the file cannot be read: {error}"))
        .and_then(|bytes| KeySet::parse(&bytes, algorithms).map(|keys| (keys, bytes)));
    match keys {
        Err(why) => {
            cx.error("config.key_set", file.span, why)
                .help("the file holds a JSON Web Key Set, as an issuer publishes it: `{ \"keys\": [...] }`");
            None
        }
        Ok((keys, _)) if keys.is_empty() => {
            let why = keys.skipped.first().map_or_else(String::new, |why| format!(": {why}"));
            cx.error("config.key_set", file.span, format!("no key in it can be used{why}"))
                .help("the file holds public keys for signatures");
            None
        }
        Ok((keys, bytes)) => {
            for why in &keys.skipped {
                cx.warning("config.key_skipped", file.span, format!("left out {why}"))
                    .help("remove it from the file if nobody needs it");
            }
            Some((keys, bytes))
        }
    }
}
