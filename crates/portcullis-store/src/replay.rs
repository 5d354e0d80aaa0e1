//! What may be used once only.
//!
//! Digests are remembered until a moment that their owner names. Memory is bounded: where there is no room for a new one,
//! the answer is a fault and not a yes, so a flood of fresh proofs can cost service and never lets an old one in again.
//! One address gets no more room than it leaves free, and an IPv6 /48 three times as much: three quarters, if it is alone.
//! However many addresses flood, a share as large as theirs is left.

use portcullis_core::head::client;
use portcullis_core::{Fault, Step};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
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

/// How many times what it leaves free an IPv6 /48 gets.
const SITE: usize = 3;

/// A digest that was used: until when it is remembered, in milliseconds since 1970, and in whose share.
struct Used {
    until: u64,
    owner: u64,
}

#[derive(Default)]
struct Shard {
    used: HashMap<[u8; 32], Used>,
    /// How many of them are whose.
    owned: HashMap<u64, u32>,
    /// The same for IPv6 /48s, by their first address' owner.
    sites: HashMap<u64, u32>,
    /// When a look for what has passed is worth its cost again.
    sweep_at: usize,
    /// The second since 1970 of the last look.
    swept: u64,
}

impl Shard {
    fn remove(&mut self, digest: &[u8; 32]) {
        if let Some(Used { owner, .. }) = self.used.remove(digest) {
            disown(&mut self.owned, owner);
            site(owner).inspect(|site| disown(&mut self.sites, *site));
        }
    }

    /// Forgets what has passed.
    fn sweep(&mut self, now: u64) {
        let Shard { used, owned, sites, .. } = self;
        used.retain(|_, Used { until, owner }| {
            let stays = *until > now;
            if !stays {
                disown(owned, *owner);
                site(*owner).inspect(|site| disown(sites, *site));
            }
            stays
        });
    }

    /// Whether `owner` can have room for one more.
    // SECURITY: as much as it leaves free, so that one address keeps nobody out, nor one customer with many
    // (one_address_leaves_room_for_the_proofs_of_others, one_site_leaves_room_for_the_proofs_of_others).
    fn has_room(&self, room: usize, owner: u64) -> bool {
        let free = room.saturating_sub(self.used.len());
        let has = |of: &HashMap<u64, u32>, owner| of.get(&owner).map_or(0, |owned| *owned as usize);
        has(&self.owned, owner) < free
            && site(owner).is_none_or(|site| has(&self.sites, site) < free.saturating_mul(SITE))
    }

    fn add(&mut self, digest: [u8; 32], until: u64, owner: u64) {
        *self.owned.entry(owner).or_insert(0) += 1;
        if let Some(site) = site(owner) {
            *self.sites.entry(site).or_insert(0) += 1;
        }
        self.used.insert(digest, Used { until, owner });
    }
}

fn disown(owned: &mut HashMap<u64, u32>, owner: u64) {
    if let Some(count) = owned.get_mut(&owner) {
        *count -= 1;
        if *count == 0 {
            owned.remove(&owner);
        }
    }
}

/// A memory in this process.
pub struct MemoryReplay {
    shards: Box<[Mutex<Shard>]>,
    room: usize,
    // Nobody outside knows which digests share a place, so nobody can fill a single one.
    places: RandomState,
}

impl MemoryReplay {
    /// How many digests are remembered at any time. With what each address and site has of them, at most 83 MiB of memory.
    // A table of 16,384 places in each shard, which takes seven eighths of that before it grows.
    pub const DEFAULT_ENTRIES: usize = 14_336 * SHARDS;

    /// Room for about `entries` digests.
    pub fn new(entries: usize) -> MemoryReplay {
        MemoryReplay {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            room: entries.div_ceil(SHARDS).max(1),
            places: RandomState::new(),
        }
    }

    fn shard(&self, digest: &[u8; 32]) -> Option<&Mutex<Shard>> {
        let place = usize::try_from(self.places.hash_one(digest) % SHARDS as u64).ok()?;
        self.shards.get(place)
    }
}

impl Replay for MemoryReplay {
    fn first_use(
        &self,
        now: Duration,
        client: IpAddr,
        digest: [u8; 32],
        until: Duration,
    ) -> Step<'_, Result<bool, Fault>> {
        let Some(shard) = self.shard(&digest) else {
            return Step::Ready(Err(Fault { detail: "no place to remember what was used".into() }));
        };
        let (second, now, until) = (now.as_secs(), millis(now), millis(until));
        let owner = owner(client);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        match shard.used.get(&digest) {
            Some(used) if used.until > now => return Step::Ready(Ok(false)),
            // What has passed is refused by its age already, and need not be remembered.
            Some(_) => shard.remove(&digest),
            None => {}
        }
        let is_due = shard.used.len() >= shard.sweep_at.max(self.room.min(64));
        // Once a second at most, so that those who find no room cost little.
        if (is_due || !shard.has_room(self.room, owner)) && shard.swept != second {
            shard.sweep(now);
            shard.swept = second;
            shard.sweep_at = (shard.used.len() * 2).min(self.room);
        }
        // SECURITY: forgetting one that is still valid would let it in again (a_full_memory_is_a_fault).
        if !shard.has_room(self.room, owner) {
            return Step::Ready(Err(Fault { detail: "too many proofs at once to remember".into() }));
        }
        shard.add(digest, until, owner);
        Step::Ready(Ok(true))
    }

    fn forget(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        if let Some(shard) = self.shard(&digest) {
            shard.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
        }
        Step::Ready(Ok(()))
    }
}

