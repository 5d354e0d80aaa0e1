//! Connections to upstreams: made, protected, kept while they are idle, and used.
//!
//! It knows nothing of clients or of how a request was judged.

mod answer;
mod config;
mod dial;
mod http1;
mod http2;
mod interim;
mod pool;

pub(crate) use answer::AnswerBody;
pub use config::Upstream;
pub(crate) use http1::{Failure, Head};
pub(crate) use interim::Interim;
pub(crate) use pool::{Http1Lease, Http2Lease, Lease, Pool, Switched};
