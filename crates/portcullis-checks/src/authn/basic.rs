//! Whose name and password it is: RFC 7617.
//!
//! The users are the consumers that have a `password`. A password is verified elsewhere, at the cost that its hash was made
//! with, and an unknown name costs the same as a known one. What was right is remembered for a short time by a keyed digest,
//! so that a client pays that cost once in a while and not for each request. Credentials that are repeated, malformed or
//! wrong are a denial; only a request without them lets the next method be asked. If passwords cannot be verified, or too
//! many are waiting to be, the request is refused as by a fault. The credentials never go upstream.

use super::key_digest::KeyHasher;
use super::method::{Compiled, Declared, Establishes, Method};
use super::right::{Known, RightPasswords};
use super::users::{User, Users};
use crate::build::Build;
use crate::flights::Flights;
use crate::rehearsal::{Attack, Credential, Person, Stage, Wrong};
use base64ct::{Base64, Encoding};
use http::header;
use portcullis_config::{Context, Secret, Spanned, object};
use portcullis_core::check::Check;
use portcullis_core::pool::Client;
use portcullis_core::{
    Answers, Authenticate, Authn, CheckId, Code, CredentialLocation, CredentialName, Denial, Effects,
    Evidence, Facts, Fault, Ground, KeyDigest, MethodId, Once, SchemeKind, SecurityScheme, Step,
};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest name and password together, in bytes. Longer ones are refused before anything is done with them.
const MAX_BYTES: usize = 1024;

/// How many different credentials may be under verification at once.
const MAX_FLIGHTS: usize = 1024;

const DEFAULT_REALM: &str = "api";

object! {
    /// A name and a password (RFC 7617): those of the `consumers` that have a `password`.
    pub struct BasicConfig {
        /// The realm that browsers show when they ask for the password. Default: api.
        pub realm: Option<Spanned<String>>,
        /// How long a correct password is cached. `0s` verifies it with each request, which takes tens of milliseconds of
        /// CPU time. Default: 60s.
        pub cached_for: Duration = Duration::from_secs(60),
    }
}

impl Declared for BasicConfig {
    const WORDS: &'static [&'static str] = &["basic", "Basic"];
    const ABOUT: &'static str = "HTTP Basic authentication, with name and password (RFC 7617).";
}

impl Method for BasicConfig {
    fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<Compiled> {
        self.check(build, cx).map(Compiled::check)
    }

    fn establishes(&self) -> Establishes {
        Establishes::Consumers
    }

    fn is_authorization(&self) -> bool {
        true
    }

    fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String> {
        let password = stage.consumer(&person.name).and_then(|consumer| consumer.password);
        let hash = password.ok_or_else(|| format!("`{}` has no password", person.name))?.hash.expose();
        Ok(shown(&person.name, &stage.doubles.password(hash)))
    }

    fn wrong(&self, person: &Person, stage: &Stage<'_>) -> Vec<Wrong> {
        vec![
            (Attack::Wrong, shown(&person.name, &stage.doubles.nobodys("password"))),
            (Attack::Wrong, shown(&person.name, "")),
            (Attack::Wrong, shown("nobody at all", &stage.doubles.nobodys("password"))),
        ]
    }
}

/// A name and a password as they are sent.
fn shown(name: &str, password: &str) -> Credential {
    let pair = Base64::encode_string(format!("{name}:{password}").as_bytes());
    Credential::header("authorization", format!("Basic {pair}"))
}

