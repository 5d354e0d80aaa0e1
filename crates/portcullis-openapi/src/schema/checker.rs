//! A schema that is ready to judge: the one place where a value meets the schema library, and where both judging and
//! telling what is wrong are bounded.
//!
//! Judging asks only whether a value is valid, within a budget of looks at values (see `json::budget`). Telling comes
//! after, gets as many looks as judging took, and ends with the tenth error. No error holds a part of the value, and none
//! holds other errors (see [`alternatives`](super::alternatives)).

use std::sync::Arc;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;

use super::keywords;
use crate::document::escape;
use crate::json::{Document, FOUND, Fault, Flat};
use crate::memory::Memory;
use crate::violation::{Class, MOST_VIOLATIONS, Place, Report};

/// How many times as many looks as judging a value it may take to say which parts of a schema judge it.
const MORE_LOOKS: usize = 16;

/// Bytes that saying so takes for each look of judging.
const BYTES_OF_A_LOOK: usize = 200;

/// The most objects of an answer from which members are removed in one round.
const MOST_UNEXPECTED: usize = 10_000;

/// A compiled schema.
#[derive(Clone, Debug)]
pub(crate) struct Checker(Arc<Validator<Flat>>);

impl Checker {
    pub(super) fn new(validator: Validator<Flat>) -> Self {
        Checker(Arc::new(validator))
    }

    pub(crate) fn is_valid(&self, document: &Document<'_>) -> bool {
        document.budget().judge(document.size());
        self.0.is_valid(document.root()) && !document.budget().is_spent()
    }

    /// Reports what is wrong with a value; answers whether nothing is.
    pub(crate) fn check(
        &self,
        document: &Document<'_>,
        place: Place,
        name: &str,
        report: &mut Report<'_>,
    ) -> bool {
        // Nearly every message is valid, and saying only whether it is costs less.
        let valid = self.is_valid(document);
        // SECURITY: once the budget is spent, what was said is void, since a `not` turns refusing into letting through
        // (more looks at values than a value of its size deserves, in hostile.rs).
        if document.budget().is_spent() {
            report.add(Class::TooLarge, place, name, "too_complex");
            return false;
        }
        if valid {
            return true;
        }
        // SECURITY: the second pass is bounded as the first one is (hostile_bodies_stay_within_their_memory).
        document.budget().tell(document.size(), MOST_VIOLATIONS);
        let mut told = false;
        for error in self.0.iter_errors(document.root()) {
            // What was found when the budget was spent is not true of the value.
            if *error.instance().as_ref() != FOUND {
                continue;
            }
            let mut pointer = error.instance_path().to_string();
            told = true;
            // Each member that may not be there, by its name and never with its value.
            if let ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } = error.kind()
            {
                for member in unexpected.iter().take(MOST_VIOLATIONS) {
                    let pointer = format!("{pointer}/{}", escape(member));
                    report.add_at(Class::Invalid, place, name, pointer, keywords::fixed(error.kind()));
                }
                continue;
            }
            if let Some(member) = keywords::member(error.kind()) {
                pointer.push('/');
                pointer.push_str(&escape(member));
            }
            report.add_at(Class::Invalid, place, name, pointer, keywords::fixed(error.kind()));
        }
        if !told {
            // The two ways of asking disagree, or telling why takes too long: it stays refused.
            report.add(Class::Invalid, place, name, "schema");
        }
        false
    }

    /// Which parts of the schema have judged which parts of a value. `None` where telling takes too long.
    ///
    /// What it says grows with the looks that judging the value takes: the memory for it is taken from `memory` before, and
    /// it may take no more looks than a small multiple of them.
    ///
    /// # Errors
    /// No memory is left for it, or it takes more looks.
    pub(crate) fn evaluate(
        &self,
        document: &Document<'_>,
        memory: &dyn Memory,
    ) -> Result<jsonschema::Evaluation, Fault> {
        self.is_valid(document);
        let looks = document.budget().spent();
        if !memory.take(looks.saturating_mul(BYTES_OF_A_LOOK)) {
            return Err(Fault::Memory);
        }
        let looks = looks.saturating_mul(MORE_LOOKS).saturating_add(1000);
        document.budget().evaluate(document.size(), looks);
        let evaluation = self.0.evaluate(document.root());
        // SECURITY: what is not said of a value would be taken for undeclared, or would stay where it must go
        // (hostile_bodies_stay_within_their_memory).
        if document.budget().is_spent() { Err(Fault::Nodes) } else { Ok(evaluation) }
    }

    /// Pointers to the members that only the server may set.
    pub(crate) fn hidden(&self, document: &Document<'_>) -> Vec<String> {
        if self.is_valid(document) {
            return Vec::new();
        }
        document.budget().tell(document.size(), MOST_UNEXPECTED);
        let errors = self.0.iter_errors(document.root()).filter(|error| *error.instance().as_ref() == FOUND);
        let hidden = errors.filter(|error| keywords::fixed(error.kind()) == keywords::READ_ONLY);
        hidden.map(|error| error.instance_path().to_string()).collect()
    }

    /// The members that a closed schema refuses: pointers to objects, and the names in each.
    pub(crate) fn unexpected(&self, document: &Document<'_>) -> Vec<(String, Vec<String>)> {
        if self.is_valid(document) {
            return Vec::new();
        }
        document.budget().tell(document.size(), MOST_UNEXPECTED);
        let errors = self.0.iter_errors(document.root()).filter(|error| *error.instance().as_ref() == FOUND);
        let named = errors.filter_map(|error| {
            let (ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected }) = error.kind()
            else {
                return None;
            };
            Some((error.instance_path().to_string(), unexpected.clone()))
        });
        named.collect()
    }
}
