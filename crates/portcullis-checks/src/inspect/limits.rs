//! How much of anything a body may hold before it is refused: the bounds of `openapi` and of `validation`, each a key.
//!
//! A refusal names the bound that was met, in the record and in the answer.

use portcullis_config::{ByteSize, object};
use portcullis_openapi::Limits;
use std::num::NonZeroU32;

object! {
    /// Bounds on what one body may hold. A body beyond one of them is rejected, and the refusal names the bound.
    pub struct ContentLimitsConfig {
        /// How deep lists and objects may be nested, and elements in XML. Default: 64.
        pub depth: Option<NonZeroU32>,
        /// The most members of one object, the most attributes of one XML element, and the most query parameters. Default: 1000.
        pub members: Option<NonZeroU32>,
        /// The most items of one list, and the most lines of a body of JSON lines. Default: 10000.
        pub items: Option<NonZeroU32>,
        /// The most values in one body, and the most elements in XML. Default: 100000.
        pub values: Option<NonZeroU32>,
        /// The longest text value. Default: 1MiB.
        pub string_length: Option<ByteSize>,
        /// The longest member name. Default: 1KiB.
        pub name_length: Option<ByteSize>,
        /// The longest number, in characters. Default: 64.
        pub number_length: Option<NonZeroU32>,
        /// The most fields of a form (`application/x-www-form-urlencoded`). Default: 100.
        pub form_fields: Option<NonZeroU32>,
        /// The most parts of a multipart body. Default: 100.
        pub parts: Option<NonZeroU32>,
        /// The most bytes of headers of one part of a multipart body. Default: 4KiB.
        pub part_headers: Option<ByteSize>,
        /// The most bytes that a compressed body may become. Default: 1MiB.
        pub decoded_size: Option<ByteSize>,
        /// How many bytes may come out of one compressed byte. Default: 100.
        pub decoded_ratio: Option<NonZeroU32>,
    }
}

object! {
    /// Bounds on what one JSON body may hold. A body beyond one of them is rejected, and the refusal names the bound.
    pub struct JsonLimitsConfig {
        /// How deep lists and objects may be nested. Default: 64.
        pub depth: Option<NonZeroU32>,
        /// The most members of one object. Default: 1000.
        pub members: Option<NonZeroU32>,
        /// The most items of one list. Default: 10000.
        pub items: Option<NonZeroU32>,
        /// The most values in one body. Default: 100000.
        pub values: Option<NonZeroU32>,
        /// The longest text value. Default: 1MiB.
        pub string_length: Option<ByteSize>,
        /// The longest member name. Default: 1KiB.
        pub name_length: Option<ByteSize>,
        /// The longest number, in characters. Default: 64.
        pub number_length: Option<NonZeroU32>,
        /// The most bytes that a compressed body may become. Default: 1MiB.
        pub decoded_size: Option<ByteSize>,
        /// How many bytes may come out of one compressed byte. Default: 100.
        pub decoded_ratio: Option<NonZeroU32>,
    }
}

fn count(bound: &mut usize, written: Option<NonZeroU32>) {
    if let Some(written) = written.and_then(|written| usize::try_from(written.get()).ok()) {
        *bound = written;
    }
}

fn size(bound: &mut usize, written: Option<&ByteSize>) {
    if let Some(written) = written.and_then(|written| usize::try_from(written.0).ok()) {
        *bound = written;
    }
}

impl ContentLimitsConfig {
    /// The bounds, with those that are not written at their defaults.
    pub fn limits(config: Option<&Self>, strict_numbers: bool) -> Limits {
        let mut limits = Limits { strict_numbers, ..Limits::default() };
        let Some(config) = config else { return limits };
        count(&mut limits.depth, config.depth);
        count(&mut limits.members, config.members);
        count(&mut limits.items, config.items);
        count(&mut limits.nodes, config.values);
        count(&mut limits.number_bytes, config.number_length);
        count(&mut limits.fields, config.form_fields);
        count(&mut limits.parts, config.parts);
        count(&mut limits.ratio, config.decoded_ratio);
        size(&mut limits.string_bytes, config.string_length.as_ref());
        size(&mut limits.name_bytes, config.name_length.as_ref());
        size(&mut limits.part_header_bytes, config.part_headers.as_ref());
        size(&mut limits.decoded_bytes, config.decoded_size.as_ref());
        limits
    }
}

impl JsonLimitsConfig {
    /// The same.
    pub fn limits(config: Option<&Self>, strict_numbers: bool) -> Limits {
        let mut limits = Limits { strict_numbers, ..Limits::default() };
        let Some(config) = config else { return limits };
        count(&mut limits.depth, config.depth);
        count(&mut limits.members, config.members);
        count(&mut limits.items, config.items);
        count(&mut limits.nodes, config.values);
        count(&mut limits.number_bytes, config.number_length);
        count(&mut limits.ratio, config.decoded_ratio);
        size(&mut limits.string_bytes, config.string_length.as_ref());
        size(&mut limits.name_bytes, config.name_length.as_ref());
        size(&mut limits.decoded_bytes, config.decoded_size.as_ref());
        limits
    }
}
