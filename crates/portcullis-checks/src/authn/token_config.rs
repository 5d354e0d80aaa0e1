//! What can be written of an issuer's tokens, whichever way the issuer is named.

use super::bearer::{Bearer, Trust};
use super::place::Place;
use crate::build::Build;
use crate::claim_path::ClaimPathConfig;
use crate::reason::Reason;
use crate::rehearsal::Credential;
use crate::token::access::{self, Access};
use crate::token::algorithm::{Algorithm, Family};
use crate::token::cache::TokenCache;
use crate::token::dpop::Nonces;
use crate::token::issuer::Refresh;
use crate::token::keys;
use crate::token::metadata;
use crate::token::rules::{Profile, RoleRules, Rules, reserved};
use http::Uri;
use http::header::AUTHORIZATION;
use portcullis_config::decode::judge_permissions;
use portcullis_config::{ByteSize, Context, OneOrMany, Secret, Span, Spanned, keyword, object};
use portcullis_core::CredentialLocation;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// The longest token that is looked at if the configuration does not say.
const MAX_TOKEN_BYTES: u64 = 8 * 1024;
/// The most that the clocks of an issuer and the gateway may be said to differ.
const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// How many verified tokens each worker remembers if the configuration does not say.
const CACHE_ENTRIES: u32 = 10_000;

keyword! {
    /// The accepted kinds of token.
    pub enum ProfileConfig {
        /// Any token that does not say another purpose.
        Any = "any",
        /// An access token by RFC 9068: typ is at+jwt, and iat, jti and client_id are there.
        AccessToken = "access_token",
    }
}

object! {
    /// Proof of possession of the key to which a token is bound (DPoP, RFC 9449).
    pub struct DpopConfig {
        /// Whether every token must be bound to a key or a client certificate. A bound token always needs its proof.
        /// Default: no.
        pub required: bool = false,
        /// Whether a proof must contain a nonce that the gateway issued in the last four minutes. Default: no.
        pub nonce: bool = false,
        /// The secret from which nonces are made, of at least 32 bytes. Gateways that serve the same API need the same
        /// secret. Default: a random one at each start.
        pub nonce_secret: Option<Spanned<Secret>>,
    }
}

