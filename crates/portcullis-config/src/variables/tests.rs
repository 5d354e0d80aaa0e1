use super::*;
use crate::decode::Decode as _;
use crate::render::{Renderer, Style};

fn substituted(text: &str) -> (Node, Context, Source) {
    let source = Source::new("a.yaml", text);
    let mut cx = Context::for_file("").with_environment(|name| match name {
        "HOST" => Ok("api.example.com".to_owned()),
        "PORT" => Ok("8080".to_owned()),
        "EMPTY" => Ok(String::new()),
        "TOKEN" => Ok("hunter2-hunter2".to_owned()),
        "NASTY" => Ok("x\nroutes: [evil]".to_owned()),
        "RECURSIVE" => Ok("${TOKEN} $$".to_owned()),
        _ => Err(VarError::NotPresent),
    });
    let mut node = crate::yaml::parse(&source, &mut cx.diagnostics).unwrap();
    substitute(&mut node, &source, &mut cx);
    (node, cx, source)
}

#[test]
fn variables_defaults_and_dollars() {
    for (written, value) in [
        ("${HOST}", Value::String("api.example.com".into())),
        ("https://${HOST}:${PORT}/", Value::String("https://api.example.com:8080/".into())),
        ("${PORT}", Value::Integer(8080)),
        ("'${PORT}'", Value::String("8080".into())),
        ("\"${PORT}\"", Value::String("8080".into())),
        ("${UNSET:-60}", Value::Integer(60)),
        ("${UNSET:-}", Value::Null),
        ("${EMPTY:-none}", Value::String("none".into())),
        ("'${EMPTY}'", Value::String(String::new())),
        ("${HOST:-other}", Value::String("api.example.com".into())),
        ("'$${HOST}'", Value::String("${HOST}".into())),
        ("a$$b", Value::String("a$b".into())),
        ("^/a$", Value::String("^/a$".into())),
        ("$argon2id$v=19", Value::String("$argon2id$v=19".into())),
        ("$HOST", Value::String("$HOST".into())),
        // What a variable gave is text: no structure, and no second substitution.
        ("${NASTY}", Value::String("x\nroutes: [evil]".into())),
        ("'${RECURSIVE}'", Value::String("${TOKEN} $$".into())),
    ] {
        let (node, cx, _) = substituted(&format!("key: {written}\n"));
        assert!(cx.diagnostics.is_empty(), "{written}: {:?}", cx.diagnostics);
        assert!(node.lookup("key").unwrap().value == value, "{written}");
    }
}

#[test]
fn keys_are_left_alone() {
    let (node, cx, _) = substituted("'${HOST}': 1\n");
    assert!(cx.diagnostics.is_empty() && node.lookup("${HOST}").is_some());
}

#[test]
fn what_is_unset_or_misspelt_is_an_error_at_its_place() {
    for (written, code) in [
        ("${UNSET}", "config.variable_unset"),
        ("a ${HOST} ${UNSET} b", "config.variable_unset"),
        ("'${}'", "config.variable"),
        ("'${1A}'", "config.variable"),
        ("'${HOST-x}'", "config.variable"),
        ("'${HOST'", "config.variable"),
        ("'${ HOST }'", "config.variable"),
    ] {
        let (node, mut cx, source) = substituted(&format!("a: 1\nkey: {written}\n"));
        // Nothing more is said of a value that is not known.
        assert!(u16::decode(node.lookup("key").unwrap(), &mut cx).is_none());
        let codes: Vec<_> = cx.diagnostics.sorted().iter().map(|one| one.code).collect();
        assert_eq!(codes, [code], "{written}");
        assert_eq!(source.position(cx.diagnostics.sorted()[0].span.start).line, 2, "{written}");
    }
}

#[test]
fn what_a_variable_gave_is_not_printed() {
    let (node, mut cx, source) = substituted("key: ${TOKEN}\n");
    let span = node.lookup("key").unwrap().span;
    cx.error("config.host", span, "`hunter2-hunter2` is not a host")
        .label("`hunter2-hunter2`")
        .help("not `hunter2-hunter2`")
        .related(span, "hunter2-hunter2");
    let renderer = Renderer::new(&cx.diagnostics, Some(&source), Style::Plain);
    let shown = format!("{}{}{:?}", renderer.text(), renderer.json(), cx.diagnostics);
    assert!(renderer.text().contains("`${TOKEN}` is not a host"), "{shown}");
    // `Debug` of a message is for programmers, who see what they wrote; what was kept of the variable is not in it.
    assert!(!format!("{}{}", renderer.text(), renderer.json()).contains("hunter2"), "{shown}");
    assert!(cx.is_substituted(span));
}
