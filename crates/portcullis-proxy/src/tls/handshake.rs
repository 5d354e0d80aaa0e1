//! A connection until it is protected.
//!
//! A handshake has a deadline. Once its first message is complete it takes a place under a cap, of which an address has a
//! share; a client that says nothing takes none. A handshake that fails is closed, and the record says why; a client that goes
//! away without having sent a byte, as a probe of a load balancer does, is nobody's business. What a client sent of a request
//! before it heard of the failure is read for a moment, since it would not see the alert otherwise.

use super::{Protocol, Tls, clients};
use crate::stream::{Socket, Stream};
use portcullis_core::pool::Client;
use portcullis_core::{ClientCertificate, Code, Denial};
use rustls::server::Acceptor;
use rustls::{AlertDescription, CertificateError, Error};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

/// How long, and for how many bytes, a client that failed may go on before its socket is closed.
const LINGER_TIME: Duration = Duration::from_millis(500);
const LINGER_BYTES: u64 = 64 * 1024;

/// How a client goes away.
const GONE: [io::ErrorKind; 4] = [
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
];

/// A connection that is protected.
pub(crate) struct Protected {
    pub(crate) stream: Stream,
    pub(crate) protocol: Protocol,
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    /// When the client's certificate ends.
    pub(crate) ends: Option<SystemTime>,
}

/// Protects a connection.
///
/// # Errors
/// The handshake failed; `None` where there is nothing to record.
pub(crate) async fn shake(
    tls: &Tls,
    socket: Socket,
    client: Guest,
    deadline: Instant,
) -> Result<Protected, Option<Denial>> {
    let mut name = None;
    let named = |denial: Denial, name: Option<String>| match name {
        Some(name) => {
            Denial::new(denial.code(), format!("{}; the client asked for {name:?}", denial.detail()))
        }
        None => denial,
    };
    let local = socket.local();
    let shaken = handshake(tls, socket, client, deadline, &mut name).await;
    shaken.map_err(|denial| {
        let denial = denial.map(|denial| named(denial, name));
        denial.map(|denial| match local {
            Some(local) => Denial::new(denial.code(), format!("{}, on {local}", denial.detail())),
            None => denial,
        })
    })
}

async fn handshake(
    tls: &Tls,
    socket: Socket,
    client: Guest,
    deadline: Instant,
    name: &mut Option<String>,
) -> Result<Protected, Option<Denial>> {
    // SECURITY: whoever stops in the middle of a handshake must not keep its place (a_slow_handshake_is_cut_off).
    let accepted = tokio::time::timeout_at(deadline.into(), accept(tls, socket, client, name)).await;
    let stream = match accepted {
        Ok(Ok(Some(stream))) => stream,
        // An authority has seen that the host is ours, and that is all it wanted.
        Ok(Ok(None)) => return Err(None),
        Ok(Err(Failed::Refused(denial))) => return Err(Some(denial)),
        Ok(Err(Failed::Broken(error, socket))) => {
            let denial = failure(&error).map(|denial| match tls.expires() {
                Some(_) => denial,
                None => Denial::new(Code::TlsHandshake, "there is no certificate yet"),
            });
            if denial.is_some() {
                linger(socket).await;
            }
            return Err(denial);
        }
        Err(_) => {
            return Err(Some(Denial::new(Code::TlsHandshake, "the handshake was not complete in time")));
        }
    };
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        Some(chosen) if chosen == Protocol::Http2.alpn() => Protocol::Http2,
        Some(_) => Protocol::Http1,
        // Who does not choose speaks the older one, unless it is not offered.
        None if tls.settings.protocols.contains(&Protocol::Http1) => Protocol::Http1,
        None => {
            let denial =
                Denial::new(Code::TlsHandshake, "the client chose none of the protocols that are spoken");
            return Err(Some(denial));
        }
    };
    let certificate = match session.peer_certificates().and_then(|chain| chain.first()) {
        None => None,
        Some(shown) => match clients::identity(shown) {
            Some(identity) => Some(Arc::new(identity)),
            None => {
                let denial = Denial::new(Code::ClientCertificate, "the client's certificate cannot be read");
                return Err(Some(denial));
            }
        },
    };
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let ends = shown.and_then(clients::end);
    let stream = Stream::Tls(Box::new(TlsStream::from(stream)));
    tls.completed.fetch_add(1, Ordering::Relaxed);
    Ok(Protected { stream, protocol, certificate, ends })
}

/// Who wants to be protected.
#[derive(Clone, Copy)]
pub(crate) struct Guest {
    pub(crate) address: IpAddr,
    /// A trusted proxy has no share: its handshakes are many clients'.
    pub(crate) exempt: bool,
}

