//! What a configuration holds in place of a secret.

pub use portcullis_runtime::password::hash;

/// The hash of an API key, as `keys: [{ hash: ... }]` takes it where there is no `key_pepper`.
pub fn hash_of_key(key: &[u8]) -> String {
    portcullis_checks::authn::key_digest::written_hash(key)
}
