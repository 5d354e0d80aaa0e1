//! How large a request may be before anything else is decided, and how much of it may be kept.

use portcullis_config::{ByteSize, Context, Spanned, object};
use portcullis_core::{HeadPolicy, HeldMemory};
use std::num::NonZeroU32;

/// The most that can be asked for: beyond it, a request's head would cost more than it can be worth.
const MOST_TARGET: ByteSize = ByteSize::kib(60);
const MOST_FIELDS: u32 = 1000;
const MOST_HEAD: ByteSize = ByteSize::kib(1024);

object! {
    /// How large a request's head may be, and how much of bodies may be kept in memory. How large a body may be is said
    /// under `security`, for each route if need be.
    pub struct LimitsConfig {
        /// The longest request target, which is the path and the query together; a longer one is refused with 414. At most
        /// 60KiB. Default: 8KiB.
        pub max_target_size: Option<Spanned<ByteSize>>,
        /// The most header fields; more are refused with 431. At most 1000. Default: 100.
        pub max_headers: Option<Spanned<NonZeroU32>>,
        /// The largest header field, name and value together; a larger one is refused with 431. Default: 8KiB.
        pub max_header_size: Option<Spanned<ByteSize>>,
        /// The largest sum of all header fields; a larger one is refused with 431. At most 1MiB. Default: 32KiB.
        pub max_headers_size: Option<Spanned<ByteSize>>,
        /// The most bytes of bodies, and of what is needed to judge them, that each worker keeps in memory at once. When it
        /// is short, bodies that make no progress are refused first. One client address holds at most as much as is still
        /// free, except with a single body. A request that finds no room is refused with 503. Default: 64MiB.
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
                cx.error("config.limit", most.span, "more header fields than the gateway reads")
                    .help(format!("write a number up to {MOST_FIELDS}"));
                None
            }
        };
        let (max_head_bytes, max_field_bytes) = (max_head_bytes?, max_field_bytes?);
        if let Some(field) = self.max_header_size
            && max_field_bytes > max_head_bytes
        {
            cx.error(
                "config.limit",
                field.span,
                "one header field could be larger than all of them together",
            )
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
        cx.error("config.limit", said.span, format!("a {what} of nothing lets nobody through"))
            .help("write a size such as `8KiB`, or leave the key out");
        return None;
    }
    if said.value > most {
        cx.error("config.limit", said.span, format!("a larger {what} than the gateway reads"))
            .help(format!("write a size up to {}KiB", most.bytes() / 1024));
        return None;
    }
    usize::try_from(said.value.bytes()).ok()
}
