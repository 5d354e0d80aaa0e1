//! gRPC: unary calls over HTTP/2 on both sides, with the server behind every proxy, the load, and the controls.
//!
//! The server is a thread of this program that speaks HTTP/2 with the `h2` crate. It answers 500, which is no success to the load
//! generator, if a call still carries its key or is not the call that was sent. A refused call has a status of gRPC and may have
//! 200 as its HTTP status, so the server counts: a run in which fewer calls came than were answered fails.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, server};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use crate::failure::{Context, Failure, Outcome};
use crate::process::Scratch;

use super::keys::Keys;
use super::peers::Server;

/// The method that is called.
pub(super) const PATH: &str = "/bench.Echo/Call";
/// The text of the message in each direction.
const TEXT: &[u8] = b"a message of a call that takes no time";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `OK` and `UNAUTHENTICATED` of gRPC.
const RIGHT: u16 = 0;
const REFUSED: u16 = 16;

/// The server behind every proxy.
#[derive(Debug)]
pub(super) struct Upstream {
    port: u16,
    calls: Arc<AtomicU64>,
    message: PathBuf,
}

/// A message without compression, with its length before it.
fn message() -> Bytes {
    let length = u32::try_from(TEXT.len()).unwrap_or_default().to_be_bytes();
    [&[0], &length[..], TEXT].concat().into()
}

impl Upstream {
    pub(super) fn start(scratch: &Scratch) -> Outcome<Self> {
        let folder = scratch.folder("grpc")?;
        let file = folder.join("message");
        std::fs::write(&file, message()).context(|| "writing a message".into())?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context(|| "listening for calls".into())?;
        listener.set_nonblocking(true).context(|| "listening for calls".into())?;
        let port = listener.local_addr().context(|| "listening for calls".into())?.port();
        let calls = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&calls);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context(|| "making a runtime".into())?;
        // It ends with this program.
        thread::spawn(move || runtime.block_on(serve(listener, counted)));
        Ok(Self { port, calls, message: file })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many calls have come so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Fails if fewer calls came since `earlier` than were answered.
    pub(super) fn expect_calls(&self, earlier: u64, answered: u64, name: &str) -> Outcome<()> {
        let came = self.calls().saturating_sub(earlier);
        if came >= answered {
            return Ok(());
        }
        Err(Failure::new(format!("{name}: {answered} calls were answered, and {came} came to the server")))
    }

    /// What `h2load` sends, apart from the address.
    pub(super) fn load(&self, key: &str, connections: u64, time: Duration, h2load: &Path) -> Command {
        // As many calls at once as there are connections elsewhere, on eight of them.
        let streams = connections.div_ceil(CONNECTIONS).to_string();
        let mut command = crate::process::supervised(h2load);
        command.args(["--duration", &time.as_secs().to_string(), "--clients", &CONNECTIONS.to_string()]);
        command.args(["--max-concurrent-streams", &streams]).arg("--data").arg(&self.message);
        for field in ["content-type: application/grpc", "te: trailers", &format!("x-api-key: {key}")] {
            command.args(["--header", field]);
        }
        command
    }
}

/// How long a call of the controls may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections of HTTP/2 the calls come by.
const CONNECTIONS: u64 = 8;

async fn serve(listener: std::net::TcpListener, calls: Arc<AtomicU64>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let calls = Arc::clone(&calls);
        tokio::spawn(async move {
            // A proxy that goes away is not looked for.
            let _gone = connection(stream, calls).await;
        });
    }
}

async fn connection(stream: TcpStream, calls: Arc<AtomicU64>) -> Result<(), h2::Error> {
    // It makes no difference to what is counted, only to how long a call takes.
    let _unset = stream.set_nodelay(true);
    let mut connection = server::handshake(stream).await?;
    while let Some(stream) = connection.accept().await {
        let (request, respond) = stream?;
        let calls = Arc::clone(&calls);
        tokio::spawn(async move {
            let _gone = answer(request, respond, &calls).await;
        });
    }
    Ok(())
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    calls: &AtomicU64,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        read.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    calls.fetch_add(1, Ordering::Relaxed);
    let is = |name: HeaderName, value: &str| {
        parts.headers.get(name).is_some_and(|field| field.as_bytes() == value.as_bytes())
    };
    let sound = parts.method == Method::POST
        && parts.uri.path() == PATH
        && is(CONTENT_TYPE, "application/grpc")
        && is(TE, "trailers")
        && !parts.headers.contains_key("x-api-key")
        && read == message();
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if !sound {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        respond.send_response(response, true)?;
        return Ok(());
    }
    let mut send = respond.send_response(response, false)?;
    send.send_data(message(), false)?;
    send.send_trailers(HeaderMap::from_iter([(STATUS, HeaderValue::from(RIGHT))]))
}

/// Fails if a call without a right key is let through, or one with a right key is not answered by the server.
pub(super) fn check(server: &Server, keys: &Keys, upstream: &Upstream) -> Outcome<()> {
    let wrong = Keys::wrong();
    for (what, key, wanted) in [
        ("no key", None, REFUSED),
        ("an empty key", Some(""), REFUSED),
        ("a wrong key", Some(wrong.as_str()), REFUSED),
        ("a right key", Some(keys.right()), RIGHT),
    ] {
        let before = upstream.calls();
        let called = call(server, key);
        let (status, got) = called.context(|| format!("{}: calling with {what}", server.name()))?;
        let came = upstream.calls() - before;
        if status != wanted || came != u64::from(wanted == RIGHT) || (wanted == RIGHT) != (got == message()) {
            return Err(Failure::new(format!(
                "{}: a call with {what} must end with status {wanted} of gRPC and ended with {status}; {came} came to the server; \
                 nothing was measured that counts",
                server.name()
            )));
        }
    }
    Ok(())
}

/// Calls once, and answers with the status of gRPC and the message that came.
fn call(server: &Server, key: Option<&str>) -> Outcome<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "making a runtime".into())?;
    let called = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, exchange(server.port(), key)).await.map_err(|late| late.to_string())?
    });
    called.map_err(Failure::new)
}

/// A client of our own: curl may fail where an answer comes before the message has gone out, as that to a wrong key may.
async fn exchange(port: u16, key: Option<&str>) -> Result<(u16, Vec<u8>), String> {
    let text = |error: h2::Error| error.to_string();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| error.to_string())?;
    let (client, connection) = h2::client::handshake(stream).await.map_err(text)?;
    let driving = tokio::spawn(connection);
    let mut request = Request::post(format!("http://127.0.0.1:{port}{PATH}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers");
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let request = request.body(()).map_err(|error| error.to_string())?;
    let mut client = client.ready().await.map_err(text)?;
    let (answer, mut send) = client.send_request(request, false).map_err(text)?;
    // The answer may have come already.
    let _answered = send.send_data(message(), true);
    let (head, mut body) = answer.await.map_err(text)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("the HTTP status is {}", head.status));
    }
    let mut got = Vec::new();
    let status = match head.headers.get(STATUS) {
        Some(status) => status.clone(),
        None => {
            while let Some(data) = body.data().await {
                let data = data.map_err(text)?;
                got.extend_from_slice(&data);
                body.flow_control().release_capacity(data.len()).map_err(text)?;
            }
            let trailers = body.trailers().await.map_err(text)?.unwrap_or_default();
            trailers.get(STATUS).cloned().ok_or("the answer has no status of gRPC")?
        }
    };
    driving.abort();
    let status = status.to_str().ok().and_then(|status| status.parse().ok());
    status.map(|status| (status, got)).ok_or_else(|| "the status of gRPC is no number".to_owned())
}
