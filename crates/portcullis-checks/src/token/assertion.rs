//! The assertion with which a client shows that it has a private key (RFC 7523, section 2.2; OpenID Connect Core, section 9).
//!
//! A new one is made for each question, and is good for a minute. Its audience is the server's issuer where that is known, as
//! draft-ietf-oauth-rfc7523bis wants it, so no server can show it to another one; otherwise it is the endpoint that the operator
//! wrote. Where the library does not sign, there is no assertion, and the server rejects the client.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use base64ct::{Base64UrlUnpadded, Encoding};
use portcullis_config::{Spanned, keyword, object, reading};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an assertion is good, in seconds.
const LIFETIME: u64 = 60;
/// The largest file with a certificate.
const MAX_CERTIFICATE_FILE: u64 = 64 * 1024;
const UNUSABLE: &str = "this private key is not of P-256, P-384, Ed25519, or RSA with 2048 to 8192 bits";

keyword! {
    /// How an RSA key signs.
    pub enum RsaAlgorithmConfig {
        /// RSASSA-PKCS1-v1_5.
        Rs256 = "RS256",
        /// RSASSA-PSS.
        Ps256 = "PS256",
    }
}

object! {
    /// What the assertion of `client_authentication: private_key_jwt` contains. Its key is `client_secret`, in PEM (PKCS #8):
    /// ECDSA on P-256 or P-384, Ed25519, or RSA of at least 2048 bits.
    pub struct ClientAssertionConfig {
        /// The name (`kid`) of the key at the authorization server. Default: none is sent.
        pub key_id: Option<String>,
        /// The audience (`aud`). Entra ID and Okta need the URL of the token endpoint. Default: the server's issuer, or
        /// the endpoint if the issuer is not known.
        pub audience: Option<Spanned<String>>,
        /// How an RSA key signs: `RS256` or `PS256`. Default: RS256.
        pub rsa_algorithm: Option<Spanned<RsaAlgorithmConfig>>,
        /// PEM file with the certificate of the key. Its SHA-256 thumbprint (`x5t#S256`) is sent, as Entra ID wants it.
        /// Default: none is sent.
        pub certificate: Option<Spanned<PathBuf>>,
    }
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The secret cannot sign here.
    Key(&'static str),
    /// The algorithm is not one of the key's kind.
    Algorithm,
    /// The certificate cannot be used, or is another key's.
    Certificate(String),
}

enum Pair {
    Rsa(RsaPair, RsaAlgorithmConfig),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Box<Ed25519KeyPair>),
}

/// A client's private key, and what is said of it.
pub struct AssertionKey {
    pair: Pair,
    kid: Option<String>,
    thumbprint: Option<String>,
    audience: Option<String>,
    random: SystemRandom,
}

impl AssertionKey {
    /// A private key in PEM, and what its assertions contain.
    ///
    /// # Errors
    /// The key, the algorithm or the certificate cannot be used.
    pub fn read(text: &str, config: Option<&ClientAssertionConfig>) -> Result<AssertionKey, NoKey> {
        let algorithm = config.and_then(|config| config.rsa_algorithm).map(|algorithm| algorithm.value);
        let pair = pair(text, algorithm.unwrap_or(RsaAlgorithmConfig::Rs256))?;
        if algorithm.is_some() && !matches!(pair, Pair::Rsa(..)) {
            return Err(NoKey::Algorithm);
        }
        let certificate = config.and_then(|config| config.certificate.as_ref());
        let thumbprint = certificate.map(|file| thumbprint(&file.value, pair.public())).transpose();
        Ok(AssertionKey {
            thumbprint: thumbprint.map_err(NoKey::Certificate)?,
            pair,
            kid: config.and_then(|config| config.key_id.clone()),
            audience: config.and_then(|config| Some(config.audience.as_ref()?.value.clone())),
            random: SystemRandom::new(),
        })
    }

    /// Everything that it was told, except the key. Holds no secret.
    pub fn settings(&self) -> String {
        format!("{} {:?} {:?} {:?}", self.pair.algorithm(), self.kid, self.thumbprint, self.audience)
    }

    /// An assertion of this client for the server with this name, unless the operator wrote another audience.
    // SECURITY: the name is what the operator wrote, or what metadata was found by, never what metadata says of another place: a
    // server could name the endpoint of another one, which would take it (an_assertion_is_for_one_server_and_a_minute).
    pub fn assertion(&self, client: &str, server: &str, now: Duration, random: [u8; 16]) -> Option<String> {
        let now = now.as_secs();
        let mut header = json!({ "alg": self.pair.algorithm(), "typ": "JWT" });
        for (name, value) in [("kid", &self.kid), ("x5t#S256", &self.thumbprint)] {
            if let (Some(value), Some(header)) = (value, header.as_object_mut()) {
                header.insert(name.to_owned(), json!(value));
            }
        }
        let claims = json!({
            "iss": client,
            "sub": client,
            "aud": self.audience.as_deref().unwrap_or(server),
            "jti": Base64UrlUnpadded::encode_string(&random),
            "iat": now,
            "exp": now.saturating_add(LIFETIME),
        });
        let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes())?;
        Some(format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature)))
    }
}

