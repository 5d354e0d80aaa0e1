//! Bodies: whether there must be one, of which media type, and what it must hold.
//!
//! The most specific declared media type decides. JSON, forms and text are judged by their schema, XML by its
//! well-formedness, and bytes by nothing but their number. A type that is missing, doubled, not declared, or in another
//! charset than UTF-8 is refused.

use crate::document::{LoadError, Node};
use crate::json::{Document, Fault};
use crate::limits::Limits;
use crate::message::{Fields, texts};
use crate::parameter::{EncodedCommas, Readings};
use crate::schema::{Checker, Compiler, Shape, Types};
use crate::spelling::{Names, OtherSpellings};
use crate::violation::{Class, Place, Report};

mod encoding;
mod form;
mod media_type;
mod multipart;
mod xml;

pub(crate) use encoding::decoded;
pub(crate) use media_type::{Format, MediaRange, MediaType};

/// A body without the content coding that its fields name. `None`: it has none.
///
/// # Errors
/// How bad it is, and a word for what is wrong: a coding that is not known, or more than `limits` allow.
pub fn unpacked(
    fields: &dyn Fields,
    body: &[u8],
    limits: &Limits,
) -> Result<Option<Vec<u8>>, (Class, &'static str)> {
    decoded(fields, body, limits)
}

/// Whether a `Content-Type` names UTF-8, or a charset in which these bytes read the same. `false` where it is not in the
/// grammar.
#[must_use]
pub fn is_utf8_content(content_type: &str, body: &[u8]) -> bool {
    MediaType::parse(content_type).is_some_and(|media_type| media_type.reads_as_utf8(body))
}

/// A part of a form with files.
#[derive(Debug)]
pub struct FormPart<'a> {
    /// Its name.
    pub name: String,
    /// Whether it has the name of a file.
    pub is_file: bool,
    /// What it holds.
    pub body: &'a [u8],
}

/// The parts of a body of `multipart/form-data`, in their order, read as strictly as those of a description.
///
/// # Errors
/// A word for what is wrong.
pub fn form_parts<'a>(
    content_type: &str,
    body: &'a [u8],
    limits: &Limits,
) -> Result<Vec<FormPart<'a>>, &'static str> {
    let media_type = MediaType::parse(content_type).ok_or("content_type")?;
    let boundary = media_type.parameter("boundary").ok_or("multipart.boundary")?;
    let parts = multipart::parts(body, boundary, limits)?.into_iter();
    Ok(parts
        .map(|part| FormPart { name: part.name, is_file: part.file_name.is_some(), body: part.body })
        .collect())
}

/// What one value of a tree takes at most, apart from its text.
const BYTES_OF_A_VALUE: usize = 160;

/// The body of a request.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    required: bool,
    contents: Contents,
}

/// The media types of a body, of a request or of a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents(Vec<Content>);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    range: MediaRange,
    shape: Shape,
    pub(crate) checker: Option<Checker>,
    /// What a line of a body of lines is judged by.
    item: Option<Checker>,
    /// Whether nothing looks into a body: it is bytes, and any bytes will do.
    opaque: bool,
    encodings: form::Encodings,
    /// A vendor's type whose schema describes no text: the body is JSON, since nothing else has such a schema.
    is_json: bool,
    encoded_commas: EncodedCommas,
    /// The names of the fields of a form, where another spelling of one is refused.
    names: Option<Names>,
}

impl Body {
    pub(crate) fn parse(node: &Node<'_>, compiler: &Compiler<'_>) -> Result<Self, LoadError> {
        node.spells(&["content", "required"])?;
        let contents = Contents::parse(node, compiler)?;
        if contents.0.is_empty() {
            return Err(node.error("a request body needs a `content`"));
        }
        Ok(Body { required: node.flag("required")?.unwrap_or(false), contents })
    }

    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// Whether no value of an argument of this name can hold an attack, in a body that comes with these fields. The name of a
    /// member of JSON is `json.` and its path with dots.
    pub(crate) fn is_harmless(&self, fields: &dyn Fields, name: &str) -> bool {
        let Ok((content, media_type)) = self.contents.select(fields) else { return false };
        match content.format(&media_type) {
            Format::Json => {
                name.strip_prefix("json.").is_some_and(|path| content.shape.member_is_harmless(path))
            }
            Format::Form | Format::Multipart => {
                !content.encodings.contains_key(name)
                    && content.shape.properties.get(name).is_some_and(Shape::holds_harmless)
            }
            Format::Xml | Format::Lines | Format::Yaml | Format::Text | Format::Bytes => false,
        }
    }

