//! How late a worker gets to its work, measured where requests are given up for it, and nowhere else.

use super::worker::Worker;
use std::time::{Duration, Instant};

/// How often the delay is measured.
const BEAT: Duration = Duration::from_millis(20);
/// How many of these are one measurement, of which the least counts.
const BEATS: u32 = 5;

/// Waits for so long. Where the plan wants to know it, the delay of this worker is measured meanwhile.
pub(super) async fn rest(worker: &Worker, time: Duration) {
    if worker.current().snapshot.effects().overload().is_none() {
        return tokio::time::sleep(time).await;
    }
    let begun = Instant::now();
    while begun.elapsed() < time {
        let mut least = Duration::MAX;
        for _ in 0..BEATS {
            let asleep = Instant::now();
            tokio::time::sleep(BEAT).await;
            least = least.min(asleep.elapsed().saturating_sub(BEAT));
        }
        let current = worker.current();
        let effects = current.snapshot.effects();
        if let Some(overload) = effects.overload() {
            overload.told(effects.monotonic(), least);
        }
    }
}
