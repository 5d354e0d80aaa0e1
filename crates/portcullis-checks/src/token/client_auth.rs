//! How the gateway tells an authorization server who it is (RFC 6749, section 2.3; OpenID Connect Core, section 9).
//!
//! The secret stands in a header or in the form that is sent. A private key stays here and signs an assertion. A public client
//! has neither, and shows by PKCE (RFC 7636) that a login began with it.

use super::assertion::{AssertionKey, ClientAssertionConfig, NoKey};
use super::introspection::{basic, form};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use portcullis_config::{Context, Secret, Span, Spanned, keyword};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What a form calls an assertion (RFC 7523, section 2.2), encoded.
const ASSERTION_TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

keyword! {
    /// How the gateway authenticates at an authorization server.
    pub enum ClientAuthenticationConfig {
        /// By the field `Authorization`.
        Basic = "client_secret_basic",
        /// By the form that is sent.
        Post = "client_secret_post",
        /// By a token that it signs with its private key.
        PrivateKeyJwt = "private_key_jwt",
        /// Not at all: it is a public client.
        Public = "none",
    }
}

/// The gateway as a client of an authorization server, as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// How it authenticates.
    pub how: ClientAuthenticationConfig,
    /// Its name there.
    pub id: &'a Spanned<String>,
    /// Its secret, or its private key.
    pub secret: Option<&'a Secret>,
    /// What its assertions contain.
    pub assertion: Option<&'a ClientAssertionConfig>,
}

/// The gateway's name at an authorization server, and what shows that it is the gateway.
#[derive(Clone)]
pub struct ClientAuthentication {
    field: Option<HeaderValue>,
    /// More of the form that is sent.
    form: Zeroizing<String>,
    /// The private key of a client that has one, and the client's name.
    key: Option<(Arc<AssertionKey>, Arc<str>)>,
    named: String,
}

// SECURITY: it holds a secret (a_client_shows_no_secret).
impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientAuthentication(•••)")
    }
}

impl Written<'_> {
    /// What it means. `None` means that an error was pushed.
    pub fn compile(&self, cx: &mut Context) -> Option<ClientAuthentication> {
        if let Some(assertion) =
            self.assertion.filter(|_| self.how != ClientAuthenticationConfig::PrivateKeyJwt)
        {
            cx.error(
                "config.client_assertion",
                assertion.at,
                "`client_assertion` has no effect without `client_authentication: private_key_jwt`",
            )
            .help("add `client_authentication: private_key_jwt`, or remove `client_assertion`");
            return None;
        }
        let key = match (self.how, self.secret) {
            (ClientAuthenticationConfig::PrivateKeyJwt, Some(secret)) => {
                match AssertionKey::read(secret.expose(), self.assertion) {
                    Ok(key) => Some(key),
                    Err(why) => {
                        self.refuse(&why, cx);
                        return None;
                    }
                }
            }
            (
                ClientAuthenticationConfig::Basic
                | ClientAuthenticationConfig::Post
                | ClientAuthenticationConfig::Public
                | ClientAuthenticationConfig::PrivateKeyJwt,
                _,
            ) => None,
        };
        let client = ClientAuthentication::new(self.how, &self.id.value, self.secret, key);
        if client.is_none() {
            cx.error("config.client_id", self.id.span, "`client_id` and `client_secret` belong together")
                .help("write `client_id` and `client_secret`, which the authorization server gave you, or, for a login of a public client, `client_authentication: none`");
        }
        client
    }

    fn refuse(&self, why: &NoKey, cx: &mut Context) {
        let assertion = |part: fn(&ClientAssertionConfig) -> Option<Span>| {
            self.assertion.and_then(part).unwrap_or(self.id.span)
        };
        match why {
            NoKey::Key(why) => cx
                .error("config.client_key", self.id.span, format!("`client_secret` of this client: {why}"))
                .help("make a key with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, or convert one with `openssl pkcs8 -topk8 -nodes`"),
            NoKey::Algorithm => cx
                .error(
                    "config.client_assertion",
                    assertion(|config| config.rsa_algorithm.map(|algorithm| algorithm.span)),
                    "`rsa_algorithm` is for RSA keys, and this key is of another kind",
                )
                .help("remove `rsa_algorithm`: the algorithm of other keys follows from their kind"),
            NoKey::Certificate(why) => cx
                .error(
                    "config.client_assertion",
                    assertion(|config| config.certificate.as_ref().map(|file| file.span)),
                    why.clone(),
                )
                .help("name the PEM file with the certificate of the key that is in `client_secret`"),
        };
    }
}

