//! Types that add something to another type: that it may be left out, or where it stands.

use std::ops::Deref;

use super::{Context, Decode};
use crate::node::{Node, Value};
use crate::schema::Definitions;
use crate::source::Span;

/// A key that may be left out. Given, it must have a value: whether nothing means the default or a mistake is not guessed.
impl<T: Decode> Decode for Option<T> {
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if matches!(node.value, Value::Null) {
            cx.error("config.null_value", node.span, "this key has no value")
                .help("remove the key or give it a value");
            return None;
        }
        T::decode(node, cx).map(Some)
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        T::schema(definitions)
    }

    fn when_absent() -> Option<Self> {
        Some(None)
    }

    fn written(&self) -> Option<serde_json::Value> {
        self.as_ref().and_then(Decode::written)
    }
}

/// A value with the place where it stands, for checks that come after decoding.
#[derive(Debug, Clone, Copy)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands; [`Span::NONE`] for a document made in code.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value that stands in no text.
    pub fn nowhere(value: T) -> Self {
        Self { value, span: Span::NONE }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Two values are equal wherever they stand.
impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Decode> Decode for Spanned<T> {
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        T::decode(node, cx).map(|value| Self { value, span: node.span })
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        T::schema(definitions)
    }

    fn when_absent() -> Option<Self> {
        T::when_absent().map(Self::nowhere)
    }

    fn written(&self) -> Option<serde_json::Value> {
        self.value.written()
    }
}

impl<T: Decode> Decode for Box<T> {
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        T::decode(node, cx).map(Self::new)
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        T::schema(definitions)
    }

    fn when_absent() -> Option<Self> {
        T::when_absent().map(Self::new)
    }

    fn written(&self) -> Option<serde_json::Value> {
        (**self).written()
    }
}
