//! Sends what the engine lets through to an upstream, and the upstream's answer back.
//!
//! Every failure is a problem answer and a failed outcome. How often a request is tried is for `send` to say.

use super::answer::{Answer, Source};
use super::compressed::compress;
use super::examined::AnswerReader;
use super::fields::UPGRADE;
use super::form::form;
use super::group::{self, Trying};
use super::hygiene;
use super::life::Life;
use super::location::{self, Outside};
use super::mirror::{self, Original};
use super::respond::{answer_with, end_with_server_error, fail, refuse, respond};
use super::seat::Seat;
use super::send::{Failed, Got, Terms, discard, send};
use super::streams;
use super::tunnel::Tunnel;
use crate::body::ClientBody;
use crate::upload::{ForwardedBody, Upload};
use crate::upstream::{AnswerBody, Ends, Group, Pool, Switched};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use portcullis_core::answer::Told;
use portcullis_core::permit::Shaped;
use portcullis_core::record::UpstreamAccount;
use portcullis_core::route::changes::Changes;
use portcullis_core::route::compression::Wish;
use portcullis_core::{Code, Denial, Dialogue, Examined, Examiner, Principal, Recording, RouteId};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// To one server.
    One(&'a Rc<Pool>),
    /// To one of several.
    Group(&'a Rc<Group>),
}

impl Way<'_> {
    fn http2(self) -> bool {
        match self {
            Way::One(pool) => pool.upstream.http2,
            Way::Group(group) => group.http2(),
        }
    }
}

/// A request on its way. What is large, and rarely there, is behind a pointer: every byte of a task is copied for every request.
pub(crate) enum Going<'a> {
    /// To a server.
    There { target: Target<'a>, request: Request<ForwardedBody>, passed: Box<Passed<'a>> },
    /// To a handler.
    Elsewhere(Pin<Box<dyn Future<Output = Response<Answer>> + 'a>>),
    /// Nowhere: here is the answer.
    Answered(Response<Answer>),
}

/// The server that gets a request first.
pub(crate) enum Target<'a> {
    /// The only one.
    Server(&'a Rc<Pool>),
    /// One of several. A copy for another group goes out when it has answered.
    Member { trying: Trying, pool: Rc<Pool>, copy: Option<Box<mirror::Copy>> },
}

impl Going<'_> {
    /// Sends the request, and waits for its answer.
    pub(crate) async fn answer(self) -> Response<Answer> {
        match self {
            Going::There { target, request, passed } => there(target, request, passed).await,
            Going::Elsewhere(answering) => answering.await,
            Going::Answered(response) => response,
        }
    }
}

/// Makes a request ready for where it goes.
pub(crate) fn forward<'a>(way: Way<'a>, life: &'a Rc<Life>, shaped: Shaped<ClientBody>) -> Going<'a> {
    let Shaped {
        method,
        path_and_query,
        headers,
        host,
        changes,
        compression,
        places,
        upgrade,
        body,
        told,
        examiner,
        principal,
        route,
        local,
        dialogue,
        recording,
        ..
    } = shaped;
    if upgrade.is_some() && !body.is_end_stream() {
        // Where the body ends and the new protocol begins is more than one server's opinion.
        life.leave_unread(body.size_hint().exact());
        let denial = Denial::new(Code::UpgradeRefused, "an upgrade with a body");
        return Going::Answered(refuse(recording, denial, told.as_ref(), life));
    }
    if upgrade.is_some() && way.http2() {
        let denial =
            Denial::new(Code::UpgradeRefused, "the upstream speaks HTTP/2, which switches to nothing");
        return Going::Answered(refuse(recording, denial, told.as_ref(), life));
    }
    let begun = life.now();
    let (body, upload) = ForwardedBody::new(body, begun, streams::is_call(&headers).then_some(streams::IDLE));
    life.watch(upload.as_ref());
    let preserves_host = changes.as_ref().is_some_and(|changes| changes.preserve_host);
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers;
    if let Some(wish) = &upgrade {
        request.headers_mut().insert(header::CONNECTION, UPGRADE);
        request.headers_mut().insert(header::UPGRADE, wish.clone());
    }
    let ends = Some(ends_of(&recording, local));
    let mut passed = Box::new(Passed {
        method,
        upgrade,
        told,
        examiner,
        upload,
        recording,
        changes,
        compression,
        outside: Outside { host, places },
        dialogue,
        preserves_host,
        begun,
        ends,
        life,
    });
    let ready = match way {
        Way::One(pool) => {
            passed.recording.record_mut().upstream = Some(UpstreamAccount::of(Arc::clone(&pool.name)));
            form(&mut request, pool, path_and_query, passed.asked()).map(|()| Target::Server(pool))
        }
        Way::Group(group) => passed.enter(group, &mut request, path_and_query, (route, &principal)),
    };
    match ready {
        Ok(target) => Going::There { target, request, passed },
        Err(denial) => Going::Answered(passed.failed(denial)),
    }
}

