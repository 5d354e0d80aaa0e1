//! Another configuration for a gateway that serves.
//!
//! A reload is a transaction. Whatever can fail is done before anything changes: the configuration is read and compiled,
//! tried, its access log opened and its new listeners bound. Then every worker exchanges what it judges by between two
//! requests. Anything wrong leaves what runs as it is, says why, and is remembered in the [`Status`]. What outlives a
//! configuration stands in the [`State`]; see there.

mod logs;
mod status;
mod stored_keys;
mod watch;

use crate::compile::Blueprint;
use crate::desk::StoreDesk;
use crate::gateway::StartError;
use crate::load::{ConfigError, Loaded};
use crate::observe::{self, AdminAddress, Observers, Seen, View};
use crate::prove;
pub(crate) use logs::{Follows, Logs, LogsConfig};
use portcullis_core::{Effects, Job, Level, OperationUse, Plan, Snapshot};
use portcullis_proxy::tls::Tls;
use portcullis_proxy::{BindError, Changed, FrontConfig, PassedSocket, ReloadHandle};
pub use portcullis_runtime::stop::{ReloadRequests, Request};
use portcullis_runtime::{Background, CurrentWorld, Outbound, RunningJob, State, World, aside};
use portcullis_telemetry::notices::Notices;
use portcullis_telemetry::watch::Watch as OperatorsWatch;
use status::{Exchange, Published};
pub use status::{Failure, Status};
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use watch::Watch;

/// How often it is looked whether anybody still has an old plan.
const SWEEP: Duration = Duration::from_secs(1);

/// Why a gateway goes on with the configuration that it has.
#[derive(Debug)]
pub enum ReloadError {
    /// The file cannot be read.
    File(std::io::Error),
    /// The configuration cannot be used.
    Config(ConfigError),
    /// The configuration does not pass its tests.
    Tests(String),
    /// The access log cannot be opened.
    AccessLog(std::io::Error),
    /// The listener for metrics cannot be bound.
    Observe(std::io::Error),
    /// The store of keys cannot be used.
    Keys(String),
    /// A listener cannot be bound, or a worker did not take the configuration.
    Bind(BindError),
    /// The operating system gives no thread to compile on, or compiling ended early.
    Thread(String),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::File(error) => write!(f, "the configuration cannot be read: {error}"),
            ReloadError::Config(error) => error.fmt(f),
            ReloadError::Tests(report) => write!(f, "the configuration does not pass its tests\n{report}"),
            ReloadError::AccessLog(error) => write!(f, "the access log cannot be opened: {error}"),
            ReloadError::Observe(error) => write!(f, "nobody could watch: {error}"),
            ReloadError::Keys(why) => write!(f, "the store of keys cannot be used: {why}"),
            ReloadError::Bind(error) => error.fmt(f),
            ReloadError::Thread(why) => write!(f, "the configuration was not compiled: {why}"),
        }
    }
}

impl std::error::Error for ReloadError {}

/// Decides on a configuration that compiles, before it is taken. `Err` says why it is not.
pub type Trial = dyn Fn(&Blueprint) -> Result<(), String> + Send + Sync;

/// Gives a gateway that serves another configuration, and knows which one it has.
#[derive(Clone)]
pub struct Reloader(Arc<Shared>);

/// A [`Reloader`] that does not keep its gateway.
pub(crate) struct WeakReloader(Weak<Shared>);

impl WeakReloader {
    pub(crate) fn upgrade(&self) -> Option<Reloader> {
        self.0.upgrade().map(Reloader)
    }
}

struct Shared {
    front: ReloadHandle,
    background: Arc<Background>,
    logs: Logs,
    current: Arc<CurrentWorld>,
    state: State,
    /// Held during a reload, so that there is one at a time.
    running: Mutex<Running>,
    status: Published,
    /// What operators see of the running configuration. No reload holds it for long.
    seen: Mutex<Seen>,
    view: View,
    retired: Arc<Mutex<Vec<Retired>>>,
    trial: Mutex<Option<Arc<Trial>>>,
    /// How long the tests of a configuration file may take.
    test_time: Mutex<Duration>,
    /// The configuration file, for operators who order a reload.
    file: Mutex<Option<PathBuf>>,
    /// Where blocks are kept.
    state_dir: Mutex<Option<PathBuf>>,
    /// Which operations were used when that was last written.
    kept_operations: Mutex<Vec<OperationUse>>,
    serving: AtomicBool,
    /// What the last configuration that was read refers to, and the running one.
    files: Mutex<BTreeSet<PathBuf>>,
}

