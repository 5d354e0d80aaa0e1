//! Where requests go: the servers and handlers of all routes, each once.

use crate::document::{
    RouteConfig, UpstreamConfig, UpstreamErrorsConfig, UpstreamGroupConfig, UpstreamTarget, is_group_name,
    url_of,
};
use http::HeaderName;
use portcullis_config::{Context, Span, Spanned, suggest};
use portcullis_core::TargetId;
use portcullis_proxy::{Balance, FixedAnswer, Handler, HashBy, Target, Upstream, UpstreamGroup};
use portcullis_store::Kept;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Where requests go, each target once, so that routes to one server share its connections.
pub(super) struct Targets {
    pub(super) all: Vec<Target>,
    /// What each is called in a listing.
    pub(super) names: Vec<String>,
    handlers: Vec<Arc<dyn Handler>>,
    /// By everything that is written of a server, so that two which differ in anything are two.
    servers: HashMap<String, TargetId>,
    groups: BTreeMap<String, Offered>,
}

/// A group that routes can use.
struct Offered {
    group: Arc<UpstreamGroup>,
    at: Span,
    /// Where its requests go, once a route uses it.
    target: Option<TargetId>,
}

impl Targets {
    pub(super) fn new(handlers: Vec<Arc<dyn Handler>>) -> Targets {
        Targets {
            all: Vec::new(),
            names: Vec::new(),
            handlers,
            servers: HashMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Offers groups to routes.
    pub(super) fn offer(
        &mut self,
        configs: &BTreeMap<String, UpstreamGroupConfig>,
        kept: &Kept,
        cx: &mut Context,
    ) {
        for (name, config) in configs {
            if !is_group_name(name) {
                cx.error("config.upstream_group", config.at, format!("`{name}` is not the name of a group"))
                    .help("use letters, digits, `-`, `_` and `.`");
                continue;
            }
            if let Some(group) = cx.at("upstreams", |cx| cx.at(name, |cx| config.compile(name, kept, cx))) {
                let offered = Offered { group: Arc::new(group), at: config.at, target: None };
                self.groups.insert(name.clone(), offered);
            }
        }
    }

    /// The headers by which requests are spread over servers: a header that clients cannot send would have no effect.
    pub(super) fn read_fields(&self) -> Vec<Spanned<HeaderName>> {
        let of = |offered: &Offered| match &offered.group.balance {
            Balance::Hash(HashBy::Header(name)) => Some(Spanned { value: name.clone(), span: offered.at }),
            Balance::Hash(HashBy::Cookie(_) | HashBy::Address | HashBy::Consumer)
            | Balance::RoundRobin
            | Balance::LeastRequests
            | Balance::Random => None,
        };
        self.groups.values().filter_map(of).collect()
    }

    /// Says which groups no route uses.
    pub(super) fn warn_of_unused(&self, cx: &mut Context) {
        for (name, offered) in self.groups.iter().filter(|(_, offered)| offered.target.is_none()) {
            cx.warning("config.unused_upstream", offered.at, format!("no route uses the group `{name}`"))
                .help(format!("write `upstream: {name}` in a route, or remove the group"));
        }
    }

    /// The groups that routes use.
    pub(super) fn used_groups(&self) -> Vec<Arc<UpstreamGroup>> {
        let used = self.groups.values().filter(|offered| offered.target.is_some());
        used.map(|offered| Arc::clone(&offered.group)).collect()
    }

    fn group(&mut self, name: &str, at: Span, cx: &mut Context) -> Option<TargetId> {
        if let Some(Offered { group, target, .. }) = self.groups.get(name) {
            if let Some(target) = target {
                return Some(*target);
            }
            let group = Arc::clone(group);
            let target = self.push(Target::Group(group), format!("group {name}"));
            if let Some(offered) = self.groups.get_mut(name) {
                offered.target = Some(target);
            }
            return Some(target);
        }
        let closest = suggest::closest(name, self.groups.keys().map(String::as_str)).map(str::to_owned);
        let error = cx.error("config.unknown_upstream", at, format!("there is no group `{name}`"));
        match closest {
            Some(closest) => error.help(format!("did you mean `{closest}`?")),
            None => error
                .help("write a URL such as `http://127.0.0.1:8080`, or define the group under `upstreams`"),
        };
        None
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
                let name = url_of(&server);
                let id = self.push(Target::Upstream(server), name);
                self.servers.insert(key, id);
                Some(id)
            }
            UpstreamTarget::Group(name) => self.group(name, at, cx),
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
            ("compression", config.compression.is_some()),
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
