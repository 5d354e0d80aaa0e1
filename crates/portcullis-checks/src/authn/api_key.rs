//! Whose API key it is.
//!
//! The key stands in one header field, or, where the configuration asks for it, in a query parameter or a cookie. It is
//! hashed and looked up; only digests are kept and compared. A key that is there twice, is malformed, unknown or expired is
//! a denial; only one that is not there at all lets the next method be asked. A method that lists no keys of its own accepts
//! those of the consumers in the configuration and, where there is one, of the store. If the store fails, the request is
//! refused, and not as unauthenticated. Wherever a key may stand, it is taken away before the request goes upstream.

use super::key_config::{KeyConfig, KeySource, MAX_KEY_BYTES};
use super::key_digest::KeyHasher;
use super::method::{Compiled, Declared, Establishes, Method};
use super::place::Place;
use crate::build::Build;
use crate::rehearsal::{Attack, Credential, Person, Stage, Wrong};
use http::HeaderName;
use http::header::AUTHORIZATION;
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_core::check::Check;
use portcullis_core::{
    Answers, Authenticate, Authn, CheckId, Code, CredentialLocation, CredentialName, Denial, Effects,
    Evidence, Facts, Fault, Fingerprint, Ground, KeyDigest, KeyRecord, KeySetId, MethodId, NoHolder, Once,
    SchemeKind, SecurityScheme, Step, StoredKey,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

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
        /// keys of all `consumers`, and those in `store.keys` if there is one.
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
            // SECURITY: a list of keys is the whole list (a_list_of_keys_does_not_open_the_store).
            asks_store: self.keys.is_none() && build.has_key_store,
            plans: Arc::clone(&build.plans),
            hasher: build.hasher.clone(),
        })
    }

    fn location(&self, cx: &mut Context) -> Option<CredentialLocation> {
        let place = Place {
            header: self.header.as_ref(),
            query: self.query.as_ref(),
            cookie: self.cookie.as_ref(),
            what: "key",
            in_query: "config.key_in_query",
        };
        if let (Some(scheme), None, Some(place)) = (&self.scheme, place.header, place.query.or(place.cookie))
        {
            cx.error("config.key_scheme", scheme.span, "only the value of a header begins with a scheme")
                .related(place.span, "the key is here")
                .help("remove `scheme`, or give the name of a header under `header`");
            return None;
        }
        let usual = match self.scheme {
            Some(_) => AUTHORIZATION,
            None => HeaderName::from_static(DEFAULT_FIELD),
        };
        place.location(usual, cx)
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

/// The check.
pub struct ApiKey {
    method: MethodId,
    location: CredentialLocation,
    /// Whether `Bearer` stands before the key.
    bearer: bool,
    set: KeySetId,
    asks_store: bool,
    /// The plans that keys of the store can have.
    plans: Arc<BTreeSet<String>>,
    hasher: KeyHasher,
}

const ID: CheckId = CheckId::new("authn.api_key");

impl Check for ApiKey {
    fn id(&self) -> CheckId {
        ID
    }

    fn describe(&self) -> String {
        let whose = if self.asks_store { ", of this configuration or of the store" } else { "" };
        match &self.location {
            CredentialLocation::Header(name) if self.bearer => {
                format!("an API key after `Bearer` in the header field {name}{whose}")
            }
            CredentialLocation::Header(name) => format!("an API key in the header field {name}{whose}"),
            CredentialLocation::Query(name) => format!("an API key in the query parameter {name}{whose}"),
            CredentialLocation::Cookie(name) => format!("an API key in the cookie {name}{whose}"),
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
                let digest = self.hasher.of_key(key.as_bytes());
                match effects.key(self.set, digest) {
                    Step::Ready(found) => {
                        Step::Ready(self.judge_either(found, key.as_bytes(), digest, facts, effects))
                    }
                    later @ Step::Later(_) => {
                        let key = Zeroizing::new(key.as_bytes().to_vec());
                        later.map(move |found| self.judge_either(found, &key, digest, facts, effects))
                    }
                }
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
                match (evidence.key, self.asks_store) {
                    (None, _) => {}
                    // SECURITY: a stream that a key of the store opened ends with it (a_revoked_key_ends_its_streams).
                    (Some(_), true) => {
                        let fingerprint = evidence.fingerprint.unwrap_or(digest.fingerprint());
                        let found = effects.stored_key_again(digest);
                        return Step::Ready(self.judge_stored(found, facts, fingerprint));
                    }
                    (Some(_), false) => return Step::Ready(Authn::NotMine),
                }
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
            Ok(None) => Authn::Deny(
                Denial::new(Code::CredentialUnknown, "nobody has this key")
                    .of_credential(digest.fingerprint()),
            ),
            Ok(Some(record)) if record.expires.is_some_and(|expires| now >= expires) => Authn::Deny(
                Denial::new(Code::CredentialExpired, "the key has expired")
                    .of_credential(digest.fingerprint()),
            ),
            Ok(Some(record)) => {
                let credential = CredentialName::Digest(digest.0);
                let ground = Ground { credential, rules: 0, until: record.expires };
                let evidence =
                    Evidence::consumer(record.consumer, self.method, ID).counted_as(record.counted_as);
                Authn::Claim(evidence.by_credential(digest.fingerprint()).resting_on(ground))
            }
        }
    }

    /// What becomes of a key: by what the plan has, and otherwise by what the store has.
    fn judge_either(
        &self,
        found: Result<Option<KeyRecord>, Fault>,
        key: &[u8],
        digest: KeyDigest,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Authn {
        match found {
            Ok(None) if self.asks_store => {
                self.judge_stored(effects.stored_key(key), facts, digest.fingerprint())
            }
            found => self.judge(found, facts.now.unix, digest),
        }
    }

    /// What becomes of a key that the store was asked about.
    fn judge_stored(
        &self,
        found: Result<Option<StoredKey>, Fault>,
        facts: &Facts<'_>,
        fingerprint: Fingerprint,
    ) -> Authn {
        let deny = |code, detail| Authn::Deny(Denial::new(code, detail).of_credential(fingerprint));
        let key = match found {
            Err(fault) => return Authn::Deny(Denial::new(Code::Fault, fault.detail)),
            Ok(None) => return deny(Code::CredentialUnknown, "nobody has this key"),
            Ok(Some(key)) => key,
        };
        if key.expires.is_some_and(|expires| facts.now.unix >= expires) {
            return deny(Code::CredentialExpired, "the key has expired");
        }
        let client = facts.head.client();
        // SECURITY: a key that leaked is worth nothing elsewhere, and who tries it there learns nothing
        // (a_bound_key_is_good_in_its_place_alone).
        if !key.profile.addresses.is_empty() && !key.profile.addresses.iter().any(|net| net.contains(&client))
        {
            return deny(Code::CredentialElsewhere, "the key is not accepted from this address");
        }
        if !key.profile.routes.is_empty() && !key.profile.routes.iter().any(|bound| is_bound_to(bound, facts))
        {
            return deny(Code::CredentialElsewhere, "the key is not accepted on this route");
        }
        if key.profile.plan.as_ref().is_some_and(|plan| !self.plans.contains(plan)) {
            return deny(Code::Fault, "the configuration lacks the plan that the key has");
        }
        match Evidence::stored(&key, &facts.plan.consumers, self.method, ID) {
            Ok(evidence) => {
                let credential = CredentialName::Digest(key.hash.0);
                let ground = Ground { credential, rules: 0, until: key.expires };
                Authn::Claim(evidence.by_credential(fingerprint).resting_on(ground))
            }
            Err(NoHolder::Nobody) => {
                deny(Code::CredentialUnknown, "the configuration no longer has the consumer of this key")
            }
            Err(NoHolder::Two) => {
                deny(Code::Fault, "the configuration and the store both have a consumer of this name")
            }
        }
    }
}

/// Whether `bound`, a path with or without a host before it, names the route of this request.
fn is_bound_to(bound: &str, facts: &Facts<'_>) -> bool {
    let (host, path) = bound.split_at(bound.find('/').unwrap_or(bound.len()));
    facts.route.path == path && (host.is_empty() || facts.route.hosts.iter().any(|other| other == host))
}

#[cfg(test)]
mod tests;
