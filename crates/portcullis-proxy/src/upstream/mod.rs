//! Connections to upstreams: made, protected, kept while they are idle, and used.
//!
//! | file                | decides                                                              |
//! |---------------------|----------------------------------------------------------------------|
//! | `config`              | what is known of a server                                             |
//! | `pool`                | which connection a request gets, and how long connections are kept      |
//! | `name`, `dial`, `connect` | which addresses are tried, and whom the gateway trusts there             |
//! | `group`               | which of several servers a request gets, and which are left out            |
//! | `http1`, `http2`        | how a request is sent, and when a server has not processed it            |
//! | `answer`              | how the body of an answer comes                                       |
//!
//! The one way in is [`Pool::lease`]: a place for a request, on a connection of HTTP/1.1 or a stream of HTTP/2. It knows nothing of
//! clients or of how a request was judged, and tries one server once: what to do next is for `exchange/send.rs`.

mod answer;
mod config;
mod connect;
mod dial;
mod group;
mod http1;
mod http2;
mod interim;
mod name;
mod pool;
mod proxy_header;

pub(crate) use answer::AnswerBody;
pub use config::{ConnectionCap, ProxyProtocol, Upstream};
pub use group::{
    Balance, Canary, Checked, Counts, Eject, GroupKeeper, GroupServer, GroupState, HashBy, HealthCheck,
    Mirror, Probe, Retry, ServerState, Standing, UpstreamGroup,
};
pub(crate) use group::{Entered, Group, Members, Outcome, Running, Tried, hash};
pub(crate) use http1::{Failure, Head};
pub(crate) use http2::{Call, Stream as Http2Stream, Unanswered};
pub(crate) use interim::Interim;
pub(crate) use pool::{Fresh, Http1Lease, Lease, Pool, Switched};
pub(crate) use proxy_header::Ends;
