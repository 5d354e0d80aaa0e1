//! Lists: which of their items are new, which are gone, and which are the same by name.

use super::shape::Place;
use super::values::{magnitude, shown};
use super::walk::Walk;
use super::{Change, Direction};
use serde_json::{Value, json};

/// The items that only `after` has, and those that only `before` has.
pub(super) fn differences<'v>(before: &'v [Value], after: &'v [Value]) -> (Vec<&'v Value>, Vec<&'v Value>) {
    let only = |here: &'v [Value], there: &[Value]| -> Vec<&'v Value> {
        here.iter().filter(|item| !there.contains(item)).collect()
    };
    (only(after, before), only(before, after))
}

/// That a list has one more.
pub(super) fn added(key: &str, what: &str, item: &Value) -> String {
    let item = shown(item);
    match key {
        "roles_allowed" => format!("role {item} is now enough"),
        "scopes_required" => format!("scope {item} is now needed"),
        _ => format!("{what}: added {item}"),
    }
}

/// That a list has one fewer.
pub(super) fn removed(key: &str, what: &str, item: &Value) -> String {
    let item = shown(item);
    match key {
        "roles_allowed" => format!("role {item} is no longer enough"),
        "scopes_required" => format!("scope {item} is no longer needed"),
        _ => format!("{what}: removed {item}"),
    }
}

/// What tells the items of a list apart, and how an item is called.
fn name(definition: &str, item: &Value) -> (String, String) {
    let text = |key: &str| item.get(key).map(shown).unwrap_or_default();
    match definition {
        "ConsumerConfig" => (text("name"), format!("consumer {}", text("name"))),
        "ListenerConfig" => (text("bind"), format!("listener {}", text("bind"))),
        "RateLimitConfig" => {
            let name = item.get("name").map_or_else(|| "default".to_owned(), shown);
            (format!("{name} {}", text("by")), format!("limit `{name}`"))
        }
        "AuthenticationMethod" | "Authentication" => {
            let of = ["issuer", "token_url", "introspection_url"];
            let of = of.iter().find_map(|key| item.get(*key)).map(shown).unwrap_or_default();
            let kind = text("type");
            (
                format!("{} {of}", kind.to_ascii_lowercase().replace('_', "")),
                format!("{kind} {of}").trim().to_owned(),
            )
        }
        "Key" => key_name(item),
        "AdminTokenConfig" => (text("file"), format!("admin token {}", text("file"))),
        "CertificateConfig" => (text("certificate"), format!("certificate {}", text("certificate"))),
        "AcceptedFindingConfig" => (
            format!("{} {}", text("finding"), text("route")),
            format!("accepted finding {}", text("finding")),
        ),
        // Its request may hold what is nobody's business.
        "TestConfig" => {
            let called =
                item.get("name").map_or_else(|| "a test".to_owned(), |name| format!("test {}", shown(name)));
            (item.to_string(), called)
        }
        _ => (item.to_string(), shown(item)),
    }
}

/// A key by where it comes from. One that is in the file itself is not shown.
// SECURITY: a difference is pasted into pull requests (no_secret_is_shown).
fn key_name(item: &Value) -> (String, String) {
    let text = |key: &str| item.get(key).and_then(Value::as_str).map(crate::visible);
    if let Some(name) = text("env") {
        return (format!("env {name}"), format!("key from the variable {name}"));
    }
    if let Some(name) = text("file") {
        return (format!("file {name}"), format!("key from the file {name}"));
    }
    if let Some(hash) = text("hash") {
        let short: String = hash.chars().take("sha256:".len() + 8).collect();
        return (format!("hash {hash}"), format!("key with the hash {short}…"));
    }
    (item.get("literal").map(Value::to_string).unwrap_or_default(), "key that stands in the file".to_owned())
}

/// The direction of one more of such items.
fn one_more(definition: &str, key: &str) -> Direction {
    match (definition, key) {
        (
            "ConsumerConfig" | "ListenerConfig" | "Key" | "CertificateIdentityConfig" | "AdminTokenConfig",
            _,
        ) => Direction::Loosened,
        ("RateLimitConfig", _) | ("AuthenticationMethod", "all") => Direction::Tightened,
        ("AuthenticationMethod", _) => Direction::Loosened,
        _ => Direction::Changed,
    }
}

