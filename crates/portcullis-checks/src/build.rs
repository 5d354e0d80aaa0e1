//! What checks are built with, and what they leave behind for the gateway.

use crate::authn::key_digest::KeyHasher;
use crate::authn::mtls::Certificates;
use crate::authn::openid_connect::config::BuiltLogin;
use crate::authn::users::Users;
use crate::inspect::openapi::config::CompiledKey;
use crate::quota::by::By;
use crate::quota::cost::Named;
use crate::rehearsal::Doubles;
use crate::shape::identity_token::PublishedKeys;
use crate::token::issuer::Issuer;
use http::HeaderName;
use portcullis_config::{Context, Span, Spanned, suggest};
use portcullis_core::check::Policy;
use portcullis_core::endpoint::Served;
use portcullis_core::head::FieldRules;
use portcullis_core::{Consumer, ConsumerId, Consumers, Job, KeyRecord, KeySetId, Limit, LimitId, MethodId};
use portcullis_openapi::Api;
use portcullis_store::{Calendar, Kept, MemoryKeys, NamedLimit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Collects what the checks of a configuration need at run time.
pub struct Build {
    /// The consumers so far.
    pub consumers: Consumers,
    /// The keys so far.
    pub keys: MemoryKeys,
    /// The set that holds the keys of the consumers.
    pub consumer_keys: KeySetId,
    /// Whether there is a store with more keys.
    pub has_key_store: bool,
    /// The names of the plans that consumers and keys can have.
    pub plans: Arc<BTreeSet<String>>,
    /// The consumers that have a password.
    pub users: Arc<Users>,
    /// Makes digests of keys.
    pub hasher: KeyHasher,
    /// What goes on beside requests.
    pub jobs: Vec<Arc<dyn Job>>,
    /// What the gateway itself answers.
    pub endpoints: Vec<Served>,
    /// The keys that are published, by path.
    pub key_sets: BTreeMap<String, Arc<PublishedKeys>>,
    /// Whose client certificates are whose.
    pub certificates: Arc<Certificates>,
    /// Whether any listener asks clients for certificates.
    pub asks_for_certificates: bool,
    /// The logins so far.
    pub logins: Vec<BuiltLogin>,
    /// The OpenAPI documents so far, so that each is compiled once.
    pub(crate) documents: Vec<(CompiledKey, Arc<Api>)>,
    /// What becomes of header fields, as far as it is known before the routes are.
    pub fields: FieldRules,
    /// What stands before the roles of any issuer, each once and none empty.
    pub role_prefixes: BTreeSet<String>,
    /// The header fields that OpenAPI documents declare, in lower case.
    pub declared_fields: BTreeSet<String>,
    /// The header fields that checks before authentication read, and where the configuration says so.
    pub read_fields: Vec<Spanned<HeaderName>>,
    /// The URLs that the gateway itself will ask.
    pub asked: Vec<Spanned<String>>,
    /// Where randomness comes from.
    pub random: Random,
    /// What stands for secrets of others, where the configuration is only rehearsed.
    pub doubles: Option<Arc<Doubles>>,
    methods: u32,
    /// What plans before this one have left.
    pub kept: Kept,
    /// Where in the configuration limits are declared that are compiled now, by a name that stays: the gateway or a route.
    pub scope: Arc<str>,
    limits: Vec<NamedLimit>,
    /// The operations that limits speak of.
    pub(crate) needed_operations: Vec<NeededOperation>,
    /// What clients are told of each limit, by its number.
    pub policies: Vec<Policy>,
    /// How many limits have each name.
    limit_names: HashMap<String, u32>,
    /// Consumers that are counted under another name than their own.
    counted_as: HashMap<u32, Arc<str>>,
}

/// An operation that a limit speaks of.
pub(crate) struct NeededOperation {
    /// Its `operationId`, or its method and path. `None`: any.
    pub(crate) name: Option<String>,
    /// Where the limit stands.
    pub(crate) at: Span,
}

/// Fills bytes with randomness, or says that there is none.
pub type Random = fn(&mut [u8]) -> Result<(), NoRandomness>;

/// The system's generator failed.
#[derive(Clone, Copy, Debug)]
pub struct NoRandomness;

/// The system's generator.
///
/// # Errors
/// It failed.
pub fn system_random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| NoRandomness)
}

