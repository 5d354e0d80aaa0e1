//! `object!`: a struct, how it is read and its JSON Schema, from one declaration.
//!
//! Decides nothing by itself; it expands to [`Fields`](super::Fields) and [`ObjectSchema`].

use super::{Context, Decode, Fields, Key};
use crate::schema::{Definitions, ObjectSchema};

/// A type that is read from some of a mapping's keys, so that several can share one mapping: the struct that `type: ...`
/// chose reads what remains after `type` was taken.
pub trait DecodeFields: Sized {
    /// Takes this type's keys. Does not call [`Fields::finish`]. `None` means that at least one error was pushed.
    fn decode_fields(fields: &mut Fields<'_>, cx: &mut Context) -> Option<Self>;

    /// Adds this type's keys to the schema of the mapping.
    fn describe(schema: &mut ObjectSchema, definitions: &mut Definitions);
}

/// What `object!` knows about a field; used by the macro only.
#[doc(hidden)]
#[derive(Debug)]
pub struct FieldDeclaration {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub doc: &'static [&'static str],
}

impl FieldDeclaration {
    /// The key in a document.
    pub fn key(&self) -> Key<'static> {
        Key::new(self.name).aliases(self.aliases)
    }

    /// Adds a field without default to a schema.
    pub fn describe<T: Decode>(&self, schema: &mut ObjectSchema, definitions: &mut Definitions) {
        let value = T::schema(definitions);
        let required = T::when_absent().is_none();
        schema.property(self.key(), &description(self.doc), value, None, required);
    }

    /// Adds a field with a default to a schema.
    pub fn describe_default<T: Decode>(
        &self,
        default: &T,
        schema: &mut ObjectSchema,
        definitions: &mut Definitions,
    ) {
        let value = T::schema(definitions);
        schema.property(self.key(), &description(self.doc), value, default.written(), false);
    }
}

/// A doc comment's lines as one text: lines of a paragraph are joined, empty lines part paragraphs.
#[doc(hidden)]
pub fn description(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines.iter().map(|line| line.trim()) {
        if line.is_empty() {
            text.push_str(if text.is_empty() { "" } else { "\n\n" });
            continue;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push(' ');
        }
        text.push_str(line);
    }
    text.trim_end().to_owned()
}

/// Declares a struct that is a mapping in a document, and makes its [`Decode`], [`DecodeFields`] and JSON Schema.
///
/// A field is required unless it has a default (`= expression`) or is an `Option`. Its doc comment is the user's
/// reference. Each key is accepted in snake_case and camelCase; `#[alias("name", ...)]` after the doc comment accepts more
/// spellings. The struct derives `Debug` and `Clone`; one `#[derive(...)]` after its doc comment adds to that. It gets a
/// further field `at: Span`, the place of the mapping ([`Span::NONE`](crate::Span::NONE) when made in code).
///
/// ```
/// # use std::num::NonZeroU32;
/// portcullis_config::object! {
///     /// How many requests a client may make.
///     pub struct RateLimitConfig {
///         /// The most requests in one period.
///         pub max_requests: NonZeroU32,
///         /// Whether to count only. Default: false.
///         pub observe: bool = false,
///         /// How many requests may come at once.
///         #[alias("burst_size")]
///         pub burst: Option<NonZeroU32>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! object {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:path),+ $(,)?)])?
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $(#[alias($($alias:literal),+ $(,)?)])?
                $field_vis:vis $field:ident : $type:ty $(= $default:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone $(, $($derive),+)?)]
        $vis struct $name {
            $( $(#[doc = $field_doc])* $field_vis $field: $type, )*
            /// Where the mapping stands in the document.
            #[allow(dead_code, reason = "not every mapping is spoken of after it was read")]
            pub at: $crate::Span,
        }

        impl $crate::DecodeFields for $name {
            fn decode_fields(
                fields: &mut $crate::Fields<'_>,
                cx: &mut $crate::Context,
            ) -> ::core::option::Option<Self> {
                // Every field is read before the first failure counts, so that all are reported.
                $(
                    let $field = $crate::object!(@read fields, cx,
                        $crate::Key::new(::core::stringify!($field)).aliases(&[$($($alias),+)?]), $type $(, $default)?);
                )*
                ::core::option::Option::Some(Self { $( $field: $field?, )* at: fields.span() })
            }

            fn describe(schema: &mut $crate::ObjectSchema, definitions: &mut $crate::Definitions) {
                $(
                    let declaration = $crate::private::FieldDeclaration {
                        name: ::core::stringify!($field),
                        aliases: &[$($($alias),+)?],
                        doc: &[$($field_doc),*],
                    };
                    $crate::object!(@describe declaration, schema, definitions, $type $(, $default)?);
                )*
            }
        }

        impl $crate::Decode for $name {
            fn decode(node: &$crate::Node, cx: &mut $crate::Context) -> ::core::option::Option<Self> {
                let mut fields = cx.fields(node)?;
                let value = <Self as $crate::DecodeFields>::decode_fields(&mut fields, cx);
                fields.finish(cx)?;
                value
            }

            fn schema(definitions: &mut $crate::Definitions) -> $crate::private::Json {
                definitions.define::<Self>(::core::stringify!($name), |definitions| {
                    let mut schema = $crate::ObjectSchema::new(&$crate::private::description(&[$($doc),*]));
                    <Self as $crate::DecodeFields>::describe(&mut schema, definitions);
                    schema.into_json()
                })
            }

            fn written(&self) -> ::core::option::Option<$crate::private::Json> {
                ::core::option::Option::Some($crate::private::written_object([
                    $( (::core::stringify!($field), <$type as $crate::Decode>::written(&self.$field)), )*
                ]))
            }
        }
    };
    (@read $fields:ident, $cx:ident, $key:expr, $type:ty) => {
        $fields.required::<$type>($key, $cx)
    };
    (@read $fields:ident, $cx:ident, $key:expr, $type:ty, $default:expr) => {
        $fields.or_else::<$type>($key, || $default, $cx)
    };
    (@describe $declaration:ident, $schema:ident, $definitions:ident, $type:ty) => {
        $declaration.describe::<$type>($schema, $definitions)
    };
    (@describe $declaration:ident, $schema:ident, $definitions:ident, $type:ty, $default:expr) => {
        $declaration.describe_default::<$type>(&$default, $schema, $definitions)
    };
}

/// An object of the members that have a written form.
#[doc(hidden)]
pub fn written_object<const N: usize>(members: [(&str, Option<serde_json::Value>); N]) -> serde_json::Value {
    let members = members.into_iter();
    members.filter_map(|(name, value)| Some((name.trim_start_matches("r#").to_owned(), value?))).collect()
}
