//! Whether the gateway gives a request up because it is too slow itself.
//!
//! Runs after authorization, since the plan of whoever sends a request says how much it is worth, and before limits, so that a
//! request which is given up is charged to nothing. Nothing here can fail. Long-running answers go on.

use super::plans::Plans;
use crate::build::Build;
use crate::mode::ModeConfig;
use portcullis_config::{Context, Spanned, object};
use portcullis_core::check::Check;
use portcullis_core::overload::Overload;
use portcullis_core::{
    Advice, CheckId, Code, Control, Controls, Denial, Effects, Facts, Guarded, Held, InFlight, Mode,
    Principal, Step,
};
use std::sync::Arc;
use std::time::Duration;

/// The shortest and the longest delay that can be a bound. A shorter one is measured too coarsely.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(5));

object! {
    /// Rejects some requests with 503 while the gateway itself is too slow, those of plans with a low `priority` first.
    pub struct OverloadConfig {
        /// How much later than planned a thread of the gateway may get to its work, from 5ms to 5s. What upstreams take does
        /// not count. Default: 50ms.
        pub max_delay: Spanned<Duration> = Spanned::nowhere(Duration::from_millis(50)),
        /// `enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off`
        /// skips the check. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl OverloadConfig {
    /// What runs. `None` means that an error was pushed.
    pub fn compile(&self, build: &Build, cx: &mut Context) -> Option<(Mode, Arc<Overload>)> {
        let delay = self.max_delay.value;
        if delay < BOUNDS.0 || delay > BOUNDS.1 {
            cx.error("config.wait", self.max_delay.span, "the delay of the gateway can be 5ms to 5s")
                .help("write a time such as `50ms`");
            return None;
        }
        let overload = build.kept.keep(&format!("overload {delay:?}"), || Overload::new(delay));
        Some((self.mode.into(), overload))
    }
}

/// The check of every route, and what its refusal does.
pub struct Shedding {
    mode: Mode,
    check: Arc<Shed>,
}

impl Shedding {
    /// What is given up by this delay, those with a low priority in `plans` first.
    pub fn new(mode: Mode, overload: Arc<Overload>, plans: Arc<Plans>) -> Shedding {
        Shedding { mode, check: Arc::new(Shed { plans, overload }) }
    }

    /// Adds it to the controls of a route.
    pub fn add_to(&self, controls: &mut Controls) {
        let Shedding { mode, check } = self;
        if *mode == Mode::Off {
            let (id, summary) = (check.id().as_str(), check.describe());
            controls.off.push(Control { stage: "quota", id, mode: Mode::Off, summary });
            return;
        }
        // First, so that what is given up takes no place.
        let check: Arc<dyn InFlight> = Arc::<Shed>::clone(check);
        controls.in_flight.insert(0, Guarded { mode: *mode, check });
    }
}

/// The check.
struct Shed {
    plans: Arc<Plans>,
    overload: Arc<Overload>,
}

impl Check for Shed {
    fn id(&self) -> CheckId {
        CheckId::new("quota.overload")
    }

    fn describe(&self) -> String {
        let delay = self.overload.target().as_millis();
        format!("requests of plans with a low priority first, while the gateway is {delay} ms late")
    }
}

impl InFlight for Shed {
    fn enter<'a>(
        &'a self,
        _: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Option<Held>, Denial>> {
        let random = || {
            let [a, b, c, d, ..] = effects.random();
            u32::from_le_bytes([a, b, c, d])
        };
        Step::Ready(match self.overload.gives_up(self.plans.priority(principal), random) {
            false => Ok(None),
            true => Err(Denial::new(Code::Overloaded, "the gateway is too slow, and others are worth more")
                .advising(Advice::RetryAfter { seconds: 1 })),
        })
    }
}

#[cfg(test)]
mod tests;
