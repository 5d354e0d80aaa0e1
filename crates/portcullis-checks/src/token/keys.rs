//! The keys of an issuer: JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037).
//!
//! Each key knows what it is for, and a token can only agree. What cannot be used safely is left out of a set, and said.
//! Where a name fits several keys, or a token has no name, each key that fits is tried, up to [`MAX_CANDIDATES`].

use super::algorithm::{Algorithm, Family};
use super::{json, jws, published};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::ParsedPublicKey;
use portcullis_core::{Claim, Code, Denial};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The most keys that are taken from a set.
const MAX_KEYS: usize = 100;
/// The most keys that are tried for one token.
// SECURITY: what a token without a name costs is bounded (a_token_without_a_name_costs_eight_signatures_at_most).
const MAX_CANDIDATES: usize = 8;
/// The longest name of a key that is written to a log.
const MAX_TOLD_KID: usize = 64;

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

/// Why no key of a set verifies a signature.
pub struct NotVerified {
    /// The refusal. `TokenKeyUnknown`: no key could be meant, or too many. `TokenAlgorithm`: the key is for another
    /// algorithm. `TokenSignature`: it is not the key's.
    pub denial: Denial,
    /// Whether a newer key set could have the key: no key of this one has the name that the token says.
    pub may_be_newer: bool,
}

/// The keys of an issuer.
pub struct KeySet {
    keys: Vec<VerificationKey>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

impl KeySet {
    /// Reads keys for these algorithms: a JSON Web Key Set, a single JSON Web Key, a map from names to certificates in PEM, or
    /// public keys and certificates in PEM.
    ///
    /// # Errors
    /// It is none of these. A key that cannot be used is no error; it is left out.
    pub fn parse(bytes: &[u8], allowed: &[Algorithm]) -> Result<KeySet, String> {
        if bytes.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return KeySet::of(published::of_pem(bytes)?.iter(), |der| {
                VerificationKey::of_spki(None, der, allowed)
            });
        }
        let document =
            json::object(bytes).map_err(|detail| format!("the key set cannot be read: {detail}"))?;
        if let Some(Claim::List(entries)) = document.member("keys") {
            return KeySet::of(entries.iter(), |entry| VerificationKey::read(entry, allowed));
        }
        if document.given("kty").is_some() {
            return KeySet::of([document].iter(), |entry| VerificationKey::read(entry, allowed));
        }
        match published::certificates(&document) {
            Some(named) => KeySet::of(named.iter(), |(kid, text)| {
                let der = published::of_certificate_text(text)?;
                VerificationKey::of_spki(Some((*kid).to_owned()), &der, allowed)
            }),
            None => Err("the key set has no list `keys`".to_owned()),
        }
    }

    /// The set of these entries, each read by `read`.
    fn of<'e, E: Told + 'e>(
        entries: impl Iterator<Item = &'e E>,
        read: impl Fn(&E) -> Result<(VerificationKey, Vec<u8>), &'static str>,
    ) -> Result<KeySet, String> {
        let mut set = KeySet { keys: Vec::new(), skipped: Vec::new() };
        let mut seen: HashMap<(Option<String>, Vec<u8>), usize> = HashMap::new();
        for (index, entry) in entries.enumerate() {
            if index >= MAX_KEYS {
                set.skipped.push(format!("keys beyond the first {MAX_KEYS}"));
                break;
            }
            match read(entry) {
                Ok((key, bytes)) => match seen.entry((key.kid.clone(), bytes)) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(set.keys.len());
                        set.keys.push(key);
                    }
                    // The same key, for other algorithms or once more.
                    Entry::Occupied(there) => {
                        if let Some(there) = set.keys.get_mut(*there.get()) {
                            there.add_uses(key.uses);
                        }
                    }
                },
                Err(why) => set.skipped.push(format!("{}: {why}", told(entry.kid(), index))),
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

    /// Takes the keys of another set of the same issuer.
    pub fn add(&mut self, other: KeySet) {
        self.keys.extend(other.keys);
        self.skipped.extend(other.skipped);
    }

    /// How many keys are in it.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key in it.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies a signature by the keys that the token may mean: those of its name, else those without a name; all where
    /// the token has none.
    ///
    /// # Errors
    /// None of them verifies it.
    pub fn verify(&self, token: &jws::Jws<'_>) -> Result<(), NotVerified> {
        let kid = token.kid.as_ref();
        let named = kid.is_some() && self.keys.iter().any(|key| key.kid.as_ref() == kid);
        let refused = |code, detail| NotVerified { denial: Denial::new(code, detail), may_be_newer: !named };
        let mut candidates = self
            .keys
            .iter()
            .filter(|key| match (kid, named) {
                (Some(_), true) => key.kid.as_ref() == kid,
                (Some(_), false) => key.kid.is_none(),
                (None, _) => true,
            })
            .peekable();
        if candidates.peek().is_none() {
            return Err(refused(Code::TokenKeyUnknown, "the issuer has no key of this name"));
        }
        // SECURITY: the key says the algorithm; the token can only agree, so a public key is never taken for a shared
        // secret (tests/tokens/attacks.rs).
        let mut usable = candidates.filter_map(|key| key.for_algorithm(token.algorithm)).peekable();
        if usable.peek().is_none() {
            return Err(refused(Code::TokenAlgorithm, "the key is for another algorithm"));
        }
        let message = token.signed.as_bytes();
        if usable.by_ref().take(MAX_CANDIDATES).any(|material| material.verifies(message, &token.signature)) {
            return Ok(());
        }
        Err(match usable.next() {
            Some(_) => refused(Code::TokenKeyUnknown, "more keys could be meant than are tried"),
            None => refused(Code::TokenSignature, "the signature is not the key's"),
        })
    }
}

/// An entry of a set, which may have a name.
trait Told {
    fn kid(&self) -> Option<&str>;
}

impl Told for Claim {
    fn kid(&self) -> Option<&str> {
        self.member("kid").and_then(Claim::as_text)
    }
}

impl Told for (&str, &str) {
    fn kid(&self) -> Option<&str> {
        Some(self.0)
    }
}

impl Told for Vec<u8> {
    fn kid(&self) -> Option<&str> {
        None
    }
}

/// What a key is called in a log: its name if that is a plain word, else its place.
fn told(kid: Option<&str>, index: usize) -> String {
    let plain = |kid: &&str| kid.len() <= MAX_TOLD_KID && kid.bytes().all(|byte| byte.is_ascii_graphic());
    match kid.filter(plain) {
        Some(kid) => format!("key `{kid}`"),
        None => format!("key {index}"),
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
        VerificationKey::read(jwk, allowed).map(|(key, _)| key)
    }

    /// The key, and the bytes that tell it from others.
    fn read(jwk: &Claim, allowed: &[Algorithm]) -> Result<(VerificationKey, Vec<u8>), &'static str> {
        let text = |name: &str| jwk.member(name).and_then(Claim::as_text);
        if jwk.given("use").is_some() && text("use") != Some("sig") {
            return Err("it is not for signatures");
        }
        if let Some(operations) = jwk.given("key_ops") {
            let verifies = operations.as_texts().is_some_and(|operations| operations.contains(&"verify"));
            if !verifies {
                return Err("it is not for verifying");
            }
        }
        let kid = match jwk.given("kid") {
            None => None,
            Some(kid) => Some(kid.as_text().ok_or("its kid is no string")?.to_owned()),
        };
        let only = match jwk.given("alg") {
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
        Ok((VerificationKey { kid, uses }, bytes))
    }

    /// A public key in DER (RFC 5280, section 4.1.2.7), as certificates hold it.
    fn of_spki(
        kid: Option<String>,
        der: &[u8],
        allowed: &[Algorithm],
    ) -> Result<(VerificationKey, Vec<u8>), &'static str> {
        let (bytes, possible) = published::public_key(der)?;
        let uses: Vec<_> = possible
            .iter()
            .filter(|algorithm| allowed.contains(algorithm))
            .filter_map(|algorithm| {
                let key = ParsedPublicKey::new(algorithm.verification()?, &bytes).ok()?;
                Some((*algorithm, Material::Public(key)))
            })
            .collect();
        if uses.is_empty() {
            return Err("it cannot be used with an algorithm that is allowed");
        }
        Ok((VerificationKey { kid, uses }, bytes))
    }

