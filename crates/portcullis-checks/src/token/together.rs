//! What an authorization server said of a token, as gateways tell it to each other through a shared store.
//!
//! The store is not trusted. An answer is kept under a keyed digest of its token, sealed with AES-256-GCM-SIV, and both keys come
//! from the secret that the gateways have at the authorization server: who reads the store learns neither tokens nor whom they
//! speak of, and who writes to it can at most bring back an answer of the same token that is not old yet. Each gateway judges
//! the answer anew. What does not open is no answer, and the authorization server is asked.

use super::cache::TokenDigest;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256};
use aws_lc_rs::hmac;
use std::time::Duration;

/// A shorter secret could be guessed with the help of what is kept.
const LEAST_SECRET: usize = 16;
/// The largest answer that is kept.
pub(super) const MOST_BYTES: usize = 16 * 1024;
/// What stands before the answer: when it came, in milliseconds since 1970.
const TIME_BYTES: usize = 8;

/// Seals and opens answers, for one client of one authorization server.
pub(super) struct Together {
    names: hmac::Key,
    seal: LessSafeKey,
}

impl Together {
    /// With the secret of the client, and everything else that answers depend on. `None` where the secret is too short.
    pub(super) fn new(secret: &[u8], settings: &str) -> Option<Together> {
        if secret.len() < LEAST_SECRET {
            return None;
        }
        let extracted = hkdf::Salt::new(HKDF_SHA256, b"portcullis introspection 1").extract(secret);
        let key = |purpose: &[u8]| {
            let mut bytes = [0; 32];
            let info = [purpose, settings.as_bytes()];
            extracted.expand(&info, HKDF_SHA256).ok()?.fill(&mut bytes).ok()?;
            Some(bytes)
        };
        Some(Together {
            names: hmac::Key::new(hmac::HMAC_SHA256, &key(b"names ")?),
            seal: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key(b"seals ")?).ok()?),
        })
    }

    /// What the answer of `whom` on a token is kept under.
    pub(super) fn name(&self, whom: &str, token: &TokenDigest) -> [u8; 32] {
        let mut mac = hmac::Context::with_key(&self.names);
        mac.update(token);
        mac.update(whom.as_bytes());
        let mut name = [0; 32];
        name.iter_mut().zip(mac.sign().as_ref()).for_each(|(byte, of)| *byte = *of);
        name
    }

    /// Seals an answer that came at `asked`. `None` for one that is too large.
    pub(super) fn seal(
        &self,
        name: &[u8; 32],
        asked: Duration,
        random: [u8; 16],
        answer: &[u8],
    ) -> Option<Vec<u8>> {
        if answer.len() > MOST_BYTES {
            return None;
        }
        let nonce: [u8; NONCE_LEN] = random.get(..NONCE_LEN)?.try_into().ok()?;
        let time = u64::try_from(asked.as_millis()).ok()?.to_be_bytes();
        let mut content = [&time[..], answer].concat();
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        // SECURITY: an answer on one token is none on another (an_answer_opens_for_its_token_alone).
        self.seal.seal_in_place_append_tag(nonce_of, Aad::from(name), &mut content).ok()?;
        Some([&nonce[..], &content].concat())
    }

    /// When a sealed answer came, and the answer. `None` for anything else.
    pub(super) fn open(&self, name: &[u8; 32], sealed: &[u8]) -> Option<(Duration, Vec<u8>)> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::assume_unique_for_key(nonce.try_into().ok()?);
        let mut content = sealed.to_vec();
        let opened = self.seal.open_in_place(nonce, Aad::from(name), &mut content).ok()?;
        let (time, answer) = opened.split_at_checked(TIME_BYTES)?;
        Some((Duration::from_millis(u64::from_be_bytes(time.try_into().ok()?)), answer.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a-secret-of-a-client";

    fn together(secret: &[u8], settings: &str) -> Together {
        Together::new(secret, settings).unwrap()
    }

    #[test]
    fn an_answer_opens_for_its_token_alone() {
        let (one, at) = (together(SECRET, "settings"), Duration::from_secs(1_800_000_000));
        let name = one.name("https://a.example", &[1; 32]);
        let sealed = one.seal(&name, at, [7; 16], b"{\"active\":true,\"sub\":\"alice\"}").unwrap();
        assert_eq!(together(SECRET, "settings").open(&name, &sealed).unwrap().0, at);
        assert!(!sealed.windows(5).any(|part| part == b"alice"));
        for other in [one.name("https://a.example", &[2; 32]), one.name("https://b.example", &[1; 32])] {
            assert_ne!(other, name);
            assert!(one.open(&other, &sealed).is_none());
        }
        for stranger in [together(b"another-secret-of-it", "settings"), together(SECRET, "others")] {
            assert!(stranger.open(&name, &sealed).is_none());
            assert_ne!(stranger.name("https://a.example", &[1; 32]), name);
        }
    }

    #[test]
    fn whatever_else_stands_there_is_no_answer() {
        let one = together(SECRET, "");
        let name = one.name("a", &[1; 32]);
        let sealed = one.seal(&name, Duration::ZERO, [7; 16], b"").unwrap();
        assert_eq!(one.open(&name, &sealed), Some((Duration::ZERO, Vec::new())));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(one.open(&name, &changed).is_none(), "{place}");
            assert!(one.open(&name, &sealed[..place]).is_none(), "{place}");
        }
        assert!(one.seal(&name, Duration::ZERO, [7; 16], &vec![b'x'; MOST_BYTES]).is_some());
        assert!(one.seal(&name, Duration::ZERO, [7; 16], &vec![b'x'; MOST_BYTES + 1]).is_none());
        assert!(Together::new(b"short", "").is_none());
    }
}
