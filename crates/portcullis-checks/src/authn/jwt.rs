//! A signed token of an issuer that the configuration names (RFC 7519).

use super::bearer::Trust;
use super::method::{Compiled, Declared, Establishes, Method};
use super::token_config::TokenConfig;
use super::token_maker::Maker;
use super::token_schemes::TokenSchemes;
use crate::build::Build;
use crate::rehearsal::{Credential, Person, Stage, Wrong};
use crate::token::algorithm::Algorithm;
use crate::token::cache;
use crate::token::issuer::{Issuer, KeySource};
use crate::token::keys::KeySet;
use base64ct::{Base64UrlUnpadded, Encoding};
use portcullis_config::reading;
use portcullis_config::{
    Context, DecodeFields, Definitions, Fields, ObjectSchema, Secret, Spanned, keyword, object,
};
use portcullis_core::CheckId;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The least entropy of a shared secret: as many bytes as the shortest hash (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The most tenants of one issuer.
const MAX_TENANTS: usize = 100;
/// What stands for a tenant.
const TENANT: &str = "{tenant}";

keyword! {
    /// How a shared secret is written.
    pub enum SecretEncoding {
        /// As it is.
        Text = "text",
        /// In base64, with either alphabet, padded or not.
        Base64 = "base64",
        /// In hexadecimal digits.
        Hex = "hex",
    }
}

object! {
    /// Whose tokens they are.
    pub struct JwtIssuerConfig {
        /// The issuer, exactly as in the tokens' `iss`. Its keys are found through its metadata, unless `jwks_url`,
        /// `jwks_file` or `secret` is given. With `tenants`, `{tenant}` stands for each of them:
        /// `https://login.microsoftonline.com/{tenant}/v2.0`.
        pub issuer: Spanned<String>,
        /// The tenants whose tokens are accepted, for an issuer with `{tenant}`. At most 100.
        pub tenants: Option<Spanned<Vec<String>>>,
        /// A file with the issuer's keys, for an issuer that the gateway cannot reach: a JSON Web Key Set (RFC 7517), a
        /// single key, or public keys and certificates in PEM.
        pub jwks_file: Option<Spanned<PathBuf>>,
        /// The secret that the issuer shares with the gateway, of at least 32 characters (HS256 and its relatives).
        /// Everyone who has it can make valid tokens.
        pub secret: Option<Spanned<Secret>>,
        /// How `secret` is written: `text`, or `base64` (also base64url) or `hex` for bytes. Default: text.
        pub secret_encoding: SecretEncoding = SecretEncoding::Text,
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
        self.trusts(build, cx).map(Compiled::Tokens)
    }

    fn establishes(&self) -> Establishes {
        Establishes::Subjects { issuer: self.issuer.issuer.value.clone(), roles_prefix: self.token.prefix() }
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

impl JwtConfig {
    /// Who makes its tokens in a rehearsal.
    fn maker(&self) -> Maker<'_> {
        // Of the first tenant, where there are several.
        let tenant = self.issuer.tenants.as_ref().and_then(|tenants| tenants.value.first());
        let name = self.issuer.issuer.value.replace(TENANT, tenant.map_or(TENANT, String::as_str));
        Maker {
            of: name.clone(),
            issuer: name,
            token: &self.token,
            shared: self.issuer.secret.is_some(),
            access_only: false,
            opaque: false,
        }
    }

    /// The issuers, one for each tenant, and on which conditions their tokens are accepted.
    fn trusts(&self, build: &mut Build, cx: &mut Context) -> Option<Vec<Trust>> {
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
        let (options, names) = (options?, self.names(cx)?);
        if self.issuer.jwks_file.is_none() && self.issuer.secret.is_none() {
            self.token.note_asked(Some(&self.issuer.issuer), build);
        }
        let method = build.new_method();
        let mut trusts = Vec::new();
        for name in names {
            let mut issuer = self.issuer(&name, &options.algorithms, &options, cx)?;
            if let Some(doubles) = &build.doubles {
                let shared = self.issuer.secret.is_some();
                issuer = doubles.issuer(&name, Some(&name), &options.algorithms, shared)?;
            }
            let issuer = build.issuer(issuer);
            let resource = options.resource.as_ref();
            let metadata_url =
                super::resource_metadata::serve(resource, &issuer, options.binding_required, build);
            let told = options.rules.roles.told();
            trusts.push(Trust {
                method,
                schemes: TokenSchemes {
                    named: self.token.scheme_names(),
                    issuer: Some(name.clone()),
                    token_url: None,
                },
                id: CheckId::new("authn.jwt"),
                issuer,
                rules: options.rules.clone(),
                introspector: None,
                asks_signed: false,
                binding_required: options.binding_required,
                nonces: options.nonces.clone(),
                resource: options.resource.clone(),
                metadata_url,
                place: options.place.clone(),
                forward: options.forward,
                summary: format!("a token signed by {name}{told}"),
            });
        }
        Some(trusts)
    }

    /// The issuer's name, or its name for each tenant.
    // SECURITY: every name is a whole one from the file, so a token chooses none (tests/config/effects/tokens.rs).
    fn names(&self, cx: &mut Context) -> Option<Vec<String>> {
        let issuer = &self.issuer.issuer;
        let Some(tenants) = &self.issuer.tenants else {
            if issuer.value.contains(TENANT) {
                cx.error("config.tenants", issuer.span, "no tenant is named for `{tenant}`")
                    .help("write `tenants: [...]`, the tenants whose tokens are accepted");
                return None;
            }
            return Some(vec![issuer.value.clone()]);
        };
        if !issuer.value.contains(TENANT) {
            cx.error(
                "config.tenants",
                tenants.span,
                "`tenants` has no effect, since the issuer has no `{tenant}`",
            )
            .help("write an issuer such as `https://login.microsoftonline.com/{tenant}/v2.0`");
            return None;
        }
        let word = |tenant: &String| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !tenant.is_empty() && !tenant.starts_with('.') && tenant.bytes().all(plain)
        };
        let all = &tenants.value;
        if all.is_empty() || all.len() > MAX_TENANTS || !all.iter().all(word) {
            cx.error(
                "config.tenants",
                tenants.span,
                format!("write 1 to {MAX_TENANTS} tenants of letters, digits, `-`, `_` and `.`"),
            )
            .help("write the ids of the tenants whose tokens are accepted; `common` is not one");
            return None;
        }
        Some(all.iter().map(|tenant| issuer.value.replace(TENANT, tenant)).collect())
    }

    fn issuer(
        &self,
        name: &str,
        algorithms: &[Algorithm],
        options: &super::token_config::TokenOptions,
        cx: &mut Context,
    ) -> Option<Issuer> {
        let name = name.to_owned();
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
        let fixed = self.issuer.jwks_file.as_ref().map(|file| file.span).or(self
            .issuer
            .secret
            .as_ref()
            .map(|secret| secret.span));
        if let (Some(fixed), Some(more)) = (fixed, self.token.more_jwks_urls.first()) {
            cx.error(
                "config.key_source",
                more.span,
                "keys that are given in the configuration are not fetched as well",
            )
            .related(fixed, "the other place")
            .help("remove one of the two");
            return None;
        }
        let mut given = sources.iter().flatten();
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            cx.error("config.key_source", *second, "give only one source of the issuer's keys")
                .related(*first, "the other place")
                .help("remove one of the two");
            return None;
        }
        if let Some(secret) = &self.issuer.secret {
            let Some(bytes) = self.issuer.secret_encoding.decode(secret.value.expose()) else {
                cx.error(
                    "config.secret_encoding",
                    secret.span,
                    "the secret is not in the encoding that `secret_encoding` names",
                )
                .help("write the secret in that encoding, or correct `secret_encoding`");
                return None;
            };
            if bytes.len() < MIN_SECRET_BYTES {
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
            let keys = KeySet::of_secret(&bytes, algorithms);
            return Some(Issuer::fixed(name, keys, &format!("{algorithms:?} {}", cache::named(&bytes))));
        }
        if let Some(file) = &self.issuer.jwks_file {
            let (keys, bytes) = keys_of_file(file, algorithms, cx)?;
            return Some(Issuer::fixed(name, keys, &format!("{algorithms:?} {}", cache::named(&bytes))));
        }
        let source = match &options.jwks {
            Some(url) => KeySource::Url(url.clone()),
            None => KeySource::Issuer,
        };
        let home = match &options.jwks {
            Some(url) => url.clone(),
            None => self.token.url(&Spanned { value: name.clone(), span: self.issuer.issuer.span }, cx)?,
        };
        let access = self.token.access(Some(&home), cx)?;
        let fetched = Issuer::fetched(Some(name), source, None, algorithms.to_vec(), options.refresh);
        Some(fetched.with_more_keys_at(options.more_jwks.clone()).with_access(access))
    }
}

impl SecretEncoding {
    /// The bytes of a secret that is written like this.
    fn decode(self, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let text = text.trim();
        let bytes = match self {
            SecretEncoding::Text => return Some(Zeroizing::new(text.as_bytes().to_vec())),
            SecretEncoding::Base64 => {
                let bare = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
                Base64UrlUnpadded::decode_vec(&bare).ok()?
            }
            SecretEncoding::Hex => {
                let pairs = text.as_bytes().chunks(2);
                let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                let plain = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                pairs.map(digits).collect::<Option<Vec<u8>>>().filter(|_| plain)?
            }
        };
        Some(Zeroizing::new(bytes))
    }
}

/// The largest file with keys.
const MAX_KEY_FILE: u64 = 16 * 1024 * 1024;

/// The keys that a file holds, and its content.
fn keys_of_file(
    file: &Spanned<PathBuf>,
    algorithms: &[Algorithm],
    cx: &mut Context,
) -> Option<(KeySet, Vec<u8>)> {
    let keys = reading::bytes(&file.value, MAX_KEY_FILE)
        .map(|mut bytes| std::mem::take(&mut *bytes))
        .map_err(|error| format!("the file cannot be read: {error}"))
        .and_then(|bytes| KeySet::parse(&bytes, algorithms).map(|keys| (keys, bytes)));
    match keys {
        Err(why) => {
            cx.error("config.key_set", file.span, why)
                .help("the file holds a JSON Web Key Set, as an issuer publishes it (`{ \"keys\": [...] }`), or public keys or certificates in PEM");
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

#[cfg(test)]
mod tests;