    /// Whether nothing would look into a body that comes with these fields, so that it need not be held.
    pub(crate) fn looks_at_nothing(&self, fields: &dyn Fields) -> bool {
        let uncoded = texts(fields, "content-encoding").is_some_and(|codings| {
            codings.iter().all(|coding| coding.trim().eq_ignore_ascii_case("identity"))
        });
        uncoded
            && self.contents.select(fields).is_ok_and(|(content, media_type)| {
                content.opaque && content.format(&media_type) == Format::Bytes
            })
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    pub(crate) fn judge(&self, fields: &dyn Fields, body: &[u8], limits: &Limits, report: &mut Report<'_>) {
        if !body.is_empty() {
            self.contents.judge(fields, body, limits, report);
        } else if self.required {
            report.add(Class::Malformed, Place::Body, "", "required");
        }
    }
}

impl Contents {
    /// Reads the `content` of a request body or a response.
    pub(crate) fn parse(node: &Node<'_>, compiler: &Compiler<'_>) -> Result<Self, LoadError> {
        let mut contents = Vec::new();
        let Some(declared) = node.get("content")? else { return Ok(Contents(contents)) };
        for (name, media_type) in declared.each()? {
            let range = MediaRange::parse(name)
                .ok_or_else(|| media_type.error(format!("`{name}` is not a media type")))?;
            contents.push(Content::parse(range, &media_type, compiler)?);
        }
        Ok(Contents(contents))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content that a message is in.
    ///
    /// # Errors
    /// A word for what is wrong with its media type.
    pub(crate) fn select(&self, fields: &dyn Fields) -> Result<(&Content, MediaType), &'static str> {
        let named = texts(fields, "content-type").ok_or("content_type")?;
        let [only] = named.as_slice() else {
            return Err(if named.is_empty() { "content_type_missing" } else { "content_type_repeated" });
        };
        let media_type = MediaType::parse(only).ok_or("content_type")?;
        let ranked =
            self.0.iter().filter_map(|content| Some((content.range.specificity(&media_type)?, content)));
        let (_, content) = ranked.max_by_key(|(rank, _)| *rank).ok_or("content_type")?;
        Ok((content, media_type))
    }

    /// Judges a body that is not empty.
    pub(crate) fn judge(&self, fields: &dyn Fields, body: &[u8], limits: &Limits, report: &mut Report<'_>) {
        let (content, media_type) = match self.select(fields) {
            Ok(selected) => selected,
            Err(reason) => return report.add(Class::Unsupported, Place::Body, "", reason),
        };
        let unpacked = match decoded(fields, body, limits) {
            Err((class, reason)) => return report.add(class, Place::Body, "", reason),
            Ok(unpacked) => unpacked,
        };
        if !report.memory.take(unpacked.as_ref().map_or(0, Vec::capacity)) {
            return report.fault(Place::Body, "", crate::json::Fault::Memory);
        }
        let body = unpacked.as_deref().unwrap_or(body);
        // SECURITY: another charset would be other text to whoever believes it (charset in bodies.yaml).
        if content.format(&media_type) != Format::Bytes && !media_type.reads_as_utf8(body) {
            return report.add(Class::Unsupported, Place::Body, "", "charset");
        }
        content.judge(&media_type, body, limits, report);
    }
}

impl Content {
    fn parse(range: MediaRange, node: &Node<'_>, compiler: &Compiler<'_>) -> Result<Self, LoadError> {
        node.spells(&["schema", "itemSchema", "encoding", "prefixEncoding", "itemEncoding"])?;
        // SECURITY: what says how parts are judged would be a control that does not run (what_cannot_be_judged_does_not_load).
        for positional in ["prefixEncoding", "itemEncoding"] {
            if let Some(node) = node.get(positional)? {
                return Err(
                    node.error(format!("`{positional}` is not supported: parts are judged by their names"))
                );
            }
        }
        let schema = node.place("schema");
        let shape = schema.as_ref().map_or_else(Shape::anything, |schema| compiler.shape(schema));
        if range.is_multipart() && range.format() == Some(Format::Bytes) {
            return Err(node.error("of multipart bodies only `multipart/form-data` can be judged"));
        }
        let is_lines = range.format() == Some(Format::Lines);
        let item = match (node.place("itemSchema"), &schema) {
            (Some(item), _) => Some(compiler.compile(&item)?),
            (None, Some(schema)) if is_lines => Some(compiler.compile(&compiler.item_of(schema, &shape))?),
            (None, _) => None,
        };
        let is_data = range.format() == Some(Format::Bytes) && !shape.types.has(Types::STRING);
        let is_json = is_data && range.is_vendors();
        // SECURITY: a schema that cannot be asked would be a control that does not run (what_cannot_be_judged_does_not_load).
        if is_data && !is_json {
            return Err(node.error("a body of this media type is bytes, which this schema never allows"));
        }
        let opaque = schema.as_ref().is_none_or(|schema| compiler.allows_any_text(schema));
        let checker = match schema {
            Some(schema) => Some(compiler.compile(&schema)?),
            None => None,
        };
        let encodings = form::encodings(node, compiler)?;
        let names = match compiler.other_spellings {
            OtherSpellings::Refuse => Some(Names::new(shape.properties.keys().map(String::as_str))),
            OtherSpellings::Allow => None,
        };
        Ok(Content {
            range,
            shape,
            checker,
            item,
            opaque,
            encodings,
            is_json,
            encoded_commas: compiler.encoded_commas,
            names,
        })
    }

