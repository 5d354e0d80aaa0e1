//! What is kept outside of the process: counters that gateways share, and keys that change while they run.

mod counters;
mod keys;

pub use counters::{CountersConfig, OnFailureConfig, RedisConfig, SentinelConfig, SyncConfig};
pub use keys::{KeyStoreConfig, PostgresConfig};

use portcullis_config::object;

object! {
    /// What is kept outside of the process, so that gateways can share it.
    pub struct StoreConfig {
        /// Where limits are counted, and where it is remembered what may be used once only. Default: in this process.
        pub counters: Option<CountersConfig>,
        /// Consumers and API keys, beside those in this file. `portcullis keys` and `portcullis consumers` change them. Every
        /// authentication of type `api_key` that lists no keys accepts these too. Default: none.
        pub keys: Option<KeyStoreConfig>,
    }
}
