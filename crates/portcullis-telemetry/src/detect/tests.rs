use super::*;
use portcullis_detect::{Ending, Text, Who};
use std::net::IpAddr;

fn settings(folder: Option<PathBuf>, told: SyncSender<Change>) -> Settings {
    let on_change: OnChange = Box::new(move |change| {
        let _ = told.try_send(change.clone());
        None
    });
    Settings { disabled: Vec::new(), exempt: Exempt::default(), folder, on_change }
}

fn now(seconds: u64) -> Now {
    Now { monotonic: Duration::from_secs(seconds), unix: Duration::from_secs(1_000_000 + seconds) }
}

/// A request of a scanner.
fn probe(number: u64) -> Event {
    let at = Moment { steady: Duration::from_secs(number), unix: Duration::from_secs(1_000_000 + number) };
    Event {
        at,
        source: IpAddr::from([192, 0, 2, 1]),
        who: Who::Nobody,
        credential: None,
        tried: None,
        route: 0,
        path: number,
        path_text: Text::new("/admin.php"),
        ending: Ending::NotFound,
        status: 404,
        received: 0,
        sent: 0,
        mistake: 0,
        unasked_credential: false,
        public: false,
    }
}

#[test]
fn findings_survive_a_restart_and_other_settings() {
    let folder = std::env::temp_dir().join(format!("portcullis-findings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (told, changes) = sync_channel(100);
    let first = Detection::start(settings(Some(folder.clone()), told.clone()), || now(100)).unwrap();
    (0..15).for_each(|number| first.put(probe(number)));
    first.catch_up(now(20));
    assert!(first.findings().is_empty());
    first.go_on(settings(Some(folder.clone()), told.clone()));
    (15..40).for_each(|number| first.put(probe(number)));
    first.catch_up(now(50));
    let found = first.findings();
    assert_eq!(found.len(), 1, "what was counted before goes on: {found:?}");
    assert!(matches!(changes.try_recv(), Ok(Change::Began(finding)) if finding == found[0]));
    assert_eq!(found[0].detector, "scanner");
    drop(first);
    let second = Detection::start(settings(Some(folder.clone()), told), || now(100)).unwrap();
    assert_eq!(second.findings()[0].id, found[0].id);
    drop(second);
    std::fs::write(folder.join("findings.json"), "[{").unwrap();
    let (told, _changes) = sync_channel(1);
    let third = Detection::start(settings(Some(folder.clone()), told), || now(100)).unwrap();
    assert!(third.findings().is_empty() && third.fault().is_some());
    drop(third);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn events_of_all_lanes_are_seen_in_order() {
    let batches =
        [vec![1, 4, 5], vec![], vec![2, 3, 9], vec![4]].map(|batch| batch.into_iter().map(probe).collect());
    let paths: Vec<u64> = in_order(&batches).map(|event| event.path).collect();
    assert_eq!(paths, [1, 2, 3, 4, 4, 5, 9]);
}

#[test]
fn a_full_lane_drops_and_counts() {
    let (told, _changes) = sync_channel(100);
    let detection = Detection::start(settings(None, told), || now(0)).unwrap();
    let work = lock(&detection.shared.work);
    // While the thread is busy, nobody waits for it.
    for _ in 0..3 {
        (0..LANE as u64 * 2)
            .for_each(|number| detection.put(Event { ending: Ending::Served, ..probe(number) }));
    }
    drop(work);
    detection.catch_up(now(1));
    assert!(detection.dropped() > 0, "{}", detection.dropped());
    assert!(detection.seen() + detection.dropped() >= LANE as u64 * 6);
}

#[test]
fn an_exempt_address_and_a_disabled_detector_find_nothing() {
    let (told, _changes) = sync_channel(100);
    let mut exempt = settings(None, told.clone());
    exempt.exempt.address = Some(Arc::new(|address| address == IpAddr::from([192, 0, 2, 1])));
    let mut disabled = settings(None, told);
    disabled.disabled = vec!["scanner".to_owned()];
    for settings in [exempt, disabled] {
        let detection = Detection::start(settings, || now(0)).unwrap();
        (0..60).for_each(|number| detection.put(probe(number)));
        detection.catch_up(now(60));
        assert!(detection.findings().is_empty());
    }
}
