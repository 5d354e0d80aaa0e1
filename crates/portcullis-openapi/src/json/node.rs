//! How the schema library sees a [`Document`]. Every look at a value spends from the document's budget.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::ops::{ControlFlow, Range};

use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use jsonschema::types::JsonType;
use serde_json::{Number, Value};

use super::document::{Document, Entry, Num, as_characters};

/// Documents as the schema library's representation of JSON.
pub(crate) struct Flat;

/// One value in a document, or a text alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look<'a> {
    At(&'a Document<'a>, u32),
    Name(&'a str),
}

impl<'a> Document<'a> {
    pub(crate) fn root(&'a self) -> Look<'a> {
        Look::At(self, 0)
    }
}

/// Looks that may be spent on a text alone.
const MOST_FOR_A_NAME: usize = 4096;

/// What an error or an annotation holds instead of the value. `true`: it was found while there was something left to
/// spend, so it is true of the value.
pub(crate) const FOUND: Value = Value::Bool(true);

impl Json for Flat {
    type Node<'a> = Look<'a>;
    type PreparedKey = String;
    type StringBuffer = ();

    const KEYS_PER_LOOKUP: usize = 3;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Look<'_>) -> T) -> T {
        f(Look::Name(string))
    }
}

impl<'a> Look<'a> {
    /// The entry, unless everything is spent.
    fn entry(&self) -> Option<Entry<'a>> {
        match self {
            Look::At(document, place) => document.budget.look().then(|| document.entry(*place)),
            Look::Name(text) => Some(Entry::Text(text)),
        }
    }

    /// The text that it is, if it is one.
    pub(crate) fn as_text(&self) -> Option<Cow<'a, str>> {
        self.text()
    }

    /// Spends so many looks more. `false`: there are none left.
    pub(crate) fn pay(&self, looks: usize) -> bool {
        match self {
            Look::At(document, _) => document.budget.pay(looks),
            // A name alone has no budget, so it gets what a short one needs.
            Look::Name(_) => looks <= MOST_FOR_A_NAME,
        }
    }

    /// Spends everything, so that whatever is said of the document is void.
    pub(crate) fn give_up(&self) {
        if let Look::At(document, _) = self {
            document.budget.pay(usize::MAX);
        }
    }

    fn text(&self) -> Option<Cow<'a, str>> {
        let text = match (self.entry()?, self) {
            (Entry::Text(text), _) => Cow::Borrowed(text),
            (Entry::Kept { .. }, Look::At(document, place)) => Cow::Borrowed(document.text_at(*place)?),
            (Entry::Bytes(bytes), _) => as_characters(bytes),
            (_, _) => return None,
        };
        if let Look::At(document, _) = self {
            document.budget.read(text.len());
        }
        Some(text)
    }
}

