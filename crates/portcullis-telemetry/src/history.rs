//! How the counts went over the last hour, for charts: a sample each few seconds.

use crate::lanes::lock;
use crate::metrics::Metrics;
use crate::metrics::counted::Ending;
use crate::metrics::histogram::Histogram;
use portcullis_core::Code;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// How many samples are kept: an hour.
pub const MOST: usize = 720;

/// What happened between two moments.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The end, in seconds since 1970.
    pub at: u64,
    /// Requests by how they ended.
    pub endings: BTreeMap<Ending, u64>,
    /// Refusals by their reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// The gateway's own durations.
    pub gateway: Histogram,
    /// The upstreams' durations.
    pub upstream: Histogram,
}

/// The samples of the last hour, taken by a thread of its own.
pub struct History {
    samples: Arc<Mutex<VecDeque<Sample>>>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl History {
    /// Begins.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(metrics: Arc<Metrics>) -> io::Result<History> {
        let samples: Arc<Mutex<VecDeque<Sample>>> = Arc::default();
        let (stop, stopped) = sync_channel(1);
        let kept = Arc::clone(&samples);
        let thread = std::thread::Builder::new().name("portcullis-watch".into()).spawn(move || {
            let mut before = Totals::of(&metrics);
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let now = Totals::of(&metrics);
                let mut samples = lock(&kept);
                samples.push_back(now.since(&before));
                if samples.len() > MOST {
                    samples.pop_front();
                }
                before = now;
            }
        })?;
        Ok(History { samples, stop: Some(stop), thread: Some(thread) })
    }

    /// The samples, the oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        lock(&self.samples).iter().cloned().collect()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Everything since the start.
#[derive(Default)]
struct Totals(Sample);

impl Totals {
    fn of(metrics: &Metrics) -> Totals {
        let counted = metrics.total();
        let mut sample = Sample { at: now(), ..Sample::default() };
        for (key, count) in &counted.requests {
            *sample.endings.entry(key.ending).or_default() += count;
            if key.ending == Ending::Refused {
                let code = key.code.map_or("", Code::as_str);
                *sample.refusals.entry(code).or_default() += count;
            }
        }
        for times in counted.routes.values() {
            sample.gateway.add(&times.gateway);
            sample.upstream.add(&times.upstream);
        }
        Totals(sample)
    }

    fn since(&self, before: &Totals) -> Sample {
        Sample {
            at: self.0.at,
            endings: less(&self.0.endings, &before.0.endings),
            refusals: less(&self.0.refusals, &before.0.refusals),
            gateway: self.0.gateway.since(&before.0.gateway),
            upstream: self.0.upstream.since(&before.0.upstream),
        }
    }
}

fn less<K: Ord + Copy>(now: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    now.iter()
        .map(|(key, count)| (*key, count.saturating_sub(before.get(key).copied().unwrap_or(0))))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
