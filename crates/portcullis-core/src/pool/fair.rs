//! A short queue in which addresses take turns.
//!
//! Entries of known clients go first, but every fourth turn belongs to the others while any of them waits. Within each
//! group the addresses take turns, one entry each; an IPv6 /48 has four turns, whatever addresses of it wait. If the queue is full, the newest entry of the address with
//! the most entries gives way to a newcomer, provided that the newcomer's address would still have fewer. So one address
//! can fill a queue that nobody else needs, and cannot keep anybody else out of it.

use crate::network::Network;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// After so many turns of known clients, one of the others has a turn.
const KNOWN_IN_A_ROW: usize = 3;

/// Known clients never push the others below this part of the queue.
const OTHERS_PART: usize = 4;

/// For whom something is queued or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Whether its credential was good a while ago.
    pub known: bool,
}

impl Client {
    /// A client that has shown nothing yet.
    pub fn unknown(address: IpAddr) -> Client {
        Client { address, known: false }
    }
}

/// Identifies an entry of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    number: u64,
    turn: Network,
    known: bool,
}

/// There is no room for this entry.
#[derive(Debug, PartialEq, Eq)]
pub struct QueueFull<T>(pub T);

/// The queue.
#[derive(Debug)]
pub struct FairQueue<T> {
    bound: usize,
    next: u64,
    known: Lane<T>,
    others: Lane<T>,
    known_in_a_row: usize,
}

#[derive(Debug)]
struct Lane<T> {
    len: usize,
    /// The addresses that have entries, in the order of their turns.
    turns: VecDeque<Network>,
    entries: HashMap<Network, VecDeque<(u64, T)>>,
}

impl<T> FairQueue<T> {
    /// A queue of at most `bound` entries.
    pub fn new(bound: usize) -> FairQueue<T> {
        FairQueue { bound, next: 0, known: Lane::new(), others: Lane::new(), known_in_a_row: 0 }
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.known.len + self.others.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an entry. `Ok` has its ticket and the entry that gave way to it, if one had to.
    ///
    /// # Errors
    /// The queue is full, and the client's address has as many entries in it as any other.
    pub fn push(&mut self, client: Client, entry: T) -> Result<(Ticket, Option<T>), QueueFull<T>> {
        let (turn, known) = (Network::turn(client.address), client.known);
        let mut gone = None;
        if self.len() >= self.bound {
            gone = self.make_room(turn, known);
            if gone.is_none() {
                return Err(QueueFull(entry));
            }
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.lane(known).push(turn, number, entry);
        Ok((Ticket { number, turn, known }, gone))
    }

    // SECURITY: nobody is kept out by one address that fills the queue (one_address_keeps_nobody_out).
    fn make_room(&mut self, turn: Network, known: bool) -> Option<T> {
        if known && self.others.len > self.bound / OTHERS_PART {
            return self.others.give_way(0);
        }
        let lane = self.lane(known);
        let own = lane.entries.get(&turn).map_or(0, VecDeque::len);
        lane.give_way(own + 1)
    }

    fn lane(&mut self, known: bool) -> &mut Lane<T> {
        if known { &mut self.known } else { &mut self.others }
    }

    /// The next entry that `ready` accepts. Entries that it does not accept keep their turn.
    pub fn pop(&mut self, mut ready: impl FnMut(&T) -> bool) -> Option<T> {
        let known_first = self.known_in_a_row < KNOWN_IN_A_ROW;
        for known in [known_first, !known_first] {
            if let Some(entry) = self.lane(known).pop(&mut ready) {
                self.known_in_a_row = if known { self.known_in_a_row + 1 } else { 0 };
                return Some(entry);
            }
        }
        None
    }

    /// Removes the entry of a client that no longer waits. `None` if it is not there any more.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.lane(ticket.known).remove(ticket)
    }

    /// Removes every entry that `keep` does not accept.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.known.retain(&mut keep);
        self.others.retain(&mut keep);
    }
}

impl<T> Lane<T> {
    fn new() -> Lane<T> {
        Lane { len: 0, turns: VecDeque::new(), entries: HashMap::new() }
    }

    fn push(&mut self, turn: Network, number: u64, entry: T) {
        let entries = self.entries.entry(turn).or_default();
        if entries.is_empty() {
            self.turns.push_back(turn);
        }
        entries.push_back((number, entry));
        self.len += 1;
    }

    /// The newest entry of the address with the most entries, if it has more than `own`.
    fn give_way(&mut self, own: usize) -> Option<T> {
        let (turn, entries) = self.entries.iter_mut().max_by_key(|(_, entries)| entries.len())?;
        let turn = *turn;
        if entries.len() <= own {
            return None;
        }
        let (_, entry) = entries.pop_back()?;
        self.len -= 1;
        self.tidy(turn);
        Some(entry)
    }

    fn pop(&mut self, ready: &mut impl FnMut(&T) -> bool) -> Option<T> {
        let place = self.turns.iter().position(|turn| {
            let first = self.entries.get(turn).and_then(VecDeque::front);
            first.is_some_and(|(_, entry)| ready(entry))
        })?;
        let turn = self.turns.remove(place)?;
        let entries = self.entries.get_mut(&turn)?;
        let (_, entry) = entries.pop_front()?;
        self.len -= 1;
        if entries.is_empty() {
            self.entries.remove(&turn);
        } else {
            self.turns.push_back(turn);
        }
        Some(entry)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let entries = self.entries.get_mut(&ticket.turn)?;
        let place = entries.iter().position(|(number, _)| *number == ticket.number)?;
        let (_, entry) = entries.remove(place)?;
        self.len -= 1;
        self.tidy(ticket.turn);
        Some(entry)
    }

