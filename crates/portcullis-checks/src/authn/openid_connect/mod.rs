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
//! | [`opened`]   | which cookies were opened a moment ago                         |
//! | [`send`]     | who is sent to log in                                          |
//! | [`renew`]    | what becomes of a session when its tokens end                  |
//! | [`refresh`]  | that the provider is asked once                                |
//! | [`logout`]   | the end of a session                                           |
//! | [`ended`]    | that a copy of a cookie ends with it                           |
//! | [`backchannel`] | which sessions the provider ends                            |
//! | [`pages`]    | what a person sees where nothing came of it                    |
//! | [`provider`] | what the provider is asked, and what its answers mean          |

pub mod attempt;
pub mod backchannel;
pub mod browser;
pub mod callback;
pub mod config;
pub mod cookie;
pub mod ended;
pub mod id_token;
pub mod logout;
pub mod opened;
pub mod pages;
pub mod provider;
pub mod refresh;
pub mod renew;
pub mod seal;
pub mod send;
pub mod session;

pub use config::OpenIdConnectConfig;

use super::token_schemes::TokenSchemes;
use crate::token::issuer::Issuer;
use crate::token::rules::Rules;
use cookie::Cookies;
use ended::Ended;
use http::{HeaderMap, HeaderValue, header};
use opened::{Opened, OpenedSessions};
use portcullis_core::check::Check;
use portcullis_core::pool::Pool;
use portcullis_core::{
    AnswerFields, Answers, Authenticate, Authn, CheckId, Code, CredentialLocation, CredentialName, Denial,
    Effects, Evidence, Facts, Fault, Ground, MethodId, Once, SecurityScheme, Step,
};
use provider::Client;
use refresh::Refreshes;
use seal::{Purpose, Sealer};
use session::{Session, SessionRules, Standing};
use std::sync::Arc;
use std::time::Duration;

const ID: CheckId = CheckId::new("authn.openid_connect");

/// One login: a provider, and the gateway as its client.
pub struct Login {
    /// Its number among the methods.
    method: MethodId,
    issuer: Arc<Issuer>,
    client: Client,
    cookies: Cookies,
    sealer: Sealer,
    /// What every ID token must say.
    tokens: Rules,
    session: SessionRules,
    /// Scheme, host and port under which browsers know the gateway.
    origin: String,
    /// The host of it, without a port.
    host: String,
    paths: Paths,
    refreshes: Arc<Refreshes>,
    ended: Arc<Ended>,
    opened: Arc<OpenedSessions>,
    /// The codes that are being exchanged.
    exchanges: Arc<Pool>,
    /// A number for everything that is configured of it.
    rules: u64,
}

/// The paths that the gateway itself answers, and the one to which it sends after a logout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    callback: String,
    logout: String,
    logged_out: String,
    /// Where the provider ends sessions, if it may.
    backchannel: Option<String>,
}

/// The check.
pub struct OpenIdConnect(Arc<Login>);

impl Check for OpenIdConnect {
    fn id(&self) -> CheckId {
        ID
    }

    fn describe(&self) -> String {
        let Login { session, origin, .. } = self.0.as_ref();
        let told = session.roles.told();
        format!(
            "a browser session of {}{told}, at {origin}; people without one are sent to log in",
            session.issuer
        )
    }
}

