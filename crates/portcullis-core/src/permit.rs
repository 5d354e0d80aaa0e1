//! The only thing that can be forwarded.
//!
//! A [`Permit`] owns a request's head and body. Only [`Cleared::inspect`](crate::stage::Cleared::inspect) makes one, it
//! cannot be copied, and a front can forward nothing else.

use crate::answer::{REQUEST_ID, Told};
use crate::body::Capped;
use crate::check::AnswerFields;
use crate::conn::Conn;
use crate::examine::Examiner;
use crate::head::Head;
use crate::plan::{CredentialLocation, Snapshot};
use crate::principal::{Consumers, Principal};
use crate::record::Recording;
use crate::route::changes::Changes;
use crate::route::compression::Wish;
use crate::route::template::{Places, Rewritten};
use crate::route::{RouteId, TargetId};
use crate::stage::{Admission, Dialogue};
use crate::trace::UPSTREAM;
use bytes::Bytes;
use http::header::{
    FORWARDED, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
};
use http::uri::PathAndQuery;
use http::{Extensions, Method};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

/// Proof that a request passed every control of its route.
#[must_use]
pub struct Permit<B> {
    pub(crate) head: Head,
    pub(crate) conn: Conn,
    pub(crate) route: RouteId,
    pub(crate) target: TargetId,
    pub(crate) principal: Principal,
    pub(crate) told: Option<Told>,
    pub(crate) additions: AnswerFields,
    pub(crate) rewritten: Option<Rewritten>,
    pub(crate) body: Capped<B>,
    pub(crate) dialogue: Option<Box<Dialogue>>,
    pub(crate) recording: Recording,
}

/// A request as it goes upstream, and what remains here.
pub struct Shaped<B> {
    /// Where it goes.
    pub target: TargetId,
    /// Its route.
    pub route: RouteId,
    /// The address of the gateway to which its client connected.
    pub local: SocketAddr,
    /// Its method.
    pub method: Method,
    /// The canonical path, or what the route makes of it, and the query without credentials.
    pub path_and_query: PathAndQuery,
    /// End-to-end fields, without credentials, with forwarding and identity fields of the gateway's own. No `Host`.
    pub headers: HeaderMap,
    /// The host that the client asked for, with its port where it named one.
    pub host: HeaderValue,
    /// How the answer is changed; `None` where it is not.
    pub changes: Option<Arc<Changes>>,
    /// What the client asks for where answers are compressed; `None` where they are not.
    pub compression: Option<Wish>,
    /// How paths of the upstream are called outside, where the path was changed.
    pub places: Option<Places>,
    /// What the transport attached.
    pub extensions: Extensions,
    /// The protocol to which the client may switch; only where the route allows it.
    pub upgrade: Option<HeaderValue>,
    /// The body, under its cap.
    pub body: Capped<B>,
    /// Who sent it.
    pub principal: Principal,
    /// What the answer says beside what it says itself.
    pub told: Option<Told>,
    /// What the answer must pass before the client sees any of it; `None` where nothing looks into answers.
    pub examiner: Option<Box<Examiner>>,
    /// Who judges what the client says after the upgrade; `None` where nobody does.
    pub dialogue: Option<Box<Dialogue>>,
    /// What let it in, by which it can be judged again while it runs. Taken by whoever keeps it.
    pub admission: Option<Box<Admission>>,
    /// The account, still open.
    pub recording: Recording,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const CONSUMER_NAME: HeaderName = HeaderName::from_static("x-consumer-name");
const CONSUMER_ISSUER: HeaderName = HeaderName::from_static("x-consumer-issuer");
const CONSUMER_CLIENT: HeaderName = HeaderName::from_static("x-consumer-client");
const CONSUMER_SCOPES: HeaderName = HeaderName::from_static("x-consumer-scopes");
const CONSUMER_ROLES: HeaderName = HeaderName::from_static("x-consumer-roles");

impl<B> Permit<B> {
    /// Who sent the request.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The head that was judged.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Gives the request the shape in which it goes upstream: credentials gone, the way and the identity added.
    pub fn shape(self) -> Shaped<B> {
        let Permit {
            mut head,
            conn,
            route,
            target,
            principal,
            told,
            additions,
            rewritten,
            body,
            dialogue,
            mut recording,
        } = self;
        recording.begin(UPSTREAM);
        let snapshot: &Snapshot = recording.snapshot();
        let found = snapshot.routes.route(route);
        let controls = found.map(|route| &route.controls);
        let changes = found.and_then(|route| route.changes.clone());
        let examined = controls.is_some_and(|controls| controls.inspection.examines_answers());
        // Before anything is removed: what counts is what the client has sent.
        let compression = changes.as_ref().and_then(|changes| changes.compression.as_ref());
        let compression = compression.map(|settings| {
            let known = |location: &_| match location {
                CredentialLocation::Header(name) => head.headers().contains_key(name),
                // A cookie is one, whatever it is called; what stands in a query is sent by no browser unasked.
                CredentialLocation::Cookie(_) | CredentialLocation::Query(_) => false,
            };
            let identified = principal.authenticated_by().is_some() || snapshot.credentials.iter().any(known);
            settings.wish(head.headers(), identified)
        });
        let kept = |location: &_| controls.is_some_and(|controls| controls.keeps(location, &principal));
        for location in snapshot.credentials.iter().filter(|location| !kept(location)) {
            head.remove_credential(location);
        }
        if examined {
            head.ask_for_a_whole_answer();
        }
        let examiner =
            examined.then(|| Box::new(Examiner::new(head.clone(), conn.clone(), route, principal.clone())));
        let admission =
            Some(Box::new(Admission::new(head.without_fields(), conn.clone(), principal.clone())));
        let upgrade = head.upgrade().cloned();
        let host = head.authority();
        let way = head.way().clone();
        let (method, mut path_and_query, mut headers, extensions) = head.into_parts();
        let places = rewritten.map(|Rewritten { path, places }| {
            path_and_query = with_path(&path, path_and_query.query());
            places
        });
        // SECURITY: what is said in another protocol, or compressed, nobody has read
        // (nothing_but_the_protocol_that_is_judged_goes_on).
        if let Some(dialogue) = &dialogue {
            headers.remove(SEC_WEBSOCKET_EXTENSIONS);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(dialogue.protocol()));
        }
        // What the gateway itself says comes after, so that nothing here takes its place.
        if let Some(changes) = changes.as_ref().filter(|changes| !changes.request.is_empty()) {
            changes.request.apply(&mut headers);
        }

