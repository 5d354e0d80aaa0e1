//! A server for the few clients of an operator's listener.
//!
//! It has a thread and a runtime of its own, at a low priority, so that whoever floods it takes nothing from requests. Connections,
//! heads, bodies and the time for each are bounded; what is beyond is closed or refused. HTTP/1.1 alone is spoken.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_core::pool::{Bounds, Pool};
use portcullis_runtime::aside;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// The most connections at once; one more is closed.
pub const MAX_CONNECTIONS: usize = 64;
/// The largest request head in bytes (431 beyond it).
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most header fields of a request (431 beyond it).
pub const MAX_FIELDS: usize = 64;
/// The largest request body in bytes (413 beyond it).
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a head, a handshake, or the pause between two requests may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole connection may last.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// How long nothing is accepted after the operating system has refused to.
const PAUSE: Duration = Duration::from_millis(100);

/// An answer that comes later.
pub type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A request and who sent it.
pub struct Asked {
    /// The request with its whole body.
    pub request: Request<Bytes>,
    /// Who connected.
    pub peer: SocketAddr,
    /// Whether the connection is protected.
    pub tls: bool,
}

/// Answers requests.
pub trait Service: Send + Sync {
    /// The answer. Must not block for long.
    fn answer(&self, asked: Asked) -> Wait<Response<Bytes>>;
}

/// The TLS of new connections, which may be another one later.
pub type Protection = dyn Fn() -> Arc<ServerConfig> + Send + Sync;

/// A server. It ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    /// By which another process can accept as well.
    socket: StdListener,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Read once for each request; nobody serves requests of clients here.
    service: Mutex<Arc<dyn Service>>,
    protection: Mutex<Option<Arc<Protection>>>,
    places: Pool,
}

impl Server {
    /// Accepts from `socket`, in the clear or protected, and answers with `service`.
    ///
    /// # Errors
    /// The socket is no listening one, or there is no thread.
    pub fn start(
        socket: StdListener,
        protection: Option<Arc<Protection>>,
        service: Arc<dyn Service>,
    ) -> io::Result<Server> {
        socket.set_nonblocking(true)?;
        let kept = socket.try_clone()?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared {
            service: Mutex::new(service),
            protection: Mutex::new(protection),
            places: Pool::new(Bounds { units: MAX_CONNECTIONS, share: MAX_CONNECTIONS / 2, waiting: 0 }),
        });
        let (stop, stopped) = oneshot::channel();
        let on_thread = Arc::clone(&shared);
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(socket)?
        };
        let thread = aside("portcullis-admin", move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, &on_thread) => {}
                    // An error means that the sender is gone, which is the end just the same.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Server { address, socket: kept, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens, with the port that was found for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another descriptor of its socket.
    ///
    /// # Errors
    /// The process has no more descriptors.
    pub fn socket(&self) -> io::Result<StdListener> {
        self.socket.try_clone()
    }

    /// Answers with another service from now on, and protects new connections in another way.
    pub fn exchange(&self, protection: Option<Arc<Protection>>, service: Arc<dyn Service>) {
        *lock(&self.shared.protection) = protection;
        *lock(&self.shared.service) = service;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let Some(thread) = self.thread.take() else { return };
        // A server that is dropped by an answer of its own must not wait for itself.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // SECURITY: whoever opens more than there are places costs a closed socket, and one address leaves half of them
        // (a_flood_of_the_admin_listener_is_bounded).
        let Ok(place) = shared.places.try_take(peer.ip(), 1) else { continue };
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let _place = place;
            let _late = tokio::time::timeout(CONNECTION_LIFE, connection(stream, peer, shared)).await;
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let protection = lock(&shared.protection).clone();
    let Some(protection) = protection else { return serve(stream, peer, false, shared).await };
    let acceptor = TlsAcceptor::from(protection());
    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
        serve(stream, peer, true, shared).await;
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    tls: bool,
    shared: Arc<Shared>,
) {
    let service = service_fn(move |request| {
        let service = Arc::clone(&lock(&shared.service));
        async move { Ok::<_, Infallible>(answer(request, peer, tls, service).await.map(Full::new)) }
    });
    // What is wrong with the connection of an operator's tool is that tool's to say.
    let _closed = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    tls: bool,
    service: Arc<dyn Service>,
) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let read = Limited::new(body, MAX_BODY_BYTES).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return closing(text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n".to_owned()));
        }
        Err(_) => {
            return closing(text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n".to_owned()));
        }
    };
    service.answer(Asked { request: Request::from_parts(parts, body), peer, tls }).await
}

fn closing(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A plain text as an answer that nothing may keep.
pub fn text(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
