//! Compares what two documents say under each key.

use super::rules::{self, Meaning};
use super::shape::{Place, Shape};
use super::values::{covers, magnitude, shown};
use super::{Change, Direction, Side, items, openapi};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// A comparison that is under way.
pub(super) struct Walk<'a> {
    pub(super) shape: &'a Shape,
    old: &'a Side<'a>,
    new: &'a Side<'a>,
    changes: Vec<Change>,
    /// Files whose contents are the same, so that each is read once.
    same: Rc<RefCell<HashSet<(String, String)>>>,
}

static NOTHING: Value = Value::Null;

impl<'a> Walk<'a> {
    pub(super) fn new(shape: &'a Shape, old: &'a Side<'a>, new: &'a Side<'a>) -> Walk<'a> {
        Walk { shape, old, new, changes: Vec::new(), same: Rc::default() }
    }

    /// Another comparison of the same two, whose changes are kept apart.
    pub(super) fn apart(&self) -> Walk<'a> {
        Walk { same: Rc::clone(&self.same), ..Walk::new(self.shape, self.old, self.new) }
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    pub(super) fn say(&mut self, direction: Direction, subject: &str, words: impl Into<String>) {
        self.changes.push(Change { direction, subject: subject.to_owned(), words: words.into() });
    }

    /// Everything that is not a route's.
    pub(super) fn gateway(&mut self, old: &Value, new: &Value) {
        let without_routes = |document: &Value| {
            let mut document = document.clone();
            if let Some(members) = document.as_object_mut() {
                // They are compared as each route has them.
                for key in ["routes", "security", "security_profiles", "openapi"] {
                    members.remove(key);
                }
            }
            document
        };
        self.object("gateway", self.shape.root(), &without_routes(old), &without_routes(new));
    }

    /// Two mappings of one definition, key by key.
    pub(super) fn object(&mut self, subject: &str, place: Place<'a>, old: &Value, new: &Value) {
        let empty = Map::new();
        let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (before, after) = (old.get(key).filter(some), new.get(key).filter(some));
            self.key(subject, place, key, before, after);
        }
    }

    /// What one key is given.
    fn key(&mut self, subject: &str, place: Place<'a>, key: &str, old: Option<&Value>, new: Option<&Value>) {
        let Some(property) = self.shape.property(place, key) else {
            if old != new {
                self.say(Direction::Changed, subject, format!("`{key}` has changed"));
            }
            return;
        };
        let described = described_default(property.schema);
        let default = property.schema.get("default").filter(some).or(described.as_ref());
        let entry = rules::of(place.definition, key);
        let (meaning, what) = entry.map_or((Meaning::Changed, key), |(_, meaning, what)| (*meaning, *what));
        let (old, new) = match meaning {
            // Being there is what counts, or has a default of its own.
            Meaning::Control | Meaning::Inside => (old, new),
            Meaning::More
            | Meaning::Less
            | Meaning::Allows
            | Meaning::AllowsElseAll
            | Meaning::Denies
            | Meaning::Weak
            | Meaning::Mode
            | Meaning::Words(_)
            | Meaning::Secret
            | Meaning::File
            | Meaning::Contents
            | Meaning::Changed => (old.or(default), new.or(default)),
        };
        if old == new {
            self.same_names(subject, property, meaning, what, old);
            return;
        }
        let values = (old.unwrap_or(&NOTHING), new.unwrap_or(&NOTHING));
        match meaning {
            Meaning::More => self.bound(subject, key, what, values, Direction::Loosened),
            Meaning::Less => self.bound(subject, key, what, values, Direction::Tightened),
            Meaning::Allows => self.list(subject, key, what, values, Direction::Loosened, false),
            Meaning::AllowsElseAll => self.list(subject, key, what, values, Direction::Loosened, true),
            Meaning::Denies => self.list(subject, key, what, values, Direction::Tightened, false),
            Meaning::Weak => self.presence(subject, property, what, (old, new), Direction::Loosened),
            Meaning::Control => self.presence(subject, property, what, (old, new), Direction::Tightened),
            Meaning::Mode => self.mode(subject, what, values),
            Meaning::Words(order) => self.words(subject, what, values, order),
            Meaning::Secret => self.say(Direction::Changed, subject, secret(what, old, new)),
            Meaning::File | Meaning::Contents => self.file(subject, what, values),
            Meaning::Inside => self.inside(subject, property, key, what, values),
            Meaning::Changed => self.changed(subject, property, what, values),
        }
    }

