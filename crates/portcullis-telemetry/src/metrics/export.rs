//! Metrics by OTLP: the same families that Prometheus scrapes, sent to a collector from time to time.
//!
//! What is counted is cumulative since the process started, so a message that was lost loses nothing. A collector that takes
//! nothing stops nobody; the operator is told when that begins and when it is over.

use super::exposition::{Exposition, Sample, Value, Written};
use super::families::Kind;
use crate::lanes::lock;
use crate::otlp::{self, Collector};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use portcullis_core::{Effects, Job, Wait};
use prost::Message;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads all metrics.
pub type Source = dyn Fn() -> Exposition + Send + Sync;

/// Sends metrics to a collector.
pub struct MetricsExport {
    collector: Collector,
    every: Duration,
    started: u64,
    source: Mutex<Option<Arc<Source>>>,
}

impl MetricsExport {
    /// To this collector, once in each such time.
    pub fn new(collector: Collector, every: Duration) -> MetricsExport {
        MetricsExport { collector, every, started: now(), source: Mutex::default() }
    }

    /// Where metrics go, and how often.
    pub fn target(&self) -> (&Collector, Duration) {
        (&self.collector, self.every)
    }

    /// From now on it sends what this reads.
    pub fn attach(&self, source: Arc<Source>) {
        *lock(&self.source) = Some(source);
    }

    fn message(&self, families: Vec<Written>) -> Vec<u8> {
        let moments = Moments { started: self.started, now: now() };
        let metrics = families.into_iter().map(|family| metric(family, moments)).collect();
        let scope_metrics =
            vec![ScopeMetrics { scope: Some(otlp::scope()), metrics, schema_url: String::new() }];
        let resource = Some(self.collector.resource());
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }];
        ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
    }
}

/// In nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Moments {
    started: u64,
    now: u64,
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn metric(written: Written, moments: Moments) -> Metric {
    let Written { family, samples } = written;
    let temporality = AggregationTemporality::Cumulative.into();
    let numbers = |samples: Vec<Sample>| samples.into_iter().filter_map(|one| point(one, moments)).collect();
    let data = match family.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(samples),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers(samples) }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: samples.into_iter().filter_map(|one| durations(one, moments)).collect(),
            aggregation_temporality: temporality,
        }),
    };
    let unit = if family.name.contains("_bytes") {
        "By"
    } else if family.name.contains("_seconds") {
        "s"
    } else {
        "1"
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn attributes(labels: Vec<(&'static str, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(name, value)| otlp::text(name, &value)).collect()
}

fn point(sample: Sample, Moments { started, now }: Moments) -> Option<NumberDataPoint> {
    let Value::Number(value) = sample.value else { return None };
    Some(NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: started,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn durations(sample: Sample, Moments { started, now }: Moments) -> Option<HistogramDataPoint> {
    let Value::Durations(histogram) = sample.value else { return None };
    let (explicit_bounds, bucket_counts) = histogram.buckets();
    Some(HistogramDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: started,
        time_unix_nano: now,
        count: histogram.count(),
        sum: Some(histogram.sum_seconds()),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    })
}

impl Job for MetricsExport {
    fn name(&self) -> String {
        "metrics".to_owned()
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            let mut failing = false;
            loop {
                effects.sleep(self.every).await;
                let source = lock(&self.source).clone();
                let Some(source) = source else { continue };
                let families = source().into_families();
                match self.collector.send(&self.message(families), effects).await {
                    Ok(()) if std::mem::replace(&mut failing, false) => {
                        effects.notice("metrics", "the collector takes metrics again");
                    }
                    Ok(()) => {}
                    Err(why) => {
                        if !std::mem::replace(&mut failing, true) {
                            effects.warn("metrics", &format!("the collector takes no metrics: {why}"));
                        }
                    }
                }
            }
        })
    }
}
