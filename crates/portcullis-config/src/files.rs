//! How several files become one document.
//!
//! The key `include` at the top of a file names further files, or patterns such as `routes/*.yaml`, relative to the file
//! that names them. What they say is joined: lists one after the other, named things such as upstreams name by name.
//! Anything that two files say is an error; no file overrides another. A file that cannot be read, or is included twice, is
//! an error; a pattern that matches nothing is a warning.
//!
//! Also decides what becomes of keys that begin with `x-` at the top of a file: they are left out, so that anchors can
//! stand there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::decode::Context;
use crate::node::{Entry, Node, Value};
use crate::render::{quoted, quoted_path};
use crate::source::{Source, Span};
use crate::{variables, yaml};

/// How many files a document may be made of.
pub const FILE_LIMIT: usize = 1000;

/// How many bytes a file may hold.
pub const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// The key that names further files.
const INCLUDE: &str = "include";

/// A document that was read from its files.
pub struct Document {
    /// What they say together; `None` where an error was pushed that leaves nothing to decode.
    pub node: Option<Node>,
    /// The files, in the order in which they were read; the first is the one that includes the others.
    pub sources: Vec<Source>,
    /// The paths of the files that were included.
    pub included: Vec<PathBuf>,
}

/// Reads a document from `source` and the files that it includes. `named` are the top-level keys below which each name may
/// be given by another file, such as `upstreams`. Variables are substituted.
pub fn read(source: &Source, named: &[&str], cx: &mut Context) -> Document {
    let mut reader = Reader {
        named,
        sources: vec![source.clone()],
        included: Vec::new(),
        seen: HashMap::new(),
        root: Vec::new(),
    };
    let node = reader.file(source, cx).map(|span| Node { value: Value::Mapping(reader.root), span });
    Document { node, sources: reader.sources, included: reader.included }
}

struct Reader<'a> {
    named: &'a [&'a str],
    sources: Vec<Source>,
    included: Vec<PathBuf>,
    /// Where each file was included first, by its real path.
    seen: HashMap<PathBuf, Span>,
    root: Vec<Entry>,
}

