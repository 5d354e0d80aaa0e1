//! One stream: a request, and its answer.
//!
//! It is a task with a [`Life`] of its own, so that a request is served as on a connection that it has alone. It ends when the
//! answer is handed on, when the client gives it up, or at a deadline. Nothing of an answer is fetched before the client takes
//! some of it.

use super::Shared;
use super::body::body;
use crate::client::drive::{Driven, Then, drive};
use crate::exchange::life::Life;
use crate::exchange::{date, service};
use crate::state::{Due, Event, Kind};
use crate::upstream::Interim;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use http_body::Body;
use portcullis_core::{Code, Denial};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// A stream may wait so many times longer for its window while its connection takes other answers: the windows of a connection
/// are given out in turn.
const TURNS: u32 = 10;

/// A part of an answer that is smaller than this, and not its end, waits for the window to open further, until nothing else has
/// gone out on the connection for so long: where many streams share its window, they would send pieces of a few bytes.
const SMALL_PART: usize = 1024;
const SMALL_PART_WAITS: Duration = Duration::from_millis(50);

/// Ends a stream's account, however it ends.
struct Over<'a>(&'a Shared, &'a Life);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let Over(shared, life) = self;
        shared.ledger.end(life.is_answered());
        if shared.ledger.is_quiet() {
            shared.life.happened(Event::Answered, life.now());
        }
    }
}

/// Serves a stream until it is done, or a deadline ends it.
pub(super) async fn serve(shared: Rc<Shared>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let life = Rc::new(Life::new(Kind::Stream, shared.entry.timeouts, shared.life.now()));
    let _over = Over(&shared, &life);
    let _enrolled = shared.worker.enroll(&life);
    // Boxed, since it is large and the task would be moved with it.
    let serving = Box::pin(exchange(&shared, &life, request, respond));
    drive(&life, None, &mut Serving { shared: &shared, life: &life, serving }).await;
}

/// What serves a stream, with its deadlines.
struct Serving<'a, F> {
    shared: &'a Shared,
    life: &'a Life,
    serving: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Driven for Serving<'_, F> {
    type End = ();

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.serving.as_mut().poll(cx)
    }

    fn passed(&mut self, due: Due) -> Then<()> {
        let now = self.life.now();
        match due {
            // SECURITY: a client that opens no window would keep its answer here (a_stalled_window_is_given_up).
            Due::Answer => turn_comes(self.shared, self.life, now).map_or(Then::End(()), Then::Wait),
            Due::Upload => {
                self.life.expire_upload();
                Then::GoOn
            }
            Due::Revoked | Due::Over => Then::End(()),
            Due::Upstream | Due::Leave | Due::Head => Then::Wait(now),
        }
    }
}

/// Until when a stream whose window is shut may wait on, since its connection takes other answers; `None` for no longer.
fn turn_comes(shared: &Shared, life: &Life, now: Instant) -> Option<Instant> {
    let limit = shared.entry.timeouts.body;
    let end = life.blocked_since()?.checked_add(limit.checked_mul(TURNS)?)?;
    let moves = shared.ledger.last_sent().checked_add(limit)?;
    (now < end && now < moves).then_some(end.min(moves))
}

async fn exchange(
    shared: &Shared,
    life: &Rc<Life>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (mut parts, parts_of_body) = request.into_parts();
    let body = body(&parts.headers, parts_of_body);
    let head = parts.method == Method::HEAD;
    let (worker, entry, conn) = (Rc::clone(&shared.worker), Arc::clone(&shared.entry), shared.conn.clone());
    let response = match well_formed(&parts.headers) {
        Ok(()) => {
            join_cookies(&mut parts.headers);
            let mut answering = pin!(service::answer(worker, entry, Rc::clone(life), conn, parts, body));
            let answered = poll_fn(|cx| {
                if respond.poll_reset(cx).is_ready() {
                    return Poll::Ready(None);
                }
                let answered = answering.as_mut().poll(cx).map(Some);
                // What the upstream says before its answer goes first, also when both have come at once.
                for interim in life.take_interim() {
                    tell_before(&mut respond, interim);
                }
                answered
            });
            // The client has given it up, or is gone.
            let Some(response) = answered.await else { return };
            response
        }
        Err(denial) => service::reject(&worker, life, &conn, denial),
    };
    let (mut parts, mut answer) = response.into_parts();
    // What is said of a connection has no place here (RFC 9113, section 8.2.2); a client is told to go by GOAWAY.
    parts.headers.remove(CONNECTION);
    date(&mut parts.headers, life.now());
    if !answer.is_end_stream()
        && let Some(length) = answer.size_hint().exact()
    {
        parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    if head {
        // A refusal has a text, of which HEAD gets the length alone (RFC 9110, section 9.3.2).
        answer.empty();
    }
    let is_whole = answer.is_end_stream();
    let Ok(mut send) = respond.send_response(Response::from_parts(parts, ()), is_whole) else { return };
    if is_whole {
        return;
    }
    loop {
        if !window(&mut send, life, 1).await {
            return;
        }
        if !poll_fn(|cx| shared.outbox.poll_room(cx)).await {
            return;
        }
        let frame = poll_fn(|cx| match send.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(Err(())),
            Poll::Pending => Pin::new(&mut answer).poll_frame(cx).map(Ok),
        });
        let last = match frame.await {
            Err(()) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    let last = answer.is_end_stream();
                    if !hand_on(shared, life, &mut send, data, last).await {
                        return;
                    }
                    last
                }
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => {
                        let _gone = send.send_trailers(trailers);
                        true
                    }
                    Err(_) => false,
                },
            },
            Ok(Some(Err(_))) => {
                // An answer that breaks off must not look complete.
                send.send_reset(Reason::INTERNAL_ERROR);
                return;
            }
            Ok(None) => {
                let _gone = send.send_data(Bytes::new(), true);
                true
            }
        };
        if last {
            return;
        }
    }
}

