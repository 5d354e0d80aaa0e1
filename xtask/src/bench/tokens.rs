//! The 2,000 signed tokens of the benchmark, and those that must be refused.
//!
//! The issuer's key is made for each run and forgotten with it.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

use crate::failure::{Context, Failure, Outcome};

const COUNT: usize = 2_000;
const LIFETIME_SECONDS: u64 = 24 * 3600;

/// A token with another audience.
pub(crate) const FOR_SOMEBODY_ELSE: &str = "a token for somebody else";

#[derive(Debug)]
pub(crate) struct Tokens {
    good: Vec<String>,
    /// Each of these is refused with 401: what it is, and the token.
    pub(crate) bad: Vec<(&'static str, String)>,
    /// The issuer's keys as a JSON Web Key Set.
    pub(crate) key_set: String,
    /// The issuer's key in PEM.
    pub(crate) pem: String,
}

impl Tokens {
    pub(crate) fn generate() -> Outcome<Self> {
        let (issuer, other) = (Issuer::new()?, Issuer::new()?);
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| Failure::new(error.to_string()))?;
        let now = now.as_secs();
        let claims = |subject: usize| {
            json!({
                "iss": "https://issuer.example", "aud": "bench", "sub": format!("c{subject}"), "roles": "reader",
                "iat": now, "exp": now + LIFETIME_SECONDS, "jti": format!("{subject:032x}"),
            })
        };
        let with = |name: &str, value: Value| {
            let mut claims = claims(1);
            if let Some(members) = claims.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
            claims
        };
        let good =
            (0..COUNT).map(|subject| issuer.token("RS256", &claims(subject))).collect::<Outcome<Vec<_>>>()?;
        let right = good.first().cloned().unwrap_or_default();
        let (signed, _) = right.rsplit_once('.').unwrap_or_default();
        let bad = vec![
            ("a token that somebody else signed", other.token("RS256", &claims(1))?),
            (
                "a signature of another token",
                format!(
                    "{signed}.{}",
                    good.last().and_then(|last| last.rsplit_once('.')).unwrap_or_default().1
                ),
            ),
            ("a token without its signature", format!("{signed}.")),
            ("an expired token", issuer.token("RS256", &with("exp", json!(now - 3600)))?),
            (
                "a token of another issuer",
                issuer.token("RS256", &with("iss", json!("https://other.example")))?,
            ),
            (FOR_SOMEBODY_ELSE, issuer.token("RS256", &with("aud", json!("other")))?),
            ("a token that says `none`", format!("{}.", unsigned("none", &claims(1)))),
        ];
        Ok(Self { good, bad, key_set: issuer.key_set()?, pem: issuer.pem()? })
    }

    /// A token that is right and whose role is reader.
    pub(crate) fn right(&self) -> &str {
        self.good.first().map_or("", String::as_str)
    }

    /// A right token of the subject whose limit is used up by the check of limits.
    pub(crate) fn limited(&self) -> &str {
        self.good.last().map_or("", String::as_str)
    }

    /// The value of the Authorization field with each token, one a line, for the load generator.
    pub(crate) fn list(&self) -> String {
        self.good.iter().map(|token| format!("Bearer {token}\n")).collect()
    }
}

struct Issuer(KeyPair);

impl Issuer {
    fn new() -> Outcome<Self> {
        KeyPair::generate(KeySize::Rsa2048).map(Self).map_err(|_| Failure::new("making an RSA key"))
    }

    fn token(&self, algorithm: &str, claims: &Value) -> Outcome<String> {
        let signed = unsigned(algorithm, claims);
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Failure::new("signing a token"))?;
        Ok(format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature)))
    }

    fn key_set(&self) -> Outcome<String> {
        // RFC 8017, appendix A.1.1, with 2,048 bits: what stands before and between the two numbers is always the same.
        let der = self.0.public_key().as_ref();
        let parts = der
            .strip_prefix(&[0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0])
            .and_then(|rest| rest.split_at_checked(256))
            .and_then(|(modulus, rest)| Some((modulus, rest.strip_prefix(&[2, 3])?)));
        let (modulus, exponent) = parts.context(|| "reading a public key".into())?;
        let (n, e) = (Base64UrlUnpadded::encode_string(modulus), Base64UrlUnpadded::encode_string(exponent));
        Ok(json!({ "keys": [{ "kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": n, "e": e }] })
            .to_string())
    }

    fn pem(&self) -> Outcome<String> {
        let der: PublicKeyX509Der<'_> =
            self.0.public_key().as_der().map_err(|_| Failure::new("writing a public key"))?;
        let text = Base64::encode_string(der.as_ref());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).filter_map(|at| text.get(at..(at + 64).min(text.len()))).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }
}

fn unsigned(algorithm: &str, claims: &Value) -> String {
    let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    format!("{}.{}", part(&json!({ "alg": algorithm, "typ": "JWT", "kid": "one" })), part(claims))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_each_bad_one_is_none_of_the_good() {
        let tokens = Tokens::generate().unwrap();
        let distinct: std::collections::HashSet<_> = tokens.good.iter().collect();
        assert_eq!(distinct.len(), COUNT);
        assert_ne!(tokens.right(), tokens.limited());
        for (what, token) in &tokens.bad {
            assert!(!tokens.good.contains(token) && token.split('.').count() == 3, "{what}");
        }
        assert!(tokens.pem.lines().all(|line| line.len() <= 64));
        let key_set: Value = serde_json::from_str(&tokens.key_set).unwrap();
        assert_eq!(
            (key_set["keys"][0]["n"].as_str().unwrap().len(), &key_set["keys"][0]["e"]),
            (342, &json!("AQAB"))
        );
    }
}
