//! What a check's refusal does, as the configuration says it.

use portcullis_config::keyword;
use portcullis_core::Mode;

keyword! {
    /// Whether a check rejects requests.
    pub enum ModeConfig {
        /// It refuses the request.
        Enforce = "enforce",
        /// It is written into the record, and the request goes on.
        Observe = "observe",
        /// The check does not run; a listing shows it as off.
        Off = "off",
    }
}

impl From<ModeConfig> for Mode {
    fn from(mode: ModeConfig) -> Mode {
        match mode {
            ModeConfig::Enforce => Mode::Enforce,
            ModeConfig::Observe => Mode::Observe,
            ModeConfig::Off => Mode::Off,
        }
    }
}
