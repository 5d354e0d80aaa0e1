//! What answering an operation costs, at most, by a schema.
//!
//! A field costs its weight and what it selects; a list costs that as often as it is long. How long it is, an argument
//! says, or the schema, or the configuration. Alternatives of which only one can come true are added up: it is a bound,
//! not a forecast. A field that the schema does not have is refused.

use super::document::{Definition, Document, Kind, Selected, Selection, Value};
use super::lexer::Flaw;
use super::measure::{Measured, Operation};
use super::schema::{Field, Schema, Type, number};
use portcullis_config::{Context, Spanned, object};
use portcullis_core::Claim;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// The cost that nothing exceeds where nothing is said.
const DEFAULT_MOST: NonZeroU32 = match NonZeroU32::new(1000) {
    Some(most) => most,
    None => NonZeroU32::MIN,
};
const DEFAULT_LENGTH: NonZeroU32 = match NonZeroU32::new(10) {
    Some(length) => length,
    None => NonZeroU32::MIN,
};

object! {
    /// The maximum cost of an operation. A field of an object type costs 1, a scalar costs 0, and a list multiplies the
    /// cost by its length. The directives `@cost` and `@listSize` in the schema change this.
    pub struct GraphqlCostConfig {
        /// The schema, as a file in the schema definition language (SDL). Fields that it does not define are rejected.
        pub schema: Spanned<PathBuf>,
        /// The maximum cost of all operations of a request together. Default: 1000.
        pub max: NonZeroU32 = DEFAULT_MOST,
        /// The assumed length of a list if nothing else gives it. Default: 10.
        pub list_size: NonZeroU32 = DEFAULT_LENGTH,
        /// The arguments that give the length of a list, for fields without `@listSize`. Default: first, last and limit.
        pub list_arguments: Vec<String> = vec!["first".into(), "last".into(), "limit".into()],
    }
}

impl GraphqlCostConfig {
    /// What runs. `None` means that an error was pushed.
    pub fn compile(&self, cx: &mut Context) -> Option<Cost> {
        let read = std::fs::read_to_string(&self.schema.value).map_err(|error| error.to_string());
        let schema = read.and_then(|text| {
            Schema::read(&text).map_err(|flaw| match flaw {
                Flaw::Malformed(why) | Flaw::Refused(why) => why.to_owned(),
                Flaw::NoMemory => "no memory is left".to_owned(),
            })
        });
        match schema {
            Ok(schema) => Some(Cost {
                schema,
                most: self.max.get().into(),
                length: self.list_size.get().into(),
                arguments: self.list_arguments.clone(),
            }),
            Err(why) => {
                cx.error(
                    "config.graphql_schema",
                    self.schema.span,
                    format!("the schema cannot be used: {why}"),
                )
                .help("give a file in the schema definition language, with every type in it");
                None
            }
        }
    }
}

/// What runs.
#[derive(Debug)]
pub struct Cost {
    schema: Schema,
    most: u64,
    length: u64,
    arguments: Vec<String>,
}

/// What selections stand in.
#[derive(Clone, Copy)]
enum On<'s> {
    Type(&'s Type),
    /// The schema's own description, which no schema describes.
    System,
    /// A value, which has no fields.
    Nothing,
}

/// What is worked out of a selection before its own selections are.
#[derive(Clone, Copy)]
struct Worked<'s> {
    on: On<'s>,
    weight: u64,
    times: u64,
    /// How long the lists are that stand directly in it, and which; all of them where that is not said.
    inner: Option<(u64, Option<&'s [String]>)>,
    sum: u64,
}

const UNKNOWN_TYPE: Flaw = Flaw::Malformed("there is a type that the schema does not have");

