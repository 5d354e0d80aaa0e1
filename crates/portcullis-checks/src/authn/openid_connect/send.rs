//! Who is sent to the provider, and with what.
//!
//! Only a person who goes to a page is sent, and never from a path that the gateway itself answers. If the provider is not
//! known at the moment, the request is refused as by a fault, and nobody is sent anywhere. A request for another host than that of
//! `public_url` is sent there first, to the callback path, which begins the login whatever its host is.

use super::attempt::{self, Attempts};
use super::seal::Purpose;
use super::{Login, browser, pages, provider};
use crate::token::introspection::form;
use crate::token::issuer::Loaded;
use crate::token::metadata;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use portcullis_core::page::Page;
use portcullis_core::{Authn, Code, Denial, Effects, Facts, Fault, Head, Once, Step};
use std::sync::Arc;

/// The parameter of the callback path with which a login begins there, for a request that came to another host.
pub(super) const START: &str = "start";

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
            return Step::Ready(Authn::Deny(self.seen_by(Denial::new(code, why), facts.head)));
        }
        Step::Later(Box::pin(async move { Authn::Deny(self.send(facts.head, effects).await) }))
    }

    /// The refusal as whoever sent the request is to see it: a person has a page, which leads to where they came from.
    pub(super) fn seen_by(&self, denial: Denial, head: &Head) -> Denial {
        if !pages::wanted(head.method(), head.headers(), head.upgrade().is_some()) {
            return denial;
        }
        if *head.method() != Method::POST {
            return pages::shown(denial, browser::return_path(head.target().as_str()));
        }
        let before = match head.once("referer") {
            Once::One(page) => page.strip_prefix(self.origin.as_str()).map(str::to_owned),
            Once::Absent | Once::Repeated | Once::Unreadable => None,
        };
        pages::shown(denial, browser::return_path(before.as_deref().unwrap_or("/")))
    }

    /// Sends a browser to log in.
    pub(super) async fn send(&self, head: &Head, effects: &dyn Effects) -> Denial {
        let target = head.target().as_str();
        // A cookie that is set for one host does not come back to another, so the login begins at the one to which it leads back.
        if head.origin().1 != self.host {
            let path = form(browser::return_path(target));
            let location = format!("{}{}?{START}={path}", self.origin, self.paths.callback);
            return match HeaderValue::try_from(location) {
                Ok(location) => Denial::new(Code::LoginRequired, "there is no session at this host")
                    .telling(header::LOCATION, location),
                Err(_) => Denial::new(Code::Fault, "the path to come back to cannot be sent"),
            };
        }
        match self.begin(head.headers(), target, effects).await {
            Ok(denial) => denial,
            Err(denial) => self.seen_by(denial, head),
        }
    }

    pub(super) async fn begin(
        &self,
        headers: &HeaderMap,
        target: &str,
        effects: &dyn Effects,
    ) -> Result<Denial, Denial> {
        let now = effects.now().unix;
        let loaded = self.loaded(effects).await?;
        let Some(endpoint) = &loaded.metadata.authorization else {
            return Err(Denial::new(Code::Fault, "the provider's metadata names no authorization endpoint"));
        };
        let attempts = Attempts { cookies: &self.cookies, sealer: &self.sealer, headers };
        let Some((attempt, name)) = attempts.begin(target, now, effects) else {
            return Err(Denial::new(Code::LoginFailed, "several logins in a row, and no session is kept")
                .showing(Page::new(&pages::REPEATED)));
        };
        let request =
            provider::Request { state: &attempt.state, nonce: &attempt.nonce, verifier: &attempt.verifier };
        let url = self.client.authorization_url(endpoint, &request);
        let unsendable = |_| Denial::new(Code::Fault, "the provider's URL cannot be sent");
        let location = HeaderValue::try_from(url).map_err(unsendable)?;
        let kept = self.keep_attempt(&name, attempt.encode(), effects)?;
        let denial = Denial::new(Code::LoginRequired, "there is no session");
        Ok(denial.telling(header::LOCATION, location).telling(header::SET_COOKIE, kept))
    }

    pub(super) fn keep_attempt(
        &self,
        name: &str,
        content: Vec<u8>,
        effects: &dyn Effects,
    ) -> Result<HeaderValue, Denial> {
        let sealed = self.sealer.seal(Purpose::Attempt, name, effects.random(), content);
        let kept = sealed.and_then(|sealed| {
            let kept = match self.client.comes_by_form {
                true => self.cookies.set_for_forms(name, &sealed, attempt::LIFETIME),
                false => self.cookies.set(name, &sealed, attempt::LIFETIME),
            };
            kept.ok()
        });
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