/// Two lists of mappings.
pub(super) fn compare<'a>(
    walk: &mut Walk<'a>,
    subject: &str,
    property: Place<'a>,
    key: &str,
    what: &str,
    old: &Value,
    new: &Value,
) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (before, after) = (list(old), list(new));
    let place = walk.shape.of_value(property, &json!([]));
    let schema = place.schema.get("items").unwrap_or(&Value::Null);
    let inner = walk.shape.resolved(Place { definition: place.definition, schema });
    let definition = inner.definition;
    let more = one_more(definition, key);
    let find =
        |list: &[Value], wanted: &str| list.iter().find(|item| name(definition, item).0 == wanted).cloned();
    let (mut new_ones, mut gone) = (Vec::new(), Vec::new());
    for item in &after {
        let (id, called) = name(definition, item);
        match find(&before, &id) {
            None => new_ones.push((called, item.clone())),
            Some(same) => {
                let inner = walk.shape.of_value(inner, item);
                let about = about(subject, definition, &called);
                if definition == "RateLimitConfig" {
                    limit(walk, &about, &called, inner, &same, item);
                } else {
                    walk.object(&about, inner, &same, item);
                }
            }
        }
    }
    gone.extend(before.iter().filter_map(|item| {
        let (id, called) = name(definition, item);
        find(&after, &id).is_none().then_some(called)
    }));
    let about = subject.to_owned();
    if definition == "Key" && !gone.is_empty() && gone.len() == new_ones.len() {
        for ((called, _), gone) in new_ones.into_iter().zip(gone) {
            walk.say(Direction::Changed, &about, format!("{gone} replaced by {called}"));
        }
        return;
    }
    for (called, item) in new_ones {
        let more = match definition {
            "RateLimitConfig" if item.get("mode") == Some(&json!("off")) => Direction::Changed,
            _ => more,
        };
        walk.say(more, &about, format!("{called} is new{}", details(definition, &item)));
    }
    for called in gone {
        walk.say(more.reversed(), &about, format!("{called} is gone"));
    }
    // The same items in another order, or the same item twice.
    if old != new && before.len() == after.len() && before.iter().all(|item| after.contains(item)) {
        walk.say(Direction::Changed, subject, format!("{what}: another order"));
    }
}

fn about(subject: &str, definition: &str, called: &str) -> String {
    match (subject, definition) {
        ("gateway", "ConsumerConfig" | "ListenerConfig" | "AcceptedFindingConfig") => called.to_owned(),
        (subject, "AuthenticationMethod" | "Key" | "CertificateConfig" | "CertificateIdentityConfig") => {
            format!("{subject}, {called}")
        }
        (subject, _) => subject.to_owned(),
    }
}

/// What a new item brings.
fn details(definition: &str, item: &Value) -> String {
    let list = |key: &str| item.get(key).map(shown).filter(|text| !text.is_empty());
    match definition {
        "RateLimitConfig" => format!(": {}", rate(item)),
        "ConsumerConfig" => match list("roles") {
            Some(roles) => format!(", with the roles {roles}"),
            None => String::new(),
        },
        "ListenerConfig" => {
            (if item.get("tls").is_some() { ", with TLS" } else { ", in plain text" }).to_owned()
        }
        _ => String::new(),
    }
}

fn rate(limit: &Value) -> String {
    let text = |key: &str| limit.get(key).map(shown).unwrap_or_default();
    format!("{} per {}", text("max_requests"), text("per"))
}

/// Two limits of one name: what they allow over time is one thing.
fn limit<'a>(walk: &mut Walk<'a>, subject: &str, called: &str, place: Place<'a>, old: &Value, new: &Value) {
    let per_day = |limit: &Value| {
        let periods = match limit.get("per").and_then(Value::as_str) {
            Some("second") => 86_400.0,
            Some("minute") => 1440.0,
            Some("hour") => 24.0,
            Some("day") => 1.0,
            Some(_) | None => return None,
        };
        magnitude(limit.get("max_requests")?).map(|max| (max, max * periods))
    };
    let same = |key: &str| old.get(key) == new.get(key);
    if !same("max_requests") || !same("per") {
        let (direction, verb) = match (per_day(old), per_day(new)) {
            // As many in a shorter period are more; as many over time, but more of them at once, as well.
            (Some((burst, rate)), Some((more, faster))) if faster > rate || more > burst => {
                let both = faster >= rate && more >= burst;
                (Direction::Loosened, if both { "raised" } else { "changed" })
            }
            (Some(_), Some(_)) => (Direction::Tightened, "lowered"),
            _ => (Direction::Changed, "changed"),
        };
        walk.say(direction, subject, format!("{called} {verb} from {} to {}", rate(old), rate(new)));
    }
    let rest = |limit: &Value| {
        let mut limit = limit.clone();
        if let Some(members) = limit.as_object_mut() {
            members.remove("max_requests");
            members.remove("per");
        }
        limit
    };
    walk.object(&format!("{subject}, {called}"), place, &rest(old), &rest(new));
}

/// Two statements on authentication: lists of methods, of which one or all are needed.
pub(super) fn authentication(walk: &mut Walk<'_>, subject: &str, old: &Value, new: &Value) {
    let place = walk.shape.definition("Authentication");
    let all = |value: &Value| value.get("all").is_some();
    match (all(old), all(new)) {
        (true, false) => {
            walk.say(Direction::Loosened, subject, "one method of authentication is enough; all were needed")
        }
        (false, true) => walk.say(
            Direction::Tightened,
            subject,
            "all methods of authentication are needed; one was enough",
        ),
        (true, true) | (false, false) => {}
    }
    // Compared as one kind of list, whichever it was.
    let key = if all(new) { "all" } else { "any" };
    let listed = |value: &Value| {
        let list = value.get("any").or_else(|| value.get("all")).cloned().unwrap_or_default();
        json!({ key: list, "mode": value.get("mode").cloned().unwrap_or_else(|| json!("enforce")) })
    };
    let (old, new) = (listed(old), listed(new));
    let place = walk.shape.of_value(place, &new);
    walk.object(subject, place, &old, &new);
}

/// Changes without their subject, in one text.
pub(super) fn joined(changes: &[Change]) -> String {
    changes.iter().map(|change| change.words.as_str()).collect::<Vec<_>>().join("; ")
}
