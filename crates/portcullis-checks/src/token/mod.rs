//! Tokens that an issuer signs, or vouches for when asked.
//!
//! | file            | decides                                                              |
//! |-----------------|----------------------------------------------------------------------|
//! | [`jws`]           | whether something has the form of a signed token                     |
//! | [`json`]          | whether its JSON has one reading                                     |
//! | [`algorithm`]     | which algorithms there are                                           |
//! | [`keys`]          | which key verifies a signature, and by which algorithm               |
//! | [`rules`]         | whether the claims say what they must                                |
//! | [`metadata`]      | what an authorization server says of itself                          |
//! | [`issuer`]        | which keys an issuer has now                                         |
//! | [`introspection`] | what an authorization server says of an opaque token                 |
//! | [`dpop`]          | whether the sender has the key that a token is bound to              |
//! | [`cache`]         | which tokens were verified a moment ago                              |
//!
//! The checks that use them are [`crate::authn::bearer`] and its configurations.

pub mod algorithm;
pub mod cache;
pub mod dpop;
pub mod introspection;
pub mod issuer;
pub mod json;
pub mod jws;
pub mod keys;
pub mod metadata;
pub(crate) mod race;
pub mod rules;
mod together;

#[cfg(test)]
mod properties;
