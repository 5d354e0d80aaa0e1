//! What an authorization server says of an opaque token (RFC 7662).
//!
//! However many requests carry the same token at once, the server is asked once; they all wait for that answer. If it does
//! not come, or is not one, each of them is refused as by a fault, and not as unauthenticated.

use super::cache::{TokenDigest, Verified};
use super::client_auth::ClientAuthentication;
use super::json;
use super::rules::{Binding, Purpose, Rules};
use super::together::Together;
use crate::flights::Flights;
use base64ct::{Base64, Encoding};
use http::{HeaderValue, Method, StatusCode, Uri};
use portcullis_config::Secret;
use portcullis_core::pool::Client;
use portcullis_core::{Claim, Code, Denial, Effects, Fetch, Subject};
use quick_cache::unsync::Cache;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most tokens that are asked about at once.
const MAX_FLIGHTS: usize = 1024;
/// How many tokens that are not active are remembered.
const MAX_INACTIVE: usize = 4096;
/// How long a token that is not active is not asked about again, at most; a client that tries again and again costs the
/// server no request each time.
const INACTIVE_LIFETIME: Duration = Duration::from_secs(10);

/// What came of asking.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of whom the token speaks.
    pub subject: Arc<Subject>,
    /// Until when the answer may be used, time since 1970.
    pub until: Duration,
    /// When the token ends, if the server said so; time since 1970.
    pub expires: Option<Duration>,
    /// To whom it is bound.
    pub binding: Binding,
}

type Answer = Result<Outcome, Denial>;

/// What is asked, and for whom.
pub struct Question<'a> {
    /// Where.
    pub url: &'a Uri,
    /// Who answers.
    pub issuer: &'a str,
    /// What the answer must fit.
    pub rules: &'a Rules,
    /// The token.
    pub token: &'a str,
    /// Its digest.
    pub digest: TokenDigest,
    /// Who brought it.
    pub client: Client,
    /// What was found of a token that is signed; then only whether it is active is asked.
    pub signed: Option<&'a Verified>,
}

/// Asks an authorization server about tokens.
pub struct Introspector {
    client: ClientAuthentication,
    /// How long an answer may be used.
    lifetime: Duration,
    /// Whether an answer without a type is accepted.
    untyped: bool,
    insecure_plaintext: bool,
    flights: Flights<TokenDigest, Answer>,
    /// Tokens that are not active, and until when that is believed, on the clock that never goes back.
    inactive: Mutex<Cache<TokenDigest, Duration>>,
    /// How answers are told to other gateways. `None` where the secret is too short for it.
    together: Option<Together>,
    settings: String,
}

impl Introspector {
    /// One that authenticates as this client, which has this secret.
    /// `untyped` accepts answers that do not say what kind of token it is.
    /// `insecure_plaintext` asks servers on other machines without TLS.
    pub fn new(
        client: ClientAuthentication,
        secret: &Secret,
        lifetime: Duration,
        untyped: bool,
        insecure_plaintext: bool,
    ) -> Introspector {
        let inactive = Mutex::new(Cache::new(MAX_INACTIVE));
        let settings = format!("{} {lifetime:?} {untyped} {insecure_plaintext}", client.named());
        let together = Together::new(secret.expose().as_bytes(), &settings);
        Introspector {
            together,
            settings,
            client,
            lifetime,
            untyped,
            insecure_plaintext,
            flights: Flights::new(MAX_FLIGHTS),
            inactive,
        }
    }

