//! How much of anything is read before it is refused.

/// Bounds on what one message may hold. Each is enforced while reading, before the value exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep arrays and objects (in XML: elements) may be nested.
    pub depth: usize,
    /// The most members of one object (in XML: attributes of one element).
    pub members: usize,
    /// The most items of one array.
    pub items: usize,
    /// The longest text value in bytes.
    pub string_bytes: usize,
    /// The longest member name in bytes.
    pub name_bytes: usize,
    /// The longest number in bytes.
    pub number_bytes: usize,
    /// The most values, member names apart, in one document (in XML: elements).
    pub nodes: usize,
    /// The most fields of a form.
    pub fields: usize,
    /// The most parts of a multipart body.
    pub parts: usize,
    /// The most bytes in the header fields of one part.
    pub part_header_bytes: usize,
    /// The most bytes that a compressed body may become.
    pub decoded_bytes: usize,
    /// How many bytes may come out of one compressed byte.
    pub ratio: usize,
    /// Whether a JSON number that a double cannot hold exactly is refused rather than rounded.
    pub strict_numbers: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth: 64,
            members: 1000,
            items: 10_000,
            string_bytes: 1024 * 1024,
            name_bytes: 1024,
            number_bytes: 64,
            nodes: 100_000,
            fields: 100,
            parts: 100,
            part_header_bytes: 4096,
            decoded_bytes: 1024 * 1024,
            ratio: 100,
            strict_numbers: false,
        }
    }
}

impl Limits {
    /// What a description may hold: more than a request, since its author is trusted with more, but not everything.
    #[must_use]
    pub fn document() -> Self {
        Limits {
            depth: 128,
            members: 100_000,
            items: 1_000_000,
            string_bytes: 16 * 1024 * 1024,
            name_bytes: 64 * 1024,
            nodes: 3_000_000,
            ..Limits::default()
        }
    }
}
