//! What a configuration is rehearsed with: credentials that are good, credentials that are wrong, and doubles of the issuers.
//!
//! A rehearsal compiles a configuration with [`Doubles`] in place of keys that nobody here has: each API key gets a second
//! one, each issuer another pair of keys, each password another text. All of them are made from randomness of this process,
//! never leave it, and are in no plan that serves. How a method's credential is made, and in which ways it can be wrong, the
//! method says itself, in its own file ([`Method::good`](crate::authn::method::Method::good)).

pub mod sample;
mod signer;

pub use signer::{Signer, base64url};

use crate::authn::key_config::{KeyConfig, KeySource};
use crate::authn::mtls::CertificateIdentityConfig;
use crate::authn::password_config::PasswordConfig;
use crate::token::algorithm::Algorithm;
use crate::token::issuer::Issuer;
use crate::token::keys::KeySet;
use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use portcullis_config::Secret;
use portcullis_core::{ClientCertificate, Fetch, Fetched};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a rehearsal tries to get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attack {
    /// Without any credential.
    NoCredential,
    /// With a credential that nobody has.
    Wrong,
    /// With one that was good once.
    Expired,
    /// With one that is good later.
    NotYetValid,
    /// With one that is there twice.
    Repeated,
    /// With a token for another API.
    WrongAudience,
    /// With a token of an issuer that the route does not know.
    AnotherIssuer,
    /// With a token that somebody else has signed.
    ForeignSignature,
    /// With a token without a signature, by the algorithm `none`.
    AlgorithmNone,
    /// With a token that is signed with the public key as if it were a secret.
    AlgorithmSwapped,
    /// With a token that the issuer signed by an algorithm that the route does not take.
    AnotherAlgorithm,
    /// With a token that is older than the route allows.
    TooOld,
    /// With a token that was made for something else, such as an identity token.
    WrongPurpose,
    /// With a token that is not bound to its sender, or whose proof is missing.
    NoProof,
    /// From a page of another site.
    CrossSite,
    /// With one of two credentials, where both are needed.
    OneOfTwo,
    /// With credentials of two consumers, where both must be of one.
    WrongConsumer,
    /// By somebody without a role that is needed.
    WrongRole,
    /// By somebody without a scope that is needed.
    MissingScope,
    /// By somebody of whom the issuer says something else.
    WrongClaim,
    /// For something of somebody else.
    NotOwner,
    /// From an address that is not let in.
    WrongAddress,
    /// While a policy server says no.
    PolicyRefuses,
    /// While a policy server gives no answer.
    PolicyDown,
    /// For a host that the route does not have.
    WrongHost,
    /// Without a header or a parameter that the route is chosen by.
    Unmatched,
    /// With a method that the route does not have.
    WrongMethod,
    /// By another spelling of the path.
    PathTrick,
    /// By another spelling of the credential's header.
    HeaderAlias,
    /// With a header in which the gateway says who somebody is.
    Impersonation,
    /// With more than the route takes.
    Oversize,
    /// With a body of another media type.
    WrongType,
    /// With a body or a parameter that is not as declared.
    Undeclared,
    /// With what the firewall is there for.
    Injection,
    /// With one request more than the limit.
    OverLimit,
    /// With one request more at once than the bound.
    TooManyAtOnce,
    /// While the gateway is too slow, and others are worth more.
    Overload,
    /// From a page of an origin that may not read answers.
    ForeignOrigin,
    /// With an answer of the upstream that is not as declared.
    WrongAnswer,
}

impl Attack {
    /// Its name, as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Attack::NoCredential => "no credential",
            Attack::Wrong => "wrong credential",
            Attack::Expired => "expired",
            Attack::NotYetValid => "not yet valid",
            Attack::Repeated => "repeated credential",
            Attack::WrongAudience => "wrong audience",
            Attack::AnotherIssuer => "another issuer",
            Attack::ForeignSignature => "foreign signature",
            Attack::AlgorithmNone => "algorithm none",
            Attack::AlgorithmSwapped => "algorithm swapped",
            Attack::AnotherAlgorithm => "another algorithm",
            Attack::TooOld => "too old",
            Attack::WrongPurpose => "wrong purpose",
            Attack::NoProof => "no proof",
            Attack::CrossSite => "another site",
            Attack::OneOfTwo => "one of two credentials",
            Attack::WrongConsumer => "wrong consumer of two",
            Attack::WrongRole => "wrong role",
            Attack::MissingScope => "missing scope",
            Attack::WrongClaim => "wrong claim",
            Attack::NotOwner => "somebody else's",
            Attack::WrongAddress => "wrong address",
            Attack::PolicyRefuses => "policy refuses",
            Attack::PolicyDown => "policy server down",
            Attack::WrongHost => "another host",
            Attack::Unmatched => "not chosen by its match",
            Attack::WrongMethod => "wrong method",
            Attack::PathTrick => "path trick",
            Attack::HeaderAlias => "header alias",
            Attack::Impersonation => "impersonation",
            Attack::Oversize => "oversize",
            Attack::WrongType => "wrong type",
            Attack::Undeclared => "not as declared",
            Attack::Injection => "injection",
            Attack::OverLimit => "over the limit",
            Attack::TooManyAtOnce => "too many at once",
            Attack::Overload => "overload",
            Attack::ForeignOrigin => "another origin",
            Attack::WrongAnswer => "answer not as declared",
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who sends a request in a rehearsal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Person {
    /// The name: of a consumer, or a token's `sub`.
    pub name: String,
    /// The roles.
    pub roles: Vec<String>,
    /// The scopes.
    pub scopes: Vec<String>,
    /// What else a token says of them: by the path of the claim, such as `tenant.id`.
    pub claims: BTreeMap<String, Value>,
}

/// What proves who somebody is, as a request carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// Fields.
    pub headers: Vec<(String, String)>,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// Cookies.
    pub cookies: Vec<(String, String)>,
    /// The certificate of the connection.
    pub certificate: Option<ClientCertificate>,
}

