//! Whether the principal may. Every check that is configured must pass; one that fails or cannot tell refuses.

pub mod roles;

use crate::mode::ModeConfig;
use portcullis_config::{Context, Spanned, object};
use portcullis_core::{Authorize, Guarded};
use std::sync::Arc;

object! {
    /// Who may, of those who are authenticated. Every key given here must be satisfied.
    pub struct AuthorizationConfig {
        /// The principal must have at least one of these roles.
        #[alias("roles")]
        pub roles_allowed: Option<Spanned<Vec<String>>>,
        /// What a refusal does. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl AuthorizationConfig {
    /// The checks that run, in order.
    pub fn compile(&self, cx: &mut Context) -> Option<Vec<Guarded<dyn Authorize>>> {
        let Some(roles) = &self.roles_allowed else {
            cx.error("config.empty_section", self.at, "this authorization asks for nothing")
                .help("say who may, such as `roles_allowed: [admin]`, or leave the section out");
            return None;
        };
        let roles = roles::Roles::compile(roles, cx)?;
        Some(vec![Guarded { mode: self.mode.into(), check: Arc::new(roles) }])
    }
}

/// Whether `text` can be a scope (RFC 6749, section 3.3).
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
