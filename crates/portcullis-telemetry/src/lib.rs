//! What operators get to see.
//!
//! | module         | gives                                                         |
//! |----------------|---------------------------------------------------------------|
//! | [`stream`]       | each record to everybody who wants to know                    |
//! | [`line`]         | a record as one line of JSON                                  |
//! | [`access_log`]   | the lines, to standard output, a file or syslog               |
//! | [`audit`]        | refusals and changes, in a file whose every edit shows        |
//! | [`notices`]      | what concerns no single request, on standard error             |
//! | [`metrics`]      | numbers for Prometheus                                        |
//! | [`detect`]       | what looks like an attack                                     |
//! | [`traces`]       | spans of sampled requests, for a collector                    |
//! | [`otlp`]         | how a collector is sent spans and metrics                      |
//! | [`watch`]        | what the admin API shows: [`recent`] refusals, [`sources`], [`history`] |
//!
//! `json` writes what nearly every line has, `lanes` is how workers count without a lock that another worker takes, `names` how what they count outlives a plan.

pub mod access_log;
pub mod audit;
pub mod detect;
pub mod history;
mod json;
mod lanes;
pub mod line;
pub mod metrics;
mod names;
pub mod notices;
pub mod otlp;
pub mod recent;
pub mod sources;
pub mod stream;
pub mod traces;
pub mod watch;

pub use access_log::{AccessLog, OnFull};
pub use audit::AuditLog;
pub use detect::Detection;
pub use metrics::Metrics;
pub use metrics::export::MetricsExport;
pub use stream::Fan;
pub use traces::Traces;
