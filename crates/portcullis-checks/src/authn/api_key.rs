//! Whose API key it is.
//!
//! The key stands in one header field, or, where the configuration asks for it, in a query parameter or a cookie. It is
//! hashed and looked up; only digests are kept and compared. A key that is there twice, is malformed, unknown or expired is
//! a denial; only one that is not there at all lets the next method be asked. If the key store fails, the request is
//! refused, and not as unauthenticated. Wherever a key may stand, it is taken away before the request goes upstream.

use super::key_config::{KeyConfig, KeySource, MAX_KEY_BYTES};
use super::key_digest::KeyHasher;
use super::method::{Compiled, Declared, Establishes, Method};
use crate::build::Build;
use crate::rehearsal::{Attack, Credential, Person, Stage, Wrong};
use http::HeaderName;
use http::header::AUTHORIZATION;
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_core::check::Check;
use portcullis_core::{
    Answers, Authenticate, Authn, CheckId, Code, CredentialLocation, CredentialName, Denial, Effects,
    Evidence, Facts, Fault, Ground, KeyDigest, KeyRecord, KeySetId, MethodId, Once, SchemeKind,
    SecurityScheme, Step,
};
use std::time::Duration;

/// Where a key is looked for if the configuration does not say.
const DEFAULT_FIELD: &str = "x-api-key";

keyword! {
    /// What stands before a key in its header.
    pub enum KeyScheme {
        /// `Bearer` and a space.
        Bearer = "bearer",
    }
}

object! {
    /// Authentication by API key.
    pub struct ApiKeyConfig {
        /// The header that holds the key. Default: x-api-key, unless `query` or `cookie` is given.
        #[alias("header_name")]
        pub header: Option<Spanned<String>>,
        /// `bearer`: the key comes as `Authorization: Bearer <key>`, or after `Bearer` in the header that `header` names. With methods
        /// that accept tokens under `any`, the request is accepted if one of them accepts what it carries. Default: the value is the key.
        pub scheme: Option<Spanned<KeyScheme>>,
        /// The query parameter that holds the key, instead of a header. URLs end up in logs and browser histories.
        pub query: Option<Spanned<String>>,
        /// The cookie that holds the key, instead of a header. Browsers also send cookies with requests that other sites
        /// make (CSRF).
        pub cookie: Option<Spanned<String>>,
        /// The valid keys. Each key listed here is a separate consumer without a name and without roles. Default: the
        /// keys of all `consumers`.
        #[alias("valid_keys")]
        pub keys: Option<Vec<KeyConfig>>,
    }
}

impl Declared for ApiKeyConfig {
    const WORDS: &'static [&'static str] = &["api_key", "APIKey", "apiKey"];
    const ABOUT: &'static str = "Authentication by API key.";
}

impl Method for ApiKeyConfig {
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        self.check(build, cx).map(Compiled::check)
    }

    fn establishes(&self) -> Establishes {
        if self.keys.is_some() { Establishes::Unnamed } else { Establishes::Consumers }
    }

    fn is_authorization(&self) -> bool {
        match &self.header {
            Some(header) => header.value.eq_ignore_ascii_case(AUTHORIZATION.as_str()),
            None => self.scheme.is_some(),
        }
    }

    fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String> {
        let mut keys = self.keys_of(person, stage).iter();
        let lasts = |key: &&KeyConfig| key.expires.is_none_or(|expires| stage.now < expires);
        let key =
            keys.find(lasts).ok_or_else(|| format!("`{}` has no key that is valid now", person.name))?;
        Ok(self.shown(stage.doubles.key(key)))
    }

    fn wrong(&self, person: &Person, stage: &Stage<'_>) -> Vec<Wrong> {
        let mut wrong = vec![
            (Attack::Wrong, self.shown(stage.doubles.nobodys("key"))),
            (Attack::Wrong, self.shown(String::new())),
        ];
        if let Some(key) = self.keys_of(person, stage).first() {
            wrong.push((Attack::Expired, self.shown(stage.doubles.expired_key(key))));
            let name = self.header.as_ref().map_or(DEFAULT_FIELD, |header| header.value.as_str());
            if self.query.is_none() && self.cookie.is_none() && name.contains('-') {
                let alias = Credential::header(&name.replace('-', "_"), stage.doubles.key(key));
                wrong.push((Attack::HeaderAlias, alias));
            }
        }
        wrong
    }
}

