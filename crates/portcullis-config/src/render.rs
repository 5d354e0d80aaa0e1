//! Diagnostics as text for people and as JSON for machines.
//!
//! Decides what of a document may be shown: never a concealed place, never a control character as it is, never more than
//! about 100 columns. It prints nothing itself and cannot fail: a place outside the text is shown without an excerpt.

use std::path::Path;

use serde_json::json;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{Source, Span};

mod excerpt;

use excerpt::excerpt;

/// Whether the text may hold terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only, for files and pipes.
    Plain,
    /// With ANSI colours, for terminals.
    Colour,
}

/// Prints the diagnostics of one document.
pub struct Renderer<'a> {
    /// In the order of their offsets.
    sources: Vec<&'a Source>,
    diagnostics: &'a Diagnostics,
    /// Sorted and without overlap, so that a line finds its own quickly.
    concealed: Vec<Span>,
    style: Style,
}

impl<'a> Renderer<'a> {
    /// `sources` are the files of the document: `None` for one that was made in code, whose diagnostics show the path
    /// instead of a line.
    pub fn new(
        diagnostics: &'a Diagnostics,
        sources: impl IntoIterator<Item = &'a Source>,
        style: Style,
    ) -> Self {
        let sources = sources.into_iter().collect();
        Self { sources, diagnostics, concealed: merged(diagnostics.concealed()), style }
    }

    fn source(&self, span: Span) -> Option<&'a Source> {
        self.sources.iter().copied().find(|source| source.holds(span))
    }

    /// A text of a diagnostic as it may be shown: without what variables of the environment gave, and visible.
    fn shown(&self, text: &str) -> String {
        visible(&self.without_variables(text))
    }

    // SECURITY: a value that a variable gave may be a secret (what_a_variable_gave_is_not_printed).
    fn without_variables(&self, text: &str) -> String {
        self.diagnostics.variables().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
    }

    /// All diagnostics in the order of the document, an empty line between them. The closing count is the caller's.
    pub fn text(&self) -> String {
        let texts: Vec<String> =
            self.diagnostics.sorted().into_iter().map(|one| self.diagnostic(one)).collect();
        texts.join("\n")
    }

    /// All diagnostics in the order of the document, an object each; see [`Renderer::diagnostic_json`].
    pub fn json(&self) -> serde_json::Value {
        self.diagnostics.sorted().into_iter().map(|one| self.diagnostic_json(one)).collect()
    }

    /// One diagnostic as several lines, the last one ended as well.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) -> String {
        let paint = Paint { style: self.style, severity: diagnostic.severity };
        let mut out = format!(
            "{}{}\n",
            paint.head(&format!("{}[{}]", diagnostic.severity.as_str(), diagnostic.code)),
            paint.strong(&format!(": {}", self.shown(&diagnostic.message))),
        );
        let located = self.source(diagnostic.span);
        let spans = diagnostic.related.iter().map(|related| related.span).chain([diagnostic.span]);
        let lines = spans.filter_map(|span| Some(self.source(span)?.position(span.start).line));
        let gutter = lines.max().unwrap_or(1).to_string().len();
        if let Some(source) = located {
            let label = diagnostic.label.as_deref().unwrap_or("");
            self.place(&mut out, source, Place { span: diagnostic.span, label, gutter, main: true }, paint);
            for related in &diagnostic.related {
                if let Some(source) = self.source(related.span) {
                    let place = Place { span: related.span, label: &related.label, gutter, main: false };
                    self.place(&mut out, source, place, paint);
                }
            }
        } else {
            let path = if diagnostic.path.is_empty() { "the document's root" } else { &diagnostic.path };
            out.push_str(&format!("  {} {}\n", paint.gutter("at"), visible(path)));
            if let Some(label) = &diagnostic.label {
                out.push_str(&format!("  {} {}\n", paint.gutter("="), self.shown(label)));
            }
        }
        if let Some(help) = &diagnostic.help {
            let margin = if located.is_some() { " ".repeat(gutter + 1) } else { "  ".to_owned() };
            out.push_str(&format!("{margin}{} help: {}\n", paint.gutter("="), self.shown(help)));
        }
        out
    }

    /// One diagnostic as an object: `code`, `severity`, `message`, `path`, and, where there are any, `file`, `line`,
    /// `column` (both from 1), `end_line`, `end_column`, `label`, `help` and `related`.
    pub fn diagnostic_json(&self, diagnostic: &Diagnostic) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        object.insert("code".into(), json!(diagnostic.code));
        object.insert("severity".into(), json!(diagnostic.severity.as_str()));
        object.insert("message".into(), json!(self.without_variables(&diagnostic.message)));
        object.insert("path".into(), json!(diagnostic.path));
        self.position_json(&mut object, diagnostic.span);
        if let Some(label) = &diagnostic.label {
            object.insert("label".into(), json!(self.without_variables(label)));
        }
        if let Some(help) = &diagnostic.help {
            object.insert("help".into(), json!(self.without_variables(help)));
        }
        if !diagnostic.related.is_empty() {
            let related = diagnostic.related.iter().map(|related| {
                let mut object = serde_json::Map::new();
                object.insert("label".into(), json!(self.without_variables(&related.label)));
                self.position_json(&mut object, related.span);
                serde_json::Value::Object(object)
            });
            object.insert("related".into(), related.collect());
        }
        serde_json::Value::Object(object)
    }

    fn position_json(&self, object: &mut serde_json::Map<String, serde_json::Value>, span: Span) {
        let Some(source) = self.source(span) else { return };
        let (start, end) = (source.position(span.start), source.position(span.end));
        object.insert("file".into(), json!(source.name()));
        object.insert("line".into(), json!(start.line));
        object.insert("column".into(), json!(start.column));
        object.insert("end_line".into(), json!(end.line));
        object.insert("end_column".into(), json!(end.column));
    }

    fn place(&self, out: &mut String, source: &Source, place: Place<'_>, paint: Paint) {
        let position = source.position(place.span.start);
        let margin = " ".repeat(place.gutter);
        let arrow = if place.main { "-->" } else { ":::" };
        let number = format!("{:>width$} |", position.line, width = place.gutter);
        let excerpt = excerpt(source, place.span, &self.concealed);
        let mark = if place.main { "^" } else { "-" };
        let marks = format!("{} {}", mark.repeat(excerpt.width), self.shown(place.label));
        let marks = if place.main { paint.head(marks.trim_end()) } else { paint.gutter(marks.trim_end()) };
        let name = visible(source.name());
        out.push_str(&format!(
            "{margin}{} {name}:{}:{}\n",
            paint.gutter(arrow),
            position.line,
            position.column
        ));
        out.push_str(&format!("{margin} {}\n", paint.gutter("|")));
        out.push_str(format!("{} {}", paint.gutter(&number), excerpt.line).trim_end());
        out.push_str(&format!("\n{margin} {} {}{marks}\n", paint.gutter("|"), " ".repeat(excerpt.column)));
    }
}

