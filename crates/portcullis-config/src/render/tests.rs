use proptest::prelude::*;

use super::*;

fn one(source: &Source, span: Span, build: impl FnOnce(&mut Diagnostic)) -> String {
    let mut diagnostics = Diagnostics::new();
    build(diagnostics.push(Diagnostic::new("config.test", Severity::Error, span, "something is wrong")));
    Renderer::new(&diagnostics, Some(source), Style::Plain).text()
}

#[test]
fn a_diagnostic_shows_its_line() {
    let source = Source::new("gateway.yaml", "routes:\n  - metods: [GET]\n");
    let text = one(&source, Span::new(12, 18), |diagnostic| {
        diagnostic
            .label("did you mean `methods`?")
            .help("see the manual")
            .related(Span::new(0, 6), "in this list");
    });
    let expected = "\
error[config.test]: something is wrong
 --> gateway.yaml:2:5
  |
2 |   - metods: [GET]
  |     ^^^^^^ did you mean `methods`?
 ::: gateway.yaml:1:1
  |
1 | routes:
  | ------ in this list
  = help: see the manual
";
    assert_eq!(text, expected);
}

#[test]
fn without_text_the_path_is_shown() {
    let mut diagnostics = Diagnostics::new();
    let problem = Diagnostic {
        path: "security.rate_limiting.per".into(),
        ..Diagnostic::new("config.test", Severity::Warning, Span::NONE, "odd")
    };
    diagnostics.push(problem).label("did you mean `minute`?").help("write it");
    let renderer = Renderer::new(&diagnostics, None, Style::Plain);
    let expected = "\
warning[config.test]: odd
  at security.rate_limiting.per
  = did you mean `minute`?
  = help: write it
";
    assert_eq!(renderer.text(), expected);
    let json = renderer.json();
    assert_eq!(json[0]["path"], "security.rate_limiting.per");
    assert_eq!(json[0]["severity"], "warning");
    assert!(json[0].get("line").is_none());
}

#[test]
fn machines_get_positions() {
    let source = Source::new("a.yaml", "a: 1\nbé: 2\n");
    let mut diagnostics = Diagnostics::new();
    let problem = Diagnostic::new("config.test", Severity::Error, Span::new(10, 11), "wrong");
    diagnostics.push(problem).related(Span::new(0, 1), "first");
    let json = Renderer::new(&diagnostics, Some(&source), Style::Plain).json();
    assert_eq!(
        (&json[0]["line"], &json[0]["column"], &json[0]["end_column"]),
        (&json!(2), &json!(5), &json!(6))
    );
    assert_eq!((&json[0]["file"], &json[0]["related"][0]["line"]), (&json!("a.yaml"), &json!(1)));
    assert!(json[0].get("help").is_none());
}

#[test]
fn concealed_text_is_never_printed() {
    let source = Source::new("a.yaml", "keys: [\"hunter2\", other]\n");
    let secret = Span::new(7, 16);
    for span in
        [secret, Span::new(0, 4), Span::new(9, 12), Span::new(18, 23), Span::new(0, 24), Span::new(10, 10)]
    {
        let mut diagnostics = Diagnostics::new();
        diagnostics
            .push(Diagnostic::new("config.test", Severity::Error, span, "wrong"))
            .related(secret, "here");
        diagnostics.conceal(Span::new(7, 10));
        diagnostics.conceal(Span::new(8, 16));
        let text = Renderer::new(&diagnostics, Some(&source), Style::Plain).text();
        assert!(text.contains("keys: [•••, other]"), "{text}");
        assert!(!text.contains("hunter") && !text.contains("ter2"), "{text}");
    }
}

#[test]
fn marks_stand_under_the_dots_of_a_secret() {
    let source = Source::new("a.yaml", "key: hunter2 # x\n");
    let mut diagnostics = Diagnostics::new();
    diagnostics.push(Diagnostic::new("config.test", Severity::Error, Span::new(5, 12), "wrong"));
    diagnostics.conceal(Span::new(5, 12));
    let text = Renderer::new(&diagnostics, Some(&source), Style::Plain).text();
    assert!(text.contains("1 | key: ••• # x\n  |      ^^^\n"), "{text}");
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let source = Source::new("a\u{1b}.yaml", "a: \u{1b}[31mred\u{7}\u{202e}\u{9b} \tb\n");
    let text = one(&source, Span::new(0, 1), |diagnostic| {
        diagnostic.message = "key `\u{1b}[2J`".into();
        diagnostic.help("\u{1b}");
    });
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}') && text.contains("\\u{1b}[31mred"));
}

#[test]
fn colours_only_on_request() {
    let source = Source::new("a.yaml", "a: 1\n");
    let mut diagnostics = Diagnostics::new();
    diagnostics.push(Diagnostic::new("config.test", Severity::Error, Span::new(0, 1), "wrong"));
    assert!(!Renderer::new(&diagnostics, Some(&source), Style::Plain).text().contains('\u{1b}'));
    assert!(Renderer::new(&diagnostics, Some(&source), Style::Colour).text().contains("\u{1b}[1;31merror"));
}

#[test]
fn a_very_long_line_is_cut_around_the_place() {
    let source = Source::new("a.json", format!("{}wrong{}", "x".repeat(100_000), "y".repeat(100_000)));
    let text = one(&source, Span::new(100_000, 100_005), |_| {});
    let line = text.lines().nth(3).unwrap();
    assert!(line.chars().count() < 120 && line.contains("xwrongy"), "{line}");
    assert!(line.starts_with("1 | …") && line.ends_with('…'));
    let marks = text.lines().nth(4).unwrap();
    let column = |line: &str, what: &str| line.split(what).next().unwrap().chars().count();
    assert_eq!(column(marks, "^"), column(line, "wrong"));
    assert_eq!(marks.matches('^').count(), 5);
}

#[test]
fn names_in_messages_are_short_and_visible() {
    assert_eq!(quoted("a\nb"), "`a\\u{a}b`");
    assert_eq!(quoted(&"x".repeat(1000)).chars().count(), 63);
    let long = format!("/{}/bob.key", "a folder/".repeat(100));
    let shown = quoted_path(Path::new(&long));
    assert!(shown.starts_with("`…") && shown.ends_with("/bob.key`"), "{shown}");
    assert_eq!(shown.chars().count(), 63);
    assert_eq!(quoted_path(Path::new("secrets/bob.key")), "`secrets/bob.key`");
}

proptest! {
    #[test]
    fn any_place_in_any_text_is_rendered(text in "\\PC*|[a\n\r\té•]*", start in 0usize..300, length in 0usize..50, hidden in 0usize..300) {
        let source = Source::new("a.yaml", text);
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::new("config.test", Severity::Error, Span::new(start, start + length), "wrong"));
        diagnostics.conceal(Span::new(hidden, hidden + 5));
        let renderer = Renderer::new(&diagnostics, Some(&source), Style::Plain);
        prop_assert!(renderer.text().lines().all(|line| line.chars().count() < 140));
        renderer.json();
    }
}
