//! The piece of a line that a diagnostic shows.
//!
//! Decides which characters of the line appear and where the marks go under them. Concealed bytes become `•••` whatever
//! else happens to the line.

use super::push_visible;
use crate::source::{Source, Span};

/// How many columns of a line are shown.
const WIDTH: usize = 100;

/// How many columns before the marked text are shown when the line has to be cut.
const BEFORE: usize = 40;

/// How many bytes to each side of the marked text are looked at: a document can be one line of ten megabytes.
const REACH: usize = 4096;

const HIDDEN: &str = "•••";

/// What to print of a line.
pub(super) struct Excerpt {
    /// The text, safe for a terminal.
    pub(super) line: String,
    /// How many columns stand before the marks.
    pub(super) column: usize,
    /// How many marks there are, at least one.
    pub(super) width: usize,
}

/// The line in which `span` starts. `concealed` is sorted and without overlap.
pub(super) fn excerpt(source: &Source, span: Span, concealed: &[Span]) -> Excerpt {
    let line = source.line_span(source.position(span.start).line);
    let base = source.base();
    let from = (base + source.floor(span.start.saturating_sub(REACH))).max(line.start);
    let to = (base + source.floor(span.start.saturating_add(REACH))).min(line.end).max(from);

    let mut pieces: Vec<Piece> = Vec::new();
    let mut hidden_until = from;
    for (offset, character) in source.slice(Span::new(from, to)).char_indices() {
        let offset = from + offset;
        let marked = span.start <= offset && offset < span.end;
        if let Some(secret) = covering(concealed, offset) {
            // One run of dots per secret, so that its length cannot be counted; it is marked if any of it is.
            if offset >= hidden_until {
                hidden_until = secret.end;
                let marked = span.start < secret.end && secret.start < span.end;
                pieces.push(Piece { offset, shown: HIDDEN.to_owned(), marked });
            }
            continue;
        }
        let mut shown = String::new();
        push_visible(&mut shown, character);
        pieces.push(Piece { offset, shown, marked });
    }

    // An empty span marks the place before the next character.
    let start =
        pieces.iter().position(|piece| piece.marked || piece.offset >= span.start).unwrap_or(pieces.len());
    let (before, rest) = pieces.split_at(start);
    let marked = rest.iter().take_while(|piece| piece.marked).count();
    let width = columns(rest.get(..marked).unwrap_or(&[]));

    let cut_left = from > line.start || (columns(before) > BEFORE && columns(before) + width > WIDTH - 10);
    let mut shown_before: Vec<&str> = Vec::new();
    let mut column = 0;
    for piece in before.iter().rev() {
        if cut_left && column >= BEFORE {
            break;
        }
        column += piece.columns();
        shown_before.push(&piece.shown);
    }
    let mut out = String::new();
    if cut_left {
        out.push('…');
        column += 1;
    }
    out.extend(shown_before.into_iter().rev());
    let mut used = column;
    let mut cut_right = to < line.end;
    for piece in rest {
        used += piece.columns();
        if used > WIDTH {
            cut_right = true;
            break;
        }
        out.push_str(&piece.shown);
    }
    if cut_right {
        out.push('…');
    }
    Excerpt { line: out, column, width: width.min(WIDTH.saturating_sub(column)).max(1) }
}

/// What is shown for one character, or for one secret.
struct Piece {
    offset: usize,
    shown: String,
    /// Whether the marks cover it.
    marked: bool,
}

impl Piece {
    fn columns(&self) -> usize {
        self.shown.chars().count()
    }
}

fn columns(pieces: &[Piece]) -> usize {
    pieces.iter().map(Piece::columns).sum()
}

fn covering(concealed: &[Span], offset: usize) -> Option<Span> {
    let after = concealed.partition_point(|span| span.start <= offset);
    let span = concealed.get(after.checked_sub(1)?)?;
    (offset < span.end).then_some(*span)
}
