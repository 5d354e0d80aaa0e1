//! Proofs that a client has the key to which its token is bound.

use super::world::START;
use crate::rehearsal::{Signer, base64url};
use crate::token::algorithm::Algorithm;
use crate::token::{cache, jws};
use serde_json::{Value, json};

/// What the requests of [`Asked::get`](super::request::Asked::get) are for.
pub(crate) const URL: &str = "https://api.example/orders";

/// A client with keys of its own.
pub(crate) fn signer() -> Signer {
    Signer::new("a-secret-of-thirty-two-characters").unwrap()
}

/// The thumbprint to which a token of this client is bound.
pub(crate) fn bound(signer: &Signer, algorithm: Algorithm) -> [u8; 32] {
    jws::decode(&signer.thumbprint(algorithm).unwrap()).unwrap().try_into().unwrap()
}

/// A proof for `GET` of [`URL`] with this token. `header` and `claims` go in place of what it would say; `null` leaves out.
pub(crate) fn proof_of(
    token: &str,
    signer: &Signer,
    algorithm: Algorithm,
    header: &Value,
    claims: &Value,
) -> String {
    let mut own = json!({ "kid": null, "typ": "dpop+jwt", "jwk": signer.public_key(algorithm) });
    own.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    let ath = base64url(cache::digest(token));
    let mut all = json!({ "htm": "GET", "htu": URL, "ath": ath, "iat": START, "jti": "number-1" });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    signer.sign(algorithm, &own, &all).unwrap()
}
