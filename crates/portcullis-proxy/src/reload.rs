//! Another configuration for a front that serves: first everything that can fail, then the exchange.
//!
//! Preparing binds the listeners that are new, beside those that serve, and changes nothing; a [`Prepared`] that is dropped
//! gives them up again. The exchange happens in each worker between two tasks: a request belongs to the configuration that it
//! met on arrival. A listener that is in both keeps its sockets and its counts. One that is no longer there takes what waits
//! in its sockets already, and is drained; so are the connections of one that protects them in another way.

use crate::config::{FrontConfig, Listener};
use crate::descriptors::Descriptors;
use crate::exchange::{Current, LoopName, Target};
use crate::front::{BindError, Live, all_tls, listen, port_of};
use crate::listener::{Caps, Handles, ListenerId, ListeningSocket, Port, Update};
use portcullis_core::Snapshot;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

/// How long a worker may take to come to an exchange; it does so between two tasks.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the workers of a front have in common for as long as it serves.
pub(crate) struct Fleet {
    pub(crate) workers: Vec<UnboundedSender<Update>>,
    pub(crate) drain: Arc<Mutex<Duration>>,
    pub(crate) live: Mutex<Vec<Live>>,
    /// What all clients of each worker leave unread of their answers.
    pub(crate) unread: Vec<Arc<AtomicUsize>>,
}

impl Fleet {
    pub(crate) fn live(&self) -> MutexGuard<'_, Vec<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A configuration that can be served, with its listeners bound. Dropped, nothing has changed.
#[must_use = "nothing changes before `commit`"]
pub struct Prepared {
    fleet: Arc<Fleet>,
    snapshot: Snapshot,
    targets: Arc<[Target]>,
    drain: Duration,
    /// Every listener, with a socket for each worker where it is new.
    listeners: Vec<(Live, Listener, Vec<Vec<ListeningSocket>>)>,
    changed: Changed,
}

/// What an exchange changes of the listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Where it listens from now on, in the order of the configuration.
    pub addresses: Vec<SocketAddr>,
    /// Those of them that are new.
    pub added: Vec<SocketAddr>,
    /// Where it listens no more.
    pub removed: Vec<SocketAddr>,
}

/// Binds what is new of a configuration.
pub(crate) fn prepare(
    fleet: &Arc<Fleet>,
    config: FrontConfig,
    snapshot: Snapshot,
    handlers: Option<&Handle>,
) -> Result<Prepared, BindError> {
    let FrontConfig { listeners, targets, drain, inherited, workers: _ } = config;
    let workers = NonZeroUsize::new(fleet.workers.len()).ok_or(BindError::NoListener)?;
    if listeners.is_empty() {
        return Err(BindError::NoListener);
    }
    let targets: Arc<[Target]> = targets.into();
    // Built once only to hear what is wrong with the targets.
    Current::new(snapshot.for_another_worker(), &targets, handlers, None)
        .map_err(|(index, reason)| BindError::Target { index, reason })?;
    let before = fleet.live().clone();
    let mut next = before.iter().map(|live| live.id.0 + 1).max().unwrap_or(0);
    let mut kept: Vec<ListenerId> = Vec::new();
    let mut changed = Changed::default();
    let mut prepared = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let there = before.iter().find(|live| live.bind == listener.bind && !kept.contains(&live.id));
        let (live, sockets) = match there {
            Some(live) => {
                kept.push(live.id);
                (live.clone(), Vec::new())
            }
            None => {
                // Two of our own may share a port, such as 0.0.0.0 and 127.0.0.1 while one takes the other's place.
                let ours = before.iter().any(|live| live.address.port() == listener.bind.port());
                let (address, sockets) = listen(listener.bind, workers, !ours, &inherited)
                    .map_err(|source| BindError::Address { address: listener.bind, source })?;
                changed.added.push(address);
                next += 1;
                let caps =
                    || Arc::new(Caps::new(listener.most_connections(), listener.max_connections_per_address));
                let id = ListenerId(next);
                let descriptors =
                    before.first().map_or_else(Descriptors::of_process, |live| Arc::clone(&live.descriptors));
                let bind = listener.bind;
                let loop_name = before.first().map_or_else(
                    || Arc::new(LoopName::new(snapshot.effects().random())),
                    |live| Arc::clone(&live.loop_name),
                );
                let handles = Handles::of(sockets.iter().flatten());
                let (caps, clients) = (caps(), caps());
                (Live { id, bind, address, caps, clients, descriptors, loop_name, handles }, sockets)
            }
        };
        changed.addresses.push(live.address);
        prepared.push((live, listener, sockets));
    }
    changed.removed =
        before.iter().filter(|live| !kept.contains(&live.id)).map(|live| live.address).collect();
    Ok(Prepared { fleet: Arc::clone(fleet), snapshot, targets, drain, listeners: prepared, changed })
}

impl Prepared {
    /// What [`Prepared::commit`] changes.
    pub fn changed(&self) -> &Changed {
        &self.changed
    }

    /// Exchanges it in every worker, and waits until each has taken it.
    ///
    /// # Errors
    /// A worker that has ended, or that does not come to it in 30 s: it serves what it has until then.
    pub fn commit(self) -> Result<Changed, BindError> {
        let Prepared { fleet, snapshot, targets, drain, listeners, changed } = self;
        *fleet.drain.lock().unwrap_or_else(PoisonError::into_inner) = drain;
        let lives = listeners.iter().map(|(live, ..)| live.clone()).collect();
        let mut updates: Vec<Vec<(ListenerId, Vec<ListeningSocket>, Port)>> =
            fleet.workers.iter().map(|_| Vec::new()).collect();
        let all_tls = all_tls(listeners.iter().map(|(_, listener, _)| listener));
        for (live, listener, sockets) in listeners {
            live.bound(&listener);
            let port = port_of(listener, &live, &all_tls);
            let mut sockets = sockets.into_iter();
            for update in &mut updates {
                update.push((live.id, sockets.next().unwrap_or_default(), port.for_a_worker()));
            }
        }
        let (done, answers) = std_mpsc::channel();
        let mut failed = None;
        for (worker, listeners) in fleet.workers.iter().zip(updates) {
            let (snapshot, targets, done) =
                (snapshot.for_another_worker(), Arc::clone(&targets), done.clone());
            if worker.send(Update { snapshot, targets, listeners, done }).is_err() {
                failed = Some("a worker has ended");
            }
        }
        drop(done);
        *fleet.live() = lives;
        for _ in &fleet.workers {
            match answers.recv_timeout(PATIENCE) {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => failed = Some(reason),
                Err(_) => failed = Some("a worker did not take the new configuration"),
            }
        }
        match failed {
            None => Ok(changed),
            Some(reason) => Err(BindError::Worker(std::io::Error::other(reason))),
        }
    }
}
