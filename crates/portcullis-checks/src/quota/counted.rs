//! The check behind every limit over time, whatever section declares it.

use super::by::By;
use super::cost::Cost;
use crate::mode::ModeConfig;
use crate::section::Part;
use portcullis_config::{Context, Span};
use portcullis_core::check::{Charge, Check};
use portcullis_core::{
    Algorithm, Charged, CheckId, Denial, Evidence, Facts, Limit, Policy, Principal, Quota,
};
use std::sync::Arc;

/// What a section adds to a route, which is a list of limits; `what` is what it calls one. `None` means that an error was pushed.
pub(super) fn part<C>(
    configs: &[C],
    what: &str,
    security: Span,
    cx: &mut Context,
    mut check: impl FnMut(&C, &mut Context) -> (ModeConfig, Option<Counted>),
) -> Option<Part> {
    if configs.is_empty() {
        cx.error("config.empty_list", security, format!("the list of {what}s is empty"))
            .help(format!("give at least one {what}, or leave the section out"));
        return None;
    }
    // Each is compiled before the first failure counts, so that all failures are reported.
    let checks: Vec<_> = configs.iter().map(|config| check(config, cx)).collect();
    checks.into_iter().try_fold(Part::new(), |part, (mode, check)| Some(part.quota(mode, Arc::new(check?))))
}

/// The check.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) id: CheckId,
    pub(crate) policy: Policy,
    pub(crate) by: By,
    pub(crate) cost: Cost,
    pub(crate) limit: Limit,
    /// The period in words, where it is not a number of seconds.
    pub(crate) period: Option<String>,
}

impl Check for Counted {
    fn id(&self) -> CheckId {
        self.id
    }

    fn describe(&self) -> String {
        let Limit { max, period, burst, algorithm, .. } = self.limit;
        let by = self.by.describe();
        let period = self.period.clone().unwrap_or_else(|| format!("{} s", period.as_secs()));
        let how = match algorithm {
            Algorithm::Gcra => format!("at most {burst} at once"),
            Algorithm::FixedWindow => "in fixed windows".to_owned(),
            Algorithm::SlidingWindow => "in a sliding window".to_owned(),
        };
        format!("{by}: {max} requests in {period}, {how}")
    }
}

impl Counted {
    /// What the request is charged to, where `whose` is the evidence that says whose requests are counted.
    pub(super) fn charged_for<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        whose: Option<&'a Evidence>,
    ) -> Result<Option<Charged<'a>>, Denial> {
        let Some(cost) = self.cost.of(facts) else { return Ok(None) };
        let keys = self.by.keys(facts, principal, whose)?;
        let late = self.cost.late.as_ref();
        Ok(Some(Charged { limit: &self.limit, keys, cost, policy: &self.policy, late }))
    }
}

impl Quota for Counted {
    fn charge(&self) -> Charge {
        if self.by.is_early() { Charge::BeforeAuthentication } else { Charge::AfterAuthorization }
    }

    fn is_logged(&self, _: &Principal) -> bool {
        self.by.is_logged()
    }

    fn charged<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
    ) -> Result<Option<Charged<'a>>, Denial> {
        self.charged_for(facts, principal, principal.evidence().next())
    }
}
