//! The 10,000 API keys of the benchmark, in the form each proxy wants them.
//!
//! They are made from a counter, so that every run asks for the same work. They protect nothing.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

const COUNT: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Keys(Vec<String>);

impl Keys {
    pub(crate) fn generate() -> Self {
        let key = |number| format!("pk_{:.32}", hexadecimal(&format!("benchmark key {number}")));
        Self((0..COUNT).map(key).collect())
    }

    /// A key that is right and whose consumer is a reader.
    pub(crate) fn right(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// A right key of the consumer whose limit is used up by the check of limits.
    pub(crate) fn limited(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// A key of the right form that nobody has.
    pub(crate) fn wrong() -> String {
        format!("pk_{:.32}", hexadecimal("nobody's key"))
    }

    /// One key a line, for the load generator.
    pub(crate) fn list(&self) -> String {
        self.lines(|_, key| key.to_owned())
    }

    /// `"key" "consumer";` for an nginx `map`.
    pub(crate) fn nginx_consumers(&self) -> String {
        self.lines(|number, key| format!("\"{key}\" \"c{number}\";"))
    }

    /// `"consumer" "role";` for an nginx `map`.
    pub(crate) fn nginx_roles(&self) -> String {
        self.lines(|number, _| format!("\"c{number}\" \"reader\";"))
    }

    /// `key consumer` for an HAProxy map file.
    pub(crate) fn haproxy_consumers(&self) -> String {
        self.lines(|number, key| format!("{key} c{number}"))
    }

    /// `consumer role` for an HAProxy map file.
    pub(crate) fn haproxy_roles(&self) -> String {
        self.lines(|number, _| format!("c{number} reader"))
    }

    /// The entries of `consumers:` in a Portcullis file, which holds the hash of a key and never the key.
    pub(crate) fn portcullis_consumers(&self) -> String {
        self.lines(|number, key| {
            let hash = hexadecimal(key);
            format!("  - {{ name: c{number}, roles: [reader], keys: [{{ hash: \"sha256:{hash}\" }}] }}")
        })
    }

    /// The entries of `credentials:` in an Envoy file. The role stands in the name, since nothing else looks it up.
    pub(crate) fn envoy_credentials(&self) -> String {
        self.lines(|number, key| {
            format!("                        - {{ key: {key}, client: reader-c{number} }}")
        })
    }

    fn lines(&self, line: impl Fn(usize, &str) -> String) -> String {
        let mut text = String::new();
        for (number, key) in self.0.iter().enumerate() {
            text.push_str(&line(number, key));
            text.push('\n');
        }
        text
    }
}

/// The SHA-256 of a text in lower-case hexadecimal.
fn hexadecimal(text: &str) -> String {
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_other_tools_compute() {
        // FIPS 180-4, the example message "abc".
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hexadecimal("abc"), known);
    }

    #[test]
    fn keys_differ_and_the_wrong_one_is_none_of_them() {
        let keys = Keys::generate();
        let distinct: std::collections::HashSet<_> = keys.0.iter().collect();
        assert_eq!(distinct.len(), COUNT);
        assert!(!keys.0.contains(&Keys::wrong()));
        assert_eq!(Keys::wrong().len(), keys.right().len());
        assert_ne!(keys.right(), keys.limited());
    }
}
