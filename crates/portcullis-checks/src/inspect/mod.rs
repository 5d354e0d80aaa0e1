//! The body, before any of it is forwarded.

pub mod body_size;
pub mod graphql;
pub mod limits;
mod memory;
pub mod openapi;
pub mod strict_errors;
pub mod validation;
pub mod waf;
