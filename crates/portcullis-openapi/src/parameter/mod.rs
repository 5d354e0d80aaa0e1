//! Parameters: what a path segment, a query, a header field or a cookie must be.
//!
//! Decides how text becomes a value: split by its style, then decoded, then typed by its schema. What is repeated, missing
//! or not in its style is malformed; what its schema refuses is invalid.

use crate::document::{LoadError, Node};
use crate::json::Document;
use crate::limits::Limits;
use crate::message::Fields;
use crate::percent::{Plus, decode};
use crate::schema::{Additional, Checker, Compiler, Shape};
use crate::violation::{Class, Place, Report};

pub(crate) mod deep;
pub(crate) mod query;
mod style;
mod value;

pub(crate) use query::Query;
use style::Commas;
pub(crate) use style::{NotInStyle, Style, Written};
pub(crate) use value::{Demand, Members, Readings, Texts, choice};

/// What an encoded comma (`%2C`) is in a list that commas part: `ids=a%2Cb` where `explode` is false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedCommas {
    /// It may part items or belong to one, since backends differ: the schema must allow both. A way of reading in which an
    /// item has no value of its type, such as the number `1,2`, does not count.
    #[default]
    Both,
    /// It parts items.
    Split,
    /// It belongs to an item.
    Keep,
}

impl EncodedCommas {
    /// The ways in which `raw` is to be split. Nothing is encoded where nothing is decoded.
    pub(crate) fn ways(self, raw: &str, decoding: Option<Plus>) -> &'static [Commas] {
        match self {
            _ if decoding.is_none() || !Commas::are_encoded_in(raw) => &[Commas::AsTheyAre],
            EncodedCommas::Both => &[Commas::AsTheyAre, Commas::Encoded],
            EncodedCommas::Split => &[Commas::Encoded],
            EncodedCommas::Keep => &[Commas::AsTheyAre],
        }
    }
}

/// A declared parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) place: Place,
    required: bool,
    allow_empty: bool,
    style: Style,
    explode: bool,
    /// The value is a document of its own rather than in a style: whether that document is JSON.
    content: Option<Content>,
    shape: Shape,
    checker: Option<Checker>,
    encoded_commas: EncodedCommas,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Json,
    Text,
}

impl Parameter {
    /// Reads a parameter object. `None` for a header field that OpenAPI says is described elsewhere.
    pub(crate) fn parse(node: &Node<'_>, compiler: &Compiler<'_>) -> Result<Option<Self>, LoadError> {
        let name = node.required_text("name")?;
        let place = match node.required_text("in")? {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            other => return Err(node.error(format!("`in: {other}` is not a place for a parameter"))),
        };
        if place == Place::Header {
            let name = name.to_ascii_lowercase();
            if matches!(name.as_str(), "accept" | "content-type" | "authorization") {
                return Ok(None);
            }
            return Self::described(&name, place, node, compiler).map(Some);
        }
        Self::described(name, place, node, compiler).map(Some)
    }

    /// Reads the rest of a parameter object, which is what a header object consists of.
    pub(crate) fn described(
        name: &str,
        place: Place,
        node: &Node<'_>,
        compiler: &Compiler<'_>,
    ) -> Result<Self, LoadError> {
        node.spells(&["required", "schema", "content", "style", "explode", "allowEmptyValue"])?;
        let required = node.flag("required")?.unwrap_or(false);
        if place == Place::Path && !required {
            return Err(node.error("a path parameter needs `required: true`"));
        }
        let style = style(node, place)?;
        let explode = node.flag("explode")?.unwrap_or(matches!(style, Style::Form | Style::Cookie));
        if matches!(style, Style::SpaceDelimited | Style::PipeDelimited)
            && node.flag("explode")? == Some(true)
        {
            return Err(node.error("`explode: true` means nothing in this style"));
        }
        let (content, schema) = match node.get("content")? {
            Some(content) => {
                let mut types = content.each()?.into_iter();
                let (Some((media_type, only)), None) = (types.next(), types.next()) else {
                    return Err(content.error("the `content` of a parameter has one media type"));
                };
                let is_json = media_type == "application/json" || media_type.ends_with("+json");
                (Some(if is_json { Content::Json } else { Content::Text }), only.place("schema"))
            }
            None => (None, node.place("schema")),
        };
        if content.is_none() && schema.is_none() {
            return Err(node.error("a parameter needs a `schema` or a `content`"));
        }
        let shape = schema.as_ref().map_or_else(Shape::anything, |schema| compiler.shape(schema));
        if style == Style::DeepObject && !(shape.types.may_be_object() || shape.types.may_be_array()) {
            return Err(node.error("`style: deepObject` is for objects and lists"));
        }
        Ok(Parameter {
            name: name.to_owned(),
            place,
            required,
            allow_empty: place == Place::Query && node.flag("allowEmptyValue")?.unwrap_or(false),
            style,
            explode,
            content,
            shape,
            checker: schema.map(|schema| compiler.compile(&schema)).transpose()?,
            encoded_commas: compiler.encoded_commas,
        })
    }

