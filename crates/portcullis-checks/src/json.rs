//! JSON with one reading: no name twice in an object, no more than so deep and so many values.

use portcullis_core::Claim;
use portcullis_openapi::Memory;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// How large a text may be, as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The deepest nesting.
    pub depth: usize,
    /// The most values in all.
    pub values: usize,
}

/// Reads a value.
///
/// # Errors
/// It is no JSON (RFC 8259), something follows it, a name repeats, or it is too deep or too large. The text says which,
/// and nothing of the content.
pub fn read(bytes: &[u8], bounds: Bounds) -> Result<Claim, &'static str> {
    read_within(bytes, bounds, &()).map_err(|unread| match unread {
        Unread::Malformed(detail) => detail,
        // Nobody counts here.
        Unread::NoMemory => "no memory is left",
    })
}

/// Why a value was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is no JSON, has several readings, or is too deep or too large.
    Malformed(&'static str),
    /// No memory is left for it. This is not the sender's fault.
    NoMemory,
}

/// What a value takes at most, beside its texts: a member of an object, while the list of them grows.
const BYTES_OF_A_VALUE: usize = 3 * size_of::<(String, Claim)>() / 2;

/// [`read`], and the memory for it is taken from `memory`.
///
/// # Errors
/// Those of [`read`], or no memory is left.
pub fn read_within(bytes: &[u8], bounds: Bounds, memory: &dyn Memory) -> Result<Claim, Unread> {
    let (values, starved) = (Cell::new(0), Cell::new(false));
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value =
        Strict { depth: 0, bounds, values: &values, memory, starved: &starved }.deserialize(&mut reader);
    let value = value.map_err(|error| match error.classify() {
        _ if starved.get() => Unread::NoMemory,
        serde_json::error::Category::Data => {
            Unread::Malformed("a name repeats, or it is too deep or too large")
        }
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => Unread::Malformed("it is not JSON"),
    })?;
    reader.end().map_err(|_| Unread::Malformed("something follows the JSON value"))?;
    Ok(value)
}

/// The names of an object so far, beyond the first few: those are compared one by one, which is faster than hashing them.
#[derive(Default)]
struct Names(std::collections::HashSet<String>);

impl Names {
    /// How many names are compared one by one. More of them are hashed, so that a large object does not cost its square.
    const FEW: usize = 16;

    fn is_new(&mut self, name: &str, members: &[(String, Claim)]) -> bool {
        if members.len() < Self::FEW {
            return !members.iter().any(|(there, _)| there == name);
        }
        if self.0.is_empty() {
            self.0.extend(members.iter().map(|(there, _)| there.clone()));
        }
        self.0.insert(name.to_owned())
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    bounds: Bounds,
    values: &'a Cell<usize>,
    memory: &'a dyn Memory,
    starved: &'a Cell<bool>,
}

impl Strict<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth >= self.bounds.depth {
            return Err(E::custom("too deep"));
        }
        Ok(Strict { depth: self.depth + 1, ..self })
    }

    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        if self.memory.take(bytes) {
            return Ok(());
        }
        self.starved.set(true);
        Err(E::custom("no memory is left"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Claim;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Claim, D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > self.bounds.values {
            return Err(D::Error::custom("too many values"));
        }
        self.take(BYTES_OF_A_VALUE)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Claim;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Claim, E> {
        Ok(Claim::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Claim, E> {
        Ok(Claim::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Claim, E> {
        Ok(Claim::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Claim, E> {
        Ok(i64::try_from(value).map_or(Claim::Number(value as f64), Claim::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Claim, E> {
        Ok(Claim::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Claim, E> {
        self.take(value.len())?;
        Ok(Claim::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Claim, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Claim::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Claim, A::Error> {
        let inner = self.inner()?;
        let mut members: Vec<(String, Claim)> = Vec::new();
        let mut seen = Names::default();
        while let Some(name) = entries.next_key::<String>()? {
            // SECURITY: which of two values counts is a matter of taste, so neither does (a_name_stands_once).
            if !seen.is_new(&name, &members) {
                return Err(A::Error::custom("a name repeats"));
            }
            self.take(name.len())?;
            let value = entries.next_value_seed(inner)?;
            members.push((name, value));
        }
        Ok(Claim::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 16, values: 4096 };

    fn object(bytes: &[u8]) -> Result<Claim, &'static str> {
        read(bytes, BOUNDS)
    }

    #[test]
    fn a_name_stands_once() {
        for bad in [
            r#"{"sub":"a","sub":"b"}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":[{"b":1,"\u0062":1}]}"#,
            "",
            "{",
            r#"{"a":1} {}"#,
            r#"{"a":1}x"#,
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            r#"{'a':1}"#,
            r#"{"a":"\ud800"}"#,
            "\u{feff}{}",
        ] {
            assert!(object(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in ["[]", "1", "null"] {
            assert!(crate::token::json::object(bad.as_bytes()).is_err(), "{bad} is no object");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
        let good = object(br#" {"a":1,"b":{"a":1.5},"c":[null,true,"x",18446744073709551615]} "#).unwrap();
        assert_eq!(good.member("a"), Some(&Claim::Integer(1)));
    }

    #[test]
    fn a_name_stands_once_among_many() {
        for count in 1..40 {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":0")).collect();
            let good = format!("{{{}}}", members.join(","));
            assert!(object(good.as_bytes()).is_ok(), "{count}");
            for again in 0..count {
                let bad = format!("{{{},\"{again}\":0}}", members.join(","));
                assert!(object(bad.as_bytes()).is_err(), "{again} of {count}");
            }
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(deep(BOUNDS.depth - 1).as_bytes()).is_ok());
        assert!(object(deep(BOUNDS.depth).as_bytes()).is_err());
        assert!(object(deep(100_000).as_bytes()).is_err());
        let wide = |items: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(items));
        assert!(object(wide(1000).as_bytes()).is_ok());
        assert!(object(wide(100_000).as_bytes()).is_err());
    }
}
