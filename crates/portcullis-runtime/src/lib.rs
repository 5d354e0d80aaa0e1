//! What checks may ask of the world, on tokio.
//!
//! | module  | gives                                                       |
//! |---------|-------------------------------------------------------------|
//! | [`clock`] | the time, on a clock that never goes back and on one that may |
//! | [`world`] | [`Effects`](portcullis_core::Effects): time, randomness, counters, keys         |
//! | [`fetch`] | what the gateway itself asks of other servers                |
//! | [`aside`]  | threads for long work that is in no hurry                   |
//! | [`background`] | a thread for what goes on beside requests              |
//! | [`password`] | passwords, verified beside the threads that serve requests |
//! | [`state`] | what outlives a plan                                        |
//! | [`stop`]  | the operator's wish to stop                                 |

pub mod aside;
pub mod background;
pub mod blocks;
pub mod clock;
pub mod fetch;
pub mod password;
pub mod state;
pub mod stop;
pub mod world;

pub use aside::aside;
pub use background::{Background, RunningJob};
pub use clock::SystemClock;
pub use fetch::{Outbound, OutboundPolicy};
pub use portcullis_core::Clock;
pub use state::State;
pub use world::{CurrentWorld, World};