    /// Whether no value that is allowed can hold an attack.
    pub(crate) fn is_harmless(&self) -> bool {
        let is_one = self.content.is_none() && self.style != Style::DeepObject;
        is_one && (self.shape.is_harmless() || (self.is_exploded_list() && self.shape.holds_harmless()))
    }

    /// Judges the text of a path parameter, still encoded.
    pub(crate) fn judge_path(&self, raw: &str, limits: &Limits, report: &mut Report<'_>) {
        self.judge_text(raw, Some(Plus::Literal), limits, report);
    }

    /// Judges what a query holds.
    pub(crate) fn judge_query(&self, query: &mut Query<'_>, limits: &Limits, report: &mut Report<'_>) {
        if self.content.is_none() && self.style == Style::DeepObject {
            return match deep::claim(query, &self.name, &self.shape) {
                Err(reason) => self.malformed(reason, report),
                Ok(None) => self.missing(report),
                Ok(Some(datum)) => {
                    let mut readings = Readings::of(&self.shape);
                    readings.add_value(datum);
                    readings.check(self.checker.as_ref(), self.place, &self.name, report);
                }
            };
        }
        let is_exploded_object = self.content.is_none()
            && self.shape.types.may_be_object()
            && self.style == Style::Form
            && self.explode;
        if is_exploded_object {
            return self.judge_exploded(query, report);
        }
        let found = query.claim(&self.name);
        match found.as_slice() {
            [] => self.missing(report),
            [None] if !self.allow_empty => self.malformed("empty", report),
            [None | Some("")] if self.allow_empty => {}
            [Some(raw)] if !self.is_exploded_list() => {
                self.judge_text(raw, Some(Plus::Space), limits, report)
            }
            _ if !self.is_exploded_list() => self.malformed("repeated", report),
            _ => self.judge_list(&found, Some(Plus::Space), report),
        }
    }

    /// `a=1&a=2`
    fn judge_list(&self, found: &[Option<&str>], decoding: Option<Plus>, report: &mut Report<'_>) {
        let mut items = Vec::with_capacity(found.len());
        for raw in found {
            let Some(raw) = raw else { return self.malformed("empty", report) };
            let item = decoding.map_or_else(|| Some((*raw).to_owned()), |plus| decode(raw, plus));
            let Some(item) = item else {
                return self.malformed("percent_encoding", report);
            };
            items.push(item);
        }
        let mut readings = Readings::of(&self.shape);
        let one = match items.as_slice() {
            [one] if self.shape.types.may_be_plain() => readings.add(Texts::Plain(one.clone()), &self.shape),
            _ => Ok(()),
        };
        match (readings.add(Texts::List(items), &self.shape), one) {
            (Err(_), _) if !readings.is_empty() => {}
            (Err(reason), _) => return self.malformed(reason, report),
            (Ok(()), _) => {}
        }
        readings.check(self.checker.as_ref(), self.place, &self.name, report);
    }

