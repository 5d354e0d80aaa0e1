//! YAML text to a tree of nodes.
//!
//! Decides which YAML a configuration may use: one document, text keys, each key once, no tags, no merge keys, nesting and
//! size under limits. It gives the tree no meaning; decoding does. A syntax error yields no tree, since what follows it is
//! guesswork; every other fault is reported and reading goes on, so that one run finds them all. A caller must refuse the
//! document when the diagnostics hold an error, even if there is a tree.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::node::{Entry, Node, Value};
use crate::source::{Source, Span};

mod advice;
mod unread;

/// How deep lists and mappings may be nested, aliases included.
pub const DEPTH_LIMIT: usize = 64;

/// How many values a document may hold once its aliases are written out.
pub const NODE_LIMIT: usize = 5_000_000;

/// How many bytes of text aliases may add to a document.
pub const ALIAS_TEXT_LIMIT: usize = 64 * 1024 * 1024;

/// Reads the one document in `source`. `None` means that there is no tree and at least one error was pushed.
pub fn parse(source: &Source, diagnostics: &mut Diagnostics) -> Option<Node> {
    let options = granit_parser::options! { emit_comments: false, max_directive_bytes: 256 };
    let parser = Parser::new_from_str_with_options(source.text(), options);
    let mut builder = Builder::new(source, diagnostics);
    for step in parser {
        let done = match step {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => Err(builder.syntax_error(&error)),
        };
        if let Err(Stop { offset }) = done {
            builder.conceal_unread(offset);
            return None;
        }
    }
    builder.finish()
}

/// Reading cannot go on from this byte, and an error that says why was pushed.
struct Stop {
    offset: usize,
}

struct Builder<'a> {
    source: &'a Source,
    diagnostics: &'a mut Diagnostics,
    open: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    alias_text: usize,
}

/// A list or mapping whose end has not been read.
struct Frame {
    collection: Collection,
    start: usize,
    /// The end of what was read last, since a block ends with its last value, not where the next thing begins.
    end: usize,
    anchor: usize,
    /// The deepest nesting below this collection, which aliases can make deeper than what is open.
    height: usize,
}

enum Collection {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, key: Key },
}

enum Key {
    /// The next value is a key.
    Awaited,
    /// The next value belongs to this key.
    Read(String, Span),
    /// The next value belongs to a key that was refused, and is dropped.
    Refused,
}

/// What an alias copies, with what the copy costs.
struct Anchored {
    node: Node,
    size: Size,
    height: usize,
}