/// What belongs to the plan that is judged by.
struct Running {
    plan: Arc<Plan>,
    world: Arc<World>,
    jobs: Vec<(Arc<dyn Job>, RunningJob)>,
    log: logs::Open,
    observers: Observers,
    _outbound: Arc<Outbound>,
}

/// A configuration that can be used, before anything is changed for it.
struct Tried {
    blueprint: Blueprint,
    digest: String,
}

/// An old plan, kept until nobody judges by it: taking it apart takes long, and must not be done by a worker.
struct Retired {
    plan: Arc<Plan>,
    world: Arc<World>,
    _log: logs::Open,
}

impl Retired {
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.plan) > 1 || Arc::strong_count(&self.world) > 1
    }
}

/// The first plan of a gateway, before it serves.
pub(crate) struct Plans {
    state: State,
    current: Arc<CurrentWorld>,
    running: Running,
    seen: Seen,
    view: View,
    digest: String,
    state_dir: Option<PathBuf>,
}

/// A blueprint that has a world and a log.
struct Furnished {
    snapshot: Snapshot,
    front: FrontConfig,
    plan: Arc<Plan>,
    world: Arc<World>,
    log: logs::Open,
    observers: Observers,
    seen: Seen,
    jobs: Vec<Arc<dyn Job>>,
    protections: Vec<(String, Arc<Tls>)>,
    outbound: Arc<Outbound>,
}

/// Why a blueprint has neither world nor log.
enum Unfurnished {
    Log(std::io::Error),
    Observers(std::io::Error),
    /// The store of keys cannot be used.
    Keys(String),
}

fn furnish(
    blueprint: Blueprint,
    logs: &Logs,
    before: Option<(&logs::Open, &Observers)>,
    view: &View,
    background: &Background,
) -> Result<Furnished, Unfurnished> {
    let effective = Arc::new(observe::effective(&blueprint));
    let terms = blueprint.terms();
    let Blueprint {
        plan,
        front,
        world,
        access_log,
        audit_log,
        observe,
        targets,
        groups,
        state_dir,
        jobs,
        outbound,
        endpoint_world,
        protections,
        state,
        key_store,
        traces,
        ..
    } = blueprint;
    let (log_before, observers_before) = before.unzip();
    let inherited = front.inherited.clone();
    let log = logs
        .open(LogsConfig { access: access_log, audit: audit_log }, log_before)
        .map_err(Unfurnished::Log)?;
    let observers = Observers::open(observe, view, state_dir.as_deref(), observers_before, &inherited)
        .map_err(Unfurnished::Observers)?;
    // The same way out keeps its turns and the system's authorities, which take long to read.
    let name = format!("{outbound:?}");
    let outbound = state.kept().keep(&name, || Outbound::new(outbound, background.handle().clone()));
    let notices = Arc::clone(&log.notifier);
    let world = world
        .with_outbound(Outbound::clone(&outbound))
        .with_notices(Arc::new(move |level, about, detail| notices.tell(level, about, detail)));
    let (world, keys) = match key_store {
        None => (world, None),
        Some(settings) => {
            let notices = Arc::clone(&log.notifier);
            let notice = Arc::new(move |text: &str| notices.tell(Level::Warning, "store.keys", text));
            let keys = stored_keys::open(settings, notice, &plan, &state).map_err(Unfurnished::Keys)?;
            let desk = StoreDesk { keys: Arc::clone(&keys), terms };
            (world.with_stored_keys(keys), Some(Arc::new(desk)))
        }
    };
    let world = Arc::new(world);
    let effects: Arc<dyn Effects> = Arc::clone(&world) as Arc<dyn Effects>;
    let _ = endpoint_world.set(Arc::clone(&effects));
    let sink = observers.sink(Arc::clone(&log.sink), &plan, traces.as_ref());
    let snapshot = Snapshot::new(Arc::clone(&plan), effects, sink);
    let seen = Seen {
        plan: Arc::clone(&plan),
        targets: targets.into(),
        groups: groups.into(),
        effective,
        // The number in a name tells listeners with one address apart; the first one needs none.
        protections: protections
            .iter()
            .map(|(name, tls)| (name.strip_suffix(" 0").unwrap_or(name).to_owned(), Arc::clone(tls)))
            .collect(),
        held: snapshot.held_accounts().clone(),
        access: log.access().cloned(),
        audit: log.audit().cloned(),
        keys,
        detection: observers.detection().cloned(),
        traces,
    };
    Ok(Furnished { snapshot, front, plan, world, log, observers, seen, jobs, protections, outbound })
}

