//! How much of it: limits over time, quotas by the calendar, what plans allow, and how many requests at once.

pub mod by;
pub mod calendar;
pub mod concurrency;
pub mod cost;
mod counted;
pub mod overload;
pub mod plans;
pub mod rate_limit;
