//! Authentication by tokens, said in types.
//!
//! Nothing is fetched here: what is written is validated when the gateway is built, and the issuer is asked when it runs.

use crate::security::Authentication;
use serde_json::{Map, Value, json};

/// Signed tokens of an issuer that is named (RFC 7519).
#[derive(Clone, Copy, Debug)]
pub struct Jwt;

/// Access tokens of an authorization server, signed or opaque (RFC 6749, RFC 6750).
#[derive(Clone, Copy, Debug)]
pub struct OAuth2;

impl Jwt {
    /// Exactly what the tokens have as `iss`. The keys are found by the issuer's metadata. Needs an audience.
    pub fn issuer(name: impl Into<String>) -> Token {
        Token::of("jwt").with("issuer", json!(name.into()))
    }
}

impl OAuth2 {
    /// Where clients get their tokens; all else is found from the metadata of the authorization server that has this very
    /// token endpoint.
    pub fn token_url(url: impl Into<String>) -> Token {
        Token::of("OAuth2").with("token_url", json!(url.into()))
    }

    /// The issuer, where it is better known than its token endpoint.
    pub fn issuer(name: impl Into<String>) -> Token {
        Token::of("OAuth2").with("issuer", json!(name.into()))
    }
}

/// What is asked of tokens.
#[derive(Clone, Debug)]
pub struct Token(Map<String, Value>);

impl Token {
    /// The name that the issuer knows this API by; a token for another one is refused. Each call adds a name.
    #[must_use]
    pub fn audience(mut self, name: impl Into<String>) -> Token {
        if let Value::Array(names) = self.0.entry("audience").or_insert_with(|| json!([])) {
            names.push(json!(name.into()));
        }
        self
    }

    /// Why tokens with any audience are accepted. A token that a client sent to another API of this issuer is then valid
    /// here too.
    #[must_use]
    pub fn insecure_any_audience(self, reason: impl Into<String>) -> Token {
        self.with("insecure_any_audience", json!(reason.into()))
    }

    /// The gateway's own name and secret at the authorization server, with which it asks about opaque tokens. Only for
    /// [`OAuth2`].
    #[must_use]
    pub fn client(self, id: impl Into<String>, secret: impl Into<String>) -> Token {
        self.with("client_id", json!(id.into())).with("client_secret", json!(secret.into()))
    }

    /// URL of the issuer's JSON Web Key Set, if its metadata does not name it.
    #[must_use]
    pub fn jwks_url(self, url: impl Into<String>) -> Token {
        self.with("jwks_url", json!(url.into()))
    }

    /// The signature algorithms that are accepted, of those that the issuer's keys are for.
    #[must_use]
    pub fn algorithms<A: Into<String>>(self, names: impl IntoIterator<Item = A>) -> Token {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        self.with("algorithms", json!(names))
    }

    /// Only access tokens by RFC 9068.
    #[must_use]
    pub fn access_tokens_only(self) -> Token {
        self.with("profile", json!("access_token"))
    }

    /// The claim with the roles: a name, a path such as `realm_access.roles`, or a URL. Default: roles.
    #[must_use]
    pub fn roles_claim(self, path: impl Into<String>) -> Token {
        self.with("roles_claim", json!(path.into()))
    }

    /// The claim with the scopes. Default: scope, or else scp.
    #[must_use]
    pub fn scopes_claim(self, path: impl Into<String>) -> Token {
        self.with("scopes_claim", json!(path.into()))
    }

    /// The claim that names the subject, in place of `sub`. A token without it is rejected.
    #[must_use]
    pub fn subject_claim(self, path: impl Into<String>) -> Token {
        self.with("subject_claim", json!(path.into()))
    }

    /// The header that holds the token, such as `Cf-Access-Jwt-Assertion`, in place of `Authorization`.
    #[must_use]
    pub fn header(self, name: impl Into<String>) -> Token {
        self.with("header", json!(name.into()))
    }

    /// Every token must be bound to a key that its sender proves to have (RFC 9449), or to its certificate.
    #[must_use]
    pub fn bound_tokens_only(self) -> Token {
        self.with("dpop", json!({ "required": true }))
    }

    /// The URL of this API, as its clients know it; the gateway then tells clients where to get tokens (RFC 9728).
    #[must_use]
    pub fn resource(self, url: impl Into<String>) -> Token {
        self.with("resource", json!(url.into()))
    }

    fn of(kind: &str) -> Token {
        Token(Map::new()).with("type", json!(kind))
    }

    fn with(mut self, key: &str, value: Value) -> Token {
        self.0.insert(key.into(), value);
        self
    }
}

impl From<Token> for Authentication {
    fn from(token: Token) -> Authentication {
        Authentication::of(Value::Object(token.0))
    }
}
