//! What sends the requests of a probe: their very bytes, and only where that is allowed.

use crate::judge::Request;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::ConfigVerifierExt;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection and an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// By what the gateway's certificate is verified.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// A PEM file with the only CAs that are trusted. `None`: those of the system.
    pub authorities: Option<PathBuf>,
}

pub(super) struct Client {
    address: SocketAddr,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The host of the URL, for requests that name none of a route.
    host: String,
}

impl Client {
    pub(super) fn new(url: &str, owned: &[String], trust: &Trust) -> Result<Client, String> {
        let uri: http::Uri = url.parse().map_err(|_| format!("`{url}` is not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("`{url}` is not a URL with http or https")),
        };
        let host = uri.host().ok_or_else(|| format!("`{url}` has no host"))?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let is_owned = owned.iter().any(|owned| owned.eq_ignore_ascii_case(name));
        let mut addresses =
            (name, port).to_socket_addrs().map_err(|error| format!("cannot find {name}: {error}"))?;
        // SECURITY: the address is looked up once, and the one that was looked at is the one that is asked
        // (nobody_else_is_probed).
        let address = addresses.find(|address| is_owned || is_loopback(address.ip())).ok_or_else(|| {
            format!("{name} is not this machine; if it is yours, say so with `--i-own {name}`")
        })?;
        let tls = if secure { Some((config(trust)?, server(name)?)) } else { None };
        let client = Client { address, tls, host: host.to_owned() };
        TcpStream::connect_timeout(&client.address, PATIENCE)
            .map_err(|error| format!("nobody answers on {}: {error}", client.address))?;
        Ok(client)
    }

    /// The status of the answer; `None` where the connection was closed without one.
    pub(super) fn send(&self, request: &Request) -> Result<Option<u16>, String> {
        let mut request = request.clone().header("connection", "close");
        if !request.has("host") {
            request = request.header("host", &self.host);
        }
        let mut bytes = request.head_bytes();
        bytes.extend_from_slice(&request.body);
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)
            .map_err(|error| format!("nobody answers on {}: {error}", self.address))?;
        let timeouts = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
        timeouts.map_err(|error| error.to_string())?;
        let answer = match &self.tls {
            None => exchange(stream, &bytes),
            Some((config, name)) => {
                let connection = ClientConnection::new(Arc::clone(config), name.clone());
                let connection = connection.map_err(|error| format!("TLS: {error}"))?;
                exchange(StreamOwned::new(connection, stream), &bytes)
            }
        };
        Ok(answer)
    }
}

/// Sends everything, and reads the status line.
fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> Option<u16> {
    // A gateway that refuses need not read to the end.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    let mut line = Vec::new();
    let mut buffer = [0; 512];
    while line.len() < 4096 {
        let read = stream.read(&mut buffer).ok()?;
        if read == 0 {
            return None;
        }
        line.extend_from_slice(buffer.get(..read)?);
        let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else { continue };
        let text = std::str::from_utf8(line.get(..end)?).ok()?;
        let status: u16 = text.split(' ').nth(1)?.parse().ok()?;
        if status != 100 {
            return Some(status);
        }
        line.drain(..end + 4);
    }
    None
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn server(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` is not the name of a server"))
}

fn config(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let config = match &trust.authorities {
        None => ClientConfig::with_platform_verifier().map_err(|error| error.to_string())?,
        Some(file) => {
            let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| cannot(&error))? {
                let certificate = certificate.map_err(|error| cannot(&error))?;
                roots.add(certificate).map_err(|error| cannot(&error))?;
            }
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(Arc::new(config))
}
