//! Writes an answer to a client of HTTP/1.1 or 1.0.

use super::incoming::Incoming;
use super::io::Io;
use crate::exchange::{Answer, date};
use crate::upstream::Interim;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use portcullis_http1::{BodyLength, Persistence, Version, write};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const KEEP_ALIVE: HeaderValue = HeaderValue::from_static("keep-alive");

/// What became of an answer.
pub(super) enum Written {
    /// It has gone out.
    Whole(Persistence),
    /// Its head has gone out, and after it comes another protocol.
    Switched,
    /// The client is gone.
    Gone,
    /// It broke off.
    Broken,
}

/// Writes an answer and waits until it has gone out. `bodiless` where the request was a `HEAD`, and
/// `now` when this turn began.
pub(super) async fn write(
    io: &Rc<RefCell<Io>>,
    response: Response<Answer>,
    version: Version,
    bodiless: bool,
    persistence: Persistence,
    now: Instant,
) -> Written {
    let (mut parts, mut body) = response.into_parts();
    let switched = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let length = length(&mut parts.headers, parts.status, &body, version, bodiless);
    let persistence = match length {
        Some(BodyLength::UntilClose) => Persistence::Close,
        Some(_) | None if has_close(&parts.headers) => Persistence::Close,
        Some(_) | None => persistence,
    };
    if !switched {
        match (persistence, version) {
            (Persistence::Close, _) => {
                parts.headers.insert(CONNECTION, CLOSE);
            }
            (Persistence::KeepAlive, Version::Http10) => {
                parts.headers.insert(CONNECTION, KEEP_ALIVE);
            }
            (Persistence::KeepAlive, Version::Http11) => {}
        }
    }
    date(&mut parts.headers, now);
    let unfinished = {
        let mut io = io.borrow_mut();
        io.output.put(|out| write::response_head(out, version.into(), parts.status, &parts.headers, length));
        drop(parts.headers);
        // From here on, a 100 would stand in the middle of this answer.
        io.body.as_mut().is_some_and(Incoming::takes_expectation)
    };
    let persistence = if unfinished { Persistence::Close } else { persistence };
    let written = match length {
        Some(length) => {
            let mut ended = false;
            poll_fn(|cx| poll_body(io, &mut body, length, &mut ended, cx)).await
        }
        None => poll_fn(|cx| poll_out(io, cx)).await,
    };
    // The request ends here, and the client has its answer.
    drop(body);
    match written {
        Written::Whole(_) if switched => Written::Switched,
        Written::Whole(_) => Written::Whole(persistence),
        Written::Switched | Written::Gone | Written::Broken => written,
    }
}

/// Puts an informational answer before the final one.
pub(super) fn write_interim(io: &mut Io, interim: &Interim) {
    io.output.put(|out| {
        write::response_head(out, http::Version::HTTP_11, interim.status, &interim.headers, None);
    });
}

/// How the client learns where the body ends; `None` where there is none whatever the fields say (RFC 9112, section 6.3).
fn length(
    headers: &mut HeaderMap,
    status: StatusCode,
    body: &Answer,
    version: Version,
    bodiless: bool,
) -> Option<BodyLength> {
    let exact = body.size_hint().exact();
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return None;
    }
    if bodiless {
        // The length that GET would have, as far as it is known (RFC 9110, section 8.6).
        if let Some(exact) = exact.filter(|exact| *exact > 0)
            && !headers.contains_key(CONTENT_LENGTH)
        {
            headers.insert(CONTENT_LENGTH, exact.into());
        }
        return None;
    }
    Some(match (exact, version) {
        (Some(exact), _) => BodyLength::Exact(exact),
        (None, Version::Http11) => BodyLength::Chunked,
        (None, Version::Http10) => BodyLength::UntilClose,
    })
}

fn has_close(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Writes the parts of a body as they come, until the last has gone out. `ended` once its end was put behind them.
fn poll_body(
    io: &RefCell<Io>,
    body: &mut Answer,
    length: BodyLength,
    ended: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Written> {
    loop {
        if !*ended && body.is_end_stream() {
            end(&mut io.borrow_mut(), length);
            *ended = true;
        }
        if *ended {
            return poll_out(io, cx);
        }
        if io.borrow().output.is_full() {
            // The borrow must not last while what is beside is looked at.
            let flushed = io.borrow_mut().poll_flush(cx);
            match flushed {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Written::Gone),
                Poll::Pending => return beside(io, cx),
            }
        }
        io.borrow_mut().enter(cx);
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Trailer fields are not passed on in HTTP/1.1.
                let Ok(data) = frame.into_data() else { continue };
                part(&mut io.borrow_mut(), data, length);
            }
            Poll::Ready(Some(Err(_))) => {
                // What there is goes out as far as it can; the end does not.
                let _partly = io.borrow_mut().poll_flush(cx);
                return Poll::Ready(Written::Broken);
            }
            Poll::Ready(None) => {
                end(&mut io.borrow_mut(), length);
                *ended = true;
            }
            Poll::Pending => return beside(io, cx),
        }
    }
}

fn part(io: &mut Io, data: Bytes, length: BodyLength) {
    match length {
        BodyLength::Exact(_) | BodyLength::UntilClose => io.output.put_data(data),
        BodyLength::Chunked => io.output.put_chunk(data),
    }
}

fn end(io: &mut Io, length: BodyLength) {
    match length {
        BodyLength::Exact(_) | BodyLength::UntilClose => {}
        BodyLength::Chunked => io.output.put_last_chunk(),
    }
}

fn poll_out(io: &RefCell<Io>, cx: &mut Context<'_>) -> Poll<Written> {
    // The borrow must not last while what is beside is looked at.
    let flushed = io.borrow_mut().poll_flush(cx);
    match flushed {
        Poll::Ready(Ok(())) => Poll::Ready(Written::Whole(Persistence::KeepAlive)),
        Poll::Ready(Err(_)) => Poll::Ready(Written::Gone),
        Poll::Pending => beside(io, cx),
    }
}

/// While the next part is waited for, what there is goes out, and the client may go away.
fn beside(io: &RefCell<Io>, cx: &mut Context<'_>) -> Poll<Written> {
    if io.borrow_mut().poll_beside(cx) { Poll::Ready(Written::Gone) } else { Poll::Pending }
}
