//! What a consumer's plan allows, whichever route it uses.
//!
//! A plan's limits hold beside those of the gateway and the route, on every route where consumers are authenticated. A
//! consumer can have limits of its own in place of its plan's. A plan that is named and not there is a fault.

use super::calendar::QuotaConfig;
use super::counted::Counted;
use super::rate_limit::RateLimitConfig;
use crate::build::Build;
use crate::mode::ModeConfig;
use portcullis_config::{Context, OneOrMany, Spanned, keyword, object, suggest};
use portcullis_core::check::{Charge, Check};
use portcullis_core::overload::Priority;
use portcullis_core::{
    Charged, CheckId, Code, ConsumerId, Controls, Denial, Evidence, Facts, Guarded, Identity, Mode,
    Principal, Quota,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

keyword! {
    /// How soon requests are rejected while the gateway is too slow.
    pub enum PriorityWord {
        /// First.
        Low = "low",
        /// Once all requests of low priority are rejected.
        Normal = "normal",
        /// Last, and never all of them.
        High = "high",
    }
}

impl From<PriorityWord> for Priority {
    fn from(word: PriorityWord) -> Priority {
        match word {
            PriorityWord::Low => Priority::Low,
            PriorityWord::Normal => Priority::Normal,
            PriorityWord::High => Priority::High,
        }
    }
}

object! {
    /// What consumers with this plan may use.
    pub struct PlanConfig {
        /// How many requests; one limit or a list of them.
        #[alias("rate_limit")]
        pub rate_limiting: OneOrMany<RateLimitConfig> = OneOrMany(Vec::new()),
        /// How many requests in an hour, a day or a month of the calendar; one quota or a list of them.
        pub quota: OneOrMany<QuotaConfig> = OneOrMany(Vec::new()),
        /// How soon requests with this plan are rejected while the gateway is too slow; see `overload`. Requests without a plan
        /// are `normal`. Default: normal.
        pub priority: Option<Spanned<PriorityWord>>,
    }
}

impl PlanConfig {
    fn priority(&self) -> Priority {
        self.priority.as_ref().map_or(Priority::default(), |priority| priority.value.into())
    }
}

/// Whose limits these are, as they are written.
pub struct Subscription<'a> {
    /// The consumer.
    pub consumer: ConsumerId,
    /// Its name.
    pub name: &'a str,
    /// Its plan.
    pub plan: Option<&'a Spanned<String>>,
    /// Limits in place of its plan's.
    pub rate_limiting: Option<&'a OneOrMany<RateLimitConfig>>,
    /// Quotas in place of its plan's.
    pub quota: Option<&'a OneOrMany<QuotaConfig>>,
}

/// Every plan, compiled.
#[derive(Default)]
pub struct Plans {
    by_name: HashMap<String, Arc<Limits>>,
    by_consumer: Vec<Option<Arc<Limits>>>,
}

/// The limits of a plan, by whether they are enforced.
#[derive(Default)]
struct Limits {
    enforced: Vec<Counted>,
    observed: Vec<Counted>,
    priority: Priority,
}

impl Limits {
    fn of(&self, mode: Mode) -> &[Counted] {
        match mode {
            Mode::Enforce => &self.enforced,
            Mode::Observe => &self.observed,
            Mode::Off => &[],
        }
    }

    fn compile<'a>(
        rates: impl IntoIterator<Item = &'a RateLimitConfig>,
        quotas: impl IntoIterator<Item = &'a QuotaConfig>,
        build: &mut Build,
        cx: &mut Context,
    ) -> Limits {
        let mut limits = Limits::default();
        let mut add = |mode, check: Option<Counted>| match (mode, check) {
            (ModeConfig::Enforce, Some(check)) => limits.enforced.push(check),
            (ModeConfig::Observe, Some(check)) => limits.observed.push(check),
            (ModeConfig::Off, _) | (_, None) => {}
        };
        for config in rates {
            add(config.mode, config.check(build, cx));
        }
        for config in quotas {
            add(config.mode, config.check(build, cx));
        }
        limits
    }
}