    /// `R=100&G=200`
    fn judge_exploded(&self, query: &mut Query<'_>, report: &mut Report<'_>) {
        let open = matches!(self.shape.additional, Additional::Of(_));
        let mut members = Vec::new();
        for pair in query.unclaimed() {
            if !open && !self.shape.properties.contains_key(&pair.name) {
                continue;
            }
            let member = pair.name.clone();
            pair.claimed = true;
            let text =
                pair.raw.ok_or("empty").and_then(|raw| decode(raw, Plus::Space).ok_or("percent_encoding"));
            match text {
                Ok(text) => members.push((member, text)),
                Err(reason) => return self.malformed(reason, report),
            }
        }
        if members.is_empty() {
            self.missing(report)
        } else {
            self.judge_texts([Ok(Texts::Members(members))], report)
        }
    }

    /// Judges a header field.
    pub(crate) fn judge_field(&self, fields: &dyn Fields, limits: &Limits, report: &mut Report<'_>) {
        let Some(values) = crate::message::texts(fields, &self.name) else {
            return self.malformed("utf8", report);
        };
        match values.as_slice() {
            [] => self.missing(report),
            [value] => self.judge_text(value.trim(), None, limits, report),
            // A list may be written as several fields (RFC 9110, section 5.3); anything else has one.
            several if self.content.is_none() && self.shape.types.may_be_array() => {
                self.judge_text(&several.join(","), None, limits, report);
            }
            _ => self.malformed("repeated", report),
        }
    }

    /// Judges what the cookies hold.
    pub(crate) fn judge_cookies(&self, cookies: &[(&str, &str)], limits: &Limits, report: &mut Report<'_>) {
        let decoding = (self.style != Style::Cookie).then_some(Plus::Literal);
        let text = |raw: &str| match decoding {
            Some(plus) => decode(raw, plus),
            None => Some(raw.to_owned()),
        };
        if self.content.is_none() && self.explode && self.shape.types.may_be_object() {
            let mine = cookies.iter().filter(|(name, _)| self.shape.properties.contains_key(*name));
            let members: Option<Vec<(String, String)>> =
                mine.map(|(name, raw)| Some(((*name).to_owned(), text(raw)?))).collect();
            return match members {
                None => self.malformed("percent_encoding", report),
                Some(members) if members.is_empty() => self.missing(report),
                Some(members) => self.judge_texts([Ok(Texts::Members(members))], report),
            };
        }
        let mut mine = cookies.iter().filter(|(name, _)| *name == self.name);
        // `color=blue; color=black`
        if self.style == Style::Cookie && self.explode && self.shape.types.may_be_array() {
            let found: Vec<Option<&str>> = mine.map(|(_, raw)| Some(*raw)).collect();
            return match found.as_slice() {
                [] => self.missing(report),
                found => self.judge_list(found, decoding, report),
            };
        }
        match (mine.next(), mine.next()) {
            (None, _) => self.missing(report),
            (Some((_, raw)), None) => self.judge_text(raw, decoding, limits, report),
            (Some(_), Some(_)) => self.malformed("repeated", report),
        }
    }

    /// Judges one text. `decoding` is `None` where nothing is encoded, as in header fields.
    fn judge_text(&self, raw: &str, decoding: Option<Plus>, limits: &Limits, report: &mut Report<'_>) {
        let text = |raw: &str| match decoding {
            Some(plus) => decode(raw, plus).ok_or("percent_encoding"),
            None => Ok(raw.trim().to_owned()),
        };
        if let Some(content) = self.content {
            return match (text(raw), content) {
                (Err(reason), _) => self.malformed(reason, report),
                (Ok(text), Content::Text) => self.judge_texts([Ok(Texts::Plain(text))], report),
                (Ok(text), Content::Json) => match Document::read(text.as_bytes(), limits, report.memory) {
                    Err(fault) => report.fault(self.place, &self.name, fault),
                    Ok(document) => {
                        if let Some(checker) = &self.checker {
                            checker.check(&document, self.place, &self.name, report);
                        }
                    }
                },
            };
        }
        let (mut readings, mut wrong) = (Readings::of(&self.shape), None);
        for commas in self.encoded_commas.ways(raw, decoding) {
            readings.another_way();
            for texts in self.split(raw, *commas, text) {
                if let Err(reason) = texts.and_then(|texts| readings.add(texts, &self.shape)) {
                    wrong = wrong.or(Some(reason));
                }
            }
        }
        match wrong {
            Some(reason) if readings.is_empty() => self.malformed(reason, report),
            Some(_) | None => readings.check(self.checker.as_ref(), self.place, &self.name, report),
        }
    }

