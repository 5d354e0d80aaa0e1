//! The way back from the provider: whether somebody has logged in.
//!
//! The browser must bring the cookie of the very attempt, within its time and for the first time; the provider must name
//! itself if it said that it would; the code must be good; the ID token must be of this login. Anything else is refused
//! with 400, and nobody is sent on from here: so there is no way round and round. If the provider does not answer, that is
//! 503. The attempt is over either way.

use super::Login;
use super::attempt::{self, Attempt, Attempts, Slot};
use super::browser;
use super::id_token::Nonce;
use super::provider::{self, NoTokens, Tokens};
use super::renew::renewal_of;
use super::session::Session;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use portcullis_core::endpoint::{Endpoint, refused};
use portcullis_core::head::query;
use portcullis_core::{Code, Denial, Effects, Once, Step};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Answers browsers that come back.
pub struct Callback(pub(super) Arc<Login>);

fn failed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Denial {
    Denial::new(Code::LoginFailed, detail)
}

impl Endpoint for Callback {
    fn describe(&self) -> String {
        format!("where browsers come back to from {}", self.0.session.issuer)
    }

    fn answer<'a>(
        &'a self,
        request: &'a Request<Bytes>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Response<Bytes>> {
        Step::Later(Box::pin(async move { self.0.come_back(request, effects).await.unwrap_or_else(refused) }))
    }
}

/// The most codes of one login that are exchanged at once.
const MAX_EXCHANGES: usize = 16;

/// One of the exchanges that may run at once.
// SECURITY: anybody can begin an attempt and bring a made-up code; what that costs the gateway and the provider is bounded
// (no_more_exchanges_at_once_than_there_may_be).
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn take(running: &'a AtomicUsize) -> Result<Turn<'a>, Denial> {
        let turn = Turn(running);
        if running.fetch_add(1, Ordering::AcqRel) >= MAX_EXCHANGES {
            return Err(Denial::new(Code::Fault, "too many logins at once"));
        }
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A parameter of the query that stands once.
fn parameter<'a>(
    request: &'a Request<Bytes>,
    name: &str,
) -> Result<Option<std::borrow::Cow<'a, str>>, Denial> {
    match query::parameter(request.uri().query(), name) {
        Once::Absent => Ok(None),
        Once::One(value) => Ok(Some(value)),
        Once::Repeated | Once::Unreadable => Err(failed("a parameter repeats, or is not text")),
    }
}

