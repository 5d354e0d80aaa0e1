//! How large a body may be.
//!
//! A body that announces more is refused before it is read; one that announces nothing is cut off where it exceeds the
//! cap, and the upstream sees that the request is incomplete. The engine holds the cap itself, so no route is without.

use crate::build::Build;
use crate::section::{Part, Section};
use portcullis_config::{ByteSize, Context, Span, object};

/// The cap of a route that says nothing: 1 MiB.
pub const DEFAULT_MAX_BYTES: u64 = 1024 * 1024;

object! {
    /// Limits of request bodies.
    pub struct BodyConfig {
        /// The maximum size of a body. A larger one is rejected with 413. Default: 1MiB.
        pub max_size: ByteSize = ByteSize(DEFAULT_MAX_BYTES),
    }
}

impl Section for BodyConfig {
    const ABOUT: &'static str = "Limits of request bodies.";
    const CHECKS: &'static [&'static str] = &["inspect.body_size"];

    fn compile(&self, _: Span, _: &mut Build, _: &mut Context) -> Option<Part> {
        Some(Part::new().max_body_bytes(self.max_size.0))
    }
}
