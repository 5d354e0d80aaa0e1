//! What the gateway itself asks of other servers, such as an issuer's keys.
//!
//! One connection for each request, to an address that may be connected to; TLS is verified with the system's roots and
//! those that the operator adds. Redirects are not followed, an answer's size and time are bounded, and only so many
//! requests run at once, of which those that clients cause are shared by their addresses. Whatever goes wrong is a fault, and
//! says what.

mod guard;

pub use guard::AddressGuard;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use portcullis_core::pool::{Bounds, Place, Pool};
use portcullis_core::{Fault, Fetch, Fetched, Wait};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_rustls::TlsConnector;

/// How many requests of each kind run at once; more wait for their turn, within their time.
const MAX_AT_ONCE: usize = 64;

/// Of those that clients cause, such as asking what a token is.
const FOR_CLIENTS: Bounds = Bounds { units: MAX_AT_ONCE, share: MAX_AT_ONCE / 2, waiting: 512 };

/// To whom the gateway itself may speak, and whom it believes.
#[derive(Clone, Debug, Default)]
pub struct OutboundPolicy {
    /// Networks that are not public, and that it may connect to all the same.
    pub allowed: Vec<IpNet>,
    /// Certificates of authorities that it believes besides the system's.
    pub roots: Vec<CertificateDer<'static>>,
}

/// The way out.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    guard: AddressGuard,
    tls: Result<Arc<ClientConfig>, String>,
    handle: Handle,
    /// For documents, such as key sets.
    reading: Semaphore,
    /// For whatever else the gateway asks on its own behalf.
    asking: Semaphore,
    /// For what clients cause.
    for_clients: Pool,
}

/// Its turn.
enum Turn<'a> {
    Own { _permit: SemaphorePermit<'a> },
    OfClient { _place: Place },
}

impl Outbound {
    /// A way out for this policy. Requests run on `handle`.
    pub fn new(policy: OutboundPolicy, handle: Handle) -> Outbound {
        Outbound(Arc::new(Inner {
            guard: AddressGuard::new(policy.allowed),
            tls: client_config(policy.roots).map(Arc::new).map_err(|error| error.to_string()),
            handle,
            reading: Semaphore::new(MAX_AT_ONCE),
            asking: Semaphore::new(MAX_AT_ONCE),
            for_clients: Pool::new(FOR_CLIENTS),
        }))
    }

    /// Sends a request.
    pub fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        let inner = Arc::clone(&self.0);
        let what = format!("{}", fetch.url);
        let timeout = fetch.timeout;
        let task = self.0.handle.spawn(async move {
            tokio::time::timeout(timeout, inner.fetch(fetch))
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned()))
        });
        let task = AbortOnDrop(task);
        Box::pin(async move {
            let ended = task.await.unwrap_or_else(|_| Err("the gateway is ending".to_owned()));
            ended.map_err(|why| Fault { detail: format!("{what}: {why}") })
        })
    }
}

/// Whoever asked may go away; then nobody needs the answer.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn client_config(roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if roots.is_empty() {
        builder.with_platform_verifier()?
    } else {
        let verifier = Verifier::new_with_extra_roots(roots, provider)?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// TLS that believes these authorities and no others.
fn only(authorities: &[Bytes]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from(authority.as_ref()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl Inner {
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, String> {
        let _turn = self.turn(&fetch).await?;
        let host = fetch.url.host().ok_or("the URL has no host")?.to_owned();
        let tls = fetch.url.scheme_str() == Some("https");
        let port = fetch.url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let stream =
            self.connect(host.trim_matches(['[', ']']), port, tls || fetch.insecure_plaintext).await?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        if !tls {
            return exchange(stream, fetch).await;
        }
        let config = match &fetch.authorities {
            None => self.tls.clone(),
            Some(authorities) => only(authorities).map(Arc::new).map_err(|error| error.to_string()),
        };
        let config = config.map_err(|why| format!("TLS cannot be used: {why}"))?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| "the host cannot have a certificate")?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|error| format!("TLS: {error}"))?;
        exchange(stream, fetch).await
    }

    /// Waits for the turn of a request.
    async fn turn(&self, fetch: &Fetch) -> Result<Turn<'_>, String> {
        // SECURITY: a flood of tokens that a slow server is asked about must keep neither the gateway from its keys nor
        // other addresses from theirs (a_flood_of_opaque_tokens_does_not_keep_the_gateway_from_its_keys,
        // one_address_does_not_keep_others_from_asking).
        if let Some(client) = fetch.client {
            let place = self.for_clients.take(client, 1).await;
            return place.map(|_place| Turn::OfClient { _place }).map_err(|full| full.to_string());
        }
        let turns = if fetch.method == Method::GET { &self.reading } else { &self.asking };
        let permit = turns.acquire().await.map_err(|_| "the gateway is ending".to_owned())?;
        Ok(Turn::Own { _permit: permit })
    }

    /// `anywhere`: also to another machine than this one, since nobody can listen, or the operator does not mind.
    async fn connect(&self, host: &str, port: u16, anywhere: bool) -> Result<TcpStream, String> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found.map_err(|error| format!("look-up: {error}"))?.collect();
        let mut last = "the name has no address".to_owned();
        for address in found {
            // SECURITY: the very address that is connected to is judged (a_neighbour_of_the_gateway_is_not_asked).
            if !self.guard.allows(address.ip()) {
                last = format!("{} is not a public address, and not listed under `outbound`", address.ip());
                continue;
            }
            // In clear only where nobody can listen, whatever a name resolves to.
            if !anywhere && !address.ip().to_canonical().is_loopback() {
                last = format!("{} would be spoken to without TLS", address.ip());
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(last)
    }
}

/// What an HTTP/1.1 origin is asked for, and under which name.
fn target(url: &Uri) -> Result<(HeaderValue, String), String> {
    let authority = url.authority().ok_or("the URL has no host")?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| "the URL has no host")?;
    let path = url.path_and_query().map_or("/", |target| target.as_str());
    Ok((host, path.to_owned()))
}

async fn exchange<S>(stream: S, fetch: Fetch) -> Result<Fetched, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (host, path) = target(&fetch.url)?;
    let mut request = Request::new(Full::new(fetch.body));
    *request.method_mut() = fetch.method;
    *request.uri_mut() = path.parse().map_err(|_| "the URL has no path")?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static("portcullis"));
    headers.extend(fetch.headers);
    let http = |error: hyper::Error| format!("HTTP: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    // Runs until this exchange is over, since the sender is dropped then.
    let connection = AbortOnDrop(tokio::spawn(connection));
    let response = sender.send_request(request).await.map_err(http)?;
    let (parts, mut body) = response.into_parts();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(http)?.into_data() else { continue };
        if whole.len() + data.len() > fetch.max_bytes {
            return Err(format!("an answer of more than {} bytes", fetch.max_bytes));
        }
        whole.extend_from_slice(&data);
    }
    drop(connection);
    Ok(Fetched { status: parts.status, headers: parts.headers, body: Bytes::from(whole) })
}
