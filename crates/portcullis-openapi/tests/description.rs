//! Descriptions: what does not load and what is said of it, several files, servers, security requirements, and what becomes of
//! compressed bodies and of undeclared members of responses.
#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::Write;

use http::HeaderMap;
use portcullis_openapi::{Api, Files, Match, Options, ReadOnly, RequestView, SecurityScheme};
use serde_json::{Value, json};

fn compile(document: Value) -> Result<Api, String> {
    let options = Options { responses: true, ..Options::default() };
    Api::compile(&Files::from_value("api.yaml", document), &options).map_err(|error| error.to_string())
}

fn with(operation: Value) -> Value {
    json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": { "/p": { "post": operation } } })
}

fn body(media_type: &str, schema: Value) -> Value {
    with(json!({ "requestBody": { "content": { media_type: { "schema": schema } } } }))
}

fn parameter(parameter: Value) -> Value {
    with(json!({ "parameters": [parameter] }))
}

#[test]
fn what_cannot_be_judged_does_not_load() {
    let string = json!({ "type": "string" });
    let query =
        |style: &str| parameter(json!({ "name": "x", "in": "query", "style": style, "schema": string }));
    let mut clash = with(json!({}));
    clash["paths"] = json!({ "/a/{x}": { "get": { "parameters": [{ "name": "x", "in": "path", "required": true, "schema": {} }] } },
        "/a/{y}": { "get": { "parameters": [{ "name": "y", "in": "path", "required": true, "schema": {} }] } } });
    let mut unnamed = with(json!({}));
    unnamed["paths"] = json!({ "/a/{x}": { "get": {} } });
    let cases: Vec<(Value, &str)> = vec![
        (json!({ "openapi": "2.0" }), "OpenAPI 2.0 is not supported"),
        (json!({ "openapi": "4.0.0" }), "OpenAPI 4.0.0 is not supported"),
        (json!({ "swagger": "2.0" }), "this is Swagger 2.0, and OpenAPI 3 is needed: convert it"),
        (
            json!({ "openapi": "3.1.0", "jsonSchemaDialect": "urn:x" }),
            "the schema dialect urn:x is not supported",
        ),
        (clash, "another path declares the same requests"),
        (unnamed, "the path variable `x` is not declared"),
        (
            parameter(json!({ "name": "x", "in": "path", "required": true, "schema": {} })),
            "the path has no variable `x`",
        ),
        (parameter(json!({ "name": "x", "in": "path", "schema": {} })), "needs `required: true`"),
        (parameter(json!({ "name": "x", "in": "body", "schema": {} })), "is not a place for a parameter"),
        (parameter(json!({ "name": "x", "in": "query" })), "needs a `schema` or a `content`"),
        (parameter(json!({ "in": "query", "schema": {} })), "`name` is missing"),
        (
            parameter(json!({ "name": "x", "in": "query", "required": "yes", "schema": {} })),
            "`required` must be true or false",
        ),
        (
            with(
                json!({ "requestBody": { "content": { "multipart/form-data": { "schema": {}, "itemEncoding": {} } } } }),
            ),
            "`itemEncoding` is not supported",
        ),
        (query("matrix"), "is not for this place"),
        (query("deepObject"), "is for objects"),
        (query("banana"), "is not for this place"),
        (
            parameter(
                json!({ "name": "x", "in": "query", "style": "pipeDelimited", "explode": true, "schema": {} }),
            ),
            "means nothing in this style",
        ),
        (
            with(
                json!({ "parameters": [{ "name": "x", "in": "query", "schema": {} }, { "name": "x", "in": "query", "schema": {} }] }),
            ),
            "is declared twice",
        ),
        (parameter(json!({ "$ref": "#/components/parameters/X" })), "nothing is here"),
        (parameter(json!({ "$ref": "https://example.com/x.yaml" })), "nothing is here"),
        (body("application/json", json!({ "$ref": "#/components/schemas/X" })), "/components/schemas/X"),
        (
            body("application/json", json!({ "$ref": "https://example.com/x.json" })),
            "external resources is not supported",
        ),
        (body("application/json", json!({ "type": "banana" })), "this is not a schema"),
        (body("application/json", json!({ "pattern": "(?=a" })), "the pattern has bad syntax"),
        (body("application/json", json!({ "pattern": "[a" })), "the pattern has bad syntax"),
        (body("application/json", json!({ "discriminator": {} })), "a discriminator needs a `propertyName`"),
        (body("multipart/mixed", json!({ "type": "object" })), "only `multipart/form-data`"),
        (body("application/pdf", json!({ "type": "object" })), "a body of this media type is bytes"),
        (body("json", json!({})), "is not a media type"),
        (with(json!({ "requestBody": {} })), "needs a `content`"),
        (with(json!({ "responses": { "2XY": { "description": "d" } } })), "is not a status"),
        (with(json!({ "security": [{ "key": [] }] })), "no security scheme is called `key`"),
    ];
    for (document, expected) in cases {
        let shown = document.to_string();
        let refused = compile(document).err().unwrap_or_else(|| panic!("{shown} loads"));
        assert!(refused.contains(expected), "{shown}: {refused}");
        assert!(refused.starts_with("api.yaml") || refused.starts_with("https://"), "{refused}");
    }
    assert!(compile(body("application/json", json!({ "type": "object" }))).is_ok());
}

