//! Has functions of this process answer requests.
//!
//! A handler runs on its owner's runtime, not on a worker, so that a slow one delays nobody. It is cancelled when its
//! client goes away. Its answer gets the same hygiene as an upstream's. If it panics, the client gets a 500.

use super::answer::{Answer, Source};
use super::compressed::compress;
use super::examined::HandlerReader;
use super::handler::{Handler, ResponseBody};
use super::handler_body::{Pump, RequestBody};
use super::hygiene;
use super::life::Life;
use super::respond::{answer_with, end_with_server_error, fail, refuse, refuse_with_fields};
use super::streams;
use crate::body::ClientBody;
use crate::upload::{ForwardedBody, Upload};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use portcullis_core::permit::Shaped;
use portcullis_core::record::UpstreamAccount;
use portcullis_core::{ClientAddress, Code, Denial, Examined};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A handler, and where it runs.
pub(crate) struct Local {
    // A count of the worker's own, so that no other worker touches it.
    handler: Arc<Arc<dyn Handler>>,
    runtime: Handle,
    name: Arc<str>,
}

impl Local {
    pub(crate) fn new(handler: Arc<dyn Handler>, runtime: Handle) -> Local {
        Local { handler: Arc::new(handler), runtime, name: Arc::from("handler") }
    }

    /// Has the handler answer a request.
    pub(crate) async fn answer(&self, life: &Rc<Life>, shaped: Shaped<ClientBody>) -> Response<Answer> {
        if shaped.upgrade.is_some() {
            let denial = Denial::new(Code::UpgradeRefused, "a handler does not switch protocols");
            return refuse(shaped.recording, denial, shaped.told.as_ref(), life);
        }
        let Shaped {
            route,
            method,
            path_and_query,
            mut headers,
            host,
            body,
            principal,
            told,
            examiner,
            changes,
            compression,
            mut recording,
            ..
        } = shaped;
        let mut account = UpstreamAccount::of(Arc::clone(&self.name));
        recording.record_mut().upstream = Some(account.clone());
        let begun = life.now();
        let (body, upload) =
            ForwardedBody::new(body, begun, streams::is_call(&headers).then_some(streams::IDLE));
        life.watch(upload.as_ref());
        let (body, mut pump) = RequestBody::of(body);
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = path_and_query.into();
        headers.insert(HOST, host);
        *request.headers_mut() = headers;
        request.extensions_mut().insert(principal);
        request.extensions_mut().insert(route);
        if let Some(client) = recording.record().client {
            request.extensions_mut().insert(ClientAddress(client));
        }

        let handler = Arc::clone(&self.handler);
        let task = Task(self.runtime.spawn(async move { handler.call(request).await }));
        let answered = beside(&mut pump, task, life).await;
        account.elapsed = life.now().saturating_duration_since(begun);
        account.status = answered.as_ref().ok().map(Response::status);
        recording.record_mut().upstream = Some(account);
        if let Some(denial) = upload.as_deref().and_then(Upload::refused) {
            return fail(recording, denial, told.as_ref(), life);
        }
        let Ok(response) = answered else {
            let denial = life.revoked().unwrap_or_else(|| {
                Denial::new(Code::HandlerFailed, "the handler panicked, or its runtime is gone")
            });
            return fail(recording, denial, told.as_ref(), life);
        };
        let (mut parts, mut body) = response.into_parts();
        if let Some(denial) = parts.extensions.remove::<Denial>() {
            return refuse_with_fields(recording, denial, told.as_ref(), life);
        }
        let status = parts.status;
        if !(200..600).contains(&status.as_u16()) {
            let denial = Denial::new(
                Code::HandlerFailed,
                format!("the handler answered with status {}", status.as_u16()),
            );
            return fail(recording, denial, told.as_ref(), life);
        }
        if status.is_server_error() && !hygiene::passes_errors(changes.as_deref(), &parts.headers) {
            let denial = Denial::new(
                Code::HandlerFailed,
                format!("the handler answered with status {}", status.as_u16()),
            );
            return end_with_server_error(recording, denial, status, &parts.headers, told.as_ref(), life);
        }
        let length = body.size_hint().exact();
        let silent = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if method == Method::HEAD || silent {
            body = ResponseBody::empty();
        }
        let id = recording.record().id;
        hygiene::clean(&mut parts.headers, &method, false, &id, changes.as_deref(), told.as_ref());
        let mut read = Bytes::new();
        if let Some(examiner) = examiner {
            let reader = HandlerReader(body);
            match examiner.examine(&mut recording, status, &mut parts.headers, reader).await {
                Ok(Examined::Unread(reader)) => body = reader.0,
                Ok(Examined::Beyond { read: beginning, rest }) => (read, body) = (beginning, rest.0),
                Ok(Examined::Whole(bytes)) => body = bytes.into(),
                Err(denial) => return fail(recording, denial, told.as_ref(), life),
            }
        }
        if method == Method::HEAD
            && !silent
            && let Some(length) = length
        {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let (read, content) = compress(
            changes.as_deref(),
            compression,
            &method,
            status,
            &mut parts.headers,
            (read, Source::Local { body, pump }),
        );
        answer_with(status, parts.headers, (read, content.into()), recording, upload, life)
    }
}

/// Waits for a handler, and passes the request's body over meanwhile. `Err` where it panicked, or the request must end.
async fn beside<T>(pump: &mut Option<Pump>, task: Task<T>, life: &Life) -> Result<T, ()> {
    let mut task = pin!(task);
    poll_fn(|cx| {
        let answered = task.as_mut().poll(cx).map_err(|_| ());
        if answered.is_pending() && life.revoked().is_some() {
            return Poll::Ready(Err(()));
        }
        // After the handler, so that a body that it has let go is dropped before anybody asks what is left of it.
        if pump.as_mut().is_some_and(|pump| pump.as_mut().poll(cx).is_ready()) {
            *pump = None;
        }
        answered
    })
    .await
}

/// A running handler; cancelled when dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
