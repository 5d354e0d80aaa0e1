//! Pools that clients share: a bound, a share per address, and a short fair queue.
//!
//! Every pool that clients share can be used up by one of them. A [`Pool`] has a fixed number of units (slots, or bytes).
//! One address holds at most its share of them; the addresses of an IPv6 /64 count as one. If nothing is free, the
//! caller may wait in a short [`FairQueue`], in which addresses take turns and known clients go first. If the queue is full, the
//! newest entry of the address with the most entries gives way. Whoever gets nothing is told so at once.
//!
//! Memory is bounded: an address without units and without a waiting entry takes none.

mod fair;
mod places;

pub use fair::{Client, FairQueue, QueueFull, Ticket};
pub use places::{Bounds, Full, Place, Pool, Take};
