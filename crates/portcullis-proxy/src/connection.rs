//! A connection from its acceptance to the protocol that is spoken on it.
//!
//! It is protected first where its listener says so. A connection that cannot be is closed, and the record says why.

use crate::accept::Port;
use crate::http1;
use crate::http2;
use crate::proxy_header::{is_sent_by, take};
use crate::stream::Stream;
use crate::tls::handshake::{Protected, shake};
use crate::tls::{Protocol, Tls};
use crate::worker::Worker;
use portcullis_core::{Conn, Denial, Outcome, Recording, Transport};
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::TcpStream;

/// Serves a connection.
pub(crate) async fn serve(worker: Rc<Worker>, mut socket: TcpStream, peer: SocketAddr, port: Rc<Port>) {
    let Ok(local) = socket.local_addr() else { return };
    let mut conn = Conn { peer, local, transport: Transport::Plaintext, certificate: None };
    let mut _slot = None;
    // SECURITY: nobody but these says whose connection it is (only_a_balancer_says_whose_connection_it_is).
    if is_sent_by(peer.ip(), &port.balancers) {
        match Box::pin(take(&mut socket, peer, port.timeouts.header)).await {
            Ok(client) => conn.peer = client,
            Err(denial) => {
                if let Some(denial) = denial {
                    account(&worker, &conn, denial, false);
                }
                return;
            }
        }
        // The balancer's own connections are not bounded by address; each client's are.
        let Some(slot) = port.clients.admit(conn.peer.ip().to_canonical(), false) else { return };
        _slot = Some(slot);
    }
    match &port.tls {
        None => begin(worker, Stream::Plain(socket), conn, port.protocol, Rc::clone(&port)).await,
        Some(tls) => {
            let Some((protected, conn)) = protect(&worker, tls, socket, conn).await else { return };
            begin(worker, protected.stream, conn, protected.protocol, Rc::clone(&port)).await;
        }
    }
}

/// Speaks the protocol of the connection: the one that was agreed on under TLS, or the one that the listener has.
async fn begin(worker: Rc<Worker>, stream: Stream, conn: Conn, protocol: Protocol, port: Rc<Port>) {
    match protocol {
        Protocol::Http1 => http1::serve(worker, stream, conn, port).await,
        // Boxed, so that the far more frequent connections of HTTP/1.1 in the clear are no larger for it.
        Protocol::Http2 => Box::pin(http2::serve(worker, stream, conn, port)).await,
    }
}

/// The connection under TLS. `None` where it could not be protected.
async fn protect(worker: &Worker, tls: &Tls, socket: TcpStream, conn: Conn) -> Option<(Protected, Conn)> {
    // Boxed, so that a connection gives the memory of its handshake back, and a plain one has none.
    match Box::pin(shake(tls, socket)).await {
        Ok(protected) => {
            let certificate = protected.certificate.clone();
            Some((protected, Conn { transport: Transport::Tls, certificate, ..conn }))
        }
        Err(denial) => {
            if let Some(denial) = denial {
                account(worker, &conn, denial, false);
            }
            None
        }
    }
}

/// Writes the account of what never became a request.
pub(crate) fn account(worker: &Worker, conn: &Conn, denial: Denial, answered: bool) {
    let mut recording = Recording::open(worker.current().snapshot.clone(), conn);
    recording.record_mut().status = answered.then(|| denial.status());
    recording.close(Outcome::Refused(denial));
}
