//! What a request is given on its way to the upstream.
//!
//! | file                   | adds                                                                |
//! |------------------------|---------------------------------------------------------------------|
//! | [`identity_token`]       | a token, signed by the gateway, that says who sends the request     |
//! | [`client_credentials`]   | the gateway's own access token for the upstream                     |
//! | [`token_exchange`]       | a token for the upstream, exchanged for the caller's own            |

pub mod client_credentials;
pub mod identity_token;
pub mod token_exchange;
