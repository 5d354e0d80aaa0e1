//! Tokens of any kind, also of those that no issuer would make.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding,
};
use aws_lc_rs::{digest, hmac};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// Three parts.
pub fn compact(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>, signature: impl AsRef<[u8]>) -> String {
    format!("{}.{}.{}", base64url(header), base64url(claims), base64url(signature))
}

/// SHA-256 in base64url, as `ath` and thumbprints are written.
pub fn sha256(text: &str) -> String {
    base64url(digest::digest(&digest::SHA256, text.as_bytes()))
}

enum Key {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Secret(Box<hmac::Key>),
}

/// Somebody who signs.
pub struct Signer {
    pub kid: String,
    pub algorithm: &'static str,
    key: Key,
}

impl Signer {
    pub fn rsa(kid: &str) -> Signer {
        let pair = Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        Signer { kid: kid.into(), algorithm: "RS256", key: Key::Rsa(pair, &signature::RSA_PKCS1_SHA256) }
    }

    /// The same RSA key with another padding or digest.
    pub fn with_encoding(self, algorithm: &'static str, encoding: &'static dyn RsaEncoding) -> Signer {
        match self.key {
            Key::Rsa(pair, _) => Signer { kid: self.kid, algorithm, key: Key::Rsa(pair, encoding) },
            Key::Ec(_) | Key::Ed(_) | Key::Secret(_) => panic!("not RSA"),
        }
    }

    pub fn ec(kid: &str) -> Signer {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Signer { kid: kid.into(), algorithm: "ES256", key: Key::Ec(pair) }
    }

    pub fn ed(kid: &str) -> Signer {
        Signer { kid: kid.into(), algorithm: "EdDSA", key: Key::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    pub fn secret(kid: &str, algorithm: &'static str, secret: &[u8]) -> Signer {
        let of = match algorithm {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        Signer { kid: kid.into(), algorithm, key: Key::Secret(Box::new(hmac::Key::new(of, secret))) }
    }

    /// The public key, or the secret one where there is no other.
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Rsa(pair, _) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus().big_endian_without_leading_zero(), public.exponent());
                json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e.big_endian_without_leading_zero()) })
            }
            Key::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
            }
            Key::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
            Key::Secret(_) => json!({ "kty": "oct", "k": base64url("secret") }),
        }
    }

    /// The public key as an issuer publishes it.
    pub fn published(&self) -> Value {
        let mut jwk = self.jwk();
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The thumbprint of the public key (RFC 7638).
    pub fn thumbprint(&self) -> String {
        // In alphabetical order, as the standard asks.
        let members: BTreeMap<String, Value> = serde_json::from_value(self.jwk()).unwrap();
        sha256(&serde_json::to_string(&members).unwrap())
    }

    /// The public key as DER (RFC 5280, SubjectPublicKeyInfo).
    pub fn der(&self) -> Vec<u8> {
        match &self.key {
            Key::Rsa(pair, _) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                der.as_ref().to_vec()
            }
            Key::Ec(_) | Key::Ed(_) | Key::Secret(_) => panic!("not RSA"),
        }
    }

    /// The public key as PEM.
    pub fn pem(&self) -> String {
        let base64 = Base64::encode_string(&self.der());
        let lines: Vec<&str> =
            base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Key::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Key::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Key::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
        }
    }

    /// The header of its tokens.
    pub fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "kid": self.kid, "typ": "JWT" })
    }

    /// A token of these very bytes.
    pub fn raw(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        format!("{signed}.{}", base64url(self.sign(signed.as_bytes())))
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.raw(self.header().to_string(), claims.to_string())
    }

    /// A token with a header that has these members besides, or in place of its own; null removes one.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.raw(with(&self.header(), header).to_string(), claims.to_string())
    }
}

/// An object with other members; null removes one.
pub fn with(object: &Value, other: &Value) -> Value {
    let mut object = object.clone();
    for (name, value) in other.as_object().unwrap() {
        let members = object.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    object
}

/// A proof of possession (RFC 9449) by `signer`, with other claims or header members than the right ones.
pub struct Proof<'a> {
    pub signer: &'a Signer,
    pub header: Value,
    pub claims: Value,
}

impl<'a> Proof<'a> {
    /// The right proof for this request and token.
    pub fn new(signer: &'a Signer, method: &str, url: &str, token: &str) -> Proof<'a> {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        Proof {
            signer,
            header: json!({ "typ": "dpop+jwt", "alg": signer.algorithm, "jwk": signer.jwk() }),
            claims: json!({
                "jti": base64url(id), "htm": method, "htu": url, "iat": now(), "ath": sha256(token),
            }),
        }
    }

    pub fn header(mut self, other: &Value) -> Proof<'a> {
        self.header = with(&self.header, other);
        self
    }

    pub fn claims(mut self, other: &Value) -> Proof<'a> {
        self.claims = with(&self.claims, other);
        self
    }

    pub fn sign(&self) -> String {
        self.signer.raw(self.header.to_string(), self.claims.to_string())
    }
}
