//! Suspicious activity: every record as a short event to the detectors, on a thread of their own.
//!
//! | file      | decides                                                        |
//! |-----------|----------------------------------------------------------------|
//! | [`event`]   | what a detector gets to know of a record                       |
//! | [`store`]   | how findings survive a restart                                 |
//!
//! A worker puts an event into its own lane and goes on: it waits for nobody. The thread collects the lanes a few times a
//! second. A lane that is full drops events and counts them, so that under more load than the thread can take findings come
//! late or not at all, and no request is slower. What was counted, and every finding, outlives a reload; findings also
//! outlive the process, where there is a folder for them.

mod event;
mod store;

use crate::lanes::{Lanes, lock};
use crate::names::Names;
pub use event::PlanEvents;
use portcullis_core::{Now, Plan};
use portcullis_detect::ledger::Ledger;
pub use portcullis_detect::{Change, DETECTORS, Evidence, Exempt, Finding, Severity, Subject};
use portcullis_detect::{Engine, Event, Moment};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the lanes are collected.
const INTERVAL: Duration = Duration::from_millis(200);
/// How many events a lane holds: about 2 MB.
const LANE: usize = 8 * 1024;
/// The most routes that are told apart.
const ROUTES: usize = 10_000;
/// The memory of all detectors together.
pub const BYTES: usize = 32 * 1024 * 1024;

/// What to do about a finding that is new, grew or ended. Answers until when its sender is blocked, if it now is, in seconds
/// since 1970.
pub type OnChange = Box<dyn Fn(&Change) -> Option<u64> + Send>;

/// How one configuration wants it.
pub struct Settings {
    /// Detectors that do not run, by name.
    pub disabled: Vec<String>,
    /// Whose requests are not looked at.
    pub exempt: Exempt,
    /// The folder for findings.
    pub folder: Option<PathBuf>,
    /// What to do about findings.
    pub on_change: OnChange,
}

