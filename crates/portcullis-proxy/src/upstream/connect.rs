//! A new connection to a server: its address, the socket, and TLS.

use super::config::Upstream;
use super::dial::dial;
use super::name::Name;
use super::proxy_header::{Ends, header};
use crate::stream::{Socket, Stream};
use portcullis_core::{Code, Denial};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, TlsStream};

/// Where a server is.
pub(super) enum Address {
    /// It needs no resolver.
    Known(SocketAddr),
    Named(Name),
    /// A Unix socket.
    Socket(PathBuf),
}

impl Address {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(upstream: &Upstream) -> Result<Address, &'static str> {
        match (&upstream.socket, upstream.address) {
            (Some(path), _) => Ok(Address::Socket(path.clone())),
            (None, Some(address)) => Ok(Address::Known(address)),
            (None, None) => Address::parse(&upstream.authority),
        }
    }

    fn parse(authority: &str) -> Result<Address, &'static str> {
        if let Ok(address) = authority.parse() {
            return Ok(Address::Known(address));
        }
        let (host, port) = authority.rsplit_once(':').ok_or("the authority has no port")?;
        let port =
            port.parse().ok().filter(|port| *port != 0).ok_or("the port is not a number from 1 to 65535")?;
        let named = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if named {
            Ok(Address::Named(Name::new(host.to_owned(), port)))
        } else {
            Err("the host is not a name or an address")
        }
    }
}

/// Connects to a server, under TLS where it is spoken to so. `ends` say whose request it is for, where the server hears that.
///
/// # Errors
/// No address, or none that answers, or one that cannot prove who it is.
pub(super) async fn connect(
    upstream: &Upstream,
    address: &Address,
    ends: Option<Ends>,
) -> Result<Stream, Denial> {
    let unreachable = |error: io::Error| Denial::new(Code::UpstreamUnreachable, error.to_string());
    let counted = match &upstream.max_connections {
        None => None,
        Some(cap) => {
            let full = || Denial::new(Code::UpstreamBusy, "the server has as many connections as it may");
            Some(cap.take().ok_or_else(full)?)
        }
    };
    let mut stream = match address {
        Address::Socket(path) => {
            let mut stream = UnixStream::connect(path).await.map_err(unreachable)?;
            if let Some(version) = upstream.proxy_protocol {
                stream.write_all(&header(version, ends)).await.map_err(unreachable)?;
            }
            return Ok(Stream::Plain(Socket::unix(stream).counted(counted)));
        }
        Address::Known(address) => TcpStream::connect(address).await.map_err(unreachable)?,
        Address::Named(name) => {
            let addresses = name.addresses().await.map_err(unreachable)?;
            let first = addresses.first().copied();
            let (stream, winner) = dial(addresses, upstream.connect_timeout).await.map_err(unreachable)?;
            if first != Some(winner) {
                name.prefer(winner).await;
            }
            stream
        }
    };
    stream.set_nodelay(true).map_err(unreachable)?;
    if let Some(version) = upstream.proxy_protocol {
        stream.write_all(&header(version, ends)).await.map_err(unreachable)?;
    }
    let stream = Socket::new(stream).counted(counted);
    let Some(tls) = &upstream.tls else { return Ok(Stream::Plain(stream)) };
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    // SECURITY: not a byte of a request goes to whom it is not known (an_upstream_that_cannot_prove_itself_gets_nothing).
    let protected =
        Box::pin(connector.connect(tls.name.clone(), stream)).await.map_err(|error| untrusted(&error))?;
    if upstream.http2 && protected.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Denial::new(Code::UpstreamMalformed, "the upstream does not speak HTTP/2"));
    }
    Ok(Stream::Tls(Box::new(TlsStream::from(protected))))
}

/// Why a connection could not be protected.
fn untrusted(error: &io::Error) -> Denial {
    let code = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(_) => Code::UpstreamUntrusted,
        None => Code::UpstreamUnreachable,
    };
    Denial::new(code, format!("TLS: {error}"))
}