#[test]
fn what_is_new_in_3_2_is_judged() {
    let document = json!({
        "openapi": "3.2.0",
        "$self": "https://api.example.com/openapi.json",
        "info": { "title": "t", "version": "1", "summary": "s" },
        "servers": [{ "url": "/", "name": "here" }],
        "tags": [{ "name": "a", "kind": "nav", "parent": "b", "summary": "s" }],
        "paths": { "/p": {
            "query": { "requestBody": { "required": true, "content": { "application/json": { "$ref": "#/components/mediaTypes/Number" } } } },
            "additionalOperations": { "COPY": {} },
        } },
        "components": {
            "mediaTypes": { "Number": { "schema": { "type": "integer" }, "examples": { "one": { "dataValue": { "$ref": "nowhere" } } } } },
            "securitySchemes": { "device": { "type": "oauth2", "deprecated": true, "oauth2MetadataUrl": "https://a.example",
                "flows": { "deviceAuthorization": { "deviceAuthorizationUrl": "/d", "tokenUrl": "https://a.example/t", "scopes": {} } } } },
        },
    });
    let api = compile(document).unwrap();
    let said = |method: &str, body: &[u8]| {
        let Match::Operation(found) = api.operation(method, "/p") else { return "undeclared".to_owned() };
        let mut fields = HeaderMap::new();
        if !body.is_empty() {
            fields.insert("content-type", "application/json".parse().unwrap());
        }
        let judged = found.judge(&RequestView { query: None, fields: &fields, body });
        judged.err().map(|violations| violations.to_string()).unwrap_or_default()
    };
    assert_eq!(said("QUERY", b"1"), "");
    assert_eq!(said("QUERY", b"\"1\""), "body: type");
    assert_eq!(said("COPY", b""), "");
    assert_eq!(said("COPY", b"1"), "body: undeclared");
    assert_eq!(said("GET", b""), "undeclared");
}

