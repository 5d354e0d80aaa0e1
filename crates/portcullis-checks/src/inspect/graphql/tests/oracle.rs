//! The same documents, read by another parser: whatever is taken here is a document there, and measures the same.
//!
//! What that parser takes and this one does not is refused on purpose: a byte order mark, numbers and names that servers
//! disagree about, a name that is given twice.

use super::*;
use apollo_parser::Parser;
use apollo_parser::cst::{Definition, Selection, SelectionSet};
use proptest::prelude::*;

/// What the other parser counts: fields, aliases, depth, without fragments put in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    definitions: usize,
    fields: usize,
    aliases: usize,
    depth: usize,
}

fn theirs(text: &str) -> Result<Counted, Vec<String>> {
    let tree = Parser::new(text).recursion_limit(200).parse();
    let errors: Vec<String> = tree.errors().map(|error| error.message().to_owned()).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut counted = Counted::default();
    for definition in tree.document().definitions() {
        counted.definitions += 1;
        let set = if let Definition::OperationDefinition(operation) = definition {
            operation.selection_set()
        } else if let Definition::FragmentDefinition(fragment) = definition {
            fragment.selection_set()
        } else {
            return Err(vec!["not executable".to_owned()]);
        };
        count(set, 1, &mut counted);
    }
    Ok(counted)
}

fn count(set: Option<SelectionSet>, level: usize, counted: &mut Counted) {
    for selection in set.into_iter().flat_map(|set| set.selections()) {
        match selection {
            Selection::Field(field) => {
                counted.fields += 1;
                counted.aliases += usize::from(field.alias().is_some());
                counted.depth = counted.depth.max(level);
                count(field.selection_set(), level + 1, counted);
            }
            Selection::InlineFragment(inline) => count(inline.selection_set(), level, counted),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn ours(text: &str) -> Result<Counted, Flaw> {
    let (read, _) = document::read(text, usize::MAX, &())?;
    let mut counted = Counted { definitions: read.definitions.len(), ..Counted::default() };
    for selection in &read.selections {
        if let document::Selected::Field { aliased, .. } = selection.selected {
            counted.fields += 1;
            counted.aliases += usize::from(aliased);
            counted.depth = counted.depth.max(selection.level + 1);
        }
    }
    Ok(counted)
}

#[test]
fn both_read_the_tables_alike() {
    let mut compared = 0;
    for case in cases(ALLOW).iter().filter(|case| !case.text.contains("graphql")) {
        assert_eq!(ours(case.text).unwrap(), theirs(case.text).unwrap(), "{}", case.title);
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_]{0,4}".prop_filter("a word of the language", |name| name != "on")
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("-0.5e3".to_owned()),
        Just("\"a\\n\"".to_owned()),
        Just("\"\"\"b\"c\"\"\"".to_owned()),
        Just("null".to_owned()),
        Just("RED".to_owned()),
        name().prop_map(|name| format!("${name}")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(", "))),
            inner.prop_map(|value| format!("{{a: {value}, b: 1}}")),
        ]
    })
}

/// A selection, with what it selects.
fn selection() -> impl Strategy<Value = String> {
    let head = (prop::option::of(name()), name(), prop::option::of(value()), prop::bool::ANY);
    let field = head.prop_map(|(alias, name, value, directive)| {
        let alias = alias.map_or(String::new(), |alias| format!("{alias}: "));
        let arguments = value.map_or(String::new(), |value| format!("(x: {value})"));
        format!("{alias}{name}{arguments}{}", if directive { " @d(if: true)" } else { "" })
    });
    field.prop_recursive(4, 24, 4, |inner| {
        let set = prop::collection::vec(inner, 1..4).prop_map(|all| format!("{{ {} }}", all.join(" ")));
        prop_oneof![
            (name(), set.clone()).prop_map(|(name, set)| format!("{name} {set}")),
            (name(), set.clone()).prop_map(|(on, set)| format!("... on {on} {set}")),
            set.prop_map(|set| format!("... @d {set}")),
            name().prop_map(|name| format!("...{name}")),
        ]
    })
}

fn documents() -> impl Strategy<Value = String> {
    let set = prop::collection::vec(selection(), 1..4).prop_map(|all| format!("{{ {} }}", all.join("\n")));
    let definition = (set, name(), 0..4_u8).prop_map(|(set, name, kind)| match kind {
        0 => set,
        1 => format!("query {name}($v: [Int!]! = [1]) @d {set}"),
        2 => format!("mutation {set}"),
        _ => format!("fragment {name} on T @d {set}"),
    });
    prop::collection::vec(definition, 1..4).prop_map(|all| all.join("\n"))
}

proptest! {
    #[test]
    fn both_read_good_documents_alike(text in documents()) {
        prop_assert_eq!(ours(&text).expect(&text), theirs(&text).unwrap());
    }

    /// A part left out, or doubled, somewhere: whoever takes it must be right.
    #[test]
    fn what_is_taken_here_is_a_document_there(text in documents(), at in any::<prop::sample::Index>(), size in 1..8_usize, doubled in any::<bool>()) {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let start = at.index(places.len());
        let (from, to) = (places[start], places.get(start + size).copied().unwrap_or(text.len()));
        let changed = if doubled { format!("{}{}", &text[..to], &text[from..]) } else { format!("{}{}", &text[..from], &text[to..]) };
        if let Ok(counted) = ours(&changed) {
            prop_assert_eq!(theirs(&changed), Ok(counted), "{}", changed);
        }
    }
}
