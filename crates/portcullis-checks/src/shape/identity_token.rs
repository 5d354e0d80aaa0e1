//! A token, signed by the gateway, that says who sends the request (RFC 7519, ES256).
//!
//! An upstream that verifies it need not trust the network between: nobody else can make one. The public key is published
//! under a path of the gateway. A token lives for a minute unless said otherwise, and is made anew after half of that; each
//! worker keeps those that it made. An anonymous request gets none. If signing fails, the request is refused.

use crate::build::Build;
use crate::byte_cache::ByteCache;
use crate::section::{Part, Section};
use crate::token::assertion::pem;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, header};
use portcullis_config::{Context, Secret, Span, Spanned, object};
use portcullis_core::check::Check;
use portcullis_core::endpoint::{Endpoint, Served};
use portcullis_core::{CheckId, Code, Denial, Effects, Facts, Identity, MethodSet, Principal, Shape, Step};
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The field that holds the token if the configuration does not say.
const DEFAULT_FIELD: &str = "x-consumer-token";
/// Where the key is published if the configuration does not say.
const DEFAULT_PATH: &str = "/.well-known/jwks.json";
/// The longest life of a token.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// How many tokens each worker keeps.
const CACHE_ENTRIES: usize = 4096;
/// The most bytes of them.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

object! {
    /// A token for upstreams, signed by the gateway, that identifies the principal.
    pub struct IdentityTokenConfig {
        /// The issuer of the token (`iss`).
        pub issuer: Spanned<String>,
        /// The audience of the token (`aud`).
        pub audience: Spanned<String>,
        /// The lifetime of a token, at most 1h. Default: 1m.
        pub lifetime: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(60)),
        /// The header that holds the token. It is removed from client requests on every route. Default: x-consumer-token.
        pub header: Spanned<String> = Spanned::nowhere(DEFAULT_FIELD.to_owned()),
        /// The path at which the gateway publishes the public key. Default: /.well-known/jwks.json.
        pub key_set_path: Spanned<String> = Spanned::nowhere(DEFAULT_PATH.to_owned()),
        /// The private key, in PEM (PKCS #8, P-256). Gateways that serve the same API need the same key. Default: a new
        /// key at each start.
        pub key: Option<Spanned<Secret>>,
    }
}

impl Section for IdentityTokenConfig {
    const ABOUT: &'static str =
        "A token for upstreams, signed by the gateway, that identifies the principal.";
    const CHECKS: &'static [&'static str] = &["shape.identity_token"];

    fn compile(&self, _: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().shape(Arc::new(self.check(build, cx)?)))
    }
}

impl IdentityTokenConfig {
    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<IdentityToken> {
        let field = self.field(cx);
        let mut complete = true;
        if self.lifetime.value < Duration::from_secs(2) || self.lifetime.value > MAX_LIFETIME {
            cx.error(
                "config.token_lifetime",
                self.lifetime.span,
                "a token lives for at least 2s and at most 1h",
            )
            .help("write a duration such as `1m`; a new one is made when it is needed");
            complete = false;
        }
        let path = &self.key_set_path;
        if portcullis_core::head::path::canonical(&path.value).as_deref() != Ok(path.value.as_str())
            || path.value.contains(['{', '}'])
            || portcullis_core::route::pattern::foreign(&path.value).is_some()
        {
            cx.error("config.route_path", path.span, "this is not the path of a document")
                .help(format!("write a path such as `{DEFAULT_PATH}`"));
            complete = false;
        }
        let pair = self.pair(build, cx);
        if !complete {
            return None;
        }
        let signer = pair?;
        let keys = build.key_sets.entry(path.value.clone()).or_default();
        keys.add(signer.jwk.clone());
        let served = Served {
            path: path.value.clone(),
            hosts: Vec::new(),
            methods: MethodSet::named("GET")?.with_head(),
            keeps: Vec::new(),
            endpoint: Arc::clone(keys) as Arc<dyn Endpoint>,
        };
        build.serve(served);
        Some(IdentityToken {
            issuer: self.issuer.value.clone(),
            audience: self.audience.value.clone(),
            lifetime: self.lifetime.value,
            field: field?,
            signer,
            hasher: RandomState::new(),
            made: ByteCache::new(CACHE_ENTRIES, CACHE_BYTES),
        })
    }

    fn field(&self, cx: &mut Context) -> Option<HeaderName> {
        if self.header.value.eq_ignore_ascii_case(DEFAULT_FIELD) {
            return Some(HeaderName::from_static(DEFAULT_FIELD));
        }
        let field = crate::authn::field_name(&self.header, cx)?;
        // The header is removed from every client, so one that clients need for something else cannot be it.
        let means_something =
            ["accept", "content-", "cookie", "if-", "origin", "range", "referer", "user-agent"]
                .iter()
                .any(|name| field.as_str().starts_with(name));
        if means_something {
            cx.error(
                "config.reserved_field",
                self.header.span,
                format!("clients say something else in `{field}`"),
            )
            .help("use a field that only the gateway sets, such as `x-consumer-token`");
            return None;
        }
        Some(field)
    }

