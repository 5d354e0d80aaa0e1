//! The limits of heads and bodies.

/// The limits of a head. All are counted in raw bytes, while they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The longest request target, in bytes. Default: 8 KiB.
    pub max_target_bytes: usize,
    /// The most field lines. Default: 100.
    pub max_fields: usize,
    /// The longest field line without its CRLF, in bytes; also the longest status line. Default: 8 KiB.
    pub max_field_bytes: usize,
    /// The largest head from its first byte to its empty line, in bytes. Default: 64 KiB; at most 16 MiB counts.
    pub max_head_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits {
            max_target_bytes: 8 * 1024,
            max_fields: 100,
            max_field_bytes: 8 * 1024,
            max_head_bytes: 64 * 1024,
        }
    }
}

/// What becomes of a trailer field that only a head may have (RFC 9110, section 6.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForbiddenTrailers {
    /// The message is refused.
    Refuse,
    /// The field is dropped. Every trailer field still has to be well formed.
    Drop,
}

/// The limits of a chunked body. A body's own size is for the caller to limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// The most bytes of chunk extensions after one chunk size. Default: 1 KiB.
    pub max_extension_bytes: usize,
    /// The most bytes of chunk extensions in a whole body. Default: 16 KiB.
    pub max_extensions_bytes: usize,
    /// The most trailer fields. Default: 64.
    pub max_trailers: usize,
    /// The largest trailer section, in bytes. Default: 16 KiB.
    pub max_trailer_bytes: usize,
    /// What becomes of trailer fields that only a head may have. Default: refused.
    pub forbidden_trailers: ForbiddenTrailers,
}

impl Default for BodyLimits {
    fn default() -> Self {
        BodyLimits {
            max_extension_bytes: 1024,
            max_extensions_bytes: 16 * 1024,
            max_trailers: 64,
            max_trailer_bytes: 16 * 1024,
            forbidden_trailers: ForbiddenTrailers::Refuse,
        }
    }
}
