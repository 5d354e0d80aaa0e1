//! One worker's view of a group of servers: which server a request gets, and what became of it there.
//!
//! | file     | decides                                                                  |
//! |----------|--------------------------------------------------------------------------|
//! | `config` | what is known of a group                                                  |
//! | `state`  | what all workers know of a server: left out, half open, coming back       |
//! | `choice` | which of the servers a request gets                                       |
//! | `budget` | how many retries there may be                                             |
//! | `health` | whether a server is well, by asking it                                    |
//!
//! A server is left out while its checks fail, or for a time after failures. If that would leave none, all of them get requests:
//! a check that fails everywhere says more about the check, and a server that is tried can only do better than a 503. With a
//! weight of 0 a server gets no request at all.

mod budget;
mod choice;
mod config;
mod health;
mod state;

pub(crate) use choice::{Tried, hash};
pub use config::{Balance, Canary, GroupServer, HashBy, HealthCheck, Mirror, Probe, Retry, UpstreamGroup};
pub use health::HealthChecks;
pub use state::{Checked, Counts, Eject, GroupState, ServerState, Standing};

use super::config::Upstream;
use super::pool::Pool;
use budget::Budget;
use choice::Dice;
use portcullis_core::{Code, Denial};
use state::Lane;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// A group, as a worker has it.
pub(crate) struct Group {
    pub(crate) config: Arc<UpstreamGroup>,
    /// The worker's own copy of the name.
    pub(crate) name: Arc<str>,
    pub(crate) members: Vec<Rc<Member>>,
    pub(crate) canary: Option<Rc<Group>>,
    pub(crate) mirror: Option<Rc<Group>>,
    /// Copies that are on their way.
    pub(crate) copies: Cell<usize>,
    budget: Budget,
    dice: Dice,
}

/// A server of a group, as a worker has it.
pub(crate) struct Member {
    pub(crate) pool: Rc<Pool>,
    weight: u32,
    /// What its scores are made of: its URL, so that they are the same in every gateway.
    hash: u64,
    state: Arc<ServerState>,
    lane: Arc<Lane>,
    /// How far it is behind in taking turns.
    turn: Cell<i64>,
}

/// A request that a server has. Dropped, it is over there.
pub(crate) struct Running {
    member: Rc<Member>,
    /// Whether it finds out if the server is well again.
    probe: bool,
    /// Whether the server was left out when it began, so that an answer says that it is well again.
    left_out: bool,
}

/// A request that a group has, where it may have only so many. Dropped, it is over.
pub(crate) struct Entered(Option<Arc<GroupState>>);

/// What became of a request at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was answered.
    Answered,
    /// The server failed.
    Failed,
    /// Nothing is known of the server by it.
    Unknown,
}