object! {
    /// What is asked of tokens.
    pub struct TokenConfig {
        /// The accepted audiences. The token's `aud` must contain one of them.
        #[alias("audiences")]
        pub audience: Option<Spanned<OneOrMany<String>>>,
        /// The claim with the audience, written as `roles_claim`: `client_id` for access tokens of Amazon Cognito. Default: aud.
        pub audience_claim: Option<Spanned<ClaimPathConfig>>,
        /// Why tokens with any audience are accepted. A token that a client sent to another API of this issuer is then
        /// valid here too.
        pub insecure_any_audience: Option<Spanned<Reason>>,
        /// URL of the issuer's JSON Web Key Set, if its metadata does not name it.
        #[alias("jwks_uri")]
        pub jwks_url: Option<Spanned<String>>,
        /// More key sets of the same issuer, such as one for each of its policies or data centers. A key of any set verifies. While one
        /// of them cannot be fetched, the keys that were fetched last serve for `stale_keys`. Default: none.
        pub more_jwks_urls: Vec<Spanned<String>> = Vec::new(),
        /// File with a bearer token for the issuer's metadata and keys, such as
        /// /var/run/secrets/kubernetes.io/serviceaccount/token. It is read for each fetch, and sent only to the origin of
        /// `jwks_url` (or else of `issuer` or `token_url`).
        pub jwks_token_file: Option<Spanned<PathBuf>>,
        /// Why metadata, keys and introspection may use plain HTTP to other machines. Anyone on the path can then replace
        /// the keys and make valid tokens. The address must be under `outbound: { allow: […] }`. Default: only TLS.
        pub insecure_plaintext: Option<Spanned<Reason>>,
        /// The accepted signature algorithms. The key must also be meant for the algorithm. Default: all public-key
        /// algorithms.
        pub algorithms: Option<Spanned<Vec<String>>>,
        /// The accepted kinds of token. With OAuth2, `any` still rejects ID tokens, refresh tokens and logout tokens.
        /// Default: any.
        pub profile: ProfileConfig = ProfileConfig::Any,
        /// The accepted clock difference to the issuer, at most 5m. Default: 30s.
        pub leeway: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(30)),
        /// The maximum age of a token since its `iat`, in addition to `exp`. Default: no maximum.
        pub max_age: Option<Duration>,
        /// The header that holds the token, such as `Cf-Access-Jwt-Assertion`. Default: the token comes as `Authorization:
        /// Bearer <token>`, unless `query` or `cookie` is given.
        #[alias("header_name")]
        pub header: Option<Spanned<String>>,
        /// The query parameter that holds the token, for clients that cannot send a header (WebSocket and EventSource in
        /// browsers). URLs end up in logs and browser histories. The parameter is not forwarded.
        pub query: Option<Spanned<String>>,
        /// The cookie that holds the token. A request that changes something must come from a page of the same origin
        /// (CSRF). The cookie is not forwarded.
        pub cookie: Option<Spanned<String>>,
        /// The claim with the roles: a name, a path such as `realm_access.roles`, a URL, or a list of names such as
        /// `[resource_access, my.client, roles]`. Default: roles.
        pub roles_claim: Spanned<ClaimPathConfig> = Spanned::nowhere(ClaimPathConfig::named("roles")),
        /// More claims with roles, written as `roles_claim`. The roles of all of them count. Default: none.
        pub more_roles_claims: Vec<ClaimPathConfig> = Vec::new(),
        /// The claim that names the subject, in place of `sub`: a string or a whole number. A token without it is
        /// rejected. Choose one that users cannot change. Default: sub, or else client_id.
        pub subject_claim: Option<Spanned<ClaimPathConfig>>,
        /// The separator of roles in a claim that is one string, such as `,`. Default: a string is one role.
        pub roles_separator: Option<Spanned<String>>,
        /// A prefix for each role of this issuer, such as `partner:`. If a route accepts several issuers, each of them
        /// can grant the roles of the others unless they have different prefixes: `roles_allowed: [admin,
        /// "partner:admin"]`. Default: none.
        pub roles_prefix: Option<Spanned<String>>,
        /// The claim with the scopes, written as `roles_claim`. Default: scope, or else scp.
        pub scopes_claim: Option<Spanned<ClaimPathConfig>>,
        /// The maximum size of a token. A longer one is rejected without reading it. Default: 8KiB.
        pub max_token_size: ByteSize = ByteSize(MAX_TOKEN_BYTES),
        /// How many verified tokens each worker caches, within 16 MiB. `0` verifies each token again with every request.
        /// Default: 10000.
        pub cached_tokens: u32 = CACHE_ENTRIES,
        /// Proof of possession of the key to which a token is bound (DPoP).
        pub dpop: Option<DpopConfig>,
        /// How long the last known keys are used while the issuer cannot be reached. After that, its tokens are rejected.
        /// Default: 24h.
        pub stale_keys: Duration = Duration::from_secs(24 * 3600),
        /// The shortest time between two fetches of the keys that unknown key ids cause. Default: 10s.
        pub min_refresh: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(10)),
        /// The URL of this API as clients use it. The gateway then publishes where to get tokens (RFC 9728), and rejects
        /// DPoP proofs made for another host.
        pub resource: Option<Spanned<String>>,
        /// The names of the OpenAPI security schemes that these tokens satisfy. Required if the document has several
        /// schemes for tokens, the route accepts several issuers, and no scheme's URL names the issuer. Default: the
        /// schemes whose URL names the issuer, else every scheme for tokens.
        pub openapi_schemes: Option<Spanned<OneOrMany<String>>>,
        /// Why the token is forwarded to the upstream. The upstream could use it elsewhere.
        pub insecure_forward_credential: Option<Spanned<Reason>>,
    }
}

/// What became of a [`TokenConfig`].
pub struct TokenOptions {
    /// What a token must say.
    pub rules: Rules,
    /// By which algorithms it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// When keys are fetched.
    pub refresh: Refresh,
    /// Where the keys are, if that is said.
    pub jwks: Option<Uri>,
    /// Where more of them are.
    pub more_jwks: Vec<Uri>,
    /// Whether a token must be bound.
    pub binding_required: bool,
    /// For proofs that must have a nonce.
    pub nonces: Option<Nonces>,
    /// Whether the token goes upstream.
    pub forward: bool,
    /// The URL of the API.
    pub resource: Option<Uri>,
    /// Where the token stands.
    pub place: CredentialLocation,
}