/// Sends a request to a server, and to others where it fails there and may go on.
async fn there(
    target: Target<'_>,
    request: Request<ForwardedBody>,
    passed: Box<Passed<'_>>,
) -> Response<Answer> {
    let (pool, terms) = match &target {
        Target::Server(pool) => (*pool, Terms::of_the_server(passed.ends)),
        Target::Member { trying, pool, .. } => (pool, trying.terms(passed.ends)),
    };
    let sent = send(pool, passed.life, request, passed.upload.as_deref(), terms).await;
    let (got, pool, seat) = match (target, sent) {
        (Target::Server(pool), Ok(got)) => (got, Rc::clone(pool), None),
        (Target::Server(_), Err(failed)) => return passed.failed(failed.denial),
        (Target::Member { trying, pool, copy }, Ok(got)) => {
            copy.into_iter().for_each(mirror::Copy::send);
            let seat = trying.answered(got.status(), passed.life.now());
            (got, pool, Some(seat))
        }
        // Boxed, since it is rare.
        (Target::Member { trying, copy, .. }, Err(failed)) => {
            return Box::pin(elsewhere(trying, failed, copy, passed)).await;
        }
    };
    passed.got(&pool, seat, got).await
}

/// Sends a request to the other servers of a group.
async fn elsewhere(
    mut trying: Trying,
    failed: Failed,
    copy: Option<Box<mirror::Copy>>,
    mut passed: Box<Passed<'_>>,
) -> Response<Answer> {
    let sent = match trying.failed(failed, passed.life.now()) {
        Ok(request) => {
            let host = passed.preserves_host.then_some(&passed.outside.host);
            let whose = (passed.upload.as_deref(), passed.ends);
            let account = &mut passed.recording.record_mut().upstream;
            trying.send(passed.life, request, whose, host, account).await
        }
        Err(denial) => Err(denial),
    };
    copy.into_iter().for_each(mirror::Copy::send);
    match sent {
        Ok((got, pool, seat)) => passed.got(&pool, Some(seat), got).await,
        Err(denial) => passed.failed(denial),
    }
}

/// Whose request it is: the client that a trusted proxy names has no port.
fn ends_of(recording: &Recording, gateway: SocketAddr) -> Ends {
    let record = recording.record();
    let client = record.client.filter(|client| *client != record.peer.ip().to_canonical());
    Ends { client: client.map_or(record.peer, |client| SocketAddr::new(client, 0)), gateway }
}

/// What is known of a request while an upstream has it.
pub(crate) struct Passed<'a> {
    method: Method,
    upgrade: Option<HeaderValue>,
    told: Option<Told>,
    examiner: Option<Box<Examiner>>,
    upload: Option<Arc<Upload>>,
    recording: Recording,
    changes: Option<Arc<Changes>>,
    compression: Option<Wish>,
    outside: Outside,
    dialogue: Option<Box<Dialogue>>,
    preserves_host: bool,
    begun: Instant,
    ends: Option<Ends>,
    life: &'a Rc<Life>,
}

impl<'a> Passed<'a> {
    /// The host that the client asked for, where the server gets it.
    fn asked(&self) -> Option<&HeaderValue> {
        self.preserves_host.then_some(&self.outside.host)
    }

