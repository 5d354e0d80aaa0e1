//! Rules about the admin listener: who can reach it, and how hard its tokens are to guess.
//!
//! Tokens are read from their files again. One that cannot be read is no finding: the configuration does not load then.

use super::{Report, Subject};
use crate::document::admin_token;
use std::collections::BTreeSet;

/// Fewer different characters than 32 random hexadecimal digits ever have.
const FEWEST_CHARACTERS: usize = 8;

/// What is in tokens that somebody made up.
const WORDS: [&str; 8] =
    ["password", "passwort", "changeme", "secret", "admin", "portcullis", "token", "0123456789"];

/// An admin listener that others on the network can reach.
pub(super) fn exposed(subject: &Subject<'_>, report: &mut Report) {
    let Some(admin) = &subject.config.admin else { return };
    if !admin.bind.value.ip().to_canonical().is_loopback() {
        let message = format!("others on the network can reach the admin listener on {}", admin.bind.value);
        report.gateway(admin.bind.span, message);
    }
}

/// A token that can be guessed, or that others on this machine can read.
pub(super) fn weak_token(subject: &Subject<'_>, report: &mut Report) {
    let Some(admin) = &subject.config.admin else { return };
    for written in &admin.tokens {
        let file = &written.file.value;
        let (Ok(text), metadata) = (std::fs::read_to_string(file), std::fs::metadata(file)) else { continue };
        let Some(token) = admin_token(&text) else { continue };
        let readable = metadata.map(|metadata| portcullis_permissions::given(file, &metadata));
        if let Ok(Ok(Some(exposed))) = readable {
            report.gateway(
                written.file.span,
                format!("the token in {} is not private: {exposed}", file.display()),
            );
        }
        if let Some(why) = guessable(token) {
            report
                .gateway(written.file.span, format!("the token in {} can be guessed: {why}", file.display()));
        }
    }
}

/// Why a token is not random, if it is not.
fn guessable(token: &str) -> Option<&'static str> {
    let lower = token.to_ascii_lowercase();
    let characters: BTreeSet<u8> = token.bytes().collect();
    if characters.len() < FEWEST_CHARACTERS {
        return Some("it has only a few different characters");
    }
    let repeats = |size: usize| {
        let mut blocks = token.as_bytes().chunks(size);
        let first = blocks.next().unwrap_or_default();
        blocks.all(|block| first.starts_with(block))
    };
    if (1..=token.len() / 2).any(repeats) {
        return Some("it repeats itself");
    }
    WORDS.iter().any(|word| lower.contains(word)).then_some("it contains a well-known word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_are_not_guessable_and_others_are() {
        for good in [
            "9f86d081884c7d659a2feaa0c55ad015",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "Qm9vdHN0cmFwLW5vdC1hLXdvcmQtaGVyZQ",
        ] {
            assert_eq!(guessable(good), None, "{good}");
        }
        for bad in [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "1212121212121212121212121212121212",
            "q7w8e9r0t1q7w8e9r0t1q7w8e9r0t1q7",
            "My-Admin-Gateway-2026-xyzuvw-98765",
            "ChangeMe-ChangeYou-98765-zyxwvut-x",
            "abcdef0123456789abcdefghijklmnopqr",
        ] {
            assert!(guessable(bad).is_some(), "{bad}");
        }
    }
}