impl Credential {
    /// A field.
    pub fn header(name: &str, value: impl Into<String>) -> Credential {
        Credential { headers: vec![(name.to_owned(), value.into())], ..Credential::default() }
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Credential) -> Credential {
        self.headers.extend(other.headers);
        self.query.extend(other.query);
        self.cookies.extend(other.cookies);
        self.certificate = self.certificate.or(other.certificate);
        self
    }

    /// The same twice, where that can be.
    pub fn repeated(&self) -> Option<Credential> {
        let twice = self.clone().and(Credential { certificate: None, ..self.clone() });
        (twice != *self).then_some(twice)
    }
}

/// A consumer of the configuration, with what it can show.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The name.
    pub name: &'a str,
    /// Its roles.
    pub roles: &'a [String],
    /// Its scopes.
    pub scopes: &'a [String],
    /// Its keys.
    pub keys: &'a [KeyConfig],
    /// Its password.
    pub password: Option<&'a PasswordConfig>,
    /// Its certificates.
    pub certificates: &'a [CertificateIdentityConfig],
}

impl Known<'_> {
    /// The consumer as somebody who sends a request.
    pub fn person(&self) -> Person {
        Person {
            name: self.name.to_owned(),
            roles: self.roles.to_vec(),
            scopes: self.scopes.to_vec(),
            claims: BTreeMap::new(),
        }
    }
}

/// What credentials of one request are made with.
pub struct Stage<'a> {
    /// The doubles that the plan was compiled with.
    pub doubles: &'a Doubles,
    /// The consumers of the configuration.
    pub consumers: &'a [Known<'a>],
    /// The time that it is, since 1970.
    pub now: Duration,
    /// The method of the request.
    pub method: &'a str,
    /// Its URL without the query, for proofs.
    pub url: String,
    /// Its body, for signatures.
    pub body: Bytes,
}

impl Stage<'_> {
    /// The consumer of this name.
    pub fn consumer(&self, name: &str) -> Option<&Known<'_>> {
        self.consumers.iter().find(|known| known.name == name)
    }
}

/// A credential that must be refused.
pub type Wrong = (Attack, Credential);

/// What stands for the name of an issuer that only its metadata would tell.
pub const UNTOLD_ISSUER: &str = "https://issuer.invalid";
const INTROSPECTION: &str = "https://introspection.invalid/";
const OPAQUE: &str = "opaque-";

/// What a policy server says in a rehearsal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicySays {
    /// Yes, to everybody.
    #[default]
    Yes,
    /// No, to everybody.
    No,
    /// Nothing that can be used.
    Nothing,
}

/// The stand-ins for secrets that are somebody else's.
pub struct Doubles {
    secret: hmac::Key,
    signers: Mutex<BTreeMap<String, Arc<Signer>>>,
    /// The policy servers, and what all of them say now.
    policies: Mutex<(BTreeSet<String>, PolicySays)>,
}

impl Doubles {
    /// Doubles that follow from this randomness.
    pub fn new(random: &[u8; 32]) -> Doubles {
        Doubles {
            secret: hmac::Key::new(hmac::HMAC_SHA256, random),
            signers: Mutex::default(),
            policies: Mutex::default(),
        }
    }

