//! Two issuers, their keys, and a gateway that trusts them in different ways on different routes.

use super::support::{self, Backend, Reply, Seen};
use crate::forge::{Signer, now};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A secret that an issuer shares with the gateway.
pub const SECRET: &str = "a-secret-that-is-shared-0123456789abcdef";

pub struct Stage {
    pub rsa: Signer,
    pub ec: Signer,
    pub ed: Signer,
    /// Keys of the attacker.
    pub thief: Signer,
    /// The other issuer's key, which has the same name as one of the first issuer's.
    pub namesake: Signer,
    /// The other issuer's key, with a name of its own.
    pub stranger: Signer,
    /// A client's key, to which tokens are bound.
    pub holder: Signer,
    pub issuer: String,
    pub other_issuer: String,
    /// A server of the attacker, which nobody should ask for anything.
    pub lure: Backend,
    /// What the first issuer publishes.
    pub key_set: String,
}

/// An issuer that publishes these keys, and says of an opaque token what its name says.
async fn issuer(keys: &[&Signer]) -> (String, String) {
    let key_set = json!({ "keys": keys.iter().map(|key| key.published()).collect::<Vec<_>>() }).to_string();
    let published = key_set.clone();
    let server = Backend::answering(move |seen| answer(seen, &published)).await;
    (format!("http://{}", server.address), key_set)
}

fn answer(seen: &Seen, key_set: &str) -> Reply {
    let json = "Content-Type: application/json\r\n";
    let issuer = format!("http://{}", seen.fields("host").join(""));
    match seen.line().as_str() {
        "GET /.well-known/openid-configuration" => {
            let metadata = json!({
                "issuer": issuer,
                "jwks_uri": format!("{issuer}/keys"),
                "token_endpoint": format!("{issuer}/token"),
                "introspection_endpoint": format!("{issuer}/introspect"),
            });
            Reply::with("200 OK", json, &metadata.to_string())
        }
        "GET /keys" => Reply::with("200 OK", json, key_set),
        "POST /introspect" => {
            let form = String::from_utf8_lossy(&seen.body).into_owned();
            let token =
                form.strip_prefix("token=").and_then(|form| form.split('&').next()).unwrap_or_default();
            super::opaque::answer(token, &issuer)
        }
        _ => Reply::with("404 Not Found", "", ""),
    }
}

impl Stage {
    pub async fn set() -> Stage {
        let (rsa, ec, ed) = (Signer::rsa("kid-rsa"), Signer::ec("kid-ec"), Signer::ed("kid-ed"));
        let (namesake, stranger) = (Signer::rsa("kid-rsa"), Signer::rsa("kid-of-the-other"));
        let (issuer_url, key_set) = issuer(&[&rsa, &ec, &ed]).await;
        let (other_issuer, _) = issuer(&[&namesake, &stranger]).await;
        Stage {
            rsa,
            ec,
            ed,
            thief: Signer::rsa("kid-of-the-thief"),
            namesake,
            stranger,
            holder: Signer::ec("kid-of-the-holder"),
            issuer: issuer_url,
            other_issuer,
            lure: Backend::start().await,
            key_set,
        }
    }

    /// The claims of a good token.
    pub fn claims(&self) -> Value {
        json!({
            "iss": self.issuer, "sub": "alice", "aud": "api", "exp": now() + 600, "iat": now(),
            "jti": "1", "client_id": "app", "scope": "read", "roles": ["user"],
        })
    }

    /// The same, with other members; null removes one.
    pub fn but(&self, other: &Value) -> Value {
        crate::forge::with(&self.claims(), other)
    }

    /// A good token.
    pub fn token(&self) -> String {
        self.rsa.token(&self.claims())
    }

    /// A token that is bound to the holder's key.
    pub fn bound_token(&self) -> String {
        self.ec.token(&self.but(&json!({ "cnf": { "jkt": self.holder.thumbprint() } })))
    }

    pub fn document(&self, backend: SocketAddr) -> String {
        let Stage { issuer, other_issuer, .. } = self;
        let jwt = format!("type: jwt, issuer: \"{issuer}\", audience: api");
        let other = format!("type: jwt, issuer: \"{other_issuer}\", audience: api");
        let route = |path: &str, method: &str| {
            format!(
                "  - path: {path}\n    upstream: \"http://{backend}\"\n    security: {{ authentication: {method} }}\n"
            )
        };
        let routes = [
            route("/jwt", &format!("{{ {jwt} }}")),
            route("/at", &format!("{{ {jwt}, profile: access_token }}")),
            route("/fresh", &format!("{{ {jwt}, max_age: 60s }}")),
            route("/es", &format!("{{ {jwt}, algorithms: [ES256] }}")),
            route("/short", &format!("{{ {jwt}, max_token_size: 1KiB }}")),
            route("/two", &format!("{{ any: [{{ {jwt} }}, {{ {other} }}] }}")),
            route(
                "/secret",
                &format!(
                    "{{ type: jwt, issuer: \"https://secret.example\", audience: api, secret: {SECRET} }}"
                ),
            ),
            route("/oauth", &format!("{{ type: OAuth2, token_url: \"{issuer}/token\" }}")),
            route(
                "/opaque",
                &format!(
                    "{{ type: OAuth2, token_url: \"{issuer}/token\", audience: api, client_id: gateway, client_secret: {SECRET} }}"
                ),
            ),
            route("/any", &format!("{{ any: [{{ {jwt} }}, {{ type: api_key, header: x-api-key }}] }}")),
            route("/all", &format!("{{ all: [{{ {jwt} }}, {{ type: api_key, header: x-api-key }}] }}")),
            route(
                "/bound",
                &format!("{{ {jwt}, dpop: {{ required: true }}, resource: \"https://api.example\" }}"),
            ),
            route("/nonce", &format!("{{ {jwt}, dpop: {{ nonce: true }} }}")),
        ];
        format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\noutbound: {{ allow: [\"127.0.0.0/8\"] }}\n{}routes:\n{}",
            support::consumers(),
            routes.concat()
        )
    }
}
