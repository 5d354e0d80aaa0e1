//! A JSON value in one flat list, so that what it costs follows its size: 24 bytes for each value and each member name,
//! and no copy of any text without an escape. A tree of maps costs up to 80 bytes for each byte of a hostile body.
//!
//! Each document also counts what is done with it, see [`budget`](super::budget).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde_json::{Map, Number, Value};

use super::Fault;
use super::budget::Budget;
use crate::memory::Memory;

/// Objects with at most so many members are searched from the front; larger ones have their names in order as well.
const SEARCHED: usize = 8;

/// One value, or the name of a member. A member is its name and then its value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    Null,
    Bool(bool),
    Number(Num),
    Text(&'a str),
    /// A text that is kept in `texts`, since it is not in the source as it is.
    Kept {
        start: u32,
        end: u32,
    },
    /// Bytes, which a schema sees as a text of as many characters.
    Bytes(&'a [u8]),
    /// `end` is the place after the last entry within.
    Array {
        len: u32,
        end: u32,
    },
    /// `order` is where its names begin in `order` of the document, if it is large.
    Object {
        len: u32,
        end: u32,
        order: u32,
    },
}

/// A number, exactly as [`Number`] holds it, or rounded to a double.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Num {
    Positive(u64),
    Negative(i64),
    Float(f64),
    /// An integer beyond 64 bits, rounded.
    Whole(f64),
}

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Num::Positive(value) => value.fmt(f),
            Num::Negative(value) => value.fmt(f),
            Num::Float(value) | Num::Whole(value) => value.fmt(f),
        }
    }
}

impl Num {
    pub(super) fn of(number: &Number) -> Num {
        match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Num::Positive(value),
            (None, Some(value)) => Num::Negative(value),
            (None, None) => Num::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    pub(crate) fn number(self) -> Number {
        match self {
            Num::Positive(value) => value.into(),
            Num::Negative(value) => value.into(),
            // Only finite numbers come in.
            Num::Float(value) | Num::Whole(value) => Number::from_f64(value).unwrap_or_else(|| 0.into()),
        }
    }
}

/// A JSON value.
#[derive(Debug)]
pub struct Document<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    texts: String,
    /// For each large object the places of its names, in the order of the names.
    order: Vec<u32>,
    pub(super) budget: Budget,
}

impl<'a> Document<'a> {
    pub(super) fn new() -> Self {
        Document { entries: Vec::new(), texts: String::new(), order: Vec::new(), budget: Budget::default() }
    }

