//! A message of a WebSocket asks a GraphQL server for one thing, or for nothing: each line is a message. What is taken for a
//! request is the same request to another reader, and nothing is asked before `connection_init`.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portcullis_checks::inspect::graphql::socket;
use portcullis_core::conversation::Heard;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let mut conversation = socket::open();
    let mut begun = false;
    for message in input.split(|byte| *byte == b'\n') {
        let message = Bytes::copy_from_slice(message);
        match conversation.hear(&message) {
            Heard::Note => {
                // A number that is too large or half a surrogate pair is nothing to the other reader.
                let Ok(whole) = serde_json::from_slice::<Value>(&message) else {
                    begun = true;
                    continue;
                };
                begun |= whole["type"] == "connection_init";
                assert_ne!(whole["type"], "subscribe");
            }
            Heard::Request { name, body } => {
                assert!(begun, "nothing is asked before the beginning");
                let whole = serde_json::from_slice::<Value>(&message);
                match (whole, serde_json::from_slice::<Value>(&body)) {
                    (Ok(whole), Ok(payload)) => {
                        assert_eq!(whole, json!({ "type": "subscribe", "id": name, "payload": payload }));
                    }
                    // The check that judges the payload refuses what this reader cannot read.
                    (Err(_), Err(_)) => {}
                    (Err(error), Ok(_)) => assert!(error.to_string().contains("recursion limit"), "{error}"),
                    (Ok(_), Err(error)) => panic!("the payload alone is {error}"),
                }
            }
            Heard::Breach(breach) => {
                assert!((4400..4500).contains(&breach.status));
                return;
            }
        }
    }
});
