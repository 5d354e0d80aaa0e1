//! Reading a document, and judging requests by it without a socket.

use super::certificates;
use super::network::Network;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use portcullis::compile::Blueprint;
use portcullis::document::{AccessLogConfig, AuditLogConfig};
use portcullis::observe::ObserveConfig;
use portcullis::{Loaded, State, Style};
use portcullis_config::Context;
use portcullis_core::permit::Shaped;
use portcullis_core::{
    ClientCertificate, Code, Conn, Denial, Effects, Now, Plan, Record, RecordSink, Recording, Refused,
    Snapshot, Transport, Wait, judge,
};
use portcullis_proxy::FrontConfig;
use portcullis_runtime::{Clock, OutboundPolicy};
use portcullis_telemetry::Traces;
use std::cell::RefCell;
use std::env::VarError;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// 2027-01-15T08:00:00Z.
pub(crate) const START: u64 = 1_800_000_000;

/// The environment of every document here.
pub(crate) const ENVIRONMENT: [(&str, &str); 9] = [
    ("ALICE_API_KEY", "alice-key-0123456789"),
    ("ADMIN_API_KEY", "admin-key-0123456789"),
    ("PEPPER", "Jefe"),
    ("EMPTY", ""),
    ("STORE_URL", "rediss://store.example.com:6379/0"),
    ("DATABASE_URL", "postgres://portcullis:hunter2hunter2@db.example.com/keys"),
    ("TOKEN_SECRET", "0123456789abcdef0123456789abcdef"),
    ("ISSUER_KEY", include_str!("files/issuer-key.pem")),
    ("PASSWORD_HASH", include_str!("files/password.txt")),
];

/// Reads a document as `gateway.yaml`; its files are relative to a folder that has `key.txt` in it.
pub(crate) fn load(text: &str) -> Loaded {
    load_with(text, &State::new())
}

fn load_with(text: &str, state: &State) -> Loaded {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/files");
    let cx = Context::for_file(folder).with_environment(|name| {
        let found = ENVIRONMENT.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
    });
    Loaded::yaml_with("gateway.yaml", certificates::placed(text), cx, state)
}

/// What is to run; fails with every diagnostic if there is an error.
pub(crate) fn gate(text: &str) -> Gate {
    let clock = TestClock::default();
    let loaded = load_with(text, &State::with_clock(clock.clone()));
    let printed = loaded.text(Style::Plain);
    match loaded.into_blueprint() {
        Ok(blueprint) => Gate::new(blueprint, clock),
        Err(_) => panic!("{printed}\n{text}"),
    }
}

/// A blueprint whose requests are judged here.
pub(crate) struct Gate {
    pub(crate) plan: Arc<Plan>,
    pub(crate) front: FrontConfig,
    pub(crate) access_log: AccessLogConfig,
    pub(crate) audit_log: Option<AuditLogConfig>,
    pub(crate) state_dir: Option<std::path::PathBuf>,
    pub(crate) observe: ObserveConfig,
    /// Where spans go.
    pub(crate) traces: Option<Arc<Traces>>,
    /// A line for each route and control, as a listing shows them.
    pub(crate) listing: Vec<String>,
    pub(crate) clock: TestClock,
    /// Who else is there.
    pub(crate) network: Arc<Network>,
    pub(crate) outbound: OutboundPolicy,
    /// What the client has shown.
    pub(crate) certificate: Option<ClientCertificate>,
    effects: Arc<dyn Effects>,
    /// What goes on beside requests.
    jobs: RefCell<Vec<Wait<'static, ()>>>,
    seen: Arc<Seen>,
}

impl Gate {
    fn new(blueprint: Blueprint, clock: TestClock) -> Gate {
        let mut listing = Vec::new();
        for route in blueprint.listing() {
            listing.push(format!("{} -> {}", route.route.path, route.target));
            let controls = route.controls.iter();
            listing.extend(
                controls
                    .map(|control| format!("{} {} {}", control.id, control.mode.as_str(), control.summary)),
            );
        }
        let Blueprint {
            plan,
            front,
            world,
            access_log,
            audit_log,
            jobs,
            outbound,
            state_dir,
            observe,
            traces,
            ..
        } = blueprint;
        let network = Arc::new(Network::new(world, clock.clone()));
        let effects: Arc<dyn Effects> = Arc::<Network>::clone(&network);
        let jobs = jobs.into_iter().map(|job| {
            let effects = Arc::clone(&effects);
            Box::pin(async move { job.run(effects.as_ref()).await }) as Wait<'static, ()>
        });
        let jobs = RefCell::new(jobs.collect());
        Gate {
            plan,
            front,
            access_log,
            audit_log,
            state_dir,
            observe,
            traces,
            listing,
            effects,
            clock,
            network,
            outbound,
            certificate: None,
            jobs,
            seen: Arc::default(),
        }
    }

