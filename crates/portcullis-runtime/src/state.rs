//! What outlives a plan: counters, who failed to authenticate, what was used once, and what was learned from others.
//!
//! A process that serves has one. Every plan is compiled against it and finds what plans before it left there, by stable
//! names. A second one shares nothing with the first: what is tried on it touches no count of the one that serves.

use crate::blocks::Blocks;
use crate::clock::SystemClock;
use crate::password::Passwords;
use portcullis_core::Clock;
use portcullis_store::{Failures, Kept, MemoryCounters, MemoryReplay, Replay};
use rand::Rng;
use std::sync::{Arc, LazyLock};

/// What outlives a plan. Its clones are the same.
#[derive(Clone)]
pub struct State(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) clock: Box<dyn Clock>,
    // Made when they are first used: whoever only checks a configuration needs none of these tables.
    pub(crate) counters: LazyLock<MemoryCounters, Box<dyn FnOnce() -> MemoryCounters + Send>>,
    pub(crate) replay: LazyLock<Box<dyn Replay>>,
    pub(crate) failures: LazyLock<Failures>,
    pub(crate) passwords: Passwords,
    /// Whether a store that gateways share is left alone.
    pub(crate) is_isolated: bool,
    secret: [u8; 32],
    kept: Kept,
    blocks: Blocks,
}

impl Default for State {
    fn default() -> State {
        State::new()
    }
}

impl State {
    /// A state in which nothing was counted yet, in memory, on the system's clock.
    pub fn new() -> State {
        State::with_clock(SystemClock::start())
    }

    /// The same with another clock.
    pub fn with_clock(clock: impl Clock + 'static) -> State {
        State::with_room(clock, MemoryCounters::DEFAULT_ENTRIES)
    }

    /// A state for trials of a configuration, on this clock. What the plan would share with other gateways is counted and
    /// remembered in memory, and no store is asked.
    pub fn isolated(clock: impl Clock + 'static) -> State {
        State::made(clock, MemoryCounters::DEFAULT_ENTRIES, true)
    }

    /// The same with room to count so many addresses, as many header values and as many subjects apart at a time.
    pub fn with_room(clock: impl Clock + 'static, entries: usize) -> State {
        State::made(clock, entries, false)
    }

    fn made(clock: impl Clock + 'static, entries: usize, is_isolated: bool) -> State {
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        State(Arc::new(Parts {
            clock: Box::new(clock),
            counters: LazyLock::new(Box::new(move || MemoryCounters::new(entries))),
            replay: LazyLock::new(|| Box::new(MemoryReplay::new(MemoryReplay::DEFAULT_ENTRIES))),
            failures: LazyLock::new(Failures::new),
            passwords: Passwords::default(),
            is_isolated,
            secret,
            kept: Kept::default(),
            blocks: Blocks::default(),
        }))
    }

    /// Random bytes of this process. Digests of keys are made with them, so what is remembered of a key means the same in
    /// every plan.
    pub fn secret(&self) -> &[u8; 32] {
        &self.0.secret
    }

    /// The time, by the clock that requests are judged by.
    pub fn now(&self) -> portcullis_core::Now {
        self.0.clock.now()
    }

    /// What else plans leave to the next one.
    pub fn kept(&self) -> &Kept {
        &self.0.kept
    }

    /// Whom operators have blocked.
    pub fn blocks(&self) -> &Blocks {
        &self.0.blocks
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }
}
