//! In which line of its file something stands, for what is told of a description. It is found only once something is wrong.

use std::collections::HashMap;

use granit_parser::{Event, Parser};

use super::{Files, LoadError};

/// Gives each error its line, where the text of its file is at hand.
pub(super) fn locate(errors: &mut [LoadError], files: &Files) {
    let mut wanted: HashMap<&str, HashMap<String, Option<usize>>> = HashMap::new();
    for error in &*errors {
        let Some((file, pointer)) = place(error) else { continue };
        let Some((name, _)) = files.text(file) else { continue };
        let places = wanted.entry(name).or_default();
        // What has no line has the line of what it stands in.
        let ends = pointer.match_indices('/').map(|(at, _)| at).chain([pointer.len()]);
        places.extend(ends.filter_map(|end| Some((pointer.get(..end)?.to_owned(), None))));
    }
    for (name, places) in &mut wanted {
        if let Some((_, text)) =
            files.text(name).and_then(|(name, text)| Some((name, std::str::from_utf8(text).ok()?)))
        {
            Walk::default().find(text, places);
        }
    }
    let found: Vec<Option<usize>> = errors.iter().map(|error| line(error, files, &wanted)).collect();
    for (error, line) in errors.iter_mut().zip(found) {
        error.line = error.line.or(line);
    }
}

fn place(error: &LoadError) -> Option<(&str, &str)> {
    error.location.split_once('#')
}

fn line(
    error: &LoadError,
    files: &Files,
    found: &HashMap<&str, HashMap<String, Option<usize>>>,
) -> Option<usize> {
    let (file, pointer) = place(error)?;
    let places = found.get(files.text(file)?.0)?;
    let mut here = pointer;
    loop {
        if let Some(line) = places.get(here).copied().flatten() {
            return Some(line);
        }
        here = here.get(..here.rfind('/')?)?;
    }
}

/// Goes through the text of a document. JSON is read as the YAML that it is.
#[derive(Default)]
struct Walk {
    open: Vec<Frame>,
    pointer: String,
}

struct Frame {
    /// How long the pointer to the collection is.
    length: usize,
    /// The next index of a list. `None`: it is a mapping.
    index: Option<usize>,
    awaits_key: bool,
}

impl Walk {
    #[allow(clippy::wildcard_enum_match_arm, reason = "other events mean nothing here")]
    fn find(mut self, text: &str, places: &mut HashMap<String, Option<usize>>) {
        let options = granit_parser::options! { emit_comments: false, max_directive_bytes: 256 };
        for step in Parser::new_from_str_with_options(text, options) {
            let Ok((event, span)) = step else { return };
            match event {
                Event::Scalar(text, ..) if self.open.last().is_some_and(|frame| frame.awaits_key) => {
                    self.key(&text);
                    self.note(span.start.line(), places);
                }
                Event::Scalar(..) | Event::Alias(_) => {
                    self.value(span.start.line(), places);
                    self.after();
                }
                Event::SequenceStart(..) => {
                    self.value(span.start.line(), places);
                    self.open.push(Frame { length: self.pointer.len(), index: Some(0), awaits_key: false });
                }
                Event::MappingStart(..) => {
                    self.value(span.start.line(), places);
                    self.open.push(Frame { length: self.pointer.len(), index: None, awaits_key: true });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(frame) = self.open.pop() {
                        self.pointer.truncate(frame.length);
                    }
                    self.after();
                }
                _ => {}
            }
        }
    }

    fn key(&mut self, name: &str) {
        if let Some(frame) = self.open.last_mut() {
            frame.awaits_key = false;
            self.pointer.truncate(frame.length);
            self.pointer.push('/');
            self.pointer.push_str(&super::escape(name));
        }
    }

    /// A value begins: an item of a list has its own place, a member has that of its key.
    fn value(&mut self, line: usize, places: &mut HashMap<String, Option<usize>>) {
        if let Some(Frame { length, index: Some(index), .. }) = self.open.last_mut() {
            self.pointer.truncate(*length);
            self.pointer.push_str(&format!("/{index}"));
            *index += 1;
        }
        self.note(line, places);
    }

    /// A value has ended.
    fn after(&mut self) {
        if let Some(frame) = self.open.last_mut() {
            frame.awaits_key = frame.index.is_none();
        }
    }

    fn note(&self, line: usize, places: &mut HashMap<String, Option<usize>>) {
        if let Some(place) = places.get_mut(&self.pointer) {
            place.get_or_insert(line);
        }
    }
}