    /// With room for the values of this text: nearly always enough, and never more than eight times its size.
    pub(super) fn with_room_for(text: &str, memory: &dyn Memory) -> Result<Self, Fault> {
        let mut document = Document::new();
        let marks = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
        let most = text.len().saturating_mul(8) / size_of::<Entry<'_>>();
        let room = (marks + 1).min(most.max(16));
        take(memory, room.saturating_mul(size_of::<Entry<'_>>()))?;
        document.entries.try_reserve_exact(room).map_err(|_| Fault::Memory)?;
        Ok(document)
    }

    /// Bytes alone.
    pub(crate) fn bytes(bytes: &'a [u8]) -> Self {
        Document { entries: vec![Entry::Bytes(bytes)], ..Document::new() }
    }

    /// The same value, whose texts it borrows.
    ///
    /// # Errors
    /// It is too large.
    pub fn of(value: &'a Value) -> Result<Self, Fault> {
        let mut document = Document::new();
        document.add(value, &())?;
        Ok(document)
    }

    /// At most so many bytes the same value takes as a tree of maps.
    pub(crate) fn tree_bytes(&self) -> usize {
        /// A node of a map has room for eleven members, and of several each is at least half full.
        const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
        let bytes = self.entries.iter().map(|entry| match entry {
            Entry::Null | Entry::Bool(_) | Entry::Number(_) => 0,
            Entry::Text(text) => text.len(),
            Entry::Kept { start, end } => end.saturating_sub(*start) as usize,
            Entry::Bytes(bytes) => bytes.len().saturating_mul(2),
            // Lists double their room.
            Entry::Array { len, .. } => (*len as usize).max(2).saturating_mul(2 * size_of::<Value>()),
            Entry::Object { len: 0, .. } => 0,
            Entry::Object { len: 1..=11, .. } => NODE,
            Entry::Object { len, .. } => (*len as usize / 4).saturating_mul(NODE),
        });
        bytes.sum()
    }

    pub(super) fn add(&mut self, value: &'a Value, memory: &dyn Memory) -> Result<(), Fault> {
        match value {
            Value::Null => self.push(Entry::Null, memory),
            Value::Bool(value) => self.push(Entry::Bool(*value), memory),
            Value::Number(number) => self.push(Entry::Number(Num::of(number)), memory),
            Value::String(text) => self.push(Entry::Text(text), memory),
            Value::Array(items) => {
                let open = self.open(memory)?;
                items.iter().try_for_each(|item| self.add(item, memory))?;
                self.close_array(open, items.len())
            }
            Value::Object(members) => {
                let open = self.open(memory)?;
                for (name, member) in members {
                    self.push(Entry::Text(name), memory)?;
                    self.add(member, memory)?;
                }
                self.close_object(open, members.len(), memory)
            }
        }
    }

    /// Adds the value of another document.
    pub(super) fn append(&mut self, other: &'a Document<'_>, memory: &dyn Memory) -> Result<(), Fault> {
        let base = self.entries.len();
        let order_base = index(self.order.len())?;
        let moved = |place: u32| index(base)?.checked_add(place).ok_or(Fault::Nodes);
        for entry in &other.entries {
            let entry = match *entry {
                Entry::Null => Entry::Null,
                Entry::Bool(value) => Entry::Bool(value),
                Entry::Number(number) => Entry::Number(number),
                Entry::Bytes(bytes) => Entry::Bytes(bytes),
                Entry::Text(text) => Entry::Text(text),
                Entry::Kept { start, end } => Entry::Text(other.kept(start, end)),
                Entry::Array { len, end } => Entry::Array { len, end: moved(end)? },
                Entry::Object { len, end, order } => {
                    Entry::Object { len, end: moved(end)?, order: order_base.saturating_add(order) }
                }
            };
            self.push(entry, memory)?;
        }
        grow(&mut self.order, other.order.len(), memory)?;
        for place in &other.order {
            self.order.push(moved(*place)?);
        }
        Ok(())
    }

    /// The same value without what it borrows.
    ///
    /// # Errors
    /// It is too large.
    pub(crate) fn detached(&self, memory: &dyn Memory) -> Result<Document<'static>, Fault> {
        let mut document = Document::new();
        grow(&mut document.entries, self.entries.len(), memory)?;
        for (place, entry) in self.entries.iter().enumerate() {
            let entry = match *entry {
                Entry::Text(_) | Entry::Kept { .. } => {
                    document.keep(self.text_at(index(place)?).unwrap_or_default(), memory)?
                }
                Entry::Bytes(bytes) => document.keep(&characters(bytes), memory)?,
                Entry::Null => Entry::Null,
                Entry::Bool(value) => Entry::Bool(value),
                Entry::Number(number) => Entry::Number(number),
                Entry::Array { len, end } => Entry::Array { len, end },
                Entry::Object { len, end, order } => Entry::Object { len, end, order },
            };
            document.push(entry, memory)?;
        }
        grow(&mut document.order, self.order.len(), memory)?;
        document.order.extend_from_slice(&self.order);
        Ok(document)
    }

    pub(super) fn push(&mut self, entry: Entry<'a>, memory: &dyn Memory) -> Result<(), Fault> {
        grow(&mut self.entries, 1, memory)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Keeps a text.
    pub(super) fn keep(&mut self, text: &str, memory: &dyn Memory) -> Result<Entry<'a>, Fault> {
        let start = self.texts.len();
        let free = self.texts.capacity() - start;
        if text.len() > free {
            let more = text.len().max(start / 2);
            take(memory, more - free)?;
            self.texts.try_reserve_exact(more).map_err(|_| Fault::Memory)?;
        }
        self.texts.push_str(text);
        Ok(Entry::Kept { start: index(start)?, end: index(self.texts.len())? })
    }

    fn kept(&self, start: u32, end: u32) -> &str {
        self.texts.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Begins an array or an object; answers with its place.
    pub(super) fn open(&mut self, memory: &dyn Memory) -> Result<usize, Fault> {
        self.push(Entry::Null, memory)?;
        Ok(self.entries.len() - 1)
    }

    pub(super) fn close_array(&mut self, open: usize, len: usize) -> Result<(), Fault> {
        let entry = Entry::Array { len: index(len)?, end: index(self.entries.len())? };
        if let Some(place) = self.entries.get_mut(open) {
            *place = entry;
        }
        Ok(())
    }

    /// Ends an object.
    ///
    /// # Errors
    /// Two members have the same name.
    pub(super) fn close_object(&mut self, open: usize, len: usize, memory: &dyn Memory) -> Result<(), Fault> {
        let (end, order) = (index(self.entries.len())?, self.order.len());
        let entry = Entry::Object { len: index(len)?, end, order: index(order)? };
        if let Some(place) = self.entries.get_mut(open) {
            *place = entry;
        }
        // SECURITY: which of two members counts is a matter of taste, so neither does (a_member_stands_once).
        if len <= SEARCHED {
            let mut names = [""; SEARCHED];
            for (known, (place, _)) in self.members(index(open)?).enumerate() {
                let name = self.text_at(place).unwrap_or_default();
                if names.get(..known).is_some_and(|names| names.contains(&name)) {
                    return Err(Fault::Duplicate);
                }
                if let Some(slot) = names.get_mut(known) {
                    *slot = name;
                }
            }
            return Ok(());
        }
        grow(&mut self.order, len, memory)?;
        let mut own = std::mem::take(&mut self.order);
        own.extend(self.members(index(open)?).map(|(place, _)| place));
        let name = |place: &u32| self.text_at(*place).unwrap_or_default();
        let places = own.get_mut(order..).unwrap_or_default();
        places.sort_unstable_by(|one, other| name(one).cmp(name(other)));
        let twice = places.windows(2).any(|pair| match pair {
            [one, other] => name(one) == name(other),
            _ => false,
        });
        self.order = own;
        if twice { Err(Fault::Duplicate) } else { Ok(()) }
    }

    /// How many values and names it holds.
    pub(crate) fn size(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn entry(&self, place: u32) -> Entry<'_> {
        self.entries.get(place as usize).copied().unwrap_or(Entry::Null)
    }

    /// The text at a place, if it is one.
    pub(super) fn text_at(&self, place: u32) -> Option<&str> {
        match self.entry(place) {
            Entry::Text(text) => Some(text),
            Entry::Kept { start, end } => Some(self.kept(start, end)),
            Entry::Null
            | Entry::Bool(_)
            | Entry::Number(_)
            | Entry::Bytes(_)
            | Entry::Array { .. }
            | Entry::Object { .. } => None,
        }
    }

    /// The place after a value.
    pub(super) fn after(&self, place: u32) -> u32 {
        match self.entry(place) {
            Entry::Array { end, .. } | Entry::Object { end, .. } => end,
            Entry::Null
            | Entry::Bool(_)
            | Entry::Number(_)
            | Entry::Text(_)
            | Entry::Kept { .. }
            | Entry::Bytes(_) => place.saturating_add(1),
        }
    }

    /// The places of everything within an array or an object.
    pub(super) fn inside(&self, place: u32) -> Range<u32> {
        place.saturating_add(1)..self.after(place)
    }

    /// The places of the items of an array.
    pub(super) fn items(&self, place: u32) -> impl Iterator<Item = u32> + '_ {
        let mut rest = self.inside(place);
        std::iter::from_fn(move || {
            let item = (rest.start < rest.end).then_some(rest.start)?;
            rest.start = self.after(item);
            Some(item)
        })
    }

    /// The places of the members of an object: name and value.
    pub(super) fn members(&self, place: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut rest = self.inside(place);
        std::iter::from_fn(move || {
            let name = (rest.start < rest.end).then_some(rest.start)?;
            let value = name.saturating_add(1);
            rest.start = self.after(value);
            Some((name, value))
        })
    }

    /// The place of a member's value.
    pub(super) fn member(&self, place: u32, name: &str) -> Option<u32> {
        let Entry::Object { len, order, .. } = self.entry(place) else { return None };
        if len as usize <= SEARCHED {
            return self
                .members(place)
                .find(|(known, _)| self.text_at(*known) == Some(name))
                .map(|(_, value)| value);
        }
        let names = self.order.get(order as usize..(order as usize).saturating_add(len as usize))?;
        let at = names.binary_search_by(|known| self.text_at(*known).unwrap_or_default().cmp(name)).ok()?;
        names.get(at).map(|name| name.saturating_add(1))
    }

    /// The same as a tree, for what needs one.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.value_at(0)
    }

