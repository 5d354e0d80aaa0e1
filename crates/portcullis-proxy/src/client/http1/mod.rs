//! A connection on which HTTP/1.1 is spoken, from its first byte to its last.
//!
//! Requests are read by `portcullis-http1`, strictly; what is none is answered and recorded like any other refusal. This
//! says what happens when the time of the connection's state is over, and decides how the connection is closed.
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

use super::drive::{Begins, Driven, Then, drive, within_its_state};
use crate::drain::Drain;
use crate::exchange::life::Life;
use crate::exchange::{Entry, Worker};
use crate::state::{Due, Event, Kind};
use crate::stream::Stream;
use converse::{Conversation, End};
use io::Io;
use portcullis_core::{Code, Conn, Denial};
use socket2::SockRef;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How many bytes of a refused request are skipped at most so that the client sees its answer: closing a socket with unread
/// bytes in it makes the answer disappear on the way.
const LINGER_BYTES: usize = 4 * 1024 * 1024;

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
    let life = Rc::new(Life::new(Kind::Http1, entry.timeouts, Instant::now()));
    let _enrolled = worker.enroll(&life);
    let io = Rc::new(RefCell::new(Io::new(stream, Rc::clone(&life))));
    let turn = {
        let conversation = Conversation { worker: &worker, entry: &entry, life: &life, conn: &conn, io: &io };
        // The requests on a connection that is cut are dropped here, and so recorded as aborted.
        talk(&entry.drain, &life, pin!(conversation.run())).await
    };
    let (stream, read) = io.borrow_mut().take();
    let Some(mut stream) = stream else { return };
    match turn {
        Turn::Ended(End::Closed) => {
            life.happens(Event::Closes);
            // An error says that the client is gone already.
            let _gone = within_its_state(&life, &entry.drain, stream.shutdown()).await;
        }
        // Boxed, here and below, so that a connection that goes on has no room for its end.
        Turn::Ended(End::Linger) => {
            life.happens(Event::Lingers);
            // A drain does not wait for it, since the client has its answer.
            let _late = Box::pin(within_its_state(&life, &entry.drain, skip(stream))).await;
        }
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
async fn talk(drain: &Drain, life: &Life, conversation: Pin<&mut impl Future<Output = End>>) -> Turn {
    let begins = pin!(drain.begins());
    let mut talk = Talk { life, conversation, begins: Begins::new(begins) };
    loop {
        match drive(life, Some(drain), &mut talk).await {
            Turn::Quiet => {
                // SECURITY: a request may lie in the socket, unread because the runtime has not looked there yet. It
                // looks before a task that yields goes on (a_drain_under_load_loses_nothing).
                tokio::task::yield_now().await;
                life.tick();
                let last = poll_fn(|cx| Poll::Ready(talk.conversation.as_mut().poll(cx))).await;
                if let Poll::Ready(end) = last {
                    return Turn::Ended(end);
                }
                if life.is_quiet() {
                    life.happens(Event::Told);
                }
            }
            turn @ (Turn::Ended(_) | Turn::HeadTimeout | Turn::Stalled) => return turn,
        }
    }
}

/// A conversation, with its connection's deadlines.
struct Talk<'a, C, B> {
    life: &'a Life,
    conversation: Pin<&'a mut C>,
    begins: Begins<'a, B>,
}

impl<C: Future<Output = End>, B: Future<Output = ()>> Driven for Talk<'_, C, B> {
    type End = Turn;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.begins.wake(cx);
        self.conversation.as_mut().poll(cx).map(Turn::Ended)
    }

    fn passed(&mut self, due: Due) -> Then<Turn> {
        match due {
            Due::Leave => Then::End(Turn::Quiet),
            Due::Head => Then::End(Turn::HeadTimeout),
            Due::Over | Due::Answer | Due::Revoked => Then::End(Turn::Stalled),
            Due::Upload => {
                self.life.expire_upload();
                Then::GoOn
            }
            Due::Upstream => Then::Wait(self.life.now()),
        }
    }
}

/// Reads and forgets what the client still sends.
async fn skip(mut stream: Stream) {
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
