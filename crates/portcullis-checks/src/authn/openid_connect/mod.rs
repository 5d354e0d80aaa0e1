//! Who is logged in, in a browser: OpenID Connect, authorization code flow with PKCE.
//!
//! The session stands in a cookie that only this gateway can read. A person without one is sent to the provider and comes
//! back to where they were going; a script gets 401. A request that changes something must come from a page of this very
//! origin. A cookie that does not open, has expired, or whose refresh the provider refuses, is a bad credential: no other
//! method is asked. If the provider does not answer when it must, the request is refused as by a fault, and the session
//! stays as it is.
//!
//! | file         | decides                                                        |
//! |--------------|----------------------------------------------------------------|
//! | [`config`]   | what can be written, and what it means                         |
//! | [`browser`]  | how a request came about: a person, a script, another site     |
//! | [`cookie`]   | names, attributes and sizes of cookies                         |
//! | [`seal`]     | that nobody reads or changes them                              |
//! | [`attempt`]  | what the way back from the provider is checked with            |
//! | [`callback`] | whether somebody has logged in                                 |
//! | [`id_token`] | who it is                                                      |
//! | [`session`]  | what is kept of them, and for how long                         |
//! | [`refresh`]  | that the provider is asked once                                |
//! | [`logout`]   | the end of a session                                           |
//! | [`ended`]    | that a copy of a cookie ends with it                           |
//! | [`provider`] | what the provider is asked, and what its answers mean          |

pub mod attempt;
pub mod browser;
pub mod callback;
pub mod config;
pub mod cookie;
pub mod ended;
pub mod id_token;
pub mod logout;
pub mod provider;
pub mod refresh;
pub mod seal;
pub mod session;

pub use config::OpenIdConnectConfig;

use crate::token::issuer::{Issuer, Loaded};
use crate::token::metadata;
use crate::token::rules::Rules;
use attempt::Attempts;
use aws_lc_rs::digest::{SHA256, digest};
use cookie::Cookies;
use ended::Ended;
use http::{HeaderValue, Uri, header};
use id_token::{Expected, Nonce};
use portcullis_core::check::Check;
use portcullis_core::{
    AnswerFields, Authenticate, Authn, CheckId, Code, CredentialLocation, Denial, Effects, Facts, Fault,
    Head, Once, Principal, Step,
};
use provider::{Client, NoTokens, Tokens};
use refresh::Refreshes;
use seal::{Purpose, Sealer};
use session::{Renewal, Session, SessionRules, Standing};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

const ID: CheckId = CheckId::new("authn.openid_connect");

/// The shortest time between two refreshes of a session.
const MIN_REFRESH: Duration = Duration::from_secs(1);
/// The longest time that tokens are believed whose provider does not say how long they are good.
const DEFAULT_REFRESH: Duration = Duration::from_secs(300);

/// One login: a provider, and the gateway as its client.
pub struct Login {
    issuer: Arc<Issuer>,
    client: Client,
    cookies: Cookies,
    sealer: Sealer,
    /// What every ID token must say.
    tokens: Rules,
    session: SessionRules,
    /// Scheme, host and port under which browsers know the gateway.
    origin: String,
    paths: Paths,
    refreshes: Refreshes,
    ended: Ended,
    /// How many codes are being exchanged.
    exchanges: AtomicUsize,
}

/// The paths that the gateway itself answers, and the one to which it sends after a logout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    callback: String,
    logout: String,
    logged_out: String,
}

/// The check.
pub struct OpenIdConnect(Arc<Login>);

impl Check for OpenIdConnect {
    fn id(&self) -> CheckId {
        ID
    }

    fn describe(&self) -> String {
        let Login { session, origin, .. } = self.0.as_ref();
        format!("a browser session of {}, at {origin}; people without one are sent to log in", session.issuer)
    }
}

