//! The values of a document under their paths, for whoever looks at values alone. It takes no path apart and has no bound but
//! the one of its caller, which says after each value whether it wants more.

use std::borrow::Cow;

use super::document::{Document, Entry, as_characters};

/// An array or an object whose entries are being read.
struct Open {
    /// The place after its last entry.
    end: u32,
    /// The number of the next item; `None` in an object.
    next: Option<u32>,
    /// How long the path was before it.
    path: usize,
}

impl Document<'_> {
    /// Calls `each` with the path and the text of every value that is no array and no object, in order. The path of the number in
    /// `{"a":[{"b":1}]}` is `root.a.0.b`; the text of `null` is empty. Ends early, with `false`, where `each` answers `false`.
    pub fn leaves(&self, root: &str, each: &mut dyn FnMut(&str, &str) -> bool) -> bool {
        let mut path = root.to_owned();
        let mut open: Vec<Open> = Vec::new();
        let mut place = 0_u32;
        while (place as usize) < self.size() {
            while open.last().is_some_and(|within| within.end <= place) {
                open.pop();
            }
            if let Some(within) = open.last_mut() {
                path.truncate(within.path);
                path.push('.');
                match &mut within.next {
                    Some(number) => {
                        path.push_str(&number.to_string());
                        *number = number.saturating_add(1);
                    }
                    None => {
                        path.push_str(self.text_at(place).unwrap_or_default());
                        place = place.saturating_add(1);
                    }
                }
            }
            let text = match self.entry(place) {
                Entry::Array { end, .. } => {
                    open.push(Open { end, next: Some(0), path: path.len() });
                    place = place.saturating_add(1);
                    continue;
                }
                Entry::Object { end, .. } => {
                    open.push(Open { end, next: None, path: path.len() });
                    place = place.saturating_add(1);
                    continue;
                }
                Entry::Null => Cow::Borrowed(""),
                Entry::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
                Entry::Number(number) => Cow::Owned(number.to_string()),
                Entry::Text(_) | Entry::Kept { .. } => Cow::Borrowed(self.text_at(place).unwrap_or_default()),
                Entry::Bytes(bytes) => as_characters(bytes),
            };
            if !each(&path, &text) {
                return false;
            }
            place = place.saturating_add(1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::Limits;
    use crate::json::Document;

    fn leaves(text: &str) -> Vec<(String, String)> {
        let document = Document::read(text.as_bytes(), &Limits::default(), &()).unwrap();
        let mut found = Vec::new();
        assert!(document.leaves("json", &mut |path, text| {
            found.push((path.to_owned(), text.to_owned()));
            true
        }));
        found
    }

    #[test]
    fn every_value_is_found_under_its_path() {
        let text = r#"{"a":[{"b":1},"x",[],{}],"n":null,"c":{"d":true,"e":-2.50},"f":"l\u00e9"}"#;
        let found = leaves(text);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let wanted = [
            ("json.a.0.b", "1"),
            ("json.a.1", "x"),
            ("json.n", ""),
            ("json.c.d", "true"),
            ("json.c.e", "-2.5"),
            ("json.f", "lé"),
        ];
        assert_eq!(found, wanted);
        assert_eq!(leaves("\"alone\""), [("json".to_owned(), "alone".to_owned())]);
        assert_eq!(leaves("[[1],[2]]").len(), 2);
        assert!(leaves("[]").is_empty());
    }

    #[test]
    fn a_reader_that_has_enough_gets_no_more() {
        let document = Document::read(b"[1,2,3]", &Limits::default(), &()).unwrap();
        let mut count = 0;
        assert!(!document.leaves("", &mut |_, _| {
            count += 1;
            count < 2
        }));
        assert_eq!(count, 2);
    }
}
