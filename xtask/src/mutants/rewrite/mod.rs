//! One file with all of its mutants in it, each behind its number.
//!
//! An expression with mutants becomes a choice between them and itself, a function returns early, an arm of a match gets a guard.
//! What cannot be asked for a number while the program runs, such as a constant or a pattern, is not placed. Whether a mutant
//! compiles is not known here: where each stands in the new text is, so that the compiler's errors lead to it.

mod places;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::vec;

use super::list::{Genre, Mutant};
use crate::failure::Outcome;
use places::{Change, Places};

/// Asks whether a mutant is the one that is tried. The module is in [`switch`].
const ASK: &str = "crate::__mutant::is";

/// From a byte up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Span {
    pub(super) fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    pub(super) fn length(self) -> usize {
        self.to.saturating_sub(self.from)
    }

    fn of(self, text: &str) -> &str {
        text.get(self.from..self.to).unwrap_or_default()
    }
}

/// The new text of a file.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) text: String,
    pub(super) placed: Vec<Placed>,
}

/// Where mutants stand in the new text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) span: Span,
    pub(super) mutants: Vec<usize>,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// One mutant, of this genre.
    One(Genre),
    /// The whole choice between mutants of one expression and itself.
    Choice,
}

/// Places the mutants of one file, which come with their numbers.
pub(super) fn rewritten(text: &str, mutants: &[(usize, &Mutant)]) -> Outcome<Rewritten> {
    let places = places::find(text, mutants)?;
    let mut writer = Writer { text, at: 0, changes: changes(places), out: String::new(), placed: Vec::new() };
    writer.write_up_to(text.len());
    Ok(Rewritten { text: writer.out, placed: writer.placed })
}

/// In the order of the text: what is inserted before what begins there, the outer expression before the inner one.
fn changes(places: Places) -> Peekable<vec::IntoIter<Change>> {
    let mut all: Vec<Change> = places.into();
    all.sort_by_key(|change| match change {
        Change::Insert { at, number, .. } => (*at, false, *number),
        Change::Choose { span, .. } => (span.from, true, usize::MAX - span.to),
    });
    all.into_iter().peekable()
}

struct Writer<'a> {
    text: &'a str,
    /// How far the old text is copied.
    at: usize,
    changes: Peekable<vec::IntoIter<Change>>,
    out: String,
    placed: Vec<Placed>,
}

impl Writer<'_> {
    fn write_up_to(&mut self, end: usize) {
        while let Some(change) = self.changes.next_if(|change| change.begins() < end) {
            self.copy_up_to(change.begins());
            match change {
                Change::Insert { number, genre, text, .. } => self.one(number, genre, &text),
                Change::Choose { span, options } => self.choice(span, &options),
            }
        }
        self.copy_up_to(end);
    }

    fn choice(&mut self, span: Span, options: &[(usize, Genre, String)]) {
        let from = self.out.len();
        self.out.push('(');
        for (number, genre, text) in options {
            self.out.push_str(&format!("if {ASK}({number}) {{ "));
            self.one(*number, *genre, text);
            self.out.push_str(" } else ");
        }
        self.out.push_str("{ ");
        self.write_up_to(span.to);
        self.out.push_str(" })");
        let mutants = options.iter().map(|(number, ..)| *number).collect();
        self.placed.push(Placed { span: Span { from, to: self.out.len() }, mutants, what: What::Choice });
    }

    fn one(&mut self, number: usize, genre: Genre, text: &str) {
        let from = self.out.len();
        self.out.push_str(text);
        let span = Span { from, to: self.out.len() };
        self.placed.push(Placed { span, mutants: vec![number], what: What::One(genre) });
    }

    fn copy_up_to(&mut self, end: usize) {
        self.out.push_str(Span { from: self.at, to: end }.of(self.text));
        self.at = end;
    }
}

impl Rewritten {
    /// The mutants that have a place.
    pub(super) fn mutants(&self) -> BTreeSet<usize> {
        self.placed.iter().flat_map(|placed| placed.mutants.iter().copied()).collect()
    }
}

/// The variable with the number of the mutant that is tried.
pub(super) const TRIED: &str = "MUTANT";
/// The variable with the file that the numbers of all mutants that are reached are added to. Then none is tried.
pub(super) const REACHED: &str = "MUTANT_REACHED";

/// The module at the end of a crate that answers for each of so many mutants.
pub(super) fn switch(mutants: usize) -> String {
    format!(
        r#"
/// Which mutant is tried.
#[doc(hidden)]
#[allow(warnings)]
pub mod __mutant {{
    use std::fs::{{File, OpenOptions}};
    use std::io::Write;
    use std::sync::LazyLock;
    use std::sync::atomic::{{AtomicBool, Ordering}};

    static TRIED: LazyLock<Option<usize>> = LazyLock::new(|| std::env::var("{TRIED}").ok()?.parse().ok());
    static REACHED: LazyLock<Option<File>> = LazyLock::new(|| {{
        let file = std::env::var_os("{REACHED}")?;
        OpenOptions::new().append(true).create(true).open(file).ok()
    }});
    static KNOWN: [AtomicBool; {mutants}] = [const {{ AtomicBool::new(false) }}; {mutants}];

    pub fn is(mutant: usize) -> bool {{
        if let Some(file) = &*REACHED
            && let Some(known) = KNOWN.get(mutant)
            && !known.swap(true, Ordering::Relaxed)
        {{
            let _ = (&*file).write_all(format!("{{mutant}}\n").as_bytes());
        }}
        *TRIED == Some(mutant)
    }}
}}
"#
    )
}
