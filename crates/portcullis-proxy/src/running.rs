//! A front that serves, and how it ends.
//!
//! A shutdown can be asked for from anywhere, any number of times. It also begins when everybody who could ask for it
//! is gone. It ends when every worker has served what had begun, or when the drain's time is over.

use crate::config::FrontConfig;
use crate::exchange::{Current, Worker};
use crate::front::{BindError, Bound, Share};
use crate::listener::{self, PassedSocket, REQUESTS, Update};
use crate::reload::{Fleet, Prepared, prepare};
use portcullis_core::Snapshot;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::sync::{mpsc, watch};

/// A front that serves.
#[must_use = "a front that nobody can shut down does so itself"]
pub struct Running {
    shutdown: ShutdownHandle,
    fleet: Arc<Fleet>,
    handlers: Option<Handle>,
    threads: Vec<JoinHandle<()>>,
    done: mpsc::Receiver<()>,
}

/// Begins a shutdown.
#[derive(Clone)]
pub struct ShutdownHandle(Arc<watch::Sender<bool>>);

impl ShutdownHandle {
    /// Begins the drain: no new connections, and what has begun is served. Does nothing the second time.
    pub fn shutdown(&self) {
        self.0.send_replace(true);
    }
}

/// What clients have at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections of each listener, by its address.
    pub connections: Vec<(SocketAddr, usize)>,
    /// Files of this process that clients have, and the most that they may have.
    pub client_descriptors: (usize, usize),
    /// Connections that each listener has refused for its caps, by its address.
    pub refused: Vec<(SocketAddr, u64)>,
    /// Connections that were refused for want of files.
    pub refused_for_files: u64,
    /// Bytes of answers that clients have not taken, beyond what is not counted.
    pub unread: usize,
}

/// Gives a front that serves another configuration.
#[derive(Clone)]
pub struct ReloadHandle {
    fleet: Arc<Fleet>,
    handlers: Option<Handle>,
}

impl ReloadHandle {
    /// Finds out whether a configuration can be served, and binds the listeners that are new. The number of workers stays
    /// what it was. One at a time: a second one that is prepared before the first is committed undoes it.
    ///
    /// # Errors
    /// An address that is taken or not there, a target that makes no sense. Nothing is bound or changed then.
    pub fn prepare(&self, config: FrontConfig, snapshot: Snapshot) -> Result<Prepared, BindError> {
        prepare(&self.fleet, config, snapshot, self.handlers.as_ref())
    }

    /// What clients have of each listener, and of the files of this process, at this moment.
    pub fn usage(&self) -> Usage {
        let live = self.fleet.live();
        let descriptors = live.first().map(|live| (live.descriptors.taken(), live.descriptors.most()));
        Usage {
            connections: live.iter().map(|live| (live.address, live.caps.taken())).collect(),
            client_descriptors: descriptors.unwrap_or_default(),
            refused: live.iter().map(|live| (live.address, live.caps.refused())).collect(),
            refused_for_files: live.first().map_or(0, |live| live.descriptors.refused()),
            unread: self.fleet.unread.iter().map(|unread| unread.load(Ordering::Relaxed)).sum(),
        }
    }

    /// Another descriptor of every listening socket, with the address as it is written. Whoever has them accepts from the same
    /// queues of connections.
    ///
    /// # Errors
    /// The process has no more descriptors.
    pub fn sockets(&self) -> io::Result<Vec<PassedSocket>> {
        let mut all = Vec::new();
        for live in self.fleet.live().iter() {
            all.extend(live.handles.copies()?.into_iter().map(|socket| PassedSocket {
                bind: live.bind,
                purpose: Some(REQUESTS.to_owned()),
                socket,
            }));
        }
        Ok(all)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.fleet.workers.len()
    }
}

impl Bound {
    /// Starts the workers, in threads named `portcullis-N`, and serves.
    ///
    /// # Errors
    /// A worker that cannot be started. None runs then, and the addresses are given up.
    pub fn serve(self) -> Result<Running, BindError> {
        Running::start(self).map_err(BindError::Worker)
    }
}

impl Running {
    fn start(bound: Bound) -> io::Result<Running> {
        let (asked, shutdown) = watch::channel(false);
        let handle = ShutdownHandle(Arc::new(asked));
        let (alive, done) = mpsc::channel::<()>(1);
        let mut threads = Vec::with_capacity(bound.shares.len());
        let (started, starts) = std_mpsc::channel();
        let workers = bound.shares.len();
        let drain = Arc::new(Mutex::new(bound.drain));
        let mut updates = Vec::with_capacity(workers);
        let mut all_unread = Vec::with_capacity(workers);
        for (number, share) in bound.shares.into_iter().enumerate() {
            let (sender, receiver) = mpsc::unbounded_channel();
            updates.push(sender);
            let unread = Arc::<AtomicUsize>::default();
            all_unread.push(Arc::clone(&unread));
            let (shutdown, drain, alive, started) =
                (shutdown.clone(), Arc::clone(&drain), alive.clone(), started.clone());
            let thread = std::thread::Builder::new().name(format!("portcullis-{number}")).spawn(move || {
                let _alive = alive;
                work(share, unread, receiver, shutdown, drain, &started);
            });
            threads.push(thread?);
        }
        drop(started);
        // A worker that does not run would leave the connections that the operating system gives it without an answer.
        for _ in 0..workers {
            starts.recv().unwrap_or_else(|_| Err(io::Error::other("a worker ended before it began")))?;
        }
        let fleet =
            Arc::new(Fleet { workers: updates, drain, live: Mutex::new(bound.live), unread: all_unread });
        Ok(Running { shutdown: handle, fleet, handlers: bound.handlers, threads, done })
    }

    /// What can give the front another configuration, for as long as it serves.
    pub fn reload_handle(&self) -> ReloadHandle {
        ReloadHandle { fleet: Arc::clone(&self.fleet), handlers: self.handlers.clone() }
    }

    /// Begins the drain; see [`ShutdownHandle::shutdown`].
    pub fn shutdown(&self) {
        self.shutdown.shutdown();
    }

    /// What begins the drain from elsewhere, such as a signal handler.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Waits until every worker has ended. Begins nothing.
    pub async fn finished(mut self) {
        // Nothing is ever sent: the channel closes when the last worker has ended.
        while self.done.recv().await.is_some() {}
    }

    /// The same, for a caller without a runtime.
    pub fn join(self) {
        for thread in self.threads {
            // A worker that panicked has said so on its standard error; the others still have to end.
            let _panicked = thread.join();
        }
    }
}

/// A worker's thread.
fn work(
    share: Share,
    unread: Arc<AtomicUsize>,
    updates: mpsc::UnboundedReceiver<Update>,
    shutdown: watch::Receiver<bool>,
    drain: Arc<Mutex<Duration>>,
    started: &std_mpsc::Sender<io::Result<()>>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _gone = started.send(Err(error));
            return;
        }
    };
    let Share { sockets, snapshot, targets, handlers } = share;
    let worker = match Current::new(snapshot, &targets, handlers.as_ref(), None) {
        Ok(current) => Rc::new(Worker::new(current, unread)),
        Err((_, reason)) => {
            let _gone = started.send(Err(io::Error::other(reason)));
            return;
        }
    };
    let _gone = started.send(Ok(()));
    runtime.block_on(listener::run(worker, handlers, sockets, updates, shutdown, drain));
    // Drops what is still running, which writes its records; does not wait for a name look-up that hangs.
    runtime.shutdown_background();
}
