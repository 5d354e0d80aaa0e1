//! Servers: under which paths operations are served.
//!
//! Only the path of a server's URL counts. A variable stands for each value of its `enum`, or for its `default` alone.

use crate::document::{LoadError, Node};

/// The most paths that the variables of one server may make.
const MOST_PATHS: usize = 256;

/// The base paths that the `servers` of a node say, without a slash at the end. `None`: it has none.
pub(super) fn base_paths(node: &Node<'_>) -> Result<Option<Vec<String>>, LoadError> {
    let Some(servers) = node.get("servers")? else { return Ok(None) };
    let mut paths: Vec<String> = Vec::new();
    for server in servers.items()? {
        for url in urls(&server)? {
            let path = path(&url);
            if path.contains(['{', '}']) {
                return Err(server.error("a variable of the server's URL is not declared"));
            }
            if !paths.iter().any(|known| known == path) {
                paths.push(path.to_owned());
            }
        }
    }
    // An empty list means the same as none (OpenAPI, "OpenAPI Object").
    Ok((!paths.is_empty()).then_some(paths))
}

/// The URLs of a server: one for each value of each variable.
fn urls(server: &Node<'_>) -> Result<Vec<String>, LoadError> {
    let mut urls = vec![server.required_text("url")?.to_owned()];
    let Some(variables) = server.get("variables")? else { return Ok(urls) };
    for (name, variable) in variables.each()? {
        let place = format!("{{{name}}}");
        // A variable that is not in the path changes nothing here.
        if !urls.iter().any(|url| path(url).contains(&place)) {
            let default = variable.text("default")?.unwrap_or_default();
            urls.iter_mut().for_each(|url| *url = url.replace(&place, default));
            continue;
        }
        let values = match variable.get("enum")? {
            Some(values) => values.texts()?,
            None => vec![variable.required_text("default")?],
        };
        urls = urls
            .iter()
            .flat_map(|url| values.iter().map(|value| url.replace(&place, value)).collect::<Vec<_>>())
            .collect();
        if urls.len() > MOST_PATHS {
            return Err(server.error(format!("its variables make more than {MOST_PATHS} paths")));
        }
    }
    Ok(urls)
}

/// The path of a URL. A relative one is relative to where the description is served, which nobody has told us.
fn path(url: &str) -> &str {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if path.starts_with('/') { path } else { "" }
}
