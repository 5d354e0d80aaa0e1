use std::env::VarError;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::*;
use crate::{Renderer, Source, Style, from_yaml};

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn environment(name: &str) -> Result<String, VarError> {
    match name {
        "KEY" => Ok("hunter2".to_owned()),
        "EMPTY" => Ok(" ".to_owned()),
        "BINARY" => Err(VarError::NotUnicode("hunter2".into())),
        _ => Err(VarError::NotPresent),
    }
}

/// The secret, if any, and what is printed.
fn read(yaml: &str, folder: &str) -> (Option<Secret>, String) {
    let source = Source::new("test.yaml", yaml);
    let mut cx = Context::for_file(folder).with_environment(environment);
    let secret = from_yaml(&source, &mut cx);
    assert_eq!(secret.is_none(), cx.diagnostics.has_errors());
    let json = Renderer::new(&cx.diagnostics, Some(&source), Style::Plain).json().to_string();
    let text = Renderer::new(&cx.diagnostics, Some(&source), Style::Plain).text();
    assert!(!text.contains("hunter2") && !json.contains("hunter2"), "{text}\n{json}");
    (secret, text)
}

#[test]
fn from_the_environment() {
    let (secret, text) = read("{ env: KEY }", ".");
    assert_eq!(secret.unwrap().expose(), "hunter2");
    assert_eq!(text, "");
    for (yaml, part) in [
        ("{ env: NOBODY }", "`NOBODY` is not set"),
        ("{ env: EMPTY }", "`EMPTY` is empty"),
        ("{ env: BINARY }", "`BINARY` is not UTF-8"),
        ("{ env: \"A=B\" }", "is not set"),
        ("{ env: \"\" }", "is not set"),
        ("{ env: 5 }", "expected text"),
        ("{ env: }", "expected text"),
        ("{ evn: KEY }", "did you mean `env`?"),
        ("{}", "the source of the secret is missing"),
    ] {
        let (secret, text) = read(yaml, ".");
        assert!(secret.is_none() && text.contains(part), "{yaml}: {text}");
    }
}

#[test]
fn from_a_file() {
    let folder = Folder::new("secret-file");
    folder.write("key", b"hunter2\n");
    folder.write("windows", b"hunter2\r\n");
    folder.write("two", b"hunter2\n\n");
    folder.write("empty", b"\n");
    folder.write("binary", &[0xff, 0xfe]);
    folder.write("large", &vec![b'x'; 1024 * 1024 + 1]);
    let at = folder.0.to_str().unwrap();
    for (name, expected) in [("key", "hunter2"), ("windows", "hunter2"), ("two", "hunter2\n")] {
        let (secret, _) = read(&format!("file: {name}"), at);
        assert_eq!(secret.unwrap().expose(), expected);
    }
    let (secret, _) = read(&format!("file: {at}/key"), "/nowhere");
    assert_eq!(secret.unwrap().expose(), "hunter2");
    for (name, part) in [
        ("missing", "does not exist"),
        ("empty", "is empty"),
        ("binary", "is not UTF-8"),
        ("large", "is larger than"),
        (".", "cannot be read"),
    ] {
        let (secret, text) = read(&format!("file: {name}"), at);
        assert!(secret.is_none() && text.contains(part), "{name}: {text}");
    }
}

#[test]
fn a_literal_is_a_warning_and_is_not_printed() {
    for yaml in
        ["hunter2", "\"hunter2\"", "{ literal: hunter2 }", "literal: |\n  hunter2", "literal: &x hunter2"]
    {
        let (secret, text) = read(yaml, ".");
        assert_eq!(secret.unwrap().expose().trim(), "hunter2");
        assert!(
            text.starts_with("warning[config.literal_secret]") && text.contains("{ env: NAME }"),
            "{text}"
        );
    }
    for yaml in ["\"\"", "' '", "{ literal: \"\" }", "90210", "[hunter2]", "true", "{ literal: 90210 }"] {
        let (secret, text) = read(yaml, ".");
        assert!(secret.is_none() && !text.contains("90210"), "{text}");
    }
}

#[test]
fn a_literal_from_code_is_no_warning() {
    let mut cx = Context::for_code();
    let secret: Secret = crate::from_json(Json::from("hunter2"), &mut cx).unwrap();
    assert_eq!(secret.expose(), "hunter2");
    assert!(cx.diagnostics.is_empty());
    assert!(crate::from_json::<Secret>(json!(""), &mut cx).is_none());
}

#[test]
fn two_sources_are_refused() {
    let (secret, text) = read("{ literal: hunter2, env: KEY }", ".");
    assert!(secret.is_none() && text.contains("one source"), "{text}");
}

#[test]
fn debug_shows_nothing() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret:?} {:#?}", vec![secret.clone()]), "Secret(•••) [\n    Secret(•••),\n]");
    assert!(secret.written().is_none());
}
