//! Orders one certificate (RFC 8555, section 7.4).
//!
//! What comes back is judged like a certificate from a file, and must be for every host that was asked for. Anything else
//! is a failure with its reason, and nothing is changed.

use super::challenges::{Challenges, Proven};
use super::client::Client;
use super::failure::Failure;
use super::storage::Storage;
use super::{AcmeSettings, Proof};
use crate::tls::Pair;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use portcullis_core::Effects;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::time::Duration;
use zeroize::Zeroizing;

/// How the server is asked whether it has looked.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// How often a request is sent again whose nonce the server did not take (RFC 8555, section 6.5), beyond what the library
/// does. Nothing was done for such a request, so that sending it again does nothing twice.
const NONCES: u32 = 5;

macro_rules! with_nonce {
    ($request:expr) => {{
        let mut left = NONCES;
        loop {
            match $request {
                Err(error) if left > 0 && is_nonce(&error) => left -= 1,
                answer => break answer,
            }
        }
    }};
}

fn is_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem)
        if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce"))
}

/// A certificate.
pub(super) struct Issued {
    pub(super) pair: Pair,
    /// Its key and its chain.
    pub(super) pem: Zeroizing<String>,
}

/// The account: the stored one, or a new one, which is stored.
pub(super) async fn account(
    effects: &dyn Effects,
    client: &Client,
    settings: &AcmeSettings,
    storage: &Storage,
) -> Result<Account, Failure> {
    match stored_account(client, settings, storage).await {
        Ok(Some(account)) => return Ok(account),
        Ok(None) => {}
        Err(Stored::Unusable(why)) => {
            storage.set_account_aside();
            effects.warn("acme", &format!("the stored account cannot be used, and another is made: {why}"));
        }
        Err(Stored::Failed(failure)) => return Err(client.with_retry_after(failure)),
    }
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    // Nobody comes here whose document does not agree to the terms.
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let builder = || Account::builder_with_http(Box::new(client.clone()));
    let made = with_nonce!(builder().create(&wanted, settings.directory.clone(), None).await);
    let (account, credentials) = made.map_err(|error| client.with_retry_after(error.into()))?;
    let text = serde_json::to_string(&credentials).map_err(|error| Failure::new(error.to_string()))?;
    let kept = storage.keep_account(&Zeroizing::new(text));
    kept.map_err(|error| Failure::new(format!("the account cannot be stored: {error}")))?;
    Ok(account)
}

/// Why a stored account is of no use now.
pub(super) enum Stored {
    /// It never will be.
    Unusable(String),
    /// The server does not answer.
    Failed(Failure),
}

/// The stored account, if there is one.
pub(super) async fn stored_account(
    client: &Client,
    settings: &AcmeSettings,
    storage: &Storage,
) -> Result<Option<Account>, Stored> {
    let Some(text) = storage.account().map_err(Stored::Unusable)? else { return Ok(None) };
    let unusable = |error: serde_json::Error| Stored::Unusable(error.to_string());
    // A key is shown to the server that it was made for, and to no other.
    let value: serde_json::Value = serde_json::from_str(&text).map_err(unusable)?;
    if value.get("directory").and_then(serde_json::Value::as_str) != Some(settings.directory.as_str()) {
        return Err(Stored::Unusable("it is for another server".to_owned()));
    }
    let credentials: AccountCredentials = serde_json::from_str(&text).map_err(unusable)?;
    let builder = Account::builder_with_http(Box::new(client.clone()));
    match builder.from_credentials(credentials).await {
        Ok(account) => Ok(Some(account)),
        Err(Error::KeyRejected) => Err(Stored::Unusable("its key is none".to_owned())),
        Err(error) => Err(Stored::Failed(error.into())),
    }
}

/// Where proofs are offered for one order: here, and by every gateway with the same folder.
pub(super) struct Offer<'a> {
    pub(super) effects: &'a dyn Effects,
    pub(super) challenges: &'a Challenges,
    pub(super) storage: &'a Storage,
}

