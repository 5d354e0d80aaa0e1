//! The store of a gateway that serves: a thread that keeps the table as the store is, and lookups in it.
//!
//! The thread hears of changes from the store and asks it at least once a second, which is the proof that it still answers. A
//! lost connection is made again, and everything that was missed is read before the store counts as heard again. If the store
//! does not answer for `max_stale`, its keys are refused as a fault, never as unknown: a key that was revoked meanwhile must not
//! go on, and one that is good must not look wrong.

use crate::fault::{ErrorKind, StoreError};
use crate::known::Known;
use crate::model::{Seconds, now};
use crate::pepper::Peppers;
use crate::settings::Settings;
use crate::store::{CaughtUp, KeyStore, Position, Stored};
use crate::table::Table;
use crate::text::{self, Form};
use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use portcullis_core::{Fault, KeyDigest, KeyId, StoredKey};
use portcullis_store::StoredKeys;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The store is asked at least so often.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How soon the thread notices that it is to end.
const SLICE: Duration = Duration::from_millis(250);
/// The first and the longest pause before the next attempt to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// How often uses of keys are written.
const WRITE_USES: Duration = Duration::from_secs(10);
/// How many uses are written at once.
const USES_AT_ONCE: usize = 5000;

/// Takes what the operator should know.
pub type Notice = dyn Fn(&str) + Send + Sync;

/// The store of a gateway that serves. Dropped, it ends.
pub struct LiveKeys {
    shared: Arc<Shared>,
    settings: Settings,
    /// Says when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
    /// A connection for changes, made when it is first needed.
    writer: Mutex<Option<KeyStore>>,
}

struct Shared {
    seen: ArcSwapOption<Seen>,
    begun: Instant,
    /// When the last question that the store answered was asked, in milliseconds since `begun`.
    contact: AtomicU64,
    max_stale: Duration,
    known: Mutex<Known>,
    uses: [Mutex<HashMap<KeyId, Seconds>>; 16],
    stop: AtomicBool,
    notice: Mutex<Arc<Notice>>,
}

