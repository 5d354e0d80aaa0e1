//! How many requests a consumer, an address, a route or the holder of a header value may send.
//!
//! Limits by address and by header value are charged before authentication, so that guessing credentials is limited too;
//! limits by consumer and by route after authorization, so that nobody can use up another's. An anonymous request is
//! counted by its address where a limit is by consumer. If the counters do not answer, the request is refused.

use super::by::By;
use super::cost::{self, Cost, CostConfig, Statuses};
use super::counted::{Counted, part};
use crate::build::Build;
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use portcullis_config::{Context, OneOrMany, Span, Spanned, keyword, object};
use portcullis_core::{Algorithm, CheckId, Limit, Policy};
use std::num::NonZeroU32;
use std::time::Duration;

keyword! {
    /// The period of a limit.
    pub enum Per {
        /// A second.
        Second = "second",
        /// A minute.
        Minute = "minute",
        /// An hour.
        Hour = "hour",
        /// A day of 24 hours.
        Day = "day",
    }
}

impl Per {
    fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Per::Second => 1,
            Per::Minute => 60,
            Per::Hour => 3600,
            Per::Day => 86_400,
        })
    }
}

keyword! {
    /// How requests are counted over time.
    pub enum AlgorithmWord {
        /// `burst` requests at once, then one more for each `period / max_requests`.
        Gcra = "gcra",
        /// `max_requests` in each period; the count starts again at its end. Around an end, twice as many may come.
        FixedWindow = "fixed_window",
        /// `max_requests` in the period up to now; the period before counts in proportion.
        SlidingWindow = "sliding_window",
    }
}

object! {
    /// A rate limit. `max_requests` can arrive at once; after that, one more each `period / max_requests`.
    pub struct RateLimitConfig {
        /// The maximum number of requests in a period.
        #[alias("max")]
        pub max_requests: NonZeroU32,
        /// The period.
        pub per: Option<Spanned<Per>>,
        /// Another way to write `per: second`.
        pub per_second: Option<Spanned<bool>>,
        /// Another way to write `per: minute`.
        pub per_minute: Option<Spanned<bool>>,
        /// Another way to write `per: hour`.
        pub per_hour: Option<Spanned<bool>>,
        /// Another way to write `per: day`.
        pub per_day: Option<Spanned<bool>>,
        /// Whose requests are counted together. Default: consumer.
        pub by: By = By::consumer(),
        /// How requests are counted over time. Default: gcra.
        pub algorithm: Spanned<AlgorithmWord> = Spanned::nowhere(AlgorithmWord::Gcra),
        /// What a request costs: a number, or by method or by the answer. Default: 1.
        pub cost: Spanned<CostConfig> = cost::one(),
        /// Counts only requests whose answer has one of these statuses, such as `[401, 403]` or `["4xx"]`. A request is let
        /// through while one more is allowed. Default: every request counts.
        pub only_statuses: Spanned<Vec<Statuses>> = cost::every_status(),
        /// Sends the `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` headers too. Default: false.
        pub legacy_headers: bool = false,
        /// How many may come at once, at most `max_requests`. Default: `max_requests`.
        pub burst: Option<Spanned<NonZeroU32>>,
        /// The name of the limit in the `RateLimit` headers. Default: default.
        pub name: Option<Spanned<String>>,
        /// `enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off`
        /// skips the check. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl Section for OneOrMany<RateLimitConfig> {
    const ABOUT: &'static str = "Rate limits: one, or a list.";
    const CHECKS: &'static [&'static str] = &["quota.rate_limit"];
    const ALIASES: &'static [&'static str] = &["rate_limit"];

    fn compile(&self, security: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        part(&self.0, "limit", security, cx, |config, cx| (config.mode, config.check(build, cx)))
    }

    fn fits_public(&self, path: Span, cx: &mut Context) -> Option<()> {
        self.0.iter().try_for_each(|config| fits_public(&config.by, config.mode, path, cx))
    }
}

