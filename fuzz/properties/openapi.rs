//! What holds of every message that an OpenAPI document judges, whatever its bytes: driven by the fuzz targets `openapi_*`, and
//! for a bounded time by `crates/portcullis-openapi/tests/random.rs`. That each returns at all is a part of it.

use std::sync::LazyLock;

use portcullis_openapi::{Api, Fields, Files, Limits, Match, Options, RequestView, json};

const DOCUMENT: &[u8] = br#"
openapi: 3.0.3
info: { title: t, version: "1" }
paths:
  /p/{simple}/{label}/{matrix}:
    get:
      parameters:
        - { name: simple, in: path, required: true, schema: { type: array, items: { type: integer } } }
        - { name: label, in: path, required: true, style: label, explode: true, schema: { type: object, properties: { R: { type: integer } } } }
        - { name: matrix, in: path, required: true, style: matrix, explode: true, schema: { type: array, items: { type: string } } }
        - { name: form, in: query, schema: { type: array, items: { oneOf: [{ type: number }, { type: boolean }] } } }
        - { name: space, in: query, style: spaceDelimited, explode: false, schema: { type: array, items: { type: integer } } }
        - { name: pipe, in: query, style: pipeDelimited, explode: false, schema: { type: array, items: { type: string } } }
        - { name: deep, in: query, style: deepObject, schema: { type: object, properties: { a: { type: integer } } } }
        - { name: doc, in: query, content: { application/json: { schema: { type: object } } } }
        - { name: rest, in: query, schema: { type: object, additionalProperties: { type: string } } }
        - { name: X-List, in: header, schema: { type: array, items: { type: integer } } }
        - { name: c, in: cookie, schema: { type: array, items: { type: string } } }
  /body:
    post:
      requestBody:
        content:
          application/json: { schema: { type: object, properties: { a: { type: integer } } } }
          application/x-www-form-urlencoded: { schema: { type: object, properties: { a: { type: integer }, l: { type: array, items: { type: string } }, o: { type: object } } } }
          multipart/form-data: { schema: { type: object, properties: { a: { type: integer }, f: { type: string, format: binary } } } }
          application/xml: {}
          text/*: { schema: { type: number } }
"#;

static API: LazyLock<Api> = LazyLock::new(|| {
    let files = Files::new("api.yaml", DOCUMENT).expect("it is YAML");
    Api::compile(&files, &Options::default()).expect("it is a description")
});

struct Listed<'a>(Vec<(&'a str, &'a [u8])>);

impl Fields for Listed<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(other, _)| *other == name).for_each(|(_, value)| each(value));
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.0.iter().for_each(|(name, _)| each(name));
    }
}

/// Whatever is read as JSON here is read alike by another reader.
pub(crate) fn json_document(bytes: &[u8]) {
    if let Ok(value) = json::read(bytes, &Limits::default()) {
        let other: serde_json::Value = serde_json::from_slice(bytes).expect("another reader refuses it");
        let text = value.to_string();
        assert_eq!(
            json::read(text.as_bytes(), &Limits::default()).as_ref(),
            Ok(&value),
            "it is not read back"
        );
        // Zero below zero is zero here.
        assert!(
            value == other || bytes.windows(2).any(|window| window == b"-0"),
            "another reader reads {other}"
        );
    }
}

/// Path, query, header field and cookie.
pub(crate) fn parameters(bytes: &[u8]) {
    let mut pieces = bytes.split(|byte| *byte == b'\n');
    let target = String::from_utf8_lossy(pieces.next().unwrap_or_default()).into_owned();
    let fields = Listed(vec![
        ("x-list", pieces.next().unwrap_or_default()),
        ("cookie", pieces.next().unwrap_or_default()),
    ]);
    let (path, query) =
        target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
    for path in [format!("/p/{path}"), "/p/1/.R=1/;matrix=a".to_owned()] {
        if let Match::Operation(found) = API.operation("GET", &path) {
            check(found.judge(&RequestView { query, fields: &fields, body: b"" }));
        }
    }
}

/// A body: its media type, an empty line, and the rest.
pub(crate) fn body(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (media_type, rest) = bytes.split_at(at);
    let Match::Operation(found) = API.operation("POST", "/body") else { panic!("it is declared") };
    let rest = rest.get(1..).unwrap_or_default();
    check(found.judge(&RequestView {
        query: None,
        fields: &Listed(vec![("content-type", media_type)]),
        body: rest,
    }));
    let gzip = Listed(vec![("content-type", media_type), ("content-encoding", b"gzip")]);
    check(found.judge(&RequestView { query: None, fields: &gzip, body: rest }));
}

/// A multipart body in a boundary that is known.
pub(crate) fn multipart(bytes: &[u8]) {
    let Match::Operation(found) = API.operation("POST", "/body") else { panic!("it is declared") };
    let fields = Listed(vec![("content-type", b"multipart/form-data; boundary=B")]);
    check(found.judge(&RequestView { query: None, fields: &fields, body: bytes }));
}

fn check(said: Result<(), portcullis_openapi::Violations>) {
    if let Err(violations) = said {
        let count = violations.iter().count();
        assert!(
            (1..=10).contains(&count) && [400, 413, 415, 422].contains(&violations.status()),
            "{violations}"
        );
    }
}