/// A URL in the configuration to which the gateway sends something.
pub(crate) fn url(text: &Spanned<String>, cx: &mut Context) -> Option<Uri> {
    if text.value.contains('@') {
        cx.diagnostics.conceal(text.span);
    }
    match metadata::endpoint(&text.value) {
        Ok(uri) => Some(uri),
        Err(why) => {
            cx.error("config.issuer_url", text.span, format!("this URL cannot be used: {why}"))
                .help("write an `https://` URL; `http://` is allowed for loopback addresses only");
            None
        }
    }
}

/// Which roles an issuer gives.
pub(super) fn role_rules(
    claim: &ClaimPathConfig,
    more: &[ClaimPathConfig],
    separator: Option<&Spanned<String>>,
    prefix: Option<&Spanned<String>>,
    build: &Build,
    cx: &mut Context,
) -> Option<RoleRules> {
    let mut complete = true;
    if let Some(separator) = separator.filter(|separator| separator.value.is_empty()) {
        cx.error("config.roles_separator", separator.span, "the separator is empty")
            .help("write what stands between two roles, such as `,`, or leave the key out");
        complete = false;
    }
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if let Some(prefix) = prefix.filter(|prefix| prefix.value.is_empty() || !visible(&prefix.value)) {
        cx.error(
            "config.role_name",
            prefix.span,
            "a role and its prefix must consist of visible ASCII characters without commas",
        )
        .help("write a prefix such as `partner:`, or leave the key out");
        complete = false;
    }
    let text = |given: Option<&Spanned<String>>| given.map(|given| given.value.clone());
    let claims = std::iter::once(claim).chain(more).map(|path| path.0.clone()).collect();
    let prefix = text(prefix).unwrap_or_default();
    let reserved = reserved(&prefix, &build.role_prefixes);
    complete.then(|| RoleRules { claims, separator: text(separator), prefix, reserved })
}

impl TokenConfig {
    /// What stands before each role; may be empty.
    pub fn prefix(&self) -> String {
        self.roles_prefix.as_ref().map_or_else(String::new, |prefix| prefix.value.clone())
    }

    /// The security schemes that are said to mean its tokens.
    pub fn scheme_names(&self) -> Option<Vec<String>> {
        self.openapi_schemes.as_ref().map(|names| names.value.0.clone())
    }

    /// Notes which URLs are asked for keys. `or_else` is asked where the place of the keys is not written.
    pub(super) fn note_asked(&self, or_else: Option<&Spanned<String>>, build: &mut Build) {
        build.asked.extend(self.jwks_url.as_ref().or(or_else).cloned());
        build.asked.extend(self.more_jwks_urls.iter().cloned());
    }

    /// What is asked of tokens. `secret` says that they are signed with a shared secret.
    pub fn compile(&self, secret: bool, build: &Build, cx: &mut Context) -> Option<TokenOptions> {
        let audience = self.audience(cx);
        let algorithms = self.algorithms(secret, cx);
        let roles = role_rules(
            &self.roles_claim.value,
            &self.more_roles_claims,
            self.roles_separator.as_ref(),
            self.roles_prefix.as_ref(),
            build,
            cx,
        );
        let path = |given: &Option<Spanned<ClaimPathConfig>>| given.as_ref().map(|path| path.value.0.clone());
        let place = self.place(cx);
        let jwks = match &self.jwks_url {
            None => Some(None),
            Some(text) => self.url(text, cx).map(Some),
        };
        let more_jwks: Vec<Option<Uri>> = self.more_jwks_urls.iter().map(|text| self.url(text, cx)).collect();
        let resource = match &self.resource {
            None => Some(None),
            Some(text) => url(text, cx).map(Some),
        };
        let mut complete = true;
        if self.leeway.value > MAX_LEEWAY {
            cx.error("config.leeway", self.leeway.span, "the leeway is more than five minutes")
                .help("synchronize both clocks, for example with NTP, and write at most `5m`");
            complete = false;
        }
        if self.min_refresh.value < Duration::from_millis(100) {
            cx.error(
                "config.min_refresh",
                self.min_refresh.span,
                "every invented token would cause a request to the issuer",
            )
            .help("write a duration such as `10s`");
            complete = false;
        }
        if !complete {
            return None;
        }
        let dpop = self.dpop.as_ref();
        let rules = Rules {
            audience: audience?,
            audience_claim: path(&self.audience_claim),
            profile: match self.profile {
                ProfileConfig::Any => Profile::Any,
                ProfileConfig::AccessToken => Profile::AccessToken,
            },
            leeway: self.leeway.value,
            max_age: self.max_age,
            roles: roles?,
            scopes: path(&self.scopes_claim),
            subject: path(&self.subject_claim),
        };
        let nonces = match dpop {
            None => Some(None),
            Some(dpop) => dpop.nonces(build, cx),
        };
        Some(TokenOptions {
            rules,
            algorithms: algorithms?,
            refresh: Refresh { min_interval: self.min_refresh.value, stale_for: self.stale_keys },
            jwks: jwks?,
            more_jwks: more_jwks.into_iter().collect::<Option<_>>()?,
            binding_required: dpop.is_some_and(|dpop| dpop.required),
            nonces: nonces?,
            forward: self.insecure_forward_credential.is_some(),
            resource: resource?,
            place: place?,
        })
    }

