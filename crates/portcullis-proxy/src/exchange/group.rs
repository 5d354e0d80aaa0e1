//! Sends a request to one of the servers of a group, and to another one where that may be.
//!
//! A request goes to another server only if nothing of an answer has reached the client, the route's group says so for what went
//! wrong, and its effect cannot happen twice: the server had not a byte of it or did not process it by its own word, or its
//! method may be repeated and its body is remembered. What servers are asked again for is bounded, for each request and for the
//! group in all; a connection that could not be made costs no other server anything, and is not counted. Where nothing more can
//! be tried, the client gets what came of the last try.

use super::form::form;
use super::life::Life;
use super::seat::Seat;
use super::send::{Failed, Got, Terms, Unwanted, What, send as send_once};
use crate::upload::{ForwardedBody, Upload};
use crate::upstream::{Balance, Ends, Group, HashBy, Outcome, Pool, Retry, Tried, hash};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, StatusCode};
use portcullis_core::principal::Identity;
use portcullis_core::record::UpstreamAccount;
use portcullis_core::{Code, Denial, Principal, Recording};
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A request that goes from one server of a group to the other until it is answered.
///
/// The first try is sent like a request to a single server, so that a group costs little more. What is known of it is kept by its
/// seat from the beginning: one allocation until the answer has come.
pub(super) struct Trying(Box<Seat>);

impl Trying {
    /// A request comes to a group.
    ///
    /// # Errors
    /// The group has as many requests as it may.
    pub(super) fn new(
        group: &Rc<Group>,
        request: &mut Request<ForwardedBody>,
        path_and_query: PathAndQuery,
        value: Option<u64>,
        now: Instant,
    ) -> Result<Trying, Denial> {
        let entered = group.enter(now)?;
        let retry = &group.config.retry;
        if retry.attempts > 1 {
            request.body_mut().remember();
        }
        Ok(Trying(Box::new(Seat {
            group: Rc::clone(group),
            members: Some(group.members()),
            path_and_query,
            value,
            repeatable: retry.methods.contains(request.method()),
            running: None,
            tried: Tried::default(),
            counted: 0,
            taken: Cell::new(false),
            stream: false,
            _entered: entered,
        })))
    }

    /// Chooses the next server, and gives the request the form that it has for it: the connections to that server. `host` is the
    /// one that the client asked for, where the server gets it; `account` says which server was asked last, and how many were.
    ///
    /// # Errors
    /// No server has a weight.
    pub(super) fn next(
        &mut self,
        request: &mut Request<ForwardedBody>,
        host: Option<&HeaderValue>,
        account: &mut Option<UpstreamAccount>,
        now: Instant,
    ) -> Result<Rc<Pool>, Denial> {
        let seat = &mut *self.0;
        let members = seat.members.as_deref().unwrap_or_default();
        let Some(running) = seat.group.choose(members, seat.value, &mut seat.tried, now) else {
            account.get_or_insert_with(|| UpstreamAccount::of_group(Arc::clone(&seat.group.name)));
            return Err(Denial::new(Code::UpstreamUnreachable, "no server of the group has a weight"));
        };
        let pool = Rc::clone(running.pool());
        seat.running = Some(running);
        let name = Arc::clone(&pool.name);
        match account {
            Some(account) => (account.name, account.tries) = (name, account.tries + 1),
            None => *account = Some(UpstreamAccount::of_member(name, Arc::clone(&seat.group.name))),
        }
        seat.counted += 1;
        seat.taken.set(false);
        form(request, &pool, seat.path_and_query.clone(), host)?;
        Ok(pool)
    }

    /// What this try may take.
    pub(super) fn terms(&self, ends: Option<Ends>) -> Terms<'_> {
        let retry = &self.0.group.config.retry;
        let by_status = !retry.on_status.is_empty() && self.0.repeatable;
        Terms { limit: retry.try_timeout, ends, unwanted: by_status.then_some(self as &dyn Unwanted) }
    }

    /// The server has answered. The place of the request there, until its answer has come.
    pub(super) fn answered(mut self, status: StatusCode, now: Instant) -> Box<Seat> {
        self.0.answered(outcome_of(status), now);
        self.0
    }

    /// The server has not answered. The request, where it goes to another one.
    ///
    /// # Errors
    /// What the client is told: there is nothing more to try.
    pub(super) fn failed(
        &mut self,
        failed: Failed,
        now: Instant,
    ) -> Result<Box<Request<ForwardedBody>>, Denial> {
        let Failed { denial, what, request } = failed;
        let seat = &mut *self.0;
        if let Some(running) = seat.running.take() {
            seat.group.hear(&running, outcome(what), now);
        }
        let Some(request) = request else { return Err(denial) };
        let retry = &seat.group.config.retry;
        let free = matches!(what, What::Unreached | What::Full) && seat.has_another(now);
        if free && retry.on_connect {
            seat.counted -= 1;
        } else if !(seat.taken.get()
            || seat.counted < retry.attempts
                && is_retried(retry, what, seat.repeatable)
                && seat.group.take_retry(now))
        {
            return Err(denial);
        }
        Ok(request)
    }

    /// Sends the request to one server after the other, and waits for the head of an answer. With it come the connections to the
    /// server that gave it.
    ///
    /// # Errors
    /// No server has answered.
    pub(super) async fn send(
        mut self,
        life: &Rc<Life>,
        mut request: Box<Request<ForwardedBody>>,
        (upload, ends): (Option<&Upload>, Option<Ends>),
        host: Option<&HeaderValue>,
        account: &mut Option<UpstreamAccount>,
    ) -> Result<(Got, Rc<Pool>, Box<Seat>), Denial> {
        loop {
            let pool = self.next(&mut request, host, account, life.now())?;
            request = match send_once(&pool, life, *request, upload, self.terms(ends)).await {
                Ok(got) => {
                    let seat = self.answered(got.status(), life.now());
                    return Ok((got, pool, seat));
                }
                Err(failed) => self.failed(failed, life.now())?,
            };
        }
    }
}

