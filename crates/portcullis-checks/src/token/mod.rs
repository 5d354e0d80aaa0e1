//! Tokens that an issuer signs, or vouches for when asked.
//!
//! | file            | decides                                                              |
//! |-----------------|----------------------------------------------------------------------|
//! | [`jws`]           | whether something has the form of a signed token                     |
//! | [`json`]          | whether its JSON has one reading                                     |
//! | [`algorithm`]     | which algorithms there are                                           |
//! | [`keys`]          | which key verifies a signature, and by which algorithm               |
//! | `published`     | which public keys stand in PEM and in certificates                   |
//! | [`rules`]         | whether the claims say what they must                                |
//! | [`metadata`]      | what an authorization server says of itself                          |
//! | [`access`]        | how an issuer's documents are asked for                              |
//! | [`issuer`]        | which keys an issuer has now                                         |
//! | [`client_auth`]   | how the gateway tells an authorization server who it is              |
//! | [`introspection`] | what an authorization server says of an opaque token                 |
//! | [`dpop`]          | whether the sender has the key that a token is bound to              |
//! | [`cache`]         | which tokens were verified a moment ago                              |
//!
//! The checks that use them are [`crate::authn::bearer`] and its configurations.

pub mod access;
pub mod algorithm;
pub mod assertion;
pub mod cache;
pub mod client_auth;
pub mod dpop;
pub mod introspection;
pub mod issuer;
pub mod json;
pub mod jws;
pub mod keys;
pub mod metadata;
mod published;
pub(crate) mod race;
pub mod rules;
mod together;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;
