//! The keywords that JSON Schema does not have, and the fixed words under which violations are reported.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Keyword, ValidationError, ValidationOptions};
use serde_json::Value;

use super::format::{NumberFormat, number_format};

/// Set by rewriting: an integer has neither fraction nor exponent.
pub(super) const WRITTEN_INTEGER: &str = "x-portcullis-integer";

/// Set by rewriting: the format of a number.
pub(super) const NUMBER_FORMAT: &str = "x-portcullis-number-format";

/// Set by rewriting: a member that the direction hides. Its value is the keyword that hides it.
pub(super) const HIDDEN: &str = "x-portcullis-hidden";

/// Teaches the validator the keywords.
pub(super) fn register(options: ValidationOptions<'_>) -> ValidationOptions<'_> {
    options
        .with_keyword(HIDDEN, |_, value, _| {
            let keyword = if value == "writeOnly" { "writeOnly" } else { "readOnly" };
            Ok(Box::new(Hidden(keyword)))
        })
        .with_keyword(WRITTEN_INTEGER, |_, _, _| Ok(Box::new(WrittenInteger)))
        .with_keyword(NUMBER_FORMAT, |_, value, _| {
            let format = value.as_str().and_then(number_format);
            format
                .map(|format| Box::new(format) as Box<dyn for<'i> Keyword<'i>>)
                .ok_or_else(|| ValidationError::schema("not a format of numbers"))
        })
}

/// `readOnly` in a request, `writeOnly` in a response.
struct Hidden(&'static str);

impl<'i> Keyword<'i> for Hidden {
    fn validate(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        Err(ValidationError::custom(self.0))
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        false
    }
}

struct WrittenInteger;

impl<'i> Keyword<'i> for WrittenInteger {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        refuse_unless(self.is_valid(instance))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        !instance.is_f64()
    }
}

impl<'i> Keyword<'i> for NumberFormat {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        refuse_unless(self.is_valid(instance))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        match instance {
            Value::Number(number) => self.holds(number),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => true,
        }
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
            _ => "schema",
        },
    }
}
