//! What operators get to see.
//!
//! | module         | gives                                                         |
//! |----------------|---------------------------------------------------------------|
//! | [`stream`]       | each record to everybody who wants to know                    |
//! | [`line`]         | a record as one line of JSON                                  |
//! | [`access_log`]   | the lines, to standard output or a file                       |
//! | [`audit`]        | refusals and changes, in a file whose every edit shows        |
//! | [`metrics`]      | numbers for Prometheus                                        |
//!
//! `lanes` is how workers count without a lock that another worker takes, `names` how what they count outlives a plan.

pub mod access_log;
pub mod audit;
mod lanes;
pub mod line;
pub mod metrics;
mod names;
pub mod stream;

pub use access_log::{AccessLog, OnFull};
pub use audit::AuditLog;
pub use metrics::Metrics;
pub use stream::Fan;
