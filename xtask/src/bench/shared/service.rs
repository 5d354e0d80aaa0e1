//! The gRPC service that Envoy asks about each request (`envoy.service.ratelimit.v3.RateLimitService`), as small as can be:
//! for each question an `INCRBY` and an `EXPIRE` in Redis, on one connection, and an answer.
//!
//! The service that Envoy's makers publish does the same and more, so a figure with this one is a floor of what theirs costs.
//! It is a thread of this program; a fault ends the question, which Envoy is told to refuse.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::thread;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, server};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, HeaderName, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::failure::{Context, Outcome};

/// What the names of counters begin with.
pub(super) const PREFIX: &str = "bench-service";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The answers in protobuf: field 1, `overall_code`, `OK` or `OVER_LIMIT`.
const OK: [u8; 2] = [8, 1];
const OVER_LIMIT: [u8; 2] = [8, 2];

#[derive(Debug)]
pub(super) struct Service {
    port: u16,
}

/// A counter to increment, and who waits for it.
type Question = (Vec<u8>, oneshot::Sender<u64>);

impl Service {
    /// A client of `/limited` may ask `limit` times.
    pub(super) fn start(redis: u16, limit: u32) -> Outcome<Self> {
        let listening = || "listening for questions of Envoy".to_owned();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(listening)?;
        listener.set_nonblocking(true).context(listening)?;
        let port = listener.local_addr().context(listening)?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context(|| "making a runtime".into())?;
        // It ends with this program.
        thread::spawn(move || {
            runtime.block_on(async {
                let (questions, asked) = mpsc::channel(4096);
                tokio::spawn(async move { drop(count(redis, asked).await) });
                serve(listener, questions, u64::from(limit)).await;
            });
        });
        Ok(Self { port })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// Increments counters, as many at once as are asked about.
async fn count(redis: u16, mut asked: mpsc::Receiver<Question>) -> std::io::Result<()> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis)).await?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let (mut waiting, mut read) = (VecDeque::new(), Vec::new());
    // Each question has two answers, of which the first counts.
    let mut answers = 0_u64;
    loop {
        tokio::select! {
            question = asked.recv() => {
                let Some(first) = question else { return Ok(()) };
                let mut command = Vec::new();
                let mut next = Some(first);
                while let Some((name, answer)) = next {
                    waiting.push_back(answer);
                    for words in [[b"INCRBY".as_slice(), &name, b"1"], [b"EXPIRE", &name, b"3600"]] {
                        command.extend_from_slice(b"*3\r\n");
                        for word in words {
                            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                            command.extend_from_slice(word);
                            command.extend_from_slice(b"\r\n");
                        }
                    }
                    next = asked.try_recv().ok();
                }
                writer.write_all(&command).await?;
            }
            size = reader.read_buf(&mut read) => {
                if size? == 0 {
                    return Ok(());
                }
                while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = read.drain(..=end).collect();
                    answers += 1;
                    if answers % 2 == 1 && let Some(answer) = waiting.pop_front() {
                        let number = std::str::from_utf8(&line).ok().and_then(|text| text.strip_prefix(':')?.trim().parse().ok());
                        // Nobody is answered whose counter is no number; Envoy refuses the request then.
                        if let Some(number) = number {
                            let _gone = answer.send(number);
                        }
                    }
                }
            }
        }
    }
}

async fn serve(listener: std::net::TcpListener, questions: mpsc::Sender<Question>, limit: u64) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let questions = questions.clone();
        tokio::spawn(async move {
            let _unset = stream.set_nodelay(true);
            let Ok(mut connection) = server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let questions = questions.clone();
                tokio::spawn(async move { drop(answer(request, respond, &questions, limit).await) });
            }
        });
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    questions: &mpsc::Sender<Question>,
    limit: u64,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        read.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    // The question names the limit and the consumer, so its bytes are a name for the counter.
    let is_narrow = read.windows(7).any(|part| part == b"limited");
    let name = [PREFIX.as_bytes(), b":", &read].concat();
    let (answer, counted) = oneshot::channel();
    let counted = match questions.send((name, answer)).await {
        Ok(()) => counted.await.ok(),
        Err(_) => None,
    };
    // `UNAVAILABLE` of gRPC where Redis does not answer.
    let (code, status) = match counted {
        Some(count) if is_narrow && count > limit => (OVER_LIMIT, 0_u16),
        Some(_) => (OK, 0),
        None => (OVER_LIMIT, 14),
    };
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut send = respond.send_response(response, false)?;
    send.send_data([&[0, 0, 0, 0, 2], &code[..]].concat().into(), false)?;
    send.send_trailers(HeaderMap::from_iter([(STATUS, HeaderValue::from(status))]))
}
