//! What a decoder may ask and where it reports.
//!
//! Decides how the path of a value is kept and what decoding may see of the process: an environment lookup and a folder,
//! both given by the caller. Reporting cannot fail.

use std::collections::{BTreeSet, HashSet};
use std::env::VarError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::fields::Fields;
use super::path::ValuePath;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::node::{Entry, Node, Value};
use crate::source::Span;

/// Where a document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A file, which people keep, copy and commit.
    File,
    /// A program, which got its secrets from somewhere already.
    Code,
}

/// What is handed through all of decoding.
pub struct Context {
    /// Everything found so far.
    pub diagnostics: Diagnostics,
    path: ValuePath,
    origin: Origin,
    /// The folder of each file of the document, by the offset at which the file begins; never empty.
    folders: Vec<(usize, PathBuf)>,
    /// The places whose text a variable of the environment gave.
    substituted: HashSet<Span>,
    /// The places whose value is not known, which was reported.
    unknown: HashSet<Span>,
    /// Takes what would be said of such a value.
    unsaid: Diagnostic,
    /// Every path that was resolved.
    files: Mutex<BTreeSet<PathBuf>>,
    environment: Environment,
    /// Where keys belong, for those that stand elsewhere.
    places: &'static [(&'static str, &'static str)],
}

type Environment = Box<dyn Fn(&str) -> Result<String, VarError> + Send + Sync>;

impl Context {
    /// For a document from a file in `base_dir`, the folder to which the document's own paths are relative. Secrets may
    /// name variables of the process environment.
    pub fn for_file(base_dir: impl Into<PathBuf>) -> Self {
        Self {
            diagnostics: Diagnostics::new(),
            path: ValuePath::default(),
            origin: Origin::File,
            folders: vec![(0, base_dir.into())],
            substituted: HashSet::new(),
            unknown: HashSet::new(),
            unsaid: Diagnostic::new("config.unreadable", Severity::Error, Span::NONE, ""),
            files: Mutex::default(),
            environment: Box::new(|name| std::env::var(name)),
            places: &[],
        }
    }

    /// For a document made in code; its paths are relative to the working directory.
    pub fn for_code() -> Self {
        Self { origin: Origin::Code, ..Self::for_file("") }
    }

    /// Replaces the process environment, so that tests and dry runs need none.
    #[must_use]
    pub fn with_environment(
        mut self,
        lookup: impl Fn(&str) -> Result<String, VarError> + Send + Sync + 'static,
    ) -> Self {
        self.environment = Box::new(lookup);
        self
    }

    /// Says where keys belong, in words that follow "belongs", such as "under `security`".
    pub fn know_places(&mut self, places: &'static [(&'static str, &'static str)]) {
        self.places = places;
    }

