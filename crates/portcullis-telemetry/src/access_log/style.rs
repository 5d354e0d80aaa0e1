//! What a line of the access log looks like, and which requests get one.
//!
//! A line is JSON, or a text with fields in it: a template, or the Combined Log Format of web servers, which is one. In a
//! text, a client could try to end a field early and write the next ones itself. So two fields of a template have text
//! between them, and no value contains the character with which the text after it begins, nor a quote, a backslash, or
//! anything that is not visible ASCII: all of these are escaped, but for spaces in a `User-Agent` where no space ends it. Who reads a line from left to right always finds the same
//! fields.

use super::addresses::Addresses;
use super::field::Field;
use crate::line::Line;
use portcullis_core::{Outcome, Plan, Record};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

/// The form of a line.
#[derive(Clone, Default)]
pub enum Format {
    /// A JSON object with every usual field that is known.
    #[default]
    Json,
    /// A JSON object with these fields alone.
    Fields(Vec<Field>),
    /// Text with fields in it.
    Template(Template),
}

/// Text with fields in it: `{name}` stands for a field, `{{` and `}}` for braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    before: String,
    /// Each with the text after it, which is empty only at the end.
    fields: Vec<(Field, String)>,
}

/// The Combined Log Format.
const COMBINED: &str = r#"{client} - {user} [{clf_time}] "{method} {path} {protocol}" {status} {bytes_sent} "{referer}" "{user_agent}""#;

impl Template {
    /// The template of this text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Template, String> {
        if text.chars().any(char::is_control) {
            return Err("a template is one line without control characters".to_owned());
        }
        let mut template = Template { before: String::new(), fields: Vec::new() };
        let mut characters = text.chars().peekable();
        while let Some(next) = characters.next() {
            match next {
                '{' | '}' if characters.peek() == Some(&next) => {
                    characters.next();
                    template.last().push(next);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match characters.next() {
                            Some('}') => break,
                            Some(other) => name.push(other),
                            None => return Err("a `{` without `}`".to_owned()),
                        }
                    }
                    if let Some((before, between)) = template.fields.last()
                        && between.is_empty()
                    {
                        let before = before.as_str();
                        return Err(format!(
                            "nothing parts `{before}` and `{name}`: write text between them"
                        ));
                    }
                    let field = Field::named(&name).ok_or_else(|| format!("there is no field `{name}`"))?;
                    template.fields.push((field, String::new()));
                }
                '}' => return Err("a `}` without `{`; write `}}` for a brace".to_owned()),
                other => template.last().push(other),
            }
        }
        let mut ends = template.fields.iter().filter_map(|(_, after)| after.chars().next());
        if let Some(end) = ends.find(|end| *end == '\\' || end.is_ascii_alphanumeric()) {
            // Escapes are made of these.
            return Err(format!("`{end}` cannot follow a field: write a space or another mark after it"));
        }
        match template.fields.is_empty() {
            false => Ok(template),
            true => Err("a template without a field says nothing".to_owned()),
        }
    }

    /// That of the Combined Log Format.
    pub fn combined() -> Template {
        // A constant that parses (a_line_is_combined_or_a_template).
        Template::parse(COMBINED).unwrap_or(Template { before: String::new(), fields: Vec::new() })
    }

    fn last(&mut self) -> &mut String {
        self.fields.last_mut().map_or(&mut self.before, |(_, after)| after)
    }
}

/// How lines are written, and which requests get one.
#[derive(Clone, Default)]
pub struct Style {
    /// The form of a line.
    pub format: Format,
    /// How addresses are written.
    pub addresses: Addresses,
    /// Of a million requests that were served without a remark, so many get a line. `None`: all. What was refused, failed,
    /// was aborted or would have been refused always gets one.
    pub sample: Option<u32>,
    /// No client can choose an id that is left out.
    pub salt: RandomState,
}

impl Style {
    /// Whether a request gets a line.
    pub(crate) fn takes(&self, record: &Record) -> bool {
        let Some(sample) = self.sample else { return true };
        let plain = matches!(record.outcome, Outcome::Served) && record.observed.is_empty();
        // SECURITY: whoever may name the id of a request must not choose which requests leave no line
        // (refusals_are_never_left_out).
        !plain || self.salt.hash_one(record.id.as_str()) % 1_000_000 < u64::from(sample)
    }

    /// Whether a line has a field like this.
    pub(crate) fn has(&self, wanted: impl Fn(Field) -> bool) -> bool {
        match &self.format {
            Format::Json => Field::usual().any(wanted),
            Format::Fields(fields) => fields.iter().copied().any(wanted),
            Format::Template(template) => template.fields.iter().any(|(field, _)| wanted(*field)),
        }
    }

    /// Whether notices stand between the lines of requests.
    pub(crate) fn is_json(&self) -> bool {
        match self.format {
            Format::Json | Format::Fields(_) => true,
            Format::Template(_) => false,
        }
    }

    /// Writes the line of a record, with its newline.
    pub(crate) fn write(&self, record: &Record, plan: &Plan, mut to: impl Write) -> io::Result<()> {
        let line = Line { record, plan, addresses: &self.addresses };
        match &self.format {
            Format::Json => line.json(Field::usual(), &mut to)?,
            Format::Fields(fields) => line.json(fields.iter().copied(), &mut to)?,
            Format::Template(Template { before, fields }) => {
                to.write_all(before.as_bytes())?;
                for (field, after) in fields {
                    let end = after.chars().next();
                    line.value(*field).text(end, &mut to)?;
                    to.write_all(after.as_bytes())?;
                }
            }
        }
        to.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_fields_of_the_list_alone_and_text_between_them() {
        assert!(Template::parse("{time} {{x}} {status}").is_ok());
        assert!(Template::parse("}}{{{time}").is_ok());
        for (bad, why) in [
            ("{authorization}", "no field"),
            ("{query}", "no field"),
            ("{time", "without `}`"),
            ("time}", "without `{`"),
            ("nothing", "says nothing"),
            ("", "says nothing"),
            ("{time}\n{path}", "one line"),
            ("{time}{path}", "nothing parts"),
            ("{path}x", "cannot follow"),
            ("{path}\\{time}", "cannot follow"),
        ] {
            assert!(Template::parse(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
