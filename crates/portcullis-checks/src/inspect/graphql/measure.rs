//! How much a document asks for, with its fragments put in where they are spread.
//!
//! Fragments are measured once each, in an order in which each comes after those that it spreads; so a document whose
//! fragments multiply to more than anybody could ever answer is measured as fast as it is read. A fragment that spreads
//! itself, also by way of others, is refused, and so is one that is not there or there twice.

use super::document::{Defined, Definition, Document, Kind, Selected};
use super::lexer::Flaw;
use std::collections::{HashMap, HashSet};

/// How much an operation, or a fragment, asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// The most fields that stand in each other.
    pub depth: u64,
    /// All fields.
    pub fields: u64,
    /// The fields that stand in no other.
    pub root_fields: u64,
    /// Fields that the answer has under another name.
    pub aliases: u64,
    /// Directives.
    pub directives: u64,
    /// Whether it asks for the schema.
    pub introspects: bool,
}

impl Measures {
    /// Adds what a fragment asks for that is spread at this level.
    fn add(&mut self, level: usize, spread: &Measures) {
        self.depth = self.depth.max((level as u64).saturating_add(spread.depth));
        self.fields = self.fields.saturating_add(spread.fields);
        self.aliases = self.aliases.saturating_add(spread.aliases);
        self.directives = self.directives.saturating_add(spread.directives);
        if level == 0 {
            self.root_fields = self.root_fields.saturating_add(spread.root_fields);
        }
        self.introspects |= spread.introspects;
    }
}

/// An operation and what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// What it does.
    pub kind: Kind,
    /// Its name.
    pub name: Option<&'a str>,
    /// Its place among the definitions.
    pub definition: usize,
    /// What it asks for.
    pub measures: Measures,
}

/// A document that was measured.
#[derive(Debug)]
pub struct Measured<'a> {
    /// Its operations, at least one.
    pub operations: Vec<Operation<'a>>,
    /// The places of its fragments among the definitions, each after those that it spreads.
    pub fragments: Vec<usize>,
    /// The places of the fragments by name.
    pub by_name: HashMap<&'a str, usize>,
}

/// Measures a document.
///
/// # Errors
/// Its operations or fragments have more than one reading, or none.
pub fn measure<'a>(document: &Document<'a>) -> Result<Measured<'a>, Flaw> {
    let by_name = fragments_by_name(document)?;
    operations_are_told_apart(document)?;
    let mut spreads = Vec::with_capacity(document.definitions.len());
    let mut measures = Vec::with_capacity(document.definitions.len());
    for definition in &document.definitions {
        let (own, spread) = measure_alone(document, definition, &by_name)?;
        measures.push(own);
        spreads.push(spread);
    }
    let fragments = in_order(&by_name, &spreads)?;
    let operations =
        document.definitions.iter().enumerate().filter_map(|(place, definition)| match definition.defined {
            Defined::Operation { kind, name } => Some((place, kind, name)),
            Defined::Fragment { .. } => None,
        });
    let operations: Vec<_> = operations.collect();
    for place in fragments.iter().copied().chain(operations.iter().map(|(place, _, _)| *place)) {
        let mut sum = measures.get(place).copied().unwrap_or_default();
        for (level, fragment) in spreads.get(place).into_iter().flatten() {
            sum.add(*level, &measures.get(*fragment).copied().unwrap_or_default());
        }
        if let Some(own) = measures.get_mut(place) {
            *own = sum;
        }
    }
    let operations = operations.into_iter().map(|(definition, kind, name)| {
        let measures = measures.get(definition).copied().unwrap_or_default();
        Operation { kind, name, definition, measures }
    });
    Ok(Measured { operations: operations.collect(), fragments, by_name })
}

fn fragments_by_name<'a>(document: &Document<'a>) -> Result<HashMap<&'a str, usize>, Flaw> {
    let mut by_name = HashMap::new();
    for (place, definition) in document.definitions.iter().enumerate() {
        if let Defined::Fragment { name, .. } = definition.defined
            && by_name.insert(name, place).is_some()
        {
            return Err(Flaw::Malformed("two fragments have one name"));
        }
    }
    Ok(by_name)
}

fn operations_are_told_apart(document: &Document<'_>) -> Result<(), Flaw> {
    let mut names = HashSet::new();
    for definition in &document.definitions {
        if let Defined::Operation { name, .. } = definition.defined
            && !names.insert(name)
        {
            return Err(Flaw::Malformed("two operations cannot be told apart"));
        }
    }
    match names.len() {
        0 => Err(Flaw::Malformed("there is no operation")),
        1 => Ok(()),
        _ if names.contains(&None) => Err(Flaw::Malformed("one of several operations has no name")),
        _ => Ok(()),
    }
}

/// Where fragments are spread: at which level, and which.
type Spreads = Vec<(usize, usize)>;

/// What a definition asks for without the fragments that it spreads, and which those are.
fn measure_alone(
    document: &Document<'_>,
    definition: &Definition<'_>,
    by_name: &HashMap<&str, usize>,
) -> Result<(Measures, Spreads), Flaw> {
    let mut own = Measures { directives: definition.directives as u64, ..Measures::default() };
    let mut spreads = Vec::new();
    for selection in document.selections.get(definition.first..definition.end).unwrap_or_default() {
        own.directives += selection.directives as u64;
        match selection.selected {
            Selected::Field { name, aliased } => {
                own.depth = own.depth.max(selection.level as u64 + 1);
                own.fields += 1;
                own.root_fields += u64::from(selection.level == 0);
                own.aliases += u64::from(aliased);
                // Names with two underscores are the system's own.
                own.introspects |= name.starts_with("__") && name != "__typename";
            }
            Selected::Spread(name) => {
                let fragment = by_name.get(name).ok_or(Flaw::Malformed("a fragment is not there"))?;
                spreads.push((selection.level, *fragment));
            }
            Selected::Inline(_) => {}
        }
    }
    Ok((own, spreads))
}

/// The fragments, each after those that it spreads.
fn in_order(by_name: &HashMap<&str, usize>, spreads: &[Spreads]) -> Result<Vec<usize>, Flaw> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; spreads.len()];
    let mut order = Vec::with_capacity(by_name.len());
    let mut mark = |place: usize, new: Mark| {
        marks.get_mut(place).map_or(Mark::Done, |mark| {
            let old = *mark;
            if new != Mark::New {
                *mark = new;
            }
            old
        })
    };
    for start in by_name.values() {
        // Which fragment is open, and which of its spreads comes next.
        let mut open = Vec::new();
        if mark(*start, Mark::New) == Mark::New {
            mark(*start, Mark::Open);
            open.push((*start, 0));
        }
        while let Some((place, next)) = open.last_mut() {
            match spreads.get(*place).and_then(|spreads| spreads.get(*next)) {
                Some((_, fragment)) => {
                    *next += 1;
                    match mark(*fragment, Mark::New) {
                        Mark::New => {
                            mark(*fragment, Mark::Open);
                            open.push((*fragment, 0));
                        }
                        // SECURITY: a server that expands it never comes to an end (fragments_that_spread_themselves).
                        Mark::Open => return Err(Flaw::Malformed("a fragment spreads itself")),
                        Mark::Done => {}
                    }
                }
                None => {
                    mark(*place, Mark::Done);
                    order.push(*place);
                    open.pop();
                }
            }
        }
    }
    Ok(order)
}
