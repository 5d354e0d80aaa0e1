//! An informational answer (RFC 9110, section 15.2), which comes before the final one.

use http::{HeaderMap, StatusCode};

/// An answer such as 102 or 103.
pub(crate) struct Interim {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}