/// A place in the document that a diagnostic shows.
#[derive(Clone, Copy)]
struct Place<'a> {
    span: Span,
    label: &'a str,
    gutter: usize,
    main: bool,
}

#[derive(Clone, Copy)]
struct Paint {
    style: Style,
    severity: Severity,
}

impl Paint {
    fn head(self, text: &str) -> String {
        self.with(if self.severity == Severity::Error { "1;31" } else { "1;33" }, text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn gutter(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.style {
            Style::Colour if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Style::Colour | Style::Plain => text.to_owned(),
        }
    }
}

/// A name from the document for use inside a message: in backticks, cut when very long.
pub fn quoted(name: &str) -> String {
    const LONGEST: usize = 60;
    let mut characters = name.chars();
    let shown: String = characters.by_ref().take(LONGEST).collect();
    let dots = if characters.next().is_some() { "…" } else { "" };
    format!("`{}{dots}`", visible(&shown))
}

/// A path for use inside a message: in backticks, and its end where it is very long, since that names the file.
pub fn quoted_path(path: &Path) -> String {
    const LONGEST: usize = 60;
    let path = path.to_string_lossy();
    let cut = path.chars().count().saturating_sub(LONGEST);
    let (dots, shown) =
        if cut > 0 { ("…", path.chars().skip(cut).collect()) } else { ("", path.into_owned()) };
    format!("`{dots}{}`", visible(&shown))
}

/// Text that a terminal cannot take for anything but text.
// SECURITY: guarded by render::tests::control_characters_never_reach_the_terminal.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|character| push_visible(&mut out, character));
    out
}

fn push_visible(out: &mut String, character: char) {
    match character {
        '\t' => out.push_str("    "),
        // Control characters, and the ones that are invisible or turn the direction of what follows.
        _ if character.is_control() => out.extend(character.escape_unicode()),
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => {
            out.extend(character.escape_unicode());
        }
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => {
            out.extend(character.escape_unicode());
        }
        _ => out.push(character),
    }
}

fn merged(spans: &[Span]) -> Vec<Span> {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
