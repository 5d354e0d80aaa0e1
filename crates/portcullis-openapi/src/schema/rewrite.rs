//! OpenAPI's schemas to JSON Schema 2020-12, in place, so that references keep their targets.
//!
//! OpenAPI 3.0: `nullable` becomes a type, boolean `exclusiveMinimum` and `exclusiveMaximum` become numbers, what stands
//! beside a `$ref` is dropped, and an integer has no fraction. Both versions: formats of numbers, `discriminator`, and
//! members that the direction hides are no longer required; keywords whose errors are trees are set apart. Each change leaves nothing for a second pass to change, so it
//! does not matter how often or by which path a schema is reached.
//!
//! A keyword that OpenAPI 3.0 does not have (`const`, `if`) is kept: it is stricter than dropping it, and what its author
//! meant.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::alternatives::{ReferredTo, is_set_apart, set_apart};
use super::discriminator;
use super::format::number_format;
use super::keywords::{HIDDEN, NUMBER_FORMAT, WRITTEN_INTEGER};
use super::names::declare_names;
use super::pattern;
use super::read_only;
use super::{Dialect, Direction};
use crate::api::{Options, ReadOnly};
use crate::document::{Files, LoadError, Target};
use crate::spelling::OtherSpellings;

/// How deep one schema may be nested in another, references apart.
const DEEPEST: usize = 100;

/// Set by rewriting, in a schema that cannot be judged: why. It is told where the schema is used.
pub(super) const BROKEN: &str = "x-portcullis-broken";

/// Set by rewriting, in a schema that says something which does nothing: what.
pub(super) const IDLE: &str = "x-portcullis-idle";

/// A copy of the files in which every schema has been rewritten.
pub(crate) fn rewrite(source: &Files, dialect: Dialect, direction: Direction, options: &Options) -> Files {
    let mut result = source.clone();
    let referred_to = ReferredTo::find(source);
    let mut work = Work {
        source,
        dialect,
        direction,
        open: Vec::new(),
        seen: HashSet::new(),
        referred_to,
        // Only what a client writes can have another spelling.
        other_spellings: match direction {
            Direction::Request => options.other_spellings,
            Direction::Response => OtherSpellings::Allow,
        },
        marks: direction == Direction::Response || options.read_only != ReadOnly::Ignore,
    };
    for (address, value) in source.iter() {
        work.find(value, &Target::new(address, ""));
    }
    while let Some(target) = work.open.pop() {
        let place = result.file_mut(&target.file).and_then(|file| file.pointer_mut(&target.pointer));
        // A reference to nothing is an error where the schema is compiled; in an example it is no reference at all.
        if let Some(schema) = place
            && let Err(error) = work.schema(schema, &target, &BTreeSet::new(), 0)
        {
            broken(schema, &error);
        }
    }
    result
}

/// Marks a schema that cannot be judged.
fn broken(schema: &mut Value, error: &LoadError) {
    if let Value::Object(members) = schema {
        members.insert(BROKEN.into(), json!([error.location, error.message]));
    }
}

pub(super) struct Work<'a> {
    pub(super) source: &'a Files,
    dialect: Dialect,
    pub(super) direction: Direction,
    open: Vec<Target>,
    seen: HashSet<Target>,
    referred_to: ReferredTo,
    other_spellings: OtherSpellings,
    /// Whether members that the direction hides are refused.
    marks: bool,
}

