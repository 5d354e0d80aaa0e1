//! Public keys in other forms than JSON Web Keys: PEM, certificates, and maps of certificates as Firebase publishes them.
//!
//! A certificate is only the wrapping of a key: who signed it and until when it is valid says nothing about tokens. An
//! issuer that stops publishing it withdraws the key.

use super::algorithm::Algorithm;
use aws_lc_rs::rsa::PublicEncryptingKey;
use base64ct::{Base64, Encoding};
use portcullis_core::Claim;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// What an RSA key can be used with.
pub(super) const RSA: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// Object identifiers of curves (RFC 5480, section 2.1.1.1).
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
/// Of keys of RSA (RFC 8017, appendix A.1), of elliptic curves (RFC 5480, section 2.1.1), and Ed25519 (RFC 8410, section 3).
const OF_RSA: &str = "1.2.840.113549.1.1.1";
const OF_EC: &str = "1.2.840.10045.2.1";
const OF_ED25519: &str = "1.3.101.112";

/// The public keys of a text in PEM, in DER: those that stand alone, and those in certificates.
///
/// # Errors
/// There is none, or a private key stands there.
pub(super) fn of_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    // SECURITY: whoever put a private key there gave it to the gateway by mistake (a_private_key_is_no_public_one).
    let marks = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
    if marks(b"PRIVATE KEY-----") {
        return Err("a private key stands there; only public keys are needed".to_owned());
    }
    let bare = SubjectPublicKeyInfoDer::pem_slice_iter(text).filter_map(Result::ok);
    let mut keys: Vec<Vec<u8>> = bare.map(|key| key.as_ref().to_vec()).collect();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|_| "a certificate cannot be read".to_owned())?;
        keys.push(certificate.as_ref().to_vec());
    }
    if keys.is_empty() { Err("no public key in PEM stands there".to_owned()) } else { Ok(keys) }
}

/// The names and texts of a map of certificates; `None` for anything else.
pub(super) fn certificates(document: &Claim) -> Option<Vec<(&str, &str)>> {
    let Claim::Object(members) = document else { return None };
    let certificate =
        |value: &Claim| Some(value.as_text()?.trim_start().starts_with("-----BEGIN CERTIFICATE-----"));
    if members.is_empty() || !members.iter().all(|(_, value)| certificate(value) == Some(true)) {
        return None;
    }
    members.iter().map(|(name, value)| Some((name.as_str(), value.as_text()?))).collect()
}

/// The certificate in a text in PEM, in DER.
pub(super) fn of_certificate_text(text: &str) -> Result<Vec<u8>, &'static str> {
    let certificate = CertificateDer::from_pem_slice(text.as_bytes());
    certificate.map(|der| der.as_ref().to_vec()).map_err(|_| "its certificate cannot be read")
}

/// The certificate in base64 (RFC 7517, section 4.7), in DER.
pub(super) fn of_base64(text: &str) -> Result<Vec<u8>, &'static str> {
    let bare: String = text.chars().filter(|mark| !mark.is_ascii_whitespace()).collect();
    Base64::decode_vec(&bare).map_err(|_| "its certificate is not base64")
}