    /// Chooses the first server of a group.
    fn enter(
        &mut self,
        group: &'a Rc<Group>,
        request: &mut Request<ForwardedBody>,
        path_and_query: PathAndQuery,
        (route, principal): (RouteId, &Principal),
    ) -> Result<Target<'a>, Denial> {
        let host = self.preserves_host.then_some(&self.outside.host);
        let recording = &self.recording;
        let original = Original { path_and_query: &path_and_query, host, route, recording };
        let copy = mirror::prepare(group, request, &original);
        let group = group::chosen(group, request.headers());
        let value = group::value(group, request.headers(), principal, recording);
        let account = &mut self.recording.record_mut().upstream;
        let now = self.life.now();
        let begun = match Trying::new(group, request, path_and_query, value, now) {
            Ok(mut trying) => trying.next(request, host, account, now).map(|pool| (trying, pool)),
            Err(denial) => {
                *account = Some(UpstreamAccount::of_group(Arc::clone(&group.name)));
                Err(denial)
            }
        };
        match begun {
            Ok((trying, pool)) => Ok(Target::Member { trying, pool, copy }),
            Err(denial) => {
                copy.into_iter().for_each(mirror::Copy::send);
                Err(denial)
            }
        }
    }

    /// Records that a server has answered, or, without a status, that none has.
    fn took(&mut self, status: Option<StatusCode>) {
        let elapsed = self.life.now().saturating_duration_since(self.begun);
        if let Some(account) = &mut self.recording.record_mut().upstream {
            (account.elapsed, account.status) = (elapsed, status);
        }
    }

    /// The answer where no server has given one.
    fn failed(mut self: Box<Self>, denial: Denial) -> Response<Answer> {
        self.took(None);
        // SECURITY: if the client's body failed, that is what the client is told, not what came of it
        // (a_body_that_grows_beyond_the_cap_is_413).
        let denial = self.upload.as_deref().and_then(Upload::refused).unwrap_or(denial);
        let busy = denial.code() == Code::UpstreamBusy;
        let mut response = fail(self.recording, denial, self.told.as_ref(), self.life);
        if busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// The answer that a server has given.
    async fn got(
        mut self: Box<Self>,
        pool: &Pool,
        mut seat: Option<Box<Seat>>,
        got: Got,
    ) -> Response<Answer> {
        self.took(Some(got.status()));
        match got {
            Got::Answer(parts, body) => {
                let stream = streams::is_stream(&parts.headers);
                if let Some(seat) = seat.as_mut().filter(|_| stream) {
                    seat.streams();
                }
                let mut response = match self.read(pool, parts, body, stream) {
                    Read::Whole(response) => response,
                    Read::Examining(answering) => answering.await,
                };
                response.body_mut().sit(seat);
                response
            }
            Got::Switched(headers, switched) => self.switch(pool, headers, switched, seat),
        }
    }

    fn read(mut self: Box<Self>, pool: &Pool, mut parts: Parts, body: AnswerBody, stream: bool) -> Read<'a> {
        let status = parts.status;
        self.recording.answered(&parts.headers);
        if let Err(denial) = hygiene::judge(status, parts.version, &parts.headers) {
            return Read::Whole(fail(self.recording, denial, self.told.as_ref(), self.life));
        }
        let changes = self.changes.as_deref();
        if status.is_server_error() && !hygiene::passes_errors(changes, &parts.headers) {
            tokio::task::spawn_local(discard(body));
            let denial = Denial::new(
                Code::UpstreamFailed,
                format!("the upstream answered with status {}", status.as_u16()),
            );
            return Read::Whole(end_with_server_error(
                self.recording,
                denial,
                status,
                &parts.headers,
                self.told.as_ref(),
                self.life,
            ));
        }
        let id = self.recording.record().id;
        let bodiless = body.is_end_stream();
        hygiene::clean(&mut parts.headers, &self.method, bodiless, &id, changes, self.told.as_ref());
        location::hide(&mut parts.headers, &pool.upstream, &self.outside);
        // Streams of events (`text/event-stream`) and of gRPC messages are silent as long as nothing happens.
        let configured = pool.upstream.idle_body_timeout;
        let idle = if stream { configured.max(streams::IDLE) } else { configured };
        match self.examiner.take() {
            None => {
                let source = (Bytes::new(), Source::Upstream { body, idle });
                Read::Whole(self.pass(status, parts.headers, source))
            }
            Some(examiner) => {
                let reader = AnswerReader::new(body, idle, self.life);
                Read::Examining(Box::pin(self.examine(examiner, status, parts.headers, reader, idle)))
            }
        }
    }

    /// Has the checks look into the answer.
    async fn examine(
        mut self: Box<Self>,
        examiner: Box<Examiner>,
        status: StatusCode,
        mut headers: HeaderMap,
        reader: AnswerReader,
        idle: Duration,
    ) -> Response<Answer> {
        let source = match examiner.examine(&mut self.recording, status, &mut headers, reader).await {
            Ok(Examined::Unread(reader)) => {
                (Bytes::new(), Source::Upstream { body: reader.into_body(), idle })
            }
            Ok(Examined::Beyond { read, rest }) => (read, Source::Upstream { body: rest.into_body(), idle }),
            Ok(Examined::Whole(bytes)) => (Bytes::new(), Source::Local { body: bytes.into(), pump: None }),
            // If the request's body broke first, that is why.
            Err(denial) => {
                let upload = self.upload.as_deref().and_then(Upload::refused);
                let broken = upload.is_none()
                    && self.life.revoked().is_none()
                    && matches!(denial.code(), Code::UpstreamClosed | Code::UpstreamTimeout);
                let denial = upload.unwrap_or(denial);
                let mut response = fail(self.recording, denial, self.told.as_ref(), self.life);
                if broken {
                    response.body_mut().broke_off();
                }
                return response;
            }
        };
        self.pass(status, headers, source)
    }

    /// Passes an answer on: its status and fields, not the upstream's reason phrase.
    fn pass(
        self: Box<Self>,
        status: StatusCode,
        mut headers: HeaderMap,
        source: (Bytes, Source),
    ) -> Response<Answer> {
        let changes = self.changes.as_deref();
        let (read, content) = compress(changes, self.compression, &self.method, status, &mut headers, source);
        answer_with(status, headers, (read, content.into()), self.recording, self.upload, self.life)
    }

    /// The upstream switches protocols.
    fn switch(
        mut self: Box<Self>,
        pool: &Pool,
        mut headers: HeaderMap,
        switched: Switched,
        seat: Option<Box<Seat>>,
    ) -> Response<Answer> {
        // SECURITY: a switch that nobody asked for would carry unjudged requests (an_unasked_upgrade_is_refused).
        let accepted =
            headers.get(header::UPGRADE).filter(|_| headers.get_all(header::UPGRADE).iter().count() == 1);
        let agreed = match (&self.upgrade, accepted) {
            (Some(wish), Some(accepted)) => {
                accepted.as_bytes().eq_ignore_ascii_case(wish.as_bytes()).then(|| accepted.clone())
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        let Some(protocol) = agreed else {
            let denial = Denial::new(
                Code::UpstreamMalformed,
                "the upstream switched to a protocol that was not asked for",
            );
            return fail(self.recording, denial, self.told.as_ref(), self.life);
        };
        // SECURITY: what is said in another protocol, or compressed, nobody has read
        // (nothing_but_the_protocol_that_is_judged_goes_on).
        if self.dialogue.as_deref().is_some_and(|dialogue| !is_spoken(&headers, dialogue.protocol())) {
            let denial = Denial::new(
                Code::UpstreamMalformed,
                "the upstream chose another subprotocol, or an extension",
            );
            return fail(self.recording, denial, self.told.as_ref(), self.life);
        }
        hygiene::clean_upgrade(&mut headers, protocol, &self.recording.record().id);
        self.recording.record_mut().status = Some(StatusCode::SWITCHING_PROTOCOLS);
        let websocket = headers
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let upstream = &pool.upstream;
        let times = (upstream.tunnel_idle_timeout, upstream.tunnel_grace);
        let mut tunnel = Tunnel::new(switched, times, websocket, self.recording);
        tunnel.sit(seat);
        tunnel.hear(self.dialogue);
        self.life.keep_tunnel(tunnel);
        respond(StatusCode::SWITCHING_PROTOCOLS, headers, Answer::whole(Bytes::new(), self.life))
    }
}

/// Whether the upstream speaks this subprotocol of a WebSocket, and nothing else.
fn is_spoken(headers: &HeaderMap, protocol: &str) -> bool {
    let mut chosen = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    chosen.next().is_some_and(|chosen| chosen.as_bytes() == protocol.as_bytes())
        && chosen.next().is_none()
        && !headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
}

/// An answer that is passed on as it is, or after the checks have looked into it.
#[expect(clippy::large_enum_variant, reason = "nearly all are whole, and are taken apart at once")]
enum Read<'a> {
    Whole(Response<Answer>),
    Examining(Pin<Box<dyn Future<Output = Response<Answer>> + 'a>>),
}