/// Why there is no protected connection.
enum Failed {
    /// The handshake broke, or TLS refused it.
    Broken(io::Error, Socket),
    /// The listener refused it.
    Refused(Denial),
}

type Accepted = Result<Option<tokio_rustls::server::TlsStream<Socket>>, Failed>;

/// A fatal alert: `unrecognized_name` (RFC 6066, section 3), in a record of TLS 1.2, as before any key is agreed on.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The handshake. `None` where it was only to prove that a host is ours.
async fn accept(tls: &Tls, socket: Socket, client: Guest, name: &mut Option<String>) -> Accepted {
    // What a client wants is known by its first message, before anything is chosen.
    let mut beginning = LazyConfigAcceptor::new(Acceptor::default(), socket);
    let mut begun = match (&mut beginning).await {
        Ok(begun) => begun,
        Err(error) => {
            return beginning.take_io().map_or(Ok(None), |socket| Err(Failed::Broken(error, socket)));
        }
    };
    *name = begun.client_hello().server_name().map(str::to_owned);
    // SECURITY: only from here on does a handshake cost anything, and a place is never taken for silence
    // (silent_connections_keep_nobody_from_a_handshake).
    let _place = match client.exempt {
        true => None,
        false => {
            let place = tls.handshakes.take(Client { address: client.address, known: false }, 1).await;
            Some(place.map_err(|full| {
                let detail = format!("too many handshakes at once: {full}");
                Failed::Refused(Denial::new(Code::TlsHandshake, detail))
            })?)
        }
    };
    if tls.challenges.has_certificates()
        && let Some(proof) = tls.challenges.certificate(&begun.client_hello())
    {
        let proven = begun.into_stream(proof).into_fallible().await;
        let mut stream = proven.map_err(|(error, socket)| Failed::Broken(error, socket))?;
        // No byte follows a proof (RFC 8737, section 3). Whoever is gone already has what it came for.
        let _ = stream.shutdown().await;
        return Ok(None);
    }
    let config = tls.config.load_full();
    let unknown = name.is_some()
        && tls.expires().is_some()
        && config.cert_resolver.resolve(begun.client_hello()).is_none();
    if unknown {
        let _gone = begun.io.write_all(&UNRECOGNIZED_NAME).await;
        linger(begun.io).await;
        let detail = "there is no certificate for this name";
        return Err(Failed::Refused(Denial::new(Code::TlsHandshake, detail)));
    }
    let stream = begun.into_stream(config).into_fallible().await;
    stream.map(Some).map_err(|(error, socket)| Failed::Broken(error, socket))
}

/// What a failed handshake means.
fn failure(error: &io::Error) -> Option<Denial> {
    let denial = |code, detail: String| Some(Denial::new(code, detail));
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(why)) => {
            denial(Code::ClientCertificate, format!("the client's certificate {}", reason(why)))
        }
        Some(Error::InvalidCertRevocationList(why)) => {
            denial(Code::ClientCertificate, format!("a list of revoked certificates cannot be used: {why:?}"))
        }
        Some(Error::NoCertificatesPresented) => {
            denial(Code::ClientCertificate, "the client showed no certificate".to_owned())
        }
        Some(Error::AlertReceived(alert)) => denial(Code::TlsHandshake, refusal(*alert)),
        Some(error) => denial(Code::TlsHandshake, error.to_string()),
        // Nothing came, or the client went away in the middle.
        None if GONE.contains(&error.kind()) => None,
        None => denial(Code::TlsHandshake, error.to_string()),
    }
}

fn refusal(alert: AlertDescription) -> String {
    format!("the client refused: {alert:?}")
}

/// What is wrong with a client's certificate, in words.
#[expect(clippy::wildcard_enum_match_arm, reason = "what has no words of its own is told as it is")]
fn reason(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".to_owned()
        }
        CertificateError::Revoked => "was revoked".to_owned(),
        CertificateError::UnknownRevocationStatus => {
            "may have been revoked: there is no list of its authority".to_owned()
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "may have been revoked: the list of its authority is out of date".to_owned()
        }
        CertificateError::UnknownIssuer => "is from an authority that is not believed".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for clients".to_owned()
        }
        CertificateError::BadSignature => "has a wrong signature".to_owned(),
        other => format!("is not good: {other:?}"),
    }
}

async fn linger(mut socket: Socket) {
    // An error says that the client is gone already.
    let _gone = socket.shutdown().await;
    let mut rest = socket.take(LINGER_BYTES);
    let _late = tokio::time::timeout(LINGER_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}
