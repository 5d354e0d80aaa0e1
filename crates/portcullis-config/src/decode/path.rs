//! The way to a value, such as `routes[2].security`.
//!
//! Decides how a path is spelled. One growing buffer, since a path is kept for every value and printed for almost none.

use std::fmt::Write as _;

#[derive(Default)]
pub(super) struct ValuePath(String);

impl ValuePath {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Goes below a key; the answer is what [`ValuePath::truncate`] takes to come back.
    pub(super) fn push_key(&mut self, key: &str) -> usize {
        let mark = self.0.len();
        let simple = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if !simple {
            // `{:?}` also escapes quotes and control characters.
            let _ = write!(self.0, "[{key:?}]");
        } else {
            if mark > 0 {
                self.0.push('.');
            }
            self.0.push_str(key);
        }
        mark
    }

    /// Goes below an element of a list, counted from 0.
    pub(super) fn push_index(&mut self, index: usize) -> usize {
        let mark = self.0.len();
        let _ = write!(self.0, "[{index}]");
        mark
    }

    pub(super) fn truncate(&mut self, mark: usize) {
        self.0.truncate(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_indices() {
        let mut path = ValuePath::default();
        path.push_key("routes");
        path.push_index(2);
        let mark = path.push_key("security");
        assert_eq!(path.as_str(), "routes[2].security");
        path.truncate(mark);
        path.push_key("a.b\n");
        assert_eq!(path.as_str(), "routes[2][\"a.b\\n\"]");
    }
}
