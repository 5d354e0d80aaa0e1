//! gRPC: unary calls over HTTP/2 on both sides, with the server behind every proxy, the load, and the controls.
//!
//! The server is a thread of this program that speaks HTTP/2 with the `h2` crate. It answers 500, which is no success to the load
//! generator, if a call still carries its key or is not the call that was sent. A refused call has a status of gRPC and may have
//! 200 as its HTTP status, so the server counts: a run in which fewer calls came than were answered fails.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
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

use crate::debian;
use crate::failure::{Context, Failure, Outcome};
use crate::process::{Scratch, write};

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
    message: std::path::PathBuf,
    answer: std::path::PathBuf,
}

/// A message without compression, with its length before it.
fn message() -> Bytes {
    let length = u32::try_from(TEXT.len()).unwrap_or_default().to_be_bytes();
    [&[0], &length[..], TEXT].concat().into()
}

impl Upstream {
    pub(super) fn start(scratch: &Scratch) -> Outcome<Self> {
        let folder = scratch.folder("grpc")?;
        let (message_file, answer) = (folder.join("message"), folder.join("answer"));
        std::fs::write(&message_file, message()).context(|| "writing a message".into())?;
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
        Ok(Self { port, calls, message: message_file, answer })
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
        let status =
            call(server, key, upstream).context(|| format!("{}: calling with {what}", server.name()))?;
        let came = upstream.calls() - before;
        let got = std::fs::read(&upstream.answer).unwrap_or_default();
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

/// Calls once, and answers with the status of gRPC.
fn call(server: &Server, key: Option<&str>, upstream: &Upstream) -> Outcome<u16> {
    write(&upstream.answer, "")?;
    let mut command = Command::new(debian::require("curl", "curl")?);
    command.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "10",
        "--http2-prior-knowledge",
    ]);
    command.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
    if let Some(key) = key {
        command.arg("--header");
        command.arg(if key.is_empty() { "x-api-key;".to_owned() } else { format!("x-api-key: {key}") });
    }
    command.arg("--data-binary").arg(format!("@{}", upstream.message.display()));
    command.args(["--dump-header", "-", "--output"]).arg(&upstream.answer);
    command.arg(format!("http://127.0.0.1:{}{PATH}", server.port())).stdin(Stdio::null());
    let output = command.output().context(|| "running curl".into())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    status(&said).context(|| format!("no status of gRPC in the answer:\n{said}"))
}

/// The status of a call, in its head or its trailers. One that has two has none.
fn status(head: &str) -> Option<u16> {
    head.starts_with("HTTP/2 200").then_some(())?;
    let mut all = head.lines().filter_map(|line| line.strip_prefix("grpc-status:"));
    let status = all.next()?.trim().parse().ok()?;
    all.next().is_none().then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_call_is_in_its_head_or_its_trailers() {
        let head = "HTTP/2 200 \r\ncontent-type: application/grpc\r\n";
        assert_eq!(status(&format!("{head}grpc-status: 16\r\n\r\n")), Some(16));
        assert_eq!(status(&format!("{head}\r\ngrpc-status: 0\r\n")), Some(0));
        assert_eq!(status(&format!("{head}grpc-status: 16\r\n\r\ngrpc-status: 0\r\n")), None);
        assert_eq!(status(head), None);
        assert_eq!(status("HTTP/2 401 \r\ngrpc-status: 16\r\n"), None);
    }
}
