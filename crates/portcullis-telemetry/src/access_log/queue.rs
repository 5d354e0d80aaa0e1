//! Lines on their way to the output: bounded, in order, and waited for only as long as somebody says.

use super::lock;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is queued for the output.
pub(super) struct Queue {
    room: usize,
    state: Mutex<State>,
    /// There is something to write, or to end.
    filled: Condvar,
    /// Something was written.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Since when there is no room and nothing was written.
    stuck: Option<Instant>,
    /// Whether a chunk is with the output.
    writing: bool,
    /// How many times everything was to be collected at once, and how many times it was.
    wanted: u64,
    collected: u64,
    ending: bool,
    ended: bool,
}

impl State {
    fn push(&mut self, chunk: Vec<u8>) {
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
    }
}

impl Queue {
    /// At most so many bytes, or one chunk.
    pub(super) fn new(room: usize) -> Queue {
        Queue { room, state: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Queues a chunk. Where there is no room, callers together wait for so long, until something is written.
    ///
    /// # Errors
    /// The chunk, if there was no room in that time.
    pub(super) fn push(&self, chunk: Vec<u8>, patience: Duration) -> Result<(), Vec<u8>> {
        let mut state = lock(&self.state);
        loop {
            if state.bytes + chunk.len() <= self.room || state.chunks.is_empty() {
                state.push(chunk);
                self.filled.notify_one();
                return Ok(());
            }
            let since = *state.stuck.get_or_insert_with(Instant::now);
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() || state.ending {
                return Err(chunk);
            }
            state = self.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next chunk to write. At least once in each interval everything else is collected. `None` at the end.
    pub(super) fn next(&self, interval: Duration, collect: impl Fn() -> Vec<u8>) -> Option<Vec<u8>> {
        let due = Instant::now() + interval;
        let mut state = lock(&self.state);
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ending || state.wanted > state.collected {
                let wanted = state.wanted;
                drop(state);
                // Without the lock, since collecting takes other ones.
                let lines = collect();
                state = lock(&self.state);
                state.collected = wanted;
                let nothing = lines.is_empty() && state.chunks.is_empty();
                // However full the queue is: these lines are in memory in any case.
                state.push(lines);
                if nothing {
                    self.emptied.notify_all();
                    if state.ending {
                        state.ended = true;
                        return None;
                    }
                    drop(state);
                    return Some(Vec::new());
                }
            }
            if let Some(chunk) = state.chunks.pop_front() {
                state.bytes -= chunk.len();
                state.writing = true;
                return Some(chunk);
            }
            let left = due.saturating_duration_since(Instant::now());
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The chunk was written, or given up.
    pub(super) fn written(&self) {
        let mut state = lock(&self.state);
        state.writing = false;
        state.stuck = None;
        self.emptied.notify_all();
    }

    /// Waits until all that was there is written, for at most so long. Whether it is.
    pub(super) fn wait_until_written(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = lock(&self.state);
        state.wanted += 1;
        let wanted = state.wanted;
        self.filled.notify_one();
        loop {
            if state.ended || (state.collected >= wanted && state.chunks.is_empty() && !state.writing) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends it when everything is written, or after so long.
    pub(super) fn end(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = lock(&self.state);
        state.ending = true;
        self.filled.notify_one();
        self.emptied.notify_all();
        while !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
