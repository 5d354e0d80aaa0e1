//! That a client cannot choose a weaker route by a header.
//!
//! Routes of one path that differ in `match` alone are chosen by what the client sends. Where two of them lead to one
//! server, what judges their requests must be the same.

use crate::document::{GatewayConfig, RouteConfig, UpstreamConfig, UpstreamTarget};
use portcullis_config::Context;
use portcullis_core::Route;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Refuses two routes of which a client could choose the weaker one. `None` means that an error was pushed.
// SECURITY: the client writes its headers and its query (a_client_chooses_no_weaker_route).
pub(super) fn no_weaker_choice(config: &GatewayConfig, routes: &[Route], cx: &mut Context) -> Option<()> {
    let mut complete = true;
    let mut by_path: HashMap<&str, Vec<(&RouteConfig, &Route)>> = HashMap::new();
    for (config, route) in config.routes.iter().zip(routes) {
        by_path.entry(&route.path).or_default().push((config, route));
    }
    let chosen =
        by_path.into_values().filter(|routes| routes.iter().any(|(_, route)| route.conditions.count() > 0));
    let mut pairs = Vec::new();
    for routes in chosen {
        for (index, one) in routes.iter().enumerate() {
            let others = routes.iter().skip(index + 1);
            pairs.extend(
                others.filter(|other| is_weaker_choice(config, *one, **other)).map(|other| (one.0, other.0)),
            );
        }
    }
    for (one, other) in pairs {
        let at =
            one.r#match.as_ref().or(other.r#match.as_ref()).map_or(other.path.span, |matching| matching.at);
        cx.error(
            "config.match_weakens",
            at,
            "a client could choose between two routes to one server that have different security",
        )
        .related(if one.r#match.is_some() { other.path.span } else { one.path.span }, "the other route")
        .help("give both the same security, such as `security: { use: NAME }` with a profile, or different upstreams");
        complete = false;
    }
    complete.then_some(())
}

fn is_weaker_choice(
    gateway: &GatewayConfig,
    one: (&RouteConfig, &Route),
    other: (&RouteConfig, &Route),
) -> bool {
    let (hosts, others) = (&one.1.hosts, &other.1.hosts);
    let same_host = (hosts.is_empty() && others.is_empty()) || hosts.iter().any(|host| others.contains(host));
    let same_method = !one.1.methods.intersection(&other.1.methods).is_empty();
    same_host
        && same_method
        && one.1.conditions != other.1.conditions
        && servers(gateway, one.0).iter().any(|server| servers(gateway, other.0).contains(server))
        && !judged_alike(one, other)
}

fn judged_alike(one: (&RouteConfig, &Route), other: (&RouteConfig, &Route)) -> bool {
    if Arc::ptr_eq(&one.1.controls, &other.1.controls) && one.1.upgrades == other.1.upgrades {
        return true;
    }
    // Controls that were made twice of the same words.
    let inherits = |config: &RouteConfig| {
        config.openapi.is_none() && config.sections().is_none_or(|sections| sections.is_empty())
    };
    let profile = |config: &RouteConfig| {
        let security = config.security.as_ref()?;
        security.profile.as_ref().map(|profile| profile.value.clone())
    };
    inherits(one.0)
        && inherits(other.0)
        && profile(one.0) == profile(other.0)
        && one.0.public.is_some() == other.0.public.is_some()
        && one.1.upgrades == other.1.upgrades
        && one.1.reserved == other.1.reserved
}

/// The servers behind a route.
fn servers<'a>(gateway: &'a GatewayConfig, config: &'a RouteConfig) -> Vec<(&'a str, Option<&'a Path>)> {
    fn server(config: &UpstreamConfig) -> Option<(&str, Option<&Path>)> {
        match &config.target {
            UpstreamTarget::Server(server) => Some((&server.authority, server.socket.as_deref())),
            UpstreamTarget::Group(_) | UpstreamTarget::Handler(_) => None,
        }
    }
    match &config.upstream {
        None => Vec::new(),
        Some(UpstreamConfig { target: UpstreamTarget::Group(name), .. }) => {
            let group = gateway.upstreams.get(name);
            let canary =
                group.and_then(|group| gateway.upstreams.get(&group.canary.as_ref()?.upstream.value));
            let servers = group.into_iter().chain(canary).flat_map(|group| &group.servers);
            servers.filter_map(|one| server(&one.upstream)).collect()
        }
        Some(upstream) => server(upstream).into_iter().collect(),
    }
}
