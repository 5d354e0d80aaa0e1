//! How much memory and time keys take.

use crate::known::Known;
use crate::model::{Consumer, Key, KeySettings, Owner};
use crate::pepper::Peppers;
use crate::table::{Entry, Table};
use portcullis_core::KeyId;
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

fn key(number: usize, consumers: usize) -> Key {
    Key {
        id: KeyId(number as u64),
        consumer: format!("consumer-{}", number % consumers),
        owner: Owner::Stored,
        pepper: String::new(),
        hint: String::new(),
        settings: KeySettings::default(),
        created: 0,
        expires: None,
        revoked: None,
        used: None,
        replaced_by: None,
    }
}

/// What a gateway keeps of so many keys.
fn known(keys: usize, consumers: usize, peppers: &Peppers) -> (Known, Table) {
    let all = (0..consumers)
        .map(|number| Consumer {
            name: format!("consumer-{number}"),
            roles: vec!["user".to_owned()],
            ..Consumer::default()
        })
        .collect();
    let mut known = Known::new(all);
    let mut entries = Vec::new();
    for number in 0..keys {
        let (_, hash) = peppers.hash(&number.to_le_bytes()).unwrap();
        assert!(known.has_room(entries.len(), usize::MAX));
        entries.extend(known.entry(&(key(number, consumers), hash), peppers));
    }
    (known, Table::new(entries))
}

/// A thousand, a hundred thousand and a million keys of a thousand consumers: bytes for each, and the time of a lookup in
/// random order. With a consumer for each key, the consumers take more than the keys, and that is counted against `max_memory`.
#[test]
fn a_million_keys_take_160_bytes_each_at_most() {
    let peppers = Peppers::new(&[b"pepper".to_vec().into()]).unwrap();
    let mut times = Vec::new();
    for keys in [1_000, 100_000, 1_000_000] {
        let before = MEMORY.current_usage();
        let (known, table) = known(keys, 1000, &peppers);
        let bytes = (MEMORY.current_usage() - before) / keys;
        let rounds: u32 = 100_000;
        let mut number = 7_usize;
        let mut found = 0;
        let begun = Instant::now();
        for _ in 0..rounds {
            number = (number.wrapping_mul(1_103_515_245) + 12_345) % keys;
            let hashes = peppers.hashes(&number.to_le_bytes()).map(|(_, hash)| hash).collect::<Vec<_>>();
            found += u32::from(hashes.iter().any(|hash| table.find(hash, Entry::stored_key).is_some()));
        }
        let time = begun.elapsed() / rounds;
        assert_eq!((found, table.len()), (rounds, keys));
        println!("{keys} keys of 1000 consumers: {bytes} bytes each, {time:?} for a lookup with its hash");
        assert!(keys < 100_000 || bytes <= 160, "{bytes} bytes for each of {keys} keys");
        times.push(time);
        drop(known);
    }
    // In the build of the tests other work is on the machine: a bound for what is of another order.
    assert!(times[2] < times[0] * 5 / 2 + Duration::from_micros(2), "{times:?}");
    let before = MEMORY.current_usage();
    let all = known(200_000, 200_000, &peppers);
    let bytes = (MEMORY.current_usage() - before) / 200_000;
    println!("200000 keys of as many consumers: {bytes} bytes each, their consumers included");
    drop(all);
}
