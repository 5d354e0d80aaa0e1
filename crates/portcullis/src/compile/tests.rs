//! What a document cannot show: a system that gives no randomness.

use super::compile_with;
use crate::document::GatewayConfig;
use portcullis_checks::build::{NoRandomness, system_random};
use portcullis_config::{Context, from_json};
use portcullis_runtime::State;
use serde_json::json;
use std::cell::Cell;

thread_local! {
    /// How often the generator still works.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

fn failing(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    let left = LEFT.get().checked_sub(1).ok_or(NoRandomness)?;
    LEFT.set(left);
    system_random(bytes)
}

#[test]
fn a_generator_that_fails_refuses_the_configuration() {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": { "authentication": { "any": [
            { "type": "basic" },
            {
                "type": "jwt", "issuer": "https://auth.example.com", "audience": "orders",
                "dpop": { "nonce": true },
            },
        ] } },
        "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
    });
    let compiled = |works: usize| {
        LEFT.set(works);
        let mut cx = Context::for_code();
        let config = from_json::<GatewayConfig>(document.clone(), &mut cx).unwrap();
        let compiled = compile_with(&config, Vec::new(), failing, None, &State::new(), &mut cx).is_some();
        assert_eq!(compiled, !cx.diagnostics.has_errors());
        compiled
    };
    let needed = (0..20).find(|works| compiled(*works)).unwrap();
    // The keys' secret and the nonces' are drawn once for the process, with its state.
    assert_eq!(needed, 2, "a stand-in's salt and hash");
}
