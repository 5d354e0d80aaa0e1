//! The dashboard: pages that are made here, work without a script, and take nothing from elsewhere.
//!
//! | file         | shows                                                     |
//! |--------------|-----------------------------------------------------------|
//! | [`frame`]      | what all pages have: the menu, the answer                 |
//! | [`chart`]      | numbers over time                                         |
//! | [`overview`]   | traffic, refusals by reason, latency                      |
//! | [`refusals`]   | recent refusals, and why a request was refused            |
//! | [`sources`]    | addresses, blocks                                         |
//! | [`inventory`]  | consumers, routes, configuration, certificates            |
//!
//! Whatever comes from a client or a file is escaped by the templates; no page says `PreEscaped` of it.

mod chart;
mod frame;
mod inventory;
mod overview;
mod refusals;
mod sources;

pub(crate) use frame::{field, icon, login, script, style, to};
pub(crate) use inventory::{consumers, gateway, routes};
pub(crate) use overview::overview;
pub(crate) use refusals::refusals;
pub(crate) use sources::{block, sources, unblock};