    fn retain(&mut self, keep: &mut impl FnMut(&T) -> bool) {
        self.entries.retain(|_, entries| {
            entries.retain(|(_, entry)| keep(entry));
            !entries.is_empty()
        });
        self.len = self.entries.values().map(VecDeque::len).sum();
        let entries = &self.entries;
        self.turns.retain(|turn| entries.contains_key(turn));
    }

    /// Forgets an address that has no entries.
    fn tidy(&mut self, turn: Network) {
        if self.entries.get(&turn).is_some_and(VecDeque::is_empty) {
            self.entries.remove(&turn);
            self.turns.retain(|other| *other != turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number).into())
    }

    fn of(number: u32, known: bool) -> Client {
        Client { address: address(number), known }
    }

    fn drain(queue: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop(|_| true)).collect()
    }

    #[test]
    fn addresses_take_turns() {
        let mut queue = FairQueue::new(10);
        for (number, entry) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")] {
            assert_eq!(queue.push(of(number, false), entry).unwrap().1, None);
        }
        assert_eq!(drain(&mut queue), ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert!(queue.others.entries.is_empty() && queue.others.turns.is_empty(), "addresses are forgotten");
    }

    #[test]
    fn one_address_keeps_nobody_out() {
        let mut queue = FairQueue::new(4);
        for entry in ["a1", "a2", "a3", "a4"] {
            queue.push(of(1, false), entry).unwrap();
        }
        assert_eq!(queue.push(of(1, false), "a5"), Err(QueueFull("a5")));
        assert_eq!(queue.push(of(2, false), "b1").unwrap().1, Some("a4"));
        assert_eq!(queue.push(of(2, false), "b2").unwrap().1, Some("a3"));
        assert_eq!(queue.push(of(2, false), "b3"), Err(QueueFull("b3")), "both have two");
        assert_eq!(queue.push(of(3, false), "c1").map(|(_, gone)| gone.is_some()), Ok(true));
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let mut queue = FairQueue::new(2);
        for host in 1..=2_u16 {
            let address = format!("2001:db8:1:2:{host:x}::1").parse().unwrap();
            queue.push(Client::unknown(address), "six").unwrap();
        }
        let other = Client::unknown("2001:db8:1:3::1".parse().unwrap());
        assert_eq!(queue.push(other, "neighbour").unwrap().1, Some("six"));
    }

    #[test]
    fn one_site_keeps_nobody_out() {
        let mut queue = FairQueue::new(8);
        let from = |address: String| Client::unknown(address.parse().unwrap());
        for network in 0..100 {
            let _full = queue.push(from(format!("2001:db8:1:{network:x}::1")), "site");
        }
        assert_eq!(queue.len(), 8);
        assert_eq!(queue.push(of(1, false), "honest").unwrap().1, Some("site"));
        assert!(drain(&mut queue)[..5].contains(&"honest"), "a site has four turns");
    }

    #[test]
    fn known_clients_go_first_and_do_not_starve_the_others() {
        let mut queue = FairQueue::new(8);
        for number in 0..8 {
            queue.push(of(number, false), "other").unwrap();
        }
        for number in 100..106 {
            assert_eq!(queue.push(of(number, true), "known").unwrap().1, Some("other"));
        }
        assert_eq!(queue.push(of(106, true), "known"), Err(QueueFull("known")), "two of the others stay");
        assert_eq!(queue.push(of(100, true), "known"), Err(QueueFull("known")));
        let order = drain(&mut queue);
        assert_eq!(order, ["known", "known", "known", "other", "known", "known", "known", "other"]);
    }

    #[test]
    fn who_cannot_be_served_yet_holds_up_nobody_else() {
        let mut queue = FairQueue::new(8);
        queue.push(of(1, false), "a").unwrap();
        queue.push(of(2, false), "b").unwrap();
        assert_eq!(queue.pop(|entry| *entry != "a"), Some("b"));
        assert_eq!(queue.pop(|entry| *entry != "a"), None);
        assert_eq!(queue.pop(|_| true), Some("a"));
    }

    proptest! {
        /// Whatever happens to it, a queue keeps its bound, counts right, and forgets addresses without entries.
        #[test]
        fn a_queue_stays_whole(steps in prop::collection::vec((0..4_u8, 0..5_u32, any::<bool>()), 0..200)) {
            let mut queue = FairQueue::new(6);
            let mut tickets = Vec::new();
            for (step, number, known) in steps {
                match step {
                    0 | 1 => {
                        if let Ok((ticket, _)) = queue.push(of(number, known), number) {
                            tickets.push(ticket);
                        }
                    }
                    2 => drop(queue.pop(|from| *from != number)),
                    _ => drop(tickets.pop().and_then(|ticket| queue.remove(ticket))),
                }
                prop_assert!(queue.len() <= 6);
                for lane in [&queue.known, &queue.others] {
                    prop_assert_eq!(lane.len, lane.entries.values().map(VecDeque::len).sum::<usize>());
                    prop_assert_eq!(lane.turns.len(), lane.entries.len());
                    prop_assert!(lane.turns.iter().all(|turn| lane.entries.contains_key(turn)));
                }
            }
            queue.retain(|_| false);
            prop_assert!(queue.is_empty() && queue.known.turns.is_empty() && queue.others.turns.is_empty());
        }
    }
}
