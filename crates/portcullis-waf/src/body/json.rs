//! JSON, as arguments: `{"a":[{"b":1}]}` is `json.a.0.b` with the value `1`.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// One argument: its path, and its value as text.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Reads a document. A key that occurs twice gives two arguments. Nesting is bounded by the parser, at 128.
///
/// # Errors
///
/// What is wrong with it, with the pairs that were read before.
pub(crate) fn parse(text: &[u8]) -> (Vec<Pair>, Option<String>) {
    let mut found = Found { pairs: Vec::new(), name_bytes: 0 };
    let mut path = b"json".to_vec();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let result =
        Node { path: &mut path, found: &mut found }.deserialize(&mut reader).and_then(|()| reader.end());
    (found.pairs, result.err().map(|error| error.to_string()))
}

/// The most bytes that all paths of a document may have together. A long name with many values below it would
/// otherwise be copied for each of them.
const MOST_NAME_BYTES: usize = 4 << 20;

struct Found {
    pairs: Vec<Pair>,
    name_bytes: usize,
}

struct Node<'n> {
    path: &'n mut Vec<u8>,
    found: &'n mut Found,
}

impl Node<'_> {
    fn push<E: serde::de::Error>(self, value: Vec<u8>) -> Result<(), E> {
        self.found.name_bytes += self.path.len();
        if self.found.pairs.len() >= super::MOST_ENTRIES || self.found.name_bytes > MOST_NAME_BYTES {
            return Err(E::custom("too many values"));
        }
        self.found.pairs.push((self.path.clone(), value));
        Ok(())
    }

    fn within<E>(
        path: &mut Vec<u8>,
        found: &mut Found,
        key: &[u8],
        read: impl FnOnce(Node<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let length = path.len();
        path.push(b'.');
        path.extend(key);
        let result = read(Node { path, found });
        path.truncate(length);
        result
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.push(Vec::new())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.push(value.to_string().into_bytes())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.push(value.to_string().into_bytes())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.push(value.to_string().into_bytes())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.push(value.to_string().into_bytes())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.push(value.as_bytes().to_vec())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { path, found } = self;
        let mut index = 0_usize;
        loop {
            let mut more = false;
            Self::within(path, found, index.to_string().as_bytes(), |node| {
                more = elements.next_element_seed(node)?.is_some();
                Ok(())
            })?;
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { path, found } = self;
        while let Some(key) = members.next_key::<String>()? {
            Self::within(path, found, key.as_bytes(), |node| members.next_value_seed(node))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_name_members_and_places() {
        let (pairs, error) = super::parse(br#"{"a":[{"b":1},"x"],"a":null,"c":{"d":true}}"#);
        let pairs: Vec<(String, String)> = pairs
            .into_iter()
            .map(|(n, v)| (String::from_utf8(n).unwrap(), String::from_utf8(v).unwrap()))
            .collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("json.a.0.b", "1"), ("json.a.1", "x"), ("json.a", ""), ("json.c.d", "true")]);
        assert_eq!(error, None);
    }

    #[test]
    fn a_long_name_is_not_copied_without_bound() {
        let text = format!("{{\"{}\":[{}1]}}", "k".repeat(100_000), "1,".repeat(9_000));
        let (pairs, error) = super::parse(text.as_bytes());
        assert!(error.is_some());
        assert!(pairs.iter().map(|(name, _)| name.len()).sum::<usize>() <= super::MOST_NAME_BYTES);
    }

    #[test]
    fn what_follows_a_document_and_what_is_too_deep_is_a_fault() {
        assert!(super::parse(b"{} x").1.is_some());
        assert!(super::parse("[".repeat(10_000).as_bytes()).1.is_some());
        let keys = format!("{{{}\"z\":{{}}}}", "\"k\":{},".repeat(50_000));
        assert!(super::parse(keys.as_bytes()).1.is_none(), "empty objects hold no value");
    }
}
