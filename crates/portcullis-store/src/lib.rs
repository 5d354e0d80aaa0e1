//! Where Portcullis keeps what outlives a request.
//!
//! | module     | keeps                         | in                  |
//! |------------|-------------------------------|---------------------|
//! | [`counters`] | how much of a limit is used up  | memory              |
//! | [`keys`]     | whose an API key is           | memory              |
//!
//! A store answers or fails; it never guesses. A failure is a `Fault`, which refuses the request.

pub mod counters;
pub mod keys;

pub use counters::{Counters, MemoryCounters};
pub use keys::{Keys, MemoryKeys};