/// Sends an informational answer (RFC 9113, section 8.1). One that cannot be sent is left out: nobody waits for it.
fn tell_before(respond: &mut SendResponse<Bytes>, interim: Interim) {
    let mut response = Response::new(());
    *response.status_mut() = interim.status;
    *response.headers_mut() = interim.headers;
    let _gone = respond.send_informational(response);
}

/// Hands a part of an answer on as far as the stream's window goes. `false` if nobody takes it any more.
async fn hand_on(
    shared: &Shared,
    life: &Life,
    send: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
) -> bool {
    loop {
        if !data.is_empty() {
            if !window(send, life, data.len()).await {
                return false;
            }
            let enough = data.len().min(SMALL_PART);
            if send.capacity() < enough {
                if !wider_window(shared, send, life, enough).await {
                    return false;
                }
                life.wrote_some();
            }
        }
        // SECURITY: looked at again right before, since streams that all found room would each add a part (what_one_address_leaves_unread_on_http2_is_bounded).
        if !poll_fn(|cx| shared.outbox.poll_room(cx)).await {
            return false;
        }
        let part = data.split_to(data.len().min(send.capacity()));
        let size = part.len();
        let ends = last && data.is_empty();
        if send.send_data(part, ends).is_err() {
            return false;
        }
        shared.outbox.handed_on(size);
        shared.ledger.sent(size, life.now());
        if data.is_empty() {
            return true;
        }
    }
}

/// Waits until the client takes some of so much; `false` if it never will.
async fn window(send: &mut SendStream<Bytes>, life: &Life, wanted: usize) -> bool {
    send.reserve_capacity(wanted);
    let open = poll_fn(|cx| poll_window(send, life, 1, cx)).await;
    life.wrote_some();
    open
}

/// Waits until the window is open so wide, or until it is clear that it will not be. `false` if nobody takes anything any more.
async fn wider_window(shared: &Shared, send: &mut SendStream<Bytes>, life: &Life, enough: usize) -> bool {
    loop {
        let wider = poll_fn(|cx| poll_window(send, life, enough, cx));
        if let Ok(open) = tokio::time::timeout(SMALL_PART_WAITS, wider).await {
            return open;
        }
        if shared.ledger.last_sent().elapsed() >= SMALL_PART_WAITS {
            return true;
        }
    }
}

/// Ready with `true` when at least so much can be handed on.
fn poll_window(send: &mut SendStream<Bytes>, life: &Life, enough: usize, cx: &mut Context<'_>) -> Poll<bool> {
    if send.poll_reset(cx).is_ready() {
        return Poll::Ready(false);
    }
    while send.capacity() < enough {
        life.write_blocks();
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(false),
        }
    }
    Poll::Ready(true)
}

/// Whether no field value begins or ends with a space or a tab, which one server removes and another keeps (RFC 9113, section
/// 8.2.1).
fn well_formed(headers: &HeaderMap) -> Result<(), Denial> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    // SECURITY: such a request is malformed (values_with_space_around_them_are_refused).
    match headers.iter().find(|(_, value)| blank(value.as_bytes().first()) || blank(value.as_bytes().last()))
    {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!("the value of {name} begins or ends with a space or a tab");
            Err(Denial::new(Code::MalformedRequest, detail))
        }
    }
}

/// A client may send its cookies in several fields, which HTTP/1.1 does not know (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().count() < 2 {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // What is not a field's value was none before.
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}
