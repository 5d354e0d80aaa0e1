//! How long a client may take.

use std::time::Duration;

/// Timeouts of client connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request head to its last; also from the beginning of a connection to its first byte.
    /// Default: 10 s.
    pub header: Duration,
    /// Between two requests. Default: 60 s.
    pub idle: Duration,
    /// Between two reads of a request body, and between two writes of an answer, that get anywhere. Default: 30 s.
    pub body: Duration,
    /// From the end of the request head to the end of its body. `None` for no limit. Default: 300 s.
    pub request: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(30),
            request: Some(Duration::from_secs(300)),
        }
    }
}
