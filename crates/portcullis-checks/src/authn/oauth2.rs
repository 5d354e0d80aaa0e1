//! An OAuth 2 access token.
//!
//! The configuration can be written, and is refused: this version does not verify tokens, and a gateway that accepted the
//! words without the deed would be open.

use portcullis_config::{Context, Spanned, object};
use portcullis_core::Authenticate;
use std::sync::Arc;

object! {
    /// An OAuth 2 access token (RFC 6749, RFC 6750).
    pub struct OAuth2Config {
        /// The token endpoint of the authorization server, from whose metadata the rest is found.
        pub token_url: Option<Spanned<String>>,
        /// The issuer, where it is not the token endpoint's.
        pub issuer: Option<Spanned<String>>,
        /// Where the issuer's keys are.
        pub jwks_url: Option<Spanned<String>>,
        /// Where opaque tokens are introspected.
        pub introspection_url: Option<Spanned<String>>,
        /// For whom a token must be.
        pub audience: Option<Spanned<String>>,
    }
}

impl OAuth2Config {
    /// Refuses the configuration.
    pub fn compile(&self, cx: &mut Context) -> Option<Arc<dyn Authenticate>> {
        cx.error(
            "config.unsupported",
            self.at,
            "this version does not verify OAuth 2 tokens, so a route cannot rely on them",
        )
        .help("authenticate by `type: api_key` until it does");
        None
    }
}
