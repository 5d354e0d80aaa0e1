//! A connection on which HTTP/2 is spoken: many requests at once, each with its own deadlines.
//!
//! Each stream is a task with a [`Life`] of its own, so that a request is served as on a connection that it has alone. The
//! connection itself is watched for what costs much and asks for nothing: streams that are opened and given up, and frames
//! without end that carry no request and no body. A connection that does so is closed, and the record says why. Bytes are
//! counted where they are read from the socket, so a body counts as one even while nobody has read it. What a peer can make
//! the gateway keep is bounded by h2's own limits, which are set here.

mod frames;

use self::frames::FrameMeter;
use crate::client::hyper_body::hyper_body;
use crate::client::watched::Watched;
use crate::exchange::life::{Due, FAREWELL, Life};
use crate::exchange::{Entry, Worker, service};
use crate::stream::Stream;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_core::{Code, Conn, Denial};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most requests at once on a connection.
const MAX_STREAMS: u32 = 100;
/// The largest list of fields. More than the engine's own bounds, so that its answer is the one that a client sees.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// How much of a body may come before it is read, for a stream and for all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of an answer is kept for a client that does not take it.
const SEND_BUFFER: usize = 128 * 1024;
/// Streams that a client opens and gives up before it is looked at, and streams that its mistakes end.
const MAX_PENDING_RESETS: usize = 20;
const MAX_ERROR_RESETS: usize = 100;

/// How many more streams than were answered a client may give up.
const MAX_GIVEN_UP: u64 = 100;
/// How many control bytes (anything but bodies) a connection may send: at first, for each request, for each byte of a body in
/// either direction, since small frames and window updates are no crime, and for each second, since pings keep it alive.
const CONTROL_BYTES: u64 = 1024 * 1024;
const CONTROL_BYTES_PER_REQUEST: u64 = 64 * 1024;
const CONTROL_BYTES_PER_BYTE: u64 = 16;
const CONTROL_BYTES_PER_SECOND: u64 = 256;

/// The timer is never set for less.
const GRAIN: Duration = Duration::from_millis(5);
/// How long a connection without a stream may stay after it was told to go.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the streams of a connection have in common.
struct Streams {
    /// The life of the stream whose task is made next: hyper hands a request over, and then its task.
    newest: Cell<Option<Rc<Life>>>,
    open: Cell<usize>,
    /// Since when there is no stream.
    quiet_since: Cell<Instant>,
    begun: Cell<u64>,
    answered: Cell<u64>,
    given_up: Cell<u64>,
    opened: Instant,
    /// What came in.
    meter: RefCell<FrameMeter>,
    /// Bytes of answers.
    sent: Cell<u64>,
}

impl Streams {
    fn new() -> Streams {
        Streams {
            newest: Cell::new(None),
            open: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            begun: Cell::new(0),
            answered: Cell::new(0),
            given_up: Cell::new(0),
            opened: Instant::now(),
            meter: RefCell::new(FrameMeter::new()),
            sent: Cell::new(0),
        }
    }

    fn begin(&self, life: &Rc<Life>) {
        self.newest.set(Some(Rc::clone(life)));
        self.open.set(self.open.get() + 1);
        self.begun.set(self.begun.get() + 1);
    }

    fn end(&self, life: &Life) {
        self.open.set(self.open.get().saturating_sub(1));
        if self.open.get() == 0 {
            self.quiet_since.set(Instant::now());
        }
        let count = if life.is_answered() { &self.answered } else { &self.given_up };
        count.set(count.get() + 1);
    }

    /// What the client does that nobody who wants an answer would.
    fn abuse(&self, now: Instant) -> Option<&'static str> {
        // SECURITY: each costs a request's work and nothing of the client's (a_rapid_reset_is_cut_off).
        if self.given_up.get() > MAX_GIVEN_UP.saturating_add(self.answered.get()) {
            return Some("the client gives up more streams than it waits for");
        }
        // SECURITY: pings, settings and empty frames are answered for nothing (a_flood_of_frames_is_cut_off).
        let (carried, control) = {
            let meter = self.meter.borrow();
            (meter.carried(), meter.control())
        };
        let requests = self.begun.get().saturating_mul(CONTROL_BYTES_PER_REQUEST);
        let bodies = carried.saturating_add(self.sent.get()).saturating_mul(CONTROL_BYTES_PER_BYTE);
        let age =
            now.saturating_duration_since(self.opened).as_secs().saturating_mul(CONTROL_BYTES_PER_SECOND);
        let allowed = CONTROL_BYTES.saturating_add(requests).saturating_add(bodies).saturating_add(age);
        (control > allowed).then_some("too many HTTP/2 control bytes for the requests on this connection")
    }
}

/// A client's socket whose bytes are counted.
struct Metered {
    socket: Watched,
    streams: Rc<Streams>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if let Some(bytes) = buf.filled().get(before..) {
            self.streams.meter.borrow_mut().read(bytes);
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Makes a task of each stream.
#[derive(Clone)]
struct Spawner(Rc<Streams>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        // Nothing but streams is made a task of: a protocol is not switched to here.
        let Some(life) = self.0.newest.take() else { return };
        let streams = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            let _over = Over { streams: Rc::clone(&streams), life: Rc::clone(&life) };
            run(future, &life, &streams).await;
        });
    }
}

