//! Who watches a gateway: metrics, and the listeners on which operators ask.
//!
//! [`Observers`] belong to one configuration, like its logs. What is the same in the next one goes on: an open listener keeps
//! its socket, and counts keep their values. Whatever can fail, such as binding an address, is done before a reload changes
//! anything.

mod gauges;
mod seen;

use portcullis_admin::Server;
use portcullis_admin::scrape::MetricsService;
use portcullis_core::{Plan, RecordSink};
use portcullis_telemetry::{Fan, Metrics};
pub(crate) use seen::{Seen, View};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a configuration says of who watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObserveConfig {
    /// Where metrics alone are scraped.
    pub metrics: Option<SocketAddr>,
}

/// Who watches the gateway of one configuration.
#[derive(Clone, Default)]
pub(crate) struct Observers {
    config: ObserveConfig,
    metrics: Option<Arc<Metrics>>,
    scraped: Option<Arc<Server>>,
}

impl Observers {
    /// Those of a configuration; as far as they are the same, those from `before`. `view` is how they see the gateway.
    pub(crate) fn open(
        config: ObserveConfig,
        view: &View,
        before: Option<&Observers>,
    ) -> io::Result<Observers> {
        let counted_before = before.and_then(|before| before.metrics.clone());
        let metrics = config.metrics.map(|_| counted_before.unwrap_or_default());
        let same = before.filter(|before| before.config.metrics == config.metrics);
        let scraped = match (config.metrics, &metrics, same) {
            (Some(address), Some(metrics), None) => {
                let (metrics, view) = (Arc::clone(metrics), view.clone());
                let text = move || metrics.text(|to| gauges::write(&view, to));
                let service = Arc::new(MetricsService::new(Arc::new(text)));
                Some(Arc::new(Server::bind(address, None, service).map_err(|error| at(address, &error))?))
            }
            (_, _, same) => same.and_then(|same| same.scraped.clone()),
        };
        Ok(Observers { config, metrics, scraped })
    }

    /// Where the records of a plan go, that go to `log` as well.
    pub(crate) fn sink(&self, log: Arc<dyn RecordSink>, plan: &Plan) -> Arc<dyn RecordSink> {
        let metrics =
            self.metrics.as_ref().map(|metrics| Arc::new(metrics.of_plan(plan)) as Arc<dyn RecordSink>);
        Fan::of(log, metrics)
    }

    /// Where metrics alone are scraped, with the port that was found for port 0.
    pub(crate) fn metrics_address(&self) -> Option<SocketAddr> {
        self.scraped.as_ref().map(|server| server.address())
    }
}

fn at(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
