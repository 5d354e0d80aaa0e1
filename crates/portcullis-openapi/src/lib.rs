#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod api;
mod body;
mod document;
pub mod json;
mod limits;
mod memory;
mod message;
mod parameter;
mod percent;
mod response;
mod schema;
mod spelling;
mod strip;
mod violation;

pub use api::{Api, Found, Match, Operation, Options, ReadOnly, Requirement, SecurityScheme};
pub use body::{FormPart, form_parts, is_utf8_content, unpacked};
pub use document::{Files, LoadError, LoadErrors};
pub use limits::Limits;
pub use memory::{Memory, Reader};
pub use message::{Fields, RequestView};
pub use parameter::EncodedCommas;
pub use schema::Schema;
pub use spelling::OtherSpellings;
pub use violation::{Class, MOST_VIOLATIONS, Place, Violation, Violations};