    /// What one text may be, split in one way.
    fn split(
        &self,
        raw: &str,
        commas: Commas,
        text: impl Fn(&str) -> Result<String, &'static str> + Copy,
    ) -> impl Iterator<Item = Result<Texts, &'static str>> {
        let written = Written { style: self.style, explode: self.explode, name: &self.name, commas };
        let (types, styled) = (self.shape.types, |NotInStyle| "style");
        let plain = (types.may_be_plain() || !(types.may_be_array() || types.may_be_object()))
            .then(|| written.plain(raw).map_err(styled).and_then(text).map(Texts::Plain));
        let list = types.may_be_array().then(|| {
            let items = written.list(raw).map_err(styled)?;
            items.into_iter().map(text).collect::<Result<_, _>>().map(Texts::List)
        });
        let members = types.may_be_object().then(|| {
            let members = written.members(raw).map_err(styled)?.into_iter();
            let members = members.map(|(name, value)| Ok((text(name)?, text(value)?)));
            members.collect::<Result<_, _>>().map(Texts::Members)
        });
        [plain, list, members].into_iter().flatten()
    }

    /// Judges what a parameter may stand for: one allowed reading is enough.
    fn judge_texts(
        &self,
        texts: impl IntoIterator<Item = Result<Texts, &'static str>>,
        report: &mut Report<'_>,
    ) {
        let mut readings = Readings::of(&self.shape);
        let mut wrong = None;
        for texts in texts {
            if let Err(reason) = texts.and_then(|texts| readings.add(texts, &self.shape)) {
                wrong = wrong.or(Some(reason));
            }
        }
        match wrong {
            Some(reason) if readings.is_empty() => self.malformed(reason, report),
            Some(_) | None => readings.check(self.checker.as_ref(), self.place, &self.name, report),
        }
    }

    /// Whether each item of a list is a pair of its own.
    fn is_exploded_list(&self) -> bool {
        self.content.is_none() && self.style == Style::Form && self.explode && self.shape.types.may_be_array()
    }

    /// The names under which it is found: its own, or those of its members where each is a pair of its own.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let styled = matches!(self.style, Style::Form | Style::Cookie);
        let is_exploded = self.content.is_none() && self.explode && styled;
        let members = (is_exploded && self.shape.types.may_be_object()).then(|| self.shape.properties.keys());
        std::iter::once(self.name.as_str()).chain(members.into_iter().flatten().map(String::as_str))
    }

    /// Whether it is found under its name with brackets after it.
    pub(crate) fn has_brackets(&self) -> bool {
        self.style == Style::DeepObject
    }

    /// Whether it takes pairs that no other parameter names, so that it must be asked last.
    pub(crate) fn takes_the_rest(&self) -> bool {
        self.style == Style::Form
            && self.explode
            && self.content.is_none()
            && self.shape.types.may_be_object()
    }

    fn missing(&self, report: &mut Report<'_>) {
        if self.required {
            self.malformed("required", report);
        }
    }

    fn malformed(&self, reason: &'static str, report: &mut Report<'_>) {
        report.add(Class::Malformed, self.place, &self.name, reason);
    }
}

fn style(node: &Node<'_>, place: Place) -> Result<Style, LoadError> {
    let default = match place {
        Place::Path | Place::Header | Place::Body | Place::Status => Style::Simple,
        Place::Query | Place::Cookie => Style::Form,
    };
    let Some(name) = node.text("style")? else { return Ok(default) };
    let style = Style::named(name);
    let fits = style.filter(|style| match place {
        Place::Path => matches!(style, Style::Matrix | Style::Label | Style::Simple),
        Place::Query => {
            matches!(style, Style::Form | Style::SpaceDelimited | Style::PipeDelimited | Style::DeepObject)
        }
        Place::Header => *style == Style::Simple,
        Place::Cookie => matches!(style, Style::Form | Style::Cookie),
        Place::Body | Place::Status => false,
    });
    fits.ok_or_else(|| node.error(format!("`style: {name}` is not for this place")))
}
