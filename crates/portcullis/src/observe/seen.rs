//! What operators can see of the running configuration.

use crate::desk::StoreDesk;
use crate::reload::{Reloader, WeakReloader};
use portcullis_core::{HeldAccounts, Plan};
use portcullis_proxy::UpstreamGroup;
use portcullis_proxy::tls::Tls;
use portcullis_telemetry::{AccessLog, AuditLog};
use std::sync::{Arc, OnceLock};

/// The parts of the running configuration that operators ask about.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) plan: Arc<Plan>,
    /// Where requests go, by target.
    pub(crate) targets: Arc<[String]>,
    /// The groups of upstreams.
    pub(crate) groups: Arc<[Arc<UpstreamGroup>]>,
    /// The configuration as it took effect.
    pub(crate) effective: Arc<serde_json::Value>,
    /// The TLS of each listener, by the listener.
    pub(crate) protections: Vec<(String, Arc<Tls>)>,
    pub(crate) held: HeldAccounts,
    pub(crate) access: Option<Arc<AccessLog>>,
    pub(crate) audit: Option<Arc<AuditLog>>,
    /// The store of keys, if there is one.
    pub(crate) keys: Option<Arc<StoreDesk>>,
}

/// How observers find the gateway. Nothing is there before it serves, and after its end.
#[derive(Clone, Default)]
pub(crate) struct View(Arc<OnceLock<WeakReloader>>);

impl View {
    /// From now on it is this one.
    pub(crate) fn set(&self, reloader: &Reloader) {
        let _already = self.0.set(reloader.downgrade());
    }

    /// The gateway.
    pub(crate) fn gateway(&self) -> Option<Reloader> {
        self.0.get()?.upgrade()
    }
}
