//! Where clients learn which authorization servers an API trusts (RFC 9728).

use http::Uri;

/// The well-known path of protected resource metadata (RFC 9728, section 3).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The path under which the metadata of a resource is served: the well-known path, and then the resource's own.
pub fn path(resource: &Uri) -> String {
    format!("{WELL_KNOWN}{}", resource.path().trim_end_matches('/'))
}

/// The URL of the metadata of a resource.
pub fn url(resource: &Uri) -> String {
    let scheme = resource.scheme_str().unwrap_or("https");
    let authority = resource.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}", path(resource))
}
