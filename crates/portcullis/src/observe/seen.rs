//! What operators can see of the running configuration.

use crate::desk::StoreDesk;
use crate::reload::{Reloader, WeakReloader};
use portcullis_core::{HeldAccounts, Plan};
use portcullis_proxy::UpstreamGroup;
use portcullis_proxy::tls::Tls;
use portcullis_runtime::State;
use portcullis_telemetry::{AccessLog, AuditLog, Detection, Traces};
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
    pub(crate) detection: Option<Arc<Detection>>,
    /// Where spans go, if anywhere.
    pub(crate) traces: Option<Arc<Traces>>,
}

/// How observers find the gateway. Nothing is there before it serves, and after its end.
#[derive(Clone)]
pub(crate) struct View {
    reloader: Arc<OnceLock<WeakReloader>>,
    clock: State,
}

impl View {
    /// Of a gateway with this state.
    pub(crate) fn new(state: &State) -> View {
        View { reloader: Arc::default(), clock: state.clone() }
    }

    /// What tells the time of requests.
    pub(crate) fn clock(&self) -> State {
        self.clock.clone()
    }

    /// From now on it is this one.
    pub(crate) fn set(&self, reloader: &Reloader) {
        let _already = self.reloader.set(reloader.downgrade());
    }

    /// The gateway.
    pub(crate) fn gateway(&self) -> Option<Reloader> {
        self.reloader.get()?.upgrade()
    }
}
