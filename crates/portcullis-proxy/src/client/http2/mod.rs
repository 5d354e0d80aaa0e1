//! A connection on which HTTP/2 is spoken: many requests at once, each with its own deadlines.
//!
//! The `h2` crate speaks the protocol. The connection's own task accepts streams, keeps its deadlines and decides when it ends;
//! each stream is a task (`stream`). What a client does that costs much and asks for nothing is counted in a `ledger`, at the
//! socket. What a peer can make the gateway keep is bounded by h2's own limits, which are set here, and by the `outbox`.
//!
//! | state | ends |
//! |---|---|
//! | nothing was asked yet | after `timeouts.header`: the client is told to go |
//! | open | without a request, after `timeouts.idle`: the client is told to go |
//! | leaving: told to go (GOAWAY), running requests finish | when there has been no request for a second |
//! | condemned: abusive; told to go, running requests finish, others are refused | likewise, or at once if it goes on |
//!
//! In every state, a client that takes none of what was written for `timeouts.body` is cut off.

mod body;
mod frames;
mod ledger;
mod outbox;
mod stream;

use self::ledger::{Conduct, Ledger};
use self::outbox::Outbox;
use super::timer::Timer;
use super::watched::Watched;
use crate::exchange::life::Life;
use crate::exchange::{Entry, Worker};
use crate::stream::Stream;
use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection};
use portcullis_core::{Code, Conn, Denial};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most requests at once on a connection.
const MAX_STREAMS: u32 = 100;
/// The largest list of fields. More than the engine's own bounds, so that its answer is the one that a client sees.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// How much of a body may come before it is read, for a stream and for all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of an answer is kept for a client that has opened its window.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client opens and gives up before they are looked at, and streams that its mistakes end. Those of a trusted
/// proxy are the doing of many clients.
const MAX_PENDING_RESETS: usize = 20;
const MAX_PENDING_RESETS_OF_A_PROXY: usize = 1000;
const MAX_ERROR_RESETS: usize = 1000;

/// How long a connection without a stream may stay after it was told to go.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the streams of a connection have in common.
struct Shared {
    worker: Rc<Worker>,
    entry: Arc<Entry>,
    conn: Conn,
    ledger: Ledger,
    outbox: Outbox,
}

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Requests are taken.
    Open,
    /// The client was told to go, then.
    Leaving(Instant),
    /// The client is abusive, and was told to go then.
    Condemned(Instant),
}

/// Why a connection is over.
enum Ended {
    /// h2 is done with it.
    Done,
    /// The client broke the protocol, or is gone.
    Broken(h2::Error),
    /// The client wants nothing, or takes nothing.
    Idle,
    /// The client was told to go, and goes on with what it was told for.
    Cut,
}

/// Serves a connection.
pub(super) async fn serve(worker: Rc<Worker>, stream: Stream, conn: Conn, entry: Arc<Entry>) {
    let proxy = {
        let peer = conn.peer.ip().to_canonical();
        worker.current().snapshot.head.trusted_proxies.iter().any(|network| network.contains(&peer))
    };
    let life = Rc::new(Life::new(entry.timeouts));
    // What a trusted proxy does not read is not the doing of one address.
    let unread = (!proxy).then(|| worker.shares().unread(conn.peer.ip(), entry.most.unread));
    let outbox = Outbox::new(unread);
    let shared = Rc::new(Shared { worker, entry, conn, ledger: Ledger::new(proxy), outbox });
    let socket = Metered { socket: Watched::new(stream, Rc::clone(&life)), shared: Rc::clone(&shared) };
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(if proxy {
            MAX_PENDING_RESETS_OF_A_PROXY
        } else {
            MAX_PENDING_RESETS
        })
        .max_local_error_reset_streams((!proxy).then_some(MAX_ERROR_RESETS));
    let _closing = Closing(&shared.outbox);
    let ended = match tokio::time::timeout(shared.entry.timeouts.header, builder.handshake(socket)).await {
        Ok(Ok(http)) => drive(&shared, &life, http).await,
        Ok(Err(error)) => Ended::Broken(error),
        Err(_) => Ended::Idle,
    };
    let mut unaccounted = shared.ledger.unaccounted();
    if let Ended::Broken(error) = ended
        && let Some(detail) = fault(&error)
    {
        // If it was a stream's head that broke it, this is the account of that stream.
        unaccounted = unaccounted.saturating_sub(1);
        account(&shared, detail);
    }
    for _ in 0..unaccounted {
        account(&shared, NO_REQUEST);
    }
}

