//! Every key that the schema declares, by the way to it: `routes[].security.body.max_size`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The spellings of a key, the printed one first.
pub(crate) type Spellings = Vec<String>;

/// Every key of the schema by its path; in a path, `[]` is an element of a list, `*` a name that the user chose, and keys are as
/// they are printed. A profile of `security_profiles` is a `security` section and read by the same code, so its keys are not listed
/// a third time.
pub(crate) fn declared() -> BTreeMap<String, Spellings> {
    let schema = portcullis::load::schema();
    let mut keys = BTreeMap::new();
    collect(&schema, &schema, "", 0, &mut keys);
    keys
}

fn collect(schema: &Value, root: &Value, place: &str, depth: usize, keys: &mut BTreeMap<String, Spellings>) {
    assert!(depth < 50, "the schema refers to itself at {place}");
    let mut below = |schema: &Value, place: &str| collect(schema, root, place, depth + 1, keys);
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#'));
        below(definition.unwrap_or_else(|| panic!("{name} is not defined")), place);
    }
    for word in ["anyOf", "oneOf"] {
        schema[word].as_array().into_iter().flatten().for_each(|one| below(one, place));
    }
    if let Some(items) = schema.get("items") {
        below(items, &format!("{place}[]"));
    }
    if schema["additionalProperties"].is_object() && place != "security_profiles" {
        below(&schema["additionalProperties"], &format!("{place}.*"));
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "unknown keys must be refused at `{place}`");
    for (spelling, property) in properties {
        let meant =
            property["description"].as_str().and_then(|text| text.strip_prefix("Another spelling of `"));
        let name = meant.map_or(spelling.as_str(), |text| text.trim_end_matches("`."));
        let path = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
        let spellings = keys.entry(path.clone()).or_insert_with(|| vec![name.to_owned()]);
        if !spellings.contains(spelling) {
            spellings.push(spelling.clone());
        }
        if meant.is_none() {
            collect(property, root, &path, depth + 1, keys);
        }
    }
}

/// The keys with a path that tells apart only what means something else: what stands in a route's `security` or
/// `openapi` is what stands in the gateway's, and one of several is what a single one is.
pub(crate) fn canonical(path: &str) -> String {
    let path = path.strip_prefix("routes[].").filter(|rest| shared(rest)).unwrap_or(path);
    // The limits of a plan are those of a consumer, and a server of a group is what the upstream of a route is.
    let path = path
        .strip_prefix("plans.*.")
        .filter(|rest| *rest != "priority")
        .map_or_else(|| path.to_owned(), |rest| format!("consumers[].{rest}"));
    let path = path
        .strip_prefix("upstreams.*.servers[].")
        .filter(|rest| *rest != "weight")
        .map_or_else(|| path.clone(), |rest| format!("routes[].upstream.{rest}"));
    let mut path = path
        .replace("authentication.any[].", "authentication.")
        .replace("authentication.all[].", "authentication.")
        .replace(".by[]", ".by");
    for section in ["rate_limiting", "quota", "concurrency"] {
        path = path.replace(&format!("{section}[]"), section);
        // A consumer's own limits are what a route's are.
        if let Some(rest) = path.strip_prefix(&format!("consumers[].{section}.")) {
            path = format!("security.{section}.{rest}");
        }
        // By whom is counted, and what a request costs, means the same everywhere.
        for part in ["by", "cost"] {
            if let Some(rest) = path.strip_prefix(&format!("security.{section}.{part}.")) {
                path = format!("security.rate_limiting.{part}.{rest}");
            }
        }
    }
    path
}

/// Whether it means in a route what it means for the whole gateway.
fn shared(path: &str) -> bool {
    path.starts_with("security.") || path == "openapi" || path.starts_with("openapi.")
}

/// Every canonical path.
pub(crate) fn canonical_keys() -> BTreeSet<String> {
    declared().keys().map(|path| canonical(path)).collect()
}

#[test]
fn keys_are_found_at_every_level() {
    let keys = declared();
    for path in [
        "drain",
        "listeners[].timeouts.header",
        "security.rate_limiting[].by.header",
        "routes[].security.authentication.any[].keys[].hash",
        "key_pepper.env",
    ] {
        assert!(keys.contains_key(path), "{path}");
    }
    assert_eq!(keys["security.rate_limiting.max_requests"], ["max_requests", "max", "maxRequests"]);
    assert!(!keys.keys().any(|path| path.contains("maxRequests") || path.contains("maxSize")));
    assert!(keys.len() > 150, "{}", keys.len());
}
