use super::*;
use crate::render::{Renderer, Style};

/// Files in a folder of their own, which is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str, files: &[(&str, &str)]) -> Folder {
        let folder = std::env::temp_dir().join(format!("portcullis-files-{}-{test}", std::process::id()));
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Folder(folder)
    }

    /// The document of `main.yaml` as text of its values, and its diagnostics.
    fn read(&self) -> (Document, Context, String) {
        let text = std::fs::read_to_string(self.0.join("main.yaml")).unwrap();
        let mut cx = Context::for_file(&self.0).with_environment(|_| Err(std::env::VarError::NotPresent));
        let document = super::read(&Source::new("main.yaml", text), &["upstreams"], &mut cx);
        let text = Renderer::new(&cx.diagnostics, &document.sources, Style::Plain).text();
        (document, cx, text.replace(&format!("{}/", self.0.display()), ""))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn texts(document: &Document, key: &str) -> Vec<String> {
    let Some(Node { value: Value::Sequence(items), .. }) = document.node.as_ref().unwrap().lookup(key) else {
        panic!("{key} is a list");
    };
    items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_and_named_things_are_joined_in_the_order_of_the_files() {
    let folder = Folder::new(
        "joined",
        &[
            ("main.yaml", "include: [routes/*.yaml, more.yaml]\nroutes: [a]\nupstreams: { one: 1 }\n"),
            ("routes/20.yaml", "routes: [c]\n"),
            ("routes/10.yaml", "routes: [b]\nupstreams: { two: 2 }\n"),
            ("routes/.hidden.yaml", "routes: [never]\n"),
            ("routes/notes.txt", "not read"),
            ("more.yaml", "include: deeper/last.yaml\nroutes: [d]\n"),
            ("deeper/last.yaml", "routes: [e]\n"),
        ],
    );
    let (document, cx, text) = folder.read();
    assert_eq!(text, "");
    assert_eq!(texts(&document, "routes"), ["a", "b", "c", "d", "e"]);
    let upstreams = document.node.as_ref().unwrap().lookup("upstreams").unwrap();
    assert!(upstreams.lookup("one").is_some() && upstreams.lookup("two").is_some());
    assert_eq!((document.sources.len(), document.included.len()), (5, 4));
    // A path is relative to the file that holds it.
    let last = document.sources.last().unwrap();
    assert_eq!(cx.resolve(last.span(), "key.pem"), folder.0.join("deeper/key.pem"));
    assert_eq!(cx.resolve(Span::new(0, 1), "key.pem"), folder.0.join("key.pem"));
}

#[test]
fn what_two_files_say_is_an_error_that_shows_both() {
    let folder = Folder::new(
        "twice",
        &[
            ("main.yaml", "include: b.yaml\nsecurity: { a: 1 }\nupstreams: { one: 1 }\n"),
            ("b.yaml", "security: { b: hunter2 }\nupstreams: { one: hunter2 }\n"),
        ],
    );
    let (_, cx, text) = folder.read();
    assert_eq!(cx.diagnostics.error_count(), 2, "{text}");
    assert!(
        text.contains("\"security\" is given in two files") || text.contains("`security` is given"),
        "{text}"
    );
    assert!(text.contains("b.yaml:1:1") && text.contains("main.yaml:2:1"), "{text}");
    assert!(text.contains("b.yaml:2:14") && text.contains("main.yaml:3:14"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_file_that_is_missing_broken_or_there_twice_is_an_error() {
    let folder = Folder::new(
        "broken",
        &[
            (
                "main.yaml",
                "include: [gone.yaml, 'none/*.yaml', a.yaml, ./a.yaml, loop.yaml, list.yaml, bad.yaml]\nroutes: []\n",
            ),
            ("a.yaml", "routes: [a]\n"),
            ("loop.yaml", "include: [loop.yaml]\n"),
            ("list.yaml", "- a\n"),
            ("bad.yaml", "a: [\n"),
        ],
    );
    let (_, cx, text) = folder.read();
    assert_eq!((cx.diagnostics.error_count(), cx.diagnostics.warning_count()), (5, 1), "{text}");
    for part in [
        "gone.yaml\" cannot be read",
        "matches no file",
        "a.yaml\" is included twice",
        "loop.yaml\" is included twice",
        "expected a mapping, found a list",
        "bad.yaml:",
    ] {
        assert!(text.replace('`', "\"").contains(part), "{part}\n{text}");
    }
}

#[test]
fn keys_for_anchors_are_left_out_at_the_top_alone() {
    let folder = Folder::new(
        "anchors",
        &[("main.yaml", "x-common: &common [a, b]\nroutes: *common\nupstreams: { x-kept: 1 }\n")],
    );
    let (document, _, text) = folder.read();
    assert_eq!(text, "");
    let node = document.node.as_ref().unwrap();
    assert!(node.lookup("x-common").is_none());
    assert!(node.lookup("upstreams").unwrap().lookup("x-kept").is_some());
    assert_eq!(texts(&document, "routes"), ["a", "b"]);
}
