//! Texts to values: which values a text may stand for, and whether one of them is allowed.

use serde_json::{Map, Value};

use crate::schema::{Checker, Shape, Types};
use crate::violation::{Class, Place, Report};

/// A value as texts, decoded, before its types are known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Texts {
    Plain(String),
    List(Vec<String>),
    Members(Vec<(String, String)>),
}

/// What a value may be: the narrowest reading of each text, and where texts have several the widest.
#[derive(Default)]
pub(crate) struct Readings(pub(crate) Vec<Value>);

impl Readings {
    /// Adds what `texts` may stand for.
    ///
    /// # Errors
    /// A word for what is wrong.
    pub(crate) fn add(&mut self, texts: Texts, shape: &Shape) -> Result<(), &'static str> {
        match texts {
            Texts::Plain(text) => {
                let readings = shape.types.readings(text);
                if readings.is_empty() {
                    return Err("type");
                }
                self.0.extend(readings);
            }
            Texts::List(items) => {
                let types = shape.item_types();
                let items: Vec<Choice> =
                    items.into_iter().map(|item| Choice::of(item, types)).collect::<Result<_, _>>()?;
                self.both(items.iter().any(|item| item.widest.is_some()), |wide| {
                    Value::Array(items.iter().map(|item| item.value(wide)).collect())
                });
            }
            Texts::Members(members) => {
                let mut choices: Vec<(String, Choice)> = Vec::with_capacity(members.len());
                for (name, text) in members {
                    if choices.iter().any(|(known, _)| *known == name) {
                        return Err("repeated");
                    }
                    // A member that is not declared is text; the schema says whether it may be there.
                    let choice = Choice::of(text, shape.property(&name).unwrap_or(Types::ALL))?;
                    choices.push((name, choice));
                }
                self.both(choices.iter().any(|(_, choice)| choice.widest.is_some()), |wide| {
                    let members = choices.iter().map(|(name, choice)| (name.clone(), choice.value(wide)));
                    Value::Object(members.collect::<Map<_, _>>())
                });
            }
        }
        Ok(())
    }

    fn both(&mut self, differ: bool, make: impl Fn(bool) -> Value) {
        self.0.push(make(false));
        if differ {
            self.0.push(make(true));
        }
    }

    /// Whether the schema allows one of the readings; reports on the first if not.
    pub(crate) fn check(&self, checker: Option<&Checker>, place: Place, name: &str, report: &mut Report) {
        let Some(checker) = checker else { return };
        match self.0.as_slice() {
            [] => report.add(Class::Malformed, place, name, "type"),
            [only] => checker.check(only, place, name, report),
            [first, others @ ..] => {
                if !checker.is_valid(first) && !others.iter().any(|other| checker.is_valid(other)) {
                    checker.check(first, place, name, report);
                }
            }
        }
    }
}

/// The readings of one text in a list or an object.
pub(crate) struct Choice {
    narrowest: Value,
    widest: Option<Value>,
}

impl Choice {
    pub(crate) fn of(text: String, types: Types) -> Result<Self, &'static str> {
        let mut readings = types.readings(text).into_iter();
        let narrowest = readings.next().ok_or("type")?;
        Ok(Choice { narrowest, widest: readings.next_back() })
    }

    /// A value that has no other reading.
    pub(crate) fn only(value: Value) -> Self {
        Choice { narrowest: value, widest: None }
    }

    pub(crate) fn value(&self, wide: bool) -> Value {
        match (&self.widest, wide) {
            (Some(widest), true) => widest.clone(),
            (Some(_) | None, _) => self.narrowest.clone(),
        }
    }
}
