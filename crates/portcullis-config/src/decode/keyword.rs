//! `keyword!`: a closed set of words, how it is read and its JSON Schema, from one declaration.
//!
//! Decides that a word must be spelled exactly; a word in other case or with a slip is an error that names the right one.

use serde_json::json;

use super::Context;
use crate::node::Node;
use crate::render::quoted;
use crate::suggest;

/// A closed set of words; made by [`keyword!`](crate::keyword).
pub trait Keyword: Copy + 'static {
    /// Each value with its spellings, of which the first is printed.
    const WORDS: &'static [(Self, &'static [&'static str])];

    /// The word that is printed.
    fn as_str(self) -> &'static str;
}

/// What [`Decode::decode`](super::Decode::decode) does for every keyword.
#[doc(hidden)]
pub fn decode_keyword<T: Keyword>(node: &Node, cx: &mut Context) -> Option<T> {
    let words: Vec<&str> = T::WORDS.iter().map(|(value, _)| value.as_str()).collect();
    // Quotes would not help where a word is wanted.
    if matches!(node.value, crate::node::Value::Integer(_) | crate::node::Value::Float(_)) {
        cx.wrong_type(node, "text").help(format!("the known words are `{}`", words.join("`, `")));
        return None;
    }
    let written = cx.text(node)?;
    let found = T::WORDS.iter().find(|(_, spellings)| spellings.contains(&written));
    if let Some((value, _)) = found {
        return Some(*value);
    }
    let spellings = T::WORDS.iter().flat_map(|(_, spellings)| spellings.iter().copied());
    let likely = suggest::closest(written, spellings);
    let meant =
        T::WORDS.iter().find(|(_, spellings)| likely.is_some_and(|likely| spellings.contains(&likely)));
    let problem = cx.error("config.unknown_value", node.span, format!("unknown value {}", quoted(written)));
    match meant {
        Some((value, _)) => problem.label(format!("did you mean `{}`?", value.as_str())),
        None => problem.label("not one of the known words"),
    };
    problem.help(format!("the known words are `{}`", words.join("`, `")));
    None
}

/// What [`Decode::schema`](super::Decode::schema) says for every keyword.
#[doc(hidden)]
pub fn keyword_schema<T: Keyword>(description: &str) -> serde_json::Value {
    let words: Vec<&str> = T::WORDS.iter().flat_map(|(_, spellings)| spellings.iter().copied()).collect();
    if description.is_empty() {
        json!({ "enum": words })
    } else {
        json!({ "description": description, "enum": words })
    }
}

/// Declares an enum that is one of several words in a document, and makes its [`Decode`](crate::Decode) and JSON Schema.
///
/// The first word is the one that is printed; others after `|` are accepted.
///
/// ```
/// portcullis_config::keyword! {
///     /// The period in which requests are counted.
///     pub enum Per {
///         /// One second.
///         Second = "second",
///         /// Sixty seconds.
///         Minute = "minute" | "min",
///     }
/// }
/// assert_eq!(Per::Minute.as_str(), "minute");
/// ```
#[macro_export]
macro_rules! keyword {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:path),+ $(,)?)])?
        $vis:vis enum $name:ident {
            $(
                $(#[doc = $variant_doc:literal])*
                $variant:ident = $word:literal $(| $alias:literal)*
            ),+ $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq $(, $($derive),+)?)]
        $vis enum $name {
            $( $(#[doc = $variant_doc])* $variant, )+
        }

        impl $name {
            /// The word in a document.
            $vis const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::Keyword for $name {
            const WORDS: &'static [(Self, &'static [&'static str])] =
                &[$( (Self::$variant, &[$word $(, $alias)*]), )+];

            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }
        }

        impl $crate::Decode for $name {
            fn decode(node: &$crate::Node, cx: &mut $crate::Context) -> ::core::option::Option<Self> {
                $crate::private::decode_keyword(node, cx)
            }

            fn schema(definitions: &mut $crate::Definitions) -> $crate::private::Json {
                definitions.define::<Self>(::core::stringify!($name), |_| {
                    $crate::private::keyword_schema::<Self>(&$crate::private::description(&[$($doc),*]))
                })
            }

            fn written(&self) -> ::core::option::Option<$crate::private::Json> {
                ::core::option::Option::Some($crate::private::Json::from(Self::as_str(*self)))
            }
        }
    };
}
