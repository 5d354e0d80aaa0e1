//! The counters of a plan that are kept in a shared store.

use super::lease::{self, Wish};
use super::link::Live;
use super::script::{Answer, Asked, Said};
use super::{OnFailure, SharedStore, Sync, keys};
use crate::counters::{CountNames, Counters, PlanCounters};
use portcullis_core::{Algorithm, Charging, Clock, Count, Fault, Keys, Limit, Step};
use std::sync::Arc;
use std::time::Duration;

/// The counters of a plan.
pub(super) struct SharedCounters {
    store: Arc<SharedStore>,
    /// For when the store does not answer.
    local: Arc<PlanCounters>,
}

impl SharedCounters {
    pub(super) fn new(store: Arc<SharedStore>, local: PlanCounters) -> SharedCounters {
        SharedCounters { store, local: Arc::new(local) }
    }

    fn names(&self) -> &CountNames {
        self.local.names()
    }

    fn asked<'a>(&'a self, charge: &Charging<'_>) -> Result<Asked<'a>, Fault> {
        let names = self.names();
        let name = keys::of_counter(&self.store.settings.prefix, names, charge.limit, &charge.keys)?;
        let limit = names
            .limits
            .get(charge.limit.id.0 as usize)
            .ok_or_else(|| Fault { detail: "a limit of another plan".into() })?;
        let (cost, enforced) = (i64::from(charge.cost), charge.enforced);
        Ok(Asked { name, limit, cost, extra: 0, enforced })
    }

