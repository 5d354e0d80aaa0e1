//! Whether a backend that reads paths loosely would take a request for another route's.
//!
//! Many frameworks ignore case, a slash at the end, what follows a `;`, or dots and spaces at the end of a segment, and all
//! of them decode escapes. So a path that only a wildcard route matches, such as `/ADMIN` under `/{*rest}`, may be what a
//! more specific route, `/admin`, was written to protect. Here every route is entered under its laxest reading; a path
//! belongs to the route that was found only if its own laxest reading leads to the same controls. Needs nothing that could
//! fail.

use super::hosts::ByHost;
use portcullis_paths::{laxest, laxest_segment, readings};
use std::collections::BTreeMap;

/// What judges the requests of a path; the same number for paths that are judged in the same way.
pub(super) type Class = usize;

/// All routes under their laxest reading.
#[derive(Default)]
pub(super) struct Lax {
    hosts: ByHost<Paths>,
    /// The routes of all hosts together.
    hosted: Order,
}

/// Routes of one host, or those of any.
#[derive(Default)]
struct Paths {
    router: matchit::Router<Vec<Class>>,
    order: Order,
}

/// Readings as templates, with those who have them.
type Templates = BTreeMap<String, Vec<Owner>>;

/// A route that has a reading.
struct Owner {
    /// Its place in the list.
    place: usize,
    class: Class,
    /// Whether the reading is its path without a rest.
    without_rest: bool,
}

/// Two routes whose laxest readings overlap: the place of the one in the list, and the reading of the other.
pub(super) struct Overlap {
    pub(super) place: usize,
    pub(super) with: String,
}

impl Lax {
    /// # Errors
    /// Every route whose laxest reading leaves two routes for one request.
    pub(super) fn build<'a>(
        routes: impl Iterator<Item = (Option<&'a str>, &'a str, Class)>,
    ) -> Result<Lax, Vec<Overlap>> {
        let mut hosted = Templates::new();
        let mut hosts: ByHost<Templates> = ByHost::default();
        for (place, (host, path, class)) in routes.enumerate() {
            for (template, without_rest) in templates(path) {
                let owner = || Owner { place, class, without_rest };
                if host.is_some() {
                    hosted.entry(template.clone()).or_default().push(owner());
                }
                hosts.entry(host).entry(template).or_default().push(owner());
            }
        }
        let mut overlaps = Vec::new();
        let lax = Lax {
            hosts: hosts.map(|templates| Paths::new(&templates, &mut overlaps)),
            hosted: Order::new(&hosted),
        };
        if overlaps.is_empty() { Ok(lax) } else { Err(overlaps) }
    }

    /// Whether `leads_elsewhere` could say yes of a path that this route matches. Asked once, at load.
    pub(super) fn may_lead_elsewhere(&self, host: Option<&str>, path: &str, class: Class) -> bool {
        let Some((reading, _)) = templates(path).into_iter().next() else { return true };
        let Some((prefix, _)) = reading.split_once('{') else { return false };
        match host {
            // A path that no route of a host has strictly comes to the routes below a name or of any host; loosely, one of
            // them may have it.
            Some(host) if !host.starts_with("*.") => {
                self.hosts.get(Some(host)).is_none_or(|paths| paths.order.has_another(class, prefix))
            }
            Some(_) => self.hosted.has_another(class, prefix),
            None => {
                self.hosts.get(None).is_none_or(|paths| paths.order.has_another(class, prefix))
                    || self.hosted.has_another(class, prefix)
            }
        }
    }

    /// Whether the laxest reading of `path` leads to other controls than those of `class`.
    pub(super) fn leads_elsewhere(&self, host: &str, path: &str, class: Class) -> bool {
        self.is_anothers(host, &laxest(path), class)
    }

    /// Whether any reading of a path with reserved characters leads to other controls than those of `class`.
    pub(super) fn may_be_read_as_another(&self, host: &str, path: &str, class: Class) -> bool {
        readings(path).iter().any(|reading| self.is_anothers(host, reading, class))
    }

    fn is_anothers(&self, host: &str, reading: &str, class: Class) -> bool {
        let found = self.hosts.of(host).find_map(|paths| paths.at(reading));
        found.is_some_and(|classes| !classes.contains(&class))
    }
}

impl Paths {
    /// Adds to `overlaps` what cannot be entered.
    fn new(templates: &Templates, overlaps: &mut Vec<Overlap>) -> Paths {
        let mut router = matchit::Router::new();
        for (template, owners) in templates {
            if let Err(error) = router.insert(template, classes_of(owners)) {
                let with = match error {
                    matchit::InsertError::Conflict { with } => with,
                    matchit::InsertError::InvalidParamSegment
                    | matchit::InsertError::InvalidParam
                    | matchit::InsertError::InvalidCatchAll
                    | _ => error.to_string(),
                };
                overlaps.extend(owners.first().map(|owner| Overlap { place: owner.place, with }));
            }
        }
        Paths { router, order: Order::new(templates) }
    }

