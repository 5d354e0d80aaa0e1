//! Tokens that were verified, so that the second use of one costs microseconds.
//!
//! Each thread has a table of its own, bounded in bytes: nothing is shared, nothing waits. An entry is found by the SHA-256 of the whole
//! token, is used only while the keys are the ones that it was verified with, and never after the token's `exp`.

use super::rules::Binding;
use crate::byte_cache::ByteCache;
use portcullis_core::{Fingerprint, Subject};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// A token that was verified.
#[derive(Clone)]
pub struct Verified {
    /// Of whom it speaks.
    pub subject: Arc<Subject>,
    /// Time since 1970 from which on it must be verified anew.
    pub until: Duration,
    /// Time since 1970 at which the token itself ends, as far as anybody said.
    pub expires: Option<Duration>,
    /// To whom it is bound.
    pub binding: Binding,
    /// Which issuer of the check it is from.
    pub issuer: usize,
    /// The state of the issuer's keys when it was verified.
    pub generation: u64,
    /// Whether somebody who tries tokens could hit it: it is known by asking, and not by its signature.
    pub guessable: bool,
    /// The token itself, where its issuer was asked about it: it is asked again while a request with it runs.
    pub asked: Option<Arc<str>>,
}

/// The SHA-256 of a token.
pub type TokenDigest = [u8; 32];

/// The digest of a token.
pub fn digest(token: &str) -> TokenDigest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, of)| *byte = *of);
    bytes
}

/// A name for something secret or long, which tells it apart from others and says nothing of it.
pub fn named(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number that stands for the token, made with a secret of this process.
// SECURITY: a part of the bare digest could be worked towards (two_processes_keep_different_digests is the same for keys);
// SipHash under a key that the system gave is a keyed code of 64 bits (a_fingerprint_is_no_part_of_the_digest).
pub fn fingerprint(digest: &TokenDigest) -> Fingerprint {
    static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    Fingerprint(SECRET.hash_one(digest))
}

/// The most bytes that each thread keeps.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The tokens that a check has verified.
pub struct TokenCache(ByteCache<TokenDigest, Verified>);

impl TokenCache {
    /// At most so many tokens for each thread, and 16 MiB. Zero remembers nothing.
    pub fn new(entries: usize) -> TokenCache {
        TokenCache(ByteCache::new(entries, MAX_BYTES))
    }

    /// The token with this digest, if it is still good at `now` (time since 1970) by `generation_of` its issuer.
    pub fn find(
        &self,
        digest: &TokenDigest,
        now: Duration,
        generation_of: impl FnOnce(usize) -> Option<u64>,
    ) -> Option<Verified> {
        self.0.find(digest, |found| {
            // SECURITY: a key that the issuer dropped drops its tokens (keys_change_while_requests_flow).
            let good = now < found.until && generation_of(found.issuer) == Some(found.generation);
            good.then(|| found.clone())
        })
    }

    /// Remembers a token.
    pub fn insert(&self, digest: TokenDigest, verified: Verified) {
        let bytes = verified.subject.bytes() + verified.asked.as_ref().map_or(0, |token| token.len());
        self.0.insert(digest, verified, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::Claim;

    #[test]
    fn a_fingerprint_is_no_part_of_the_digest() {
        let digest = digest("token");
        let Fingerprint(number) = fingerprint(&digest);
        assert_eq!(fingerprint(&digest), Fingerprint(number));
        assert_ne!(number.to_le_bytes(), digest[..8]);
        assert_ne!(fingerprint(&super::digest("tokem")), Fingerprint(number));
    }

    #[test]
    fn a_token_is_remembered_while_its_keys_and_its_time_are_good() {
        let cache = TokenCache::new(4);
        let verified = Verified {
            subject: Arc::new(Subject::new("i", "s", Claim::Null)),
            until: Duration::from_secs(10),
            expires: None,
            binding: Binding::default(),
            issuer: 0,
            generation: 1,
            guessable: false,
            asked: None,
        };
        let found = |token: &str, now: u64, generation: u64| {
            cache.find(&digest(token), Duration::from_secs(now), |_| Some(generation)).is_some()
        };
        assert!(!found("a", 1, 1));
        cache.insert(digest("a"), verified.clone());
        assert!(found("a", 9, 1));
        assert!(!found("a", 10, 1), "never after exp");
        assert!(!found("a", 9, 2), "the keys have changed");
        assert!(!found("b", 9, 1));
        for number in 0..1000 {
            cache.insert(digest(&number.to_string()), verified.clone());
        }
        let left = (0..1000).filter(|number| found(&number.to_string(), 1, 1)).count();
        assert!(left <= 4, "{left}");
    }

    #[test]
    fn large_tokens_take_no_more_memory_than_small_ones() {
        let cache = TokenCache::new(10_000);
        let groups =
            || Claim::List((0..1000).map(|n| Claim::Text(format!("a-group-with-a-name-{n}"))).collect());
        for number in 0..2000 {
            let claims = Claim::Object(vec![("groups".into(), groups())]);
            let verified = Verified {
                subject: Arc::new(Subject::new("i", "s", claims)),
                until: Duration::from_secs(10),
                expires: None,
                binding: Binding::default(),
                issuer: 0,
                generation: 1,
                guessable: false,
                asked: None,
            };
            assert!(verified.subject.bytes() > 40_000);
            cache.insert(digest(&number.to_string()), verified);
        }
        let (entries, bytes) = cache.0.held();
        assert!(bytes <= MAX_BYTES as u64 && entries > 100, "{entries} entries of {bytes} bytes");
    }

    #[test]
    fn a_token_that_is_asked_about_again_is_held_and_weighed() {
        let held = |asked: Option<usize>| {
            let cache = TokenCache::new(1_000_000);
            let verified = Verified {
                subject: Arc::new(Subject::new("i", "s", Claim::Null)),
                until: Duration::from_secs(10),
                expires: None,
                binding: Binding::default(),
                issuer: 0,
                generation: 1,
                guessable: true,
                asked: asked.map(|bytes| "t".repeat(bytes).into()),
            };
            cache.insert(digest("a"), verified);
            cache.0.held().1
        };
        assert_eq!(held(Some(0)), held(None));
        assert_eq!(held(Some(8000)), held(None) + 8000);
    }
}
