use super::*;
use portcullis_core::*;
use std::net::IpAddr;
use std::sync::{Condvar, mpsc};
use std::time::Instant;

struct World;

impl Effects for World {
    fn now(&self) -> Now {
        Now { monotonic: Duration::from_micros(1500), unix: Duration::new(1_795_000_000, 123_456_000) }
    }
    fn random(&self) -> [u8; 16] {
        [1; 16]
    }
    fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(Err(Fault { detail: "none".into() }))
    }
    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        Step::Ready(Err(Fault { detail: "none".into() }))
    }
    fn sleep(&self, _: Duration) -> Wait<'static, ()> {
        Box::pin(std::future::pending())
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

fn plan() -> Arc<Plan> {
    Arc::new(Plan {
        head: HeadPolicy::default(),
        routes: RouteTable::default(),
        consumers: Consumers::default(),
        credentials: vec![],
        max_held_bytes: 0,
        error_bodies: portcullis_core::error_bodies::ErrorBodies::default(),
        policies: Vec::new(),
    })
}

fn conn() -> Conn {
    Conn {
        peer: "192.0.2.1:9".parse().unwrap(),
        local: "127.0.0.1:1".parse().unwrap(),
        transport: Transport::Memory,
        certificate: None,
    }
}

#[derive(Clone)]
struct Channel(mpsc::Sender<Vec<u8>>);

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_record_of_every_thread_is_a_line() {
    let (sender, receiver) = mpsc::channel();
    let log = Arc::new(AccessLog::to(Channel(sender), OnFull::Wait).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let snapshot = Snapshot::new(plan(), Arc::new(World), log.clone());
                for _ in 0..2000 {
                    Recording::open(snapshot.clone(), &conn()).close(Outcome::Served);
                }
            });
        }
    });
    drop(log);
    let bytes: Vec<u8> = receiver.try_iter().flatten().collect();
    let lines: Vec<serde_json::Value> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 8000);
    assert_eq!(lines[0]["time"], "2026-11-18T11:06:40.123456Z");
    assert_eq!(lines[0]["outcome"], "served");
}

#[test]
fn what_a_client_writes_cannot_start_a_line_or_reach_a_terminal() {
    let (sender, receiver) = mpsc::channel();
    let log = Arc::new(AccessLog::to(Channel(sender), OnFull::Wait).unwrap());
    let snapshot = Snapshot::new(plan(), Arc::new(World), log.clone());
    let mut recording = Recording::open(snapshot, &conn());
    recording.record_mut().host = Some(http::HeaderValue::from_bytes(b"a\tb\xe2\x80\xae\x9b").unwrap());
    recording.record_mut().target = Some("/p?key=s3cret".parse().unwrap());
    recording
        .close(Outcome::Refused(Denial::new(Code::RoleMissing, "x\r\n{\"outcome\":\"served\"}\u{1b}[2J")));
    drop(log);
    let bytes: Vec<u8> = receiver.try_iter().flatten().collect();
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert!(bytes.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{}", bytes.escape_ascii());
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("\"code\":\"role_missing\"") && text.contains("\"path\":\"/p\""), "{text}");
}

#[test]
fn a_broken_output_is_counted_and_nothing_panics() {
    let (sender, receiver) = mpsc::channel();
    drop(receiver);
    let log = Arc::new(AccessLog::to(Channel(sender), OnFull::Wait).unwrap());
    let snapshot = Snapshot::new(plan(), Arc::new(World), log.clone());
    for _ in 0..3 {
        Recording::open(snapshot.clone(), &conn()).close(Outcome::Aborted);
    }
    assert!(log.flush());
    assert_eq!(log.lost(), 3);
}

/// An output that takes nothing until it is opened.
#[derive(Clone, Default)]
struct Blocked(Arc<(Mutex<bool>, Condvar, Mutex<Vec<u8>>)>);

