use super::*;
use crate::mutants::list::Position;

const SOURCE: &str = r#"
fn early(a: u32) -> u32 {
    let b = a + 1; // ä
    b * 2
}

fn chain(a: bool, b: bool, c: u8) -> bool {
    !a && (b || c > 1 + 2)
}

fn arms(n: u8, on: bool) -> u8 {
    match n {
        0 => 1,
        1 if on => 2,
        _ => 3,
    }
}

fn lets(a: Option<u8>, b: u8) -> bool {
    if let Some(x) = a && x == b { true } else { false }
}

fn rest(name: u8) -> Thing {
    Thing { name, ..Thing::default() }
}

const FIXED: u8 = 1 + 2;
"#;

/// A mutant of what stands first in the source from a text on.
fn mutant(genre: Genre, what: &str, from: &str, replacement: &str) -> Mutant {
    let from = SOURCE.find(from).unwrap();
    let at = from + SOURCE[from..].find(what).unwrap();
    let position = |byte: usize| {
        let before = &SOURCE[..byte];
        let line = before.rsplit('\n').next().unwrap();
        Position { line: before.matches('\n').count() + 1, column: line.chars().count() }
    };
    Mutant {
        name: String::new(),
        file: String::new(),
        genre,
        from: position(at),
        to: position(at + what.len()),
        replacement: replacement.to_owned(),
    }
}

fn with(mutants: &[Mutant]) -> Rewritten {
    let numbered: Vec<_> = mutants.iter().enumerate().collect();
    let new = rewritten(SOURCE, &numbered).unwrap();
    syn::parse_file(&new.text).unwrap_or_else(|error| panic!("{error}:\n{}", new.text));
    for placed in &new.placed {
        let found = &new.text[placed.span.from..placed.span.to];
        if let What::One(Genre::Guard | Genre::Body) = placed.what {
            assert!(found.contains(&mutants[placed.mutants[0]].replacement), "{found}");
        }
    }
    new
}

/// The text with one mutant is the old text with this part in another form.
fn expect(mutant: Mutant, part: &str, new: &str) {
    let text = with(&[mutant]).text;
    assert!(SOURCE.contains(part));
    assert_eq!(text, SOURCE.replacen(part, new, 1));
}

#[test]
fn a_function_returns_early() {
    let body = "let b = a + 1; // ä\n    b * 2";
    expect(
        mutant(Genre::Body, body, "fn early", "0"),
        "let b",
        "if crate::__mutant::is(0) { return 0; } let b",
    );
    let other = mutant(Genre::Body, body, "fn early", "::std::iter::empty()");
    assert_eq!(with(&[other]).text, SOURCE, "another type cannot stand beside it");
}

#[test]
fn an_operator_is_replaced_in_a_copy_of_its_chain() {
    expect(
        mutant(Genre::Binary, "&&", "fn chain", "||"),
        "!a && (b || c > 1 + 2)",
        "(if crate::__mutant::is(0) { !a || (b || c > 1 + 2) } else { !a && (b || c > 1 + 2) })",
    );
    expect(
        mutant(Genre::Binary, ">", "c > 1", "=="),
        "b || c > 1 + 2",
        "(if crate::__mutant::is(0) { b || c == 1 + 2 } else { b || c > 1 + 2 })",
    );
    expect(mutant(Genre::Unary, "!", "fn chain", ""), "!a", "(if crate::__mutant::is(0) { a } else { !a })");
}

#[test]
fn mutants_in_mutants_are_in_the_original_alone() {
    let new = with(&[
        mutant(Genre::Binary, "&&", "fn chain", "||"),
        mutant(Genre::Unary, "!", "fn chain", ""),
        mutant(Genre::Binary, "||", "fn chain", "&&"),
        mutant(Genre::Binary, "||", "fn chain", "^"),
    ]);
    let expected = "(if crate::__mutant::is(0) { !a || (b || c > 1 + 2) } else { \
        (if crate::__mutant::is(1) { a } else { !a }) && (\
        (if crate::__mutant::is(2) { b && c > 1 + 2 } else if crate::__mutant::is(3) { b ^ c > 1 + 2 } else { b || c > 1 + 2 })) })";
    assert_eq!(new.text, SOURCE.replacen("!a && (b || c > 1 + 2)", expected, 1));
    assert_eq!(new.mutants(), BTreeSet::from([0, 1, 2, 3]));
    let choices = new.placed.iter().filter(|placed| placed.what == What::Choice);
    assert_eq!(
        choices.map(|placed| placed.mutants.clone()).collect::<Vec<_>>(),
        [vec![1], vec![2, 3], vec![0]]
    );
    let third = new.placed.iter().find(|placed| placed.mutants == [3]).unwrap();
    assert_eq!(&new.text[third.span.from..third.span.to], "b ^ c > 1 + 2");
}

#[test]
fn arms_and_guards_of_a_match() {
    expect(mutant(Genre::Arm, "0 => 1,", "fn arms", ""), "0 => 1", "0 if !crate::__mutant::is(0) => 1");
    expect(
        mutant(Genre::Guard, "on", "on =>", "true"),
        "1 if on",
        "1 if (if crate::__mutant::is(0) { true } else { on })",
    );
}

#[test]
fn a_condition_that_binds_names_is_no_choice() {
    expect(
        mutant(Genre::Binary, "==", "x ==", "!="),
        "x == b",
        "(if crate::__mutant::is(0) { x != b } else { x == b })",
    );
    let joins = mutant(Genre::Binary, "&&", "fn lets", "||");
    let new = with(&[joins]);
    assert_eq!((new.text.as_str(), new.placed.len()), (SOURCE, 0));
}

#[test]
fn a_field_is_left_to_the_rest() {
    expect(
        mutant(Genre::Field, "name,", "name, ..", ""),
        "Thing { name,",
        "Thing { name: (if crate::__mutant::is(0) { { let rest: Thing = Thing::default(); rest.name } } else { name }),",
    );
}

#[test]
fn what_is_not_there_and_what_has_no_form_are_not_placed() {
    let new =
        with(&[mutant(Genre::Body, "b * 2", "fn early", "1"), mutant(Genre::Unknown, "!", "fn chain", "")]);
    assert_eq!((new.text.as_str(), new.placed.len()), (SOURCE, 0));
}

#[test]
fn the_switch_is_a_module() {
    syn::parse_file(&switch(3)).unwrap();
}