impl Group {
    /// `pool` makes the connections to a server, or finds those that are there.
    ///
    /// # Errors
    /// What is wrong with a server.
    pub(crate) fn new(
        config: &Arc<UpstreamGroup>,
        pool: &dyn Fn(&Upstream) -> Result<Rc<Pool>, &'static str>,
    ) -> Result<Group, &'static str> {
        let mut group = Group::alone(config, pool)?;
        let other = |other: &Arc<UpstreamGroup>| Group::alone(other, pool).map(Rc::new);
        group.canary = config.canary.as_ref().map(|canary| other(&canary.group)).transpose()?;
        group.mirror = config.mirror.as_ref().map(|mirror| other(&mirror.group)).transpose()?;
        if group.canary.as_ref().is_some_and(|canary| canary.http2() != group.http2()) {
            return Err("the servers of a canary speak the same version of HTTP");
        }
        Ok(group)
    }

    fn alone(
        config: &Arc<UpstreamGroup>,
        pool: &dyn Fn(&Upstream) -> Result<Rc<Pool>, &'static str>,
    ) -> Result<Group, &'static str> {
        let now = Instant::now();
        let mut members = Vec::with_capacity(config.servers.len());
        for server in &config.servers {
            server.state.begin(now);
            members.push(Rc::new(Member {
                pool: pool(&server.upstream)?,
                weight: server.weight,
                hash: choice::hash(server.url.as_bytes()),
                state: Arc::clone(&server.state),
                lane: server.state.lane(),
                turn: Cell::new(0),
            }));
        }
        if members.iter().all(|member| member.weight == 0) {
            return Err("no server of the group has a weight");
        }
        let http2 = members.iter().filter(|member| member.pool.upstream.http2).count();
        if http2 != 0 && http2 != members.len() {
            return Err("the servers of a group speak one version of HTTP");
        }
        config.state.serve();
        let name = Arc::from(&*config.name);
        Ok(Group {
            config: Arc::clone(config),
            name,
            members,
            canary: None,
            mirror: None,
            copies: Cell::new(0),
            budget: Budget::default(),
            dice: Dice::default(),
        })
    }

    /// Whether its servers speak HTTP/2.
    pub(crate) fn http2(&self) -> bool {
        self.members.first().is_some_and(|member| member.pool.upstream.http2)
    }

    /// The connections to its servers.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Rc<Pool>> {
        let others = self.canary.iter().chain(&self.mirror).flat_map(|group| &group.members);
        self.members.iter().chain(others).map(|member| &member.pool)
    }

    /// Whether this request is in a share of so many percent.
    pub(crate) fn draws(&self, percent: u8) -> bool {
        self.dice.below(100) < u64::from(percent)
    }

    /// Begins a request.
    ///
    /// # Errors
    /// The group has as many as it may.
    pub(crate) fn enter(&self, now: Instant) -> Result<Entered, Denial> {
        let state = &self.config.state;
        let entered = match self.config.max_requests {
            None => Entered(None),
            Some(most) if state.enter(most) => Entered(Some(Arc::clone(state))),
            Some(_) => {
                return Err(Denial::new(Code::UpstreamBusy, "the group has as many requests as it may"));
            }
        };
        self.budget.count(state.millis(now) / 1000);
        Ok(entered)
    }

    /// Takes a retry out of the budget, if there is one left.
    pub(crate) fn take_retry(&self, now: Instant) -> bool {
        self.budget.take(self.config.state.millis(now) / 1000, self.config.retry.budget)
    }

    /// Hears what became of a request.
    pub(crate) fn hear(&self, running: &Running, outcome: Outcome, now: Instant) {
        let Running { member, probe, left_out } = running;
        match outcome {
            Outcome::Answered => member.state.succeeded(*probe || *left_out, now),
            Outcome::Failed => {
                Lane::more(&member.lane.failures);
                if member.state.failed(*probe, self.config.eject.failures) {
                    let all = self.config.servers.iter().map(|server| &server.state);
                    self.config.state.eject(&member.state, all, &self.config.eject, now);
                }
            }
            Outcome::Unknown => {}
        }
    }
}

impl Member {
    /// A request begins at this server.
    fn begin(self: &Rc<Self>, probe: bool, again: bool) -> Running {
        let Lane { running, requests, retries, .. } = &*self.lane;
        running.store(running.load(Relaxed).wrapping_add(1), Relaxed);
        Lane::more(requests);
        if again {
            Lane::more(retries);
        }
        Running { member: Rc::clone(self), probe, left_out: false }
    }

    /// How many requests it has from this worker.
    fn running(&self) -> u32 {
        self.lane.running.load(Relaxed)
    }
}

impl Running {
    /// The connections to the server.
    pub(crate) fn pool(&self) -> &Rc<Pool> {
        &self.member.pool
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let running = &self.member.lane.running;
        running.store(running.load(Relaxed).wrapping_sub(1), Relaxed);
        if self.probe {
            self.member.state.probed();
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.running.fetch_sub(1, Relaxed);
        }
    }
}
