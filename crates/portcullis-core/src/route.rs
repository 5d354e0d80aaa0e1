//! Which route a request belongs to: exactly one, by host, path and method.
//!
//! Routes of the request's own host are asked first, then those below a name (`*.example.com`, the longest first), then those
//! of any host. Within each, a literal segment wins over a parameter, and a parameter over a rest, which may be empty behind
//! its slash. Routes of one host and path differ in their methods, or in conditions: the route with the most is tried first,
//! in the order of the configuration, and the one without any last.
//! The path is the canonical one, so the router can have no reading of its own. Where a laxer backend would take the path
//! for that of a more specific route (see [`lax`]), there is no route for it.

pub mod changes;
pub mod compression;
pub mod conditions;
mod hosts;
mod lax;
pub mod pattern;
pub mod template;

use crate::denial::{Advice, Code, Denial};
use crate::head::{Head, Reserved};
use crate::method::MethodSet;
use crate::plan::Controls;
use changes::Changes;
use conditions::Conditions;
use hosts::ByHost;
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
    /// The canonical hosts that it serves, `*.` and a name for all below that name; empty for any.
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
    /// What else its requests have; usually nothing.
    pub conditions: Conditions,
    /// How its requests and their answers are changed; usually not at all.
    pub changes: Option<Arc<Changes>>,
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
    /// Another route has the same host, path, method and conditions.
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
    routes: Vec<Choice>,
    class: Class,
    /// Whether a laxer reading of a path that leads here could lead elsewhere.
    ambiguous: bool,
}

/// One of the routes of a path.
struct Choice {
    methods: MethodSet,
    conditions: Conditions,
    id: RouteId,
}

/// The routers of all hosts; each path leads to the number of a leaf.
type Routers = ByHost<matchit::Router<usize>>;

