//! The keys of an issuer: JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037).
//!
//! Each key knows what it is for, and a token can only agree. What cannot be used safely is left out of a set, and said.

use super::algorithm::{Algorithm, Family};
use super::{json, jws};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::ParsedPublicKey;
use portcullis_core::{Claim, Code, Denial};

/// The most keys that are taken from a set.
const MAX_KEYS: usize = 100;

enum Material {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// A key that verifies signatures.
pub struct VerificationKey {
    kid: Option<String>,
    /// One entry for each algorithm that it may be used with.
    uses: Vec<(Algorithm, Material)>,
}

/// The keys of an issuer.
pub struct KeySet {
    keys: Vec<VerificationKey>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set, for these algorithms.
    ///
    /// # Errors
    /// It is not one. A key that cannot be used is no error; it is left out.
    pub fn parse(bytes: &[u8], allowed: &[Algorithm]) -> Result<KeySet, String> {
        let document =
            json::object(bytes).map_err(|detail| format!("the key set cannot be read: {detail}"))?;
        let Some(Claim::List(entries)) = document.member("keys") else {
            return Err("the key set has no list `keys`".to_owned());
        };
        let mut set = KeySet { keys: Vec::new(), skipped: Vec::new() };
        for (index, entry) in entries.iter().enumerate() {
            if index >= MAX_KEYS {
                set.skipped.push(format!("keys beyond the first {MAX_KEYS}"));
                break;
            }
            match VerificationKey::of_jwk(entry, allowed) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.skipped.push(format!("key {index}: {why}")),
            }
        }
        Ok(set)
    }

    /// The set of one shared secret.
    pub fn of_secret(secret: &[u8], allowed: &[Algorithm]) -> KeySet {
        let uses = allowed.iter().filter_map(|algorithm| {
            let key = hmac::Key::new(algorithm.hmac()?, secret);
            Some((*algorithm, Material::Secret(Box::new(key))))
        });
        KeySet { keys: vec![VerificationKey { kid: None, uses: uses.collect() }], skipped: Vec::new() }
    }

    /// Whether there is no key in it.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies a signature.
    ///
    /// # Errors
    /// `TokenKeyUnknown`: no key has this name, or there is none and several keys could be meant. `TokenAlgorithm`: the
    /// key is for another algorithm. `TokenSignature`: it is not the key's.
    pub fn verify(&self, token: &jws::Jws<'_>) -> Result<(), Denial> {
        let shared = self.keys.iter().all(|key| key.kid.is_none());
        let named: Vec<&VerificationKey> = match &token.kid {
            // A set whose keys have no names, such as a lone secret, is not asked by name.
            Some(_) if shared => self.keys.iter().collect(),
            Some(kid) => self.keys.iter().filter(|key| key.kid.as_ref() == Some(kid)).collect(),
            None => self.keys.iter().collect(),
        };
        if named.is_empty() {
            return Err(Denial::new(Code::TokenKeyUnknown, "the issuer has no key of this name"));
        }
        // SECURITY: the key says the algorithm; the token can only agree, so a public key is never taken for a shared
        // secret (tests/tokens/attacks.rs).
        let mut usable = named.iter().filter_map(|key| key.for_algorithm(token.algorithm));
        match (usable.next(), usable.next()) {
            (None, _) => Err(Denial::new(Code::TokenAlgorithm, "the key is for another algorithm")),
            (Some(_), Some(_)) => Err(Denial::new(Code::TokenKeyUnknown, "several keys could be meant")),
            (Some(material), None) if material.verifies(token.signed.as_bytes(), &token.signature) => Ok(()),
            (Some(_), None) => Err(Denial::new(Code::TokenSignature, "the signature is not the key's")),
        }
    }
}

impl Material {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

impl VerificationKey {
    /// The public key of a JSON Web Key, for these algorithms.
    ///
    /// # Errors
    /// It is a secret or private, for something else than verifying, too weak, or of a kind that is not known here.
    pub fn of_jwk(jwk: &Claim, allowed: &[Algorithm]) -> Result<VerificationKey, &'static str> {
        let text = |name: &str| jwk.member(name).and_then(Claim::as_text);
        if jwk.member("use").is_some() && text("use") != Some("sig") {
            return Err("it is not for signatures");
        }
        if let Some(operations) = jwk.member("key_ops") {
            let verifies = operations.as_texts().is_some_and(|operations| operations.contains(&"verify"));
            if !verifies {
                return Err("it is not for verifying");
            }
        }
        let kid = match jwk.member("kid") {
            None => None,
            Some(kid) => Some(kid.as_text().ok_or("its kid is no string")?.to_owned()),
        };
        let only = match jwk.member("alg") {
            None => None,
            Some(name) => Some(
                name.as_text()
                    .and_then(Algorithm::named)
                    .ok_or("it is for an algorithm that is not known here")?,
            ),
        };
        let (bytes, possible) = public_key(jwk)?;
        let uses: Vec<_> = possible
            .iter()
            .filter(|algorithm| allowed.contains(algorithm) && only.is_none_or(|only| only == **algorithm))
            .filter_map(|algorithm| {
                let key = ParsedPublicKey::new(algorithm.verification()?, &bytes).ok()?;
                Some((*algorithm, Material::Public(key)))
            })
            .collect();
        if uses.is_empty() {
            return Err("it cannot be used with an algorithm that is allowed");
        }
        Ok(VerificationKey { kid, uses })
    }