impl Plans {
    pub(crate) fn first(
        blueprint: Blueprint,
        logs: &Logs,
        background: &Background,
    ) -> Result<(Snapshot, FrontConfig, Plans), StartError> {
        let (state, digest) = (blueprint.state.clone(), blueprint.digest.clone());
        let state_dir = blueprint.state_dir.clone();
        let view = View::new(&state);
        let furnished = furnish(blueprint, logs, None, &view, background).map_err(|why| match why {
            Unfurnished::Log(error) => StartError::AccessLog(error),
            Unfurnished::Observers(error) => StartError::Observe(error),
            Unfurnished::Keys(why) => StartError::Keys(why),
        })?;
        let Furnished { snapshot, front, plan, world, log, observers, seen, jobs, protections, outbound } =
            furnished;
        let current = Arc::new(CurrentWorld::default());
        world.begin();
        current.set(Arc::clone(&world));
        protections.into_iter().for_each(|(name, tls)| drop(state.kept().insert(&name, tls)));
        let jobs = start(jobs, Vec::new(), background, &current);
        Ok((
            snapshot,
            front,
            Plans {
                state,
                current,
                running: Running { plan, world, jobs, log, observers, _outbound: outbound },
                seen,
                view,
                digest,
                state_dir,
            },
        ))
    }

    pub(crate) fn serving(
        self,
        front: ReloadHandle,
        logs: Logs,
        background: &Arc<Background>,
        addresses: &[SocketAddr],
    ) -> Reloader {
        let Plans { state, current, running, seen, view, digest, state_dir } = self;
        if let Some(folder) = &state_dir
            && let Err(error) = observe::restore_blocks(folder, state.blocks())
        {
            current.warn("blocks", &format!("those of the last run cannot be read: {error}"));
        }
        if let Some(folder) = &state_dir {
            match observe::operations::kept(folder) {
                Ok(before) => observe::operations::carry(&before, &running.plan),
                Err(error) => {
                    current.warn("operations", &format!("those of the last run cannot be read: {error}"))
                }
            }
        }
        let retired: Arc<Mutex<Vec<Retired>>> = Arc::default();
        let swept = Arc::clone(&retired);
        background.handle().spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                sweep(&swept, Retired::is_in_use);
            }
        });
        let reloader = Reloader(Arc::new(Shared {
            front,
            background: Arc::clone(background),
            logs,
            current,
            state,
            running: Mutex::new(running),
            status: Published::new(Status::first(digest, addresses.to_vec())),
            seen: Mutex::new(seen),
            view: view.clone(),
            retired,
            trial: Mutex::new(None),
            test_time: Mutex::new(prove::RELOAD_PATIENCE),
            file: Mutex::new(None),
            state_dir: Mutex::new(state_dir),
            kept_operations: Mutex::default(),
            serving: AtomicBool::new(true),
            files: Mutex::default(),
        }));
        view.set(&reloader);
        let weak = reloader.downgrade();
        background.handle().spawn(async move {
            loop {
                tokio::time::sleep(observe::operations::INTERVAL).await;
                // Waits for a disk, so it is not done where jobs run.
                let Some(reloader) = weak.upgrade() else { return };
                let _done = tokio::task::spawn_blocking(move || reloader.keep_operations()).await;
            }
        });
        reloader
    }
}

