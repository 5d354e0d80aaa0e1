//! Messages that stand for requests: each is judged like a POST, and what asks for nothing is bounded.

use super::routing::{judged, route};
use super::*;
use crate::check::{Inspect, Inspected, Wants};
use crate::conversation::{Breach, Conversation, Heard};
use std::sync::atomic::{AtomicU64, Ordering};

/// Reads `note`, `breach`, and everything else as a request with that body.
struct Talk;

impl Conversation for Talk {
    fn protocol(&self) -> &'static str {
        "talk"
    }
    fn hear(&mut self, message: &Bytes) -> Heard {
        match message.as_ref() {
            b"note" => Heard::Note,
            b"breach" => Heard::Breach(Breach { status: 4400, reason: "not spoken here" }),
            _ => Heard::Request { name: "7".into(), body: message.clone() },
        }
    }
    fn refusal(&self, name: &str, denial: &Denial, _: &crate::record::RequestId, problem: &[u8]) -> String {
        format!("{name} {} {}", denial.code().as_str(), String::from_utf8_lossy(problem))
    }
}

/// Reads a conversation; refuses `bad` in a message, and gives `other` another body.
struct Hears;

impl Check for Hears {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.hears")
    }
    fn describe(&self) -> String {
        "hears".into()
    }
}

impl Inspect for Hears {
    fn converse(&self, _: &Head) -> Option<Box<dyn Conversation>> {
        Some(Box::new(Talk))
    }
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        let wants = if facts.head.upgrade().is_some() { Wants::Nothing } else { Wants::Body };
        Step::Ready(Ok(wants))
    }
    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        assert_eq!(facts.head.framing(), crate::head::Framing::Length(body.len() as u64));
        assert_eq!(facts.head.method(), Method::POST);
        Step::Ready(match body.as_ref() {
            b"bad" => Err(Denial::new(Code::ContentInvalid, "bad")),
            b"other" => Ok(Inspected::Replaced(Bytes::from_static(b"another"))),
            _ => Ok(Inspected::AsItIs),
        })
    }
}

/// A world whose clock a test moves, in milliseconds.
#[derive(Default)]
struct Moved(AtomicU64);

impl Effects for Moved {
    fn now(&self) -> Now {
        World.now()
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
    fn random(&self) -> [u8; 16] {
        World.random()
    }
    fn count<'a>(
        &'a self,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        let _ = (limit, keys, cost);
        Step::Ready(Err(Fault { detail: "no counters here".into() }))
    }
    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        Step::Ready(Ok(None))
    }
    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        World.sleep(time)
    }
    fn standing(&self, _: IpAddr) -> Standing {
        Standing::Free
    }
    fn credential_failed(&self, _: IpAddr) {}
    fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
        false
    }
    fn credential_good(&self, _: IpAddr, _: Fingerprint) {}
    fn notice(&self, _: &str, _: &str) {}
}

struct Room {
    snapshot: Snapshot,
    ledger: Arc<Ledger>,
    world: Arc<Moved>,
}

fn room(mode: Mode, methods: &[&str], change: impl FnOnce(&mut Controls)) -> Room {
    let mut controls = controls();
    controls.inspection.requests = vec![Guarded { mode, check: Arc::new(Hears) }];
    change(&mut controls);
    let chat = Route { upgrades: vec!["websocket".into()], ..route("/chat", methods, &Arc::new(controls)) };
    let plan = Plan {
        head: HeadPolicy::default(),
        routes: RouteTable::build(vec![chat]).ok().unwrap(),
        consumers: Consumers::default(),
        credentials: vec![CredentialLocation::Header(HeaderName::from_static("x-badge"))],
        max_held_bytes: 4096,
        error_bodies: ErrorBodies::default(),
        policies: Vec::new(),
    };
    let (ledger, world) = (Arc::new(Ledger::default()), Arc::new(Moved::default()));
    let effects: Arc<dyn Effects> = Arc::<Moved>::clone(&world);
    let snapshot =
        Snapshot::new(Arc::new(plan), effects, Arc::<Ledger>::clone(&ledger) as Arc<dyn RecordSink>);
    Room { snapshot, ledger, world }
}

fn asks(upgrade: bool) -> http::request::Builder {
    let request = Request::get("/chat").header("x-badge", "0");
    if upgrade { request.header("connection", "upgrade").header("upgrade", "websocket") } else { request }
}

fn begin(room: &Room) -> Result<Option<Box<Dialogue>>, Code> {
    let cleared = judged(&room.snapshot, asks(true)).map_err(|refused| refused.denial.code())?;
    let permit = passed(cleared, body(&[])).map_err(|refused| refused.denial.code())?;
    let dialogue = permit.shape().dialogue;
    room.ledger.0.lock().unwrap().clear();
    Ok(dialogue)
}

