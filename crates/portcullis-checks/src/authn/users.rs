//! The consumers that have a password, by name.

use super::key_digest::password_counted_as;
use super::password_config::{Cost, PasswordConfig};
use super::rules_of;
use base64ct::{Base64Unpadded, Encoding};
use portcullis_config::{Context, Secret, Span};
use portcullis_core::ConsumerId;
use std::collections::HashMap;
use std::sync::Arc;

/// Somebody with a password.
#[derive(Clone, Debug)]
pub struct User {
    /// Who it is.
    pub consumer: ConsumerId,
    /// The hash of the password.
    pub hash: Secret,
    /// Its name.
    pub name: Arc<str>,
    /// A number for the hash: with another password it is another one.
    pub rules: u64,
    /// What requests with the password are counted under.
    pub counted_as: [u8; 16],
}

/// Everybody with a password.
#[derive(Clone, Debug, Default)]
pub struct Users {
    by_name: HashMap<String, User>,
    costliest: Option<(Cost, Span)>,
}

impl Users {
    /// Adds somebody.
    pub fn add(&mut self, name: &str, consumer: ConsumerId, password: &PasswordConfig, cx: &mut Context) {
        match self.costliest {
            Some((cost, at)) if cost != password.cost => {
                cx.warning(
                    "config.password_costs_differ",
                    password.at,
                    "this hash takes a different time to verify than another one, so response times reveal which names exist",
                )
                .related(at, "another one")
                .help("make all hashes with the same parameters, for example with `portcullis hash-password`");
                if password.cost.work() > cost.work() {
                    self.costliest = Some((password.cost, password.at));
                }
            }
            Some(_) => {}
            None => self.costliest = Some((password.cost, password.at)),
        }
        let (hash, rules) = (password.hash.clone(), rules_of(&[password.hash.expose()]));
        let counted_as = password_counted_as(name);
        self.by_name.insert(name.to_owned(), User { consumer, hash, name: name.into(), rules, counted_as });
    }

    /// Whoever has this name.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// A hash of no password, to be verified in place of that of somebody who does not exist: it costs as much as the
    /// costliest one there is. What is verified with it is refused, whatever comes of that.
    pub fn stand_in(&self, salt: &[u8; 16], hash: &[u8; 32]) -> Secret {
        let Cost { memory, passes, lanes } = self.costliest.map_or(Cost::USUAL, |(cost, _)| cost);
        let (salt, hash) = (Base64Unpadded::encode_string(salt), Base64Unpadded::encode_string(hash));
        Secret::new(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }
}

#[cfg(test)]
mod tests;
