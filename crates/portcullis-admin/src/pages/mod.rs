//! The dashboard: pages that are made here, work without a script, and take nothing from elsewhere.
//!
//! | file         | shows                                                     |
//! |--------------|-----------------------------------------------------------|
//! | [`frame`]      | what all pages have: the menu, the answer                 |
//! | [`chart`]      | numbers over time                                         |
//! | [`overview`]   | traffic, refusals by reason, latency                      |
//! | [`refusals`]   | recent refusals, and why a request was refused            |
//! | [`findings`]   | suspicious activity, with its evidence                    |
//! | [`sources`]    | addresses, blocks                                         |
//! | [`consumers`]  | consumers, of the configuration and of the store          |
//! | [`keys`]       | keys of the store                                         |
//! | [`inventory`]  | routes, configuration, certificates                       |
//!
//! Whatever comes from a client or a file is escaped by the templates; no page says `PreEscaped` of it.

mod chart;
mod consumers;
mod findings;
mod frame;
mod inventory;
mod keys;
mod operations;
mod overview;
mod refusals;
mod sources;

pub(crate) use consumers::{add_consumer, consumers, remove_consumer};
pub(crate) use findings::findings;
pub(crate) use frame::{field, icon, login, problem, script, style, to};
pub(crate) use inventory::{gateway, routes};
pub(crate) use keys::{create_key, keys, made_key, revoke_key, rotate_key};
pub(crate) use operations::operations;
pub(crate) use overview::overview;
pub(crate) use refusals::refusals;
pub(crate) use sources::{block, sources, unblock};