impl Blocked {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let bytes = self.0.2.lock().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
        self.0.2.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So many records, until the log has lost some; how many, and for how long that took.
fn records_until_lost(log: &Arc<AccessLog>) -> (u64, Duration) {
    let begun = Instant::now();
    let snapshot = Snapshot::new(plan(), Arc::new(World), log.clone());
    let mut records = 0;
    while log.lost() == 0 {
        Recording::open(snapshot.clone(), &conn()).close(Outcome::Served);
        records += 1;
        assert!(records < 1_000_000, "nothing is ever lost, so nothing is bounded");
    }
    (records, begun.elapsed())
}

#[test]
fn an_output_that_takes_nothing_stops_nobody() {
    for on_full in [OnFull::Wait, OnFull::Drop] {
        let output = Blocked::default();
        let log = Arc::new(AccessLog::to(output.clone(), on_full).unwrap());
        let (records, _) = records_until_lost(&log);
        assert!(
            records > 1000,
            "{on_full:?}: much is kept for an output that only pauses, and it is {records}"
        );
        // All patience is used up: a thousand full buffers more would take a quarter of an hour with a second for each.
        let snapshot = Snapshot::new(plan(), Arc::new(World), log.clone());
        let begun = Instant::now();
        for _ in 0..20_000 {
            Recording::open(snapshot.clone(), &conn()).close(Outcome::Served);
        }
        log.notice("somebody", "waits for nothing either");
        assert!(begun.elapsed() < Duration::from_secs(8), "{on_full:?}: {:?}", begun.elapsed());
        let begun = Instant::now();
        drop(snapshot);
        drop(log);
        assert!(begun.elapsed() < FAREWELL + Duration::from_secs(3), "{on_full:?}: {:?}", begun.elapsed());
        assert!(output.lines().is_empty());
    }
}

#[test]
fn only_waiting_waits() {
    let log = |on_full| Arc::new(AccessLog::to(Blocked::default(), on_full).unwrap());
    let (_, waited) = records_until_lost(&log(OnFull::Wait));
    assert!(waited >= PATIENCE, "{waited:?}");
    let queue = Queue::new(10);
    queue.push(vec![0; 10], Duration::ZERO).unwrap();
    let begun = Instant::now();
    assert!(queue.push(vec![0; 1], Duration::ZERO).is_err());
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn what_was_lost_is_told_and_the_rest_is_there() {
    let output = Blocked::default();
    let log = Arc::new(AccessLog::to(output.clone(), OnFull::Drop).unwrap());
    let (records, _) = records_until_lost(&log);
    let lost = log.lost();
    output.open();
    assert!(log.flush());
    Recording::open(Snapshot::new(plan(), Arc::new(World), log.clone()), &conn()).close(Outcome::Served);
    drop(log);
    let lines = output.lines();
    let (notices, served): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.get("notice").is_some());
    assert_eq!(served.len() as u64, records - lost + 1);
    let told = format!("{lost} lines were lost, since the output did not take them");
    assert_eq!(notices.iter().map(|line| line["notice"].as_str().unwrap()).collect::<Vec<_>>(), [told]);
}

#[test]
fn a_file_that_was_moved_is_opened_again() {
    let folder = std::env::temp_dir().join(format!("portcullis-reopen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (path, moved) = (folder.join("access.log"), folder.join("access.log.1"));
    let log = AccessLog::file(&path, OnFull::Wait, Style::default(), None).unwrap();
    log.notice("a test", "first");
    assert!(log.flush());
    std::fs::rename(&path, &moved).unwrap();
    log.notice("a test", "second");
    log.reopen();
    // The thread opens it after it has written; what is written from then on is in the new file.
    let until = Instant::now() + Duration::from_secs(5);
    while !path.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    log.notice("a test", "third");
    assert!(log.flush());
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert!(read(&moved).contains("first") && read(&moved).contains("second"), "{}", read(&moved));
    assert!(read(&path).contains("third") && !read(&path).contains("second"), "{}", read(&path));
    // A folder that is gone: the old file is written on.
    drop(std::fs::remove_dir_all(&folder));
    log.reopen();
    log.notice("a test", "fourth");
    assert!(log.flush());
    assert_eq!(log.lost(), 0);
}

/// What the log writes of requests that end so, in this style.
fn written(style: Style, outcomes: &[Outcome]) -> String {
    let (sender, receiver) = mpsc::channel();
    let log = Arc::new(AccessLog::styled(Channel(sender), OnFull::Wait, style).unwrap());
    let snapshot = Snapshot::new(plan(), Arc::new(World), log.clone());
    for outcome in outcomes {
        let mut recording = Recording::open(snapshot.clone(), &conn());
        recording.record_mut().target = Some("/a%22b?secret=1".parse().unwrap());
        recording.record_mut().method = Some(http::Method::GET);
        recording.record_mut().version = Some(http::Version::HTTP_2);
        recording.record_mut().agent = Some(Box::new(record::Agent {
            referer: Some(http::HeaderValue::from_static("https://a.example/b c?secret=1")),
            user_agent: Some(http::HeaderValue::from_static("Mozilla/5.0 (X11) \"x")),
        }));
        recording.close(outcome.clone());
    }
    drop(snapshot);
    log.notice("a test", "x\ny");
    drop(log);
    String::from_utf8(receiver.try_iter().flatten().collect()).unwrap()
}

#[test]
fn a_line_is_combined_or_a_template() {
    let combined = Style { format: Format::Template(Template::combined()), ..Style::default() };
    let text = written(combined, &[Outcome::Served]);
    assert!(text.starts_with("192.0.2.1 - - ["), "{text}");
    assert!(
        text.ends_with(
            "] \"GET /a%22b HTTP/2.0\" 000 0 \"https://a.example/b\\x20c\" \"Mozilla/5.0 (X11) \\x22x\"\n"
        ),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "a notice is no line of this form: {text}");
    let template = Template::parse("{outcome} {peer} {path} {consumer}").unwrap();
    let style =
        Style { format: Format::Template(template), addresses: Addresses::Truncated, ..Style::default() };
    assert_eq!(written(style, &[Outcome::Aborted]), "aborted 192.0.2.0 /a%22b -\n");
    let fields = vec![Field::Outcome, Field::Peer];
    let style = Style { format: Format::Fields(fields), ..Style::default() };
    let text = written(style, &[Outcome::Served]);
    let line = text.lines().find(|line| !line.contains("notice")).unwrap();
    // In their order.
    assert_eq!(line, r#"{"outcome":"served","peer":"192.0.2.1:9"}"#);
}

#[test]
fn refusals_are_never_left_out() {
    let denial = Denial::new(Code::RouteNotFound, "none");
    let outcomes =
        [Outcome::Served, Outcome::Refused(denial.clone()), Outcome::Failed(denial), Outcome::Aborted];
    let none = Style { sample: Some(0), ..Style::default() };
    let text = written(none, &outcomes);
    for (word, there) in [("served", false), ("refused", true), ("failed", true), ("aborted", true)] {
        assert_eq!(text.contains(&format!("\"outcome\":\"{word}\"")), there, "{text}");
    }
}