impl Authenticate for OpenIdConnect {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        let deny = |code, detail| Step::Ready(Authn::Deny(Denial::new(code, detail)));
        let text = match self.0.cookies.read(facts.head.headers()) {
            Once::Absent => return Step::Ready(Authn::NotMine),
            // SECURITY: which of two sessions counts is a matter of taste, so neither does
            // (a_cookie_is_what_was_sealed_and_nothing_else).
            Once::Repeated => return deny(Code::CredentialRepeated, "there are several session cookies"),
            Once::Unreadable => return deny(Code::CredentialMalformed, "a cookie is not text"),
            Once::One(text) => text,
        };
        let Some(opened) = self.0.open(&text) else {
            // Not `CredentialUnknown`: nobody guesses one, and everybody has one like it after a secret was changed.
            return self.0.turn_away(facts, effects, Code::CredentialMalformed, "the session does not open");
        };
        match self.0.ended.has(&opened.names.text(), effects) {
            Step::Ready(ended) => self.0.judge(ended, opened, facts, effects),
            Step::Later(ended) => Step::Later(Box::pin(async move {
                self.0.judge(ended.await, opened, facts, effects).resolve().await
            })),
        }
    }

    // SECURITY: whoever logs out leaves no stream behind (a_stream_ends_with_its_session).
    fn uphold<'a>(
        &'a self,
        evidence: &'a Evidence,
        _: &'a Facts<'a>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Authn> {
        let Some(Ground { credential: CredentialName::Text(id), rules, .. }) = &evidence.ground else {
            return Step::Ready(Authn::NotMine);
        };
        if evidence.check != ID {
            return Step::Ready(Authn::NotMine);
        }
        let over = |why| Authn::Deny(Denial::new(Code::CredentialExpired, why));
        if *rules != self.0.rules {
            return Step::Ready(over("the login that let it in has changed"));
        }
        self.0.ended.has(id, effects).map(move |ended| match ended {
            Err(fault) => Authn::Deny(Denial::new(Code::Fault, fault.detail)),
            Ok(true) => over("it was logged out"),
            Ok(false) => Authn::Claim(evidence.now_by(self.0.method)),
        })
    }

    fn challenges(&self, _: Option<&Denial>) -> Vec<String> {
        vec!["Cookie".to_owned()]
    }

    fn invite<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Option<Denial>> {
        let head = facts.head;
        if !self.0.may_be_sent(head) {
            // A form of a page that is older than its session.
            let posted = pages::wanted(head.method(), head.headers(), head.upgrade().is_some());
            let denial = || Denial::new(Code::CredentialMissing, "no credential that the route accepts");
            return Step::Ready(posted.then(|| self.0.seen_by(denial(), head)));
        }
        Step::Later(Box::pin(async move { Some(self.0.send(facts.head, effects).await) }))
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        self.0.cookies.locations()
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        let schemes = TokenSchemes { issuer: Some(self.0.session.issuer.clone()), ..TokenSchemes::default() };
        schemes.answer(scheme).map(|answers| (self.0.method, answers)).into_iter().collect()
    }
}

impl Login {
    /// What becomes of a session that opens. `ended` says whether another gateway ended it.
    fn judge<'a>(
        &'a self,
        ended: Result<bool, Fault>,
        opened: Arc<Opened>,
        facts: &'a Facts<'a>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Authn> {
        match ended {
            Err(fault) => {
                let denial = Denial::new(Code::Fault, fault.detail);
                return Step::Ready(Authn::Deny(self.seen_by(denial, facts.head)));
            }
            Ok(true) => {
                return self.turn_away(facts, effects, Code::CredentialExpired, "it was logged out");
            }
            Ok(false) => {}
        }
        let head = facts.head;
        let upgrade = head.upgrade().is_some();
        // SECURITY: before anything is done with the session (a_request_that_changes_something_comes_from_this_site).
        if browser::needs_origin(head.method(), upgrade)
            && !browser::is_same_origin(head.headers(), &self.origin)
        {
            let denial = Denial::new(Code::CrossSite, "no page of this origin has sent it");
            return Step::Ready(Authn::Deny(self.seen_by(denial, head)));
        }
        match opened.session.standing(facts.now.unix, &self.session) {
            Standing::Ended(why) => self.turn_away(facts, effects, Code::CredentialExpired, why),
            Standing::Good => Step::Ready(self.claim(&opened, facts.now.unix, head.headers(), effects)),
            standing @ (Standing::Due | Standing::Over) => {
                Step::Later(Box::pin(async move { self.refreshed(&opened, standing, facts, effects).await }))
            }
        }
    }

