//! Consumers and API keys in a database, and all of it in memory for requests.
//!
//! | module  | decides                                                         |
//! |---------|-----------------------------------------------------------------|
//! | [`text`]  | what a key looks like                                           |
//! | [`pepper`] | under which secrets keys are hashed                            |
//! | [`model`] | what is known of consumers and keys                             |
//! | [`store`] | what can be done with a store: create, list, rotate, revoke, and what has changed |
//! | [`import`] | what a file of hashes says                                     |
//! | [`live`]  | how a gateway follows its store, and what it answers when it cannot |
//! | [`settings`] | where a store is                                             |
//! | [`span`]  | how long a key lasts, as people write it                        |
//!
//! The database is SQLite or PostgreSQL (`sql`); what is said to it is written once. A request never asks it: every key is in
//! memory (`table`), so a made-up key costs a hash and no question. An error, a silent store or a key that cannot be judged is a
//! `Fault`, which refuses.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stdout,
        reason = "a test fails by panicking"
    )
)]

mod fault;
pub mod import;
mod known;
pub mod live;
mod migrations;
pub mod model;
pub mod pepper;
pub mod settings;
#[cfg(test)]
mod size;
pub mod span;
mod sql;
pub mod store;
mod table;
pub mod text;

pub use fault::{ErrorKind, StoreError};
pub use live::LiveKeys;
pub use model::{Consumer, Key, KeySettings, KeyStatus, Owner};
pub use pepper::{PepperSource, Peppers};
pub use settings::{Place, PostgresSettings, Protection, Settings};
pub use store::{ConsumerChange, ImportedKey, KeyFilter, KeyStore, NewKey, Rotation};
