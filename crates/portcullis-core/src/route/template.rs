//! Another path for a request, made of parameters of its route's path: `/v2/{id}`.
//!
//! What is put in was judged as a part of the request's path, and stays as it is spelled there. The result is judged again,
//! so that nothing in it has a second reading. Needs nothing that could fail.

use super::Route;
use crate::denial::{Code, Denial};
use crate::head::path::{self, Spelled};
use http::uri::PathAndQuery;
use std::fmt;

/// A path with parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

/// Why a text is not a template of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// It does not begin with a slash.
    NotAbsolute,
    /// A parameter is not a whole segment.
    Part(String),
    /// The route's path has no such parameter.
    Unknown(String),
    /// Something follows the rest, which may be empty.
    AfterRest(String),
    /// No request could have such a path.
    Path(&'static str),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::NotAbsolute => f.write_str("a path begins with a slash"),
            TemplateError::Part(segment) => write!(f, "`{segment}` is neither a name nor a parameter"),
            TemplateError::Unknown(name) => write!(f, "the route's path has no parameter `{name}`"),
            TemplateError::AfterRest(name) => {
                write!(f, "`{{{name}}}` may be empty, so nothing can follow it")
            }
            TemplateError::Path(reason) => f.write_str(reason),
        }
    }
}

impl Template {
    /// Reads a template for a route with this path.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn read(text: &str, route: &str) -> Result<Template, TemplateError> {
        let rest = text.strip_prefix('/').ok_or(TemplateError::NotAbsolute)?;
        let parameters = || route.split('/').filter_map(inner);
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let segments: Vec<&str> = rest.split('/').collect();
        for (index, segment) in segments.iter().enumerate() {
            plain.push('/');
            let Some(name) = inner(segment) else {
                if segment.contains(['{', '}']) {
                    return Err(TemplateError::Part((*segment).to_owned()));
                }
                plain.push_str(segment);
                pieces.push(Piece::Text(format!("/{segment}")));
                continue;
            };
            let name = name.strip_prefix('*').unwrap_or(name);
            let known = parameters().find(|known| known.strip_prefix('*').unwrap_or(known) == name);
            let known = known.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if known.starts_with('*') && index + 1 != segments.len() {
                return Err(TemplateError::AfterRest(name.to_owned()));
            }
            plain.push('x');
            pieces.push(Piece::Text("/".to_owned()));
            pieces.push(Piece::Parameter(name.to_owned()));
        }
        match path::canonical(&plain) {
            Ok(canonical) if canonical == plain => Ok(Template(pieces)),
            Ok(_) => Err(TemplateError::Path("it is not in canonical form")),
            Err(error) => Err(TemplateError::Path(error.as_str())),
        }
    }

    /// The path for a request of this route.
    pub fn fill(&self, route: &Route, path: &str) -> String {
        let mut filled = String::with_capacity(path.len() + 16);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Parameter(name) => filled.push_str(route.parameter(path, name).unwrap_or_default()),
            }
        }
        filled
    }

    /// The rest with which it ends, in a request of this route. `None` where it does not end with one.
    fn rest<'p>(&self, route: &Route, path: &'p str) -> Option<&'p str> {
        match self.0.last()? {
            Piece::Parameter(name) if route.path.ends_with(&format!("{{*{name}}}")) => {
                route.parameter(path, name)
            }
            Piece::Parameter(_) | Piece::Text(_) => None,
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Parameter(name) => write!(f, "{{{name}}}"),
        })
    }
}

fn inner(segment: &str) -> Option<&str> {
    segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'))
}

/// Another path under which a request goes upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Its own without this, which ends where a segment ends.
    StripPrefix(String),
    /// This one.
    Path(Template),
}

/// The path of a request at its upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The path, without the query.
    pub path: PathAndQuery,
    /// How paths of the upstream are called here.
    pub places: Places,
}

/// What a path of an upstream begins with, and what it begins with for clients. Both without a slash at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// At the upstream.
    pub inner: String,
    /// For clients.
    pub outer: String,
}

