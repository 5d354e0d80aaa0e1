//! What follows an upgrade, where a check reads it.
//!
//! A check says what a client's message is: something that stands for a request, something that belongs to the protocol, or a
//! breach of it. What stands for a request is judged like one, by [`Dialogue`](crate::stage::Dialogue), and the check has no
//! part in that. Bytes and frames are the front's.

use crate::denial::Denial;
use crate::record::RequestId;
use bytes::Bytes;

/// A connection in a protocol that a check reads.
pub trait Conversation: Send {
    /// The subprotocol (RFC 6455, section 1.9). Only this one is offered to the upstream.
    fn protocol(&self) -> &'static str;

    /// What a text of the client is. Time and memory are bounded by its size.
    fn hear(&mut self, message: &Bytes) -> Heard;

    /// The text that tells a client why what it asked for under this name is refused. `problem` is the body that an HTTP
    /// request would have been answered with, in JSON.
    fn refusal(&self, name: &str, denial: &Denial, id: &RequestId, problem: &[u8]) -> String;
}

/// What a text of a client is.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It belongs to the protocol and goes on.
    Note,
    /// It asks for something under this name. It stands for a POST with this JSON body.
    Request {
        /// What the client calls it.
        name: String,
        /// What it asks for.
        body: Bytes,
    },
    /// It breaks the protocol: the connection ends.
    Breach(Breach),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The status of the close frame (RFC 6455, section 7.4).
    pub status: u16,
    /// Its text, which is the client's to read.
    pub reason: &'static str,
}
