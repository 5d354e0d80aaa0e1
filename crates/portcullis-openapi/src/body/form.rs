//! Forms: `application/x-www-form-urlencoded` and `multipart/form-data`, whose fields become the members of an object that
//! the schema judges.
//!
//! How a field is written is said by the `encoding` object of its property; without one, a list is a field for each item,
//! an object is JSON, and anything else is text. The sender's word for it, the media type of a part, counts only where the
//! document allows it.

use std::collections::BTreeMap;

use super::media_type::{Format, MediaRange, MediaType};
use super::multipart::Part;
use crate::document::{LoadError, Node};
use crate::json::{Datum, Document, Fault};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::message::Fields;
use crate::parameter::{
    Demand, EncodedCommas, Members, NotInStyle, Parameter, Query, Readings, Style, Texts, Written, choice,
};
use crate::parameter::{deep, query};
use crate::percent::{Plus, decode};
use crate::schema::{Additional, Checker, Compiler, Shape, Types};
use crate::spelling::{Names, hides_a_pair};
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
        node.spells(&["contentType", "headers", "style", "explode"])?;
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
    pub(super) encoded_commas: EncodedCommas,
    /// The declared names, where another spelling of one is refused.
    pub(super) names: Option<&'a Names>,
}

impl Form<'_> {
    /// Judges a body of pairs.
    pub(super) fn judge_pairs(&self, body: &[u8], report: &mut Report<'_>) {
        let malformed = |name: &str, reason, report: &mut Report<'_>| {
            report.add(Class::Malformed, Place::Body, name, reason)
        };
        let Ok(text) = std::str::from_utf8(body) else { return malformed("", "utf8", report) };
        if let Some(names) = self.names
            && hides_a_pair(text, names, matches!(self.shape.additional, Additional::Nothing))
        {
            return malformed("", "separator", report);
        }
        let mut query = match Query::parse(text, self.limits.fields) {
            Ok(query) => query,
            Err(query::TOO_MANY) => return malformed("", "form_fields", report),
            Err(reason) => return malformed("", reason, report),
        };
        if let Some(reader) = report.memory.reader() {
            let pairs = query.pairs.iter();
            reader.form(body, &mut pairs.map(|pair| (pair.name.as_str(), pair.raw.unwrap_or_default())));
        }
        let mut members = Members::default();
        for (name, shape) in &self.shape.properties {
            let mut readings = Readings::of(shape);
            match self.property(name, shape, &mut query, &mut readings, report.memory) {
                Ok(()) => members.add(name, readings),
                Err(fault @ Wrong::Json(Fault::Memory)) => {
                    report.add(Class::Unavailable, Place::Body, name, fault.reason());
                }
                Err(wrong) => malformed(name, wrong.reason(), report),
            }
        }
        // What the schema does not name is text; whether it may be there, the schema says.
        for pair in query.unclaimed() {
            let text = pair.raw.and_then(|raw| decode(raw, Plus::Space));
            let types = self.shape.property(&pair.name).unwrap_or(Types::ALL);
            let choice = text.ok_or("percent_encoding").and_then(|text| choice(text.into(), types));
            match choice {
                Ok(_) if members.has(&pair.name) => malformed(&pair.name, "repeated", report),
                Ok(choice) => members.add(&pair.name, Readings::only(choice)),
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
        readings: &mut Readings<'_>,
        memory: &dyn Memory,
    ) -> Result<(), Wrong> {
        let encoding = self.encodings.get(name);
        let style = encoding.and_then(|encoding| encoding.style);
        let types = shape.types;
        let text = |raw: &str| decode(raw, Plus::Space).ok_or("percent_encoding");
        if style == Some(Style::DeepObject) {
            if let Some(datum) = deep::claim(query, name, shape)? {
                readings.add_value(datum);
            }
            return Ok(());
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
        match values.as_slice() {
            [one] if as_json => {
                let text = text(one)?;
                let document = Document::read(text.as_bytes(), self.limits, memory)?;
                readings.add_value(Datum::Json(document.detached(memory)?));
            }
            several if types.may_be_array() && explode => {
                if let ([one], true) = (several, types.may_be_plain()) {
                    readings.add(Texts::Plain(text(one)?), shape)?;
                }
                let items = several.iter().map(|raw| text(raw)).collect::<Result<_, _>>()?;
                readings.add(Texts::List(items), shape)?;
            }
            [one] if types.may_be_array() || types.may_be_object() => {
                let mut wrong = None;
                for commas in self.encoded_commas.ways(one, Some(Plus::Space)) {
                    let written = Written { style, explode, name, commas: *commas };
                    readings.another_way();
                    if let Err(reason) = self.split(one, written, shape, readings) {
                        wrong = wrong.or(Some(reason));
                    }
                }
                if let Some(reason) = wrong.filter(|_| readings.is_empty()) {
                    return Err(reason.into());
                }
            }
            [one] => readings.add(Texts::Plain(text(one)?), shape)?,
            _ => return Err("repeated".into()),
        }
        Ok(())
    }

    /// A list or an object in one field, split in one way.
    fn split(
        &self,
        raw: &str,
        written: Written<'_>,
        shape: &Shape,
        readings: &mut Readings<'_>,
    ) -> Result<(), &'static str> {
        let text = |raw: &str| decode(raw, Plus::Space).ok_or("percent_encoding");
        if shape.types.may_be_array() {
            let items = written.list(raw).map_err(|NotInStyle| "style")?;
            return readings.add(Texts::List(items.into_iter().map(text).collect::<Result<_, _>>()?), shape);
        }
        let members = written.members(raw).map_err(|NotInStyle| "style")?.into_iter();
        let members = members.map(|(name, value)| Ok((text(name)?, text(value)?)));
        readings.add(Texts::Members(members.collect::<Result<_, &'static str>>()?), shape)
    }

    /// Judges a body of parts.
    pub(super) fn judge_parts(&self, parts: Vec<Part<'_>>, report: &mut Report<'_>) {
        let mut members = Members::default();
        let mut lists: BTreeMap<String, Vec<Datum<'_>>> = BTreeMap::new();
        for part in parts {
            let shape = self.shape.properties.get(&part.name);
            let (declared, unnamed) = (shape.is_some(), Shape::anything());
            let is_list = shape.is_some_and(|shape| shape.types.may_be_array());
            let shape = match (shape, is_list) {
                (Some(shape), true) => shape.items.as_deref().unwrap_or(&unnamed),
                (Some(shape), false) => shape,
                (None, _) => &unnamed,
            };
            match self.part(&part, shape, report) {
                Ok(_) if members.has(&part.name) => {
                    report.add(Class::Malformed, Place::Body, &part.name, "repeated");
                }
                // A list as one JSON document rather than as a part for each item.
                Ok(choice) if is_list && choice.is_array() => members.add(&part.name, Readings::only(choice)),
                Ok(choice) if is_list => lists.entry(part.name).or_default().push(choice),
                Ok(choice) => {
                    let demand = if declared { shape.demand() } else { Demand::One };
                    members.add(&part.name, Readings::only(choice).demanding(demand));
                }
                Err((class, reason)) => report.add(class, Place::Body, &part.name, reason),
            }
        }
        for (name, items) in lists {
            if members.has(&name) {
                report.add(Class::Malformed, Place::Body, &name, "repeated");
            }
            members.add(&name, Readings::only(Datum::List(items)));
        }
        if report.is_empty() {
            members.check(self.checker, report);
        }
    }

    /// What one part is: by its media type where the document's `encoding` names media types, else by its schema.
    fn part<'a>(
        &self,
        part: &Part<'a>,
        shape: &Shape,
        report: &mut Report<'_>,
    ) -> Result<Datum<'a>, (Class, &'static str)> {
        let encoding = self.encodings.get(&part.name);
        if let Some(encoding) = encoding {
            self.allowed(encoding, part.content_type.as_ref())?;
            for field in &encoding.fields {
                field.judge_field(&PartFields(&part.fields), self.limits, report);
            }
        }
        let malformed = |reason| (Class::Malformed, reason);
        let format = part.content_type.as_ref().map(MediaType::format);
        let types = shape.types;
        // SECURITY: whoever sends a part does not choose how it is read (tests/cases/forms.yaml).
        let is_json = match encoding {
            Some(_) | None if shape.bytes => false,
            Some(encoding) if !encoding.content_types.is_empty() => format == Some(Format::Json),
            Some(_) | None if types.may_be_object() || types.may_be_array() => {
                format == Some(Format::Json) || (format.is_none() && !types.may_be_plain())
            }
            // Nothing is said of it, so whoever looks for JSON finds what was judged.
            Some(_) | None => types == Types::ALL && format == Some(Format::Json),
        };
        if is_json {
            return match Document::read(part.body, self.limits, report.memory) {
                Ok(document) => Ok(Datum::Json(document)),
                Err(fault @ Fault::Memory) => Err((Class::Unavailable, fault.reason())),
                Err(fault) => Err(malformed(fault.reason())),
            };
        }
        let is_file = part.file_name.is_some() || format == Some(Format::Bytes);
        if shape.bytes || (is_file && types == Types::ALL) {
            return Ok(Datum::Bytes(part.body));
        }
        if format == Some(Format::Xml) {
            super::xml::check(part.body, self.limits).map_err(malformed)?;
        }
        let is_utf8 = part.content_type.as_ref().is_none_or(MediaType::is_utf8);
        match std::str::from_utf8(part.body) {
            Ok(_) if !is_utf8 && !is_file => Err((Class::Unsupported, "charset")),
            Ok(text) => choice(text.into(), types).map_err(malformed),
            Err(_) if is_file => Ok(Datum::Bytes(part.body)),
            Err(_) => Err(malformed("utf8")),
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

/// Why a field has no reading.
enum Wrong {
    Field(&'static str),
    Json(Fault),
}

impl Wrong {
    fn reason(&self) -> &'static str {
        match self {
            Wrong::Field(reason) => reason,
            Wrong::Json(fault) => fault.reason(),
        }
    }
}

impl From<&'static str> for Wrong {
    fn from(reason: &'static str) -> Self {
        Wrong::Field(reason)
    }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Wrong::Json(fault)
    }
}

struct PartFields<'a>(&'a [(String, String)]);

impl Fields for PartFields<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let mine = self.0.iter().filter(|(other, _)| other == name);
        mine.for_each(|(_, value)| each(value.as_bytes()));
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.0.iter().for_each(|(name, _)| each(name));
    }
}
