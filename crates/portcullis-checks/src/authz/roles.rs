//! Whether the principal has a role that the route asks for.
//!
//! One of the roles is enough. Roles are compared byte by byte. A principal without roles, such as an anonymous one, is
//! refused. Needs nothing that could fail.

use portcullis_config::{Context, Spanned};
use portcullis_core::check::Check;
use portcullis_core::{Authorize, CheckId, Code, Denial, Effects, Facts, Principal, Step};

/// The check.
#[derive(Debug)]
pub struct Roles {
    allowed: Vec<String>,
}

impl Roles {
    /// The check that runs for `roles_allowed`.
    pub fn compile(roles: &Spanned<Vec<String>>, cx: &mut Context) -> Option<Roles> {
        if roles.value.is_empty() || roles.value.iter().any(|role| role.trim().is_empty()) {
            cx.error(
                "config.empty_list",
                roles.span,
                "a list of roles needs at least one, and each needs a name",
            )
            .help("name the roles that may, such as `[admin, user]`, or leave the key out");
            return None;
        }
        Some(Roles { allowed: roles.value.clone() })
    }

    /// The roles of which one is enough.
    pub fn allowed(&self) -> &[String] {
        &self.allowed
    }
}

impl Check for Roles {
    fn id(&self) -> CheckId {
        CheckId::new("authz.roles")
    }

    fn describe(&self) -> String {
        format!("one of the roles {}", self.allowed.join(", "))
    }
}

impl Authorize for Roles {
    fn authorize<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        let held = principal.roles(&facts.plan.consumers);
        Step::Ready(if held.iter().any(|role| self.allowed.contains(role)) {
            Ok(())
        } else {
            Err(Denial::new(Code::RoleMissing, format!("holds none of {}", self.allowed.join(", "))))
        })
    }
}

#[cfg(test)]
mod tests;
