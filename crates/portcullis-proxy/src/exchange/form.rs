//! The form in which a request goes to a server: its target, its host, and what its version of HTTP wants.

use crate::upload::ForwardedBody;
use crate::upstream::Pool;
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Request, Uri};
use portcullis_core::{Code, Denial};

/// Gives a request the form that it has for the server of this pool. `asked` is the host that the client asked for, where the
/// server gets it. In place, since a request is large.
///
/// # Errors
/// It has none, which no canonical request can bring about.
pub(super) fn form(
    request: &mut Request<ForwardedBody>,
    pool: &Pool,
    path_and_query: PathAndQuery,
    asked: Option<&HeaderValue>,
) -> Result<(), Denial> {
    let fault = |detail| Denial::new(Code::Fault, detail);
    let uri = target(&pool.upstream.base_path, path_and_query);
    *request.uri_mut() = uri.ok_or_else(|| fault("the target has no form under the base path"))?;
    request.headers_mut().insert(header::HOST, asked.unwrap_or(&pool.host).clone());
    let formed = pool.form(request).and_then(|()| match asked {
        Some(host) if pool.upstream.http2 => set_authority(request, host),
        Some(_) | None => Some(()),
    });
    formed.ok_or_else(|| fault("the request has no form in HTTP/2"))
}

/// The request target at the upstream. `None` where it has no form, which no canonical target can bring about.
fn target(base: &str, path_and_query: PathAndQuery) -> Option<Uri> {
    if base.is_empty() {
        return Some(path_and_query.into());
    }
    format!("{base}{path_and_query}").parse::<PathAndQuery>().ok().map(Into::into)
}

/// A request of HTTP/2 is for this host. `None` where it has no form, which no canonical host can bring about.
fn set_authority(request: &mut Request<ForwardedBody>, host: &HeaderValue) -> Option<()> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some(())
}
