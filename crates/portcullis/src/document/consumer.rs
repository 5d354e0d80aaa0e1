//! Who may use the API.

use portcullis_checks::Build;
use portcullis_checks::authn::mtls::CertificateIdentityConfig;
use portcullis_checks::authn::{KeyConfig, PasswordConfig, api_key};
use portcullis_checks::authz::is_scope;
use portcullis_checks::quota::calendar::QuotaConfig;
use portcullis_checks::quota::rate_limit::RateLimitConfig;
use portcullis_config::{Context, OneOrMany, Spanned, object};
use portcullis_core::Consumer;
use std::sync::Arc;

object! {
    /// A client or person who uses the API.
    pub struct ConsumerConfig {
        /// Its name, in the logs and in the `X-Consumer-Name` header that upstreams get. It must be unique.
        pub name: Spanned<String>,
        /// Its roles. Default: none.
        pub roles: Spanned<Vec<String>> = Spanned::nowhere(Vec::new()),
        /// The scopes of its keys, like the scopes of a token. Default: none.
        pub scopes: Spanned<Vec<String>> = Spanned::nowhere(Vec::new()),
        /// Its plan, one of those under `plans`. Default: none, so that only limits of the gateway and the routes hold.
        pub plan: Option<Spanned<String>>,
        /// Its rate limits, in place of those of its plan.
        #[alias("rate_limit")]
        pub rate_limiting: Option<OneOrMany<RateLimitConfig>>,
        /// Its quotas, in place of those of its plan.
        pub quota: Option<OneOrMany<QuotaConfig>>,
        /// Its API keys. With several, you can replace one while another still works.
        pub keys: Vec<KeyConfig> = Vec::new(),
        /// The hash of its password, for `type: basic`. The user name is `name`. `portcullis hash-password` makes a hash.
        pub password: Option<PasswordConfig>,
        /// Its client certificates, for `type: mtls`.
        pub certificates: Vec<CertificateIdentityConfig> = Vec::new(),
    }
}

impl ConsumerConfig {
    /// Adds it, with its keys, to what is built.
    pub fn compile(&self, build: &mut Build, cx: &mut Context) -> Option<()> {
        let visible = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text
        };
        if !visible(&self.name.value) {
            cx.error(
                "config.consumer_name",
                self.name.span,
                "a name must consist of visible ASCII characters, because upstreams get it in a header",
            )
            .help("write a name such as `alice` or `billing-service`");
            return None;
        }
        if self.roles.value.iter().any(|role| !visible(role) || role.contains(',')) {
            cx.error("config.role_name", self.roles.span, "a role must consist of visible ASCII characters without commas, because upstreams get it in a header")
                .help("write names such as `[user, admin]`");
            return None;
        }
        if self.scopes.value.iter().any(|scope| !is_scope(scope)) {
            cx.error("config.scope_name", self.scopes.span, "a scope must consist of visible ASCII characters without spaces, quotes and backslashes (RFC 6749, section 3.3)")
                .help("write names such as `[orders.read]`");
            return None;
        }
        let consumer = Consumer {
            name: self.name.value.clone(),
            roles: self.roles.value.clone(),
            scopes: self.scopes.value.clone(),
        };
        let Ok(id) = build.consumers.add(consumer) else {
            cx.error("config.duplicate_consumer", self.name.span, "another consumer has this name")
                .help("use different names; one consumer can have several keys");
            return None;
        };
        let set = build.consumer_keys;
        for key in &self.keys {
            if api_key::check_pepper(key, &build.hasher, cx).is_some() {
                let _ = build.add_key(set, key, id, key.at, cx);
            }
        }
        if let Some(password) = &self.password {
            if self.name.value.contains(':') {
                cx.error("config.user_name", self.name.span, "a consumer with a password cannot have a colon in its name, because a colon separates name and password (RFC 7617)")
                    .help("give it another name, or remove its password");
                return None;
            }
            Arc::make_mut(&mut build.users).add(&self.name.value, id, password, cx);
        }
        for (index, certificate) in self.certificates.iter().enumerate() {
            let _ = cx.at("certificates", |cx| cx.index(index, |cx| certificate.compile(id, build, cx)));
        }
        Some(())
    }
}
