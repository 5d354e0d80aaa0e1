//! A query that is one value: `in: querystring` (OpenAPI 3.2), a form or JSON.
//!
//! It is judged like a body of its media type. A form has the pairs that its schema declares and no others, unless the schema leaves it
//! open; JSON is decoded once, and a `+` in it is refused, since some servers take it for a space.

use crate::body::Contents;
use crate::document::{LoadError, Node};
use crate::limits::Limits;
use crate::message::Fields;
use crate::percent::{Plus, decode};
use crate::schema::Compiler;
use crate::violation::{Class, Place, Report};

/// The whole query of an operation.
#[derive(Debug)]
pub(super) struct QueryString {
    name: String,
    required: bool,
    media_type: &'static str,
    contents: Contents,
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

impl QueryString {
    /// Whether a parameter object declares one.
    pub(super) fn is_declared(node: &Node<'_>) -> Result<bool, LoadError> {
        Ok(node.text("in")? == Some("querystring"))
    }

    /// Reads the parameter object.
    pub(super) fn parse(node: &Node<'_>, compiler: &Compiler<'_>) -> Result<QueryString, LoadError> {
        node.spells(&["required", "content"])?;
        let name = node.required_text("name")?.to_owned();
        let declared = match node.get("content")? {
            Some(content) => content.each()?,
            None => Vec::new(),
        };
        let media_type = match declared.first() {
            Some((FORM, _)) if declared.len() == 1 => FORM,
            Some((JSON, _)) if declared.len() == 1 => JSON,
            _ => {
                let message =
                    format!("a parameter with `in: querystring` needs a `content` of `{FORM}` or `{JSON}`");
                return Err(node.error(message));
            }
        };
        let required = node.flag("required")?.unwrap_or(false);
        Ok(QueryString { name, required, media_type, contents: Contents::parse(node, compiler)? })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Judges a query, as it came.
    pub(super) fn judge(&self, raw: &str, limits: &Limits, report: &mut Report<'_>) {
        if raw.is_empty() {
            if self.required {
                report.add(Class::Malformed, Place::Query, &self.name, "required");
            }
            return;
        }
        let mut inner = Report::new(report.memory);
        let fields = Typed(self.media_type);
        if self.media_type == FORM {
            self.contents.judge(&fields, raw.as_bytes(), limits, &mut inner);
        } else if raw.contains('+') {
            return report.add(Class::Malformed, Place::Query, &self.name, "separator");
        } else {
            match decode(raw, Plus::Literal) {
                Some(text) => self.contents.judge(&fields, text.as_bytes(), limits, &mut inner),
                None => return report.add(Class::Malformed, Place::Query, &self.name, "percent_encoding"),
            }
        }
        for violation in inner.into_violations().iter() {
            let name = if violation.name.is_empty() { &self.name } else { &violation.name };

            report.add_at(violation.class, Place::Query, name, violation.pointer.clone(), violation.reason);
        }
    }
}

/// The fields of a body of this media type.
struct Typed(&'static str);

impl Fields for Typed {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if name == "content-type" {
            each(self.0.as_bytes());
        }
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        each("content-type");
    }
}
