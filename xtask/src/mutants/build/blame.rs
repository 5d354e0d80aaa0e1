//! Which mutants a compiler's errors come from: those that stand where the error does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::mutants::list::{Genre, Mutant};
use crate::mutants::rewrite::{Placed, Rewritten, Span, What};

pub(super) fn blamed(
    errors: &[Value],
    written: &BTreeMap<String, Rewritten>,
    mutants: &[Mutant],
) -> BTreeSet<usize> {
    let mut blamed = BTreeSet::new();
    for error in errors {
        let places: Vec<(&str, Span)> = spans(error).collect();
        let placed = |file: &str| written.get(file).map(|new| new.placed.as_slice()).unwrap_or_default();
        // A match that is not exhaustive lacks an arm behind what is matched; the first of them is tried.
        let arm = || {
            let unmatched = error.get("code")?.get("code")?.as_str()? == "E0004";
            let (file, span) = places.first().filter(|_| unmatched)?;
            let behind =
                |placed: &&Placed| placed.what == What::One(Genre::Arm) && placed.span.from >= span.to;
            placed(file).iter().filter(behind).min_by_key(|placed| placed.span.from)
        };
        let around = |choice: bool| {
            places.iter().find_map(|(file, span)| {
                let holds =
                    |placed: &&Placed| placed.span.holds(*span) && (placed.what == What::Choice) == choice;
                placed(file).iter().filter(holds).min_by_key(|placed| placed.span.length())
            })
        };
        // The type of what a function returns may be fixed by the first return, which then is a mutant's.
        let body = || {
            places.iter().find_map(|(file, span)| {
                let before =
                    |placed: &&Placed| placed.what == What::One(Genre::Body) && placed.span.to <= span.from;
                placed(file).iter().filter(before).max_by_key(|placed| placed.span.from)
            })
        };
        if let Some(found) = arm().or_else(|| around(false)).or_else(|| around(true)).or_else(body) {
            blamed.extend(found.mutants.iter().copied().filter(|number| *number < mutants.len()));
        }
    }
    blamed
}

/// The files and places that an error names, what it is about first.
fn spans(error: &Value) -> impl Iterator<Item = (&str, Span)> {
    let all = error.get("spans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<&Value> = all.iter().collect();
    all.sort_by_key(|span| span.get("is_primary").and_then(Value::as_bool) != Some(true));
    all.into_iter().filter_map(|span| {
        let mut span = span;
        // In a macro: where it is called.
        while let Some(outer) = span.get("expansion").and_then(|expansion| expansion.get("span")) {
            span = outer;
        }
        let byte = |key: &str| span.get(key).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
        Some((span.get("file_name")?.as_str()?, Span { from: byte("byte_start")?, to: byte("byte_end")? }))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mutants::list::Position;

    fn placed(from: usize, to: usize, mutants: &[usize], what: What) -> Placed {
        Placed { span: Span { from, to }, mutants: mutants.to_vec(), what }
    }

    fn error(code: &str, places: &[(usize, usize, bool)]) -> Value {
        let spans: Vec<Value> = places
            .iter()
            .map(|(from, to, primary)| {
                json!({"file_name": "a.rs", "byte_start": from, "byte_end": to, "is_primary": primary})
            })
            .collect();
        json!({"level": "error", "code": {"code": code}, "spans": spans})
    }

    #[test]
    fn an_error_is_of_the_nearest_mutant() {
        let placed = vec![
            placed(10, 20, &[0], What::One(Genre::Body)),
            placed(30, 90, &[1, 2], What::Choice),
            placed(40, 50, &[1], What::One(Genre::Binary)),
            placed(100, 110, &[3], What::One(Genre::Arm)),
            placed(120, 130, &[4], What::One(Genre::Arm)),
        ];
        let written = BTreeMap::from([("a.rs".to_owned(), Rewritten { text: String::new(), placed })]);
        let at = Position { line: 1, column: 0 };
        let mutant = Mutant {
            name: String::new(),
            file: "a.rs".into(),
            genre: Genre::Body,
            from: at,
            to: at,
            replacement: String::new(),
        };
        let mutants = vec![mutant; 5];
        let of = |code: &str, places: &[_]| {
            blamed(&[error(code, places)], &written, &mutants).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of("E0308", &[(12, 13, true)]), [0]);
        assert_eq!(of("E0308", &[(60, 61, false), (44, 45, true)]), [1], "what it is about comes first");
        assert_eq!(of("E0308", &[(60, 61, true)]), [1, 2], "nobody knows which");
        assert_eq!(of("E0308", &[(60, 61, true), (44, 45, false)]), [1], "unless another place says which");
        assert_eq!(of("E0004", &[(95, 99, true)]), [3]);
        assert_eq!(of("E0308", &[(95, 99, true)]), [0], "the return that fixed the type");
        assert_eq!(of("E0308", &[(0, 1, true)]), [0_usize; 0], "that is not of a mutant");
    }
}
