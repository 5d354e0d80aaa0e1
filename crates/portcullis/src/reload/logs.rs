//! Where records go, while configurations come and go.
//!
//! A configuration that writes to the same place as the one before goes on with the open log, so that no line is lost or
//! stands between two others.

use crate::document::AccessLogConfig;
use portcullis_core::{Plan, Record, RecordSink};
use portcullis_telemetry::AccessLog;
use std::io::{self, Write};
use std::sync::Arc;

/// Opens logs.
pub(crate) struct Logs {
    /// In place of any access log.
    given: Option<Arc<dyn RecordSink>>,
}

/// A log that is open.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) sink: Arc<dyn RecordSink>,
    log: Option<Arc<AccessLog>>,
    config: AccessLogConfig,
}

impl Logs {
    pub(crate) fn new(given: Option<Arc<dyn RecordSink>>) -> Logs {
        Logs { given }
    }

    /// Where records of a configuration go; where they went `before`, if that is the same place.
    pub(super) fn open(&self, config: AccessLogConfig, before: Option<&Open>) -> io::Result<Open> {
        if let Some(before) = before.filter(|before| self.given.is_some() || before.config == config) {
            return Ok(Open { config, ..before.clone() });
        }
        let log = match (&self.given, &config) {
            (Some(sink), _) => return Ok(Open { sink: Arc::clone(sink), log: None, config }),
            (None, AccessLogConfig::Off) => return Ok(Open { sink: Arc::new(Nowhere), log: None, config }),
            (None, AccessLogConfig::Stdout { on_full }) => AccessLog::stdout((*on_full).into())?,
            (None, AccessLogConfig::File { path, on_full }) => AccessLog::file(path, (*on_full).into())?,
        };
        let log = Arc::new(log);
        Ok(Open { sink: Arc::clone(&log) as Arc<dyn RecordSink>, log: Some(log), config })
    }
}

impl Open {
    pub(super) fn flush(&self) {
        if let Some(log) = &self.log {
            log.flush();
        }
    }
}

/// A sink for those who want no records.
struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}

    fn notice(&self, about: &str, detail: &str) {
        // Whoever wants no record of requests still wants to know that an issuer is down.
        let _ = writeln!(io::stderr(), "portcullis: {about}: {detail}");
    }
}