    /// The session in a cookie. `None` where it does not open.
    fn open(&self, text: &str) -> Option<Arc<Opened>> {
        self.opened.find(text, || {
            let bytes = self.sealer.open(Purpose::Session, self.cookies.session(), text)?;
            Some(Opened::new(Session::decode(&bytes)?, &self.session))
        })
    }

    /// The `Set-Cookie` fields of a session, for a browser that sent these fields. `Err` says why it cannot be kept.
    fn keep(
        &self,
        session: &Session,
        now: Duration,
        sent: &HeaderMap,
        effects: &dyn Effects,
    ) -> Result<Vec<HeaderValue>, String> {
        let sealed =
            self.sealer.seal(Purpose::Session, self.cookies.session(), effects.random(), session.encode());
        let sealed = sealed.ok_or_else(|| "the session cannot be sealed".to_owned())?;
        let (lifetime, limit) = (session.remaining(now, &self.session), self.session.max_bytes);
        self.cookies
            .keep(&sealed, lifetime, limit, sent)
            .map_err(|size| format!("the session has {size} bytes, and `max_session_size` is {limit}"))
    }

    /// The same; without its ID token, and without its refresh token, if it does not fit with them.
    fn keep_what_fits(
        &self,
        session: &mut Session,
        now: Duration,
        sent: &HeaderMap,
        effects: &dyn Effects,
    ) -> Result<Vec<HeaderValue>, String> {
        let why = match self.keep(session, now, sent, effects) {
            Ok(kept) => return Ok(kept),
            Err(why) => why,
        };
        if session.id_token.take().is_some()
            && let Ok(kept) = self.keep(session, now, sent, effects)
        {
            effects.notice(ID.as_str(), &format!("an ID token is not kept: {why}"));
            return Ok(kept);
        }
        if session.renewal.take().is_none() {
            return Err(why);
        }
        let kept = self.keep(session, now, sent, effects)?;
        effects.notice(ID.as_str(), &format!("a refresh token is not kept: {why}"));
        Ok(kept)
    }

    /// What a session's principal rests on. Between two uses of the cookie, the session ends when it must be refreshed.
    fn ground(&self, session: &Session, id: Arc<str>) -> Ground {
        let rules = &self.session;
        let mut until =
            session.started.saturating_add(rules.lifetime).min(session.seen.saturating_add(rules.idle));
        if let Some(renewal) = &session.renewal {
            until = until.min(renewal.over);
        }
        Ground { credential: CredentialName::Text(id), rules: self.rules, until: Some(until) }
    }

    /// The session's principal. The answer tells the browser that the session was used, now and then.
    fn claim(&self, opened: &Opened, now: Duration, sent: &HeaderMap, effects: &dyn Effects) -> Authn {
        let ground = self.ground(&opened.session, opened.names.text());
        let evidence = Evidence::subject(Arc::clone(&opened.subject), self.method, ID).resting_on(ground);
        let mut tell: AnswerFields = Vec::new();
        if opened.session.is_news(now, &self.session) {
            let seen = Duration::from_secs(now.as_secs());
            let session = Session { seen, ..opened.session.clone() };
            let kept = self.keep(&session, now, sent, effects).unwrap_or_default();
            tell.extend(kept.into_iter().map(|field| (header::SET_COOKIE, field)));
        }
        tell.push(private(!tell.is_empty()));
        Authn::ClaimAndTell(evidence, tell)
    }
}

/// Keeps an answer to one person out of the caches of others. One with a cookie is kept nowhere.
fn private(with_cookie: bool) -> (http::HeaderName, HeaderValue) {
    // SECURITY: without `Authorization` nothing else tells a cache that an answer is one person's, by RFC 9111, section 3.5
    // (somebody_logs_in_and_comes_back_to_where_they_were_going).
    let directive = if with_cookie { "no-store" } else { "private" };
    (header::CACHE_CONTROL, HeaderValue::from_static(directive))
}

#[cfg(test)]
mod tests;
