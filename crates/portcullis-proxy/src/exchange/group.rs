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
use super::send::{Failed, Got, Terms, What, send as send_once};
use crate::upload::{ForwardedBody, Upload};
use crate::upstream::{Balance, Ends, Group, HashBy, Outcome, Retry, Tried, hash};
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

/// A request that comes to a group.
pub(super) struct Arrival<'a> {
    pub(super) request: Request<ForwardedBody>,
    pub(super) path_and_query: PathAndQuery,
    /// The host that the client asked for, where the server gets it.
    pub(super) host: Option<&'a HeaderValue>,
    /// What decides which server it gets, where something does.
    pub(super) value: Option<u64>,
    pub(super) upload: Option<&'a Upload>,
    /// Whose request it is, for servers that hear that.
    pub(super) ends: Option<Ends>,
}

/// Sends a request, and waits for the head of the answer. `account` says which server was asked last, and how many were.
///
/// # Errors
/// The group has as many requests as it may, or no server has answered.
pub(super) async fn send(
    group: &Rc<Group>,
    life: &Rc<Life>,
    arrival: Arrival<'_>,
    account: &mut UpstreamAccount,
) -> Result<(Got, Box<Seat>), Denial> {
    let Arrival { mut request, path_and_query, host, value, upload, ends } = arrival;
    account.tries = 0;
    let entered = group.enter(life.now())?;
    let members = group.members();
    let retry = &group.config.retry;
    let repeatable = retry.methods.contains(request.method());
    if retry.attempts > 1 {
        request.body_mut().remember();
    }
    let mut tried = Tried::default();
    // Those that could not be reached do not count, as long as there is another server.
    let mut counted = 0;
    loop {
        let Some(running) = group.choose(&members, value, &mut tried, life.now()) else {
            return Err(Denial::new(Code::UpstreamUnreachable, "no server of the group has a weight"));
        };
        let pool = Rc::clone(running.pool());
        account.name = Arc::clone(&pool.name);
        account.tries += 1;
        counted += 1;
        let taken = Cell::new(false);
        let once_more = |status: StatusCode| {
            let again = repeatable
                && counted < retry.attempts
                && retry.on_status.contains(&status)
                && Group::has_another(&members, tried, life.now())
                && group.take_retry(life.now());
            taken.set(again);
            again
        };
        let by_status = !retry.on_status.is_empty() && repeatable;
        let terms = Terms {
            limit: retry.try_timeout,
            ends,
            unwanted: by_status.then_some(&once_more as &dyn Fn(StatusCode) -> bool),
        };
        let formed = form(request, &pool, path_and_query.clone(), host)?;
        let failed = match send_once(&pool, life, formed, upload, terms).await {
            Ok(got) => {
                group.hear(&running, outcome_of(got.status()), life.now());
                return Ok((got, Box::new(Seat::new(group, running, entered))));
            }
            Err(failed) => failed,
        };
        let Failed { denial, what, request: back } = failed;
        group.hear(&running, outcome(what), life.now());
        drop(running);
        let Some(back) = back else { return Err(denial) };
        let free =
            matches!(what, What::Unreached | What::Full) && Group::has_another(&members, tried, life.now());
        if free && retry.on_connect {
            counted -= 1;
        } else if !(taken.get()
            || counted < retry.attempts
                && is_retried(retry, what, repeatable)
                && group.take_retry(life.now()))
        {
            return Err(denial);
        }
        request = *back;
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