/// The key in a certificate, or that stands alone, as the verification wants it, and what it can be used with.
pub(super) fn public_key(der: &[u8]) -> Result<(Vec<u8>, &'static [Algorithm]), &'static str> {
    let unreadable = |_| "its key cannot be read";
    match x509_parser::parse_x509_certificate(der) {
        Ok((_, certificate)) => of_info(certificate.public_key()),
        Err(_) => of_info(&SubjectPublicKeyInfo::from_der(der).map_err(unreadable)?.1),
    }
}

fn of_info(info: &SubjectPublicKeyInfo<'_>) -> Result<(Vec<u8>, &'static [Algorithm]), &'static str> {
    let curve = || info.algorithm.parameters.as_ref()?.as_oid().ok().map(|curve| curve.to_id_string());
    match info.algorithm.algorithm.to_id_string().as_str() {
        OF_RSA => {
            let key = PublicEncryptingKey::from_der(info.raw)
                .map_err(|_| "it is not an RSA key of at least 2048 bits")?;
            if key.key_size_bits() < 2048 {
                return Err("it is an RSA key of less than 2048 bits");
            }
            Ok((info.raw.to_vec(), RSA))
        }
        OF_EC => {
            let algorithms: &[Algorithm] = match curve().as_deref() {
                Some(P256) => &[Algorithm::Es256],
                Some(P384) => &[Algorithm::Es384],
                Some(P521) => &[Algorithm::Es512],
                Some(_) | None => return Err("it is on a curve that is not known here"),
            };
            match info.parsed() {
                // The point, as in a JSON Web Key.
                Ok(PublicKey::EC(point)) => Ok((point.data().to_vec(), algorithms)),
                Ok(_) | Err(_) => Err("its key cannot be read"),
            }
        }
        OF_ED25519 if info.subject_public_key.data.len() == 32 => {
            Ok((info.subject_public_key.data.to_vec(), &[Algorithm::EdDsa]))
        }
        _ => Err("it is of a kind that is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::{KeySet, asymmetric};
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::PublicKeyComponents;

    const EC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEt1jq4I6EqUdXFGeEuQhprtujIv27\n\
        3rJTOVfVaTHcdy3Uu1L/xPQerY9jEKkWetnIX4wFNZKbhOnNYOiaG602WA==\n\
        -----END PUBLIC KEY-----\n";
    const ED: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA95q1YzbDrRK6F/AI68IavFoB3Iv/HwCqwxSqxXyrUN8=\n\
        -----END PUBLIC KEY-----\n";
    const WEAK_RSA: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqrUggu4u5oYixHIKAzCGMMXP5\n\
        wF9WOx9ChNyb44caSHTYc94cwB6oTW8NWHWeGHYHC3NpvozRYJaQ8/fB9Ik8PFlX\n\
        Zn+bMhW3Z10ld6j+aI/OQY1WH0NIdLgU3NilgrseYjK5EM227NBLBmcqTEH7DakS\n\
        kDOSd71dc9CVootjXwIDAQAB\n\
        -----END PUBLIC KEY-----\n";
    /// A certificate with the key [`EC`]. Its dates count for nothing.
    const EC_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBbjCCAROgAwIBAgIUQFZI1UxjUuSAEuD76Pb+71JE1RkwCgYIKoZIzj0EAwIw\n\
        DDEKMAgGA1UEAwwBazAeFw0yNjExMjcyMTE3MTFaFw0yNjExMjgyMTE3MTFaMAwx\n\
        CjAIBgNVBAMMAWswWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS3WOrgjoSpR1cU\n\
        Z4S5CGmu26Mi/bveslM5V9VpMdx3LdS7Uv/E9B6tj2MQqRZ62chfjAU1kpuE6c1g\n\
        6JobrTZYo1MwUTAdBgNVHQ4EFgQUddBbE4ZTsS6c6YvoNGUlnyEIZEswHwYDVR0j\n\
        BBgwFoAUddBbE4ZTsS6c6YvoNGUlnyEIZEswDwYDVR0TAQH/BAUwAwEB/zAKBggq\n\
        hkjOPQQDAgNJADBGAiEApILmlW5WZU9Ma810Q9nVFT/PDTh5S4BYdUG3Ufg17jwC\n\
        IQD1uqVfDPTHLsRMYGzXU1WxGeh4gaqKc6J9Sps1WNEAFg==\n\
        -----END CERTIFICATE-----\n";
    const RSA_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIC+TCCAeGgAwIBAgIUNIUEPviSBH6pLoKAO2JHrYn81vowDQYJKoZIhvcNAQEL\n\
        BQAwDDEKMAgGA1UEAwwBazAeFw0yNjExMjcyMTE3MTVaFw0yNjExMjgyMTE3MTVa\n\
        MAwxCjAIBgNVBAMMAWswggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQC6\n\
        CMxxSQPFktj3ju5A9EmTyhvZy5QkCnH9ElsOeqgWE6dxQtFW/TV+KA81TE5drwgH\n\
        8l+A+7siBZ6EB7ekYXxqb/6CJrl8dSpiF4ZkbXE2jkWDmREB2P/3o/TgakzB63OU\n\
        hemaAUhBKMq1u+V1p7WC5+AvGLmViDbpkhhTKcN3YWFeY+vTX5ReBzmnLh/tG9Wv\n\
        S53ZYJcunaaIQkhwQvjrCM+2lJ/GNGOlgjG53JcWLMqX/NMPFwdalJc3DutrQqVc\n\
        BuYl3q59Hty+POG6Vfm1VZSUsRqXyS6HXUae1MXpIPZLq6DkePvA2+9X7dAwOeDs\n\
        AqJbLbbUAlQNufm/aeJNAgMBAAGjUzBRMB0GA1UdDgQWBBTNGU683nnO6B2GNyp7\n\
        Ym5fRKvovzAfBgNVHSMEGDAWgBTNGU683nnO6B2GNyp7Ym5fRKvovzAPBgNVHRMB\n\
        Af8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQBSjCYdm6RUwZsp+pYtwWQgcV1I\n\
        o+NUlsT3pT6qI7zY9nkxMLWYCUGnARW5wAmafbyBBsjniYKAsgkk9Y6emKavjSji\n\
        ZduL1/XftAj3RcU0k5wgx9kDGbzrsDjj5Eo9b+1NC4NQ+Bn/VWfSAjf2OmDQAHcR\n\
        stdwMN2PmyYZdnqCqTjs2csV4IirIdjwA5TH0Xw3D5h1lysQQEMr25K+sNCHxzGW\n\
        c+iu7tu3UsUhco3r1Pp2oMhJMf1qQBnUKDSxOVr80XpNAqBQgug1bTYypcimwK4y\n\
        nv/zUi0e0xGVc/iZBJdKqq7AtwOkOLqEGTz1XdyV0sdMBdnB39aq2zpF6JNh\n\
        -----END CERTIFICATE-----\n";

    fn set(text: &str) -> Result<KeySet, String> {
        KeySet::parse(text.as_bytes(), &asymmetric())
    }

    /// How many keys are in a set, and how many were left out.
    fn counts(text: &str) -> (usize, usize) {
        let set = set(text).unwrap();
        (set.len(), set.skipped.len())
    }

    fn base64(certificate: &str) -> String {
        certificate.lines().filter(|line| !line.starts_with("-----")).collect()
    }

    #[test]
    fn keys_are_read_in_each_form_in_which_issuers_publish_them() {
        let escaped = |text: &str| text.replace('\n', "\\n");
        assert_eq!(counts(EC), (1, 0));
        assert_eq!(
            counts(&format!("\n{EC}{ED}{EC_CERTIFICATE}{RSA_CERTIFICATE}")),
            (3, 0),
            "one key stands there twice"
        );
        // As Firebase has it.
        let map = format!(r#"{{"a":"{}","b":"{}"}}"#, escaped(EC_CERTIFICATE), escaped(RSA_CERTIFICATE));
        assert_eq!(counts(&map), (2, 0));
        // As Microsoft has it, and one that has nothing else.
        let bare = format!(r#"{{"kty":"RSA","kid":"a","x5c":["{}"]}}"#, base64(RSA_CERTIFICATE));
        assert_eq!(counts(&bare), (1, 0));
        assert_eq!(counts(&format!(r#"{{"keys":[{bare}]}}"#)), (1, 0));
        let point = public_key(&CertificateDer::from_pem_slice(EC_CERTIFICATE.as_bytes()).unwrap()).unwrap();
        let key = SubjectPublicKeyInfoDer::from_pem_slice(EC.as_bytes()).unwrap();
        assert_eq!(point, public_key(key.as_ref()).unwrap());
        assert_eq!((point.0.len(), point.1), (65, &[Algorithm::Es256][..]));
    }

    #[test]
    fn a_private_key_is_no_public_one() {
        for private in ["PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let text = format!("{EC}-----BEGIN {private}-----\nAAAA\n-----END {private}-----\n");
            assert!(set(&text).is_err(), "{private}");
        }
        assert_eq!(counts(WEAK_RSA), (0, 1));
        assert_eq!(counts(&format!(r#"{{"kty":"RSA","x5c":["{}"]}}"#, "AAAA")), (0, 1));
        assert_eq!(counts(r#"{"kty":"RSA","x5c":[]}"#), (0, 1));
        for bad in [
            "-----BEGIN PUBLIC KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
            r#"{"a":"-----BEGIN CERTIFICATE-----","b":1}"#,
            r#"{"a":"b"}"#,
        ] {
            assert!(set(bad).is_err(), "{bad}");
        }
        assert_eq!(counts(r#"{"a":"-----BEGIN CERTIFICATE-----"}"#), (0, 1));
    }

    #[test]
    fn a_key_that_is_left_out_is_told_by_its_name_or_its_place() {
        let skipped = |text: &str| set(text).unwrap().skipped;
        assert_eq!(
            skipped(r#"{"firebase":"-----BEGIN CERTIFICATE-----"}"#),
            ["key `firebase`: its certificate cannot be read"]
        );
        let weak = "it is not an RSA key of at least 2048 bits";
        assert_eq!(skipped(&format!("{EC}{WEAK_RSA}")), [format!("key 1: {weak}")]);
    }

    #[test]
    fn a_key_of_ed25519_has_thirty_two_octets() {
        let info = |octets: u8| {
            let head = [0x30, octets + 10, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, octets + 1, 0];
            [&head[..], &vec![1; usize::from(octets)]].concat()
        };
        assert_eq!(public_key(&info(32)), Ok((vec![1; 32], &[Algorithm::EdDsa][..])));
        for octets in [0, 31, 33] {
            assert_eq!(public_key(&info(octets)), Err("it is of a kind that is not known here"), "{octets}");
        }
    }

    #[test]
    fn a_long_key_of_rsa_is_as_good_as_a_short_one() {
        for bytes in [256, 384, 512] {
            // Any odd number will do: nothing is signed with it here.
            let (n, e) = (vec![0xd5; bytes], vec![1, 0, 1]);
            let jwk = format!(
                r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#,
                crate::rehearsal::base64url(&n),
                crate::rehearsal::base64url(&e)
            );
            assert_eq!(counts(&jwk), (1, 0), "{bytes}");
            let key: PublicEncryptingKey = PublicKeyComponents { n, e }.try_into().unwrap();
            let der: PublicKeyX509Der<'_> = key.as_der().unwrap();
            let pem = Base64::encode_string(der.as_ref());
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
            assert_eq!(counts(&pem), (1, 0), "{bytes}");
        }
    }
}