    fn all_asked<'a>(&'a self, charges: &[Charging<'_>]) -> Result<Vec<Asked<'a>>, Fault> {
        charges.iter().map(|charge| self.asked(charge)).collect()
    }

    /// Counts here, while the store does not answer.
    fn without(&self, clock: &dyn Clock, charges: &mut [Charging<'_>]) -> Result<(), Fault> {
        match self.store.settings.on_failure {
            OnFailure::Deny => Err(Fault { detail: "the shared store does not answer".into() }),
            OnFailure::Allow => {
                for charge in charges {
                    charge.count = Some(Count {
                        allowed: true,
                        remaining: charge.limit.max,
                        retry_after: Duration::ZERO,
                        reset_after: Duration::ZERO,
                    });
                }
                Ok(())
            }
            OnFailure::LocalShare => self.share(clock, charges),
        }
    }

    fn share(&self, clock: &dyn Clock, charges: &mut [Charging<'_>]) -> Result<(), Fault> {
        let gateways = self.store.gateways();
        for index in 0..charges.len() {
            let Some(charge) = charges.get_mut(index) else { break };
            let count = self.local.charge(clock, charge.limit, &charge.keys, charge.cost, gateways)?;
            charge.count = Some(count);
            if charge.enforced && !count.allowed {
                for before in charges.iter().take(index) {
                    if before.count.is_some_and(|count| count.allowed) {
                        self.local.refund(clock, before.limit, &before.keys, before.cost, gateways);
                    }
                }
                break;
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        clock: &dyn Clock,
        live: Arc<Live>,
        mut asked: Vec<Asked<'_>>,
        charges: &mut [Charging<'_>],
    ) -> Result<(), Fault> {
        let leased = self.store.settings.sync == Sync::Leased;
        let now = lease::nanos(clock.monotonic());
        let mut missing = Vec::with_capacity(asked.len());
        for (index, (asked, charge)) in asked.iter_mut().zip(charges.iter_mut()).enumerate() {
            let wish = match leased {
                false => Wish::default(),
                true => match self.store.leases.take(self.mark(charge)?, charge.limit, now, charge.cost) {
                    Ok(count) => {
                        charge.count = Some(count);
                        continue;
                    }
                    Err(wish) => wish,
                },
            };
            asked.extra = wish.extra;
            // What is left of a lease that has ended is taken back with the next charge.
            if charge.cost > 0 {
                asked.cost -= i64::from(wish.unused);
            }
            missing.push(index);
        }
        if missing.is_empty() {
            return Ok(());
        }
        let wanted: Vec<&Asked<'_>> = missing.iter().filter_map(|index| asked.get(*index)).collect();
        let Some(said) = live.charge(self.store.link.as_ref(), &wanted).await else {
            self.put_back(charges, &missing, now);
            return self.without(clock, charges);
        };
        let mut refused = false;
        for (index, said) in missing.iter().zip(said) {
            let Some(charge) = charges.get_mut(*index) else { continue };
            charge.count = Some(said.count);
            refused |= charge.enforced && !said.count.allowed;
            if leased && said.extra > 0 {
                let life = life(charge.limit, &said);
                self.store.leases.give(self.mark(charge)?, now, said.count, said.extra, life);
            }
        }
        if refused {
            self.put_back(charges, &missing, now);
        }
        Ok(())
    }

    /// Puts back what was taken from leases by limits that the store was not asked about.
    fn put_back(&self, charges: &[Charging<'_>], missing: &[usize], now: u64) {
        for (_, charge) in charges.iter().enumerate().filter(|(index, _)| !missing.contains(index)) {
            if let Ok(mark) = self.mark(charge) {
                self.store.leases.put_back(mark, now, charge.cost);
            }
        }
    }

    /// A number that stands for a counter in this process.
    fn mark(&self, charge: &Charging<'_>) -> Result<u64, Fault> {
        self.local.mark(charge.limit, &charge.keys)
    }

    /// Charges all of these to leases, or none of them. Most requests go this way, so it knows no names and allocates nothing.
    fn all_leased(&self, clock: &dyn Clock, charges: &mut [Charging<'_>]) -> bool {
        let now = lease::nanos(clock.monotonic());
        for index in 0..charges.len() {
            let taken = charges
                .get(index)
                .and_then(|charge| self.store.leases.take_there(self.mark(charge).ok()?, now, charge.cost));
            match (taken, charges.get_mut(index)) {
                (Some(count), Some(charge)) => charge.count = Some(count),
                (None, _) | (_, None) => {
                    for charge in charges.iter_mut().take(index) {
                        charge.count = None;
                        if let Ok(mark) = self.mark(charge) {
                            self.store.leases.put_back(mark, now, charge.cost);
                        }
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Charges without a request that waits for it. A negative cost takes back.
    fn debit(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: i64) {
        let charging = Charging { limit, keys: *keys, cost: 0, enforced: false, count: None };
        let asked = self.asked(&charging).ok().map(|asked| Asked { cost, ..asked });
        match (self.store.link.live(), asked) {
            (Some(live), Some(asked)) => {
                let (link, limit, name) = (Arc::clone(&self.store.link), asked.limit.clone(), asked.name);
                self.store.link.spawn(async move {
                    let asked = Asked { name, limit: &limit, cost, extra: 0, enforced: false };
                    live.debit(&link, &asked).await;
                });
            }
            (None, _) | (_, None) => {
                let gateways = self.store.gateways();
                match u32::try_from(cost) {
                    Ok(cost) => self.local.debit(clock, limit, keys, cost, gateways),
                    Err(_) => {
                        let cost = u32::try_from(cost.unsigned_abs()).unwrap_or(u32::MAX);
                        self.local.refund(clock, limit, keys, cost, gateways);
                    }
                }
            }
        }
    }
}

/// How long what was leased is good for: no longer than the window of which it is.
fn life(limit: &Limit, said: &Said) -> Duration {
    match limit.algorithm {
        Algorithm::Gcra => lease::LIFE,
        Algorithm::FixedWindow | Algorithm::SlidingWindow => said.count.reset_after.min(lease::LIFE),
    }
}

impl Counters for SharedCounters {
    fn begin(&self, clock: &dyn Clock) {
        self.store.connect();
        self.local.begin(clock);
    }

    fn count<'a>(
        &'a self,
        clock: &'a dyn Clock,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        let mut charges = [Charging { limit, keys: *keys, cost, enforced: true, count: None }];
        Step::Later(Box::pin(async move {
            self.count_all(clock, &mut charges).resolve().await?;
            let [charge] = charges;
            charge.count.ok_or_else(|| Fault { detail: "a limit was not counted".into() })
        }))
    }

    fn counts_together(&self) -> bool {
        true
    }

    fn count_all<'a>(
        &'a self,
        clock: &'a dyn Clock,
        charges: &'a mut [Charging<'_>],
    ) -> Step<'a, Result<(), Fault>> {
        let link = &self.store.link;
        if link.is_starting() {
            // A request that comes while the first connection is made is counted there all the same.
            return Step::Later(Box::pin(async move {
                link.started().await;
                match (link.live(), self.all_asked(charges)) {
                    (Some(live), asked) => self.ask(clock, live, asked?, charges).await,
                    (None, _) => self.without(clock, charges),
                }
            }));
        }
        if self.store.settings.sync == Sync::Leased && link.is_live() && self.all_leased(clock, charges) {
            return Step::Ready(Ok(()));
        }
        let Some(live) = link.live() else { return Step::Ready(self.without(clock, charges)) };
        match self.all_asked(charges) {
            Err(fault) => Step::Ready(Err(fault)),
            Ok(asked) => Step::Later(Box::pin(self.ask(clock, live, asked, charges))),
        }
    }

    fn uncount(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.debit(clock, limit, keys, -i64::from(cost));
    }

    fn charge_late(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.debit(clock, limit, keys, i64::from(cost));
    }
}

/// Charges these in the store: in one go where they are on one server, else server by server, and what was charged on one
/// is taken back where another one refuses. `None` where it does not answer in time.
impl Live {
    pub(super) async fn charge(&self, link: &super::link::Link, asked: &[&Asked<'_>]) -> Option<Vec<Said>> {
        let servers: Vec<Vec<usize>> = match self.is_cluster() {
            false => vec![(0..asked.len()).collect()],
            true => by_server(asked),
        };
        let mut all: Vec<Option<Said>> = vec![None; asked.len()];
        let mut charged: Vec<usize> = Vec::new();
        for server in servers {
            let group: Vec<&Asked<'_>> =
                server.iter().filter_map(|index| asked.get(*index).copied()).collect();
            let said = self.run(link, false, &group).await?;
            let refused = group.iter().zip(&said).any(|(asked, said)| asked.enforced && !said.count.allowed);
            for (index, said) in server.iter().zip(said) {
                if let Some(place) = all.get_mut(*index) {
                    *place = Some(said);
                }
            }
            if refused {
                for index in charged {
                    if let (Some(asked), Some(Some(said))) = (asked.get(index), all.get_mut(index))
                        && said.count.allowed
                    {
                        let cost = -(asked.cost + i64::from(said.extra));
                        said.extra = 0;
                        let asked = Asked { cost, extra: 0, ..(*asked).clone() };
                        let _ = self.run(link, true, &[&asked]).await;
                    }
                }
                break;
            }
            charged.extend(server);
        }
        // Those behind a refusal were not asked about; nobody is told of them.
        let unasked = Said {
            count: Count {
                allowed: true,
                remaining: u32::MAX,
                retry_after: Duration::ZERO,
                reset_after: Duration::ZERO,
            },
            extra: 0,
        };
        Some(all.into_iter().map(|said| said.unwrap_or(unasked)).collect())
    }

    async fn debit(&self, link: &super::link::Link, asked: &Asked<'_>) {
        let _ = self.run(link, true, &[asked]).await;
    }

    /// Asks one server, within the deadline.
    async fn run(&self, link: &super::link::Link, debit: bool, asked: &[&Asked<'_>]) -> Option<Vec<Said>> {
        let answer = tokio::time::timeout(link.deadline(), async {
            // Twice at most: the second time with the store's own time.
            for _ in 0..2 {
                match self.evaluate(debit, asked, link.store_time()).await? {
                    Answer::Said(now, said) => {
                        link.told_time(now);
                        return Some(said);
                    }
                    Answer::OtherTime(now) => link.told_time(now),
                    Answer::Nonsense => return None,
                }
            }
            None
        });
        let said = answer.await.ok().flatten();
        if said.is_none() {
            link.trouble(self);
        }
        said
    }
}

fn by_server(asked: &[&Asked<'_>]) -> Vec<Vec<usize>> {
    let mut servers: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, asked) in asked.iter().enumerate() {
        let tag = keys::server_of(&asked.name);
        match servers.iter_mut().find(|(other, _)| *other == tag) {
            Some((_, server)) => server.push(index),
            None => servers.push((tag, vec![index])),
        }
    }
    servers.into_iter().map(|(_, server)| server).collect()
}
