//! The client's side of a connection, once it is protected: HTTP/1.1 or HTTP/2 is read from it and written to it.
//!
//! Each request goes to [`crate::exchange`]. What is kept here is the connection: what happens on it, by which its state changes
//! ([`crate::state`]), and how it ends when a deadline has passed (`drive`).

mod drive;
mod http1;
mod http2;
mod timer;
mod watched;

pub use http1::whole::{Whole, read_request};

use crate::exchange::{Entry, Worker};
use crate::stream::Stream;
use crate::tls::Protocol;
use portcullis_core::Conn;
use std::rc::Rc;
use std::sync::Arc;

/// Serves a connection on which this protocol is spoken.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    stream: Stream,
    conn: Conn,
    protocol: Protocol,
    entry: Arc<Entry>,
) {
    match protocol {
        Protocol::Http1 => http1::serve(worker, stream, conn, entry).await,
        // Boxed, so that the far more frequent connections of HTTP/1.1 in the clear are no larger for it.
        Protocol::Http2 => Box::pin(http2::serve(worker, stream, conn, entry)).await,
    }
}
