//! Whether a client is told where its request is wrong.

use crate::build::Build;
use crate::section::{Part, Section};
use portcullis_config::{Context, Decode, Definitions, Node, Span};
use portcullis_core::ErrorDetail;

/// `true` or `false`.
#[derive(Clone, Copy, Debug)]
pub struct StrictErrorsConfig(bool);

impl Decode for StrictErrorsConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        bool::decode(node, cx).map(StrictErrorsConfig)
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        bool::schema(definitions)
    }
}

impl Section for StrictErrorsConfig {
    const ABOUT: &'static str = "Whether answers with 400, 415 or 422 tell the client what is wrong: JSON Pointers with fixed texts, in the member `errors`. If false, the client gets the status and the request id only. Default: true.";
    const CHECKS: &'static [&'static str] = &[];

    fn compile(&self, _: Span, _: &mut Build, _: &mut Context) -> Option<Part> {
        Some(Part::new().error_detail(if self.0 { ErrorDetail::Pointers } else { ErrorDetail::Nothing }))
    }
}
