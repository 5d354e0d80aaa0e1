//! The signature algorithms, and what each needs of a key.

use aws_lc_rs::signature::{self, VerificationAlgorithm};

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037). There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256, -384 or -512.
    Hs256,
    #[allow(missing_docs)]
    Hs384,
    #[allow(missing_docs)]
    Hs512,
    /// RSASSA-PKCS1-v1_5.
    Rs256,
    #[allow(missing_docs)]
    Rs384,
    #[allow(missing_docs)]
    Rs512,
    /// RSASSA-PSS.
    Ps256,
    #[allow(missing_docs)]
    Ps384,
    #[allow(missing_docs)]
    Ps512,
    /// ECDSA on P-256, P-384 or P-521.
    Es256,
    #[allow(missing_docs)]
    Es384,
    #[allow(missing_docs)]
    Es512,
    /// Ed25519.
    EdDsa,
}

/// What kind of key an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A shared secret.
    Hmac,
    /// RSA of 2048 to 8192 bits.
    Rsa,
    /// The elliptic curve that the algorithm names.
    Ec,
    /// Ed25519.
    Ed,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 13] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
    ];

    /// The algorithm with this exact name. RFC 9864 calls EdDSA on this curve `Ed25519`.
    pub fn named(name: &str) -> Option<Algorithm> {
        match name {
            "Ed25519" => Some(Algorithm::EdDsa),
            _ => Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name),
        }
    }

    /// Its name (RFC 7518, section 3.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// What kind of key it needs.
    pub fn family(self) -> Family {
        match self {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Family::Hmac,
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Family::Rsa,
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => Family::Ec,
            Algorithm::EdDsa => Family::Ed,
        }
    }

    /// How its signatures are verified with a public key; `None` for a shared secret.
    pub fn verification(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return None,
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Algorithm::EdDsa => &signature::ED25519,
        })
    }

    /// How a shared secret makes its code; `None` for the others.
    pub fn hmac(self) -> Option<aws_lc_rs::hmac::Algorithm> {
        match self {
            Algorithm::Hs256 => Some(aws_lc_rs::hmac::HMAC_SHA256),
            Algorithm::Hs384 => Some(aws_lc_rs::hmac::HMAC_SHA384),
            Algorithm::Hs512 => Some(aws_lc_rs::hmac::HMAC_SHA512),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Es256
            | Algorithm::Es384
            | Algorithm::Es512
            | Algorithm::EdDsa => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Signer;
    use crate::token::jws::Jws;
    use crate::token::keys::KeySet;
    use serde_json::{Value, json};

    #[test]
    fn each_algorithm_has_its_name_and_no_other() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.as_str()), Some(algorithm));
            assert_eq!(Algorithm::named(&algorithm.as_str().to_lowercase()), None);
        }
        assert_eq!(Algorithm::named("Ed25519"), Some(Algorithm::EdDsa));
        for other in ["none", "", "Ed448", "ES256K", "HS256 "] {
            assert_eq!(Algorithm::named(other), None, "{other}");
        }
    }

    #[test]
    fn a_signature_of_each_algorithm_is_verified_by_its_own_key_alone() {
        let (one, two) = (signer("one"), signer("two"));
        for algorithm in Algorithm::ALL {
            let token = one.sign(algorithm, &json!({ "kid": null }), &json!({})).unwrap();
            let jws = Jws::parse(&token).unwrap();
            assert!(keys_of(&one, algorithm).verify(&jws).is_ok(), "{algorithm:?}");
            assert!(keys_of(&two, algorithm).verify(&jws).is_err(), "{algorithm:?}");
            let forged = two.sign(algorithm, &json!({ "kid": null }), &json!({})).unwrap();
            let (signed, signature) = (token.rsplit_once('.').unwrap().0, forged.rsplit_once('.').unwrap().1);
            let mixed = format!("{signed}.{signature}");
            assert!(keys_of(&one, algorithm).verify(&Jws::parse(&mixed).unwrap()).is_err(), "{algorithm:?}");
        }
    }

    fn signer(name: &str) -> Signer {
        Signer::new(&format!("a-secret-of-{name}-that-is-long-enough")).unwrap()
    }

    fn keys_of(signer: &Signer, algorithm: Algorithm) -> KeySet {
        match signer.public_key(algorithm) {
            None => KeySet::of_secret(signer.secret(), &[algorithm]),
            Some(key) => KeySet::parse(Value::Object(key).to_string().as_bytes(), &[algorithm]).unwrap(),
        }
    }
}
