//! The canonical request head.
//!
//! [`Head::admit`] takes the parsed head of a request apart and either refuses it or leaves exactly one reading of it:
//! one host, one path, one framing, end-to-end fields only. Every later stage, and the upstream, see this value and
//! nothing else; the raw head is gone.

pub mod client;
pub mod fields;
pub mod foreign;
pub mod host;
pub mod once;
pub mod path;
pub mod query;
pub mod rules;
mod way;

pub use fields::Framing;
pub use once::Once;
pub use path::Reserved;
use path::Spelled;
pub use rules::{FieldRules, IDENTITY_PREFIX};
pub use way::Way;

use crate::body::{Coding, forget_body};
use crate::conn::Conn;
use crate::denial::{Code, Denial};
use crate::trace::Sampling;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Extensions, Method, Version};
use ipnet::IpNet;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// The bounds of a head, and whom to believe.
#[derive(Clone, Debug)]
pub struct HeadPolicy {
    /// The longest request target in bytes (414 beyond it).
    pub max_target_bytes: usize,
    /// The most header fields, the host's among them (431 beyond it).
    pub max_fields: usize,
    /// The largest header field, name and value, in bytes (431 beyond it).
    pub max_field_bytes: usize,
    /// The largest sum of all header fields, the host's among them, in bytes (431 beyond it).
    pub max_head_bytes: usize,
    /// Whose forwarding fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which fields stay, which are removed, and of which an alias (`x_api_key`) is refused.
    pub rules: FieldRules,
    /// What in a path any route allows. Whether the request's own route does is asked when that is known.
    pub reserved: Reserved,
    /// What is done where a field such as `X-HTTP-Method-Override` asks for another method.
    pub method_override: MethodOverride,
    /// Fields that are removed, and yet judged as the client sent them, since the description of an API declares them.
    pub judged_first: Vec<HeaderName>,
    /// Whose request ids are kept.
    pub request_id: RequestIdPolicy,
    /// Whether upstreams get a `Forwarded` field (RFC 7239) as well.
    pub sends_forwarded: bool,
    /// Of how many requests spans are recorded. `None`: traces pass by, and nothing is read or sent of them.
    pub tracing: Option<Sampling>,
}

/// Whose request ids are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RequestIdPolicy {
    /// Nobody's: the gateway gives each request its own.
    #[default]
    Own,
    /// Those of trusted proxies, where they have a usual form.
    FromTrusted,
}

/// What is done where a field such as `X-HTTP-Method-Override` asks for another method. The field never goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MethodOverride {
    /// It is removed; the request is judged, and sent, with the method that it has.
    #[default]
    Remove,
    /// A POST that asks for PUT, PATCH or DELETE becomes that: it is judged, and sent, with that method.
    Apply,
}

impl Default for HeadPolicy {
    fn default() -> Self {
        HeadPolicy {
            max_target_bytes: 8 * 1024,
            max_fields: 100,
            max_field_bytes: 8 * 1024,
            max_head_bytes: 32 * 1024,
            trusted_proxies: Vec::new(),
            rules: FieldRules::default(),
            reserved: Reserved::NONE,
            method_override: MethodOverride::default(),
            judged_first: Vec::new(),
            request_id: RequestIdPolicy::default(),
            sends_forwarded: false,
            tracing: None,
        }
    }
}

/// A request head with exactly one reading.
#[derive(Clone)]
pub struct Head {
    method: Method,
    target: PathAndQuery,
    reserved: Reserved,
    host: HeaderValue,
    port: Option<u16>,
    headers: HeaderMap,
    /// What was removed and is judged nevertheless.
    removed: Option<Box<HeaderMap>>,
    framing: Framing,
    upgrade: Option<HeaderValue>,
    client: IpAddr,
    way: Way,
    extensions: Extensions,
}

