//! Responses: whether the backend answers as it has declared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::body::{Contents, Format, decoded};
use crate::document::{LoadError, Node};
use crate::json::{Document, Fault};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::message::Fields;
use crate::parameter::Parameter;
use crate::schema::{Checker, Compiler};
use crate::violation::{Class, Place, Report};

/// The declared responses of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Responses {
    exact: BTreeMap<u16, Response>,
    /// By the first digit.
    ranges: BTreeMap<u16, Response>,
    default: Option<Response>,
}

#[derive(Clone, Debug)]
struct Response {
    fields: Vec<Parameter>,
    contents: Contents,
}

impl Responses {
    /// Reads the `responses` of an operation.
    pub(crate) fn parse(node: &Node<'_>, compiler: &Compiler<'_>) -> Result<Self, LoadError> {
        let mut responses = Responses { exact: BTreeMap::new(), ranges: BTreeMap::new(), default: None };
        let Some(declared) = node.get("responses")? else { return Ok(responses) };
        for (status, node) in declared.each()? {
            let response = Response::parse(&node, compiler)?;
            if status == "default" {
                responses.default = Some(response);
            } else if let Some(digit) = status.strip_suffix("XX").and_then(|digit| digit.parse::<u16>().ok())
            {
                responses.ranges.insert(digit, response);
            } else if let Ok(status) = status.parse::<u16>() {
                responses.exact.insert(status, response);
            } else {
                return Err(node.error(format!("`{status}` is not a status")));
            }
        }
        Ok(responses)
    }

    /// The most specific response for a status.
    fn of(&self, status: u16) -> Option<&Response> {
        self.exact.get(&status).or_else(|| self.ranges.get(&(status / 100))).or(self.default.as_ref())
    }

    /// Judges a response. `bodiless`: it answers a request that never has a body in its answer.
    pub(crate) fn judge(
        &self,
        status: u16,
        fields: &dyn Fields,
        body: &[u8],
        bodiless: bool,
        limits: &Limits,
        report: &mut Report<'_>,
    ) {
        let Some(response) = self.of(status) else {
            return report.add(Class::Malformed, Place::Status, "", "undeclared");
        };
        for field in &response.fields {
            field.judge_field(fields, limits, report);
        }
        let bodiless = bodiless || status == 204 || status == 304;
        match (body.is_empty(), response.contents.is_empty()) {
            (true, true) => {}
            (true, false) if bodiless => {}
            (true, false) => report.add(Class::Malformed, Place::Body, "", "required"),
            (false, _) if bodiless => report.add(Class::Malformed, Place::Body, "", "undeclared"),
            (false, true) => report.add(Class::Malformed, Place::Body, "", "undeclared"),
            (false, false) => response.contents.judge(fields, body, limits, report),
        }
    }

    /// See [`crate::Operation::remove_undeclared_within`]. `Err`: it cannot be done, for want of memory or
    /// since it would take too long.
    pub(crate) fn remove_undeclared(
        &self,
        status: u16,
        fields: &dyn Fields,
        body: &[u8],
        limits: &Limits,
        memory: &dyn Memory,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let selected = self.of(status).and_then(|response| response.contents.select(fields).ok());
        let Some((content, media_type)) = selected else { return Ok(None) };
        let is_json = content.format(&media_type) == Format::Json;
        let Some(checker) = content.checker.as_ref().filter(|_| is_json) else { return Ok(None) };
        let Ok(unpacked) = decoded(fields, body, limits) else { return Ok(None) };
        // SECURITY: an answer costs what it is unpacked to, its tree and what is written anew
        // (hostile_bodies_stay_within_their_memory).
        take(memory, unpacked.as_ref().map_or(0, Vec::capacity))?;
        let body = unpacked.as_deref().unwrap_or(body);
        // What is written anew must not be rounded.
        let limits = &Limits { strict_numbers: true, ..*limits };
        let mut value = match Document::read(body, limits, memory) {
            Ok(document) => {
                take(memory, document.tree_bytes())?;
                document.to_value()
            }
            Err(fault @ (Fault::Memory | Fault::Inexact)) => return Err(fault),
            Err(_) => return Ok(None),
        };
        // SECURITY: a backend that compresses would otherwise keep what is to be removed (undeclared_fields_are_removed).
        if !without_undeclared(checker, &mut value, memory)? {
            return Ok(None);
        }
        take(memory, body.len())?;
        Ok(serde_json::to_vec(&value).ok())
    }
}

