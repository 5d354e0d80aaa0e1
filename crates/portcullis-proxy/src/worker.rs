//! One thread's share of a front: what its connections have in common.
//!
//! Nothing in it is shared with another worker, except what the snapshot leads to. What it judges by can be replaced while
//! it serves: see [`crate::current`].

use crate::accept::{self, Door, Port};
use crate::current::Current;
use portcullis_core::Snapshot;
use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};

/// What the connections of a worker have in common.
pub(crate) struct Worker {
    current: RefCell<Rc<Current>>,
    handlers: Option<Handle>,
    connections: Cell<usize>,
    last_closed: Notify,
}

/// A connection that the worker has; counted as long as it exists.
pub(crate) struct Counted(Rc<Worker>);

/// What a worker is given in place of what it has.
pub(crate) struct Update {
    pub(crate) snapshot: Snapshot,
    pub(crate) targets: Vec<crate::config::Target>,
    /// Every listener that there is from now on, with its socket where it is new.
    pub(crate) listeners: Vec<(ListenerId, Option<TcpListener>, Port)>,
    /// Says that it is done, or why nothing was changed.
    pub(crate) done: std_mpsc::Sender<Result<(), &'static str>>,
}

/// A listener, for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerId(pub(crate) u64);

/// A listener that accepts.
struct Accepting {
    id: ListenerId,
    door: Rc<Door>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    /// A worker that judges by this.
    pub(crate) fn new(current: Current, handlers: Option<Handle>) -> Worker {
        Worker {
            current: RefCell::new(Rc::new(current)),
            handlers,
            connections: Cell::new(0),
            last_closed: Notify::new(),
        }
    }

    /// What requests are judged and forwarded by from now on.
    ///
    /// A request takes it once, when it arrives, and keeps it.
    pub(crate) fn current(&self) -> Rc<Current> {
        Rc::clone(&self.current.borrow())
    }

    /// Counts a connection.
    pub(crate) fn count(self: &Rc<Self>) -> Counted {
        self.connections.set(self.connections.get() + 1);
        Counted(Rc::clone(self))
    }

    /// Serves these sockets until a shutdown is asked for, and then for at most `drain` what has begun by then.
    pub(crate) async fn run(
        self: Rc<Self>,
        sockets: Vec<(ListenerId, TcpListener, Port)>,
        mut updates: mpsc::UnboundedReceiver<Update>,
        mut shutdown: watch::Receiver<bool>,
        drain: Arc<std::sync::Mutex<Duration>>,
    ) {
        let mut accepting: Vec<Accepting> =
            sockets.into_iter().map(|(id, socket, port)| self.accept(id, socket, port)).collect();
        loop {
            tokio::select! {
                biased;
                // An error says that nobody is left who could ask: the same as having been asked.
                // SECURITY: what comes back holds a lock that whoever asks a second time waits for, with every acceptor
                // behind, so it is let go before anything else is waited for (a_second_shutdown_waits_for_nobody).
                () = async { drop(shutdown.wait_for(|asked| *asked).await) } => break,
                Some(update) = updates.recv() => self.update(update, &mut accepting),
            }
        }
        for acceptor in &accepting {
            acceptor.door.close();
        }
        for acceptor in accepting {
            // What it has accepted is counted; if it failed, there is nothing more to accept.
            let _failed = acceptor.task.await;
        }
        let drain = *drain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _late = tokio::time::timeout(drain, self.all_closed()).await;
        self.current().pools().for_each(|pool| pool.close());
    }

    fn accept(self: &Rc<Self>, id: ListenerId, socket: TcpListener, port: Port) -> Accepting {
        let door = Rc::new(Door::new(port));
        let task = tokio::task::spawn_local(accept::run(Rc::clone(self), socket, Rc::clone(&door)));
        Accepting { id, door, task }
    }

    /// Takes everything of an update, or nothing. Nothing else runs on this thread meanwhile.
    fn update(self: &Rc<Self>, update: Update, accepting: &mut Vec<Accepting>) {
        let Update { snapshot, targets, listeners, done } = update;
        let before = self.current();
        let current = match Current::new(snapshot, targets, self.handlers.as_ref(), Some(&before)) {
            Ok(current) => current,
            Err((_, reason)) => {
                let _gone = done.send(Err(reason));
                return;
            }
        };
        let closed: Vec<_> = before
            .pools()
            .filter(|pool| !current.pools().any(|kept| Rc::ptr_eq(pool, kept)))
            .map(Rc::clone)
            .collect();
        drop(before);
        self.current.replace(Rc::new(current));
        // Running requests keep theirs; no connection comes back to them.
        closed.iter().for_each(|pool| pool.close());
        accepting.retain(|there| {
            let stays = listeners.iter().any(|(id, ..)| *id == there.id);
            if !stays {
                there.door.close();
            }
            stays
        });
        for (id, socket, port) in listeners {
            match (accepting.iter().find(|there| there.id == id), socket) {
                (Some(there), _) => there.door.exchange(port),
                (None, Some(socket)) => accepting.push(self.accept(id, socket, port)),
                (None, None) => {}
            }
        }
        let _gone = done.send(Ok(()));
    }

    async fn all_closed(&self) {
        loop {
            let closed = self.last_closed.notified();
            if self.connections.get() == 0 {
                return;
            }
            closed.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.0.connections.get() - 1;
        self.0.connections.set(left);
        if left == 0 {
            self.0.last_closed.notify_waiters();
        }
    }
}
