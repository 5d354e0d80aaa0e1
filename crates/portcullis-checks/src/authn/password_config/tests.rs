//! Which hashes of passwords load: neither too cheap to be safe, nor so costly that a guess keeps the gateway busy.

use super::{Cost, PasswordConfig};
use crate::trial::{decoded, read, schema};
use base64ct::{Base64Unpadded, Encoding};

/// A hash with these bytes of salt and of hash.
fn hash(algorithm: &str, parameters: &str, salt: usize, bytes: usize) -> String {
    let encoded = |count: usize| Base64Unpadded::encode_string(&vec![7; count]);
    format!("${algorithm}${parameters}${}${}", encoded(salt), encoded(bytes))
}

fn said(hash: &str) -> Result<Cost, String> {
    let config = decoded::<PasswordConfig>(&format!("{{ hash: '{hash}' }}"));
    config.map(|config| config.cost).map_err(|wrong| wrong.join(", "))
}

#[test]
fn a_hash_costs_as_much_as_is_safe_and_no_more_than_can_be_borne() {
    let (weak, costly) = ("config.weak_password_hash: ", "config.costly_password_hash: ");
    for (memory, passes, lanes, wrong) in [
        // What is asked at least: less memory takes more passes.
        (47_104, 1, 1, ""),
        (47_103, 1, 1, weak),
        (19_456, 2, 1, ""),
        (19_455, 2, 1, weak),
        (12_288, 3, 1, ""),
        (12_287, 3, 1, weak),
        (9_216, 4, 1, ""),
        (9_215, 4, 1, weak),
        (7_168, 5, 1, ""),
        (7_168, 4, 1, weak),
        (7_167, 5, 1, weak),
        (7_167, 100, 1, weak),
        // A quarter of a GiB of memory, a GiB of work, and 16 lanes at most.
        (262_144, 1, 1, ""),
        (262_145, 1, 1, costly),
        (262_144, 4, 1, ""),
        (262_144, 5, 1, costly),
        (10_000, 104, 1, ""),
        (10_000, 105, 1, costly),
        (19_456, 2, 16, ""),
        (19_456, 2, 17, costly),
    ] {
        let said = said(&hash("argon2id", &format!("v=19$m={memory},t={passes},p={lanes}"), 16, 32));
        match wrong {
            "" => assert_eq!(said, Ok(Cost { memory, passes, lanes })),
            wrong => assert!(
                said.clone().is_err_and(|said| said.starts_with(wrong)),
                "{memory} {passes} {lanes}: {said:?}"
            ),
        }
    }
    assert_eq!(Cost::USUAL.work(), 38_912);
}

#[test]
fn a_hash_is_one_of_argon2id_with_all_its_parts() {
    let usual = "v=19$m=19456,t=2,p=1";
    assert_eq!(said(&hash("argon2id", usual, 16, 32)), Ok(Cost::USUAL));
    assert_eq!(said(&hash("argon2id", usual, 8, 16)), Ok(Cost::USUAL));
    for wrong in [
        hash("argon2i", usual, 16, 32),
        hash("argon2d", usual, 16, 32),
        hash("scrypt", usual, 16, 32),
        hash("argon2id", "v=16$m=19456,t=2,p=1", 16, 32),
        hash("argon2id", "m=19456,t=2,p=1", 16, 32),
        hash("argon2id", "v=19$t=2,p=1", 16, 32),
        hash("argon2id", "v=19$m=19456,p=1", 16, 32),
        hash("argon2id", "v=19$m=19456,t=2", 16, 32),
        hash("argon2id", "v=19$m=19456,t=2,p=1,keyid=AAAA", 16, 32),
        // More lanes than there is memory for.
        hash("argon2id", "v=19$m=47104,t=1,p=5889", 16, 32),
        hash("argon2id", usual, 16, 15),
        hash("argon2id", usual, 7, 32),
        format!("$argon2id${usual}"),
        "correct horse battery staple".to_owned(),
        String::new(),
    ] {
        let said = said(&wrong).err().unwrap_or_default();
        assert!(said.starts_with("config.password_hash: "), "{wrong}: {said}");
    }
}

#[test]
fn a_hash_comes_from_one_place_and_a_password_from_none() {
    let good = hash("argon2id", "v=19$m=19456,t=2,p=1", 16, 32);
    let said = |yaml: &str| decoded::<PasswordConfig>(yaml).err().unwrap_or_default();
    for (yaml, wrong) in [
        (format!("'{good}'"), "config.password_hash: the source of the password hash is missing"),
        ("hunter2".to_owned(), "config.password_hash: the source of the password hash is missing"),
        ("{}".to_owned(), "config.password_hash: give only one source of the password hash"),
        (format!("{{ hash: '{good}', env: X }}"), "config.password_hash: give only one source"),
        ("{ env: X, file: y }".to_owned(), "config.password_hash: give only one source"),
    ] {
        let said = said(&yaml);
        assert!(said.len() == 1 && said[0].starts_with(wrong), "{yaml}: {said:?}");
    }
    // Neither a password nor a hash is shown where it stands in the wrong place.
    for yaml in ["hunter2", "{ hash: hunter2, env: X }", "{ hash: hunter2 }", "{ hsah: hunter2 }"] {
        let (config, _, shown) = read::<PasswordConfig>(yaml);
        assert!(config.is_none() && !shown.contains("hunter2") && shown.contains("•••"), "{shown}");
    }
    let (_, _, shown) = read::<PasswordConfig>("{ hash: hunter2, env: THE_NAME }");
    assert!(shown.contains("THE_NAME"), "where a secret comes from is none: {shown}");
}

#[test]
fn a_hash_stays_out_of_what_is_printed() {
    let good = hash("argon2id", "v=19$m=19456,t=2,p=1", 16, 32);
    let config: PasswordConfig = decoded(&format!("{{ hash: ' {good} ' }}")).unwrap();
    assert_eq!(config.hash.expose(), good, "spaces around it are no part of it");
    assert_eq!(format!("{config:?}"), "PasswordConfig(Cost { memory: 19456, passes: 2, lanes: 1 })");
    let schema = schema::<PasswordConfig>();
    let password = &schema["$defs"]["Password"]["properties"];
    assert_eq!(password["hash"]["pattern"], r"^\$argon2id\$", "{schema}");
    assert!(password["env"].is_object() && password["file"].is_object(), "{schema}");
}