/// The detectors, and what they have found.
pub struct Detection {
    shared: Arc<Shared>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How many findings there were.
pub type Found = BTreeMap<(String, &'static str), u64>;

struct Shared {
    lanes: Lanes<Lane>,
    routes: Arc<Names>,
    hasher: RandomState,
    /// Held by the thread while it works, and by whoever reads findings. No request takes it.
    work: Mutex<Work>,
    dropped: AtomicU64,
    seen: AtomicU64,
}

#[derive(Default)]
struct Lane {
    events: Vec<Event>,
    dropped: u64,
}

struct Work {
    /// `None` for the moment in which its settings change.
    engine: Option<Engine>,
    folder: Option<PathBuf>,
    on_change: OnChange,
    saved: u64,
    /// Memory for the events of lanes.
    spare: Vec<Vec<Event>>,
    found: Found,
    /// Why findings cannot be written, so that it is told once.
    fault: Option<String>,
}

impl Detection {
    /// Begins, with the findings of the folder. `now` is the clock of requests.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(settings: Settings, now: impl Fn() -> Now + Send + 'static) -> io::Result<Detection> {
        let hasher = RandomState::new();
        let before = settings.folder.as_deref().map(store::load);
        let (before, fault) = match before {
            None => (Vec::new(), None),
            Some(Ok(before)) => (before, None),
            Some(Err(error)) => (Vec::new(), Some(error.to_string())),
        };
        let routes = Arc::new(Names::new(ROUTES));
        let named = Arc::clone(&routes);
        let engine = Engine::new(
            BYTES,
            |kind| !settings.disabled.iter().any(|name| name == kind.name),
            settings.exempt,
            Arc::new(move |number| named.name(number).to_string()),
            Ledger::new(before, hasher.hash_one("findings")),
        );
        let work = Work {
            engine: Some(engine),
            folder: settings.folder,
            on_change: settings.on_change,
            saved: 0,
            spare: Vec::new(),
            found: Found::new(),
            fault,
        };
        let shared = Arc::new(Shared {
            lanes: Lanes::default(),
            routes,
            hasher,
            work: Mutex::new(work),
            dropped: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        });
        let (stop, stopped) = sync_channel(1);
        let on_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("portcullis-detect".into()).spawn(move || {
            let mut ticks: u64 = 0;
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                ticks += 1;
                on_thread.turn(now());
                // Once in two seconds is enough for a disk.
                if ticks.is_multiple_of(10) {
                    on_thread.save();
                }
            }
            on_thread.turn(now());
            on_thread.save();
        })?;
        Ok(Detection { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Goes on as another configuration wants it. What was counted and found stays.
    pub fn go_on(&self, settings: Settings) {
        let mut work = lock(&self.shared.work);
        let disabled = settings.disabled;
        let engine = work.engine.take();
        work.engine = engine.map(|engine| {
            engine.under(BYTES, |kind| !disabled.iter().any(|name| name == kind.name), settings.exempt)
        });
        if work.folder != settings.folder {
            work.folder = settings.folder;
            work.saved = 0;
        }
        work.on_change = settings.on_change;
    }

    /// Where the records of a plan go.
    pub fn of_plan(self: &Arc<Self>, plan: &Plan) -> PlanEvents {
        PlanEvents::new(Arc::clone(self), plan)
    }

    /// The findings, the latest first.
    pub fn findings(&self) -> Vec<Finding> {
        let work = lock(&self.shared.work);
        work.engine.iter().flat_map(|engine| engine.ledger().findings().rev().cloned()).collect()
    }

    /// How many findings there were since the start, by detector and severity.
    pub fn found(&self) -> Found {
        lock(&self.shared.work).found.clone()
    }

    /// Events that no detector saw, since there were too many.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Events that were looked at.
    pub fn seen(&self) -> u64 {
        self.shared.seen.load(Ordering::Relaxed)
    }

    /// Bytes that the detectors take.
    pub fn bytes(&self) -> usize {
        lock(&self.shared.work).engine.as_ref().map_or(0, Engine::bytes)
    }

    /// Looks at everything that came so far, for tests that cannot wait.
    pub fn catch_up(&self, now: Now) {
        self.shared.turn(now);
    }

    fn put(&self, event: Event) {
        self.shared.lanes.with(|lane| {
            // SECURITY: neither memory nor time is taken from requests (a_full_lane_drops_and_counts).
            match lane.events.len() < LANE {
                true => lane.events.push(event),
                false => lane.dropped += 1,
            }
        });
    }
}

impl Drop for Detection {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The events of all lanes in the order in which they happened, which those of each lane are in already.
fn in_order(batches: &[Vec<Event>]) -> impl Iterator<Item = &Event> {
    let mut rests: Vec<&[Event]> = batches.iter().map(Vec::as_slice).collect();
    std::iter::from_fn(move || {
        let next = rests.iter_mut().filter(|rest| !rest.is_empty());
        let rest = next.min_by_key(|rest| rest.first().map(|event| event.at.steady))?;
        let (event, after) = rest.split_first()?;
        *rest = after;
        Some(event)
    })
}

impl Shared {
    /// What the thread does each time.
    fn turn(&self, now: Now) {
        let mut work = lock(&self.work);
        let mut batches = Vec::new();
        self.lanes.each(|lane| {
            self.dropped.fetch_add(std::mem::take(&mut lane.dropped), Ordering::Relaxed);
            if !lane.events.is_empty() {
                batches.push(std::mem::replace(&mut lane.events, work.spare.pop().unwrap_or_default()));
            }
        });
        self.seen.fetch_add(batches.iter().map(|batch| batch.len() as u64).sum(), Ordering::Relaxed);
        let Work { engine: Some(engine), on_change, found, spare, .. } = &mut *work else { return };
        let mut blocked = Vec::new();
        let mut changed = |change: Change| {
            if let Change::Began(finding) = &change {
                *found.entry((finding.detector.clone(), finding.severity.as_str())).or_default() += 1;
            }
            if let Some(until) = on_change(&change) {
                let (Change::Began(finding) | Change::Grew(finding) | Change::Ended(finding)) = change;
                blocked.push((finding.id, until));
            }
        };
        for event in in_order(&batches) {
            engine.see(event, &mut changed);
        }
        engine.tick(Moment { steady: now.monotonic, unix: now.unix }, &mut changed);
        for (id, until) in blocked {
            engine.ledger_mut().blocked(&id, until);
        }
        // A lane that was busy is busy again, so its memory is used again and nothing is copied.
        batches.iter_mut().for_each(Vec::clear);
        *spare = batches;
    }

    fn save(&self) {
        let work = lock(&self.work);
        let Some((engine, folder)) = work.engine.as_ref().zip(work.folder.as_ref()) else { return };
        let changes = engine.ledger().changes();
        if changes == work.saved {
            return;
        }
        let findings: Vec<Finding> = engine.ledger().findings().cloned().collect();
        let folder = folder.clone();
        drop(work);
        let result = store::save(&folder, &findings);
        let mut work = lock(&self.work);
        let fault = result.err().map(|error| error.to_string());
        if fault.is_none() {
            work.saved = changes;
        }
        work.fault = fault;
    }
}

impl Detection {
    /// Why findings do not survive a restart, if that is so.
    pub fn fault(&self) -> Option<String> {
        lock(&self.shared.work).fault.clone()
    }
}

#[cfg(test)]
mod tests;