fn said(dialogue: &mut Dialogue, message: &'static str) -> String {
    match at_once(dialogue.judge(&Bytes::from_static(message.as_bytes()))) {
        Said::Pass => "pass".into(),
        Said::Refused(text) => text,
        Said::Breach(breach, denial) => format!("{} {}", breach.status, denial.code().as_str()),
    }
}

#[test]
fn each_message_is_judged_as_a_request_of_its_own() {
    let room = room(Mode::Enforce, &["GET", "POST"], |controls| controls.max_body_bytes = 6);
    let mut dialogue = begin(&room).unwrap().unwrap();
    assert_eq!((dialogue.protocol(), dialogue.most()), ("talk", 6));
    assert_eq!(said(&mut dialogue, "hello"), "pass");
    assert_eq!(said(&mut dialogue, ""), "pass");
    let refused = said(&mut dialogue, "bad");
    assert!(refused.starts_with("7 content_invalid {") && refused.ends_with('}'), "{refused}");
    assert!(said(&mut dialogue, "toolong").starts_with("7 body_too_large {"));
    assert!(said(&mut dialogue, "other").starts_with("7 fault {"), "a message stays as it is");
    assert_eq!(said(&mut dialogue, "breach"), "4400 content_malformed");
    let ledger = room.ledger.0.lock().unwrap();
    let told: Vec<_> = ledger
        .iter()
        .map(|(outcome, _, status)| match outcome {
            Outcome::Served => ("served", *status),
            Outcome::Refused(denial) => (denial.code().as_str(), *status),
            Outcome::Failed(_) | Outcome::Aborted => ("?", *status),
        })
        .collect();
    assert_eq!(
        told,
        [
            ("served", Some(200)),
            ("served", Some(200)),
            ("content_invalid", Some(422)),
            ("body_too_large", Some(413)),
            ("fault", Some(503)),
        ]
    );
}

#[test]
fn what_may_not_be_asked_is_not_asked_in_a_message() {
    let screen = |mode| {
        room(Mode::Enforce, &["GET", "POST"], move |controls| {
            let check = Arc::new(Says { id: "authz.says", denies: Some(Code::RoleMissing) });
            controls.authorize = vec![Guarded { mode, check }];
        })
    };
    let observed = screen(Mode::Observe);
    let mut dialogue = begin(&observed).unwrap().unwrap();
    assert_eq!(said(&mut dialogue, "hello"), "pass");
    assert_eq!(observed.ledger.0.lock().unwrap()[0].1, [Code::RoleMissing]);
    assert_eq!(begin(&screen(Mode::Enforce)).err(), Some(Code::RoleMissing));
}

#[test]
fn a_dialogue_is_for_upgrades_of_routes_that_take_post() {
    let both = room(Mode::Enforce, &["GET", "POST"], |_| {});
    let cleared = judged(&both.snapshot, asks(false)).ok().unwrap();
    assert!(Dialogue::of(&cleared).ok().unwrap().is_none(), "nothing follows");
    assert_eq!(begin(&room(Mode::Enforce, &["GET"], |_| {})).err(), Some(Code::UpgradeRefused));
    assert!(begin(&room(Mode::Observe, &["GET"], |_| {})).unwrap().is_some(), "who observes changes nothing");
    assert!(begin(&room(Mode::Off, &["GET"], |_| {})).unwrap().is_none());
    let observing = room(Mode::Observe, &["GET", "POST"], |_| {});
    let mut dialogue = begin(&observing).unwrap().unwrap();
    assert_eq!(said(&mut dialogue, "breach"), "pass");
    assert_eq!(said(&mut dialogue, "bad"), "pass");
}

#[test]
fn messages_that_ask_for_nothing_are_bounded() {
    let room = room(Mode::Enforce, &["GET", "POST"], |_| {});
    let mut dialogue = begin(&room).unwrap().unwrap();
    let mut notes = |number: usize| (0..number).filter(|_| said(&mut dialogue, "note") == "pass").count();
    // A hundred at once, and ten a second.
    assert_eq!(notes(150), 100);
    room.world.0.store(99, Ordering::Relaxed);
    assert_eq!(notes(1), 0);
    room.world.0.store(1000, Ordering::Relaxed);
    assert_eq!(notes(20), 10);
    room.world.0.store(1_000_000, Ordering::Relaxed);
    assert_eq!(notes(150), 100, "no more are saved up");
    assert_eq!(said(&mut dialogue, "note"), "4429 rate_limited");
}
