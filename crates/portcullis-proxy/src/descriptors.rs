//! How many files this process may have open, and how many of them clients may take.
//!
//! Each connection is a file, a client's and the one to an upstream that its request needs. So clients take no more than half of
//! what there is: where that is little, they are refused before connections to upstreams fail. One address takes no more than
//! half of the clients' part.

use rustix::process::{Resource, getrlimit, setrlimit};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Files that are no connections: logs, certificates, timers, listening sockets.
const OTHERS: usize = 64;
/// How often it is said that there are too few.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Raises the number of files that this process may have open as far as the system lets it; how many that are. It is for the
/// owner of the process to call, before it listens.
///
/// # Errors
/// The system does not say, or does not let it.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current)
}

/// What clients have of the files of this process.
pub(crate) struct Descriptors {
    limit: usize,
    clients: AtomicUsize,
    /// How many connections could not be accepted for want of files.
    refused: AtomicU64,
    /// Seconds, on the clock that never goes back, at which it was last said that there are too few; 0 for never.
    told: AtomicU64,
}

/// A client's file; given back when dropped.
pub(crate) struct Descriptor(Arc<Descriptors>);

impl Descriptors {
    /// Those of this process, by its limit now.
    pub(crate) fn of_process() -> Arc<Descriptors> {
        let limit = getrlimit(Resource::Nofile).current;
        Descriptors::of(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
    }

    fn of(limit: usize) -> Arc<Descriptors> {
        Arc::new(Descriptors {
            limit,
            clients: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            told: AtomicU64::new(0),
        })
    }

    /// Files that clients have now.
    pub(crate) fn taken(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Connections that could not be accepted so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many clients may have in all.
    pub(crate) fn most(&self) -> usize {
        (self.limit.saturating_sub(OTHERS) / 2).max(1)
    }

    /// The most connections of one address, where it may have so many by its listener.
    pub(crate) fn per_address(&self, wanted: usize) -> usize {
        wanted.min((self.most() / 2).max(1))
    }

    /// What is too few for so many connections of clients; `None` where there are enough.
    pub(crate) fn shortage(&self, connections: usize) -> Option<String> {
        let needed = connections.saturating_mul(2).saturating_add(OTHERS);
        (self.limit < needed).then(|| {
            format!(
                "this process may open {} files, and its listeners may need {needed}; no more than {} clients are served at \
                 once. Raise the limit (LimitNOFILE, ulimit -n), or lower max_connections",
                self.limit,
                self.most()
            )
        })
    }

    /// A file for a client's connection. `None` where clients have their part.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Descriptor> {
        let descriptor = Descriptor(Arc::clone(self));
        // Counted before it is compared, so that two workers cannot both take the last one.
        (self.clients.fetch_add(1, Ordering::Relaxed) < self.most()).then_some(descriptor)
    }

    /// A connection could not be accepted; how many that were so far.
    pub(crate) fn refuse(&self) -> u64 {
        self.refused.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Whether it is time to say that there are too few.
    pub(crate) fn tell(&self, now: Duration) -> bool {
        let told = self.told.load(Ordering::Relaxed);
        let due = told == 0 || now.as_secs() >= told.saturating_add(TELL_EVERY.as_secs());
        let now = now.as_secs().max(1);
        due && self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_half_and_an_address_half_of_that() {
        let descriptors = Descriptors::of(OTHERS + 8);
        assert_eq!((descriptors.per_address(1000), descriptors.per_address(1)), (2, 1));
        let mut taken: Vec<_> = (0..4).map(|_| descriptors.take().unwrap()).collect();
        assert!(descriptors.take().is_none());
        taken.pop();
        assert!(descriptors.take().is_some());
        assert!(descriptors.shortage(4).is_none());
        assert!(descriptors.shortage(5).unwrap().contains("no more than 4 clients"));
    }

    #[test]
    fn a_shortage_is_told_once_a_minute() {
        let descriptors = Descriptors::of(100);
        let at = |seconds| descriptors.tell(Duration::from_secs(seconds));
        assert_eq!([at(0), at(5), at(61), at(62), at(121)], [true, false, true, false, true]);
    }
}
