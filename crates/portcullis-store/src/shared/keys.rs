//! What counters are called in a shared store.
//!
//! A name is made of digests, so it is short whatever a client sends, holds no secret, and is the same at each gateway with
//! the same configuration. In braces stands what a cluster finds the server by: all limits of one key are on one server.

use crate::counters::CountNames;
use portcullis_core::head::client;
use portcullis_core::{CountKey, CountedCredential, Fault, Keys, Limit};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// The name of the counter of these keys under this limit.
pub(super) fn of_counter(
    prefix: &str,
    names: &CountNames,
    limit: &Limit,
    keys: &Keys<'_>,
) -> Result<String, Fault> {
    let unknown = || Fault { detail: "a limit, consumer or route of another plan".into() };
    let named = names.limits.get(limit.id.0 as usize).ok_or_else(unknown)?;
    let mut hash = Sha256::new();
    for part in keys.parts() {
        match part {
            CountKey::Consumer(id) => {
                let name = names.consumers.get(id.0 as usize).ok_or_else(unknown)?;
                add(&mut hash, b'c', name.as_bytes());
            }
            CountKey::Route(id) => {
                let name = names.routes.get(*id as usize).ok_or_else(unknown)?;
                add(&mut hash, b'r', name.as_bytes());
            }
            // SECURITY: one customer holds a whole IPv6 /64 (names_in_the_store_are_short_and_tell_all_keys_apart).
            CountKey::Address(address) => match client::fold(*address) {
                IpAddr::V4(address) => add(&mut hash, b'4', &address.octets()),
                IpAddr::V6(address) => add(&mut hash, b'6', &address.octets()),
            },
            CountKey::Subject(key) => add(&mut hash, b's', key),
            CountKey::Value(value) => add(&mut hash, b'v', value),
            CountKey::Credential(CountedCredential::Stored(key)) => {
                add(&mut hash, b'k', &key.0.to_be_bytes());
            }
            CountKey::Credential(CountedCredential::Configured(name)) => add(&mut hash, b'd', name),
            CountKey::Claim { issuer, value } => {
                add(&mut hash, b'i', issuer.as_bytes());
                add(&mut hash, b'm', value.as_bytes());
            }
            CountKey::Operation { document, method, path } => {
                add(&mut hash, b'o', document.as_bytes());
                add(&mut hash, b'o', method.as_bytes());
                add(&mut hash, b'o', path.as_bytes());
            }
            CountKey::Gateway => add(&mut hash, b'g', b""),
        }
    }
    let key = hash.finalize();
    let limit = Sha256::digest(named.name.as_bytes());
    let mut name = String::with_capacity(prefix.len() + 56);
    name.push_str(prefix);
    name.push_str(":{");
    hex(&mut name, key.iter().take(16));
    name.push_str("}:");
    hex(&mut name, limit.iter().take(8));
    Ok(name)
}

/// The name of something that is known by a digest.
pub(super) fn of_digest(prefix: &str, kind: &str, digest: &[u8; 32]) -> String {
    let mut name = format!("{prefix}:{kind}:");
    hex(&mut name, digest.iter().take(32));
    name
}

/// What stands for a text that the store must not know.
pub(super) fn of_text(text: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    add(&mut hash, b't', text.as_bytes());
    hash.finalize().into()
}

/// What stands for an address, or for the /64 of an IPv6 one.
pub(super) fn of_source(address: IpAddr) -> [u8; 32] {
    let mut hash = Sha256::new();
    match client::fold(address) {
        IpAddr::V4(address) => add(&mut hash, b'4', &address.octets()),
        IpAddr::V6(address) => add(&mut hash, b'6', &address.octets()),
    }
    hash.finalize().into()
}

/// The part of a name by which a cluster finds the server.
pub(super) fn server_of(name: &str) -> &str {
    name.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(name, |(tag, _)| tag)
}

fn add(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    // With their length, so that no two lists of parts are the same bytes.
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn hex<'a>(text: &mut String, bytes: impl Iterator<Item = &'a u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NamedLimit;
    use portcullis_core::{Algorithm, ConsumerId, KeyId, LimitId};
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn names_in_the_store_are_short_and_tell_all_keys_apart() {
        let limit = |id| Limit {
            id: LimitId(id),
            max: 1,
            period: Duration::from_secs(1),
            burst: 1,
            algorithm: Algorithm::Gcra,
        };
        let named = |name: &str, id| NamedLimit { name: Arc::from(name), limit: limit(id), calendar: None };
        let names = CountNames {
            limits: vec![named("gateway a", 0), named("gateway b", 1)],
            consumers: vec![Arc::from("consumer alice"), Arc::from("consumer bob")],
            routes: vec![Arc::from("/a")],
        };
        let name = |id, keys: &Keys<'_>| of_counter("portcullis", &names, &limit(id), keys).unwrap();
        let one = |key| Keys::one(key);
        let long = vec![b'x'; 100_000];
        let all = [
            name(0, &one(CountKey::Consumer(ConsumerId(0)))),
            name(1, &one(CountKey::Consumer(ConsumerId(0)))),
            name(0, &one(CountKey::Consumer(ConsumerId(1)))),
            name(0, &one(CountKey::Value(b"consumer alice"))),
            name(0, &one(CountKey::Subject(b"consumer alice"))),
            name(0, &one(CountKey::Value(&long))),
            name(0, &one(CountKey::Gateway)),
            name(0, &one(CountKey::Credential(CountedCredential::Stored(KeyId(7))))),
            name(0, &one(CountKey::Credential(CountedCredential::Stored(KeyId(8))))),
            name(0, &one(CountKey::Credential(CountedCredential::Configured([7; 16])))),
            name(0, &one(CountKey::Operation { document: "a", method: "GET", path: "/b" })),
            name(0, &one(CountKey::Operation { document: "a", method: "PUT", path: "/b" })),
            name(0, &one(CountKey::Address("192.0.2.1".parse().unwrap()))),
            name(0, &Keys::several([CountKey::Value(b"a"), CountKey::Value(b"bc")]).unwrap()),
            name(0, &Keys::several([CountKey::Value(b"ab"), CountKey::Value(b"c")]).unwrap()),
            name(0, &Keys::several([CountKey::Consumer(ConsumerId(0)), CountKey::Route(0)]).unwrap()),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        for name in &all {
            assert!(name.len() == 62 && !name.contains("alice") && !name.contains("xx"), "{name}");
        }
        let v6 = |text: &str| name(0, &one(CountKey::Address(text.parse().unwrap())));
        assert_eq!(v6("2001:db8:1:2::1"), v6("2001:db8:1:2:ffff::9"));
        assert_ne!(v6("2001:db8:1:2::1"), v6("2001:db8:1:3::1"));
        assert_eq!(server_of(&all[0]), server_of(&all[1]), "all limits of a consumer are on one server");
        assert_ne!(server_of(&all[0]), server_of(&all[2]));
        assert!(of_counter("p", &names, &limit(9), &one(CountKey::Gateway)).is_err());
        assert!(of_counter("p", &names, &limit(0), &one(CountKey::Route(7))).is_err());
    }
}
