//! A gateway from a document, a backend that records what reaches it, and a client that writes any bytes.
//!
//! Everything is made of plain sockets, so that no library corrects what a test wants to send or hides what arrived.

mod alone;
mod backend;
pub mod canaries;
mod client;
mod clock;
mod oidc_provider;
mod records;

pub use alone::alone;
pub use backend::{Backend, Reply, Seen};
pub use client::{Answer, Client};
pub use clock::TestClock;
pub use oidc_provider::OidcProvider;
pub use records::Records;

use portcullis::{Gateway, Loaded, RecordSink, ReloadError, Reloader, Running, State, Status};
use portcullis_config::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The key of `root`, who has the role `admin`.
pub const ADMIN_KEY: &str = "adm-7f1d0c55e2b94a6e8d3b";
/// The key of `alice`, who has the role `user`.
pub const USER_KEY: &str = "usr-31c2a90b6f7e4d15a8c4";
/// The key of `bob`, who has the role `user`.
pub const OTHER_KEY: &str = "oth-b5e07d1f9c3a4286ab90";
/// A key of `alice` that is no longer valid.
pub const EXPIRED_KEY: &str = "old-4d9e8c7b6a5f40312e1d";

/// What no answer may contain, in lower case, whatever it answers.
pub const INTERNALS: [&str; 6] = ["portcullis", "hyper", "panicked", "src/", "tokio", ".rs:"];

/// The consumers of every test, as a section of a document.
pub fn consumers() -> String {
    format!(
        r#"
consumers:
  - name: root
    roles: [admin]
    keys: [{{ literal: "{ADMIN_KEY}" }}]
  - name: alice
    roles: [user]
    keys:
      - {{ literal: "{USER_KEY}" }}
      - {{ literal: "{EXPIRED_KEY}", expires: "2001-02-03T04:05:06Z" }}
  - name: bob
    roles: [user]
    keys: [{{ literal: "{OTHER_KEY}" }}]
"#
    )
}

fn read(document: &str, state: &State) -> Loaded {
    canaries::of_document(document);
    [ADMIN_KEY, USER_KEY, OTHER_KEY, EXPIRED_KEY].into_iter().for_each(canaries::secret);
    let loaded = Loaded::yaml_with("test.yaml", document.to_owned(), Context::for_file("."), state);
    if let Some(blueprint) = loaded.blueprint() {
        // What a person prints who looks for a fault.
        let listing: Vec<_> = blueprint.listing().map(|route| format!("{:?}", route.controls)).collect();
        let collector = blueprint.traces.as_ref().map(|traces| traces.collector());
        let shown = format!(
            "{:?} {:?} {:?} {collector:?} {listing:?}",
            blueprint.access_log, blueprint.audit_log, blueprint.outbound
        );
        canaries::output("debug", shown.as_bytes());
    }
    canaries::output("diagnostics", loaded.json().to_string().as_bytes());
    loaded
}

/// A gateway that serves, and its records.
pub struct World {
    /// Its first address.
    pub address: SocketAddr,
    /// All of its addresses.
    pub addresses: Vec<SocketAddr>,
    /// What it has recorded.
    pub records: Arc<Records>,
    running: Running,
    trust: Option<String>,
}

impl World {
    /// Starts the gateway of this document.
    pub fn start(document: &str) -> World {
        World::start_by(document, TestClock::default())
    }

    /// Starts the gateway of this document, whose time is the clock's.
    pub fn start_by(document: &str, clock: TestClock) -> World {
        let loaded = read(document, &State::with_clock(clock));
        let blueprint = loaded.into_blueprint().unwrap_or_else(|error| panic!("{error}"));
        let tls = blueprint.front.listeners.iter().find_map(|listener| listener.tls.clone());
        let trust = tls.and_then(|tls| tls.settings().trust.clone());
        let records = Arc::new(Records::default());
        let sink = Arc::clone(&records) as Arc<dyn RecordSink>;
        let running = Gateway::new(blueprint).with_sink(sink).start().expect("a free port");
        let addresses = running.addresses().to_vec();
        World { address: addresses[0], addresses, records, running, trust }
    }

    /// Has it go on with this document.
    pub fn reload(&self, document: &str) -> Result<Status, ReloadError> {
        let reloader = self.running.reloader();
        reloader.reload(read(document, reloader.state()))
    }

    /// What gives it another configuration.
    pub fn reloader(&self) -> Reloader {
        self.running.reloader().clone()
    }

    /// The certificate that it made itself, in PEM.
    pub fn trust(&self) -> Option<String> {
        self.trust.clone()
    }

    /// Ends it; then every record is written.
    pub async fn end(self) -> Arc<Records> {
        self.running.shutdown();
        tokio::time::timeout(PATIENCE, self.running.finished()).await.expect("the gateway ends");
        self.records
    }
}

/// What is wrong with the form of a refusal; empty where nothing is.
pub fn faults_of_refusal(answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    if answer.body.is_empty() {
        // What cannot be parsed is answered by the parser, which knows no request and so no request id.
        if !matches!(answer.status, 400 | 414 | 431) {
            faults.push(format!("{} without a body", answer.status));
        }
        return faults;
    }
    let mut fixed = |name: &str, wanted: &str| {
        if answer.fields(name) != [wanted] {
            faults.push(format!("{name} is {:?}, not {wanted:?}", answer.fields(name)));
        }
    };
    fixed("content-type", "application/problem+json");
    fixed("cache-control", "no-store");
    fixed("x-content-type-options", "nosniff");
    fixed("x-frame-options", "DENY");
    fixed("referrer-policy", "no-referrer");
    fixed("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&answer.body) {
        Ok(problem) => {
            let members: Vec<&str> = problem.keys().map(String::as_str).collect();
            if members != ["request_id", "status", "title", "type"] {
                faults.push(format!("the problem has the members {members:?}"));
            }
            if problem.get("status") != Some(&answer.status.into()) {
                faults.push("the problem has another status".to_owned());
            }
            let id = problem.get("request_id").and_then(|id| id.as_str()).unwrap_or_default();
            if id.len() != 32 || answer.fields("x-request-id") != [id] {
                faults.push("the problem and the field have different request ids".to_owned());
            }
        }
        Err(error) => faults.push(format!("the body is not a problem: {error}")),
    }
    faults
}

/// What an answer tells that it must not; empty where nothing.
pub fn leaks(answer: &Answer, secrets: &[&str]) -> Vec<String> {
    let text = String::from_utf8_lossy(&answer.raw).to_lowercase();
    let needles = INTERNALS.iter().chain(secrets);
    needles
        .filter(|needle| text.contains(&needle.to_lowercase()))
        .map(|needle| format!("the answer tells {needle:?}"))
        .collect()
}
