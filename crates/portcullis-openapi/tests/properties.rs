//! Parameters and forms that other crates have written are read as what was written, and as nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use http::HeaderMap;
use portcullis_openapi::{Api, EncodedCommas, Files, Match, Options, RequestView};
use proptest::prelude::*;
use serde_json::{Value, json};

fn api(parameter: &Value, form: &Value) -> Api {
    compile(parameter, form, EncodedCommas::Both)
}

fn compile(parameter: &Value, form: &Value, encoded_commas: EncodedCommas) -> Api {
    let content = json!({ "application/x-www-form-urlencoded": { "schema": form } });
    let document = json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/p": {
        "get": { "parameters": [parameter] },
        "post": { "requestBody": { "required": true, "content": content } }
    } } });
    let options = Options { encoded_commas, ..Options::default() };
    Api::compile(&Files::from_value("api.yaml", document), &options).unwrap()
}

fn query(api: &Api, raw: &str) -> Result<(), String> {
    let Match::Operation(found) = api.operation("GET", "/p") else { panic!("it is declared") };
    let fields = HeaderMap::new();
    found
        .judge(&RequestView { query: Some(raw), fields: &fields, body: b"" })
        .map_err(|violations| violations.to_string())
}

fn form(api: &Api, raw: &str) -> Result<(), String> {
    let Match::Operation(found) = api.operation("POST", "/p") else { panic!("it is declared") };
    let fields = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        "application/x-www-form-urlencoded".parse().unwrap(),
    )]);
    found
        .judge(&RequestView { query: None, fields: &fields, body: raw.as_bytes() })
        .map_err(|violations| violations.to_string())
}

fn texts(values: &Value) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "const": values })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// `form_urlencoded` writes, we read: a list in a query, and a form.
    #[test]
    fn lists_and_forms(values in prop::collection::vec(any::<String>(), 1..6), other in any::<String>()) {
        let schema = texts(&json!(values));
        let object = json!({ "type": "object", "required": ["x"], "properties": { "x": schema }, "additionalProperties": false });
        let api = api(&json!({ "name": "x", "in": "query", "schema": schema }), &object);
        let write = |values: &[String]| {
            let mut writer = form_urlencoded::Serializer::new(String::new());
            for value in values {
                writer.append_pair("x", value);
            }
            writer.finish()
        };
        let raw = write(&values);
        prop_assert_eq!(query(&api, &raw), Ok(()));
        prop_assert_eq!(form(&api, &raw), Ok(()));
        let mut changed = values.clone();
        changed[0] = other;
        if changed != values {
            prop_assert!(query(&api, &write(&changed)).is_err());
            prop_assert!(form(&api, &write(&changed)).is_err());
        }
    }

    /// `serde_qs` writes, we read: an object with its names in brackets.
    #[test]
    fn deep_objects(members in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_.-]{0,6}", any::<String>(), 1..6)) {
        let schema = json!({ "type": "object", "const": members, "additionalProperties": { "type": "string" } });
        let api = api(&json!({ "name": "x", "in": "query", "style": "deepObject", "required": true, "schema": schema }), &json!({}));
        let raw = serde_qs::to_string(&BTreeMap::from([("x", &members)])).unwrap();
        prop_assert_eq!(query(&api, &raw), Ok(()), "{}", raw);
        let read: BTreeMap<String, BTreeMap<String, String>> = serde_qs::from_str(&raw).unwrap();
        prop_assert_eq!(&read["x"], &members);
        let twice = format!("{raw}&{raw}");
        prop_assert!(query(&api, &twice).is_err());
    }

    /// What is joined by commas and escaped within is split and then decoded.
    #[test]
    fn commas(values in prop::collection::vec(any::<String>(), 1..6)) {
        let parameter = json!({ "name": "x", "in": "query", "explode": false, "schema": texts(&json!(values)) });
        let api = compile(&parameter, &json!({}), EncodedCommas::Keep);
        let written: Vec<String> = values.iter().map(|value| form_urlencoded::byte_serialize(value.as_bytes()).collect()).collect();
        prop_assert_eq!(query(&api, &format!("x={}", written.join(","))), Ok(()));
    }
}
