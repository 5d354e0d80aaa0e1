//! Somebody who signs tokens in a rehearsal: the double of an issuer.

use crate::token::algorithm::{Algorithm, Family};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
};
use aws_lc_rs::{digest, hmac};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

pub(super) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// The double of an issuer. Keys that are dear to make are made when they are needed.
pub struct Signer {
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    p384: OnceLock<Option<EcdsaKeyPair>>,
    p521: OnceLock<Option<EcdsaKeyPair>>,
    rsa: OnceLock<Option<RsaKeyPair>>,
    secret: String,
}

/// What is signed with if several algorithms can be: the one that costs least comes first.
const BY_COST: [Algorithm; 13] = [
    Algorithm::EdDsa,
    Algorithm::Es256,
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

impl Signer {
    /// Somebody with new keys and this secret. `None` where the system makes no keys.
    pub(crate) fn new(secret: &str) -> Option<Signer> {
        Some(Signer {
            p256: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).ok()?,
            ed25519: Ed25519KeyPair::generate().ok()?,
            p384: OnceLock::new(),
            p521: OnceLock::new(),
            rsa: OnceLock::new(),
            secret: secret.to_owned(),
        })
    }

    /// The secret, where its tokens are signed with one.
    pub fn secret(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    /// The algorithm that it signs by, of these.
    pub fn algorithm_of(algorithms: &[Algorithm]) -> Option<Algorithm> {
        BY_COST.into_iter().find(|algorithm| algorithms.contains(algorithm))
    }

    fn ec(&self, algorithm: Algorithm) -> Option<&EcdsaKeyPair> {
        let later = |place: &'static EcdsaSigningAlgorithm, made: &OnceLock<Option<EcdsaKeyPair>>| {
            made.get_or_init(|| EcdsaKeyPair::generate(place).ok()).is_some()
        };
        match algorithm {
            Algorithm::Es384 => {
                later(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &self.p384);
                self.p384.get()?.as_ref()
            }
            Algorithm::Es512 => {
                later(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, &self.p521);
                self.p521.get()?.as_ref()
            }
            Algorithm::Es256
            | Algorithm::EdDsa
            | Algorithm::Hs256
            | Algorithm::Hs384
            | Algorithm::Hs512
            | Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Some(&self.p256),
        }
    }

    fn rsa(&self) -> Option<&RsaKeyPair> {
        self.rsa.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).ok()).as_ref()
    }

    /// The public key for an algorithm, as a JSON Web Key without a name.
    pub fn public_key(&self, algorithm: Algorithm) -> Option<Map<String, Value>> {
        let key = match algorithm.family() {
            Family::Hmac => return None,
            Family::Ed => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": base64url(self.ed25519.public_key().as_ref()) })
            }
            Family::Ec => {
                let point = self.ec(algorithm)?.public_key().as_ref();
                let (x, y) = point.get(1..)?.split_at_checked(point.len() / 2)?;
                let curve = if algorithm == Algorithm::Es384 {
                    "P-384"
                } else if algorithm == Algorithm::Es512 {
                    "P-521"
                } else {
                    "P-256"
                };
                json!({ "crv": curve, "kty": "EC", "x": base64url(x), "y": base64url(y) })
            }
            Family::Rsa => {
                let public = self.rsa()?.public_key();
                let number = public.modulus().big_endian_without_leading_zero().to_vec();
                let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
                json!({ "e": base64url(exponent), "kty": "RSA", "n": base64url(number) })
            }
        };
        if let Value::Object(members) = key { Some(members) } else { None }
    }

    /// The name of its key for an algorithm.
    pub fn key_name(algorithm: Algorithm) -> String {
        match algorithm.family() {
            Family::Rsa => "double-rsa".to_owned(),
            Family::Hmac | Family::Ec | Family::Ed => format!("double-{}", algorithm.as_str()),
        }
    }

    /// What it publishes: keys for the algorithm that it signs by, and for one more, which a route may not take.
    pub(super) fn key_set(&self, algorithms: &[Algorithm]) -> Option<String> {
        let mut keys = Vec::new();
        let chosen = Signer::algorithm_of(algorithms)?;
        for algorithm in [chosen, Algorithm::Es256, Algorithm::EdDsa] {
            let mut key = self.public_key(algorithm)?;
            key.insert("kid".into(), json!(Signer::key_name(algorithm)));
            key.insert("use".into(), json!("sig"));
            let key = Value::Object(key);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Some(json!({ "keys": keys }).to_string())
    }

    /// The thumbprint of its public key (RFC 7638).
    pub fn thumbprint(&self, algorithm: Algorithm) -> Option<String> {
        // In alphabetical order, as the standard asks.
        let members: BTreeMap<String, Value> = self.public_key(algorithm)?.into_iter().collect();
        let text = serde_json::to_string(&members).ok()?;
        Some(base64url(digest::digest(&digest::SHA256, text.as_bytes())))
    }

    /// A signed token (RFC 7515, section 7.1). `header` is added to, or stands in place of, what it would say.
    pub fn sign(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> Option<String> {
        let mut full =
            json!({ "alg": algorithm.as_str(), "kid": Signer::key_name(algorithm), "typ": "at+jwt" });
        if let (Some(full), Some(more)) = (full.as_object_mut(), header.as_object()) {
            full.extend(more.clone());
            full.retain(|_, value| !value.is_null());
        }
        let signed = format!("{}.{}", base64url(full.to_string()), base64url(claims.to_string()));
        let signature = self.signature(algorithm, signed.as_bytes())?;
        Some(format!("{signed}.{}", base64url(signature)))
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        Some(match algorithm.family() {
            Family::Hmac => {
                let key = hmac::Key::new(algorithm.hmac()?, self.secret());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Family::Ed => self.ed25519.sign(message).as_ref().to_vec(),
            Family::Ec => self.ec(algorithm)?.sign(&random, message).ok()?.as_ref().to_vec(),
            Family::Rsa => {
                let pair = self.rsa()?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding(algorithm)?, &random, message, &mut signature).ok()?;
                signature
            }
        })
    }

    /// A token that is signed with the public key as if that were a secret: what a verifier accepts that lets the token
    /// choose its algorithm.
    pub fn swapped(&self, algorithm: Algorithm, claims: &Value) -> Option<String> {
        let public = match algorithm.family() {
            Family::Rsa => {
                let der: PublicKeyX509Der<'_> = self.rsa()?.public_key().as_der().ok()?;
                der.as_ref().to_vec()
            }
            Family::Hmac => return None,
            Family::Ec | Family::Ed => Value::Object(self.public_key(algorithm)?).to_string().into_bytes(),
        };
        let header = json!({ "alg": "HS256", "kid": Signer::key_name(algorithm), "typ": "at+jwt" });
        let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), signed.as_bytes());
        Some(format!("{signed}.{}", base64url(code)))
    }

    /// A token without a signature.
    pub fn unsigned(claims: &Value) -> String {
        let header = json!({ "alg": "none", "typ": "at+jwt" });
        format!("{}.{}.", base64url(header.to_string()), base64url(claims.to_string()))
    }
}

fn encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => return None,
    })
}
