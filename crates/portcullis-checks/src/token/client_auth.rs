//! How the gateway tells an authorization server who it is (RFC 6749, section 2.3; OpenID Connect Core, section 9).
//!
//! The secret stands in a field, or in the form that is sent; a public client has none, and shows by PKCE (RFC 7636) that a login
//! began with it.

use super::introspection::{basic, form};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use portcullis_config::{Secret, keyword};
use std::fmt;
use zeroize::Zeroizing;

keyword! {
    /// How the gateway authenticates at an authorization server.
    pub enum ClientAuthenticationConfig {
        /// By the field `Authorization`.
        Basic = "client_secret_basic",
        /// By the form that is sent.
        Post = "client_secret_post",
        /// Not at all: it is a public client.
        Public = "none",
    }
}

/// The gateway's name at an authorization server, and what shows that it is the gateway.
#[derive(Clone)]
pub struct ClientAuthentication {
    field: Option<HeaderValue>,
    /// More of the form that is sent.
    form: Zeroizing<String>,
}

// SECURITY: it holds a secret (a_client_shows_no_secret).
impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientAuthentication(•••)")
    }
}

impl ClientAuthentication {
    /// This client. `None` where it cannot be said like this: there is no name, a secret is missing, or there is one that is
    /// not sent.
    pub fn new(
        how: ClientAuthenticationConfig,
        id: &str,
        secret: Option<&Secret>,
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
            (ClientAuthenticationConfig::Basic | ClientAuthenticationConfig::Post, None)
            | (ClientAuthenticationConfig::Public, Some(_)) => return None,
        };
        Some(ClientAuthentication { field, form: Zeroizing::new(form) })
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

    /// The form with what it holds of this client.
    pub fn body(&self, fields: &str) -> Bytes {
        Bytes::from(format!("{fields}{}", self.form.as_str()))
    }

    /// A text that is the same for the same client alone. Holds no secret.
    pub fn named(&self) -> String {
        let field = self.field.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        super::cache::named(&[field, b"\0", self.form.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClientAuthenticationConfig::{Basic, Post, Public};

    #[test]
    fn a_client_is_said_as_its_server_wants_it() {
        let secret = Secret::new("a&b=c");
        let said = |how, secret| {
            let client = ClientAuthentication::new(how, "a client", secret)?;
            let field = client.fields().into_iter().find(|(name, _)| name == header::AUTHORIZATION);
            let field = field.map(|(_, value)| value.to_str().unwrap().to_owned());
            Some((field, String::from_utf8(client.body("x=y").to_vec()).unwrap()))
        };
        // `a%20client:a%26b%3Dc`, RFC 6749, section 2.3.1.
        let field = "Basic YSUyMGNsaWVudDphJTI2YiUzRGM=".to_owned();
        assert_eq!(said(Basic, Some(&secret)), Some((Some(field), "x=y".to_owned())));
        let posted = "x=y&client_id=a%20client&client_secret=a%26b%3Dc".to_owned();
        assert_eq!(said(Post, Some(&secret)), Some((None, posted)));
        assert_eq!(said(Public, None), Some((None, "x=y&client_id=a%20client".to_owned())));
        assert_eq!((said(Basic, None), said(Post, None), said(Public, Some(&secret))), (None, None, None));
        assert!(ClientAuthentication::new(Basic, " ", Some(&secret)).is_none());
    }

    #[test]
    fn a_client_shows_no_secret() {
        let client = ClientAuthentication::new(Post, "gate", Some(&Secret::new("the-secret"))).unwrap();
        assert!(!format!("{client:?}{}", client.named()).contains("the-secret"));
    }
}
