//! What is taken for a GraphQL document is one to another parser as well.
//!
//! The other parser has bugs of its own, so a finding is for a person to judge.

#![no_main]

use apollo_parser::Parser;
use libfuzzer_sys::fuzz_target;
use portcullis_checks::inspect::graphql::document;

fuzz_target!(|text: &str| {
    // The other parser takes no comma behind `...`, where the specification ignores it (section 2.1.5).
    let compact: String = text.split_ascii_whitespace().collect();
    if compact.contains("...,") || document::read(text, 2000, &()).is_err() {
        return;
    }
    let tree = Parser::new(text).recursion_limit(4096).parse();
    let errors: Vec<_> = tree.errors().collect();
    assert!(errors.is_empty(), "{text:?}: {errors:?}");
});