impl ClientAuthentication {
    /// This client. `None` where it cannot be said like this: there is no name, a secret is missing, or there is one that is
    /// not sent.
    pub fn new(
        how: ClientAuthenticationConfig,
        id: &str,
        secret: Option<&Secret>,
        key: Option<AssertionKey>,
    ) -> Option<ClientAuthentication> {
        if id.trim().is_empty() {
            return None;
        }
        let name = format!("&client_id={}", form(id));
        let (field, form) = match (how, secret) {
            (ClientAuthenticationConfig::Basic, Some(secret)) => {
                (Some(basic(id, secret.expose())?), String::new())
            }
            (ClientAuthenticationConfig::Post, Some(secret)) => {
                (None, format!("{name}&client_secret={}", form(secret.expose())))
            }
            (ClientAuthenticationConfig::Public, None) => (None, name),
            (ClientAuthenticationConfig::PrivateKeyJwt, Some(_)) if key.is_some() => (None, name),
            (
                ClientAuthenticationConfig::Basic
                | ClientAuthenticationConfig::Post
                | ClientAuthenticationConfig::PrivateKeyJwt,
                None,
            )
            | (ClientAuthenticationConfig::Public | ClientAuthenticationConfig::PrivateKeyJwt, Some(_)) => {
                return None;
            }
        };
        let field_bytes = field.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        let signs = key.as_ref().zip(secret).map(|(key, secret)| (key.settings(), secret.expose()));
        let (settings, secret) = signs.unwrap_or_default();
        let parts = [field_bytes, form.as_bytes(), secret.as_bytes(), settings.as_bytes()];
        let named = super::cache::named(&Zeroizing::new(parts.join(&b'\0')));
        let key = key.map(|key| (Arc::new(key), Arc::from(id)));
        Some(ClientAuthentication { field, form: Zeroizing::new(form), key, named })
    }