/// A finished value on its way into its collection.
struct Finished {
    node: Node,
    height: usize,
    merge_key: bool,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Source, diagnostics: &'a mut Diagnostics) -> Self {
        Self {
            source,
            diagnostics,
            open: Vec::new(),
            root: None,
            documents: 0,
            anchors: HashMap::new(),
            nodes: 0,
            alias_text: 0,
        }
    }

    fn event(&mut self, event: Event<'_>, span: &granit_parser::Span) -> Result<(), Stop> {
        if event.tag().is_some() {
            self.refuse_tag(span);
        }
        let span = place_of(self.source, span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.error("config.many_documents", span, "a configuration is a single document")
                        .label("a second document starts here")
                        .help("remove the `---`, or move the second document to a separate file");
                    return Err(Stop { offset: span.start });
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let merge_key = plain && text == "<<";
                let value = if plain { Value::from_plain(&text) } else { Value::String(text.into_owned()) };
                let node = Node { value, span };
                if plain && node.as_str().is_some_and(advice::is_in_curly_quotes) {
                    self.diagnostics.push({
                        let text = "this value is in curly quotation marks, which are a part of it";
                        let mut warning =
                            Diagnostic::new("config.curly_quotes", Severity::Warning, span, text);
                        warning.help("write straight ones: `\"…\"`");
                        warning
                    });
                }
                self.count(1, span)?;
                self.remember(anchor, &node, 0)?;
                self.place(Finished { node, height: 0, merge_key });
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(Collection::Sequence(Vec::new()), span, anchor)?
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(Collection::Mapping { entries: Vec::new(), key: Key::Awaited }, span, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            // Neither is asked for in the parser's options.
            Event::Anchor(..) | Event::UnresolvedAlias(_) => {}
            #[allow(
                unreachable_patterns,
                reason = "comment events exist only where another crate turns them on"
            )]
            #[allow(
                clippy::wildcard_enum_match_arm,
                reason = "the variant cannot be named without that feature"
            )]
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, collection: Collection, span: Span, anchor: usize) -> Result<(), Stop> {
        self.count(1, span)?;
        if self.open.len() >= DEPTH_LIMIT {
            return Err(self.too_deep(span));
        }
        self.open.push(Frame { collection, start: span.start, end: span.end, anchor, height: 0 });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Stop> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        // Only a flow collection has a closing bracket; a block's end has no width.
        let end = if span.end > span.start { span.end } else { frame.end };
        let span = Span::new(frame.start, end);
        let value = match frame.collection {
            Collection::Sequence(items) => Value::Sequence(items),
            Collection::Mapping { entries, .. } => Value::Mapping(self.refuse_duplicates(entries)),
        };
        let node = Node { value, span };
        let height = frame.height + 1;
        self.remember(frame.anchor, &node, height)?;
        self.place(Finished { node, height, merge_key: false });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            self.error("config.recursive_alias", span, "this alias is inside the value that it repeats");
            return Err(Stop { offset: span.start });
        };
        let (size, height) = (anchored.size, anchored.height);
        if self.open.len() + height > DEPTH_LIMIT {
            return Err(self.too_deep(span));
        }
        self.charge(size, span)?;
        // The copy is made only after it has been paid for.
        let Some(anchored) = self.anchors.get(&anchor) else { return Ok(()) };
        let node = anchored.node.clone();
        if let Some(frame) = self.open.last_mut() {
            frame.end = frame.end.max(span.end);
        }
        self.place(Finished { node, height, merge_key: false });
        Ok(())
    }

    /// Keeps a copy of an anchored value for its aliases. The copy counts, so that nested anchors cannot multiply memory.
    fn remember(&mut self, anchor: usize, node: &Node, height: usize) -> Result<(), Stop> {
        if anchor == 0 {
            return Ok(());
        }
        let size = Size::of(node);
        self.charge(size, node.span)?;
        self.anchors.insert(anchor, Anchored { node: node.clone(), size, height });
        Ok(())
    }

    fn place(&mut self, finished: Finished) {
        let Finished { node, height, merge_key } = finished;
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.height = frame.height.max(height);
        frame.end = frame.end.max(node.span.end);
        match &mut frame.collection {
            Collection::Sequence(items) => items.push(node),
            Collection::Mapping { entries, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Read(name, key_span) => entries.push(Entry { key: name, key_span, value: node }),
                Key::Refused => self.diagnostics.conceal_values(&node),
                Key::Awaited => match (node.value, merge_key) {
                    (Value::String(name), false) => *key = Key::Read(name, node.span),
                    (value, _) => {
                        *key = Key::Refused;
                        self.refuse_key(&value, node.span, merge_key);
                    }
                },
            },
        }
    }

    fn refuse_key(&mut self, value: &Value, span: Span, merge_key: bool) {
        if merge_key {
            self.error("config.merge_key", span, "merge keys are not supported")
                .label("merge keys hide which keys are set")
                .help("write the keys out, or give the whole value an anchor (`&name`) and repeat it with `*name`");
        } else {
            let found = value.kind();
            let problem =
                self.error("config.key_not_text", span, format!("a key must be text, found {found}"));
            if matches!(value, Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Null) {
                problem.help("write it in quotes");
            }
        }
    }

    fn refuse_tag(&mut self, span: &granit_parser::Span) {
        let at = place_of(self.source, &span.tag_span().unwrap_or(*span));
        self.error("config.tag", at, "YAML tags are not supported")
            .help("remove the tag; put text in quotes instead");
    }

    /// Keeps the first of each key and reports the others.
    fn refuse_duplicates(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut duplicates: Vec<(usize, Span)> = Vec::new();
        // Comparing each with each is fastest for the usual handful, and only for those.
        if entries.len() <= 16 {
            for (index, entry) in entries.iter().enumerate() {
                if let Some(first) = entries.iter().take(index).find(|earlier| earlier.key == entry.key) {
                    duplicates.push((index, first.key_span));
                }
            }
        } else {
            let mut seen: HashMap<&str, Span> = HashMap::with_capacity(entries.len());
            for (index, entry) in entries.iter().enumerate() {
                if let Some(first) = seen.get(entry.key.as_str()) {
                    duplicates.push((index, *first));
                } else {
                    seen.insert(&entry.key, entry.key_span);
                }
            }
        }
        if duplicates.is_empty() {
            return entries;
        }
        let mut duplicates = duplicates.into_iter().peekable();
        let mut kept = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            match duplicates.next_if(|(duplicate, _)| *duplicate == index) {
                None => kept.push(entry),
                Some((_, first)) => {
                    let name = crate::render::quoted(&entry.key);
                    // Nobody will read it, so nobody will say whether it is a secret.
                    self.diagnostics.conceal_values(&entry.value);
                    self.error(
                        "config.duplicate_key",
                        entry.key_span,
                        format!("the key {name} is given twice"),
                    )
                    .label("given again here")
                    .related(first, "first given here")
                    .help("remove one of the two");
                }
            }
        }
        kept
    }

    fn charge(&mut self, size: Size, span: Span) -> Result<(), Stop> {
        self.count(size.nodes, span)?;
        self.alias_text = self.alias_text.saturating_add(size.text);
        if self.alias_text > ALIAS_TEXT_LIMIT {
            return Err(self.too_large(span));
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODE_LIMIT { Err(self.too_large(span)) } else { Ok(()) }
    }

    fn too_large(&mut self, span: Span) -> Stop {
        self.error(
            "config.too_large",
            span,
            "the document has too many values after its aliases are expanded",
        )
        .label(format!("the limit of {NODE_LIMIT} values or {ALIAS_TEXT_LIMIT} bytes is exceeded here"));
        Stop { offset: span.start }
    }

    fn too_deep(&mut self, span: Span) -> Stop {
        self.error(
            "config.too_deep",
            span,
            format!("lists and mappings are nested more than {DEPTH_LIMIT} deep"),
        );
        Stop { offset: span.start }
    }

    fn syntax_error(&mut self, error: &ScanError) -> Stop {
        let marker = error.marker();
        let text = self.source.text();
        let offset = marker.byte_offset().unwrap_or_else(|| {
            text.char_indices().nth(marker.index()).map_or(text.len(), |(offset, _)| offset)
        });
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let width = text.get(offset..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let message = format!("this is not YAML: {}", error.info());
        let offset = self.source.base() + offset;
        let variable = self.source.line(self.source.position(offset).line).contains("${");
        let help = advice::of(&error.info());
        let problem = self.error("config.syntax", Span::new(offset, offset + width), message);
        if variable {
            problem.help("inside `{ }` or `[ ]`, a variable is written in quotes: `\"${NAME}\"`");
        } else if let Some(help) = help {
            problem.help(help);
        }
        Stop { offset }
    }

    fn finish(self) -> Option<Node> {
        if self.root.is_none() {
            let span = Span::new(self.source.base(), self.source.base());
            let mut problem = Diagnostic::new("config.empty", Severity::Error, span, "the document is empty");
            problem
                .help("begin with `listeners` and `routes`; `portcullis init` writes a first configuration");
            self.diagnostics.push(problem);
        }
        self.root
    }

    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics.push(Diagnostic::new(code, Severity::Error, span, message))
    }
}

/// What a copy of a tree costs.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    text: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let mut size = Self { nodes: 1, text: 0 };
        match &node.value {
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
            Value::String(text) => size.text = text.len(),
            Value::Sequence(items) => items.iter().for_each(|item| size.add(Self::of(item))),
            Value::Mapping(entries) => {
                for entry in entries {
                    size.text += entry.key.len();
                    size.add(Self::of(&entry.value));
                }
            }
        }
        size
    }

    fn add(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.text += other.text;
    }
}

/// Where an event stands among all files of the document.
fn place_of(source: &Source, span: &granit_parser::Span) -> Span {
    let base = source.base();
    match (span.start.byte_offset(), span.end.byte_offset()) {
        (Some(start), Some(end)) => Span::new(base + start, base + end),
        (Some(start), None) => Span::new(base + start, base + start),
        (None, _) => Span::NONE,
    }
}

#[cfg(test)]
mod tests;
