//! Where the access log goes.

use portcullis_config::{Context, Decode, Definitions, Node, Value, keyword, object};
use portcullis_telemetry::OnFull;
use serde_json::json;
use std::path::PathBuf;

keyword! {
    /// An output that needs no path.
    enum Output {
        /// Standard output.
        Stdout = "stdout",
        /// Nowhere: who did what cannot be found out later.
        InsecureOff = "insecure_off",
    }
}

keyword! {
    /// What happens to log lines if the output is too slow.
    pub enum OnFullConfig {
        /// Requests wait for the output. If it takes nothing for one second, lines are dropped and counted until it does.
        Wait = "wait",
        /// Lines are dropped and counted at once. No request waits.
        Drop = "drop",
    }
}

impl From<OnFullConfig> for OnFull {
    fn from(config: OnFullConfig) -> OnFull {
        match config {
            OnFullConfig::Wait => OnFull::Wait,
            OnFullConfig::Drop => OnFull::Drop,
        }
    }
}

object! {
    /// A log output.
    struct OutputConfig {
        /// The file, relative to the configuration's folder. Lines are appended. Default: standard output.
        pub file: Option<PathBuf>,
        /// What happens if the output is too slow or blocked. Lost lines are counted, and the log reports the count when
        /// the output works again. Default: wait.
        pub on_full: OnFullConfig = OnFullConfig::Wait,
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogConfig {
    /// To standard output.
    Stdout {
        /// What happens when it is too slow.
        on_full: OnFullConfig,
    },
    /// To a file.
    File {
        /// The file.
        path: PathBuf,
        /// What happens when it is too slow.
        on_full: OnFullConfig,
    },
    /// Nowhere.
    Off,
}

impl Decode for AccessLogConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            let OutputConfig { file, on_full, .. } = OutputConfig::decode(node, cx)?;
            return Some(match file {
                Some(path) => AccessLogConfig::File { path, on_full },
                None => AccessLogConfig::Stdout { on_full },
            });
        }
        Some(match Output::decode(node, cx)? {
            Output::Stdout => AccessLogConfig::Stdout { on_full: OnFullConfig::Wait },
            Output::InsecureOff => AccessLogConfig::Off,
        })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [Output::schema(definitions), OutputConfig::schema(definitions)] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(match self {
            AccessLogConfig::Stdout { on_full: OnFullConfig::Wait } => json!("stdout"),
            AccessLogConfig::Stdout { on_full } => json!({ "on_full": on_full.as_str() }),
            AccessLogConfig::File { path, on_full } => json!({ "file": path, "on_full": on_full.as_str() }),
            AccessLogConfig::Off => json!("insecure_off"),
        })
    }
}
