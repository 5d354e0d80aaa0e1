//! Whether what an issuer says of the principal is what the route asks for.
//!
//! Each claim that is listed must be there and have one of the values that are listed for it; where the claim is a list,
//! one of its items must. Values are compared with their type: `"true"` is not `true`. A principal of whom no issuer
//! speaks, such as a consumer with a key, is refused. Needs nothing that could fail.

use portcullis_config::{Context, Decode, Definitions, Node, Span, Value};
use portcullis_core::check::Check;
use portcullis_core::{Authorize, CheckId, Claim, ClaimPath, Code, Denial, Effects, Facts, Principal, Step};
use serde_json::json;

/// What is asked of claims, as it is written.
#[derive(Clone, Debug)]
pub struct ClaimsConfig {
    wanted: Vec<(ClaimPath, Vec<Claim>)>,
    at: Span,
}

fn scalar(node: &Node) -> Option<Claim> {
    match &node.value {
        Value::String(text) => Some(Claim::Text(text.clone())),
        Value::Bool(value) => Some(Claim::Bool(*value)),
        Value::Integer(number) => i64::try_from(*number).ok().map(Claim::Integer),
        Value::Float(_) | Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
    }
}

impl Decode for ClaimsConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            cx.error("config.claim", node.span, "claims are listed with the values that they must have")
                .help("write for instance `{ email_verified: true, \"tenant.id\": [a, b] }`");
            return None;
        };
        let mut wanted = Vec::new();
        for entry in entries {
            let Some(path) = ClaimPath::parse(&entry.key) else {
                cx.error("config.claim_path", entry.key_span, "this is not the path of a claim")
                    .help("write names with dots between them, such as `realm_access.roles`");
                return None;
            };
            let values: Option<Vec<Claim>> = match &entry.value.value {
                Value::Sequence(items) => items.iter().map(scalar).collect(),
                Value::Null
                | Value::Bool(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::String(_)
                | Value::Mapping(_) => scalar(&entry.value).map(|value| vec![value]),
            };
            let Some(values) = values.filter(|values| !values.is_empty()) else {
                cx.error("config.claim", entry.value.span, "a claim is compared with a string, a whole number, `true` or `false`, or a list of these")
                    .help("write for instance `true` or `[a, b]`");
                return None;
            };
            wanted.push((path, values));
        }
        if wanted.is_empty() {
            cx.error("config.claim", node.span, "this asks for no claim")
                .help("name a claim, or leave the key out");
            return None;
        }
        Some(ClaimsConfig { wanted, at: node.span })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("Claims", |_| {
            let scalar = json!({ "type": ["string", "integer", "boolean"] });
            json!({
                "type": "object",
                "minProperties": 1,
                "additionalProperties": { "anyOf": [scalar.clone(), { "type": "array", "items": scalar, "minItems": 1 }] },
                "description": "Claims, each with its accepted value or values. A path such as `tenant.id` names a member of an object.",
            })
        })
    }
}

impl ClaimsConfig {
    /// The check that runs.
    pub fn compile(&self) -> Claims {
        Claims { wanted: self.wanted.clone() }
    }

    /// Each claim with the first value that it may have, as JSON.
    pub fn first_values(&self) -> impl Iterator<Item = (String, serde_json::Value)> {
        self.wanted.iter().filter_map(|(path, values)| {
            let value = match values.first()? {
                Claim::Text(text) => json!(text),
                Claim::Bool(value) => json!(value),
                Claim::Integer(number) => json!(number),
                Claim::Null | Claim::Number(_) | Claim::List(_) | Claim::Object(_) => return None,
            };
            Some((path.to_string(), value))
        })
    }

    /// Where it stands.
    pub fn at(&self) -> Span {
        self.at
    }
}

/// The check.
#[derive(Debug)]
pub struct Claims {
    wanted: Vec<(ClaimPath, Vec<Claim>)>,
}

impl Check for Claims {
    fn id(&self) -> CheckId {
        CheckId::new("authz.claims")
    }

    fn describe(&self) -> String {
        let names: Vec<String> = self.wanted.iter().map(|(path, _)| path.to_string()).collect();
        format!("the right value in the claims {}", names.join(", "))
    }
}

impl Authorize for Claims {
    fn authorize<'a>(
        &'a self,
        _: &'a Facts<'a>,
        principal: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<(), Denial>> {
        let refused = |detail: String| Step::Ready(Err(Denial::new(Code::ClaimRefused, detail)));
        let Some(subject) = principal.claimant() else {
            return refused("no issuer speaks of this principal".to_owned());
        };
        for (path, values) in &self.wanted {
            let fits = match subject.claims.at(path) {
                Some(Claim::List(items)) => items.iter().any(|item| values.contains(item)),
                Some(value) => values.contains(value),
                None => false,
            };
            if !fits {
                return refused(format!("the claim {path} is not as asked for"));
            }
        }
        Step::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