impl Unwanted for Trying {
    fn is_unwanted(&self, status: StatusCode, now: Instant) -> bool {
        let seat = &*self.0;
        let retry = &seat.group.config.retry;
        let again = seat.repeatable
            && seat.counted < retry.attempts
            && retry.on_status.contains(&status)
            && seat.has_another(now)
            && seat.group.take_retry(now);
        seat.taken.set(again);
        again
    }
}

/// Whether this is a reason to try another server.
fn is_retried(retry: &Retry, what: What, repeatable: bool) -> bool {
    match what {
        What::Unreached => retry.on_connect,
        // The server says itself that the request had no effect there.
        What::Unprocessed => retry.on_reset,
        What::Reset => retry.on_reset && repeatable,
        What::Late => retry.on_timeout && repeatable,
        What::Full | What::Status(_) | What::Malformed | What::Other => false,
    }
}

/// What an answer says of its server. One client can bring about other errors with its own requests; these three say that the
/// server, or what it stands for, does not serve.
fn outcome_of(status: StatusCode) -> Outcome {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Failed
        }
        _ => Outcome::Answered,
    }
}

fn outcome(what: What) -> Outcome {
    match what {
        What::Unreached | What::Reset | What::Late | What::Malformed => Outcome::Failed,
        What::Status(status) => outcome_of(status),
        What::Full | What::Unprocessed | What::Other => Outcome::Unknown,
    }
}

/// The group that gets a request: the canary, or the group itself.
pub(super) fn chosen<'a>(group: &'a Rc<Group>, headers: &HeaderMap) -> &'a Rc<Group> {
    let (Some(settings), Some(canary)) = (&group.config.canary, &group.canary) else { return group };
    let by_header = settings.header.as_ref().is_some_and(|(name, value)| headers.get(name) == Some(value));
    let by_cookie = || {
        let wanted = settings.cookie.as_ref();
        wanted.is_some_and(|(name, value)| cookie(headers, name) == Some(value.as_bytes()))
    };
    if by_header || by_cookie() || group.draws(settings.share) { canary } else { group }
}

/// What decides which server a request gets. `None` where nothing does, or where the request does not have it.
pub(super) fn value(
    group: &Group,
    headers: &HeaderMap,
    principal: &Principal,
    recording: &Recording,
) -> Option<u64> {
    let Balance::Hash(by) = &group.config.balance else { return None };
    match by {
        HashBy::Header(name) => headers.get(name).map(|value| hash(value.as_bytes())),
        HashBy::Cookie(name) => cookie(headers, name).map(hash),
        HashBy::Address => match recording.record().client? {
            IpAddr::V4(address) => Some(hash(&address.octets())),
            IpAddr::V6(address) => address.octets().get(..8).map(hash),
        },
        HashBy::Consumer => match principal.identity() {
            Identity::Anonymous => None,
            Identity::Subject(subject) => {
                Some(hash(subject.issuer.as_bytes()) ^ hash(subject.name.as_bytes()).rotate_left(1))
            }
            Identity::Consumer(_) | Identity::Stored(_) => {
                principal.consumer(&recording.snapshot().consumers).map(|name| hash(name.as_bytes()))
            }
        },
    }
}

/// The value of a cookie: the first one of this name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let place = pair.iter().position(|byte| *byte == b'=')?;
        let (own, value) = pair.split_at_checked(place)?;
        (own == name.as_bytes()).then(|| value.get(1..)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_name_alone() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; bb=2;  b=3"));
        headers.append(COOKIE, HeaderValue::from_static("b=4; c"));
        let found = |name| cookie(&headers, name).map(|value| String::from_utf8(value.to_vec()).unwrap());
        assert_eq!(found("b").as_deref(), Some("3"));
        assert_eq!(found("a").as_deref(), Some("1"));
        assert_eq!((found("c"), found("B"), found("")), (None, None, None));
    }
}