    /// What is understood of a body of this type.
    pub(crate) fn format(&self, media_type: &MediaType) -> Format {
        if self.is_json { Format::Json } else { media_type.format() }
    }

    /// Judges a JSON value in each line: by the schema of an item where the schema is that of a list, else by the schema.
    fn judge_lines(&self, body: &[u8], limits: &Limits, report: &mut Report<'_>) {
        let lines = body.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.map(|(index, line)| (index, line.strip_suffix(b"\r").unwrap_or(line)));
        for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
            if index >= limits.items {
                return report.add(Class::Malformed, Place::Body, "", "lines");
            }
            if report.is_full() {
                return;
            }
            let name = index.to_string();
            match Document::read_at(line, limits, report.memory) {
                Err(fault) => report.fault_at(Place::Body, &name, fault),
                Ok(document) => {
                    if let Some(checker) = self.item.as_ref() {
                        checker.check(&document, Place::Body, &name, report);
                    }
                }
            }
        }
    }

    fn judge(&self, media_type: &MediaType, body: &[u8], limits: &Limits, report: &mut Report<'_>) {
        let malformed =
            |reason, report: &mut Report<'_>| report.add(Class::Malformed, Place::Body, "", reason);
        let checker = self.checker.as_ref();
        let (shape, encodings, encoded_commas) = (&self.shape, &self.encodings, self.encoded_commas);
        let form =
            form::Form { shape, encodings, checker, limits, encoded_commas, names: self.names.as_ref() };
        match self.format(media_type) {
            Format::Json => match Document::read_at(body, limits, report.memory) {
                Err(fault) => report.fault_at(Place::Body, "", fault),
                Ok(document) => {
                    if let Some(reader) = report.memory.reader() {
                        reader.json(body, &document);
                    }
                    if let Some(checker) = checker {
                        checker.check(&document, Place::Body, "", report);
                    }
                }
            },
            Format::Lines => self.judge_lines(body, limits, report),
            Format::Yaml => {
                // A tree takes more than its text: what is taken for each value is a bound on it.
                let values = body.len().min(limits.nodes.saturating_mul(2)).saturating_add(1);
                if !report.memory.take(values.saturating_mul(BYTES_OF_A_VALUE).saturating_add(body.len())) {
                    return report.fault(Place::Body, "", Fault::Memory);
                }
                match crate::document::read_yaml(body, limits) {
                    Err(reason) => malformed(reason, report),
                    Ok(value) => match (Document::of(&value), checker) {
                        (Err(fault), _) => report.fault(Place::Body, "", fault),
                        (Ok(document), Some(checker)) => {
                            checker.check(&document, Place::Body, "", report);
                        }
                        (Ok(_), None) => {}
                    },
                }
            }
            Format::Form => form.judge_pairs(body, report),
            Format::Multipart => {
                let boundary = media_type.parameter("boundary").unwrap_or_default();
                match multipart::parts(body, boundary, limits) {
                    Err(reason) => malformed(reason, report),
                    Ok(parts) => form.judge_parts(parts, report),
                }
            }
            Format::Xml => {
                let reader = report.memory.reader();
                match xml::read(body, limits, reader.is_some()) {
                    Err(reason) => malformed(reason, report),
                    Ok(texts) => {
                        if let (Some(reader), Some(xml::Texts { text, attributes })) = (reader, texts) {
                            reader.xml(body, text, attributes);
                        }
                    }
                }
            }
            Format::Text => match std::str::from_utf8(body) {
                Err(_) => malformed("utf8", report),
                Ok(text) => {
                    let mut readings = Readings::of(&self.shape);
                    match readings.add_text(text, &self.shape) {
                        Err(reason) => malformed(reason, report),
                        Ok(()) => readings.check(checker, Place::Body, "", report),
                    }
                }
            },
            Format::Bytes => {
                if let Some(checker) = checker {
                    checker.check(&Document::bytes(body), Place::Body, "", report);
                }
            }
        }
    }
}
