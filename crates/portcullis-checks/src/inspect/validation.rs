//! Whether a JSON body fits a schema, for APIs that have no OpenAPI document.
//!
//! A body has one media type that the configuration lists, at most one content coding (`gzip`, `deflate`), and one reading:
//! members that stand twice and bytes that are not UTF-8 are refused. A request without a body passes with the
//! methods that need none. It needs nothing that could fail.

use super::limits::JsonLimitsConfig;
use super::memory::Lent;
use super::openapi::config::OtherSpellingsConfig;
use super::openapi::refusal;
use super::openapi::rehearsal::read_document;
use crate::build::Build;
use crate::mode::ModeConfig;
use crate::rehearsal::sample;
use crate::section::{Part, Section};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use portcullis_config::{Context, Decode, Definitions, Node, Span, Spanned, Value, object};
use portcullis_core::check::{Check, Inspect, Inspected, Wants};
use portcullis_core::head::Framing;
use portcullis_core::{CheckId, Code, Denial, Effects, Facts, Principal, Step, Violation};
use portcullis_openapi::{Files, Limits, Memory, Schema, is_utf8_content, unpacked};
use serde_json::json as written;
use std::path::PathBuf;
use std::sync::Arc;

/// The media type of a configuration that names none.
const JSON: &str = "application/json";

object! {
    /// Validation of JSON bodies.
    pub struct ValidationConfig {
        /// The schema: JSON Schema 2020-12, or the version in its `$schema` (draft 7, 2019-09).
        pub schema: Option<SchemaConfig>,
        /// A file with the schema, in JSON or YAML, instead of `schema`. Files that it references must be in its folder
        /// or below.
        pub file: Option<Spanned<PathBuf>>,
        /// The accepted media types, all of them JSON. Others are rejected with 415. Default: application/json.
        pub content_types: Vec<Spanned<String>> = vec![Spanned::nowhere(JSON.to_owned())],
        /// What happens to a member whose name is another spelling of a declared one, such as `ROLE` for `role`. A
        /// backend could read it as the declared one. Default: refuse.
        pub other_spellings: OtherSpellingsConfig = OtherSpellingsConfig::Refuse,
        /// Whether a number that a double cannot hold exactly is rejected, such as an integer beyond 64 bits. Otherwise it is
        /// judged as it rounds. Default: false.
        pub strict_numbers: bool = false,
        /// Bounds on what one body may hold.
        pub limits: Option<JsonLimitsConfig>,
        /// `enforce` rejects the request. `observe` lets it through and records what would have been rejected. `off`
        /// skips the check. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl ValidationConfig {
    /// A body that fits the schema, with its media type, for a rehearsal. `None` where the schema cannot be read.
    pub fn sample(&self) -> Option<(String, String)> {
        let schema = match (&self.schema, &self.file) {
            (Some(schema), _) => schema.value.clone(),
            (None, Some(file)) => read_document(&file.value)?,
            (None, None) => return None,
        };
        let media_type = self.content_types.first().map_or(JSON, |name| name.value.as_str());
        Some((media_type.to_owned(), sample::of(&schema, &schema).to_string()))
    }
}

/// A schema that stands in the configuration.
#[derive(Clone, Debug)]
pub struct SchemaConfig {
    value: serde_json::Value,
    at: Span,
}

impl Decode for SchemaConfig {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        cx.mapping(node)?;
        match to_json(node) {
            Some(value) => Some(SchemaConfig { value, at: node.span }),
            None => {
                cx.error(
                    "config.schema",
                    node.span,
                    "the schema contains a number that JSON cannot represent",
                )
                .help("write whole numbers of at most 64 bits, and no `.inf` or `.nan`");
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        written!({ "type": "object" })
    }
}

fn to_json(node: &Node) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
            (Ok(number), _) => number.into(),
            (Err(_), Ok(number)) => number.into(),
            (Err(_), Err(_)) => return None,
        },
        Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::String(text) => text.as_str().into(),
        Value::Sequence(items) => items.iter().map(to_json).collect::<Option<Vec<_>>>()?.into(),
        Value::Mapping(entries) => {
            let members = entries.iter().map(|entry| Some((entry.key.clone(), to_json(&entry.value)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

/// The check.
pub struct Validation {
    schema: Schema,
    /// In lower case.
    content_types: Vec<String>,
    limits: Limits,
}

impl Section for ValidationConfig {
    const ABOUT: &'static str =
        "Validation of JSON bodies by a JSON Schema, for an API without an OpenAPI document.";
    const CHECKS: &'static [&'static str] = &["inspect.validation"];

    fn compile(&self, _: Span, _: &mut Build, cx: &mut Context) -> Option<Part> {
        Some(Part::new().inspect(self.mode, Arc::new(self.check(cx)?)))
    }
}

impl ValidationConfig {
    /// The check that runs. `None` means that an error was pushed.
    fn check(&self, cx: &mut Context) -> Option<Validation> {
        let (files, at) = match (&self.schema, &self.file) {
            (Some(schema), None) => (Ok(Files::from_value("schema.json", schema.value.clone())), schema.at),
            (None, Some(file)) => (Files::load(&file.value), file.span),
            (Some(_), Some(_)) | (None, None) => {
                cx.error("config.schema_source", self.at, "give only one of `schema` and `file`")
                    .help("give either `schema` or `file`");
                return None;
            }
        };
        let schema = match files.and_then(|files| Schema::compile_with(&files, self.other_spellings.into())) {
            Ok(schema) => schema,
            Err(error) => {
                cx.error("config.schema", at, format!("the schema cannot be used: {error}"))
                    .help("give a JSON Schema of draft 7, 2019-09 or 2020-12 whose patterns are valid");
                return None;
            }
        };
        if self.content_types.is_empty() {
            cx.error("config.empty_list", self.at, "the list of media types is empty")
                .help("name a media type, or leave the key out for application/json");
            return None;
        }
        let mut content_types = Vec::new();
        for content_type in &self.content_types {
            let name = content_type.value.to_ascii_lowercase();
            let token = |part: &str| {
                !part.is_empty()
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
            };
            if !name.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype)) {
                cx.error("config.media_type", content_type.span, "this is not a media type")
                    .help("write it without parameters and wildcards, such as `application/json`");
                return None;
            }
            content_types.push(name);
        }
        let limits = JsonLimitsConfig::limits(self.limits.as_ref(), self.strict_numbers);
        Some(Validation { schema, content_types, limits })
    }
}

impl Check for Validation {
    fn id(&self) -> CheckId {
        CheckId::new("inspect.validation")
    }

    fn describe(&self) -> String {
        format!("a body of {} that fits the schema", self.content_types.join(", "))
    }
}

impl Inspect for Validation {
    fn inspect_head<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        _: &'a dyn Effects,
    ) -> Step<'a, Result<Wants, Denial>> {
        // SECURITY: in HTTP/2 a body may come without a word of it in the head, so what has none is known only at its end
        // (a_body_that_the_head_does_not_announce_is_judged).
        Step::Ready(match facts.head.framing() {
            Framing::Length(1..) => self.judge_media_type(facts.head.headers()).map(|()| Wants::Body),
            Framing::Length(0) | Framing::None | Framing::Chunked => Ok(Wants::Body),
        })
    }

