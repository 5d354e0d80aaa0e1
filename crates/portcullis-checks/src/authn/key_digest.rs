//! How a key is kept: as a digest that only this process can make.
//!
//! A key is first hashed as it is at rest, with SHA-256, or with HMAC-SHA-256 under the operator's pepper where there is
//! one. That hash is then authenticated under a secret that this process drew when it started (HMAC-SHA-256, RFC 2104),
//! so that nobody outside can work towards a place in a table.

use super::key_config::{KeyConfig, KeySource};
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use portcullis_core::KeyDigest;

/// Makes digests of keys.
#[derive(Clone)]
pub struct KeyHasher {
    process: hmac::Key,
    pepper: Option<hmac::Key>,
}

impl KeyHasher {
    /// `secret` is random and of this process alone; `pepper` is the operator's, if there is one.
    pub fn new(secret: &[u8; 32], pepper: Option<&[u8]>) -> KeyHasher {
        let keyed = |secret: &[u8]| hmac::Key::new(HMAC_SHA256, secret);
        KeyHasher { process: keyed(secret), pepper: pepper.map(keyed) }
    }

    /// Whether keys at rest are hashed with a pepper.
    pub fn has_pepper(&self) -> bool {
        self.pepper.is_some()
    }

    /// The digest of a key as a client sends it.
    pub fn of_key(&self, key: &[u8]) -> KeyDigest {
        self.of_hash(&self.at_rest(key))
    }

    /// The digest of several things together, each of which may be anything.
    pub fn of_parts(&self, parts: &[&[u8]]) -> KeyDigest {
        let mut mac = hmac::Context::with_key(&self.process);
        for part in parts {
            // With its length, so that nothing can move from one to the next.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        KeyDigest(bytes(mac.sign().as_ref()))
    }

    /// A secret for this purpose that every process with the pepper has. `None` without a pepper.
    pub fn shared_secret(&self, purpose: &str) -> Option<[u8; 32]> {
        // No key begins with a zero byte.
        let text = format!("\0portcullis secret for {purpose}");
        self.pepper.as_ref().map(|pepper| bytes(hmac::sign(pepper, text.as_bytes()).as_ref()))
    }

    /// The digest of a key that the configuration gives.
    pub fn of_config(&self, key: &KeyConfig) -> KeyDigest {
        match &key.source {
            KeySource::Key(secret) => self.of_key(secret.expose().as_bytes()),
            KeySource::Hash { hash, .. } => self.of_hash(hash),
        }
    }

    /// What the uses of a key that the configuration gives are counted under. It is the same in each process, and no key
    /// follows from it. Without a pepper, a guess of a key can be verified with it.
    pub fn counted_as(&self, key: &KeyConfig) -> [u8; 16] {
        let hash = match &key.source {
            KeySource::Key(secret) => self.at_rest(secret.expose().as_bytes()),
            KeySource::Hash { hash, .. } => *hash,
        };
        first_half(sha256(&[b"portcullis name of a key\0", hash.as_slice()].concat()))
    }

    /// The hash of a key at rest.
    fn at_rest(&self, key: &[u8]) -> [u8; 32] {
        match &self.pepper {
            None => sha256(key),
            Some(pepper) => bytes(hmac::sign(pepper, key).as_ref()),
        }
    }

    fn of_hash(&self, hash: &[u8; 32]) -> KeyDigest {
        KeyDigest(bytes(hmac::sign(&self.process, hash).as_ref()))
    }
}

/// The hash of a key at rest, without a pepper, as a configuration gives it.
pub fn written_hash(key: &[u8]) -> String {
    let digits: String = sha256(key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// What the requests with somebody's password are counted under.
pub fn password_counted_as(name: &str) -> [u8; 16] {
    first_half(sha256(&[b"portcullis password of\0", name.as_bytes()].concat()))
}

fn first_half(digest: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    half
}

fn sha256(message: &[u8]) -> [u8; 32] {
    bytes(digest::digest(&SHA256, message).as_ref())
}

/// The 32 bytes of a SHA-256, or of an HMAC with it.
fn bytes(digest: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest).for_each(|(byte, of)| *byte = *of);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::{Secret, Span};

    fn hash(text: &str) -> KeySource {
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        KeySource::Hash { hash, peppered: false }
    }

    fn config(source: KeySource) -> KeyConfig {
        KeyConfig { source, expires: None, at: Span::NONE }
    }

    #[test]
    fn a_key_and_its_hash_are_one() {
        let hasher = KeyHasher::new(&[7; 32], None);
        // SHA-256("12345"), by coreutils' sha256sum.
        let hashed = config(hash("5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"));
        assert_eq!(hasher.of_key(b"12345"), hasher.of_config(&hashed));
        assert_eq!(hasher.of_key(b"12345"), hasher.of_config(&config(KeySource::Key(Secret::new("12345")))));
        assert_ne!(hasher.of_key(b"12345"), hasher.of_key(b"12346"));
    }

    #[test]
    fn a_pepper_is_hmac_sha_256() {
        let hasher = KeyHasher::new(&[7; 32], Some(b"Jefe"));
        // RFC 4231, section 4.3.
        let hashed = config(hash("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
        assert_eq!(hasher.of_key(b"what do ya want for nothing?"), hasher.of_config(&hashed));
        let plain = KeyHasher::new(&[7; 32], None);
        assert_ne!(hasher.of_key(b"k"), plain.of_key(b"k"));
    }

    #[test]
    fn parts_do_not_run_together() {
        let hasher = KeyHasher::new(&[7; 32], None);
        let of =
            |parts: &[&str]| hasher.of_parts(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>());
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        for other in [&["a", "bc"][..], &["abc"], &["ab", "c", ""], &["ab", "C"]] {
            assert_ne!(of(&["ab", "c"]), of(other), "{other:?}");
        }
    }

    #[test]
    fn two_processes_keep_different_digests() {
        let digest = |secret| KeyHasher::new(&secret, None).of_key(b"k");
        assert_ne!(digest([1; 32]), digest([2; 32]));
    }

    #[test]
    fn two_processes_count_a_key_under_one_name() {
        let key = |text| config(KeySource::Key(Secret::new(text)));
        let name = |secret, pepper, text| KeyHasher::new(&secret, pepper).counted_as(&key(text));
        assert_eq!(name([1; 32], None, "k"), name([2; 32], None, "k"));
        assert_ne!(name([1; 32], None, "k"), name([1; 32], None, "l"));
        // With a pepper, nobody without it can verify a guess.
        let pepper = Some(b"a pepper that is long".as_slice());
        assert_eq!(name([1; 32], pepper, "k"), name([2; 32], pepper, "k"));
        assert_ne!(name([1; 32], pepper, "k"), name([1; 32], None, "k"));
        assert_ne!(name([1; 32], None, "k"), password_counted_as("k"));
        assert_ne!(password_counted_as("k"), password_counted_as("l"));
        let secret = |of, pepper| KeyHasher::new(&of, pepper).shared_secret("a");
        assert_eq!(secret([1; 32], pepper), secret([2; 32], pepper));
        assert!(secret([1; 32], pepper).is_some() && secret([1; 32], None).is_none());
    }
}
