//! How much memory and time it takes to judge hostile bodies by hostile schemas, and to tell what is wrong with them. A
//! counting allocator measures it, so this binary holds one test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measures"
)]

use std::cell::Cell;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use portcullis_openapi::{Api, Files, Match, Memory, Options, RequestView};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Built without optimisation, beside other tests. Optimised it is a tenth of it.
const LONGEST: Duration = Duration::from_secs(3);

/// What judging may take: so many times the size of the body, and so much more.
const TIMES: usize = 40;
const BESIDES: usize = 1024 * 1024;

/// The same for bodies as clients send them.
const TYPICAL_TIMES: usize = 8;
const TYPICAL_BESIDES: usize = 16 * 1024;

/// Counts what judging says that it takes.
#[derive(Default)]
struct Counted(Cell<usize>);

impl Memory for Counted {
    fn take(&self, bytes: usize) -> bool {
        self.0.set(self.0.get() + bytes);
        true
    }
}

fn on_the_processor() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split_whitespace().next().unwrap().parse().unwrap())
}

/// Schemas that make work or errors multiply.
fn schemas() -> Vec<(&'static str, Value, Value)> {
    let wide = |keyword: &str, count: usize| -> Value {
        let alternatives: Vec<Value> = (0..count)
            .map(|number| json!({
                "type": "object", "required": ["kind", "n"], "additionalProperties": false,
                "properties": { "kind": { "const": number }, "n": { "type": "integer" }, "of": { "type": "array" } }
            }))
            .collect();
        json!({ keyword: alternatives })
    };
    let recursive = |keyword: &str| {
        let at = "#/components/schemas/Node";
        let branch = |name: &str| json!({ "type": "object", "required": [name], "properties": { "of": { "$ref": at }, "k": { "type": "array", "items": { "$ref": at } } } });
        json!({ keyword: [branch("x"), branch("y"), branch("z"), { "type": "array", "items": { "$ref": at } }, { "type": "integer", "maximum": 0 }] })
    };
    let node = json!({ "$ref": "#/components/schemas/Node" });
    let none = json!({});
    vec![
        ("recursive oneOf", node.clone(), recursive("oneOf")),
        ("recursive anyOf", node.clone(), recursive("anyOf")),
        ("recursive not", node.clone(), json!({ "not": recursive("anyOf") })),
        ("a list of many oneOf", json!({ "type": "array", "items": wide("oneOf", 60) }), none.clone()),
        (
            "a list of many anyOf",
            json!({ "items": wide("anyOf", 60), "additionalProperties": wide("anyOf", 60) }),
            none.clone(),
        ),
        (
            "oneOf of which several hold",
            json!({ "oneOf": [{}, { "minItems": 1 }, { "type": ["array", "object", "string"] }], "items": { "oneOf": [{}, true] } }),
            none.clone(),
        ),
        (
            "everything closed",
            json!({ "type": "object", "additionalProperties": false, "properties": { "a": node } }),
            json!({ "type": "object", "additionalProperties": false }),
        ),
        (
            "ten closed in one",
            json!({ "allOf": vec![json!({ "type": "object", "additionalProperties": false }); 10] }),
            none.clone(),
        ),
        (
            "unevaluated",
            json!({ "anyOf": [{ "properties": { "a": {} } }, { "items": { "type": "string" } }], "unevaluatedProperties": false, "unevaluatedItems": false }),
            none.clone(),
        ),
        ("unique", json!({ "uniqueItems": true, "items": { "uniqueItems": true } }), none.clone()),
        (
            "patterns",
            json!({ "patternProperties": { "^[a-z]+$": { "maxLength": 1 } }, "propertyNames": { "pattern": "^[a-m]{1,3}$" }, "items": { "pattern": "^(a|b)*$", "type": "string" } }),
            none.clone(),
        ),
        (
            "contains",
            json!({ "contains": { "type": "object", "required": ["q"] }, "minContains": 3, "items": { "contains": { "const": 7 } } }),
            none.clone(),
        ),
        (
            "every item wrong",
            json!({ "items": { "type": "boolean", "enum": [true] }, "additionalProperties": { "type": "boolean" } }),
            none.clone(),
        ),
        (
            "conditions in conditions",
            json!({ "if": { "$ref": "#/components/schemas/Node" }, "then": false, "else": { "$ref": "#/components/schemas/Node" } }),
            json!({ "if": { "type": "array" }, "then": { "items": { "$ref": "#/components/schemas/Node" } }, "else": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/Node" } } }),
        ),
        (
            "dependent",
            json!({ "dependentSchemas": { "x": { "$ref": "#/components/schemas/Node" }, "a": false }, "dependentRequired": { "a": ["nobody"] }, "items": { "$ref": "#/components/schemas/Node" } }),
            recursive("oneOf"),
        ),
        (
            "long lists of values",
            json!({ "enum": (0..2000).map(|n| json!([n])).collect::<Vec<_>>(), "items": { "enum": (0..500).map(|n| json!({ "a": n })).collect::<Vec<_>>() } }),
            none,
        ),
    ]
}

/// Bodies of many shapes, each about so large.
fn bodies(size: usize) -> Vec<(&'static str, String)> {
    let list = |item: &str| {
        let count = (size / (item.len() + 1)).min(9_999);
        format!("[{}]", vec![item; count.max(1)].join(","))
    };
    let lists = |item: &str| {
        let inner = format!("[{}]", vec![item; 500].join(","));
        format!("[{}]", vec![inner.as_str(); (size / inner.len()).clamp(1, 90_000 / 500)].join(","))
    };
    let tree = |depth: usize, leaf: &str| {
        let mut text = leaf.to_owned();
        for _ in 0..depth {
            text = format!("{{\"x\":1,\"y\":2,\"z\":3,\"of\":{text}}}");
        }
        text
    };
    let wide = {
        let below = tree(8, "\"end\"");
        let below = vec![below.as_str(); (size / below.len()).clamp(1, 1500)].join(",");
        format!("{{\"x\":1,\"k\":[{below}]}}")
    };
    let members: Vec<String> = (0..(size / 9).min(999)).map(|n| format!("\"m{n}\":{n}")).collect();
    let object = format!("{{{}}}", members.join(","));
    vec![
        ("numbers", lists("0")),
        ("empty lists", lists("[]")),
        ("empty objects", lists("{}")),
        ("objects of one member", lists("{\"\":0}")),
        ("objects with a kind", list("{\"kind\":61,\"n\":\"1\",\"of\":[1,2,3]}")),
        ("the same list", list("[1,2,3]")),
        ("a tree", tree(60, "\"end\"")),
        ("a tree of lists", tree(30, &list("7"))),
        ("many trees", wide),
        ("many members", object.clone()),
        (
            "objects of many members",
            format!("[{}]", vec![object.as_str(); (size / object.len()).max(1)].join(",")),
        ),
        ("texts", list("\"abababababababab!\"")),
        ("texts of commas", format!("[\"{}\"]", ",".repeat(size.min(900_000)))),
        ("escapes", list("\"\\u0041\\u0042\\\"\"")),
        ("a long escaped text", format!("\"{}\"", "\\n".repeat((size / 2).min(400_000)))),
    ]
}

fn compile(schema: &Value, node: &Value) -> Api {
    let document = json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" },
        "paths": { "/": { "post": { "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } } } } },
        "components": { "schemas": { "Node": node } } });
    Api::compile(&Files::from_value("api.yaml", document), &Options::default()).unwrap()
}

/// What was said, how much memory it took at its peak, how much of it was counted, and how long it took.
fn measure(api: &Api, body: &str) -> (String, usize, usize, Duration) {
    measure_as("application/json", api, body.as_bytes())
}

fn measure_as(kind: &str, api: &Api, body: &[u8]) -> (String, usize, usize, Duration) {
    let fields = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, kind.parse().unwrap())]);
    let Match::Operation(found) = api.operation("POST", "/") else { panic!("it is declared") };
    let request = RequestView { query: None, fields: &fields, body };
    let counted = Counted::default();
    let start = on_the_processor();
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let said = found.judge_within(&request, &counted);
    let peak = ALLOCATOR.peak_usage() - before;
    let took = on_the_processor() - start;
    let said = said.map_or_else(|violations| violations.to_string(), |()| "passed".into());
    (said, peak, counted.0.get(), took)
}

