//! A slip in any key, at any level, in either spelling, is refused: at its place, and with the name that was meant.

use super::examples::{Written, documents, written};
use super::harness::load;
use super::keys;
use portcullis::Style;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::LazyLock;

struct Example {
    document: String,
    keys: Vec<Written>,
}

static EXAMPLES: LazyLock<Vec<Example>> = LazyLock::new(|| {
    documents().into_iter().map(|document| Example { keys: written(&document), document }).collect()
});

/// Each declared key once, by the first example that has it.
static KEYS: LazyLock<Vec<(usize, usize)>> = LazyLock::new(|| {
    let mut first = BTreeMap::new();
    for (example, Example { keys, .. }) in EXAMPLES.iter().enumerate() {
        for (key, written) in keys.iter().enumerate() {
            first.entry(written.path.clone()).or_insert((example, key));
        }
    }
    first.into_values().collect()
});

static DECLARED: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(keys::declared);

/// The spellings of all keys that may stand beside this one, by their printed name.
fn siblings(path: &str) -> Vec<(&'static str, &'static [String])> {
    let parent = |path: &str| path.rsplit_once('.').map_or(String::new(), |(parent, _)| parent.to_owned());
    let beside = DECLARED.iter().filter(|(other, _)| parent(other) == parent(path));
    beside.map(|(_, spellings)| (spellings[0].as_str(), spellings.as_slice())).collect()
}

fn edited(key: &str, at: usize, with: char, edit: u8) -> String {
    let mut characters: Vec<char> = key.chars().collect();
    let at = at % characters.len();
    match edit {
        0 => characters.insert(at, with),
        1 => {
            characters.remove(at);
        }
        2 => characters[at] = with,
        _ if at + 1 < characters.len() => characters.swap(at, at + 1),
        _ => characters.push(with),
    }
    characters.into_iter().collect()
}

/// Whether one edit, not counting case and underscores, makes one of the other.
fn close(one: &str, other: &str) -> bool {
    let fold =
        |name: &str| name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (one, other) = (fold(one), fold(other));
    let start = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&one[..one.len() - end], &other[..other.len() - end]) {
        ([a, b], [c, d]) => a == d && b == c,
        (one, other) => one.len() <= 1 && other.len() <= 1,
    }
}

fn camel_case(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| format!("{name}{}{}", word[..1].to_uppercase(), &word[1..]))
}

/// The document with this in place of the key.
fn with_key(document: &str, at: &Written, key: &str) -> String {
    let mut lines: Vec<String> = document.lines().map(str::to_owned).collect();
    let start = at.column - 1;
    lines[at.line - 1].replace_range(start..start + at.key.len(), key);
    lines.join("\n")
}

fn check(which: usize, camel: bool, at: usize, with: char, edit: u8) -> Result<(), TestCaseError> {
    let (example, key) = KEYS[which];
    let Example { document, keys } = &EXAMPLES[example];
    let key = &keys[key];
    let misspelt = edited(&if camel { camel_case(&key.key) } else { key.key.clone() }, at, with, edit);
    let siblings = siblings(&key.path);
    // The edit may have made another spelling of the key, or another key.
    prop_assume!(!siblings.iter().any(|(_, spellings)| spellings.contains(&misspelt)));
    // A slip between two keys could be either; the nearer one is not ours to say.
    let meant: Vec<&str> = siblings
        .iter()
        .filter(|(name, spellings)| {
            *name == key.key || spellings.iter().any(|spelling| close(spelling, &misspelt))
        })
        .map(|(name, _)| *name)
        .collect();

    let loaded = load(&with_key(document, key, &misspelt));
    let text = loaded.text(Style::Plain);
    prop_assert!(loaded.blueprint().is_none(), "accepted: {} for {}", misspelt, key.path);
    let errors = loaded.json();
    let errors: Vec<_> = errors.as_array().unwrap().iter().filter(|one| one["severity"] == "error").collect();
    // Where the source of a secret is misspelt, that there is none is said as well; and that a key is missing, where the slip is
    // nearer to another one.
    let (slips, others): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|one| one["code"] == "config.unknown_key");
    prop_assert_eq!(slips.len(), 1, "one slip, one error: {} for {}\n{}", misspelt, key.path, text);
    let label = slips[0]["label"].as_str().unwrap_or("");
    let is_missing = |one: &&serde_json::Value| {
        one["code"] == "config.missing_key"
            && one["message"].as_str().is_some_and(|message| message.contains(&format!("`{}`", key.key)))
            && label != format!("did you mean `{}`?", key.key)
    };
    prop_assert!(
        others.iter().all(|one| one["code"] == "config.secret_source" || is_missing(one)),
        "{} for {}\n{}",
        misspelt,
        key.path,
        text
    );
    let error = slips[0];
    prop_assert_eq!(
        (&error["line"], &error["column"]),
        (&json!(key.line), &json!(key.column)),
        "{} for {}\n{}",
        misspelt,
        key.path,
        text
    );
    let named = meant.iter().any(|name| label == format!("did you mean `{name}`?"));
    prop_assert!(named, "{} for {}: none of {:?}\n{}", misspelt, key.path, meant, text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn a_slip_in_any_key_is_refused(which in 0..KEYS.len(), camel in any::<bool>(), at in 0usize..30, with in "[a-zA-Z_]", edit in 0u8..4) {
        check(which, camel, at, with.chars().next().unwrap(), edit)?;
    }
}