/// Rounded up, so that nothing is forgotten while it could be used.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// An IPv4 address, or the /64 of an IPv6 address, as one number. What an IPv4 address is here is in no network of IPv6.
fn owner(client: IpAddr) -> u64 {
    match client::fold(client) {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => u64::try_from(u128::from(address) >> 64).unwrap_or_default(),
    }
}

/// The /48 around the /64 of an owner. `None` for IPv4.
fn site(owner: u64) -> Option<u64> {
    (owner > u64::from(u32::MAX)).then_some(owner >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask_as(
        replay: &MemoryReplay,
        client: IpAddr,
        now: u64,
        digest: u64,
        until: u64,
    ) -> Result<bool, Fault> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&digest.to_le_bytes());
        match replay.first_use(Duration::from_secs(now), client, bytes, Duration::from_secs(until)) {
            Step::Ready(answer) => answer,
            Step::Later(_) => panic!("memory answers at once"),
        }
    }

    /// Each digest from an address of its own.
    fn ask(replay: &MemoryReplay, now: u64, digest: u64, until: u64) -> Result<bool, Fault> {
        ask_as(replay, IpAddr::V4(u32::try_from(digest).unwrap().into()), now, digest, until)
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
        let fresh: Vec<_> = (0..100_000).filter(|number| ask(&replay, 10, *number, 20) == Ok(true)).collect();
        assert_eq!(fresh.len(), 640, "ten in each place");
        for number in fresh {
            assert_eq!(ask(&replay, 11, number, 21), Ok(false), "{number} was not forgotten");
        }
        assert!(ask(&replay, 11, 200_000, 21).is_err());
        assert_eq!(ask(&replay, 20, 200_000, 30), Ok(true), "there is room when their time has passed");
    }

    #[test]
    fn one_address_leaves_room_for_the_proofs_of_others() {
        let replay = MemoryReplay::new(64 * 64);
        let flood = |client: &str, from: u64, now: u64| {
            let client = client.parse().unwrap();
            let numbers = from..from + 100_000;
            numbers.filter(|number| ask_as(&replay, client, now, *number, now + 60) == Ok(true)).count()
        };
        assert_eq!(flood("192.0.2.1", 0, 10), 2048, "half of the room");
        assert_eq!(flood("2001:db8:1:2::1", 100_000, 10), 1024, "half of what is left");
        assert_eq!(flood("2001:db8:1:2:ffff::9", 200_000, 10), 0, "a customer's /64 has one share");
        // Whoever comes then is let in, and finds that each proof is used once.
        let honest = "198.51.100.7".parse().unwrap();
        for number in 300_000..300_100 {
            assert_eq!(ask_as(&replay, honest, 11, number, 71), Ok(true));
            assert_eq!(ask_as(&replay, honest, 11, number, 71), Ok(false));
        }
        // What has passed, or came to nothing, counts no more.
        let again = flood("192.0.2.1", 400_000, 70);
        assert!((1990..=2048).contains(&again), "{again}: half of the room beside the 100 that stay");
        let mut last = [0; 32];
        last[..8].copy_from_slice(&300_000_u64.to_le_bytes());
        assert_eq!(ask_as(&replay, honest, 70, 300_000, 130), Ok(false));
        assert!(matches!(replay.forget(last), Step::Ready(Ok(()))));
        assert_eq!(ask_as(&replay, honest, 70, 300_000, 130), Ok(true));
    }

    #[test]
    fn one_site_leaves_room_for_the_proofs_of_others() {
        let replay = MemoryReplay::new(64 * 256);
        let flood = |site: u16, from: u64| {
            let numbers = from..from + 100_000;
            let net = |number: u64| IpAddr::from([0x2001, 0xdb8, site, (number % 1000) as u16, 0, 0, 0, 1]);
            numbers.filter(|number| ask_as(&replay, net(*number), 10, *number, 70) == Ok(true)).count()
        };
        assert_eq!(flood(1, 0), 12_288, "three quarters of the room");
        assert_eq!(flood(2, 100_000), 3072, "three quarters of what is left");
        let honest = "198.51.100.7".parse().unwrap();
        for number in 300_000..300_050 {
            assert_eq!(ask_as(&replay, honest, 11, number, 71), Ok(true));
        }
        assert!(ask_as(&replay, "2001:db8:1:ffff::1".parse().unwrap(), 11, 400_000, 71).is_err());
        assert_eq!(flood(1, 500_000), 0);
        // All of it counts no more when its time has passed.
        for shard in &replay.shards {
            let mut shard = shard.lock().unwrap();
            shard.sweep(80_000);
            assert!(shard.used.is_empty() && shard.owned.is_empty() && shard.sites.is_empty());
        }
    }

    /// The figure in docs/limits.md: a table's places, each with its entry and one byte.
    #[test]
    fn a_full_memory_takes_what_is_said() {
        let replay = MemoryReplay::new(MemoryReplay::DEFAULT_ENTRIES);
        // Each from a site of its own, which takes the most.
        for number in 0..1_000_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            let client = IpAddr::from([0x20, 1, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            let _ = ask_as(&replay, client, 10, number.into(), 20);
        }
        let bytes = |places: usize, entry: usize| (places * 8 / 7).next_power_of_two() * (entry + 1);
        let all: usize = replay
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap();
                assert_eq!(
                    shard.used.len(),
                    shard.owned.values().map(|count| *count as usize).sum::<usize>()
                );
                let counts = shard.owned.capacity().max(shard.sites.capacity());
                bytes(shard.used.capacity(), 48) + 2 * bytes(counts, 16)
            })
            .sum();
        assert!(all <= 83 << 20, "{all} bytes");
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
