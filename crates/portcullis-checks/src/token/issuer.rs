//! An issuer: where its keys are, and how they are kept fresh.
//!
//! Requests never fetch. One job for each issuer fetches at the start, when the keys are due, and when a request has met a
//! `kid` that is not known; the latter at most once in a stated time, however many requests ask. While the issuer fails, its
//! last good keys serve for a stated time, and then every token of it is refused as a fault.

use super::access::Access;
use super::algorithm::Algorithm;
use super::jws::Jws;
use super::keys::KeySet;
use super::metadata::{self, Metadata};
use super::race;
use arc_swap::ArcSwapOption;
use event_listener::Event;
use http::{HeaderValue, StatusCode, Uri, header};
use portcullis_core::{Code, Denial, Effects, Fault, Fetched, Job, Wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Given once and for all.
    Fixed,
    /// At this URL.
    Url(Uri),
    /// Where the issuer's metadata says.
    Issuer,
    /// Where its metadata says, which is at this URL.
    Metadata(Uri),
    /// Where the metadata says of the authorization server that has this token endpoint.
    TokenEndpoint(Uri),
}

/// When keys are fetched, and how long they serve.
#[derive(Clone, Copy, Debug)]
pub struct Refresh {
    /// The shortest time between two fetches that unknown keys cause.
    pub min_interval: Duration,
    /// How long the last good keys serve, from when they were due, while the issuer fails.
    pub stale_for: Duration,
}

/// When keys are fetched again if the issuer does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// The least and the most that is believed of what it says.
const LIFETIME: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// The longest version of a document that is remembered.
const MAX_ETAG_BYTES: usize = 256;
/// How much of what cannot be used is told at once.
const MAX_TOLD: usize = 8;
/// How long a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a request hears while there are no keys that may be used.
const NO_KEYS: &str = "no usable keys of the issuer";

/// What is known of an issuer.
pub struct Loaded {
    /// Its name, as `iss` has it.
    pub issuer: String,
    /// Its keys.
    pub keys: KeySet,
    /// Where opaque tokens are introspected.
    pub introspection: Option<Uri>,
    /// All that it says of itself; empty where nobody asked it.
    pub metadata: Metadata,
    /// When the keys are to be fetched again, on the clock that never goes back. `None` where they are fixed.
    due: Option<Duration>,
    /// The document, for telling whether anything has changed.
    document: Vec<u8>,
    /// Those of its other key sets.
    more_documents: Vec<Vec<u8>>,
    /// Where the document is from, and its version by the server's word (RFC 9110, section 8.8.3).
    version: Option<(Uri, HeaderValue)>,
    /// Changes whenever anything but the time does.
    pub generation: u64,
}

impl Loaded {
    /// What the issuer publishes that cannot be used, for a log.
    fn unusable(&self) -> String {
        let all: Vec<&str> =
            self.metadata.unusable.iter().chain(&self.keys.skipped).map(String::as_str).collect();
        let more = all.len().saturating_sub(MAX_TOLD);
        let told = all.into_iter().take(MAX_TOLD).collect::<Vec<_>>().join("; ");
        if more > 0 { format!("{told}; and {more} more") } else { told }
    }
}

/// A key set as it was fetched.
struct Document {
    text: Vec<u8>,
    lifetime: Duration,
    version: Option<(Uri, HeaderValue)>,
}

/// An issuer.
pub struct Issuer {
    /// Its name; `None` where its metadata tells.
    name: Option<String>,
    source: KeySource,
    introspection: Option<Uri>,
    /// Where its keys are, if not where the metadata says.
    keys_at: Option<Uri>,
    /// Where more of them are.
    more_keys_at: Vec<Uri>,
    /// How its documents are asked for.
    access: Access,
    algorithms: Vec<Algorithm>,
    refresh: Refresh,
    loaded: ArcSwapOption<Loaded>,
    /// Why the last attempt failed, if it did.
    failed: ArcSwapOption<String>,
    /// The end of the last attempt, in milliseconds on the clock that never goes back, plus one; 0 before the first.
    attempted: AtomicU64,
    wanted: Event,
    changed: Event,
    settings: String,
}

impl Issuer {
    /// An issuer whose keys are given. `material` stands for the keys, without giving them away.
    pub fn fixed(name: String, keys: KeySet, material: &str) -> Issuer {
        Issuer::double(name, keys, None, material)
    }

