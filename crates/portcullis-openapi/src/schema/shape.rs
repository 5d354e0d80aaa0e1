//! What text in a parameter or a form may stand for, since text has no types of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::document::{Files, Target};
use crate::json::{self, Datum};
use crate::parameter::Demand;

/// How many references and compositions are followed.
const DEEPEST: usize = 16;

/// How many levels of items and properties are looked at: a list in an object in a form, and what it holds.
const LEVELS: usize = 4;

/// A set of JSON types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const NONE: Types = Types(0);
    pub(crate) const STRING: Types = Types(1);
    pub(crate) const INTEGER: Types = Types(2);
    pub(crate) const NUMBER: Types = Types(4 | 2);
    pub(crate) const BOOLEAN: Types = Types(8);
    pub(crate) const NULL: Types = Types(16);
    pub(crate) const ARRAY: Types = Types(32);
    pub(crate) const OBJECT: Types = Types(64);
    pub(crate) const ALL: Types = Types(127);

    /// Whether every type of `other` is in the set.
    pub(crate) fn has(self, other: Types) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a list is meant. Where no type is given at all, text is text.
    pub(crate) fn may_be_array(self) -> bool {
        self != Types::ALL && self.has(Types::ARRAY)
    }

    /// Whether an object is meant.
    pub(crate) fn may_be_object(self) -> bool {
        self != Types::ALL && self.has(Types::OBJECT)
    }

    /// Whether anything but a list or an object is possible.
    pub(crate) fn may_be_plain(self) -> bool {
        self.0 & (Types::STRING.0 | Types::NUMBER.0 | Types::BOOLEAN.0) != 0
    }

    fn has_any(self, other: Types) -> bool {
        self.0 & other.0 != 0
    }

    fn and(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    fn or(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    fn named(name: &str) -> Types {
        match name {
            "string" => Types::STRING,
            "integer" => Types::INTEGER,
            "number" => Types::NUMBER,
            "boolean" => Types::BOOLEAN,
            "null" => Types::NULL,
            "array" => Types::ARRAY,
            "object" => Types::OBJECT,
            _ => Types::NONE,
        }
    }

    fn of_value(value: &Value) -> Types {
        match value {
            Value::Null => Types::NULL,
            Value::Bool(_) => Types::BOOLEAN,
            Value::Number(number) if number.is_f64() => Types::NUMBER,
            Value::Number(_) => Types::INTEGER,
            Value::String(_) => Types::STRING,
            Value::Array(_) => Types::ARRAY,
            Value::Object(_) => Types::OBJECT,
        }
    }

    /// What `text` may stand for, the narrowest first.
    pub(crate) fn readings(self, text: Cow<'_, str>) -> Vec<Datum<'_>> {
        let mut readings = Vec::with_capacity(1);
        // SECURITY: JSON's grammar decides what a number is (numbers.yaml): `007`, `+1`, `1e3` and ` 1` are no integers.
        let is_whole = !text.contains(['.', 'e', 'E']);
        let numeric = self.has(Types::NUMBER) || (self.has(Types::INTEGER) && is_whole);
        if numeric
            && text.len() <= 64
            && let Ok(number) =
                if is_whole { json::number(&text) } else { json::rounded(&text).map(json::Num::number) }
        {
            readings.push(Datum::Number(number));
        }
        if self.has(Types::BOOLEAN) {
            match text.as_ref() {
                "true" => readings.push(Datum::Bool(true)),
                "false" => readings.push(Datum::Bool(false)),
                _ => {}
            }
        }
        if self.has(Types::STRING) {
            readings.push(Datum::Text(text));
        }
        readings
    }
}

/// The types of a value and of what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) types: Types,
    pub(crate) items: Option<Box<Shape>>,
    pub(crate) properties: BTreeMap<String, Shape>,
    pub(crate) additional: Additional,
    /// Whether it is bytes rather than text (`format: binary`, or a content encoding or media type).
    pub(crate) bytes: bool,
    /// Whether no text that is allowed can hold an attack.
    harmless_texts: bool,
    /// Whether the schema applies wherever its object is valid, and not only in one of several alternatives.
    certain: bool,
    /// Whether names of members are allowed by a pattern.
    patterned: bool,
    /// Whether a `not` decides. What it refuses in one reading, it allows in another.
    negates: bool,
}

/// What members that are not named may be.
#[derive(Clone, Debug)]
pub(crate) enum Additional {
    /// Nothing is said, which JSON Schema takes for anything.
    Unsaid,
    /// `additionalProperties: false`.
    Nothing,
    /// `additionalProperties` is `true` or a schema.
    Of(Box<Shape>),
}

impl Shape {
    pub(crate) fn of(files: &Files, at: &Target) -> Shape {
        let mut shape = Shape::anything();
        shape.add(files, at, DEEPEST, LEVELS);
        shape
    }

    pub(crate) fn anything() -> Shape {
        Shape {
            types: Types::ALL,
            items: None,
            properties: BTreeMap::new(),
            additional: Additional::Unsaid,
            bytes: false,
            harmless_texts: false,
            certain: true,
            patterned: false,
            negates: false,
        }
    }

    /// How many readings of a text the schema must allow.
    pub(crate) fn demand(&self) -> Demand {
        if self.types == Types::ALL || self.negates { Demand::Each } else { Demand::One }
    }

    /// Whether every valid value is a number, a boolean, null, or a text that can hold no attack.
    pub(crate) fn is_harmless(&self) -> bool {
        self.certain && !self.types.has_any(Types::ARRAY.or(Types::OBJECT)) && self.texts_are_harmless()
    }

    fn texts_are_harmless(&self) -> bool {
        self.harmless_texts || !self.types.has(Types::STRING)
    }

    /// The same for the items of a list, or for the value itself.
    pub(crate) fn holds_harmless(&self) -> bool {
        let is_list = self.certain && self.types == Types::ARRAY;
        self.is_harmless() || (is_list && self.items.as_ref().is_some_and(|items| items.is_harmless()))
    }

    /// Whether the member at a path, whose names are joined by dots, is harmless.
    // SECURITY: a member called `a.b` has the same path as `b` in `a`. So names are followed down only from objects that allow
    // no other members than declared ones (a_name_with_a_dot_proves_nothing).
    pub(crate) fn member_is_harmless(&self, path: &str) -> bool {
        if !self.certain {
            return false;
        }
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        if self.types == Types::ARRAY {
            let is_index = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
            let Some(items) = self.items.as_deref().filter(|_| is_index) else { return false };
            return rest.map_or(items.is_harmless(), |rest| items.member_is_harmless(rest));
        }
        let Some(member) = self.properties.get(name) else { return false };
        match rest {
            None => member.is_harmless(),
            Some(rest) => {
                let is_closed = matches!(self.additional, Additional::Nothing) && !self.patterned;
                let has_dots = self.properties.keys().any(|name| name.contains('.'));
                is_closed && !has_dots && member.member_is_harmless(rest)
            }
        }
    }

    pub(crate) fn item_types(&self) -> Types {
        self.items.as_ref().map_or(Types::ALL, |items| items.types)
    }

    /// What a member of this name may be; `None` where there is none.
    pub(crate) fn property(&self, name: &str) -> Option<Types> {
        if let Some(property) = self.properties.get(name) {
            return Some(property.types);
        }
        match &self.additional {
            Additional::Unsaid => Some(Types::ALL),
            Additional::Nothing => None,
            Additional::Of(shape) => Some(shape.types),
        }
    }

    /// Narrows the shape by what the schema at `at` says.
    fn add(&mut self, files: &Files, at: &Target, depth: usize, levels: usize) {
        let Some(Value::Object(schema)) = at.value(files) else { return };
        if depth == 0 {
            return;
        }
        if let Some(Value::String(reference)) = schema.get("$ref")
            && let Ok(target) = at.follow(reference)
        {
            self.add(files, &target, depth - 1, levels);
        }
        match schema.get("type") {
            Some(Value::String(name)) => self.types = self.types.and(Types::named(name)),
            Some(Value::Array(names)) => {
                let union =
                    names.iter().filter_map(Value::as_str).map(Types::named).fold(Types::NONE, Types::or);
                self.types = self.types.and(union);
            }
            Some(_) | None => {}
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            self.types = self.types.and(values.iter().map(Types::of_value).fold(Types::NONE, Types::or));
        }
        if let Some(value) = schema.get("const") {
            self.types = self.types.and(Types::of_value(value));
        }
        self.harmless_texts |= super::harmless::texts_are_harmless(schema);
        self.patterned |= schema.contains_key("patternProperties");
        self.bytes |= schema.get("format").is_some_and(|format| format == "binary")
            || (schema.contains_key("contentMediaType") && !schema.contains_key("contentEncoding"));
        if levels > 0 {
            self.inside(files, at, schema, levels - 1);
        }
        self.composed(files, at, schema, depth - 1, levels);
    }

    fn inside(&mut self, files: &Files, at: &Target, schema: &serde_json::Map<String, Value>, levels: usize) {
        let below = |place: Target| {
            let mut shape = Shape::anything();
            shape.add(files, &place, DEEPEST, levels);
            shape
        };
        if schema.get("items").is_some_and(Value::is_object) {
            let items = below(at.member("items"));
            match &mut self.items {
                Some(known) => known.unite(items),
                None => self.items = Some(Box::new(items)),
            }
        }
        if let Some(Value::Object(properties)) = schema.get("properties") {
            let place = at.member("properties");
            for name in properties.keys() {
                let property = below(place.member(name));
                match self.properties.get_mut(name) {
                    Some(known) => known.unite(property),
                    None => drop(self.properties.insert(name.clone(), property)),
                }
            }
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => self.additional = Additional::Nothing,
            Some(Value::Object(_)) => {
                self.additional = Additional::Of(Box::new(below(at.member("additionalProperties"))));
            }
            Some(Value::Bool(true)) => self.additional = Additional::Of(Box::new(Shape::anything())),
            Some(_) | None => {}
        }
    }

    fn composed(
        &mut self,
        files: &Files,
        at: &Target,
        schema: &serde_json::Map<String, Value>,
        depth: usize,
        levels: usize,
    ) {
        if let Some(Value::Array(parts)) = schema.get("allOf") {
            let place = at.member("allOf");
            (0..parts.len())
                .for_each(|index| self.add(files, &place.member(&index.to_string()), depth, levels));
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(Value::Array(parts)) = schema.get(keyword) else { continue };
            let place = at.member(keyword);
            let mut union: Option<Shape> = None;
            for index in 0..parts.len() {
                let mut part = Shape::anything();
                part.add(files, &place.member(&index.to_string()), depth, levels);
                match &mut union {
                    Some(union) => union.unite(part),
                    None => union = Some(part),
                }
            }
            if let Some(union) = union {
                self.types = self.types.and(union.types);
                self.harmless_texts |= union.texts_are_harmless();
                self.gather(union);
            }
        }
        match super::alternatives::is_set_apart(schema) {
            Some("not") => self.negates = true,
            Some(_) => self.add(files, &at.member("if"), depth, levels),
            None => self.negates |= schema.contains_key("not"),
        }
        if super::alternatives::is_set_apart(schema).is_none() && schema.contains_key("then") {
            // The schema that a discriminator picks declares members, whichever it is.
            let mut chosen = Shape::anything();
            chosen.add(files, &at.member("then"), depth, levels);
            self.gather(chosen);
            let mut otherwise = Shape::anything();
            otherwise.add(files, &at.member("else"), depth, levels);
            self.gather(otherwise);
        }
    }

    /// Either of two shapes.
    fn unite(&mut self, other: Shape) {
        self.harmless_texts = self.texts_are_harmless() && other.texts_are_harmless();
        self.certain &= other.certain;
        // What one of the two does not name may be anything there.
        for (name, property) in &mut self.properties {
            property.certain &= other.properties.contains_key(name);
        }
        self.types = self.types.or(other.types);
        self.gather(other);
    }

    /// Everything that another shape may hold.
    fn gather(&mut self, other: Shape) {
        self.bytes |= other.bytes;
        self.negates |= other.negates;
        match (&mut self.items, other.items) {
            (Some(known), Some(items)) => known.unite(*items),
            (known @ None, Some(mut items)) => {
                items.certain = false;
                *known = Some(items);
            }
            (Some(_) | None, None) => {}
        }
        for (name, property) in other.properties {
            match self.properties.get_mut(&name) {
                Some(known) => known.unite(property),
                None => drop(self.properties.insert(name, Shape { certain: false, ..property })),
            }
        }
    }
}
