//! Reading configuration documents: YAML to typed values, with every fault reported at once, each with its line and what
//! to do about it; and a JSON Schema made from the same declarations.
//!
//! Decides whether a document can be read, never whether it makes sense: that is for whoever declares its types. Nothing
//! here runs anything. A document with an error is refused as a whole.
//!
//! | Module       | What is decided there                                                             |
//! |--------------|-----------------------------------------------------------------------------------|
//! | [`source`]   | byte offsets, lines and columns                                                   |
//! | [`yaml`]     | which YAML is accepted, and the limits                                            |
//! | [`files`]    | how several files become one document                                             |
//! | [`variables`] | how `${NAME}` in a value becomes what the environment says                       |
//! | [`node`]     | the tree, and what an unquoted scalar means                                       |
//! | [`decode`]   | how a node becomes a value: numbers, text, durations, secrets, lists, mappings    |
//! | [`object!`], [`keyword!`] | a struct or a set of words, its decoding and its schema, declared once |
//! | [`diagnostic`] | what a fault carries                                                            |
//! | [`suggest`]  | "did you mean"                                                                    |
//! | [`render`]   | faults as text and JSON, without secrets and control characters                   |
//! | [`schema`]   | JSON Schema                                                                       |
//!
//! ```
//! use portcullis_config::{Context, Renderer, Source, Style, from_yaml, object};
//!
//! object! {
//!     /// How many requests a client may make.
//!     pub struct Limit {
//!         /// The most requests in one minute.
//!         pub max_requests: std::num::NonZeroU32,
//!     }
//! }
//!
//! let source = Source::new("gateway.yaml", "max_request: 5\n");
//! let mut cx = Context::for_file(".");
//! assert!(from_yaml::<Limit>(&source, &mut cx).is_none());
//! let text = Renderer::new(&cx.diagnostics, Some(&source), Style::Plain).text();
//! assert!(text.contains("gateway.yaml:1:1") && text.contains("did you mean `max_requests`?"));
//! ```

pub mod decode;
pub mod diagnostic;
pub mod files;
pub mod node;
pub mod reading;
pub mod render;
pub mod schema;
pub mod source;
pub mod suggest;
pub mod variables;
pub mod yaml;

pub use decode::{
    ByteSize, Context, Decode, DecodeFields, Fields, Key, Keyword, OneOrMany, Origin, Secret, Spanned,
    from_json, from_yaml,
};
pub use diagnostic::{Diagnostic, Diagnostics, Related, Severity};
pub use node::{Entry, Node, Value};
pub use render::{Renderer, Style};
pub use schema::{Definitions, ObjectSchema, document_schema};
pub use source::{Position, Source, Span};

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod private {
    pub use serde_json::Value as Json;

    pub use crate::decode::private::*;
}