impl BasicConfig {
    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<Basic> {
        let realm = match &self.realm {
            None => DEFAULT_REALM.to_owned(),
            Some(realm) => {
                let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
                if realm.value.trim().is_empty() || !realm.value.bytes().all(plain) {
                    cx.error(
                        "config.realm",
                        realm.span,
                        "a realm must consist of visible ASCII characters without quotes and backslashes",
                    )
                    .help("write a name such as `orders`");
                    return None;
                }
                realm.value.clone()
            }
        };
        if build.users.is_empty() {
            cx.warning("config.no_passwords", self.at, "no consumer has a password, so every request is rejected")
                .help("add `consumers: [{ name: alice, password: { env: ALICE_PASSWORD_HASH } }]`; `portcullis hash-password` makes the hash");
        }
        Some(Basic {
            method: build.new_method(),
            stand_in: build.users.stand_in(&build.random(self.at, cx)?, &build.random(self.at, cx)?),
            users: Arc::clone(&build.users),
            hasher: build.hasher.clone(),
            realm,
            right: build
                .kept
                .keep(&format!("passwords, {:?}", self.cached_for), || RightPasswords::new(self.cached_for)),
            flights: Flights::new(MAX_FLIGHTS),
        })
    }
}

/// The check.
pub struct Basic {
    method: MethodId,
    users: Arc<Users>,
    /// A hash for those who do not exist.
    stand_in: Secret,
    hasher: KeyHasher,
    realm: String,
    right: Arc<RightPasswords>,
    flights: Flights<KeyDigest, Result<bool, Fault>>,
}

const ID: CheckId = CheckId::new("authn.basic");

impl Check for Basic {
    fn id(&self) -> CheckId {
        ID
    }

    fn describe(&self) -> String {
        format!("a name and a password for the realm {}", self.realm)
    }
}

/// A name and a password, as they came.
struct Credentials {
    text: Zeroizing<Vec<u8>>,
    colon: usize,
}

impl Credentials {
    /// Those of a request. `Ok(None)` where it carries none.
    fn of(facts: &Facts<'_>) -> Result<Option<Credentials>, Denial> {
        let malformed = |detail| Err(Denial::new(Code::CredentialMalformed, detail));
        let field = match facts.head.once(header::AUTHORIZATION.as_str()) {
            Once::Absent => return Ok(None),
            // SECURITY: which of two passwords counts is a matter of taste, so neither does
            // (a_repeated_password_is_a_denial).
            Once::Repeated => {
                return Err(Denial::new(Code::CredentialRepeated, "there are several Authorization fields"));
            }
            Once::Unreadable | Once::One(Cow::Owned(_)) => return malformed("Authorization is not text"),
            Once::One(Cow::Borrowed(field)) => field,
        };
        let (scheme, rest) = field.split_once(' ').unwrap_or((field, ""));
        if !scheme.eq_ignore_ascii_case("basic") {
            // Another scheme is another method's credential.
            return Ok(None);
        }
        let encoded = rest.trim_matches(' ');
        if encoded.is_empty() || encoded.len() > MAX_BYTES.div_ceil(3) * 4 {
            return malformed("the credentials are empty or too long");
        }
        // Strict: one text has one spelling, with its padding and without anything else (RFC 4648, section 3).
        let mut text = Zeroizing::new(vec![0; encoded.len()]);
        let length = match Base64::decode(encoded, &mut text) {
            Ok(decoded) => decoded.len(),
            Err(_) => return malformed("the credentials are not base64"),
        };
        text.truncate(length);
        // RFC 7617, section 2: a colon ends the name, and control characters stand in neither part.
        let Some(colon) = text.iter().position(|byte| *byte == b':') else {
            return malformed("there is no colon in the credentials");
        };
        match std::str::from_utf8(&text) {
            Ok(read) if read.chars().any(char::is_control) => {
                malformed("there are control characters in the credentials")
            }
            Ok(_) if text.len() > MAX_BYTES => malformed("the credentials are too long"),
            Ok(_) => Ok(Some(Credentials { text, colon })),
            Err(_) => malformed("the credentials are not UTF-8"),
        }
    }

