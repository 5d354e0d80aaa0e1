//! What of a document may be shown when it could not be read to its end.
//!
//! Nothing will be decoded then, so nobody will say which values are secrets. Decides by the sound of the keys for the line
//! of the last error, which people must see to mend it, and hides every value for the errors before it.

use super::{Builder, Collection, Key};
use crate::source::Span;

impl Builder<'_> {
    /// `offset` is where reading stopped.
    // SECURITY: guarded by tests::a_syntax_error_does_not_print_what_may_be_a_secret.
    pub(super) fn conceal_unread(&mut self, offset: usize) {
        if self.diagnostics.len() > 1 {
            self.conceal_tree();
        }
        let line = self.source.position(offset).line;
        let mut keys = self.open.iter().filter_map(|frame| match &frame.collection {
            Collection::Mapping { key: Key::Read(name, _), .. } => Some(name.as_str()),
            Collection::Mapping { .. } | Collection::Sequence(_) => None,
        });
        // An unclosed quote is noticed only at the end, far from the line that matters, hence all lines down to it.
        let first = self.open.last().map_or(1, |frame| self.source.position(frame.end).line);
        if keys.any(sounds_secret) || (first..=line).any(|line| sounds_secret(self.source.line(line))) {
            let span = self.source.line_span(line);
            let text = self.source.slice(span);
            let value =
                text.find(": ").map_or_else(|| text.len() - text.trim_start().len(), |colon| colon + 2);
            self.diagnostics.conceal(Span::new(span.start + value, span.end));
        }
    }

    fn conceal_tree(&mut self) {
        let diagnostics = &mut *self.diagnostics;
        for frame in &self.open {
            match &frame.collection {
                Collection::Sequence(items) => items.iter().for_each(|item| diagnostics.conceal_values(item)),
                Collection::Mapping { entries, .. } => {
                    entries.iter().for_each(|entry| diagnostics.conceal_values(&entry.value));
                }
            }
        }
        self.root.iter().for_each(|root| diagnostics.conceal_values(root));
    }
}

fn sounds_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["secret", "passw", "token", "key", "credential", "hash", "literal"]
        .iter()
        .any(|word| text.contains(word))
}
