//! Who may ask and order: tokens and their roles.
//!
//! Memory holds the SHA-256 of a token and never the token. All hashes are compared, each in constant time.

use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// The shortest token in bytes. A shorter one could be guessed.
pub const SHORTEST: usize = 32;
/// The longest token in bytes.
pub const LONGEST: usize = 512;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ask.
    ReadOnly,
    /// Ask, and order.
    Operator,
}

impl Role {
    /// The configuration's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::ReadOnly => "read_only",
            Role::Operator => "operator",
        }
    }
}

/// A token after hashing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    digest: [u8; 32],
    /// What its holder may do.
    pub role: Role,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(•••, {})", self.role.as_str())
    }
}

impl Token {
    /// The hash of this token.
    pub fn new(token: &str, role: Role) -> Token {
        Token { digest: digest(token), role }
    }

    /// The first digits of the hash, by which the audit log tells tokens apart.
    pub fn name(&self) -> String {
        self.digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The SHA-256 of a secret.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The token of `tokens` that this is.
pub(crate) fn find<'a>(tokens: &'a [Token], shown: &str) -> Option<&'a Token> {
    if !(SHORTEST..=LONGEST).contains(&shown.len()) {
        return None;
    }
    let shown = digest(shown);
    let mut found = None;
    for token in tokens {
        // SECURITY: each is compared to its end, whichever fits (a_wrong_token_is_no_token).
        let same: Choice = token.digest.ct_eq(&shown);
        if bool::from(same) {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_token_is_no_token() {
        let (first, second) = ("a".repeat(32), "b".repeat(32));
        let tokens = [Token::new(&first, Role::Operator), Token::new(&second, Role::ReadOnly)];
        assert_eq!(find(&tokens, &first).map(|token| token.role), Some(Role::Operator));
        assert_eq!(find(&tokens, &second).map(|token| token.role), Some(Role::ReadOnly));
        for wrong in ["", "a", &"a".repeat(31), &"a".repeat(33), &"A".repeat(32), &"a".repeat(100_000)] {
            assert!(find(&tokens, wrong).is_none());
        }
        assert!(!format!("{tokens:?}").contains("aaaa"));
        assert!(find(&[Token::new("short", Role::Operator)], "short").is_none());
    }
}
