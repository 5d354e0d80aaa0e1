//! Who sends a request.
//!
//! A principal exists only after authentication. Consumers that the configuration names live in the plan and are
//! referred to by number, so that naming one costs no allocation and no shared reference count. Subjects, whom only an
//! issuer knows, come with their tokens.

use crate::check::CheckId;
use crate::claims::Claim;
use crate::denial::{Code, Denial};
use crate::effects::KeyDigest;
use ipnet::IpNet;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A consumer that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name, unique in the plan. Visible ASCII, so that it can stand in a header field.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// What it may use the API for, as a token's scopes say it.
    pub scopes: Vec<String>,
}

/// A consumer's place in [`Consumers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(pub u32);

/// Every consumer of a plan.
#[derive(Debug, Default)]
pub struct Consumers {
    all: Vec<Consumer>,
    by_name: HashMap<String, ConsumerId>,
}

impl Consumers {
    /// Adds a consumer. `Err` with the one that already has this name.
    pub fn add(&mut self, consumer: Consumer) -> Result<ConsumerId, ConsumerId> {
        if let Some(id) = self.by_name.get(&consumer.name) {
            return Err(*id);
        }
        let id = ConsumerId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.by_name.insert(consumer.name.clone(), id);
        self.all.push(consumer);
        Ok(id)
    }

    /// The consumer with this number. `None` for a number of another plan.
    pub fn find(&self, id: ConsumerId) -> Option<&Consumer> {
        self.all.get(id.0 as usize)
    }

    /// The number of the consumer with this name.
    pub fn named(&self, name: &str) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.all.iter()
    }
}

/// Somebody for whom an issuer vouches.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Who vouches: the `iss` of a token.
    pub issuer: String,
    /// Who it is, unique for the issuer: `sub`, or the client where a token is the client's own.
    pub name: String,
    /// The client that acts for it (`client_id`, `azp`), if the issuer says so.
    pub client: Option<String>,
    /// Its roles, from the claim that the configuration names.
    pub roles: Vec<String>,
    /// What the token may be used for (RFC 6749, section 3.3).
    pub scopes: Vec<String>,
    /// All that the issuer says: an object.
    pub claims: Claim,
    /// Issuer and name, under which its requests are counted.
    pub key: Vec<u8>,
}

impl Subject {
    /// Somebody with neither role nor scope.
    pub fn new(issuer: impl Into<String>, name: impl Into<String>, claims: Claim) -> Subject {
        let (issuer, name) = (issuer.into(), name.into());
        // A NUL stands in neither, so no two subjects share a key.
        let key = [issuer.as_bytes(), b"\0", name.as_bytes()].concat();
        Subject { issuer, name, client: None, roles: Vec::new(), scopes: Vec::new(), claims, key }
    }

    /// The bytes that it holds, itself included, for caches that are bounded in bytes.
    pub fn bytes(&self) -> usize {
        let words = |words: &Vec<String>| {
            let inside: usize = words.iter().map(String::capacity).sum();
            words.capacity() * size_of::<String>() + inside
        };
        let texts = self.issuer.capacity() + self.name.capacity() + self.key.capacity();
        let client = self.client.as_ref().map_or(0, String::capacity);
        let lists = words(&self.roles) + words(&self.scopes);
        size_of::<Subject>() + texts + client + lists + self.claims.heap_bytes()
    }
}

/// The number of an API key in a store. Never that of another key, and no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key_{:016x}", self.0)
    }
}

impl std::str::FromStr for KeyId {
    type Err = NotAKeyId;

    fn from_str(text: &str) -> Result<KeyId, NotAKeyId> {
        let digits = text.strip_prefix("key_").ok_or(NotAKeyId)?;
        if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAKeyId);
        }
        u64::from_str_radix(digits, 16).map(KeyId).map_err(|_| NotAKeyId)
    }
}

/// A text that is not `key_` and 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAKeyId;

