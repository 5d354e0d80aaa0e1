//! An OpenAPI document as a shield.
#![forbid(unsafe_code)]
mod document;
pub mod json;
mod limits;
mod percent;
mod schema;
mod violation;
pub use document::{Files, LoadError};
pub use limits::Limits;
pub use schema::Schema;
pub use violation::{Class, MOST_VIOLATIONS, Place, Violation, Violations};
