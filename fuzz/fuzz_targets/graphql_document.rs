//! Any text is a GraphQL document or none: nothing panics, and what is taken is a document to another parser as well.

#![no_main]

use apollo_parser::Parser;
use libfuzzer_sys::fuzz_target;
use portcullis_checks::inspect::graphql::{document, measure, schema};

fuzz_target!(|text: &str| {
    if let Ok((read, left)) = document::read(text, 2000) {
        assert!(left <= 2000);
        let tree = Parser::new(text).recursion_limit(4096).parse();
        let errors: Vec<_> = tree.errors().collect();
        assert!(errors.is_empty(), "{text:?}: {errors:?}");
        if let Ok(measured) = measure::measure(&read) {
            assert!(!measured.operations.is_empty());
        }
    }
    let _schema = schema::Schema::read(text);
});
