//! What the gateway finds when it asks other servers: an authorization server, `https://auth.example.com`, and what it
//! was asked. Nothing leaves the process.

use super::harness::{START, TestClock};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use portcullis_core::overload::Overload;
use portcullis_core::pool::Client;
use portcullis_core::{
    Count, Effects, Fault, Fetch, Fetched, Fingerprint, KeyDigest, KeyRecord, KeySetId, Keys, Limit, Now,
    Standing, Step, Wait,
};
use portcullis_runtime::{Clock, World};
use serde_json::{Value, json};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

/// The authorization server.
pub(crate) const ISSUER: &str = "https://auth.example.com";
/// The opaque token that it knows.
pub(crate) const OPAQUE: &str = "opaque-0123456789";
/// Another one, of which it does not say what kind of token it is.
pub(crate) const UNTYPED: &str = "untyped-0123456789";
/// The token that it gives the gateway.
pub(crate) const GRANTED: &str = "granted-0123456789";

/// A request of the gateway.
pub(crate) struct Asked {
    pub(crate) url: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
}

/// A world with an authorization server in it.
pub(crate) struct Network {
    world: World,
    clock: TestClock,
    down: AtomicBool,
    asked: Mutex<Vec<Asked>>,
    /// Documents of other servers, by their URLs.
    pages: Mutex<Vec<(String, Value)>>,
    /// The hashes with which passwords were verified.
    passwords: Mutex<Vec<String>>,
}

impl Network {
    pub(crate) fn new(world: World, clock: TestClock) -> Network {
        Network {
            world,
            clock,
            down: AtomicBool::new(false),
            asked: Mutex::default(),
            pages: Mutex::default(),
            passwords: Mutex::default(),
        }
    }

    /// From here on, nobody answers.
    pub(crate) fn go_down(&self) {
        self.down.store(true, Ordering::Relaxed);
    }

    /// What was asked at this URL.
    pub(crate) fn asked(&self, url: &str) -> Vec<Asked> {
        let mut asked = self.asked.lock().unwrap();
        let (wanted, rest) = asked.drain(..).partition(|asked| asked.url == url);
        *asked = rest;
        wanted
    }

    /// The hashes with which passwords were verified since somebody asked last.
    pub(crate) fn verified(&self) -> Vec<String> {
        std::mem::take(&mut self.passwords.lock().unwrap())
    }

    /// From here on, this document is found at `url`.
    pub(crate) fn publish(&self, url: &str, document: Value) {
        self.pages.lock().unwrap().push((url.to_owned(), document));
    }

    fn answer(&self, fetch: &Fetch) -> Option<Value> {
        let url = fetch.url.to_string();
        if let Some((_, page)) = self.pages.lock().unwrap().iter().find(|(of, _)| *of == url) {
            return Some(page.clone());
        }
        let introspected = |body: &[u8]| match String::from_utf8_lossy(body).contains(OPAQUE) {
            true => {
                json!({ "active": true, "token_type": "Bearer", "sub": "alice", "client_id": "app", "aud": "api", "roles": ["user"] })
            }
            false if String::from_utf8_lossy(body).contains(UNTYPED) => {
                json!({ "active": true, "sub": "alice", "client_id": "app", "aud": "api", "roles": ["user"] })
            }
            false => json!({ "active": false }),
        };
        Some(match fetch.url.to_string().strip_prefix(ISSUER)? {
            "/.well-known/openid-configuration" => json!({
                "issuer": ISSUER,
                "jwks_uri": format!("{ISSUER}/keys"),
                "token_endpoint": format!("{ISSUER}/token"),
                "authorization_endpoint": format!("{ISSUER}/authorize"),
                "introspection_endpoint": format!("{ISSUER}/introspect"),
            }),
            "/keys" => serde_json::from_str(include_str!("files/keys.json")).unwrap(),
            "/other-keys" => serde_json::from_str(include_str!("files/other-keys.json")).unwrap(),
            "/introspect" | "/other-introspect" => introspected(&fetch.body),
            "/token" if String::from_utf8_lossy(&fetch.body).contains("grant_type=refresh_token") => json!({
                "id_token": SigningKey::issuers().token(json!({ "aud": "gate", "tenant": { "name": "blue" } })),
                "expires_in": 100,
            }),
            "/exchange" | "/other-exchange" => json!({
                "access_token": GRANTED, "token_type": "Bearer", "expires_in": 100,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }),
            "/token" => json!({ "access_token": GRANTED, "token_type": "Bearer", "expires_in": 100 }),
            _ => return None,
        })
    }
}

