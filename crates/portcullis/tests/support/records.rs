//! Every record, as the access log would print it.

use portcullis::{Record, RecordSink};
use portcullis_core::Plan;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Mutex;

/// A sink that keeps the lines.
#[derive(Default)]
pub struct Records {
    lines: Mutex<Vec<String>>,
    notices: Mutex<Vec<String>>,
}

impl RecordSink for Records {
    fn write(&self, record: &Record, plan: &Plan) {
        let mut line = Vec::new();
        portcullis_telemetry::line::write(record, plan, &mut line).unwrap();
        super::canaries::output("access-log", line.trim_ascii_end());
        super::canaries::output("debug", format!("{record:?}").as_bytes());
        self.lines.lock().unwrap().push(String::from_utf8(line).unwrap());
    }

    fn notice(&self, about: &str, detail: &str) {
        let notice = format!("{about}: {detail}");
        super::canaries::output("notices", notice.as_bytes());
        self.notices.lock().unwrap().push(notice);
    }
}

impl Records {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Forgets the lines so far, for tests that measure memory.
    pub fn forget(&self) {
        *self.lines.lock().unwrap() = Vec::new();
    }

    /// What concerned no single request.
    pub fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }

    /// The records so far.
    pub fn all(&self) -> Vec<Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The records of one client connection, in their order.
    pub fn of(&self, peer: SocketAddr) -> Vec<Value> {
        let peer = peer.to_string();
        self.all().into_iter().filter(|record| record["peer"] == peer.as_str()).collect()
    }
}