impl Login {
    async fn come_back(
        &self,
        request: &Request<Bytes>,
        effects: &dyn Effects,
    ) -> Result<Response<Bytes>, Denial> {
        let now = effects.now().unix;
        let state = parameter(request, "state")?.ok_or_else(|| failed("it brings no state"))?;
        let attempts = Attempts { cookies: &self.cookies, sealer: &self.sealer, headers: request.headers() };
        let name = attempts.name_of(&state).ok_or_else(|| failed("its state is none of ours"))?;
        let attempt = match attempts.slot(name) {
            Slot::Open(attempt) => attempt,
            Slot::Used { .. } => return Err(failed("the attempt was used before")),
            Slot::Free => return Err(failed("the browser does not bring the cookie of an attempt")),
        };
        // SECURITY: a link that somebody else's login ended with is worth nothing
        // (a_callback_is_worth_something_once_and_in_one_browser).
        if verify_slices_are_equal(attempt.state.as_bytes(), state.as_bytes()).is_err() {
            return Err(failed("its state is of another attempt"));
        }
        let done = self.complete(request, &attempt, now, effects).await;
        let (session, kept) =
            done.map_err(|denial| denial.telling(header::SET_COOKIE, self.cookies.clear(name)))?;
        drop(session);
        let mark = self.keep_attempt(name, attempt.mark(now), attempt::MARK_LIFETIME, effects)?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        // The path was sealed here; it is looked at again, since a redirect is worth the second look.
        let location = format!("{}{}", self.origin, browser::return_path(&attempt.path));
        let unsendable = |_| Denial::new(Code::Fault, "the path to come back to cannot be sent");
        headers.insert(header::LOCATION, HeaderValue::try_from(location).map_err(unsendable)?);
        headers.append(header::SET_COOKIE, kept);
        headers.append(header::SET_COOKIE, mark);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    async fn complete(
        &self,
        request: &Request<Bytes>,
        attempt: &Attempt,
        now: Duration,
        effects: &dyn Effects,
    ) -> Result<(Session, HeaderValue), Denial> {
        if now >= attempt.until {
            return Err(failed("the attempt took too long"));
        }
        let loaded = self.loaded(effects).await?;
        // SECURITY: the answer of one provider must not be taken for another's (every_part_of_the_way_back_is_checked).
        match parameter(request, "iss")? {
            Some(issuer) if issuer != loaded.issuer => {
                return Err(failed("it is the answer of another provider"));
            }
            None if loaded.metadata.names_itself => return Err(failed("the provider does not name itself")),
            Some(_) | None => {}
        }
        if let Some(error) = parameter(request, "error")? {
            return Err(failed(format!("the provider says {}", provider::error_word(&error))));
        }
        let code = parameter(request, "code")?.ok_or_else(|| failed("it brings no code"))?;
        let _turn = Turn::take(&self.exchanges)?;
        let fingerprint = digest(&SHA256, &[b"login ", attempt.state.as_bytes()].concat());
        let fingerprint: [u8; 32] =
            fingerprint.as_ref().try_into().map_err(|_| Denial::new(Code::Fault, "no digest"))?;
        // SECURITY: a code is exchanged once, whatever copies of the cookie there are
        // (a_callback_is_worth_something_once_and_in_one_browser).
        match effects.first_use(fingerprint, attempt.until).resolve().await {
            Ok(true) => {}
            Ok(false) => return Err(failed("the attempt was used before")),
            Err(fault) => return Err(Denial::new(Code::Fault, fault.detail)),
        }
        let endpoint = Self::token_endpoint(&loaded)?;
        let answer = effects.fetch(self.client.exchange(endpoint, &code, &attempt.verifier)).await;
        let tokens = provider::tokens(&answer).map_err(|why| match why {
            NoTokens::Refused => failed("the provider does not take its code"),
            NoTokens::Fault(detail) => Denial::new(Code::Fault, detail),
        })?;
        let token = tokens.id.as_deref().ok_or_else(|| failed("the provider gave no ID token"))?;
        let said = self.verify(token, &tokens, Nonce::Is(&attempt.nonce), &loaded, effects).await;
        let said = said.map_err(|denial| {
            if denial.code() == Code::Fault {
                return denial;
            }
            failed(format!("the ID token, {}: {}", denial.code(), denial.detail()))
        })?;
        let mut session = self.new_session(&tokens, attempt, said, now);
        let kept = self.keep_what_fits(&mut session, now, effects).map_err(failed)?;
        Ok((session, kept))
    }

    fn new_session(
        &self,
        tokens: &Tokens,
        attempt: &Attempt,
        said: super::id_token::IdToken,
        now: Duration,
    ) -> Session {
        let started = Duration::from_secs(now.as_secs());
        let asked = || self.client.scope.split(' ').map(str::to_owned).collect();
        let renewal =
            |token: &zeroize::Zeroizing<String>| renewal_of(token.clone(), tokens, Some(said.expires), now);
        Session {
            id: attempt.nonce.clone(),
            claims: self.session.keep(&said.claims),
            scopes: tokens.scopes.clone().unwrap_or_else(asked),
            started,
            seen: started,
            renewal: tokens.refresh.as_ref().map(renewal),
            subject: said.subject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_exchanges_at_once_than_there_may_be() {
        let running = AtomicUsize::new(0);
        let turns: Vec<_> = (0..MAX_EXCHANGES).map(|_| Turn::take(&running).unwrap()).collect();
        assert_eq!(Turn::take(&running).map(|_| ()).unwrap_err().code(), Code::Fault);
        assert_eq!(running.load(Ordering::Relaxed), MAX_EXCHANGES, "who was refused holds nothing");
        drop(turns);
        assert!(Turn::take(&running).is_ok());
        assert_eq!(running.load(Ordering::Relaxed), 0);
    }
}
