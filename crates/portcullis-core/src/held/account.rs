//! Who holds how much memory, and which body goes first when memory is short.
//!
//! Three rules, in this order:
//! 1. A body that makes no progress is given up when somebody else needs its memory.
//! 2. One address holds at most as much as is still free, so it never takes what others need. The first body of an
//!    address is exempt: it may take whatever is free. The addresses of an IPv6 /64 are one address. An IPv6 /48 is as good
//!    as four addresses: it holds at most four times what is still free, its first four bodies apart.
//! 3. All bodies together hold at most the limit.
//!
//! A body is judged whole or not at all, so a body that was given up is refused with 503.

use super::overloaded;
use crate::denial::Denial;
use crate::network::{Network, SITE};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::task::Waker;
use std::time::Duration;

/// A body that has not made progress for so long goes first.
pub(super) const IDLE: Duration = Duration::from_secs(2);

/// A buffer of so much gets room for the whole body at once.
const LARGE: usize = 1024 * 1024;

/// Progress is at least so many bytes, and at least this part of what is held. A client that keeps 1 MiB alive must send
/// 16 KiB in every two seconds in which somebody else needs the memory.
const LEAST_PROGRESS: usize = 1024;
const PART_OF_HELD: usize = 64;

/// Whose share it is: that of an address, and for IPv6 that of the site around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source([Option<Network>; 2]);

impl Source {
    pub(super) fn new(address: IpAddr) -> Source {
        Source([Some(Network::of(address)), Network::site(address)])
    }

    fn networks(self) -> impl Iterator<Item = Network> {
        self.0.into_iter().flatten()
    }
}

/// The number of a holding, in the order in which they were opened.
pub(super) type Id = u64;

/// The state of an account. It is locked for as long as one part of a body is copied, and each worker has its own.
#[derive(Debug)]
pub(super) struct State {
    limit: usize,
    used: usize,
    next: Id,
    holdings: HashMap<Id, Held>,
    shares: HashMap<Network, Share>,
    /// The bodies that are still being read, by the time of their last progress.
    reading: BTreeSet<(Duration, Id)>,
}

/// What an address or a site holds.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    holdings: usize,
    reading: BTreeSet<(Duration, Id)>,
}

/// Whose memory is short.
enum Short {
    Everybody,
    Of(Network),
}

/// What one request holds.
#[derive(Debug)]
struct Held {
    source: Source,
    bytes: usize,
    reading: Option<Reading>,
    given_up: bool,
}

/// A body that is still being read.
#[derive(Debug)]
struct Reading {
    data: Vec<u8>,
    /// How much memory was taken for it. The buffer can have more room, which is memory only once something is written to it.
    taken: usize,
    /// When it last made progress, and how much had come then.
    moved: Duration,
    moved_bytes: usize,
    waker: Option<Waker>,
}