/// Tells the streams when the connection is over, however it ends.
struct Closing<'a>(&'a Outbox);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

const NO_REQUEST: &str = "a stream that became no request: its head is malformed, or too many were open";

fn account(shared: &Shared, detail: impl Into<std::borrow::Cow<'static, str>>) {
    shared.worker.account(&shared.conn, Denial::new(Code::Http2Refused, detail), false);
}

/// Takes streams until the connection is over.
async fn drive(shared: &Rc<Shared>, life: &Life, mut http: Connection<Metered, Bytes>) -> Ended {
    let Shared { ledger, outbox, entry, .. } = &**shared;
    let opened = Instant::now();
    let sleep = pin!(tokio::time::sleep(LAST_WORDS));
    let mut timer = Timer::new(sleep);
    let mut drain = pin!(entry.drain.begins());
    let mut drained = false;
    let mut state = State::Open;
    poll_fn(|cx| {
        loop {
            life.tick();
            let now = life.now();
            if !drained && drain.as_mut().poll(cx).is_ready() {
                drained = true;
                if state == State::Open {
                    state = State::Leaving(now);
                    http.graceful_shutdown();
                }
            }
            match http.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, mut respond)))) => {
                    match state {
                        State::Open | State::Leaving(_) => {
                            ledger.begin();
                            tokio::task::spawn_local(stream::serve(Rc::clone(shared), request, respond));
                        }
                        State::Condemned(_) => {
                            ledger.reject();
                            respond.send_reset(Reason::REFUSED_STREAM);
                            account(shared, "a stream of an abusive connection");
                        }
                    }
                    if ledger.conduct(now) == Conduct::Relentless {
                        return Poll::Ready(Ended::Cut);
                    }
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Ended::Broken(error)),
                Poll::Ready(None) => return Poll::Ready(Ended::Done),
                Poll::Pending => {}
            }
            // While something waits to be written, h2 may not have looked at all that was read.
            if life.blocked_since().is_none() {
                outbox.emptied();
                for _ in 0..ledger.unaccounted() {
                    ledger.reject();
                    account(shared, NO_REQUEST);
                }
            }
            // SECURITY: the requests that run have done nothing wrong; only who goes on is cut off at once
            // (what_runs_on_an_abusive_connection_finishes).
            match (ledger.conduct(now), state) {
                (Conduct::Relentless, _) => return Poll::Ready(Ended::Cut),
                (Conduct::Abusive(_), State::Condemned(_)) | (Conduct::Fine, _) => {}
                (Conduct::Abusive(why), State::Open | State::Leaving(_)) => {
                    account(shared, why);
                    state = State::Condemned(now);
                    http.graceful_shutdown();
                    continue;
                }
            }
            let quiet = ledger.quiet_since().map(|since| match state {
                State::Open if ledger.has_begun() => since + entry.timeouts.idle,
                State::Open => opened + entry.timeouts.header,
                State::Leaving(told) | State::Condemned(told) => since.max(told) + LAST_WORDS,
            });
            let blocked = life.blocked_until();
            if blocked.is_some_and(|until| until <= now) {
                return Poll::Ready(Ended::Idle);
            }
            if quiet.is_some_and(|until| until <= now) {
                match state {
                    State::Open => {
                        state = State::Leaving(now);
                        http.graceful_shutdown();
                        continue;
                    }
                    State::Leaving(_) | State::Condemned(_) => return Poll::Ready(Ended::Idle),
                }
            }
            let Some(next) = blocked.into_iter().chain(quiet).min() else { return Poll::Pending };
            ready!(timer.poll(next, now, cx));
        }
    })
    .await
}

/// What the client did wrong; `None` where it only went away.
fn fault(error: &h2::Error) -> Option<String> {
    let its_own = error.is_io() || error.is_remote();
    (!its_own).then(|| error.to_string())
}

/// A client's socket whose bytes are counted.
struct Metered {
    socket: Watched,
    shared: Rc<Shared>,
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
            self.shared.ledger.read(bytes);
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