    fn inspect<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        _: &'a Principal,
        body: &'a Bytes,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Inspected, Denial>> {
        let memory = Lent::new(facts, effects);
        let judged = if body.is_empty() {
            self.judge_absent(facts.head.method())
        } else {
            let headers = facts.head.headers();
            self.judge_media_type(headers).and_then(|()| self.judge(headers, body, &memory))
        };
        Step::Ready(judged.map(|()| Inspected::AsItIs))
    }
}

impl Validation {
    fn judge_absent(&self, method: &Method) -> Result<(), Denial> {
        match *method {
            Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS => Ok(()),
            _ => Err(Denial::new(Code::ContentMalformed, "there is no body")
                .pointing_out([Violation::new("", "required")])),
        }
    }

    fn judge_media_type(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return refused("no media type, or several", "content-type", "required");
        };
        let mut parts = value.to_str().unwrap_or_default().split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        if !self.content_types.contains(&kind) {
            return refused("another media type", "content-type", "content_type");
        }
        let is_charset = |part: &str| part.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("charset="));
        match (parts.next(), parts.next()) {
            (None, _) => Ok(()),
            (Some(charset), None) if is_charset(charset) => Ok(()),
            (Some(_), _) => refused("a parameter of the media type", "content-type", "charset"),
        }
    }

    fn judge(&self, headers: &HeaderMap, body: &[u8], memory: &Lent<'_>) -> Result<(), Denial> {
        // SECURITY: what is unpacked only behind the gateway would be judged by nobody (a_body_is_judged_by_a_schema).
        let unpacked = match unpacked(headers, body, &self.limits) {
            Ok(unpacked) => unpacked,
            Err((class, reason)) => return Err(refusal::of_coding(class, reason)),
        };
        if !memory.take(unpacked.as_ref().map_or(0, Vec::capacity)) {
            return Err(refusal::no_memory(&"a body that was unpacked"));
        }
        let body = unpacked.as_deref().unwrap_or(body);
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(|content_type| is_utf8_content(content_type, body)) {
            return refused("another charset", "content-type", "charset");
        }
        let judged = self.schema.judge_json(body, &self.limits, memory);
        judged.map_err(|violations| refusal::of_request(&violations))
    }
}

fn refused<T>(detail: &'static str, name: &str, word: &'static str) -> Result<T, Denial> {
    Err(Denial::new(Code::MediaTypeRefused, detail).pointing_out([Violation::new(name, word)]))
}