    /// The same, with a place where opaque tokens are introspected: the double of an issuer, for a configuration that is
    /// only rehearsed.
    pub fn double(name: String, keys: KeySet, introspection: Option<Uri>, material: &str) -> Issuer {
        let mut issuer = Issuer::fetched(
            Some(name.clone()),
            KeySource::Fixed,
            None,
            Vec::new(),
            Refresh { min_interval: Duration::MAX, stale_for: Duration::MAX },
        );
        let loaded = Loaded {
            issuer: name,
            keys,
            introspection,
            metadata: Metadata::default(),
            due: None,
            document: Vec::new(),
            more_documents: Vec::new(),
            version: None,
            generation: 0,
        };
        issuer.loaded.store(Some(Arc::new(loaded)));
        issuer.settings.push_str(material);
        issuer
    }

    /// An issuer whose keys are fetched by its job.
    pub fn fetched(
        name: Option<String>,
        source: KeySource,
        introspection: Option<Uri>,
        algorithms: Vec<Algorithm>,
        refresh: Refresh,
    ) -> Issuer {
        let settings = format!("{name:?} {source:?} {introspection:?} {algorithms:?} {refresh:?}");
        Issuer {
            settings,
            name,
            source,
            introspection,
            keys_at: None,
            more_keys_at: Vec::new(),
            access: Access::default(),
            algorithms,
            refresh,
            loaded: ArcSwapOption::empty(),
            failed: ArcSwapOption::empty(),
            attempted: AtomicU64::new(0),
            wanted: Event::new(),
            changed: Event::new(),
        }
    }

    /// With its keys at this URL, whatever its metadata says.
    #[must_use]
    pub fn with_keys_at(mut self, url: Option<Uri>) -> Issuer {
        self.settings.push_str(&format!(" {url:?}"));
        self.keys_at = url;
        self
    }

    /// With more keys at these URLs.
    #[must_use]
    pub fn with_more_keys_at(mut self, urls: Vec<Uri>) -> Issuer {
        if !urls.is_empty() {
            self.settings.push_str(&format!(" more {urls:?}"));
        }
        self.more_keys_at = urls;
        self
    }

