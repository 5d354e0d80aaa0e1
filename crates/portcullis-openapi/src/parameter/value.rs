//! Texts to values: which values a text may stand for, and whether the schema allows them.

use std::borrow::Cow;

use crate::json::{Datum, Width, object};
use crate::schema::{Checker, Shape, Types};
use crate::violation::{Class, Place, Report};

/// A value as texts, decoded, before its types are known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Texts {
    Plain(String),
    List(Vec<String>),
    Members(Vec<(String, String)>),
}

/// How many of the readings of a text the schema must allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Demand {
    /// One is enough, since the schema says of which types the value may be.
    #[default]
    One,
    /// Each, since nothing says which one the backend takes (a_schema_without_a_type_judges_every_reading).
    Each,
}

/// What a value may be: the narrowest reading of each text, and where texts have several the widest.
///
/// Where a text can be split in several ways, the schema must allow each of them.
#[derive(Debug, Default)]
pub(crate) struct Readings<'a> {
    ways: Vec<Vec<Datum<'a>>>,
    demand: Demand,
}

impl<'a> Readings<'a> {
    /// For values of this shape.
    pub(crate) fn of(shape: &Shape) -> Self {
        Readings { ways: vec![Vec::new()], demand: shape.demand() }
    }

    /// A value that has no other reading.
    pub(crate) fn only(datum: Datum<'a>) -> Self {
        Readings { ways: vec![vec![datum]], demand: Demand::One }
    }

    /// The same, of which the schema must allow so many.
    pub(crate) fn demanding(self, demand: Demand) -> Self {
        Readings { demand, ..self }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ways.iter().all(Vec::is_empty)
    }

    /// What is added from now on is another way of splitting the same text.
    pub(crate) fn another_way(&mut self) {
        if self.ways.last().is_some_and(|way| !way.is_empty()) {
            self.ways.push(Vec::new());
        }
    }

    pub(crate) fn add_value(&mut self, datum: Datum<'a>) {
        match self.ways.last_mut() {
            Some(way) => way.push(datum),
            None => self.ways.push(vec![datum]),
        }
    }

