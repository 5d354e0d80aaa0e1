//! A value whose `type` chooses how its other keys are read, decoded by hand: the pattern that documents follow.

use super::*;

keyword! {
    /// How a client proves who it is.
    enum Kind {
        /// A key in a header.
        ApiKey = "api_key" | "APIKey",
        /// A token.
        Token = "oauth2" | "OAuth2",
    }
}

object! {
    /// A key in a header.
    struct ApiKey {
        /// The header.
        #[alias("header_name")]
        header: String,
    }
}

object! {
    /// A token.
    struct Token {
        /// Who issues it.
        issuer: String,
    }
}

#[derive(Debug)]
enum Method {
    ApiKey(ApiKey),
    Token(Token),
}

impl Decode for Method {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let mut fields = cx.fields(node)?;
        let method = match fields.tag::<Kind>("type", cx)? {
            Kind::ApiKey => ApiKey::decode_fields(&mut fields, cx).map(Self::ApiKey),
            Kind::Token => Token::decode_fields(&mut fields, cx).map(Self::Token),
        };
        fields.finish(cx)?;
        method
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        definitions.define::<Self>("Method", |definitions| {
            let mut api_key = ObjectSchema::new("A key in a header.");
            ApiKey::describe(api_key.tag("type", &["api_key", "APIKey"]), definitions);
            let mut token = ObjectSchema::new("A token.");
            Token::describe(token.tag("type", &["oauth2", "OAuth2"]), definitions);
            json!({ "oneOf": [api_key.into_json(), token.into_json()] })
        })
    }
}

#[test]
fn the_type_chooses_the_keys() {
    assert!(
        matches!(good("{ type: APIKey, headerName: x-key }"), Method::ApiKey(api_key) if api_key.header == "x-key")
    );
    assert!(matches!(good("{ type: oauth2, issuer: me }"), Method::Token(token) if token.issuer == "me"));
    refused::<Method>("{ type: api_key, issuer: me }", &["`header` is missing", "unknown key `issuer`"]);
    refused::<Method>("{ type: apikey, header: x }", &["did you mean `api_key`?"]);
    refused::<Method>("{ header: x }", &["`type` is missing"]);
    let (_, text) = read::<Method>("{ typ: api_key, header: x }");
    assert!(!text.contains("header: x"), "what was given up is not printed: {text}");
    assert!(text.contains("did you mean `type`?") && text.matches("error[").count() == 1, "{text}");
}

#[test]
fn the_schema_has_one_form_for_each() {
    let schema = crate::document_schema::<Method>("Test", "https://example.com");
    let forms = &schema["$defs"]["Method"]["oneOf"];
    assert_eq!(forms[0]["properties"]["type"]["enum"], json!(["api_key", "APIKey"]));
    assert_eq!(forms[1]["required"], json!(["type", "issuer"]));
}

/// Keys that are known only when the program runs, such as those that checks add.
#[test]
fn keys_by_hand() {
    let names = [String::from("rate_limiting"), String::from("mutual_tls")];
    let source = Source::new("test.yaml", "{ rateLimiting: 1, mutual_tls: 2, mutal_tls: 3, kept: 4 }");
    let mut cx = Context::for_file(".");
    let node = crate::yaml::parse(&source, &mut cx.diagnostics).unwrap();
    let mut fields = cx.fields(&node).unwrap();
    fields.declare(names.iter().map(String::as_str));
    let taken: Vec<&str> = names
        .iter()
        .filter_map(|name| fields.take_raw(name.as_str(), &mut cx))
        .map(|entry| entry.key.as_str())
        .collect();
    assert_eq!(taken, ["rateLimiting", "mutual_tls"]);
    assert!(fields.has("kept") && !fields.has("gone"));
    assert_eq!(fields.optional::<u16>("kept", &mut cx), Some(Some(4)));
    assert_eq!(fields.or_else("other", || 7u16, &mut cx), Some(7));
    assert!(fields.finish(&mut cx).is_none());
    let text = Renderer::new(&cx.diagnostics, Some(&source), Style::Plain).text();
    assert!(text.contains("did you mean `mutual_tls`?") && cx.diagnostics.len() == 1, "{text}");
}

#[test]
fn what_is_abandoned_is_not_printed() {
    for yaml in
        ["{ type: apikey, keys: [hunter2] }", "{ typ: api_key, header: hunter2 }", "{ keys: { a: hunter2 } }"]
    {
        let (value, text) = read::<Method>(yaml);
        assert!(value.is_none() && !text.contains("hunter2"), "{text}");
        assert_eq!(text.matches("error[").count(), 1, "{text}");
    }
    let mut cx = Context::for_code();
    let node = Node::from_json(json!({ "type": "other", "a": 1 }));
    let mut fields = cx.fields(&node).unwrap();
    fields.abandon(&mut cx);
    assert!(fields.finish(&mut cx).is_some());
}

/// A mapping with some keys of its own, whose others are names that the user chose.
#[test]
fn the_rest_of_a_mapping() {
    let mut cx = Context::for_code();
    let node = Node::from_json(json!({ "default": 1, "alice": 2, "bob": 3 }));
    let mut fields = cx.fields(&node).unwrap();
    assert_eq!(fields.required::<u16>("default", &mut cx), Some(1));
    let names: Vec<_> = fields.take_rest().into_iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert!(fields.finish(&mut cx).is_some());
}

#[test]
fn a_decoder_that_gives_no_reason_still_refuses_the_document() {
    #[derive(Debug)]
    struct Silent;
    impl Decode for Silent {
        fn decode(_: &Node, _: &mut Context) -> Option<Self> {
            None
        }
        fn schema(_: &mut Definitions) -> serde_json::Value {
            json!(true)
        }
    }
    refused::<Silent>("a: 1", &["config.unreadable"]);
}
