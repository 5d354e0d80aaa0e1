//! Where clients learn which authorization servers an API trusts (RFC 9728).

use crate::build::Build;
use crate::token::issuer::Issuer;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use portcullis_core::endpoint::{Endpoint, Served};
use portcullis_core::{Effects, MethodSet, Step};
use serde_json::json;
use std::sync::Arc;

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

/// Tells clients of an API which authorization server it trusts.
struct ResourceMetadata {
    resource: String,
    issuer: Arc<Issuer>,
    bound: bool,
}

/// Serves the metadata of `resource`, if there is one, and gives its URL.
pub(super) fn serve(
    resource: Option<&Uri>,
    issuer: &Arc<Issuer>,
    bound: bool,
    build: &mut Build,
) -> Option<String> {
    let resource = resource?;
    let methods = MethodSet::named("GET")?.with_head();
    let endpoint = ResourceMetadata {
        resource: resource.to_string().trim_end_matches('/').to_owned(),
        issuer: Arc::clone(issuer),
        bound,
    };
    let (path, endpoint) = (path(resource), Arc::new(endpoint));
    build.serve(Served { path, hosts: Vec::new(), methods, keeps: Vec::new(), endpoint });
    Some(url(resource))
}

impl Endpoint for ResourceMetadata {
    fn describe(&self) -> String {
        format!("which authorization server {} trusts", self.resource)
    }

    fn answer<'a>(&'a self, _: &'a Request<Bytes>, _: &'a dyn Effects) -> Step<'a, Response<Bytes>> {
        let Some(issuer) = self.issuer.name() else {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Step::Ready(response);
        };
        let document = json!({
            "resource": self.resource,
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
            "dpop_bound_access_tokens_required": self.bound,
        });
        let mut response = Response::new(Bytes::from(document.to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        Step::Ready(response)
    }
}
