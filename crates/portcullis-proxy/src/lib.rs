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
//! accept --caps--> connection --tls--> http1 --hyper--> service --judge--> forward --pool--> upstream
//!                                life (deadlines)              |                  |
//!                                                          handler           hygiene --> answer
//! ```
//!
//! Whatever fails, the client gets problem details or a closed connection, and the record says why.

mod accept;
mod answer;
mod caps;
mod config;
mod connection;
mod current;
mod drain;
mod examined;
mod fields;
mod forward;
mod frames;
mod front;
mod handler;
mod http1;
mod http2;
mod hygiene;
mod life;
mod location;
mod pool;
mod proxy_header;
mod redirect;
mod reload;
mod respond;
mod running;
mod sender;
mod service;
mod stream;
pub mod tls;
mod tunnel;
mod upload;
mod watched;
mod worker;

pub use config::{FrontConfig, Listener, Target, Timeouts, Upstream};
pub use front::{BindError, Bound, bind};
pub use handler::{BoxError, Handler, ResponseBody};
pub use redirect::Redirect;
pub use reload::{Changed, Prepared};
pub use running::{ReloadHandle, Running, ShutdownHandle};
pub use upload::RequestBody;
