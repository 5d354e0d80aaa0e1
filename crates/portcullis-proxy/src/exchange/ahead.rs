//! How much of an answer is read at once, which is what waits here while its client does not read.
//!
//! Small parts are free: each request may have one. A large part is counted for the client's address until the client has taken
//! it; if the address has no room for it, the next part is a small one. So nothing is ever refused for it, and nobody waits for
//! anybody else.

use super::shares::Unread;

/// A part that is not counted.
pub(crate) const SMALL: usize = 16 * 1024;
/// A large part, of which the first `SMALL` are not counted.
pub(crate) const LARGE: usize = 64 * 1024;

/// How much to read at once of an answer of which so much is missing, as far as that is known, and so much was handed out. What
/// was read before has been taken by now.
pub(super) fn most(unread: Option<&mut Unread>, missing: Option<u64>, handed_out: u64) -> usize {
    // An answer that says nothing of its length is taken for a small one until it is not.
    let large = missing.unwrap_or(handed_out) > SMALL as u64;
    let Some(unread) = unread else { return if large { LARGE } else { SMALL } };
    if large && unread.set(LARGE - SMALL) {
        return LARGE;
    }
    unread.set(0);
    SMALL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::shares::Shares;
    use std::rc::Rc;

    #[test]
    fn large_parts_are_counted_and_small_ones_are_free() {
        let shares = Rc::new(Shares::default());
        let of = || shares.unread("192.0.2.1".parse().unwrap(), 100 * 1024);
        let (mut first, mut second, mut third) = (of(), of(), of());
        // As long as the answer is small, or what is left of it, nothing is counted.
        for (missing, handed_out) in [(Some(0), 0), (Some(16 * 1024), 1 << 20), (None, 0), (None, 16 * 1024)]
        {
            assert_eq!(most(Some(&mut first), missing, handed_out), SMALL);
            assert_eq!(most(None, missing, handed_out), SMALL);
        }
        assert!(third.set(100 * 1024) && third.set(0));
        for (missing, handed_out) in [(Some(16 * 1024 + 1), 0), (None, 16 * 1024 + 1)] {
            assert_eq!(most(None, missing, handed_out), LARGE);
            assert_eq!(most(Some(&mut first), missing, handed_out), LARGE);
            assert_eq!(most(Some(&mut second), missing, handed_out), LARGE);
            assert_eq!(most(Some(&mut third), missing, handed_out), SMALL);
        }
        // Where one has come to its end, another has its room.
        assert_eq!(most(Some(&mut first), Some(10), 1 << 20), SMALL);
        assert_eq!(most(Some(&mut third), Some(1 << 20), 0), LARGE);
    }
}
