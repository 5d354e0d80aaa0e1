//! Where the access log goes.

use portcullis_config::{Context, Decode, Definitions, Node, Value, keyword, object};
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

object! {
    /// A file.
    struct FileOutput {
        /// The file, relative to the document's folder. Lines are appended.
        pub file: PathBuf,
    }
}

/// Where the access log goes.
#[derive(Clone, Debug)]
pub enum AccessLogConfig {
    /// To standard output.
    Stdout,
    /// To this file.
    File(PathBuf),
    /// Nowhere.
    Off,
}

impl Decode for AccessLogConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            let output = FileOutput::decode(node, cx)?;
            return Some(AccessLogConfig::File(output.file));
        }
        Some(match Output::decode(node, cx)? {
            Output::Stdout => AccessLogConfig::Stdout,
            Output::InsecureOff => AccessLogConfig::Off,
        })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [Output::schema(definitions), FileOutput::schema(definitions)] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(match self {
            AccessLogConfig::Stdout => json!("stdout"),
            AccessLogConfig::File(path) => json!({ "file": path }),
            AccessLogConfig::Off => json!("insecure_off"),
        })
    }
}