/// All routes of a plan.
#[derive(Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// What stands for all requests that no route takes.
    unrouted: Option<Route>,
    leaves: Vec<Leaf>,
    hosts: Routers,
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
                let same = |choice: &&Choice| {
                    choice.conditions == route.conditions
                        && !choice.methods.intersection(&route.methods).is_empty()
                };
                match leaf.routes.iter().find(same) {
                    Some(with) => conflicts.push(RouteConflict::Same { route: id, with: with.id }),
                    None => leaf.routes.push(Choice {
                        methods: route.methods.clone(),
                        conditions: route.conditions.clone(),
                        id,
                    }),
                }
            }
        }
        for (_, _, leaf) in &mut leaves {
            leaf.routes.sort_by_key(|choice| std::cmp::Reverse(choice.conditions.count()));
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
                Some(RouteConflict::Overlap { route: leaf.routes.first()?.id, with })
            })
            .collect();
        let mut hosts = Routers::default();
        for (number, (host, path, leaf)) in leaves.iter_mut().enumerate() {
            let Some(route) = leaf.routes.first().map(|choice| choice.id) else { continue };
            leaf.ambiguous = lax.may_lead_elsewhere(*host, path, leaf.class);
            let router = hosts.entry(*host);
            let inserted = router.insert(*path, number).and_then(|()| match without_rest(path) {
                // The path with an empty rest, unless a route is for just that.
                Some(prefix) if !places.contains_key(&(*host, prefix)) => router.insert(prefix, number),
                Some(_) | None => Ok(()),
            });
            match inserted {
                Ok(()) => {}
                Err(matchit::InsertError::Conflict { with }) => {
                    conflicts.push(RouteConflict::Overlap { route, with })
                }
                Err(other) => conflicts.push(RouteConflict::Syntax { route, reason: other.to_string() }),
            }
        }
        let leaves = leaves.into_iter().map(|(_, _, leaf)| leaf).collect();
        // Where the routes themselves are in conflict, their laxer readings say nothing new.
        if conflicts.is_empty() {
            conflicts = overlaps;
        }
        if conflicts.is_empty() {
            Ok(RouteTable { routes, unrouted: None, leaves, hosts, lax })
        } else {
            Err(conflicts)
        }
    }

    /// The same routes with other controls: what `change` makes of each set. Which requests belong to which route stays as it
    /// is, also where two routes would now have the same controls. For trials, which put something around checks.
    #[must_use]
    pub fn with_controls(
        mut self,
        mut change: impl FnMut(RouteId, &Arc<Controls>) -> Arc<Controls>,
    ) -> RouteTable {
        for (index, route) in self.routes.iter_mut().enumerate() {
            let id = RouteId(u32::try_from(index).unwrap_or(u32::MAX));
            route.controls = change(id, &route.controls);
        }
        let id = self.next_id();
        if let Some(unrouted) = &mut self.unrouted {
            unrouted.controls = change(id, &unrouted.controls);
        }
        self
    }

    /// The same, where requests that no route takes are screened and counted by the controls of `unrouted` before they learn
    /// that. It has the number after the last route's, and no request belongs to it.
    #[must_use]
    pub fn with_unrouted(self, unrouted: Route) -> RouteTable {
        RouteTable { unrouted: Some(unrouted), ..self }
    }

    /// The number of what stands for requests that no route takes, if anything does.
    pub fn unrouted(&self) -> Option<RouteId> {
        self.unrouted.as_ref().map(|_| self.next_id())
    }

    fn next_id(&self) -> RouteId {
        RouteId(u32::try_from(self.routes.len()).unwrap_or(u32::MAX))
    }

    /// The one route of this request.
    ///
    /// # Errors
    /// 404 where no route has the host and path; 405 with the allowed methods where only the method differs.
    pub fn find(&self, head: &Head) -> Result<RouteId, Denial> {
        self.choose(head, head.method(), |conditions| conditions.meet(head))
    }

    /// The route that the request of this method would have that the preflight `head` asks about.
    ///
    /// # Errors
    /// As [`find`](RouteTable::find).
    pub fn find_asked(&self, head: &Head, method: &Method) -> Result<RouteId, Denial> {
        self.choose(head, method, |conditions| Ok(conditions.may_meet(head)))
    }

    fn choose(
        &self,
        head: &Head,
        method: &Method,
        meets: impl Fn(&Conditions) -> Result<bool, Denial>,
    ) -> Result<RouteId, Denial> {
        let reserved = head.reserved();
        let Some(leaf) = self.leaf(head) else {
            // As where no route allows any of it.
            return Err(match reserved.refused_by(Reserved::NONE) {
                Some(error) => Denial::new(Code::AmbiguousPath, error.as_str()),
                None => Denial::new(Code::RouteNotFound, "no route has this host and path"),
            });
        };
        let host = head.host().to_str().unwrap_or_default();
        let found = leaf.choose(method, meets)?;
        if !reserved.is_none() {
            let allowed = found.and_then(|id| self.route(id)).map_or(Reserved::NONE, |route| route.reserved);
            if let Some(error) = reserved.refused_by(allowed) {
                return Err(Denial::new(Code::AmbiguousPath, error.as_str()));
            }
            // SECURITY: `/v1/a%2Fexport` is `/v1/a/export` to a backend that decodes first
            // (what_is_kept_leads_to_no_other_route).
            if self.lax.may_be_read_as_another(host, head.path(), leaf.class) {
                return Err(Denial::new(
                    Code::RouteNotFound,
                    "the path is that of another route to who decodes, merges or cuts it",
                ));
            }
        }
        // SECURITY: behind a wildcard route that is open, `/ADMIN` and `/admin/` are `/admin` to many a backend
        // (a_laxer_reading_leads_nowhere_else).
        if leaf.ambiguous && self.lax.leads_elsewhere(host, head.path(), leaf.class) {
            return Err(Denial::new(
                Code::RouteNotFound,
                "the path is that of a more specific route but for its case, its escapes or its end",
            ));
        }
        if let Some(id) = found {
            return Ok(id);
        }
        let allowed =
            leaf.routes.iter().fold(MethodSet::NONE, |all, choice| all.union(choice.methods.clone()));
        if allowed.contains(method) {
            // SECURITY: not one of another path, which may be open (leaving_a_header_out_opens_no_other_path).
            return Err(Denial::new(
                Code::RouteNotFound,
                "the request meets the conditions of no route of its path",
            ));
        }
        Err(Denial::new(Code::MethodNotAllowed, "the route does not allow this method")
            .advising(Advice::Allow(allowed)))
    }

    /// Whether header fields or query parameters choose between the routes of this host and path.
    pub fn has_conditions_at(&self, head: &Head) -> bool {
        self.leaf(head).is_some_and(|leaf| leaf.routes.iter().any(|choice| choice.conditions.count() > 0))
    }

    /// The first route of the request's host and path, whatever its method, that pages of other origins may read.
    pub fn cross_origin_at(&self, head: &Head) -> Option<RouteId> {
        let reads = |id: &RouteId| self.route(*id).is_some_and(|route| route.controls.cross_origin.is_some());
        self.leaf(head)?.routes.iter().map(|choice| choice.id).find(reads)
    }

    fn leaf(&self, head: &Head) -> Option<&Leaf> {
        let host = head.host().to_str().unwrap_or_default();
        let number =
            self.hosts.of(host).find_map(|router| router.at(head.path()).ok().map(|found| *found.value));
        self.leaves.get(number?)
    }

    /// The route with this number. `None` for a number of another table.
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0 as usize).or_else(|| self.unrouted.as_ref().filter(|_| id == self.next_id()))
    }

    /// All routes in order, without [`unrouted`](RouteTable::unrouted).
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}

impl Leaf {
    /// The first route that has the method and whose conditions are met.
    fn choose(
        &self,
        method: &Method,
        meets: impl Fn(&Conditions) -> Result<bool, Denial>,
    ) -> Result<Option<RouteId>, Denial> {
        for choice in self.routes.iter().filter(|choice| choice.methods.contains(method)) {
            if choice.conditions.count() == 0 || meets(&choice.conditions)? {
                return Ok(Some(choice.id));
            }
        }
        Ok(None)
    }
}

/// The path of a route with an empty rest: `/api/` of `/api/{*rest}`. `None` where it has no rest.
fn without_rest(path: &str) -> Option<&str> {
    path.find("{*").and_then(|at| path.get(..at)).filter(|prefix| prefix.ends_with('/'))
}

/// Numbers the leaves by what judges their requests.
fn classify<'a>(routes: &[Route], leaves: impl Iterator<Item = &'a mut Leaf>) {
    let mut classes: HashMap<Vec<_>, Class> = HashMap::new();
    for leaf in leaves {
        let judged = leaf.routes.iter().filter_map(|choice| {
            let route = routes.get(choice.id.0 as usize)?;
            let Choice { methods, conditions, .. } = choice;
            Some((
                Arc::as_ptr(&route.controls),
                methods.clone(),
                conditions.clone(),
                route.upgrades.as_slice(),
            ))
        });
        let next = classes.len();
        leaf.class = *classes.entry(judged.collect()).or_insert(next);
    }
}
