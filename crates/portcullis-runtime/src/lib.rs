//! What checks may ask of the world, on tokio.
//!
//! | module  | gives                                                       |
//! |---------|-------------------------------------------------------------|
//! | [`clock`] | the time, on a clock that never goes back and on one that may |
//! | [`world`] | [`Effects`](portcullis_core::Effects): time, randomness, counters, keys         |
//! | [`stop`]  | the operator's wish to stop                                 |

pub mod clock;
pub mod stop;
pub mod world;

pub use clock::SystemClock;
pub use portcullis_core::Clock;
pub use world::World;