    /// The same names may lead to other contents.
    fn same_names(
        &mut self,
        subject: &str,
        property: Place<'a>,
        meaning: Meaning,
        what: &str,
        value: Option<&Value>,
    ) {
        let Some(value) = value else { return };
        let names: Vec<&str> = match (meaning, value) {
            (Meaning::File, Value::String(name)) => vec![name],
            (Meaning::Contents, Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            (Meaning::Secret, value) => value.get("file").and_then(Value::as_str).into_iter().collect(),
            (Meaning::Control | Meaning::Inside | Meaning::Weak | Meaning::Changed, Value::Object(_)) => {
                let place = self.shape.of_value(property, value);
                self.object(subject, place, value, value);
                return;
            }
            (Meaning::Control | Meaning::Inside | Meaning::Weak | Meaning::Changed, Value::Array(_)) => {
                self.files_inside(subject, what, value);
                return;
            }
            _ => return,
        };
        for name in names {
            self.contents(subject, what, name, name);
        }
    }

    /// Files that are named somewhere inside of what is the same.
    fn files_inside(&mut self, subject: &str, what: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    match (key.as_str(), value) {
                        ("file" | "ca" | "jwks_file" | "schema" | "certificate", Value::String(name)) => {
                            self.contents(subject, what, name, name);
                        }
                        (_, value) => self.files_inside(subject, what, value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.files_inside(subject, what, item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn contents(&mut self, subject: &str, what: &str, old: &str, new: &str) {
        let names = (old.to_owned(), new.to_owned());
        if self.same.borrow().contains(&names) {
            return;
        }
        let (before, after) = (self.old.file(old), self.new.file(new));
        if before == after {
            self.same.borrow_mut().insert(names);
            return;
        }
        if what == "the OpenAPI document"
            && let (Some(before), Some(after)) = (&before, &after)
            && let Some(changes) = openapi::compare(before, after)
        {
            changes.into_iter().for_each(|(direction, words)| self.say(direction, subject, words));
            return;
        }
        let name = crate::visible(new);
        self.say(Direction::Changed, subject, format!("{what}: the contents of {name} have changed"));
    }

    /// `up` is the direction of more.
    fn bound(&mut self, subject: &str, key: &str, what: &str, (old, new): (&Value, &Value), up: Direction) {
        let (before, after) = (shown(old), shown(new));
        let (direction, words) = match (old, new) {
            (Value::Null, _) if matches!(key, "expires" | "max_age" | "until") => {
                (up.reversed(), format!("{what}: now {after} (there was no bound)"))
            }
            (_, Value::Null) if matches!(key, "expires" | "max_age" | "until") => {
                (up, format!("{what}: no bound any more (was {before})"))
            }
            // What holds without a value is not in the file.
            (Value::Null, _) => (Direction::Changed, format!("{what}: now {after} (was the default)")),
            (_, Value::Null) => (Direction::Changed, format!("{what}: now the default (was {before})")),
            _ => match (magnitude(old), magnitude(new)) {
                (Some(less), Some(more)) if more > less => {
                    (up, format!("{what} raised from {before} to {after}"))
                }
                (Some(more), Some(less)) if more > less => {
                    (up.reversed(), format!("{what} lowered from {before} to {after}"))
                }
                (Some(_), Some(_)) => return,
                (_, _) => (Direction::Changed, format!("{what} changed from {before} to {after}")),
            },
        };
        self.say(direction, subject, words);
    }

    /// `one_more` is the direction of one more.
    fn list(
        &mut self,
        subject: &str,
        key: &str,
        what: &str,
        (old, new): (&Value, &Value),
        one_more: Direction,
        else_all: bool,
    ) {
        let list = |value: &Value| match value {
            Value::Array(items) => items.clone(),
            Value::Null => Vec::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => vec![value.clone()],
        };
        let (before, after) = (list(old), list(new));
        if else_all && before.is_empty() {
            self.say(one_more.reversed(), subject, format!("{}: {}", limited(key, what), shown(new)));
            return;
        }
        if else_all && after.is_empty() {
            self.say(one_more, subject, format!("{} (was {})", unlimited(key, what), shown(old)));
            return;
        }
        let (mut found, mut narrowed) = (false, false);
        let (added, removed) = items::differences(&before, &after);
        for item in added {
            found = true;
            if covers(&before, item) {
                narrowed = true;
                continue;
            }
            self.say(one_more, subject, items::added(key, what, item));
        }
        for item in removed {
            found = true;
            if covers(&after, item) {
                narrowed = true;
                continue;
            }
            self.say(one_more.reversed(), subject, items::removed(key, what, item));
        }
        if narrowed || !found {
            self.say(
                Direction::Changed,
                subject,
                format!("{what} changed from {} to {}", shown(old), shown(new)),
            );
        }
    }

    /// `there` is the direction of being there.
    fn presence(
        &mut self,
        subject: &str,
        property: Place<'a>,
        what: &str,
        (old, new): (Option<&Value>, Option<&Value>),
        there: Direction,
    ) {
        let is = |value: Option<&Value>| match value {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(_) => true,
        };
        match (is(old), is(new)) {
            (false, true) => self.say(there, subject, format!("{what}: now there{}", reason(new))),
            (true, false) => self.say(there.reversed(), subject, format!("{what}: no longer there")),
            (false, false) => {}
            (true, true) => match (old.unwrap_or(&NOTHING), new.unwrap_or(&NOTHING)) {
                (Value::Object(_), Value::Object(_)) => {
                    let (old, new) = (old.unwrap_or(&NOTHING), new.unwrap_or(&NOTHING));
                    self.either(subject, property, what, old, new);
                }
                (Value::Array(before), Value::Array(after)) => {
                    let (added, removed) = items::differences(before, after);
                    for item in added {
                        self.say(there, subject, format!("{what}: added {}", shown(item)));
                    }
                    for item in removed {
                        self.say(there.reversed(), subject, format!("{what}: removed {}", shown(item)));
                    }
                }
                (before, after) => {
                    let words = format!("{what} changed from {} to {}", shown(before), shown(after));
                    self.say(Direction::Changed, subject, words);
                }
            },
        }
    }

    /// Two mappings that may be of different alternatives.
    fn either(&mut self, subject: &str, property: Place<'a>, what: &str, old: &Value, new: &Value) {
        let (before, after) = (self.shape.of_value(property, old), self.shape.of_value(property, new));
        if before.definition == "Authentication" {
            items::authentication(self, subject, old, new);
        } else if before.schema.get("properties").is_some() && std::ptr::eq(before.schema, after.schema) {
            self.object(subject, before, old, new);
        } else {
            self.free(subject, what, old, new);
        }
    }

    /// A mapping whose keys are the operator's own.
    fn free(&mut self, subject: &str, what: &str, old: &Value, new: &Value) {
        let empty = Map::new();
        let (before, after) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
        let mut said = false;
        for (key, value) in before {
            let key_shown = crate::visible(key);
            match after.get(key) {
                None => {
                    self.say(Direction::Loosened, subject, format!("{what}: {key_shown} no longer there"));
                    said = true;
                }
                Some(other) if other != value => {
                    let words =
                        format!("{what}: {key_shown} changed from {} to {}", shown(value), shown(other));
                    self.say(Direction::Changed, subject, words);
                    said = true;
                }
                Some(_) => {}
            }
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            self.say(Direction::Tightened, subject, format!("{what}: {} now there", crate::visible(key)));
            said = true;
        }
        if !said {
            self.say(Direction::Changed, subject, format!("{what}: changed"));
        }
    }

    fn mode(&mut self, subject: &str, what: &str, (old, new): (&Value, &Value)) {
        let rank = |value: &Value| ["enforce", "observe", "off"].iter().position(|word| value == word);
        let (before, after) = (rank(old), rank(new));
        let direction = match (before, after) {
            (Some(before), Some(after)) if after > before => Direction::Loosened,
            (Some(before), Some(after)) if after < before => Direction::Tightened,
            _ => Direction::Changed,
        };
        let (old, new) = (shown(old), shown(new));
        let now = match new.as_str() {
            "observe" => "only observed",
            "off" => "switched off",
            "enforce" => "enforced",
            other => other,
        };
        self.say(direction, subject, format!("{what}: now {now} (mode {old} to {new})"));
    }

    fn words(&mut self, subject: &str, what: &str, (old, new): (&Value, &Value), order: &[&str]) {
        let rank = |value: &Value| {
            order.iter().position(|word| value.as_str() == Some(word) || shown(value) == *word)
        };
        let direction = match (rank(old), rank(new)) {
            (Some(before), Some(after)) if after > before => Direction::Loosened,
            (Some(before), Some(after)) if after < before => Direction::Tightened,
            _ => Direction::Changed,
        };
        self.say(
            direction,
            subject,
            format!("{what} changed from {} to {}", or_default(old), or_default(new)),
        );
    }

    fn file(&mut self, subject: &str, what: &str, (old, new): (&Value, &Value)) {
        if let (Value::String(before), Value::String(after)) = (old, new)
            && self.old.file(before) != self.new.file(after)
        {
            self.contents(subject, what, before, after);
        }
        let words = format!("{what} changed from {} to {}", or_default(old), or_default(new));
        self.say(Direction::Changed, subject, words);
    }

    fn inside(
        &mut self,
        subject: &str,
        property: Place<'a>,
        key: &str,
        what: &str,
        (old, new): (&Value, &Value),
    ) {
        match (old, new) {
            (Value::Array(_), _) | (_, Value::Array(_)) => {
                items::compare(self, subject, property, key, what, old, new)
            }
            (Value::Object(_), _) | (_, Value::Object(_)) => {
                let of = if old.is_object() { old } else { new };
                let place = self.shape.of_value(property, of);
                let subject = if subject == "gateway" && key == "limits" { "limits" } else { subject };
                self.object(subject, place, old, new);
            }
            _ => self.say(
                Direction::Changed,
                subject,
                format!("{what} changed from {} to {}", shown(old), shown(new)),
            ),
        }
    }

    fn changed(&mut self, subject: &str, property: Place<'a>, what: &str, (old, new): (&Value, &Value)) {
        match (old, new) {
            (Value::Object(_), Value::Object(_))
                if self.shape.of_value(property, old).schema.get("properties").is_some() =>
            {
                self.either(subject, property, what, old, new);
            }
            (Value::Object(_), _) | (_, Value::Object(_)) => {
                let now = if new.is_null() {
                    "no longer there"
                } else if old.is_null() {
                    "now there"
                } else {
                    "changed"
                };
                self.say(Direction::Changed, subject, format!("{what}: {now}"));
            }
            _ => {
                let words = format!("{what} changed from {} to {}", or_default(old), or_default(new));
                self.say(Direction::Changed, subject, words);
            }
        }
    }
}

/// A default that only the description tells, such as `Default: 100.`
fn described_default(schema: &Value) -> Option<Value> {
    let (_, default) = schema.get("description")?.as_str()?.rsplit_once("Default: ")?;
    let default = Value::String(default.trim_end_matches('.').to_owned());
    magnitude(&default).map(|_| default)
}

fn some(value: &&Value) -> bool {
    !value.is_null()
}

fn or_default(value: &Value) -> String {
    if value.is_null() { "the default".to_owned() } else { shown(value) }
}

fn reason(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).map(|reason| format!(": {}", crate::visible(reason))).unwrap_or_default()
}

fn secret(what: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    match (old, new) {
        (None, _) => format!("{what}: now there"),
        (_, None) => format!("{what}: no longer there"),
        _ => format!("{what}: changed"),
    }
}

fn limited(key: &str, what: &str) -> String {
    match key {
        "roles_allowed" => "one of these roles is needed now".to_owned(),
        _ => format!("{what}: now limited to"),
    }
}

fn unlimited(key: &str, what: &str) -> String {
    match key {
        "roles_allowed" => "no role is needed any more".to_owned(),
        _ => format!("{what}: no longer limited"),
    }
}
