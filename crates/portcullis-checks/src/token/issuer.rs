//! An issuer: where its keys are, and how they are kept fresh.
//!
//! Requests never fetch. One job for each issuer fetches at the start, when the keys are due, and when a request has met a
//! `kid` that is not known; the latter at most once in a stated time, however many requests ask. While the issuer fails, its
//! last good keys serve for a stated time, and then every token of it is refused as a fault.

use super::algorithm::Algorithm;
use super::jws::Jws;
use super::keys::KeySet;
use super::metadata::{self, Metadata};
use super::race;
use arc_swap::ArcSwapOption;
use event_listener::Event;
use http::Uri;
use portcullis_core::{Code, Denial, Effects, Fault, Fetch, Fetched, Job, Wait};
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
    /// Changes whenever anything but the time does.
    pub generation: u64,
}

/// An issuer.
pub struct Issuer {
    /// Its name; `None` where its metadata tells.
    name: Option<String>,
    source: KeySource,
    introspection: Option<Uri>,
    /// Where its keys are, if not where the metadata says.
    keys_at: Option<Uri>,
    algorithms: Vec<Algorithm>,
    refresh: Refresh,
    loaded: ArcSwapOption<Loaded>,
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
            algorithms,
            refresh,
            loaded: ArcSwapOption::empty(),
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
        self.usable(effects.monotonic()).ok_or_else(|| Fault { detail: NO_KEYS.into() })
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

    /// Verifies a signature with the keys that are `loaded`, or with fresh ones if the token names one that is not among
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
        match loaded.keys.verify(jws) {
            Ok(()) => Ok(loaded),
            Err(denial) if denial.code() == Code::TokenKeyUnknown => {
                self.refresh(effects).await;
                // Also where nothing was fetched now: another request may have had it fetched since the first look.
                let fresh = self.loaded(now, effects).await;
                let fresh = fresh.map_err(|Fault { detail }| Denial::new(Code::Fault, detail))?;
                if fresh.issuer != loaded.issuer || fresh.generation == loaded.generation {
                    return Err(denial);
                }
                fresh.keys.verify(jws).map(|()| fresh)
            }
            Err(denial) => Err(denial),
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
                match metadata::of_issuer(name, effects).await {
                    Ok(metadata) => metadata,
                    // One without metadata can still be asked; what was found once is not given up for that.
                    Err(_) if self.introspection.is_some() && self.loaded.load().is_none() => {
                        Metadata { issuer: name.to_owned(), ..Metadata::default() }
                    }
                    Err(why) => return Err(why),
                }
            }
            KeySource::TokenEndpoint(url) => {
                metadata::of_token_endpoint(url, self.name.as_deref(), effects).await?
            }
        };
        let introspection = self.introspection.clone().or_else(|| found.introspection.clone());
        let (document, lifetime) = match self.keys_at.clone().or_else(|| found.jwks.clone()) {
            None if introspection.is_some() => (b"{\"keys\":[]}".to_vec(), DEFAULT_LIFETIME),
            None => return Err("its metadata names neither keys nor introspection".to_owned()),
            Some(url) => {
                let fetched = get(url.clone(), effects).await?;
                (fetched.body.to_vec(), lifetime(&fetched))
            }
        };
        let keys = KeySet::parse(&document, &self.algorithms)?;
        if keys.is_empty() && introspection.is_none() {
            return Err(match keys.skipped.first() {
                Some(why) => format!("its key set has no key that can be used; {why}"),
                None => "its key set is empty".to_owned(),
            });
        }
        let due = Some(effects.monotonic().saturating_add(lifetime));
        let issuer = found.issuer.clone();
        let loaded = Loaded { issuer, keys, introspection, metadata: found, due, document, generation: 0 };
        Ok((loaded, lifetime))
    }

    fn take(&self, mut loaded: Loaded) {
        if let Some(before) = self.loaded.load().as_ref() {
            let same = before.document == loaded.document
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
            (None, KeySource::Fixed | KeySource::Url(_) | KeySource::Issuer) => "an issuer".to_owned(),
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
            loop {
                let next = match self.fetch(effects).await {
                    Ok((loaded, lifetime)) => {
                        if failures > 0 {
                            effects.notice(&Job::name(self), "the issuer answers again");
                        }
                        failures = 0;
                        self.take(loaded);
                        lifetime
                    }
                    Err(detail) => {
                        failures = failures.saturating_add(1);
                        // The first of a row, and then ever fewer.
                        if failures.is_power_of_two() {
                            effects.notice(&Job::name(self), &detail);
                        }
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

/// Fetches a document.
pub(super) async fn get(url: Uri, effects: &dyn Effects) -> Result<Fetched, String> {
    let fetched = effects.fetch(Fetch::get(url.clone())).await.map_err(|fault| fault.detail)?;
    if fetched.status != http::StatusCode::OK {
        return Err(format!("{url} answered with status {}", fetched.status.as_u16()));
    }
    Ok(fetched)
}

/// How long a document may be used (`max-age`, RFC 9111, section 5.2.2.1), within bounds. Of several the shortest counts.
fn lifetime(fetched: &Fetched) -> Duration {
    let lines = fetched.headers.get_all(http::header::CACHE_CONTROL).iter();
    let directives = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let ages = directives.filter_map(|directive| {
        let (name, age) = directive.trim().split_once('=')?;
        // An age in quotes means the same (RFC 9111, section 5.2).
        let age = age.trim_matches('"').parse::<u64>().ok();
        age.filter(|_| name.eq_ignore_ascii_case("max-age"))
    });
    let seconds = ages.min();
    seconds.map_or(DEFAULT_LIFETIME, |seconds| Duration::from_secs(seconds).clamp(LIFETIME.0, LIFETIME.1))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    #[test]
    fn the_shortest_age_of_all_lines_counts() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("cache-control", http::HeaderValue::from_static(line));
            }
            lifetime(&Fetched { status: StatusCode::OK, headers, body: bytes::Bytes::new() }).as_secs()
        };
        assert_eq!(of(&[]), DEFAULT_LIFETIME.as_secs());
        assert_eq!(of(&["public, max-age=600"]), 600);
        assert_eq!(of(&["Public, Max-Age=600"]), 600);
        assert_eq!(of(&["max-age=\"600\""]), 600);
        assert_eq!(of(&["max-age=3000", "must-revalidate, max-age=120"]), 120);
        assert_eq!(of(&["max-age=1"]), 60);
        assert_eq!(of(&["max-age=soon"]), DEFAULT_LIFETIME.as_secs());
    }
}
