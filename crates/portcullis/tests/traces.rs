//! Traces over real sockets: a collector that decodes the real protobuf gets spans with the right parents, upstreams are told of
//! the trace, what a client says of it is not believed, and a collector that is away stops nobody.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
mod support;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use std::fmt::Write as _;
use std::net::SocketAddr;
use support::{Answer, Backend, Client, Reply, USER_KEY, World};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TOKEN: &str = "collector-token-7d1e4c0a9b52";

fn document(backend: SocketAddr, collector: SocketAddr, more: &str) -> String {
    format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 1
tracing: {{ otlp: "http://{collector}", sample: 100%, service: orders, headers: {{ x-token: {{ literal: {TOKEN} }} }} }}
{more}
security:
  authentication: {{ type: api_key, header: x-api-key }}
{}
routes:
  - {{ path: "/data/{{id}}", upstream: "http://{backend}" }}
"#,
        support::consumers()
    )
}

const REACHABLE: &str = "outbound: { allow: [127.0.0.0/8] }";
const BEHIND_A_PROXY: &str = "outbound: { allow: [127.0.0.0/8] }\ntrusted_proxies: [127.0.0.1/32]";

async fn ask(world: &World, fields: &str) -> Answer {
    let mut client = Client::connect(world.address).await;
    client.ask(&format!("GET /data/7?secret=in-the-query HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await
}

fn with_key(fields: &str) -> String {
    format!("X-Api-Key: {USER_KEY}\r\n{fields}")
}

/// Everything that a collector was sent.
fn spans(collector: &Backend) -> Vec<Span> {
    let mut all = Vec::new();
    for message in collector.seen() {
        assert_eq!(message.line(), "POST /v1/traces");
        assert_eq!(message.fields("content-type"), ["application/x-protobuf"]);
        assert_eq!(message.fields("x-token"), [TOKEN]);
        for resource in ExportTraceServiceRequest::decode(message.body.as_slice()).unwrap().resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let service = attributes.iter().find(|one| one.key == "service.name").unwrap();
            assert_eq!(service.value.as_ref().unwrap().value, Some(Value::StringValue("orders".to_owned())));
            all.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn text(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key == key)?;
    let value = found.value.as_ref()?.value.as_ref()?;
    if let Value::IntValue(number) = value {
        return Some(number.to_string());
    }
    if let Value::StringValue(text) = value { Some(text.clone()) } else { None }
}

fn roots(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == SpanKind::Server as i32).collect()
}

fn children<'a>(spans: &'a [Span], root: &Span) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == root.span_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_have_their_parents_and_upstreams_are_told() {
    let (backend, collector) = (Backend::start().await, Backend::start().await);
    let world = World::start(&document(backend.address, collector.address, REACHABLE));
    assert_eq!(ask(&world, &with_key("")).await.status, 200);
    assert_eq!(ask(&world, "").await.status, 401);
    world.end().await;
    collector.seen().iter().for_each(|message| support::canaries::output("otlp", &message.body));

    let all = spans(&collector);
    let roots = roots(&all);
    assert_eq!(roots.len(), 2, "{all:?}");
    let served = roots.iter().find(|root| text(root, "portcullis.outcome").unwrap() == "served").unwrap();
    assert_eq!(served.name, "GET /data/{id}");
    assert_eq!(text(served, "http.response.status_code").unwrap(), "200");
    assert_eq!(text(served, "url.path").unwrap(), "/data/7");
    assert_eq!(text(served, "portcullis.consumer").unwrap(), "alice");
    assert!(served.parent_span_id.is_empty());
    let parts = children(&all, served);
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(
        names,
        ["route", "screen", "authenticate", "authorize", "charge", "shape", "inspect", "upstream"]
    );
    for part in &parts {
        assert_eq!(part.trace_id, served.trace_id);
        assert!(part.start_time_unix_nano >= served.start_time_unix_nano, "{part:?}");
        assert!(part.end_time_unix_nano >= part.start_time_unix_nano, "{part:?}");
        assert!(part.end_time_unix_nano <= served.end_time_unix_nano, "{part:?} {served:?}");
    }
    let upstream = parts.last().unwrap();
    assert_eq!(upstream.kind, SpanKind::Client as i32);
    let told = format!("00-{}-{}-01", hex(&served.trace_id), hex(&upstream.span_id));
    assert_eq!(backend.seen()[0].fields("traceparent"), [told]);

    let refused = roots.iter().find(|root| text(root, "portcullis.outcome").unwrap() == "refused").unwrap();
    assert_eq!(text(refused, "portcullis.denial").unwrap(), "credential_missing");
    assert_ne!(refused.trace_id, served.trace_id);
    let names: Vec<_> = children(&all, refused).iter().map(|part| part.name.clone()).collect();
    assert_eq!(names, ["route", "screen", "authenticate"], "a refusal ends it");
    let mut ids: Vec<_> = all.iter().map(|span| span.span_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    for message in collector.seen() {
        let message = String::from_utf8_lossy(&message.body).into_owned();
        assert!(!message.contains(USER_KEY) && !message.contains("in-the-query"), "{message}");
    }
}

/// The data of a metric in the last message of a collector.
fn metric(collector: &Backend, name: &str) -> Option<Data> {
    let seen = collector.seen();
    let message = seen.last()?;
    assert_eq!(message.line(), "POST /v1/metrics");
    assert_eq!(message.fields("content-type"), ["application/x-protobuf"]);
    assert_eq!(message.fields("x-token"), [TOKEN]);
    let sent = ExportMetricsServiceRequest::decode(message.body.as_slice()).unwrap();
    let all = sent.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let mut found = all.flat_map(|scope| scope.metrics).filter(|metric| metric.name == name);
    found.next().map(|metric| metric.data.unwrap())
}

fn label(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|one| one.key == key).unwrap();
    let value = found.value.as_ref().unwrap().value.as_ref().unwrap();
    let Value::StringValue(text) = value else { panic!("{value:?}") };
    text.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_reach_a_collector() {
    // Of one request in 16 checks are timed: that none of these is, is as likely as nothing.
    const REQUESTS: u64 = 400;
    let (backend, collector) = (Backend::start().await, Backend::start().await);
    let metrics = format!(
        "metrics: {{ otlp: \"http://{}\", every: 1s, service: orders, headers: {{ x-token: {{ literal: {TOKEN} }} }} }}",
        collector.address
    );
    let limit = "rate_limiting: { max_requests: 1000, per: hour, name: hourly }";
    let text: String = document(backend.address, collector.address, REACHABLE)
        .lines()
        .map(|line| if line.starts_with("tracing") { metrics.as_str() } else { line })
        .map(|line| if line == "security:" { format!("security:\n  {limit}") } else { line.to_owned() })
        .fold(String::new(), |all, line| all + &line + "\n");
    let world = World::start(&text);
    for _ in 0..REQUESTS {
        assert_eq!(ask(&world, &with_key("")).await.status, 200);
    }
    assert_eq!(ask(&world, "").await.status, 401);
    let begun = std::time::Instant::now();
    let requests = loop {
        if let Some(Data::Sum(sum)) = metric(&collector, "portcullis_requests_total") {
            let count = |outcome: &str| {
                let points =
                    sum.data_points.iter().filter(|point| label(&point.attributes, "outcome") == outcome);
                points.map(|point| point.value).collect::<Vec<_>>()
            };
            if count("served") == [Some(Number::AsDouble(400.0))] && count("refused").len() == 1 {
                break sum;
            }
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "no metrics came");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(requests.is_monotonic);
    assert_eq!(requests.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    assert!(requests.data_points.iter().all(|point| label(&point.attributes, "route") == "/data/{id}"));
    let Some(Data::Histogram(times)) = metric(&collector, "portcullis_request_duration_seconds") else {
        panic!("no histogram")
    };
    let point = &times.data_points[0];
    assert_eq!(point.count, REQUESTS + 1);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert!(point.start_time_unix_nano < point.time_unix_nano && point.sum.unwrap() > 0.0);
    let Some(Data::Gauge(generation)) = metric(&collector, "portcullis_configuration_generation") else {
        panic!("no gauge")
    };
    assert_eq!(generation.data_points[0].value, Some(Number::AsDouble(1.0)));
    let Some(Data::Histogram(checks)) = metric(&collector, "portcullis_check_duration_seconds") else {
        panic!("no times of checks")
    };
    let timed: Vec<_> = checks.data_points.iter().map(|point| label(&point.attributes, "check")).collect();
    assert!(timed.iter().any(|check| check == "authn.api_key"), "{timed:?}");
    assert!(timed.iter().any(|check| check == "quota.rate_limit"), "{timed:?}");
    assert!(checks.data_points.iter().all(|point| point.count < REQUESTS), "one in 16");
    let Some(Data::Sum(limits)) = metric(&collector, "portcullis_limit_requests_total") else {
        panic!("no limits")
    };
    let left: Vec<_> = limits.data_points.iter().map(|point| label(&point.attributes, "left")).collect();
    assert_eq!(left, ["50_or_more"]);
    assert_eq!(label(&limits.data_points[0].attributes, "limit"), "hourly");
    for message in collector.seen() {
        let message = String::from_utf8_lossy(&message.body).into_owned();
        assert!(!message.contains(USER_KEY) && !message.contains("in-the-query"), "{message}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_of_a_client_is_not_believed() {
    let (backend, collector) = (Backend::start().await, Backend::start().await);
    let world = World::start(&document(backend.address, collector.address, REACHABLE));
    let fields = with_key(&format!("traceparent: {PARENT}\r\ntracestate: vendor=made-up\r\n"));
    assert_eq!(ask(&world, &fields).await.status, 200);
    world.end().await;
    let seen = backend.seen();
    assert_eq!(seen[0].fields("traceparent").len(), 1);
    assert!(!seen[0].fields("traceparent")[0].contains("4bf92f3577b34da6"));
    assert!(seen[0].fields("tracestate").is_empty());
    assert!(roots(&spans(&collector))[0].parent_span_id.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_of_a_trusted_proxy_goes_on() {
    let (backend, collector) = (Backend::start().await, Backend::start().await);
    let world = World::start(&document(backend.address, collector.address, BEHIND_A_PROXY));
    let unsampled = PARENT.replace("-01", "-00");
    for fields in [
        format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\n"),
        format!("traceparent: {unsampled}\r\n"),
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n"),
        format!("traceparent: {}\r\n", PARENT.to_uppercase()),
        format!("traceparent: {PARENT}\r\ntracestate: a={}\r\n", "x".repeat(600)),
    ] {
        assert_eq!(ask(&world, &with_key(&fields)).await.status, 200, "{fields}");
    }
    world.end().await;
    let seen = backend.seen();
    let told = |number: usize| seen[number].fields("traceparent")[0].to_owned();
    let goes_on = |number: usize| told(number).starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-");
    assert_eq!([0, 1, 2, 3, 4].map(goes_on), [true, true, false, false, true]);
    assert!(told(0).ends_with("-01") && told(1).ends_with("-00"));
    assert_eq!(seen[0].fields("tracestate"), ["a=1,b=2"]);
    assert!(seen[4].fields("tracestate").is_empty(), "too long");
    let all = spans(&collector);
    let roots = roots(&all);
    assert_eq!(roots.len(), 4, "the proxy did not sample one");
    assert_eq!(hex(&roots[0].parent_span_id), "00f067aa0ba902b7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tracing_a_trace_passes_by() {
    let (backend, collector) = (Backend::start().await, Backend::start().await);
    let text = document(backend.address, collector.address, REACHABLE);
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("tracing"))
        .fold(String::new(), |all, line| all + line + "\n");
    let world = World::start(&without);
    assert_eq!(ask(&world, &with_key(&format!("traceparent: {PARENT}\r\n"))).await.status, 200);
    world.end().await;
    assert_eq!(backend.seen()[0].fields("traceparent"), [PARENT]);
    assert!(collector.seen().is_empty());
}

/// One that is away, one that answers with an error, and one that may not be asked: requests are served, and the operator is
/// told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_takes_nothing_stops_nobody() {
    let backend = Backend::start().await;
    let refusing = Backend::answering(|_| Reply::with("400 Bad Request", "", "no")).await;
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for (collector, outbound, why) in [
        (refusing.address, REACHABLE, "400"),
        (gone, REACHABLE, "refused"),
        (refusing.address, "", "not listed under `outbound`"),
    ] {
        let world = World::start(&document(backend.address, collector, outbound));
        for _ in 0..3 {
            assert_eq!(ask(&world, &with_key("")).await.status, 200);
        }
        let records = world.end().await;
        let notices = records.notices();
        let told: Vec<_> = notices.iter().filter(|notice| notice.contains("spans are being lost")).collect();
        assert!(told.len() == 1 && told[0].contains(why), "{notices:?}");
        assert!(!notices.iter().any(|notice| notice.contains(TOKEN)));
    }
}