/// What lookups need.
struct Seen {
    table: Table,
    peppers: Peppers,
    /// Whether there are keys that were hashed without a pepper.
    plain: AtomicBool,
    /// Whether the table may lack a key that the store has.
    gap: ArcSwapOption<StoreError>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a thread died; what it changes is read again from the store.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LiveKeys {
    /// Connects to a store and reads it; tells the operator of trouble by `notice`. A store that does not answer is tried again and again; until then its keys are a
    /// fault.
    ///
    /// # Errors
    /// The store cannot be used as it is: a wrong password, a newer schema, a pepper that is missing.
    pub fn start(settings: Settings, notice: Arc<Notice>) -> Result<LiveKeys, StoreError> {
        let shared = Arc::new(Shared {
            seen: ArcSwapOption::empty(),
            begun: Instant::now(),
            contact: AtomicU64::new(0),
            max_stale: settings.max_stale,
            known: Mutex::default(),
            uses: Default::default(),
            stop: AtomicBool::new(false),
            notice: Mutex::new(notice),
        });
        let (first, outcome) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let mut feed = Feed {
            shared: Arc::clone(&shared),
            settings: settings.clone(),
            position: None,
            first: Some(first),
            said: None,
            made: false,
            wrote_uses: Instant::now(),
        };
        std::thread::Builder::new()
            .name("portcullis-keys".to_owned())
            .spawn(move || {
                feed.run();
                let _ = end.send(());
            })
            .map_err(|error| StoreError::failed(format!("no thread for the store of keys: {error}")))?;
        let live = LiveKeys { shared, settings, ended: Mutex::new(ended), writer: Mutex::new(None) };
        match outcome.recv() {
            Ok(Err(error)) if error.kind != ErrorKind::Unreachable => Err(error),
            Ok(Ok(()) | Err(_)) => Ok(live),
            Err(_) => Err(StoreError::failed("the thread for the store of keys has ended")),
        }
    }

    /// Gives what the operator should know to `notice` from now on.
    pub fn tell(&self, notice: Arc<Notice>) {
        *lock(&self.shared.notice) = notice;
    }

    /// The settings that it was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Consumers of the store of which `is_taken` says that a configuration has one as well.
    pub fn conflicts(&self, is_taken: impl Fn(&str) -> bool) -> Vec<String> {
        let mut both: Vec<_> =
            lock(&self.shared.known).consumers().filter(|name| is_taken(name)).map(str::to_owned).collect();
        both.sort_unstable();
        both
    }

    /// How many valid keys are known, and how long ago the store last answered.
    pub fn standing(&self) -> (usize, Duration) {
        let keys = self.shared.seen.load().as_ref().map_or(0, |seen| seen.table.len());
        (keys, self.shared.silence())
    }

    /// Does something to the store, by a connection beside the one that hears of changes. The gateways hear of it as of any
    /// other change. What fails because the connection was gone is tried once more.
    ///
    /// # Errors
    /// Those of the work, or the store cannot be reached.
    pub fn with_store<T>(
        &self,
        mut work: impl FnMut(&mut KeyStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        if let Some(store) = writer.as_mut() {
            match work(store) {
                Err(error) if error.kind == ErrorKind::Unreachable => *writer = None,
                done => return done,
            }
        }
        work(writer.insert(KeyStore::reopen(&self.settings)?))
    }
}

impl Drop for LiveKeys {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // What is written of uses at the end is not worth waiting for a store that does not answer.
        let _ = lock(&self.ended).recv_timeout(Duration::from_secs(1));
    }
}

impl Shared {
    fn silence(&self) -> Duration {
        let contact = Duration::from_millis(self.contact.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(contact)
    }

    fn heard(&self, asked: Instant) {
        let at = asked.saturating_duration_since(self.begun).as_millis();
        self.contact.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn note_use(&self, id: KeyId, at: Seconds) {
        let Some(uses) = self.uses.get(usize::try_from(id.0 % 16).unwrap_or(0)) else { return };
        // At most once in a minute for each key; not worth waiting for.
        if let Ok(mut uses) = uses.try_lock() {
            uses.insert(id, at);
        }
    }

    fn say(&self, text: &str) {
        let notice = lock(&self.notice).clone();
        notice(text);
    }
}

impl Shared {
    /// What lookups need, where the store was heard lately.
    fn fresh(&self) -> Result<arc_swap::Guard<Option<Arc<Seen>>>, Fault> {
        let seen = self.seen.load();
        if seen.is_none() {
            return Err(fault("it has not been read yet"));
        }
        let silence = self.silence();
        // SECURITY: what the store said too long ago may have been revoked since (a_store_that_is_silent_is_a_fault).
        if silence > self.max_stale {
            return Err(fault(&format!("it has not answered for {} s", silence.as_secs())));
        }
        Ok(seen)
    }
}

fn fault(why: &str) -> Fault {
    Fault { detail: format!("the store of keys: {why}") }
}

impl Seen {
    /// What the table has, or why it is not certain that there is nothing.
    fn certain<T>(&self, found: Option<T>) -> Result<Option<T>, Fault> {
        match (found, self.gap.load().as_ref()) {
            (None, Some(gap)) => Err(fault(&gap.text)),
            (found, _) => Ok(found),
        }
    }
}

impl StoredKeys for LiveKeys {
    fn find(&self, key: &[u8]) -> Result<Option<StoredKey>, Fault> {
        // Before anything is hashed: what is not a key is told without a look, also where the store is away.
        if text::form(key) == Form::Typo {
            return Ok(None);
        }
        let seen = self.shared.fresh()?;
        let Some(seen) = seen.as_ref() else { return Err(fault("it has not been read yet")) };
        let at = now();
        let minute = u32::try_from(at / 60).unwrap_or(u32::MAX);
        let look =
            |hash: &[u8; 32]| seen.table.find(hash, |entry| (entry.stored_key(), entry.is_first_use(minute)));
        let mut found = seen.peppers.hashes(key).find_map(|(_, hash)| look(&hash));
        if found.is_none() && seen.plain.load(Ordering::Relaxed) {
            let mut hash = [0; 32];
            let digest = digest::digest(&digest::SHA256, key);
            hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
            found = look(&hash);
        }
        if let Some((key, true)) = &found {
            self.shared.note_use(key.id, at);
        }
        seen.certain(found.map(|(key, _)| key))
    }

    fn find_again(&self, hash: KeyDigest) -> Result<Option<StoredKey>, Fault> {
        let seen = self.shared.fresh()?;
        let Some(seen) = seen.as_ref() else { return Err(fault("it has not been read yet")) };
        seen.certain(seen.table.find(&hash.0, crate::table::Entry::stored_key))
    }
}

/// The thread.
struct Feed {
    shared: Arc<Shared>,
    settings: Settings,
    /// How far it has read.
    position: Option<Position>,
    /// Who waits for the first outcome.
    first: Option<mpsc::Sender<Result<(), StoreError>>>,
    /// The trouble that the operator was told of.
    said: Option<String>,
    /// Whether the store was there once: one that is gone is not made anew.
    made: bool,
    wrote_uses: Instant,
}

impl Feed {
    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn run(&mut self) {
        let mut pause = PAUSES.0;
        while !self.stopped() {
            let Err(error) = self.follow(&mut pause) else { return };
            let refused = error.kind != ErrorKind::Unreachable;
            self.trouble(&error);
            if let Some(first) = self.first.take() {
                let _ = first.send(Err(error));
                if refused {
                    return;
                }
            }
            let until = Instant::now() + pause;
            while !self.stopped() && Instant::now() < until {
                std::thread::sleep(SLICE.min(until.saturating_duration_since(Instant::now())));
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    fn trouble(&mut self, error: &StoreError) {
        if self.said.as_ref() != Some(&error.text) {
            self.shared.say(&error.text);
            self.said = Some(error.text.clone());
        }
    }

    /// Connects, and follows the store until it ends or fails.
    fn follow(&mut self, pause: &mut Duration) -> Result<(), StoreError> {
        let mut store =
            if self.made { KeyStore::reopen(&self.settings)? } else { KeyStore::open(&self.settings)? };
        self.made = true;
        self.step(&mut store)?;
        *pause = PAUSES.0;
        if self.said.take().is_some() {
            self.shared.say("the store of keys answers again");
        }
        if let Some(first) = self.first.take() {
            // SECURITY: a key that nobody can recognise would be turned away as unknown (a_missing_pepper_refuses_the_start).
            let gap = self.shared.seen.load().as_ref().and_then(|seen| seen.gap.load_full());
            if let Some(gap) = gap {
                let _ = first.send(Err(StoreError::clone(&gap)));
                return Ok(());
            }
            let _ = first.send(Ok(()));
        }
        while !self.stopped() {
            let asked = Instant::now();
            while !self.stopped() && asked.elapsed() < HEARTBEAT && !store.wait(SLICE)? {}
            self.step(&mut store)?;
            self.write_uses(&mut store, WRITE_USES);
        }
        self.write_uses(&mut store, Duration::ZERO);
        Ok(())
    }

    /// Reads what has changed.
    fn step(&mut self, store: &mut KeyStore) -> Result<(), StoreError> {
        let asked = Instant::now();
        let caught_up = match &self.position {
            Some(position) => store.catch_up(position)?,
            None => CaughtUp::ReadAll,
        };
        match caught_up {
            CaughtUp::Unchanged => {}
            CaughtUp::ReadAll => self.read_all(store)?,
            CaughtUp::Changed { consumers, keys, position } => {
                self.apply(consumers, &keys);
                self.position = Some(position);
            }
        }
        self.shared.heard(asked);
        Ok(())
    }

    fn read_all(&mut self, store: &mut KeyStore) -> Result<(), StoreError> {
        let peppers = store.peppers().clone();
        let max_memory = self.settings.max_memory;
        let mut entries = Vec::new();
        let (known, position) = store.read_all(Known::new, |known, row| {
            if known.has_room(entries.len(), max_memory) {
                entries.extend(known.entry(&row, &peppers));
            }
        })?;
        self.publish(known, Table::new(entries), peppers);
        self.position = Some(position);
        Ok(())
    }

    fn publish(&self, known: Known, table: Table, peppers: Peppers) {
        let gap = known.gap();
        if let Some(gap) = &gap {
            self.shared.say(&gap.text);
        }
        let plain = AtomicBool::new(known.plain > 0);
        let mut there = lock(&self.shared.known);
        let gap = ArcSwapOption::new(gap.map(Arc::new));
        self.shared.seen.store(Some(Arc::new(Seen { table, peppers, plain, gap })));
        *there = known;
    }

    fn apply(&self, consumers: Vec<(String, Option<crate::model::Consumer>)>, keys: &[Stored]) {
        let seen = self.shared.seen.load_full();
        let Some(seen) = seen else { return };
        let mut known = lock(&self.shared.known);
        for (name, consumer) in consumers {
            known.set_consumer(name, consumer);
        }
        let before = known.gap();
        let mut changes = Vec::with_capacity(keys.len());
        for row in keys {
            let entry = known.entry(row, &seen.peppers);
            let is_new = entry.is_some() && seen.table.find(&row.1, |_| ()).is_none();
            let entry = entry.filter(|_| {
                !is_new || known.has_room(seen.table.len() + changes.len(), self.settings.max_memory)
            });
            changes.push((row.1, entry));
        }
        seen.table.change(changes);
        seen.plain.store(known.plain > 0, Ordering::Relaxed);
        let gap = known.gap();
        if let Some(gap) = gap.as_ref().filter(|gap| before.as_ref() != Some(gap)) {
            self.shared.say(&gap.text);
        }
        seen.gap.store(gap.map(Arc::new));
        if seen.table.is_crowded() {
            let gap = ArcSwapOption::new(seen.gap.load_full());
            let plain = AtomicBool::new(seen.plain.load(Ordering::Relaxed));
            let table = Table::new(seen.table.entries());
            self.shared.seen.store(Some(Arc::new(Seen { table, peppers: seen.peppers.clone(), plain, gap })));
        }
    }

    /// Writes when keys were used. What cannot be written is forgotten: it is told late or not at all.
    fn write_uses(&mut self, store: &mut KeyStore, every: Duration) {
        if self.wrote_uses.elapsed() < every {
            return;
        }
        self.wrote_uses = Instant::now();
        for uses in &self.shared.uses {
            let uses: Vec<_> = std::mem::take(&mut *lock(uses)).into_iter().collect();
            for some in uses.chunks(USES_AT_ONCE) {
                if let Err(error) = store.note_use(some) {
                    self.shared.say(&format!("when keys were last used was not written: {error}"));
                    return;
                }
            }
        }
    }
}