    fn for_algorithm(&self, algorithm: Algorithm) -> Option<&Material> {
        self.uses.iter().find(|(of, _)| *of == algorithm).map(|(_, material)| material)
    }

    /// Whether `signature` is this key's over `message`, by `algorithm`.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.for_algorithm(algorithm).is_some_and(|material| material.verifies(message, signature))
    }
}

/// The public key's bytes, as the verification wants them, and the algorithms that such a key can be used with.
fn public_key(jwk: &Claim) -> Result<(Vec<u8>, &'static [Algorithm]), &'static str> {
    const RSA: &[Algorithm] = &[
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ];
    let text = |name: &str| jwk.member(name).and_then(Claim::as_text);
    let bytes = |name: &str| {
        let text = text(name).ok_or("a part of it is missing")?;
        jws::decode(text).map_err(|_| "a part of it is not base64url")
    };
    match text("kty") {
        Some("RSA") => {
            let components = PublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
            let key: PublicEncryptingKey =
                components.try_into().map_err(|_| "it is not an RSA key of at least 2048 bits")?;
            if key.key_size_bits() < 2048 {
                return Err("it is an RSA key of less than 2048 bits");
            }
            let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| "it is not an RSA key")?;
            Ok((der.as_ref().to_vec(), RSA))
        }
        Some("EC") => {
            let (size, algorithms): (usize, &[Algorithm]) = match text("crv") {
                Some("P-256") => (32, &[Algorithm::Es256]),
                Some("P-384") => (48, &[Algorithm::Es384]),
                Some("P-521") => (66, &[Algorithm::Es512]),
                Some(_) | None => return Err("it is on a curve that is not known here"),
            };
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != size || y.len() != size {
                return Err("its coordinates have not the length of the curve");
            }
            // The uncompressed point (SEC 1, section 2.3.3).
            Ok(([&[4][..], &x, &y].concat(), algorithms))
        }
        Some("OKP") if text("crv") == Some("Ed25519") => {
            let x = bytes("x")?;
            if x.len() != 32 {
                return Err("its length is not the curve's");
            }
            Ok((x, &[Algorithm::EdDsa]))
        }
        // SECURITY: a secret in a published set is no secret (a_set_leaves_out_what_it_cannot_use).
        Some("oct") => Err("it is a shared secret, which a published set cannot hold"),
        Some(_) | None => Err("it is of a kind that is not known here"),
    }
}

/// The SHA-256 thumbprint of a public JSON Web Key (RFC 7638).
pub fn thumbprint(jwk: &Claim) -> Option<[u8; 32]> {
    let text = |name: &str| jwk.member(name).and_then(Claim::as_text);
    let names: &[&str] = match text("kty")? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let mut members = Vec::new();
    for name in names {
        let value = text(name)?;
        // Base64url and the names of curves need no escapes; anything else is no key.
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return None;
        }
        members.push(format!("\"{name}\":\"{value}\""));
    }
    let json = format!("{{{}}}", members.join(","));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, json.as_bytes());
    digest.as_ref().try_into().ok()
}

/// Whether a key is private or secret, and should not have been shown at all.
pub fn is_private(jwk: &Claim) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"].iter().any(|name| jwk.member(name).is_some())
}

/// Every algorithm with a public key.
pub fn asymmetric() -> Vec<Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| algorithm.family() != Family::Hmac).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64UrlUnpadded, Encoding};

    /// RFC 7638, section 3.1.
    const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

    fn jwk(text: &str) -> Claim {
        json::object(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        let thumbprint = thumbprint(&jwk(RSA)).unwrap();
        assert_eq!(
            Base64UrlUnpadded::encode_string(&thumbprint),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_key_is_for_what_it_says() {
        let uses = |text: &str| {
            VerificationKey::of_jwk(&jwk(text), &asymmetric())
                .map(|key| key.uses.iter().map(|(algorithm, _)| *algorithm).collect::<Vec<_>>())
        };
        assert_eq!(uses(RSA), Ok(vec![Algorithm::Rs256]));
        assert_eq!(uses(&RSA.replace(r#""alg":"RS256","#, "")).unwrap().len(), 6);
        for bad in [
            RSA.replace("RS256", "ES256"),
            RSA.replace("RS256", "HS256"),
            RSA.replace(r#""alg":"RS256""#, r#""use":"enc""#),
            RSA.replace(r#""alg":"RS256""#, r#""key_ops":["sign"]"#),
            RSA.replace("0vx7", "0vx7 "),
            RSA.replace("\"RSA\"", "\"oct\""),
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
            r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned(),
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(),
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
            "{}".to_owned(),
        ] {
            assert!(uses(&bad).is_err(), "{bad}");
        }
        // A point that is not on the curve.
        let (x, y) = ("A".repeat(43), "B".repeat(42) + "A");
        assert!(uses(&format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)).is_err());
    }

    #[test]
    fn a_set_leaves_out_what_it_cannot_use() {
        let set = KeySet::parse(
            format!(r#"{{"keys":[{RSA},{{"kty":"oct","k":"AA"}},7]}}"#).as_bytes(),
            &asymmetric(),
        );
        let set = set.unwrap();
        assert_eq!((set.keys.len(), set.skipped.len()), (1, 2));
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert!(KeySet::parse(bad.as_bytes(), &asymmetric()).is_err(), "{bad}");
        }
    }
}