    /// A secret text that stands for `what`.
    fn text(&self, kind: &str, what: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(what);
        context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key that is as good as this one.
    pub fn key(&self, key: &KeyConfig) -> String {
        self.text("key", &identity(key))
    }

    /// A key of the same consumer that has expired.
    pub fn expired_key(&self, key: &KeyConfig) -> String {
        self.text("expired key", &identity(key))
    }

    /// A text that nobody has.
    pub fn nobodys(&self, what: &str) -> String {
        self.text("nobody's", what.as_bytes())
    }

    /// The password that belongs to this hash here.
    pub fn password(&self, hash: &str) -> String {
        self.text("password", hash.as_bytes())
    }

    /// Whether a password belongs to this hash here.
    pub fn is_password(&self, hash: &str, password: &[u8]) -> bool {
        self.password(hash).as_bytes() == password
    }

    fn signers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Signer>>> {
        self.signers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The double of an issuer, by its name or by where its tokens come from. `None` where the system makes no keys.
    pub fn signer(&self, of: &str) -> Option<Arc<Signer>> {
        if let Some(known) = self.signers().get(of) {
            return Some(Arc::clone(known));
        }
        let made = Arc::new(Signer::new(&self.text("secret", of.as_bytes()))?);
        Some(Arc::clone(self.signers().entry(of.to_owned()).or_insert(made)))
    }

    /// The issuer that `name` is in a rehearsal, with keys for these algorithms. `shared` says that its tokens are signed
    /// with a secret that the gateway has as well.
    pub fn issuer(
        &self,
        of: &str,
        name: Option<&str>,
        algorithms: &[Algorithm],
        shared: bool,
    ) -> Option<Issuer> {
        let signer = self.signer(of)?;
        let keys = if shared {
            KeySet::of_secret(signer.secret(), algorithms)
        } else {
            KeySet::parse(signer.key_set(algorithms)?.as_bytes(), algorithms).ok()?
        };
        let introspection = INTROSPECTION.parse::<Uri>().ok();
        let name = name.unwrap_or(UNTOLD_ISSUER).to_owned();
        Some(Issuer::double(
            name,
            keys,
            introspection,
            &format!("the double of {of} for {algorithms:?} {shared}"),
        ))
    }

    /// The secret that stands for one with which somebody signs.
    pub fn signing_secret(&self, secret: &Secret) -> String {
        self.text("signing secret", secret.expose().as_bytes())
    }

    /// An opaque token of which its server says this.
    pub fn opaque(&self, claims: &Map<String, Value>) -> String {
        let content = base64url(Value::Object(claims.clone()).to_string());
        format!("{OPAQUE}{content}.{}", self.text("opaque", content.as_bytes()))
    }

    fn policies(&self) -> MutexGuard<'_, (BTreeSet<String>, PolicySays)> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a policy server at this URL.
    pub fn add_policy_server(&self, url: &Uri) {
        self.policies().0.insert(url.to_string());
    }

    /// From now on, policy servers say this.
    pub fn let_policies_say(&self, says: PolicySays) {
        self.policies().1 = says;
    }

    fn policy(&self, fetch: &Fetch) -> Option<Fetched> {
        let (servers, says) = &*self.policies();
        if !servers.contains(&fetch.url.to_string()) {
            return None;
        }
        let (status, body) = match says {
            PolicySays::Yes => (StatusCode::OK, "{\"result\":true}"),
            // OPA says it in the body, and others by the status.
            PolicySays::No if fetch.method == Method::POST => (StatusCode::OK, "{\"result\":false}"),
            PolicySays::No => (StatusCode::FORBIDDEN, ""),
            PolicySays::Nothing => (StatusCode::INTERNAL_SERVER_ERROR, ""),
        };
        Some(Fetched { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) })
    }

    /// Stands for a token that a server gives the gateway.
    pub fn upstream_token(&self, url: &Uri) -> String {
        self.text("upstream token", url.to_string().as_bytes())
    }

    /// What the server that is asked answers, if it has a double.
    pub fn answer(&self, fetch: &Fetch) -> Option<Fetched> {
        if let Some(said) = self.policy(fetch) {
            return Some(said);
        }
        if fetch.url != INTROSPECTION {
            return None;
        }
        let body = String::from_utf8_lossy(&fetch.body).into_owned();
        let token = body.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        let known = token.strip_prefix(OPAQUE).and_then(|token| token.split_once('.'));
        let said = known.filter(|(content, code)| self.text("opaque", content.as_bytes()) == *code);
        let said = said.and_then(|(content, _)| signer::from_base64url(content));
        // One that is asked about although it is signed was verified before.
        let otherwise: &[u8] = match token.bytes().filter(|byte| *byte == b'.').count() {
            2 => b"{\"active\":true,\"token_type\":\"Bearer\"}",
            _ => b"{\"active\":false}",
        };
        let body = said.map_or_else(|| Bytes::from_static(otherwise), Bytes::from);
        Some(Fetched { status: StatusCode::OK, headers: HeaderMap::new(), body })
    }
}

impl fmt::Debug for Doubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doubles(•••)")
    }
}

/// What tells a key from others, without the key.
fn identity(key: &KeyConfig) -> Vec<u8> {
    match &key.source {
        KeySource::Key(secret) => {
            digest::digest(&digest::SHA256, secret.expose().as_bytes()).as_ref().to_vec()
        }
        KeySource::Hash { hash, .. } => hash.to_vec(),
    }
}

/// Puts a value at the path of a claim, making the objects on the way.
pub fn place_claim(claims: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            claims.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = claims.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                place_claim(inner, rest, value);
            }
        }
    }
}
