//! What a browser keeps for the gateway, so that it can neither read nor change it.
//!
//! AES-256-GCM-SIV under a key that HKDF makes of an operator's secret, the purpose, the issuer and the client; the name of
//! the cookie is authenticated along with the content. So what was sealed as one thing does not open as another: not in
//! another cookie, not for another client, not for another issuer. Whatever does not open is no more than absent; why it
//! does not cannot be told, and is not looked into.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256};
use base64ct::{Base64UrlUnpadded, Encoding};

/// The shortest secret in bytes.
pub const MIN_SECRET_BYTES: usize = 32;
/// The most secrets, of which the first one seals.
pub const MAX_SECRETS: usize = 8;
/// The longest text that is looked at.
const MAX_TEXT_BYTES: usize = super::cookie::MAX_COOKIE_BYTES * super::cookie::PARTS;
const TAG_BYTES: usize = 16;

/// What something is sealed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A browser's session.
    Session,
    /// An attempt to log in.
    Attempt,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::Session => b"session",
            Purpose::Attempt => b"attempt",
        }
    }
}

struct Keys {
    session: LessSafeKey,
    attempt: LessSafeKey,
}

/// Seals and opens, for one client of one issuer.
pub struct Sealer {
    keys: Vec<Keys>,
}

impl Sealer {
    /// A sealer with these secrets; the first one seals, all of them open. `None` where there is none, or one is too short.
    pub fn new(secrets: &[&[u8]], issuer: &str, client: &str) -> Option<Sealer> {
        if secrets.is_empty() || secrets.len() > MAX_SECRETS {
            return None;
        }
        let keys = secrets.iter().map(|secret| {
            if secret.len() < MIN_SECRET_BYTES {
                return None;
            }
            let made = |purpose| key(secret, purpose, issuer, client);
            Some(Keys { session: made(Purpose::Session)?, attempt: made(Purpose::Attempt)? })
        });
        Some(Sealer { keys: keys.collect::<Option<_>>()? })
    }

    /// Seals `content` for the cookie of this name. `None` where the library fails.
    pub fn seal(
        &self,
        purpose: Purpose,
        cookie: &str,
        random: [u8; 16],
        mut content: Vec<u8>,
    ) -> Option<String> {
        // A repeated nonce would show that two contents are the same, and nothing else (RFC 8452, section 9).
        let nonce: [u8; NONCE_LEN] = random.get(..NONCE_LEN)?.try_into().ok()?;
        let key = self.keys.first()?.of(purpose);
        let bound = Aad::from(cookie.as_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut content).ok()?;
        Some(Base64UrlUnpadded::encode_string(&[&nonce[..], &content].concat()))
    }

    /// What was sealed for the cookie of this name. `None` for anything else.
    pub fn open(&self, purpose: Purpose, cookie: &str, text: &str) -> Option<Vec<u8>> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let sealed = Base64UrlUnpadded::decode_vec(text).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
        if sealed.len() < TAG_BYTES {
            return None;
        }
        // SECURITY: name and purpose are part of what is verified (what_was_sealed_as_one_thing_opens_as_no_other).
        self.keys.iter().find_map(|keys| {
            let mut content = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let opened = keys.of(purpose).open_in_place(nonce, Aad::from(cookie.as_bytes()), &mut content);
            let length = opened.ok()?.len();
            content.truncate(length);
            Some(content)
        })
    }
}

impl Keys {
    fn of(&self, purpose: Purpose) -> &LessSafeKey {
        match purpose {
            Purpose::Session => &self.session,
            Purpose::Attempt => &self.attempt,
        }
    }
}