    /// Where a key belongs that is not known where it stands.
    pub(super) fn place_of(&self, key: &str) -> Option<&'static str> {
        self.places.iter().find(|(known, _)| *known == key).map(|(_, place)| *place)
    }

    /// Where the document comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The way to the value being decoded, such as `routes[2].security`; empty at the root.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// A path written at `at`, relative to the folder of the file that holds it unless it is absolute.
    pub fn resolve(&self, at: Span, path: impl AsRef<Path>) -> PathBuf {
        let path = self.locate(at, path);
        self.note_file(path.clone());
        path
    }

    /// Notes that the document depends on a file, or on the files of a pattern such as `routes/*.yaml`.
    pub fn note_file(&self, path: PathBuf) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    /// The same as [`Context::resolve`] for a path that the document does not depend on.
    pub fn locate(&self, at: Span, path: impl AsRef<Path>) -> PathBuf {
        // What was made in code stands in no file; its folder is the first one.
        let offset = if at.is_none() { 0 } else { at.start };
        let after = self.folders.partition_point(|(start, _)| *start <= offset);
        let folder = self.folders.get(after.saturating_sub(1)).map_or(Path::new(""), |(_, folder)| folder);
        folder.join(path)
    }

    /// Adds a file of the document, whose offsets begin at `base`, after those of all files before it.
    pub(crate) fn add_folder(&mut self, base: usize, folder: PathBuf) {
        self.folders.push((base, folder));
    }

    /// Notes that a variable of the environment gave the text at a place.
    pub(crate) fn note_substituted(&mut self, at: Span) {
        self.substituted.insert(at);
    }

    /// Notes that the value at a place is not known, after an error said why: nothing more is said of it.
    pub(crate) fn note_unknown(&mut self, at: Span) {
        self.unknown.insert(at);
    }

    /// Whether a variable of the environment gave the text at a place, or a part of it.
    pub fn is_substituted(&self, at: Span) -> bool {
        self.substituted.contains(&at)
    }

    /// Every path that the document has named so far, whether or not there is a file.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value of an environment variable.
    ///
    /// # Errors
    /// When it is not set or not UTF-8.
    pub fn environment(&self, name: &str) -> Result<String, VarError> {
        (self.environment)(name)
    }

    /// Pushes an error at the current path; the answer takes `.label(..)`, `.help(..)` and `.related(..)`.
    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.report(code, Severity::Error, span, message.into())
    }

    /// Pushes a warning at the current path; the answer takes `.label(..)`, `.help(..)` and `.related(..)`.
    pub fn warning(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.report(code, Severity::Warning, span, message.into())
    }

    /// Pushes `config.wrong_type`: "expected `expected`, found ...". `expected` is a phrase such as "a list". The values in
    /// a list or mapping stay unread then, and are not shown.
    pub fn wrong_type(&mut self, node: &Node, expected: &str) -> &mut Diagnostic {
        if matches!(node.value, Value::Sequence(_) | Value::Mapping(_)) {
            self.diagnostics.conceal_values(node);
        }
        let message = format!("expected {expected}, found {}", node.value.kind());
        self.error("config.wrong_type", node.span, message)
    }

    /// Decodes below a key: what is reported inside carries the longer path.
    pub fn at<R>(&mut self, key: &str, inside: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.path.push_key(key);
        let result = inside(self);
        self.path.truncate(mark);
        result
    }

    /// Decodes below an element of a list, counted from 0.
    pub fn index<R>(&mut self, index: usize, inside: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.path.push_index(index);
        let result = inside(self);
        self.path.truncate(mark);
        result
    }

    /// The entries of a mapping, or an error. What stands there instead is not shown, as it may be a secret that should have
    /// been put under a key.
    pub fn mapping<'n>(&mut self, node: &'n Node) -> Option<&'n [Entry]> {
        if let Value::Mapping(entries) = &node.value {
            return Some(entries);
        }
        self.diagnostics.conceal_values(node);
        // Says nothing of what stands there, which is not shown.
        let glued = node.as_str().is_some_and(|text| text.contains(':') && !text.contains(": "));
        let problem = self.wrong_type(node, "a mapping");
        if glued {
            problem.help("a space must follow the colon between a key and its value: `key: value`");
        }
        None
    }

    /// The items of a list, or an error.
    pub fn sequence<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        if let Value::Sequence(items) = &node.value {
            return Some(items);
        }
        self.wrong_type(node, "a list").help("put it in brackets: `[...]`, or start its line with `- `");
        None
    }

    /// The text, or an error that says how to write text.
    pub fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        if let Some(text) = node.as_str() {
            return Some(text);
        }
        let problem = self.wrong_type(node, "text");
        match &node.value {
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                problem.help("write it in quotes");
            }
            Value::Null => {
                problem.help("remove the key or give it a value; write `\"\"` for empty text");
            }
            Value::String(_) | Value::Sequence(_) | Value::Mapping(_) => {}
        }
        None
    }

    /// Reads a mapping key by key; see [`Fields`].
    pub fn fields<'n>(&mut self, node: &'n Node) -> Option<Fields<'n>> {
        let entries = self.mapping(node)?;
        Some(Fields::new(entries, node.span))
    }

    fn report(
        &mut self,
        code: &'static str,
        severity: Severity,
        span: Span,
        message: String,
    ) -> &mut Diagnostic {
        let mut diagnostic = Diagnostic::new(code, severity, span, message);
        diagnostic.path = self.path.as_str().to_owned();
        if self.unknown.contains(&span) && self.diagnostics.has_errors() {
            self.unsaid = diagnostic;
            return &mut self.unsaid;
        }
        self.diagnostics.push(diagnostic)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Context")
            .field("diagnostics", &self.diagnostics)
            .field("path", &self.path())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
