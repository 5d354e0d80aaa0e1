//! What may be used once only.
//!
//! Digests are remembered until a moment that their owner names. Memory is bounded: where there is no room for a new one,
//! the answer is a fault and not a yes, so a flood of fresh proofs can cost service and never lets an old one in again.

use portcullis_core::{Fault, Step};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A memory of what was used.
pub trait Replay: Send + Sync {
    /// Whether `digest`, which `client` brings, is seen for the first time. It is remembered until `until`; both times are
    /// since 1970.
    fn first_use(
        &self,
        now: Duration,
        client: IpAddr,
        digest: [u8; 32],
        until: Duration,
    ) -> Step<'_, Result<bool, Fault>>;

    /// Forgets `digest`: nothing came of its use.
    fn forget(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>>;
}

const SHARDS: usize = 64;

#[derive(Default)]
struct Shard {
    until: HashMap<[u8; 32], Duration>,
    /// When a look for what has passed is worth its cost again.
    sweep_at: usize,
}

/// A memory in this process.
pub struct MemoryReplay {
    shards: Box<[Mutex<Shard>]>,
    room: usize,
}

impl MemoryReplay {
    /// How many digests are remembered at any time: about 60 MiB of memory when full.
    pub const DEFAULT_ENTRIES: usize = 1_048_576;

    /// Room for about `entries` digests.
    pub fn new(entries: usize) -> MemoryReplay {
        MemoryReplay {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            room: entries.div_ceil(SHARDS).max(1),
        }
    }
}

impl Replay for MemoryReplay {
    fn first_use(
        &self,
        now: Duration,
        _: IpAddr,
        digest: [u8; 32],
        until: Duration,
    ) -> Step<'_, Result<bool, Fault>> {
        let [first, ..] = digest;
        let Some(shard) = self.shards.get(usize::from(first) % SHARDS) else {
            return Step::Ready(Err(Fault { detail: "no place to remember what was used".into() }));
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // What has passed is refused by its age already, and need not be remembered.
        if shard.until.get(&digest).is_some_and(|until| *until > now) {
            return Step::Ready(Ok(false));
        }
        if shard.until.len() >= shard.sweep_at.max(self.room.min(64)) {
            shard.until.retain(|_, until| *until > now);
            // SECURITY: forgetting one that is still valid would let it in again (a_full_memory_is_a_fault).
            if shard.until.len() >= self.room {
                return Step::Ready(Err(Fault { detail: "too many proofs at once to remember".into() }));
            }
            shard.sweep_at = (shard.until.len() * 2).min(self.room);
        }
        shard.until.insert(digest, until);
        Step::Ready(Ok(true))
    }

    fn forget(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        let [first, ..] = digest;
        if let Some(shard) = self.shards.get(usize::from(first) % SHARDS) {
            shard.lock().unwrap_or_else(PoisonError::into_inner).until.remove(&digest);
        }
        Step::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(replay: &MemoryReplay, now: u64, digest: u64, until: u64) -> Result<bool, Fault> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&digest.to_le_bytes());
        match replay.first_use(
            Duration::from_secs(now),
            [127, 0, 0, 1].into(),
            bytes,
            Duration::from_secs(until),
        ) {
            Step::Ready(answer) => answer,
            Step::Later(_) => panic!("memory answers at once"),
        }
    }

    #[test]
    fn once_and_not_again() {
        let replay = MemoryReplay::new(1024);
        assert_eq!(ask(&replay, 10, 1, 20), Ok(true));
        assert_eq!(ask(&replay, 19, 1, 29), Ok(false));
        assert_eq!(ask(&replay, 19, 2, 29), Ok(true));
        assert_eq!(ask(&replay, 20, 1, 30), Ok(true), "its time has passed");
    }

    #[test]
    fn a_full_memory_is_a_fault() {
        let replay = MemoryReplay::new(64 * 10);
        let fresh = (0..10_000).filter(|number| ask(&replay, 10, number * 64, 20) == Ok(true)).count();
        assert_eq!(fresh, 10, "all of these share a place with room for ten");
        assert_eq!(ask(&replay, 11, 0, 21), Ok(false), "nothing was forgotten");
        assert!(ask(&replay, 11, 64 * 20_000, 21).is_err());
        assert_eq!(ask(&replay, 20, 64 * 20_000, 30), Ok(true), "there is room when their time has passed");
    }

    #[test]
    fn two_at_once_are_one_first_and_one_not() {
        let replay = MemoryReplay::new(100_000);
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..5000).filter(|n| ask(&replay, 1, *n, 60) == Ok(true)).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(firsts, 5000);
    }
}
