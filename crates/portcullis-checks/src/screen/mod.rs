//! Before authentication: the untouched head and the connection, cheaply.

pub mod addresses;
pub mod cors;