    /// Everything that it was told. Holds no secret.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    fn remembered<T>(&self, work: impl FnOnce(&mut Cache<TokenDigest, Duration>) -> T) -> T {
        // A poisoned lock means that a thread died between two plain writes; a cache that lost an entry is a cache.
        work(&mut self.inactive.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the server says.
    ///
    /// # Errors
    /// `TokenInactive`, or what the rules say of its claims; `Fault` where the server gave no answer.
    pub async fn ask(&self, question: &Question<'_>, effects: &dyn Effects) -> Answer {
        let digest = question.digest;
        let refused_before = self.remembered(|inactive| inactive.get(&digest).copied());
        if refused_before.is_some_and(|until| effects.monotonic() < until) {
            return Err(inactive());
        }
        let answer = self.flights.join(digest, || async {
            let answer = self.fetch(question, effects).await;
            if answer.as_ref().is_err_and(|denial| denial.code() == Code::TokenInactive) {
                let until = effects.monotonic().saturating_add(self.lifetime.min(INACTIVE_LIFETIME));
                self.remembered(|inactive| inactive.insert(digest, until));
            }
            answer
        });
        let too_many = || Err(Denial::new(Code::Fault, "too many tokens to ask about at once"));
        answer.await.unwrap_or_else(too_many)
    }

    async fn fetch(&self, question: &Question<'_>, effects: &dyn Effects) -> Answer {
        if let Some((asked, body)) = self.recall(question, effects).await {
            return self.judge(question, &body, asked, effects.now().unix);
        }
        let client = question.client;
        let fault = |detail: String| Denial::new(Code::Fault, format!("introspection: {detail}"));
        let request = self.request(question, effects);
        let fetched = effects
            .fetch(Fetch { client: Some(client), ..request })
            .await
            .map_err(|error| fault(error.detail))?;
        if fetched.status != StatusCode::OK {
            return Err(fault(format!("status {}", fetched.status.as_u16())));
        }
        let now = effects.now().unix;
        let answer = self.judge(question, &fetched.body, now, now);
        match &answer {
            Ok(_) => self.keep(question, now, &fetched.body, self.lifetime, effects),
            Err(denial) if denial.code() == Code::TokenInactive => {
                self.keep(question, now, &fetched.body, self.lifetime.min(INACTIVE_LIFETIME), effects);
            }
            Err(_) => {}
        }
        answer
    }

    /// What another gateway was told of the token, and when. `None` where nothing is known that is not too old.
    async fn recall(&self, question: &Question<'_>, effects: &dyn Effects) -> Option<(Duration, Vec<u8>)> {
        let together = self.together.as_ref()?;
        let name = together.name(&question.url.to_string(), &question.digest);
        let sealed = effects.recall(name).resolve().await?;
        let (asked, body) = together.open(&name, &sealed)?;
        Some((counts_from(asked, effects.now().unix, self.lifetime)?, body))
    }

    /// Tells other gateways what the server said.
    fn keep(
        &self,
        question: &Question<'_>,
        asked: Duration,
        body: &[u8],
        life: Duration,
        effects: &dyn Effects,
    ) {
        let Some(together) = self.together.as_ref().filter(|_| !life.is_zero()) else { return };
        let name = together.name(&question.url.to_string(), &question.digest);
        if let Some(sealed) = together.seal(&name, asked, effects.random(), body) {
            effects.keep(name, sealed, life);
        }
    }

    /// What follows from an answer that came at `asked`.
    fn judge(&self, question: &Question<'_>, body: &[u8], asked: Duration, now: Duration) -> Answer {
        let Question { issuer, rules, signed, .. } = *question;
        let fault = |detail: String| Denial::new(Code::Fault, format!("introspection: {detail}"));
        let claims = json::object(body).map_err(|why| fault(why.to_owned()))?;
        match claims.member("active") {
            Some(Claim::Bool(true)) => {}
            Some(Claim::Bool(false)) => return Err(inactive()),
            Some(_) | None => {
                return Err(fault("the answer does not say whether the token is active".into()));
            }
        }
        if let Some(signed) = signed {
            return Ok(Outcome {
                subject: Arc::clone(&signed.subject),
                until: signed.until.min(asked.saturating_add(self.lifetime)),
                expires: signed.expires,
                binding: signed.binding,
            });
        }
        let purpose = self.purpose(&claims)?;
        let ends = claims.given("exp").is_some();
        let judged = rules.judge(issuer, self.completed(claims, issuer, asked), purpose, now)?;
        Ok(Outcome {
            subject: Arc::new(judged.subject),
            until: judged.expires.min(asked.saturating_add(self.lifetime)),
            expires: ends.then_some(judged.expires),
            binding: judged.binding,
        })
    }

    /// What the server says of the token's kind.
    // SECURITY: servers answer for refresh tokens as well, with no type or another one where they are careful, so an answer
    // that says nothing is no word for an access token (tests/tokens/attacks.rs).
    fn purpose(&self, claims: &Claim) -> Result<Purpose, Denial> {
        let says = |name: &str, kinds: &[&str]| {
            let said = claims.member(name).and_then(Claim::as_text);
            said.is_some_and(|said| kinds.iter().any(|kind| said.eq_ignore_ascii_case(kind)))
        };
        let refused = |detail| Err(Denial::new(Code::TokenType, detail));
        if claims.given("token_type").is_some() {
            return match says("token_type", &["bearer", "dpop", "access_token"]) {
                true => Ok(Purpose::Access),
                false => refused("the authorization server says that it is no access token"),
            };
        }
        if says("token_use", &["access", "access_token"]) || says("typ", &["bearer", "dpop", "at+jwt"]) {
            return Ok(Purpose::Access);
        }
        match self.untyped {
            true => Ok(Purpose::Unsaid),
            false => refused(
                "the authorization server's answer has no token_type, so it may be a refresh token; \
                 `untyped_introspection` accepts it",
            ),
        }
    }

    /// The answer with what it may leave out: the issuer, which is whom we asked, and an end, which is when we ask again.
    fn completed(&self, claims: Claim, issuer: &str, now: Duration) -> Claim {
        match claims {
            Claim::Object(mut members) => {
                // Many servers write out what they do not have.
                members.retain(|(_, value)| *value != Claim::Null);
                let has =
                    |members: &[(String, Claim)], name: &str| members.iter().any(|(there, _)| there == name);
                if !has(&members, "iss") {
                    members.push(("iss".into(), Claim::Text(issuer.into())));
                }
                if !has(&members, "exp") {
                    // A second more than the answer is used for, since it is rounded down.
                    let end = now.saturating_add(self.lifetime).as_secs().saturating_add(1);
                    members.push(("exp".into(), Claim::Integer(i64::try_from(end).unwrap_or(i64::MAX))));
                }
                Claim::Object(members)
            }
            Claim::Null
            | Claim::Bool(_)
            | Claim::Integer(_)
            | Claim::Number(_)
            | Claim::Text(_)
            | Claim::List(_) => claims,
        }
    }

    fn request(&self, question: &Question<'_>, effects: &dyn Effects) -> Fetch {
        let token = form(question.token);
        Fetch {
            method: Method::POST,
            headers: self.client.fields(),
            body: self.client.body(
                &format!("token={token}&token_type_hint=access_token"),
                question.issuer,
                effects.now().unix,
                effects.random(),
            ),
            insecure_plaintext: self.insecure_plaintext,
            ..Fetch::get(question.url.clone())
        }
    }
}

/// From when on the answer of another gateway counts, which came at `asked` by that one's clock. `None` where it is too old.
// SECURITY: an answer is used no longer for having been told, and a clock that is ahead makes no answer of the future
// (an_answer_of_another_gateway_is_used_no_longer).
fn counts_from(asked: Duration, now: Duration, lifetime: Duration) -> Option<Duration> {
    let asked = asked.min(now);
    (asked.saturating_add(lifetime) > now).then_some(asked)
}

fn inactive() -> Denial {
    Denial::new(Code::TokenInactive, "the authorization server says that it is not active")
}

/// The `Authorization` field of a client (RFC 6749, section 2.3.1: both parts are form-encoded first).
pub fn basic(client: &str, secret: &str) -> Option<HeaderValue> {
    let pair = format!("{}:{}", form(client), form(secret));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", Base64::encode_string(pair.as_bytes()))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `text` in a form's body (application/x-www-form-urlencoded).
pub fn form(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
