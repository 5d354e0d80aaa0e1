//! What a reload takes from the requests that are served meanwhile: its work has a low priority, and what it starts has the usual one.

use crate::document;
use crate::support::{Backend, PATIENCE, USER_KEY, alone};
use portcullis::{Gateway, Loaded, Reloader, State};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROUTES: &str = "  - { path: /data, upstream: \"BACKEND\" }";

/// What the operating system says of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thread {
    /// Its first 15 bytes.
    name: String,
    nice: i32,
    /// 0 for the usual one (`SCHED_OTHER`).
    policy: u32,
}

impl Thread {
    /// The thread whose folder below `/proc` this is. `None` where it has ended.
    fn of(folder: &Path) -> Option<Thread> {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        // `proc_pid_stat(5)` counts from 1, and the third is the first after the name.
        let field = |number: usize| rest.split(' ').nth(number - 3);
        let (nice, policy) = (field(19)?.parse().ok()?, field(41)?.parse().ok()?);
        Some(Thread { name: name.to_owned(), nice, policy })
    }

    fn current() -> Thread {
        Thread::of(Path::new("/proc/thread-self")).unwrap()
    }

    /// All of this process, by their numbers.
    fn all() -> BTreeMap<String, Thread> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let named = tasks
            .map(|task| task.unwrap())
            .filter_map(|task| Some((task.file_name().into_string().unwrap(), Thread::of(&task.path())?)));
        named.collect()
    }
}

/// A file that its owner alone can read.
fn write(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("gateway.yaml");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&file).unwrap().write_all(text.as_bytes()).unwrap();
    file
}

async fn reloaded(reloader: &Reloader, file: &Path) {
    tokio::time::timeout(6 * PATIENCE, reloader.reload_file(file)).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_reload_starts_has_the_usual_priority() {
    if !alone("priority::what_a_reload_starts_has_the_usual_priority") {
        return;
    }
    let usual = Thread::current();
    let folder = std::env::temp_dir().join(format!("portcullis-priority-{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let backend = Backend::start().await;
    let plain = document(backend.address, "", ROUTES);
    let file = write(&folder, &format!("access_log: insecure_off\n{plain}"));
    let loaded = Loaded::file_with(&file, &State::new()).unwrap();
    let running =
        Gateway::new(loaded.into_blueprint().unwrap_or_else(|error| panic!("{error}"))).start().unwrap();
    let reloader = running.reloader().clone();
    // Where a configuration is tried, it has been read, compiled and tested.
    let worked = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&worked);
    reloader.try_with(Arc::new(move |_| {
        *seen.lock().unwrap() = Some(Thread::current());
        Ok(())
    }));
    let before = Thread::all();
    // A thread for each of these; and one that writes the access log.
    let more = "access_log: { file: access.log }\naudit_log: { file: audit.log, key: audit.key }\ndetection: {}\nstore: { counters: { redis: { url: { literal: \"redis://127.0.0.1:9/0\" } } } }\n";
    let limited = document(backend.address, "  rate_limiting: { max_requests: 1000, per: minute }", ROUTES);
    reloaded(&reloader, &write(&folder, &format!("{more}{limited}"))).await;
    let worked = worked.lock().unwrap().clone().unwrap();
    assert_eq!(worked.name, "portcullis-relo");
    assert!(worked.nice > usual.nice, "{worked:?}, where the usual is {usual:?}");

    // A thread gives itself its name, when it first runs.
    let begun = Instant::now();
    let started = loop {
        let mut started = Thread::all();
        started.retain(|number, thread| !before.contains_key(number) && thread.name != worked.name);
        let names: Vec<_> = started.values().map(|thread| thread.name.as_str()).collect();
        let wanted = ["access-log", "audit-log", "portcullis-dete", "portcullis-stor"];
        match wanted.iter().find(|name| !names.contains(name)) {
            None => break started,
            Some(name) => assert!(begun.elapsed() < PATIENCE, "{name} is not among {names:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for thread in started.values() {
        assert_eq!((thread.nice, thread.policy), (usual.nice, usual.policy), "{thread:?}");
    }
    assert_eq!(crate::get(running.addresses()[0], "/data", USER_KEY).await.status, 200);
    running.shutdown();
    tokio::time::timeout(PATIENCE, running.finished()).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
