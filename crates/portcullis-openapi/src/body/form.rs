//! Forms: `application/x-www-form-urlencoded` and `multipart/form-data`, whose fields become the members of an object that
//! the schema judges.
//!
//! How a field is written is said by the `encoding` object of its property; without one, a list is a field for each item,
//! an object is JSON, and anything else is text.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::media_type::{Format, MediaRange, MediaType};
use super::multipart::Part;
use crate::document::{LoadError, Node};
use crate::json;
use crate::limits::Limits;
use crate::message::Fields;
use crate::parameter::{Choice, NotInStyle, Parameter, Query, Readings, Style, Texts, Written};
use crate::percent::{Plus, decode};
use crate::schema::{Checker, Compiler, Shape, Types};
use crate::violation::{Class, Place, Report};

/// How the property of a form is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Encoding {
    content_types: Vec<MediaRange>,
    style: Option<Style>,
    explode: Option<bool>,
    fields: Vec<Parameter>,
}

/// The encodings of a form by property.
pub(super) type Encodings = BTreeMap<String, Encoding>;

pub(super) fn encodings(media_type: &Node<'_>, compiler: &Compiler<'_>) -> Result<Encodings, LoadError> {
    let mut encodings = Encodings::new();
    let Some(declared) = media_type.get("encoding")? else { return Ok(encodings) };
    for (name, node) in declared.each()? {
        let mut encoding = Encoding { explode: node.flag("explode")?, ..Encoding::default() };
        for range in
            node.text("contentType")?.unwrap_or_default().split(',').filter(|range| !range.trim().is_empty())
        {
            let range = MediaRange::parse(range).ok_or_else(|| node.error("this is not a media type"))?;
            encoding.content_types.push(range);
        }
        if let Some(style) = node.text("style")? {
            let known = Style::named(style)
                .filter(|style| !matches!(style, Style::Matrix | Style::Label | Style::Simple));
            encoding.style =
                Some(known.ok_or_else(|| node.error(format!("`style: {style}` is not for forms")))?);
        }
        if let Some(fields) = node.get("headers")? {
            for (field, header) in fields.each()? {
                let field = field.to_ascii_lowercase();
                if field != "content-type" {
                    encoding.fields.push(Parameter::described(&field, Place::Header, &header, compiler)?);
                }
            }
        }
        encodings.insert(name.to_owned(), encoding);
    }
    Ok(encodings)
}

/// What a form is judged by.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    pub(super) shape: &'a Shape,
    pub(super) encodings: &'a Encodings,
    pub(super) checker: Option<&'a Checker>,
    pub(super) limits: &'a Limits,
}

/// The members of the object so far, each with its narrowest and its widest reading.
#[derive(Default)]
struct Members {
    narrow: Map<String, Value>,
    wide: Map<String, Value>,
}

impl Members {
    fn add(&mut self, name: &str, readings: Readings) {
        let mut readings = readings.0.into_iter();
        let Some(narrow) = readings.next() else { return };
        let wide = readings.next_back().unwrap_or_else(|| narrow.clone());
        self.narrow.insert(name.to_owned(), narrow);
        self.wide.insert(name.to_owned(), wide);
    }

    fn check(self, checker: Option<&Checker>, report: &mut Report) {
        let readings = Readings(vec![Value::Object(self.narrow), Value::Object(self.wide)]);
        readings.check(checker, Place::Body, "", report);
    }
}

