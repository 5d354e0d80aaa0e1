//! Where Portcullis keeps what outlives a request.
//!
//! | module     | keeps                         | in                  |
//! |------------|-------------------------------|---------------------|
//! | [`counters`] | how much of a limit is used up  | memory              |
//! | [`keys`]     | whose an API key is           | memory              |
//! | [`replay`]   | what may be used once only    | memory              |
//! | [`failures`] | who failed to authenticate    | memory              |
//! | [`kept`]     | what else outlives a plan     | memory              |
//!
//! A store answers or fails; it never guesses. A failure is a `Fault`, which refuses the request.

pub mod counters;
pub mod failures;
pub mod kept;
pub mod keys;
pub mod replay;
pub mod shared;

pub use counters::{
    Calendar, CalendarUnit, CountNames, CounterStore, Counters, MemoryCounters, NamedLimit, UnknownZone,
};
pub use failures::{FailurePolicy, Failures};
pub use kept::Kept;
pub use keys::{Keys, MemoryKeys, StoredKeys};
pub use replay::{MemoryReplay, Replay};
pub use shared::SharedStore;
