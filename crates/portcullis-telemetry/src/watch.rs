//! What the admin API shows of traffic: counts, recent refusals, sources, the last hour.

use crate::history::History;
use crate::metrics::Metrics;
use crate::recent::Recent;
use crate::sources::Sources;
use std::io;
use std::sync::Arc;

/// What is kept for operators. It outlives a reload.
pub struct Watch {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Refusals.
    pub recent: Arc<Recent>,
    /// Addresses.
    pub sources: Arc<Sources>,
    /// The last hour.
    pub history: History,
}

impl Watch {
    /// Begins with these counts.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(metrics: Arc<Metrics>) -> io::Result<Watch> {
        let history = History::start(Arc::clone(&metrics))?;
        Ok(Watch { metrics, recent: Arc::default(), sources: Arc::default(), history })
    }
}
