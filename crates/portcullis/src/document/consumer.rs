//! Who may use the API.

use portcullis_checks::Build;
use portcullis_checks::authn::mtls::CertificateIdentityConfig;
use portcullis_checks::authn::{KeyConfig, PasswordConfig, api_key};
use portcullis_checks::authz::is_scope;
use portcullis_config::{Context, Spanned, object};
use portcullis_core::Consumer;
use std::sync::Arc;

object! {
    /// Somebody who may use the API.
    pub struct ConsumerConfig {
        /// The name, in records and in the `X-Consumer-Name` field that upstreams get. Unique.
        pub name: Spanned<String>,
        /// The roles that it has. Default: none.
        pub roles: Spanned<Vec<String>> = Spanned::nowhere(Vec::new()),
        /// What its keys may be used for, as the scopes of a token say it. Default: nothing.
        pub scopes: Spanned<Vec<String>> = Spanned::nowhere(Vec::new()),
        /// Its API keys; several, so that one can be replaced while the other still works.
        pub keys: Vec<KeyConfig> = Vec::new(),
        /// The hash of its password, for `type: basic`; its name is the user name. `portcullis hash-password` makes one.
        pub password: Option<PasswordConfig>,
        /// The client certificates by which it is known where the authentication is by `mtls`.
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
                "a name is made of visible ASCII characters, since upstreams get it in a header field",
            )
            .help("write a name such as `alice` or `billing-service`");
            return None;
        }
        if self.roles.value.iter().any(|role| !visible(role) || role.contains(',')) {
            cx.error("config.role_name", self.roles.span, "a role is made of visible ASCII characters without commas, since upstreams get them in a header field")
                .help("write names such as `[user, admin]`");
            return None;
        }
        if self.scopes.value.iter().any(|scope| !is_scope(scope)) {
            cx.error("config.scope_name", self.scopes.span, "a scope is made of visible ASCII characters without spaces, quotes and backslashes (RFC 6749, section 3.3)")
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
                .help("give each a name of its own; one consumer can have several keys");
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
                cx.error("config.user_name", self.name.span, "the name of somebody with a password has no colon, since a colon ends it when it is sent")
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