    /// Adds what a text may stand for that is neither a list nor an object.
    ///
    /// # Errors
    /// It stands for nothing.
    pub(crate) fn add_text(&mut self, text: &'a str, shape: &Shape) -> Result<(), &'static str> {
        let readings = shape.types.readings(text.into());
        if readings.is_empty() {
            return Err("type");
        }
        readings.into_iter().for_each(|reading| self.add_value(reading));
        Ok(())
    }

    /// Adds what `texts` may stand for.
    ///
    /// # Errors
    /// A word for what is wrong.
    pub(crate) fn add(&mut self, texts: Texts, shape: &Shape) -> Result<(), &'static str> {
        match texts {
            Texts::Plain(text) => {
                let readings = shape.types.readings(text.into());
                if readings.is_empty() {
                    return Err("type");
                }
                readings.into_iter().for_each(|reading| self.add_value(reading));
            }
            Texts::List(items) => {
                let types = shape.item_types();
                let items = items.into_iter().map(|item| choice(item.into(), types));
                self.add_value(Datum::List(items.collect::<Result<_, _>>()?));
            }
            Texts::Members(members) => {
                let mut choices: Vec<(String, Datum<'a>)> = Vec::with_capacity(members.len());
                for (name, text) in members {
                    if choices.iter().any(|(known, _)| *known == name) {
                        return Err("repeated");
                    }
                    // A member that is not declared is text; the schema says whether it may be there.
                    let choice = choice(text.into(), shape.property(&name).unwrap_or(Types::ALL))?;
                    choices.push((name, choice));
                }
                self.add_value(Datum::Members(choices));
            }
        }
        Ok(())
    }

    /// Reports what the schema refuses, if anything.
    pub(crate) fn check(&self, checker: Option<&Checker>, place: Place, name: &str, report: &mut Report<'_>) {
        let Some(checker) = checker else { return };
        if self.is_empty() {
            return report.add(Class::Malformed, place, name, "type");
        }
        for way in self.ways.iter().filter(|way| !way.is_empty()) {
            let candidates = way.iter().flat_map(widths);
            let candidates = candidates.map(|(datum, width)| datum.document(width, report.memory));
            let candidates: Vec<_> = match candidates.collect::<Result<_, _>>() {
                Ok(candidates) => candidates,
                Err(fault) => return report.fault(place, name, fault),
            };
            if !judge(&candidates, self.demand, checker, place, name, report) {
                return;
            }
        }
    }
}

/// A value with each width in which it differs.
fn widths<'d, 'a>(datum: &'d Datum<'a>) -> impl Iterator<Item = (&'d Datum<'a>, Width)> {
    let widest = datum.is_ambiguous().then_some(Width::Widest);
    std::iter::once(Width::Narrowest).chain(widest).map(move |width| (datum, width))
}

/// Whether the schema allows these readings of one value. Reports on the first that it refuses, if not.
fn judge(
    candidates: &[crate::json::Document<'_>],
    demand: Demand,
    checker: &Checker,
    place: Place,
    name: &str,
    report: &mut Report<'_>,
) -> bool {
    let refused = match (candidates, demand) {
        ([only], _) => Some(only),
        (several, Demand::Each) => several.iter().find(|one| !checker.is_valid(one)),
        (several, Demand::One) => match several.iter().any(|one| checker.is_valid(one)) {
            true => None,
            false => several.first(),
        },
    };
    refused.is_none_or(|refused| checker.check(refused, place, name, report))
}

/// The readings of one text.
///
/// # Errors
/// It has none.
pub(crate) fn choice(text: Cow<'_, str>, types: Types) -> Result<Datum<'_>, &'static str> {
    let mut readings = types.readings(text);
    match readings.len() {
        0 => Err("type"),
        1 => readings.pop().ok_or("type"),
        _ => Ok(Datum::Choice(readings)),
    }
}

/// The members of an object that is made of texts, such as a form.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(String, Readings<'a>)>);

impl<'a> Members<'a> {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Adds a member, unless there is nothing to add.
    pub(crate) fn add(&mut self, name: &str, readings: Readings<'a>) {
        if !readings.is_empty() {
            self.0.push((name.to_owned(), readings));
        }
    }

    /// Reports what the schema refuses, if anything.
    pub(crate) fn check(&self, checker: Option<&Checker>, report: &mut Report<'_>) {
        let Some(checker) = checker else { return };
        let readings = || self.0.iter().map(|(_, readings)| readings);
        let ways = readings().map(|readings| readings.ways.len()).max().unwrap_or(1).max(1);
        let demand = match readings().any(|readings| readings.demand == Demand::Each) {
            true => Demand::Each,
            false => Demand::One,
        };
        for way in 0..ways {
            let ambiguous = readings()
                .filter_map(|readings| readings.way(way))
                .any(|way| way.len() > 1 || way.iter().any(Datum::is_ambiguous));
            let widest = ambiguous.then_some(Width::Widest);
            let documents = std::iter::once(Width::Narrowest).chain(widest).map(|width| {
                let members = self.0.iter().filter_map(|(name, readings)| {
                    let way = readings.way(way)?;
                    let datum = if width == Width::Narrowest { way.first() } else { way.last() };
                    Some((name.as_str(), datum?))
                });
                object(members, width, report.memory)
            });
            match documents.collect::<Result<Vec<_>, _>>() {
                Ok(documents) => {
                    if !judge(&documents, demand, checker, Place::Body, "", report) {
                        return;
                    }
                }
                Err(fault) => return report.fault(Place::Body, "", fault),
            }
        }
    }
}

impl<'a> Readings<'a> {
    /// One way of splitting, or the only one.
    fn way(&self, way: usize) -> Option<&[Datum<'a>]> {
        self.ways.get(way).or_else(|| self.ways.last()).map(Vec::as_slice)
    }
}