    fn name(&self) -> &str {
        self.text.get(..self.colon).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    fn password(&self) -> &[u8] {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

impl Authenticate for Basic {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        let credentials = match Credentials::of(facts) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return Step::Ready(Authn::NotMine),
            Err(denial) => return Step::Ready(Authn::Deny(denial)),
        };
        let user = self.users.find(credentials.name());
        let hash = match user {
            Some(user) => &user.hash,
            // SECURITY: a name that nobody has costs what one costs that somebody has
            // (an_unknown_name_costs_as_much_as_a_known_one).
            None => &self.stand_in,
        };
        // With the hash, so that a new one is not believed what the old one was.
        let digest = self.hasher.of_parts(&[
            b"basic",
            credentials.name().as_bytes(),
            credentials.password(),
            hash.expose().as_bytes(),
        ]);
        let right = self.right.find(&digest, facts.now.monotonic);
        if let (Known::Right, Some(user)) = (right, user) {
            return Step::Ready(self.claim(user, &digest));
        }
        let address = facts.head.client();
        let known_here = effects.is_known(address, digest.fingerprint());
        if let Some(denial) = facts.blocked()
            && !known_here
        {
            return Step::Ready(Authn::Deny(match user {
                Some(user) => denial.of_credential_for(digest.fingerprint(), &user.name),
                None => denial.of_credential(digest.fingerprint()),
            }));
        }
        // SECURITY: a flood of guesses keeps nobody out who was in before (a_known_user_goes_first).
        let client = Client { address, known: known_here || right == Known::Before };
        Step::Later(Box::pin(async move {
            let verify = || effects.password(client, hash.expose(), credentials.password());
            let outcome = self
                .flights
                .join(digest, verify)
                .await
                .unwrap_or_else(|| Err(Fault { detail: "too many passwords to verify at once".into() }));
            match (outcome, user) {
                (Err(fault), _) => Authn::Deny(Denial::new(Code::Fault, fault.detail)),
                (Ok(true), Some(user)) => {
                    self.right.insert(digest, facts.now.monotonic);
                    self.claim(user, &digest)
                }
                (Ok(false), Some(user)) => Authn::Deny(
                    Denial::new(Code::CredentialUnknown, "the password is another one")
                        .of_credential_for(digest.fingerprint(), &user.name),
                ),
                (Ok(_), None) => Authn::Deny(
                    Denial::new(Code::CredentialUnknown, "nobody has this name")
                        .of_credential(digest.fingerprint()),
                ),
            }
        }))
    }

    fn uphold<'a>(&'a self, evidence: &'a Evidence, _: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Authn> {
        let Some(Ground { credential: CredentialName::Text(name), rules, .. }) = &evidence.ground else {
            return Step::Ready(Authn::NotMine);
        };
        if evidence.check != ID {
            return Step::Ready(Authn::NotMine);
        }
        Step::Ready(match self.users.find(name) {
            // SECURITY: with another password, the name alone is worth nothing (a_stream_ends_with_its_password).
            Some(user) if user.rules == *rules => Authn::Claim(self.evidence(user)),
            Some(_) | None => {
                Authn::Deny(Denial::new(Code::CredentialUnknown, "nobody has this name and password"))
            }
        })
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec![format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.realm)]
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        vec![CredentialLocation::Header(header::AUTHORIZATION)]
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        match scheme.kind {
            SchemeKind::Http("basic") => vec![(self.method, Answers::Certainly)],
            SchemeKind::Http(_)
            | SchemeKind::Key(_)
            | SchemeKind::OAuth2(_)
            | SchemeKind::OpenIdConnect(_)
            | SchemeKind::MutualTls => Vec::new(),
        }
    }
}

impl Basic {
    fn claim(&self, user: &User, digest: &KeyDigest) -> Authn {
        Authn::Claim(self.evidence(user).by_credential(digest.fingerprint()))
    }

    fn evidence(&self, user: &User) -> Evidence {
        let credential = CredentialName::Text(Arc::clone(&user.name));
        let ground = Ground { credential, rules: user.rules, until: None };
        Evidence::consumer(user.consumer, self.method, ID).counted_as(user.counted_as).resting_on(ground)
    }
}

#[cfg(test)]
mod tests;