impl Head {
    /// The one reading of a request head.
    ///
    /// # Errors
    /// Everything that has several readings, or exceeds the policy. A denial names the reason.
    pub fn admit(parts: Parts, conn: &Conn, policy: &HeadPolicy) -> Result<Head, Denial> {
        let Parts { mut method, uri, version, mut headers, extensions, .. } = parts;
        if method == Method::CONNECT {
            return Err(Denial::new(Code::TargetForm, "CONNECT is for forward proxies"));
        }
        if !matches!(version, Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2) {
            return Err(Denial::new(Code::MalformedRequest, "not a version of HTTP that is spoken here"));
        }
        let (target, reserved) = target(&uri, policy)?;
        let port = port(&uri, &headers);
        let host = host(&uri, &mut headers)?;
        let peer = conn.peer.ip().to_canonical();
        let trusted = policy.trusted_proxies.iter().any(|network| network.contains(&peer));
        let scan = fields::scan(&mut headers, &host, policy, trusted)?;
        if version == Version::HTTP_10 && scan.framing == Framing::Chunked {
            return Err(Denial::new(Code::AmbiguousFraming, "Transfer-Encoding in HTTP/1.0"));
        }
        if policy.method_override == MethodOverride::Apply && !scan.methods.is_empty() {
            method = overridden(&method, &scan.methods)?;
        }
        let way = way::of(&scan.forwarded, peer, &policy.trusted_proxies, conn.transport.scheme(), port)?;
        let way::Told { client, way } = way;
        Ok(Head {
            method,
            target,
            reserved,
            host,
            port,
            headers,
            removed: scan.removed,
            framing: scan.framing,
            upgrade: scan.upgrade,
            client,
            way,
            extensions,
        })
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The canonical path.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// What in the path some servers read otherwise. The route must allow it.
    pub fn reserved(&self) -> Reserved {
        self.reserved
    }

    /// The query without its `?`, as the client spelled it.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Path and query.
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// The canonical host: lower case, without a port.
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The canonical host, with the port that the client named, if it named one that is not its scheme's own.
    pub fn authority(&self) -> HeaderValue {
        let own = if self.way.scheme == "https" { 443 } else { 80 };
        let (Some(port), Ok(host)) = (self.port.filter(|port| *port != own), self.host.to_str()) else {
            return self.host.clone();
        };
        HeaderValue::try_from(format!("{host}:{port}")).unwrap_or_else(|_| self.host.clone())
    }

    /// The method that a page of another origin wants to use, where this is a browser's preflight (Fetch Standard, section
    /// 3.2.2): OPTIONS with an origin and a method, each once.
    pub fn preflight(&self) -> Option<Method> {
        if self.method != Method::OPTIONS {
            return None;
        }
        match (self.once("origin"), self.once("access-control-request-method")) {
            (Once::One(_), Once::One(wanted)) => wanted.parse().ok(),
            (Once::One(_) | Once::Absent | Once::Repeated | Once::Unreadable, _) => None,
        }
    }

    /// The URL that the client asked for, as far as trusted proxies tell it: scheme, canonical host, and port where it is
    /// not the scheme's own.
    pub fn origin(&self) -> (&'static str, String, Option<u16>) {
        let (host, port) = match self.way.host.as_ref().and_then(|host| host.to_str().ok()) {
            Some(outer) => (host::canonical(outer).unwrap_or_default(), host::port(outer)),
            None => (self.host.to_str().unwrap_or_default().to_owned(), self.port),
        };
        let own = if self.way.scheme == "https" { 443 } else { 80 };
        (self.way.scheme, host, port.filter(|port| *port != own))
    }

    /// The end-to-end fields, without `Host`.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The values of a field as the client sent them, in order, also of one that was removed and that
    /// [`HeadPolicy::judged_first`] names. A name in lower case.
    pub fn sent(&self, name: &str) -> impl Iterator<Item = &HeaderValue> {
        let removed = self.removed.iter().flat_map(move |removed| removed.get_all(name));
        self.headers.get_all(name).into_iter().chain(removed)
    }

    /// Where the body ends.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The protocol that the client wants to switch to.
    pub fn upgrade(&self) -> Option<&HeaderValue> {
        self.upgrade.as_ref()
    }

    /// The client's address, as far as trusted proxies tell it.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The way that the request has come.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// The field `name`, which must not repeat. A name in lower case.
    pub fn once(&self, name: &str) -> Once<'_> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Once::Absent,
            (Some(_), Some(_)) => Once::Repeated,
            (Some(value), None) => match value.to_str() {
                Ok(text) => Once::One(Cow::Borrowed(text)),
                Err(_) => Once::Unreadable,
            },
        }
    }

    /// The query parameter with this decoded name, which must not repeat.
    pub fn query_once(&self, name: &str) -> Once<'_> {
        query::parameter(self.query(), name)
    }

    /// The cookie `name`, which must not repeat (RFC 6265, section 4.2).
    pub fn cookie_once(&self, name: &str) -> Once<'_> {
        cookie(&self.headers, name)
    }

    /// Whether something stands where a credential is looked for.
    pub fn has_credential(&self, location: &crate::plan::CredentialLocation) -> bool {
        use crate::plan::CredentialLocation::{Cookie, Header, Query};
        let found = match location {
            Header(name) => return self.headers.contains_key(name),
            Query(name) => self.query_once(name),
            Cookie(name) => self.cookie_once(name),
        };
        !matches!(found, Once::Absent)
    }

    /// Takes a credential away, in every spelling, so that nothing behind the gateway sees it.
    pub fn remove_credential(&mut self, location: &crate::plan::CredentialLocation) {
        use crate::plan::CredentialLocation::{Cookie, Header, Query};
        match location {
            Header(name) => {
                self.headers.remove(name);
            }
            Query(name) => {
                let Some(query) = self.target.query().filter(|query| query.len() >= name.len()) else {
                    return;
                };
                let path = self.target.path();
                let target = match query::without(query, &[name]) {
                    Some(query) => format!("{path}?{query}"),
                    None => path.to_owned(),
                };
                // A part of a target that parsed is one that parses; whatever happens, the path stays the judged one.
                if let Ok(target) = target.parse().or_else(|_| PathAndQuery::try_from(path)) {
                    self.target = target;
                }
            }
            Cookie(name) => remove_cookie(&mut self.headers, name),
        }
    }

    /// The body is another one now: so many bytes, in this coding.
    pub(crate) fn replace_body(&mut self, bytes: u64, coding: Coding) {
        self.framing = Framing::Length(bytes);
        forget_body(&mut self.headers, coding);
    }

    /// The head of the POST of JSON that a message after this upgrade stands for.
    pub(crate) fn as_message(&self) -> Head {
        let mut head = self.clone();
        head.method = Method::POST;
        head.upgrade = None;
        let of_the_upgrade: Vec<HeaderName> =
            head.headers.keys().filter(|name| name.as_str().starts_with("sec-websocket-")).cloned().collect();
        for name in of_the_upgrade.into_iter().chain([header::CONTENT_ENCODING, header::CONTENT_TYPE]) {
            head.headers.remove(name);
        }
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head
    }

    /// A body of so many bytes belongs to it.
    pub(crate) fn has_body(&mut self, bytes: u64) {
        self.framing = Framing::Length(bytes);
    }

    /// What is left of it without header fields: where it goes, and who sent it. Holds no credential that stood in a field.
    pub(crate) fn without_fields(&self) -> Head {
        Head {
            method: self.method.clone(),
            target: self.target.clone(),
            reserved: self.reserved,
            host: self.host.clone(),
            port: self.port,
            headers: HeaderMap::new(),
            removed: None,
            framing: Framing::None,
            upgrade: self.upgrade.clone(),
            client: self.client,
            way: Way { before: None, host: self.way.host.clone(), trace: None, ..self.way },
            extensions: Extensions::new(),
        }
    }

    /// Asks the upstream for an answer that can be judged: not compressed, and not a part of one.
    pub(crate) fn ask_for_a_whole_answer(&mut self) {
        for name in [header::RANGE, header::IF_RANGE] {
            self.headers.remove(name);
        }
        self.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }

    /// The parts that go upstream: method, target, end-to-end fields, and what the transport attached.
    pub fn into_parts(self) -> (Method, PathAndQuery, HeaderMap, Extensions) {
        (self.method, self.target, self.headers, self.extensions)
    }
}