/// What a key in a store stands for. Keys that say the same share one.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyProfile {
    /// The name of its consumer.
    pub consumer: String,
    /// Whether the consumer is in the store as well. Otherwise the configuration names it.
    pub is_stored: bool,
    /// The roles that it has. `None`: those of the consumer that the configuration names.
    pub roles: Option<Vec<String>>,
    /// The scopes that it has. `None`: those of the consumer that the configuration names.
    pub scopes: Option<Vec<String>>,
    /// The plan that its requests are counted by, by name. `None`: the consumer's, if it has one.
    pub plan: Option<String>,
    /// The networks from which it is accepted. Empty: everywhere.
    pub addresses: Vec<IpNet>,
    /// The routes for which it is accepted, by their path, with or without a host before it. Empty: all.
    pub routes: Vec<String>,
    /// The consumer's name, under which its requests are counted where the configuration does not name it.
    pub count_key: Vec<u8>,
}

impl KeyProfile {
    /// The bytes that it holds, itself included.
    pub fn bytes(&self) -> usize {
        let words = |words: &Vec<String>| {
            let inside: usize = words.iter().map(String::capacity).sum();
            words.capacity() * size_of::<String>() + inside
        };
        let lists = self.roles.as_ref().map_or(0, words) + self.scopes.as_ref().map_or(0, words);
        let texts = self.consumer.capacity()
            + self.count_key.capacity()
            + self.plan.as_ref().map_or(0, String::capacity);
        let bindings = self.addresses.capacity() * size_of::<IpNet>() + words(&self.routes);
        size_of::<KeyProfile>() + texts + lists + bindings
    }
}

/// A key that a store has.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredKey {
    /// Its number.
    pub id: KeyId,
    /// Its hash, by which it is found again.
    pub hash: KeyDigest,
    /// Time since 1970 from which on it is no longer valid.
    pub expires: Option<std::time::Duration>,
    /// What it stands for.
    pub profile: Arc<KeyProfile>,
}

/// Whom a principal stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// Nobody in particular: the route is public, or its authentication only observes. Has no role.
    Anonymous,
    /// A consumer that the configuration names.
    Consumer(ConsumerId),
    /// A consumer that the store of keys names, with what its key may do.
    Stored(Arc<KeyProfile>),
    /// Somebody for whom an issuer vouches.
    Subject(Arc<Subject>),
}

/// A number that stands for a credential, for remembering that it was good. Two credentials share one by chance alone,
/// since it is made with a secret of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

/// What the requests with a credential are counted under. Unlike a [`Fingerprint`], it is the same at each gateway with the same
/// configuration or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedCredential {
    /// A key of the store.
    Stored(KeyId),
    /// A key or password of the configuration, by a digest.
    Configured([u8; 16]),
}

/// A method of authentication, by its number: no two methods of a plan share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MethodId(pub u32);

/// What a credential is called, so that its method finds it again without it. Says nothing of the credential itself, but for
/// one that only somebody else can judge.
#[derive(Clone, PartialEq, Eq)]
pub enum CredentialName {
    /// A digest: of a key, a token, a password or a certificate.
    Digest([u8; 32]),
    /// The number of a session, or the name of somebody with a password.
    Text(Arc<str>),
    /// A token that only its issuer can tell anything of, with its digest: without it nobody could be asked again.
    Token {
        /// The digest.
        digest: [u8; 32],
        /// The token.
        token: Arc<str>,
    },
}

// SECURITY: a session's number is told to nobody (what_evidence_rests_on_is_not_shown).
impl fmt::Debug for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CredentialName::Digest(_) => "Digest(•••)",
            CredentialName::Text(_) => "Text(•••)",
            CredentialName::Token { .. } => "Token(•••)",
        })
    }
}

/// What evidence rests on. While a request runs for long, its method is asked whether that still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The credential.
    pub credential: CredentialName,
    /// A number for the rules that it was accepted by. Methods with the same number accept the same credentials.
    pub rules: u64,
    /// Time since 1970 from which on it is no longer good. `None` where it has no end.
    pub until: Option<Duration>,
}

