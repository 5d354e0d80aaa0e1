//! The keywords that JSON Schema does not have, and the fixed words under which violations are reported.

use jsonschema::error::ValidationErrorKind;
use jsonschema::json::{Node, Object};
use jsonschema::{Keyword, ValidationError, ValidationOptions};

use super::alternatives::{KEYWORDS, REFUSES};
use super::format::{NumberFormat, number_format};
use super::names::NAMES;
use super::pattern::{Bounded, PATTERN};
use crate::json::{Flat, Look, Num};
use crate::spelling::{self, Names};

/// Set by rewriting: an integer has neither fraction nor exponent.
pub(super) const WRITTEN_INTEGER: &str = "x-portcullis-integer";

/// Set by rewriting: the format of a number.
pub(super) const NUMBER_FORMAT: &str = "x-portcullis-number-format";

/// Set by rewriting: a member that the direction hides. Its value is the keyword that hides it.
pub(super) const HIDDEN: &str = "x-portcullis-hidden";

/// What is told of a member that only the server may set.
pub(super) const READ_ONLY: &str = "readOnly";

/// Teaches the validator the keywords.
pub(super) fn register<R>(options: ValidationOptions<'_, R, Flat>) -> ValidationOptions<'_, R, Flat> {
    options
        .with_keyword(HIDDEN, |_, value, _| {
            let keyword = if value == "writeOnly" { "writeOnly" } else { "readOnly" };
            Ok(Box::new(Hidden(keyword)))
        })
        .with_keyword(NAMES, |_, value, _| {
            let names = value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
            Ok(Box::new(Declared(Names::new(names))))
        })
        .with_keyword(REFUSES, |_, value, _| {
            let word = KEYWORDS.into_iter().find(|word| value == word).unwrap_or("not");
            Ok(Box::new(Hidden(word)))
        })
        .with_keyword(PATTERN, |_, value, _| {
            let pattern = Bounded::new(value.as_str().unwrap_or_default());
            pattern
                .map(|pattern| Box::new(pattern) as Box<dyn for<'i> Keyword<'i, Flat>>)
                .map_err(ValidationError::schema)
        })
        .with_keyword(WRITTEN_INTEGER, |_, _, _| Ok(Box::new(WrittenInteger)))
        .with_keyword(NUMBER_FORMAT, |_, value, _| {
            let format = value.as_str().and_then(number_format);
            format
                .map(|format| Box::new(format) as Box<dyn for<'i> Keyword<'i, Flat>>)
                .ok_or_else(|| ValidationError::schema("not a format of numbers"))
        })
}

/// Refuses whatever it is, and says why: `readOnly` in a request, `writeOnly` in a response, or a keyword that was set apart.
struct Hidden(&'static str);

impl<'i> Keyword<'i, Flat> for Hidden {
    fn validate(&self, _: Look<'i>) -> Result<(), ValidationError<'i>> {
        Err(ValidationError::custom(self.0))
    }

    fn is_valid(&self, _: Look<'i>) -> bool {
        false
    }
}

/// Refuses an object with a member whose name is another spelling of one that is declared, and says which.
struct Declared(Names);

impl Declared {
    fn other<'i>(&self, instance: &Look<'i>) -> Option<&'i str> {
        let mut members = instance.as_object()?.members();
        members.find(|(name, _)| self.0.is_another_spelling(name)).map(|(name, _)| name)
    }
}

impl<'i> Keyword<'i, Flat> for Declared {
    fn validate(&self, instance: Look<'i>) -> Result<(), ValidationError<'i>> {
        match self.other(&instance) {
            None => Ok(()),
            Some(name) => Err(ValidationError::custom(name)),
        }
    }

    fn is_valid(&self, instance: Look<'i>) -> bool {
        self.other(&instance).is_none()
    }
}

struct WrittenInteger;

impl<'i> Keyword<'i, Flat> for WrittenInteger {
    fn validate(&self, instance: Look<'i>) -> Result<(), ValidationError<'i>> {
        refuse_unless(self.is_valid(instance))
    }

    fn is_valid(&self, instance: Look<'i>) -> bool {
        instance.as_number().is_none_or(|number| !matches!(number, Num::Float(_)))
    }
}

impl<'i> Keyword<'i, Flat> for NumberFormat {
    fn validate(&self, instance: Look<'i>) -> Result<(), ValidationError<'i>> {
        refuse_unless(self.is_valid(instance))
    }

    fn is_valid(&self, instance: Look<'i>) -> bool {
        instance.as_number().is_none_or(|number| self.holds(&number.number()))
    }
}

fn refuse_unless<'i>(valid: bool) -> Result<(), ValidationError<'i>> {
    if valid { Ok(()) } else { Err(ValidationError::custom("refused")) }
}

/// The member that an error is about, where the error is told of the object.
pub(super) fn member(kind: &ValidationErrorKind) -> Option<&str> {
    if let ValidationErrorKind::Required { property } = kind {
        return property.as_str();
    }
    let ValidationErrorKind::Custom { keyword, message } = kind else { return None };
    (keyword == NAMES).then_some(message.as_str())
}

/// The word under which a violation is reported.
pub(super) fn fixed(kind: &ValidationErrorKind) -> &'static str {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::AdditionalItems { .. } => "additionalItems",
        Kind::AdditionalProperties { .. } => "additionalProperties",
        Kind::AnyOf { .. } => "anyOf",
        Kind::Pattern { .. } | Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "pattern"
        }
        Kind::Constant { .. } => "const",
        Kind::Contains => "contains",
        Kind::ContentEncoding { .. } | Kind::FromUtf8 { .. } => "contentEncoding",
        Kind::ContentMediaType { .. } => "contentMediaType",
        Kind::Enum { .. } => "enum",
        Kind::ExclusiveMaximum { .. } => "exclusiveMaximum",
        Kind::ExclusiveMinimum { .. } => "exclusiveMinimum",
        Kind::FalseSchema => "false",
        Kind::Format { .. } => "format",
        Kind::MaxItems { .. } => "maxItems",
        Kind::Maximum { .. } => "maximum",
        Kind::MaxLength { .. } => "maxLength",
        Kind::MaxProperties { .. } => "maxProperties",
        Kind::MinItems { .. } => "minItems",
        Kind::Minimum { .. } => "minimum",
        Kind::MinLength { .. } => "minLength",
        Kind::MinProperties { .. } => "minProperties",
        Kind::MultipleOf { .. } => "multipleOf",
        Kind::Not { .. } => "not",
        Kind::OneOfMultipleValid { .. } | Kind::OneOfNotValid { .. } => "oneOf",
        Kind::PropertyNames { .. } => "propertyNames",
        Kind::Required { .. } => "required",
        Kind::Type { .. } => "type",
        Kind::UnevaluatedItems { .. } => "unevaluatedItems",
        Kind::UnevaluatedProperties { .. } => "unevaluatedProperties",
        Kind::UniqueItems => "uniqueItems",
        Kind::Referencing(_) => "$ref",
        Kind::Custom { keyword, message } => match keyword.as_str() {
            HIDDEN if message == "writeOnly" => "writeOnly",
            HIDDEN => READ_ONLY,
            NUMBER_FORMAT => "format",
            PATTERN => "pattern",
            WRITTEN_INTEGER => "type",
            NAMES => spelling::REASON,
            REFUSES => KEYWORDS.into_iter().find(|word| message == word).unwrap_or("schema"),
            _ => "schema",
        },
    }
}
