//! Schemas: what a value must be.
//!
//! The judging itself is the `jsonschema` crate's. Decided here is which dialect a schema is read in, that nothing is
//! fetched, that formats are asserted, on which engine a pattern runs ([`pattern`]), and what is reported: where and by which keyword, never a value. What judging and telling may cost, [`checker`] bounds.

use std::cell::RefCell;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Registry, ValidationError, ValidationOptions};
use serde_json::{Value, json};

use crate::api::Options;
use crate::document::{Files, LoadError, Target};
use crate::json::{Document, Fault, Flat};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::parameter::EncodedCommas;
use crate::spelling::OtherSpellings;
use crate::violation::{Place, Report, Violations};

mod alternatives;
mod checker;
mod discriminator;
mod format;
mod harmless;
mod keywords;
mod names;
mod pattern;
mod read_only;
mod rewrite;
mod shape;
mod vocabulary;

use alternatives::{ReferredTo, set_all_apart};
pub(crate) use checker::Checker;
use names::declare_all_names;
pub(crate) use rewrite::rewrite;
pub(crate) use shape::{Additional, Shape, Types};
use vocabulary::Vocabulary;

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
        Self::compile_with(files, OtherSpellings::Refuse)
    }

    /// The same, and says whether a member may be another spelling of one that the schema names.
    ///
    /// # Errors
    /// The same.
    pub fn compile_with(files: &Files, other_spellings: OtherSpellings) -> Result<Self, LoadError> {
        let root = Target::new(files.main(), "");
        let schema = root.value(files).ok_or_else(|| root.error("there is no schema"))?;
        let draft = Draft::default().detect(schema);
        if matches!(draft, Draft::Draft4 | Draft::Draft6) {
            return Err(root.error("of JSON Schema, draft 7, 2019-09 and 2020-12 are supported"));
        }
        let referred_to = ReferredTo::find(files);
        let mut rewritten = files.clone();
        let mut bad = None;
        rewritten.each_mut(|address, file| {
            let patterns = pattern::set_all(file, &Target::new(address, ""));
            bad = bad.take().or(patterns.err());
            if other_spellings == OtherSpellings::Refuse {
                declare_all_names(file, &Target::new(address, ""), files);
            }
            set_all_apart(file, &Target::new(address, ""), draft == Draft::Draft7, &referred_to);
        });
        if let Some(error) = bad {
            return Err(error);
        }
        let schema = root.value(&rewritten).unwrap_or(schema);
        // Only what is referred to is read, in the dialect that it says it is in.
        let options = options().with_retriever(InTheSet(rewritten.clone())).with_base_uri(files.main());
        let validator = options.build(schema).map_err(|error| root.error(why(&error)))?;
        Ok(Schema(Checker::new(validator)))
    }

    /// Judges a value, which is the body of a message.
    ///
    /// # Errors
    /// What is wrong, with JSON Pointers.
    pub fn judge(&self, value: &Value) -> Result<(), Violations> {
        self.judge_document(Document::of(value).map_err(|fault| (fault, 0)), &())
    }

    /// Judges a body that is JSON, read with one reading and within `limits`; memory is taken from `memory`.
    ///
    /// # Errors
    /// What is wrong, with JSON Pointers.
    pub fn judge_json(&self, body: &[u8], limits: &Limits, memory: &dyn Memory) -> Result<(), Violations> {
        let document = Document::read_at(body, limits, memory);
        if let (Ok(document), Some(reader)) = (&document, memory.reader()) {
            reader.json(body, document);
        }
        self.judge_document(document, memory)
    }

    fn judge_document(
        &self,
        document: Result<Document<'_>, (Fault, usize)>,
        memory: &dyn Memory,
    ) -> Result<(), Violations> {
        let mut report = Report::new(memory);
        match document {
            Err(fault) => report.fault_at(Place::Body, "", fault),
            Ok(document) => {
                self.0.check(&document, Place::Body, "", &mut report);
            }
        }
        report.finish()
    }
}

/// What is the same for all schemas.
fn options<'i>() -> ValidationOptions<'i, std::sync::Arc<dyn jsonschema::Retrieve>, Flat> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES);
    keywords::register(jsonschema::options_for::<Flat>())
        .should_validate_formats(true)
        .with_format("byte", format::is_base64)
        .with_pattern_options(patterns)
}

