//! Schemas: what a value must be.
//!
//! The judging itself is the `jsonschema` crate's. Decided here is which dialect a schema is read in, that nothing is
//! fetched, that formats are asserted, that patterns run on an engine whose time is linear in the text, and what is
//! reported: where and by which keyword, never a value.

use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Registry, ValidationError, Validator};
use serde_json::{Value, json};

use crate::document::{Files, LoadError, Target, escape};
use crate::violation::{Class, Place, Report, Violations};

mod discriminator;
mod effort;
mod format;
mod keywords;
mod read_only;
mod rewrite;
mod shape;

pub(crate) use rewrite::rewrite;
pub(crate) use shape::{Additional, Shape, Types};

/// Compiled patterns may take this many bytes each.
const PATTERN_BYTES: usize = 1024 * 1024;

/// Which version of OpenAPI a schema is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAPI 3.0: a relative of JSON Schema, draft 5.
    V30,
    /// OpenAPI 3.1: JSON Schema 2020-12.
    V31,
}

/// Who sends the value: `readOnly` members must not be in a request, `writeOnly` members not in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// A JSON Schema, compiled.
///
/// ```
/// use portcullis_openapi::{Files, Schema};
/// let schema = Schema::compile(&Files::new("order.yaml", b"{ type: object, required: [id] }")?)?;
/// assert!(schema.judge(&serde_json::json!({ "id": 1 })).is_ok());
/// let violations = schema.judge(&serde_json::json!({})).unwrap_err();
/// assert_eq!(violations.to_string(), "body /id: required");
/// # Ok::<(), portcullis_openapi::LoadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schema(Checker);

impl Schema {
    /// Compiles the schema that a file set holds. Its dialect is JSON Schema 2020-12, or what `$schema` says: draft 7, 2019-09 or
    /// 2020-12. References are resolved within the set.
    ///
    /// # Errors
    /// It is no schema, a reference leads nowhere, or a pattern cannot run in linear time.
    pub fn compile(files: &Files) -> Result<Self, LoadError> {
        let root = Target::new(files.main(), "");
        let schema = root.value(files).ok_or_else(|| root.error("there is no schema"))?;
        let draft = Draft::default().detect(schema);
        if matches!(draft, Draft::Draft4 | Draft::Draft6) {
            return Err(root.error("of JSON Schema, draft 7, 2019-09 and 2020-12 are supported"));
        }
        let mut guarded = files.clone();
        guarded.each_mut(|file| effort::guard_all(file, draft == Draft::Draft7));
        let schema = root.value(&guarded).unwrap_or(schema);
        // Only what is referred to is read, in the dialect that it says it is in.
        let options = effort::register(jsonschema::options())
            .with_retriever(InTheSet(guarded.clone()))
            .should_validate_formats(true)
            .with_format("byte", format::is_base64)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .with_base_uri(files.main());
        let validator = options.build(schema).map_err(|error| root.error(why(&error)))?;
        Ok(Schema(Checker(Arc::new(validator))))
    }

    /// Judges a value, which is the body of a message.
    ///
    /// # Errors
    /// What is wrong, with JSON Pointers.
    pub fn judge(&self, value: &Value) -> Result<(), Violations> {
        let mut report = Report::default();
        self.0.check(value, Place::Body, "", &mut report);
        report.finish()
    }
}

/// A schema that is ready to judge.
#[derive(Clone, Debug)]
pub(crate) struct Checker(Arc<Validator>);

impl Checker {
    pub(crate) fn is_valid(&self, value: &Value) -> bool {
        effort::allow(value);
        self.0.is_valid(value) && !effort::is_spent()
    }