impl Rewrite {
    /// The path of a request of this route.
    ///
    /// # Errors
    /// What comes out has more than one reading, and the route does not allow that.
    // SECURITY: what is left of a path is a path that nobody has judged yet: `/api//x` would become `//x`, which names a host
    // (what_is_rewritten_is_judged_again).
    pub fn apply(&self, route: &Route, path: &str) -> Result<Rewritten, Denial> {
        let refuse = |detail: &'static str| Err(Denial::new(Code::AmbiguousPath, detail));
        let (rewritten, places) = match self {
            Rewrite::StripPrefix(prefix) => match path.strip_prefix(prefix.as_str()) {
                Some("") => ("/".to_owned(), Places { inner: String::new(), outer: prefix.clone() }),
                Some(rest) if rest.starts_with('/') => {
                    (rest.to_owned(), Places { inner: String::new(), outer: prefix.clone() })
                }
                Some(_) | None => return refuse("the path does not begin with the prefix that is removed"),
            },
            Rewrite::Path(template) => {
                let filled = template.fill(route, path);
                let rest = template.rest(route, path).unwrap_or_default();
                let before =
                    |whole: &str| whole.strip_suffix(rest).unwrap_or(whole).trim_end_matches('/').to_owned();
                let places = Places { inner: before(&filled), outer: before(path) };
                (filled, places)
            }
        };
        match path::spelled(&rewritten) {
            Ok(Spelled { path, reserved }) if path == rewritten => {
                if let Some(error) = reserved.refused_by(route.reserved) {
                    return refuse(error.as_str());
                }
            }
            Ok(_) => return refuse("the rewritten path is not in canonical form"),
            Err(error) => return refuse(error.as_str()),
        }
        match PathAndQuery::try_from(rewritten) {
            Ok(path) => Ok(Rewritten { path, places }),
            Err(_) => refuse("the rewritten path has no form in a request"),
        }
    }
}

/// For a listing.
impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rewrite::StripPrefix(prefix) => write!(f, "without {prefix}"),
            Rewrite::Path(template) => write!(f, "as {template}"),
        }
    }
}

impl Places {
    /// The path for clients of a path at the upstream, which may have a query. `None` where it lies elsewhere.
    pub fn outside(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(self.inner.as_str())?;
        if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return None;
        }
        // SECURITY: a path that begins with two slashes is a host (a_path_never_becomes_another_host).
        let rest = if self.outer.is_empty() && rest.starts_with('/') {
            format!("/{}", rest.trim_start_matches(['/', '\\']))
        } else {
            rest.to_owned()
        };
        let whole = format!("{}{rest}", self.outer);
        Some(if whole.starts_with('/') { whole } else { format!("/{whole}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "/t/{tenant}/{id}/{*rest}";

    #[test]
    fn a_template_takes_whole_segments_of_its_route() {
        for good in ["/", "/v2/{rest}", "/{tenant}/{id}", "/{*rest}", "/a/{id}/b"] {
            assert!(Template::read(good, ROUTE).is_ok(), "{good}");
        }
        for bad in [
            "v2/{rest}",
            "//evil.example/{rest}",
            "/v2/{other}",
            "/v2/{rest}/b",
            "/v2/{id}.json",
            "/v2/../{rest}",
            "/v2/%2e%2e/{rest}",
            "/v2/{rest}?a=b",
            "/v2\\{rest}",
            "/v%3",
            "",
        ] {
            assert!(Template::read(bad, ROUTE).is_err(), "{bad}");
        }
        assert_eq!(Template::read("/v2/{*rest}", ROUTE).unwrap().to_string(), "/v2/{rest}");
    }

    #[test]
    fn paths_of_an_upstream_have_names_outside() {
        let places = Places { inner: "/v2".to_owned(), outer: "/api".to_owned() };
        assert_eq!(places.outside("/v2/x?a=b").as_deref(), Some("/api/x?a=b"));
        assert_eq!(places.outside("/v2").as_deref(), Some("/api"));
        assert_eq!(places.outside("/v2?x").as_deref(), Some("/api?x"));
        for elsewhere in ["/v20", "/login", "", "/"] {
            assert_eq!(places.outside(elsewhere), None, "{elsewhere}");
        }
        let base = Places { inner: "/v2".to_owned(), outer: String::new() };
        assert_eq!(base.outside("/v2//evil.example").as_deref(), Some("/evil.example"));
        assert_eq!(base.outside("/v2/\\evil.example").as_deref(), Some("/evil.example"));
        assert_eq!(base.outside("/v2").as_deref(), Some("/"));
        assert_eq!(base.outside("/v2?a").as_deref(), Some("/?a"));
        let stripped = Places { inner: String::new(), outer: "/api".to_owned() };
        assert_eq!(stripped.outside("/").as_deref(), Some("/api/"));
        assert_eq!(stripped.outside("/x").as_deref(), Some("/api/x"));
    }
}
