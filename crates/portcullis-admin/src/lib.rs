//! What operators ask a gateway, and what they order it.
//!
//! | module      | decides                                                                  |
//! |-------------|--------------------------------------------------------------------------|
//! | [`server`]    | how the few clients of an operator's listener are served, apart from requests |
//! | [`scrape`]    | what a scraper gets of a listener that has metrics alone                    |
//!
//! Nothing here runs on a worker's thread, so a flood of questions slows no request down. What it can know and order of the
//! gateway it is given as a trait; the gateway is not known here.

pub mod scrape;
pub mod server;

pub use server::{Server, Service};