impl Cost {
    /// The most that the operations of a request may cost together.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// What an operation costs.
    ///
    /// # Errors
    /// It asks for what the schema does not have.
    pub fn of(
        &self,
        document: &Document<'_>,
        measured: &Measured<'_>,
        operation: &Operation<'_>,
        variables: Option<&Claim>,
    ) -> Result<u64, Flaw> {
        let word = match operation.kind {
            Kind::Query => "query",
            Kind::Mutation => "mutation",
            Kind::Subscription => "subscription",
        };
        let root = self.schema.root(word).ok_or(UNKNOWN_TYPE)?;
        let Some(definition) = document.definitions.get(operation.definition) else { return Ok(0) };
        let mut evaluation =
            Evaluation { cost: self, document, measured, definition, variables, fragments: HashMap::new() };
        for place in &measured.fragments {
            let Some(fragment) = document.definitions.get(*place) else { continue };
            let super::document::Defined::Fragment { on, .. } = fragment.defined else { continue };
            let on = self.schema.types.get(on).ok_or(UNKNOWN_TYPE)?;
            let sum = evaluation.run(fragment, on)?;
            evaluation.fragments.insert(*place, sum);
        }
        evaluation.run(definition, root)
    }
}

struct Evaluation<'d, 's> {
    cost: &'s Cost,
    document: &'d Document<'d>,
    measured: &'d Measured<'d>,
    /// The operation, for the default values of its variables.
    definition: &'d Definition<'d>,
    variables: Option<&'d Claim>,
    fragments: HashMap<usize, u64>,
}

