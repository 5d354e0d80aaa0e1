//! What an attacker sends to make judging expensive: each is refused, or judged, within a bound on time and memory that the
//! test prints and checks. One test, so that the figures are of one thing at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_openapi::{Api, Fields, Files, Match, Options, RequestView};
use serde_json::{Value, json};

/// Built without optimisation, beside other tests: far above what is measured, far below what an attack would take.
const LONGEST: Duration = Duration::from_secs(2);

/// The most that the process may grow by for one message of at most 1 MiB, in KiB.
const MOST_KIB: u64 = 64 * 1024;

/// What it is, the target, the fields, the body, and what is said.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Vec<u8>, &'a str);

struct One<'a>(&'a [(&'a str, &'a str)]);

impl Fields for One<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.values(name, each);
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        Fields::names(self.0, each);
    }
}

/// How long this thread has been on a processor, which other programs do not lengthen.
fn on_the_processor() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split_whitespace().next().unwrap().parse().unwrap())
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn api(schema: &Value, components: &Value) -> Result<Api, String> {
    let body = |media_type: &str, schema: &Value| json!({ "required": true, "content": { media_type: { "schema": schema } } });
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "t", "version": "1" },
        "paths": {
            "/json": { "post": { "requestBody": body("application/json", schema) } },
            "/form": { "post": { "requestBody": body("application/x-www-form-urlencoded", &json!({ "type": "object" })) } },
            "/parts": { "post": { "requestBody": body("multipart/form-data", &json!({ "type": "object" })) } },
            "/xml": { "post": { "requestBody": body("application/xml", &json!({ "type": "object" })) } },
            "/q": { "get": { "parameters": [{ "name": "x", "in": "query", "schema": { "type": "array", "items": { "type": "integer" } } }] } },
            "/a/{x}/b/{y}": { "get": { "parameters": [{ "name": "x", "in": "path", "required": true, "schema": { "type": "string" } }, { "name": "y", "in": "path", "required": true, "schema": { "type": "string" } }] } },
        },
        "components": components
    });
    Api::compile(&Files::from_value("api.yaml", document), &Options::default())
        .map_err(|error| error.to_string())
}

