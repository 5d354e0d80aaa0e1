//! A connection on which HTTP/1.1 is spoken, from its first byte to its last.
//!
//! hyper reads requests and writes answers; this drives it, keeps the connection's deadlines, says goodbye during a
//! drain, and accounts for what never became a request. A connection that is over its time is closed.

use super::hyper_body::hyper_body;
use super::watched::Watched;
use crate::drain::Drain;
use crate::exchange::life::{Due, FAREWELL, Life};
use crate::exchange::{Entry, Worker, service};
use crate::stream::Stream;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Connection;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use portcullis_core::{Code, Conn, Denial};
use socket2::SockRef;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long, and for how many bytes, the rest of a refused request is read so that the client sees its answer: closing
/// a socket with unread bytes in it makes the answer disappear on the way.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// The timer is never set for less.
const GRAIN: Duration = Duration::from_millis(5);

/// Why a connection's turn is over.
enum Turn {
    /// hyper is done with it.
    Ended(Result<(), hyper::Error>),
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
    let io = TokioIo::new(Watched::new(stream, Rc::clone(&life)));
    let service = {
        let (worker, life, conn, entry) =
            (Rc::clone(&worker), Rc::clone(&life), conn.clone(), Arc::clone(&entry));
        service_fn(move |request: Request<Incoming>| {
            let (parts, body) = request.into_parts();
            let body = hyper_body(body);
            let (worker, entry, life) = (Rc::clone(&worker), Arc::clone(&entry), Rc::clone(&life));
            let answer = service::answer(worker, entry, life, conn.clone(), parts, body);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let mut http = worker.current().http.serve_connection(io, service);
    match drive(&entry.drain, &life, &mut http).await {
        Turn::Ended(ended) => finish(&worker, &entry.drain, &life, http, conn, ended).await,
        Turn::HeadTimeout => {
            worker.account(
                &conn,
                Denial::new(Code::HeadTimeout, "the request head was not complete in time"),
                false,
            );
        }
        // A drop cuts the connection; the requests on it are recorded as aborted.
        Turn::Quiet | Turn::Stalled => abort(http.into_parts().io.into_inner().into_stream()),
    }
}

/// Lets hyper work until it is done, or a deadline ends the connection.
async fn drive<S, B>(drain: &Drain, life: &Life, http: &mut Connection<TokioIo<Watched>, S>) -> Turn
where
    S: HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<crate::BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<crate::BoxError>,
{
    let mut timer = pin!(tokio::time::sleep(FAREWELL));
    let mut armed: Option<Instant> = None;
    let mut begins = pin!(drain.begins());
    let mut waiting_for_drain = false;
    let mut closing = false;
    loop {
        let turn = poll_fn(|cx| {
            if !waiting_for_drain {
                // Once is enough: the wake-up comes to this very task, and then the drain says since when it is.
                waiting_for_drain = true;
                let _begun = begins.as_mut().poll(cx);
            }
            loop {
                life.tick();
                if let Poll::Ready(ended) = Pin::new(&mut *http).poll(cx) {
                    return Poll::Ready(Turn::Ended(ended));
                }
                let Some((when, due)) = life.due(drain.since()) else { return Poll::Pending };
                if when <= life.now() {
                    match due {
                        Due::Head => return Poll::Ready(Turn::HeadTimeout),
                        Due::Answer => return Poll::Ready(Turn::Stalled),
                        Due::Quiet if !closing => return Poll::Ready(Turn::Quiet),
                        Due::Upload => {
                            life.expire_upload();
                            continue;
                        }
                        Due::Quiet | Due::Upstream => {}
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
        match turn {
            Turn::Quiet => {
                // SECURITY: a request may lie in the socket, unread because the runtime has not looked there yet. It
                // looks before a task that yields goes on (a_drain_under_load_loses_nothing).
                tokio::task::yield_now().await;
                life.tick();
                let last = poll_fn(|cx| Poll::Ready(Pin::new(&mut *http).poll(cx))).await;
                if let Poll::Ready(ended) = last {
                    return Turn::Ended(ended);
                }
                if life.is_quiet() {
                    closing = true;
                    Pin::new(&mut *http).graceful_shutdown();
                }
            }
            Turn::Ended(_) | Turn::HeadTimeout | Turn::Stalled => return turn,
        }
    }
}

/// What remains to be done when hyper has nothing more to do.
async fn finish<S>(
    worker: &Worker,
    drain: &Drain,
    life: &Life,
    http: Connection<TokioIo<Watched>, S>,
    conn: Conn,
    ended: Result<(), hyper::Error>,
) where
    S: HttpService<hyper::body::Incoming>,
    S::Error: Into<crate::BoxError>,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<crate::BoxError>,
{
    let parts = http.into_parts();
    let stream = parts.io.into_inner().into_stream();
    match ended {
        Ok(()) => {
            if let Some(tunnel) = life.take_tunnel() {
                tunnel.run(stream, parts.read_buf, drain.begins()).await;
            } else if life.may_have_unread() {
                linger(drain, stream).await;
            }
        }
        Err(error) if error.is_parse() => {
            let answered = !error.is_parse_version_h2();
            // What hyper answers itself; it has no other way to tell the two apart.
            let code = match (error.is_parse_too_large(), error.to_string().contains("URI")) {
                (true, true) => Code::TargetTooLong,
                (true, false) => Code::HeadTooLarge,
                (false, _) => Code::MalformedRequest,
            };
            worker.account(&conn, Denial::new(code, error.to_string()), answered);
            if answered {
                linger(drain, stream).await;
            }
        }
        // An answer broke off. A close would look like its end to a client that has been given no length.
        Err(error) if error.is_user() => abort(stream),
        Err(_) => {}
    }
}

/// Reads and forgets what the client still sends, for a while.
async fn linger(drain: &Drain, mut stream: Stream) {
    // hyper has not done it if the client had asked for an upgrade. An error says that the client is gone already.
    let _gone = stream.shutdown().await;
    let mut buffer = [0; 4096];
    let mut left = LINGER_BYTES;
    let read = async {
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
    let _unset = SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO));
    drop(stream);
}