impl<'s> Evaluation<'_, 's> {
    /// What the selections of a definition cost, which stand in `root`.
    fn run(&self, definition: &Definition<'_>, root: &'s Type) -> Result<u64, Flaw> {
        let first = definition.first;
        let selections = self.document.selections.get(first..definition.end).unwrap_or_default();
        let outside = Worked { on: On::Type(root), weight: 0, times: 1, inner: None, sum: 0 };
        let mut worked: Vec<Worked<'s>> = Vec::with_capacity(selections.len());
        for (index, selection) in selections.iter().enumerate() {
            let parent = selection.parent.and_then(|parent| worked.get(parent.checked_sub(first)?)).copied();
            let opens = selection.end > first + index + 1;
            worked.push(self.work(selection, opens, parent.unwrap_or(outside))?);
        }
        let mut total = 0_u64;
        for (index, selection) in selections.iter().enumerate().rev() {
            let Some(Worked { weight, times, sum, .. }) = worked.get(index).copied() else { continue };
            let all = times.saturating_mul(weight.saturating_add(sum));
            match selection.parent.and_then(|parent| worked.get_mut(parent.checked_sub(first)?)) {
                Some(parent) => parent.sum = parent.sum.saturating_add(all),
                None => total = total.saturating_add(all),
            }
        }
        Ok(total)
    }

    fn work(&self, selection: &Selection<'_>, opens: bool, parent: Worked<'s>) -> Result<Worked<'s>, Flaw> {
        let nothing = Worked { on: On::Nothing, weight: 0, times: 1, inner: None, sum: 0 };
        match selection.selected {
            Selected::Field { name: "__typename", .. } if !opens => Ok(nothing),
            Selected::Field { name, .. } if name.starts_with("__") => {
                Ok(Worked { on: On::System, weight: 1, ..nothing })
            }
            Selected::Field { name, .. } => match parent.on {
                On::System => Ok(Worked { on: On::System, weight: 1, ..nothing }),
                On::Nothing => Err(Flaw::Malformed("there are fields selected of a value that has none")),
                On::Type(of) => {
                    let field = of.fields.get(name);
                    let field =
                        field.ok_or(Flaw::Malformed("there is a field that the schema does not have"))?;
                    self.field(name, field, selection, opens, parent)
                }
            },
            Selected::Spread(name) => {
                let place = self.measured.by_name.get(name);
                let sum = place.and_then(|place| self.fragments.get(place)).copied().unwrap_or(0);
                // What the fragment selects stands in lists of that length too; which of it is not known here.
                let times = parent.inner.map_or(1, |(length, _)| length.max(1));
                Ok(Worked { times, sum, ..nothing })
            }
            Selected::Inline(on) => {
                let on = match (on, parent.on) {
                    (Some(_), On::System) | (None, _) => parent.on,
                    (Some(name), _) => On::Type(self.cost.schema.types.get(name).ok_or(UNKNOWN_TYPE)?),
                };
                Ok(Worked { on, inner: parent.inner, ..nothing })
            }
        }
    }

    fn field(
        &self,
        name: &str,
        field: &'s Field,
        selection: &Selection<'_>,
        opens: bool,
        parent: Worked<'s>,
    ) -> Result<Worked<'s>, Flaw> {
        let of = self.cost.schema.types.get(&field.of);
        let on = match (of, opens) {
            (Some(of), true) => On::Type(of),
            (None, false) => On::Nothing,
            (Some(_), false) => {
                return Err(Flaw::Malformed("there is an object of which no field is selected"));
            }
            (None, true) => {
                return Err(Flaw::Malformed("there are fields selected of a value that has none"));
            }
        };
        let weight = field.weight.unwrap_or_else(|| of.map_or(0, |of| of.weight));
        let length = self.length(field, selection)?;
        let from_outside = match parent.inner {
            Some((length, None)) if field.lists > 0 => Some(length),
            Some((length, Some(names))) if names.iter().any(|sized| sized == name) => Some(length),
            Some(_) | None => None,
        };
        let mut times = 1_u64;
        if field.lists > 0 {
            times = length.or(from_outside).unwrap_or(self.cost.length);
            for _ in 1..field.lists {
                times = times.saturating_mul(self.cost.length);
            }
        }
        let inner = length.filter(|_| field.lists == 0).map(|length| {
            let named =
                field.size.as_ref().map(|size| size.fields.as_slice()).filter(|names| !names.is_empty());
            (length, named)
        });
        Ok(Worked { on, weight, times, inner, sum: 0 })
    }

    /// How long the list is that a field gives; `None` where neither an argument nor the schema says it.
    fn length(&self, field: &Field, selection: &Selection<'_>) -> Result<Option<u64>, Flaw> {
        let said = field.size.as_ref();
        let names = said.map_or(&self.cost.arguments, |size| &size.arguments);
        let given = self.document.arguments.get(selection.first_argument..selection.end_argument);
        let given = given.unwrap_or_default();
        let mut longest = None;
        for name in names {
            let Some((_, default)) = field.arguments.iter().find(|(known, _)| known == name) else {
                continue;
            };
            let length = match given.iter().find(|(argument, _)| argument == name) {
                // SECURITY: null is not absent, and is no short list: it costs what the default, or the schema, says
                // (what_is_refused).
                Some((_, value)) => {
                    self.number(*value)?.or((*default).max(said.and_then(|size| size.assumed)))
                }
                None => *default,
            };
            longest = longest.max(length);
        }
        Ok(longest.or(said.and_then(|size| size.assumed)))
    }

    /// The number that a value is. `None` for one that says nothing.
    fn number(&self, value: Value<'_>) -> Result<Option<u64>, Flaw> {
        const BAD: Flaw = Flaw::Malformed("the length of a list is no whole number");
        match value {
            Value::Integer(_) => number(value).map(Some).ok_or(BAD),
            Value::Null => Ok(None),
            Value::Other => Err(BAD),
            Value::Variable(name) => match self.variables.and_then(|variables| variables.member(name)) {
                Some(Claim::Integer(length)) => u64::try_from(*length).map(Some).map_err(|_| BAD),
                Some(Claim::Null) => Ok(None),
                // SECURITY: a server may turn another form into a number, and then the list is as long as that says
                // (a_length_in_another_form_is_refused).
                Some(_) => Err(BAD),
                None => {
                    let default = self.definition.defaults.iter().find(|(known, _)| *known == name);
                    Ok(default.and_then(|(_, value)| number(*value)))
                }
            },
        }
    }
}
