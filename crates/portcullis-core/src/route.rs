//! Which route a request belongs to: exactly one, by host, path and method.
//!
//! A route that names hosts is looked for among the routes of the request's host first; routes without hosts serve any
//! host and come second. Within either, a literal segment wins over a parameter, and a parameter over a rest.
//! The path is the canonical one, so the router can have no reading of its own. Where a laxer backend would take the path
//! for that of a more specific route (see [`lax`]), there is no route for it.

mod lax;
pub mod pattern;

use crate::denial::{Advice, Code, Denial};
use crate::head::{Head, Reserved};
use crate::method::MethodSet;
use crate::plan::Controls;
use http::Method;
use lax::{Class, Lax, Overlap};
use std::collections::HashMap;
use std::sync::Arc;

/// A route's place in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId(pub u32);

/// Where a front sends what a route lets through; only the front knows what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetId(pub u32);

/// One route.
#[derive(Clone)]
pub struct Route {
    /// The path as the configuration writes it: `/orders/{id}`, `/files/{*rest}`.
    pub path: String,
    /// The canonical hosts that it serves; empty for any.
    pub hosts: Vec<String>,
    /// The methods that it allows.
    pub methods: MethodSet,
    /// What judges its requests.
    pub controls: Arc<Controls>,
    /// Where they go.
    pub target: TargetId,
    /// What its paths may hold although some servers read it otherwise; usually nothing.
    pub reserved: Reserved,
    /// The protocols (lower case) to which a client may switch; usually none.
    pub upgrades: Vec<String>,
}

impl Route {
    /// The raw value of the path parameter `name` in `path`, still percent-encoded. `None` if the route has none such.
    pub fn parameter<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let mut rest = path.strip_prefix('/')?;
        for segment in self.path.strip_prefix('/')?.split('/') {
            match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
                Some(parameter) if parameter.strip_prefix('*') == Some(name) => return Some(rest),
                Some(parameter) if parameter == name => return rest.split('/').next(),
                Some(_) | None => rest = rest.split_once('/').map_or("", |(_, rest)| rest),
            }
        }
        None
    }
}

/// Why a route cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteConflict {
    /// Another route has the same host, path and method.
    Same {
        /// The route that cannot be added.
        route: RouteId,
        /// The one that was there first.
        with: RouteId,
    },
    /// The path overlaps with another in a way that leaves two routes for one request.
    Overlap {
        /// The route that cannot be added.
        route: RouteId,
        /// The path of the other.
        with: String,
    },
    /// The path is no route path.
    Syntax {
        /// The route that cannot be added.
        route: RouteId,
        /// What is wrong.
        reason: String,
    },
}

/// The routes of one path at one host.
#[derive(Default)]
struct Leaf {
    routes: Vec<(MethodSet, RouteId)>,
    class: Class,
    /// Whether a laxer reading of a path that leads here could lead elsewhere.
    ambiguous: bool,
}

/// All routes of a plan.
#[derive(Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    any_host: matchit::Router<Leaf>,
    by_host: HashMap<String, matchit::Router<Leaf>>,
    lax: Lax,
}

