//! Passwords that were right a moment ago, so that they need not be verified again.
//!
//! Each thread has a small table of its own, which no other touches. Behind it stands a larger one that all share, in
//! shards: it is asked where the thread's own knows nothing, so a client that comes to another thread is known there.
//! They outlive a configuration: the digest holds the hash that they were verified with, so another password is not among them.
//! What is no longer right for a request stays in it for a while, as a client that goes first where many wait to be verified.
//! Only what was verified enters either table, so guesses push nobody out.

use portcullis_core::KeyDigest;
use quick_cache::{sync, unsync};
use std::cell::RefCell;
use std::time::Duration;
use thread_local::ThreadLocal;

/// How many each thread keeps: 100 KiB.
const NEAR: usize = 1024;

/// How many all threads share: 2 MiB.
const SHARED: usize = 16_384;

/// Until when they may be believed, on the clock that never goes back.
type Until = Duration;

/// What is known of a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// They were right a moment ago.
    Right,
    /// They were right a while ago.
    Before,
    /// Nothing.
    Nothing,
}

/// The passwords that were right.
pub struct RightPasswords {
    lifetime: Duration,
    near: ThreadLocal<RefCell<unsync::Cache<KeyDigest, Until>>>,
    shared: sync::Cache<KeyDigest, Until>,
}

impl RightPasswords {
    /// Passwords that are right for so long after they were verified.
    pub fn new(lifetime: Duration) -> RightPasswords {
        RightPasswords { lifetime, near: ThreadLocal::new(), shared: sync::Cache::new(SHARED) }
    }

    /// What is known of the credentials with this digest, at `now` on the clock that never goes back.
    pub fn find(&self, digest: &KeyDigest, now: Duration) -> Known {
        let near = self.near.get_or(|| RefCell::new(unsync::Cache::new(NEAR)));
        let own = near.borrow().get(digest).copied();
        if let Some(right) = own
            && now < right
        {
            return Known::Right;
        }
        match self.shared.get(digest) {
            Some(right) if now < right => {
                near.borrow_mut().insert(*digest, right);
                Known::Right
            }
            Some(_) => Known::Before,
            None => Known::Nothing,
        }
    }

    /// These were verified at `now`.
    pub fn insert(&self, digest: KeyDigest, now: Duration) {
        self.shared.insert(digest, now.saturating_add(self.lifetime));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> KeyDigest {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        KeyDigest(bytes)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_one_thread_verified_all_know() {
        let passwords = RightPasswords::new(MINUTE);
        std::thread::scope(|scope| {
            scope.spawn(|| passwords.insert(digest(1), MINUTE)).join().unwrap();
        });
        assert_eq!(passwords.find(&digest(1), MINUTE * 2 - Duration::from_secs(1)), Known::Right);
        assert_eq!(
            passwords.find(&digest(1), MINUTE * 2),
            Known::Before,
            "also where this thread has its own"
        );
        assert_eq!(passwords.find(&digest(1), MINUTE * 3), Known::Before, "and long after");
        assert_eq!(passwords.find(&digest(2), MINUTE), Known::Nothing);
        let never = RightPasswords::new(Duration::ZERO);
        never.insert(digest(1), MINUTE);
        assert_eq!(never.find(&digest(1), MINUTE), Known::Before);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let passwords = RightPasswords::new(MINUTE);
        for number in 0..100_000 {
            passwords.insert(digest(number), MINUTE);
            passwords.find(&digest(number), MINUTE);
        }
        assert!(passwords.shared.len() <= SHARED);
        assert!(passwords.near.get().unwrap().borrow().len() <= NEAR);
    }
}
