//! A connection from its acceptance to the protocol that is spoken on it.
//!
//! It is protected first where its listener says so. A connection that cannot be is closed, and the record says why.

use super::port::Port;
use super::proxy_header::{is_sent_by, take};
use crate::client;
use crate::exchange::Worker;
use crate::stream::{Socket, Stream};
use crate::tls::Tls;
use crate::tls::handshake::{Protected, shake};
use portcullis_core::{Conn, Transport};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

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
    match &port.tls {
        None => client::serve(worker, Stream::Plain(Socket::new(socket)), conn, port.protocol, entry).await,
        Some(tls) => {
            let Some((protected, conn)) = protect(&worker, tls, socket, conn).await else { return };
            client::serve(worker, protected.stream, conn, protected.protocol, entry).await;
        }
    }
}

/// The connection under TLS. `None` where it could not be protected.
async fn protect(worker: &Worker, tls: &Tls, socket: TcpStream, conn: Conn) -> Option<(Protected, Conn)> {
    // Boxed, so that a connection gives the memory of its handshake back, and a plain one has none.
    match Box::pin(shake(tls, Socket::new(socket))).await {
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
