//! How much of it.

pub mod rate_limit;
