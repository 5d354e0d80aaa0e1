//! A connection until it is protected.
//!
//! A handshake has a deadline and a place under a cap. One that fails is closed, and the record says why; a client that
//! goes away without having sent a byte, as a probe of a load balancer does, is nobody's business. What a client sent of a
//! request before it heard of the failure is read for a moment, since it would not see the alert otherwise.

use super::{Protocol, Tls, clients};
use crate::stream::{Socket, Stream};
use portcullis_core::{ClientCertificate, Code, Denial};
use rustls::server::Acceptor;
use rustls::{AlertDescription, CertificateError, Error};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, TlsStream};

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
}

/// A place among the handshakes; given back when dropped.
struct Place<'a>(&'a Tls);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Protects a connection.
///
/// # Errors
/// The handshake failed; `None` where there is nothing to record.
pub(crate) async fn shake(tls: &Tls, socket: Socket) -> Result<Protected, Option<Denial>> {
    let place = Place(tls);
    // Counted before it is compared, so that two workers cannot both take the last place.
    if tls.handshakes.fetch_add(1, Ordering::Relaxed) >= tls.settings.max_handshakes {
        return Err(Some(Denial::new(Code::TlsHandshake, "too many handshakes at once")));
    }
    // SECURITY: whoever stops in the middle of a handshake must not keep its place (a_slow_handshake_is_cut_off).
    let accepted = tokio::time::timeout(tls.settings.handshake_timeout, accept(tls, socket)).await;
    drop(place);
    let stream = match accepted {
        Ok(Ok(Some(stream))) => stream,
        // An authority has seen that the host is ours, and that is all it wanted.
        Ok(Ok(None)) => return Err(None),
        Ok(Err((error, socket))) => {
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
    let stream = Stream::Tls(Box::new(TlsStream::from(stream)));
    Ok(Protected { stream, protocol, certificate })
}

type Accepted = Result<Option<tokio_rustls::server::TlsStream<Socket>>, (io::Error, Socket)>;

/// The handshake. `None` where it was only to prove that a host is ours.
async fn accept(tls: &Tls, socket: Socket) -> Accepted {
    if !tls.challenges.has_certificates() {
        let acceptor = TlsAcceptor::from(tls.config.load_full());
        return acceptor.accept(socket).into_fallible().await.map(Some);
    }
    // Who asks for a proof is known by the first message, before anything is chosen.
    let mut beginning = LazyConfigAcceptor::new(Acceptor::default(), socket);
    let begun = match (&mut beginning).await {
        Ok(begun) => begun,
        Err(error) => return beginning.take_io().map_or(Ok(None), |socket| Err((error, socket))),
    };
    let Some(proof) = tls.challenges.certificate(&begun.client_hello()) else {
        return begun.into_stream(tls.config.load_full()).into_fallible().await.map(Some);
    };
    let mut stream = begun.into_stream(proof).into_fallible().await?;
    // No byte follows a proof (RFC 8737, section 3). Whoever is gone already has what it came for.
    let _ = stream.shutdown().await;
    Ok(None)
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
