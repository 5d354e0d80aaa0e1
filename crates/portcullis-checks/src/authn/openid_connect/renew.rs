//! What becomes of a session whose tokens have come to their end.
//!
//! The provider says so anew who it is and what they may. If it refuses, or speaks of somebody else, the session is over. If
//! it does not answer, the session goes on as long as what it said before holds, and after that waits: it is not ended.

use super::id_token::{self, Expected, IdToken, Nonce};
use super::opened::Opened;
use super::provider::{self, NoTokens, Tokens};
use super::session::{Renewal, Session, Standing};
use super::{ID, Login, private};
use crate::token::issuer::Loaded;
use aws_lc_rs::digest::{SHA256, digest};
use http::header;
use portcullis_core::pool::Client;
use portcullis_core::{Authn, Code, Denial, Effects, Evidence, Facts, Fetch};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The shortest time between two refreshes of a session.
const MIN_REFRESH: Duration = Duration::from_secs(1);
/// How long tokens are believed whose provider does not say how long they are good.
const DEFAULT_REFRESH: Duration = Duration::from_secs(300);

impl Login {
    /// The principal of a session after its refresh.
    pub(super) async fn refreshed(
        &self,
        opened: &Opened,
        standing: Standing,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Authn {
        let now = effects.now().unix;
        match self.refresh(&opened.session, now, facts.head.client(), effects).await {
            Ok(mut fresh) => match self.keep_what_fits(&mut fresh, now, facts.head.headers(), effects) {
                Ok(kept) => {
                    let ground = self.ground(&fresh, opened.names.text());
                    let evidence = Evidence::subject(fresh.to_subject(&self.session), self.method, ID);
                    let evidence = evidence.resting_on(ground);
                    let mut tell: Vec<_> =
                        kept.into_iter().map(|field| (header::SET_COOKIE, field)).collect();
                    tell.push(private(true));
                    Authn::ClaimAndTell(evidence, tell)
                }
                Err(why) => Authn::Deny(Denial::new(Code::CredentialExpired, why)),
            },
            // The provider is down, and what it said before still holds.
            Err(denial) if denial.code() == Code::Fault && standing == Standing::Due => {
                self.claim(opened, now, facts.head.headers(), effects)
            }
            // SECURITY: a silent provider is no answer (a_provider_that_is_down_takes_nobodys_session).
            Err(denial) if denial.code() == Code::Fault => Authn::Deny(self.seen_by(denial, facts.head)),
            Err(_) if self.may_be_sent(facts.head) => Authn::Deny(self.send(facts.head, effects).await),
            Err(denial) => Authn::Deny(self.seen_by(denial, facts.head)),
        }
    }

    async fn refresh(
        &self,
        session: &Session,
        now: Duration,
        address: IpAddr,
        effects: &dyn Effects,
    ) -> Result<Session, Denial> {
        let Some(renewal) = &session.renewal else {
            return Err(Denial::new(Code::CredentialExpired, "the session cannot be refreshed"));
        };
        let loaded = self.loaded(effects).await?;
        let endpoint = Self::token_endpoint(&loaded)?;
        let asked: [u8; 32] =
            digest(&SHA256, renewal.token.as_bytes()).as_ref().try_into().unwrap_or([0; 32]);
        // A session that opens is one that the gateway made.
        let client = Client { address, known: true };
        let question = || {
            let refresh = self.client.refresh(endpoint, &renewal.token, effects);
            effects.fetch(Fetch { client: Some(client), ..refresh })
        };
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
            fresh.id_token = self.session.keeps_id_token.then(|| Zeroizing::new(token.clone()));
        }
        if let Some(scopes) = &tokens.scopes {
            fresh.scopes.clone_from(scopes);
        }
        let next = tokens.refresh.clone().unwrap_or_else(|| renewal.token.clone());
        fresh.renewal = Some(renewal_of(next, &tokens, expires, now));
        fresh.seen = Duration::from_secs(now.as_secs());
        Ok(fresh)
    }

    pub(super) async fn verify(
        &self,
        token: &str,
        tokens: &Tokens,
        nonce: Nonce<'_>,
        loaded: &Arc<Loaded>,
        effects: &dyn Effects,
    ) -> Result<IdToken, Denial> {
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
pub(super) fn renewal_of(
    token: Zeroizing<String>,
    tokens: &Tokens,
    expires: Option<Duration>,
    now: Duration,
) -> Renewal {
    let until_expiry = expires.map(|expires| expires.saturating_sub(now));
    let lifetime = tokens.lifetime.or(until_expiry).unwrap_or(DEFAULT_REFRESH).max(MIN_REFRESH);
    let now = Duration::from_secs(now.as_secs());
    Renewal { due: now.saturating_add(lifetime.mul_f32(0.8)), over: now.saturating_add(lifetime), token }
}
