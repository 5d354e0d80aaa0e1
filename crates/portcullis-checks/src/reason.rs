//! Why something weak was chosen.

use portcullis_config::{Context, Decode, Definitions, Node};
use serde_json::json;

/// A reason in words, for whoever reads the configuration after its author.
#[derive(Clone, Debug)]
pub struct Reason(pub String);

impl Decode for Reason {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, portcullis_config::Value::Bool(_)) {
            cx.error("config.reason", node.span, "a reason is given in words, not with true or false")
                .help("say why, such as `\"liveness probe, no data\"`");
            return None;
        }
        let text = cx.text(node)?;
        if !text.chars().any(char::is_alphanumeric) {
            cx.error("config.reason", node.span, "the reason says nothing")
                .help("say why, such as `\"liveness probe, no data\"`");
            return None;
        }
        Some(Reason(text.trim().to_owned()))
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string", "pattern": "[\\p{L}\\p{N}]", "description": "A reason in words." })
    }
}