#[test]
fn hostile_bodies_stay_within_their_memory() {
    let (mut pairs, mut wrong, mut worst, mut slowest) = (0, Vec::new(), 0.0_f64, Duration::ZERO);
    for (about, schema, node) in schemas() {
        let api = compile(&schema, &node);
        for size in [9 * 1024, 200 * 1024] {
            for (shape, body) in bodies(size) {
                let (said, peak, counted, took) = measure(&api, &body);
                let times = peak as f64 / body.len() as f64;
                println!(
                    "{about}, {shape}: {} bytes, {peak} ({times:.1} times, {counted} counted), {took:?}: {said:.100}",
                    body.len()
                );
                pairs += 1;
                worst = worst.max(peak.saturating_sub(BESIDES) as f64 / body.len() as f64);
                slowest = slowest.max(took);
                if peak > TIMES * body.len() + BESIDES || took > LONGEST || said.matches("; ").count() > 9 {
                    wrong.push(format!(
                        "{about}, {shape}: {} bytes, {peak} ({times:.1} times), {took:?}: {said:.100}",
                        body.len()
                    ));
                }
            }
        }
    }
    println!("{pairs} pairs; beyond 1 MiB at most {worst:.1} times the body; at most {slowest:?}");
    assert!(pairs >= 200, "{pairs}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    typical();
    uploads();
    what_removing_takes_is_counted();
}

/// Answers from which undeclared members are removed: what that takes beside the answer is counted.
fn what_removing_takes_is_counted() {
    // A schema of alternatives is asked about each of them when it is asked what is declared.
    let open = json!({ "type": "array", "items": { "type": "object", "properties": { "id": { "type": "integer" }, "tags": { "type": "array" } } } });
    let nested = json!({ "type": "object", "properties": { "id": {}, "of": { "$ref": "#/components/schemas/Node" } } });
    let of_any = json!({ "anyOf": [nested, { "type": "array", "items": { "$ref": "#/components/schemas/Node" } }, { "type": "integer" }] });
    let repeat = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    let deep = format!("{}{{\"id\":1,\"x\":2}}{}", "{\"id\":1,\"of\":".repeat(20), "}".repeat(20));
    let bodies = [
        ("orders", repeat("{\"id\":1,\"tags\":[1,2],\"secret\":\"x\"}", 2000)),
        ("small objects", repeat("{\"id\":1,\"x\":1}", 4000)),
        ("empty objects", repeat("{}", 8000)),
        ("deep objects", repeat(&deep, 60)),
        ("numbers", repeat("{\"id\":1,\"tags\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"x\":1}", 800)),
    ];
    for (about, schema) in [("a list", open), ("a tree", json!({ "$ref": "#/components/schemas/Node" }))] {
        let document = json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" },
            "paths": { "/": { "get": { "responses": { "200": { "description": "", "content": { "application/json": { "schema": schema } } } } } } },
            "components": { "schemas": { "Node": of_any } } });
        let options = Options { responses: true, ..Options::default() };
        let api = Api::compile(&Files::from_value("api.yaml", document), &options).unwrap();
        let Match::Operation(found) = api.operation("GET", "/") else { panic!("it is declared") };
        let fields =
            http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        for (shape, body) in &bodies {
            let counted = Counted::default();
            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage();
            let left = found.operation().remove_undeclared_within(200, &fields, body.as_bytes(), &counted);
            let peak = ALLOCATOR.peak_usage() - before;
            let said = match &left {
                Ok(Some(left)) => format!("{} bytes are left", left.len()),
                Ok(None) => "nothing is removed".to_owned(),
                Err(violations) => violations.to_string(),
            };
            println!("{about}, {shape}: {} bytes, {peak} ({} counted): {said}", body.len(), counted.0.get());
            assert!(
                peak <= 2 * counted.0.get() + 256 * 1024,
                "{about}, {shape}: {peak} for {}",
                counted.0.get()
            );
        }
        let none = Full;
        let refused = found.operation().remove_undeclared_within(200, &fields, bodies[0].1.as_bytes(), &none);
        assert!(refused.unwrap_err().to_string().contains("memory"));
    }
}

