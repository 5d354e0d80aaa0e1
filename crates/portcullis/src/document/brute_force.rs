//! What becomes of an address from which wrong credentials come.

use portcullis_checks::ModeConfig;
use portcullis_config::{Context, Spanned, object};
use portcullis_core::Mode;
use portcullis_store::FailurePolicy;
use std::time::Duration;

/// The longest time that anybody may be made to wait.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

object! {
    /// How guessing credentials is slowed down: an address from which too many wrong ones came must wait, each time twice as
    /// long. What was good from there before is still accepted.
    pub struct BruteForceConfig {
        /// What a refusal does. Default: enforce.
        pub mode: Spanned<ModeConfig> = Spanned::nowhere(ModeConfig::Enforce),
        /// Wrong credentials from one address, or one IPv6 /64, that have no consequence. Default: 10.
        pub free_failures: u32 = FailurePolicy::DEFAULT.free,
        /// How long the first one beyond makes the address wait; each further one doubles it. Default: 1s.
        pub first_wait: Spanned<Duration> = Spanned::nowhere(FailurePolicy::DEFAULT.first_wait),
        /// The longest wait, at most 24h. After twice as long without a wrong one, all is forgotten. Default: 5m.
        pub longest_wait: Spanned<Duration> = Spanned::nowhere(FailurePolicy::DEFAULT.longest_wait),
    }
}

impl BruteForceConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<(FailurePolicy, Mode)> {
        let (first, longest) = (self.first_wait.value, self.longest_wait.value);
        if first.is_zero() {
            cx.error("config.wait", self.first_wait.span, "a wait of no time slows nobody down")
                .help("write a time such as `1s`, or `mode: off` to let everybody guess on");
            return None;
        }
        if longest < first || longest > LONGEST {
            cx.error(
                "config.wait",
                self.longest_wait.span,
                "the longest wait is at least the first one, and at most 24h",
            )
            .help("write a time such as `5m`");
            return None;
        }
        if self.mode.value == ModeConfig::Off {
            cx.warning(
                "config.brute_force_off",
                self.mode.span,
                "anybody may guess credentials as fast as the gateway answers",
            )
            .help("remove the key, or write `observe` to see whom it would slow down");
        }
        let policy = FailurePolicy { free: self.free_failures, first_wait: first, longest_wait: longest };
        Some((policy, self.mode.value.into()))
    }
}
