//! The requests on a connection, one after the other.
//!
//! Each is read, given to the exchange, and answered, in this one task. What the next request is depends on where this one
//! ends: where that is in doubt, the connection ends with its answer.

use super::handle::Handle;
use super::incoming::Incoming;
use super::io::{HEAD_READ, Io};
use super::{refuse, reply};
use crate::body::ClientBody;
use crate::exchange::life::Life;
use crate::exchange::{Answer, Entry, Tunnel, Worker, service};
use crate::state::{Requests, State};
use http::uri::PathAndQuery;
use http::{Method, Response, header};
use portcullis_core::{Conn, HeadPolicy};
use portcullis_http1::{
    BodyLimits, BodyReader, ForbiddenTrailers, Framing, HeadLimits, Persistence, Refusal, RequestHead,
    RequestReader, Version,
};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// What a field line may have beside its name and value, of which the engine counts those two alone.
const AROUND: usize = 8;
/// So much of a head is read whatever the engine's limits are, so that its answer is the one that a client sees.
const MIN_HEAD: usize = 64 * 1024;

/// How a connection ends.
pub(super) enum End {
    /// Nothing is left to be said.
    Closed,
    /// The client may still send what nobody will read, and must see its answer.
    Linger,
    /// An answer broke off, which must not look like its end.
    Broken,
    /// Another protocol goes on.
    Tunnel(Box<Tunnel>),
}

/// What the requests of a connection have in common.
pub(super) struct Conversation<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) entry: &'a Arc<Entry>,
    pub(super) life: &'a Rc<Life>,
    pub(super) conn: &'a Conn,
    pub(super) io: &'a Rc<RefCell<Io>>,
}

/// What came instead of, or as, a request head.
enum Next {
    Head(Box<RequestHead>),
    Refused(Refusal),
    /// The client is gone, or has nothing to say and is sent away.
    Nothing,
}

