//! A listener that has metrics, and nothing else: for a scraper that must not reach the admin listener.

use crate::server::{Asked, Service, Wait, text};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use portcullis_telemetry::metrics::exposition::MEDIA_TYPE;
use std::sync::Arc;

/// Gives the metrics as text.
pub type Scraped = dyn Fn() -> String + Send + Sync;

/// Answers `GET /metrics`.
pub struct MetricsService(Arc<Scraped>);

impl MetricsService {
    /// The service of these metrics.
    pub fn new(scraped: Arc<Scraped>) -> MetricsService {
        MetricsService(scraped)
    }
}

/// The answer with these metrics.
pub fn metrics_answer(metrics: String) -> Response<Bytes> {
    let mut response = text(StatusCode::OK, metrics);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

impl Service for MetricsService {
    fn answer(&self, asked: Asked) -> Wait<Response<Bytes>> {
        let request = &asked.request;
        let response = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => metrics_answer((self.0)()),
            (_, "/metrics") => text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n".to_owned()),
            _ => text(StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
        };
        Box::pin(std::future::ready(response))
    }
}