    /// Reports what is wrong with `value`, if anything.
    pub(crate) fn check(&self, value: &Value, place: Place, name: &str, report: &mut Report) {
        // Nearly every message is valid, and saying only whether it is costs less.
        let valid = self.is_valid(value);
        // SECURITY: once the allowance is spent, what was said is void, since a `not` turns refusing into letting through
        // (more references than a value of its size deserves in hostile.rs).
        if effort::is_spent() {
            return report.add(Class::TooLarge, place, name, "too_complex");
        }
        if valid {
            return;
        }
        effort::allow(value);
        for error in self.0.iter_errors(value) {
            if report.is_full() {
                return;
            }
            if effort::is_spent() {
                break;
            }
            let mut pointer = error.instance_path().to_string();
            if let ValidationErrorKind::Required { property: Value::String(missing) } = error.kind() {
                pointer.push('/');
                pointer.push_str(&escape(missing));
            }
            let reason = keywords::fixed(error.kind());
            report.add_at(Class::Invalid, place, name, pointer, reason);
        }
        if report.is_empty() {
            // The two ways of asking disagree, or telling why takes too long: it stays refused.
            report.add(Class::Invalid, place, name, "schema");
        }
    }

    /// Which parts of the schema have judged which parts of a value. `None` where telling takes too long.
    pub(crate) fn evaluate(&self, value: &Value) -> Option<jsonschema::Evaluation> {
        effort::allow(value);
        let evaluation = self.0.evaluate(value);
        (!effort::is_spent()).then_some(evaluation)
    }

    /// The members that a closed schema refuses: pointers to objects, and the names in each.
    pub(crate) fn unexpected(&self, value: &Value) -> Vec<(String, Vec<String>)> {
        if self.is_valid(value) {
            return Vec::new();
        }
        effort::allow(value);
        let named = self.0.iter_errors(value).filter_map(|error| {
            let (ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected }) = error.kind()
            else {
                return None;
            };
            Some((error.instance_path().to_string(), unexpected.clone()))
        });
        named.take_while(|_| !effort::is_spent()).collect()
    }
}

/// Compiles schemas of one file set.
pub(crate) struct Compiler<'a> {
    files: &'a Files,
    registry: Registry<'a>,
}

impl<'a> Compiler<'a> {
    /// `files` have been rewritten.
    pub(crate) fn new(files: &'a Files) -> Result<Self, LoadError> {
        Ok(Compiler { files, registry: registry(files)? })
    }

    pub(crate) fn compile(&self, schema: &Target) -> Result<Checker, LoadError> {
        let value = schema.value(self.files).ok_or_else(|| schema.error("there is no schema here"))?;
        if let Err(error) = jsonschema::draft202012::meta::validate(value) {
            let place = Target::new(&schema.file, &format!("{}{}", schema.pointer, error.instance_path()));
            return Err(place.error(format!("this is not a schema: {}", why(&error))));
        }
        let root = json!({ "$ref": schema.uri() });
        let options = effort::register(keywords::register(jsonschema::options()))
            .offline()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_format("byte", format::is_base64)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .with_base_uri("openapi:///~schema")
            .with_registry(&self.registry);
        let validator = options.build(&root).map_err(|error| schema.error(why(&error)))?;
        Ok(Checker(Arc::new(validator)))
    }

    pub(crate) fn shape(&self, schema: &Target) -> Shape {
        Shape::of(self.files, schema)
    }
}

/// Why a schema cannot be used. The text may quote the schema, which is no secret, but not its every word.
fn why(error: &ValidationError<'_>) -> String {
    if matches!(error.kind(), ValidationErrorKind::Format { format } if format == "regex") {
        return "a pattern must run in time that is linear in the text, so it has no look-around and no back-reference".into();
    }
    error.masked().to_string()
}

/// Every file, ready to be referred to.
fn registry(files: &Files) -> Result<Registry<'_>, LoadError> {
    let fail = |error: jsonschema::ReferencingError| LoadError::new(files.main(), error.to_string());
    let mut builder = Registry::new().retriever(InTheSet(Files::none())).draft(Draft::Draft202012);
    for (address, value) in files.iter() {
        builder = builder.add(address, value).map_err(fail)?;
    }
    builder.prepare().map_err(fail)
}

/// Finds what is referred to in the file set. What is not there does not exist, since nothing is fetched.
struct InTheSet(Files);

impl jsonschema::Retrieve for InTheSet {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0
            .file(uri.as_str())
            .cloned()
            .ok_or_else(|| "it is not in the file set, and nothing is fetched".into())
    }
}
