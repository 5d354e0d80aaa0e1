//! Where requests go: the servers and handlers of all routes, each once.

use crate::document::{RouteConfig, UpstreamConfig, UpstreamErrorsConfig, UpstreamTarget};
use portcullis_config::Context;
use portcullis_core::TargetId;
use portcullis_proxy::{FixedAnswer, Handler, Target, Upstream};
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

    /// Where the requests of a route go. `None` means that an error was pushed.
    pub(super) fn of_route(
        &mut self,
        config: &RouteConfig,
        path: &str,
        kept: &Kept,
        cx: &mut Context,
    ) -> Option<TargetId> {
        let answer = match (&config.upstream, &config.redirect, &config.respond) {
            (Some(upstream), None, None) => return self.add(upstream, kept, cx),
            (None, Some(redirect), None) => cx.at("redirect", |cx| redirect.compile(path, cx))?,
            (None, None, Some(respond)) => cx.at("respond", |cx| respond.compile(cx))?,
            (None, None, None) => {
                cx.error("config.route_target", config.path.span, "the route leads nowhere")
                    .help("add `upstream: http://127.0.0.1:8080`, `redirect` or `respond`");
                return None;
            }
            (Some(_) | None, ..) => {
                cx.error("config.route_target", config.path.span, "the route leads to several places")
                    .help("keep one of `upstream`, `redirect` and `respond`");
                return None;
            }
        };
        let moot = [
            ("rewrite", config.rewrite.is_some()),
            ("preserve_host", config.preserve_host),
            ("request_headers", config.request_headers.is_some()),
            ("upstream_errors", config.upstream_errors == UpstreamErrorsConfig::Pass),
            ("upgrade", !config.upgrade.is_empty()),
        ];
        if let Some((key, _)) = moot.iter().find(|(_, written)| *written) {
            cx.error(
                "config.no_upstream",
                config.path.span,
                format!("`{key}` has no effect without an upstream"),
            )
            .help(format!("remove `{key}`, or give the route an `upstream`"));
            return None;
        }
        let name = match &answer {
            FixedAnswer::Respond { status, .. } => format!("answered with {}", status.as_u16()),
            FixedAnswer::Redirect { status, .. } => {
                let to = config.redirect.as_ref().map_or("", |redirect| redirect.to.value.as_str());
                format!("{} to {to}", status.as_u16())
            }
        };
        Some(self.push(Target::Fixed(Arc::new(answer)), name))
    }

    pub(super) fn push(&mut self, target: Target, name: String) -> TargetId {
        self.all.push(target);
        self.names.push(name);
        TargetId(u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX))
    }
}
