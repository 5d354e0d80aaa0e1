//! A connection on which HTTP/1.1 is spoken, from its first byte to its last.
//!
//! Requests are read by `portcullis-http1`, strictly; what is none is answered and recorded like any other refusal. This
//! keeps the connection's deadlines, says goodbye during a drain, and decides how the connection is closed. A connection
//! that is over its time is cut.
//!
//! ```text
//! serve ── drive (deadlines) ── converse (request after request) ── handle (the body) ── io (bytes)
//!                                        └── reply (the answer)  ─────────────────────────┘
//! ```

mod converse;
mod handle;
mod incoming;
mod io;
mod refuse;
mod reply;
pub(super) mod whole;

use super::timer::Timer;
use crate::drain::Drain;
use crate::exchange::life::{Due, FAREWELL, Life};
use crate::exchange::{Entry, Worker};
use crate::stream::Stream;
use converse::{Conversation, End};
use io::Io;
use portcullis_core::{Code, Conn, Denial};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long, and for how many bytes, the rest of a refused request is read so that the client sees its answer: closing
/// a socket with unread bytes in it makes the answer disappear on the way.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// How long the end of TLS may take to be said to a client that does not read.
const GOODBYE: Duration = Duration::from_millis(250);

/// Why a connection's turn is over.
enum Turn {
    /// The conversation is over.
    Ended(End),
    /// There has been no request for too long.
    Quiet,
    /// A request head is not complete in time.
    HeadTimeout,
    /// The client does not take its answer.
    Stalled,
}

/// Serves a connection.
pub(crate) async fn serve(worker: Rc<Worker>, stream: Stream, conn: Conn, entry: Arc<Entry>) {
    let life = Rc::new(Life::new(entry.timeouts));
    let _enrolled = worker.enroll(&life);
    let io = Rc::new(RefCell::new(Io::new(stream, Rc::clone(&life))));
    let closing = Cell::new(false);
    let turn = {
        let conversation = Conversation {
            worker: &worker,
            entry: &entry,
            life: &life,
            conn: &conn,
            io: &io,
            closing: &closing,
        };
        // The requests on a connection that is cut are dropped here, and so recorded as aborted.
        drive(&entry.drain, &life, &closing, pin!(conversation.run())).await
    };
    let (stream, read) = io.borrow_mut().take();
    let Some(mut stream) = stream else { return };
    match turn {
        Turn::Ended(End::Closed) => {
            // An error says that the client is gone already.
            let _gone = tokio::time::timeout(GOODBYE, stream.shutdown()).await;
        }
        // Boxed, here and below, so that a connection that goes on has no room for its end.
        Turn::Ended(End::Linger) => Box::pin(linger(&entry.drain, stream)).await,
        Turn::Ended(End::Tunnel(tunnel)) => {
            Box::pin(tunnel.run(stream, read, entry.drain.begins(), life.is_revoked())).await
        }
        Turn::HeadTimeout => {
            let denial = Denial::new(Code::HeadTimeout, "the request head was not complete in time");
            worker.account(&conn, denial, false);
        }
        Turn::Ended(End::Broken) | Turn::Quiet | Turn::Stalled => abort(stream),
    }
}

/// Lets the conversation go on until it is over, or a deadline ends the connection.
async fn drive(
    drain: &Drain,
    life: &Life,
    closing: &Cell<bool>,
    mut conversation: Pin<&mut impl Future<Output = End>>,
) -> Turn {
    let sleep = pin!(tokio::time::sleep(FAREWELL));
    let mut timer = Timer::new(sleep);
    let mut begins = pin!(drain.begins());
    let mut waiting_for_drain = false;
    loop {
        let turn = poll_fn(|cx| {
            if !waiting_for_drain {
                // Once is enough: the wake-up comes to this very task, and then the drain says since when it is.
                waiting_for_drain = true;
                let _begun = begins.as_mut().poll(cx);
            }
            loop {
                life.tick();
                life.driven_by(cx);
                if let Poll::Ready(end) = conversation.as_mut().poll(cx) {
                    return Poll::Ready(Turn::Ended(end));
                }
                let Some((when, due)) = life.due(drain.since()) else { return Poll::Pending };
                if when <= life.now() {
                    match due {
                        Due::Head => return Poll::Ready(Turn::HeadTimeout),
                        Due::Answer | Due::Revoked => return Poll::Ready(Turn::Stalled),
                        Due::Quiet if !closing.get() => return Poll::Ready(Turn::Quiet),
                        Due::Upload => {
                            life.expire_upload();
                            continue;
                        }
                        Due::Quiet | Due::Upstream => {}
                    }
                }
                ready!(timer.poll(when, life.now(), cx));
            }
        })
        .await;
        match turn {
            Turn::Quiet => {
                // SECURITY: a request may lie in the socket, unread because the runtime has not looked there yet. It
                // looks before a task that yields goes on (a_drain_under_load_loses_nothing).
                tokio::task::yield_now().await;
                life.tick();
                let last = poll_fn(|cx| Poll::Ready(conversation.as_mut().poll(cx))).await;
                if let Poll::Ready(end) = last {
                    return Turn::Ended(end);
                }
                if life.is_quiet() {
                    closing.set(true);
                }
            }
            Turn::Ended(_) | Turn::HeadTimeout | Turn::Stalled => return turn,
        }
    }
}

/// Reads and forgets what the client still sends, for a while.
async fn linger(drain: &Drain, mut stream: Stream) {
    let read = async {
        // An error says that the client is gone already.
        let _gone = stream.shutdown().await;
        let mut buffer = [0; 4096];
        let mut left = LINGER_BYTES;
        while let Ok(size) = stream.read(&mut buffer).await
            && size > 0
            && size < left
        {
            left -= size;
        }
    };
    // A drain does not wait for it, since the client has its answer.
    tokio::select! {
        () = read => {}
        () = tokio::time::sleep(LINGER_TIME) => {}
        () = drain.begins() => {}
    }
}

/// Closes a connection in a way that no client takes for the end of an answer.
pub(crate) fn abort(stream: Stream) {
    // If it cannot be set, the close is an ordinary one.
    let _unset = stream.tcp().map(|tcp| SockRef::from(tcp).set_linger(Some(Duration::ZERO)));
    drop(stream);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that this function makes.
    fn size<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// What an idle connection takes is a target; its task is most of it.
    #[test]
    fn an_idle_connection_has_no_room_for_a_request() {
        let size = size(serve);
        assert!(size < 1536, "{size} bytes");
    }
}
