//! The addresses of an upstream's name.
//!
//! The system's resolver is asked, so `/etc/hosts` and the name service switch count. It tells no time to live, so an answer
//! is used for [`RESOLVE_EVERY`] and then asked for anew, by the next request that needs a connection. A look-up that fails
//! refuses that request; an old answer is not used again, because its addresses may be somebody else's by now. Connections that are
//! open stay until their maximum age.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long the addresses of a name are used.
pub(super) const RESOLVE_EVERY: Duration = Duration::from_secs(10);
/// More addresses of a name than these are not tried.
const MOST: usize = 16;

/// A name, and what it was last resolved to.
pub(super) struct Name {
    host: String,
    port: u16,
    /// Locked while the resolver is asked: the requests that wait for it then use its answer, and ask nothing themselves.
    found: Mutex<Option<Found>>,
}

struct Found {
    addresses: Vec<SocketAddr>,
    since: Instant,
}

impl Name {
    pub(super) fn new(host: String, port: u16) -> Name {
        Name { host, port, found: Mutex::new(None) }
    }

    /// Its addresses, in the order in which they are to be tried.
    ///
    /// # Errors
    /// The resolver failed, or there is no address.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let mut found = self.found.lock().await;
        if let Some(found) = &*found
            && found.since.elapsed() < RESOLVE_EVERY
        {
            return Ok(found.addresses.clone());
        }
        *found = None;
        let addresses = alternate(tokio::net::lookup_host((self.host.as_str(), self.port)).await?);
        if addresses.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        *found = Some(Found { addresses: addresses.clone(), since: Instant::now() });
        Ok(addresses)
    }

    /// This address took a connection; those before it did not, and are tried last until the name is resolved again.
    pub(super) async fn prefer(&self, address: SocketAddr) {
        if let Some(found) = &mut *self.found.lock().await
            && let Some(place) = found.addresses.iter().position(|one| *one == address)
        {
            found.addresses.rotate_left(place);
        }
    }
}

/// IPv6 and IPv4 alternately, beginning with the family that the resolver puts first (RFC 8305, section 4).
fn alternate(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let found: Vec<SocketAddr> = found.take(MOST).collect();
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut all = Vec::with_capacity(first.len() + second.len());
    first.reverse();
    second.reverse();
    while let Some(address) = first.pop().or_else(|| second.pop()) {
        all.push(address);
        all.extend(second.pop());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let all = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"];
        let all: Vec<SocketAddr> = all.iter().map(|address| address.parse().unwrap()).collect();
        let turns = alternate(all.clone().into_iter());
        assert_eq!(turns, [all[0], all[3], all[1], all[4], all[2]]);
        let reversed = alternate(all.clone().into_iter().rev());
        assert_eq!(reversed, [all[4], all[2], all[3], all[1], all[0]]);
    }

    #[tokio::test]
    async fn an_answer_is_used_for_a_while_and_addresses_that_fail_come_last() {
        let name = Name::new("localhost".to_owned(), 80);
        let found = name.addresses().await.unwrap();
        assert!(!found.is_empty());
        let addresses: Vec<SocketAddr> =
            ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"].iter().map(|one| one.parse().unwrap()).collect();
        let found = |since| Found { addresses: addresses.clone(), since };
        *name.found.lock().await = Some(found(Instant::now()));
        assert_eq!(name.addresses().await.unwrap(), addresses);
        name.prefer(addresses[1]).await;
        assert_eq!(name.addresses().await.unwrap(), [addresses[1], addresses[2], addresses[0]]);
        // An old answer is asked for again.
        *name.found.lock().await = Instant::now().checked_sub(RESOLVE_EVERY).map(found);
        assert_ne!(name.addresses().await.unwrap(), addresses);
        assert!(Name::new("no-such-host.invalid".to_owned(), 80).addresses().await.is_err());
    }
}