impl Work<'_> {
    /// Every schema that a description holds: the value of each `schema` member, and the components. What only looks
    /// like one, in an example, is never judged by.
    fn find(&mut self, value: &Value, at: &Target) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let place = at.member(name);
                    if name == "schema" {
                        self.reach(place.clone());
                    }
                    if name == "schemas"
                        && let Value::Object(schemas) = member
                    {
                        schemas.keys().for_each(|schema| self.reach(place.member(schema)));
                    }
                    self.find(member, &place);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.find(item, &at.member(&index.to_string()));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    pub(super) fn reach(&mut self, target: Target) {
        if self.seen.insert(target.clone()) {
            self.open.push(target);
        }
    }

    fn schema(
        &mut self,
        schema: &mut Value,
        at: &Target,
        hidden_above: &BTreeSet<String>,
        depth: usize,
    ) -> Result<(), LoadError> {
        let Value::Object(members) = schema else { return Ok(()) };
        if depth > DEEPEST {
            return Err(at.error("schemas are nested too deep"));
        }
        if is_set_apart(members).is_some() {
            return Ok(());
        }
        if let Some(Value::String(reference)) = members.get("$ref") {
            if let Ok(target) = at.follow(reference) {
                self.reach(target);
            }
            if self.dialect == Dialect::V30 {
                let nulls = members.get("nullable") == Some(&Value::Bool(true));
                members.retain(|name, _| name == "$ref" || name == HIDDEN);
                if nulls {
                    members.insert(IDLE.into(), NULLS_NOTHING.into());
                }
                return Ok(());
            }
        }
        // In 3.1 these are numbers, but documents that were written for 3.0 keep them as they were, and mean the same.
        exclusive(members, "minimum", "exclusiveMinimum");
        exclusive(members, "maximum", "exclusiveMaximum");
        if self.dialect == Dialect::V30 {
            nullable(members);
            if members
                .get("type")
                .is_some_and(|kind| kind == "integer" || kind == &json!(["integer", "null"]))
            {
                members.insert(WRITTEN_INTEGER.into(), Value::Bool(true));
            }
        }
        if let Some(Value::String(format)) = members.get("format")
            && number_format(format).is_some()
        {
            let format = format.clone();
            members.insert(NUMBER_FORMAT.into(), Value::String(format));
        }
        if let Err(error) = pattern::set_apart(members, at) {
            members.remove("pattern");
            members.insert(BROKEN.into(), json!([error.location, error.message]));
        }
        if self.other_spellings == OtherSpellings::Refuse {
            declare_names(members, at, self.source);
        }
        let mut hidden = read_only::hidden(self.source, at, self.direction);
        hidden.extend(hidden_above.iter().cloned());
        if let Some(Value::Array(required)) = members.get_mut("required") {
            required.retain(|name| !name.as_str().is_some_and(|name| hidden.contains(name)));
        }
        discriminator::rewrite(self, members, at)?;
        self.below(members, at, &hidden, depth)?;
        set_apart(members, at, &self.referred_to);
        Ok(())
    }

    /// The schemas inside of a schema.
    fn below(
        &mut self,
        members: &mut Map<String, Value>,
        at: &Target,
        hidden: &BTreeSet<String>,
        depth: usize,
    ) -> Result<(), LoadError> {
        let none = BTreeSet::new();
        for (name, member) in members.iter_mut() {
            let place = at.member(name);
            match (name.as_str(), member) {
                (
                    "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                    Value::Object(schemas),
                ) => {
                    for (below, schema) in schemas.iter_mut() {
                        let place = place.member(below);
                        self.schema(schema, &place, &none, depth + 1)?;
                        // SECURITY: what only the server may set is refused (read_only.yaml). It is marked where it is a
                        // member, since the same schema may describe a parameter, where the keyword means nothing.
                        if matches!(name.as_str(), "properties" | "patternProperties") {
                            self.mark(schema, &place);
                        }
                    }
                }
                ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(schemas)) => {
                    for (index, schema) in schemas.iter_mut().enumerate() {
                        // What one alternative hides, a sibling must not require.
                        let hidden = if name == "prefixItems" || name == "items" { &none } else { hidden };
                        self.schema(schema, &place.member(&index.to_string()), hidden, depth + 1)?;
                    }
                }
                (
                    "items"
                    | "additionalProperties"
                    | "not"
                    | "if"
                    | "then"
                    | "else"
                    | "contains"
                    | "propertyNames"
                    | "unevaluatedItems"
                    | "unevaluatedProperties"
                    | "contentSchema"
                    | discriminator::BASE,
                    schema @ Value::Object(_),
                ) => {
                    self.schema(schema, &place, &none, depth + 1)?;
                    if name == "additionalProperties" {
                        self.mark(schema, &place);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Marks the schema of a member that the direction hides.
    fn mark(&self, schema: &mut Value, at: &Target) {
        if let Value::Object(schema) = schema
            && self.marks
            && read_only::is_hidden(self.source, at, self.direction)
        {
            schema.insert(HIDDEN.into(), read_only::keyword(self.direction).into());
        }
    }
}

/// What is told of a `nullable` that adds no null to anything.
const NULLS_NOTHING: &str = "`nullable` adds null to the `type` beside it, and there is none; write `anyOf` with a schema that is null";

/// `nullable: true` adds null to the type beside it, and does nothing where there is none (OpenAPI 3.0.3).
fn nullable(members: &mut Map<String, Value>) {
    let nullable = members.remove("nullable") == Some(Value::Bool(true));
    if nullable && let Some(Value::String(kind)) = members.get("type") {
        let kind = kind.clone();
        members.insert("type".into(), json!([kind, "null"]));
    } else if nullable && ["allOf", "oneOf", "anyOf"].iter().any(|keyword| members.contains_key(*keyword)) {
        members.insert(IDLE.into(), NULLS_NOTHING.into());
    }
}

fn exclusive(members: &mut Map<String, Value>, bound: &str, exclusive: &str) {
    match members.get(exclusive) {
        Some(Value::Bool(true)) => {
            members.remove(exclusive);
            // Without a bound there is nothing to exclude.
            if let Some(value) = members.remove(bound) {
                members.insert(exclusive.into(), value);
            }
        }
        Some(Value::Bool(false)) => {
            members.remove(exclusive);
        }
        Some(_) | None => {}
    }
}
