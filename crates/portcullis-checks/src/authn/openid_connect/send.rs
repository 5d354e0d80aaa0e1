//! Who is sent to the provider, and with what.
//!
//! Only a person who goes to a page is sent, and never from a path that the gateway itself answers. If the provider is not
//! known at the moment, the request is refused as by a fault, and nobody is sent anywhere.

use super::attempt::{self, Attempts};
use super::seal::Purpose;
use super::{Login, browser, provider};
use crate::token::issuer::Loaded;
use crate::token::metadata;
use http::{HeaderValue, Uri, header};
use portcullis_core::{Authn, Code, Denial, Effects, Facts, Fault, Head, Step};
use std::sync::Arc;
use std::time::Duration;

impl Login {
    /// Whether a request is of a person whom it makes sense to send to log in.
    pub(super) fn may_be_sent(&self, head: &Head) -> bool {
        // SECURITY: whoever comes back is not sent away again, wherever routes lead
        // (a_route_for_everything_takes_no_callback).
        let comes_back = [&self.paths.callback, &self.paths.logout].iter().any(|path| *path == head.path());
        !comes_back && browser::is_navigation(head.method(), head.headers(), head.upgrade().is_some())
    }

    /// What becomes of a request whose session is none any more.
    pub(super) fn turn_away<'a>(
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
    pub(super) async fn send(&self, head: &Head, effects: &dyn Effects) -> Denial {
        match self.begin(head, effects).await {
            Ok(denial) | Err(denial) => denial,
        }
    }

    pub(super) async fn begin(&self, head: &Head, effects: &dyn Effects) -> Result<Denial, Denial> {
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

    pub(super) fn keep_attempt(
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

    pub(super) async fn loaded(&self, effects: &dyn Effects) -> Result<Arc<Loaded>, Denial> {
        let loaded = self.issuer.loaded(effects.monotonic(), effects).await;
        loaded.map_err(|Fault { detail }| Denial::new(Code::Fault, detail))
    }

    pub(super) fn token_endpoint(loaded: &Loaded) -> Result<Uri, Denial> {
        let named = loaded.metadata.token.as_deref().ok_or("it names none");
        named
            .and_then(metadata::endpoint)
            .map_err(|why| Denial::new(Code::Fault, format!("the provider's token endpoint: {why}")))
    }
}
