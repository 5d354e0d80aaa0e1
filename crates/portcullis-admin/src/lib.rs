//! What operators ask a gateway, and what they order it.
//!
//! | module        | decides                                                                |
//! |---------------|------------------------------------------------------------------------|
//! | [`server`]      | how the few clients of such a listener are served, apart from requests |
//! | [`service`]     | the admin listener: guard, then one endpoint                           |
//! | `guard`         | whether a request is let in: host, site, token or session              |
//! | `endpoints`     | everything that is served, in one table                                |
//! | `desk`          | orders about consumers and keys of a store                             |
//! | [`openapi`]     | the description of the API, made from that table                       |
//! | [`tokens`]      | who may ask, and who may order                                         |
//! | `sessions`      | sessions of browsers                                                   |
//! | `pages`         | the dashboard                                                          |
//! | [`gateway`]     | what is known of a gateway: a trait, which the library implements      |
//! | [`scrape`]      | a listener that has metrics alone                                      |
//!
//! Nothing here runs on a worker's thread, so a flood of questions slows no request down.

mod desk;
mod endpoints;
pub mod gateway;
mod guard;
mod once;
pub mod openapi;
mod pages;
pub mod problem;
pub mod scrape;
pub mod server;
pub mod service;
mod sessions;
pub mod tokens;

pub use endpoints::{operations_json, why};
pub use server::{Server, Service};

/// A new token: 256 random bits as hexadecimal digits.
pub fn random_token() -> String {
    sessions::random()
}