    /// With its documents asked for like this.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Issuer {
        self.settings.push_str(&format!(" {access:?}"));
        self.access = access;
        self
    }

    /// Everything that it was told, by which the next plan finds it. Holds no secret.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Whether its job has anything to do.
    pub fn is_fetched(&self) -> bool {
        !matches!(self.source, KeySource::Fixed)
    }

    /// Its name, as far as anybody knows it.
    pub fn name(&self) -> Option<String> {
        self.name.clone().or_else(|| self.loaded.load().as_ref().map(|loaded| loaded.issuer.clone()))
    }

    /// Whether this is its name, or could be, as long as nobody knows it.
    pub fn may_be(&self, name: &str) -> bool {
        match &self.name {
            Some(own) => own == name,
            None => self.loaded.load().as_ref().is_none_or(|loaded| loaded.issuer == name),
        }
    }

    /// The generation of its keys. `None` while there are none that may be used.
    pub fn generation(&self, now: Duration) -> Option<u64> {
        let loaded = self.loaded.load();
        let loaded = loaded.as_ref()?;
        self.serves(loaded, now).then_some(loaded.generation)
    }

    fn serves(&self, loaded: &Loaded, now: Duration) -> bool {
        loaded.due.is_none_or(|due| now < due.saturating_add(self.refresh.stale_for))
    }

    /// What is known of it, once its first fetch is done.
    ///
    /// # Errors
    /// There are no keys, or they are too old.
    pub async fn loaded(&self, now: Duration, effects: &dyn Effects) -> Result<Arc<Loaded>, Fault> {
        if let Some(loaded) = self.usable(now) {
            return Ok(loaded);
        }
        if self.attempted.load(Ordering::Acquire) == 0 {
            let changed = self.changed.listen();
            if self.attempted.load(Ordering::Acquire) == 0 {
                let _ = race::within(effects.sleep(PATIENCE), changed).await;
            }
        }
        self.usable(effects.monotonic()).ok_or_else(|| Fault {
            detail: match self.failed.load().as_deref() {
                Some(why) => format!("{NO_KEYS}: {why}"),
                None => NO_KEYS.to_owned(),
            },
        })
    }

    /// What is known of it now, if that may be used.
    pub fn usable(&self, now: Duration) -> Option<Arc<Loaded>> {
        self.loaded.load_full().filter(|loaded| self.serves(loaded, now))
    }

    /// Has its keys fetched again, since one is missing, and waits for it, unless that was done a moment ago.
    async fn refresh(&self, effects: &dyn Effects) {
        if !self.is_fetched() {
            return;
        }
        // Before the time of the last fetch is read: one that ends in between is then heard.
        let changed = self.changed.listen();
        let due = self.attempted.load(Ordering::Acquire).saturating_add(millis(self.refresh.min_interval));
        // SECURITY: whoever makes up names of keys causes at most one fetch in this time
        // (tests/tokens/issuer_failures.rs).
        if millis(effects.monotonic()) < due {
            return;
        }
        self.wanted.notify(1);
        let _ = race::within(effects.sleep(PATIENCE), changed).await;
    }

    /// Verifies a signature with the keys that are `loaded`, or with fresh ones if the token may mean one that is not among
    /// them. Gives what verified it.
    ///
    /// # Errors
    /// What [`KeySet::verify`] says; `Fault` where there are no usable keys any more.
    pub async fn verify(
        &self,
        jws: &Jws<'_>,
        loaded: Arc<Loaded>,
        now: Duration,
        effects: &dyn Effects,
    ) -> Result<Arc<Loaded>, Denial> {
        let Err(first) = loaded.keys.verify(jws) else { return Ok(loaded) };
        if !first.may_be_newer {
            return Err(first.denial);
        }
        self.refresh(effects).await;
        // Also where nothing was fetched now: another request may have had it fetched since the first look.
        let fresh = self.loaded(now, effects).await;
        let fresh = fresh.map_err(|Fault { detail }| Denial::new(Code::Fault, detail))?;
        if fresh.issuer != loaded.issuer || fresh.generation == loaded.generation {
            return Err(first.denial);
        }
        match fresh.keys.verify(jws) {
            Ok(()) => Ok(fresh),
            Err(second) => Err(second.denial),
        }
    }

    async fn fetch(&self, effects: &dyn Effects) -> Result<(Loaded, Duration), String> {
        let found = match &self.source {
            KeySource::Fixed => return Err("its keys are given".to_owned()),
            KeySource::Url(url) => {
                let name = self.name.clone().ok_or("the issuer has no name")?;
                Metadata { issuer: name, jwks: Some(url.clone()), ..Metadata::default() }
            }
            KeySource::Issuer => {
                let name = self.name.as_deref().ok_or("the issuer has no name")?;
                match metadata::of_issuer(name, &self.access, effects).await {
                    Ok(metadata) => metadata,
                    // One without metadata can still be asked; what was found once is not given up for that.
                    Err(_) if self.introspection.is_some() && self.loaded.load().is_none() => {
                        Metadata { issuer: name.to_owned(), ..Metadata::default() }
                    }
                    Err(why) => return Err(why),
                }
            }
            KeySource::Metadata(url) => {
                let name = self.name.as_deref().ok_or("the issuer has no name")?;
                metadata::at(url, name, &self.access, effects).await?
            }
            KeySource::TokenEndpoint(url) => {
                metadata::of_token_endpoint(url, self.name.as_deref(), &self.access, effects).await?
            }
        };
        let introspection = self.introspection.clone().or_else(|| found.introspection.clone());
        let Document { text: document, mut lifetime, version } =
            match self.keys_at.clone().or_else(|| found.jwks.clone()) {
                None if introspection.is_some() => {
                    Document { text: b"{\"keys\":[]}".to_vec(), lifetime: DEFAULT_LIFETIME, version: None }
                }
                None => {
                    let unusable: String = found.unusable.iter().map(|why| format!("; {why}")).collect();
                    return Err(format!("its metadata names neither keys nor introspection{unusable}"));
                }
                Some(url) => self.key_set(&url, effects).await?,
            };
        let mut keys = KeySet::parse(&document, &self.algorithms)?;
        let mut more_documents = Vec::new();
        for url in &self.more_keys_at {
            // SECURITY: while one of them is missing, nobody can tell of a token whether its key is there
            // (a_key_of_any_set_verifies).
            let more = self.key_set(url, effects).await?;
            keys.add(KeySet::parse(&more.text, &self.algorithms).map_err(|why| format!("{url}: {why}"))?);
            lifetime = lifetime.min(more.lifetime);
            more_documents.push(more.text);
        }
        if keys.is_empty() && introspection.is_none() {
            return Err(match keys.skipped.first() {
                Some(why) => format!("its key set has no key that can be used; {why}"),
                None => "its key set is empty".to_owned(),
            });
        }
        let due = Some(effects.monotonic().saturating_add(lifetime));
        let issuer = found.issuer.clone();
        let loaded = Loaded {
            issuer,
            keys,
            introspection,
            metadata: found,
            due,
            document,
            more_documents,
            version,
            generation: 0,
        };
        Ok((loaded, lifetime))
    }

    /// The key set at `url`: its text, how long it may be used, and its version. A server that says that nothing has changed
    /// (304) sends none.
    async fn key_set(&self, url: &Uri, effects: &dyn Effects) -> Result<Document, String> {
        let before = self.loaded.load_full();
        let known = before.as_ref().and_then(|before| {
            let (of, version) = before.version.as_ref()?;
            (of == url).then(|| (version.clone(), before.document.clone()))
        });
        let mut request = self.access.request(url.clone())?;
        if let Some((version, _)) = &known {
            request.headers.push((header::IF_NONE_MATCH, version.clone()));
        }
        let fetched = effects.fetch(request).await.map_err(|fault| fault.detail)?;
        let lifetime = lifetime(&fetched);
        match (fetched.status, known) {
            (StatusCode::OK, _) => {
                let version = fetched.headers.get(header::ETAG).filter(|etag| etag.len() <= MAX_ETAG_BYTES);
                let version = version.map(|etag| (url.clone(), etag.clone()));
                Ok(Document { text: fetched.body.to_vec(), lifetime, version })
            }
            (StatusCode::NOT_MODIFIED, Some((version, text))) => {
                Ok(Document { text, lifetime, version: Some((url.clone(), version)) })
            }
            (status, _) => Err(format!("{url} answered with status {}", status.as_u16())),
        }
    }

    fn take(&self, mut loaded: Loaded) {
        if let Some(before) = self.loaded.load().as_ref() {
            let same = before.document == loaded.document
                && before.more_documents == loaded.more_documents
                && before.issuer == loaded.issuer
                && before.introspection == loaded.introspection
                && before.metadata == loaded.metadata;
            loaded.generation = before.generation + u64::from(!same);
        }
        self.loaded.store(Some(Arc::new(loaded)));
    }

    fn label(&self) -> String {
        match (&self.name, &self.source) {
            (Some(name), _) => name.clone(),
            (None, KeySource::TokenEndpoint(url)) => url.to_string(),
            (None, KeySource::Fixed | KeySource::Url(_) | KeySource::Issuer | KeySource::Metadata(_)) => {
                "an issuer".to_owned()
            }
        }
    }
}

