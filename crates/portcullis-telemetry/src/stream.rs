//! One stream of records, and everybody who wants to know.
//!
//! A [`Fan`] hands each record to its consumers, one after the other, on the worker that made it: the access log, the audit
//! log, the metrics, and what looks for suspicious activity. None of them may wait for another core. A consumer that is not
//! configured is not in the fan, so it costs nothing; a fan of one consumer is that consumer.

use portcullis_core::{Plan, Record, RecordSink};
use std::sync::Arc;

/// Consumers of records, in their order.
pub struct Fan(Box<[Arc<dyn RecordSink>]>);

impl Fan {
    /// The sink that gives to `first` and to all of `more`.
    pub fn of(
        first: Arc<dyn RecordSink>,
        more: impl IntoIterator<Item = Arc<dyn RecordSink>>,
    ) -> Arc<dyn RecordSink> {
        let mut all = vec![first];
        all.extend(more);
        match <[_; 1]>::try_from(all) {
            Ok([only]) => only,
            Err(all) => Arc::new(Fan(all.into())),
        }
    }
}

impl RecordSink for Fan {
    fn write(&self, record: &Record, plan: &Plan) {
        self.0.iter().for_each(|consumer| consumer.write(record, plan));
    }

    fn wants_unasked_credentials(&self) -> bool {
        self.0.iter().any(|consumer| consumer.wants_unasked_credentials())
    }

    fn wants_check_times(&self) -> bool {
        self.0.iter().any(|consumer| consumer.wants_check_times())
    }

    fn wants_agent(&self) -> bool {
        self.0.iter().any(|consumer| consumer.wants_agent())
    }

    fn notice(&self, about: &str, detail: &str) {
        self.0.iter().for_each(|consumer| consumer.notice(about, detail));
    }

    fn warn(&self, about: &str, detail: &str) {
        self.0.iter().for_each(|consumer| consumer.warn(about, detail));
    }
}