    /// What signs. A key that the gateway makes is the same in the next plan: upstreams remember it.
    fn pair(&self, build: &Build, cx: &mut Context) -> Option<Arc<Signer>> {
        let made = match &self.key {
            None => {
                let name = format!("{:?} {:?}", self.issuer.value, self.audience.value);
                build.kept.find::<Signer>(&name).or_else(|| {
                    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
                    Some(build.kept.insert(&name, Arc::new(Signer::new(pair))))
                })
            }
            Some(key) => pem(key.value.expose())
                .and_then(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).ok())
                .map(|pair| Arc::new(Signer::new(pair))),
        };
        if made.is_none() {
            let at = self.key.as_ref().map_or(self.at, |key| key.span);
            cx.error("config.signing_key", at, "this is not a private key for ES256")
                .help("make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`");
        }
        made
    }
}

/// Signs with one key.
struct Signer {
    pair: EcdsaKeyPair,
    kid: String,
    jwk: Value,
    random: SystemRandom,
}

impl Signer {
    fn new(pair: EcdsaKeyPair) -> Signer {
        // An uncompressed point (SEC 1, section 2.3.3): 0x04, x, y.
        let point = pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| {
            Base64UrlUnpadded::encode_string(point.get(range).unwrap_or_default())
        };
        let (x, y) = (part(1..33), part(33..65));
        // RFC 7638, section 3.
        let thumbprint = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, thumbprint.as_bytes());
        let kid = Base64UrlUnpadded::encode_string(digest.as_ref());
        let jwk =
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": "ES256", "kid": kid });
        Signer { pair, kid, jwk, random: SystemRandom::new() }
    }

    fn sign(&self, claims: &Value) -> Option<HeaderValue> {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).ok()?;
        let signature = Base64UrlUnpadded::encode_string(signature.as_ref());
        let mut value = HeaderValue::try_from(format!("{signed}.{signature}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Publishes keys under one path.
#[derive(Default)]
pub struct PublishedKeys(Mutex<Vec<Value>>);

impl PublishedKeys {
    fn list(&self) -> MutexGuard<'_, Vec<Value>> {
        // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, jwk: Value) {
        let mut list = self.list();
        if !list.contains(&jwk) {
            list.push(jwk);
        }
    }
}

impl Endpoint for PublishedKeys {
    fn describe(&self) -> String {
        "the keys with which the gateway signs".to_owned()
    }

    fn answer<'a>(&'a self, _: &'a Request<Bytes>, _: &'a dyn Effects) -> Step<'a, Response<Bytes>> {
        let document = json!({ "keys": *self.list() }).to_string();
        let mut response = Response::new(Bytes::from(document));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        Step::Ready(response)
    }
}

struct Made {
    token: HeaderValue,
    /// Until when it is used, time since 1970.
    until: Duration,
}

/// The check.
pub struct IdentityToken {
    issuer: String,
    audience: String,
    lifetime: Duration,
    field: HeaderName,
    signer: Arc<Signer>,
    hasher: RandomState,
    made: ByteCache<(u64, u64), Made>,
}

impl Check for IdentityToken {
    fn id(&self) -> CheckId {
        CheckId::new("shape.identity_token")
    }

    fn describe(&self) -> String {
        format!("adds {}, a signed token for {} that says who sends the request", self.field, self.audience)
    }
}

impl IdentityToken {
    /// A number that two principals share only if their tokens are the same, but for the time.
    fn key(&self, principal: &Principal, facts: &Facts<'_>) -> (u64, u64) {
        let consumers = &facts.plan.consumers;
        let issuer = principal.as_subject().map(|subject| (&subject.issuer, &subject.client));
        let name = principal.name(consumers);
        let content = (name, issuer, principal.roles(consumers), principal.scopes(consumers));
        (self.hasher.hash_one((0_u8, &content)), self.hasher.hash_one((1_u8, &content)))
    }

    fn claims(&self, principal: &Principal, facts: &Facts<'_>, id: [u8; 16]) -> Value {
        let consumers = &facts.plan.consumers;
        let now = facts.now.unix.as_secs();
        let mut claims = Map::new();
        let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        add("iss", json!(self.issuer));
        add("aud", json!(self.audience));
        add("iat", json!(now));
        add("exp", json!(now + self.lifetime.as_secs()));
        add("jti", json!(Base64UrlUnpadded::encode_string(&id)));
        add("sub", json!(principal.name(consumers)));
        add("roles", json!(principal.roles(consumers)));
        add("scope", json!(principal.scopes(consumers).join(" ")));
        if let Some(subject) = principal.as_subject() {
            add("sub_issuer", json!(subject.issuer));
            if let Some(client) = &subject.client {
                add("client_id", json!(client));
            }
        }
        Value::Object(claims)
    }
}

impl Shape for IdentityToken {
    fn identity_fields(&self) -> Vec<HeaderName> {
        vec![self.field.clone()]
    }

    fn shape<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Vec<(HeaderName, HeaderValue)>, Denial>> {
        if *principal.identity() == Identity::Anonymous {
            return Step::Ready(Ok(Vec::new()));
        }
        let key = self.key(principal, facts);
        let now = facts.now.unix;
        let made = self.made.find(&key, |made| (now < made.until).then(|| made.token.clone()));
        if let Some(token) = made {
            return Step::Ready(Ok(vec![(self.field.clone(), token)]));
        }
        let Some(token) = self.signer.sign(&self.claims(principal, facts, effects.random())) else {
            return Step::Ready(Err(Denial::new(Code::Fault, "the identity token could not be signed")));
        };
        let until = now.saturating_add(self.lifetime / 2);
        self.made.insert(key, Made { token: token.clone(), until }, token.len());
        Step::Ready(Ok(vec![(self.field.clone(), token)]))
    }
}
