//! Documents that are made to be expensive. Each is judged in bounded time, and none overflows a stack.

use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// Far more than any of these takes, even in a debug build, and far less than what grows with a square would.
const SOON: Duration = Duration::from_secs(1);

/// The best of a few times, since a busy machine takes its own time now and then.
fn time(mut judge: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        judge();
        best = best.min(begun.elapsed());
        if best < SOON {
            break;
        }
    }
    best
}

const MIB: usize = 1024 * 1024;

fn generous() -> Graphql {
    let much = 4_000_000_000_u32;
    check(json!({
        "max_tokens": much, "max_depth": much, "max_fields": much, "max_root_fields": much, "max_aliases": much,
        "max_directives": much,
    }))
}

#[test]
fn hostile_documents_are_judged_soon() {
    let spread = |count: usize| {
        let mut text = String::from("{ ...F0 }");
        for number in 0..count {
            text.push_str(&format!(" fragment F{number} on T {{ ...F{0} ...F{0} }}", number + 1));
        }
        text + &format!(" fragment F{count} on T {{ x }}")
    };
    let documents = [
        ("nested fields", "{ a ".repeat(MIB / 4)),
        ("nested and closed fields", "{a".repeat(300_000) + &"}".repeat(300_000)),
        ("nested inline fragments", "{...".repeat(MIB / 4)),
        ("nested lists", format!("{{ a(x: {}", "[".repeat(MIB))),
        ("nested objects", format!("{{ a(x: {}", "{a:".repeat(MIB / 3))),
        ("nested types", format!("query($a: {}", "[".repeat(MIB))),
        ("aliases", format!("{{ {} }}", "a:b ".repeat(MIB / 4))),
        ("directives", format!("{{ a {} }}", "@a".repeat(MIB / 2))),
        ("one name", format!("{{ {} }}", "a".repeat(MIB))),
        ("one string", format!("{{ a(x: \"{}\") }}", "a".repeat(MIB))),
        ("one block string", format!("{{ a(x: \"\"\"{}\"\"\") }}", "\\\"\"\"".repeat(MIB / 4))),
        ("one number", format!("{{ a(x: {}) }}", "9".repeat(MIB))),
        ("one comment", format!("#{}\n{{ a }}", "a".repeat(MIB))),
        ("commas", format!("{}{{ a }}", ",".repeat(MIB))),
        ("fragments that multiply", spread(600)),
        ("fragments in a row", {
            let mut text = String::from("{ ...F0 }");
            for number in 0..20_000 {
                text.push_str(&format!("fragment F{number} on T{{...F{}}}", number + 1));
            }
            text + "fragment F20000 on T{x}"
        }),
        ("arguments", {
            let arguments: String = (0..100_000).map(|number| format!("a{number}:1 ")).collect();
            format!("{{ a({arguments}) }}")
        }),
        ("members of an object", {
            let members: String = (0..100_000).map(|number| format!("a{number}:1 ")).collect();
            format!("{{ a(x: {{{members}}}) }}")
        }),
        ("operations", (0..60_000).map(|number| format!("query Q{number}{{a}}")).collect()),
        ("quotes", "\"".repeat(MIB)),
        ("braces", "{".repeat(MIB)),
        ("closing braces", "}".repeat(MIB)),
    ];
    let (strict, generous, cost) = (chosen(""), generous(), chosen("cost"));
    for (title, text) in &documents {
        for check in [&strict, &generous, &cost] {
            let took = time(|| drop(document(check, text)));
            assert!(took < SOON, "{title}: {took:?}");
        }
    }
}

#[test]
fn fragments_that_multiply_are_counted_and_not_expanded() {
    let mut text = String::from("{ ...F0 }");
    for number in 0..100 {
        text.push_str(&format!(" fragment F{number} on T {{ ...F{0} ...F{0} }}", number + 1));
    }
    text.push_str(" fragment F100 on T { x }");
    let (read, _) = document::read(&text, usize::MAX, &()).unwrap();
    let measured = measure::measure(&read).unwrap();
    assert_eq!(
        measured.operations[0].measures.fields,
        u64::MAX,
        "two to the hundredth, as far as it can be said"
    );
}

#[test]
fn hostile_json_is_refused() {
    let check = chosen("");
    let post = |body: &[u8]| judge(&check, "POST", "/", &[("content-type", "application/json")], body);
    let deep = |depth: usize| {
        format!(
            "{{\"query\": \"{{ a }}\", \"variables\": {{\"a\": {}1{}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(post(deep(30).as_bytes()).is_ok());
    for depth in [50, 200, 500_000] {
        assert!(post(deep(depth).as_bytes()).is_err(), "{depth}");
    }
    let wide = format!("{{\"query\": \"{{ a }}\", \"variables\": {{\"a\": [{}1]}}}}", "1,".repeat(100_000));
    assert!(post(wide.as_bytes()).is_err());
    for body in [
        &b"{\"query\": \"{ a \xff }\"}"[..],
        b"\xef\xbb\xbf{\"query\": \"{ a }\"}",
        b"{\"query\": \"\\ud800\"}",
    ] {
        assert!(post(body).is_err());
    }
}

/// Text that looks like a document more often than chance would have it.
fn nearly() -> impl Strategy<Value = String> {
    let pieces = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ":",
        "!",
        "$",
        "@",
        "=",
        "...",
        " ",
        "a",
        "b",
        "query",
        "mutation",
        "fragment",
        "on",
        "T",
        "\"x\"",
        "\"\"\"",
        "\"",
        "\\",
        "1",
        "-0",
        "1.5",
        "e",
        "null",
        "#",
        "\n",
        ",",
        "{ a }",
        "...A",
        "fragment A on T { a }",
        "é",
        "\u{0}",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 0..60)
        .prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_taken_is_within_the_bounds(text in prop_oneof![nearly(), any::<String>()]) {
        let (check, cost) = (chosen(""), chosen("cost"));
        let _judged = document(&cost, &text);
        if document(&check, &text).is_ok() {
            let (read, left) = document::read(&text, 2000, &()).unwrap();
            prop_assert!(left <= 2000);
            for operation in measure::measure(&read).unwrap().operations {
                prop_assert!(operation.measures.depth <= 10 && operation.measures.aliases <= 15);
            }
        }
    }

    #[test]
    fn no_body_panics(body in any::<Vec<u8>>(), url in "[ -~]{0,60}") {
        let check = chosen("");
        for kind in ["application/json", "application/graphql"] {
            let _judged = judge(&check, "POST", "/", &[("content-type", kind)], &body);
        }
        if let Ok(uri) = format!("/?query={url}").parse::<http::Uri>() {
            let _judged = judge(&check, "GET", &uri.to_string(), &[], b"");
        }
    }
}
