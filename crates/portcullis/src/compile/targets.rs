//! Where requests go: the servers and handlers of all routes, each once.

use crate::document::{UpstreamConfig, UpstreamTarget};
use portcullis_config::Context;
use portcullis_core::TargetId;
use portcullis_proxy::{Handler, Target, Upstream};
use portcullis_store::Kept;
use std::collections::HashMap;
use std::sync::Arc;

/// Where requests go, each target once, so that routes to one server share its connections.
pub(super) struct Targets {
    pub(super) all: Vec<Target>,
    /// What each is called in a listing.
    pub(super) names: Vec<String>,
    handlers: Vec<Arc<dyn Handler>>,
    /// By everything that is written of a server, so that two which differ in anything are two.
    servers: HashMap<String, TargetId>,
}

impl Targets {
    pub(super) fn new(handlers: Vec<Arc<dyn Handler>>) -> Targets {
        Targets { all: Vec::new(), names: Vec::new(), handlers, servers: HashMap::new() }
    }

    pub(super) fn add(&mut self, config: &UpstreamConfig, kept: &Kept, cx: &mut Context) -> Option<TargetId> {
        let at = config.at;
        match &config.target {
            UpstreamTarget::Server(server) => {
                let key = format!("{server:?} {:?}", config.tls);
                if let Some(id) = self.servers.get(&key) {
                    return Some(*id);
                }
                let mut server = Upstream::clone(server);
                server.tls = config.compile_tls(kept, cx)?;
                let scheme = if server.tls.is_some() { "https" } else { "http" };
                let name = format!("{scheme}://{}{}", server.authority, server.base_path);
                let id = self.push(Target::Upstream(server), name);
                self.servers.insert(key, id);
                Some(id)
            }
            UpstreamTarget::Handler(number) => match self.handlers.get(*number) {
                Some(handler) => Some(self.push(Target::Handler(Arc::clone(handler)), "handler".to_owned())),
                None => {
                    cx.error("config.upstream", at, "unknown handler")
                        .help("use the name of a handler that the program registered");
                    None
                }
            },
        }
    }

    pub(super) fn push(&mut self, target: Target, name: String) -> TargetId {
        self.all.push(target);
        self.names.push(name);
        TargetId(u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX))
    }
}
