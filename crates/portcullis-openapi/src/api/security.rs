//! What the description says about authentication: its schemes, and what each operation requires of them. Nothing is
//! enforced here; the caller compares it with what it enforces.

use std::collections::BTreeMap;

use crate::document::{LoadError, Node};

/// A declared way to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecurityScheme {
    /// A key in a query parameter, a header field or a cookie.
    ApiKey {
        /// `query`, `header` or `cookie`.
        place: String,
        /// Its name there.
        name: String,
    },
    /// HTTP authentication.
    Http {
        /// The scheme in lower case, such as `basic` or `bearer`.
        scheme: String,
    },
    /// OAuth 2.
    OAuth2 {
        /// The token and authorization endpoints of its flows, as they are written; a URL may be relative.
        urls: Vec<String>,
    },
    /// OpenID Connect.
    OpenIdConnect {
        /// Where the provider's metadata is.
        url: String,
    },
    /// A client certificate.
    MutualTls,
}

/// One way to satisfy an operation: each scheme named, with each of its scopes. Empty: nothing is required.
pub type Requirement = BTreeMap<String, Vec<String>>;

/// The declared schemes.
pub(crate) fn schemes(root: &Node<'_>) -> Result<BTreeMap<String, SecurityScheme>, LoadError> {
    let mut schemes = BTreeMap::new();
    let declared = match root.get("components")? {
        Some(components) => components.get("securitySchemes")?,
        None => None,
    };
    let Some(declared) = declared else { return Ok(schemes) };
    for (name, node) in declared.each()? {
        let scheme = match node.required_text("type")? {
            "apiKey" => {
                let place = node.required_text("in")?;
                if !matches!(place, "query" | "header" | "cookie") {
                    return Err(node.error(format!("`in: {place}` is not a place for a key")));
                }
                SecurityScheme::ApiKey {
                    place: place.to_owned(),
                    name: node.required_text("name")?.to_owned(),
                }
            }
            "http" => SecurityScheme::Http { scheme: node.required_text("scheme")?.to_ascii_lowercase() },
            "oauth2" => SecurityScheme::OAuth2 { urls: endpoints(&node)? },
            "openIdConnect" => {
                SecurityScheme::OpenIdConnect { url: node.required_text("openIdConnectUrl")?.to_owned() }
            }
            "mutualTLS" => SecurityScheme::MutualTls,
            other => return Err(node.error(format!("`type: {other}` is not a security scheme"))),
        };
        schemes.insert(name.to_owned(), scheme);
    }
    Ok(schemes)
}

/// The token and authorization endpoints of a scheme's flows, each once.
fn endpoints(scheme: &Node<'_>) -> Result<Vec<String>, LoadError> {
    let mut urls: Vec<String> = Vec::new();
    let Some(flows) = scheme.get("flows")? else { return Ok(urls) };
    for (_, flow) in flows.each()? {
        let members = flow.members()?;
        for url in ["tokenUrl", "authorizationUrl"].iter().filter_map(|name| members.get(*name)) {
            if let Some(url) = url.as_str()
                && !urls.iter().any(|there| there == url)
            {
                urls.push(url.to_owned());
            }
        }
    }
    Ok(urls)
}

/// The `security` of a node, if it has one.
pub(crate) fn requirements(
    node: &Node<'_>,
    schemes: &BTreeMap<String, SecurityScheme>,
) -> Result<Option<Vec<Requirement>>, LoadError> {
    let Some(list) = node.get("security")? else { return Ok(None) };
    let mut requirements = Vec::new();
    for item in list.items()? {
        let mut requirement = Requirement::new();
        for (name, scopes) in item.members()? {
            if !schemes.contains_key(name) {
                return Err(item.error(format!("no security scheme is called `{name}`")));
            }
            let scopes = scopes.as_array().map(|scopes| {
                scopes.iter().map(|scope| scope.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            });
            let Some(Some(scopes)) = scopes else {
                return Err(item.error(format!("`{name}` needs a list of scopes")));
            };
            requirement.insert(name.clone(), scopes);
        }
        requirements.push(requirement);
    }
    Ok(Some(requirements))
}
