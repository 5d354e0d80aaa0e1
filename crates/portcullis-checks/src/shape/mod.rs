//! What a request is given on its way to the upstream.
//!
//! | file                   | adds                                                                |
//! |------------------------|---------------------------------------------------------------------|
//! | [`identity_token`]       | a token, signed by the gateway, that says who sends the request     |
//! | [`client_credentials`]   | the gateway's own access token for the upstream                     |

pub mod client_credentials;
pub mod identity_token;
