//! The front: what carries a request to the engine, and what the engine lets through to an upstream.
//!
//! It decides how connections are accepted, bounded, timed out and drained, how an upstream is reached, and which
//! fields of an answer a client may see. It does not decide whether a request is let through: that is
//! [`portcullis_core::judge`], and the only thing that can be forwarded is the permit that it gives.
//!
//! Every worker is a thread with a runtime, a listening socket and upstream connections of its own. Workers share the
//! connection counts and nothing else, and those are touched only when a connection begins or ends.
//!
//! ```text
//! front, reload, running   binds, starts, exchanges and ends what the workers serve
//!   listener/         accept --caps--> connection --tls-->
//!     client/         HTTP/1.1 or HTTP/2, and the deadlines of the connection
//!       exchange/     one request: judge, forward or handle, hygiene, answer
//!         upstream/   connections to upstreams
//!           tls/      both sides' TLS, certificates, ACME
//! ```
//! Each folder may use what stands below it in this list, and nothing above (`xtask/tests/proxy_layers.rs`).
//!
//! Whatever fails, the client gets problem details or a closed connection, and the record says why.

mod body;
mod client;
mod config;
mod descriptors;
mod drain;
mod exchange;
mod front;
mod listener;
mod output;
mod reload;
mod running;
mod state;
mod stream;
mod timeouts;
pub mod tls;
mod upload;
mod upstream;

pub use body::BodyFault;
pub use client::{Whole, read_request};
pub use config::{FrontConfig, Listener};
pub use descriptors::raise_descriptor_limit;
pub use exchange::{
    BodySender, BoxError, FixedAnswer, Handler, Place, Redirect, RequestBody, ResponseBody, Target,
};
pub use front::{BindError, Bound, bind};
pub use listener::{Inherited, PassedSocket, REQUESTS};
pub use reload::{Changed, Prepared};
pub use running::{ReloadHandle, Running, ShutdownHandle, Usage};
pub use timeouts::Timeouts;
pub use upstream::{
    Balance, Canary, Checked, ConnectionCap, Counts, Eject, GroupKeeper, GroupServer, GroupState, HashBy,
    HealthCheck, Mirror, Probe, ProxyProtocol, Retry, ServerState, Standing, Upstream, UpstreamGroup,
};
