//! The conformance cases of CEL (<https://github.com/cel-expr/cel-spec>), through what the gateway runs and, beside it,
//! through another crate. `CEL_DIR` names the folder with the cases; without it, a few of our own are run.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "a test binary, which prints how two crates compare"
)]

mod case;
mod ours;
mod peer;
mod textproto;

use case::{Case, Expected, Value, cases};
use std::collections::BTreeMap;

/// Files about the language itself, rather than protocol buffers and extensions.
const FILES: [&str; 14] = [
    "basic",
    "comparisons",
    "conversions",
    "fields",
    "fp_math",
    "integer_math",
    "lists",
    "logic",
    "macros",
    "parse",
    "plumbing",
    "string",
    "timestamps",
    "type_deduction",
];

fn files() -> Vec<(String, String)> {
    let Some(folder) = std::env::var_os("CEL_DIR") else {
        println!("CEL_DIR is not set: these are a few cases of our own.");
        return vec![("own".to_owned(), include_str!("own.textproto").to_owned())];
    };
    FILES
        .iter()
        .map(|name| {
            let path = std::path::Path::new(&folder).join(format!("{name}.textproto"));
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            ((*name).to_owned(), text)
        })
        .collect()
}

/// How an outcome compares with what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    /// It was refused before it could run.
    RefusedAtLoad,
    ErrorForValue,
    WrongValue,
    /// The kind that lets somebody in.
    ValueForError,
}

fn outcome(case: &Case, got: &Result<Value, String>) -> Outcome {
    match (&case.expected, got) {
        (Expected::Value(expected), Ok(got)) if expected == got => Outcome::Right,
        // A type has a name and is no value of a claim.
        (Expected::Value(Value::Type(name)), Ok(Value::Text(got))) if name == got => Outcome::Right,
        (Expected::Value(_), Ok(_)) => Outcome::WrongValue,
        (Expected::Value(_), Err(why)) if why.starts_with("load:") => Outcome::RefusedAtLoad,
        (Expected::Value(_), Err(_)) => Outcome::ErrorForValue,
        (Expected::Error, Err(_)) => Outcome::Right,
        (Expected::Error, Ok(_)) => Outcome::ValueForError,
    }
}

/// What a condition does without.
fn may_be_refused(case: &Case) -> bool {
    // It says that it does not pass a type check.
    !case.checked
        // Variables with dots in their names; a condition has none.
        || case.name.contains("qualified_identifier_resolution")
        // 32 brackets in each other, and more.
        || case.name.starts_with("parse/nest/")
}

#[test]
fn conditions_mean_what_the_language_says() {
    let mut counts: BTreeMap<(&str, Outcome), usize> = BTreeMap::new();
    let (mut wrong, mut others) = (Vec::new(), 0);
    for (name, text) in files() {
        let (cases, left) = cases(&name, &text);
        others += left;
        for case in cases {
            let got = ours::run(&case);
            let ours = outcome(&case, &got);
            *counts.entry(("cel, as the gateway runs it", ours)).or_default() += 1;
            *counts.entry(("cel-core", outcome(&case, &peer::run(&case)))).or_default() += 1;
            let tolerated = ours == Outcome::RefusedAtLoad && may_be_refused(&case);
            if tolerated {
                println!("refused at load: {}: {}: {got:?}", case.name, case.expression);
            }
            if ours != Outcome::Right && !tolerated {
                let Case { name, expression, expected, .. } = &case;
                wrong.push(format!("{ours:?}: {name}: {expression}: {expected:?}, and not {got:?}"));
            }
        }
    }
    println!("{others} cases are about protocol buffers or extensions.");
    for ((who, outcome), count) in &counts {
        println!("{who:28} {outcome:?}: {count}");
    }
    assert!(counts.len() >= 2, "there are cases");
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// Beyond the conformance cases: what neither crate may take for a value. The other crate does, which is why it is not used.
#[test]
fn what_the_other_crate_takes_for_a_value_is_an_error_here() {
    let claims = || {
        let text = |text: &str| Value::Text(text.to_owned());
        let list = Value::List(vec![Value::Int(1), Value::Int(2)]);
        Value::Map(vec![(text("list"), list), (text("text"), text("abc"))])
    };
    let mut values = 0;
    for expression in [
        "!has(claims.account.suspended)",
        "!has(claims.text.suspended)",
        "!has(claims.list.suspended)",
        "claims.list[-1] == 2",
        "claims.text[0] == 'a'",
    ] {
        let case = Case {
            name: expression.to_owned(),
            expression: expression.to_owned(),
            checked: true,
            variables: vec![("claims".to_owned(), claims())],
            declared: Vec::new(),
            expected: Expected::Error,
        };
        assert!(ours::run(&case).is_err(), "{expression}");
        values += usize::from(peer::run(&case).is_ok());
    }
    println!("cel-core takes {values} of 5 errors for a value.");
}