impl Offer<'_> {
    async fn make(&self, proofs: &[Proven], proof: Proof) -> Result<(), Failure> {
        self.challenges.set(proofs, proof).map_err(|problem| Failure::new(problem.to_string()))?;
        let kept = self.storage.keep_proofs(proofs);
        kept.map_err(|error| Failure::new(format!("the proofs cannot be stored: {error}")))?;
        self.effects.sleep(super::LOOK + super::LOOK).await;
        Ok(())
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        self.challenges.clear();
        self.storage.forget_proofs();
    }
}

/// Orders a certificate for all hosts, with a new key.
pub(super) async fn certificate(
    account: &Account,
    settings: &AcmeSettings,
    offer: &Offer<'_>,
    replaces: Option<CertificateIdentifier<'static>>,
) -> Result<Issued, Failure> {
    let identifiers: Vec<Identifier> = settings.domains.iter().cloned().map(Identifier::Dns).collect();
    let mut wanted = NewOrder::new(&identifiers);
    if let Some(replaces) = replaces {
        wanted = wanted.replaces(replaces);
    }
    let mut order = with_nonce!(account.new_order(&wanted).await)?;
    with_nonce!(look(&mut order).await)?;
    let kind = match settings.proof {
        Proof::TlsAlpn => ChallengeType::TlsAlpn01,
        Proof::Http => ChallengeType::Http01,
    };
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated => {
                return Err(Failure::new(format!("an authorization is {:?}", authorization.status)));
            }
        }
        let Identifier::Dns(domain) = authorization.identifier().identifier.clone() else {
            return Err(Failure::new("the server asks for something else than a host"));
        };
        // SECURITY: nothing is proven that was not asked for (a_host_that_was_not_ordered_is_not_proven).
        if !settings.domains.contains(&domain) {
            return Err(Failure::new("the server asks for a host that was not ordered"));
        }
        let Some(challenge) = authorization.challenge(kind.clone()) else {
            return Err(Failure::new("the server does not offer this challenge"));
        };
        if !is_token(&challenge.token) {
            return Err(Failure::new("the server's token is none"));
        }
        let authorization = challenge.key_authorization().as_str().to_owned();
        proofs.push(Proven { domain, authorization });
    }
    offer.make(&proofs, settings.proof).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending
            && let Some(mut challenge) = authorization.challenge(kind.clone())
        {
            with_nonce!(challenge.set_ready().await)?;
        }
    }
    let ready = with_nonce!(order.poll_ready(&POLLING).await);
    if !matches!(ready, Ok(OrderStatus::Ready)) {
        let reason = reason(&mut order).await;
        return Err(match (reason, ready) {
            (Some(reason), _) => Failure::new(reason),
            (None, Err(error)) => error.into(),
            (None, Ok(status)) => Failure::new(format!("the order is {status:?}")),
        });
    }
    finish(&mut order, settings).await
}

/// Fetches what the server wants to see of each host, which is then there without asking again.
async fn look(order: &mut Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let _ = authorization?;
    }
    Ok(())
}

/// A token as RFC 8555, section 8.1, has it.
fn is_token(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Why the server is not content, in its own words.
async fn reason(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let domain = authorization.identifier().to_string();
        let _refreshed = with_nonce!(authorization.refresh().await.map(drop));
        let state = &*authorization;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(format!("{domain}: {problem}"));
        }
    }
    None
}

async fn finish(order: &mut Order, settings: &AcmeSettings) -> Result<Issued, Failure> {
    let failed = |error: rcgen::Error| Failure::new(error.to_string());
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = CertificateParams::new(settings.domains.clone()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(failed)?;
    with_nonce!(order.finalize_csr(request.der()).await)?;
    let chain = with_nonce!(order.poll_certificate(&POLLING).await)?;
    let parsed = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let parsed =
        parsed.map_err(|error| Failure::new(format!("the server's certificate is none: {error}")))?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let pair = Pair::new(parsed, &private).map_err(|problem| Failure::new(problem.to_string()))?;
    if !settings.is_covered_by(&pair) {
        return Err(Failure::new("the server's certificate is not for every host that was asked for"));
    }
    let pem = Zeroizing::new(format!("{}{chain}", *Zeroizing::new(key.serialize_pem())));
    Ok(Issued { pair, pem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_its_letters() {
        assert!(is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"));
        for bad in ["", "a/b", "../a", "a b", "a\r\n", "a?b", "ä", &"a".repeat(513)] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
