//! Listening sockets, and connections until a protocol is spoken on them.
//!
//! Connections are accepted under caps, say whose they are where a balancer does (PROXY protocol), and are protected by TLS.
//! Then [`crate::client`] serves them.

mod accept;
mod caps;
mod connection;
mod port;
mod proxy_header;
mod serve;
mod socket;

pub(crate) use caps::Caps;
pub(crate) use port::Port;
pub(crate) use serve::{ListenerId, Update, run};
pub(crate) use socket::{Handles, ListeningSocket, shared_out};
pub use socket::{Inherited, PassedSocket, REQUESTS};
