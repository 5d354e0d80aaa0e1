//! Asks servers whether they are well.
//!
//! Each server is asked in its own time, by a task of the background thread. A check is a connection of its own, so it also finds a server that takes no more of them. What a server answers is read up to a bound and within the
//! check's time, and nothing of it is followed: a redirect is just a status. A server is left out after some checks in a row
//! that failed, and is back after some that did not; the very first check decides alone. Whatever goes wrong is a failed check.

use super::config::{HealthCheck, Probe};
use super::state::{Checked, Learned, ServerState};
use crate::stream::Stream;
use crate::upstream::config::Upstream;
use crate::upstream::connect::{Address, connect};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use portcullis_http1::{BodyLength, HeadLimits, ResponseReader, write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// The most of an answer that is read.
const MOST: usize = 16 * 1024;

/// A server that is asked.
pub(super) struct Watched {
    pub(super) about: String,
    pub(super) url: String,
    pub(super) upstream: Upstream,
    pub(super) state: Arc<ServerState>,
    pub(super) check: HealthCheck,
    pub(super) told: UnboundedSender<(String, String)>,
}

impl Watched {
    /// `first` is when the first check is made that has none before it.
    pub(super) async fn run(self, first: Duration) {
        let Ok(address) = Address::of(&self.upstream) else { return };
        let mut learned = self.state.learned(&format!("{:?}", self.check));
        let pause = match learned.at {
            // A reload does not make checks more frequent.
            Some(at) => self.check.interval.saturating_sub(at.elapsed()),
            None => Duration::ZERO,
        };
        // The first check is made at once, so that a server that is down gets no requests for long. It decides alone.
        let mut decides = learned.at.is_none();
        let mut spread = if decides { first } else { Duration::ZERO };
        tokio::time::sleep(pause).await;
        loop {
            let begun = Instant::now();
            let asked = ask(&self.upstream, &address, &self.check.probe);
            let outcome = match tokio::time::timeout(self.check.timeout, asked).await {
                Ok(outcome) => outcome,
                Err(_) => Err("no answer in time".to_owned()),
            };
            learned.at = Some(begun);
            (learned.good, learned.bad) = match &outcome {
                Ok(()) => (learned.good.saturating_add(1), 0),
                Err(_) => (0, learned.bad.saturating_add(1)),
            };
            learned.found = outcome.as_ref().err().cloned().unwrap_or_default();
            self.state.learn(learned.clone());
            let before = if std::mem::take(&mut decides) { Checked::Unknown } else { self.state.checked() };
            self.conclude(before, outcome, &learned);
            let rest = self.check.interval.saturating_sub(begun.elapsed());
            tokio::time::sleep(rest + std::mem::take(&mut spread)).await;
        }
    }

    fn conclude(&self, before: Checked, outcome: Result<(), String>, learned: &Learned) {
        let after = match (before, outcome.is_ok()) {
            (Checked::Unknown, true) => Checked::Well,
            (Checked::Unknown, false) => Checked::Ill,
            (Checked::Well, false) if learned.bad >= self.check.unhealthy_after => Checked::Ill,
            (Checked::Ill, true) if learned.good >= self.check.healthy_after => Checked::Well,
            (Checked::Well | Checked::Ill, _) => before,
        };
        let known = self.state.checked();
        if after == known {
            return;
        }
        self.state.check(after, Instant::now());
        let text = match (after, outcome) {
            (Checked::Ill, Err(why)) => format!("{} is unhealthy: {why}", self.url),
            (Checked::Well, _) if known == Checked::Ill => format!("{} is healthy again", self.url),
            (Checked::Unknown | Checked::Well | Checked::Ill, _) => return,
        };
        let _gone = self.told.send((self.about.clone(), text));
    }
}

/// Asks a server once.
async fn ask(upstream: &Upstream, address: &Address, probe: &Probe) -> Result<(), String> {
    let stream = connect(upstream, address, None).await.map_err(|denial| denial.detail().to_owned())?;
    match probe {
        Probe::Tcp => Ok(()),
        Probe::Http { path, expect } => {
            let target = format!("{}{path}", upstream.base_path);
            let status = if upstream.http2 {
                let (status, ..) = over_http2(upstream, stream, Method::GET, &target, None).await?;
                status
            } else {
                over_http1(upstream, stream, &target).await?
            };
            let well = expect.contains(&status.as_u16());
            if well { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
        }
        Probe::Grpc { service } => {
            let target = format!("{}/grpc.health.v1.Health/Check", upstream.base_path);
            let message = health_request(service);
            let (status, headers, body) =
                over_http2(upstream, stream, Method::POST, &target, Some(message)).await?;
            let fine = |headers: &HeaderMap| headers.get("grpc-status").is_none_or(|status| status == "0");
            if status != StatusCode::OK || !fine(&headers) {
                return Err(format!("status {} of the health service", status.as_u16()));
            }
            if is_serving(&body) { Ok(()) } else { Err("the service is not serving".to_owned()) }
        }
    }
}

async fn over_http1(upstream: &Upstream, mut stream: Stream, target: &str) -> Result<StatusCode, String> {
    let mut head = Vec::new();
    let mut fields = HeaderMap::new();
    let host = HeaderValue::from_str(&upstream.authority).map_err(|_| "the host is not text")?;
    fields.insert(header::HOST, host);
    fields.insert(header::USER_AGENT, AGENT);
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if !write::request_head(&mut head, &Method::GET, target, &fields, BodyLength::Exact(0)) {
        return Err("the path has no form in HTTP/1.1".to_owned());
    }
    let failed = |error: std::io::Error| error.to_string();
    stream.write_all(&head).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let limits = HeadLimits {
        max_target_bytes: 0,
        max_fields: upstream.max_head_fields,
        max_field_bytes: MOST,
        max_head_bytes: MOST,
    };
    let (mut input, mut reader) = (BytesMut::new(), ResponseReader::default());
    loop {
        while let Some(head) = reader.read(&input, &limits).map_err(|refusal| refusal.to_string())? {
            let bytes = input.split_to(head.length()).freeze();
            let status = head.into_parts(&bytes).map_err(|refusal| refusal.to_string())?.status;
            if !status.is_informational() {
                return Ok(status);
            }
        }
        if input.len() >= MOST {
            return Err("the head of the answer is too large".to_owned());
        }
        if stream.read_buf(&mut input).await.map_err(failed)? == 0 {
            return Err("the connection was closed before the answer".to_owned());
        }
    }
}

const AGENT: HeaderValue = HeaderValue::from_static("health-check");

/// The answer over HTTP/2, with its fields or those behind its body, and the first bytes of its body.
async fn over_http2(
    upstream: &Upstream,
    stream: Stream,
    method: Method,
    target: &str,
    message: Option<Bytes>,
) -> Result<(StatusCode, HeaderMap, Vec<u8>), String> {
    let failed = |error: h2::Error| error.to_string();
    let (sender, connection) = h2::client::Builder::new()
        .max_header_list_size(16 * 1024)
        .initial_window_size(16 * 1024)
        .enable_push(false)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(failed)?;
    // Ends with this check.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let scheme = if upstream.tls.is_some() { "https" } else { "http" };
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{scheme}://{}{target}", upstream.authority))
        .header(header::USER_AGENT, AGENT);
    if message.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/grpc").header(header::TE, "trailers");
    }
    let request = request.body(()).map_err(|error| error.to_string())?;
    let mut sender = sender.ready().await.map_err(failed)?;
    let (response, mut send) = sender.send_request(request, message.is_none()).map_err(failed)?;
    if let Some(message) = message {
        send.send_data(message, true).map_err(failed)?;
    }
    let (parts, mut body) = response.await.map_err(failed)?.into_parts();
    let (mut read, mut headers) = (Vec::new(), parts.headers);
    while read.len() < 64
        && let Some(data) = body.data().await
    {
        read.extend_from_slice(&data.map_err(failed)?);
    }
    if read.len() < 64
        && let Some(trailers) = body.trailers().await.map_err(failed)?
    {
        headers.extend(trailers);
    }
    Ok((parts.status, headers, read))
}

/// The message `grpc.health.v1.HealthCheckRequest` with its frame.
fn health_request(service: &str) -> Bytes {
    let mut message = Vec::new();
    // A field of this kind has a length of one byte up to here; longer names do not load.
    if let Some(length) = u8::try_from(service.len()).ok().filter(|length| *length > 0 && *length < 128) {
        message.extend([0x0a, length]);
        message.extend(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    framed.extend(message);
    framed.into()
}

/// Whether this is the message `grpc.health.v1.HealthCheckResponse` with the status `SERVING`.
fn is_serving(body: &[u8]) -> bool {
    // Not compressed, two bytes long: the first field, a number, is 1.
    body == [0, 0, 0, 0, 2, 0x08, 0x01]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_health_service() {
        assert_eq!(&*health_request(""), [0, 0, 0, 0, 0]);
        assert_eq!(&*health_request("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        assert!(is_serving(&[0, 0, 0, 0, 2, 8, 1]));
        for other in [
            &[0, 0, 0, 0, 2, 8, 2][..],
            &[0, 0, 0, 0, 2, 8, 3],
            &[0, 0, 0, 0, 0],
            &[],
            &[1, 0, 0, 0, 2, 8, 1],
        ] {
            assert!(!is_serving(other), "{other:?}");
        }
    }
}