        let peer = conn.peer.ip().to_canonical();
        let chain = match &way.before {
            Some(before) => format!("{before}, {peer}"),
            None => peer.to_string(),
        };
        if let Ok(chain) = HeaderValue::try_from(chain) {
            headers.insert(X_FORWARDED_FOR, chain);
        }
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(way.scheme));
        headers.insert(X_FORWARDED_PORT, HeaderValue::from(way.port));
        headers.insert(X_FORWARDED_HOST, way.host.clone().unwrap_or_else(|| host.clone()));
        if snapshot.head.sends_forwarded
            && let Ok(forwarded) =
                HeaderValue::try_from(way.forwarded(peer, host.to_str().unwrap_or_default()))
        {
            headers.insert(FORWARDED, forwarded);
        }
        headers.insert(REQUEST_ID, recording.record().id.to_value());
        if let Some(trace) = &recording.record().trace {
            let (parent, state) = trace.fields();
            headers.insert(TRACEPARENT, parent);
            if let Some(state) = state {
                headers.insert(TRACESTATE, state);
            }
        }
        identify(&principal, &snapshot.consumers, &mut headers);
        for (name, value) in additions {
            headers.insert(name, value);
        }
        Shaped {
            target,
            route,
            local: conn.local,
            method,
            path_and_query,
            headers,
            host,
            changes,
            compression,
            places,
            extensions,
            upgrade,
            body,
            principal,
            told,
            examiner,
            dialogue,
            admission,
            recording,
        }
    }
}

/// This path with this query.
fn with_path(path: &PathAndQuery, query: Option<&str>) -> PathAndQuery {
    let Some(query) = query else { return path.clone() };
    // Two parts of targets that were parsed make one that is; whatever happens, the path is the one that was judged.
    format!("{path}?{query}").parse().unwrap_or_else(|_| path.clone())
}

/// Tells the upstream who sends the request.
fn identify(principal: &Principal, consumers: &Consumers, headers: &mut HeaderMap) {
    if let Some(name) = principal.name(consumers) {
        headers.insert(CONSUMER_NAME, plain(name));
    }
    if let Some(subject) = principal.as_subject() {
        headers.insert(CONSUMER_ISSUER, plain(&subject.issuer));
        if let Some(client) = &subject.client {
            headers.insert(CONSUMER_CLIENT, plain(client));
        }
    }
    for (field, list) in
        [(CONSUMER_ROLES, principal.roles(consumers)), (CONSUMER_SCOPES, principal.scopes(consumers))]
    {
        if !list.is_empty() {
            headers.insert(field, list_of(list));
        }
    }
}

/// A text as a field value: what is not visible ASCII is percent-encoded, and so are `%` and `,`.
// SECURITY: an issuer's role `reader,admin` is one role, and must not be two to the upstream (one_role_stays_one).
fn plain(text: &str) -> HeaderValue {
    // A space at an end would be lost on the way.
    let space = text.trim() == text;
    let harmless =
        |byte: u8| (byte.is_ascii_graphic() && !matches!(byte, b'%' | b',')) || (space && byte == b' ');
    if text.bytes().all(harmless)
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if harmless(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

fn list_of(list: &[String]) -> HeaderValue {
    if let [only] = list {
        return plain(only);
    }
    let mut joined = Vec::with_capacity(list.iter().map(|item| item.len() + 1).sum());
    for item in list {
        if !joined.is_empty() {
            joined.push(b',');
        }
        joined.extend_from_slice(plain(item).as_bytes());
    }
    HeaderValue::from_maybe_shared(Bytes::from(joined)).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_role_stays_one() {
        let roles = ["reader,admin".to_owned(), "100%".to_owned(), "K\u{f6}nig".to_owned(), "a b".to_owned()];
        assert_eq!(list_of(&roles), "reader%2Cadmin,100%25,K%C3%B6nig,a b");
        assert_eq!(plain("a\r\nX-Admin: 1"), "a%0D%0AX-Admin: 1");
        assert_eq!(plain(" a"), "%20a");
        assert_eq!(plain("user@example.com"), "user@example.com");
    }
}
