//! From which addresses requests may come.
//!
//! The client's address is the peer's, or what trusted proxies say it is. A denied address is refused even where it is
//! allowed as well. Where there is an allow list, everybody else is refused. Needs nothing that could fail.

use crate::build::Build;
use crate::cidr::{AddressSet, Cidr};
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use portcullis_config::{Context, Span, object};
use portcullis_core::check::Check;
use portcullis_core::{CheckId, Code, Denial, Effects, Facts, Screen, Step};
use std::sync::Arc;

object! {
    /// Allowed and denied client addresses.
    pub struct AddressesConfig {
        /// Only these addresses are allowed. Without this list, every address is allowed that is not denied.
        pub allow: Option<Vec<Cidr>>,
        /// These addresses are denied, also if they are in `allow`.
        pub deny: Option<Vec<Cidr>>,
        /// `enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off`
        /// skips the check. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl Section for AddressesConfig {
    const ABOUT: &'static str = "Allowed and denied client addresses.";
    const CHECKS: &'static [&'static str] = &["screen.addresses"];

    fn compile(&self, _: Span, _: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().screen(self.mode, Arc::new(self.check(cx)?)))
    }
}

impl AddressesConfig {
    /// The check that runs.
    fn check(&self, cx: &mut Context) -> Option<Addresses> {
        let nothing = |list: &Option<Vec<Cidr>>| list.as_ref().is_some_and(Vec::is_empty);
        if nothing(&self.allow) || nothing(&self.deny) || (self.allow.is_none() && self.deny.is_none()) {
            cx.error("config.empty_list", self.at, "the list of addresses is empty")
                .help("name at least one address or network, or leave the list out");
            return None;
        }
        let set = |list: &[Cidr]| AddressSet::new(list.iter().map(|cidr| cidr.0));
        Some(Addresses {
            allow: self.allow.as_deref().map(set),
            deny: self.deny.as_deref().map(set).unwrap_or_default(),
            summary: match (self.allow.as_deref().map(<[_]>::len), self.deny.as_deref().map_or(0, <[_]>::len))
            {
                (None, denied) => format!("from anywhere but {denied} denied networks"),
                (Some(allowed), 0) => format!("only from {allowed} allowed networks"),
                (Some(allowed), denied) => {
                    format!("only from {allowed} allowed networks, but not from {denied} denied ones")
                }
            },
        })
    }
}

/// The check.
#[derive(Debug)]
pub struct Addresses {
    allow: Option<AddressSet>,
    deny: AddressSet,
    summary: String,
}

impl Check for Addresses {
    fn id(&self) -> CheckId {
        CheckId::new("screen.addresses")
    }

    fn describe(&self) -> String {
        self.summary.clone()
    }
}

impl Screen for Addresses {
    fn screen<'a>(&'a self, facts: &'a Facts<'a>, _: &'a dyn Effects) -> Step<'a, Result<(), Denial>> {
        let client = facts.head.client();
        Step::Ready(if self.deny.contains(client) {
            Err(Denial::new(Code::AddressRefused, "the address is on the deny list"))
        } else if self.allow.as_ref().is_some_and(|allow| !allow.contains(client)) {
            Err(Denial::new(Code::AddressRefused, "the address is not on the allow list"))
        } else {
            Ok(())
        })
    }
}