impl ApiKeyConfig {
    /// The keys by which a person is known here.
    fn keys_of<'a>(&'a self, person: &Person, stage: &'a Stage<'_>) -> &'a [KeyConfig] {
        match &self.keys {
            Some(keys) => keys,
            None => stage.consumer(&person.name).map_or(&[], |consumer| consumer.keys),
        }
    }

    /// A key where it is looked for.
    fn shown(&self, key: String) -> Credential {
        match (&self.header, &self.query, &self.cookie) {
            (_, Some(name), _) => {
                Credential { query: vec![(name.value.clone(), key)], ..Credential::default() }
            }
            (_, _, Some(name)) => {
                Credential { cookies: vec![(name.value.clone(), key)], ..Credential::default() }
            }
            (Some(name), None, None) => Credential::header(&name.value, key),
            (None, None, None) => Credential::header(DEFAULT_FIELD, key),
        }
    }

    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<ApiKey> {
        let location = self.location(cx);
        let set = match &self.keys {
            None => Some(build.consumer_keys),
            Some(keys) => self.own_keys(keys, build, cx),
        };
        Some(ApiKey {
            method: build.new_method(),
            location: location?,
            bearer: self.scheme.is_some(),
            set: set?,
            hasher: build.hasher.clone(),
        })
    }

    fn location(&self, cx: &mut Context) -> Option<CredentialLocation> {
        let places = [&self.header, &self.query, &self.cookie].map(Option::as_ref);
        let given: Vec<_> = places.iter().flatten().collect();
        if let [first, second, ..] = given.as_slice() {
            cx.error("config.key_location", second.span, "give only one of `header`, `query` and `cookie`")
                .related(first.span, "the other place")
                .help("to accept several places, list several methods under `any`");
            return None;
        }
        if let (Some(scheme), None, Some(place)) = (&self.scheme, &self.header, given.first()) {
            cx.error("config.key_scheme", scheme.span, "only the value of a header begins with a scheme")
                .related(place.span, "the key is here")
                .help("remove `scheme`, or give the name of a header under `header`");
            return None;
        }
        match places {
            [None, None, None] if self.scheme.is_some() => Some(CredentialLocation::Header(AUTHORIZATION)),
            [None, None, None] => Some(CredentialLocation::Header(HeaderName::from_static(DEFAULT_FIELD))),
            [Some(header), ..] => super::field_name(header, cx).map(CredentialLocation::Header),
            [None, Some(name), _] => {
                cx.warning(
                    "config.key_in_query",
                    name.span,
                    "a key in a URL ends up in logs, browser histories and `Referer` headers",
                )
                .help("prefer `header`");
                parameter_name(name, cx).map(CredentialLocation::Query)
            }
            [None, None, Some(name)] => parameter_name(name, cx).map(CredentialLocation::Cookie),
        }
    }

    fn own_keys(&self, keys: &[KeyConfig], build: &mut Build, cx: &mut Context) -> Option<KeySetId> {
        if keys.is_empty() {
            cx.error("config.empty_list", self.at, "the list of keys is empty, so every request is rejected")
                .help("list at least one key, or leave the list out to accept those of all `consumers`");
            return None;
        }
        let set = build.keys.add_set();
        let mut complete = Some(set);
        for key in keys {
            let consumer = build.unnamed_consumer(key);
            if check_pepper(key, &build.hasher, cx)
                .and_then(|()| build.add_key(set, key, consumer, key.at, cx))
                .is_none()
            {
                complete = None;
            }
        }
        complete
    }
}

/// A hash is of use only if keys are hashed in the same way when they arrive.
pub fn check_pepper(key: &KeyConfig, hasher: &KeyHasher, cx: &mut Context) -> Option<()> {
    let KeySource::Hash { peppered, .. } = key.source else { return Some(()) };
    match (peppered, hasher.has_pepper()) {
        (true, true) | (false, false) => Some(()),
        (true, false) => {
            cx.error("config.key_pepper", key.at, "this hash needs a pepper, and the configuration has none")
                .help("add `key_pepper: { env: NAME }` at the top");
            None
        }
        (false, true) => {
            cx.error(
                "config.key_pepper",
                key.at,
                "this hash was made without the pepper, so its key never matches",
            )
            .help("write `hmac-sha256:` and the key's HMAC-SHA-256 under `key_pepper`");
            None
        }
    }
}

pub(super) fn parameter_name(name: &Spanned<String>, cx: &mut Context) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.value.is_empty() || !name.value.bytes().all(token) {
        cx.error(
            "config.parameter_name",
            name.span,
            "the name must consist of letters, digits, `-`, `_` and `.`",
        )
        .help("write a name such as `api_key`");
        return None;
    }
    Some(name.value.clone())
}

/// The check.
pub struct ApiKey {
    method: MethodId,
    location: CredentialLocation,
    /// Whether `Bearer` stands before the key.
    bearer: bool,
    set: KeySetId,
    hasher: KeyHasher,
}

const ID: CheckId = CheckId::new("authn.api_key");

