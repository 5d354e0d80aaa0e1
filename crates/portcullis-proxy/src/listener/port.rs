//! What a worker knows of a listener.

use super::caps::Caps;
use crate::descriptors::Descriptors;
use crate::drain::Drain;
use crate::exchange::Entry;
use crate::tls::{Protocol, Tls};
use ipnet::IpNet;
use std::sync::Arc;

/// A listener, for one worker.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) caps: Arc<Caps>,
    /// The counts of the clients that balancers name.
    pub(crate) clients: Arc<Caps>,
    pub(crate) tls: Option<Arc<Tls>>,
    /// What is spoken in the clear.
    pub(crate) protocol: Protocol,
    /// Who says first whose connection it is.
    pub(crate) balancers: Arc<[IpNet]>,
    /// What requests must know of it.
    pub(crate) entry: Arc<Entry>,
}

impl Port {
    /// The same for another worker, whose connections are drained by itself.
    pub(crate) fn for_a_worker(&self) -> Port {
        let entry = Arc::new(Entry { drain: Arc::new(Drain::default()), ..Entry::clone(&self.entry) });
        Port { entry, ..self.clone() }
    }

    /// Connections that are made to it are drained when those of `before` are.
    pub(crate) fn drained_with(&mut self, before: &Port) {
        let drain = Arc::clone(&before.entry.drain);
        self.entry = Arc::new(Entry { drain, ..Entry::clone(&self.entry) });
    }

    /// Whether connections that were made to `self` may go on where new ones are made to `next`: they are protected alike,
    /// and their requests would be read alike.
    pub(crate) fn continues_as(&self, next: &Port) -> bool {
        let tls = match (&self.tls, &next.tls) {
            (None, None) => true,
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (None, Some(_)) | (Some(_), None) => false,
        };
        tls && self.protocol == next.protocol
            && self.balancers == next.balancers
            && self.entry.continues_as(&next.entry)
    }
}
