#![allow(dead_code, reason = "what is declared matters here, not what is read")]

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::{ByteSize, OneOrMany, Secret, Spanned, keyword, object};

keyword! {
    /// The period.
    enum Per {
        /// One second.
        Second = "second",
        /// Sixty seconds.
        Minute = "minute" | "min",
    }
}

object! {
    /// How many requests a client may make.
    struct Limit {
        /// The most requests
        /// in one period.
        ///
        /// At least one.
        max_requests: NonZeroU32,
        /// The period. Default: minute.
        per: Per = Per::Minute,
        /// Optional.
        #[alias("burst_size")]
        burst: Option<Spanned<NonZeroU32>>,
        /// How long a refused client waits.
        wait: Duration = Duration::from_secs(10),
        /// The largest body.
        body: ByteSize = ByteSize::mib(1),
        /// A key.
        key: Secret,
        /// Limits inside.
        inner: Vec<Limit> = Vec::new(),
        /// The kind.
        r#type: OneOrMany<String>,
    }
}

mod elsewhere {
    use crate::object;

    object! {
        /// Another type of the same name.
        pub(super) struct Limit {
            /// A number.
            number: u32,
        }
    }
}

object! {
    /// A document.
    struct Document {
        /// One.
        one: Limit,
        /// Other.
        other: elsewhere::Limit,
    }
}

#[test]
fn a_schema_says_what_the_declaration_says() {
    let schema = document_schema::<Document>("Test", "https://example.com/test.json");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!((&schema["title"], &schema["$ref"]), (&json!("Test"), &json!("#/$defs/Document")));
    let limit = &schema["$defs"]["Limit"];
    assert_eq!(limit["description"], "How many requests a client may make.");
    assert_eq!((&limit["type"], &limit["additionalProperties"]), (&json!("object"), &json!(false)));
    let properties = &limit["properties"];
    assert_eq!(
        properties["max_requests"]["description"],
        "The most requests in one period.\n\nAt least one."
    );
    assert_eq!(properties["max_requests"]["minimum"], 1);
    assert_eq!(properties["maxRequests"]["deprecated"], true);
    assert_eq!(properties["burstSize"]["deprecated"], true);
    assert_eq!(properties["per"]["default"], "minute");
    assert_eq!(properties["wait"]["default"], "10s");
    assert_eq!(properties["body"]["default"], "1MiB");
    assert_eq!(properties["inner"]["default"], json!([]));
    assert_eq!(properties["inner"]["items"]["$ref"], "#/$defs/Limit");
    assert!(properties.get("r#type").is_none() && properties.get("at").is_none());
    assert_eq!(limit["required"], json!(["key", "type"]));
    assert_eq!(
        limit["allOf"],
        json!([{ "anyOf": [{ "required": ["max_requests"] }, { "required": ["maxRequests"] }] }])
    );
    assert_eq!(schema["$defs"]["Per"]["enum"], json!(["second", "minute", "min"]));
    assert_eq!(schema["$defs"]["Secret"]["anyOf"][0]["maxProperties"], 1);
}

#[test]
fn types_of_the_same_name_do_not_share_a_definition() {
    let schema = document_schema::<Document>("Test", "https://example.com/test.json");
    assert_eq!(schema["$defs"]["Document"]["properties"]["other"]["$ref"], "#/$defs/Limit2");
    assert_eq!(schema["$defs"]["Limit2"]["required"], json!(["number"]));
}
