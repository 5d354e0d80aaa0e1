use super::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

const KIB: usize = 1024;

fn address(number: u8) -> IpAddr {
    format!("203.0.113.{number}").parse().unwrap()
}

fn code<T>(result: Result<T, Denial>) -> Option<Code> {
    result.err().map(|denial| denial.code())
}

#[test]
fn memory_comes_back_with_the_last_of_the_bytes() {
    let memory = HeldMemory::new(100);
    let holding = memory.holding(address(1));
    let kept = keep(Bytes::from_static(&[1; 60]), &holding, Duration::ZERO).unwrap();
    let refused = keep(Bytes::from_static(&[1; 41]), &holding, Duration::ZERO);
    assert_eq!(code(refused), Some(Code::Overloaded));
    let part = kept.slice(10..20);
    drop((kept, holding));
    assert_eq!(memory.used(), 60, "a part keeps the whole alive");
    drop(part);
    assert_eq!(memory.used(), 0);
    let holding = memory.holding(address(1));
    assert!(keep(Bytes::from_static(&[1; 100]), &holding, Duration::ZERO).is_ok());
    let mut taken = holding.take(0, Duration::ZERO).unwrap();
    assert!(taken.grow(usize::MAX, Duration::ZERO).is_err());
}

/// A body of which parts come in when a test says so.
#[derive(Clone, Default)]
struct Parts(Arc<Mutex<(VecDeque<Bytes>, bool)>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Denial;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Denial>>> {
        let (parts, ended) = &mut *self.0.lock().unwrap();
        match parts.pop_front() {
            Some(part) => Poll::Ready(Some(Ok(http_body::Frame::data(part)))),
            None if *ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Bodies that come in, under one clock.
struct Uploads {
    memory: HeldMemory,
    clock: Arc<AtomicU64>,
}

/// One of them.
struct Upload {
    parts: Parts,
    reading: Pin<Box<dyn Future<Output = Result<Collected, Denial>>>>,
}

impl Uploads {
    fn new(limit: usize) -> Uploads {
        Uploads { memory: HeldMemory::new(limit), clock: Arc::default() }
    }

    fn pass(&self, milliseconds: u64) {
        self.clock.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn begin(&self, client: IpAddr) -> Upload {
        let (parts, holding) = (Parts::default(), self.memory.holding(client));
        let (mut reader, clock) = (parts.clone(), Arc::clone(&self.clock));
        let reading = Box::pin(async move {
            let now = || Duration::from_millis(clock.load(Ordering::Relaxed));
            collect(&mut reader, None, usize::MAX, &holding, now).await
        });
        Upload { parts, reading }
    }

    /// A body that is there at once.
    fn whole(&self, client: IpAddr, bytes: usize) -> Result<Bytes, Denial> {
        let mut upload = self.begin(client);
        upload.parts.0.lock().unwrap().1 = true;
        match upload.send(bytes) {
            Some(Ok(Collected::Whole(bytes) | Collected::Beyond(bytes))) => Ok(bytes),
            Some(Err(denial)) => Err(denial),
            None => panic!("it has ended"),
        }
    }
}

impl Upload {
    /// What became of the body after so many bytes; `None` while it goes on.
    fn send(&mut self, bytes: usize) -> Option<Result<Collected, Denial>> {
        self.parts.0.lock().unwrap().0.push_back(Bytes::from(vec![1; bytes]));
        self.poll()
    }

    fn poll(&mut self) -> Option<Result<Collected, Denial>> {
        match self.reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

#[test]
fn one_address_leaves_room_for_others() {
    let uploads = Uploads::new(64 * KIB);
    let mut greedy: Vec<Upload> = Vec::new();
    let mut refused = 0;
    for _ in 0..70 {
        let mut upload = uploads.begin(address(1));
        match upload.send(KIB) {
            None => greedy.push(upload),
            Some(result) => {
                assert_eq!(code(result), Some(Code::Overloaded));
                refused += 1;
            }
        }
    }
    assert_eq!((greedy.len(), refused), (32, 38), "one address holds at most as much as is free");
    let honest: Vec<Bytes> = (2..22).map(|other| uploads.whole(address(other), KIB).unwrap()).collect();
    assert_eq!(uploads.memory.used(), 52 * KIB);
    drop((greedy, honest));
    assert_eq!(uploads.memory.used(), 0);
}

#[test]
fn the_addresses_of_a_network_share() {
    let uploads = Uploads::new(64 * KIB);
    let held: Vec<Bytes> = (0..70)
        .filter_map(|host| uploads.whole(format!("2001:db8::{host:x}").parse().unwrap(), KIB).ok())
        .collect();
    assert_eq!(held.len(), 32, "a /64 is one address");
    assert!(uploads.whole("2001:db8:0:1::1".parse().unwrap(), KIB).is_ok());
    assert!(uploads.whole("::ffff:203.0.113.9".parse().unwrap(), KIB).is_ok());
}

#[test]
fn a_site_leaves_room_for_others() {
    let uploads = Uploads::new(64 * KIB);
    let from = |network: u32| format!("2001:db8:1:{network:x}::1").parse().unwrap();
    let held: Vec<Bytes> = (0..200).filter_map(|network| uploads.whole(from(network), KIB).ok()).collect();
    assert_eq!(held.len(), 51, "a /48 holds at most four times as much as is free");
    assert!(uploads.whole("2001:db8:2::1".parse().unwrap(), KIB).is_ok());
    drop(held);
    assert_eq!(uploads.memory.used(), 0);
    // Four bodies of it may take whatever is free, as of four addresses.
    let large: Vec<Bytes> = (0..4).map(|network| uploads.whole(from(network), 15 * KIB).unwrap()).collect();
    assert!(uploads.whole(from(4), KIB).is_err());
    drop(large);
}

#[test]
fn one_large_body_may_take_whatever_is_free() {
    let uploads = Uploads::new(64 * KIB);
    let large = uploads.whole(address(1), 60 * KIB).unwrap();
    assert_eq!(code(uploads.whole(address(1), KIB)), Some(Code::Overloaded), "but no second one beside it");
    assert!(uploads.whole(address(2), KIB).is_ok());
    drop(large);
    assert!(uploads.whole(address(1), KIB).is_ok());
}

#[test]
fn idle_bodies_are_the_first_to_go() {
    let uploads = Uploads::new(64 * KIB);
    let mut crowd: Vec<Upload> = (1..65).map(|client| uploads.begin(address(client))).collect();
    for upload in &mut crowd {
        assert!(upload.send(KIB).is_none());
    }
    assert_eq!(code(uploads.whole(address(100), KIB)), Some(Code::Overloaded), "all of them have just moved");
    uploads.pass(2000);
    // A byte now and then is no progress, and more of it is.
    assert!(crowd[0].poll().is_none());
    let held = uploads.whole(address(100), 2 * KIB).unwrap();
    let gone: Vec<usize> = (0..64).filter(|at| crowd[*at].poll().is_some()).collect();
    assert_eq!(gone, [0, 1], "as many as are needed, and those that have waited for longest");
    drop(held);
    assert!(crowd[5].send(KIB).is_none(), "there is room again");
    let kept: Vec<Bytes> = (101..120).map_while(|client| uploads.whole(address(client), KIB).ok()).collect();
    assert_eq!(kept.len(), 19);
    assert!(crowd[5].poll().is_none(), "whoever moves stays");
    assert!(crowd[2].poll().is_some());
}

#[test]
fn a_trickle_is_no_progress() {
    let uploads = Uploads::new(64 * KIB);
    let mut slow = uploads.begin(address(1));
    assert!(slow.send(60 * KIB).is_none());
    for _ in 0..10 {
        uploads.pass(300);
        assert!(slow.send(1).is_none());
    }
    assert!(uploads.whole(address(2), 32 * KIB).is_ok());
    assert_eq!(code(slow.poll().unwrap()), Some(Code::Overloaded));
    assert!(uploads.memory.used() == 0, "its memory is free before it was polled again");
}

#[test]
fn whoever_is_at_its_share_gives_up_its_own_idle_bodies() {
    let uploads = Uploads::new(64 * KIB);
    let mut office: Vec<Upload> = (0..32).map(|_| uploads.begin(address(1))).collect();
    let mut other = uploads.begin(address(2));
    assert!(other.send(KIB).is_none());
    for upload in &mut office {
        let _full = upload.send(KIB);
    }
    uploads.pass(2000);
    assert!(uploads.whole(address(1), KIB).is_ok());
    assert!(other.poll().is_none(), "not another's");
}
