//! `discriminator`: the member that says which schema an object must satisfy.
//!
//! Beside `oneOf` or `anyOf` with a `mapping`, the value of the member picks one alternative and the others are not tried; a value
//! that names none is refused. Without a `mapping`, an alternative's values are those of the member's `const` or `enum` in it, or
//! else its name, and nothing is refused that `oneOf` or `anyOf` alone accepts, unless the value is the name of a schema that
//! refuses it. On a schema that others extend with `allOf`, the value picks the extension. Alternatives that are not references
//! have no name, so they are judged by `oneOf` or `anyOf` alone. With a `defaultMapping` (OpenAPI 3.2), an object whose member is absent or
//! names nothing must satisfy that schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::rewrite::Work;
use crate::document::{Files, LoadError, Target};

/// How many references and compositions are followed to find the values of a member.
const DEEPEST: usize = 8;

/// Where the schema that others extend is kept without the choice, so that an extension does not choose itself again.
pub(super) const BASE: &str = "x-portcullis-base";

pub(super) fn rewrite(
    work: &mut Work<'_>,
    members: &mut Map<String, Value>,
    at: &Target,
) -> Result<(), LoadError> {
    extend_the_base(work.source, members, at);
    let Some(Value::Object(discriminator)) = members.get("discriminator").cloned() else { return Ok(()) };
    let Some(property) = discriminator.get("propertyName").and_then(Value::as_str) else {
        return Err(at.error("a discriminator needs a `propertyName`"));
    };
    let mapping = mapping(&discriminator, at)?;
    let default = match discriminator.get("defaultMapping") {
        None => None,
        Some(Value::String(reference)) => Some(mapped_to(reference, at)?),
        Some(_) => return Err(at.error("`defaultMapping` is the name of a schema or a reference")),
    };
    members.remove("discriminator");
    let alternatives = ["oneOf", "anyOf"].into_iter().find_map(|keyword| {
        let Some(Value::Array(alternatives)) = members.get(keyword) else { return None };
        Some((keyword, alternatives.clone()))
    });
    let choices = match &alternatives {
        Some((_, alternatives)) => named(work.source, property, alternatives, &mapping, at)?,
        None => extensions(work.source, property, &mapping, at),
    };
    for choice in &choices {
        work.reach(choice.target.clone());
    }
    if let Some(default) = &default {
        work.reach(default.clone());
    }
    let default = default.as_ref();
    let mut parts = match members.remove("allOf") {
        Some(Value::Array(parts)) => parts,
        Some(_) | None => Vec::new(),
    };
    match (alternatives, choices.is_empty()) {
        (Some((keyword, _)), false) => {
            let alternatives = members.remove(keyword);
            let picked = json!({ "allOf": picked(property, keyword, &choices, None, default) });
            let chosen = if mapping.is_empty() {
                let strict = choices.iter().filter(|choice| choice.is_implicit);
                let strict: Vec<Value> =
                    strict.map(|choice| when(property, &choice.name, &reference(choice))).collect();
                let plain = json!({ keyword: &alternatives });
                let strict = if strict.is_empty() { json!(true) } else { json!({ "allOf": strict }) };
                json!({ "if": plain, "then": strict, "else": picked })
            } else {
                picked
            };
            // What is no object has no members, so it is judged as if there were no discriminator.
            parts.push(json!({
                "if": { "type": "object" }, "then": chosen, "else": { keyword: alternatives }
            }));
        }
        (None, false) => {
            members.insert("allOf".into(), Value::Array(std::mem::take(&mut parts)));
            let base = Value::Object(members.clone());
            if let Some(Value::Array(kept)) = members.remove("allOf") {
                parts = kept;
            }
            let own = at.pointer.rsplit('/').next().unwrap_or_default();
            parts.extend(picked(property, "anyOf", &choices, Some(own), default));
            members.insert(BASE.into(), base);
        }
        // Beside alternatives without names, those say whether the member must be there.
        (Some(_), true) => {}
        (None, true) if default.is_some() => {}
        (None, true) => parts.push(json!({ "required": [property] })),
    }
    if parts.is_empty() {
        return Ok(());
    }
    members.insert("allOf".into(), Value::Array(parts));
    Ok(())
}

/// What `mapping` says, names and mere schema names resolved.
fn mapping(discriminator: &Map<String, Value>, at: &Target) -> Result<Vec<(String, Target)>, LoadError> {
    let Some(Value::Object(entries)) = discriminator.get("mapping") else { return Ok(Vec::new()) };
    let mut mapping = Vec::new();
    for (name, reference) in entries {
        let Some(reference) = reference.as_str() else {
            return Err(at.error("a discriminator maps names to references"));
        };
        mapping.push((name.clone(), mapped_to(reference, at)?));
    }
    Ok(mapping)
}