impl Job for Issuer {
    fn name(&self) -> String {
        format!("keys of {}", self.label())
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            let mut failures: u32 = 0;
            let mut told = String::new();
            loop {
                let next = match self.fetch(effects).await {
                    Ok((loaded, lifetime)) => {
                        if failures > 0 {
                            effects.notice(&Job::name(self), "the issuer answers again");
                        }
                        failures = 0;
                        let unusable = loaded.unusable();
                        if told != unusable && !unusable.is_empty() {
                            effects.warn(&Job::name(self), &format!("left out {unusable}"));
                        }
                        told = unusable;
                        self.take(loaded);
                        self.failed.store(None);
                        lifetime
                    }
                    Err(detail) => {
                        failures = failures.saturating_add(1);
                        // The first of a row, and then ever fewer.
                        if failures.is_power_of_two() {
                            effects.warn(&Job::name(self), &detail);
                        }
                        self.failed.store(Some(Arc::new(detail)));
                        race::back_off(failures)
                    }
                };
                // Whoever asks from here on is heard; whoever asked before is answered by this very fetch.
                let wanted = self.wanted.listen();
                self.attempted.store(millis(effects.monotonic()) + 1, Ordering::Release);
                self.changed.notify(usize::MAX);
                if race::within(effects.sleep(next), wanted).await.is_some() {
                    let due = self.attempted.load(Ordering::Acquire) + millis(self.refresh.min_interval);
                    let wait = due.saturating_sub(millis(effects.monotonic()));
                    effects.sleep(Duration::from_millis(wait)).await;
                }
            }
        })
    }
}

/// How long a document may be used (`max-age`, RFC 9111, section 5.2.2.1), within bounds. Of several the shortest counts.
fn lifetime(fetched: &Fetched) -> Duration {
    let lines = fetched.headers.get_all(http::header::CACHE_CONTROL).iter();
    let directives = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let ages = directives.filter_map(|directive| {
        let (name, age) = directive.split_once('=')?;
        // An age in quotes means the same (RFC 9111, section 5.2).
        let age = age.trim().trim_matches('"').parse::<u64>().ok();
        age.filter(|_| name.trim().eq_ignore_ascii_case("max-age"))
    });
    let seconds = ages.min();
    seconds.map_or(DEFAULT_LIFETIME, |seconds| Duration::from_secs(seconds).clamp(LIFETIME.0, LIFETIME.1))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