    /// The fields of a request with a form.
    pub fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let own = self.field.iter().map(|field| (header::AUTHORIZATION, field.clone()));
        own.chain([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            (header::ACCEPT, HeaderValue::from_static("application/json")),
        ])
        .collect()
    }

    /// The form for the server with this name, with what it holds of this client. The name is the issuer where it is known,
    /// otherwise the URL of the endpoint.
    pub fn body(&self, fields: &str, server: &str, now: Duration, random: [u8; 16]) -> Bytes {
        let signed = self.key.as_ref().and_then(|(key, id)| {
            let assertion = key.assertion(id, server, now, random)?;
            Some(format!("&client_assertion_type={ASSERTION_TYPE}&client_assertion={assertion}"))
        });
        Bytes::from(format!("{fields}{}{}", self.form.as_str(), signed.unwrap_or_default()))
    }

    /// A text that is the same for the same client alone. Holds no secret.
    pub fn named(&self) -> &str {
        &self.named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::assertion::RsaAlgorithmConfig;
    use ClientAuthenticationConfig::{Basic, Post, PrivateKeyJwt, Public};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64ct::{Base64, Encoding};

    #[test]
    fn a_client_is_said_as_its_server_wants_it() {
        let secret = Secret::new("a&b=c");
        let said = |how, secret| {
            let client = ClientAuthentication::new(how, "a client", secret, None)?;
            let field = client.fields().into_iter().find(|(name, _)| name == header::AUTHORIZATION);
            let field = field.map(|(_, value)| value.to_str().unwrap().to_owned());
            Some((
                field,
                String::from_utf8(client.body("x=y", "https://a.example", Duration::ZERO, [0; 16]).to_vec())
                    .unwrap(),
            ))
        };
        // `a%20client:a%26b%3Dc`, RFC 6749, section 2.3.1.
        let field = "Basic YSUyMGNsaWVudDphJTI2YiUzRGM=".to_owned();
        assert_eq!(said(Basic, Some(&secret)), Some((Some(field), "x=y".to_owned())));
        let posted = "x=y&client_id=a%20client&client_secret=a%26b%3Dc".to_owned();
        assert_eq!(said(Post, Some(&secret)), Some((None, posted)));
        assert_eq!(said(Public, None), Some((None, "x=y&client_id=a%20client".to_owned())));
        assert_eq!((said(Basic, None), said(Post, None), said(Public, Some(&secret))), (None, None, None));
        assert!(ClientAuthentication::new(Basic, " ", Some(&secret), None).is_none());
    }

    #[test]
    fn a_client_shows_no_secret() {
        let client = ClientAuthentication::new(Post, "gate", Some(&Secret::new("the-secret")), None).unwrap();
        assert!(!format!("{client:?}{}", client.named()).contains("the-secret"));
        assert_eq!(format!("{client:?}"), "ClientAuthentication(•••)");
    }

    /// A client of a file, and the codes of what is wrong with it.
    fn compiled(written: &Written<'_>) -> (bool, Vec<&'static str>) {
        let mut cx = Context::for_code();
        let client = written.compile(&mut cx);
        (client.is_some(), cx.diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect())
    }

    #[test]
    fn a_client_that_cannot_be_is_an_error_of_the_file() {
        let (id, secret) =
            (Spanned { value: "gate".to_owned(), span: Span::NONE }, Secret::new("the-secret"));
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der = Base64::encode_string(pair.to_pkcs8v1().unwrap().as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        let key = Secret::new(pem);
        let assertion = |rsa_algorithm: Option<RsaAlgorithmConfig>| ClientAssertionConfig {
            key_id: None,
            audience: None,
            rsa_algorithm: rsa_algorithm.map(|value| Spanned { value, span: Span::NONE }),
            certificate: None,
            at: Span::NONE,
        };
        let (plain, of_rsa) = (assertion(None), assertion(Some(RsaAlgorithmConfig::Ps256)));
        let lost = ClientAssertionConfig {
            certificate: Some(Spanned { value: "/there/is/none.pem".into(), span: Span::NONE }),
            ..assertion(None)
        };
        for (how, secret, assertion, expected) in [
            (Basic, Some(&secret), None, None),
            (Post, Some(&secret), None, None),
            (Public, None, None, None),
            (PrivateKeyJwt, Some(&key), None, None),
            (PrivateKeyJwt, Some(&key), Some(&plain), None),
            (Basic, None, None, Some("config.client_id")),
            (Public, Some(&secret), None, Some("config.client_id")),
            (PrivateKeyJwt, None, None, Some("config.client_id")),
            (PrivateKeyJwt, Some(&secret), None, Some("config.client_key")),
            (PrivateKeyJwt, Some(&key), Some(&of_rsa), Some("config.client_assertion")),
            (PrivateKeyJwt, Some(&key), Some(&lost), Some("config.client_assertion")),
            (Basic, Some(&secret), Some(&plain), Some("config.client_assertion")),
            (Post, Some(&secret), Some(&plain), Some("config.client_assertion")),
            (Public, None, Some(&plain), Some("config.client_assertion")),
        ] {
            let (is_there, codes) = compiled(&Written { how, id: &id, secret, assertion });
            assert_eq!(codes, Vec::from_iter(expected), "{how:?}");
            assert_eq!(is_there, expected.is_none(), "{how:?}");
        }
    }

    #[test]
    fn each_client_has_a_name_of_its_own() {
        let named = |how, id: &str, secret: &str| {
            let secret = Secret::new(secret);
            let secret = (how != Public).then_some(&secret);
            ClientAuthentication::new(how, id, secret, None).unwrap().named().to_owned()
        };
        let all = [
            named(Basic, "gate", "one"),
            named(Basic, "gate", "two"),
            named(Basic, "other", "one"),
            named(Post, "gate", "one"),
            named(Post, "gate", "two"),
            named(Public, "gate", ""),
            named(Public, "other", ""),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != one), "{one}");
            assert!(one.len() == 64 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        }
        assert_eq!(named(Basic, "gate", "one"), all[0], "and keeps it");
    }
}