impl Response {
    fn parse(node: &Node<'_>, compiler: &Compiler<'_>) -> Result<Self, LoadError> {
        node.spells(&["headers", "content"])?;
        let mut fields = Vec::new();
        if let Some(declared) = node.get("headers")? {
            for (name, header) in declared.each()? {
                let name = name.to_ascii_lowercase();
                if name != "content-type" {
                    fields.push(Parameter::described(&name, Place::Header, &header, compiler)?);
                }
            }
        }
        Ok(Response { fields, contents: Contents::parse(node, compiler)? })
    }
}

fn take(memory: &dyn Memory, bytes: usize) -> Result<(), Fault> {
    if memory.take(bytes) { Ok(()) } else { Err(Fault::Memory) }
}

/// The value as a flat list. Its memory is that of the list which was read first and is gone. `None`: it is too large.
fn flat(value: &Value) -> Option<Document<'_>> {
    Document::of(value).ok()
}

/// How often members are removed that a schema names as too many, since one may hide another.
const MOST_ROUNDS: usize = 4;

/// Removes the members that no part of the schema has judged. Whether any was removed, and what is left is valid: of a
/// value that is wrong in other ways it cannot be said what is declared.
fn without_undeclared(checker: &Checker, value: &mut Value, memory: &dyn Memory) -> Result<bool, Fault> {
    let mut removed = false;
    for _ in 0..MOST_ROUNDS {
        let Some(document) = flat(value) else { return Ok(false) };
        let unexpected = checker.unexpected(&document);
        for (pointer, names) in &unexpected {
            if let Some(Value::Object(members)) = value.pointer_mut(pointer) {
                members.retain(|name, _| !names.contains(name));
                removed = true;
            }
        }
        if unexpected.is_empty() {
            break;
        }
    }
    let is_valid = flat(value).is_some_and(|document| checker.is_valid(&document));
    Ok(is_valid && (remove_unjudged(checker, value, memory)? || removed))
}

/// Bytes that telling which members are declared takes for each of them, and for each object.
const BYTES_OF_A_NAME: usize = 96;
const BYTES_OF_AN_OBJECT: usize = 256;

/// Removes what an open schema lets through without a word.
fn remove_unjudged(checker: &Checker, value: &mut Value, memory: &dyn Memory) -> Result<bool, Fault> {
    let Some(document) = flat(value) else { return Ok(false) };
    let evaluation = checker.evaluate(&document, memory)?;
    // For each object, by its pointer: the members that a keyword names.
    let mut declared: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in evaluation.iter_annotations() {
        let schema = entry.schema_location.to_string();
        let keyword = schema.rsplit('/').next().unwrap_or_default();
        if !matches!(
            keyword,
            "properties" | "patternProperties" | "additionalProperties" | "unevaluatedProperties"
        ) {
            continue;
        }
        take(memory, BYTES_OF_AN_OBJECT)?;
        let names = declared.entry(entry.instance_location.to_string()).or_default();
        if let Value::Array(list) = entry.annotations.value() {
            take(memory, list.len().saturating_mul(BYTES_OF_A_NAME))?;
            names.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    Ok(prune(value, &mut String::new(), &declared))
}

fn prune(value: &mut Value, pointer: &mut String, declared: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let length = pointer.len();
    let mut removed = false;
    match value {
        Value::Object(members) => {
            if let Some(names) = declared.get(pointer.as_str()) {
                let before = members.len();
                members.retain(|name, _| names.contains(name));
                removed = members.len() != before;
            }
            for (name, member) in members.iter_mut() {
                pointer.push('/');
                pointer.push_str(&crate::document::escape(name));
                removed |= prune(member, pointer, declared);
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                pointer.push_str(&format!("/{index}"));
                removed |= prune(item, pointer, declared);
                pointer.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    removed
}