#[test]
fn a_slip_may_be_nearer_to_another_key() {
    let (document, at) = EXAMPLES
        .iter()
        .find_map(|example| {
            let key = example.keys.iter().find(|key| key.key == "signed_by" || key.key == "signedBy")?;
            Some((&example.document, key))
        })
        .unwrap();
    let loaded = load(&with_key(document, at, "signedy"));
    let text = loaded.text(Style::Plain);
    assert!(
        text.contains("did you mean `signed`?") && text.contains("the key `signed_by` is missing"),
        "{text}"
    );
}

#[test]
fn a_slip_in_every_key_is_refused() {
    for (which, (example, key)) in KEYS.iter().enumerate() {
        // What is the same key in another place has the same decoder; one edit shows that it is asked there too.
        let path = &EXAMPLES[*example].keys[*key].path;
        let edits = if keys::canonical(path) == *path { 4 } else { 1 };
        for camel in [false, true] {
            for edit in 0..edits {
                match check(which, camel, 1, 'q', edit) {
                    Ok(()) | Err(TestCaseError::Reject(_)) => {}
                    Err(TestCaseError::Fail(reason)) => panic!("{reason}"),
                }
            }
        }
    }
}

#[test]
fn every_spelling_of_every_key_is_accepted() {
    let before: Vec<usize> = EXAMPLES.iter().map(|example| load(&example.document).errors()).collect();
    for (example, key) in KEYS.iter() {
        let Example { document, keys } = &EXAMPLES[*example];
        let key = &keys[*key];
        for spelling in DECLARED[&key.path].iter().filter(|spelling| **spelling != key.key) {
            let after = load(&with_key(document, key, spelling));
            assert_eq!(after.errors(), before[*example], "{spelling}\n{}", after.text(Style::Plain));
        }
    }
}

#[test]
fn two_spellings_of_one_key_are_refused() {
    for (example, key) in KEYS.iter() {
        let Example { document, keys } = &EXAMPLES[*example];
        let key = &keys[*key];
        for spelling in DECLARED[&key.path].iter().skip(1) {
            let mut lines: Vec<String> = document.lines().map(str::to_owned).collect();
            lines.insert(key.line, format!("{}{spelling}: 1", " ".repeat(key.column - 1)));
            // Only where the key's own value ends on its line.
            if lines[key.line - 1].trim_end().ends_with(':') {
                continue;
            }
            let loaded = load(&lines.join("\n"));
            assert!(loaded.blueprint().is_none());
            let text = loaded.text(Style::Plain);
            assert!(text.contains("error[config.duplicate_key]"), "{spelling} beside {}\n{text}", key.path);
            assert!(text.contains(&format!("--> gateway.yaml:{}:{}", key.line + 1, key.column)), "{text}");
        }
    }
}
