use proptest::prelude::*;

use super::*;

fn read(text: &str) -> (Option<Node>, Diagnostics, Source) {
    let source = Source::new("test.yaml", text);
    let mut diagnostics = Diagnostics::new();
    let node = parse(&source, &mut diagnostics);
    (node, diagnostics, source)
}

fn good(text: &str) -> (Node, Source) {
    let (node, diagnostics, source) = read(text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    (node.unwrap(), source)
}

/// The code and the marked text of each diagnostic.
fn faults(text: &str) -> Vec<(&'static str, String)> {
    let (node, diagnostics, source) = read(text);
    assert!(node.is_some() || diagnostics.has_errors());
    diagnostics.into_iter().map(|one| (one.code, source.slice(one.span).to_owned())).collect()
}

#[test]
fn a_tree_with_places() {
    let (root, source) =
        good("# top\nname: café\nlist:\n  - 1\n  - \"2\"\nflow: { a: [x, y] }\nempty:\nlast: |\n  text\n");
    let at = |node: &Node| source.slice(node.span).to_owned();
    assert_eq!(at(root.lookup("name").unwrap()), "café");
    assert_eq!(at(root.lookup("list").unwrap()), "- 1\n  - \"2\"");
    assert_eq!(at(root.lookup("flow").unwrap()), "{ a: [x, y] }");
    assert_eq!(at(root.lookup("flow").unwrap().lookup("a").unwrap()), "[x, y]");
    assert!(root.lookup("empty").unwrap().value == Value::Null);
    assert_eq!(root.lookup("last").unwrap().as_str(), Some("text\n"));
    let Value::Mapping(entries) = &root.value else { panic!("a mapping") };
    assert_eq!(source.slice(entries[1].key_span), "list");
    let Value::Sequence(items) = &root.lookup("list").unwrap().value else { panic!("a list") };
    assert!(items[0].value == Value::Integer(1) && items[1].value == Value::String("2".into()));
}

#[test]
fn a_byte_order_mark_and_carriage_returns_do_not_shift_places() {
    let (root, source) = good("\u{feff}a: 1\r\nb: two\r\n");
    assert_eq!(source.slice(root.lookup("b").unwrap().span), "two");
}

#[test]
fn quoted_scalars_are_text() {
    let (root, _) = good("a: \"12345\"\nb: 'true'\nc: no\nd: >\n  5\n");
    for key in ["a", "b", "c", "d"] {
        assert!(root.lookup(key).unwrap().as_str().is_some(), "{key}");
    }
}

#[test]
fn a_duplicate_key_is_refused_with_both_places() {
    let (_, diagnostics, source) = read("a: 1\nb:\n  c: 1\n  'c': 2\na: 3\n");
    let all: Vec<_> = diagnostics.into_iter().collect();
    assert_eq!(all.iter().map(|one| source.position(one.span.start).line).collect::<Vec<_>>(), [4, 5]);
    assert!(all.iter().all(|one| one.code == "config.duplicate_key"));
    assert_eq!(source.position(all[1].related[0].span.start).line, 1);
}

#[test]
fn a_duplicate_key_is_found_in_a_large_mapping_too() {
    let mut text: String = (0..100).map(|number| format!("k{number}: {number}\n")).collect();
    assert!(faults(&text).is_empty());
    text.push_str("k42: again\n");
    assert_eq!(faults(&text), [("config.duplicate_key", "k42".to_owned())]);
}

#[test]
fn all_faults_of_a_readable_document_are_reported() {
    let found = faults("1: a\ntrue: b\n? [x]\n: c\n<<: { d: e }\nf: !!str g\nh: { h: 1, h: 2 }\n");
    let codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
    assert_eq!(
        codes,
        [
            "config.key_not_text",
            "config.key_not_text",
            "config.key_not_text",
            "config.merge_key",
            "config.tag",
            "config.duplicate_key"
        ]
    );
    assert_eq!(found[4].1, "!!str");
    assert_eq!(faults("\"<<\": 1\n"), [], "a quoted `<<` is a name like any other");
}

#[test]
fn one_document_only() {
    assert_eq!(faults("---\na: 1\n...\n"), []);
    assert_eq!(faults("a: 1\n---\nb: 2\n")[0].0, "config.many_documents");
    for empty in ["", "# nothing\n", "\n\n"] {
        assert_eq!(faults(empty)[0].0, "config.empty", "{empty:?}");
    }
}

#[test]
fn syntax_errors_have_a_place() {
    for (text, line) in [
        ("a: [1, 2\nb: 3\n", 2),
        ("a: \"x\n", 1),
        ("a: b: c\n", 1),
        ("a:\n\tb: 1\n", 2),
        ("a: 1\n b: 2\n", 2),
        ("a: *nobody\n", 1),
    ] {
        let (node, diagnostics, source) = read(text);
        assert!(node.is_none(), "{text:?} {node:?}");
        let problem = diagnostics.into_iter().next().unwrap();
        assert_eq!(problem.code, "config.syntax", "{text}");
        assert!(source.position(problem.span.start).line >= line, "{text}: {problem:?}");
        assert!(problem.message.len() > "this is not YAML: ".len());
    }
}

#[test]
fn a_syntax_error_does_not_print_what_may_be_a_secret() {
    for text in [
        "client_secret: \"hunter2\n",
        "keys:\n  - \"hunter2\n  - b\n",
        "valid_keys: [hunter2, 'hunter2\nb: 1\n",
        "password: hunter2: hunter2\n",
        "keys: [{ literal: hunter2 hunter2: x: hunter2 }]\n",
        "{ a: 1, a: hunter2, 1: hunter2, b: hunter2 }\n---\n",
        "keys: [{ a: hunter2, a: hunter2, b: hunter2 }, { 1: [hunter2] }]\n\nbroken: [\n",
        "{ a: x, a: hunter2 }",
        "1: hunter2",
    ] {
        let (_, diagnostics, source) = read(text);
        let shown = crate::Renderer::new(&diagnostics, Some(&source), crate::Style::Plain).text();
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn aliases_copy_and_keep_the_place_of_the_original() {
    let (root, source) = good("a: &x [one]\nb: *x\n");
    assert!(root.lookup("a") == root.lookup("b"));
    assert_eq!(source.slice(root.lookup("b").unwrap().span), "[one]");
}

#[test]
fn an_alias_inside_of_what_it_repeats_is_refused() {
    assert_eq!(faults("a: &x [*x]\n")[0].0, "config.recursive_alias");
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", previous.trim_end_matches(", ")));
    }
    assert_eq!(faults(&text)[0].0, "config.too_large");
}

#[test]
fn long_text_repeated_by_aliases_is_refused() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100));
    assert_eq!(faults(&text)[0].0, "config.too_large");
}

