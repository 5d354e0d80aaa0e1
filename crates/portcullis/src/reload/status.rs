//! Which configuration runs.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
