//! A connection from its acceptance to the protocol that is spoken on it.
//!
//! It is protected first where its listener says so. A connection that cannot be is closed, and the record says why.

use super::port::Port;
use super::proxy_header::{is_sent_by, take};
use crate::client;
use crate::drain::Drain;
use crate::exchange::{Entry, Worker};
use crate::stream::{Socket, Stream};
use crate::tls::handshake::{Guest, Protected, shake};
use crate::tls::{Protocol, Tls};
use portcullis_core::{Code, Conn, Denial, RequestId, Transport};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long, and for how many bytes, a client that speaks in the clear may go on after it was told.
const EXPLAIN_TIME: Duration = Duration::from_secs(1);
const EXPLAIN_BYTES: u64 = 64 * 1024;
/// How often the clock is looked at while a certificate goes on.
const CLOCK_LOOK: Duration = Duration::from_secs(60);
const CLOCK_GRAIN: Duration = Duration::from_millis(10);
/// How long requests may go on that were running when their client's certificate ended.
const LAST_REQUESTS: Duration = Duration::from_secs(30);

/// Serves a connection.
pub(crate) async fn serve(worker: Rc<Worker>, mut socket: TcpStream, peer: SocketAddr, port: Rc<Port>) {
    let Ok(local) = socket.local_addr() else { return };
    let mut conn = Conn { peer, local, transport: Transport::Plaintext, certificate: None };
    let mut _slot = None;
    // SECURITY: nobody but these says whose connection it is (only_a_balancer_says_whose_connection_it_is).
    if is_sent_by(peer.ip(), &port.balancers) {
        match Box::pin(take(&mut socket, peer, port.entry.timeouts.header)).await {
            Ok(client) => conn.peer = client,
            Err(denial) => {
                if let Some(denial) = denial {
                    worker.account(&conn, denial, false);
                }
                return;
            }
        }
        // The balancer's own connections are not bounded by address; each client's are.
        let Some(slot) = port.clients.admit(conn.peer.ip().to_canonical(), false) else { return };
        _slot = Some(slot);
    }
    let entry = Arc::clone(&port.entry);
    let Some(tls) = &port.tls else {
        return client::serve(worker, Stream::Plain(Socket::new(socket)), conn, port.protocol, entry).await;
    };
    let Some(deadline) = Instant::now().checked_add(tls.settings().handshake_timeout) else { return };
    match first_byte(&socket, deadline).await {
        First::Nothing => return,
        First::Late => {
            let denial = Denial::new(Code::TlsHandshake, "the handshake was not complete in time");
            worker.account(&conn, denial, false);
            return;
        }
        First::Clear => {
            let denial =
                Denial::new(Code::TlsHandshake, "the client speaks HTTP in the clear where TLS is spoken");
            let id = worker.account(&conn, denial, true);
            return Box::pin(explain(socket, &id)).await;
        }
        First::Other => {}
    }
    let Some((protected, conn)) = protect(&worker, tls, socket, conn, deadline).await else { return };
    let Protected { stream, protocol, ends, .. } = protected;
    match ends {
        None => client::serve(worker, stream, conn, protocol, entry).await,
        // Boxed, so that connections without a client certificate are no larger for it.
        Some(ends) => Box::pin(serve_until(ends, worker, stream, conn, protocol, entry)).await,
    }
}

/// Serves a connection until the certificate of its client ends. Running requests then have [`LAST_REQUESTS`].
async fn serve_until(
    ends: SystemTime,
    worker: Rc<Worker>,
    stream: Stream,
    conn: Conn,
    protocol: Protocol,
    entry: Arc<Entry>,
) {
    let drain = Arc::new(Drain::default());
    let own = Arc::new(Entry { drain: Arc::clone(&drain), ..Entry::clone(&entry) });
    // SECURITY: a certificate is verified once, and says nothing about the time after its end
    // (a_connection_ends_with_its_clients_certificate).
    let ending = async {
        tokio::select! {
            () = entry.drain.begins() => {}
            () = passed(ends) => {}
        }
        drain.begin();
        if entry.drain.since().is_some() {
            return std::future::pending::<()>().await;
        }
        // SECURITY: a stream that never ends would outlive any certificate (a_connection_ends_with_its_clients_certificate).
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        () = client::serve(worker, stream, conn, protocol, own) => {}
        () = ending => {}
    }
}

/// Done when this time has come, by a clock that may be set meanwhile.
async fn passed(time: SystemTime) {
    while let Ok(left) = time.duration_since(SystemTime::now()) {
        tokio::time::sleep(left.clamp(CLOCK_GRAIN, CLOCK_LOOK)).await;
    }
}

/// How a connection begins on which TLS is to be spoken.
enum First {
    /// The client is gone without a byte, as a probe of a load balancer is.
    Nothing,
    /// It said nothing in time.
    Late,
    /// With a letter, as a method does.
    Clear,
    Other,
}

/// Waits for the first byte and leaves it in the socket, so that a client that says nothing costs no memory.
async fn first_byte(socket: &TcpStream, deadline: Instant) -> First {
    let mut first = [0];
    match tokio::time::timeout_at(deadline.into(), socket.peek(&mut first)).await {
        Err(_) => First::Late,
        Ok(Err(_) | Ok(0)) => First::Nothing,
        Ok(Ok(_)) if first[0].is_ascii_alphabetic() => First::Clear,
        Ok(Ok(_)) => First::Other,
    }
}

/// Tells a client in the clear that TLS is spoken here. The text is fixed, and says nothing of the inside.
async fn explain(mut socket: TcpStream, id: &RequestId) {
    let id = id.as_str();
    let body = format!(
        r#"{{"type":"about:blank","title":"Bad Request","status":400,"detail":"This port speaks HTTPS.","request_id":"{id}"}}"#
    );
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n\
         X-Request-Id: {id}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let told = async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await?;
        // Closed at once, what the client still sends would make the answer disappear on the way.
        tokio::io::copy(&mut socket.take(EXPLAIN_BYTES), &mut tokio::io::sink()).await
    };
    let _gone = tokio::time::timeout(EXPLAIN_TIME, told).await;
}

/// The connection under TLS. `None` where it could not be protected.
async fn protect(
    worker: &Worker,
    tls: &Tls,
    socket: TcpStream,
    conn: Conn,
    deadline: Instant,
) -> Option<(Protected, Conn)> {
    let address = conn.peer.ip().to_canonical();
    let exempt = worker.current().snapshot.head.trusted_proxies.iter().any(|net| net.contains(&address));
    let guest = Guest { address, exempt };
    // Boxed, so that a connection gives the memory of its handshake back, and a plain one has none.
    match Box::pin(shake(tls, Socket::new(socket), guest, deadline)).await {
        Ok(protected) => {
            let certificate = protected.certificate.clone();
            Some((protected, Conn { transport: Transport::Tls, certificate, ..conn }))
        }
        Err(denial) => {
            if let Some(denial) = denial {
                worker.account(&conn, denial, false);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// It is the task of each connection, and most of what an idle one takes.
    #[test]
    fn a_connection_is_a_small_task() {
        let size = size(serve);
        assert!(size < 2304, "{size} bytes");
    }
}
