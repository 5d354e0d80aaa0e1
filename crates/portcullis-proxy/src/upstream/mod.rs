//! Connections to upstreams: made, protected, kept while they are idle, and used.
//!
//! It knows nothing of clients or of how a request was judged.

mod config;
mod dial;
mod pool;
mod sender;

pub use config::Upstream;
pub(crate) use pool::{Lease, Pool, Switched};