impl Pair {
    fn algorithm(&self) -> &'static str {
        match self {
            Pair::Rsa(_, algorithm) => algorithm.as_str(),
            Pair::Ec(_, name) => name,
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// The public key, as the certificate of the key has it.
    fn public(&self) -> &[u8] {
        match self {
            Pair::Rsa(pair, _) => pair.public_key().as_ref(),
            Pair::Ec(pair, _) => pair.public_key().as_ref(),
            Pair::Ed(pair) => pair.public_key().as_ref(),
        }
    }

    fn sign(&self, random: &SystemRandom, message: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Pair::Rsa(pair, algorithm) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = match algorithm {
                    RsaAlgorithmConfig::Rs256 => &RSA_PKCS1_SHA256,
                    RsaAlgorithmConfig::Ps256 => &RSA_PSS_SHA256,
                };
                pair.sign(padding, random, message, &mut signature).ok()?;
                signature
            }
            Pair::Ec(pair, _) => pair.sign(random, message).ok()?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }
}

fn pair(text: &str, algorithm: RsaAlgorithmConfig) -> Result<Pair, NoKey> {
    let der = pem(text).ok_or_else(|| {
        let says = |words: &str| text.contains(words);
        NoKey::Key(if says("BEGIN ENCRYPTED PRIVATE KEY") || says("Proc-Type: 4,ENCRYPTED") {
            "the private key is encrypted"
        } else if says("BEGIN RSA PRIVATE KEY") || says("BEGIN EC PRIVATE KEY") {
            "the private key is in an older form than PKCS #8"
        } else if says("BEGIN PUBLIC KEY") || says("BEGIN CERTIFICATE") {
            "this is the public half, and not the private key"
        } else {
            "this is no private key in PEM"
        })
    })?;
    let ec =
        |algorithm, name| EcdsaKeyPair::from_pkcs8(algorithm, &der).ok().map(|pair| Pair::Ec(pair, name));
    let other = ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256")
        .or_else(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384"))
        .or_else(|| Ed25519KeyPair::from_pkcs8(&der).ok().map(|pair| Pair::Ed(Box::new(pair))));
    if let Some(pair) = other {
        return Ok(pair);
    }
    // SECURITY: the library refuses RSA keys of fewer than 2048 bits (a_key_that_anybody_can_break_is_none).
    RsaPair::from_pkcs8(&der).map(|pair| Pair::Rsa(pair, algorithm)).map_err(|_| NoKey::Key(UNUSABLE))
}

/// The bytes of a private key in PEM (RFC 7468, section 10).
pub fn pem(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let inner = text.split_once("-----BEGIN PRIVATE KEY-----")?.1.split_once("-----END PRIVATE KEY-----")?.0;
    let compact: Zeroizing<String> = Zeroizing::new(inner.split_ascii_whitespace().collect());
    base64ct::Base64::decode_vec(&compact).ok().map(Zeroizing::new)
}

/// The thumbprint of the first certificate in a file, if it is this key's.
fn thumbprint(file: &std::path::Path, public: &[u8]) -> Result<String, String> {
    let bytes = reading::bytes(file, MAX_CERTIFICATE_FILE).map_err(|error| error.to_string())?;
    let certificate = CertificateDer::from_pem_slice(&bytes)
        .map_err(|_| "the file holds no certificate in PEM".to_owned())?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    if *parsed.public_key().subject_public_key.data != *public {
        return Err("the certificate is of another key".to_owned());
    }
    Ok(Base64UrlUnpadded::encode_string(digest(&SHA256, &certificate).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::jws::Jws;
    use crate::token::keys::{KeySet, asymmetric};
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa::KeySize;
    use base64ct::Base64;
    use portcullis_config::Span;

    fn pem(kind: &str, der: &[u8]) -> String {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", Base64::encode_string(der))
    }

    /// Private and public keys of each kind that is taken.
    fn pairs() -> Vec<(&'static str, String, String)> {
        let mut all = Vec::new();
        let mut add = |name, private: &[u8], public: &[u8]| {
            all.push((name, pem("PRIVATE KEY", private), pem("PUBLIC KEY", public)));
        };
        for (name, algorithm) in
            [("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING), ("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING)]
        {
            let pair = EcdsaKeyPair::generate(algorithm).unwrap();
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            add(name, pair.to_pkcs8v1().unwrap().as_ref(), public.as_ref());
        }
        let pair = Ed25519KeyPair::generate().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        add("EdDSA", pair.to_pkcs8().unwrap().as_ref(), public.as_ref());
        let pair = RsaPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        add("RS256", private.as_ref(), public.as_ref());
        all
    }

    fn told(key_id: &str) -> ClientAssertionConfig {
        ClientAssertionConfig {
            key_id: Some(key_id.to_owned()),
            audience: None,
            rsa_algorithm: None,
            certificate: None,
            at: Span::NONE,
        }
    }

    const SERVER: &str = "https://issuer.example";
    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn an_assertion_is_for_one_server_and_a_minute() {
        for (name, private, public) in pairs() {
            let key = AssertionKey::read(&private, Some(&told("a-kid"))).unwrap();
            let made = |key: &AssertionKey, random| key.assertion("a client", SERVER, NOW, random).unwrap();
            let text = made(&key, [7; 16]);
            let keys = KeySet::parse(public.as_bytes(), &asymmetric()).unwrap();
            assert!(keys.verify(&Jws::parse(&text).unwrap()).is_ok(), "{name}");
            let (header, claims) = parts(&text);
            assert_eq!(header, json!({ "alg": name, "typ": "JWT", "kid": "a-kid" }));
            let jti = claims["jti"].as_str().unwrap();
            assert_eq!(jti.len(), 22);
            let expected = json!({
                "iss": "a client", "sub": "a client", "aud": SERVER, "jti": jti, "iat": 1000, "exp": 1060,
            });
            assert_eq!(claims, expected);
            assert_ne!(parts(&made(&key, [8; 16])).1["jti"], claims["jti"]);
            let bare = AssertionKey::read(&private, None).unwrap();
            assert_eq!(parts(&made(&bare, [7; 16])).0, json!({ "alg": name, "typ": "JWT" }));
            let url = "https://issuer.example/token";
            let audience = Some(Spanned::nowhere(url.to_owned()));
            let written = ClientAssertionConfig { audience, ..told("a-kid") };
            let key = AssertionKey::read(&private, Some(&written)).unwrap();
            assert_eq!(parts(&made(&key, [7; 16])).1["aud"], url);
            // PS256 is of RSA keys alone.
            let rsa_algorithm = Some(Spanned::nowhere(RsaAlgorithmConfig::Ps256));
            let written = ClientAssertionConfig { rsa_algorithm, ..told("a-kid") };
            match (name, AssertionKey::read(&private, Some(&written))) {
                ("RS256", key) => {
                    let text = made(&key.ok().unwrap(), [7; 16]);
                    assert_eq!(parts(&text).0["alg"], "PS256");
                    assert!(keys.verify(&Jws::parse(&text).unwrap()).is_ok());
                }
                (_, key) => assert_eq!(key.err(), Some(NoKey::Algorithm), "{name}"),
            }
        }
    }

    fn parts(text: &str) -> (Value, Value) {
        let part = |number: usize| {
            let part = text.split('.').nth(number).unwrap();
            serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
        };
        (part(0), part(1))
    }

    #[test]
    fn a_certificate_is_named_by_its_thumbprint_and_is_of_the_key() {
        let folder = std::env::temp_dir().join(format!("portcullis-assertion-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str| folder.join(name);
        // `openssl req -x509 -newkey` with each kind of key; openssl says which thumbprint it is.
        for (kind, option) in [("rsa:2048", None), ("ec", Some("ec_paramgen_curve:P-256")), ("ed25519", None)]
        {
            let mut openssl = std::process::Command::new("openssl");
            openssl.args(["req", "-x509", "-nodes", "-subj", "/CN=gate", "-days", "2", "-newkey", kind]);
            openssl.args(option.map(|option| ["-pkeyopt", option]).into_iter().flatten());
            openssl.arg("-keyout").arg(file("key.pem")).arg("-out").arg(file("certificate.pem"));
            assert!(openssl.output().unwrap().status.success(), "{kind}");
            let mut openssl = std::process::Command::new("openssl");
            openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file("certificate.pem"));
            let shown = String::from_utf8(openssl.output().unwrap().stdout).unwrap();
            let digits: String = shown.trim().split_once('=').unwrap().1.replace(':', "");
            let bytes: Vec<u8> = (0..digits.len() / 2)
                .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap())
                .collect();
            let private = std::fs::read_to_string(file("key.pem")).unwrap();
            let config = |name: &str| ClientAssertionConfig {
                certificate: Some(Spanned::nowhere(file(name))),
                ..told("a-kid")
            };
            let key = AssertionKey::read(&private, Some(&config("certificate.pem"))).unwrap();
            let (header, _) = parts(&key.assertion("gate", SERVER, NOW, [1; 16]).unwrap());
            assert_eq!(header["x5t#S256"], Base64UrlUnpadded::encode_string(&bytes), "{kind}");
            for (_, other, _) in pairs() {
                let read = AssertionKey::read(&other, Some(&config("certificate.pem")));
                assert!(matches!(read.err(), Some(NoKey::Certificate(_))), "{kind}");
            }
            for bad in ["key.pem", "missing.pem"] {
                let read = AssertionKey::read(&private, Some(&config(bad)));
                assert!(matches!(read.err(), Some(NoKey::Certificate(_))), "{kind} {bad}");
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_key_that_anybody_can_break_is_none() {
        let (_, private, public) = pairs().remove(0);
        let named = |kind: &str| private.replace("PRIVATE KEY", kind);
        for (bad, why) in [
            ("", "this is no private key in PEM"),
            ("secret", "this is no private key in PEM"),
            (&private[..80], "this is no private key in PEM"),
            (&public, "this is the public half, and not the private key"),
            (&named("RSA PRIVATE KEY"), "the private key is in an older form than PKCS #8"),
            (&named("EC PRIVATE KEY"), "the private key is in an older form than PKCS #8"),
            (&named("ENCRYPTED PRIVATE KEY"), "the private key is encrypted"),
            (&pem("PRIVATE KEY", b"nonsense"), UNUSABLE),
            // `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024`
            (SHORT, UNUSABLE),
        ] {
            assert_eq!(AssertionKey::read(bad, None).err(), Some(NoKey::Key(why)), "{bad}");
        }
    }

    const SHORT: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBALxAOIkBy8rSRcti\n\
        Zo/67mQ+jekL58ElJCUB4g7zOEkYdce8cBDhNSkoWqTXsGLIuIkjL9Cc+/RpDao4\n\
        0grkxOrus7564kZM1OQe9+0s4SnNAcOzwuCFAAr/fj64H5rJtNww02UxY/Dsk8A5\n\
        xUH7br3TNMuECf+Zz3rkTXnivogBAgMBAAECgYBtQBAPYx10XcfnmvnOwWAsiSku\n\
        gJxFOVrap1ccOgcGVM211yRqh2iktCi21f4ltjtySxtqxFBsrbMigMtVSyMD/XjM\n\
        uYQvkwNmGDCO4U1pROGPqEhJK4qQDYHOa7K46zL4H/Kz/LHibCDz60NQiWI4gbM7\n\
        LMC3qEhFKiCQlsu4AQJBAOxLr0bo4nfzqdjcHJoUMubMYfoUTlW6qmlF3AzLXPen\n\
        ilv6KQSwo0pL4mNS1266mk7Nk1nec9ttIpQ9+VWmuCECQQDL8ubDGwzZC93cyznl\n\
        84PF+cwBimBZz8QDlWRzFCIMt/bFTurKIpi5DG7fNzMmeIt38II+hlr3JwKBbRwN\n\
        BFPhAkEAmr0RYik9rPmW31l9LXVOxA9RlffYOJHN6LSD3qkKD2/azlKqq9SUiiHZ\n\
        dduZEn0GcdZzySVAz4/PVi6jafCMoQJBAIIAmIX/hSYJQWgPhx2EJxgYTakhup8l\n\
        J84c+UW9rKKs1TkaP+GPQgia20Wf2xQHvOc8QNl4LR3kGN3FXh8SBiECQBczdrs6\n\
        GOdJk8fxcTjYKIMWazuDcZ15Q7KIZBfHOCLaYPG8jDmWTK5pc8w+dU2nivRPaLoP\n\
        53XAGeL+twgf+po=\n\
        -----END PRIVATE KEY-----";

    #[test]
    fn the_settings_of_a_key_tell_it_from_others_and_hold_no_secret() {
        let (_, private, _) = pairs().remove(0);
        let with =
            |config: Option<&ClientAssertionConfig>| AssertionKey::read(&private, config).unwrap().settings();
        let audience = Some(Spanned { value: "https://other.example".to_owned(), span: Span::NONE });
        let all = [
            with(None),
            with(Some(&told("a"))),
            with(Some(&told("b"))),
            with(Some(&ClientAssertionConfig { audience, ..told("a") })),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != one), "{one}");
            assert!(one.starts_with("ES256 "), "{one}");
        }
    }
}
