//! Whether a backend that reads paths loosely would take a request for another route's.
//!
//! Many frameworks ignore case, a slash at the end, what follows a `;`, or dots and spaces at the end of a segment, and all
//! of them decode escapes. So a path that only a wildcard route matches, such as `/ADMIN` under `/{*rest}`, may be what a
//! more specific route, `/admin`, was written to protect. Here every route is entered under its laxest reading; a path
//! belongs to the route that was found only if its own laxest reading leads to the same controls. Needs nothing that could
//! fail.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What judges the requests of a path; the same number for paths that are judged in the same way.
pub(super) type Class = usize;

/// All routes under their laxest reading.
#[derive(Default)]
pub(super) struct Lax {
    any_host: Paths,
    by_host: HashMap<String, Paths>,
}

/// Routes of one host, or those of any.
#[derive(Default)]
struct Paths {
    router: matchit::Router<Vec<Class>>,
    /// Each reading as a template, in order, with the places and classes of those who have it.
    templates: BTreeMap<String, Vec<(usize, Class)>>,
    classes: BTreeSet<Class>,
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
        let mut lax = Lax::default();
        for (place, (host, path, class)) in routes.enumerate() {
            let paths = match host {
                None => &mut lax.any_host,
                Some(host) => lax.by_host.entry(host.to_owned()).or_default(),
            };
            paths.classes.insert(class);
            for template in templates(path) {
                paths.templates.entry(template).or_default().push((place, class));
            }
        }
        let all = std::iter::once(&mut lax.any_host).chain(lax.by_host.values_mut());
        let overlaps: Vec<Overlap> = all.flat_map(Paths::enter).collect();
        if overlaps.is_empty() { Ok(lax) } else { Err(overlaps) }
    }

    /// Whether `leads_elsewhere` could say yes of a path that this route matches. Asked once, at load.
    pub(super) fn may_lead_elsewhere(&self, host: Option<&str>, path: &str, class: Class) -> bool {
        let Some(reading) = templates(path).into_iter().next() else { return true };
        let Some((prefix, _)) = reading.split_once('{') else { return false };
        match host {
            Some(host) => self.by_host.get(host).is_none_or(|paths| paths.has_another(class, prefix)),
            // A path that no route of a host has strictly comes to the routes of any host; loosely, one may have it.
            None => {
                self.any_host.has_another(class, prefix)
                    || self.by_host.values().any(|paths| paths.has_another(class, prefix))
            }
        }
    }

    /// Whether the laxest reading of `path` leads to other controls than those of `class`.
    pub(super) fn leads_elsewhere(&self, host: Option<&str>, path: &str, class: Class) -> bool {
        let reading = reading(path);
        let of_host = host.and_then(|host| self.by_host.get(host)).and_then(|paths| paths.at(&reading));
        of_host.or_else(|| self.any_host.at(&reading)).is_some_and(|classes| !classes.contains(&class))
    }
}

impl Paths {
    /// Enters the templates into the router, and says which cannot be.
    fn enter(&mut self) -> Vec<Overlap> {
        let mut overlaps = Vec::new();
        for (template, owners) in &self.templates {
            let classes = owners.iter().map(|(_, class)| *class).collect();
            if let Err(error) = self.router.insert(template, classes) {
                let with = match error {
                    matchit::InsertError::Conflict { with } => with,
                    matchit::InsertError::InvalidParamSegment
                    | matchit::InsertError::InvalidParam
                    | matchit::InsertError::InvalidCatchAll
                    | _ => error.to_string(),
                };
                overlaps.extend(owners.first().map(|(place, _)| Overlap { place: *place, with }));
            }
        }
        overlaps
    }

    fn at(&self, reading: &str) -> Option<&[Class]> {
        self.router.at(reading).ok().map(|found| found.value.as_slice())
    }

    /// Whether a template of another class begins with `prefix`, or is it but for its last slash.
    fn has_another(&self, own: Class, prefix: &str) -> bool {
        // Asked first, since thousands of routes are often judged in one way.
        if self.classes.iter().all(|class| *class == own) {
            return false;
        }
        let anothers = |owners: &Vec<(usize, Class)>| owners.iter().any(|(_, class)| *class != own);
        let from = self.templates.range(prefix.to_owned()..);
        let mut beginning = from.take_while(|(template, _)| template.starts_with(prefix));
        beginning.any(|(_, owners)| anothers(owners))
            || prefix.strip_suffix('/').and_then(|stem| self.templates.get(stem)).is_some_and(anothers)
    }
}

/// The laxest readings of a route's path, as the router writes paths: the name of a parameter says nothing, and a rest may
/// be empty.
fn templates(path: &str) -> Vec<String> {
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
                let segment = read(segment);
                if !segment.is_empty() {
                    template.push('/');
                    template.push_str(&segment.replace('{', "{{").replace('}', "}}"));
                }
            }
        }
    }
    std::iter::once(or_root(template)).chain(without_rest).collect()
}

/// The laxest reading of a request's path.
fn reading(path: &str) -> String {
    let mut reading = String::with_capacity(path.len());
    for segment in path.split('/').map(read).filter(|segment| !segment.is_empty()) {
        reading.push('/');
        reading.push_str(&segment);
    }
    or_root(reading)
}

fn or_root(path: String) -> String {
    if path.is_empty() { "/".to_owned() } else { path }
}

/// The laxest reading of a segment.
fn read(segment: &str) -> String {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' { crate::head::path::escape(&mut bytes).unwrap_or(b'%') } else { byte };
        decoded.push(byte.to_ascii_lowercase());
    }
    let text = String::from_utf8_lossy(&decoded);
    let end = text.find([';', '?', '#']).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim().trim_end_matches(['.', ' ']).to_owned()
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
        lax().leads_elsewhere(Some(host), path, place)
    }

    #[test]
    fn a_laxer_reading_leads_nowhere_else() {
        for path in
            ["/ADMIN", "/admin/", "/Admin/x", "/admin.", "/admin%20", "/admin%3Bx", "/v1/users%3Aexport/"]
        {
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
            ("/admin", 2),
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
    fn routes_that_are_judged_alike_are_one() {
        let lax = Lax::build([(None, "/{*rest}", 0), (None, "/a", 0)].into_iter()).ok().unwrap();
        assert!(!lax.leads_elsewhere(None, "/A/", 0) && !lax.may_lead_elsewhere(None, "/{*rest}", 0));
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
