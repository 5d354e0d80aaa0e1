//! An informational answer (RFC 9110, section 15.2), which comes before the final one.

use http::{HeaderMap, StatusCode};

/// The most informational answers before the final one that are passed on at a time; further ones are dropped.
pub(super) const MAX_INTERIM: usize = 16;

/// An answer such as 102 or 103.
pub(crate) struct Interim {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}
