//! One worker's view of a group of servers: which server a request gets, and what became of it there.
//!
//! | file     | decides                                                                  |
//! |----------|--------------------------------------------------------------------------|
//! | `config` | what is known of a group                                                  |
//! | `state`  | what all workers know of a server: left out, half open, coming back       |
//! | `counts` | how many requests a server had                                            |
//! | `choice` | which of the servers a request gets                                       |
//! | `budget` | how many retries there may be                                             |
//! | `keeper` | when servers are asked, and which addresses their names have               |
//! | `health` | whether a server is well, by asking it                                    |
//!
//! A server is left out while its checks fail, or for a time after failures. If that would leave none, all of them get requests:
//! a check that fails everywhere says more about the check, and a server that is tried can only do better than a 503. With a
//! weight of 0 a server gets no request at all.

mod budget;
mod choice;
mod config;
mod counts;
mod health;
mod keeper;
mod state;

pub(crate) use choice::{Tried, hash};
pub use config::{Balance, Canary, GroupServer, HashBy, HealthCheck, Mirror, Probe, Retry, UpstreamGroup};
pub use counts::Counts;
pub use keeper::GroupKeeper;
pub use state::{Checked, Eject, GroupState, ServerState, Standing};

use super::config::Upstream;
use super::pool::Pool;
use budget::Window;
use choice::Dice;
use counts::Lane;
use portcullis_core::{Code, Denial};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// A group, as a worker has it.
pub(crate) struct Group {
    pub(crate) config: Arc<UpstreamGroup>,
    /// The worker's own copy of the name.
    pub(crate) name: Arc<str>,
    /// Its servers as this worker last saw them.
    members: RefCell<Members>,
    /// How often the addresses of names had changed then.
    seen: Cell<u64>,
    pub(crate) canary: Option<Rc<Group>>,
    pub(crate) mirror: Option<Rc<Group>>,
    /// Copies that are on their way.
    pub(crate) copies: Cell<usize>,
    /// Where this worker counts its requests, for the budget of retries.
    counted: Arc<Window>,
    dice: Dice,
}

/// The most servers of a group.
pub(crate) const MOST_SERVERS: usize = 128;

/// The servers of a group at one moment. A request keeps those that it met.
pub(crate) type Members = Rc<[Rc<Member>]>;

/// A server of a group, as a worker has it.
pub(crate) struct Member {
    pub(crate) pool: Rc<Pool>,
    weight: u32,
    /// What its scores are made of: its URL, so that they are the same in every gateway.
    hash: u64,
    /// Whether it is asked if it is well.
    asked: bool,
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
        let seen = config.state.changes();
        let member = |server: &GroupServer| -> Result<Rc<Member>, &'static str> {
            Ok(Member::new(config, server, pool(&server.upstream)?, now))
        };
        let members = config.present().iter().map(member).collect::<Result<Members, _>>()?;
        if config.servers.iter().all(|server| server.weight == 0) {
            return Err("no server of the group has a weight");
        }
        let http2 = config.servers.iter().filter(|server| server.upstream.http2).count();
        if http2 != 0 && http2 != config.servers.len() {
            return Err("the servers of a group speak one version of HTTP");
        }
        config.state.serve();
        let name = Arc::from(&*config.name);
        Ok(Group {
            config: Arc::clone(config),
            name,
            members: RefCell::new(members),
            seen: Cell::new(seen),
            canary: None,
            mirror: None,
            copies: Cell::new(0),
            counted: config.state.budget.window(config.state.millis(now) / 1000),
            dice: Dice::default(),
        })
    }

    /// Whether its servers speak HTTP/2.
    pub(crate) fn http2(&self) -> bool {
        self.config.servers.first().is_some_and(|server| server.upstream.http2)
    }

    /// Its servers as they are now.
    pub(crate) fn members(&self) -> Members {
        let changes = self.config.state.changes();
        if self.seen.replace(changes) != changes {
            self.look_again();
        }
        Rc::clone(&self.members.borrow())
    }

    /// The addresses of a name have changed. What stays keeps its connections and its turn.
    #[cold]
    fn look_again(&self) {
        let now = Instant::now();
        let before = self.members.take();
        let known = |server: &GroupServer| {
            before.iter().find(|member| Arc::ptr_eq(&member.state, &server.state)).map(Rc::clone)
        };
        let made = |server: &GroupServer| {
            let pool = Pool::new(server.upstream.clone()).map(Rc::new).ok()?;
            Some(Member::new(&self.config, server, pool, now))
        };
        let members = self.config.present();
        self.members
            .replace(members.iter().filter_map(|server| known(server).or_else(|| made(server))).collect());
    }

    /// The connections to its servers.
    pub(crate) fn pools(&self) -> Vec<Rc<Pool>> {
        let others = self.canary.iter().chain(&self.mirror);
        let groups = std::iter::once(self).chain(others.map(|group| &**group));
        let members = groups.flat_map(|group| group.members.borrow().to_vec());
        members.map(|member| Rc::clone(&member.pool)).collect()
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
        self.counted.count(state.millis(now) / 1000);
        Ok(entered)
    }

    /// Takes a retry out of the budget, if there is one left.
    pub(crate) fn take_retry(&self, now: Instant) -> bool {
        let state = &self.config.state;
        state.budget.take(state.millis(now) / 1000, self.config.retry.budget)
    }

    /// Hears what became of a request.
    pub(crate) fn hear(&self, running: &Running, outcome: Outcome, now: Instant) {
        let Running { member, probe, left_out } = running;
        match outcome {
            Outcome::Answered => member.state.succeeded(*probe || *left_out, now),
            Outcome::Failed => {
                Lane::more(&member.lane.failures);
                if member.state.failed(*probe, self.config.eject.failures) {
                    self.eject(member, now);
                }
            }
            Outcome::Unknown => {}
        }
    }

    /// Hears that the body of an answer broke off.
    pub(crate) fn hear_broken(&self, running: &Running, now: Instant) {
        let member = &running.member;
        Lane::more(&member.lane.failures);
        if member.state.broke_off(self.config.eject.failures) {
            self.eject(member, now);
        }
    }

    fn eject(&self, member: &Member, now: Instant) {
        let members = Rc::clone(&self.members.borrow());
        let all = members.iter().map(|member| &member.state);
        self.config.state.eject(&member.state, (all, member.asked), &self.config.eject, now);
    }
}

impl Member {
    fn new(config: &UpstreamGroup, server: &GroupServer, pool: Rc<Pool>, now: Instant) -> Rc<Member> {
        server.state.begin(now);
        Rc::new(Member {
            pool,
            weight: server.weight,
            hash: choice::hash(server.url.as_bytes()),
            asked: config.health_check.is_some(),
            state: Arc::clone(&server.state),
            lane: server.state.lane(),
            turn: Cell::new(0),
        })
    }

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

    fn standing(&self, now: Instant) -> Standing {
        self.state.standing(self.asked, now)
    }

    /// How many requests it has from this worker.
    fn running(&self) -> u32 {
        self.lane.running.load(Relaxed)
    }
}

impl Running {
    /// The whole answer has come.
    pub(crate) fn completed(&self) {
        self.member.state.completed();
    }

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
