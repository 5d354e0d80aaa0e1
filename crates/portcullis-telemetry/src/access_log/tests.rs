use super::*;
use portcullis_core::*;
use std::net::IpAddr;
use std::sync::mpsc;

struct World;

impl Effects for World {
    fn now(&self) -> Now {
        Now { monotonic: Duration::from_micros(1500), unix: Duration::new(1_795_000_000, 123_456_000) }
    }
    fn random(&self) -> [u8; 16] {
        [1; 16]
    }
    fn count<'a>(&'a self, _: &'a Limit, _: CountKey<'a>) -> Step<'a, Result<Count, Fault>> {
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
    let log = Arc::new(AccessLog::to(Channel(sender)).unwrap());
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
    let log = Arc::new(AccessLog::to(Channel(sender)).unwrap());
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
    let log = Arc::new(AccessLog::to(Channel(sender)).unwrap());
    let snapshot = Snapshot::new(plan(), Arc::new(World), log.clone());
    for _ in 0..3 {
        Recording::open(snapshot.clone(), &conn()).close(Outcome::Aborted);
    }
    log.flush();
    assert_eq!(log.lost(), 3);
}
