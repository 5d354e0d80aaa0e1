//! HTTP/2 to an upstream, spoken by the `h2` crate: requests of many clients share a connection (RFC 9113, section 5).
//!
//! | file        | decides                                                                     |
//! |-------------|-----------------------------------------------------------------------------|
//! | `connection`  | whether a connection takes another request, and when it is given up            |
//! | `driver`      | whether the server is still there (PING), and how long a connection may say goodbye |
//! | `call`        | one request on a stream: its head, its body, the answer's head                  |
//! | `upload`      | the body of a request, as far as the windows go                              |
//! | `answer`      | the body of an answer, and the fields behind it                              |
//!
//! A stream is ended by dropping what belongs to it: the server then gets RST_STREAM (CANCEL).

mod answer;
mod call;
mod connection;
mod driver;
mod upload;

pub(crate) use answer::Http2Body;
pub(crate) use call::{Call, Unanswered, form};
pub(super) use connection::Http2Connection;
pub(crate) use connection::Stream;