impl State {
    pub(super) fn new(limit: usize) -> State {
        State {
            limit,
            used: 0,
            next: 0,
            holdings: HashMap::new(),
            shares: HashMap::new(),
            reading: BTreeSet::new(),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn open(&mut self, source: Source) -> Id {
        let id = self.next;
        self.next += 1;
        for network in source.networks() {
            self.shares.entry(network).or_default().holdings += 1;
        }
        self.holdings.insert(id, Held { source, bytes: 0, reading: None, given_up: false });
        id
    }

    pub(super) fn close(&mut self, id: Id) {
        drop(self.finish(id));
        let Some(held) = self.holdings.remove(&id) else { return };
        self.used = self.used.saturating_sub(held.bytes);
        for network in held.source.networks() {
            let Some(share) = self.shares.get_mut(&network) else { continue };
            share.bytes = share.bytes.saturating_sub(held.bytes);
            share.holdings = share.holdings.saturating_sub(1);
            if share.holdings == 0 {
                self.shares.remove(&network);
            }
        }
    }

    /// Takes memory; gives idle bodies up where that makes room.
    pub(super) fn take(&mut self, id: Id, more: usize, now: Duration) -> Result<(), Denial> {
        if self.holdings.get(&id).is_none_or(|held| held.given_up) {
            return Err(given_up());
        }
        while let Some(short) = self.is_short(id, more) {
            // Where there is room, but not for this address, only its own bodies make some.
            let own = match short {
                Short::Everybody => None,
                Short::Of(network) => self.shares.get(&network),
            };
            let candidates = own.map_or(&self.reading, |share| &share.reading);
            // SECURITY: whoever merely holds memory keeps nobody out (idle_bodies_are_the_first_to_go).
            let idle = candidates.iter().find(|(_, other)| *other != id);
            let Some((_, victim)) = idle.filter(|(moved, _)| now.saturating_sub(*moved) >= IDLE) else {
                let own = self.holdings.get(&id).and_then(|held| held.source.networks().next());
                let own = own.and_then(|network| self.shares.get(&network)).map_or(0, |share| share.bytes);
                let (used, limit) = (self.used, self.limit);
                return Err(overloaded(format!(
                    "{used} of {limit} bytes for held bodies are used, {own} of them by this address"
                )));
            };
            let victim = *victim;
            self.give_up(victim);
        }
        self.used += more;
        if let Some(held) = self.holdings.get_mut(&id) {
            held.bytes += more;
            for network in held.source.networks() {
                if let Some(share) = self.shares.get_mut(&network) {
                    share.bytes += more;
                }
            }
        }
        Ok(())
    }

    /// Whose memory is short, if so much more is taken. `None` where nobody's is.
    fn is_short(&self, id: Id, more: usize) -> Option<Short> {
        let after = self.used.checked_add(more).filter(|after| *after <= self.limit);
        let Some(after) = after else { return Some(Short::Everybody) };
        let free = self.limit - after;
        // SECURITY: what one address holds never exceeds what is left for others, and a site does not have the share of each of
        // its 65,536 networks (one_address_leaves_room_for_others, a_site_leaves_room_for_others).
        let networks = self.holdings.get(&id)?.source.networks();
        let short = networks.zip([1, SITE]).find(|(network, addresses)| {
            let share = self.shares.get(network);
            share.is_some_and(|share| {
                share.holdings > *addresses && share.bytes + more > free.saturating_mul(*addresses)
            })
        });
        short.map(|(network, _)| Short::Of(network))
    }

    /// Gives memory back that was taken.
    pub(super) fn give_back(&mut self, id: Id, bytes: usize) {
        let Some(held) = self.holdings.get_mut(&id) else { return };
        let bytes = bytes.min(held.bytes);
        held.bytes -= bytes;
        self.used = self.used.saturating_sub(bytes);
        for network in held.source.networks() {
            if let Some(share) = self.shares.get_mut(&network) {
                share.bytes = share.bytes.saturating_sub(bytes);
            }
        }
    }

    /// A body begins to come in.
    pub(super) fn read(&mut self, id: Id, now: Duration) {
        let Some(held) = self.holdings.get_mut(&id) else { return };
        held.reading = Some(Reading { data: Vec::new(), taken: 0, moved: now, moved_bytes: 0, waker: None });
    }

    /// Adds a part of a body; answers with the size of what is there. `announced` is how large the body says it will be.
    pub(super) fn push(
        &mut self,
        id: Id,
        part: &[u8],
        announced: usize,
        now: Duration,
    ) -> Result<usize, Denial> {
        let reading = self.holdings.get(&id).and_then(|held| held.reading.as_ref()).ok_or_else(given_up)?;
        let (length, taken) = (reading.data.len(), reading.taken);
        let size = length.saturating_add(part.len());
        // SECURITY: memory is taken as bytes come in; what is merely announced costs the sender nothing and must cost
        // nothing here (an_announced_body_takes_no_memory).
        let wanted = if size > taken {
            let ample = taken.saturating_mul(2).max(1024).min(announced).max(size);
            // Room to grow is worth nobody's body.
            let wanted = if self.is_short(id, ample - taken).is_none() { ample } else { size };
            self.take(id, wanted - taken, now)?;
            wanted
        } else {
            taken
        };
        // SECURITY: a large buffer that moves to grow is there twice, and the old one stays with the allocator for a while; so it
        // gets its room once (a_held_body_takes_its_own_size_of_memory).
        let room = if wanted < LARGE { wanted } else { announced.min(self.limit).max(wanted) };
        let held = self.holdings.get_mut(&id).ok_or_else(given_up)?;
        let source = held.source;
        let Some(reading) = &mut held.reading else { return Err(given_up()) };
        reading.taken = wanted;
        if size > reading.data.capacity() {
            let reserved = reading.data.try_reserve_exact(room - length);
            reserved
                .or_else(|_| reading.data.try_reserve_exact(wanted - length))
                .map_err(|_| overloaded("the system has no memory left".into()))?;
        }
        reading.data.extend_from_slice(part);
        // A body that holds nothing is in nobody's way, so it is sorted in with its first bytes.
        if length == 0 || size - reading.moved_bytes >= LEAST_PROGRESS.max(size / PART_OF_HELD) {
            let before = reading.moved;
            (reading.moved, reading.moved_bytes) = (now, size);
            self.moved(id, source, before, Some(now));
        }
        Ok(size)
    }

    /// Whether the body was given up. If not, `waker` is woken when it is.
    pub(super) fn watch(&mut self, id: Id, waker: &Waker) -> Result<(), Denial> {
        let reading =
            self.holdings.get_mut(&id).and_then(|held| held.reading.as_mut()).ok_or_else(given_up)?;
        match &mut reading.waker {
            Some(known) => known.clone_from(waker),
            None => reading.waker = Some(waker.clone()),
        }
        Ok(())
    }

    /// The body has come in, or nobody waits for the rest of it. Its memory, of which the size is given, stays taken.
    pub(super) fn finish(&mut self, id: Id) -> Option<(Vec<u8>, usize)> {
        let held = self.holdings.get_mut(&id)?;
        let reading = held.reading.take()?;
        let source = held.source;
        self.moved(id, source, reading.moved, None);
        Some((reading.data, reading.taken))
    }

    fn give_up(&mut self, id: Id) {
        let Some(held) = self.holdings.get_mut(&id) else { return };
        held.given_up = true;
        let (source, bytes) = (held.source, held.bytes);
        if let Some(reading) = held.reading.take() {
            self.moved(id, source, reading.moved, None);
            if let Some(waker) = reading.waker {
                waker.wake();
            }
        }
        self.give_back(id, bytes);
    }

    /// Sorts a body in anew, or out.
    fn moved(&mut self, id: Id, source: Source, before: Duration, now: Option<Duration>) {
        let sort = |set: &mut BTreeSet<(Duration, Id)>| {
            set.remove(&(before, id));
            if let Some(now) = now {
                set.insert((now, id));
            }
        };
        sort(&mut self.reading);
        for network in source.networks() {
            if let Some(share) = self.shares.get_mut(&network) {
                sort(&mut share.reading);
            }
        }
    }
}

fn given_up() -> Denial {
    overloaded("its memory was needed, and the body made no progress".into())
}