    /// How the issuer's documents are asked for. `home` is the URL of the issuer, for a token for them.
    pub fn access(&self, home: Option<&Uri>, cx: &mut Context) -> Option<Access> {
        let token = match (&self.jwks_token_file, home) {
            (None, _) => None,
            (Some(file), home) => {
                judge_permissions(&file.value, file.span, cx)?;
                if let Err(why) = access::read_token(&file.value) {
                    // It is read again for each fetch, and may be there by then.
                    cx.warning("config.jwks_token", file.span, why)
                        .help("write the path of a file with the token alone in it");
                }
                Some((file.value.clone(), home?.clone()))
            }
        };
        Some(Access { insecure_plaintext: self.insecure_plaintext.is_some(), token })
    }

    /// A URL to which the gateway sends something for these tokens.
    pub(super) fn url(&self, text: &Spanned<String>, cx: &mut Context) -> Option<Uri> {
        let access = Access { insecure_plaintext: self.insecure_plaintext.is_some(), token: None };
        match access.endpoint(&text.value) {
            Ok(uri) => Some(uri),
            Err(_) => url(text, cx),
        }
    }

    /// Whether its token stands in the `Authorization` field.
    pub fn is_authorization(&self) -> bool {
        match &self.header {
            Some(header) => header.value.eq_ignore_ascii_case(AUTHORIZATION.as_str()),
            None => self.query.is_none() && self.cookie.is_none(),
        }
    }

    /// Where its tokens stand.
    fn place(&self, cx: &mut Context) -> Option<CredentialLocation> {
        let place = Place {
            header: self.header.as_ref(),
            query: self.query.as_ref(),
            cookie: self.cookie.as_ref(),
            what: "token",
            in_query: "config.token_in_query",
        };
        let given = place.header.or(place.query).or(place.cookie);
        if let Some(given) = given.filter(|_| self.dpop.is_some() && !self.is_authorization()) {
            cx.error(
                "config.token_place",
                given.span,
                "a proof of possession goes with a token in `Authorization` only (RFC 9449), so `dpop` would reject every token here",
            )
            .help("remove `dpop`, or leave the token in `Authorization`");
            return None;
        }
        place.location(AUTHORIZATION, cx)
    }

    /// A credential with this token, where the token is looked for.
    pub fn shown(&self, token: &str) -> Credential {
        match (&self.header, &self.query, &self.cookie) {
            (_, Some(name), _) => {
                Credential { query: vec![(name.value.clone(), token.to_owned())], ..Credential::default() }
            }
            (_, _, Some(name)) => {
                let cookies = vec![(name.value.clone(), token.to_owned())];
                Credential::header("sec-fetch-site", "same-origin")
                    .and(Credential { cookies, ..Credential::default() })
            }
            (Some(name), None, None) if !self.is_authorization() => {
                Credential::header(&name.value, token.to_owned())
            }
            (_, None, None) => Credential::header("authorization", format!("Bearer {token}")),
        }
    }

    fn audience(&self, cx: &mut Context) -> Option<Option<Vec<String>>> {
        match (&self.audience, &self.insecure_any_audience) {
            (Some(audience), None) => {
                if audience.value.0.is_empty() || audience.value.0.iter().any(|name| name.trim().is_empty()) {
                    cx.error("config.empty_list", audience.span, "the audience is empty")
                        .help("write the issuer's name for this API");
                    return None;
                }
                Some(Some(audience.value.0.clone()))
            }
            (Some(audience), Some(reason)) => {
                cx.error(
                    "config.audience_and_any",
                    reason.span,
                    "`audience` and `insecure_any_audience` exclude each other",
                )
                .related(audience.span, "the audience")
                .help("remove one of the two");
                None
            }
            (None, _) => Some(None),
        }
    }

