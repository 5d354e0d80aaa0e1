//! The text of a document and positions in it.
//!
//! Decides how a byte offset becomes a line and a column. It does not read files and knows nothing of YAML. An offset
//! outside the text is answered with the nearest position inside it, never with a panic.
//!
//! A document may be made of several files. Each has its own range of offsets, so that a [`Span`] says by itself in which
//! file it lies: [`Source::following`] gives a file the range after that of the one before.

use std::fmt;

/// A document's name and text, with an index of its lines.
#[derive(Clone)]
pub struct Source {
    name: String,
    text: String,
    /// The offset of the first byte among all files of the document.
    base: usize,
    /// Where in the text each line starts; the first is always 0.
    line_starts: Vec<usize>,
}

impl Source {
    /// A document called `name` (usually its path) with the given text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts = line_starts(&text);
        Self { name: name.into(), text, base: 0, line_starts }
    }

    /// The next file of the document that `self` belongs to: its offsets begin after those of `self`.
    #[must_use]
    pub fn following(&self, name: impl Into<String>, text: impl Into<String>) -> Self {
        // One offset lies between two files, so that the end of one is not the start of the next.
        Self { base: self.base + self.text.len() + 1, ..Self::new(name, text) }
    }

    /// The offset of the first byte among all files of the document; 0 for the first file.
    pub fn base(&self) -> usize {
        self.base
    }

    /// Whether a span lies in this file.
    pub fn holds(&self, span: Span) -> bool {
        (self.base..=self.base + self.text.len()).contains(&span.start)
    }

    /// The whole file.
    pub fn span(&self) -> Span {
        Span::new(self.base, self.base + self.text.len())
    }

    /// The name that diagnostics print, usually the path as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let end = self.floor(offset);
        let line = self.line_starts.partition_point(|start| *start <= end).saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let column = self.text.get(start..end).map_or(0, |before| before.chars().count());
        Position { line: line + 1, column: column + 1 }
    }

    /// The span of a line without its line break. Lines count from 1; a line that does not exist is empty.
    pub fn line_span(&self, line: usize) -> Span {
        let length = self.text.len();
        let start =
            line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(length);
        let end = self.line_starts.get(line).copied().unwrap_or(length).max(start);
        let text = self.text.get(start..end).unwrap_or("");
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Span::new(self.base + start, self.base + start + text.len())
    }

    /// The text of a line without its line break. Lines count from 1; a line that does not exist is empty.
    pub fn line(&self, line: usize) -> &str {
        self.slice(self.line_span(line))
    }

    /// The text of a span, empty when the span is not inside the text.
    pub fn slice(&self, span: Span) -> &str {
        let local = |offset: usize| offset.checked_sub(self.base);
        let range = local(span.start).zip(local(span.end));
        range.and_then(|(start, end)| self.text.get(start..end)).unwrap_or("")
    }

    /// The nearest character boundary at or before `offset`, counted in this text.
    pub(crate) fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset.saturating_sub(self.base).min(self.text.len()))
    }
}

/// A document's text may hold secrets, so only its size is shown.
impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Source({:?}, {} bytes)", self.name, self.text.len())
    }
}

/// YAML 1.2 (section 5.4) breaks lines at LF, CR LF and a lone CR.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (offset, byte) in bytes.iter().enumerate() {
        let breaks = match byte {
            b'\n' => true,
            b'\r' => bytes.get(offset + 1) != Some(&b'\n'),
            _ => false,
        };
        if breaks {
            starts.push(offset + 1);
        }
    }
    starts
}

/// A place in a text as people count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A half-open range of byte offsets in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span of whatever was made in code and stands in no text.
    pub const NONE: Self = Self { start: usize::MAX, end: usize::MAX };

    /// The range from `start` to `end`, empty when they are the wrong way round.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Whether there is no text that this span could point to.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The smallest span that covers both; a missing one does not count.
    pub fn to(self, other: Self) -> Self {
        match (self.is_none(), other.is_none()) {
            (true, _) => other,
            (_, true) => self,
            (false, false) => Self::new(self.start.min(other.start), self.end.max(other.end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("a.yaml", "é: 1\r\nb\rc\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(2), Position { line: 1, column: 2 });
        assert_eq!(source.position(7), Position { line: 2, column: 1 });
        assert_eq!(source.position(9), Position { line: 3, column: 1 });
        assert_eq!(source.line(1), "é: 1");
        assert_eq!(source.line(2), "b");
        assert_eq!(source.line(3), "c");
        assert_eq!(source.line(4), "");
    }

    #[test]
    fn offsets_outside_the_text_or_inside_a_character_do_not_panic() {
        let source = Source::new("a.yaml", "é");
        assert_eq!(source.position(1), Position { line: 1, column: 1 });
        assert_eq!(source.position(usize::MAX), Position { line: 1, column: 2 });
        assert_eq!(source.slice(Span::new(0, 1)), "");
        assert_eq!(source.slice(Span::NONE), "");
        assert_eq!(source.line(0), "");
        assert_eq!(source.line(usize::MAX - 1), "");
    }

    #[test]
    fn each_file_of_a_document_has_offsets_of_its_own() {
        let first = Source::new("a.yaml", "a: 1\n");
        let second = first.following("b.yaml", "b: 2\nc: 3\n");
        let span = Span::new(second.base() + 5, second.base() + 6);
        assert!(second.holds(span) && !first.holds(span));
        assert!(
            first.holds(Span::new(5, 5)) && !second.holds(Span::new(5, 5)),
            "the end of a file belongs to it"
        );
        assert_eq!((second.slice(span), second.position(span.start)), ("c", Position { line: 2, column: 1 }));
        assert_eq!(second.slice(second.line_span(2)), "c: 3");
        assert_eq!(first.slice(span), "");
    }

    #[test]
    fn spans_join_and_a_missing_one_does_not_count() {
        assert_eq!(Span::new(3, 4).to(Span::new(1, 2)), Span::new(1, 4));
        assert_eq!(Span::NONE.to(Span::new(1, 2)), Span::new(1, 2));
        assert_eq!(Span::new(1, 2).to(Span::NONE), Span::new(1, 2));
    }

    #[test]
    fn debug_does_not_show_the_text() {
        assert!(!format!("{:?}", Source::new("a.yaml", "hunter2")).contains("hunter2"));
    }
}
