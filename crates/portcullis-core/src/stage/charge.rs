//! Which limits a request is charged to, and whether they let it on.
//!
//! Limits of one kind are charged together or not at all: a request that one of them refuses is charged to none. Counters
//! in this process are asked one after the other, and what was counted is taken back; counters elsewhere are asked in one
//! go. If counters do not answer, the request is refused.

use super::{Facts, Findings, whole_seconds};
use crate::answer::LimitState;
use crate::check::{Charge, Charged, Guarded, Held, Mode, Quota};
use crate::denial::{Advice, Code, Denial};
use crate::effects::{Charging, Count, Effects, KeysBuf};
use crate::plan::Snapshot;
use crate::principal::Principal;
use crate::record::LateCharge;

/// What comes of charging a request.
pub(super) struct Charges<'c> {
    snapshot: &'c Snapshot,
    findings: &'c mut Findings,
    told: &'c mut Option<LimitState>,
    late: &'c mut Vec<LateCharge>,
}

impl<'c> Charges<'c> {
    pub(super) fn new(
        snapshot: &'c Snapshot,
        findings: &'c mut Findings,
        told: &'c mut Option<LimitState>,
        late: &'c mut Vec<LateCharge>,
    ) -> Charges<'c> {
        Charges { snapshot, findings, told, late }
    }

    /// Charges the limits of one kind.
    pub(super) async fn run(
        &mut self,
        facts: &Facts<'_>,
        when: Charge,
        principal: &Principal,
        effects: &dyn Effects,
    ) {
        let quotas = &facts.route.controls.quotas;
        if quotas.is_empty() {
            return;
        }
        if effects.counts_together() {
            // On the heap: requests whose counters are in this process carry no room for it.
            return Box::pin(self.together(facts, when, principal, effects)).await;
        }
        for (index, Guarded { mode, check }) in quotas.iter().enumerate() {
            if *mode == Mode::Off || check.charge() != when {
                continue;
            }
            let charged = match check.charged(facts, principal) {
                Ok(Some(charged)) => charged,
                Ok(None) => continue,
                Err(denial) => {
                    if self.findings.refuse(*mode, check.id(), denial) {
                        return give_back(facts, when, principal, effects, index);
                    }
                    continue;
                }
            };
            let begun = self.findings.clock(effects);
            let counted = effects.count(charged.limit, &charged.keys, charged.cost).resolve().await;
            let refused = !matches!(&counted, Ok(count) if count.allowed);
            self.findings.ran(check.id(), begun, refused, effects);
            let counted = counted.map_err(|fault| Denial::new(Code::Fault, fault.detail));
            if self.judge(*mode, check.as_ref(), &charged, counted) {
                return give_back(facts, when, principal, effects, index);
            }
        }
    }

    async fn together(
        &mut self,
        facts: &Facts<'_>,
        when: Charge,
        principal: &Principal,
        effects: &dyn Effects,
    ) {
        let mut asked = Vec::new();
        let mut charges = Vec::new();
        for guarded in &facts.route.controls.quotas {
            let Guarded { mode, check } = guarded;
            if *mode == Mode::Off || check.charge() != when {
                continue;
            }
            match check.charged(facts, principal) {
                Ok(Some(charged)) => {
                    let Charged { limit, keys, cost, .. } = charged;
                    let enforced = *mode == Mode::Enforce;
                    charges.push(Charging { limit, keys, cost, enforced, count: None });
                    asked.push((guarded, charged));
                }
                Ok(None) => {}
                Err(denial) => {
                    if self.findings.refuse(*mode, check.id(), denial) {
                        return;
                    }
                }
            }
        }
        if asked.is_empty() {
            return;
        }
        let begun = self.findings.clock(effects);
        let fault = effects.count_all(&mut charges).resolve().await.err();
        for ((Guarded { check, .. }, _), charging) in asked.iter().zip(&charges) {
            // They were asked in one go: each took as long as all of them.
            let refused = !charging.count.is_some_and(|count| count.allowed);
            self.findings.ran(check.id(), begun, refused, effects);
        }
        for ((Guarded { mode, check }, charged), charging) in asked.iter().zip(&charges) {
            let counted = charging.count.ok_or_else(|| {
                let detail = fault.as_ref().map_or("a limit was not counted", |fault| &fault.detail);
                Denial::new(Code::Fault, detail.to_owned())
            });
            if self.judge(*mode, check.as_ref(), charged, counted) {
                return;
            }
        }
    }

    /// Takes what one limit says. `true` where the request ends here. The count that leaves the least is the one that the
    /// client is told.
    fn judge(
        &mut self,
        mode: Mode,
        check: &dyn Quota,
        charged: &Charged<'_>,
        counted: Result<Count, Denial>,
    ) -> bool {
        check.counted(charged.policy, &counted);
        let count = match counted {
            Ok(count) => count,
            Err(denial) => return self.findings.refuse(mode, check.id(), denial),
        };
        self.findings.left(charged.limit.id, if count.allowed { count.remaining } else { 0 });
        // An observed limit is not the client's business.
        if mode == Mode::Enforce
            && (!count.allowed
                || self.told.as_ref().is_none_or(|told| count.remaining < told.count.remaining))
        {
            let (limit, snapshot) = (charged.limit.id, self.snapshot.clone());
            *self.told = Some(LimitState { count, limit, snapshot });
        }
        if !count.allowed {
            let detail = format!("over the limit {}", charged.policy.text);
            let denial = Denial::new(Code::RateLimited, detail)
                .advising(Advice::RetryAfter { seconds: whole_seconds(count.retry_after) });
            let refused = self.findings.refuse(mode, check.id(), denial);
            if refused {
                self.late.clear();
            }
            return refused;
        }
        if let Some(cost) = charged.late {
            let (limit, keys) = (*charged.limit, KeysBuf::from(&charged.keys));
            self.late.push(LateCharge::new(limit, keys, cost.clone()));
        }
        false
    }
}

/// Takes back what was counted by the limits before this one.
fn give_back(facts: &Facts<'_>, when: Charge, principal: &Principal, effects: &dyn Effects, before: usize) {
    for Guarded { mode, check } in facts.route.controls.quotas.iter().take(before) {
        if *mode != Mode::Enforce || check.charge() != when {
            continue;
        }
        if let Ok(Some(charged)) = check.charged(facts, principal)
            && charged.cost > 0
        {
            effects.uncount(charged.limit, &charged.keys, charged.cost);
        }
    }
}

/// Enters the request where the number of those in flight is bounded. What it holds is added to `held`.
pub(super) async fn enter(
    facts: &Facts<'_>,
    principal: &Principal,
    effects: &dyn Effects,
    findings: &mut Findings,
    held: &mut Vec<Held>,
) {
    for Guarded { mode, check } in &facts.route.controls.in_flight {
        if *mode == Mode::Off {
            continue;
        }
        match check.enter(facts, principal, effects).resolve().await {
            Ok(place) => held.extend(place),
            Err(denial) => {
                if findings.refuse(*mode, check.id(), denial) {
                    return;
                }
            }
        }
    }
}