impl Authenticate for OpenIdConnect {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        let deny = |code, detail| Step::Ready(Authn::Deny(Denial::new(code, detail)));
        let text = match facts.head.cookie_once(self.0.cookies.session()) {
            Once::Absent => return Step::Ready(Authn::NotMine),
            // SECURITY: which of two sessions counts is a matter of taste, so neither does
            // (a_cookie_is_what_was_sealed_and_nothing_else).
            Once::Repeated => return deny(Code::CredentialRepeated, "there are several session cookies"),
            Once::Unreadable => return deny(Code::CredentialMalformed, "a cookie is not text"),
            Once::One(text) => text,
        };
        let Some(session) = self.0.open(&text) else {
            // Not `CredentialUnknown`: nobody guesses one, and everybody has one like it after a secret was changed.
            return self.0.turn_away(facts, effects, Code::CredentialMalformed, "the session does not open");
        };
        if self.0.ended.contains(&session.id) {
            return self.0.turn_away(facts, effects, Code::CredentialExpired, "it was logged out");
        }
        let head = facts.head;
        let upgrade = head.upgrade().is_some();
        // SECURITY: before anything is done with the session (a_request_that_changes_something_comes_from_this_site).
        if browser::needs_origin(head.method(), upgrade)
            && !browser::is_same_origin(head.headers(), &self.0.origin)
        {
            return deny(Code::CrossSite, "no page of this origin has sent it");
        }
        match session.standing(facts.now.unix, &self.0.session) {
            Standing::Ended(why) => self.0.turn_away(facts, effects, Code::CredentialExpired, why),
            Standing::Good => Step::Ready(self.0.claim(session, facts.now.unix, effects)),
            standing @ (Standing::Due | Standing::Over) => {
                Step::Later(Box::pin(
                    async move { self.0.refreshed(session, standing, facts, effects).await },
                ))
            }
        }
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec!["Cookie".to_owned()]
    }

    fn invite<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Option<Denial>> {
        if !self.0.may_be_sent(facts.head) {
            return Step::Ready(None);
        }
        Step::Later(Box::pin(async move { Some(self.0.send(facts.head, effects).await) }))
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        self.0.cookies.locations()
    }
}

impl Login {
    fn open(&self, text: &str) -> Option<Session> {
        let bytes = self.sealer.open(Purpose::Session, self.cookies.session(), text)?;
        Session::decode(&bytes)
    }

    /// The `Set-Cookie` field of a session. `Err` says why it cannot be kept.
    fn keep(&self, session: &Session, now: Duration, effects: &dyn Effects) -> Result<HeaderValue, String> {
        let name = self.cookies.session();
        let sealed = self.sealer.seal(Purpose::Session, name, effects.random(), session.encode());
        let sealed = sealed.ok_or_else(|| "the session cannot be sealed".to_owned())?;
        self.cookies.set(name, &sealed, session.remaining(now, &self.session)).map_err(|size| {
            format!(
                "the session takes a cookie of {size} bytes, and browsers keep {}",
                cookie::MAX_COOKIE_BYTES
            )
        })
    }

    /// The same; without its refresh token if it does not fit with it.
    fn keep_what_fits(
        &self,
        session: &mut Session,
        now: Duration,
        effects: &dyn Effects,
    ) -> Result<HeaderValue, String> {
        match self.keep(session, now, effects) {
            Err(why) if session.renewal.is_some() => {
                session.renewal = None;
                let kept = self.keep(session, now, effects)?;
                effects.notice(ID.as_str(), &format!("a refresh token is not kept: {why}"));
                Ok(kept)
            }
            kept => kept,
        }
    }

    /// The session's principal. The answer tells the browser that the session was used, now and then.
    fn claim(&self, mut session: Session, now: Duration, effects: &dyn Effects) -> Authn {
        let principal = Principal::subject(session.to_subject(&self.session), ID);
        let mut tell: AnswerFields = Vec::new();
        if session.is_news(now, &self.session) {
            session.seen = Duration::from_secs(now.as_secs());
            if let Ok(kept) = self.keep(&session, now, effects) {
                tell.push((header::SET_COOKIE, kept));
            }
        }
        tell.push(private(!tell.is_empty()));
        Authn::ClaimAndTell(principal, tell)
    }

