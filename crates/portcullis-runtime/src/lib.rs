//! What checks may ask of the world, on tokio.
//!
//! | module  | gives                                                       |
//! |---------|-------------------------------------------------------------|
//! | [`clock`] | the time, on a clock that never goes back and on one that may |
//! | [`world`] | [`Effects`](portcullis_core::Effects): time, randomness, counters, keys         |
//! | [`fetch`] | what the gateway itself asks of other servers                |
//! | [`background`] | a thread for what goes on beside requests              |
//! | [`password`] | passwords, verified beside the threads that serve requests |
//! | [`stop`]  | the operator's wish to stop                                 |

pub mod background;
pub mod clock;
pub mod fetch;
pub mod password;
pub mod stop;
pub mod world;

pub use background::Background;
pub use clock::SystemClock;
pub use fetch::{Outbound, OutboundPolicy};
pub use portcullis_core::Clock;
pub use world::World;