impl<'a> Node<'a, Flat> for Look<'a> {
    type Object = Members<'a>;
    type Array = Items<'a>;
    type Number = Num;

    fn as_object(&self) -> Option<Members<'a>> {
        match (self.entry()?, self) {
            (Entry::Object { len, .. }, Look::At(document, place)) => {
                Some(Members { document, place: *place, len: len as usize })
            }
            (_, _) => None,
        }
    }

    fn as_array(&self) -> Option<Items<'a>> {
        match (self.entry()?, self) {
            (Entry::Array { len, .. }, Look::At(document, place)) => {
                Some(Items { document, place: *place, len: len as usize })
            }
            (_, _) => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.text()
    }

    fn as_number(&self) -> Option<Num> {
        let Entry::Number(number) = self.entry()? else { return None };
        Some(number)
    }

    fn as_boolean(&self) -> Option<bool> {
        let Entry::Bool(value) = self.entry()? else { return None };
        Some(value)
    }

    fn is_null(&self) -> bool {
        matches!(self.entry(), Some(Entry::Null))
    }

    fn json_type(&self) -> JsonType {
        match self.entry() {
            Some(Entry::Null) | None => JsonType::Null,
            Some(Entry::Bool(_)) => JsonType::Boolean,
            Some(Entry::Number(_)) => JsonType::Number,
            Some(Entry::Text(_) | Entry::Kept { .. } | Entry::Bytes(_)) => JsonType::String,
            Some(Entry::Array { .. }) => JsonType::Array,
            Some(Entry::Object { .. }) => JsonType::Object,
        }
    }

    fn string_length(&self) -> Option<u64> {
        // Each byte stands for a character.
        if let Entry::Bytes(bytes) = self.entry()? {
            return Some(bytes.len() as u64);
        }
        self.text().map(|text| text.chars().count() as u64)
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        if let Entry::Bytes(bytes) = self.entry()? {
            return Some((min..=max).contains(&(bytes.len() as u64)));
        }
        let text = self.text()?;
        // A character takes one to four bytes.
        let bytes = text.len() as u64;
        if bytes < min || bytes.div_ceil(4) > max {
            return Some(false);
        }
        if min <= bytes.div_ceil(4) && bytes <= max {
            return Some(true);
        }
        let length = text.chars().count() as u64;
        Some((min..=max).contains(&length))
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match expected {
            Value::Null => self.is_null(),
            Value::Bool(expected) => self.as_boolean() == Some(*expected),
            Value::Number(expected) => {
                self.as_number().is_some_and(|number| jsonschema::json::cmp::equal_numbers(&number, expected))
            }
            Value::String(expected) => self.text().is_some_and(|text| text == *expected),
            Value::Array(expected) => self.as_array().is_some_and(|items| {
                items.len() == expected.len()
                    && items.elements().zip(expected).all(|(item, expected)| item.equals_value(expected))
            }),
            Value::Object(expected) => self.as_object().is_some_and(|members| {
                members.len() == expected.len()
                    && expected.iter().all(|(name, expected)| {
                        members.get(name).is_some_and(|member| member.equals_value(expected))
                    })
            }),
        }
    }

    /// Not the value: an error holds what is returned here, and errors are many where values are large.
    fn to_value(&self) -> Cow<'a, Value> {
        let found = match self {
            Look::At(document, _) => document.budget.error(),
            Look::Name(_) => true,
        };
        Cow::Owned(Value::Bool(found))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(match self {
            Look::At(document, place) => {
                // Following a reference is a look as well.
                document.budget.look();
                std::ptr::from_ref(document.entries.get(*place as usize)?) as usize
            }
            Look::Name(text) => text.as_ptr() as usize,
        }))
    }

    fn container_identity(&self) -> Option<NodeIdentity> {
        match self {
            Look::At(document, place) => {
                let is_container =
                    matches!(document.entry(*place), Entry::Array { .. } | Entry::Object { .. });
                // SECURITY: what is remembered is memory too (hostile_bodies_stay_within_their_memory).
                (is_container && document.budget.remember()).then(|| self.identity()).flatten()
            }
            Look::Name(_) => None,
        }
    }
}

/// The members of an object.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a> {
    document: &'a Document<'a>,
    place: u32,
    len: usize,
}

impl<'a> Object<'a, Flat> for Members<'a> {
    type Node = Look<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, key: &String) -> Option<Look<'a>> {
        let Members { document, place, .. } = *self;
        document.budget.look().then(|| document.member(place, key)).flatten().map(|at| Look::At(document, at))
    }

    fn members(&self) -> Self::MembersIter {
        MembersIter(self.document, self.document.inside(self.place))
    }

    fn try_for_each_name_node<B>(
        &self,
        (): &mut (),
        mut f: impl FnMut(Look<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.document.members(self.place).try_for_each(|(name, _)| f(Look::At(self.document, name)))
    }
}

/// The items of an array.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a> {
    document: &'a Document<'a>,
    place: u32,
    len: usize,
}

impl<'a> Array<'a, Flat> for Items<'a> {
    type Node = Look<'a>;
    type ElementsIter = ItemsIter<'a>;

    fn len(&self) -> usize {
        self.len
    }

    fn elements(&self) -> Self::ElementsIter {
        ItemsIter(self.document, self.document.inside(self.place))
    }

    /// By sorted hashes, so that it takes 16 bytes for each item and no copy of any.
    fn is_unique(&self) -> bool {
        let hasher = RandomState::new();
        let mut hashes: Vec<(u64, u32)> = Vec::with_capacity(self.len);
        for item in self.document.items(self.place) {
            hashes.push((hash(self.document, item, &hasher), item));
        }
        hashes.sort_unstable();
        let mut same = hashes.chunk_by(|(one, _), (other, _)| one == other);
        same.all(|same| {
            same.iter().enumerate().all(|(at, (_, one))| {
                let others = same.get(at + 1..).unwrap_or_default();
                !others.iter().any(|(_, other)| equal(self.document, *one, *other))
            })
        })
    }
}

