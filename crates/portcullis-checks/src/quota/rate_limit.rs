//! How many requests a consumer, an address, a route or the holder of a header value may send.
//!
//! Limits by address and by header value are charged before authentication, so that guessing credentials is limited too;
//! limits by consumer and by route after authorization, so that nobody can use up another's. An anonymous request is
//! counted by its address where a limit is by consumer. If the counters do not answer, the request is refused.

use crate::build::Build;
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use http::HeaderName;
use portcullis_config::{
    Context, Decode, Definitions, Node, OneOrMany, Span, Spanned, Value, keyword, object,
};
use portcullis_core::check::{Charge, Check};
use portcullis_core::{
    CheckId, Code, Count, CountKey, Denial, Effects, Facts, Identity, Limit, Once, Principal, Quota, Step,
};
use serde_json::json;
use std::num::NonZeroU32;
use std::sync::Arc;
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
    /// What requests are counted by.
    pub enum ByWord {
        /// Each consumer's; where nobody is authenticated, each address's.
        Consumer = "consumer",
        /// Each address's; the addresses of an IPv6 /64 count as one.
        Address = "address",
        /// All of a route.
        Route = "route",
    }
}

/// What requests are counted by.
#[derive(Clone, Debug)]
pub enum By {
    /// A consumer's, an address's or a route's.
    Word(ByWord),
    /// Those with the same value of this header field; requests without it are counted by address.
    Header(Spanned<HeaderName>),
}

object! {
    /// Counts requests by the value of a header, before authentication. Everyone who knows a value can use up its limit,
    /// and everyone who invents values gets a limit for each.
    struct ByHeader {
        /// The name of the header.
        pub header: Spanned<String>,
    }
}

impl Decode for By {
    fn decode(node: &Node, cx: &mut Context) -> Option<By> {
        if !matches!(node.value, Value::Mapping(_)) {
            return ByWord::decode(node, cx).map(By::Word);
        }
        let by = ByHeader::decode(node, cx)?;
        let at = by.header.span;
        crate::authn::counted_field_name(&by.header, cx).map(|value| By::Header(Spanned { value, span: at }))
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [ByWord::schema(definitions), ByHeader::schema(definitions)] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(match self {
            By::Word(word) => json!(word.as_str()),
            By::Header(name) => json!({ "header": name.value.as_str() }),
        })
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
        /// What requests are counted by. Default: consumer.
        pub by: By = By::Word(ByWord::Consumer),
        /// How many requests can arrive at once, at most `max_requests`. Default: `max_requests`.
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
        if self.0.is_empty() {
            cx.error("config.empty_list", security, "the list of limits is empty")
                .help("give at least one limit, or leave the section out");
            return None;
        }
        // Each is compiled before the first failure counts, so that all failures are reported.
        let checks: Vec<_> = self.0.iter().map(|config| (config.mode, config.check(build, cx))).collect();
        checks
            .into_iter()
            .try_fold(Part::new(), |part, (mode, check)| Some(part.quota(mode, Arc::new(check?))))
    }
}

impl RateLimitConfig {
    /// The check that runs.
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<RateLimit> {
        let period = self.period(cx);
        let burst = match &self.burst {
            Some(burst) if burst.value > self.max_requests => {
                cx.error(
                    "config.burst",
                    burst.span,
                    format!("a burst of {} exceeds the limit of {}", burst.value, self.max_requests),
                )
                .help("a burst is how many of `max_requests` may come at once");
                None
            }
            Some(burst) => Some(burst.value),
            None => Some(self.max_requests),
        };
        let name = match &self.name {
            None => Some("default"),
            Some(name) if is_token(&name.value) => Some(name.value.as_str()),
            Some(name) => {
                cx.error(
                    "config.limit_name",
                    name.span,
                    "the name of a limit must consist of letters, digits, `-`, `_` and `.`",
                )
                .help("write a name such as `per-client`");
                None
            }
        };
        if let By::Header(field) = &self.by {
            build.read_fields.push(field.clone());
        }
        let (period, burst, name) = (period?.duration(), burst?, name?);
        let max = self.max_requests.get();
        let by = match &self.by {
            By::Word(word) => word.as_str(),
            By::Header(field) => field.value.as_str(),
        };
        let limit =
            build.new_limit(&format!("{name} by {by}"), |id| Limit { id, max, period, burst: burst.get() });
        Some(RateLimit {
            policy: format!("\"{name}\";q={max};w={}", period.as_secs()),
            name: name.to_owned(),
            by: self.by.clone(),
            limit,
        })
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

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The check.
#[derive(Debug)]
pub struct RateLimit {
    name: String,
    policy: String,
    by: By,
    limit: Limit,
}

impl Check for RateLimit {
    fn id(&self) -> CheckId {
        CheckId::new("quota.rate_limit")
    }

    fn describe(&self) -> String {
        let by = match &self.by {
            By::Word(ByWord::Consumer) => "each consumer".to_owned(),
            By::Word(ByWord::Address) => "each address".to_owned(),
            By::Word(ByWord::Route) => "all clients together".to_owned(),
            By::Header(name) => format!("each value of {}", name.value),
        };
        format!(
            "{by}: {} requests in {} s, at most {} at once",
            self.limit.max,
            self.limit.period.as_secs(),
            self.limit.burst
        )
    }
}

impl RateLimit {
    fn key<'a>(&self, facts: &'a Facts<'a>, principal: &'a Principal) -> Result<CountKey<'a>, Denial> {
        let address = CountKey::Address(facts.head.client());
        Ok(match &self.by {
            By::Word(ByWord::Address) => address,
            By::Word(ByWord::Route) => CountKey::Route(facts.route_id.0),
            By::Word(ByWord::Consumer) => match principal.identity() {
                Identity::Consumer(id) => CountKey::Consumer(*id),
                Identity::Subject(subject) => CountKey::Subject(&subject.key),
                Identity::Anonymous => address,
            },
            By::Header(name) => match facts.head.once(name.value.as_str()) {
                Once::One(_) => facts
                    .head
                    .headers()
                    .get(&name.value)
                    .map_or(address, |value| CountKey::Value(value.as_bytes())),
                Once::Absent => address,
                // SECURITY: a repeated field must not choose among several counters (a_repeated_key_field_is_refused).
                Once::Repeated | Once::Unreadable => {
                    return Err(Denial::new(
                        Code::AmbiguousHeader,
                        "the field by which requests are counted is not there once",
                    ));
                }
            },
        })
    }
}

impl Quota for RateLimit {
    fn charge(&self) -> Charge {
        match self.by {
            By::Word(ByWord::Address) | By::Header(_) => Charge::BeforeAuthentication,
            By::Word(ByWord::Consumer | ByWord::Route) => Charge::AfterAuthorization,
        }
    }

    fn count<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Count, Denial>> {
        match self.key(facts, principal) {
            Err(denial) => Step::Ready(Err(denial)),
            Ok(key) => effects
                .count(&self.limit, key)
                .map(|counted| counted.map_err(|fault| Denial::new(Code::Fault, fault.detail))),
        }
    }

    fn policy(&self) -> &str {
        &self.policy
    }

    fn policy_name(&self) -> &str {
        &self.name
    }
}
