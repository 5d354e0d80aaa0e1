//! What the gateway shares with other gateways, and where.

mod counters;

pub use counters::{CountersConfig, OnFailureConfig, RedisConfig, SentinelConfig, SyncConfig};

use portcullis_config::object;

object! {
    /// Where the gateway keeps what it shares with other gateways.
    pub struct StoreConfig {
        /// Where limits are counted, and where it is remembered what may be used once only. Default: in this process.
        pub counters: Option<CountersConfig>,
    }
}