    fn at(&self, reading: &str) -> Option<&[Class]> {
        self.router.at(reading).ok().map(|found| found.value.as_slice())
    }
}

/// How those who have a reading are judged. A route whose path it is comes before one whose rest would be empty: `/admin` is
/// not `/admin/{*rest}`, and neither is `/admin/` where a route for `/admin` is judged otherwise.
// SECURITY: a backend that ignores the slash at the end would take `/admin/` for the path that is protected by itself
// (an_empty_rest_is_not_the_path_above_it).
fn classes_of(owners: &[Owner]) -> Vec<Class> {
    let own = |owner: &&Owner| !owner.without_rest;
    let classes: Vec<Class> = owners.iter().filter(own).map(|owner| owner.class).collect();
    if classes.is_empty() { owners.iter().map(|owner| owner.class).collect() } else { classes }
}

/// Templates in order, so that those with a prefix stand together.
#[derive(Default)]
struct Order(Vec<Ordered>);

struct Ordered {
    template: String,
    /// Its class; `None` where it has several.
    class: Option<Class>,
    /// The next place whose class is another: thousands of routes are often judged in one way.
    change: usize,
}

impl Order {
    fn new(templates: &Templates) -> Order {
        let mut order: Vec<Ordered> = Vec::with_capacity(templates.len());
        let mut change = templates.len();
        for (place, (template, owners)) in templates.iter().enumerate().rev() {
            let mut classes = owners.iter().map(|owner| owner.class);
            let first = classes.next();
            let class = first.filter(|first| classes.all(|class| class == *first));
            if order.last().is_some_and(|next| next.class != class) {
                change = place + 1;
            }
            order.push(Ordered { template: template.clone(), class, change });
        }
        order.reverse();
        Order(order)
    }

    /// Whether a template of another class than `own` begins with `prefix`, or is it but for its last slash.
    fn has_another(&self, own: Class, prefix: &str) -> bool {
        let place_of = |text: &str| self.0.partition_point(|ordered| ordered.template.as_str() < text);
        let anothers = |ordered: &&Ordered| ordered.class != Some(own);
        let begins = |ordered: &&Ordered| ordered.template.starts_with(prefix);
        let first = self.0.get(place_of(prefix)).filter(begins);
        let change = first.and_then(|first| self.0.get(first.change)).filter(begins);
        let stem = prefix.strip_suffix('/').filter(|stem| !stem.is_empty());
        let stem = stem.and_then(|stem| self.0.get(place_of(stem)).filter(|found| found.template == stem));
        first.iter().chain(&change).chain(&stem).any(anothers)
    }
}

/// The laxest readings of a route's path, as the router writes paths: the name of a parameter says nothing, and a rest may
/// be empty. With each, whether it is the one without the rest.
fn templates(path: &str) -> Vec<(String, bool)> {
    let mut template = String::with_capacity(path.len());
    let mut without_rest = None;
    for segment in path.split('/') {
        match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            Some(name) if name.starts_with('*') => {
                without_rest = Some(or_root(template.clone()));
                template.push_str("/{*rest}");
            }
            Some(_) => template.push_str("/{segment}"),
            None => {
                let segment = laxest_segment(segment);
                if !segment.is_empty() {
                    template.push('/');
                    template.push_str(&segment.replace('{', "{{").replace('}', "}}"));
                }
            }
        }
    }
    let without_rest = without_rest.map(|template| (template, true));
    std::iter::once((or_root(template), false)).chain(without_rest).collect()
}