/// That a limit by what only authentication tells is not a public route's own: it counts by address there, which is another
/// limit than the one that was asked for. One that the route inherits counts by address, as one by consumer does.
// SECURITY: a limit that a route inherits never goes without a word (an_inherited_limit_by_key_counts_by_address_in_public).
pub(super) fn fits_public(by: &By, mode: ModeConfig, path: Span, cx: &mut Context) -> Option<()> {
    if mode == ModeConfig::Off || !by.needs_authentication() {
        return Some(());
    }
    cx.error(
        "config.limit_needs_authentication",
        path,
        "a limit of this public route counts by a key or a claim, and nobody is authenticated here",
    )
    .help("give the route a limit of its own, for instance `by: address`");
    None
}

impl RateLimitConfig {
    /// The check that runs.
    pub(super) fn check(&self, build: &mut Build, cx: &mut Context) -> Option<Counted> {
        let period = self.period(cx);
        let burst = self.checked_burst(cx);
        let name = checked_name(self.name.as_ref(), cx);
        let max = self.max_requests.get();
        let cost = Cost::compile(&self.cost, &self.only_statuses, max, build, cx);
        build.needs_operations_of(&self.by, self.at);
        build.read_fields.extend(self.by.fields().cloned());
        let (period, burst, name, cost) = (period?.duration(), burst?.get(), name?, cost?);
        let algorithm = match self.algorithm.value {
            AlgorithmWord::Gcra => Algorithm::Gcra,
            AlgorithmWord::FixedWindow => Algorithm::FixedWindow,
            AlgorithmWord::SlidingWindow => Algorithm::SlidingWindow,
        };
        let text = format!("\"{name}\";q={max};w={}", period.as_secs());
        let policy = Policy { name: name.to_owned(), text, max, legacy_fields: self.legacy_headers };
        let limit = build.new_limit(&format!("{name} by {}", self.by.name()), None, &policy, |id| Limit {
            id,
            max,
            period,
            burst,
            algorithm,
        });
        Some(Counted {
            id: CheckId::new("quota.rate_limit"),
            policy,
            by: self.by.clone(),
            cost,
            limit,
            period: None,
        })
    }

    fn checked_burst(&self, cx: &mut Context) -> Option<NonZeroU32> {
        let Some(burst) = &self.burst else { return Some(self.max_requests) };
        if self.algorithm.value != AlgorithmWord::Gcra {
            cx.error("config.burst", burst.span, "a window has no burst: all of it may come at once")
                .help("remove `burst`, or count with `algorithm: gcra`");
            return None;
        }
        if burst.value > self.max_requests {
            cx.error(
                "config.burst",
                burst.span,
                format!("a burst of {} is more than the limit of {}", burst.value, self.max_requests),
            )
            .help("a burst is how many of `max_requests` may come at once");
            return None;
        }
        Some(burst.value)
    }

    /// The one period that is given.
    fn period(&self, cx: &mut Context) -> Option<Per> {
        let switches = [
            (&self.per_second, Per::Second),
            (&self.per_minute, Per::Minute),
            (&self.per_hour, Per::Hour),
            (&self.per_day, Per::Day),
        ];
        let mut given: Vec<(portcullis_config::Span, Per)> =
            self.per.iter().map(|per| (per.span, per.value)).collect();
        for (switch, per) in switches {
            match switch {
                Some(switch) if switch.value => given.push((switch.span, per)),
                Some(switch) => {
                    cx.error("config.period", switch.span, "`false` is not a period")
                        .help("remove the key, and write the period with `per`");
                    return None;
                }
                None => {}
            }
        }
        match given.as_slice() {
            [(_, per)] => Some(*per),
            [] => {
                cx.error("config.period", self.at, "the limit has no period").help("add `per: minute`");
                None
            }
            [(first, _), (second, _), ..] => {
                cx.error("config.period", *second, "the limit has two periods")
                    .related(*first, "the other one")
                    .help("`rate_limiting` can be a list, each with a limit of its own");
                None
            }
        }
    }
}

/// The name of a limit, as clients see it.
pub(super) fn checked_name<'a>(name: Option<&'a Spanned<String>>, cx: &mut Context) -> Option<&'a str> {
    match name {
        None => Some("default"),
        Some(name) if is_token(&name.value) => Some(name.value.as_str()),
        Some(name) => {
            cx.error(
                "config.limit_name",
                name.span,
                "the name of a limit is made of letters, digits, `-`, `_` and `.`",
            )
            .help("write a name such as `per-client`");
            None
        }
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
