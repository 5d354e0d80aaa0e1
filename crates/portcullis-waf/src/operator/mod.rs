//! Operators: whether a value is what a rule looks for.
//!
//! `spec` lists them and answers; `dialect` turns PCRE's syntax into that of the `regex` crate; `pattern` compiles an
//! expression once for the whole process; `required` finds the texts without which an expression cannot match.

mod dialect;
mod identity;
mod network;
pub(crate) mod pattern;
mod phrases;
pub(crate) mod required;
pub(crate) mod spec;
mod validate;

pub(crate) use phrases::Phrases;
