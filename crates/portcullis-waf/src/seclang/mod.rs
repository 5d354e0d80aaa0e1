//! SecLang, the language of ModSecurity's rules: from bytes to a tree in which everything has a type and a place.
//!
//! `lexer` makes directives of lines, `actions`, `targets` and `operator` read their parts, `tree` holds the result,
//! `load` finds the files. What the engine does not support is an error here, by name: a control that loads and does
//! not run would be worse than none.

mod actions;
mod lexer;
mod load;
mod operator;
mod parse;
mod targets;
pub mod tree;

pub use load::Loader;
pub(crate) use parse::Parsed;