impl Check for ApiKey {
    fn id(&self) -> CheckId {
        ID
    }

    fn describe(&self) -> String {
        match &self.location {
            CredentialLocation::Header(name) if self.bearer => {
                format!("an API key after `Bearer` in the header field {name}")
            }
            CredentialLocation::Header(name) => format!("an API key in the header field {name}"),
            CredentialLocation::Query(name) => format!("an API key in the query parameter {name}"),
            CredentialLocation::Cookie(name) => format!("an API key in the cookie {name}"),
        }
    }
}

impl Authenticate for ApiKey {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        let deny = |code, detail| Step::Ready(Authn::Deny(Denial::new(code, detail)));
        let presented = match &self.location {
            CredentialLocation::Header(name) => facts.head.once(name.as_str()),
            CredentialLocation::Query(name) => facts.head.query_once(name),
            CredentialLocation::Cookie(name) => facts.head.cookie_once(name),
        };
        match presented {
            Once::Absent => Step::Ready(Authn::NotMine),
            // SECURITY: which of two keys counts is a matter of taste, so neither does (a_repeated_key_is_a_denial).
            Once::Repeated => deny(Code::CredentialRepeated, "the key is there more than once"),
            Once::Unreadable => deny(Code::CredentialMalformed, "the key is not text"),
            Once::One(value) => {
                let key = match self.bearer {
                    false => &*value,
                    true => match bearer(&value) {
                        Ok(Some(key)) => key,
                        Ok(None) if self.location == CredentialLocation::Header(AUTHORIZATION) => {
                            return Step::Ready(Authn::NotMine);
                        }
                        Ok(None) | Err(()) => {
                            return deny(Code::CredentialMalformed, "`Bearer` does not stand before the key");
                        }
                    },
                };
                if key.is_empty() || key.len() > MAX_KEY_BYTES {
                    return deny(Code::CredentialMalformed, "the key is empty or too long");
                }
                let now = facts.now.unix;
                let digest = self.hasher.of_key(key.as_bytes());
                effects.key(self.set, digest).map(move |found| self.judge(found, now, digest))
            }
        }
    }

    fn uphold<'a>(
        &'a self,
        evidence: &'a Evidence,
        facts: &'a Facts<'a>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Authn> {
        match &evidence.ground {
            Some(Ground { credential: CredentialName::Digest(digest), .. }) if evidence.check == ID => {
                let (digest, now) = (KeyDigest(*digest), facts.now.unix);
                effects.key(self.set, digest).map(move |found| self.judge(found, now, digest))
            }
            Some(_) | None => Step::Ready(Authn::NotMine),
        }
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec![if self.is_bearer() { "Bearer" } else { "ApiKey" }.to_owned()]
    }

    fn is_bearer(&self) -> bool {
        self.bearer && self.location == CredentialLocation::Header(AUTHORIZATION)
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        vec![self.location.clone()]
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        match &scheme.kind {
            SchemeKind::Key(location) if *location == self.location => {
                vec![(self.method, Answers::Certainly)]
            }
            // Keys and tokens of an issuer are sent alike.
            SchemeKind::Http("bearer") if self.is_bearer() => vec![(self.method, Answers::Possibly)],
            SchemeKind::Key(_)
            | SchemeKind::Http(_)
            | SchemeKind::OAuth2(_)
            | SchemeKind::OpenIdConnect(_)
            | SchemeKind::MutualTls => Vec::new(),
        }
    }
}

/// What stands after `Bearer` (RFC 6750, section 2.1). `Ok(None)` after another scheme, `Err` where there is none.
fn bearer(value: &str) -> Result<Option<&str>, ()> {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(rest.trim_matches(' ')));
    }
    // SECURITY: `Bearer` and a tab is no other scheme (a_key_can_be_sent_as_a_bearer_token).
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_scheme { Ok(None) } else { Err(()) }
}

impl ApiKey {
    fn judge(&self, found: Result<Option<KeyRecord>, Fault>, now: Duration, digest: KeyDigest) -> Authn {
        match found {
            Err(fault) => Authn::Deny(Denial::new(Code::Fault, fault.detail)),
            Ok(None) => Authn::Deny(Denial::new(Code::CredentialUnknown, "nobody has this key")),
            Ok(Some(record)) if record.expires.is_some_and(|expires| now >= expires) => {
                Authn::Deny(Denial::new(Code::CredentialExpired, "the key has expired"))
            }
            Ok(Some(record)) => {
                let credential = CredentialName::Digest(digest.0);
                let ground = Ground { credential, rules: 0, until: record.expires };
                let evidence = Evidence::consumer(record.consumer, self.method, ID);
                Authn::Claim(evidence.by_credential(digest.fingerprint()).resting_on(ground))
            }
        }
    }
}
