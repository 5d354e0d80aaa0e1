//! `discriminator`: the member that says which schema an object must satisfy.
//!
//! Beside `oneOf` or `anyOf`, the value of the member picks one alternative and the others are not tried; a value that
//! names none is refused. On a schema that others extend with `allOf`, the value picks the extension. Alternatives that
//! are not references have no name, so they are judged by `oneOf` or `anyOf` alone, and the member is required.

use serde_json::{Map, Value, json};

use super::rewrite::Work;
use crate::document::{Files, LoadError, Target};

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
    members.remove("discriminator");
    let alternatives = ["oneOf", "anyOf"].into_iter().find_map(|keyword| {
        let Some(Value::Array(alternatives)) = members.get(keyword) else { return None };
        Some((keyword, alternatives.clone()))
    });
    let choices = match &alternatives {
        Some((_, alternatives)) => named(alternatives, &mapping, at)?,
        None => extensions(work.source, &mapping, at),
    };
    for (_, choice) in &choices {
        work.reach(choice.clone());
    }
    let mut parts = match members.remove("allOf") {
        Some(Value::Array(parts)) => parts,
        Some(_) | None => Vec::new(),
    };
    match (alternatives, choices.is_empty()) {
        (Some((keyword, _)), false) => {
            let alternatives = members.remove(keyword);
            let mut picked = vec![one_of_the_names(property, choices.iter().map(|(name, _)| name.as_str()))];
            picked.extend(choices.iter().map(|(name, choice)| when(property, name, choice)));
            // What is no object has no members, so it is judged as if there were no discriminator.
            parts.push(json!({
                "if": { "type": "object" }, "then": { "allOf": picked }, "else": { keyword: alternatives }
            }));
        }
        (None, false) => {
            members.insert("allOf".into(), Value::Array(std::mem::take(&mut parts)));
            let base = Value::Object(members.clone());
            if let Some(Value::Array(kept)) = members.remove("allOf") {
                parts = kept;
            }
            let own = at.pointer.rsplit('/').next().unwrap_or_default();
            let names = choices.iter().map(|(name, _)| name.as_str());
            parts.push(one_of_the_names(property, names.chain([own])));
            parts.extend(choices.iter().map(|(name, choice)| when(property, name, choice)));
            members.insert(BASE.into(), base);
        }
        (_, true) => parts.push(json!({ "required": [property] })),
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
        let is_name = !reference.contains(['/', '#', '.']);
        let target = if is_name {
            Target::new(&at.file, "/components/schemas").member(reference)
        } else {
            at.follow(reference)?
        };
        mapping.push((name.clone(), target));
    }
    Ok(mapping)
}

/// The alternatives with their names. Empty where one of them has none.
fn named(
    alternatives: &[Value],
    mapping: &[(String, Target)],
    at: &Target,
) -> Result<Vec<(String, Target)>, LoadError> {
    let mut choices = Vec::new();
    for alternative in alternatives {
        let Some(reference) = alternative.get("$ref").and_then(Value::as_str) else { return Ok(Vec::new()) };
        let target = at.follow(reference)?;
        let mapped = mapping.iter().filter(|(_, mapped)| *mapped == target);
        choices.extend(mapped.cloned());
        let implicit = implicit_name(&target);
        if !mapping.iter().any(|(name, _)| *name == implicit) {
            choices.push((implicit, target));
        }
    }
    Ok(choices)
}

/// The schemas that extend the one at `at`, with their names.
fn extensions(files: &Files, mapping: &[(String, Target)], at: &Target) -> Vec<(String, Target)> {
    let mut choices: Vec<(String, Target)> =
        mapping.iter().filter(|(_, target)| target != at).cloned().collect();
    let folder = Target::new(files.main(), "/components/schemas");
    let Some(Value::Object(schemas)) = folder.value(files) else { return choices };
    for (name, schema) in schemas {
        let place = folder.member(name);
        let Some(Value::Array(parts)) = schema.get("allOf") else { continue };
        let extends = parts.iter().any(|part| {
            let reference = part.get("$ref").and_then(Value::as_str);
            reference.and_then(|reference| place.follow(reference).ok()).is_some_and(|target| target == *at)
        });
        if extends && !choices.iter().any(|(known, target)| known == name || *target == place) {
            choices.push((name.clone(), place));
        }
    }
    choices
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
        if chooses && !extensions_of(files, extended, &target).is_empty() {
            *part = json!({ "$ref": target.member(BASE).uri() });
        }
    }
}

fn extensions_of(files: &Files, extended: &Value, target: &Target) -> Vec<(String, Target)> {
    let Some(Value::Object(discriminator)) = extended.get("discriminator") else { return Vec::new() };
    extensions(files, &mapping(discriminator, target).unwrap_or_default(), target)
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

fn when(property: &str, name: &str, choice: &Target) -> Value {
    json!({
        "if": { "required": [property], "properties": { property: { "const": name } } },
        "then": { "$ref": choice.uri() }
    })
}