impl Form<'_> {
    /// Judges a body of pairs.
    pub(super) fn judge_pairs(&self, body: &[u8], report: &mut Report) {
        let malformed =
            |name: &str, reason, report: &mut Report| report.add(Class::Malformed, Place::Body, name, reason);
        let Ok(text) = std::str::from_utf8(body) else { return malformed("", "utf8", report) };
        let mut query = match Query::parse(text, self.limits.parts) {
            Ok(query) => query,
            Err(reason) => return malformed("", reason, report),
        };
        let mut members = Members::default();
        for (name, shape) in &self.shape.properties {
            let mut readings = Readings::default();
            match self.property(name, shape, &mut query, &mut readings) {
                Ok(()) => members.add(name, readings),
                Err(reason) => malformed(name, reason, report),
            }
        }
        // What the schema does not name is text; whether it may be there, the schema says.
        for pair in query.unclaimed() {
            let text = pair.raw.and_then(|raw| decode(raw, Plus::Space));
            let types = self.shape.property(&pair.name).unwrap_or(Types::ALL);
            let choice = text.ok_or("percent_encoding").and_then(|text| Choice::of(text, types));
            match choice {
                Ok(_) if members.narrow.contains_key(&pair.name) => malformed(&pair.name, "repeated", report),
                Ok(choice) => {
                    members.add(&pair.name, Readings(vec![choice.value(false), choice.value(true)]))
                }
                Err(reason) => malformed(&pair.name, reason, report),
            }
        }
        if report.is_empty() {
            members.check(self.checker, report);
        }
    }

    fn property(
        &self,
        name: &str,
        shape: &Shape,
        query: &mut Query<'_>,
        readings: &mut Readings,
    ) -> Result<(), &'static str> {
        let encoding = self.encodings.get(name);
        let style = encoding.and_then(|encoding| encoding.style);
        let types = shape.types;
        let text = |raw: &str| decode(raw, Plus::Space).ok_or("percent_encoding");
        if style == Some(Style::DeepObject) {
            let mut members = Vec::new();
            for pair in query.unclaimed() {
                let inner = pair.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('['));
                let Some(inner) = inner.and_then(|inner| inner.strip_suffix(']')) else { continue };
                members.push((inner.to_owned(), text(pair.raw.ok_or("empty")?)?));
                pair.claimed = true;
            }
            return if members.is_empty() { Ok(()) } else { readings.add(Texts::Members(members), shape) };
        }
        let found = query.claim(name);
        if found.is_empty() {
            return Ok(());
        }
        let values: Vec<&str> = found.into_iter().collect::<Option<_>>().ok_or("empty")?;
        let as_json = style.is_none()
            && (types.may_be_object()
                || encoding.is_some_and(|encoding| {
                    encoding.content_types.iter().any(|range| range.format() == Some(Format::Json))
                }));
        let style = style.unwrap_or(Style::Form);
        let explode = encoding.and_then(|encoding| encoding.explode).unwrap_or(style == Style::Form);
        let written = Written { style, explode, name };
        match values.as_slice() {
            [one] if as_json => {
                let value = json::read(text(one)?.as_bytes(), self.limits).map_err(json::Fault::reason)?;
                readings.0.push(value);
                Ok(())
            }
            several if types.may_be_array() && explode => {
                if let ([one], true) = (several, types.may_be_plain()) {
                    readings.add(Texts::Plain(text(one)?), shape)?;
                }
                let items = several.iter().map(|raw| text(raw)).collect::<Result<_, _>>()?;
                readings.add(Texts::List(items), shape)
            }
            [one] if types.may_be_array() => {
                let items = written.list(one).map_err(|NotInStyle| "style")?;
                readings.add(Texts::List(items.into_iter().map(text).collect::<Result<_, _>>()?), shape)
            }
            [one] if types.may_be_object() => {
                let members = written.members(one).map_err(|NotInStyle| "style")?.into_iter();
                let members = members.map(|(name, value)| Ok((text(name)?, text(value)?)));
                readings.add(Texts::Members(members.collect::<Result<_, &'static str>>()?), shape)
            }
            [one] => readings.add(Texts::Plain(text(one)?), shape),
            _ => Err("repeated"),
        }
    }

    /// Judges a body of parts.
    pub(super) fn judge_parts(&self, parts: Vec<Part<'_>>, report: &mut Report) {
        let mut members = Members::default();
        let mut lists: BTreeMap<String, Vec<Choice>> = BTreeMap::new();
        for part in parts {
            let shape = self.shape.properties.get(&part.name);
            let unnamed = Shape::anything();
            let is_list = shape.is_some_and(|shape| shape.types.may_be_array());
            let shape = match (shape, is_list) {
                (Some(shape), true) => shape.items.as_deref().unwrap_or(&unnamed),
                (Some(shape), false) => shape,
                (None, _) => &unnamed,
            };
            match self.part(&part, shape, report) {
                // A list as one JSON document rather than as a part for each item.
                Ok(choice) if is_list && is_json(&part) && choice.value(false).is_array() => {
                    members.add(&part.name, Readings(vec![choice.value(false)]));
                }
                Ok(choice) if is_list => lists.entry(part.name).or_default().push(choice),
                Ok(_) if members.narrow.contains_key(&part.name) => {
                    report.add(Class::Malformed, Place::Body, &part.name, "repeated");
                }
                Ok(choice) => {
                    members.add(&part.name, Readings(vec![choice.value(false), choice.value(true)]))
                }
                Err((class, reason)) => report.add(class, Place::Body, &part.name, reason),
            }
        }
        for (name, items) in lists {
            if members.narrow.contains_key(&name) {
                report.add(Class::Malformed, Place::Body, &name, "repeated");
            }
            let list = |wide| Value::Array(items.iter().map(|item| item.value(wide)).collect());
            members.add(&name, Readings(vec![list(false), list(true)]));
        }
        if report.is_empty() {
            members.check(self.checker, report);
        }
    }

    /// What one part is, by its media type.
    fn part(
        &self,
        part: &Part<'_>,
        shape: &Shape,
        report: &mut Report,
    ) -> Result<Choice, (Class, &'static str)> {
        let encoding = self.encodings.get(&part.name);
        if let Some(encoding) = encoding {
            self.allowed(encoding, part.content_type.as_ref())?;
            for field in &encoding.fields {
                field.judge_field(&PartFields(&part.fields), self.limits, report);
            }
        }
        let malformed = |reason| (Class::Malformed, reason);
        let format = part.content_type.as_ref().map(MediaType::format);
        match format {
            Some(Format::Json) => {
                let value = json::read(part.body, self.limits).map_err(|fault| malformed(fault.reason()))?;
                Ok(Choice::only(value))
            }
            // A file, or bytes of some other kind.
            _ if shape.bytes || part.file_name.is_some() || matches!(format, Some(Format::Bytes)) => {
                Ok(Choice::only(super::bytes(part.body)))
            }
            None if shape.types.may_be_object() && !shape.types.may_be_plain() => {
                let value = json::read(part.body, self.limits).map_err(|fault| malformed(fault.reason()))?;
                Ok(Choice::only(value))
            }
            Some(Format::Form | Format::Multipart | Format::Xml | Format::Text | Format::Bytes) | None => {
                if format == Some(Format::Xml) {
                    super::xml::check(part.body, self.limits).map_err(malformed)?;
                }
                if part.content_type.as_ref().is_some_and(|media_type| !media_type.is_utf8()) {
                    return Err((Class::Unsupported, "charset"));
                }
                let text = std::str::from_utf8(part.body).map_err(|_| malformed("utf8"))?;
                Choice::of(text.to_owned(), shape.types).map_err(malformed)
            }
        }
    }

    fn allowed(&self, encoding: &Encoding, found: Option<&MediaType>) -> Result<(), (Class, &'static str)> {
        if encoding.content_types.is_empty() {
            return Ok(());
        }
        // Without a Content-Type a part is text (RFC 7578, section 4.4).
        let text = MediaType::parse("text/plain");
        let found = found.or(text.as_ref());
        let fits = |range: &MediaRange| found.is_some_and(|found| range.specificity(found).is_some());
        if encoding.content_types.iter().any(fits) {
            Ok(())
        } else {
            Err((Class::Unsupported, "content_type"))
        }
    }
}

fn is_json(part: &Part<'_>) -> bool {
    part.content_type.as_ref().is_some_and(|media_type| media_type.format() == Format::Json)
}

struct PartFields<'a>(&'a [(String, String)]);

impl Fields for PartFields<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let mine = self.0.iter().filter(|(other, _)| other == name);
        mine.for_each(|(_, value)| each(value.as_bytes()));
    }
}
