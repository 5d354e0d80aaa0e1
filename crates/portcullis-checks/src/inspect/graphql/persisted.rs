//! Documents of automatic persisted queries: those that this worker has judged, by their SHA-256.
//!
//! A client sends a document with its hash once, and then the hash alone. The document is remembered here, so that each request
//! is judged with its own variables as if the document stood in it. A hash that is not known here is not sent on, whatever the
//! upstream may know: the client is told to send the document again. Needs nothing that could fail.
//!
//! Each worker has its own memory, bounded in bytes. One address that makes up documents fills its own part only: a document enters the
//! part that all share when a second part has it.

use crate::byte_cache::ByteCache;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses are spread over so many parts.
const PARTS: usize = 16;
/// Documents are seldom shorter, so there are no more entries than the memory divided by this.
const SHORTEST: usize = 256;

type Documents = ByteCache<[u8; 32], Arc<str>>;

/// The documents.
pub struct Persisted {
    /// Those that clients in several parts have sent: half of the memory.
    shared: Documents,
    /// Those of one part of the addresses.
    parts: Vec<Documents>,
    spread: RandomState,
}

impl Persisted {
    /// At most so many bytes for each worker.
    pub fn new(bytes: usize) -> Persisted {
        let of = |bytes: usize| Documents::new((bytes / SHORTEST).max(1), bytes);
        Persisted {
            shared: of(bytes / 2),
            parts: (0..PARTS).map(|_| of(bytes / 2 / PARTS)).collect(),
            spread: RandomState::new(),
        }
    }

    /// The document with this hash, if a client has sent it that this one shares a part with, or several.
    pub fn find(&self, hash: &[u8; 32], client: IpAddr) -> Option<Arc<str>> {
        let found = |documents: &Documents| documents.find(hash, |text| Some(Arc::clone(text)));
        found(&self.shared).or_else(|| self.parts.get(self.part_of(client)).and_then(found))
    }

    /// Remembers a document that was judged, and whose hash this is.
    pub fn remember(&self, hash: [u8; 32], text: &str, client: IpAddr) {
        if self.find(&hash, client).is_some() {
            return;
        }
        let elsewhere = self.parts.iter().any(|documents| documents.find(&hash, |_| Some(())).is_some());
        let documents = if elsewhere { Some(&self.shared) } else { self.parts.get(self.part_of(client)) };
        if let Some(documents) = documents {
            documents.insert(hash, Arc::from(text), text.len());
        }
    }

    /// The part of an address, by the network that one client has: an IPv4 address, or an IPv6 /48.
    fn part_of(&self, client: IpAddr) -> usize {
        let hash = match client.to_canonical() {
            IpAddr::V4(address) => self.spread.hash_one(address),
            IpAddr::V6(address) => self.spread.hash_one(address.octets().first_chunk::<6>()),
        };
        usize::try_from(hash % 16).unwrap_or_default()
    }

    /// The documents that this thread remembers, and the bytes that they hold.
    #[cfg(test)]
    pub fn held(&self) -> (usize, u64) {
        let all = self.parts.iter().chain([&self.shared]).map(Documents::held);
        all.fold((0, 0), |(entries, bytes), (more, larger)| (entries + more, bytes + larger))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn one_address_fills_its_own_part_only() {
        let persisted = Persisted::new(1024 * 1024);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let greedy = (1..=255u8).map(|last| IpAddr::from([198, 51, 100, last]));
        let greedy = greedy.into_iter().find(|address| {
            let part = persisted.part_of(*address);
            part != persisted.part_of(one) && part != persisted.part_of(other)
        });
        persisted.remember(hash(0), "query Honest { a }", one);
        assert_eq!(persisted.find(&hash(0), one).as_deref(), Some("query Honest { a }"));
        let document = "x".repeat(5000);
        for number in 1..20_000 {
            persisted.remember(hash(number), &document, greedy.unwrap());
        }
        assert!(persisted.find(&hash(0), one).is_some(), "an honest client lost its document");
        let (_, bytes) = persisted.held();
        assert!(bytes <= 1024 * 1024, "{bytes} bytes");
        // What two clients send is there for all, unless both happen to be in one part.
        persisted.remember(hash(0), "query Honest { a }", other);
        let known = persisted.find(&hash(0), greedy.unwrap()).is_some();
        assert_eq!(known, persisted.part_of(one) != persisted.part_of(other));
    }

    #[test]
    fn a_document_larger_than_the_memory_is_not_remembered() {
        let persisted = Persisted::new(64 * 1024);
        let address = IpAddr::from([192, 0, 2, 1]);
        persisted.remember(hash(1), &"x".repeat(100_000), address);
        assert!(persisted.find(&hash(1), address).is_none());
    }
}
