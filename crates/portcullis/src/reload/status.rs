//! Which configuration runs.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long whoever asks waits for the end of an exchange; a worker that asks would wait for itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which configuration runs, since when, and what became of the last attempt to change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// 1 for the configuration with which the process started, and one more for each that took its place.
    pub generation: u64,
    /// Since when it runs.
    pub since: SystemTime,
    /// The first 64 bits of its SHA-256, in hexadecimal digits.
    pub digest: String,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// The last attempt to change it, if that failed. Forgotten when one succeeds.
    pub last_failure: Option<Failure>,
    /// How many attempts have failed since the process started.
    pub failures: u64,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: SystemTime,
    /// Why, in words.
    pub reason: String,
}

impl Status {
    pub(super) fn first(digest: String, addresses: Vec<SocketAddr>) -> Status {
        Status { generation: 1, since: SystemTime::now(), digest, addresses, last_failure: None, failures: 0 }
    }

    pub(super) fn next(&self, digest: String, addresses: Vec<SocketAddr>) -> Status {
        Status {
            generation: self.generation + 1,
            failures: self.failures,
            ..Status::first(digest, addresses)
        }
    }

    /// As JSON. Times are seconds since 1970.
    pub fn json(&self) -> Value {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let failure = self
            .last_failure
            .as_ref()
            .map(|failure| json!({ "at": seconds(failure.at), "reason": failure.reason }));
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        json!({
            "generation": self.generation,
            "since": seconds(self.since),
            "digest": self.digest,
            "addresses": addresses,
            "last_failure": failure,
        })
    }
}

/// What is told of the running configuration.
pub(super) struct Published {
    told: Mutex<Told>,
    settled: Condvar,
}

struct Told {
    status: Status,
    /// How many exchanges of configurations go on: some workers may have another one than `status` says.
    exchanges: usize,
}

/// Some workers may have another configuration than the status says, for as long as this lives.
pub(super) struct Exchange<'a>(&'a Published);

impl Published {
    pub(super) fn new(status: Status) -> Published {
        Published { told: Mutex::new(Told { status, exchanges: 0 }), settled: Condvar::new() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An exchange begins.
    pub(super) fn exchange(&self) -> Exchange<'_> {
        self.told().exchanges += 1;
        Exchange(self)
    }

    /// Changes what is told, and answers with it.
    pub(super) fn change(&self, change: impl FnOnce(&mut Status)) -> Status {
        let mut told = self.told();
        change(&mut told.status);
        told.status.clone()
    }

    /// What is told when no exchange goes on, or none has ended for a second.
    pub(super) fn settled(&self) -> Status {
        let waited = self.settled.wait_timeout_while(self.told(), PATIENCE, |told| told.exchanges > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.status.clone()
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.0.told().exchanges -= 1;
        self.0.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_during_an_exchange_is_told_of_its_end() {
        let published = Published::new(Status::first("a".to_owned(), Vec::new()));
        let exchange = published.exchange();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| published.settled());
            published.change(|status| *status = status.next("b".to_owned(), Vec::new()));
            drop(exchange);
            assert_eq!(asked.join().unwrap().generation, 2);
        });
        // One that does not end keeps nobody for ever.
        let _exchange = published.exchange();
        assert_eq!(published.settled().generation, 2);
    }
}
