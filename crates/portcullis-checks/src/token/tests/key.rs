//! Keys of issuers and clients, and what they sign.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

/// A key of Ed25519 that follows from its seed, and the name under which it is published.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) seed: u8,
    pub(crate) kid: Option<&'static str>,
}

impl Key {
    pub(crate) fn named(seed: u8, kid: &'static str) -> Key {
        Key { seed, kid: Some(kid) }
    }

    fn pair(self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.seed; 32]).unwrap()
    }

    /// The public half.
    pub(crate) fn jwk(self) -> Value {
        let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(self.pair().public_key()) });
        if let Some(kid) = self.kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }

    /// A token with these parts beside the algorithm and the key's name.
    pub(crate) fn sign(self, header: &Value, claims: &Value) -> String {
        let mut full = json!({ "alg": "EdDSA" });
        if let Some(kid) = self.kid {
            full["kid"] = json!(kid);
        }
        full.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let signed = format!("{}.{}", base64url(full.to_string()), base64url(claims.to_string()));
        let signature = base64url(self.pair().sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A token that says nothing, for telling whether its key is known.
    pub(crate) fn token(self) -> String {
        self.sign(&json!({}), &json!({}))
    }
}

/// A set of keys as an issuer publishes it.
pub(crate) fn key_set(keys: &[Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}