impl Conversation<'_> {
    /// Serves requests until the connection is to end.
    pub(super) async fn run(&self) -> End {
        let mut reader = RequestReader::default();
        loop {
            let head = match self.next(&mut reader).await {
                Next::Head(head) => head,
                Next::Nothing => return End::Closed,
                Next::Refused(refusal) => {
                    let named = refuse::named(&self.io.borrow().input);
                    return Box::pin(self.refuse(refusal, named)).await;
                }
            };
            // Boxed, so that a connection between two requests has no room for one.
            if let Some(end) = Box::pin(self.serve(*head)).await {
                return end;
            }
            if let Some(end) = self.skip_body().await {
                return end;
            }
            self.io.borrow_mut().rest();
        }
    }

    /// Whether the client is to hear by the end of the stream that nothing more is served.
    fn is_told_to_go(&self) -> bool {
        self.life.state() == State::Leaving(Requests::Done)
    }

    /// Waits for a complete request head.
    async fn next(&self, reader: &mut RequestReader) -> Next {
        let limits = limits(&self.worker.current().snapshot.head);
        poll_fn(|cx| {
            let io = &mut *self.io.borrow_mut();
            io.enter(cx);
            loop {
                if !io.input.is_empty() {
                    match reader.read(&io.input, &limits) {
                        Ok(Some(head)) => return Poll::Ready(Next::Head(Box::new(head))),
                        Ok(None) => {}
                        Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
                    }
                    // Empty lines before a request are none of it, and give it no time.
                    if reader.has_begun() {
                        self.life.head_begins();
                    }
                }
                if io.ended || (self.is_told_to_go() && !reader.has_begun()) {
                    return Poll::Ready(Next::Nothing);
                }
                if io.poll_fill(cx, HEAD_READ).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Serves a request. `Some` where it is the last one.
    async fn serve(&self, head: RequestHead) -> Option<End> {
        let (version, framing, persistence) = (head.version(), head.framing(), head.persistence());
        let (expects, upgrades) = (head.expects_continue(), head.offers_upgrade());
        let bytes = self.io.borrow_mut().input.split_to(head.length()).freeze();
        let mut parts = match head.into_parts(&bytes) {
            Ok(parts) => parts,
            Err(refusal) => return Some(Box::pin(self.refuse(refusal, refuse::named(&bytes))).await),
        };
        // SECURITY: an offer that does not count is none; the engine would take it up (an_upgrade_counts_only_with_its_option).
        if !upgrades {
            parts.headers.remove(header::UPGRADE);
        }
        let bodiless = parts.method == Method::HEAD;
        let body = match framing {
            Framing::None | Framing::Length(0) => ClientBody::empty(),
            Framing::Length(_) | Framing::Chunked => {
                // Trailer fields of requests go nowhere, so no name is worth a refusal.
                let limits =
                    BodyLimits { forbidden_trailers: ForbiddenTrailers::Drop, ..BodyLimits::default() };
                let decoder = BodyReader::new(framing.into(), limits);
                ClientBody::new(Handle::new(self.io, decoder, expects))
            }
        };
        // Boxed, so that nothing of it is left while the answer goes out.
        let mut answering = Box::pin(service::answer(
            Rc::clone(self.worker),
            Arc::clone(self.entry),
            Rc::clone(self.life),
            self.conn.clone(),
            parts,
            body,
        ));
        let answered = poll_fn(|cx| {
            self.io.borrow_mut().enter(cx);
            let answered = answering.as_mut().poll(cx);
            // A client of HTTP/1.0 knows none (RFC 9110, section 15.2).
            for interim in self.life.take_interim() {
                if version == Version::Http11 {
                    reply::write_interim(&mut self.io.borrow_mut(), &interim);
                }
            }
            if let Poll::Ready(response) = answered {
                return Poll::Ready(Some(response));
            }
            if self.io.borrow_mut().poll_beside(cx) { Poll::Ready(None) } else { Poll::Pending }
        })
        .await;
        drop(answering);
        // A client that has gone away is owed nothing; the record says that it went.
        let Some(response) = answered else { return Some(End::Closed) };
        self.reply(response, version, bodiless, persistence).await
    }

    /// Writes an answer. `Some` where the connection ends with it.
    async fn reply(
        &self,
        response: Response<Answer>,
        version: Version,
        bodiless: bool,
        persistence: Persistence,
    ) -> Option<End> {
        let lost = self.io.borrow_mut().body_is_lost();
        let persistence = if lost { Persistence::Close } else { persistence };
        match reply::write(self.io, response, version, bodiless, persistence, self.life.now()).await {
            reply::Written::Whole(Persistence::KeepAlive) => {}
            reply::Written::Whole(Persistence::Close) => {
                let io = self.io.borrow();
                let unread = !io.input.is_empty() || io.body.as_ref().is_some_and(Incoming::is_incomplete);
                return Some(if unread { End::Linger } else { End::Closed });
            }
            reply::Written::Switched => {
                return Some(
                    self.life.take_tunnel().map_or(End::Closed, |tunnel| End::Tunnel(Box::new(tunnel))),
                );
            }
            reply::Written::Gone => return Some(End::Closed),
            reply::Written::Broken => return Some(End::Broken),
        }
        None
    }

    /// Answers what is no request.
    async fn refuse(&self, refusal: Refusal, named: (Option<Method>, Option<PathAndQuery>)) -> End {
        let denial = refuse::denial(refusal);
        if refusal == Refusal::Http2Preface {
            // Whoever speaks HTTP/2 does not read an answer in HTTP/1.1.
            self.worker.account(self.conn, denial, false);
            return End::Closed;
        }
        let response = service::refuse_head(self.worker, self.entry, self.life, self.conn, named, denial);
        let end = self.reply(response, Version::Http11, false, Persistence::Close).await;
        match end {
            // What follows is unread, whatever it is.
            Some(End::Closed) | None => End::Linger,
            Some(end) => end,
        }
    }

    /// Waits until nothing is left of a request's body: until whoever reads it is done, and then by skipping what is left.
    async fn skip_body(&self) -> Option<End> {
        poll_fn(|cx| {
            loop {
                let io = &mut *self.io.borrow_mut();
                io.enter(cx);
                let Some(body) = &io.body else { return Poll::Ready(None) };
                if !body.is_incomplete() {
                    return Poll::Ready(None);
                }
                if body.is_being_read() {
                    let _gone = io.poll_beside(cx);
                    return Poll::Pending;
                }
                // SECURITY: what is left of a body is never read as a request (an_unread_body_is_never_a_request).
                if body.is_lost() {
                    return Poll::Ready(Some(End::Linger));
                }
                match io.poll_body(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(End::Closed)),
                    Poll::Pending if self.is_told_to_go() => return Poll::Ready(Some(End::Closed)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

/// The limits of a head while it is read. The engine's own are exact; these let through what those must judge.
pub(super) fn limits(policy: &HeadPolicy) -> HeadLimits {
    let around = policy.max_fields.saturating_mul(AROUND).saturating_add(4096);
    let max_head_bytes = policy.max_head_bytes.saturating_add(policy.max_target_bytes).saturating_add(around);
    HeadLimits {
        max_target_bytes: policy.max_target_bytes,
        max_fields: policy.max_fields,
        // One field that is too large leaves a head that ends, and so a connection that can be used again.
        max_field_bytes: max_head_bytes,
        max_head_bytes: max_head_bytes.max(MIN_HEAD),
    }
}
