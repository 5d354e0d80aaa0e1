//! Traces: spans of sampled requests, sent to a collector by OTLP (protobuf over HTTP).
//!
//! A worker makes the spans of a request that is sampled and puts them into a bounded queue; it never waits. A [`Job`] beside
//! requests takes them out and sends them, many at once. What finds no place, or what the collector does not take at the second
//! attempt, is dropped and counted, and the operator is told when that begins and when it is over. A span holds what a line of
//! the access log holds: no credential, no query, no body.

use crate::otlp::{self, Collector, number, text};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use portcullis_core::record::UpstreamAccount;
use portcullis_core::trace::{SpanId, Trace, UPSTREAM};
use portcullis_core::{Effects, Job, Outcome, Plan, Record, RecordSink, Wait};
use prost::Message;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many requests may wait to be sent.
const QUEUE: usize = 2048;
/// How many go in one message.
const AT_ONCE: usize = 256;
/// How often the queue is emptied.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long the end waits for what is queued.
const LAST: Duration = Duration::from_secs(2);

/// The traces of a gateway: a sink of records, and the job that sends what comes of them.
pub struct Traces {
    collector: Collector,
    queue: SyncSender<Vec<Span>>,
    waiting: Mutex<Receiver<Vec<Span>>>,
    /// Requests that are neither sent nor dropped yet.
    pending: AtomicUsize,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Traces {
    /// Traces for this collector.
    pub fn new(collector: Collector) -> Traces {
        let (queue, waiting) = sync_channel(QUEUE);
        Traces {
            collector,
            queue,
            waiting: Mutex::new(waiting),
            pending: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Where spans go.
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Spans that the collector has.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Spans that nobody has.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything so far is sent or dropped; two seconds at most.
    pub fn flush(&self) {
        let begun = Instant::now();
        while self.pending.load(Ordering::Acquire) > 0 && begun.elapsed() < LAST {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn lose(&self, requests: usize, spans: usize) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
        self.pending.fetch_sub(requests, Ordering::Release);
    }

    /// What waits, as much as goes in one message, and of how many requests it is.
    fn take(&self) -> (Vec<Span>, usize) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut spans, mut requests) = (Vec::new(), 0);
        while requests < AT_ONCE
            && let Ok(mut of_request) = waiting.try_recv()
        {
            spans.append(&mut of_request);
            requests += 1;
        }
        (spans, requests)
    }

    fn message(&self, spans: Vec<Span>) -> Vec<u8> {
        let scope_spans = vec![ScopeSpans { scope: Some(otlp::scope()), spans, schema_url: String::new() }];
        let resource = Some(self.collector.resource());
        let resource_spans = vec![ResourceSpans { resource, scope_spans, schema_url: String::new() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }
}

impl Job for Traces {
    fn name(&self) -> String {
        "traces".to_owned()
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            let mut failing = false;
            loop {
                let (spans, requests) = self.take();
                if requests == 0 {
                    effects.sleep(INTERVAL).await;
                    continue;
                }
                let count = spans.len();
                match self.collector.send(&self.message(spans), effects).await {
                    Ok(()) => {
                        self.sent.fetch_add(count as u64, Ordering::Relaxed);
                        self.pending.fetch_sub(requests, Ordering::Release);
                        if std::mem::replace(&mut failing, false) {
                            let lost = self.dropped();
                            effects.notice(
                                "traces",
                                &format!("the collector takes spans again; {lost} are lost"),
                            );
                        }
                    }
                    Err(why) => {
                        self.lose(requests, count);
                        if !std::mem::replace(&mut failing, true) {
                            effects.warn("traces", &format!("spans are being lost: {why}"));
                        }
                    }
                }
            }
        })
    }
}

impl RecordSink for Traces {
    fn write(&self, record: &Record, plan: &Plan) {
        let Some(trace) = record.trace.as_ref().filter(|trace| trace.sampled) else { return };
        let spans = spans(record, trace, plan);
        let count = spans.len();
        self.pending.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(spans) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.lose(1, count),
        }
    }
}

/// The spans of a request: its own, one for each part of its life, and one for the upstream.
fn spans(record: &Record, trace: &Trace, plan: &Plan) -> Vec<Span> {
    let begun = record.arrived.monotonic;
    let end = begun.saturating_add(record.elapsed);
    let at = |moment: Duration| nanos(record.arrived.unix.saturating_add(moment.saturating_sub(begun)));
    let of_trace = |id: SpanId, parent: Option<SpanId>, name: String, kind: SpanKind, from, to| Span {
        trace_id: trace.id.to_vec(),
        span_id: id.0.to_vec(),
        parent_span_id: parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        name,
        kind: kind.into(),
        start_time_unix_nano: at(from),
        end_time_unix_nano: at(to).max(at(from)),
        flags: 1,
        ..Span::default()
    };
    let mut all = Vec::with_capacity(trace.parts.len() + 1);
    let name = name_of(record, plan);
    let mut root = of_trace(trace.span, trace.parent, name, SpanKind::Server, begun, end);
    root.attributes = attributes(record, plan);
    root.status = status(record);
    all.push(root);
    for (number, part) in trace.parts.iter().enumerate() {
        let next = trace.parts.get(number + 1).map_or(end, |next| next.at);
        let upstream = record.upstream.as_ref().filter(|_| part.stage == UPSTREAM);
        all.push(match upstream {
            Some(upstream) => {
                let until = part.at.saturating_add(upstream.elapsed).min(end);
                let name = "upstream".to_owned();
                let mut span =
                    of_trace(trace.upstream, Some(trace.span), name, SpanKind::Client, part.at, until);
                span.attributes = of_upstream(upstream);
                span
            }
            None => {
                let name = if part.stage == UPSTREAM { "answer" } else { part.stage };
                let id = child(trace.span, number);
                of_trace(id, Some(trace.span), name.to_owned(), SpanKind::Internal, part.at, next)
            }
        });
    }
    all
}

/// The number of a part's span: that of the request with another end, so that it needs no randomness.
fn child(span: SpanId, number: usize) -> SpanId {
    let SpanId([a, b, c, d, e, f, g, h]) = span;
    let step = u8::try_from(number % 255).unwrap_or(0).wrapping_add(1);
    SpanId([a, b, c, d, e, f, g, h.wrapping_add(step)])
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn route<'a>(record: &Record, plan: &'a Plan) -> Option<&'a str> {
    record.route.and_then(|id| plan.routes.route(id)).map(|route| route.path.as_str())
}

