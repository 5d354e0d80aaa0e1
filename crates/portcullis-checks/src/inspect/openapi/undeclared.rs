//! What clients ask for that a document does not declare, for operators. Bounded, and nobody waits for it.

use portcullis_core::OperationUse;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, TryLockError};

/// The most different requests that are remembered. More are forgotten, the one that was asked for longest ago first.
const MOST: usize = 200;
/// The most segments of a path, and bytes of a segment, that are told apart.
const SEGMENTS: usize = 8;
const LONGEST: usize = 32;

/// Methods and paths that no operation has, with the second since 1970 in which each was last asked for.
#[derive(Default)]
pub(super) struct Undeclared(Mutex<HashMap<(String, String), u64>>);

impl Undeclared {
    /// Notes a request. If another worker is at it, it is left out: it is one of many, or it comes again.
    pub(super) fn note(&self, method: &str, path: &str, now: u64) {
        let mut known = match self.0.try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let key = (method.chars().take(LONGEST).collect(), shape(path));
        // SECURITY: clients choose paths, so they must not choose how much memory is used (made_up_paths_are_bounded).
        if known.len() >= MOST && !known.contains_key(&key) {
            let oldest = known.iter().min_by_key(|(_, last)| **last).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(key, now);
    }

    /// All of them.
    pub(super) fn list(&self, document: &str) -> Vec<OperationUse> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .map(|((method, path), last)| OperationUse {
                document: document.to_owned(),
                method: method.clone(),
                path: path.clone(),
                id: None,
                declared: false,
                deprecated: false,
                last_used: Some(*last),
            })
            .collect()
    }
}

/// A path with `{}` in the place of what looks like an id or is long, which may be personal or secret.
fn shape(path: &str) -> String {
    let mut segments = path.split('/').skip(1);
    let mut text = String::new();
    for segment in segments.by_ref().take(SEGMENTS) {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        let is_word = segment.len() <= LONGEST
            && digits < 3
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        text.push('/');
        text.push_str(if is_word { segment } else { "{}" });
    }
    if segments.next().is_some() {
        text.push_str("/…");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_left_out_of_a_path() {
        for (path, expected) in [
            ("/orders/12345/items", "/orders/{}/items"),
            ("/v1/users/9f1c2e7a-0000-4000-8000-1234567890ab", "/v1/users/{}"),
            ("/a%20b/x", "/{}/x"),
            ("/", "/"),
            ("/1/2/3/4/5/6/7/8/9", "/1/2/3/4/5/6/7/8/…"),
        ] {
            assert_eq!(shape(path), expected);
        }
    }

    #[test]
    fn made_up_paths_are_bounded() {
        let undeclared = Undeclared::default();
        let letters = |number: u64| -> String {
            number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
        };
        for number in 0..10_000_u64 {
            undeclared.note("GET", &format!("/{}", letters(number)), number);
        }
        let all = undeclared.list("api");
        assert_eq!(all.len(), MOST);
        assert!(all.iter().all(|one| one.last_used >= Some(10_000 - MOST as u64)), "the oldest left");
    }
}
