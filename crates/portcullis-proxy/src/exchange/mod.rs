//! One request and its answer, from the engine's judgement to the last byte for the client.
//!
//! The client side calls [`service::answer`] for each request, in whichever version of HTTP it came, and keeps the deadlines
//! that [`life::Life`] knows. Where an upstream's connection comes from is the business of [`crate::upstream`].

mod ahead;
mod answer;
mod compressed;
mod conversation;
mod current;
mod date;
mod delay;
mod entry;
mod examined;
mod fields;
mod fixed;
mod form;
mod forward;
mod group;
mod grpc;
mod grpc_status;
mod handler;
mod handler_body;
mod handler_sender;
mod hygiene;
pub(crate) mod life;
mod local;
mod location;
mod loops;
mod messages;
mod mirror;
mod misdirected;
mod proof;
mod redirect;
mod respond;
pub(crate) mod review;
mod seat;
mod send;
pub(crate) mod service;
pub(crate) mod shares;
mod streams;
mod tunnel;
mod websocket;
mod worker;

pub(crate) use answer::Answer;
pub(crate) use current::Current;
pub use current::Target;
pub(crate) use date::date;
pub(crate) use entry::Entry;
pub use fixed::{FixedAnswer, Place};
pub use handler::{Handler, ResponseBody};
pub use handler_body::{BoxError, RequestBody};
pub use handler_sender::BodySender;
pub(crate) use loops::LoopName;
pub(crate) use misdirected::Neighbours;
pub use redirect::Redirect;
pub(crate) use tunnel::Tunnel;
pub(crate) use worker::Worker;
