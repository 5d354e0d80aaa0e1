//! Who is refused for a time, since an operator said so, or a detector found something: an address, or a consumer at an
//! address. There is no block of a consumer everywhere: whoever has its key could shut it out with that.
//!
//! A request looks the table up without a lock, and while nobody is blocked that is one load. The table outlives a plan, and
//! with a file also the process.

use arc_swap::ArcSwapOption;
use portcullis_core::head::client::fold;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most addresses that can be blocked at once.
pub const MOST: usize = 10_000;
/// The longest block.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Who is blocked: an IPv4 address or the /64 of an IPv6 one, and the consumer or subject there; empty for everybody.
type Key = (IpAddr, String);

/// A block of an IPv4 address, or of the /64 of an IPv6 one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The consumer or subject that is blocked there. `None`: everybody.
    pub consumer: Option<String>,
    /// When it ends, since 1970.
    pub until: Duration,
    /// Why, in the words of whoever ordered it.
    pub reason: String,
}

type Table = BTreeMap<Key, Block>;

/// Who is blocked. Empty by default.
#[derive(Default)]
pub struct Blocks {
    /// Whether anybody is, which is all that requests look at while nobody is.
    any: AtomicBool,
    table: ArcSwapOption<Table>,
    /// Held by whoever changes the table.
    changing: Mutex<()>,
}

/// There are as many blocks as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Blocks {
    /// Whether a client is refused now (time since 1970).
    pub fn is_blocked(&self, client: IpAddr, now: impl FnOnce() -> Duration) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        match self.table.load().as_ref() {
            None => false,
            Some(table) => {
                let everybody = (fold(client), String::new());
                table.get(&everybody).is_some_and(|block| now() < block.until)
            }
        }
    }

    /// Whether this consumer or subject is refused now at this client (time since 1970).
    pub fn is_blocked_as(&self, client: IpAddr, name: &str, now: impl FnOnce() -> Duration) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        match self.table.load().as_ref() {
            None => false,
            Some(table) => {
                let here = fold(client);
                let mut others = table.range((here, String::new())..).take_while(|((at, _), _)| *at == here);
                others
                    .find(|((_, who), _)| !who.is_empty() && who == name)
                    .is_some_and(|(_, block)| now() < block.until)
            }
        }
    }

    /// Blocks a client until then, in place of a block that it has. Blocks that have ended are forgotten.
    ///
    /// # Errors
    /// [`MOST`] others are blocked.
    pub fn block(&self, client: IpAddr, block: Block, now: Duration) -> Result<(), Full> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = self.table(now);
        let key = (fold(client), block.consumer.clone().unwrap_or_default());
        if table.len() >= MOST && !table.contains_key(&key) {
            return Err(Full);
        }
        table.insert(key, block);
        self.store(table);
        Ok(())
    }

    fn store(&self, table: Table) {
        let any = !table.is_empty();
        self.table.store(any.then(|| Arc::new(table)));
        self.any.store(any, Ordering::Release);
    }

    /// Ends every block of an address, with those of single consumers there. Whether there was one.
    pub fn unblock(&self, client: IpAddr, now: Duration) -> bool {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = self.table(now);
        let (before, client) = (table.len(), fold(client));
        table.retain(|(address, _), _| *address != client);
        let there = table.len() < before;
        self.store(table);
        there
    }

    /// Every block that has not ended.
    pub fn list(&self, now: Duration) -> Vec<(IpAddr, Block)> {
        self.table(now).into_iter().map(|((client, _), block)| (client, block)).collect()
    }

    fn table(&self, now: Duration) -> Table {
        let table = self.table.load_full();
        let all = table.iter().flat_map(|table| table.iter());
        all.filter(|(_, block)| now < block.until).map(|(key, block)| (key.clone(), block.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn block(until: u64) -> Block {
        Block { consumer: None, until: seconds(until), reason: "a test".into() }
    }

    #[test]
    fn a_block_ends_by_itself_and_by_order() {
        let blocks = Blocks::default();
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(!blocks.is_blocked(client, || seconds(0)));
        blocks.block(client, block(100), seconds(0)).unwrap();
        assert!(blocks.is_blocked(client, || seconds(99)));
        assert!(!blocks.is_blocked(client, || seconds(100)));
        assert!(!blocks.is_blocked("192.0.2.2".parse().unwrap(), || seconds(1)));
        assert!(blocks.unblock(client, seconds(1)));
        assert!(!blocks.unblock(client, seconds(1)));
        assert!(!blocks.is_blocked(client, || seconds(1)));
    }

    #[test]
    fn a_block_of_address_and_consumer_stops_neither_alone() {
        let blocks = Blocks::default();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let elsewhere: IpAddr = "192.0.2.2".parse().unwrap();
        let alice = Block { consumer: Some("alice".into()), ..block(100) };
        blocks.block(here, alice, seconds(0)).unwrap();
        let is_blocked = |address, name| blocks.is_blocked_as(address, name, || seconds(1));
        assert!(is_blocked(here, "alice"));
        assert!(!is_blocked(here, "bob") && !is_blocked(elsewhere, "alice") && !is_blocked(here, ""));
        assert!(!blocks.is_blocked(here, || seconds(1)), "others come from there as well");
        assert!(!blocks.is_blocked_as(here, "alice", || seconds(100)));
        blocks.block(here, block(100), seconds(0)).unwrap();
        assert_eq!(blocks.list(seconds(1)).len(), 2);
        assert!(blocks.unblock(here, seconds(1)) && !is_blocked(here, "alice"));
        assert!(blocks.list(seconds(1)).is_empty());
    }

    #[test]
    fn one_customer_of_ipv6_is_one_address() {
        let blocks = Blocks::default();
        blocks.block("2001:db8:0:1::7".parse().unwrap(), block(9), seconds(0)).unwrap();
        assert!(blocks.is_blocked("2001:db8:0:1:ffff::1".parse().unwrap(), || seconds(1)));
        assert!(!blocks.is_blocked("2001:db8:0:2::7".parse().unwrap(), || seconds(1)));
        blocks.block("::ffff:10.0.0.1".parse().unwrap(), block(9), seconds(0)).unwrap();
        assert!(blocks.is_blocked("10.0.0.1".parse().unwrap(), || seconds(1)));
    }

    #[test]
    fn the_table_is_bounded_and_ended_blocks_make_room() {
        let blocks = Blocks::default();
        let table: Table = (0..MOST)
            .map(|number| {
                let client = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
                ((IpAddr::V4(client), String::new()), block(10))
            })
            .collect();
        blocks.table.store(Some(Arc::new(table)));
        let new: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(blocks.block(new, block(100), seconds(1)), Err(Full));
        assert_eq!(blocks.block(new, block(100), seconds(10)), Ok(()));
        assert_eq!(blocks.list(seconds(10)).len(), 1);
    }
}
