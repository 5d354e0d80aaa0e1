//! The path of a claim, as it is written: a text such as `realm_access.roles`, or a list of names where one has a dot in it.

use portcullis_config::{Context, Decode, Definitions, Node, Value};
use portcullis_core::ClaimPath;
use serde_json::json;

/// The path of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPathConfig(pub ClaimPath);

impl ClaimPathConfig {
    /// The claim with this name.
    pub fn named(name: &str) -> ClaimPathConfig {
        ClaimPathConfig(ClaimPath::new([name]))
    }
}

impl Decode for ClaimPathConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let path = match &node.value {
            Value::Sequence(items) => {
                let names: Option<Vec<&str>> =
                    items.iter().map(|item| item.as_str().filter(|name| !name.is_empty())).collect();
                names.filter(|names| !names.is_empty()).map(ClaimPath::new)
            }
            Value::String(text) => ClaimPath::parse(text),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Mapping(_) => {
                ClaimPath::parse(cx.text(node)?)
            }
        };
        if path.is_none() {
            cx.error("config.claim_path", node.span, "this is not the path of a claim").help(
                "write names with dots between them, such as `realm_access.roles`, or a list of names, such as `[resource_access, my.client, roles]`",
            );
        }
        path.map(ClaimPathConfig)
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("ClaimPath", |_| {
            json!({
                "description": "The path of a claim: names with dots between them, or a list of names.",
                "anyOf": [
                    { "type": "string", "minLength": 1 },
                    { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 },
                ],
            })
        })
    }
}