impl Build {
    /// Starts with no consumer, key or limit, and with what plans before have left.
    pub fn new(hasher: KeyHasher, kept: Kept) -> Build {
        let mut keys = MemoryKeys::default();
        let consumer_keys = keys.add_set();
        Build {
            consumers: Consumers::default(),
            keys,
            consumer_keys,
            has_key_store: false,
            plans: Arc::default(),
            users: Arc::default(),
            hasher,
            jobs: Vec::new(),
            endpoints: Vec::new(),
            key_sets: BTreeMap::new(),
            certificates: Arc::default(),
            asks_for_certificates: false,
            logins: Vec::new(),
            documents: Vec::new(),
            fields: FieldRules::default(),
            role_prefixes: BTreeSet::new(),
            declared_fields: BTreeSet::new(),
            read_fields: Vec::new(),
            asked: Vec::new(),
            random: system_random,
            doubles: None,
            methods: 0,
            kept,
            scope: Arc::from("gateway"),
            limits: Vec::new(),
            needed_operations: Vec::new(),
            policies: Vec::new(),
            limit_names: HashMap::new(),
            counted_as: HashMap::new(),
        }
    }

    /// Randomness for a secret that is made at the start. `None`, with an error at `at`, where the generator fails.
    // SECURITY: a secret of zeros would be one that everybody knows (a_generator_that_fails_refuses_the_configuration).
    pub fn random<const BYTES: usize>(&self, at: Span, cx: &mut Context) -> Option<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        if (self.random)(&mut bytes).is_ok() {
            return Some(bytes);
        }
        cx.error("config.no_randomness", at, "the system gives no randomness for a secret that is made here")
            .help("look at the system's random number generator");
        None
    }

    /// Adds something that goes on beside requests.
    pub fn add_job(&mut self, job: Arc<dyn Job>) {
        let there = |other: &Arc<dyn Job>| std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(&job));
        if !self.jobs.iter().any(there) {
            self.jobs.push(job);
        }
    }

    /// An issuer: the one that a plan has already, if it was told the very same. Its job is seen to.
    pub fn issuer(&mut self, issuer: Issuer) -> Arc<Issuer> {
        let name = issuer.settings().to_owned();
        let issuer = self.kept.keep(&name, || issuer);
        if issuer.is_fetched() {
            self.add_job(Arc::clone(&issuer) as Arc<dyn Job>);
        }
        issuer
    }

    /// Adds something that the gateway itself answers. Whoever was first under a path keeps it.
    pub fn serve(&mut self, served: Served) {
        self.endpoints.push(served);
    }

    /// A number for a limit that nobody else counts against. It is found again in the next plan by `name`, which is what
    /// its declaration is called where it stands.
    ///
    /// With a calendar, its windows begin by that. `policy` is what clients are told of it.
    pub fn new_limit(
        &mut self,
        name: &str,
        calendar: Option<Calendar>,
        policy: &Policy,
        limit: impl FnOnce(LimitId) -> Limit,
    ) -> Limit {
        let limit = limit(LimitId(u32::try_from(self.limits.len()).unwrap_or(u32::MAX)));
        self.policies.push(policy.clone());
        let mut full = format!("{} {name}", self.scope);
        // Several limits of one name in one place are told apart by their order.
        let number = self.limit_names.entry(full.clone()).or_insert(0);
        *number += 1;
        if *number > 1 {
            full.push_str(&format!(" #{number}"));
        }
        self.limits.push(NamedLimit { name: Arc::from(full), limit, calendar });
        limit
    }

    /// A limit counts by this.
    pub(crate) fn needs_operations_of(&mut self, by: &By, at: Span) {
        if by.is_by_operation() {
            self.needed_operations.push(NeededOperation { name: None, at });
        }
    }

    /// That every operation that a limit speaks of is in one of the documents.
    // SECURITY: a cost of an operation that nobody has would be a limit that never runs
    // (every_code_points_to_its_place_and_says_what_to_do).
    pub fn check_operations(&self, cx: &mut Context) {
        let all = || self.documents.iter().flat_map(|(_, api)| api.operations());
        for NeededOperation { name, at } in &self.needed_operations {
            let Some(name) = name else {
                if all().next().is_none() {
                    cx.error(
                        "config.no_operation",
                        *at,
                        "this counts by operation, and no route has an OpenAPI document",
                    )
                    .help("add `openapi: FILE` to the gateway or to a route, or count `by: route`");
                }
                continue;
            };
            let named = Named::parse(name);
            if all().any(|one| named.is(one.method(), one.path(), one.id())) {
                continue;
            }
            let problem = cx.error(
                "config.no_operation",
                *at,
                format!("no OpenAPI document has an operation `{name}`"),
            );
            match suggest::closest(name, all().filter_map(|one| one.id())) {
                Some(closest) => problem.label(format!("did you mean `{closest}`?")),
                None => problem.help(
                    "write an `operationId`, or a method and a path of the document, such as `GET /orders/{id}`",
                ),
            };
        }
    }

    /// A number for a method of authentication that no other one has.
    pub fn new_method(&mut self) -> MethodId {
        self.methods += 1;
        MethodId(self.methods - 1)
    }

    /// The limits, by number, and what they are called.
    pub fn limits(&self) -> Vec<NamedLimit> {
        self.limits.clone()
    }

    /// What each consumer is counted under, by number.
    pub fn counted_as(&self) -> Vec<Arc<str>> {
        (0..)
            .zip(self.consumers.iter())
            .map(|(number, consumer)| match self.counted_as.get(&number) {
                Some(name) => Arc::clone(name),
                None => Arc::from(format!("consumer {}", consumer.name)),
            })
            .collect()
    }

    /// A consumer for a key that the configuration lists without a name. It is counted under the key, since its number is
    /// another one when a key before it goes.
    pub fn unnamed_consumer(&mut self, key: &crate::authn::KeyConfig) -> ConsumerId {
        let name: String = self.hasher.counted_as(key).iter().map(|byte| format!("{byte:02x}")).collect();
        let counted_as = format!("key {name}");
        self.nameless_consumer("key", &counted_as)
    }

    /// A consumer without a name and without roles, called after its `kind` and counted under another name.
    pub fn nameless_consumer(&mut self, kind: &str, counted_as: &str) -> ConsumerId {
        let mut number = self.consumers.len() + 1;
        loop {
            match self.consumers.add(Consumer {
                name: format!("{kind}-{number}"),
                roles: Vec::new(),
                scopes: Vec::new(),
            }) {
                Ok(id) => {
                    self.counted_as.insert(id.0, Arc::from(counted_as));
                    return id;
                }
                Err(_) => number += 1,
            }
        }
    }

    /// Adds a key to a set. A key that is there already is an error at `at`.
    pub fn add_key(
        &mut self,
        set: KeySetId,
        key: &crate::authn::KeyConfig,
        consumer: ConsumerId,
        at: Span,
        cx: &mut Context,
    ) -> Option<()> {
        let digest = self.hasher.of_config(key);
        let counted_as = self.hasher.counted_as(key);
        if let Some(doubles) = self.doubles.clone() {
            let mut add = |text: String, expires| {
                let record = KeyRecord { consumer, counted_as, expires };
                let _ = self.keys.add(set, self.hasher.of_key(text.as_bytes()), record);
            };
            add(doubles.key(key), key.expires);
            // A moment that is over whatever the time is.
            add(doubles.expired_key(key), Some(std::time::Duration::from_secs(1)));
        }
        match self.keys.add(set, digest, KeyRecord { consumer, counted_as, expires: key.expires }) {
            Ok(()) => Some(()),
            Err(there) => {
                let whose = there.and_then(|record| self.consumers.find(record.consumer));
                let whose =
                    whose.map_or_else(String::new, |consumer| format!(": `{}` has it", consumer.name));
                cx.error("config.duplicate_key", at, format!("this key is listed already{whose}"))
                    .help("two consumers with one key cannot be told apart");
                None
            }
        }
    }
}
