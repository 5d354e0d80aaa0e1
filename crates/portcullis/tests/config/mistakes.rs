//! What a person reads who has made a mistake: each message word by word, in `mistakes.md`.

use super::certificates::made;
use super::harness::load;
use portcullis::Style;
use std::collections::BTreeSet;
use std::path::Path;

/// A mistake of the page.
struct Mistake {
    title: String,
    document: String,
    answer: String,
}

fn page() -> (std::path::PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/mistakes.md");
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

fn mistakes(text: &str) -> Vec<Mistake> {
    let block = |part: &str, language: &str| {
        let (_, rest) =
            part.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no {language} in {part}"));
        rest[..rest.find("```").unwrap()].to_owned()
    };
    text.split("\n### ")
        .skip(1)
        .map(|part| Mistake {
            title: part.lines().next().unwrap().to_owned(),
            document: block(part, "yaml"),
            answer: block(part, "text"),
        })
        .collect()
}

/// What is printed, without the folder of this run.
fn answer(document: &str) -> String {
    let loaded = load(document);
    let mut text = loaded.text(Style::Plain).replace(made().to_str().unwrap(), "CERTIFICATES");
    if loaded.blueprint().is_some() {
        text.push_str("It loads all the same.\n");
    }
    if document.contains("CERTIFICATES") {
        // The lines of the document are cut at their width, with a part of the folder's name in them.
        let said =
            |line: &&str| line.starts_with(char::is_alphabetic) || line.trim_start().starts_with("= help");
        text = text.lines().filter(said).map(|line| format!("{line}\n")).collect();
    }
    text.trim_start().to_owned()
}

#[test]
fn keys_that_belong_elsewhere_are_keys() {
    let declared = super::keys::declared();
    for (key, place) in portcullis::document::PLACES.iter().filter(|(key, _)| *key != "port") {
        let known = declared.keys().any(|path| path.rsplit('.').next() == Some(key));
        assert!(known, "`{key}` belongs nowhere, and not {place}");
    }
}

#[test]
fn a_person_reads_what_the_page_of_mistakes_says() {
    let (path, text) = page();
    let all = mistakes(&text);
    assert!(all.len() >= 80, "{} mistakes", all.len());
    let titles: BTreeSet<&str> = all.iter().map(|mistake| mistake.title.as_str()).collect();
    assert_eq!(titles.len(), all.len(), "a title stands twice");
    let mut written = text;
    let mut wrong = Vec::new();
    for Mistake { title, document, answer: expected } in &all {
        let found = answer(document);
        assert!(found.contains("[config."), "{title}: nothing is said of it: {found}");
        if found != *expected {
            let before = format!("### {title}\n\n```yaml\n{document}```\n\n```text\n{expected}```\n");
            assert!(written.contains(&before), "{title} is not written as the others are");
            let after = format!("### {title}\n\n```yaml\n{document}```\n\n```text\n{found}```\n");
            written = written.replace(&before, &after);
            wrong.push(format!("{title}\n{found}"));
        }
    }
    if std::env::var("MISTAKES").is_ok_and(|value| value == "write") {
        std::fs::write(path, written).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