fn judge(api: &Api, target: &str, fields: &[(&str, &str)], body: &[u8]) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let method = if path.starts_with("/q") || path.starts_with("/a") { "GET" } else { "POST" };
    match api.operation(method, path) {
        Match::Operation(found) => {
            let said = found.judge(&RequestView { query, fields: &One(fields), body });
            said.map_or_else(
                |violations| format!("{} {violations}", violations.status()),
                |()| "passed".into(),
            )
        }
        Match::UndeclaredMethod { .. } => "405".into(),
        Match::UndeclaredPath => "404".into(),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn hostile_messages_are_bounded() {
    let mut components = json!({ "schemas": { "Expression": { "anyOf": [
        { "type": "object", "required": ["of", "x"], "properties": { "of": { "$ref": "#/components/schemas/Expression" } } },
        { "type": "object", "required": ["of", "y"], "properties": { "of": { "$ref": "#/components/schemas/Expression" } } },
        { "type": "object", "required": ["of", "z"], "properties": { "of": { "$ref": "#/components/schemas/Expression" } } },
        { "type": "string", "enum": [""] }
    ] }, "Choice": { "oneOf": [
        { "type": "object", "required": ["x"], "properties": { "of": { "$ref": "#/components/schemas/Choice" } } },
        { "type": "object", "required": ["y"], "properties": { "of": { "$ref": "#/components/schemas/Choice" } } },
        { "not": { "properties": { "of": { "$ref": "#/components/schemas/Choice" } } } }
    ] } } });
    for step in 0..60 {
        components["schemas"][format!("C{step}")] =
            json!({ "$ref": format!("#/components/schemas/C{}", step + 1) });
    }
    components["schemas"]["C60"] = json!({ "type": "integer" });
    let schema = json!({ "properties": {
        "chain": { "type": "array", "items": { "$ref": "#/components/schemas/C0" } },
        "slow": { "type": "string", "pattern": r"^(a+)+$" },
        "counted": { "type": "string", "pattern": r"^([a-z]{1,60}[ab]?){1,60}x$" },
        "search": { "type": "string", "pattern": r"[a-z].{0,300}[0-9].{0,300}!" },
        "words": { "type": "string", "pattern": r"^(\w+\s?)*$" },
        "back": { "type": "string", "pattern": r"^(?:(?=a)a|a)*(?:(?=a)a|a)*$" },
        "unless": { "type": "array", "items": { "not": { "pattern": r"^(?:(?=a)a|a)*(?:(?=a)a|a)*$" } } },
        "safe": { "type": "array", "items": { "type": "string", "pattern": r"^(?=.*[A-Z])(?=.*\d)(?!aws:).{8,}$" } },
        "inside": { "type": "string", "pattern": r"(?<!a)(?=b)((b+)+)c\1$" },
        "unique": { "type": "array", "uniqueItems": true },
        "wide": { "items": { "not": { "anyOf": (1..600).map(|least| json!({ "minLength": least })).collect::<Vec<_>>() } } },
        "tree": { "$ref": "#/components/schemas/Expression" },
        "choice": { "$ref": "#/components/schemas/Choice" }
    } });
    let api = api(&schema, &components).unwrap();
    let json_type: &[(&str, &str)] = &[("content-type", "application/json")];
    let gzip_type: &[(&str, &str)] = &[("content-type", "application/json"), ("content-encoding", "gzip")];
    let form: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
    let parts: &[(&str, &str)] = &[("content-type", "multipart/form-data; boundary=B")];
    let xml: &[(&str, &str)] = &[("content-type", "application/xml")];
    let mib = 1024 * 1024;
    let fill = |text: &str| text.repeat(mib / text.len()).into_bytes();
    let member = |name: &str, value: &str| format!("{{\"{name}\":{value}}}").into_bytes();
    let tree = |name: &str, depth: usize| {
        let mut text = "\"end\"".to_owned();
        for _ in 0..depth {
            text = format!("{{\"x\":1,\"y\":1,\"z\":1,\"of\":{text}}}");
        }
        member(name, &text)
    };
    let near = format!("--B\r\n{}", "\r\n--A".repeat(200_000)).into_bytes();
    let long_path = format!("/a/{}/b/{}", "%41".repeat(1300), "x".repeat(4000));
    let long_query = format!("/q?{}", "x=1&".repeat(2048));
    let slashes = "/".repeat(8192);
    let cases: Vec<Case<'_>> = vec![
        (
            "64 KiB of nested lists",
            "/json",
            json_type,
            "[".repeat(64 * 1024).into_bytes(),
            "400 body: json.depth",
        ),
        (
            "64 KiB of nested objects",
            "/json",
            json_type,
            "{\"a\":".repeat(13 * 1024).into_bytes(),
            "400 body: json.depth",
        ),
        (
            "a name of 1 MiB",
            "/json",
            json_type,
            member(&"k".repeat(mib - 8), "1"),
            "400 body: json.name_length",
        ),
        (
            "a text of 1 MiB",
            "/json",
            json_type,
            member("a", &format!("\"{}\"", "v".repeat(mib - 16))),
            "passed",
        ),
        (
            "a number of 1 MiB",
            "/json",
            json_type,
            "1".repeat(mib).into_bytes(),
            "400 body: json.number_length",
        ),
        (
            "a million values",
            "/json",
            json_type,
            format!("[{}1]", "1,".repeat(mib / 2 - 2)).into_bytes(),
            "400 body: json.items",
        ),
        (
            "many lists of many",
            "/json",
            json_type,
            format!("[{}1]", format!("[{}1],", "1,".repeat(999)).repeat(500)).into_bytes(),
            "400 body: json.nodes",
        ),
        (
            "one name a thousand times",
            "/json",
            json_type,
            format!("{{{}\"a\":1}}", "\"a\":1,".repeat(100_000)).into_bytes(),
            "400 body: json.duplicate_member",
        ),
        (
            "a thousand names",
            "/json",
            json_type,
            format!("{{{}\"z\":1}}", (0..2000).map(|n| format!("\"a{n}\":1,")).collect::<String>())
                .into_bytes(),
            "400 body: json.members",
        ),
        (
            "a pattern that backtracks elsewhere",
            "/json",
            json_type,
            member("slow", &format!("\"{}!\"", "a".repeat(64 * 1024))),
            "422 body /slow: pattern",
        ),
        (
            "a pattern of words",
            "/json",
            json_type,
            member("words", &format!("\"{}!\"", "a".repeat(64 * 1024))),
            "422 body /words: pattern",
        ),
        (
            "a pattern with counted repeats",
            "/json",
            json_type,
            member("counted", &format!("\"{}\"", "ab".repeat(mib / 2 - 100))),
            "422 body /counted: pattern",
        ),
        (
            "a pattern that begins anywhere",
            "/json",
            json_type,
            member("search", &format!("\"{}\"", "a1".repeat(mib / 2 - 100))),
            "422 body /search: pattern",
        ),
        (
            "a pattern that goes back",
            "/json",
            json_type,
            member("back", &format!("\"{}b\"", "a".repeat(8000))),
            "413 body: too_complex",
        ),
        (
            "a text that is too long for a pattern that goes back",
            "/json",
            json_type,
            member("back", &format!("\"{}\"", "a".repeat(mib - 100))),
            "413 body: too_complex",
        ),
        (
            // What cannot be said must not become a `no` that `not` turns into a `yes`.
            "a `not` around a pattern that goes back",
            "/json",
            json_type,
            member("unless", &format!("[\"{}b\"]", "a".repeat(8000))),
            "413 body: too_complex",
        ),
        (
            "ten thousand texts that each make a pattern go back",
            "/json",
            json_type,
            member("unless", &format!("[{}1]", format!("\"{}b\",", "a".repeat(60)).repeat(9990))),
            "413 body: too_complex",
        ),
        (
            "a pattern that goes back from everywhere",
            "/json",
            json_type,
            member("inside", &format!("\"{}\"", "b".repeat(16_000))),
            "413 body: too_complex",
        ),
        (
            "ten thousand texts that fit a pattern with look-around",
            "/json",
            json_type,
            member("safe", &format!("[{}\"Abcdefg1\"]", "\"Secret-Word-42\",".repeat(9990))),
            "passed",
        ),
        (
            "ten thousand items that differ",
            "/json",
            json_type,
            member(
                "unique",
                &format!("[{}]", (0..9999).map(|n| format!("[{n}]")).collect::<Vec<_>>().join(",")),
            ),
            "passed",
        ),
        ("alternatives within alternatives", "/json", json_type, tree("tree", 40), "422 body /tree: anyOf"),
        ("choices within choices", "/json", json_type, tree("choice", 40), "422 body /choice: oneOf"),
        (
            "more references than a value of its size deserves",
            "/json",
            json_type,
            member("chain", &format!("[{}1]", "1,".repeat(3000))),
            "passed",
        ),
        (
            "more looks at values than a value of its size deserves",
            "/json",
            json_type,
            member("wide", &format!("[{}\"\"]", "\"\",".repeat(9998))),
            "413 body: too_complex",
        ),
        (
            "a gzip bomb of 100 MiB",
            "/json",
            gzip_type,
            gzip(&vec![b' '; 100 * mib]),
            "413 body: decoded_size",
        ),
        ("a gzip bomb within the cap", "/json", gzip_type, gzip(&vec![b' '; mib]), "413 body: decoded_ratio"),
        ("a form of 1 MiB", "/form", form, fill("a=1&"), "400 body: form_fields"),
        ("a form of separators", "/form", form, fill("&"), "passed"),
        (
            "ten thousand parts",
            "/parts",
            parts,
            format!("{}--B--", "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(10_000))
                .into_bytes(),
            "400 body: multipart.parts",
        ),
        ("nearly a boundary, again and again", "/parts", parts, near, "400 body: multipart.syntax"),
        ("nested elements", "/xml", xml, fill("<a>"), "400 body: xml.depth"),
        (
            "many elements",
            "/xml",
            xml,
            format!("<a>{}</a>", "<b/>".repeat(250_000)).into_bytes(),
            "400 body: xml.nodes",
        ),
        (
            "many attributes",
            "/xml",
            xml,
            format!("<a {}/>", (0..20_000).map(|n| format!("a{n}=\"1\" ")).collect::<String>()).into_bytes(),
            "400 body: xml.members",
        ),
        (
            "entities that multiply",
            "/xml",
            xml,
            b"<!DOCTYPE a [<!ENTITY b \"xxxxxxxxxx\"><!ENTITY c \"&b;&b;&b;&b;\">]><a>&c;</a>".to_vec(),
            "400 body: xml.doctype",
        ),
        ("8 KiB of query", &long_query, &[], Vec::new(), "400 query: too_many"),
        ("a long path", &long_path, &[], Vec::new(), "passed"),
        ("a path of slashes", &slashes, &[], Vec::new(), "404"),
    ];
    let mut wrong = Vec::new();
    for (about, target, fields, body, expected) in &cases {
        // The peak so far is forgotten, so that each case has its own.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let (before, start) = (peak(), on_the_processor());
        let said = judge(&api, target, fields, body);
        let (took, grown) = (on_the_processor() - start, peak() - before);
        println!("{about}: {} bytes, {took:?}, {grown} KiB more: {said}", body.len());
        if said != *expected || took > LONGEST || grown > MOST_KIB {
            wrong.push(format!("{about}: expected {expected}: {said}, {took:?}, {grown} KiB"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_pattern_that_goes_back_is_bounded() {
    for pattern in [r"((a{1000}){1000}){1000}", "(", "(?=a", r"(?=((a{1000}){1000}){1000})"] {
        let start = on_the_processor();
        let refused = api(&json!({ "type": "string", "pattern": pattern }), &json!({})).unwrap_err();
        println!("{pattern}: {refused}");
        assert!(on_the_processor() - start < LONGEST, "{pattern}");
    }
    assert!(api(&json!({ "type": "string", "pattern": r"^[a-z]{1,64}$" }), &json!({})).is_ok());
}