/// No memory is left.
struct Full;

impl Memory for Full {
    fn take(&self, _: usize) -> bool {
        false
    }
}

/// Files are judged where they are: no copy of them is made.
fn uploads() {
    let content = json!({
        "application/octet-stream": { "schema": { "type": "string", "format": "binary", "maxLength": 10_000_000 } },
        "text/plain": { "schema": { "type": "string", "minLength": 1 } },
        "multipart/form-data": { "schema": { "type": "object", "additionalProperties": false, "properties": {
            "file": { "type": "string", "format": "binary" }, "note": { "type": "string" } } } }
    });
    let document = json!({ "openapi": "3.0.3", "info": { "title": "t", "version": "1" },
        "paths": { "/": { "post": { "requestBody": { "required": true, "content": content } } } } });
    let api = Api::compile(&Files::from_value("api.yaml", document), &Options::default()).unwrap();
    let file = vec![0xe9; 8 * 1024 * 1024];
    let part = |head: &str| format!("--B\r\nContent-Disposition: form-data; {head}\r\n\r\n").into_bytes();
    let form = [
        part("name=\"file\"; filename=\"a.png\""),
        file.clone(),
        b"\r\n".to_vec(),
        part("name=\"note\""),
        b"x\r\n--B--".to_vec(),
    ];
    for (kind, body) in [
        ("application/octet-stream", file.clone()),
        ("text/plain", vec![b'a'; file.len()]),
        ("multipart/form-data; boundary=B", form.concat()),
    ] {
        let (said, peak, _, took) = measure_as(kind, &api, &body);
        println!("{kind}: {} bytes, {peak}, {took:?}: {said}", body.len());
        assert!(said == "passed" && peak < 64 * 1024, "{kind}: {peak}: {said}");
    }
}

