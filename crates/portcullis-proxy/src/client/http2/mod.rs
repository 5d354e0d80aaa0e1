//! A connection on which HTTP/2 is spoken: many requests at once, each with its own deadlines.
//!
//! The `h2` crate speaks the protocol. The connection's own task accepts streams, keeps its deadlines and decides when it ends;
//! each stream is a task (`stream`). What a client does that costs much and asks for nothing is counted in a `ledger`, at the
//! socket. What a peer can make the gateway keep is bounded by h2's own limits, which are set here, and by the `outbox`.
//!
//! How long the connection may have which state, and what follows, stands in [`crate::state`]. An abusive client is told to go (GOAWAY),
//! its running requests finish and others are refused; one that goes on is cut off at once.

mod body;
mod frames;
mod ledger;
mod outbox;
mod stream;

use self::ledger::{Conduct, Ledger};
use self::outbox::Outbox;
use super::drive::{Begins, Driven, Then, drive, within_its_state};
use super::watched::Watched;
use crate::exchange::life::Life;
use crate::exchange::{Entry, Worker};
use crate::state::{Due, Event, Kind};
use crate::stream::Stream;
use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use portcullis_core::{Code, Conn, Denial};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
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

/// What the streams of a connection have in common.
struct Shared {
    worker: Rc<Worker>,
    entry: Arc<Entry>,
    conn: Conn,
    /// That of the connection; each stream has its own.
    life: Rc<Life>,
    ledger: Ledger,
    outbox: Outbox,
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
    let life = Rc::new(Life::new(Kind::Http2, entry.timeouts, Instant::now()));
    // What a trusted proxy does not read is not the doing of one address.
    let unread = (!proxy).then(|| worker.shares().unread(conn.peer.ip(), entry.most.unread));
    let outbox = Outbox::new(unread);
    let socket = Watched::new(stream, Rc::clone(&life));
    let shared = Rc::new(Shared { worker, entry, conn, life, ledger: Ledger::new(proxy), outbox });
    let socket = Metered { socket, shared: Rc::clone(&shared) };
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
    let (life, drain) = (&shared.life, &shared.entry.drain);
    let ended = match within_its_state(life, drain, builder.handshake(socket)).await {
        Some(Ok(http)) => {
            life.happens(Event::Preface);
            let begins = pin!(drain.begins());
            let mut taking = Taking { shared: &shared, http, begins: Begins::new(begins) };
            drive(life, Some(drain), &mut taking).await
        }
        Some(Err(error)) => Ended::Broken(error),
        None => Ended::Idle,
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

/// A connection on which streams are taken, with its deadlines.
struct Taking<'a, B> {
    shared: &'a Rc<Shared>,
    http: Connection<Metered, Bytes>,
    begins: Begins<'a, B>,
}

impl<B: Future<Output = ()>> Driven for Taking<'_, B> {
    type End = Ended;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.begins.wake(cx);
        let Shared { life, ledger, outbox, .. } = &**self.shared;
        loop {
            match self.http.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.take(request, respond);
                    if ledger.conduct(life.now()) == Conduct::Relentless {
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
                    account(self.shared, NO_REQUEST);
                }
            }
            // SECURITY: the requests that run have done nothing wrong; only who goes on is cut off at once
            // (what_runs_on_an_abusive_connection_finishes).
            match ledger.conduct(life.now()) {
                Conduct::Relentless => return Poll::Ready(Ended::Cut),
                Conduct::Abusive(why) if life.happens(Event::Abuse) => {
                    account(self.shared, why);
                    self.http.graceful_shutdown();
                }
                Conduct::Abusive(_) | Conduct::Fine => return Poll::Pending,
            }
        }
    }

    fn passed(&mut self, due: Due) -> Then<Ended> {
        let life = &self.shared.life;
        match due {
            Due::Leave => {
                life.happens(Event::Told);
                self.http.graceful_shutdown();
                Then::GoOn
            }
            Due::Over | Due::Answer => Then::End(Ended::Idle),
            // Those are of its streams, which are driven by themselves.
            Due::Head | Due::Upload | Due::Upstream | Due::Revoked => Then::Wait(life.now()),
        }
    }
}

impl<B> Taking<'_, B> {
    /// Takes a stream, if any more are taken.
    fn take(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let Shared { life, ledger, .. } = &**self.shared;
        if life.state().takes_requests() {
            ledger.begin();
            life.happens(Event::RequestBegins);
            tokio::task::spawn_local(stream::serve(Rc::clone(self.shared), request, respond));
        } else {
            ledger.reject();
            respond.send_reset(Reason::REFUSED_STREAM);
            account(self.shared, "a stream of an abusive connection");
        }
    }
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
