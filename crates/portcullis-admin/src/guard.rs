//! Whether a request to the admin listener is let in: by its host, where it comes from, who sends it, and whether a page of
//! another site could have made a browser send it.

use crate::problem::Problem;
use crate::server::Asked;
use crate::sessions::Sessions;
use crate::tokens::{self, Role, Token};
use http::{HeaderMap, Method, StatusCode, header};
use std::net::SocketAddr;

/// The name of the session's cookie.
pub(crate) const COOKIE: &str = "portcullis_admin";
/// The field in which a script shows that it has read a page of the dashboard.
pub(crate) const CSRF_FIELD: &str = "x-csrf-token";

/// Who sends a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// What they may do.
    pub role: Role,
    /// The first digits of the hash of their token.
    pub token: String,
    /// What a form of their session must carry; `None` for a token in a header, which no page can make a browser send.
    pub csrf: Option<String>,
}

/// That the host of a request is one of this listener's, so that a name of somebody else's that leads here is of no use.
// SECURITY: with DNS rebinding a page of another site is of the same origin for a browser (hostile_requests_are_refused_or_harmless).
pub(crate) fn host(asked: &Asked, local: SocketAddr, names: &[String]) -> Result<String, Problem> {
    let refuse = |detail| Problem::new(StatusCode::MISDIRECTED_REQUEST, detail);
    let mut hosts = asked.request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(refuse("there must be one Host field"));
    };
    let host = host.to_str().map_err(|_| refuse("the Host field is no host"))?.to_ascii_lowercase();
    if asked.request.uri().authority().is_some_and(|target| target.as_str() != host) {
        return Err(refuse("the target and the Host field name different hosts"));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        Some(_) | None => (host.as_str(), None),
    };
    let standard = if asked.tls { 443 } else { 80 };
    let port = match port {
        None => standard,
        Some(port) => port.parse::<u16>().map_err(|_| refuse("the Host field has no port"))?,
    };
    let ip = local.ip().to_canonical();
    let own = match ip {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let loopback = ip.is_loopback() && matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    // A name that the operator listed may be reached through a forwarded port.
    let listed = names.iter().any(|listed| *listed == name || *listed == host);
    if listed || port == local.port() && (loopback || name == own && !ip.is_unspecified()) {
        return Ok(host);
    }
    Err(refuse("this listener does not serve that host; list it under `admin.hosts`"))
}

/// That no page of another site is behind a request. A tool that is no browser sends neither field.
// SECURITY: a page of another port of this machine is "same-site", and its requests carry the cookie (hostile_requests_are_refused_or_harmless).
pub(crate) fn site(asked: &Asked, host: &str, page: bool) -> Result<(), Problem> {
    let refuse = || Problem::new(StatusCode::FORBIDDEN, "a page of another site must not ask this");
    let headers = asked.request.headers();
    let reads = matches!(*asked.request.method(), Method::GET | Method::HEAD);
    let scheme = if asked.tls { "https" } else { "http" };
    for origin in headers.get_all(header::ORIGIN) {
        if origin.as_bytes() != format!("{scheme}://{host}").as_bytes() {
            return Err(refuse());
        }
    }
    let navigation = reads
        && page
        && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
        && headers.get("sec-fetch-dest").is_some_and(|destination| destination == "document");
    for site in headers.get_all("sec-fetch-site") {
        match site.as_bytes() {
            b"same-origin" => {}
            // Typed into the address bar.
            b"none" if reads => {}
            // A link from elsewhere may open a page, which shows nothing without the cookie that the browser leaves out.
            b"cross-site" | b"same-site" if navigation => {}
            _ => return Err(refuse()),
        }
    }
    Ok(())
}

/// Whether a link or a page of another place led here, so that a cookie counts for nothing.
pub(crate) fn from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| site != "same-origin" && site != "none")
}

/// Who sends a request; `None` where nobody is named.
///
/// # Errors
/// A credential that is none.
pub(crate) fn caller(
    asked: &Asked,
    tokens: &[Token],
    sessions: &Sessions,
) -> Result<Option<Caller>, Problem> {
    let headers = asked.request.headers();
    let wrong = || Problem::new(StatusCode::UNAUTHORIZED, "this token is not known");
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(first) = shown.next() {
        if shown.next().is_some() {
            return Err(wrong());
        }
        let text = first.to_str().map_err(|_| wrong())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(wrong)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(wrong());
        }
        let token = tokens::find(tokens, token).ok_or_else(wrong)?;
        return Ok(Some(Caller { role: token.role, token: token.name(), csrf: None }));
    }
    if from_elsewhere(headers) {
        return Ok(None);
    }
    let Some(cookie) = cookie(headers) else { return Ok(None) };
    let session = sessions.find(&cookie, asked.peer.ip());
    Ok(session.map(|open| Caller { role: open.role, token: open.token, csrf: Some(open.csrf) }))
}

/// The session's cookie, if there is exactly one.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs = all.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
    match (ours.next(), ours.next()) {
        (Some(only), None) => Some(only.to_owned()),
        (Some(_), Some(_)) | (None, _) => None,
    }
}
