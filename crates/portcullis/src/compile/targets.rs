//! Where requests go: the servers and handlers of all routes, each once.

use crate::document::{
    RouteConfig, UpstreamConfig, UpstreamErrorsConfig, UpstreamGroupConfig, UpstreamTarget, is_group_name,
    url_of,
};
use http::HeaderName;
use portcullis_config::{Context, Span, Spanned, suggest};
use portcullis_core::TargetId;
use portcullis_proxy::{Balance, FixedAnswer, Handler, HashBy, Mirror, Target, Upstream, UpstreamGroup};
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
    /// Whether another group leads to it.
    behind: bool,
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
                let offered = Offered { group: Arc::new(group), at: config.at, target: None, behind: false };
                self.groups.insert(name.clone(), offered);
            }
        }
        let linked: Vec<_> = configs
            .iter()
            .filter_map(|(name, config)| {
                let group =
                    cx.at("upstreams", |cx| cx.at(name, |cx| self.linked(name, config, configs, cx)))?;
                Some((name, group))
            })
            .collect();
        for (name, group) in linked {
            let others =
                [group.canary.as_ref().map(|one| &one.group), group.mirror.as_ref().map(|one| &one.group)];
            for other in others.into_iter().flatten() {
                if let Some(other) = self.groups.get_mut(&*other.name) {
                    other.behind = true;
                }
            }
            if let Some(offered) = self.groups.get_mut(name) {
                offered.group = Arc::new(group);
            }
        }
    }

    /// A group with those that it leads to. `None` where it leads to none, or where an error was pushed.
    fn linked(
        &self,
        name: &str,
        config: &UpstreamGroupConfig,
        configs: &BTreeMap<String, UpstreamGroupConfig>,
        cx: &mut Context,
    ) -> Option<UpstreamGroup> {
        if config.canary.is_none() && config.mirror.is_none() {
            return None;
        }
        let own = &self.groups.get(name)?.group;
        let mut group = UpstreamGroup::clone(own);
        let other = |to: &Spanned<String>, cx: &mut Context| {
            let ends =
                configs.get(&to.value).is_some_and(|other| other.canary.is_none() && other.mirror.is_none());
            match self.groups.get(&to.value) {
                Some(offered) if ends && to.value != name => Some(Arc::clone(&offered.group)),
                Some(_) | None => {
                    cx.error("config.upstream_group", to.span, "this is not a group that could follow")
                        .help("name another group, which has no `canary` and no `mirror` of its own");
                    None
                }
            }
        };
        if let Some(canary) = &config.canary {
            let to = other(&canary.upstream, cx)?;
            let http2 = |group: &UpstreamGroup| group.servers.iter().any(|server| server.upstream.http2);
            if http2(&to) != http2(own) {
                cx.error(
                    "config.upstream_group",
                    canary.upstream.span,
                    "the groups speak different versions of HTTP",
                )
                .help("give the servers of both the same `protocol`");
                return None;
            }
            group.canary = Some(canary.compile(to, cx)?);
        }
        if let Some(mirror) = &config.mirror {
            if mirror.timeout.is_zero() {
                cx.error("config.upstream_group", mirror.at, "the time of a copy must be greater than zero")
                    .help("write a duration such as `5s`, or leave the key out");
                return None;
            }
            let (share, timeout) = (mirror.share.0, mirror.timeout);
            group.mirror = Some(Mirror { group: other(&mirror.upstream, cx)?, share, timeout });
        }
        Some(group)
    }

    /// The headers by which requests are spread over servers: a header that clients cannot send would have no effect.
    pub(super) fn read_fields(&self) -> Vec<Spanned<HeaderName>> {
        let of = |offered: &Offered| {
            let hashed = match &offered.group.balance {
                Balance::Hash(HashBy::Header(name)) => Some(name.clone()),
                Balance::Hash(HashBy::Cookie(_) | HashBy::Address | HashBy::Consumer)
                | Balance::RoundRobin
                | Balance::LeastRequests
                | Balance::Random => None,
            };
            let canary = offered.group.canary.as_ref().and_then(|canary| canary.header.as_ref());
            let names: Vec<_> = hashed.into_iter().chain(canary.map(|(name, _)| name.clone())).collect();
            let span = offered.at;
            names.into_iter().map(move |value| Spanned { value, span })
        };
        self.groups.values().flat_map(of).collect()
    }

    /// Says which groups no route uses.
    pub(super) fn warn_of_unused(&self, cx: &mut Context) {
        for (name, offered) in
            self.groups.iter().filter(|(_, offered)| offered.target.is_none() && !offered.behind)
        {
            cx.warning("config.unused_upstream", offered.at, format!("no route uses the group `{name}`"))
                .help(format!("write `upstream: {name}` in a route, or remove the group"));
        }
    }

    /// The groups that routes use.
    pub(super) fn used_groups(&self) -> Vec<Arc<UpstreamGroup>> {
        let used = self.groups.values().filter(|offered| offered.target.is_some() || offered.behind);
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