    /// Whether a request is of a person whom it makes sense to send to log in.
    fn may_be_sent(&self, head: &Head) -> bool {
        // SECURITY: whoever comes back is not sent away again, wherever routes lead
        // (a_route_for_everything_takes_no_callback).
        let comes_back = [&self.paths.callback, &self.paths.logout].iter().any(|path| *path == head.path());
        !comes_back && browser::is_navigation(head.method(), head.headers(), head.upgrade().is_some())
    }

    /// What becomes of a request whose session is none any more.
    fn turn_away<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        effects: &'a dyn Effects,
        code: Code,
        why: &'static str,
    ) -> Step<'a, Authn> {
        if !self.may_be_sent(facts.head) {
            return Step::Ready(Authn::Deny(Denial::new(code, why)));
        }
        Step::Later(Box::pin(async move { Authn::Deny(self.send(facts.head, effects).await) }))
    }

    /// Sends a browser to log in.
    async fn send(&self, head: &Head, effects: &dyn Effects) -> Denial {
        match self.begin(head, effects).await {
            Ok(denial) | Err(denial) => denial,
        }
    }

    async fn begin(&self, head: &Head, effects: &dyn Effects) -> Result<Denial, Denial> {
        let now = effects.now().unix;
        let loaded = self.loaded(effects).await?;
        let Some(endpoint) = &loaded.metadata.authorization else {
            return Err(Denial::new(Code::Fault, "the provider's metadata names no authorization endpoint"));
        };
        let attempts = Attempts { cookies: &self.cookies, sealer: &self.sealer, headers: head.headers() };
        let Some((attempt, name)) = attempts.begin(head.target().as_str(), now, effects) else {
            return Err(Denial::new(Code::LoginFailed, "several logins in a row, and no session is kept"));
        };
        let request =
            provider::Request { state: &attempt.state, nonce: &attempt.nonce, verifier: &attempt.verifier };
        let url = self.client.authorization_url(endpoint, &request);
        let unsendable = |_| Denial::new(Code::Fault, "the provider's URL cannot be sent");
        let location = HeaderValue::try_from(url).map_err(unsendable)?;
        let kept = self.keep_attempt(&name, attempt.encode(), attempt::LIFETIME, effects)?;
        let denial = Denial::new(Code::LoginRequired, "there is no session");
        Ok(denial.telling(header::LOCATION, location).telling(header::SET_COOKIE, kept))
    }

    fn keep_attempt(
        &self,
        name: &str,
        content: Vec<u8>,
        lifetime: Duration,
        effects: &dyn Effects,
    ) -> Result<HeaderValue, Denial> {
        let sealed = self.sealer.seal(Purpose::Attempt, name, effects.random(), content);
        let kept = sealed.and_then(|sealed| self.cookies.set(name, &sealed, lifetime).ok());
        kept.ok_or_else(|| Denial::new(Code::Fault, "the attempt cannot be sealed"))
    }

    async fn loaded(&self, effects: &dyn Effects) -> Result<Arc<Loaded>, Denial> {
        let loaded = self.issuer.loaded(effects.monotonic(), effects).await;
        loaded.map_err(|Fault { detail }| Denial::new(Code::Fault, detail))
    }

    fn token_endpoint(loaded: &Loaded) -> Result<Uri, Denial> {
        let named = loaded.metadata.token.as_deref().ok_or("it names none");
        named
            .and_then(metadata::endpoint)
            .map_err(|why| Denial::new(Code::Fault, format!("the provider's token endpoint: {why}")))
    }

    /// The principal of a session after its refresh.
    async fn refreshed(
        &self,
        session: Session,
        standing: Standing,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Authn {
        let now = effects.now().unix;
        match self.refresh(&session, now, effects).await {
            Ok(mut fresh) => match self.keep_what_fits(&mut fresh, now, effects) {
                Ok(kept) => {
                    let principal = Principal::subject(fresh.to_subject(&self.session), ID);
                    Authn::ClaimAndTell(principal, vec![(header::SET_COOKIE, kept), private(true)])
                }
                Err(why) => Authn::Deny(Denial::new(Code::CredentialExpired, why)),
            },
            // The provider is down, and what it said before still holds.
            Err(denial) if denial.code() == Code::Fault && standing == Standing::Due => {
                self.claim(session, now, effects)
            }
            // SECURITY: a silent provider is no answer (a_provider_that_is_down_takes_nobodys_session).
            Err(denial) if denial.code() == Code::Fault => Authn::Deny(denial),
            Err(_) if self.may_be_sent(facts.head) => Authn::Deny(self.send(facts.head, effects).await),
            Err(denial) => Authn::Deny(denial),
        }
    }

    async fn refresh(
        &self,
        session: &Session,
        now: Duration,
        effects: &dyn Effects,
    ) -> Result<Session, Denial> {
        let Some(renewal) = &session.renewal else {
            return Err(Denial::new(Code::CredentialExpired, "the session cannot be refreshed"));
        };
        let loaded = self.loaded(effects).await?;
        let endpoint = Self::token_endpoint(&loaded)?;
        let asked: [u8; 32] =
            digest(&SHA256, renewal.token.as_bytes()).as_ref().try_into().unwrap_or([0; 32]);
        let question = || effects.fetch(self.client.refresh(endpoint, &renewal.token));
        let answer = self.refreshes.answer(asked, effects, question).await;
        let tokens = provider::tokens(&answer).map_err(|failed| match failed {
            NoTokens::Refused => {
                Denial::new(Code::CredentialExpired, "the provider refuses to refresh the session")
            }
            NoTokens::Fault(detail) => Denial::new(Code::Fault, detail),
        })?;
        let mut fresh = session.clone();
        let mut expires = None;
        if let Some(token) = &tokens.id {
            let nonce = Nonce::IsIfThere(&session.id);
            let said = self.verify(token, &tokens, nonce, &loaded, effects).await?;
            // SECURITY: a session is one person's (a_refresh_of_somebody_else_ends_the_session).
            if said.subject != session.subject {
                return Err(Denial::new(
                    Code::CredentialExpired,
                    "the refreshed ID token is of somebody else",
                ));
            }
            fresh.claims = self.session.keep(&said.claims);
            expires = Some(said.expires);
        }
        if let Some(scopes) = &tokens.scopes {
            fresh.scopes.clone_from(scopes);
        }
        let next = tokens.refresh.clone().unwrap_or_else(|| renewal.token.clone());
        fresh.renewal = Some(renewal_of(next, &tokens, expires, now));
        fresh.seen = Duration::from_secs(now.as_secs());
        Ok(fresh)
    }

    async fn verify(
        &self,
        token: &str,
        tokens: &Tokens,
        nonce: Nonce<'_>,
        loaded: &Arc<Loaded>,
        effects: &dyn Effects,
    ) -> Result<id_token::IdToken, Denial> {
        let expected = Expected {
            client: &self.client.id,
            rules: &self.tokens,
            nonce,
            access_token: tokens.access.as_deref(),
        };
        id_token::verify(token, &self.issuer, loaded, &expected, effects).await
    }
}

/// When a session with these tokens is refreshed: when they end, and a little before that if the provider can be reached.
fn renewal_of(
    token: zeroize::Zeroizing<String>,
    tokens: &Tokens,
    expires: Option<Duration>,
    now: Duration,
) -> Renewal {
    let until_expiry = expires.map(|expires| expires.saturating_sub(now));
    let lifetime = tokens.lifetime.or(until_expiry).unwrap_or(DEFAULT_REFRESH).max(MIN_REFRESH);
    let now = Duration::from_secs(now.as_secs());
    Renewal { due: now.saturating_add(lifetime.mul_f32(0.8)), over: now.saturating_add(lifetime), token }
}

/// Keeps an answer to one person out of the caches of others. One with a cookie is kept nowhere.
fn private(with_cookie: bool) -> (http::HeaderName, HeaderValue) {
    // SECURITY: without `Authorization` nothing else tells a cache that an answer is one person's, by RFC 9111, section 3.5
    // (somebody_logs_in_and_comes_back_to_where_they_were_going).
    let directive = if with_cookie { "no-store" } else { "private" };
    (header::CACHE_CONTROL, HeaderValue::from_static(directive))
}
