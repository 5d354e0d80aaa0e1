//! How many requests in an hour, a day or a month of the calendar.
//!
//! A quota begins anew when its hour, day or month does, in the time zone that it names. If the counters do not answer, the
//! request is refused.

use super::by::By;
use super::cost::{self, Cost, CostConfig, Statuses};
use super::counted::{Counted, part};
use super::rate_limit::{checked_name, fits_public};
use crate::build::Build;
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use portcullis_config::{Context, OneOrMany, Span, Spanned, keyword, object};
use portcullis_core::{Algorithm, CheckId, Limit, Policy};
use portcullis_store::{Calendar, CalendarUnit};
use std::num::NonZeroU32;
use std::time::Duration;

keyword! {
    /// The period of a quota.
    pub enum QuotaPer {
        /// From one full hour to the next.
        Hour = "hour",
        /// From midnight to midnight.
        Day = "day",
        /// From the first of a month to the first of the next.
        Month = "month",
    }
}

object! {
    /// How many requests may come in an hour, a day or a month of the calendar.
    pub struct QuotaConfig {
        /// The most requests in a period.
        #[alias("max")]
        pub max_requests: NonZeroU32,
        /// The period.
        pub per: QuotaPer,
        /// The IANA name of the time zone in which the period begins, such as `Europe/Berlin`. Default: UTC.
        pub time_zone: Option<Spanned<String>>,
        /// Whose requests are counted together. Default: consumer.
        pub by: By = By::consumer(),
        /// What a request costs: a number, or by method or by the answer. Default: 1.
        pub cost: Spanned<CostConfig> = cost::one(),
        /// Counts only requests whose answer has one of these statuses, such as `["2xx"]`. A request is let through while one
        /// more is allowed. Default: every request counts.
        pub only_statuses: Spanned<Vec<Statuses>> = cost::every_status(),
        /// Sends the `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` headers too. Default: false.
        pub legacy_headers: bool = false,
        /// What clients see the quota called, in the `RateLimit` fields. Default: quota.
        pub name: Option<Spanned<String>>,
        /// What a refusal does. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl Section for OneOrMany<QuotaConfig> {
    const ABOUT: &'static str =
        "How many requests in an hour, a day or a month of the calendar; one quota or a list of them.";
    const CHECKS: &'static [&'static str] = &["quota.calendar"];

    fn compile(&self, security: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        part(&self.0, "quota", security, cx, |config, cx| (config.mode, config.check(build, cx)))
    }

    fn fits_public(&self, path: Span, cx: &mut Context) -> Option<()> {
        self.0.iter().try_for_each(|config| fits_public(&config.by, config.mode, path, cx))
    }
}

impl QuotaConfig {
    /// The check that runs.
    pub(super) fn check(&self, build: &mut Build, cx: &mut Context) -> Option<Counted> {
        let max = self.max_requests.get();
        let name = match &self.name {
            None => Some("quota"),
            Some(name) => checked_name(Some(name), cx),
        };
        let cost = Cost::compile(&self.cost, &self.only_statuses, max, build, cx);
        build.needs_operations_of(&self.by, self.at);
        let (unit, days) = match self.per {
            QuotaPer::Hour => (CalendarUnit::Hour, None),
            QuotaPer::Day => (CalendarUnit::Day, Some(1)),
            QuotaPer::Month => (CalendarUnit::Month, Some(30)),
        };
        let zone = self.time_zone.as_ref().map_or("UTC", |zone| zone.value.as_str());
        let calendar = Calendar::new(unit, zone).ok();
        if calendar.is_none() {
            let at = self.time_zone.as_ref().map_or(self.at, |zone| zone.span);
            cx.error("config.time_zone", at, format!("no time zone is called `{zone}`"))
                .help("write an IANA name, such as `UTC`, `Europe/Berlin` or `America/New_York`");
        }
        build.read_fields.extend(self.by.fields().cloned());
        let (name, cost, calendar) = (name?, cost?, calendar?);
        let period = Duration::from_secs(days.map_or(3600, |days: u64| days * 86_400));
        // A month has no length that a policy could tell.
        let window = match self.per {
            QuotaPer::Month => String::new(),
            QuotaPer::Hour | QuotaPer::Day => format!(";w={}", period.as_secs()),
        };
        let text = format!("\"{name}\";q={max}{window}");
        let policy = Policy { name: name.to_owned(), text, max, legacy_fields: self.legacy_headers };
        let name = format!("{name} by {}", self.by.name());
        let limit = build.new_limit(&name, Some(calendar), &policy, |id| Limit {
            id,
            max,
            period,
            burst: max,
            algorithm: Algorithm::FixedWindow,
        });
        Some(Counted {
            id: CheckId::new("quota.calendar"),
            policy,
            by: self.by.clone(),
            cost,
            limit,
            period: Some(format!("each {} ({zone})", self.per.as_str())),
        })
    }
}

#[cfg(test)]
mod tests;