/// The schema of a name, or that a reference leads to.
fn mapped_to(reference: &str, at: &Target) -> Result<Target, LoadError> {
    let is_name = !reference.contains(['/', '#', '.']);
    if is_name {
        return Ok(Target::new(&at.file, "/components/schemas").member(reference));
    }
    at.follow(reference)
}

/// A value of the member, and the schema that it picks.
struct Choice {
    name: String,
    target: Target,
    /// Whether the value is the name of the schema, since the document says of no other.
    is_implicit: bool,
}

/// The choices of one schema for which the mapping has no value.
fn unmapped(files: &Files, property: &str, target: &Target) -> Vec<Choice> {
    let choice = |name: String, is_implicit: bool| Choice { name, target: target.clone(), is_implicit };
    match values(files, property, target, DEEPEST) {
        Some(values) => values.into_iter().map(|value| choice(value, false)).collect(),
        None => vec![choice(implicit_name(target), true)],
    }
}

/// The alternatives with their values. Empty where one of them has none.
fn named(
    files: &Files,
    property: &str,
    alternatives: &[Value],
    mapping: &[(String, Target)],
    at: &Target,
) -> Result<Vec<Choice>, LoadError> {
    let mut choices = Vec::new();
    for alternative in alternatives {
        let Some(reference) = alternative.get("$ref").and_then(Value::as_str) else { return Ok(Vec::new()) };
        let target = at.follow(reference)?;
        let mapped = mapping.iter().filter(|(_, mapped)| *mapped == target);
        choices.extend(mapped.map(|(name, target)| Choice {
            name: name.clone(),
            target: target.clone(),
            is_implicit: false,
        }));
        let is_known = |name: &str| mapping.iter().any(|(known, _)| known == name);
        if mapping.is_empty() {
            choices.extend(unmapped(files, property, &target));
        } else if !is_known(&implicit_name(&target)) {
            choices.push(Choice { name: implicit_name(&target), target, is_implicit: true });
        }
    }
    Ok(choices)
}

/// The texts that a schema allows for a member, where it lists them.
fn values(files: &Files, property: &str, at: &Target, depth: usize) -> Option<Vec<String>> {
    let schema = at.value(files)?;
    let depth = depth.checked_sub(1)?;
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
        && let Some(found) = at.follow(reference).ok().and_then(|to| values(files, property, &to, depth))
    {
        return Some(found);
    }
    if schema.get("properties").and_then(|properties| properties.get(property)).is_some() {
        let member = at.member("properties").member(property);
        if let Some(found) = listed(files, &member, depth) {
            return Some(found);
        }
    }
    let parts = schema.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
    let all = at.member("allOf");
    (0..parts).find_map(|index| values(files, property, &all.member(&index.to_string()), depth))
}

/// The texts of a `const` or an `enum`.
fn listed(files: &Files, at: &Target, depth: usize) -> Option<Vec<String>> {
    let schema = at.value(files)?;
    let texts = match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(value), _) => vec![value.as_str()?.to_owned()],
        (None, Some(values)) => {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?
        }
        (None, None) => {
            let reference = schema.get("$ref").and_then(Value::as_str)?;
            return listed(files, &at.follow(reference).ok()?, depth.checked_sub(1)?);
        }
    };
    (!texts.is_empty()).then_some(texts)
}

/// The schemas that extend the one at `at`, with their values.
fn extensions(files: &Files, property: &str, mapping: &[(String, Target)], at: &Target) -> Vec<Choice> {
    let mut choices: Vec<Choice> = mapping
        .iter()
        .filter(|(_, target)| target != at)
        .map(|(name, target)| Choice { name: name.clone(), target: target.clone(), is_implicit: false })
        .collect();
    let folder = Target::new(files.main(), "/components/schemas");
    let Some(Value::Object(schemas)) = folder.value(files) else { return choices };
    for (name, schema) in schemas {
        let place = folder.member(name);
        let Some(Value::Array(parts)) = schema.get("allOf") else { continue };
        let extends = parts.iter().any(|part| {
            let reference = part.get("$ref").and_then(Value::as_str);
            reference.and_then(|reference| place.follow(reference).ok()).is_some_and(|target| target == *at)
        });
        let is_mapped = choices.iter().any(|known| known.name == *name || known.target == place);
        if extends && !is_mapped {
            choices.extend(own_values(files, property, &place, at));
        }
    }
    choices
}

