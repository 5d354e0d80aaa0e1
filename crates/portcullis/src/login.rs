//! Login in a browser, said in types.
//!
//! Nothing is fetched here: what is written is validated when the gateway is built, and the provider is asked when it runs.

use crate::security::Authentication;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A login with an OpenID provider, for people in browsers. The session stands in a sealed cookie.
///
/// Needs [`client`](OpenIdConnect::client), [`public_url`](OpenIdConnect::public_url) and
/// [`session_secret`](OpenIdConnect::session_secret).
#[derive(Clone)]
pub struct OpenIdConnect(Map<String, Value>);

impl OpenIdConnect {
    /// The provider's issuer URL. Its metadata is found from it.
    pub fn issuer(url: impl Into<String>) -> OpenIdConnect {
        OpenIdConnect(Map::new()).with("type", json!("openid_connect")).with("issuer", json!(url.into()))
    }

    /// The gateway's own name and secret at the provider.
    #[must_use]
    pub fn client(self, id: impl Into<String>, secret: impl Into<String>) -> OpenIdConnect {
        self.with("client_id", json!(id.into())).with("client_secret", json!(secret.into()))
    }

    /// The URL under which browsers know the gateway. The provider must send browsers back to its `/auth/callback`.
    #[must_use]
    pub fn public_url(self, url: impl Into<String>) -> OpenIdConnect {
        self.with("public_url", json!(url.into()))
    }

    /// A secret of at least 32 bytes with which cookies are sealed. The first one seals; each further call adds one that
    /// opens what was sealed before.
    #[must_use]
    pub fn session_secret(self, secret: impl Into<String>) -> OpenIdConnect {
        self.add("session_secret", &secret.into())
    }

    /// What the provider is asked for besides `openid`. Each call adds a scope.
    #[must_use]
    pub fn scope(self, name: impl Into<String>) -> OpenIdConnect {
        self.add("scopes", &name.into())
    }

    /// A claim of the ID token that is kept, besides the roles. Each call adds one.
    #[must_use]
    pub fn claim(self, path: impl Into<String>) -> OpenIdConnect {
        self.add("claims", &path.into())
    }

    /// The claim with the roles: a name, a path such as `realm_access.roles`, or a URL. Default: roles.
    #[must_use]
    pub fn roles_claim(self, path: impl Into<String>) -> OpenIdConnect {
        self.with("roles_claim", json!(path.into()))
    }

    /// How long a session lasts, however much it is used; whole seconds, at most 30 days. Default: 12 hours.
    #[must_use]
    pub fn session_lifetime(self, time: Duration) -> OpenIdConnect {
        self.with("session_lifetime", json!(format!("{}s", time.as_secs())))
    }

    /// How long a session lasts without being used; whole seconds, at most 30 days. Default: one hour.
    #[must_use]
    pub fn idle_timeout(self, time: Duration) -> OpenIdConnect {
        self.with("idle_timeout", json!(format!("{}s", time.as_secs())))
    }

    /// The path to which browsers come after they logged out. Default: `/`.
    #[must_use]
    pub fn logged_out_path(self, path: impl Into<String>) -> OpenIdConnect {
        self.with("logged_out_path", json!(path.into()))
    }

    fn add(mut self, key: &str, value: &str) -> OpenIdConnect {
        if let Value::Array(values) = self.0.entry(key).or_insert_with(|| json!([])) {
            values.push(json!(value));
        }
        self
    }

    fn with(mut self, key: &str, value: Value) -> OpenIdConnect {
        self.0.insert(key.into(), value);
        self
    }
}

// SECURITY: it holds secrets (a_login_in_code_shows_no_secret).
impl std::fmt::Debug for OpenIdConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenIdConnect").field(&self.0.get("issuer")).finish()
    }
}

impl From<OpenIdConnect> for Authentication {
    fn from(login: OpenIdConnect) -> Authentication {
        Authentication::of(Value::Object(login.0))
    }
}