/// Starts the jobs that are new, and ends those that no plan has any more. One that is in both goes on.
fn start(
    jobs: Vec<Arc<dyn Job>>,
    mut before: Vec<(Arc<dyn Job>, RunningJob)>,
    background: &Background,
    current: &Arc<CurrentWorld>,
) -> Vec<(Arc<dyn Job>, RunningJob)> {
    let mut running = Vec::with_capacity(jobs.len());
    for job in jobs {
        let there =
            before.iter().position(|(other, _)| std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(&job)));
        running.push(match there {
            Some(there) => before.swap_remove(there),
            None => {
                let handle = background.run(Arc::clone(&job), Arc::clone(current) as Arc<dyn Effects>);
                (job, handle)
            }
        });
    }
    running
}

/// Drops what nobody uses any more, on a thread of low priority.
fn sweep<T: Send + 'static>(retired: &Mutex<Vec<T>>, is_in_use: impl Fn(&T) -> bool) {
    let gone: Vec<_> = lock(retired).extract_if(.., |old| !is_in_use(old)).collect();
    if !gone.is_empty() {
        // Not on this thread, on which jobs run that ask whether servers are well. If there is no other thread, it is dropped here.
        let _no_thread = aside("portcullis-sweep", move || drop(gone));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reloader {
    /// What configurations are compiled against, so that they find what the running one has.
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// Which configuration runs, since when, and what became of the last attempt to change it. While the workers exchange theirs, it
    /// waits for the end of that, at most a second: whoever was judged by a configuration is told of it.
    pub fn status(&self) -> Status {
        self.0.status.settled()
    }

    /// Another descriptor of every socket on which the gateway listens, with the address as it is written.
    pub(crate) fn sockets(&self) -> std::io::Result<Vec<PassedSocket>> {
        let mut all = self.0.front.sockets()?;
        all.extend(lock(&self.0.running).observers.sockets()?);
        Ok(all)
    }

    /// Has every configuration tried before it is taken.
    pub fn try_with(&self, trial: Arc<Trial>) {
        *lock(&self.0.trial) = Some(trial);
    }

    /// How long the tests of a configuration file may take from now on; [`prove::RELOAD_PATIENCE`] otherwise. What is not tried
    /// then is told as a warning.
    pub fn set_test_time(&self, most: Duration) {
        *lock(&self.0.test_time) = most;
    }

    /// Reads a configuration file and goes on with it. Reads, compiles and tests it on a thread of low priority.
    ///
    /// # Errors
    /// Anything is wrong; then nothing has changed.
    pub async fn reload_file(&self, path: &Path) -> Result<Status, ReloadError> {
        let (reloader, path) = (self.clone(), path.to_owned());
        let (answer, answered) = tokio::sync::oneshot::channel();
        let thread = aside("portcullis-reload", move || {
            match reloader.try_file(&path) {
                // Threads that begin with the configuration, such as that of a log, would inherit the priority, and what requests wait
                // for must not wait for them (what_a_reload_starts_has_the_usual_priority).
                Ok(tried) => {
                    let background = reloader.0.background.handle().clone();
                    background.spawn(async {
                        // From here, since the first task of such a thread inherits the priority of the thread that spawns it.
                        let exchange = move || answer.send(reloader.exchange(tried));
                        let _done = tokio::task::spawn_blocking(exchange).await;
                    });
                }
                Err(error) => {
                    let _gone = answer.send(Err(error));
                }
            }
        });
        if let Err(error) = thread {
            return Err(self.failed(ReloadError::Thread(error.to_string())));
        }
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(self.failed(ReloadError::Thread("it ended early".to_owned()))),
        }
    }

    /// The same on this thread.
    ///
    /// # Errors
    /// Anything is wrong; then nothing has changed.
    pub fn reload_file_here(&self, path: &Path) -> Result<Status, ReloadError> {
        self.exchange(self.try_file(path)?)
    }

    /// Goes on with a configuration that was read with [`Reloader::state`]. Compiles on this thread, and waits until every worker has it.
    ///
    /// # Errors
    /// Anything is wrong; then nothing has changed.
    pub fn reload(&self, loaded: Loaded) -> Result<Status, ReloadError> {
        self.exchange(self.tried(loaded)?)
    }

    /// A configuration file that can be taken.
    fn try_file(&self, path: &Path) -> Result<Tried, ReloadError> {
        let loaded = match Loaded::file_with(path, &self.0.state) {
            Ok(loaded) => loaded,
            Err(error) => return Err(self.failed(ReloadError::File(error))),
        };
        lock(&self.0.files).extend(loaded.files().iter().cloned());
        // On a bench of their own, so that nothing of what serves is touched.
        let report = prove::prove(&loaded, *lock(&self.0.test_time));
        let not_tried = report.as_ref().and_then(prove::Report::not_tried);
        if let Some(report) = report.filter(|report| !report.is_good()) {
            return Err(self.failed(ReloadError::Tests(report.faults().join("\n"))));
        }
        let tried = self.tried(loaded)?;
        // SECURITY: tests that nobody knows were left out would be trusted (what_a_reload_has_no_time_for_is_said).
        if let Some(not_tried) = not_tried {
            self.0.current.warn("configuration", &format!("generated tests: {not_tried}"));
        }
        Ok(tried)
    }

    /// What can be taken of a configuration that was read. The rest of it is dropped here.
    fn tried(&self, loaded: Loaded) -> Result<Tried, ReloadError> {
        let digest = loaded.digest().to_owned();
        let blueprint = loaded.into_blueprint().map_err(|error| self.failed(ReloadError::Config(error)))?;
        let trial = lock(&self.0.trial).clone();
        match trial.map_or(Ok(()), |trial| trial(&blueprint)) {
            Ok(()) => Ok(Tried { blueprint, digest }),
            Err(report) => Err(self.failed(ReloadError::Tests(report))),
        }
    }

    fn exchange(&self, tried: Tried) -> Result<Status, ReloadError> {
        // Until what came of it is told.
        let mut exchange = None;
        match self.take(tried.blueprint, &mut exchange) {
            Ok(changed) => Ok(self.succeeded(tried.digest, &changed)),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Goes on with a configuration file whenever it or a file that it refers to has changed, and tells `each` what came of
    /// it. `files` are those of the running configuration, which was read not before `begun`. Never ends.
    pub async fn watch(
        &self,
        path: &Path,
        files: BTreeSet<PathBuf>,
        mut begun: SystemTime,
        mut each: impl FnMut(Result<&Status, &ReloadError>),
    ) {
        let mut files = files;
        loop {
            files.insert(path.to_owned());
            let mut watch = Watch::new(std::mem::take(&mut files), begun);
            // The first look waits as well, so that a file that never rests costs two reloads a second at most.
            loop {
                tokio::time::sleep(watch::INTERVAL).await;
                if watch.look() {
                    break;
                }
            }
            begun = SystemTime::now();
            lock(&self.0.files).clear();
            let reloaded = self.reload_file(path).await;
            each(reloaded.as_ref());
            files = lock(&self.0.files).clone();
            if reloaded.is_err() {
                // What was wrong may stand in a file that is not read before another one is good.
                files.extend(watch.into_files());
            }
        }
    }

    fn take<'a>(
        &'a self,
        blueprint: Blueprint,
        exchange: &mut Option<Exchange<'a>>,
    ) -> Result<Changed, ReloadError> {
        let shared = self.0.as_ref();
        let mut running = lock(&shared.running);
        let state_dir = blueprint.state_dir.clone();
        let before = Some((&running.log, &running.observers));
        let furnished = furnish(blueprint, &shared.logs, before, &shared.view, &shared.background);
        let Furnished { snapshot, front, plan, world, log, observers, seen, jobs, protections, outbound } =
            furnished.map_err(|why| match why {
                Unfurnished::Log(error) => ReloadError::AccessLog(error),
                Unfurnished::Observers(error) => ReloadError::Observe(error),
                Unfurnished::Keys(why) => ReloadError::Keys(why),
            })?;
        let prepared = shared.front.prepare(front, snapshot).map_err(ReloadError::Bind)?;

        // From here on nothing is expected to fail.
        for (name, tls) in protections {
            let goes_on =
                shared.state.kept().find::<Tls>(&name).is_some_and(|there| Arc::ptr_eq(&there, &tls));
            let faults = if goes_on { tls.reload().err().unwrap_or_default() } else { Vec::new() };
            for fault in faults {
                // It was read a moment ago, by the compilation; the job that looks after it tries again.
                world.warn(&format!("certificates of {name}"), &fault.to_string());
            }
            shared.state.kept().insert(&name, tls);
        }
        world.begin();
        shared.current.set(Arc::clone(&world));
        *exchange = Some(shared.status.exchange());
        let changed = prepared.commit().map_err(ReloadError::Bind);
        let before = std::mem::take(&mut running.jobs);
        let jobs = start(jobs, before, &shared.background, &shared.current);
        observers.begin();
        observe::operations::carry(&observe::operations::of(&running.plan), &plan);
        *lock(&shared.state_dir) = state_dir;
        *lock(&shared.seen) = seen;
        let next = Running { plan, world, jobs, log, observers, _outbound: outbound };
        let Running { plan, world, log, .. } = std::mem::replace(&mut *running, next);
        lock(&shared.retired).push(Retired { plan, world, _log: log });
        changed
    }

    fn succeeded(&self, digest: String, changed: &Changed) -> Status {
        let status =
            { self.0.status.change(|status| *status = status.next(digest, changed.addresses.clone())) };
        let list = |what: &str, addresses: &[SocketAddr]| match addresses {
            [] => String::new(),
            some => {
                let some: Vec<_> = some.iter().map(ToString::to_string).collect();
                format!(", {what} {}", some.join(" and "))
            }
        };
        let (added, removed) =
            (list("now listening on", &changed.added), list("no longer on", &changed.removed));
        self.notice(&format!(
            "generation {} is running (digest {}){added}{removed}",
            status.generation, status.digest
        ));
        status
    }

    fn failed(&self, error: ReloadError) -> ReloadError {
        let text = error.to_string();
        let generation = {
            let failure = Failure { at: SystemTime::now(), reason: text.clone() };
            let status = self.0.status.change(|status| {
                status.failures += 1;
                status.last_failure = Some(failure);
            });
            status.generation
        };
        let told = format!("not reloaded, generation {generation} goes on: {text}");
        self.0.current.warn("configuration", &told);
        error
    }

    fn notice(&self, detail: &str) {
        self.0.current.notice("configuration", detail);
    }

    /// Tells the operator something about what goes on beside requests.
    pub(crate) fn say(&self, about: &str, detail: &str) {
        self.0.current.notice(about, detail);
    }

    /// Opens the access log's file again by its name, as after a rotation. The audit log looks after its file itself.
    pub fn reopen_logs(&self) {
        let log = lock(&self.0.running).log.clone();
        log.reopen();
    }

    /// Which notices reach standard error and the access log.
    pub(crate) fn notices(&self) -> &Arc<Notices> {
        self.0.logs.notices()
    }

    /// Brings the access log to its output.
    pub(crate) fn flush(&self) {
        lock(&self.0.running).log.flush();
        self.keep_operations();
        if let Some(traces) = self.seen().traces {
            traces.flush();
        }
    }

    /// What operators see of the running configuration.
    pub(crate) fn seen(&self) -> Seen {
        lock(&self.0.seen).clone()
    }

    /// What clients have of the listeners now.
    pub(crate) fn usage(&self) -> portcullis_proxy::Usage {
        self.0.front.usage()
    }

    /// How many threads serve requests.
    pub(crate) fn workers(&self) -> usize {
        self.0.front.workers()
    }

    /// Where metrics alone are scraped, if anywhere, with the port that was found for port 0.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        lock(&self.0.running).observers.metrics_address()
    }

    /// Where operators ask, if anywhere.
    pub fn admin(&self) -> Option<AdminAddress> {
        lock(&self.0.running).observers.admin()
    }

    /// The file that operators may have read again.
    pub fn set_file(&self, path: &Path) {
        *lock(&self.0.file) = Some(path.to_owned());
    }

    pub(crate) fn file(&self) -> Option<PathBuf> {
        lock(&self.0.file).clone()
    }

    /// Counts, refusals and addresses, if they are kept.
    pub(crate) fn watch_of_operators(&self) -> Option<Arc<OperatorsWatch>> {
        lock(&self.0.running).observers.watch().cloned()
    }

    /// Why this request was refused: its line of the access log, and what the code means.
    pub(crate) fn why(&self, id: &str) -> Option<serde_json::Value> {
        let found = self.watch_of_operators()?.recent.find(id)?;
        let mut record: serde_json::Value = serde_json::from_str(&found.line).ok()?;
        let object = record.as_object_mut()?;
        object.insert("code".into(), found.code.as_str().into());
        object.insert("meaning".into(), found.code.meaning().into());
        object.insert("observed_only".into(), found.observed.into());
        Some(record)
    }

    /// Whether requests are served: not after the end has begun.
    pub(crate) fn is_serving(&self) -> bool {
        self.0.serving.load(Ordering::Relaxed)
    }

    /// Requests are finished, and no more are taken.
    pub(crate) fn ends(&self) {
        self.0.serving.store(false, Ordering::Relaxed);
    }

    /// Writes who is blocked into the `state_dir`, so that a restart forgets nobody.
    pub(crate) fn keep_blocks(&self) {
        let folder = lock(&self.0.state_dir).clone();
        let kept = folder.map(|folder| observe::keep_blocks(&folder, self.0.state.blocks()));
        if let Some(Err(error)) = kept {
            self.0.current.warn("blocks", &format!("they do not survive a restart: {error}"));
        }
    }

    /// Writes which operations were used into the `state_dir`, if there is something new.
    pub(crate) fn keep_operations(&self) {
        let Some(folder) = lock(&self.0.state_dir).clone() else { return };
        let all = observe::operations::of(&self.seen().plan);
        let mut kept = lock(&self.0.kept_operations);
        if *kept == all {
            return;
        }
        if let Err(error) = observe::operations::keep(&folder, &all) {
            self.0.current.warn("operations", &format!("they do not survive a restart: {error}"));
        }
        // Also where that failed, so that it is told no more often than there is something new.
        *kept = all;
    }

    /// The world of the running configuration.
    pub(crate) fn effects(&self) -> &dyn Effects {
        self.0.current.as_ref()
    }

    /// What does not keep the gateway.
    pub(crate) fn downgrade(&self) -> WeakReloader {
        WeakReloader(Arc::downgrade(&self.0))
    }

    /// How many old plans are still in use, by requests that met them.
    pub fn retiring(&self) -> usize {
        lock(&self.0.retired).iter().filter(|old| old.is_in_use()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Says on which thread it is dropped.
    struct Spy(mpsc::Sender<(String, i32)>);

    impl Drop for Spy {
        fn drop(&mut self) {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The nineteenth field of `proc_pid_stat(5)`; the third is the first after the name.
            let (_, rest) = stat.rsplit_once(") ").unwrap();
            let nice = rest.split(' ').nth(16).unwrap().parse().unwrap();
            let thread = std::thread::current();
            let _ = self.0.send((thread.name().unwrap_or_default().to_owned(), nice));
        }
    }

    #[test]
    fn what_is_swept_is_dropped_at_a_low_priority() {
        let (dropped, seen) = mpsc::channel();
        let retired = Mutex::new(vec![(true, Spy(dropped.clone())), (false, Spy(dropped.clone()))]);
        sweep(&retired, |(in_use, _)| *in_use);
        let (thread, nice) = seen.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(Spy(dropped));
        let (_, usual) = seen.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(thread, "portcullis-sweep");
        assert!(nice > usual, "{nice}, where the usual is {usual}");
        let left: Vec<_> = lock(&retired).iter().map(|(in_use, _)| *in_use).collect();
        assert_eq!(left, [true], "what is in use stays");
    }
}