/// The choices of an extension: what it lists itself, and not what the extended schema does, which is the same for all.
fn own_values(files: &Files, property: &str, place: &Target, extended: &Target) -> Vec<Choice> {
    let inherited = values(files, property, extended, DEEPEST).unwrap_or_default();
    let mut choices = unmapped_apart(files, property, place, extended);
    choices.retain(|choice| choice.is_implicit || !inherited.contains(&choice.name) || inherited.len() > 1);
    if choices.is_empty() {
        choices.push(Choice { name: implicit_name(place), target: place.clone(), is_implicit: true });
    }
    choices
}

/// The values that the parts of an extension list, apart from the extended schema.
fn unmapped_apart(files: &Files, property: &str, place: &Target, extended: &Target) -> Vec<Choice> {
    let parts = place.value(files).and_then(|schema| schema.get("allOf")).and_then(Value::as_array);
    let all = place.member("allOf");
    let own = parts.into_iter().flatten().enumerate().find_map(|(index, part)| {
        let part_at = all.member(&index.to_string());
        let to = part.get("$ref").and_then(Value::as_str).and_then(|to| part_at.follow(to).ok());
        if to.as_ref() == Some(extended) { None } else { values(files, property, &part_at, DEEPEST) }
    });
    let beside = place.member("properties").member(property);
    let own = own.or_else(|| listed(files, &beside, DEEPEST));
    let choice = |name, is_implicit| Choice { name, target: place.clone(), is_implicit };
    match own {
        Some(values) => values.into_iter().map(|value| choice(value, false)).collect(),
        None => vec![choice(implicit_name(place), true)],
    }
}

/// In an extension, the extended schema without its choice.
fn extend_the_base(files: &Files, members: &mut Map<String, Value>, at: &Target) {
    let Some(Value::Array(parts)) = members.get_mut("allOf") else { return };
    for part in parts {
        let Some(reference) = part.get("$ref").and_then(Value::as_str) else { continue };
        let Ok(target) = at.follow(reference) else { continue };
        let Some(extended) = target.value(files) else { continue };
        let chooses = extended.get("discriminator").is_some()
            && extended.get("oneOf").is_none()
            && extended.get("anyOf").is_none();
        if chooses && has_extensions(files, extended, &target) {
            *part = json!({ "$ref": target.member(BASE).uri() });
        }
    }
}

fn has_extensions(files: &Files, extended: &Value, target: &Target) -> bool {
    let Some(Value::Object(discriminator)) = extended.get("discriminator") else { return false };
    let property = discriminator.get("propertyName").and_then(Value::as_str).unwrap_or_default();
    !extensions(files, property, &mapping(discriminator, target).unwrap_or_default(), target).is_empty()
}

fn implicit_name(target: &Target) -> String {
    let last = target.pointer.rsplit('/').next().filter(|segment| !segment.is_empty());
    let text = last.unwrap_or_else(|| {
        let file = target.file.rsplit('/').next().unwrap_or_default();
        file.split('.').next().unwrap_or_default()
    });
    text.replace("~1", "/").replace("~0", "~")
}

fn one_of_the_names<'a>(property: &str, names: impl Iterator<Item = &'a str>) -> Value {
    let names: std::collections::BTreeSet<&str> = names.collect();
    json!({ "required": [property], "properties": { property: { "enum": names } } })
}

/// What an object must be whose member is as given, by its value.
fn when(property: &str, name: &str, chosen: &Value) -> Value {
    json!({
        "if": { "required": [property], "properties": { property: { "const": name } } },
        "then": chosen
    })
}

fn reference(choice: &Choice) -> Value {
    json!({ "$ref": choice.target.uri() })
}

/// That the member has one of the values (or `own`), or else the object is as the `default` says, and that the object is what its value picks. Where several schemas have the
/// same value, `keyword` says how many of them.
fn picked(
    property: &str,
    keyword: &str,
    choices: &[Choice],
    own: Option<&str>,
    default: Option<&Target>,
) -> Vec<Value> {
    let mut by_name: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for choice in choices {
        by_name.entry(&choice.name).or_default().push(reference(choice));
    }
    let named = one_of_the_names(property, by_name.keys().copied().chain(own));
    let mut parts = vec![match default {
        None => named,
        Some(default) => json!({ "if": named, "then": true, "else": { "$ref": default.uri() } }),
    }];
    parts.extend(by_name.iter().map(|(name, chosen)| match chosen.as_slice() {
        [only] => when(property, name, only),
        several => when(property, name, &json!({ keyword: several })),
    }));
    parts
}
