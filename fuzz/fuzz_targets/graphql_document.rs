//! Any text is a GraphQL document or none: nothing panics, within the bounds that were asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_checks::inspect::graphql::{document, measure, schema};

fuzz_target!(|text: &str| {
    if let Ok((read, left)) = document::read(text, 2000, &()) {
        assert!(left <= 2000);
        if let Ok(measured) = measure::measure(&read) {
            assert!(!measured.operations.is_empty());
        }
    }
    let _schema = schema::Schema::read(text);
});