/// Members in the order in which they came.
pub(crate) struct MembersIter<'a>(&'a Document<'a>, Range<u32>);

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, Look<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let MembersIter(document, rest) = self;
        if rest.start >= rest.end || !document.budget.look() {
            return None;
        }
        let (name, value) = (rest.start, rest.start.saturating_add(1));
        rest.start = document.after(value);
        Some((document.text_at(name).unwrap_or_default(), Look::At(document, value)))
    }
}

/// Items in their order.
pub(crate) struct ItemsIter<'a>(&'a Document<'a>, Range<u32>);

impl<'a> Iterator for ItemsIter<'a> {
    type Item = Look<'a>;

    fn next(&mut self) -> Option<Look<'a>> {
        let ItemsIter(document, rest) = self;
        if rest.start >= rest.end || !document.budget.look() {
            return None;
        }
        let item = rest.start;
        rest.start = document.after(item);
        Some(Look::At(document, item))
    }
}

/// A hash that equal values share: numbers that are equal are equal whatever their form, and members have no order.
fn hash(document: &Document<'_>, place: u32, state: &RandomState) -> u64 {
    let mut hasher = state.build_hasher();
    if !document.budget.look() {
        return 0;
    }
    match document.entry(place) {
        Entry::Null => 0_u8.hash(&mut hasher),
        Entry::Bool(value) => (1_u8, value).hash(&mut hasher),
        Entry::Number(number) => (2_u8, (number.as_f64().unwrap_or(0.0) + 0.0).to_bits()).hash(&mut hasher),
        Entry::Text(_) | Entry::Kept { .. } => {
            let text = document.text_at(place).unwrap_or_default();
            document.budget.read(text.len());
            (3_u8, text).hash(&mut hasher);
        }
        Entry::Bytes(bytes) => (3_u8, as_characters(bytes)).hash(&mut hasher),
        Entry::Array { len, .. } => {
            (4_u8, len).hash(&mut hasher);
            document.items(place).for_each(|item| hash(document, item, state).hash(&mut hasher));
        }
        Entry::Object { len, .. } => {
            (5_u8, len).hash(&mut hasher);
            let members = document.members(place);
            let sum = members.fold(0_u64, |sum, (name, value)| {
                let member = (hash(document, name, state), hash(document, value, state));
                sum.wrapping_add(state.hash_one(member))
            });
            sum.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Whether two values are equal, by the rules of JSON Schema.
fn equal(document: &Document<'_>, one: u32, other: u32) -> bool {
    if !document.budget.look() {
        return false;
    }
    match (document.entry(one), document.entry(other)) {
        (Entry::Null, Entry::Null) => true,
        (Entry::Bool(one), Entry::Bool(other)) => one == other,
        (Entry::Number(one), Entry::Number(other)) => {
            jsonschema::json::cmp::equal_numbers(&one, &other.number())
        }
        (Entry::Array { len: one_len, .. }, Entry::Array { len: other_len, .. }) => {
            one_len == other_len
                && document
                    .items(one)
                    .zip(document.items(other))
                    .all(|(one, other)| equal(document, one, other))
        }
        (Entry::Object { len: one_len, .. }, Entry::Object { len: other_len, .. }) => {
            one_len == other_len
                && document.members(one).all(|(name, value)| {
                    let found = document.text_at(name).and_then(|name| document.member(other, name));
                    found.is_some_and(|other| equal(document, value, other))
                })
        }
        (Entry::Bytes(one), Entry::Bytes(other)) => one == other,
        (_, _) => match (document.text_at(one), document.text_at(other)) {
            (Some(one), Some(other)) => one == other,
            (Some(_) | None, Some(_) | None) => false,
        },
    }
}

impl JsonNumber for Num {
    fn as_u64(&self) -> Option<u64> {
        match self {
            Num::Positive(value) => Some(*value),
            Num::Negative(_) | Num::Float(_) | Num::Whole(_) => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self {
            Num::Positive(value) => i64::try_from(*value).ok(),
            Num::Negative(value) => Some(*value),
            Num::Float(_) | Num::Whole(_) => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        Some(match self {
            Num::Positive(value) => *value as f64,
            Num::Negative(value) => *value as f64,
            Num::Float(value) | Num::Whole(value) => *value,
        })
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(self.number().to_string())
    }

    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(self.number())
    }

    fn is_integer(&self) -> bool {
        match self {
            Num::Positive(_) | Num::Negative(_) | Num::Whole(_) => true,
            Num::Float(value) => value.fract() == 0.0,
        }
    }

    fn is_written_as_integer(&self) -> bool {
        matches!(self, Num::Whole(_)) || JsonNumber::is_written_as_integer(&self.number())
    }
}