impl Ground {
    /// That it is good at `now`, time since 1970.
    ///
    /// # Errors
    /// It has expired.
    pub fn holds_at(&self, now: Duration) -> Result<(), Denial> {
        match self.until {
            Some(until) if now >= until => {
                Err(Denial::new(Code::CredentialExpired, "the credential expired while the request ran"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What one method established of a request: who sends it, and by which method that is known.
///
/// A scope, a role, a consumer or an issuer is always that of a piece of evidence, and never of the request as a whole, so
/// that nothing is credited to a method that did not establish it.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The method.
    pub method: MethodId,
    /// The check under whose name it goes in records.
    pub check: CheckId,
    /// Its credential, where there is one that could be guessed.
    pub fingerprint: Option<Fingerprint>,
    /// What requests with its credential are counted under.
    pub counted_as: Option<CountedCredential>,
    /// What it rests on. Evidence without it is good for short requests alone: a long one ends at its first review.
    pub ground: Option<Ground>,
    /// The key of the store that established it, if one did.
    pub key: Option<KeyId>,
    identity: Identity,
    /// What the key itself says, where the consumer is the configuration's.
    narrowed: Option<Arc<KeyProfile>>,
}

impl Evidence {
    /// The consumer `id`, established by `method` of `check`.
    pub fn consumer(id: ConsumerId, method: MethodId, check: CheckId) -> Evidence {
        Evidence::new(Identity::Consumer(id), method, check)
    }

    /// The consumer of a key in a store, established by `method` of `check`. `consumers` are the configuration's.
    ///
    /// # Errors
    /// Nobody is this consumer, or two are.
    pub fn stored(
        key: &StoredKey,
        consumers: &Consumers,
        method: MethodId,
        check: CheckId,
    ) -> Result<Evidence, NoHolder> {
        let profile = &key.profile;
        let configured = consumers.named(&profile.consumer);
        let mut evidence = match (profile.is_stored, configured) {
            (true, None) => Evidence::new(Identity::Stored(Arc::clone(profile)), method, check),
            // SECURITY: which of two is meant is not to be guessed (a_name_that_two_have_is_refused).
            (true, Some(_)) => return Err(NoHolder::Two),
            (false, None) => return Err(NoHolder::Nobody),
            (false, Some(id)) => {
                let mut evidence = Evidence::new(Identity::Consumer(id), method, check);
                evidence.narrowed = consumers.find(id).and_then(|consumer| narrowed(profile, consumer));
                evidence
            }
        };
        evidence.key = Some(key.id);
        evidence.counted_as = Some(CountedCredential::Stored(key.id));
        Ok(evidence)
    }

    fn new(identity: Identity, method: MethodId, check: CheckId) -> Evidence {
        Evidence {
            method,
            check,
            fingerprint: None,
            counted_as: None,
            ground: None,
            key: None,
            identity,
            narrowed: None,
        }
    }

    /// A subject, established by `method` of `check`.
    pub fn subject(subject: Arc<Subject>, method: MethodId, check: CheckId) -> Evidence {
        Evidence::new(Identity::Subject(subject), method, check)
    }

    /// With the credential that established it.
    #[must_use]
    pub fn by_credential(mut self, fingerprint: Fingerprint) -> Evidence {
        self.fingerprint = Some(fingerprint);
        self
    }

    /// With what requests of its credential are counted under: a key or password of the configuration.
    #[must_use]
    pub fn counted_as(mut self, credential: [u8; 16]) -> Evidence {
        self.counted_as = Some(CountedCredential::Configured(credential));
        self
    }

    /// With what it rests on.
    #[must_use]
    pub fn resting_on(mut self, ground: Ground) -> Evidence {
        self.ground = Some(ground);
        self
    }

    /// The same, established by `method`.
    #[must_use]
    pub fn now_by(&self, method: MethodId) -> Evidence {
        Evidence { method, ..self.clone() }
    }

    /// Whom it speaks of. Never anonymous.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the credential itself may be used for.
    pub fn scopes<'a>(&'a self, consumers: &'a Consumers) -> &'a [String] {
        let own = self.narrowed.as_ref().and_then(|key| key.scopes.as_deref());
        own.unwrap_or_else(|| self.identity.scopes(consumers))
    }

    /// The roles that the credential itself gives.
    pub fn roles<'a>(&'a self, consumers: &'a Consumers) -> &'a [String] {
        let own = self.narrowed.as_ref().and_then(|key| key.roles.as_deref());
        own.unwrap_or_else(|| self.identity.roles(consumers))
    }

    /// The plan that the credential itself names.
    pub fn own_plan(&self) -> Option<&str> {
        match (&self.narrowed, &self.identity) {
            (Some(key), _) | (None, Identity::Stored(key)) => key.plan.as_deref(),
            (None, Identity::Anonymous | Identity::Consumer(_) | Identity::Subject(_)) => None,
        }
    }

    /// Whether both cannot be true of one request: they name two consumers, or two subjects of one issuer.
    fn contradicts(&self, other: &Evidence) -> bool {
        match (&self.identity, &other.identity) {
            (Identity::Consumer(one), Identity::Consumer(other)) => one != other,
            (Identity::Stored(one), Identity::Stored(other)) => one.consumer != other.consumer,
            // A name is either the configuration's or the store's.
            (Identity::Consumer(_), Identity::Stored(_)) | (Identity::Stored(_), Identity::Consumer(_)) => {
                true
            }
            (Identity::Subject(one), Identity::Subject(other)) => {
                one.issuer == other.issuer && one.name != other.name
            }
            // What an issuer calls somebody is no consumer's name.
            (Identity::Consumer(_) | Identity::Stored(_), Identity::Subject(_))
            | (Identity::Subject(_), Identity::Consumer(_) | Identity::Stored(_)) => false,
            (Identity::Anonymous, _) | (_, Identity::Anonymous) => false,
        }
    }
}

/// Why nobody can be said to hold a key of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHolder {
    /// The key belongs to a consumer that the configuration no longer names.
    Nobody,
    /// The configuration and the store both have a consumer of this name.
    Two,
}

/// What a key says for itself, never more than its consumer has. `None` where it says nothing of its own.
// SECURITY: a role that was taken away in the file is gone for the keys as well (a_key_has_no_more_than_its_consumer).
fn narrowed(key: &Arc<KeyProfile>, consumer: &Consumer) -> Option<Arc<KeyProfile>> {
    if key.roles.is_none() && key.scopes.is_none() && key.plan.is_none() {
        return None;
    }
    let within = |own: &Option<Vec<String>>, all: &[String]| {
        own.as_ref().is_none_or(|own| own.iter().all(|one| all.contains(one)))
    };
    // Where the configuration says no scopes, its keys in the store say theirs.
    let any_scope = consumer.scopes.is_empty();
    if within(&key.roles, &consumer.roles) && (any_scope || within(&key.scopes, &consumer.scopes)) {
        return Some(Arc::clone(key));
    }
    let mut less = KeyProfile::clone(key);
    if let Some(roles) = &mut less.roles {
        roles.retain(|role| consumer.roles.contains(role));
    }
    if let Some(scopes) = less.scopes.as_mut().filter(|_| !any_scope) {
        scopes.retain(|scope| consumer.scopes.contains(scope));
    }
    Some(Arc::new(less))
}

impl Identity {
    /// Its name: a consumer's, or a subject's with its issuer. `None` for an anonymous one.
    fn name<'a>(&'a self, consumers: &'a Consumers) -> Option<&'a str> {
        match self {
            Identity::Anonymous => None,
            Identity::Consumer(id) => consumers.find(*id).map(|consumer| consumer.name.as_str()),
            Identity::Stored(key) => Some(&key.consumer),
            Identity::Subject(subject) => Some(&subject.name),
        }
    }

    fn roles<'a>(&'a self, consumers: &'a Consumers) -> &'a [String] {
        match self {
            Identity::Anonymous => &[],
            Identity::Consumer(id) => consumers.find(*id).map_or(&[], |consumer| consumer.roles.as_slice()),
            Identity::Stored(key) => key.roles.as_deref().unwrap_or_default(),
            Identity::Subject(subject) => &subject.roles,
        }
    }

    fn scopes<'a>(&'a self, consumers: &'a Consumers) -> &'a [String] {
        match self {
            Identity::Anonymous => &[],
            Identity::Consumer(id) => consumers.find(*id).map_or(&[], |consumer| consumer.scopes.as_slice()),
            Identity::Stored(key) => key.scopes.as_deref().unwrap_or_default(),
            Identity::Subject(subject) => &subject.scopes,
        }
    }
}

/// Who sends a request, and how that is known.
///
/// It stands for whom the first piece of evidence names: its name, roles and scopes are that one's. Where several methods
/// are needed, the others' evidence is kept beside it, for what asks about a method of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    first: Option<Evidence>,
    others: Vec<Evidence>,
}

impl Principal {
    /// The principal of a request that nobody had to identify.
    pub const ANONYMOUS: Principal = Principal { first: None, others: Vec::new() };

    /// Whom this evidence names.
    pub fn of(evidence: Evidence) -> Principal {
        Principal { first: Some(evidence), others: Vec::new() }
    }

    /// Adds what a further method established. `false`, and nothing is added, where it contradicts what any method before
    /// it has established.
    // SECURITY: each is compared with all before it, and not with the first alone (credentials_of_two_consumers_are_refused).
    #[must_use]
    pub fn add(&mut self, evidence: Evidence) -> bool {
        if self.evidence().any(|before| before.contradicts(&evidence)) {
            return false;
        }
        match self.first {
            None => self.first = Some(evidence),
            Some(_) => self.others.push(evidence),
        }
        true
    }

    /// What the methods established, in their order. Nothing for an anonymous one.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.first.iter().chain(&self.others)
    }

    /// Whom it stands for.
    pub fn identity(&self) -> &Identity {
        self.first.as_ref().map_or(&Identity::Anonymous, |first| &first.identity)
    }

    /// The check that established it; `None` for an anonymous one.
    pub fn authenticated_by(&self) -> Option<CheckId> {
        self.first.as_ref().map(|first| first.check)
    }

    /// Whether this very method took part in establishing it.
    pub fn is_by(&self, method: MethodId) -> bool {
        self.evidence().any(|evidence| evidence.method == method)
    }

    /// Its entry among `consumers`. `None` for an anonymous one, a subject, and a consumer of the store.
    pub fn entry<'a>(&self, consumers: &'a Consumers) -> Option<&'a Consumer> {
        match self.identity() {
            Identity::Anonymous | Identity::Stored(_) | Identity::Subject(_) => None,
            Identity::Consumer(id) => consumers.find(*id),
        }
    }

