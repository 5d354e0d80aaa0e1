//! What is wrong with a document: one [`Diagnostic`] each, collected in [`Diagnostics`].
//!
//! Decides what a diagnostic carries and in which order they come. It does not print; `render` does. Collecting never
//! stops at the first error, and pushing cannot fail.

use crate::decode::Secret;
use crate::node::{Node, Value};
use crate::source::Span;

/// Whether a document with this diagnostic may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is used; somebody should look at it.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// A stable name for scripts and documentation, such as `config.unknown_key`.
    pub code: &'static str,
    /// Whether it refuses the document.
    pub severity: Severity,
    /// One sentence without a full stop. Never holds a secret's text.
    pub message: String,
    /// Where; [`Span::NONE`] for a document made in code.
    pub span: Span,
    /// The way to the value, such as `routes[2].security`; empty at the document's root.
    pub path: String,
    /// What stands right under the marked text.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that matter.
    pub related: Vec<Related>,
}

/// Another place that a diagnostic speaks of, such as the first of two duplicate keys.
#[derive(Debug, Clone)]
pub struct Related {
    /// Where.
    pub span: Span,
    /// What is there.
    pub label: String,
}

impl Diagnostic {
    /// A diagnostic without label, help or path.
    pub fn new(code: &'static str, severity: Severity, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            span,
            path: String::new(),
            label: None,
            help: None,
            related: Vec::new(),
        }
    }

    /// Says what stands right under the marked text.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Points to another place that matters.
    pub fn related(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.related.push(Related { span, label: label.into() });
        self
    }
}

/// All diagnostics of one document, and the places in it that must never be shown.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    concealed: Vec<Span>,
    variables: Vec<(Secret, String)>,
    errors: usize,
}

impl Diagnostics {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a diagnostic and gives it back for a label or help.
    pub fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
        }
        self.items.push_mut(diagnostic)
    }

    /// Marks text that holds a secret: whoever prints the document replaces it by `•••`.
    // SECURITY: guarded by render::tests::concealed_text_is_never_printed.
    pub fn conceal(&mut self, span: Span) {
        if !span.is_none() {
            self.concealed.push(span);
        }
    }

    /// Conceals all values in a tree that nobody has read and that may hold secrets therefore; its keys stay visible.
    // SECURITY: guarded by decode::tests::what_was_not_read_is_not_printed.
    pub fn conceal_values(&mut self, node: &Node) {
        match &node.value {
            Value::Null | Value::Bool(_) => {}
            Value::Integer(_) | Value::Float(_) | Value::String(_) => self.conceal(node.span),
            Value::Sequence(items) => items.iter().for_each(|item| self.conceal_values(item)),
            Value::Mapping(entries) => entries.iter().for_each(|entry| self.conceal_values(&entry.value)),
        }
    }

    /// Notes what a variable of the environment gave: whoever prints a message shows `name`, such as `${TOKEN}`, in place of
    /// the value. Values of fewer than four bytes are not kept: no secret is that short, and they stand in every text.
    pub fn conceal_variable(&mut self, value: &str, name: impl Into<String>) {
        if value.len() >= 4 && !self.variables.iter().any(|(known, _)| known.expose() == value) {
            self.variables.push((Secret::new(value), name.into()));
        }
    }

    /// What variables of the environment gave, and what is shown in its place.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(value, name)| (value.expose(), name.as_str()))
    }

    /// The places that must never be shown, in no particular order.
    pub fn concealed(&self) -> &[Span] {
        &self.concealed
    }

    /// Whether the document must be refused.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// How many warnings there are.
    pub fn warning_count(&self) -> usize {
        self.items.len() - self.errors
    }

    /// How many diagnostics there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The diagnostics by their place in the document; those of the same place in the order in which they were found.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.items.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.span.start);
        sorted
    }

    /// Adds everything that another collection holds.
    pub fn append(&mut self, other: Self) {
        self.errors += other.errors;
        self.items.extend(other.items);
        self.concealed.extend(other.concealed);
        self.variables.extend(other.variables);
    }

    /// Puts a better error in the place of an earlier, less telling one; false when there was none at `index`.
    pub(crate) fn replace_error(&mut self, index: usize, better: Diagnostic) -> bool {
        let Some(slot) = self.items.get_mut(index) else { return false };
        debug_assert_eq!((slot.severity, better.severity), (Severity::Error, Severity::Error));
        *slot = better;
        true
    }
}

/// In the order of [`Diagnostics::sorted`].
impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(mut self) -> Self::IntoIter {
        self.items.sort_by_key(|diagnostic| diagnostic.span.start);
        self.items.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_order() {
        let mut diagnostics = Diagnostics::new();
        assert!(diagnostics.is_empty() && !diagnostics.has_errors());
        diagnostics.push(Diagnostic::new("b", Severity::Warning, Span::new(9, 10), "later"));
        assert!(!diagnostics.has_errors());
        diagnostics
            .push(Diagnostic::new("a", Severity::Error, Span::new(1, 2), "earlier"))
            .label("here")
            .help("do");
        assert_eq!((diagnostics.error_count(), diagnostics.warning_count(), diagnostics.len()), (1, 1, 2));
        assert_eq!(diagnostics.sorted()[0].code, "a");
        let codes: Vec<_> = diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, ["a", "b"]);
    }

    #[test]
    fn appending_keeps_counts_and_secrets() {
        let mut all = Diagnostics::new();
        let mut other = Diagnostics::new();
        other.push(Diagnostic::new("a", Severity::Error, Span::NONE, "x"));
        other.conceal(Span::new(1, 2));
        other.conceal(Span::NONE);
        all.append(other);
        assert!(all.has_errors());
        assert_eq!(all.concealed(), [Span::new(1, 2)]);
    }
}
