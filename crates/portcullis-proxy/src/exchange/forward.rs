//! Sends what the engine lets through to an upstream, and the upstream's answer back.
//!
//! Every failure is a problem answer and a failed outcome. How often a request is tried is for `send` to say.

use super::answer::{Answer, Source};
use super::examined::AnswerReader;
use super::fields::UPGRADE;
use super::hygiene;
use super::life::Life;
use super::location::{self, Outside};
use super::respond::{answer_with, end_with_server_error, fail, refuse, respond};
use super::send::{Got, send};
use super::streams;
use super::tunnel::Tunnel;
use crate::body::ClientBody;
use crate::upload::{ForwardedBody, Upload};
use crate::upstream::{AnswerBody, Pool, Switched};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use portcullis_core::answer::Told;
use portcullis_core::permit::Shaped;
use portcullis_core::record::UpstreamAccount;
use portcullis_core::route::changes::Changes;
use portcullis_core::{Code, Denial, Examined, Examiner, Recording};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How much of a body that nobody wants is read so that its connection can be used again.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Forwards a request to the upstream of this pool.
pub(crate) async fn forward(
    pool: &Rc<Pool>,
    life: &Rc<Life>,
    shaped: Shaped<ClientBody>,
) -> Response<Answer> {
    let Shaped {
        method,
        path_and_query,
        mut headers,
        host,
        changes,
        places,
        upgrade,
        body,
        told,
        examiner,
        mut recording,
        ..
    } = shaped;
    if upgrade.is_some() && !body.is_end_stream() {
        // Where the body ends and the new protocol begins is more than one server's opinion.
        life.leave_unread(body.size_hint().exact());
        let denial = Denial::new(Code::UpgradeRefused, "an upgrade with a body");
        return refuse(recording, denial, told.as_ref(), life);
    }
    if upgrade.is_some() && pool.upstream.http2 {
        let denial =
            Denial::new(Code::UpgradeRefused, "the upstream speaks HTTP/2, which switches to nothing");
        return refuse(recording, denial, told.as_ref(), life);
    }
    let account = UpstreamAccount { name: Arc::clone(&pool.name), status: None, elapsed: Duration::ZERO };
    recording.record_mut().upstream = Some(account);
    let Some(uri) = target(&pool.upstream.base_path, path_and_query) else {
        return fail(
            recording,
            Denial::new(Code::Fault, "the target has no form under the base path"),
            told.as_ref(),
            life,
        );
    };
    let begun = life.now();
    let (body, upload) = ForwardedBody::new(body, begun, streams::is_call(&headers).then_some(streams::IDLE));
    life.watch(upload.as_ref());
    let preserved = changes.as_ref().is_some_and(|changes| changes.preserve_host);
    headers.insert(header::HOST, if preserved { host.clone() } else { pool.host.clone() });
    if let Some(wish) = &upgrade {
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, wish.clone());
    }
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;

    let formed = pool.formed(request).and_then(|request| {
        if preserved && pool.upstream.http2 { with_authority(request, &host) } else { Some(request) }
    });
    let Some(request) = formed else {
        let denial = Denial::new(Code::Fault, "the request has no form in HTTP/2");
        return fail(recording, denial, told.as_ref(), life);
    };
    let sent = send(pool, life, request, upload.as_deref()).await;
    if let Some(account) = &mut recording.record_mut().upstream {
        account.elapsed = life.now().saturating_duration_since(begun);
        account.status = sent.as_ref().ok().map(Got::status);
    }
    match sent {
        Ok(got) => {
            let outside = Outside { host, places };
            let passed =
                Passed { method, upgrade, told, examiner, upload, recording, changes, outside, pool, life };
            match got {
                Got::Answer(parts, body) => passed.answer(parts, body).await,
                Got::Switched(headers, switched) => passed.switch(headers, switched),
            }
        }
        // SECURITY: if the client's body failed, that is what the client is told, not what came of it
        // (a_body_that_grows_beyond_the_cap_is_413).
        Err(denial) => fail(
            recording,
            upload.as_deref().and_then(Upload::refused).unwrap_or(denial),
            told.as_ref(),
            life,
        ),
    }
}

/// The request target at the upstream. `None` where it has no form, which no canonical target can bring about.
fn target(base: &str, path_and_query: PathAndQuery) -> Option<Uri> {
    if base.is_empty() {
        return Some(path_and_query.into());
    }
    format!("{base}{path_and_query}").parse::<PathAndQuery>().ok().map(Into::into)
}

