//! Redirects that never lead anywhere.
//!
//! A request for each redirect is followed as a browser would do it, by the routes themselves, so a wildcard that catches its own
//! target is found too. Only redirects within the gateway are followed: what another host does is not known here. A route that also
//! asks for headers or query parameters is left out, because another client may get another answer.

use crate::document::RouteConfig;
use http::Request;
use http::header::HOST;
use portcullis_config::Context;
use portcullis_core::head::HeadPolicy;
use portcullis_core::{Conn, Head, Route, RouteTable, Transport};
use portcullis_proxy::{FixedAnswer, Place, Target};
use std::net::{Ipv4Addr, SocketAddr};

/// After so many redirects, browsers give up.
const MOST: usize = 20;

/// Refuses every redirect that leads back to itself. `None` means that an error was pushed.
pub(super) fn no_circle(
    table: &RouteTable,
    targets: &[Target],
    policy: &HeadPolicy,
    configs: &[RouteConfig],
    cx: &mut Context,
) -> Option<()> {
    let mut sane = true;
    for (route, config) in table.iter().zip(configs) {
        let Some(redirect) = &config.redirect else { continue };
        if let Some(way) = circle(route, table, targets, policy) {
            sane = false;
            cx.error("config.redirect", redirect.to.span, "this redirect leads in a circle")
                .help(format!("{way}; let it lead to a path that another route answers"));
        }
    }
    sane.then_some(())
}

/// Where a redirect leads within the gateway.
fn within<'a>(route: &Route, targets: &'a [Target]) -> Option<&'a Place> {
    match targets.get(route.target.0 as usize)? {
        Target::Fixed(answer) => match &**answer {
            FixedAnswer::Redirect { to, .. } if to.origin.is_empty() => Some(to),
            FixedAnswer::Redirect { .. } | FixedAnswer::Respond { .. } => None,
        },
        Target::Upstream(_) | Target::Group(_) | Target::Handler(_) => None,
    }
}

/// The first steps of a circle that a request for this route goes, in words. `None` where it comes to an end.
fn circle(first: &Route, table: &RouteTable, targets: &[Target], policy: &HeadPolicy) -> Option<String> {
    let method = ["GET", "POST", "PUT", "DELETE"].into_iter().find(|name| {
        http::Method::from_bytes(name.as_bytes()).is_ok_and(|method| first.methods.contains(&method))
    })?;
    let host = first.hosts.first().map_or("a.example".to_owned(), |host| host.replacen('*', "a", 1));
    let mut path = sample(&first.path);
    let mut way = vec![path.clone()];
    for _ in 0..MOST {
        let request = Request::builder().method(method).uri(&path).header(HOST, &host).body(()).ok()?;
        let head = Head::admit(request.into_parts().0, &nobody(), policy).ok()?;
        let route = table.find(&head).ok().and_then(|id| table.route(id))?;
        if route.conditions.count() > 0 {
            return None;
        }
        let place = within(route, targets)?.of(route, head.path(), None).ok()?;
        path = place.to_str().ok()?.split('?').next()?.to_owned();
        if way.len() < 4 {
            way.push(path.clone());
        }
    }
    Some(way.join(" leads to "))
}

/// A path that the pattern of a route matches.
fn sample(pattern: &str) -> String {
    let mut parts = pattern.split(['{', '}']);
    let mut path = parts.next().unwrap_or_default().to_owned();
    // What stands in braces, and what stands after them.
    while let (Some(_), Some(after)) = (parts.next(), parts.next()) {
        path.push('x');
        path.push_str(after);
    }
    path
}

fn nobody() -> Conn {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Conn { peer: address, local: address, transport: Transport::Memory, certificate: None }
}
