#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod builtin;
mod detect;
mod error;
mod operator;
mod plan;
mod seclang;
mod transaction;
pub mod transform;

pub use body::multipart::Flags;
pub use detect::{Detector, LibInjection};
pub use error::{LoadError, LoadErrors, Location};
pub use plan::{Plan, RuleInfo, Settings};
pub use seclang::{Loader, tree};
pub use transaction::{
    Interruption, MatchedTarget, Parsed, Place, Report, Request, Response, RuleMatch, Transaction, WORK,
};
