//! The check behind every limit over time, whatever section declares it.

use super::by::By;
use super::cost::Cost;
use portcullis_core::check::{Charge, Check};
use portcullis_core::{Algorithm, Charged, CheckId, Denial, Facts, Limit, Policy, Principal, Quota};

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

impl Quota for Counted {
    fn charge(&self) -> Charge {
        if self.by.is_early() { Charge::BeforeAuthentication } else { Charge::AfterAuthorization }
    }

    fn charged<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
    ) -> Result<Option<Charged<'a>>, Denial> {
        let method = facts.head.method();
        if self.cost.is_free(method) {
            return Ok(None);
        }
        let keys = self.by.keys(facts, principal)?;
        let cost = self.cost.of(method);
        let late = self.cost.late.as_ref();
        Ok(Some(Charged { limit: &self.limit, keys, cost, policy: &self.policy, late }))
    }
}