    fn algorithms(&self, secret: bool, cx: &mut Context) -> Option<Vec<Algorithm>> {
        let Some(names) = &self.algorithms else {
            return Some(if secret { vec![Algorithm::Hs256] } else { keys::asymmetric() });
        };
        let mut algorithms = Vec::new();
        for name in &names.value {
            let fits = Algorithm::named(name).filter(|found| (found.family() == Family::Hmac) == secret);
            match fits {
                Some(algorithm) => algorithms.push(algorithm),
                None => {
                    let known: Vec<_> = Algorithm::ALL
                        .into_iter()
                        .filter(|known| (known.family() == Family::Hmac) == secret)
                        .map(Algorithm::as_str)
                        .collect();
                    cx.error(
                        "config.token_algorithm",
                        names.span,
                        format!("`{name}` cannot be used with these keys"),
                    )
                    .help(format!("the algorithms are {}", known.join(", ")));
                    return None;
                }
            }
        }
        if algorithms.is_empty() {
            cx.error("config.empty_list", names.span, "the list of algorithms is empty")
                .help("name at least one, or leave the key out");
            return None;
        }
        Some(algorithms)
    }
}

/// The least length of a secret from which nonces are made: that of the code which is made with it.
const MIN_NONCE_SECRET_BYTES: usize = 32;

impl DpopConfig {
    /// How nonces are made; the inner `None` where none is asked for.
    fn nonces(&self, build: &Build, cx: &mut Context) -> Option<Option<Nonces>> {
        match &self.nonce_secret {
            None if !self.nonce => Some(None),
            // Of the pepper that gateways share, or of this process: a nonce that was given out before a reload is good after it.
            None => {
                let own = || build.hasher.of_parts(&[b"dpop nonces"]).0;
                let secret = build.hasher.shared_secret("dpop nonces").unwrap_or_else(own);
                Some(Some(Nonces::new(&secret)))
            }
            Some(secret) if !self.nonce => {
                cx.error(
                    "config.nonce_secret",
                    secret.span,
                    "`nonce_secret` has no effect without `nonce: true`",
                )
                .help("add `nonce: true`, or remove the secret");
                None
            }
            Some(secret) if secret.value.expose().len() < MIN_NONCE_SECRET_BYTES => {
                let message = format!(
                    "a secret of fewer than {MIN_NONCE_SECRET_BYTES} bytes can be guessed from a nonce"
                );
                cx.error("config.nonce_secret", secret.span, message)
                    .help("make one with `openssl rand -hex 32`");
                None
            }
            Some(secret) => Some(Some(Nonces::new(secret.value.expose().as_bytes()))),
        }
    }
}

/// That the methods of a route agree on what is done before anybody knows whose token it is, and after everybody is through.
pub fn agree(configs: &[&TokenConfig], at: Span, cx: &mut Context) -> Option<()> {
    let shared = |config: &TokenConfig| {
        let forwards = config.insecure_forward_credential.is_some();
        (config.cached_tokens, config.max_token_size.0, forwards)
    };
    let mut all = configs.iter().map(|config| shared(config));
    let first = all.next();
    // SECURITY: one issuer's reason to pass tokens on is no reason for another one's (every_code_points_to_its_place_and_says_what_to_do).
    if all.all(|other| Some(other) == first) {
        return Some(());
    }
    cx.error("config.tokens_differ", at, "methods that accept tokens share one header and one cache")
        .help("use the same `cached_tokens`, `max_token_size` and `insecure_forward_credential` for all of them, or use separate routes");
    None
}

/// The one check of all methods of a route that take a token from one place.
pub fn bearer(
    place: CredentialLocation,
    trusts: Vec<Trust>,
    configs: &[&TokenConfig],
    build: &Build,
) -> Bearer {
    let entries = configs.iter().map(|config| config.cached_tokens).max().unwrap_or(0);
    let size = configs.iter().map(|config| config.max_token_size.0).max().unwrap_or(MAX_TOKEN_BYTES);
    let entries = NonZeroU32::new(entries).map_or(0, NonZeroU32::get) as usize;
    // SECURITY: what was verified under other rules is not remembered under these (a_changed_audience_forgets_tokens).
    let name: Vec<_> = trusts.iter().map(Trust::settings).collect();
    let cache = build.kept.keep(&format!("{entries} {name:?}"), || TokenCache::new(entries));
    Bearer::new(place, trusts, cache, usize::try_from(size).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