/// Bodies as clients send them.
fn typical() {
    let api = compile(
        &json!({ "type": "array", "items": { "type": "object", "required": ["id", "item"], "additionalProperties": false, "properties": {
            "id": { "type": "integer" }, "item": { "type": "string" }, "amount": { "type": "number" }, "note": { "type": "string" },
            "tags": { "type": "array", "items": { "type": "string" } }, "address": { "type": "object" } } } }),
        &json!({}),
    );
    let order = |number: usize| {
        format!(
            "{{\"id\":{number},\"item\":\"A cup of tea\",\"amount\":3.25,\"note\":\"leave it at the door\",\"tags\":[\"hot\",\"green\"],\"address\":{{\"street\":\"Long Road 12\",\"city\":\"Springfield\"}}}}"
        )
    };
    for count in [1, 10, 100, 1000] {
        let orders: Vec<String> = (0..count).map(order).collect();
        for body in [format!("[{}]", orders.join(",")), format!("[{}]", orders.join(", ").replace(':', ": "))]
        {
            let (said, peak, counted, took) = measure(&api, &body);
            println!("{count} orders: {} bytes, {peak} ({counted} counted), {took:?}: {said}", body.len());
            assert_eq!(said, "passed");
            assert!(
                peak <= TYPICAL_TIMES * body.len() + TYPICAL_BESIDES,
                "{count}: {peak} for {} bytes",
                body.len()
            );
        }
    }
}
