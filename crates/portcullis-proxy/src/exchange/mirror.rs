//! Copies of requests for another group.
//!
//! A copy is made of what was let through, in the form in which it goes upstream, without any credential and without what the
//! gateway vouches for. It is sent when the request has its answer, or has failed, so it takes nothing from it; what comes of it is
//! read, up to a bound and within the mirror's own time, and goes nowhere. A request is not copied if its body is larger than 64 KiB or still coming when the answer
//! begins, if its query may hold a credential, or if too many copies are on their way.

use super::group::Trying;
use super::life::Life;
use super::send::{Got, discard};
use crate::state::Kind;
use crate::timeouts::Timeouts;
use crate::upload::{ForwardedBody, Tee};
use crate::upstream::Group;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::PathAndQuery;
use http::{Method, Request};
use portcullis_core::{CredentialLocation, Recording, RouteId};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The most copies of a group that a worker has on their way.
const MOST: usize = 64;
/// How often it is looked whether a try has taken too long.
const TICK: Duration = Duration::from_millis(100);

/// A request that may be copied, before it is sent.
pub(super) struct Copy {
    group: Rc<Group>,
    method: Method,
    path_and_query: PathAndQuery,
    headers: HeaderMap,
    host: Option<HeaderValue>,
    /// `None` where there is no body.
    body: Option<Rc<RefCell<Tee>>>,
}

/// What a copy is made of.
pub(super) struct Original<'a> {
    pub(super) path_and_query: &'a PathAndQuery,
    pub(super) host: Option<&'a HeaderValue>,
    pub(super) route: RouteId,
    pub(super) recording: &'a Recording,
}

/// What is needed for a copy of this request. `None` where there is none.
pub(super) fn prepare(
    group: &Rc<Group>,
    request: &mut Request<ForwardedBody>,
    original: &Original<'_>,
) -> Option<Box<Copy>> {
    let settings = group.config.mirror.as_ref()?;
    group.mirror.as_ref()?;
    if group.copies.get() >= MOST || !group.draws(settings.share) {
        return None;
    }
    let snapshot = original.recording.snapshot();
    let credentials = &snapshot.credentials;
    let in_query = credentials.iter().any(|location| matches!(location, CredentialLocation::Query(_)));
    if in_query && original.path_and_query.query().is_some() {
        return None;
    }
    // SECURITY: whoever gets copies could use what they carry (a_copy_carries_no_credential).
    let mut headers = request.headers().clone();
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE] {
        headers.remove(name);
    }
    for location in credentials {
        match location {
            CredentialLocation::Header(name) => drop(headers.remove(name)),
            CredentialLocation::Query(_) | CredentialLocation::Cookie(_) => {}
        }
    }
    let route = snapshot.routes.route(original.route)?;
    for name in route.controls.shape.iter().flat_map(|shape| shape.identity_fields()) {
        headers.remove(name);
    }
    Some(Box::new(Copy {
        group: Rc::clone(group),
        method: request.method().clone(),
        path_and_query: original.path_and_query.clone(),
        headers,
        host: original.host.cloned(),
        body: request.body_mut().tee(),
    }))
}

/// A copy on its way.
struct OnItsWay(Rc<Group>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get().saturating_sub(1));
    }
}

impl Copy {
    /// Sends it.
    pub(super) fn send(self: Box<Self>) {
        let Copy { group, method, path_and_query, headers, host, body } = *self;
        let Some(mirror) = group.mirror.clone() else { return };
        let Some(time) = group.config.mirror.as_ref().map(|mirror| mirror.timeout) else { return };
        let parts = match body {
            None => VecDeque::new(),
            Some(tee) => {
                let whole = tee.borrow_mut().take();
                let Some(parts) = whole else { return };
                parts
            }
        };
        let mut request = Request::new(ForwardedBody::of_parts(parts));
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        group.copies.set(group.copies.get() + 1);
        let on_its_way = OnItsWay(group);
        tokio::task::spawn_local(async move {
            let _on_its_way = on_its_way;
            let life = Rc::new(Life::new(Kind::Stream, Timeouts::default(), Instant::now()));
            let mut account = None;
            let Ok(trying) = Trying::new(&mirror, &mut request, path_and_query, None, life.now()) else {
                return;
            };
            let sent = async {
                let mut sent =
                    pin!(trying.send(&life, Box::new(request), (None, None), host.as_ref(), &mut account));
                // No connection of a client drives it, so its clock is looked after here.
                loop {
                    match tokio::time::timeout(TICK.min(time), &mut sent).await {
                        Ok(sent) => return sent,
                        Err(_) => life.tick(),
                    }
                }
            };
            // Whatever is still to do then is given up, with its connection.
            let whole = async {
                if let Ok((Got::Answer(_, body), _pool, _seat)) = sent.await {
                    discard(body).await;
                }
            };
            let _late = tokio::time::timeout(time, whole).await;
        });
    }
}
