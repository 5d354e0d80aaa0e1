//! What a worker does with its listeners: it accepts, takes another configuration, and drains.

use super::accept::{self, Door};
use super::port::Port;
use super::socket::ListeningSocket;
use crate::exchange::{Current, Target, Worker, review};
use portcullis_core::Snapshot;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// What a worker is given in place of what it has.
pub(crate) struct Update {
    pub(crate) snapshot: Snapshot,
    pub(crate) targets: Arc<[Target]>,
    /// Every listener that there is from now on, with its sockets where it is new.
    pub(crate) listeners: Vec<(ListenerId, Vec<ListeningSocket>, Port)>,
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

/// The listeners of a worker.
struct Serving {
    worker: Rc<Worker>,
    handlers: Option<Handle>,
    accepting: Vec<Accepting>,
}

/// Serves these sockets until a shutdown is asked for, and then for at most `drain` what has begun by then. `handlers` is
/// the runtime on which handlers of later configurations run.
pub(crate) async fn run(
    worker: Rc<Worker>,
    handlers: Option<Handle>,
    sockets: Vec<(ListenerId, ListeningSocket, Port)>,
    mut updates: mpsc::UnboundedReceiver<Update>,
    mut shutdown: watch::Receiver<bool>,
    drain: Arc<Mutex<Duration>>,
) {
    let review = tokio::task::spawn_local(review::run(Rc::clone(&worker)));
    let mut serving = Serving { worker: Rc::clone(&worker), handlers, accepting: Vec::new() };
    for (id, socket, port) in sockets {
        serving.accept(id, socket, port);
    }
    loop {
        tokio::select! {
            biased;
            // An error says that nobody is left who could ask: the same as having been asked.
            // SECURITY: what comes back holds a lock that whoever asks a second time waits for, with every acceptor
            // behind, so it is let go before anything else is waited for (a_second_shutdown_waits_for_nobody).
            () = async { drop(shutdown.wait_for(|asked| *asked).await) } => break,
            Some(update) = updates.recv() => serving.update(update),
        }
    }
    for acceptor in &serving.accepting {
        acceptor.door.close();
    }
    for acceptor in serving.accepting {
        // What it has accepted is counted; if it failed, there is nothing more to accept.
        let _failed = acceptor.task.await;
    }
    let drain = *drain.lock().unwrap_or_else(PoisonError::into_inner);
    let _late = tokio::time::timeout(drain, worker.all_closed()).await;
    review.abort();
    worker.current().pools().iter().for_each(|pool| pool.close());
}

impl Serving {
    fn accept(&mut self, id: ListenerId, socket: ListeningSocket, port: Port) {
        let door = Rc::new(Door::new(port));
        let task = tokio::task::spawn_local(accept::run(Rc::clone(&self.worker), socket, Rc::clone(&door)));
        self.accepting.push(Accepting { id, door, task });
    }

    /// Takes everything of an update, or nothing. Nothing else runs on this thread meanwhile.
    fn update(&mut self, update: Update) {
        let Update { snapshot, targets, listeners, done } = update;
        let before = self.worker.current();
        let current = match Current::new(snapshot, &targets, self.handlers.as_ref(), Some(&before)) {
            Ok(current) => current,
            Err((_, reason)) => {
                let _gone = done.send(Err(reason));
                return;
            }
        };
        let kept: HashSet<_> = current.pools().iter().map(Rc::as_ptr).collect();
        let mut closed = before.pools();
        closed.retain(|pool| !kept.contains(&Rc::as_ptr(pool)));
        drop(before);
        self.worker.exchange(current);
        // Running requests keep theirs; no connection comes back to them.
        closed.iter().for_each(|pool| pool.close());
        self.accepting.retain(|there| {
            let stays = listeners.iter().any(|(id, ..)| *id == there.id);
            if !stays {
                there.door.close();
            }
            stays
        });
        for (id, sockets, port) in listeners {
            // A listener may have several sockets here, which another process has bound.
            for there in self.accepting.iter().filter(|there| there.id == id) {
                there.door.exchange(port.for_a_worker());
            }
            for socket in sockets {
                self.accept(id, socket, port.for_a_worker());
            }
        }
        // Before it is said that this is done: who waits for that takes apart what is last here.
        drop(targets);
        let _gone = done.send(Ok(()));
    }
}