/// Ends a stream's account, however it ends.
struct Over {
    streams: Rc<Streams>,
    life: Rc<Life>,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.streams.end(&self.life);
    }
}

/// Lets a stream work until it is done, or a deadline ends it.
async fn run(stream: impl Future<Output = ()>, life: &Life, streams: &Streams) {
    let mut stream = pin!(stream);
    let mut timer = pin!(tokio::time::sleep(FAREWELL));
    let mut armed: Option<Instant> = None;
    let mut sent = 0;
    poll_fn(|cx| {
        loop {
            life.tick();
            let done = stream.as_mut().poll(cx);
            let now_sent = life.sent();
            streams.sent.set(streams.sent.get().saturating_add(now_sent.saturating_sub(sent)));
            sent = now_sent;
            if done.is_ready() {
                return Poll::Ready(());
            }
            let Some((when, due)) = life.due(None) else { return Poll::Pending };
            if when <= life.now() {
                match due {
                    // SECURITY: a client that opens no window would keep its answer here (a_stalled_window_is_given_up).
                    Due::Answer => return Poll::Ready(()),
                    Due::Upload => {
                        life.expire_upload();
                        continue;
                    }
                    Due::Head | Due::Quiet | Due::Upstream => {}
                }
            }
            let when = when.max(life.now() + GRAIN);
            if armed.is_none_or(|armed| when < armed) {
                timer.as_mut().reset(when.into());
                armed = Some(when);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            armed = None;
        }
    })
    .await;
}

/// Why a connection is over.
enum Turn {
    /// hyper is done with it.
    Ended(Result<(), hyper::Error>),
    /// The client wants nothing, or takes nothing.
    Idle,
    /// The client does what nobody who wants an answer would.
    Abused(&'static str),
}

/// Serves a connection.
pub(crate) async fn serve(worker: Rc<Worker>, stream: Stream, conn: Conn, entry: Arc<Entry>) {
    let life = Rc::new(Life::new(entry.timeouts));
    let streams = Rc::new(Streams::new());
    let socket = Watched::new(stream, Rc::clone(&life));
    let io = TokioIo::new(Metered { socket, streams: Rc::clone(&streams) });
    let service = {
        let (worker, streams, conn, entry) =
            (Rc::clone(&worker), Rc::clone(&streams), conn.clone(), Arc::clone(&entry));
        service_fn(move |request: Request<Incoming>| {
            let life = Rc::new(Life::of_stream(entry.timeouts));
            streams.begin(&life);
            let (mut parts, body) = request.into_parts();
            join_cookies(&mut parts.headers);
            let body = hyper_body(body);
            let answer =
                service::answer(Rc::clone(&worker), Arc::clone(&entry), life, conn.clone(), parts, body);
            // Boxed, since hyper and the task it becomes move it several times, and it is large.
            Box::pin(async move { Ok::<_, Infallible>(answer.await) })
        })
    };
    let mut http = Builder::new(Spawner(Rc::clone(&streams)));
    http.max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS);
    let mut http = pin!(http.serve_connection(io, service));

    let mut timer = pin!(tokio::time::sleep(FAREWELL));
    let mut drain = pin!(entry.drain.begins());
    let mut leaving: Option<Instant> = None;
    let turn = poll_fn(|cx| {
        loop {
            life.tick();
            let now = life.now();
            if leaving.is_none() && drain.as_mut().poll(cx).is_ready() {
                leaving = Some(now);
                http.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(Turn::Ended(ended));
            }
            if let Some(why) = streams.abuse(now) {
                return Poll::Ready(Turn::Abused(why));
            }
            let blocked = life.blocked_until();
            let quiet = (streams.open.get() == 0).then(|| {
                let since = streams.quiet_since.get();
                match leaving {
                    Some(told) => since.max(told) + LAST_WORDS,
                    None if streams.begun.get() == 0 => since + entry.timeouts.header,
                    None => since + entry.timeouts.idle,
                }
            });
            if blocked.is_some_and(|until| until <= now) {
                return Poll::Ready(Turn::Idle);
            }
            if quiet.is_some_and(|until| until <= now) {
                if leaving.is_some() {
                    return Poll::Ready(Turn::Idle);
                }
                leaving = Some(now);
                http.as_mut().graceful_shutdown();
                continue;
            }
            let Some(next) = blocked.into_iter().chain(quiet).min() else { return Poll::Pending };
            timer.as_mut().reset(next.max(now + GRAIN).into());
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
    match turn {
        Turn::Ended(Ok(())) | Turn::Idle => {}
        Turn::Ended(Err(error)) => {
            if let Some(detail) = fault(&error) {
                worker.account(&conn, Denial::new(Code::Http2Refused, detail), false);
            }
        }
        Turn::Abused(why) => worker.account(&conn, Denial::new(Code::Http2Refused, why), false),
    }
}

/// What the client did wrong; `None` where it only went away.
fn fault(error: &hyper::Error) -> Option<String> {
    let cause = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    let its_own = cause.is_io() || cause.is_remote();
    (!its_own).then(|| cause.to_string())
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
