//! The keywords that JSON Schema does not have, and the fixed words under which violations are reported.

use jsonschema::error::ValidationErrorKind;
use jsonschema::json::Node;
use jsonschema::{Keyword, ValidationError, ValidationOptions};

use super::alternatives::{KEYWORDS, REFUSES};
use super::format::{NumberFormat, number_format};
use crate::json::{Flat, Look, Num};

/// Set by rewriting: an integer has neither fraction nor exponent.
pub(super) const WRITTEN_INTEGER: &str = "x-portcullis-integer";

/// Set by rewriting: the format of a number.
pub(super) const NUMBER_FORMAT: &str = "x-portcullis-number-format";

/// Set by rewriting: a member that the direction hides. Its value is the keyword that hides it.
pub(super) const HIDDEN: &str = "x-portcullis-hidden";

/// Teaches the validator the keywords.
pub(super) fn register<R>(options: ValidationOptions<'_, R, Flat>) -> ValidationOptions<'_, R, Flat> {
    options
        .with_keyword(HIDDEN, |_, value, _| {
            let keyword = if value == "writeOnly" { "writeOnly" } else { "readOnly" };
            Ok(Box::new(Hidden(keyword)))
        })
        .with_keyword(REFUSES, |_, value, _| {
            let word = KEYWORDS.into_iter().find(|word| value == word).unwrap_or("not");
            Ok(Box::new(Hidden(word)))
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
            HIDDEN => "readOnly",
            NUMBER_FORMAT => "format",
            WRITTEN_INTEGER => "type",
            REFUSES => KEYWORDS.into_iter().find(|word| message == word).unwrap_or("schema"),
            _ => "schema",
        },
    }
}