impl RouteTable {
    /// The table of these routes, numbered in their order.
    ///
    /// # Errors
    /// Every pair of routes that could both take one request.
    pub fn build(routes: Vec<Route>) -> Result<RouteTable, Vec<RouteConflict>> {
        let mut conflicts = Vec::new();
        let mut leaves: Vec<(Option<&str>, &str, Leaf)> = Vec::new();
        let mut places: HashMap<(Option<&str>, &str), usize> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let id = RouteId(u32::try_from(index).unwrap_or(u32::MAX));
            let any = route.hosts.is_empty().then_some(None);
            for host in any.into_iter().chain(route.hosts.iter().map(|host| Some(host.as_str()))) {
                let place = *places.entry((host, &route.path)).or_insert_with(|| {
                    leaves.push((host, &route.path, Leaf::default()));
                    leaves.len() - 1
                });
                let Some((_, _, leaf)) = leaves.get_mut(place) else { continue };
                match leaf.routes.iter().find(|(methods, _)| !methods.intersection(route.methods).is_empty())
                {
                    Some((_, with)) => conflicts.push(RouteConflict::Same { route: id, with: *with }),
                    None => leaf.routes.push((route.methods, id)),
                }
            }
        }
        classify(&routes, leaves.iter_mut().map(|(_, _, leaf)| leaf));
        let listed = leaves.iter().map(|(host, path, leaf)| (*host, *path, leaf.class));
        let (lax, overlaps) = match Lax::build(listed) {
            Ok(lax) => (lax, Vec::new()),
            Err(overlaps) => (Lax::default(), overlaps),
        };
        let overlaps: Vec<RouteConflict> = overlaps
            .into_iter()
            .filter_map(|Overlap { place, with }| {
                let (_, _, leaf) = leaves.get(place)?;
                Some(RouteConflict::Overlap { route: leaf.routes.first()?.1, with })
            })
            .collect();
        let mut any_host = matchit::Router::new();
        let mut by_host: HashMap<String, matchit::Router<Leaf>> = HashMap::new();
        for (host, path, mut leaf) in leaves {
            let Some((_, route)) = leaf.routes.first().copied() else { continue };
            leaf.ambiguous = lax.may_lead_elsewhere(host, path, leaf.class);
            let router = match host {
                None => &mut any_host,
                Some(host) => by_host.entry(host.to_owned()).or_default(),
            };
            match router.insert(path, leaf) {
                Ok(()) => {}
                Err(matchit::InsertError::Conflict { with }) => {
                    conflicts.push(RouteConflict::Overlap { route, with })
                }
                Err(other) => conflicts.push(RouteConflict::Syntax { route, reason: other.to_string() }),
            }
        }
        // Where the routes themselves are in conflict, their laxer readings say nothing new.
        if conflicts.is_empty() {
            conflicts = overlaps;
        }
        if conflicts.is_empty() { Ok(RouteTable { routes, any_host, by_host, lax }) } else { Err(conflicts) }
    }

    /// The one route of this request.
    ///
    /// # Errors
    /// 404 where no route has the host and path; 405 with the allowed methods where only the method differs.
    pub fn find(&self, head: &Head) -> Result<RouteId, Denial> {
        self.find_with(head, head.method())
    }

    /// The route that this request would have with another method.
    ///
    /// # Errors
    /// As [`find`](RouteTable::find).
    pub fn find_with(&self, head: &Head, method: &Method) -> Result<RouteId, Denial> {
        let reserved = head.reserved();
        let Some(leaf) = self.leaf(head) else {
            // As where no route allows any of it.
            return Err(match reserved.refused_by(Reserved::NONE) {
                Some(error) => Denial::new(Code::AmbiguousPath, error.as_str()),
                None => Denial::new(Code::RouteNotFound, "no route has this host and path"),
            });
        };
        let found = leaf.routes.iter().find(|(methods, _)| methods.contains(method)).map(|(_, id)| *id);
        if !reserved.is_none() {
            let allowed = found.and_then(|id| self.route(id)).map_or(Reserved::NONE, |route| route.reserved);
            if let Some(error) = reserved.refused_by(allowed) {
                return Err(Denial::new(Code::AmbiguousPath, error.as_str()));
            }
            // SECURITY: `/v1/a%2Fexport` is `/v1/a/export` to a backend that decodes first
            // (what_is_kept_leads_to_no_other_route).
            if self.lax.may_be_read_as_another(head.host().to_str().ok(), head.path(), leaf.class) {
                return Err(Denial::new(
                    Code::RouteNotFound,
                    "the path is that of another route to who decodes, merges or cuts it",
                ));
            }
        }
        // SECURITY: behind a wildcard route that is open, `/ADMIN` and `/admin/` are `/admin` to many a backend
        // (a_laxer_reading_leads_nowhere_else).
        if leaf.ambiguous && self.lax.leads_elsewhere(head.host().to_str().ok(), head.path(), leaf.class) {
            return Err(Denial::new(
                Code::RouteNotFound,
                "the path is that of a more specific route but for its case, its escapes or its end",
            ));
        }
        if let Some(id) = found {
            return Ok(id);
        }
        let allowed = leaf.routes.iter().fold(MethodSet::NONE, |all, (methods, _)| all.union(*methods));
        Err(Denial::new(Code::MethodNotAllowed, "the route does not allow this method")
            .advising(Advice::Allow(allowed)))
    }

    /// The first route of the request's host and path, whatever its method, that pages of other origins may read.
    pub fn cross_origin_at(&self, head: &Head) -> Option<RouteId> {
        let routes = self.leaf(head)?.routes.iter().map(|(_, id)| *id);
        let reads = |id: &RouteId| self.route(*id).is_some_and(|route| route.controls.cross_origin.is_some());
        routes.into_iter().find(reads)
    }

    fn leaf(&self, head: &Head) -> Option<&Leaf> {
        if !self.by_host.is_empty() {
            let host = head.host().to_str().unwrap_or_default();
            if let Some(found) = self.by_host.get(host).and_then(|router| router.at(head.path()).ok()) {
                return Some(found.value);
            }
        }
        self.any_host.at(head.path()).ok().map(|found| found.value)
    }

    /// The route with this number. `None` for a number of another table.
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0 as usize)
    }

    /// All routes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}

/// Numbers the leaves by what judges their requests.
fn classify<'a>(routes: &[Route], leaves: impl Iterator<Item = &'a mut Leaf>) {
    let mut classes: HashMap<Vec<_>, Class> = HashMap::new();
    for leaf in leaves {
        let judged = leaf.routes.iter().filter_map(|(methods, id)| {
            let route = routes.get(id.0 as usize)?;
            Some((Arc::as_ptr(&route.controls), *methods, route.upgrades.as_slice()))
        });
        let next = classes.len();
        leaf.class = *classes.entry(judged.collect()).or_insert(next);
    }
}
