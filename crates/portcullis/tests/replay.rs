//! What a replay says of a log is what the engine decides on the same requests.
//!
//! Random requests are judged by one random configuration, which writes the log, and by another one. Where the replay of the
//! log by the second one says that a request is allowed, or refused with a code, that is what was decided.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test fails by panicking, and a test binary has no outside"
)]

#[path = "support/canaries.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod canaries;
#[path = "support/clock.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod clock;
#[path = "support/records.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod records;

use bytes::Bytes;
use clock::TestClock;
use http_body_util::Empty;
use portcullis::compile::Blueprint;
use portcullis::load::Context;
use portcullis::replay::{Decision, Line, Replay};
use portcullis::{Loaded, State};
use portcullis_core::{Conn, Effects, Outcome, RecordSink, Recording, Snapshot, Transport, judge};
use proptest::prelude::*;
use records::Records;
use std::fmt::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

const KEYS: [&str; 3] = ["alice-key-0123456789", "bob-key-0123456789ab", "eve-key-0123456789ab"];

/// A configuration, put together from choices.
#[derive(Clone, Debug)]
struct Choice {
    /// For each route: public, roles (0 none, 1 user, 2 admin), methods (0 all, 1 GET), addresses, limit, condition.
    routes: Vec<(bool, u8, u8, bool, u8, bool)>,
    roles: [u8; 2],
    observed: bool,
}

const PATHS: [&str; 4] = ["/a", "/a/{id}", "/b/{*rest}", "/c"];

impl Choice {
    fn document(&self) -> String {
        let role = |role: u8| ["[]", "[user]", "[admin]", "[user, admin]"][usize::from(role % 4)];
        let mode = if self.observed { ", mode: observe" } else { "" };
        let mut text = format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nsecurity: {{ authentication: {{ type: api_key{mode} }} }}\nbrute_force: {{ mode: off }}\nconsumers:\n  - {{ name: alice, roles: {}, keys: [{}] }}\n  - {{ name: bob, roles: {}, keys: [{}] }}\nroutes:\n",
            role(self.roles[0]),
            KEYS[0],
            role(self.roles[1]),
            KEYS[1],
        );
        for (path, (public, roles, methods, addresses, limit, condition)) in PATHS.iter().zip(&self.routes) {
            let mut sections = Vec::new();
            let mut rules = Vec::new();
            if !public && roles % 3 > 0 {
                rules.push(format!("roles_allowed: {}", ["", "[user]", "[admin]"][usize::from(roles % 3)]));
            }
            if !public && *condition {
                rules.push("condition: \"principal.name == 'alice'\"".to_owned());
            }
            if !rules.is_empty() {
                sections.push(format!("authorization: {{ {} }}", rules.join(", ")));
            }
            if *addresses {
                sections.push("addresses: { allow: [\"192.0.2.0/25\"] }".to_owned());
            }
            if limit % 4 > 0 {
                let by = ["", "consumer", "address", "route"][usize::from(limit % 4)];
                sections.push(format!("rate_limiting: {{ max_requests: 6, per: minute, by: {by} }}"));
            }
            let public = if *public { ", public: \"a test\"" } else { "" };
            let methods = if methods % 2 == 1 { ", methods: [GET]" } else { "" };
            let _ = writeln!(
                text,
                "  - {{ path: \"{path}\"{public}{methods}, upstream: \"http://127.0.0.1:9\", security: {{ {} }} }}",
                sections.join(", ")
            );
        }
        text
    }

    fn blueprint(&self, clock: &TestClock) -> Blueprint {
        let state = State::with_clock(clock.clone());
        let loaded = Loaded::yaml_with("test.yaml", self.document(), Context::for_file("."), &state);
        loaded.into_blueprint().unwrap_or_else(|error| panic!("{error}\n{}", self.document()))
    }
}

fn choices() -> impl Strategy<Value = Choice> {
    let route = (any::<bool>(), any::<u8>(), any::<u8>(), any::<bool>(), any::<u8>(), any::<bool>());
    (proptest::collection::vec(route, 4), any::<[u8; 2]>(), proptest::bool::weighted(0.1))
        .prop_map(|(routes, roles, observed)| Choice { routes, roles, observed })
}

/// A request: method, path, key, last number of the address, milliseconds since the one before.
type Sent = (u8, u8, u8, u8, u16);

/// Judges a request by a configuration that serves; it writes its record.
fn decide(snapshot: &Snapshot, (method, path, key, address, _): Sent) -> Result<(), String> {
    let path = ["/a", "/a/7", "/a/7/8", "/b/x/y", "/b", "/c", "/d", "/b/%41"][usize::from(path % 8)];
    let conn = Conn {
        peer: ([192, 0, 2, address], 4711).into(),
        local: ([127, 0, 0, 1], 3000).into(),
        transport: Transport::Memory,
        certificate: None,
    };
    let mut request =
        http::Request::builder().method(["GET", "POST", "DELETE"][usize::from(method % 3)]).uri(path);
    request = request.header("host", "api.example.com");
    if let Some(key) = KEYS.get(usize::from(key % 4)) {
        request = request.header("x-api-key", *key);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    let recording = Recording::open(snapshot.clone(), &conn);
    let deciding = async {
        match judge(parts, conn, recording).await {
            Err(refused) => Err(refused),
            Ok(cleared) => cleared.inspect(Empty::<Bytes>::new(), |body| body).await,
        }
    };
    let Poll::Ready(decided) = pin!(deciding).poll(&mut std::task::Context::from_waker(Waker::noop())) else {
        panic!("nothing here is waited for")
    };
    match decided {
        Ok(permit) => {
            permit.shape().recording.close(Outcome::Served);
            Ok(())
        }
        Err(refused) => {
            let code = refused.denial.code().as_str().to_owned();
            let _answer = refused.answer();
            Err(code)
        }
    }
}

fn snapshot(choice: &Choice, clock: &TestClock) -> (Snapshot, Arc<Records>) {
    let records = Arc::new(Records::default());
    let blueprint = choice.blueprint(clock);
    let effects: Arc<dyn Effects> = Arc::new(blueprint.world);
    (Snapshot::new(blueprint.plan, effects, Arc::clone(&records) as Arc<dyn RecordSink>), records)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_replay_is_never_wrong(
        old in choices(),
        new in choices(),
        sent in proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u8>(), 120u8..136, 0u16..20_000), 70),
    ) {
        let clock = TestClock::default();
        let ((before, log), (after, _)) = (snapshot(&old, &clock), snapshot(&new, &clock));
        let mut decided = Vec::new();
        for request in sent {
            clock.pass(Duration::from_millis(u64::from(request.4)));
            let _logged = decide(&before, request);
            decided.push(decide(&after, request));
        }
        let replay = Replay::new(new.blueprint(&clock)).expect("nobody else has the plan");
        let mut known = 0;
        for (line, decided) in log.lines().iter().zip(&decided) {
            let line_read = Line::parse(line).expect("a line of the log");
            match replay.decide(&line_read) {
                Decision::Allowed => {
                    prop_assert_eq!(decided, &Ok(()), "{} {}", line, new.document());
                    known += 1;
                }
                Decision::Refused(code) => {
                    prop_assert_eq!(decided, &Err(code.to_owned()), "{} {}", line, new.document());
                    known += 1;
                }
                Decision::Unknown(_) => {}
            }
        }
        prop_assert!(known >= 5, "{known} of 70 are known");
    }
}
