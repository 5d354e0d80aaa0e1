use super::verify::{Broken, Problem};
use super::*;
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Mutex;

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("portcullis-audit-{}-{test}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.log")
    }

    fn open(&self) -> AuditLog {
        let key = SigningKey::load(&self.0.join("audit.log.key")).unwrap();
        AuditLog::open(&self.log(), key, Box::new(|_, _| {})).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.log()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn check(bytes: &[u8], head: Option<&str>) -> Result<Report, Box<Broken>> {
    verify([bytes], Known { head, ..Known::default() }).map_err(|problem| match problem {
        Problem::Broken(broken) => broken,
        Problem::Read(error) => panic!("{error}"),
    })
}

/// A log of some entries, closed.
fn log(test: &str, notices: usize) -> Vec<u8> {
    let folder = Folder::new(test);
    let log = folder.open();
    for number in 0..notices {
        log.notice("test", &format!("entry {number} \u{1b}[31m \"quoted\""));
    }
    drop(log);
    folder.bytes()
}

#[test]
fn what_was_written_is_verified_after_restarts_too() {
    let folder = Folder::new("restarts");
    for _ in 0..3 {
        let log = folder.open();
        log.notice("config", "reloaded");
        assert_eq!(log.dropped(), 0);
    }
    let report = check(&folder.bytes(), None).unwrap();
    // Each run: opened, a checkpoint, the notice, a checkpoint.
    assert_eq!((report.first, report.last, report.checkpoints, report.signed_until), (1, 12, 6, 12));
    assert_eq!(check(&folder.bytes(), Some(&report.head)).unwrap().found_head, Some(12));
    let public = std::fs::read_to_string(folder.0.join("audit.log.pub")).unwrap();
    assert_eq!(report.key.as_deref(), Some(public.trim()));
    use std::os::unix::fs::PermissionsExt as _;
    for file in ["audit.log", "audit.log.key"] {
        let mode = std::fs::metadata(folder.0.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn heads_are_told_with_each_checkpoint() {
    let folder = Folder::new("heads");
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&heads);
    let key = SigningKey::load(&folder.0.join("k")).unwrap();
    let log =
        AuditLog::open(&folder.log(), key, Box::new(move |_, head| told.lock().unwrap().push(head.into())));
    log.unwrap().notice("a", "b");
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2);
    let bytes = folder.bytes();
    for head in heads.iter() {
        assert!(check(&bytes, Some(head)).unwrap().found_head.is_some());
    }
    // Cut off behind an entry: nothing shows it but the head.
    let cut: Vec<u8> = bytes.split_inclusive(|byte| *byte == b'\n').take(3).flatten().copied().collect();
    assert_eq!(check(&cut, None).unwrap().last, 3);
    let broken = check(&cut, heads.last().map(String::as_str)).unwrap_err();
    assert!(broken.reason.contains("cut off"), "{broken:?}");
}

#[test]
fn a_chain_that_somebody_made_anew_is_not_signed_by_the_key() {
    let (ours, theirs) = (Folder::new("ours"), Folder::new("theirs"));
    drop(ours.open());
    drop(theirs.open());
    let public = std::fs::read_to_string(ours.0.join("audit.log.pub")).unwrap();
    let verdict = verify([theirs.bytes().as_slice()], Known { key: Some(public.trim()), ..Known::default() });
    assert!(matches!(verdict, Err(Problem::Broken(broken)) if broken.reason.contains("another key")));
}

#[test]
fn a_rotated_log_is_one_chain() {
    let folder = Folder::new("rotated");
    let log = folder.open();
    log.notice("a", "before");
    // The queue is empty once the entry is in the file.
    while !String::from_utf8(folder.bytes()).unwrap().contains("before") {
        std::thread::yield_now();
    }
    std::fs::rename(folder.log(), folder.0.join("audit.log.1")).unwrap();
    log.notice("a", "after");
    drop(log);
    let old = std::fs::read(folder.0.join("audit.log.1")).unwrap();
    let new = folder.bytes();
    let report = verify([old.as_slice(), new.as_slice()], Known::default()).unwrap();
    assert_eq!((report.first, report.last), (1, 5));
    assert!(check(&new, None).is_err(), "what stands before it is missing");
    let after = check(&old, None).unwrap().head;
    let report = verify([new.as_slice()], Known { after: Some(&after), ..Known::default() }).unwrap();
    assert_eq!((report.first, report.last), (4, 5));
    assert!(verify([new.as_slice(), old.as_slice()], Known::default()).is_err(), "in the wrong order");
    assert!(verify([old.as_slice(), old.as_slice()], Known::default()).is_err(), "one of them twice");
}

#[test]
fn a_torn_end_is_removed_and_said_and_a_changed_one_stops_the_start() {
    let folder = Folder::new("torn");
    drop(folder.open());
    let whole = folder.bytes();
    let mut torn = whole.clone();
    torn.extend_from_slice(b"{\"entry\":9,\"ti");
    std::fs::write(folder.log(), &torn).unwrap();
    assert!(check(&torn, None).unwrap_err().reason.contains("cut off"));
    drop(folder.open());
    let report = check(&folder.bytes(), None).unwrap();
    assert!(
        String::from_utf8(folder.bytes()).unwrap().contains("\"event\":\"repaired\",\"removed_bytes\":14")
    );
    assert!(report.last > 3);

    let changed =
        String::from_utf8(whole).unwrap().replace("\"event\":\"checkpoint\"", "\"event\":\"checkpoinT\"");
    std::fs::write(folder.log(), changed).unwrap();
    let key = SigningKey::load(&folder.0.join("audit.log.key")).unwrap();
    let error = AuditLog::open(&folder.log(), key, Box::new(|_, _| {})).err().unwrap();
    assert!(error.to_string().contains("move the file away"), "{error}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("key");
    let path = folder.0.join("audit.log.key");
    drop(SigningKey::load(&path).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(SigningKey::load(&path).unwrap_err().to_string().contains("0600"));
}

#[test]
fn every_changed_byte_is_found() {
    let bytes = log("bytes", 3);
    assert_eq!(check(&bytes, None).unwrap().last, 6);
    for place in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            assert!(check(&changed, None).is_err(), "byte {place} changed by {flip:#x}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn every_deletion_insertion_and_swap_is_found(from in 0_usize..11, to in 0_usize..11, kind in 0..4) {
        static BYTES: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| log("lines", 8));
        let mut lines: Vec<&[u8]> = BYTES.split_inclusive(|byte| *byte == b'\n').collect();
        prop_assert_eq!(lines.len(), 11);
        let head = check(&BYTES, None).unwrap().head;
        match kind {
            0 => { lines.remove(from); }
            1 => lines.swap(from, to),
            2 => lines.insert(to, lines[from]),
            _ => lines.truncate(from),
        }
        let changed: Vec<u8> = lines.concat();
        prop_assume!(changed != *BYTES);
        // A head from elsewhere finds each; without one, all but what was cut off at the end.
        prop_assert!(check(&changed, Some(&head)).is_err());
        let cut_at_the_end = kind == 3 || (kind == 0 && from == 10);
        prop_assert_eq!(check(&changed, None).is_err(), !cut_at_the_end);
    }
}

#[test]
fn two_cannot_write_one_file_and_a_flush_signs_what_is_there() {
    let folder = Folder::new("lock");
    let log = folder.open();
    let key = SigningKey::load(&folder.0.join("audit.log.key")).unwrap();
    let error = AuditLog::open(&folder.log(), key, Box::new(|_, _| {})).err().unwrap();
    assert!(error.to_string().contains("another gateway"), "{error}");
    log.notice("a", "b");
    log.flush();
    let report = check(&folder.bytes(), None).unwrap();
    assert_eq!((report.last, report.signed_until), (4, 4));
}

#[test]
fn those_who_follow_each_other_write_one_chain_in_their_order() {
    let folder = Folder::new("follow");
    let key_file = folder.0.join("audit.log.key");
    let follow = || {
        let key = SigningKey::load(&key_file).unwrap();
        AuditLog::open_after_predecessor(&folder.log(), &key_file, key, Box::new(|_, _| {})).unwrap()
    };
    let first = folder.open();
    let second = follow();
    // The second one waits before the third one asks.
    while std::fs::File::open(&key_file).unwrap().try_lock().is_ok() {
        std::thread::yield_now();
    }
    let third = follow();
    third.notice("test", "of the third");
    second.notice("test", "of the second");
    first.notice("test", "of the first");
    drop(first);
    drop(second);
    drop(third);
    let bytes = folder.bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is lost: {text}"));
    assert!(at("of the first") < at("of the second") && at("of the second") < at("of the third"));
    let report = check(&bytes, None).unwrap();
    assert_eq!(report.last, report.signed_until, "all of it is signed");
}
