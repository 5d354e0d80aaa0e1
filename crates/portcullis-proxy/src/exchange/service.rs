//! One request: it is judged, and then either refused or sent where its route says.
//!
//! This is the only place in which the front meets the engine. A client that goes away drops this future, and with it
//! everything that was done for the request; its record then says that it was aborted.

use super::answer::Answer;
use super::current::{Current, Destination};
use super::entry::Entry;
use super::fields::CLOSE;
use super::forward::{Going, Way, forward};
use super::grpc;
use super::life::Life;
use super::proof;
use super::respond::{self, fail, refuse_with_fields};
use super::shares::{Most, Share};
use super::streams;
use super::worker::Worker;
use crate::body::ClientBody;
use crate::upload::ForwardedBody;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response};
use http_body::Body;
use portcullis_core::{Code, Conn, Denial, Permit, Recording, Refused, judge};
use std::rc::Rc;
use std::sync::Arc;

/// Answers one request.
pub(crate) async fn answer(
    worker: Rc<Worker>,
    entry: Arc<Entry>,
    life: Rc<Life>,
    conn: Conn,
    parts: Parts,
    body: ClientBody,
) -> Response<Answer> {
    life.begin_request();
    let call = life.is_stream() && streams::is_call(&parts.headers);
    // SECURITY: taken once; a request that is judged by one plan and forwarded by another could go where nobody let it
    // (requests_belong_to_the_plan_that_they_met).
    let current = worker.current();
    let recording = Recording::open(current.snapshot.clone(), &conn);
    let mut remaining = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    if !entry.challenges.is_empty() && proof::is_asked(&parts) {
        let mut response = proof::answer(&entry.challenges, parts, &conn, recording, remaining, &life);
        say_if_last(&entry, &life, &mut response);
        return response;
    }
    if let Some(redirect) = &entry.redirect {
        let mut response = redirect.answer(parts, &conn, recording, remaining, &life);
        say_if_last(&entry, &life, &mut response);
        return response;
    }
    let misdirected = || entry.neighbours.as_ref().map_or(Ok(()), |neighbours| neighbours.judge(&parts));
    if let Err(denial) = entry.loop_name.judge(&parts.headers).and_then(|()| misdirected()) {
        life.leave_unread(remaining);
        let mut response = respond::refuse(recording, denial, None, &life);
        say_if_last(&entry, &life, &mut response);
        return response;
    }
    let judged = match judge(parts, conn, recording).await {
        Ok(cleared) => {
            let held = |body| {
                let (body, upload) = ForwardedBody::new(body, life.now(), None);
                life.watch(upload.as_ref());
                // From here on, what watches the body knows how much of it is left.
                remaining = Some(0);
                body
            };
            cleared.inspect(body, held).await
        }
        Err(refused) => Err(refused),
    };
    let (share, going) = match judged {
        Ok(permit) => pass(&worker, &current, &entry, &life, permit, remaining),
        Err(refused) => (None, Going::Answered(refuse(refused, remaining, &life))),
    };
    let mut response = going.answer().await;
    // SECURITY: a tunnel holds two connections for as long as it likes
    // (tunnels_count_among_the_requests_of_their_address).
    if let Some(share) = share.and_then(|share| life.keep_in_tunnel(share)) {
        response.body_mut().keep(share);
    }
    say_if_last(&entry, &life, &mut response);
    if call && response.body().is_whole() {
        grpc::translate(&mut response);
    }
    if let Some(hsts) = &entry.hsts {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    response
}

/// Says in an answer that the connection ends with it, if it does.
fn say_if_last(entry: &Entry, life: &Life, response: &mut Response<Answer>) {
    // A body that failed half-way leaves a connection whose next bytes nobody can place.
    if entry.drain.since().is_some() || life.left_unread() {
        response.headers_mut().entry(CONNECTION).or_insert(CLOSE);
    }
}

/// The answer to a request of an address that has as many as it may.
fn overloaded(permit: Permit<ClientBody>, life: &Rc<Life>) -> Response<Answer> {
    let shaped = permit.shape();
    let denial = Denial::new(Code::Overloaded, "too many requests at once from the client's address");
    let mut response = fail(shaped.recording, denial, shaped.told.as_ref(), life);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The answer to what is no request, with its account.
pub(crate) fn reject(worker: &Worker, life: &Rc<Life>, conn: &Conn, denial: Denial) -> Response<Answer> {
    life.begin_request();
    respond::refuse(Recording::open(worker.current().snapshot.clone(), conn), denial, None, life)
}

/// Answers and records what came as a request and is none. `named` are its method and target, as far as it has them.
pub(crate) fn refuse_head(
    worker: &Worker,
    entry: &Entry,
    life: &Rc<Life>,
    conn: &Conn,
    named: (Option<Method>, Option<PathAndQuery>),
    denial: Denial,
) -> Response<Answer> {
    life.begin_request();
    let mut recording = Recording::open(worker.current().snapshot.clone(), conn);
    let record = recording.record_mut();
    (record.method, record.target) = named;
    let mut response = refuse_with_fields(recording, denial, None, life);
    response.headers_mut().insert(CONNECTION, CLOSE);
    if let Some(hsts) = &entry.hsts {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    response
}

/// Takes the request's share of what its address may have at once, and makes it ready for where it goes.
fn pass<'a>(
    worker: &Worker,
    current: &'a Current,
    entry: &Entry,
    life: &'a Rc<Life>,
    permit: Permit<ClientBody>,
    remaining: Option<u64>,
) -> (Option<Share>, Going<'a>) {
    let client = permit.head().client();
    // SECURITY: whoever does not read holds connections to upstreams and parts of answers
    // (one_address_holds_no_more_than_its_share_of_requests).
    // A trusted proxy that does not say whose request it is has no share: it speaks for many.
    let speaks_for_many =
        || current.snapshot.head.trusted_proxies.iter().any(|network| network.contains(&client));
    let shares = worker.shares();
    let share = shares
        .take(client, entry.most)
        .or_else(|| speaks_for_many().then(|| shares.take(client, Most::ALL)).flatten());
    if share.is_none() {
        life.leave_unread(remaining);
        return (None, Going::Answered(overloaded(permit, life)));
    }
    let mut shaped = permit.shape();
    life.admit(shaped.admission.take());
    let going = match current.destination(shaped.target) {
        Some(Destination::Upstream(pool)) => {
            entry.loop_name.mark(&mut shaped.headers);
            forward(Way::One(pool), life, shaped)
        }
        Some(Destination::Group(group)) => {
            entry.loop_name.mark(&mut shaped.headers);
            forward(Way::Group(group), life, shaped)
        }
        Some(Destination::Handler(local)) => Going::Elsewhere(Box::pin(local.answer(life, shaped))),
        Some(Destination::Fixed(answer)) => Going::Answered(answer.answer(life, shaped)),
        None => {
            let denial = Denial::new(Code::Fault, "the plan names a target that the front does not have");
            Going::Answered(fail(shaped.recording, denial, shaped.told.as_ref(), life))
        }
    };
    (share, going)
}

/// The answer to a refusal. `remaining` of the body were announced and not read; `None` where nobody knows.
fn refuse(refused: Refused, remaining: Option<u64>, life: &Rc<Life>) -> Response<Answer> {
    // SECURITY: what remains of a refused request must never be read as the next one. A little is skipped; for more, the
    // connection ends with the answer (an_unread_body_is_never_a_request).
    life.leave_unread(remaining);
    refused.answer().map(|bytes| Answer::whole(bytes, life))
}