    pub(super) fn value_at(&self, place: u32) -> Value {
        match self.entry(place) {
            Entry::Null => Value::Null,
            Entry::Bool(value) => Value::Bool(value),
            Entry::Number(number) => Value::Number(number.number()),
            Entry::Text(text) => Value::String(text.to_owned()),
            Entry::Kept { start, end } => Value::String(self.kept(start, end).to_owned()),
            Entry::Bytes(bytes) => Value::String(characters(bytes)),
            Entry::Array { .. } => Value::Array(self.items(place).map(|item| self.value_at(item)).collect()),
            Entry::Object { .. } => {
                let members = self.members(place);
                let members = members.map(|(name, value)| {
                    (self.text_at(name).unwrap_or_default().to_owned(), self.value_at(value))
                });
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

/// Bytes as a text of as many characters.
pub(super) fn characters(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        Ok(_) | Err(_) => {
            let mut text = String::with_capacity(bytes.len().saturating_mul(2));
            text.extend(bytes.iter().map(|byte| char::from(*byte)));
            text
        }
    }
}

/// The same without a copy, where the bytes are characters already.
pub(super) fn as_characters(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(characters(bytes)),
    }
}

/// Makes room, half as much again as there is: twice as much would be half unused.
fn grow<T>(list: &mut Vec<T>, more: usize, memory: &dyn Memory) -> Result<(), Fault> {
    let free = list.capacity() - list.len();
    if more <= free {
        return Ok(());
    }
    let room = more.max(list.len() / 2).max(16);
    // SECURITY: memory is counted before it is used (hostile_bodies_stay_within_their_memory).
    take(memory, (room - free).saturating_mul(size_of::<T>()))?;
    list.try_reserve_exact(room).map_err(|_| Fault::Memory)
}

fn take(memory: &dyn Memory, bytes: usize) -> Result<(), Fault> {
    if memory.take(bytes) { Ok(()) } else { Err(Fault::Memory) }
}

fn index(place: usize) -> Result<u32, Fault> {
    u32::try_from(place).map_err(|_| Fault::Nodes)
}
