//! What becomes of an address from which wrong credentials come.

use portcullis_checks::ModeConfig;
use portcullis_config::{Context, Spanned, object};
use portcullis_core::Mode;
use portcullis_store::FailurePolicy;
use std::time::Duration;

/// The longest time that anybody may be made to wait.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

object! {
    /// Protection against guessing of credentials. After too many wrong credentials, an address must wait, each time
    /// twice as long. Credentials that were accepted from there before still work.
    pub struct BruteForceConfig {
        /// `enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off`
        /// skips the check. Default: enforce.
        pub mode: Spanned<ModeConfig> = Spanned::nowhere(ModeConfig::Enforce),
        /// How many wrong credentials from one address (or IPv6 /64) have no consequence. An IPv6 /48 has four times as many. Default: 10.
        pub free_failures: u32 = FailurePolicy::DEFAULT.free,
        /// The first wait after `free_failures` is exceeded. Each further failure doubles it. Default: 1s.
        pub first_wait: Spanned<Duration> = Spanned::nowhere(FailurePolicy::DEFAULT.first_wait),
        /// The longest wait, at most 24h. After twice this time without a failure, the count starts again at zero.
        /// Default: 5m.
        pub longest_wait: Spanned<Duration> = Spanned::nowhere(FailurePolicy::DEFAULT.longest_wait),
    }
}

impl BruteForceConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<(FailurePolicy, Mode)> {
        let (first, longest) = (self.first_wait.value, self.longest_wait.value);
        if first.is_zero() {
            cx.error("config.wait", self.first_wait.span, "the wait must be greater than zero")
                .help("write a time such as `1s`, or `mode: off` to disable the protection");
            return None;
        }
        if longest < first || longest > LONGEST {
            cx.error(
                "config.wait",
                self.longest_wait.span,
                "`longest_wait` must be at least `first_wait`, and at most 24h",
            )
            .help("write a time such as `5m`");
            return None;
        }
        if self.mode.value == ModeConfig::Off {
            cx.warning(
                "config.brute_force_off",
                self.mode.span,
                "clients can guess credentials without being slowed down",
            )
            .help("remove the key, or write `observe` to see which clients would be slowed down");
        }
        let policy = FailurePolicy { free: self.free_failures, first_wait: first, longest_wait: longest };
        Some((policy, self.mode.value.into()))
    }
}