impl Reader<'_> {
    /// Adds what a file says, and what the files that it includes say. `None` means that there is nothing to decode.
    fn file(&mut self, source: &Source, cx: &mut Context) -> Option<Span> {
        let mut node = yaml::parse(source, &mut cx.diagnostics)?;
        variables::substitute(&mut node, source, cx);
        let span = node.span;
        cx.mapping(&node)?;
        let Value::Mapping(entries) = node.value else { return None };
        let mut includes = None;
        for entry in entries {
            if entry.key == INCLUDE {
                includes = Some(entry.value.clone());
                // Kept in the first file, so that it is decoded like any other key.
                if self.sources.len() > 1 {
                    continue;
                }
            }
            if !entry.key.starts_with("x-") {
                self.join(entry, cx);
            }
        }
        if let Some(includes) = includes {
            self.include(&includes, cx);
        }
        Some(span)
    }

    fn join(&mut self, entry: Entry, cx: &mut Context) {
        let Some(known) = self.root.iter_mut().find(|known| known.key == entry.key) else {
            self.root.push(entry);
            return;
        };
        let key = quoted(&entry.key);
        match (&mut known.value.value, entry.value.value) {
            (Value::Sequence(all), Value::Sequence(more)) => all.extend(more),
            (Value::Mapping(all), Value::Mapping(more)) if self.named.contains(&entry.key.as_str()) => {
                for entry in more {
                    match all.iter().find(|known| known.key == entry.key) {
                        None => all.push(entry),
                        Some(first) => {
                            let message = format!("{} in {key} is defined in two files", quoted(&entry.key));
                            cx.diagnostics.conceal_values(&entry.value);
                            cx.error("config.duplicate_key", entry.key_span, message)
                                .label("defined again here")
                                .help("keep one of them, or give one another name")
                                .related(first.key_span, "first defined here");
                        }
                    }
                }
            }
            (_, value) => {
                cx.diagnostics.conceal_values(&Node { value, span: entry.value.span });
                cx.error("config.duplicate_key", entry.key_span, format!("{key} is given in two files"))
                    .label("given again here")
                    .help("only lists and named items can be split over several files; no file overrides another")
                    .related(known.key_span, "first given here");
            }
        }
    }

    fn include(&mut self, includes: &Node, cx: &mut Context) {
        let patterns = match &includes.value {
            Value::Sequence(patterns) => patterns.as_slice(),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Mapping(_) => std::slice::from_ref(includes),
        };
        for pattern in patterns {
            let Some(text) = cx.at(INCLUDE, |cx| cx.text(pattern)).map(str::to_owned) else { continue };
            for path in self.matching(&text, pattern.span, cx) {
                self.open(&path, pattern.span, cx);
            }
        }
    }

    /// The files that a pattern names, by name. A file whose name begins with a dot needs a pattern that says so.
    fn matching(&self, pattern: &str, at: Span, cx: &mut Context) -> Vec<PathBuf> {
        if !pattern.contains(['*', '?', '[']) {
            return vec![cx.resolve(at, pattern)];
        }
        let full = cx.locate(at, pattern);
        // What is part of the folder's own name is no pattern.
        let folder = cx.locate(at, "");
        let escaped = match folder.to_str() {
            Some(folder) if !Path::new(pattern).is_absolute() => {
                Path::new(&glob::Pattern::escape(folder)).join(pattern)
            }
            _ => full,
        };
        cx.note_file(escaped.clone());
        match matches(&escaped) {
            Some(files) => {
                if files.is_empty() {
                    cx.at(INCLUDE, |cx| {
                        cx.warning("config.include_nothing", at, "this pattern matches no file")
                            .help("the path is relative to the folder of the file that names it");
                    });
                }
                files
            }
            None => {
                cx.at(INCLUDE, |cx| {
                    cx.error("config.include", at, "this is not a pattern of file names")
                        .help("write `routes/*.yaml`; `*` matches within a name, `**` any folders");
                });
                Vec::new()
            }
        }
    }

    fn open(&mut self, path: &Path, at: Span, cx: &mut Context) {
        let shown = quoted_path(path);
        let text = match read_text(path) {
            Ok(text) => text,
            Err(reason) => {
                cx.at(INCLUDE, |cx| {
                    cx.error("config.include", at, format!("the file {shown} {reason}"))
                        .help("the path is relative to the folder of the file that names it");
                });
                return;
            }
        };
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(first) = self.seen.insert(real, at) {
            cx.at(INCLUDE, |cx| {
                cx.error("config.include", at, format!("the file {shown} is included twice"))
                    .label("included again here")
                    .related(first, "first included here");
            });
            return;
        }
        if self.sources.len() > FILE_LIMIT {
            cx.at(INCLUDE, |cx| {
                cx.error("config.include", at, format!("a document has at most {FILE_LIMIT} files"));
            });
            return;
        }
        let Some(last) = self.sources.last() else { return };
        let source = last.following(path.display().to_string(), text);
        cx.add_folder(source.base(), path.parent().unwrap_or(Path::new("")).to_owned());
        self.sources.push(source.clone());
        self.included.push(path.to_owned());
        let _ = self.file(&source, cx);
    }
}

/// The files that a pattern matches now, by name; `None` where it is no pattern. A name that begins with a dot needs a pattern that
/// says so.
pub fn matches(pattern: &Path) -> Option<Vec<PathBuf>> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(pattern.to_str()?, options).ok()?;
    let mut files: Vec<PathBuf> = found.flatten().filter(|path| path.is_file()).collect();
    files.sort();
    Some(files)
}

fn read_text(path: &Path) -> Result<String, String> {
    match crate::reading::text(path, SIZE_LIMIT) {
        Ok(mut text) => Ok(std::mem::take(&mut *text)),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            Err(format!("is larger than {SIZE_LIMIT} bytes"))
        }
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests;