    fn add_uses(&mut self, uses: Vec<(Algorithm, Material)>) {
        for (algorithm, material) in uses {
            if self.for_algorithm(algorithm).is_none() {
                self.uses.push((algorithm, material));
            }
        }
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
    let parts = ["n", "e", "x", "y"];
    if let Some(Claim::List(chain)) = jwk.given("x5c")
        && parts.iter().all(|part| jwk.given(part).is_none())
    {
        // A key that stands in its certificate alone (RFC 7517, section 4.7); the first one is the key's.
        let first = chain.first().and_then(Claim::as_text).ok_or("its x5c is empty")?;
        return published::public_key(&published::of_base64(first)?);
    }
    let text = |name: &str| jwk.member(name).and_then(Claim::as_text);
    let bytes = |name: &str| {
        let text = text(name).ok_or("a part of it is missing")?;
        decode(text).ok_or("a part of it is not base64url")
    };
    match text("kty") {
        Some("RSA") => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let components =
                PublicKeyComponents { n: without_zeros(&n).to_vec(), e: without_zeros(&e).to_vec() };
            let key: PublicEncryptingKey =
                components.try_into().map_err(|_| "it is not an RSA key of at least 2048 bits")?;
            if key.key_size_bits() < 2048 {
                return Err("it is an RSA key of less than 2048 bits");
            }
            let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| "it is not an RSA key")?;
            Ok((der.as_ref().to_vec(), published::RSA))
        }
        Some("EC") => {
            let (size, algorithms): (usize, &[Algorithm]) = match text("crv") {
                Some("P-256") => (32, &[Algorithm::Es256]),
                Some("P-384") => (48, &[Algorithm::Es384]),
                Some("P-521") => (66, &[Algorithm::Es512]),
                Some(_) | None => return Err("it is on a curve that is not known here"),
            };
            let (x, y) = (bytes("x")?, bytes("y")?);
            let (x, y) = (coordinate(&x, size), coordinate(&y, size));
            let (Some(x), Some(y)) = (x, y) else {
                return Err("its coordinates have not the length of the curve");
            };
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

/// A part of a key. Some servers pad it, or use the other alphabet of base64; both mean the same octets.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    if text.len() - bare.len() > 2 {
        return None;
    }
    jws::decode(&bare.replace('+', "-").replace('/', "_")).ok()
}

/// A number without the zeros that some servers put before it (RFC 7518, section 2, forbids them).
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// A coordinate of `size` octets, also where a server left out its zeros or put more before it. At least half of them must
/// be there, so that a cut one is not taken for one.
fn coordinate(octets: &[u8], size: usize) -> Option<Vec<u8>> {
    let number = without_zeros(octets);
    let missing = size.checked_sub(number.len()).filter(|missing| *missing <= size / 2)?;
    Some([vec![0; missing].as_slice(), number].concat())
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
mod tests;