    /// The name of the consumer, the configuration's or the store's. `None` for an anonymous one and for a subject.
    pub fn consumer<'a>(&'a self, consumers: &'a Consumers) -> Option<&'a str> {
        match self.identity() {
            Identity::Anonymous | Identity::Subject(_) => None,
            Identity::Consumer(_) | Identity::Stored(_) => self.name(consumers),
        }
    }

    /// The subject whose claims are judged: the first that any method established, wherever it stands among several.
    pub fn claimant(&self) -> Option<&Subject> {
        self.evidence().find_map(|evidence| match &evidence.identity {
            Identity::Anonymous | Identity::Consumer(_) | Identity::Stored(_) => None,
            Identity::Subject(subject) => Some(subject.as_ref()),
        })
    }

    /// The keys of the store that took part in establishing it.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.evidence().filter_map(|evidence| evidence.key)
    }

    /// The subject. `None` for an anonymous one and for a consumer.
    pub fn as_subject(&self) -> Option<&Subject> {
        match self.identity() {
            Identity::Anonymous | Identity::Consumer(_) | Identity::Stored(_) => None,
            Identity::Subject(subject) => Some(subject),
        }
    }

    /// Its name: a consumer's, or a subject's with its issuer. `None` for an anonymous one.
    pub fn name<'a>(&'a self, consumers: &'a Consumers) -> Option<&'a str> {
        self.identity().name(consumers)
    }

    /// Its roles; none for an anonymous one.
    pub fn roles<'a>(&'a self, consumers: &'a Consumers) -> &'a [String] {
        self.first.as_ref().map_or(&[], |first| first.roles(consumers))
    }

    /// What its credential may be used for; nothing for an anonymous one.
    pub fn scopes<'a>(&'a self, consumers: &'a Consumers) -> &'a [String] {
        self.first.as_ref().map_or(&[], |first| first.scopes(consumers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: (MethodId, CheckId) = (MethodId(0), CheckId::new("authn.test"));

    fn profile(
        consumer: &str,
        is_stored: bool,
        roles: Option<&[&str]>,
        scopes: Option<&[&str]>,
    ) -> StoredKey {
        let owned = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        let profile = KeyProfile {
            consumer: consumer.to_owned(),
            is_stored,
            roles: roles.map(owned),
            scopes: scopes.map(owned),
            plan: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            count_key: Vec::new(),
        };
        StoredKey { id: KeyId(7), hash: KeyDigest([7; 32]), expires: None, profile: Arc::new(profile) }
    }

    fn consumers(scopes: &[&str]) -> Consumers {
        let mut consumers = Consumers::default();
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        consumers
            .add(Consumer { name: "alice".into(), roles: vec!["user".into(), "admin".into()], scopes })
            .unwrap();
        consumers
    }

    fn evidence(key: &StoredKey, consumers: &Consumers) -> Result<Evidence, NoHolder> {
        Evidence::stored(key, consumers, METHOD.0, METHOD.1)
    }

    #[test]
    fn a_name_that_two_have_is_refused() {
        let alice = consumers(&[]);
        assert_eq!(evidence(&profile("alice", true, Some(&[]), None), &alice), Err(NoHolder::Two));
        assert_eq!(evidence(&profile("bob", false, None, None), &alice), Err(NoHolder::Nobody));
        assert!(evidence(&profile("bob", true, Some(&[]), None), &alice).is_ok());
        assert!(evidence(&profile("alice", false, None, None), &alice).is_ok());
    }

    #[test]
    fn a_key_has_no_more_than_its_consumer() {
        let alice = consumers(&["read"]);
        let all = Principal::of(evidence(&profile("alice", false, None, None), &alice).unwrap());
        assert_eq!((all.roles(&alice).len(), all.scopes(&alice).len()), (2, 1));
        let key = profile("alice", false, Some(&["admin", "root"]), Some(&["read", "write"]));
        let less = Principal::of(evidence(&key, &alice).unwrap());
        assert_eq!(less.roles(&alice), ["admin"]);
        assert_eq!(less.scopes(&alice), ["read"]);
        assert_eq!(less.keys().collect::<Vec<_>>(), [KeyId(7)]);
        let open = consumers(&[]);
        assert_eq!(Principal::of(evidence(&key, &open).unwrap()).scopes(&open), ["read", "write"]);
    }

    #[test]
    fn consumers_of_the_file_and_of_the_store_are_never_one() {
        let alice = consumers(&[]);
        let mut both = Principal::of(Evidence::consumer(ConsumerId(0), METHOD.0, METHOD.1));
        assert!(!both.add(evidence(&profile("bob", true, None, None), &alice).unwrap()));
        assert!(both.add(evidence(&profile("alice", false, None, None), &alice).unwrap()));
        let mut two = Principal::of(evidence(&profile("bob", true, None, None), &alice).unwrap());
        assert!(!two.add(evidence(&profile("carol", true, None, None), &alice).unwrap()));
    }

    #[test]
    fn a_key_is_called_by_its_number() {
        assert_eq!(KeyId(0xab).to_string(), "key_00000000000000ab");
        assert_eq!("key_00000000000000ab".parse(), Ok(KeyId(0xab)));
        for wrong in ["", "key_", "key_ab", "00000000000000ab", "key_+0000000000000ab"] {
            assert_eq!(wrong.parse::<KeyId>(), Err(NotAKeyId), "{wrong}");
        }
    }

    #[test]
    fn what_evidence_rests_on_is_not_shown() {
        let shown = format!("{:?}", CredentialName::Text("nonce".into()));
        assert!(!shown.contains("nonce"), "{shown}");
        assert!(!format!("{:?}", CredentialName::Digest([7; 32])).contains('7'));
        let token = CredentialName::Token { digest: [7; 32], token: "opaque".into() };
        assert_eq!(format!("{token:?}"), "Token(•••)");
    }

    #[test]
    fn a_ground_holds_until_its_end() {
        let until = Some(Duration::from_secs(10));
        let ground = Ground { credential: CredentialName::Digest([0; 32]), rules: 0, until };
        assert!(ground.holds_at(Duration::from_millis(9_999)).is_ok());
        assert!(ground.holds_at(Duration::from_secs(10)).is_err());
    }
}