    /// The value of a future that waits for nothing but the jobs.
    fn settle<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..100 {
            if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                return value;
            }
            self.work();
        }
        panic!("a decision waits for what nobody does");
    }

    /// Lets the jobs do what is due.
    pub(crate) fn work(&self) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        self.jobs.borrow_mut().retain_mut(|job| job.as_mut().poll(&mut cx).is_pending());
    }

    /// With another world.
    pub(crate) fn with_effects(mut self, effects: impl Effects + 'static) -> Gate {
        self.effects = Arc::new(effects);
        self
    }

    /// What becomes of a request from 192.0.2.1.
    pub(crate) fn send(&self, request: Request<()>) -> Answer {
        self.send_from("192.0.2.1", request)
    }

    /// What becomes of a request from `peer`, on any port.
    pub(crate) fn send_from(&self, peer: &str, request: Request<()>) -> Answer {
        self.send_all(peer, request, Bytes::new())
    }

    /// What becomes of a request with a body.
    pub(crate) fn send_body(&self, request: Request<()>, body: impl Into<Bytes>) -> Answer {
        self.send_all("192.0.2.1", request, body.into())
    }

    fn send_all(&self, peer: &str, request: Request<()>, body: Bytes) -> Answer {
        let conn = Conn {
            peer: (peer.parse::<std::net::IpAddr>().unwrap(), 50_000).into(),
            local: "127.0.0.1:3000".parse().unwrap(),
            transport: Transport::Memory,
            certificate: self.certificate.clone().map(Arc::new),
        };
        let sink: Arc<dyn RecordSink> = Arc::<Seen>::clone(&self.seen);
        let snapshot = Snapshot::new(Arc::clone(&self.plan), Arc::clone(&self.effects), sink);
        let recording = Recording::open(snapshot, &conn);
        let judged = self.settle(judge(request.into_parts().0, conn, recording));
        let permitted = judged.and_then(|cleared| self.settle(cleared.inspect(Full::new(body), |body| body)));
        let outcome = permitted.map(|permit| permit.shape());
        let client = match &outcome {
            Ok(shaped) => shaped.recording.record().client,
            Err(refused) => refused.recording.record().client,
        };
        let answer = match outcome {
            Ok(shaped) => Answer {
                shaped: Some(shaped),
                denial: None,
                headers: http::HeaderMap::new(),
                client,
                observed: Vec::new(),
            },
            Err(refused) => {
                let Refused { denial, .. } = &refused;
                let denial = denial.clone();
                let headers = refused.answer().headers().clone();
                Answer { shaped: None, denial: Some(denial), headers, client, observed: Vec::new() }
            }
        };
        // The record of a permitted request is written when the answer is dropped; what was observed is known before.
        let observed = match &answer.shaped {
            Some(shaped) => shaped.recording.record().observed.iter().map(Denial::code).collect(),
            None => self.seen.0.lock().unwrap().pop().unwrap_or_default(),
        };
        Answer { observed, ..answer }
    }
}

/// What became of a request.
pub(crate) struct Answer {
    /// The request as it goes upstream, if it does.
    pub(crate) shaped: Option<Shaped<Full<Bytes>>>,
    pub(crate) denial: Option<Denial>,
    /// The fields of a refusal.
    pub(crate) headers: http::HeaderMap,
    pub(crate) client: Option<std::net::IpAddr>,
    /// What would have been refused.
    pub(crate) observed: Vec<Code>,
}

impl Answer {
    /// The code of the refusal.
    pub(crate) fn refusal(&self) -> Option<Code> {
        self.denial.as_ref().map(Denial::code)
    }

    /// The request as it goes upstream.
    pub(crate) fn permitted(&self) -> &Shaped<Full<Bytes>> {
        self.shaped.as_ref().unwrap_or_else(|| panic!("refused: {:?}", self.denial))
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<Vec<Code>>>);

impl RecordSink for Seen {
    fn write(&self, record: &Record, _: &Plan) {
        self.0.lock().unwrap().push(record.observed.iter().map(Denial::code).collect());
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// Lets seconds pass.
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let passed = self.0.load(Ordering::Relaxed);
        Now { monotonic: Duration::from_secs(1000 + passed), unix: Duration::from_secs(START + passed) }
    }
}

/// A request with these fields.
pub(crate) fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
    request_at("api.example.com", method, target, fields)
}

/// The same at this host.
pub(crate) fn request_at(host: &str, method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(target).header("host", host);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// A GET request for `/a` with these fields.
pub(crate) fn get(fields: &[(&str, &str)]) -> Request<()> {
    request("GET", "/a", fields)
}
