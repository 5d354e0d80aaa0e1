//! How the authority's server is spoken to: by the gateway's own guarded way out.
//!
//! TLS is verified, private addresses are refused unless they are listed, and an answer's size and time are bounded. What
//! the server says is not trusted further: its wishes to wait are bounded and its texts are cut before anybody reads them.

use super::AcmeSettings;
use super::failure::Failure;
use super::schedule::{DAY, LONGEST_ASKED};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use portcullis_core::{Effects, Fault, Fetch, Fetched};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};

/// How long one answer may take, and how large it may be.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_BYTES: usize = 256 * 1024;
/// The most characters of a server's text that are told.
const MAX_TEXT: usize = 600;

type Reply = oneshot::Sender<Result<Fetched, Fault>>;

/// What is asked through a [`Client`], for [`serve`].
pub(super) struct Asked(mpsc::UnboundedReceiver<(Fetch, Reply)>);

/// A way to the authority's server that outlives no job.
#[derive(Clone)]
pub(super) struct Client {
    ask: mpsc::UnboundedSender<(Fetch, Reply)>,
    directory: Uri,
    authorities: Option<Arc<[Bytes]>>,
    /// How long the last refusal asked to wait.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

pub(super) fn pair(settings: &AcmeSettings) -> (Client, Asked) {
    let (ask, asked) = mpsc::unbounded_channel();
    let client = Client {
        ask,
        directory: settings.directory.parse().unwrap_or_default(),
        authorities: settings.authorities.clone(),
        retry_after: Arc::default(),
    };
    (client, Asked(asked))
}

/// Runs `work`, and sends what it asks for.
pub(super) async fn serve(effects: &dyn Effects, mut asked: Asked, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    loop {
        let (fetch, reply) = tokio::select! {
            biased;
            () = &mut work => return,
            Some(request) = asked.0.recv() => request,
        };
        // The work waits for nothing else meanwhile. Whoever no longer waits has been cut off.
        let _ = reply.send(effects.fetch(fetch).await);
    }
}

impl Client {
    /// The failure with how long the server asked to wait.
    pub(super) fn with_retry_after(&self, failure: Failure) -> Failure {
        let asked = self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).take();
        Failure { retry_after: failure.retry_after.max(asked), ..failure }
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move { client.send(request).await })
    }
}

impl Client {
    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let failed = |what: String| Error::Other(what.into());
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let is_directory = parts.method == Method::GET && parts.uri == self.directory;
        let is_get = parts.method == Method::GET;
        let content_type = parts.headers.get(CONTENT_TYPE).cloned();
        let fetch = Fetch {
            method: parts.method,
            headers: content_type.map(|value| (CONTENT_TYPE, value)).into_iter().collect(),
            body,
            max_bytes: MAX_BYTES,
            timeout: TIMEOUT,
            authorities: self.authorities.clone(),
            ..Fetch::get(parts.uri)
        };
        let (reply, answered) = oneshot::channel();
        self.ask.send((fetch, reply)).map_err(|_| failed("the gateway is ending".to_owned()))?;
        let answered = answered.await.map_err(|_| failed("the gateway is ending".to_owned()))?;
        let Fetched { status, mut headers, body } = answered.map_err(|fault| failed(fault.detail))?;
        let asked = retry_after(&headers);
        if status.is_client_error() || status.is_server_error() {
            *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        }
        if is_directory {
            judge_directory(status, &body).map_err(failed)?;
        }
        // SECURITY: a date far away cannot be added to ours (a_server_cannot_ask_for_the_end_of_time).
        let bounded = match asked {
            Some(asked) => Some(asked.min(DAY)),
            None => is_get.then_some(DAY / 4),
        };
        headers.remove(RETRY_AFTER);
        if let Some(bounded) = bounded {
            headers.insert(RETRY_AFTER, HeaderValue::from(bounded.as_secs()));
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(BytesResponse::from(response))
    }
}

/// A directory that names no places is none.
fn judge_directory(status: http::StatusCode, body: &[u8]) -> Result<(), String> {
    if !status.is_success() {
        return Err(format!("the directory answered {status}"));
    }
    let directory: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| format!("the directory is not one: {error}"))?;
    for name in ["newNonce", "newAccount", "newOrder"] {
        let place = directory.get(name).and_then(serde_json::Value::as_str);
        let place = place.and_then(|place| place.parse::<Uri>().ok());
        if place.is_none_or(|place| place.host().is_none()) {
            return Err(format!("the directory has no `{name}`"));
        }
    }
    Ok(())
}

/// For how long an answer asks to wait (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(asked.min(LONGEST_ASKED))
}

/// A server's text as it can be told: on one line, and no longer than anybody reads.
pub(super) fn printable(text: &str) -> String {
    let clean = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    clean.take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        [(RETRY_AFTER, HeaderValue::try_from(value).unwrap())].into_iter().collect()
    }

    #[test]
    fn a_server_cannot_ask_for_the_end_of_time() {
        assert_eq!(retry_after(&headers("30")), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers(&u64::MAX.to_string())), Some(LONGEST_ASKED));
        assert_eq!(retry_after(&headers("Fri, 31 Dec 9999 23:59:59 GMT")), Some(LONGEST_ASKED));
        assert_eq!(retry_after(&headers("Fri, 31 Dec 1999 23:59:59 GMT")), Some(Duration::ZERO));
        for nothing in ["", "soon", "-1", "99999999999999999999999"] {
            assert_eq!(retry_after(&headers(nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn a_directory_names_its_places() {
        let ok = http::StatusCode::OK;
        let good = br#"{"newNonce":"https://a/n","newAccount":"https://a/a","newOrder":"https://a/o"}"#;
        assert_eq!(judge_directory(ok, good), Ok(()));
        assert!(judge_directory(http::StatusCode::SERVICE_UNAVAILABLE, good).is_err());
        for bad in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"newNonce":"no place","newAccount":"https://a/a","newOrder":"https://a/o"}"#,
            r#"{"newNonce":7,"newAccount":"https://a/a","newOrder":"https://a/o"}"#,
        ] {
            assert!(judge_directory(ok, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_stays_on_its_line() {
        assert_eq!(printable("a\r\nb\u{1b}[31m"), "a  b [31m");
        assert_eq!(printable(&"x".repeat(10_000)).len(), MAX_TEXT);
    }
}