impl Effects for Network {
    fn now(&self) -> Now {
        self.world.now()
    }
    fn random(&self) -> [u8; 16] {
        self.world.random()
    }
    fn overload(&self) -> Option<&Overload> {
        self.world.overload()
    }
    fn count<'a>(
        &'a self,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        self.world.count(limit, keys, cost)
    }
    fn uncount(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.world.uncount(limit, keys, cost);
    }
    fn charge_late(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.world.charge_late(limit, keys, cost);
    }
    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        self.world.key(set, digest)
    }
    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        let clock = self.clock.clone();
        let until = clock.now().monotonic + time;
        Box::pin(poll_fn(move |_| match clock.now().monotonic >= until {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }))
    }
    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        let authorization = fetch
            .headers
            .iter()
            .find(|(name, _)| name == http::header::AUTHORIZATION)
            .map_or("", |(_, value)| value.to_str().unwrap());
        self.asked.lock().unwrap().push(Asked {
            url: fetch.url.to_string(),
            authorization: authorization.to_owned(),
            body: String::from_utf8(fetch.body.to_vec()).unwrap(),
        });
        let answered = match self.down.load(Ordering::Relaxed) {
            true => Err(Fault { detail: "nobody answers".into() }),
            false => Ok(match self.answer(&fetch) {
                Some(answer) => fetched(StatusCode::OK, answer.to_string()),
                None => fetched(StatusCode::NOT_FOUND, String::new()),
            }),
        };
        Box::pin(std::future::ready(answered))
    }
    fn first_use(&self, client: IpAddr, digest: [u8; 32], until: Duration) -> Step<'_, Result<bool, Fault>> {
        self.world.first_use(client, digest, until)
    }
    fn unused(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        self.world.unused(digest)
    }
    fn password(&self, client: Client, hash: &str, password: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        // A decision here waits for no thread, so this one does.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let verified = runtime.block_on(self.world.password(client, hash, password));
        self.passwords.lock().unwrap().push(hash.to_owned());
        Box::pin(std::future::ready(verified))
    }
    fn standing(&self, source: IpAddr) -> Standing {
        self.world.standing(source)
    }
    fn credential_failed(&self, source: IpAddr) {
        self.world.credential_failed(source);
    }
    fn is_known(&self, source: IpAddr, credential: Fingerprint) -> bool {
        self.world.is_known(source, credential)
    }
    fn credential_good(&self, source: IpAddr, credential: Fingerprint) {
        self.world.credential_good(source, credential);
    }
    fn notice(&self, about: &str, detail: &str) {
        eprintln!("{about}: {detail}");
    }
}

fn fetched(status: StatusCode, body: String) -> Fetched {
    Fetched { status, headers: HeaderMap::new(), body: Bytes::from(body) }
}

/// A key with which tokens are signed.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    pub(crate) kid: &'static str,
    /// The public half, as a JSON Web Key.
    pub(crate) jwk: Value,
}

impl SigningKey {
    /// The issuer's, which is `one` in `files/keys.json`.
    pub(crate) fn issuers() -> SigningKey {
        SigningKey::of("one", include_str!("files/issuer-key.pem"), include_str!("files/keys.json"))
    }

    /// Another one, `two` in `files/other-keys.json`.
    pub(crate) fn other() -> SigningKey {
        SigningKey::of("two", include_str!("files/other-key.pem"), include_str!("files/other-keys.json"))
    }

    fn of(kid: &'static str, pem: &str, set: &str) -> SigningKey {
        let inner: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = Base64::decode_vec(&inner).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
        let set: Value = serde_json::from_str(set).unwrap();
        SigningKey { pair, kid, jwk: set["keys"][0].clone() }
    }

    /// A signed token of these parts.
    pub(crate) fn sign(&self, mut header: Value, claims: &Value) -> String {
        header["alg"] = json!("ES256");
        let signed = unsigned(&header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    /// The issuer's token with these claims beside, or in place of, those of every token.
    pub(crate) fn token(&self, claims: Value) -> String {
        self.sign(json!({ "kid": self.kid }), &claims_with(claims))
    }

    /// The thumbprint of the public half (RFC 7638).
    pub(crate) fn thumbprint(&self) -> String {
        let [crv, kty, x, y] = ["crv", "kty", "x", "y"].map(|name| self.jwk[name].as_str().unwrap());
        let members = format!("{{\"crv\":\"{crv}\",\"kty\":\"{kty}\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes()).as_ref())
    }
}

/// A token that is signed with the secret of the environment.
pub(crate) fn secret_token(algorithm: aws_lc_rs::hmac::Algorithm, name: &str) -> String {
    let signed = unsigned(&json!({ "alg": name }), &claims_with(json!({})));
    let key = aws_lc_rs::hmac::Key::new(algorithm, b"0123456789abcdef0123456789abcdef");
    format!("{signed}.{}", encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

/// What every token says, with these claims beside or in place of it.
fn claims_with(more: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "api", "iat": START, "exp": START + 600, "roles": ["user"],
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// The claims of a token, which nobody verifies here.
pub(crate) fn claims_of(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(claims).unwrap()).unwrap()
}
