//! From a node to a typed value.
//!
//! Decides what every type that can stand in a document must offer: reading itself, and saying as JSON Schema what it
//! accepts. The types of the document are elsewhere. Decoding never stops at the first fault: whoever has several parts
//! decodes all of them before it gives up.

mod bytesize;
mod collections;
mod context;
mod duration;
mod fields;
mod keyword;
mod object;
mod path;
mod primitives;
mod secret;
mod wrappers;

pub use bytesize::ByteSize;
pub use collections::OneOrMany;
pub use context::{Context, Origin};
pub use fields::{Fields, Key};
pub use keyword::Keyword;
pub use object::DecodeFields;
pub use secret::{Secret, judge_permissions, refuse_writable};
pub use wrappers::Spanned;

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod private {
    pub use super::keyword::{decode_keyword, keyword_schema};
    pub use super::object::{FieldDeclaration, description, written_object};
}

use crate::node::Node;
use crate::schema::Definitions;
use crate::source::Source;

/// A type that can stand in a configuration document.
pub trait Decode: Sized {
    /// Whether the written form is a secret, or a plain list of them: then a value of the wrong kind is not shown either.
    const SECRET: bool = false;

    /// Reads the value. `None` means that at least one error was pushed.
    fn decode(node: &Node, cx: &mut Context) -> Option<Self>;

    /// The JSON Schema (2020-12) of what [`Decode::decode`] accepts.
    fn schema(definitions: &mut Definitions) -> serde_json::Value;

    /// The value of a key that is not given; `None` makes the key required.
    fn when_absent() -> Option<Self> {
        None
    }

    /// How a document says this value, for defaults in schemas. `None` for secrets and for what is better left out.
    fn written(&self) -> Option<serde_json::Value> {
        None
    }
}

/// Reads a document from YAML. `None` means that it must not be used, and that `cx.diagnostics` says why.
// SECURITY: an error anywhere refuses the document, even one (such as a duplicate key) that left a readable tree. Guarded
// by tests::a_document_with_any_error_is_refused.
pub fn from_yaml<T: Decode>(source: &Source, cx: &mut Context) -> Option<T> {
    let node = crate::yaml::parse(source, &mut cx.diagnostics)?;
    from_node(&node, cx)
}

/// Reads a document that was made in code. `None` means that it must not be used, and that `cx.diagnostics` says why.
pub fn from_json<T: Decode>(json: serde_json::Value, cx: &mut Context) -> Option<T> {
    from_node(&Node::from_json(json), cx)
}

fn from_node<T: Decode>(node: &Node, cx: &mut Context) -> Option<T> {
    let value = T::decode(node, cx);
    if value.is_none() && !cx.diagnostics.has_errors() {
        // A decoder that broke its promise must not look like a document without faults.
        cx.error("config.unreadable", node.span, "this value could not be read");
    }
    value.filter(|_| !cx.diagnostics.has_errors())
}

#[cfg(test)]
mod tests;