/// The method and the route, of which there are few; never the path.
fn name_of(record: &Record, plan: &Plan) -> String {
    let method = record.method.as_ref().map_or("request", |method| method.as_str());
    // A client may make up as many methods as it likes.
    let method = match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
        _ => "HTTP",
    };
    match route(record, plan) {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

fn attributes(record: &Record, plan: &Plan) -> Vec<KeyValue> {
    let mut all = vec![text("portcullis.request_id", record.id.as_str())];
    let mut add = |name: &str, value: Option<&str>| all.extend(value.map(|value| text(name, value)));
    add("http.request.method", record.method.as_ref().map(|method| method.as_str()));
    add("http.route", route(record, plan));
    add("url.path", record.target.as_ref().map(|target| target.path()));
    add("server.address", record.host.as_ref().and_then(|host| host.to_str().ok()));
    add("client.address", record.client.map(|client| client.to_string()).as_deref());
    let who = record.principal.as_ref();
    add("portcullis.consumer", who.and_then(|who| who.consumer(&plan.consumers)));
    add("portcullis.key", who.and_then(|who| who.keys().next()).map(|key| key.to_string()).as_deref());
    let (outcome, denial) = match &record.outcome {
        Outcome::Served => ("served", None),
        Outcome::Refused(denial) => ("refused", Some(denial)),
        Outcome::Failed(denial) => ("failed", Some(denial)),
        Outcome::Aborted => ("aborted", None),
    };
    add("portcullis.outcome", Some(outcome));
    add("portcullis.denial", denial.map(|denial| denial.code().as_str()));
    add("portcullis.check", denial.and_then(|denial| denial.check()).map(|check| check.as_str()));
    all.extend(record.status.map(|status| number("http.response.status_code", status.as_u16())));
    all
}

fn of_upstream(upstream: &UpstreamAccount) -> Vec<KeyValue> {
    let mut all = vec![text("server.address", &upstream.name)];
    all.extend(upstream.status.map(|status| number("http.response.status_code", status.as_u16())));
    all
}

/// A refusal is what a gateway is for; only what failed is an error.
fn status(record: &Record) -> Option<Status> {
    match &record.outcome {
        Outcome::Failed(denial) => {
            Some(Status { message: denial.code().as_str().to_owned(), code: SpanStatus::Error.into() })
        }
        Outcome::Served | Outcome::Refused(_) | Outcome::Aborted => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_a_request_have_numbers_of_their_own() {
        let span = SpanId([1, 2, 3, 4, 5, 6, 7, 250]);
        let mut all: Vec<_> = (0..20).map(|number| child(span, number).0).collect();
        all.push(span.0);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 21);
    }
}