/// Compiles schemas of one file set.
pub(crate) struct Compiler<'a> {
    files: &'a Files,
    registry: Registry<'a>,
    /// How the parameters that the schemas are for are read.
    pub(crate) encoded_commas: EncodedCommas,
    pub(crate) other_spellings: OtherSpellings,
    dialect: Dialect,
    vocabulary: RefCell<Vocabulary>,
    warnings: RefCell<Vec<LoadError>>,
    /// What else was wrong where the first error was told.
    more: RefCell<Vec<LoadError>>,
}

impl<'a> Compiler<'a> {
    /// `files` have been rewritten.
    pub(crate) fn new(files: &'a Files, dialect: Dialect, options: &Options) -> Result<Self, LoadError> {
        Ok(Compiler {
            files,
            registry: registry(files)?,
            encoded_commas: options.encoded_commas,
            other_spellings: options.other_spellings,
            dialect,
            vocabulary: RefCell::default(),
            warnings: RefCell::default(),
            more: RefCell::default(),
        })
    }

    /// What is suspicious in the schemas that were compiled.
    pub(crate) fn warnings(&self) -> Vec<LoadError> {
        self.warnings.borrow().clone()
    }

    /// What else was wrong in the schemas that did not compile.
    pub(crate) fn more_errors(&self) -> Vec<LoadError> {
        self.more.borrow().clone()
    }

    pub(crate) fn compile(&self, schema: &Target) -> Result<Checker, LoadError> {
        let value = schema.value(self.files).ok_or_else(|| schema.error("there is no schema here"))?;
        let noticed = self.vocabulary.borrow_mut().look(self.files, schema);
        let is_error = self.dialect == Dialect::V30;
        self.warnings.borrow_mut().extend(noticed.idle);
        // SECURITY: a misspelt keyword is a control that does not run (a_misspelt_keyword_does_not_load).
        let misspelt = match is_error {
            true => noticed.misspelt,
            false => {
                self.warnings.borrow_mut().extend(noticed.misspelt);
                Vec::new()
            }
        };
        let mut wrong = noticed.broken.into_iter().chain(misspelt);
        if let Some(first) = wrong.next() {
            self.more.borrow_mut().extend(wrong);
            return Err(first);
        }
        if let Err(error) = jsonschema::draft202012::meta::validate(value) {
            let place = Target::new(&schema.file, &format!("{}{}", schema.pointer, error.instance_path()));
            return Err(place.error(format!("this is not a schema: {}", why(&error))));
        }
        let root = json!({ "$ref": schema.uri() });
        let options = options()
            .offline()
            .with_draft(Draft::Draft202012)
            .with_base_uri("openapi:///~schema")
            .with_registry(&self.registry);
        let validator = options.build(&root).map_err(|error| schema.error(why(&error)))?;
        Ok(Checker::new(validator))
    }

    /// The schema of a line: that of an item where a list is declared, else the schema itself.
    pub(crate) fn item_of(&self, schema: &Target, shape: &Shape) -> Target {
        let resolved = schema.clone().resolved(self.files).map_or_else(|_| schema.clone(), |(at, _)| at);
        let items = resolved.member("items");
        let is_list = shape.types.may_be_array() && !shape.types.may_be_object();
        if is_list && items.value(self.files).is_some() { items } else { schema.clone() }
    }

    /// Whether a schema allows every text, so that nothing of it need be known.
    pub(crate) fn allows_any_text(&self, schema: &Target) -> bool {
        const HARMLESS: [&str; 9] = [
            "type",
            "format",
            "title",
            "description",
            "contentMediaType",
            "example",
            "default",
            "deprecated",
            "nullable",
        ];
        let Ok((_, Value::Object(members))) = schema.clone().resolved(self.files) else { return false };
        let types = members.get("type");
        let is_text = types.is_none_or(|types| types == "string" || *types == json!(["string", "null"]));
        let is_bytes = members.get("format").is_none_or(|format| format == "binary");
        is_text && is_bytes && members.keys().all(|name| HARMLESS.contains(&name.as_str()))
    }

    pub(crate) fn shape(&self, schema: &Target) -> Shape {
        Shape::of(self.files, schema)
    }
}

/// Why a schema cannot be used. The text may quote the schema, which is no secret, but not its every word.
fn why(error: &ValidationError<'_>) -> String {
    // What needs another engine has been set apart, and bad syntax was told.
    if matches!(error.kind(), ValidationErrorKind::Format { format } if format == "regex") {
        return format!(
            "a pattern takes more than {PATTERN_BYTES} bytes once compiled, or needs look-around in a place where it cannot be bounded"
        );
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
