//! Two OpenAPI documents, operation by operation.

use super::Direction;
use portcullis_checks::inspect::openapi::read_document;
use serde_json::Value;
use std::collections::BTreeMap;

/// The changes of the operations. `None` where a document cannot be read, or the change is none of an operation.
pub(super) fn compare(old: &[u8], new: &[u8]) -> Option<Vec<(Direction, String)>> {
    let read = |bytes: &[u8]| read_document("document", bytes).ok();
    let (old, new) = (read(old)?, read(new)?);
    let (before, after) = (operations(&old), operations(&new));
    let mut changes = Vec::new();
    for (name, now) in &after {
        match before.get(name) {
            None if now.open => changes.push((
                Direction::Loosened,
                format!("operation {name} is new, and needs no security scheme"),
            )),
            None => changes.push((Direction::Changed, format!("operation {name} is new"))),
            Some(was) => {
                if was.security != now.security {
                    changes.push(security(name, was, now));
                }
                if was.rest != now.rest {
                    changes.push((
                        Direction::Changed,
                        format!("operation {name}: what it takes or answers has changed"),
                    ));
                }
            }
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        changes.push((Direction::Tightened, format!("operation {name} is gone")));
    }
    for part in ["components", "servers"] {
        if old.get(part) != new.get(part) {
            changes.push((Direction::Changed, format!("OpenAPI document: `{part}` has changed")));
        }
    }
    (!changes.is_empty()).then_some(changes)
}

struct Operation {
    security: Value,
    /// Whether a request without a credential is as declared.
    open: bool,
    rest: Value,
}

fn operations(document: &Value) -> BTreeMap<String, Operation> {
    let mut all = BTreeMap::new();
    for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if !["get", "put", "post", "delete", "options", "head", "patch", "trace"]
                .contains(&method.as_str())
            {
                continue;
            }
            let security =
                operation.get("security").or_else(|| document.get("security")).cloned().unwrap_or_default();
            let requirements = security.as_array();
            let open = requirements.is_none_or(|all| {
                all.is_empty() || all.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty))
            });
            let mut rest = operation.clone();
            if let Some(members) = rest.as_object_mut() {
                members.remove("security");
                members.insert("shared".to_owned(), item.get("parameters").cloned().unwrap_or_default());
            }
            all.insert(format!("{} {path}", method.to_ascii_uppercase()), Operation { security, open, rest });
        }
    }
    all
}

fn security(name: &str, was: &Operation, now: &Operation) -> (Direction, String) {
    match (was.open, now.open) {
        (false, true) => (Direction::Loosened, format!("operation {name} is no longer secured")),
        (true, false) => {
            (Direction::Tightened, format!("operation {name} is now secured by {}", now.security))
        }
        (true, true) | (false, false) => {
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            let (before, after) = (list(&was.security), list(&now.security));
            // One more alternative lets more in; so does one with fewer scopes, which is another alternative.
            let direction = match after.iter().all(|one| before.iter().any(|other| stricter(one, other))) {
                true => Direction::Tightened,
                false => Direction::Loosened,
            };
            let words =
                format!("operation {name}: security changed from {} to {}", was.security, now.security);
            (direction, words)
        }
    }
}

/// Whether whoever satisfies `one` satisfies `other`.
fn stricter(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return false };
    other.iter().all(|(scheme, scopes)| {
        let has = one.get(scheme).and_then(Value::as_array);
        has.is_some_and(|has| {
            scopes.as_array().is_some_and(|scopes| scopes.iter().all(|scope| has.contains(scope)))
        })
    })
}
