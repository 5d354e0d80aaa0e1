//! What operators get to see.
//!
//! | module     | gives                                                         |
//! |------------|---------------------------------------------------------------|
//! | [`line`]     | a record as one line of JSON                                  |
//! | [`access_log`] | the lines, to standard output or a file                      |
//! | [`audit`]    | refusals and changes, in a file whose every edit shows        |

pub mod access_log;
pub mod audit;
pub mod line;

pub use access_log::{AccessLog, OnFull};
pub use audit::AuditLog;