fn or_root(path: String) -> String {
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: [(Option<&str>, &str); 8] = [
        (None, "/{*rest}"),
        (None, "/admin"),
        (None, "/admin/{*rest}"),
        (None, "/v1/{id}"),
        (None, "/v1/users:export"),
        (None, "/caf%C3%A9/{name}"),
        (Some("a.example"), "/own"),
        (None, "/orders/{id}"),
    ];

    fn lax() -> Lax {
        let routes = ROUTES.into_iter().enumerate();
        Lax::build(routes.map(|(class, (host, path))| (host, path, class))).ok().unwrap()
    }

    fn elsewhere(host: &str, path: &str, place: usize) -> bool {
        lax().leads_elsewhere(host, path, place)
    }

    #[test]
    fn a_laxer_reading_leads_nowhere_else() {
        for path in [
            "/ADMIN",
            "/admin/",
            "/Admin/x",
            "/admin.",
            "/admin%20",
            "/admin%3Bx",
            "/adm%C4%B1n",
            "/v1/users%3Aexport/",
        ] {
            assert!(elsewhere("b.example", path, 0), "{path}");
        }
        for path in ["/v1/users%3Aexport", "/v1/Users:export"] {
            assert!(elsewhere("b.example", path, 3), "{path}");
        }
        assert!(elsewhere("a.example", "/OWN", 0) && !elsewhere("b.example", "/OWN", 0));
    }

    #[test]
    fn a_path_of_its_own_stays() {
        for (path, place) in [
            ("/", 0),
            ("/index.html", 0),
            ("/administration", 0),
            ("/admin", 1),
            ("/admin/x/y", 2),
            ("/v1/7", 3),
            ("/v1/users:export", 4),
            ("/caf%C3%A9/X", 5),
            ("/orders/a%40b.example", 7),
        ] {
            assert!(!elsewhere("b.example", path, place), "{path}");
        }
    }

    #[test]
    fn an_empty_rest_is_not_the_path_above_it() {
        assert!(elsewhere("b.example", "/admin/", 2));
        let builds = |routes: &[(&'static str, Class)]| {
            Lax::build(routes.iter().map(|(path, class)| (None, *path, *class))).ok().unwrap()
        };
        let item = builds(&[("/v1/{id}", 0), ("/v1/{id}/{*rest}", 1)]);
        assert!(item.leads_elsewhere("", "/v1/7/", 1) && !item.leads_elsewhere("", "/v1/7", 0));
        assert!(item.may_lead_elsewhere(None, "/v1/{id}/{*rest}", 1));
        // Where the path above has no route, or is judged alike, the rest may be empty.
        let alone = builds(&[("/admin/{*rest}", 0), ("/{*rest}", 1)]);
        assert!(!alone.leads_elsewhere("", "/admin/", 0) && alone.leads_elsewhere("", "/admin", 1));
        let alike = builds(&[("/admin/{*rest}", 0), ("/admin", 0)]);
        assert!(!alike.leads_elsewhere("", "/admin/", 0));
    }

    #[test]
    fn a_host_below_a_name_has_what_routes_of_its_own_name_do_not() {
        let routes =
            [(Some("a.example.com"), "/admin"), (Some("*.example.com"), "/{*rest}"), (None, "/{*rest}")];
        let lax = Lax::build(routes.into_iter().zip(0..).map(|((host, path), class)| (host, path, class)));
        let lax = lax.ok().unwrap();
        assert!(lax.may_lead_elsewhere(Some("*.example.com"), "/{*rest}", 1));
        assert!(lax.leads_elsewhere("a.example.com", "/ADMIN", 1));
        assert!(!lax.leads_elsewhere("b.example.com", "/ADMIN", 1));
        assert!(
            lax.leads_elsewhere("b.example.com", "/x", 2) && !lax.leads_elsewhere("b.example.org", "/x", 2)
        );
    }

    #[test]
    fn routes_that_are_judged_alike_are_one() {
        let lax = Lax::build([(None, "/{*rest}", 0), (None, "/a", 0)].into_iter()).ok().unwrap();
        assert!(!lax.leads_elsewhere("", "/A/", 0) && !lax.may_lead_elsewhere(None, "/{*rest}", 0));
    }

    #[test]
    fn one_that_is_judged_otherwise_is_found_among_many() {
        let paths: Vec<String> = (0..100).map(|number| format!("/{{tenant}}/r{number}")).collect();
        let builds = |other| {
            let routes = paths.iter().map(|path| (None, path.as_str(), 0));
            Lax::build(routes.chain([(None, other, 1)])).ok().unwrap()
        };
        for other in ["/{tenant}/a", "/{tenant}/r50x", "/{tenant}/z", "/z", "/Z/y/x"] {
            assert!(builds(other).may_lead_elsewhere(None, "/{tenant}/r7", 0), "{other}");
        }
        let apart = Lax::build([(None, "/a/{x}", 0), (None, "/b/{x}", 1)].into_iter()).ok().unwrap();
        assert!(!apart.may_lead_elsewhere(None, "/a/{x}", 0) && !apart.may_lead_elsewhere(None, "/b/{x}", 1));
        let stem = Lax::build([(None, "/a/{x}", 0), (None, "/a", 1)].into_iter()).ok().unwrap();
        assert!(stem.may_lead_elsewhere(None, "/a/{x}", 0));
    }

    #[test]
    fn only_what_could_be_ambiguous_is_looked_at_twice() {
        for (place, (host, path)) in ROUTES.into_iter().enumerate() {
            let expected = ["/{*rest}", "/admin/{*rest}", "/v1/{id}"].contains(&path);
            assert_eq!(lax().may_lead_elsewhere(host, path, place), expected, "{path}");
        }
    }

    #[test]
    fn routes_that_only_case_tells_apart_do_not_load_where_they_overlap() {
        let builds =
            |paths: [&'static str; 2]| Lax::build(paths.into_iter().map(|path| (None, path, 0))).is_ok();
        assert!(builds(["/A/{x}", "/a/b"]) && builds(["/A", "/a"]) && builds(["/a/{x}", "/A/{y}"]));
        assert!(!builds(["/A/{x}", "/a/{*rest}"]));
    }
}
