//! OpenAPI documents and schemas, said in types.
//!
//! Paths of files are relative to the working directory of the program.

use crate::builder::{Builder, RouteOptions};
use crate::security::Security;
use serde_json::{Map, Value, json};

/// An OpenAPI document by which requests are judged, and answers where it is asked for.
#[derive(Clone, Debug)]
pub struct Openapi(Map<String, Value>);

impl Openapi {
    /// The document in this file: OpenAPI 3.0 or 3.1, JSON or YAML.
    pub fn file(path: impl Into<String>) -> Openapi {
        Openapi(Map::from_iter([("file".to_owned(), json!(path.into()))]))
    }

    /// The API is served under this path, such as `/v1`, in place of what the document's `servers` say.
    #[must_use]
    pub fn base_path(self, path: impl Into<String>) -> Openapi {
        self.with("base_path", json!(path.into()))
    }

    /// Lets query parameters through that are not declared.
    #[must_use]
    pub fn allow_unknown_parameters(self) -> Openapi {
        self.with("unknown_parameters", json!("allow"))
    }

    /// Writes into the record which answers are not as declared.
    #[must_use]
    pub fn observe_responses(self) -> Openapi {
        self.with("responses", json!("observe"))
    }

    /// Refuses answers that are not as declared; the client gets 502 and none of it.
    #[must_use]
    pub fn enforce_responses(self) -> Openapi {
        self.with("responses", json!("enforce"))
    }

    /// Refuses answers that are not as declared, and takes the members away that no schema names.
    #[must_use]
    pub fn remove_undeclared(self) -> Openapi {
        self.enforce_responses().with("remove_undeclared", json!(true))
    }

    /// The document has at most so many files. One with more does not load. Default: 20,000.
    #[must_use]
    pub fn max_files(self, most: u32) -> Openapi {
        self.with("max_files", json!(most))
    }

    /// The largest answer that is judged, in bytes.
    #[must_use]
    pub fn max_response_size(self, bytes: u64) -> Openapi {
        self.with("max_response_size", json!(bytes))
    }

    fn with(mut self, key: &str, value: Value) -> Openapi {
        self.0.insert(key.to_owned(), value);
        self
    }
}

impl RouteOptions {
    /// Judges its requests by this OpenAPI document, in place of the gateway's.
    #[must_use]
    pub fn openapi(mut self, openapi: Openapi) -> RouteOptions {
        self.0.insert("openapi".into(), Value::Object(openapi.0));
        self
    }
}

impl Builder {
    /// Judges the requests of every route by this OpenAPI document, unless the route has one of its own.
    #[must_use]
    pub fn openapi(mut self, openapi: Openapi) -> Builder {
        self.document.insert("openapi".into(), Value::Object(openapi.0));
        self
    }
}

impl Security {
    /// What a JSON body must be, by a JSON Schema. Bodies of other media types are refused.
    #[must_use]
    pub fn body_schema(mut self, schema: Value) -> Security {
        self.0.insert("validation".into(), Value::Object(Map::from_iter([("schema".to_owned(), schema)])));
        self
    }
}