/// A request of HTTP/2 for this host. `None` where it has no form, which no canonical host can bring about.
fn with_authority(mut request: Request<ForwardedBody>, host: &HeaderValue) -> Option<Request<ForwardedBody>> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some(request)
}

/// A request that an upstream has answered.
struct Passed<'a> {
    method: Method,
    upgrade: Option<HeaderValue>,
    told: Option<Told>,
    examiner: Option<Box<Examiner>>,
    upload: Option<Arc<Upload>>,
    recording: Recording,
    changes: Option<Arc<Changes>>,
    outside: Outside,
    pool: &'a Pool,
    life: &'a Rc<Life>,
}

impl Passed<'_> {
    async fn answer(mut self, mut parts: Parts, body: AnswerBody) -> Response<Answer> {
        let status = parts.status;
        self.recording.answered(&parts.headers);
        if let Err(denial) = hygiene::judge(status, parts.version, &parts.headers) {
            return fail(self.recording, denial, self.told.as_ref(), self.life);
        }
        let changes = self.changes.as_deref();
        if status.is_server_error() && !hygiene::passes_errors(changes, &parts.headers) {
            tokio::task::spawn_local(discard(body));
            let denial = Denial::new(
                Code::UpstreamFailed,
                format!("the upstream answered with status {}", status.as_u16()),
            );
            return end_with_server_error(
                self.recording,
                denial,
                status,
                &parts.headers,
                self.told.as_ref(),
                self.life,
            );
        }
        let id = self.recording.record().id;
        let bodiless = body.is_end_stream();
        hygiene::clean(&mut parts.headers, &self.method, bodiless, &id, changes, self.told.as_ref());
        location::hide(&mut parts.headers, &self.pool.upstream, &self.outside);
        let idle = idle_time(self.pool.upstream.idle_body_timeout, &parts.headers);
        let (read, source) = match self.examiner.take() {
            None => (Bytes::new(), Source::Upstream { body, idle }),
            Some(examiner) => {
                let reader = AnswerReader::new(body, idle, self.life);
                let headers = &mut parts.headers;
                match examiner.examine(&mut self.recording, status, headers, reader).await {
                    Ok(Examined::Unread(reader)) => {
                        (Bytes::new(), Source::Upstream { body: reader.into_body(), idle })
                    }
                    Ok(Examined::Beyond { read, rest }) => {
                        (read, Source::Upstream { body: rest.into_body(), idle })
                    }
                    Ok(Examined::Whole(bytes)) => {
                        (Bytes::new(), Source::Local { body: bytes.into(), pump: None })
                    }
                    // If the request's body broke first, that is why.
                    Err(denial) => {
                        let denial = self.upload.as_deref().and_then(Upload::refused).unwrap_or(denial);
                        return fail(self.recording, denial, self.told.as_ref(), self.life);
                    }
                }
            }
        };
        // Only status and fields are passed on; the upstream's reason phrase is not.
        answer_with(status, parts.headers, (read, source), self.recording, self.upload, self.life)
    }

    /// The upstream switches protocols.
    fn switch(mut self, mut headers: HeaderMap, switched: Switched) -> Response<Answer> {
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
        hygiene::clean_upgrade(&mut headers, protocol, &self.recording.record().id);
        self.recording.record_mut().status = Some(StatusCode::SWITCHING_PROTOCOLS);
        let websocket = headers
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let upstream = &self.pool.upstream;
        let times = (upstream.tunnel_idle_timeout, upstream.tunnel_grace);
        let tunnel = Tunnel::new(switched, times, websocket, self.recording);
        self.life.keep_tunnel(tunnel);
        respond(StatusCode::SWITCHING_PROTOCOLS, headers, Answer::whole(Bytes::new(), self.life))
    }
}

/// How long an answer with this head may pause: streams of events (`text/event-stream`) and of gRPC messages are silent as long
/// as nothing happens.
fn idle_time(configured: Duration, headers: &HeaderMap) -> Duration {
    if streams::is_stream(headers) { configured.max(streams::IDLE) } else { configured }
}

/// Reads a little of a body that nobody wants, so that its connection can be used again.
async fn discard(mut body: AnswerBody) {
    let read = async {
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            size += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if size > DRAIN_BYTES {
                return None;
            }
        }
        Some(())
    };
    // At its end the connection goes back; before it, the connection is closed.
    if let Ok(Some(())) = tokio::time::timeout(DRAIN_TIME, read).await {
        body.finish();
    }
}
