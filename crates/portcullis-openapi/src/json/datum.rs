//! Values that are put together from texts, such as the fields of a form, before they become a document.
//!
//! A text has no type of its own, so `5` may be a number or a text. Where it may be several things, all of them are kept.

use std::borrow::Cow;

use serde_json::Number;

use super::Fault;
use super::document::{Document, Entry, Num};
use crate::memory::Memory;

/// A value whose parts may be borrowed.
#[derive(Debug)]
pub(crate) enum Datum<'a> {
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    Json(Document<'a>),
    /// One of these, the narrowest first.
    Choice(Vec<Datum<'a>>),
    List(Vec<Datum<'a>>),
    Members(Vec<(String, Datum<'a>)>),
}

/// Which of several readings is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Narrowest,
    Widest,
}

impl Datum<'_> {
    pub(crate) fn is_array(&self) -> bool {
        match self {
            Datum::List(_) => true,
            Datum::Json(document) => matches!(document.entry(0), Entry::Array { .. }),
            Datum::Bool(_)
            | Datum::Number(_)
            | Datum::Text(_)
            | Datum::Bytes(_)
            | Datum::Choice(_)
            | Datum::Members(_) => false,
        }
    }

    /// Whether its narrowest and its widest reading differ.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            Datum::Choice(choices) => choices.len() > 1,
            Datum::List(items) => items.iter().any(Datum::is_ambiguous),
            Datum::Members(members) => members.iter().any(|(_, member)| member.is_ambiguous()),
            Datum::Bool(_) | Datum::Number(_) | Datum::Text(_) | Datum::Bytes(_) | Datum::Json(_) => false,
        }
    }

    /// The document that it is in one reading.
    ///
    /// # Errors
    /// It is too large, or two members have the same name.
    pub(crate) fn document(&self, width: Width, memory: &dyn Memory) -> Result<Document<'_>, Fault> {
        let mut document = Document::new();
        document.datum(self, width, memory)?;
        Ok(document)
    }
}

/// The document of an object.
///
/// # Errors
/// It is too large, or two members have the same name.
pub(crate) fn object<'a>(
    members: impl Iterator<Item = (&'a str, &'a Datum<'a>)>,
    width: Width,
    memory: &dyn Memory,
) -> Result<Document<'a>, Fault> {
    let mut document = Document::new();
    let open = document.open(memory)?;
    let mut count = 0;
    for (name, member) in members {
        document.push(Entry::Text(name), memory)?;
        document.datum(member, width, memory)?;
        count += 1;
    }
    document.close_object(open, count, memory)?;
    Ok(document)
}

impl<'a> Document<'a> {
    fn datum(&mut self, datum: &'a Datum<'_>, width: Width, memory: &dyn Memory) -> Result<(), Fault> {
        match datum {
            Datum::Bool(value) => self.push(Entry::Bool(*value), memory),
            Datum::Number(number) => self.push(Entry::Number(Num::of(number)), memory),
            Datum::Text(text) => self.push(Entry::Text(text), memory),
            Datum::Bytes(bytes) => self.push(Entry::Bytes(bytes), memory),
            Datum::Json(document) => self.append(document, memory),
            Datum::Choice(choices) => {
                let chosen = match width {
                    Width::Narrowest => choices.first(),
                    Width::Widest => choices.last(),
                };
                match chosen {
                    Some(chosen) => self.datum(chosen, width, memory),
                    None => self.push(Entry::Null, memory),
                }
            }
            Datum::List(items) => {
                let open = self.open(memory)?;
                items.iter().try_for_each(|item| self.datum(item, width, memory))?;
                self.close_array(open, items.len())
            }
            Datum::Members(members) => {
                let open = self.open(memory)?;
                for (name, member) in members {
                    self.push(Entry::Text(name), memory)?;
                    self.datum(member, width, memory)?;
                }
                self.close_object(open, members.len(), memory)
            }
        }
    }
}
