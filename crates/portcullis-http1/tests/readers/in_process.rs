//! hyper, in the test itself.

use crate::ours::{Request, Stream, origin};
use crate::{Seen, servers};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Hands `use_it` what reads a stream with hyper.
pub(crate) fn with_hyper(use_it: impl FnOnce(&mut dyn FnMut(&Stream) -> Vec<Seen>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    use_it(&mut |stream| runtime.block_on(read(&stream.bytes)));
}

async fn read(bytes: &[u8]) -> Vec<Seen> {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let serving = http1::Builder::new().serve_connection(TokioIo::new(server), service_fn(answer));
    let (mut from, mut to) = tokio::io::split(client);
    let mut answers = Vec::new();
    let (_served, _written, read) = tokio::join!(
        async {
            // A refusal is an error as well as an answer.
            serving.await.is_ok()
        },
        async { to.write_all(bytes).await.is_ok() },
        from.read_to_end(&mut answers),
    );
    read.unwrap();
    servers::seen(&answers)
}

async fn answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(hyper::Response::builder().status(400).body(Full::default()).unwrap());
    };
    let read = Request {
        method: parts.method.to_string(),
        target: origin(&parts.uri.to_string()),
        body: body.to_bytes().to_vec(),
    };
    let body: String = read.body.iter().copied().map(char::from).collect();
    let said = serde_json::json!({ "method": read.method, "target": read.target, "body": body });
    Ok(hyper::Response::new(Full::from(said.to_string())))
}