impl Plans {
    /// Compiles every plan, and what consumers have in place of theirs.
    pub fn compile(
        plans: &BTreeMap<String, PlanConfig>,
        subscriptions: &[Subscription<'_>],
        build: &mut Build,
        cx: &mut Context,
    ) -> Plans {
        let mut all = Plans::default();
        let scope = Arc::clone(&build.scope);
        for (name, plan) in plans {
            if plan.rate_limiting.0.is_empty() && plan.quota.0.is_empty() && plan.priority.is_none() {
                cx.error("config.empty_plan", plan.at, format!("the plan `{name}` limits nothing"))
                    .help("give it `rate_limiting` or `quota`, or remove it");
            }
            build.scope = Arc::from(format!("plan {name}"));
            let limits = cx.at("plans", |cx| {
                cx.at(name, |cx| Limits::compile(&plan.rate_limiting.0, &plan.quota.0, build, cx))
            });
            all.by_name.insert(name.clone(), Arc::new(Limits { priority: plan.priority(), ..limits }));
        }
        for subscription in subscriptions {
            let limits = all.of_consumer(subscription, plans, build, cx);
            let place = subscription.consumer.0 as usize;
            if all.by_consumer.len() <= place {
                all.by_consumer.resize(place + 1, None);
            }
            if let Some(place) = all.by_consumer.get_mut(place) {
                *place = limits;
            }
        }
        build.scope = scope;
        all
    }

    fn of_consumer(
        &self,
        subscription: &Subscription<'_>,
        plans: &BTreeMap<String, PlanConfig>,
        build: &mut Build,
        cx: &mut Context,
    ) -> Option<Arc<Limits>> {
        let Subscription { name, plan, rate_limiting, quota, .. } = subscription;
        if let Some(plan) = plan
            && !plans.contains_key(&plan.value)
        {
            let problem = cx.error("config.no_plan", plan.span, format!("there is no plan `{}`", plan.value));
            match suggest::closest(&plan.value, plans.keys().map(String::as_str)) {
                Some(closest) => problem.label(format!("did you mean `{closest}`?")),
                None => problem.help("define it under `plans`"),
            };
            return None;
        }
        if rate_limiting.is_none() && quota.is_none() {
            return plan.and_then(|plan| self.by_name.get(&plan.value)).map(Arc::clone);
        }
        let config = plan.and_then(|plan| plans.get(&plan.value));
        let rates = rate_limiting.or(config.map(|config| &config.rate_limiting));
        let quotas = quota.or(config.map(|config| &config.quota));
        build.scope = Arc::from(format!("consumer {name}"));
        let rates = rates.into_iter().flat_map(|rates| &rates.0);
        let quotas = quotas.into_iter().flat_map(|quotas| &quotas.0);
        let priority = config.map_or(Priority::default(), PlanConfig::priority);
        Some(Arc::new(Limits { priority, ..Limits::compile(rates, quotas, build, cx) }))
    }

    /// Adds what plans allow to the controls of a route on which consumers are authenticated.
    pub fn add_to(self: &Arc<Self>, controls: &mut Controls) {
        for mode in [Mode::Enforce, Mode::Observe] {
            let all = self.by_name.values().chain(self.by_consumer.iter().flatten());
            let most = all.map(|limits| limits.of(mode).len()).max().unwrap_or(0);
            for place in 0..most {
                let check = Arc::new(PlanLimit { plans: Arc::clone(self), mode, place });
                controls.quotas.push(Guarded { mode, check });
            }
        }
    }

    /// How soon a request of this principal is given up.
    pub(super) fn priority(&self, principal: &Principal) -> Priority {
        // Without its plan, the request is refused by its limits.
        self.of(principal).ok().flatten().map_or(Priority::default(), |(limits, _)| limits.priority)
    }

    /// What the plan of this principal allows, and the evidence that brings the plan. `None` where it has none.
    // SECURITY: of several credentials, any can be the consumer's with the plan
    // (a_plan_counts_wherever_its_consumer_stands).
    fn of<'a>(&'a self, principal: &'a Principal) -> Result<Option<(&'a Limits, &'a Evidence)>, Denial> {
        for evidence in principal.evidence() {
            // SECURITY: a plan that is not there is no plan without limits (a_plan_that_is_not_there_is_a_fault).
            if let Some(name) = evidence.own_plan() {
                let missing =
                    || Denial::new(Code::Fault, "the configuration lacks the plan that the key has");
                return self
                    .by_name
                    .get(name)
                    .map(|plan| Some((plan.as_ref(), evidence)))
                    .ok_or_else(missing);
            }
        }
        Ok(principal.evidence().find_map(|evidence| match evidence.identity() {
            Identity::Consumer(id) => {
                let limits = self.by_consumer.get(id.0 as usize)?.as_deref()?;
                Some((limits, evidence))
            }
            Identity::Anonymous | Identity::Stored(_) | Identity::Subject(_) => None,
        }))
    }
}

/// One of the limits that a plan can have, whichever plan it is: the first of each, the second, and so on.
struct PlanLimit {
    plans: Arc<Plans>,
    mode: Mode,
    place: usize,
}

impl Check for PlanLimit {
    fn id(&self) -> CheckId {
        CheckId::new("quota.plan")
    }

    fn describe(&self) -> String {
        let mut plans: Vec<_> = self.plans.by_name.iter().collect();
        plans.sort_by_key(|(name, _)| name.as_str());
        let said: Vec<String> = plans
            .into_iter()
            .filter_map(|(name, limits)| {
                limits.of(self.mode).get(self.place).map(|limit| format!("plan {name}: {}", limit.describe()))
            })
            .collect();
        if said.is_empty() { "limits of single consumers".to_owned() } else { said.join("; ") }
    }
}

impl Quota for PlanLimit {
    fn charge(&self) -> Charge {
        Charge::AfterAuthorization
    }

    fn is_logged(&self, principal: &Principal) -> bool {
        match self.plans.of(principal) {
            Ok(Some((limits, _))) => {
                limits.of(self.mode).get(self.place).is_none_or(|limit| limit.by.is_logged())
            }
            // Nothing is charged.
            Ok(None) | Err(_) => true,
        }
    }

    fn charged<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
    ) -> Result<Option<Charged<'a>>, Denial> {
        let Some((limits, whose)) = self.plans.of(principal)? else { return Ok(None) };
        match limits.of(self.mode).get(self.place) {
            Some(limit) => limit.charged_for(facts, principal, Some(whose)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