// SECURITY: its fields and its query may hold credentials (what_holds_a_credential_does_not_show_it).
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &self.path())
            .field("fields", &self.headers.len())
            .field("framing", &self.framing)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// The cookie `name` of these fields, which must not repeat (RFC 6265, section 4.2).
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Once<'a> {
    let mut found = Once::Absent;
    for field in headers.get_all(header::COOKIE) {
        let Ok(text) = field.to_str() else { return Once::Unreadable };
        // SECURITY: `name =x` is the cookie `name` to some backends, so it counts as one
        // (a_cookie_with_a_space_after_its_name_is_that_cookie).
        let pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
        for (_, value) in pairs.filter(|(key, _)| key.trim_end() == name) {
            if !matches!(found, Once::Absent) {
                return Once::Repeated;
            }
            found = Once::One(Cow::Borrowed(value));
        }
    }
    found
}

/// The method that a request asks for in a field.
// SECURITY: the request is judged with the method with which it goes on, and nothing that asks for another one goes along
// (a_method_in_a_field_is_the_one_that_is_judged).
fn overridden(method: &Method, wishes: &[HeaderValue]) -> Result<Method, Denial> {
    let refuse = |detail: &'static str| Err(Denial::new(Code::AmbiguousHeader, detail));
    let [wish] = wishes else { return refuse("several fields ask for another method") };
    if *method != Method::POST {
        return refuse("only a POST may ask for another method");
    }
    let wish = wish.as_bytes().to_ascii_uppercase();
    match [Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
        .into_iter()
        .find(|known| *known.as_str().as_bytes() == wish)
    {
        Some(method) => Ok(method),
        None => refuse("a field asks for a method that it cannot ask for"),
    }
}

/// The canonical path and the query of a request target in origin or absolute form (RFC 9112, section 3.2).
fn target(uri: &Uri, policy: &HeadPolicy) -> Result<(PathAndQuery, Reserved), Denial> {
    if let Some(scheme) = uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return Err(Denial::new(Code::TargetForm, "the target has a foreign scheme"));
    }
    let Some(raw) = uri.path_and_query() else {
        return Err(Denial::new(Code::TargetForm, "the target has no path"));
    };
    // SECURITY: of `http://a.example#f` nothing is left, neither a path nor a query; sent on, it would be a request line
    // without a target (a_target_with_a_fragment_is_refused).
    if raw.as_str() == "/" && *raw != PathAndQuery::from_static("/") {
        return Err(Denial::new(Code::TargetForm, "the target has a fragment"));
    }
    if raw.as_str().len() > policy.max_target_bytes {
        return Err(Denial::new(Code::TargetTooLong, format!("a target of {} bytes", raw.as_str().len())));
    }
    if let Some(query) = raw.query() {
        query::well_formed(query).map_err(|detail| Denial::new(Code::MalformedQuery, detail))?;
    }
    let ambiguous = |error: path::PathError| Denial::new(Code::AmbiguousPath, error.as_str());
    let Spelled { path, reserved } = path::spelled(raw.path()).map_err(ambiguous)?;
    if let Some(error) = reserved.refused_by(policy.reserved) {
        return Err(ambiguous(error));
    }
    let target = match path {
        // The same bytes: share them. `http://a.example?a=b` has no path, which means `/` (RFC 9110, section 4.2.3).
        Cow::Borrowed(_) if raw.as_str().starts_with('/') => raw.clone(),
        path @ (Cow::Borrowed(_) | Cow::Owned(_)) => {
            let target = match raw.query() {
                Some(query) => format!("{path}?{query}"),
                None => path.into_owned(),
            };
            target.parse().map_err(|_| Denial::new(Code::AmbiguousPath, "the path has no canonical form"))?
        }
    };
    Ok((target, reserved))
}