#[test]
fn a_query_is_one_value_or_parameters() {
    let form = json!({ "application/x-www-form-urlencoded": { "schema": { "type": "object" } } });
    let whole = |content: Value| json!({ "name": "q", "in": "querystring", "content": content });
    for (parameters, expected) in [
        (json!([whole(json!({ "text/plain": { "schema": {} } }))]), "`in: querystring` needs a `content` of"),
        (
            json!([{ "name": "q", "in": "querystring", "schema": {} }]),
            "`in: querystring` needs a `content` of",
        ),
        (json!([whole(form.clone()), whole(form.clone())]), "a second parameter is `in: querystring`"),
        (
            json!([whole(form.clone()), { "name": "a", "in": "query", "schema": {} }]),
            "`q` is the whole query, so no parameter can be `in: query` beside it",
        ),
    ] {
        let error = compile(with(json!({ "parameters": parameters }))).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    compile(with(json!({ "parameters": [whole(form)] }))).unwrap();
}

#[test]
fn read_only_members_are_removed() {
    let schema = json!({ "type": "object", "required": ["name", "id"], "additionalProperties": false, "properties": {
        "id": { "type": "integer", "readOnly": true },
        "name": { "type": "string" },
        "a/b~c": { "readOnly": true },
        "parts": { "type": "array", "items": { "properties": { "made": { "readOnly": true } } } },
        "either": { "oneOf": [{ "type": "object", "properties": { "made": { "readOnly": true } }, "required": ["x"] }, { "type": "null" }] },
    } });
    let options = Options { read_only: ReadOnly::Strip, ..Options::default() };
    let files = Files::from_value("api.yaml", body("application/json", schema));
    let api = Api::compile(&files, &options).unwrap();
    let Match::Operation(found) = api.operation("POST", "/p") else { panic!("no operation") };
    let mut fields = HeaderMap::new();
    fields.insert("content-type", "application/json".parse().unwrap());
    let left = |body: &str| {
        let request = RequestView { query: None, fields: &fields, body: body.as_bytes() };
        let left = found.without_read_only(&request, &()).unwrap();
        left.map(|left| String::from_utf8(left).unwrap())
    };
    for (sent, expected) in [
        (r#"{"name":"a","id":1}"#, Some(r#"{"name":"a"}"#)),
        // Whatever it is.
        (r#"{"name":"a","id":{"x":[1]}}"#, Some(r#"{"name":"a"}"#)),
        (r#"{"name":"a","a/b~c":1,"id":null}"#, Some(r#"{"name":"a"}"#)),
        (
            r#"{"name":"a","parts":[{"made":1,"b":2},{"made":2}]}"#,
            Some(r#"{"name":"a","parts":[{"b":2},{}]}"#),
        ),
        (r#"{"name":"a"}"#, None),
        (r#"{"name":"a","either":{"made":1,"x":2}}"#, None),
        (r#"{"name":"a","id":1,"id":2}"#, None),
        (r#"{"name":"a","id":12345678901234567890123456789}"#, None),
        ("x", None),
    ] {
        assert_eq!(left(sent).as_deref(), expected, "{sent}");
    }
}

#[test]
fn merge_keys_are_refused() {
    let text = b"openapi: 3.1.0\ninfo: &info { title: t, version: '1' }\n<<: *info\npaths: {}\n";
    let refused = Files::new("api.yaml", text).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|refused| refused.contains("merge keys are not supported")));
    assert!(Files::new("api.yaml", b"openapi: 3.1.0\n'<<': 1\n").is_ok(), "quoted, it is a name");
}

#[test]
fn files_refer_to_each_other() {
    let mut files = Files::new(
        "api/main.yaml",
        b"openapi: 3.0.0\ninfo: { title: t, version: '1' }\npaths: { /p: { $ref: 'paths.yaml#/p' } }",
    )
    .unwrap();
    files.add("api/paths.yaml", b"p: { post: { requestBody: { content: { application/json: { schema: { $ref: ../schemas/a.json } } } } } }").unwrap();
    files.add("schemas/a.json", br##"{"type": "object", "properties": {"self": {"$ref": "a.json"}, "n": {"$ref": "#/x~1y/z"}}, "x/y": {"z": {"type": "integer", "nullable": true}}}"##).unwrap();
    assert!(files.add("schemas/a.json", b"{}").is_err());
    let api = Api::compile(&files, &Options::default()).unwrap();
    let said = |body: &str| judge(&api, "/p", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(said(r#"{"self":{"self":{"n":null}}}"#), "");
    assert_eq!(said(r#"{"self":{"self":{"n":"x"}}}"#), "body /self/self/n: type");
}

fn judge(api: &Api, path: &str, fields: &[(&str, &str)], body: &[u8]) -> String {
    let Match::Operation(found) = api.operation("POST", path) else { return "undeclared".into() };
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    let said = found.judge(&RequestView { query: None, fields: &map, body });
    said.map_or_else(|violations| violations.to_string(), |()| String::new())
}

#[test]
fn servers_say_where_the_paths_are() {
    let mut document = with(json!({}));
    document["servers"] = json!([{ "url": "https://example.com/api/{v}/", "variables": { "v": { "default": "v1" } } }, { "url": "/other" }]);
    let api = compile(document.clone()).unwrap();
    assert_eq!(api.base_paths(), ["/api/v1", "/other"]);
    let found = |api: &Api, path: &str| matches!(api.operation("POST", path), Match::Operation(_));
    assert!(found(&api, "/api/v1/p") && found(&api, "/other/p"));
    assert!(!found(&api, "/p") && !found(&api, "/api/v1p") && !found(&api, "/api/v1"));
    let options = Options { base_paths: Some(vec!["/".into()]), ..Options::default() };
    let api = Api::compile(&Files::from_value("api.yaml", document), &options).unwrap();
    assert!(found(&api, "/p") && !found(&api, "/other/p"));
}

#[test]
fn security_requirements_are_listed() {
    let mut document =
        with(json!({ "operationId": "create", "security": [{ "oauth": ["write", "read"], "key": [] }, {}] }));
    document["paths"]["/p"]["get"] = json!({});
    document["security"] = json!([{ "key": [] }]);
    document["components"] = json!({ "securitySchemes": {
        "key": { "type": "apiKey", "in": "header", "name": "X-Key" },
        "oauth": { "type": "oauth2", "flows": {} },
        "basic": { "type": "http", "scheme": "Basic" },
        "oidc": { "type": "openIdConnect", "openIdConnectUrl": "https://example.com" },
        "cert": { "type": "mutualTLS" }
    } });
    let api = compile(document).unwrap();
    assert_eq!(
        api.security_schemes()["key"],
        SecurityScheme::ApiKey { place: "header".into(), name: "X-Key".into() }
    );
    assert_eq!(api.security_schemes()["basic"], SecurityScheme::Http { scheme: "basic".into() });
    let of = |method: &str| api.operations().find(|operation| operation.method() == method).unwrap();
    assert_eq!((of("POST").id(), of("POST").path(), of("GET").id()), (Some("create"), "/p", None));
    assert_eq!(of("POST").security().len(), 2);
    assert_eq!(of("POST").security()[0]["oauth"], ["write", "read"]);
    assert!(of("POST").security()[1].is_empty());
    assert_eq!(of("GET").security()[0].keys().collect::<Vec<_>>(), ["key"]);
    assert!(!of("GET").declares_body());
}

#[test]
fn one_coding_only() {
    let api = compile(body("application/json", json!({ "type": "object", "required": ["a"] }))).unwrap();
    let text = br#"{"a":1}"#;
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let said = |coding: &str, body: &[u8]| {
        judge(&api, "/p", &[("content-type", "application/json"), ("content-encoding", coding)], body)
    };
    assert_eq!(said("gzip", &gzip), "");
    assert_eq!(said("GZIP", &gzip), "");
    assert_eq!(said("deflate", &deflate), "");
    assert_eq!(said("gzip", &deflate), "body: content_encoding");
    assert_eq!(said("gzip", text), "body: content_encoding");
    assert_eq!(said("gzip, identity", &gzip), "body: content_encoding");
    let twice = [gzip.clone(), gzip.clone()].concat();
    assert_eq!(said("gzip", &twice), "body: content_encoding");
    assert_eq!(said("gzip", &gzip[..gzip.len() - 1]), "body: content_encoding");
}

#[test]
fn undeclared_members_are_removed() {
    let schema = json!({ "type": "object", "properties": {
        "id": { "type": "integer" },
        "owner": { "$ref": "#/components/schemas/Owner" },
        "free": { "type": "object" },
        "list": { "type": "array", "items": { "$ref": "#/components/schemas/Owner" } },
        "named": { "type": "object", "additionalProperties": { "type": "integer" } },
        "closed": { "type": "object", "properties": { "a": {} }, "additionalProperties": false }
    } });
    let mut document = with(
        json!({ "responses": { "200": { "description": "d", "content": { "application/json": { "schema": schema } } } } }),
    );
    document["components"] = json!({ "schemas": { "Owner": { "allOf": [{ "properties": { "name": {} } }, { "properties": { "age": {} } }] } } });
    let api = compile(document).unwrap();
    let Match::Operation(found) = api.operation("POST", "/p") else { panic!("it is declared") };
    let fields = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/json".parse().unwrap())]);
    let remove = |value: Value| {
        let bytes = found.operation().remove_undeclared(200, &fields, value.to_string().as_bytes())?;
        Some(serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let clean = json!({ "id": 1, "owner": { "name": "a", "age": 2 }, "free": { "x": 1 }, "list": [{ "name": "b" }], "named": { "x": 1 } });
    assert_eq!(remove(clean.clone()), None);
    let mut leaky = clean.clone();
    leaky["password"] = json!("x");
    leaky["owner"]["ssn"] = json!("x");
    leaky["list"][0]["ssn"] = json!("x");
    assert_eq!(remove(leaky.clone()), Some(clean.clone()));
    leaky["closed"] = json!({ "a": 1, "ssn": "x" });
    let mut closed = clean;
    closed["closed"] = json!({ "a": 1 });
    assert_eq!(remove(leaky.clone()), Some(closed));
    leaky["id"] = json!("wrong in another way");
    assert_eq!(remove(leaky), None);
}

#[test]
fn each_operation_has_its_servers() {
    let mut document = with(json!({}));
    document["servers"] = json!([{ "url": "https://{host}/{stage}", "variables": {
        "host": { "default": "a.example.com", "enum": ["a.example.com", "b.example.com"] },
        "stage": { "default": "prod", "enum": ["prod", "test"] } } }]);
    document["paths"]["/p"]["get"] = json!({ "servers": [{ "url": "/op" }] });
    document["paths"]["/q"] = json!({ "servers": [{ "url": "https://up.example.com/up/" }], "post": {}, "get": { "servers": [{ "url": "/" }] } });
    document["paths"]["/{any}/x"] = json!({ "post": { "parameters": [{ "name": "any", "in": "path", "required": true, "schema": {} }] } });
    document["paths"]["/p/x"] = json!({ "servers": [{ "url": "/op" }], "post": {} });
    let api = compile(document.clone()).unwrap();
    let found = |api: &Api, method: &str, path: &str| match api.operation(method, path) {
        Match::Operation(found) => found.operation().path().to_owned(),
        Match::UndeclaredMethod { allowed } => allowed.to_owned(),
        Match::UndeclaredPath => "404".into(),
    };
    for (method, path, expected) in [
        ("POST", "/prod/p", "/p"),
        ("POST", "/test/p", "/p"),
        ("POST", "/op/p", "GET"),
        ("GET", "/op/p", "/p"),
        ("GET", "/prod/p", "POST"),
        ("POST", "/up/q", "/q"),
        ("POST", "/prod/q", "404"),
        ("GET", "/q", "/q"),
        ("POST", "/q", "GET"),
        // Another server's path of the same form does not hide this one.
        ("POST", "/prod/p/x", "/{any}/x"),
        ("POST", "/op/p/x", "/p/x"),
        ("POST", "/{stage}/p", "404"),
    ] {
        assert_eq!(found(&api, method, path), expected, "{method} {path}");
    }
    let options = Options { base_paths: Some(vec!["/".into()]), ..Options::default() };
    let api = Api::compile(&Files::from_value("api.yaml", document.clone()), &options).unwrap();
    assert_eq!(found(&api, "GET", "/p"), "/p");
    document["servers"] = json!([{ "url": "/{nobody}" }]);
    assert!(compile(document).unwrap_err().contains("is not declared"));
}

#[test]
fn a_path_may_have_a_query_and_a_fragment() {
    let id = |id: &str| json!({ "operationId": id });
    let document = json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": {
        "/b": { "get": id("list") }, "/b?acl": { "get": id("acl") }, "/b?list-type=2": { "get": id("list2") },
        "/only?x=1": { "get": id("only") }, "/#Action=Create": { "post": id("create") } } });
    let api = compile(document).unwrap();
    let found = |method: &str, path: &str, query: &str| match api.operation_for(method, path, Some(query)) {
        Match::Operation(found) => {
            let none: &[(&str, &str)] = &[];
            let view = RequestView { query: Some(query), fields: &Listed(none), body: b"" };
            let said = found.judge(&view).err().map_or_else(String::new, |said| said.to_string());
            format!("{} {said}", found.operation().id().unwrap())
        }
        Match::UndeclaredMethod { allowed } => allowed.to_owned(),
        Match::UndeclaredPath => "404".into(),
    };
    for (query, expected) in [
        ("", "list "),
        ("acl", "acl "),
        ("acl=", "acl "),
        ("list-type=2", "list2 "),
        ("list-type=3", "list query list-type: undeclared"),
        ("acl=x", "list query acl: undeclared"),
        ("acl&acl", "list query acl: undeclared"),
        ("acl&y=1", "acl query y: undeclared"),
    ] {
        assert_eq!(found("GET", "/b", query), expected, "{query}");
    }
    assert_eq!(found("GET", "/only", ""), "404");
    assert_eq!(found("GET", "/only", "x=1"), "only ");
    assert_eq!(found("POST", "/", ""), "create ");
}

struct Listed<'a>(&'a [(&'a str, &'a str)]);

impl portcullis_openapi::Fields for Listed<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.values(name, each);
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        portcullis_openapi::Fields::names(self.0, each);
    }
}

#[test]
fn every_error_is_told_at_its_line() {
    let text = br#"openapi: 3.0.3
info: { title: t, version: '1' }
paths:
  /a/{x}:
    get:
      parameters:
        - { name: x, in: path, schema: { type: string } }
        - { name: y, in: query, schema: { type: string, patern: a } }
  /b:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                a: { type: string, pattern: '(?=a' }
                b:
                  type: string
                  pattern: '[b'
    get:
      parameters:
        - $ref: '#/components/parameters/Nowhere'
"#;
    let files = Files::new("api.yaml", text).unwrap();
    let errors = Api::compile(&files, &Options::default()).unwrap_err();
    let lines: Vec<(usize, &str)> = errors
        .iter()
        .map(|error| (error.line.unwrap(), error.message.split(['`', ':']).next().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            (7, "a path parameter needs "),
            (8, ""),
            (23, "the reference leads to "),
            (17, "the pattern has bad syntax"),
            (20, "the pattern has bad syntax"),
        ],
        "{errors}"
    );
}

#[test]
fn an_operation_that_is_not_there_cannot_be_left_out() {
    let mut document = body("application/json", json!({ "pattern": "(" }));
    document["paths"]["/p"]["get"] = json!({ "operationId": "good" });
    let files = Files::from_value("api.yaml", document);
    assert!(Api::compile(&files, &Options::default()).is_err());
    let named = |name: &str| std::collections::BTreeSet::from([name.to_owned()]);
    let left_out = Options { left_out: named("POST /p"), ..Options::default() };
    let api = Api::compile(&files, &left_out).unwrap();
    assert!(matches!(api.operation("POST", "/p"), Match::UndeclaredMethod { allowed: "GET" }));
    let unjudged = Options { unjudged: named("POST /p"), ..Options::default() };
    let api = Api::compile(&files, &unjudged).unwrap();
    assert_eq!(judge(&api, "/p", &[], b"anything"), "");
    for options in [
        Options { left_out: named("POST /q"), ..left_out.clone() },
        Options { unjudged: named("bad"), ..left_out },
    ] {
        let error = Api::compile(&files, &options).unwrap_err();
        assert!(error.to_string().contains("there is no operation `"), "{error}");
    }
}

#[test]
fn a_reference_stands_where_one_can() {
    let mut document = body("application/json", json!({ "$ref": "https://example.com/schemas/order" }));
    document["components"] = json!({ "schemas": {
        "Order": { "$id": "https://example.com/schemas/order", "type": "object",
            "properties": { "item": { "$ref": "item" }, "next": { "$ref": "#" }, "kind": { "$ref": "#kind" } },
            "$defs": { "Kind": { "$anchor": "kind", "enum": ["a"] } }, "example": { "$ref": "nowhere.yaml" } },
        "Item": { "$id": "/schemas/item", "type": "integer", "default": { "$ref": "#/nowhere" } }
    } });
    document["paths"]["/p"]["post"]["x-samples"] =
        json!([{ "schema": { "$ref": "nowhere.yaml", "discriminator": {} } }]);
    document["components"]["schemas"]["Item"]["$id"] = json!("https://example.com/schemas/item");
    let api = compile(document).unwrap();
    let said = |body: &str| judge(&api, "/p", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(said(r#"{"item":1,"next":{"item":2,"kind":"a"}}"#), "");
    assert_eq!(said(r#"{"next":{"item":"x"}}"#), "body /next/item: type");
    assert_eq!(said(r#"{"kind":"b"}"#), "body /kind: enum");
}

fn two_paths() -> Api {
    let operation = |id: &str| json!({ "operationId": id });
    let with_id = |id: &str| json!({ "operationId": id, "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }] });
    compile(json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "servers": [{ "url": "/v1" }], "paths": {
        "/items/{id}": { "get": with_id("item"), "post": with_id("change"), "put": with_id("put") },
        "/items/export": { "get": operation("export") },
        "/items/{id}:delete": { "post": with_id("delete") },
        "/files/{id}.json": { "get": with_id("json") },
        "/files/{id}": { "get": with_id("file") },
        "/Caf%C3%A9": { "get": operation("cafe") },
        "/{id}": { "get": with_id("any") }
    } }))
    .unwrap()
}

#[test]
fn an_operation_is_not_reached_by_a_laxer_reading() {
    let api = two_paths();
    let found = |method: &str, path: &str| match api.operation(method, &format!("/v1{path}")) {
        Match::Operation(found) => found.operation().id().unwrap().to_owned(),
        Match::UndeclaredMethod { .. } => "405".into(),
        Match::UndeclaredPath => "404".into(),
    };
    for (method, path) in [
        ("GET", "/items/EXPORT"),
        ("GET", "/items/Export"),
        ("GET", "/items/export%20"),
        ("GET", "/items/export."),
        ("GET", "/items/export%3Bx=1"),
        ("GET", "/items/export%2E"),
        ("HEAD", "/items/EXPORT"),
        ("POST", "/items/5%3Adelete"),
        ("POST", "/items/5%3ADELETE"),
        ("POST", "/items/5:Delete"),
        ("GET", "/files/a.JSON"),
        ("GET", "/files/a%2Ejson"),
        ("GET", "/caf%C3%A9"),
        ("GET", "/items%2Fexport"),
        ("GET", "/items%5CExport"),
        ("GET", "/items%252Fexport"),
        ("GET", "/CAF%C3%89"),
    ] {
        let said = found(method, path);
        assert!(said == "404" || (method == "HEAD" && said == "405"), "{method} {path}: {said}");
    }
    for (method, path, id) in [
        ("GET", "/items/export", "export"),
        ("GET", "/items/exports", "item"),
        ("GET", "/items/Seven", "item"),
        ("PUT", "/items/EXPORT", "put"),
        ("POST", "/items/5", "change"),
        ("POST", "/items/5:delete", "delete"),
        ("GET", "/items/5%3Adelete", "item"),
        ("GET", "/files/a.json", "json"),
        ("GET", "/files/a.JSON.txt", "file"),
        ("GET", "/Caf%C3%A9", "cafe"),
        ("GET", "/Tea", "any"),
        ("GET", "/a%2Fb", "any"),
    ] {
        assert_eq!(found(method, path), id, "{method} {path}");
    }
}

#[test]
fn a_misspelt_keyword_does_not_load() {
    let document = |version: &str, schema: Value| {
        json!({ "openapi": version, "info": { "title": "t", "version": "1" }, "paths": { "/p": { "post": {
        "requestBody": { "content": { "application/json": { "schema": schema } } }, "responses": { "200": { "description": "d" } } } } },
        "components": { "schemas": { "A": { "type": "object", "aditionalProperties": false }, "Unused": { "nonsense": 1 } } } })
    };
    for (schema, place, meant) in [
        (json!({ "type": "object", "aditionalProperties": false }), "/schema:", Some("additionalProperties")),
        (json!({ "properties": { "a": { "maxLenght": 1 } } }), "/schema/properties/a:", Some("maxLength")),
        (json!({ "items": { "patern": "x" } }), "/schema/items:", Some("pattern")),
        (json!({ "oneOf": [{ "requird": ["a"] }] }), "/schema/oneOf/0:", Some("required")),
        (json!({ "not": { "mininum": 1 } }), "/schema/not:", Some("minimum")),
        (
            json!({ "allOf": [{ "additionalProperties": { "tpye": "string" } }] }),
            "/schema/allOf/0/additionalProperties:",
            Some("type"),
        ),
        (
            json!({ "$ref": "#/components/schemas/A" }),
            "#/components/schemas/A:",
            Some("additionalProperties"),
        ),
        (json!({ "optional": true }), "/schema:", None),
    ] {
        let hint = meant.map_or("does nothing".into(), |meant| format!("did you mean `{meant}`?"));
        match meant {
            Some(_) => {
                let error = compile(document("3.0.3", schema.clone())).unwrap_err();
                assert!(error.contains(place) && error.ends_with(&hint), "{error}");
            }
            // What resembles no keyword was not meant to be one.
            None => assert_eq!(compile(document("3.0.3", schema.clone())).unwrap().warnings().len(), 1),
        }
        let warnings = compile(document("3.1.0", schema)).unwrap();
        assert_eq!(warnings.warnings().len(), 1);
        assert!(warnings.warnings()[0].to_string().ends_with(&hint));
    }
    let fine = json!({ "type": "object", "x-order": 1, "nullable": true, "const": {}, "example": { "aditionalProperties": 1 },
        "properties": { "aditionalProperties": { "default": { "nonsense": 1 }, "enum": [{ "nonsense": 1 }] } } });
    assert!(compile(document("3.0.3", fine.clone())).unwrap().warnings().is_empty());
    assert!(compile(document("3.1.0", fine)).unwrap().warnings().is_empty());
}

#[test]
fn a_misspelt_control_does_not_load() {
    let fine = json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "security": [], "paths": { "/p": {
        "parameters": [{ "name": "a", "in": "query", "required": true, "schema": {}, "type": "string", "tag": "x" }],
        "post": { "tag": "x", "parameters": [], "security": [],
            "requestBody": { "required": true, "content": { "multipart/form-data": { "schema": {}, "encoding": { "a": { "contentType": "text/plain" } } } } },
            "responses": { "200": { "description": "d", "content": {} } } } } } });
    assert!(compile(fine.clone()).is_ok());
    for (place, name, misspelt) in [
        ("", "security", "securty"),
        ("/paths/~1p", "post", "psot"),
        ("/paths/~1p", "parameters", "parameter"),
        ("/paths/~1p/parameters/0", "required", "requird"),
        ("/paths/~1p/parameters/0", "schema", "Schema"),
        ("/paths/~1p/post", "requestBody", "requestbody"),
        ("/paths/~1p/post", "security", "secuirty"),
        ("/paths/~1p/post/requestBody", "required", "requried"),
        ("/paths/~1p/post/requestBody/content/multipart~1form-data", "schema", "schmea"),
        ("/paths/~1p/post/requestBody/content/multipart~1form-data", "encoding", "encodings"),
        ("/paths/~1p/post/requestBody/content/multipart~1form-data/encoding/a", "contentType", "contenttype"),
        ("/paths/~1p/post/responses/200", "content", "contents"),
    ] {
        let mut document = fine.clone();
        let object = document.pointer_mut(place).unwrap().as_object_mut().unwrap();
        let value = object.remove(name).unwrap();
        object.insert(misspelt.into(), value);
        let error = compile(document).unwrap_err();
        assert!(
            error.contains(&format!("#{place}: ")) && error.contains(&format!("did you mean `{name}`")),
            "{error}"
        );
    }
}