#[test]
fn nesting_is_limited_also_through_aliases() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(faults(&nested(DEPTH_LIMIT)), []);
    assert_eq!(faults(&nested(DEPTH_LIMIT + 1))[0].0, "config.too_deep");
    assert!(!faults(&nested(100_000)).is_empty());
    assert!(!faults(&"- ".repeat(100_000)).is_empty());
    assert!(!faults(&"? ".repeat(100_000)).is_empty());

    let half = DEPTH_LIMIT / 2 + 1;
    let text = format!("a: &a {}\nb: {}*a{}\n", nested(half), "[".repeat(half), "]".repeat(half));
    assert_eq!(faults(&text)[0].0, "config.too_deep");
}

#[test]
fn ten_megabytes_are_read_in_reasonable_time() {
    let (root, _) = good(&many_consumers(100_000));
    let Value::Sequence(consumers) = &root.lookup("consumers").unwrap().value else { panic!("a list") };
    assert_eq!(consumers.len(), 100_000);
}

fn many_consumers(count: usize) -> String {
    let mut text = String::from("consumers:\n");
    for number in 0..count {
        text.push_str(&format!(
            "  - name: consumer-{number}\n    roles: [user, reader]\n    keys:\n      - hash: \"sha256:{number:064}\"\n"
        ));
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        faults(&text);
    }

    #[test]
    fn any_mixture_of_yaml_signs_is_read_or_refused(
        text in "([\\[\\]{}:,\\-?&*!|>'\"%@#\n \t~]|a|b|1|<<|---|\\.\\.\\.|: |- |é){0,60}"
    ) {
        let (_, diagnostics, source) = read(&text);
        crate::Renderer::new(&diagnostics, Some(&source), crate::Style::Colour).text();
    }
}

#[test]
fn a_variable_without_quotes_between_brackets_says_so() {
    let source = Source::new("a.yaml", "a: { b: ${NAME} }\n");
    let mut diagnostics = Diagnostics::new();
    assert!(parse(&source, &mut diagnostics).is_none());
    assert!(
        diagnostics.sorted()[0].help.as_deref().is_some_and(|help| help.contains("in quotes")),
        "{diagnostics:?}"
    );
}