/// The port that the client named.
fn port(uri: &Uri, headers: &HeaderMap) -> Option<u16> {
    match uri.authority() {
        Some(authority) => authority.port_u16(),
        None => headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(host::port),
    }
}

/// The one host; takes the `Host` field out of `headers`.
fn host(uri: &Uri, headers: &mut HeaderMap) -> Result<HeaderValue, Denial> {
    let ambiguous = |detail: &'static str| Denial::new(Code::AmbiguousHost, detail);
    let mut hosts = headers.get_all(header::HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(ambiguous("several Host fields"));
    }
    let canonical_of = |text: &str| host::canonical(text).map_err(ambiguous);
    let canonical = match (field, uri.authority()) {
        (None, None) => return Err(ambiguous("no host")),
        (Some(field), authority) => {
            let text = field.to_str().map_err(|_| ambiguous("the host is not text"))?;
            let canonical = canonical_of(text)?;
            // An absolute target wins over Host (RFC 9112, section 3.2.2), which a backend may not know: they must agree.
            if let Some(authority) = authority
                && canonical_of(authority.as_str())? != canonical
            {
                return Err(ambiguous("the target and Host name different hosts"));
            }
            if canonical == text {
                let field = field.clone();
                headers.remove(header::HOST);
                return Ok(field);
            }
            canonical
        }
        // HTTP/2 names the host in :authority alone; HTTP/1 must have the field.
        (None, Some(authority)) => canonical_of(authority.as_str())?,
    };
    headers.remove(header::HOST);
    HeaderValue::try_from(canonical).map_err(|_| ambiguous("the host is not text"))
}

fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let header::Entry::Occupied(entry) = headers.entry(header::COOKIE) else { return };
    let mut kept = Vec::new();
    for field in entry.iter() {
        // What is not text was refused where a cookie is a credential; here it is not worth the risk of keeping it.
        let Ok(text) = field.to_str() else { continue };
        kept.extend(text.split(';').map(str::trim).filter(|pair| {
            let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
            key.trim_end() != name && !pair.is_empty()
        }));
    }
    let kept = kept.join("; ");
    match HeaderValue::try_from(kept) {
        Ok(value) if !value.is_empty() => {
            entry.remove_entry_mult();
            headers.insert(header::COOKIE, value);
        }
        Ok(_) | Err(_) => {
            entry.remove_entry_mult();
        }
    }
}

#[cfg(test)]
mod tests;
