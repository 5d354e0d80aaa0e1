//! How large a request may be before anything else is decided, and how much of it may be kept.

use portcullis_config::{ByteSize, Context, Spanned, object};
use portcullis_core::{HeadPolicy, HeldMemory};
use std::num::NonZeroU32;

/// The most that can be asked for: beyond it, a request's head would cost more than it can be worth.
const MOST_TARGET: ByteSize = ByteSize::kib(60);
const MOST_FIELDS: u32 = 1000;
const MOST_HEAD: ByteSize = ByteSize::kib(1024);

object! {
    /// Limits of request heads, and of the memory for bodies. The maximum size of a body is set under `security.body`,
    /// also per route.
    pub struct LimitsConfig {
        /// The maximum length of the request target (path and query), up to 60KiB. A longer one is rejected with 414.
        /// Default: 8KiB.
        pub max_target_size: Option<Spanned<ByteSize>>,
        /// The maximum number of headers, up to 1000. More are rejected with 431. Default: 100.
        pub max_headers: Option<Spanned<NonZeroU32>>,
        /// The maximum size of a header, name and value together. A larger one is rejected with 431. Default: 8KiB.
        pub max_header_size: Option<Spanned<ByteSize>>,
        /// The maximum size of all headers together, up to 1MiB. More is rejected with 431. Default: 32KiB.
        pub max_headers_size: Option<Spanned<ByteSize>>,
        /// The memory of each worker for bodies that are held until they are validated, including the memory to validate
        /// them. One client address gets at most as much as is still free, except for a single body. When memory runs
        /// short, bodies that make no progress are rejected first. A request that finds no memory is rejected with 503.
        /// Default: 64MiB.
        pub max_held_size: Option<Spanned<ByteSize>>,
    }
}

/// What runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_target_bytes: usize,
    pub(crate) max_fields: usize,
    pub(crate) max_field_bytes: usize,
    pub(crate) max_head_bytes: usize,
    pub(crate) max_held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let HeadPolicy { max_target_bytes, max_fields, max_field_bytes, max_head_bytes, .. } =
            HeadPolicy::default();
        let max_held_bytes = HeldMemory::DEFAULT_BYTES;
        Limits { max_target_bytes, max_fields, max_field_bytes, max_head_bytes, max_held_bytes }
    }
}

impl LimitsConfig {
    /// What runs. `None` means that an error was pushed.
    pub(crate) fn compile(&self, cx: &mut Context) -> Option<Limits> {
        let default = Limits::default();
        let max_target_bytes =
            bytes(self.max_target_size, default.max_target_bytes, MOST_TARGET, "request target", cx);
        let max_head_bytes =
            bytes(self.max_headers_size, default.max_head_bytes, MOST_HEAD, "request head", cx);
        let max_field_bytes =
            bytes(self.max_header_size, default.max_field_bytes, MOST_HEAD, "header field", cx);
        let max_held_bytes = bytes(
            self.max_held_size,
            default.max_held_bytes,
            ByteSize(u64::try_from(isize::MAX).unwrap_or(u64::MAX)),
            "memory for bodies",
            cx,
        );
        let max_fields = match self.max_headers {
            None => Some(default.max_fields),
            Some(most) if most.value.get() <= MOST_FIELDS => usize::try_from(most.value.get()).ok(),
            Some(most) => {
                cx.error("config.limit", most.span, "this is more headers than the gateway supports")
                    .help(format!("write a number up to {MOST_FIELDS}"));
                None
            }
        };
        let (max_head_bytes, max_field_bytes) = (max_head_bytes?, max_field_bytes?);
        if let Some(field) = self.max_header_size
            && max_field_bytes > max_head_bytes
        {
            cx.error("config.limit", field.span, "one header could be larger than all headers together")
                .help("raise `max_headers_size` as well, or lower this");
            return None;
        }
        Some(Limits {
            max_target_bytes: max_target_bytes?,
            max_fields: max_fields?,
            max_field_bytes: max_field_bytes.min(max_head_bytes),
            max_head_bytes,
            max_held_bytes: max_held_bytes?,
        })
    }
}

fn bytes(
    said: Option<Spanned<ByteSize>>,
    default: usize,
    most: ByteSize,
    what: &str,
    cx: &mut Context,
) -> Option<usize> {
    let Some(said) = said else { return Some(default) };
    if said.value.bytes() == 0 {
        cx.error(
            "config.limit",
            said.span,
            format!("the maximum size of a {what} must be greater than zero"),
        )
        .help("write a size such as `8KiB`, or leave the key out");
        return None;
    }
    if said.value > most {
        cx.error("config.limit", said.span, format!("this {what} is larger than the gateway supports"))
            .help(format!("write a size up to {}KiB", most.bytes() / 1024));
        return None;
    }
    usize::try_from(said.value.bytes()).ok()
}