/// The key for a purpose (RFC 5869). Lengths stand before texts, so that no two lists of texts read alike.
fn key(secret: &[u8], purpose: Purpose, issuer: &str, client: &str) -> Option<LessSafeKey> {
    let mut info = Vec::new();
    for part in [purpose.label(), issuer.as_bytes(), client.as_bytes()] {
        info.extend_from_slice(&u64::try_from(part.len()).ok()?.to_be_bytes());
        info.extend_from_slice(part);
    }
    let extracted = hkdf::Salt::new(HKDF_SHA256, b"portcullis openid_connect 1").extract(secret);
    let info = [info.as_slice()];
    let mut bytes = [0; 32];
    extracted.expand(&info, HKDF_SHA256).ok()?.fill(&mut bytes).ok()?;
    let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes).ok();
    zeroize::Zeroize::zeroize(&mut bytes);
    key.map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: &[u8] = b"an-old-secret-of-at-least-32-bytes";
    const NEW: &[u8] = b"a-new-secret-of-at-least-32-bytes!";

    fn sealer(secrets: &[&[u8]]) -> Sealer {
        Sealer::new(secrets, "https://issuer.example", "client").unwrap()
    }

    fn sealed() -> String {
        sealer(&[OLD]).seal(Purpose::Session, "session", [7; 16], b"content".to_vec()).unwrap()
    }

    #[test]
    fn what_was_sealed_as_one_thing_opens_as_no_other() {
        let text = sealed();
        assert_eq!(sealer(&[OLD]).open(Purpose::Session, "session", &text).unwrap(), b"content");
        assert_eq!(sealer(&[OLD]).open(Purpose::Attempt, "session", &text), None);
        assert_eq!(sealer(&[OLD]).open(Purpose::Session, "session-login-0", &text), None);
        for (issuer, client) in [
            ("https://issuer.example/", "client"),
            ("https://issuer.example", "other"),
            ("https://issuer.examplec", "lient"),
        ] {
            let other = Sealer::new(&[OLD], issuer, client).unwrap();
            assert_eq!(other.open(Purpose::Session, "session", &text), None, "{issuer} {client}");
        }
    }

    #[test]
    fn the_first_secret_seals_and_all_of_them_open() {
        let text = sealed();
        let rotated = sealer(&[NEW, OLD]);
        assert!(rotated.open(Purpose::Session, "session", &text).is_some());
        assert_eq!(sealer(&[NEW]).open(Purpose::Session, "session", &text), None);
        let fresh = rotated.seal(Purpose::Session, "session", [8; 16], b"content".to_vec()).unwrap();
        assert!(sealer(&[NEW]).open(Purpose::Session, "session", &fresh).is_some());
        assert_eq!(sealer(&[OLD]).open(Purpose::Session, "session", &fresh), None);
    }

    #[test]
    fn a_short_secret_or_none_seals_nothing() {
        assert!(Sealer::new(&[], "i", "c").is_none());
        assert!(Sealer::new(&[&OLD[..31]], "i", "c").is_none());
        assert!(Sealer::new(&[OLD, b"short"], "i", "c").is_none());
        assert!(Sealer::new(&[OLD; 9], "i", "c").is_none());
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let text = sealed();
        for bad in
            [format!("{text}="), format!(" {text}"), format!("{text}A"), String::new(), "A".repeat(5000)]
        {
            assert_eq!(sealer(&[OLD]).open(Purpose::Session, "session", &bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_opens_and_neither_does_more_than_a_browser_keeps() {
        let sealer = sealer(&[OLD]);
        let sealed = |bytes: usize| {
            let content = vec![b'x'; bytes];
            let text = sealer.seal(Purpose::Session, "session", [7; 16], content.clone()).unwrap();
            (sealer.open(Purpose::Session, "session", &text) == Some(content), text.len())
        };
        assert!(sealed(0).0);
        let largest = MAX_TEXT_BYTES / 4 * 3 - NONCE_LEN - TAG_BYTES;
        assert_eq!(sealed(largest), (true, MAX_TEXT_BYTES));
        assert_eq!(sealed(largest + 1), (false, MAX_TEXT_BYTES + 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn what_was_sealed_opens_and_nothing_else_does(
            content in proptest::collection::vec(any::<u8>(), 0..600),
            random in any::<[u8; 16]>(),
            bit in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let sealer = sealer(&[OLD]);
            let text = sealer.seal(Purpose::Session, "session", random, content.clone()).unwrap();
            prop_assert_eq!(sealer.open(Purpose::Session, "session", &text), Some(content));
            let mut bytes = Base64UrlUnpadded::decode_vec(&text).unwrap();
            let flipped = bit.index(bytes.len() * 8);
            bytes[flipped / 8] ^= 1 << (flipped % 8);
            let changed = Base64UrlUnpadded::encode_string(&bytes);
            prop_assert_eq!(sealer.open(Purpose::Session, "session", &changed), None);
            prop_assert_eq!(sealer.open(Purpose::Session, "session", &text[..cut.index(text.len())]), None);
        }

        #[test]
        fn no_text_opens(text in ".{0,200}") {
            prop_assert_eq!(sealer(&[OLD]).open(Purpose::Session, "session", &text), None);
        }
    }
}
